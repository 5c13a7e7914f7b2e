"""Indices of every kind, drawn: what stands between the brackets of ``x[...]``.

A part that is an array is drawn as :class:`Given`, since whoever indexes makes it a tensor of its own kind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

#: Dtypes of tensors that torch takes for indices, and those of arrays that it takes.
TENSORS = ("int64", "int32")
ARRAYS = ("int64", "int32", "int16", "int8", "uint16")


class Given(NamedTuple):
    """An array in an index that is to be given as a tensor."""

    array: np.ndarray[Any, Any]


def made(index: Any, tensor: Callable[[np.ndarray[Any, Any]], Any]) -> Any:
    """The index with tensors in the place of what is to be given as one."""
    if isinstance(index, Given):
        return tensor(index.array)
    if isinstance(index, slice):
        return slice(*(made(n, tensor) for n in (index.start, index.stop, index.step)))
    if type(index) in (list, tuple):
        return type(index)(made(part, tensor) for part in index)
    return index


def integers_for(n: int) -> st.SearchStrategy[int]:
    """Mostly within a dimension of n elements, sometimes just outside."""
    inside = st.integers(-n, n - 1) if n else st.integers(-1, 0)
    return st.one_of(inside, inside, inside, inside, inside, inside, inside, st.integers(-n - 1, n))


@st.composite
def single(draw: Any, n: int) -> Any:
    """An integer in one of its guises."""
    value = draw(integers_for(n))
    guise = draw(st.sampled_from(["int", "np.int64", "np.int8", "array", *TENSORS]))
    if guise == "int":
        return value
    if guise.startswith("np."):
        return np.dtype(guise[3:]).type(value)
    return np.array(value) if guise == "array" else Given(np.array(value, guise))


@st.composite
def several(draw: Any, n: int, shape: tuple[int, ...]) -> Any:
    """A list of integers in one of its guises, of a shape or of one that broadcasts to it."""
    shape = tuple(
        draw(st.sampled_from([extent, 1])) for extent in shape[draw(st.integers(0, len(shape) - 1)) :]
    )
    size = int(np.prod(shape))
    values = np.array(draw(st.lists(integers_for(n), min_size=size, max_size=size)), int).reshape(shape)
    guise = draw(st.sampled_from(["list", "tuple", "array", "tensor"]))
    if guise == "list":
        return values.tolist()
    if guise == "tuple":
        return tuple(values.tolist())
    dtype = draw(st.sampled_from(ARRAYS if guise == "array" else TENSORS))
    if dtype.startswith("u"):
        values = np.abs(values)
    return values.astype(dtype) if guise == "array" else Given(values.astype(dtype))


@st.composite
def mask(draw: Any, shape: tuple[int, ...]) -> Any:
    """A mask over one dimension or several, in one of its guises; sometimes it does not fit."""
    if draw(st.integers(0, 9)) == 0:
        shape = (*shape[:-1], shape[-1] + 1)
    size = int(np.prod(shape))
    values = np.array(draw(st.lists(st.booleans(), min_size=size, max_size=size)), bool).reshape(shape)
    guises = ["list", "array", "bool", "uint8"] if values.ndim == 1 and values.size else ["bool", "uint8"]
    guise = draw(st.sampled_from(guises))  # torch counts an array's dimensions beside ... as one
    if guise == "list":
        return values.tolist()
    return values if guise == "array" else Given(values.astype("uint8" if guise == "uint8" else "bool"))


@st.composite
def bounds(draw: Any, n: int) -> slice:
    """A slice that goes forwards; its ends may lie outside."""
    end = st.none() | st.integers(-n - 1, n + 1)
    start, stop = draw(end), draw(end)
    if start is not None and draw(st.integers(0, 4)) == 0:
        start = Given(np.array(start))
    return slice(start, stop, draw(st.none() | st.integers(1, 3)))


@st.composite
def indices(draw: Any, shape: tuple[int, ...]) -> Any:
    """An index into a tensor of this shape: a tuple, or a single part by itself."""
    together = draw(st.sampled_from([(2,), (1,), (3,), (2, 2), (0,)]))
    parts: list[Any] = []
    axis, dots = 0, False
    while True:
        left = len(shape) - axis
        kinds = ["end", "none", "truth"]
        if left:
            kinds += ["single", "single", "slice", "slice", "several", "several", "mask"]
        if not dots:
            kinds += ["dots"]
        kind = draw(st.sampled_from(kinds))
        if kind == "end" or len(parts) > 6:
            break
        if kind == "dots":
            dots = True
            parts.append(...)
            axis += draw(st.integers(0, left))
        elif kind == "none":
            parts.append(None)
        elif kind == "truth":
            value = draw(st.sampled_from([True, True, False]))
            parts.append(value if draw(st.booleans()) else Given(np.array(value)))
        elif kind == "mask":
            many = draw(st.integers(1, min(left, 2)))
            parts.append(draw(mask(shape[axis : axis + many])))
            axis += many
        else:
            n = shape[axis]
            drawn = {"single": single(n), "slice": bounds(n), "several": several(n, together)}
            parts.append(draw(drawn[kind]))
            axis += 1
    if draw(st.integers(0, 30)) == 0:
        parts.append(0)  # perhaps one too many
    return parts[0] if len(parts) == 1 and draw(st.booleans()) else tuple(parts)
