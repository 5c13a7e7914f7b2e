"""What a launch needs, worked out once for each combination of shapes and types.

Checking twenty arguments and converting them takes longer than a small kernel. But a training launches the
same kernels with the same shapes again and again, so that nearly always all checks were made before, for a
launch that differs in nothing that they look at. What they look at is the `key`; what came out is the `Plan`.

Not in the key are the values of floating-point numbers, of which only the type is checked, and of unsigned or
64-bit integers (seeds, counters), which would make a new plan each time: those are held to their range anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.kernels.cuda import arguments
from minidl.kernels.cuda.arguments import Extents, argument, grid_width
from minidl.kernels.cuda.signature import Signature

#: Plans that a module keeps. A training has some hundreds of different launches in all.
MOST = 1024
_COUNTERS = ("unsigned", "unsigned int", "long long", "unsigned long long")
_FLOATING = ("REAL", "float", "double")


@dataclass(frozen=True)
class Places:
    """Which parameters are arrays, numbers whose value is in the key, and counters, whose value is not."""

    count: int
    arrays: tuple[int, ...]
    fixed: tuple[int, ...]
    counters: tuple[int, ...]


def places(signature: Signature) -> Places:
    """The parameters of a kernel by what of them is in the key."""
    numbers = [(at, p.ctype) for at, p in enumerate(signature.parameters) if not p.pointer]
    return Places(
        len(signature.parameters),
        tuple(at for at, p in enumerate(signature.parameters) if p.pointer),
        tuple(at for at, ctype in numbers if ctype not in _COUNTERS + _FLOATING),
        tuple(at for at, ctype in numbers if ctype in _COUNTERS),
    )


def key(
    where: Places, grid: Extents, block: Extents, shared_bytes: int, args: Sequence[Any], like: Any
) -> tuple[Any, ...] | None:
    """All that the checks of a launch look at; None for what is no launch at all, which they refuse."""
    if len(args) != where.count:
        return None
    arrays = []
    largest = 0
    try:
        for at in where.arrays:
            array = args[at]
            if array is not None:
                size = array.size
                largest = size if size > largest else largest
                array = (
                    array.dtype.char,
                    array.flags.c_contiguous,
                    array.data.ptr & 15,  # the strictest alignment that a parameter asks for
                    array.device.id,
                )
            arrays.append(array)
        found = (
            *(_typed(grid), _typed(block), _typed(shared_bytes)),
            *(type(like), like.dtype.char, like.device.id),
            tuple(map(type, args)),
            tuple([args[at] for at in where.fixed]),
            tuple(arrays),
            largest + grid_width(grid, block) > arguments.INT_MAX,  # what INDEX depends on
        )
        hash(found)
    except (AttributeError, TypeError):  # no device's array, a list
        return None
    return found


def _typed(extents: Extents) -> Any:
    """Numbers that are equal may be of types that are not taken: 64.0 for 64."""
    if type(extents) is int:
        return extents
    return type(extents), *(map(type, extents) if isinstance(extents, tuple) else ()), extents


class Plan:
    """A launch whose arguments were found to fit: what is left to do for the next one with the same key.

    Args:
        signature: the kernel's.
        compiled: the kernel, as CuPy gives it.
        extents: grid and block, three ints each.
        macros: what REAL and INDEX stand for.
        checked: what CuPy was given for each parameter.
        where: which parameters are what.
    """

    def __init__(
        self,
        signature: Signature,
        compiled: Any,
        extents: tuple[tuple[int, ...], tuple[int, ...]],
        macros: dict[str, str],
        checked: Sequence[Any],
        where: Places,
    ) -> None:
        self.signature, self.compiled, self.macros = signature, compiled, macros
        self.grid, self.block = extents
        self._fixed = tuple([checked[at] if at in where.fixed else None for at in range(where.count)])
        self._counters = tuple(
            (at, kind, int(np.iinfo(kind).min), int(np.iinfo(kind).max))
            for at, kind in ((at, type(checked[at])) for at in where.counters)
        )

    def values(self, args: Sequence[Any], like: Any) -> tuple[Any, ...]:
        """What CuPy is given for these arguments.

        Raises:
            LaunchError: a counter beyond its type.
        """
        values = [given if fixed is None else fixed for given, fixed in zip(args, self._fixed, strict=True)]
        for at, kind, low, high in self._counters:
            if not low <= args[at] <= high:
                argument(self.signature, at + 1, self.signature.parameters[at], args[at], self.macros, like)
            values[at] = kind(args[at])
        return tuple(values)
