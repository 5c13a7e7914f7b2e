"""Sum, mean, variance and standard deviation over some dimensions.

Notation: R is the set of reduced positions, n their number, c the correction, g the cotangent of y.

    sum   y = Σ_R x                          dx = g at every position of R
    mean  y = (1/n) Σ_R x                    dx = g / n
    var   y = (1/(n-c)) Σ_R (x - mean x)²    dx = g · 2 (x - mean x) / (n - c)
    std   y = √var x                         dx = g (x - mean x) / ((n - c) y), 0 where y = 0

The mean in the variance has no share in dx: the deviations from it add up to zero.

Range: variance and deviation are computed of z = x / s, where s is a power of two of the size of max_R |x|:

    var x = s² var z        std x = s std z        dx of std = g (z - mean z) / ((n - c) std z)

so that no square leaves the range of the format: the deviation of 1e-25 and 3e-25 is 1.4e-25 in float32 too.

Shape rule: reduced dimensions vanish, or stay with extent 1 where ``keepdim=True``.

Accuracy: the rounding error of a sum grows with the logarithm of its length at most, in every memory order
(``kernels/reference/reductions.py``). The variance goes over the numbers again for d = x - mean x, and takes
from d its own mean, which the rounding of the first one left: far from zero that is not little.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import array_module, kernels
from minidl.kernels.scaling import largest, power_of_two
from minidl.ops._elementwise import cast, floating
from minidl.ops._shapes import dims
from minidl.ops.expand import spread

Dims = int | Sequence[int] | None


def accurate_sum(x: Any, axes: tuple[int, ...]) -> Any:
    """Sum of an array or tensor over ``axes``, dimensions kept, accurate in every memory order.

    >>> accurate_sum(np.ones((2, 3), np.float32), (1,))
    array([[3.],
           [3.]], dtype=float32)
    """
    if isinstance(x, Tensor):
        return Sum.apply(x, axes=axes, keepdim=True)
    x = array_module(x).asarray(x)
    return kernels("reductions", x).sum(x, axes)


def drop(y: Any, axes: tuple[int, ...], keepdim: bool) -> Any:
    """Without the reduced dimensions (extent 1 each), unless they are to stay."""
    return y if keepdim else y.reshape(tuple(n for i, n in enumerate(y.shape) if i not in axes))


def keep(g: Any, shape: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    """The cotangent with the reduced dimensions of ``shape`` again, extent 1 each."""
    return g.reshape(tuple(1 if i in axes else n for i, n in enumerate(shape)))


class Sum(Function):
    """y = Σ x."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, axes: tuple[int, ...], keepdim: bool) -> Any:
        ctx.shape, ctx.axes = x.shape, axes
        return drop(accurate_sum(x, axes), axes, keepdim)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return spread(keep(g, ctx.shape, ctx.axes), ctx.shape)

    tensor_backward = backward


class Mean(Function):
    """y = (1/n) Σ x."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, axes: tuple[int, ...], keepdim: bool) -> Any:
        ctx.shape, ctx.axes = x.shape, axes
        ctx.n = float(_count(x, axes))
        return drop(accurate_sum(x, axes) / x.dtype.type(ctx.n), axes, keepdim)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return spread(keep(g / ctx.n, ctx.shape, ctx.axes), ctx.shape)

    tensor_backward = backward


class Var(Function):
    """y = Σ (x - mean x)² / (n - c); 0/0 or x/0 where there are no degrees of freedom, as in torch."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, axes: tuple[int, ...], correction: float, keepdim: bool) -> Any:
        ctx.shape, ctx.axes = x.shape, axes
        ctx.n, ctx.freedom = float(_count(x, axes)), _count(x, axes) - correction
        scale = _scale(x, axes)
        ctx.save(x, scale)
        return drop(_variance(x / scale, axes, ctx.n, ctx.freedom) * scale * scale, axes, keepdim)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, scale = ctx.saved
        return keep(g, ctx.shape, ctx.axes) * _slope(ctx) * _deviations(x / scale, ctx.axes, ctx.n) * scale

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        x, _ = ctx.saved
        return keep(g, ctx.shape, ctx.axes) * _slope(ctx) * Centre.apply(x, axes=ctx.axes)


class Std(Function):
    """y = √(Σ (x - mean x)² / (n - c)); where nothing deviates the gradient is 0, as in torch."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, axes: tuple[int, ...], correction: float, keepdim: bool) -> Any:
        ctx.shape, ctx.axes = x.shape, axes
        ctx.n, ctx.freedom, ctx.correction = float(_count(x, axes)), _count(x, axes) - correction, correction
        scale, xp = _scale(x, axes), array_module(x)
        std = xp.asarray(xp.sqrt(_variance(x / scale, axes, ctx.n, ctx.freedom)))
        ctx.save(x, scale, std)
        return drop(std * scale, axes, keepdim)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, scale, std = ctx.saved
        return _std_backward(ctx, x / scale, std, g)

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        x, scale, _ = ctx.saved
        z = x / scale
        std = Std.apply(z, axes=ctx.axes, correction=ctx.correction, keepdim=True)  # it moves with x
        return _std_backward(ctx, z, std, g)


def _std_backward(ctx: Node, z: Any, std: Any, g: Any) -> Any:
    """g (z - mean z) / ((n - c) std z), and 0 where nothing deviates; of arrays or of tensors."""
    flat = (std == 0).astype(std.dtype)
    slope = keep(g, ctx.shape, ctx.axes) * (1 - flat) / (2 * std + flat)  # of the square root
    return slope * _slope(ctx) * _deviations(z, ctx.axes, ctx.n)


class Centre(Function):
    """y = x - mean x;  dx = g - mean g."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, axes: tuple[int, ...]) -> Any:
        ctx.axes = axes
        return _centred(x, axes)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return _centred(g, ctx.axes)

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        return Centre.apply(g, axes=ctx.axes)


def _centred(x: Any, axes: tuple[int, ...]) -> Any:
    scale = _scale(x, axes)
    return _deviations(x / scale, axes, float(_count(x, axes))) * scale


def _count(x: Any, axes: tuple[int, ...]) -> int:
    return math.prod(x.shape[a] for a in axes)


def _scale(x: Any, axes: tuple[int, ...]) -> Any:
    """The power of two for each variance, with the reduced dimensions at extent 1."""
    xp = array_module(x)
    return xp.asarray(power_of_two(xp, largest(xp, x, axes)))


def _variance(z: Any, axes: tuple[int, ...], n: float, freedom: float) -> Any:
    """The variance of an array that nobody else holds: it is written over."""
    kind = z.dtype.type
    z -= accurate_sum(z, axes) / kind(n)
    z -= accurate_sum(z, axes) / kind(n)
    z *= z
    return accurate_sum(z, axes) / kind(max(0.0, freedom))


def _deviations(z: Any, axes: tuple[int, ...], n: float) -> Any:
    """z - mean z, of arrays or of tensors; numbers of such a size that their sum does not overflow."""
    return z - accurate_sum(z, axes) / n


def _slope(ctx: Node) -> float:
    """2 / (n - c)."""
    return 2 / ctx.freedom if ctx.freedom else math.inf


def _axes(dim: Dims, x: Tensor, operation: str) -> tuple[int, ...]:
    """The reduced axes; no dimension at all means every dimension, as in torch."""
    return dims(None if isinstance(dim, Sequence) and not len(dim) else dim, x.shape, operation)


def sum(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """Sum over the given dimensions (all by default). Integers and bools are added as int64.

    Args:
        input: any shape.
        dim: a dimension or several; negative ones count from the end; ``()`` means all, as in torch.
        keepdim: keep the reduced dimensions with extent 1.
        dtype: cast to this before adding.

    Raises:
        IndexError: no such dimension.
        RuntimeError: a dimension is named twice.

    >>> import minidl
    >>> minidl.ops.sum(minidl.tensor([[1.0, 2.0], [3.0, 4.0]]), dim=0)
    tensor([4., 6.])
    """
    if dtype is not None:
        input = cast(input, dtype)
    elif input.dtype.kind in "iub":
        input = cast(input, np.int64)
    return Sum.apply(input, axes=_axes(dim, input, "sum"), keepdim=keepdim)


def mean(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """Arithmetic mean over the given dimensions (all by default); NaN over nothing. Arguments as :func:`sum`.

    Raises:
        IndexError: no such dimension.
        RuntimeError: a dimension is named twice.
        TypeError: the tensor is not floating-point and no ``dtype`` is given.

    >>> import minidl
    >>> minidl.ops.mean(minidl.tensor([[1.0, 2.0], [3.0, 4.0]]), dim=1, keepdim=True)
    tensor([[1.5],
            [3.5]])
    """
    if dtype is not None:
        input = cast(input, dtype)
    floating("mean", input)
    return Mean.apply(input, axes=_axes(dim, input, "mean"), keepdim=keepdim)


def var(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """Variance over the given dimensions (all by default): squared deviations over n - correction.

    Args:
        input: floating-point, any shape.
        dim: a dimension or several; ``()`` means all. ``var(x, False)`` is ``var(x, unbiased=False)``.
        unbiased: the older spelling: True is ``correction=1``, False ``correction=0``.
        keepdim: keep the reduced dimensions with extent 1.
        correction: what is taken from the count, 1 by default (Bessel's); with as many values as that or
            fewer the result is NaN, or infinite if they differ.

    Raises:
        IndexError: no such dimension.
        RuntimeError: a dimension is named twice.
        TypeError: the tensor is not floating-point, or ``unbiased`` and ``correction`` are both given.

    >>> import minidl
    >>> minidl.ops.var(minidl.tensor([[1.0, 3.0], [2.0, 2.0]]), dim=1)
    tensor([2., 0.])
    >>> minidl.ops.var(minidl.tensor([1.0, 3.0]), correction=0)
    tensor(1.)
    """
    axes, c = _moments("var", input, dim, unbiased, correction)
    return Var.apply(input, axes=axes, correction=c, keepdim=keepdim)


def std(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """Standard deviation, the square root of :func:`var`, whose arguments and errors it has.

    >>> import minidl
    >>> minidl.ops.std(minidl.tensor([1.0, 3.0, 2.0]))
    tensor(1.)
    """
    axes, c = _moments("std", input, dim, unbiased, correction)
    return Std.apply(input, axes=axes, correction=c, keepdim=keepdim)


def _moments(
    operation: str, x: Tensor, dim: Any, unbiased: bool | None, correction: float | None
) -> tuple[tuple[int, ...], float]:
    """The axes and the correction of a variance, from torch's two spellings."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if unbiased is not None and correction is not None:
        raise TypeError(f"{operation}: give unbiased or correction, not both")
    floating(operation, x)
    c = correction if correction is not None else 1 if unbiased is None else int(unbiased)
    return _axes(dim, x, operation), c
