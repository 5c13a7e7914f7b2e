"""Mutated and truncated checkpoints: flipped, cut, repeated and exchanged bytes, headers that lie"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator

from attacks.bench import Bench, Ended, limited
from attacks.mutation import mutated

MEANS = "refused in a line that names the file, or every bit of the result as before"
COUNT = 2000

#: What stands in a header of a safetensors file instead of the places of a tensor.
_PLACES = ([0, 2**63], [-4, 4], [0, 0], [8, 4], [0], [], None, "0", [0.5, 4], [2**70, 2**71], [True, False])
_SHAPES = ([2**40, 2**40], [-1], [0], [2**64], None, ["2"], [[]], [1] * 100_000, [0] * 70)


def attack(bench: Bench, rng: random.Random, count: int) -> None:
    """Predict with each file."""
    whole = (bench.run / "best.safetensors").read_bytes()
    path, out = bench.folder / "x.safetensors", bench.folder / "out"
    picture = bench.data / "test/images/00.png"

    def run(name: str, *, refused: bool) -> None:
        def expect(ended: Ended) -> str:
            if refused and ended.code == 0:
                return "was used"
            return "" if ended.code == 0 or str(path) in ended.error else f"does not name it: {ended.error}"

        bench.call(
            name, "predict", path, picture, "--out", out, *limited("predict"), writes=[out], expect=expect
        )
        shutil.rmtree(out, ignore_errors=True)

    headers = list(_headers(whole))
    for number in range(count):
        if number < count // 4:
            name, data = rng.choice(headers)
        else:
            name, data = mutated(rng, whole)
        path.write_bytes(data)
        run(f"a checkpoint, {name}", refused=data != whole)


def _headers(whole: bytes) -> Iterator[tuple[str, bytes]]:
    """Files whose header says something else about the same bytes."""
    size = int.from_bytes(whole[:8], "little")
    header, body = json.loads(whole[8 : 8 + size]), whole[8 + size :]
    name = next(key for key in header if key != "__metadata__")

    def made(text: str | bytes, length: int | None = None) -> bytes:
        raw = text if isinstance(text, bytes) else text.encode()
        return (len(raw) if length is None else length).to_bytes(8, "little") + raw + body

    for key, values in (
        ("data_offsets", _PLACES),
        ("shape", _SHAPES),
        ("dtype", ("F64", "X", "", None, 3, "BF16")),
    ):
        for value in values:
            yield f"{key} {str(value)[:40]}", made(json.dumps({**header, name: {**header[name], key: value}}))
    for length in (0, 1, 2**20, 2**31, 2**63, 2**64 - 1, size - 1, size + 1):
        yield f"a header of {length} bytes", made(whole[8 : 8 + size], length)
    for value in (
        None,
        [],
        "x",
        {"minidl": 3},
        {"minidl": ""},
        {"minidl": "\n"},
        {"minidl": "x" * 10**6},
        {},
    ):
        yield f"metadata {str(value)[:40]}", made(json.dumps({**header, "__metadata__": value}))
    for text in (
        "",
        "{}",
        "[]",
        "null",
        "{" * 100_000,
        "[" * 100_000,
        '{"a":' * 5000,
        '"' * 100,
        "\x00" * 64,
    ):
        yield f"the header {text[:9]!r}", made(text)
    yield "the header not UTF-8", made(b'{"\xff": 1}')
    yield (
        "100,000 tensors of nothing",
        made(
            json.dumps(
                {str(i): {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(100_000)}
            )
        ),
    )
    yield "a name of a million characters", made(json.dumps({**header, "x" * 10**6: header[name]}))
