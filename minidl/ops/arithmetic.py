"""Element-wise arithmetic: sum, difference, product, quotient, power.

Notation: ``x`` and ``y`` are tensors (or numbers) whose shapes broadcast to that of ``z``; ``g`` is the
cotangent of ``z``.

Shape rule: axes are aligned at the right, extents of 1 stretch. The adjoint of stretching is summing, so each
backward ends with :func:`~minidl.ops._shapes.unbroadcast`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl._tensor import DEFAULT_DTYPE, Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import array_module
from minidl.ops._shapes import broadcast, unbroadcast

#: bool, integers, floating-point: what promotion goes by first.
_KINDS = {"b": 0, "u": 1, "i": 1, "f": 2}


class Add(Function):
    """z = x + y;  dx = g, dy = g."""

    @staticmethod
    def forward(ctx: Node, x: Any, y: Any) -> Any:
        ctx.shapes = _shapes("add", x, y)
        return x + y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return _gradients(ctx, lambda: g, lambda: g)


class Sub(Function):
    """z = x - y;  dx = g, dy = -g."""

    @staticmethod
    def forward(ctx: Node, x: Any, y: Any) -> Any:
        ctx.shapes = _shapes("sub", x, y)
        return x - y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return _gradients(ctx, lambda: g, lambda: -g)


class Mul(Function):
    """z = x y;  dx = g y, dy = g x."""

    @staticmethod
    def forward(ctx: Node, x: Any, y: Any) -> Any:
        ctx.shapes = _shapes("mul", x, y)
        ctx.save(x, y)
        return x * y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, y = ctx.saved
        return _gradients(ctx, lambda: g * y, lambda: g * x)


class Div(Function):
    """z = x / y;  dx = g / y, dy = -g x / y²."""

    @staticmethod
    def forward(ctx: Node, x: Any, y: Any) -> Any:
        ctx.shapes = _shapes("div", x, y)
        ctx.save(x, y)
        return x / y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, y = ctx.saved
        return _gradients(ctx, lambda: g / y, lambda: -g * (x / y) / y)


class Pow(Function):
    """z = x^y;  dx = g y x^(y-1), dy = g x^y log x.

    At x = 0 the limits that torch takes: dx = 0 for y = 0, dy = 0 for y >= 0.
    """

    @staticmethod
    def forward(ctx: Node, x: Any, y: Any) -> Any:
        ctx.shapes = _shapes("pow", x, y)
        ctx.save(x, y)
        return x**y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, y = ctx.saved
        xp = array_module(g)

        def base() -> Any:
            return xp.where(
                xp.equal(y, 0), 0, g * y * xp.power(x, y - 1 if not np.isscalar(y) or y != 0 else 0.0)
            )

        def exponent() -> Any:
            x_log = xp.log(xp.asarray(x, dtype=g.dtype))
            return xp.where(xp.equal(x, 0) & xp.greater_equal(y, 0), 0, g * xp.power(x, y) * x_log)

        return _gradients(ctx, base, exponent)


class Neg(Function):
    """z = -x;  dx = -g."""

    @staticmethod
    def forward(ctx: Node, x: Any) -> Any:
        return -x

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return -g


class Cast(Function):
    """z = x in another dtype;  dx = g in the dtype of x."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, dtype: Any) -> Any:
        ctx.dtype = x.dtype
        return x.astype(dtype)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return g.astype(ctx.dtype)


def _shapes(operation: str, x: Any, y: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    shapes = np.shape(x), np.shape(y)
    broadcast(operation, *shapes)
    return shapes


def _gradients(ctx: Node, dx: Any, dy: Any) -> tuple[Any, Any]:
    """The cotangents that are wanted, each summed back to the shape of its operand."""
    results = []
    for needed, shape, gradient in zip(ctx.needs_input_grad, ctx.shapes, (dx, dy), strict=True):
        results.append(unbroadcast(gradient(), shape) if needed else None)
    return results[0], results[1]


def _operands(operation: str, x: Any, y: Any, inexact: bool = False) -> tuple[Any, Any]:
    """Tensors stay, arrays become tensors, numbers stay numbers (with the dtype of the tensor beside them).

    An integer tensor beside a Python float, or divided (``inexact``), becomes float32 first, as in torch.
    """
    x, y = _operand(operation, x), _operand(operation, y)
    tensors = [t for t in (x, y) if isinstance(t, Tensor)]
    if not tensors:
        raise TypeError(f"{operation}: at least one operand must be a tensor")
    if len(tensors) == 2:
        x, y = _promote(x, y)
    integers = all(t.dtype.kind in "iub" for t in tensors)
    if integers and (inexact or isinstance(x, float) or isinstance(y, float)):
        x, y = (Tensor(t.data.astype(DEFAULT_DTYPE)) if isinstance(t, Tensor) else t for t in (x, y))
    return x, y


def _promote(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """torch's promotion, where it differs from NumPy's.

    A floating-point tensor keeps its dtype beside integers of any width (NumPy makes float32 and int64
    float64). Of two tensors of a kind, one with dimensions keeps its dtype beside one without.
    """
    rank_x, rank_y = _KINDS[x.dtype.kind], _KINDS[y.dtype.kind]
    if rank_x != rank_y:
        dtype = x.dtype if rank_x > rank_y else y.dtype
    elif (x.ndim == 0) != (y.ndim == 0):
        dtype = y.dtype if x.ndim == 0 else x.dtype
    else:
        return x, y
    return cast(x, dtype), cast(y, dtype)


def _operand(operation: str, value: Any) -> Any:
    if isinstance(value, Tensor | int | float):
        return value
    if isinstance(value, np.generic) and value.ndim == 0:
        return value.item()  # a NumPy scalar is a number here, not a float64 array that would widen float32
    if hasattr(value, "dtype") and hasattr(value, "strides"):
        return Tensor(value)
    raise TypeError(f"{operation}: operands must be tensors, arrays or numbers, got {type(value).__name__}")


def add(x: Any, y: Any) -> Tensor:
    """z = x + y, element by element, with broadcasting.

    Args:
        x, y: tensors, arrays or numbers, at least one of them a tensor. The result has the dtype that torch
            gives: float32 and int64 make float32.

    Raises:
        TypeError: neither is a tensor.
        ValueError: the shapes do not broadcast.

    >>> import minidl
    >>> minidl.ops.add(minidl.tensor([[1.0], [2.0]]), minidl.tensor([10.0, 20.0]))
    tensor([[11., 21.],
            [12., 22.]])
    """
    return Add.apply(*_operands("add", x, y))


def sub(x: Any, y: Any) -> Tensor:
    """z = x - y, element by element, with broadcasting; see :func:`add`.

    >>> import minidl
    >>> minidl.ops.sub(1.0, minidl.tensor([1.0, 2.0]))
    tensor([ 0., -1.])
    """
    return Sub.apply(*_operands("sub", x, y))


def mul(x: Any, y: Any) -> Tensor:
    """z = x y, element by element, with broadcasting; see :func:`add`.

    >>> import minidl
    >>> minidl.ops.mul(minidl.tensor([1.0, 2.0]), 3)
    tensor([3., 6.])
    """
    return Mul.apply(*_operands("mul", x, y))


def div(x: Any, y: Any) -> Tensor:
    """z = x / y, element by element, with broadcasting; see :func:`add`. Integers are divided as float32.

    >>> import minidl
    >>> minidl.ops.div(minidl.tensor([1, 2]), 4)
    tensor([0.25, 0.5 ])
    """
    return Div.apply(*_operands("div", x, y, inexact=True))


def pow(x: Any, exponent: Any) -> Tensor:
    """z = x to the power of ``exponent``, element by element, with broadcasting; see :func:`add`.

    >>> import minidl
    >>> minidl.ops.pow(minidl.tensor([1.0, 2.0, 3.0]), 2)
    tensor([1., 4., 9.])
    """
    return Pow.apply(*_operands("pow", x, exponent))


def neg(x: Tensor) -> Tensor:
    """z = -x.

    >>> import minidl
    >>> minidl.ops.neg(minidl.tensor([1.0, -2.0]))
    tensor([-1.,  2.])
    """
    return Neg.apply(x)


def cast(x: Tensor, dtype: Any) -> Tensor:
    """The same values in another dtype; what ``x.astype(dtype)`` calls.

    >>> import minidl
    >>> minidl.ops.cast(minidl.tensor([1.5, 2.5]), "int64")
    tensor([1, 2])
    """
    return x if x.dtype == np.dtype(dtype) else Cast.apply(x, dtype=np.dtype(dtype))
