"""What an argument of a kernel must be: every check that is made before a launch.

A mistake is a :class:`LaunchError` that names the kernel, the parameter and what was given.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.kernels.cuda.device import kind_of
from minidl.kernels.cuda.errors import LaunchError
from minidl.kernels.cuda.signature import ALIGNMENT, Parameter, Signature

#: Limits of every architecture since sm_30.
MAX_GRID = (2**31 - 1, 65535, 65535)
MAX_BLOCK = (1024, 1024, 64)
MAX_THREADS = 1024
#: Bytes of shared memory that a block gets without asking the driver for more.
MAX_SHARED = 48 * 1024
INT_MAX = 2**31 - 1

Extents = int | Sequence[int]


def grid_width(grid: Extents, block: Extents) -> int:
    """Threads along x: how far a grid-stride loop steps."""
    with contextlib.suppress(TypeError, ValueError, IndexError):
        return int(_three(grid)[0]) * int(_three(block)[0])
    return 0  # what is not a number is refused later, with a better message


def _three(extents: Extents) -> tuple[Any, ...]:
    given = tuple(extents) if isinstance(extents, Sequence) else (extents,)
    return (*given, 1, 1)[: max(3, len(given))]


def check_count(signature: Signature, args: Sequence[Any]) -> None:
    """Raise a LaunchError unless there are as many arguments as parameters."""
    if len(args) != len(signature.parameters):
        raise LaunchError(
            f"{signature.name}: {len(args)} arguments for {len(signature.parameters)} parameters: {signature}"
        )


def check_extents(
    signature: Signature, grid: Extents, block: Extents, numbers: dict[str, str]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Grid and block as three ints each, within the limits."""
    checked = []
    for what, extents, limits in (("grid", grid, MAX_GRID), ("block", block, MAX_BLOCK)):
        three = _three(extents)
        if len(three) != 3 or not all(isinstance(e, int | np.integer) for e in three):
            raise LaunchError(f"{signature.name}: {what} must be one to three integers, not {extents!r}")
        if min(three) < 1:
            raise LaunchError(f"{signature.name}: {what} {three} is empty; return before the launch instead")
        if any(e > limit for e, limit in zip(three, limits, strict=True)):
            raise LaunchError(f"{signature.name}: {what} {three} exceeds the limits {limits}")
        checked.append(tuple(int(e) for e in three))
    threads = checked[1][0] * checked[1][1] * checked[1][2]
    if threads > MAX_THREADS:
        raise LaunchError(
            f"{signature.name}: block {checked[1]} has {threads} threads; {MAX_THREADS} are allowed"
        )
    bound = _launch_bound(signature, numbers)
    if bound is not None and threads > bound:
        raise LaunchError(f"{signature.name}: {threads} threads in a block; __launch_bounds__ says {bound}")
    return checked[0], checked[1]


def _launch_bound(signature: Signature, numbers: dict[str, str]) -> int | None:
    """The number in ``__launch_bounds__``, None if it is an expression that the compiler must work out."""
    text = signature.max_threads
    text = numbers.get(text, text) if text else text
    return int(text) if text and text.isdigit() else None


def check_shared(signature: Signature, shared_bytes: int) -> None:
    """Raise a LaunchError unless dynamic shared memory is given where declared, and within the limit."""
    if signature.dynamic_shared and shared_bytes <= 0:
        raise LaunchError(f"{signature.name}: declares extern __shared__ memory; give shared_bytes=")
    if not signature.dynamic_shared and shared_bytes:
        raise LaunchError(
            f"{signature.name}: has no extern __shared__ memory, but shared_bytes={shared_bytes}"
        )
    if shared_bytes > MAX_SHARED:
        raise LaunchError(f"{signature.name}: shared_bytes={shared_bytes}; a block gets at most {MAX_SHARED}")


def real(signature: Signature, args: Sequence[Any], like: Any) -> str:
    """``float`` or ``double``: as the first array given for a REAL pointer, else the first REAL number."""
    given = [(p, a) for p, a in zip(signature.parameters, args, strict=True) if p.ctype in ("REAL", "VECTOR")]
    given.sort(key=lambda pair: not pair[0].pointer)
    dtypes = (a.dtype for _, a in given if hasattr(a, "dtype"))
    dtype = next(dtypes, like.dtype)
    return "double" if dtype == np.float64 else "float"


def index(signature: Signature, args: Sequence[Any], width: int) -> str:
    """``long long`` where a position may pass 2^31 - 1, even by one step of a grid-stride loop."""
    largest = max((int(a.size) for a in args if hasattr(a, "strides")), default=0) + width
    numbers = (
        int(a)
        for p, a in zip(signature.parameters, args, strict=True)
        if p.ctype == "INDEX" and not p.pointer and isinstance(a, int | np.integer)
    )
    return "long long" if max(largest, *map(abs, numbers), 0) > INT_MAX else "int"


def describe(value: Any) -> str:
    """What was given, for a message: an array by its type and where it lives, a number by its value."""
    if isinstance(value, np.ndarray):
        return f"a NumPy array of shape {value.shape}, which lives on the host"
    if hasattr(value, "dtype"):
        return f"{type(value).__name__} of dtype {value.dtype}"
    return f"{type(value).__name__} ({value!r})" if isinstance(value, int | float) else type(value).__name__


def argument(
    signature: Signature, number: int, parameter: Parameter, value: Any, macros: dict[str, str], like: Any
) -> Any:
    """What CuPy is given for one parameter."""
    place = f"{signature.name}: argument {number} '{parameter}'"
    dtype = parameter.dtype(macros)
    if parameter.pointer:
        return _pointer(place, parameter, value, dtype, like)
    return _number(place, value, dtype)


def _pointer(place: str, parameter: Parameter, value: Any, dtype: np.dtype[Any], like: Any) -> Any:
    if value is None:
        if parameter.nullable:
            return None
        raise LaunchError(f"{place} is None; the source does not say that it may be null")
    kind = kind_of(value)
    if kind is None:
        raise LaunchError(f"{place} wants an array on the device, got {describe(value)}")
    if kind != kind_of(like) or value.device.id != like.device.id:
        raise LaunchError(
            f"{place} lives on {kind}:{value.device.id}, but the kernel runs on "
            f"{kind_of(like)}:{like.device.id}"
        )
    if value.dtype != dtype:
        raise LaunchError(f"{place} wants {dtype}, got an array of {value.dtype}")
    if not value.flags.c_contiguous:
        raise LaunchError(
            f"{place} is not in C order (shape {value.shape}, strides {value.strides}), and the kernel knows "
            "nothing of strides; call xp.ascontiguousarray"
        )
    vector = ALIGNMENT.get(parameter.ctype, 1)
    if value.data.ptr % vector:
        raise LaunchError(f"{place} begins at an address that is no multiple of {vector} bytes")
    return value


def _number(place: str, value: Any, dtype: np.dtype[Any]) -> np.generic:
    if dtype.kind == "f":
        if isinstance(value, np.generic) and value.dtype == dtype:
            return value
        hint = (
            f"write np.{dtype}(...)" if isinstance(value, float | int | np.number) else "a number is needed"
        )
        raise LaunchError(f"{place} wants a NumPy scalar of {dtype}, got {describe(value)}: {hint}")
    if dtype.kind == "b":
        if isinstance(value, bool | np.bool_):
            return np.bool_(value)
        raise LaunchError(f"{place} wants True or False, got {describe(value)}")
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise LaunchError(f"{place} wants an integer, got {describe(value)}")
    limits = np.iinfo(dtype)
    if not limits.min <= int(value) <= limits.max:
        raise LaunchError(f"{place}: {int(value)} does not fit into {dtype}")
    return dtype.type(value)
