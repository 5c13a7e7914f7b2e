"""The one source of random numbers for initialisation and dropout.

A counter-based generator (Philox 4x64-10, Salmon et al. 2011): the n-th number is a function of the seed
and n alone, so that every backend can compute it, in any order, and its whole state is a few integers, which
checkpoints store as text. NumPy has it as ``numpy.random.Philox``. In full:

**Key.** Two 64-bit words k0, k1 made of the seed, once, by ``numpy.random.SeedSequence(seed)``, as
``generate_state(2, numpy.uint64)`` gives them: small seeds are spread over all bits.

**The n-th number**, n = 0, 1, 2, ..., is word n mod 4 of block ⌊n/4⌋ + 1. Block b is what ten rounds make of
the counter (b, 0, 0, 0), the least significant 64-bit word first. One round, in arithmetic modulo 2^64, where
hi and lo are the two halves of a 128-bit product:

    (c0, c1, c2, c3) becomes (hi(M1 c2) ^ c1 ^ k0,  lo(M1 c2),  hi(M0 c0) ^ c3 ^ k1,  lo(M0 c0))
    after each round   k0 += 0x9E3779B97F4A7C15,   k1 += 0xBB67AE8584CAA73B
    M0 = 0xD2E7470EE14C6C93,   M1 = 0xCA5A826395121157

**From words to what is drawn.** ``generator().random()`` is ⌊word / 2^11⌋ / 2^53, one word each, and
``uniform(low, high)`` is low + (high - low) times that. :func:`uint32` cuts words into halves, the low one
first. Arrays are filled in row-major order. Normal numbers are drawn by NumPy's ziggurat, which takes one
word and now and then more.

Dropout takes its numbers from :func:`uint32` and says which (``minidl/ops/dropout.py``). Initial values are
drawn on the host on every backend, as ``uniform`` or ``normal``. The training pictures' order and changes
come from Philox generators of their own, whose keys are in ``minidl/train/batches.py``: they do not depend on
what the network drew.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from minidl._switch import Setting


class Stream:
    """A source of random numbers of one's own: see :func:`using`.

    Args:
        seed: a non-negative integer; without it the numbers start from the system's entropy.

    Attributes:
        generator: NumPy's generator. Made when first asked for: importing numpy.random would take a fifth of
            the time of `import minidl`.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed
        self._generator: np.random.Generator | None = None

    @property
    def generator(self) -> np.random.Generator:
        if self._generator is None:
            self._generator = np.random.Generator(np.random.Philox(self.seed))
        return self._generator

    def restart(self, seed: int) -> None:
        """Start anew from ``seed``."""
        self._generator = np.random.Generator(np.random.Philox(seed))
        self.seed = seed

    def get_state(self) -> dict[str, Any]:
        """As :func:`minidl.random.get_state`, of this one."""
        with using(self):
            return get_state()

    def set_state(self, state: dict[str, Any]) -> None:
        """As :func:`minidl.random.set_state`, of this one; raises what it does."""
        with using(self):
            set_state(state)


class Generator(Stream):
    """A :class:`Stream` with torch's names: ``nn.init`` draws from the one that it is given.

    It starts from torch's number, the same in every process, until :meth:`manual_seed` is called.

    Args:
        device: ``"cpu"``; numbers are drawn on the host, wherever the tensor is that they fill.

    Raises:
        ValueError: another device.

    >>> import minidl
    >>> a, b = (minidl.nn.init.normal_(minidl.zeros(3), generator=Generator().manual_seed(7)) for _ in "ab")
    >>> (a == b).tolist()
    [True, True, True]
    """

    def __init__(self, device: Any = "cpu") -> None:
        if str(device) != "cpu":
            raise ValueError(f"Generator: device must be 'cpu', where all numbers are drawn, got {device!r}")
        super().__init__(67280421310721)

    def manual_seed(self, seed: int) -> Generator:
        """Start anew from ``seed`` (a non-negative integer)."""
        self.restart(seed)
        return self

    def initial_seed(self) -> int:
        """What the numbers started from."""
        assert self.seed is not None
        return self.seed


#: The process's, for all who have none of their own.
_shared = Stream()
#: The one that takes its place in this context: other threads go on with theirs.
_own = Setting("minidl_generator", default=None)
#: Two threads that draw at once get different numbers: whoever reads where a generator stands moves it, too.
_drawing = threading.RLock()


def manual_seed(seed: int) -> None:
    """Start the random numbers of initialisation and dropout anew from ``seed`` (a non-negative integer).

    >>> import minidl
    >>> minidl.manual_seed(7); a = minidl.random.generator().random()
    >>> minidl.manual_seed(7); a == minidl.random.generator().random()
    True
    """
    _stream().restart(seed)


def _stream() -> Stream:
    own: Stream | None = _own.get()
    return _shared if own is None else own


@contextlib.contextmanager
def using(stream: Stream) -> Iterator[Stream]:
    """Draw from ``stream`` within this block and this thread only, :func:`manual_seed` included.

    Two threads, each in a block with a stream of its own, repeat their numbers whatever the other draws.

    >>> import minidl
    >>> mine = Stream(seed=7)
    >>> with using(mine):
    ...     first = minidl.random.generator().random()
    >>> minidl.manual_seed(7); first == minidl.random.generator().random()
    True
    """
    held = _own.begin(stream)
    try:
        yield stream
    finally:
        _own.end(held)


def generator() -> np.random.Generator:
    """The process-wide generator; without :func:`manual_seed` it starts from the system's entropy.

    Within :func:`using` and :func:`replay` it is that block's own.
    """
    with _drawing:  # two threads that ask first are given one and the same
        return _stream().generator


def source(operation: str, given: Stream | None) -> np.random.Generator:
    """What an operation draws from: the generator that it was given, else :func:`generator`.

    Raises:
        TypeError: what was given is no :class:`Stream`, such as a :class:`Generator`.

    >>> source("normal_", 7)
    Traceback (most recent call last):
    TypeError: normal_: generator must be a minidl.Generator, got int
    """
    if given is None:
        return generator()
    if not isinstance(given, Stream):
        raise TypeError(f"{operation}: generator must be a minidl.Generator, got {type(given).__name__}")
    with _drawing:
        return given.generator


@contextlib.contextmanager
def replay(state: dict[str, Any]) -> Iterator[None]:
    """Draw from where :func:`get_state` was called, within this block and this thread only.

    >>> import minidl
    >>> here = minidl.random.get_state(); first = minidl.random.generator().random()
    >>> with replay(here):
    ...     minidl.random.generator().random() == first
    True
    """
    with using(Stream()):
        set_state(state)
        yield


def uint32(count: int) -> np.ndarray[Any, Any]:
    """The next ``count`` 32-bit numbers: the halves of the next ⌈count/2⌉ words, the low half of each first.

    The last high half is left unused where the count is odd, so that every call begins with a whole word.

    >>> import minidl
    >>> minidl.manual_seed(7); word = int(minidl.random.generator().bit_generator.random_raw())
    >>> minidl.manual_seed(7); minidl.random.uint32(2).tolist() == [word % 2**32, word // 2**32]
    True
    """
    with _drawing:
        words = generator().bit_generator.random_raw(-(-count // 2))
    return words.astype("<u8", copy=False).view("<u4")[:count]


def claim(words: int) -> tuple[tuple[int, int], int]:
    """Give away the next so many words without computing them: whoever gets them knows how.

    Returns:
        the key and the n of the first of the words.

    >>> import minidl
    >>> minidl.manual_seed(7); _, n = claim(3); after = minidl.random.get_state(); n
    0
    >>> minidl.manual_seed(7); _ = minidl.random.uint32(6); minidl.random.get_state() == after
    True
    """
    with _drawing:
        philox = generator().bit_generator
        state: Any = philox.state
        counter = sum(int(word) << 64 * i for i, word in enumerate(state["state"]["counter"]))
        first = 4 * counter - (4 - int(state["buffer_pos"]))  # the counter's block has partly been given out
        if words:
            block = (first + words - 1) // 4  # the last word's, counted from 0
            state["state"]["counter"] = np.array([block >> 64 * i & 2**64 - 1 for i in range(4)], np.uint64)
            state["buffer_pos"] = 4
            philox.state = state
            philox.random_raw(first + words - 4 * block, output=False)
    k0, k1 = (int(word) for word in state["state"]["key"])
    return (k0, k1), first


def get_state() -> dict[str, Any]:
    """Where the generator stands, as JSON-able values: see :func:`set_state`."""
    return {key: _to_lists(value) for key, value in generator().bit_generator.state.items()}


def set_state(state: dict[str, Any]) -> None:
    """Go on exactly where :func:`get_state` was called.

    Raises:
        ValueError: the state is not one of a Philox generator. The generator then stays where it was.

    >>> import minidl
    >>> here = minidl.random.get_state(); a = minidl.random.generator().random()
    >>> minidl.random.set_state(here); a == minidl.random.generator().random()
    True
    """
    # On a generator of its own, which takes the place of the old one only if everything fits.
    philox = np.random.Philox()
    try:
        # The buffer holds the 4 numbers of the last draw; those before buffer_pos have been given out.
        if not 0 <= state["buffer_pos"] <= 4:
            raise ValueError(f"buffer_pos is {state['buffer_pos']}, not in 0..4")
        inner = {
            name: _integers(state["state"][name], name, count) for name, count in (("counter", 4), ("key", 2))
        }
        whole: Any = {**state, "state": inner, "buffer": _integers(state["buffer"], "buffer", 4)}
        philox.state = whole
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise ValueError(f"set_state: not a state of the random generator ({error})") from error
    generator().bit_generator.state = philox.state


def _integers(values: Any, name: str, count: int) -> np.ndarray[Any, Any]:
    array = np.array(values, np.uint64)
    if array.shape != (count,):
        raise ValueError(f"{name} must be {count} integers, got {values!r}")
    return array


def _to_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _to_lists(v) for k, v in value.items()}
    return value.tolist() if isinstance(value, np.ndarray) else value
