"""Comparisons and logic, element by element: bool tensors, through which no gradient flows.

Shape rule: the operands broadcast together. Their dtypes are made one first, as for arithmetic: a float32
tensor is compared with 0.1 rounded to float32. NaN is equal to nothing, not even to itself. An integer that
the dtype of integer tensors does not hold lies beyond all of their elements (torch wraps it around first).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl._device import on, place_of
from minidl._numbers import computed, side
from minidl._tensor import Tensor
from minidl.dispatch import array_module
from minidl.ops._elementwise import Numbers, as_tensor, operands, shapes_of


def _arrays(operation: str, *values: Any, numbers: Numbers = computed) -> list[Any]:
    arrays = [v.data if isinstance(v, Tensor) else v for v in operands(operation, *values, numbers=numbers)]
    shapes_of(operation, *arrays)
    place_of(lambda: operation, arrays)
    return arrays


def _compare(name: str, ufunc: str, x: Any, y: Any) -> Tensor:
    arrays = _arrays(name, x, y, numbers=_compared)
    first = next(a for a in arrays if hasattr(a, "strides"))
    beyond = [0 if hasattr(a, "strides") else side(a, first.dtype) for a in arrays]
    with on(first):
        xp = array_module(first)
        if any(beyond):
            return Tensor(xp.full(first.shape, bool(getattr(np, ufunc)(*beyond)), np.bool_))
        return Tensor(getattr(xp, ufunc)(*arrays))


def _compared(operation: str, value: Any, dtype: np.dtype[Any]) -> Any:
    """Any integer may be compared with integers."""
    return value if side(value, dtype) else computed(operation, value, dtype)


def eq(input: Any, other: Any) -> Tensor:
    """Where ``input`` = ``other``; what ``x == y`` calls.

    Args:
        input, other: tensors, arrays or numbers, at least one of them a tensor; shapes broadcast.

    Raises:
        TypeError: neither is a tensor, or one is something else altogether. (The operators then answer as
            Python's do: ``x == None`` is False, ``x < None`` a TypeError.)
        ValueError: the shapes do not broadcast.

    >>> import minidl
    >>> x = minidl.tensor([1.0, 2.0, 3.0])
    >>> minidl.ops.eq(x, 2)
    tensor([False,  True, False])
    >>> x == minidl.tensor([[1.0], [3.0]])
    tensor([[ True, False, False],
            [False, False,  True]])
    """
    return _compare("eq", "equal", input, other)


def ne(input: Any, other: Any) -> Tensor:
    """Where ``input`` ≠ ``other`` (NaN is unequal to itself); see :func:`eq`.

    >>> import minidl
    >>> minidl.ops.ne(minidl.tensor([1.0, float("nan")]), minidl.tensor([1.0, float("nan")]))
    tensor([False,  True])
    """
    return _compare("ne", "not_equal", input, other)


def lt(input: Any, other: Any) -> Tensor:
    """Where ``input`` < ``other``; see :func:`eq`.

    >>> import minidl
    >>> minidl.ops.lt(minidl.tensor([1, 2, 3]), 2)
    tensor([ True, False, False])
    """
    return _compare("lt", "less", input, other)


def le(input: Any, other: Any) -> Tensor:
    """Where ``input`` ≤ ``other``; see :func:`eq`.

    >>> import minidl
    >>> minidl.ops.le(minidl.tensor([1, 2, 3]), 2)
    tensor([ True,  True, False])
    """
    return _compare("le", "less_equal", input, other)


def gt(input: Any, other: Any) -> Tensor:
    """Where ``input`` > ``other``; see :func:`eq`.

    >>> import minidl
    >>> minidl.ops.gt(minidl.tensor([1, 2, 3]), 2)
    tensor([False, False,  True])
    """
    return _compare("gt", "greater", input, other)


def ge(input: Any, other: Any) -> Tensor:
    """Where ``input`` ≥ ``other``; see :func:`eq`.

    >>> import minidl
    >>> minidl.ops.ge(minidl.tensor([1, 2, 3]), 2)
    tensor([False,  True,  True])
    """
    return _compare("ge", "greater_equal", input, other)


def isnan(input: Tensor) -> Tensor:
    """Where the elements are NaN (of integers, nowhere).

    >>> import minidl
    >>> minidl.ops.isnan(minidl.tensor([1.0, float("nan"), float("inf")]))
    tensor([False,  True, False])
    """
    x = as_tensor("isnan", input).data
    with on(x):
        return Tensor(array_module(x).isnan(x))


def isinf(input: Tensor) -> Tensor:
    """Where the elements are +∞ or -∞.

    >>> import minidl
    >>> minidl.ops.isinf(minidl.tensor([1.0, float("nan"), float("-inf")]))
    tensor([False, False,  True])
    """
    x = as_tensor("isinf", input).data
    with on(x):
        return Tensor(array_module(x).isinf(x))


def isfinite(input: Tensor) -> Tensor:
    """Where the elements are neither NaN nor infinite.

    >>> import minidl
    >>> minidl.ops.isfinite(minidl.tensor([1.0, float("nan"), float("inf")]))
    tensor([ True, False, False])
    """
    x = as_tensor("isfinite", input).data
    with on(x):
        return Tensor(array_module(x).isfinite(x))


def logical_not(input: Tensor) -> Tensor:
    """Where the elements are 0 (or False); NaN is not 0.

    >>> import minidl
    >>> minidl.ops.logical_not(minidl.tensor([0.0, 2.0]))
    tensor([ True, False])
    """
    x = as_tensor("logical_not", input).data
    with on(x):
        return Tensor(array_module(x).logical_not(x))


def _bitwise(name: str, x: Any, y: Any, apply: Callable[[Any, Any], Any]) -> Tensor:
    arrays = _arrays(name, x, y)
    for array in arrays:
        if isinstance(array, float) or (hasattr(array, "dtype") and array.dtype.kind == "f"):
            raise TypeError(f"{name}: operands must be bools or integers, got floating-point numbers")
    return Tensor(apply(*arrays))


def bitwise_not(input: Tensor) -> Tensor:
    """Not, of bools; of integers, every bit turned over. What ``~x`` calls.

    Raises:
        TypeError: not a tensor of bools or integers.

    >>> import minidl
    >>> minidl.ops.bitwise_not(minidl.tensor([True, False]))
    tensor([False,  True])
    """
    x = as_tensor("bitwise_not", input).data
    if x.dtype.kind == "f":
        raise TypeError(f"bitwise_not: input must be of bools or integers, got {x.dtype}")
    return Tensor(~x)


def bitwise_and(input: Any, other: Any) -> Tensor:
    """And, of bools; of integers, bit by bit. What ``x & y`` calls.

    Raises:
        TypeError: no tensor among them, or floating-point numbers.
        ValueError: the shapes do not broadcast.

    >>> import minidl
    >>> x = minidl.tensor([1.0, 2.0, 3.0])
    >>> (x > 1) & (x < 3)
    tensor([False,  True, False])
    """
    return _bitwise("bitwise_and", input, other, lambda x, y: x & y)


def bitwise_or(input: Any, other: Any) -> Tensor:
    """Or, of bools; of integers, bit by bit. What ``x | y`` calls; see :func:`bitwise_and`.

    >>> import minidl
    >>> x = minidl.tensor([1.0, 2.0, 3.0])
    >>> (x < 2) | (x > 2)
    tensor([ True, False,  True])
    """
    return _bitwise("bitwise_or", input, other, lambda x, y: x | y)


def bitwise_xor(input: Any, other: Any) -> Tensor:
    """Either but not both, of bools; of integers, bit by bit. What ``x ^ y`` calls; see :func:`bitwise_and`.

    >>> import minidl
    >>> minidl.ops.bitwise_xor(minidl.tensor([True, False]), True)
    tensor([False,  True])
    """
    return _bitwise("bitwise_xor", input, other, lambda x, y: x ^ y)
