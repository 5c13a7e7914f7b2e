"""What element-wise operations share: which operands they take, in which dtype, how broadcasting is undone.

Notation: ``x`` and ``y`` are operands whose shapes broadcast to that of the result, ``g`` is the cotangent
of the result. A backward multiplies g by a slope at every position and then sums over the positions that read
the same element of an operand (:func:`summed_to`).

Everything that appears in a backward works on arrays and on tensors alike, so that one function can be the
backward and the backward of the backward.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl._arrays import plain, real_dtype
from minidl._numbers import computed, number
from minidl._tensor import DEFAULT_DTYPE, Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import array_module
from minidl.ops._shapes import broadcast, stretched_axes

#: bool, integers, floating-point: what promotion goes by first.
KINDS = {"b": 0, "u": 1, "i": 1, "f": 2}


class Cast(Function):
    """z = x in another dtype;  dx = g in the dtype of x."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, dtype: Any) -> Any:
        ctx.dtype = x.dtype
        return x.astype(dtype)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return g.astype(ctx.dtype)

    tensor_backward = backward


def cast(x: Tensor, dtype: Any) -> Tensor:
    """The same values in another dtype; what ``x.astype(dtype)`` calls.

    What is too large for floats is infinite; NaN, infinities and what is too large for integers becomes one
    of theirs, which one is the processor's choice.

    Raises:
        TypeError: there is no such dtype, or its elements are no real numbers.

    >>> import minidl
    >>> minidl.ops.cast(minidl.tensor([1.5, 2.5]), "int64")
    tensor([1, 2])
    """
    wanted = real_dtype("cast", dtype)
    return x if x.dtype == wanted else Cast.apply(x, dtype=wanted)


# --- operands -----------------------------------------------------------------------------------------------


def operand(operation: str, value: Any) -> Any:
    """Tensors and numbers stay, arrays become tensors, NumPy's scalars numbers; anything else is refused."""
    if isinstance(value, np.generic):  # a number here, not a float64 array that would widen float32
        return number(operation, "an operand", value)
    if isinstance(value, Tensor | int | float):  # after the scalars: np.float64 is a float
        return value
    if hasattr(value, "dtype") and hasattr(value, "strides"):
        return _of_array(operation, value)
    raise TypeError(f"{operation}: operands must be tensors, arrays or numbers, got {type(value).__name__}")


def as_tensor(operation: str, value: Any) -> Tensor:
    """A tensor, or an array as a tensor; numbers are refused."""
    if isinstance(value, Tensor):
        return value
    if hasattr(value, "dtype") and hasattr(value, "strides") and not isinstance(value, np.generic):
        return _of_array(operation, value)
    raise TypeError(f"{operation}: input must be a tensor, got {type(value).__name__}")


def _of_array(operation: str, array: Any) -> Tensor:
    return Tensor(plain(operation, array) if isinstance(array, np.ndarray) else array)


#: What becomes of a number beside tensors: (operation, number, their dtype) -> number.
Numbers = Callable[[str, Any, np.dtype[Any]], Any]


def operands(
    operation: str, *values: Any, inexact: bool = False, numbers: Numbers = computed
) -> tuple[Any, ...]:
    """Tensors stay, arrays become tensors, numbers stay numbers (with the dtype of the tensors beside them).

    Integer tensors beside a Python float, or divided (``inexact``), become float32 first, as in torch; bool
    tensors beside a Python integer become int64. What numbers must be, ``numbers`` says: by default what
    :func:`~minidl._numbers.computed` takes.

    Raises:
        OverflowError: an integer that the integer tensors beside it do not hold.
        TypeError: there is no tensor among them, or something that is neither tensor, array nor number.
    """
    found = [operand(operation, v) for v in values]
    if not any(isinstance(v, Tensor) for v in found):
        raise TypeError(f"{operation}: at least one operand must be a tensor")
    dtype = result_dtype(found, inexact)
    return tuple(
        numbers(operation, v, dtype)
        if not isinstance(v, Tensor)
        else v
        if v.dtype == dtype
        else cast(v, dtype)
        for v in found
    )


def result_dtype(values: list[Any], inexact: bool = False) -> np.dtype[Any]:
    """torch's promotion, where it differs from NumPy's.

    The highest kind decides (bool, integer, floating-point): a floating-point tensor keeps its dtype beside
    integers of any width (NumPy makes float32 and int64 float64). Within a kind, tensors with dimensions come
    before tensors without, and both before Python numbers.
    """
    tensors = [v for v in values if isinstance(v, Tensor)]
    numbers = [v for v in values if not isinstance(v, Tensor)]
    kind = max(*(KINDS[t.dtype.kind] for t in tensors), *map(kind_of_number, numbers), 0)
    for group in ([t for t in tensors if t.ndim], [t for t in tensors if not t.ndim]):
        dtypes = [t.dtype for t in group if KINDS[t.dtype.kind] == kind]
        if dtypes:
            result: np.dtype[Any] = np.result_type(*dtypes)
            return DEFAULT_DTYPE if inexact and kind < 2 else result
    if kind == 2 or inexact:
        return DEFAULT_DTYPE
    return np.dtype(np.int64 if kind == 1 else np.bool_)


def kind_of_number(value: Any) -> int:
    """Which of :data:`KINDS` a Python number is.

    >>> kind_of_number(True), kind_of_number(2**70), kind_of_number(0.5)
    (0, 1, 2)
    """
    return 2 if isinstance(value, float) else int(not isinstance(value, bool))


def inexact(operation: str, x: Any) -> Tensor:
    """The input of a function whose values are no integers: integers and bools become float32, as torch's."""
    x = as_tensor(operation, x)
    return x if x.dtype.kind == "f" else cast(x, DEFAULT_DTYPE)


def floating(operation: str, x: Any) -> Tensor:
    """The input of a function that only floating-point tensors have.

    Raises:
        TypeError: not a tensor, or one of integers.
    """
    x = as_tensor(operation, x)
    if x.dtype.kind != "f":
        raise TypeError(f"{operation}: input must be floating-point, got {x.dtype}")
    return x


def check_not_in_place(operation: str, inplace: bool) -> None:
    """torch's functions take ``inplace``; results are always new tensors here, so it can only be False.

    Raises:
        NotImplementedError: it is not.
    """
    if inplace:
        raise NotImplementedError(f"{operation}: inplace=True is not there; use the result, a new tensor")


# --- broadcasting and its adjoint ---------------------------------------------------------------------------


def shapes_of(operation: str, *values: Any) -> tuple[tuple[int, ...], ...]:
    """The shapes of operands (numbers have none), which must broadcast."""
    shapes = tuple(tuple(getattr(value, "shape", ())) for value in values)
    broadcast(operation, *shapes)
    return shapes


def summed_to(g: Any, shape: tuple[int, ...]) -> Any:
    """The adjoint of broadcasting: sum over the axes that were added or stretched."""
    if g.shape == shape:
        return g
    from minidl.ops.reductions import accurate_sum  # here, since reductions are made of operations too

    axes = stretched_axes(shape, g.shape)
    total = g.sum(dim=axes) if isinstance(g, Tensor) else accurate_sum(g, axes)
    return total.reshape(shape)


def gradients(ctx: Node, *slopes: Callable[[], Any]) -> tuple[Any, ...]:
    """The cotangents that are wanted, each summed back to the shape of its operand."""
    return tuple(
        summed_to(gradient(), shape) if needed else None
        for needed, shape, gradient in zip(ctx.needs_input_grad, ctx.shapes, slopes, strict=True)
    )


def zeros_like(g: Any) -> Any:
    """Zeros of the shape and dtype of an array or of a tensor, whatever that holds."""
    return Tensor(zeros_like(g.data)) if isinstance(g, Tensor) else array_module(g).zeros_like(g)
