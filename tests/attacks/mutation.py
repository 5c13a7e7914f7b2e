"""Random damage to bytes."""

from __future__ import annotations

import random
from collections.abc import Callable

_SPECIAL = (0, 1, 0x7F, 0x80, 0xFE, 0xFF)


def mutated(rng: random.Random, whole: bytes) -> tuple[str, bytes]:
    """(what was done, the bytes after one to four mutations)."""
    data, done = bytearray(whole), []
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        how = rng.choice(_WAYS)
        # Beginnings decide more than the rest.
        at = rng.randrange(min(len(data), 64) if rng.random() < 0.5 else len(data)) if data else 0
        how(rng, data, at)
        done.append(f"{how.__name__[1:]} at {at}")
    return ", ".join(done), bytes(data)


def _flip(rng: random.Random, data: bytearray, at: int) -> None:
    if data:
        data[at] ^= 1 << rng.randrange(8)


def _special(rng: random.Random, data: bytearray, at: int) -> None:
    if data:
        data[at] = rng.choice(_SPECIAL)


def _number(rng: random.Random, data: bytearray, at: int) -> None:
    size = rng.choice((2, 4, 8))
    value = rng.choice((0, 1, 2 ** (8 * size) - 1, 2 ** (8 * size - 1), 2 ** (8 * size - 1) - 1))
    data[at : at + size] = value.to_bytes(size, rng.choice(("little", "big")))  # type: ignore[arg-type]


def _cut(rng: random.Random, data: bytearray, at: int) -> None:
    del data[at:]


def _remove(rng: random.Random, data: bytearray, at: int) -> None:
    del data[at : at + rng.randrange(1, 64)]


def _insert(rng: random.Random, data: bytearray, at: int) -> None:
    data[at:at] = rng.randbytes(rng.randrange(1, 64))


def _repeat(rng: random.Random, data: bytearray, at: int) -> None:
    data[at:at] = data[at : at + rng.randrange(1, 512)] * rng.randrange(1, 20)


def _zeros(rng: random.Random, data: bytearray, at: int) -> None:
    length = rng.randrange(1, 256)
    data[at : at + length] = bytes(len(data[at : at + length]))


def _append(rng: random.Random, data: bytearray, at: int) -> None:
    data += rng.randbytes(rng.randrange(1, 200))


_WAYS: tuple[Callable[[random.Random, bytearray, int], None], ...] = (
    *(_flip, _flip, _special, _number, _number, _cut, _remove, _insert, _repeat, _zeros, _append),
)
