"""A tensor's operators: ``x + y`` is ``ops.add(x, y)``.

Nothing is computed here. Every operation has its one home in :mod:`minidl.ops`; this class only gives it the
spelling that people write.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl.kernels import forks

if TYPE_CHECKING:
    from minidl._tensor import Tensor


class Operations:
    """Stands for the module :mod:`minidl.ops` until it is first asked for one of its functions.

    The operations need tensors before they can be imported; and they are most of minidl's modules, so that
    ``import minidl`` would take more than twice as long with them.
    """

    def __getattr__(self, name: str) -> Any:
        with forks.loading():
            return getattr(import_module("minidl.ops"), name)


#: The module minidl.ops: imported when it is first asked for something, and then it puts itself here.
ops: Any = Operations()


class Operators:
    """What Python writes with signs: each of them forwards to the operation that it stands for."""

    __slots__ = ()

    def __add__(self, other: Any) -> Tensor:
        return ops.add(self, other)

    def __radd__(self, other: Any) -> Tensor:
        return ops.add(other, self)

    def __sub__(self, other: Any) -> Tensor:
        return ops.sub(self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return ops.sub(other, self)

    def __mul__(self, other: Any) -> Tensor:
        return ops.mul(self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return ops.mul(other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return ops.div(self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return ops.div(other, self)

    def __pow__(self, exponent: Any) -> Tensor:
        return ops.pow(self, exponent)

    def __rpow__(self, base: Any) -> Tensor:
        return ops.pow(base, self)

    def __neg__(self) -> Tensor:
        return ops.neg(self)

    def __matmul__(self, other: Any) -> Tensor:
        return ops.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return ops.matmul(other, self)

    def __getitem__(self, index: Any) -> Tensor:
        return ops.getitem(self, index)

    def __iadd__(self, other: Any) -> Any:
        return _in_place("+=", "add", self, other)

    def __isub__(self, other: Any) -> Any:
        return _in_place("-=", "sub", self, other)

    def __imul__(self, other: Any) -> Any:
        return _in_place("*=", "mul", self, other)

    def __itruediv__(self, other: Any) -> Any:
        return _in_place("/=", "div", self, other)

    def __ipow__(self, other: Any) -> Any:
        return _in_place("**=", "pow", self, other)

    def __iand__(self, other: Any) -> Any:
        return _in_place("&=", "bitwise_and", self, other)

    def __ior__(self, other: Any) -> Any:
        return _in_place("|=", "bitwise_or", self, other)

    def __ixor__(self, other: Any) -> Any:
        return _in_place("^=", "bitwise_xor", self, other)

    def __eq__(self, other: object) -> Any:
        return ops.eq(self, other) if _comparable(other) else NotImplemented

    def __ne__(self, other: object) -> Any:
        return ops.ne(self, other) if _comparable(other) else NotImplemented

    def __lt__(self, other: Any) -> Any:
        return ops.lt(self, other) if _comparable(other) else NotImplemented

    def __le__(self, other: Any) -> Any:
        return ops.le(self, other) if _comparable(other) else NotImplemented

    def __gt__(self, other: Any) -> Any:
        return ops.gt(self, other) if _comparable(other) else NotImplemented

    def __ge__(self, other: Any) -> Any:
        return ops.ge(self, other) if _comparable(other) else NotImplemented

    __hash__ = object.__hash__  # by identity: tensors are keys of dictionaries

    def __invert__(self) -> Tensor:
        return ops.bitwise_not(self)

    def __and__(self, other: Any) -> Tensor:
        return ops.bitwise_and(self, other)

    def __rand__(self, other: Any) -> Tensor:
        return ops.bitwise_and(other, self)

    def __or__(self, other: Any) -> Tensor:
        return ops.bitwise_or(self, other)

    def __ror__(self, other: Any) -> Tensor:
        return ops.bitwise_or(other, self)

    def __xor__(self, other: Any) -> Tensor:
        return ops.bitwise_xor(self, other)

    def __rxor__(self, other: Any) -> Tensor:
        return ops.bitwise_xor(other, self)

    def __abs__(self) -> Tensor:
        return ops.abs(self)


def _in_place(sign: str, operation: str, x: Any, other: Any) -> Any:
    in_place = import_module("minidl.ops._in_place").in_place
    return in_place(sign, getattr(ops, operation), x, other)


def _comparable(other: object) -> bool:
    """Whether ``tensor == other`` is a question for each element; foreign objects answer for themselves."""
    return isinstance(other, Operators | np.ndarray | np.generic | int | float) or (
        hasattr(other, "dtype") and hasattr(other, "strides")
    )
