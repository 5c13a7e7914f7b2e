"""What an index means: ``x[index]`` with torch's indices, made into what arrays of every kind understand.

An index is resolved into two steps, since NumPy counts an integer beside a list as one more list, and torch
does not:

    view    y = x[basic]        integers, slices and None: a view of the memory of x
    taken   y = y[taken]        arrays of integers, and slices(None) for the dimensions between: a copy

    x[0, :, [1, 1]]      basic (0, :, :),     taken (:, [1, 1])
    x[mask, None]        basic (:, :, None),  taken (where the mask is true, along each of its dimensions)

What a mask means is where it is true (numpy.nonzero); True and False are masks without dimensions.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minidl._device import device_of, move, on
from minidl._masks import host
from minidl._placement import Placement, on_host
from minidl.dispatch import array_module
from minidl.kernels.cuda.device import kind_of

WHOLE = slice(None)


class Index(NamedTuple):
    """An index in two steps; ``taken`` is empty where the first is all."""

    basic: tuple[Any, ...]  #: ends in dots, so that NumPy gives an array even of one element
    taken: tuple[Any, ...]

    def view_of(self, array: Any) -> Any:
        """The first step: a view of the array."""
        return array[self.basic]


def resolved(operation: str, index: Any, array: Any) -> Index:
    """The two steps of an index into an array on any device.

    Args:
        operation: for messages.
        index: integers (or integer tensors and arrays without dimensions), slices, None, ``...``, integer
            arrays, lists or tensors, masks (of bools, or uint8 tensors and arrays, as in torch), or a tuple
            of these. A list that holds lists, slices, None or ``...`` counts as a tuple, as in torch.
        array: what it goes into.

    Raises:
        IndexError: out of range, too many, of no such kind, or a mask or lists of shapes that do not fit.
        TypeError: text.
    """
    shape = array.shape
    if _is_plain(index, shape):
        return Index((*index, ...) if isinstance(index, tuple) else (index, ...), ())
    parts = [_part(operation, p) for p in (index if _is_tuple(index) else (index,))]
    rest = len(shape) - sum(map(_dimensions, parts))
    if rest < 0:
        raise IndexError(f"{operation}: too many indices, {len(shape) - rest} for shape {shape}")
    if sum(part is ... for part in parts) > 1:
        raise IndexError(f"{operation}: an index has one ... at most (shape {shape})")
    basic: list[Any] = []
    taken: list[Any] = []
    axis = 0
    for part in parts:
        of_view, of_taken = _steps(operation, part, axis, shape, rest)
        basic += of_view
        taken += of_taken
        axis += sum(p is not None for p in of_view)
    basic.append(...)
    arrays = [t for t in taken if t is not WHOLE]
    if not arrays:
        return Index(tuple(basic), ())
    if len(arrays) > 1:
        _require_one_shape(operation, arrays)
    device = device_of(array)
    return Index(tuple(basic), tuple(t if t is WHOLE else move(t, device) for t in taken))


def _is_plain(index: Any, shape: tuple[int, ...]) -> bool:
    """Whether an index, as most are, is of Python's integers, slices and None alone, and within the shape."""
    axis = 0
    for part in index if type(index) is tuple else (index,):
        if type(part) is int:
            if axis >= len(shape) or not -shape[axis] <= part < shape[axis]:
                return False  # to be told so
        elif type(part) is slice:
            if not (_plain_bound(part.start) and _plain_bound(part.stop) and _plain_bound(part.step)):
                return False
        elif part is not None:
            return False
        axis += part is not None
    return axis <= len(shape)


def _plain_bound(bound: Any) -> bool:
    return bound is None or type(bound) is int


def _require_one_shape(operation: str, arrays: list[Any]) -> None:
    try:
        np.broadcast_shapes(*(tuple(a.shape) for a in arrays))
    except ValueError:
        shapes = " and ".join(str(tuple(a.shape)) for a in arrays)
        raise IndexError(f"{operation}: lists and masks of shapes {shapes} do not broadcast") from None


# --- what was given -----------------------------------------------------------------------------------------


def _is_tuple(index: Any) -> bool:
    """Whether an index is one for each of several dimensions: a tuple, or a short list that looks so."""
    if isinstance(index, tuple):
        return True
    return _is_list(index) and len(index) < 32 and any(map(_is_no_number, index))


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _is_no_number(part: Any) -> bool:
    if isinstance(part, int | np.integer):
        return False
    if part is None or part is ... or isinstance(part, slice | Sequence | Placement | np.ndarray):
        return True
    return kind_of(part) is not None


def _part(operation: str, part: Any) -> Any:
    """One part of an index as None, ``...``, a slice, a bool, an int or an array of integers or bools."""
    if part is None or part is ... or isinstance(part, int):
        return part
    if isinstance(part, slice):
        return slice(*(_bound(operation, n) for n in (part.start, part.stop, part.step)))
    if isinstance(part, np.bool_ | np.integer):
        return part.item()
    if isinstance(part, Placement):
        part = part.data
    elif _is_list(part):
        part = _listed(operation, part)
    elif hasattr(part, "__array__") and kind_of(part) is None:
        part = host(operation, part)  # of other libraries, and masked ones
    if not isinstance(part, np.ndarray) and kind_of(part) is None:
        error = TypeError if isinstance(part, str | bytes) else IndexError
        raise error(
            f"{operation}: an index must be of integers, slices, None, ..., bools, or of lists, arrays or "
            f"tensors of integers or bools, got {type(part).__name__}"
        )
    if part.dtype.kind not in "iub":
        raise IndexError(
            f"{operation}: what stands in an index must be of integers or bools, got {part.dtype}"
        )
    if part.dtype == np.uint8:  # torch's masks before it had bools, and what picture files hold
        with on(part):
            part = part != 0
    return part if part.ndim else part.item()


def _bound(operation: str, bound: Any) -> Any:
    """Begin, end or step of a slice."""
    try:
        return None if bound is None else operator.index(bound)
    except TypeError:
        raise TypeError(
            f"{operation}: slices must be of integers or None, got {type(bound).__name__}"
        ) from None


def _listed(operation: str, values: Sequence[Any]) -> np.ndarray[Any, Any]:
    """A list as an array; an empty one is of integers."""
    try:
        array = host(operation, [_on_the_host(v) for v in values])
    except ValueError:
        raise IndexError(f"{operation}: a list in an index has lists of unequal lengths") from None
    return array if array.size else array.astype(np.int64)


def _on_the_host(value: Any) -> Any:
    if isinstance(value, int):
        return value
    if isinstance(value, Placement):
        return on_host(value)
    return [_on_the_host(v) for v in value] if _is_list(value) else value


# --- what it means ------------------------------------------------------------------------------------------


def _dimensions(part: Any) -> int:
    """How many dimensions a part of an index is for."""
    if part is None or part is ... or isinstance(part, bool):
        return 0
    return part.ndim if getattr(part, "dtype", None) == np.bool_ else 1


def _steps(
    operation: str, part: Any, axis: int, shape: tuple[int, ...], rest: int
) -> tuple[list[Any], list[Any]]:
    """A part that begins at ``axis``, in two steps; the dots stand for ``rest`` dimensions."""
    if part is None:
        return [None], [WHOLE]
    if part is ...:
        return [WHOLE] * rest, [WHOLE] * rest
    if isinstance(part, slice):
        return [part], [WHOLE]
    if isinstance(part, bool):
        return [None], [np.zeros(int(part), np.int64)]  # the one element of a new dimension, or none
    if isinstance(part, int):
        _require_within(operation, part, part, axis, shape)
        return [part], []
    arrays = (
        _true_places(operation, part, axis, shape)
        if part.dtype == np.bool_
        else [_counted_from_0(operation, part, axis, shape)]
    )
    return [WHOLE] * len(arrays), arrays


def _true_places(operation: str, mask: Any, axis: int, shape: tuple[int, ...]) -> list[Any]:
    """Where a mask is true, along each of its dimensions."""
    here = shape[axis : axis + mask.ndim]
    if tuple(mask.shape) != here:
        raise IndexError(
            f"{operation}: a mask of shape {tuple(mask.shape)} does not fit dimensions of extents {here} "
            f"(shape {shape})"
        )
    with on(mask):
        return list(array_module(mask).nonzero(mask))


def _counted_from_0(operation: str, places: Any, axis: int, shape: tuple[int, ...]) -> Any:
    """A copy as int64 (the backward must see what is there now), all within the dimension, none negative."""
    with on(places):
        found = places.astype(np.int64)
        if not places.size:
            return found
        xp = array_module(places)
        lowest, highest = (int(extreme.reduce(places, axis=None)) for extreme in (xp.minimum, xp.maximum))
        _require_within(operation, lowest, highest, axis, shape)
        return xp.where(found < 0, found + shape[axis], found) if lowest < 0 else found


def _require_within(operation: str, lowest: int, highest: int, axis: int, shape: tuple[int, ...]) -> None:
    n = shape[axis]
    if not (-n <= lowest and highest < n):
        wrong = highest if highest >= n else lowest
        raise IndexError(f"{operation}: index {wrong} is out of range for dimension {axis} of shape {shape}")
