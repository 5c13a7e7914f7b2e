"""Maximum and minimum, and where they are.

Notation: R is the set of reduced positions, g the cotangent of the result y.

    max   y = max_R x     dx = g at the maximum, 0 elsewhere
    min   y = min_R x     dx = g at the minimum, 0 elsewhere

Where several positions tie, ``max`` and ``min`` along one dimension give g to the first of them (whose index
they return too); over everything, and in ``amax`` and ``amin``, all of them share it evenly. NaN counts as
the largest and as the smallest. All as in torch.

Shape rule: reduced dimensions vanish, or stay with extent 1 where ``keepdim=True``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minidl._device import on
from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import array_module
from minidl.ops._shapes import dims
from minidl.ops.gather import put_back
from minidl.ops.maximum import maximum, minimum
from minidl.ops.reductions import Dims, drop, keep


class Extremum(NamedTuple):
    """The largest or smallest elements along a dimension and where each one was found (int64)."""

    values: Tensor
    indices: Tensor


class Shared(Function):
    """y = max x or min x over several axes; positions that tie share the cotangent evenly."""

    largest: bool

    @classmethod
    def forward(cls, ctx: Node, x: Any, *, axes: tuple[int, ...], keepdim: bool) -> Any:
        extreme = x.max if cls.largest else x.min
        y = extreme(axis=axes, keepdims=True)
        xp = array_module(x)
        tied = xp.equal(x, y) | xp.not_equal(x, x) & xp.not_equal(y, y)  # NaN is equal to nothing, not to NaN
        ctx.save(tied)
        ctx.shape, ctx.axes = x.shape, axes
        return drop(xp.asarray(y), axes, keepdim)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        (tied,) = ctx.saved
        tied = tied.astype(g.dtype)
        return tied * (keep(g, ctx.shape, ctx.axes) / tied.sum(axis=ctx.axes, keepdims=True))

    tensor_backward = backward  # a tie is a tie in a neighbourhood or a kink: a constant either way


class Max(Shared):
    """y = max x, shared by ties."""

    largest = True


class Min(Shared):
    """y = min x, shared by ties."""

    largest = False


class Amax(Max):
    """As :class:`Max`, under the name of ``amax``."""


class Amin(Min):
    """As :class:`Min`, under the name of ``amin``."""


class Along(Function):
    """y = max x or min x along one axis, and the index of the first one, which gets the cotangent."""

    largest: bool

    @classmethod
    def forward(cls, ctx: Node, x: Any, *, axis: int, keepdim: bool) -> Any:
        xp = array_module(x)
        found = x.argmax(axis=axis) if cls.largest else x.argmin(axis=axis)
        index = xp.expand_dims(found, axis)
        ctx.save(index)
        ctx.shape, ctx.axis = x.shape, axis
        y = xp.take_along_axis(x, index, axis=axis)
        return drop(y, (axis,), keepdim), drop(index, (axis,), keepdim)

    @staticmethod
    def backward(ctx: Node, g: Any, _: Any) -> Any:
        (index,) = ctx.saved
        return put_back(keep(g, ctx.shape, (ctx.axis,)), index, ctx.shape, ctx.axis)

    tensor_backward = backward

    @classmethod
    def operation(cls) -> str:
        return "max" if cls.largest else "min"


class MaxAlong(Along):
    """y = max x along one axis."""

    largest = True


class MinAlong(Along):
    """y = min x along one axis."""

    largest = False


def _extremum(name: str, shared: type[Shared], along: type[Along], x: Tensor, dim: Any, keepdim: bool) -> Any:
    if isinstance(dim, Tensor):
        return (maximum if shared is Max else minimum)(x, dim)
    if dim is None:
        _require_elements(name, x, tuple(range(x.ndim)))
        return shared.apply(x, axes=tuple(range(x.ndim)), keepdim=False)
    if isinstance(dim, Sequence):
        raise TypeError(f"{name}: dim must be one dimension, got {dim!r}; a{name} takes several")
    axes = dims(dim, x.shape, name)
    if not axes:
        return Extremum(
            shared.apply(x, axes=(), keepdim=False), Tensor(array_module(x.data).zeros((), np.int64))
        )
    _require_elements(name, x, axes)
    return Extremum(*along.apply(x, axis=axes[0], keepdim=keepdim))


def _require_elements(operation: str, x: Tensor, axes: tuple[int, ...]) -> None:
    if any(x.shape[a] == 0 for a in axes):
        raise IndexError(f"{operation}: shape {x.shape} has no elements along {axes} to choose from")


def max(input: Tensor, dim: int | Tensor | None = None, keepdim: bool = False) -> Any:
    """Largest element: over everything a 0-d tensor, along ``dim`` a named pair (values, indices). NaN wins.

    With a tensor in the place of ``dim`` it is :func:`~minidl.ops.maximum`, as in torch.

    Raises:
        IndexError: no such dimension, or there is nothing to take the maximum of.
        TypeError: several dimensions (see :func:`amax`).

    >>> import minidl
    >>> values, indices = minidl.ops.max(minidl.tensor([[1.0, 5.0], [7.0, 2.0]]), dim=1)
    >>> values, indices
    (tensor([5., 7.]), tensor([1, 0]))
    """
    return _extremum("max", Max, MaxAlong, input, dim, keepdim)


def min(input: Tensor, dim: int | Tensor | None = None, keepdim: bool = False) -> Any:
    """Smallest element: over everything a 0-d tensor, along ``dim`` a named pair (values, indices). NaN wins.

    With a tensor in the place of ``dim`` it is :func:`~minidl.ops.minimum`, as in torch.

    Raises:
        IndexError: no such dimension, or there is nothing to take the minimum of.
        TypeError: several dimensions (see :func:`amin`).

    >>> import minidl
    >>> minidl.ops.min(minidl.tensor([[1.0, 5.0], [7.0, 2.0]]))
    tensor(1.)
    """
    return _extremum("min", Min, MinAlong, input, dim, keepdim)


def amax(input: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Largest elements over one or several dimensions (all by default); ties share the gradient. NaN wins.

    Raises:
        IndexError: no such dimension, or there is nothing to take the maximum of.
        RuntimeError: a dimension is named twice.

    >>> import minidl
    >>> minidl.ops.amax(minidl.tensor([[1.0, 5.0], [7.0, 2.0]]), dim=(0, 1), keepdim=True)
    tensor([[7.]])
    """
    return _amost("amax", Amax, input, dim, keepdim)


def amin(input: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Smallest elements over one or several dimensions; arguments and errors as :func:`amax`.

    >>> import minidl
    >>> minidl.ops.amin(minidl.tensor([[1.0, 5.0], [7.0, 2.0]]), dim=0)
    tensor([1., 2.])
    """
    return _amost("amin", Amin, input, dim, keepdim)


def _amost(name: str, function: type[Shared], x: Tensor, dim: Dims, keepdim: bool) -> Tensor:
    axes = dims(None if isinstance(dim, Sequence) and not len(dim) else dim, x.shape, name)
    _require_elements(name, x, axes)
    return function.apply(x, axes=axes, keepdim=keepdim)


def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the largest element is (int64): along ``dim``, or in row-major order over everything. NaN wins.

    The first one, where several are equal.

    Raises:
        IndexError: no such dimension, or there is nothing to choose from.
        TypeError: the tensor is bool, or several dimensions are given.

    >>> import minidl
    >>> x = minidl.tensor([[1.0, 5.0], [7.0, 2.0]])
    >>> minidl.ops.argmax(x), minidl.ops.argmax(x, dim=1)
    (tensor(2), tensor([1, 0]))
    """
    return _position("argmax", input, dim, keepdim)


def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the smallest element is (int64); arguments and errors as :func:`argmax`.

    >>> import minidl
    >>> minidl.ops.argmin(minidl.tensor([[1.0, 5.0], [7.0, 2.0]]), dim=1)
    tensor([0, 1])
    """
    return _position("argmin", input, dim, keepdim)


def _position(operation: str, x: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    if x.dtype.kind == "b":
        raise TypeError(f"{operation}: bool tensors are not ordered; cast them to integers")
    if isinstance(dim, Sequence):
        raise TypeError(f"{operation}: dim must be one dimension, got {dim!r}")
    axes = dims(dim, x.shape, operation)
    _require_elements(operation, x, axes)
    axis = None if dim is None or not axes else axes[0]
    xp = array_module(x.data)
    with on(x.data):
        index = xp.asarray(getattr(x.data, operation)(axis=axis), np.int64)
    return Tensor(keep(index, x.shape, axes) if keepdim else index)
