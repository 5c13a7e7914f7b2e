"""What the host side of every kernel does with its arrays: the device, C order, grids, small tables."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from minidl.kernels.cuda.device import kind_of

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

#: Threads of a one-dimensional block: enough to hide memory's latency, few enough for every register budget.
THREADS = 256
#: Threads of a block over an image: a warp is 32 neighbours in a row.
TILE = (32, 8)
#: Grids are at most so large in y and z; along x, a grid-stride loop does the rest.
MOST_BLOCKS = 65535
#: What kernels are compiled for.
REALS = (np.dtype(np.float32), np.dtype(np.float64))


def on_device(function: Kernel) -> Kernel:
    """Declare that a function takes its arrays in C order, on one device, which is made the current one.

    What CuPy allocates lies on the current device, which need not be that of the arguments.
    """

    def arranged(value: Any) -> Any:
        return in_c_order(value) if kind_of(value) else value

    @functools.wraps(function)
    def wrapped(*args: Any, **options: Any) -> Any:
        like = next(a for a in (*args, *options.values()) if kind_of(a))
        with like.device:
            return function(*map(arranged, args), **{name: arranged(a) for name, a in options.items()})

    wrapped.takes = "C"  # type: ignore[attr-defined]
    return wrapped  # type: ignore[return-value]


def in_c_order(array: Any) -> Any:
    """The array itself if it lies in C order, else a copy that does."""
    return array if array.flags.c_contiguous else array.copy(order="C")


def blocks(count: int, each: int = THREADS) -> int:
    """Blocks of a grid-stride loop over ``count`` elements, ``each`` to a block.

    >>> blocks(1), blocks(257), blocks(10**9)
    (1, 2, 65535)
    """
    return max(1, min(-(-count // each), MOST_BLOCKS))


def image_grid(planes: int, height: int, width: int) -> tuple[int, int, int]:
    """Blocks of TILE threads over images; rows and planes beyond the grid's limits are looped over.

    >>> image_grid(70000, 9, 33)
    (2, 2, 65535)
    """
    return -(-width // TILE[0]), min(-(-height // TILE[1]), MOST_BLOCKS), min(planes, MOST_BLOCKS)


def aligned(*arrays: Any) -> bool:
    """Whether every array begins at a multiple of 16 bytes, so that vectors can be loaded."""
    return all(a.data.ptr % 16 == 0 for a in arrays)


def pick(version: str | None, chosen: str, versions: tuple[str, ...]) -> str:
    """The version that was asked for, else the chosen one.

    Raises:
        ValueError: there is no such version.
    """
    if version is not None and version not in versions:
        raise ValueError(f"there is no version {version!r}; choose from {', '.join(versions)}")
    return version or chosen
