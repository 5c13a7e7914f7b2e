"""A tensor's operators and methods: ``x + y`` is ``ops.add(x, y)``, ``x.relu()`` is ``ops.relu(x)``.

Nothing is computed here. Every operation has its one home in :mod:`minidl.ops`; this class only gives it the
spelling that people write.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from minidl._tensor import Tensor

#: The module minidl.ops, which puts itself here when it has been imported: the operations need tensors first.
ops: Any = None


class Operators:
    """What :class:`~minidl.Tensor` inherits: each method forwards to the operation of its name."""

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

    def __eq__(self, other: object) -> Any:
        if isinstance(other, Operators | np.ndarray | np.generic | int | float):
            raise TypeError(
                "tensors are not compared with == or !=; compare arrays, x.numpy() == y.numpy(), "
                "or ask whether they are the same tensor, x is y"
            )
        return NotImplemented

    __hash__ = object.__hash__  # by identity: tensors are keys of dictionaries

    def exp(self) -> Tensor:
        """See :func:`minidl.ops.exp`."""
        return ops.exp(self)

    def log(self) -> Tensor:
        """See :func:`minidl.ops.log`."""
        return ops.log(self)

    def sum(self, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Tensor:
        """See :func:`minidl.ops.sum`."""
        return ops.sum(self, dim, keepdim)

    def mean(self, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Tensor:
        """See :func:`minidl.ops.mean`."""
        return ops.mean(self, dim, keepdim)

    def max(self, dim: int | None = None, keepdim: bool = False) -> Any:
        """See :func:`minidl.ops.max`."""
        return ops.max(self, dim, keepdim)

    def reshape(self, *shape: Any) -> Tensor:
        """See :func:`minidl.ops.reshape`; the extents may be given one by one or as a tuple."""
        return ops.reshape(self, _one_by_one(shape))

    def permute(self, *dims: Any) -> Tensor:
        """See :func:`minidl.ops.permute`; the dimensions may be given one by one or as a tuple."""
        return ops.permute(self, _one_by_one(dims))

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        """See :func:`minidl.ops.transpose`."""
        return ops.transpose(self, dim0, dim1)

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        """See :func:`minidl.ops.flatten`."""
        return ops.flatten(self, start_dim, end_dim)

    def relu(self) -> Tensor:
        """See :func:`minidl.ops.relu`."""
        return ops.relu(self)

    def sigmoid(self) -> Tensor:
        """See :func:`minidl.ops.sigmoid`."""
        return ops.sigmoid(self)

    def tanh(self) -> Tensor:
        """See :func:`minidl.ops.tanh`."""
        return ops.tanh(self)

    def softmax(self, dim: int) -> Tensor:
        """See :func:`minidl.ops.softmax`."""
        return ops.softmax(self, dim)

    def log_softmax(self, dim: int) -> Tensor:
        """See :func:`minidl.ops.log_softmax`."""
        return ops.log_softmax(self, dim)

    def astype(self, dtype: Any) -> Tensor:
        """The same values in another dtype; the gradient is cast back."""
        return ops.cast(self, dtype)

    def float(self) -> Tensor:
        """The same values as float32."""
        return self.astype(np.float32)

    def double(self) -> Tensor:
        """The same values as float64."""
        return self.astype(np.float64)


def _one_by_one(numbers: tuple[Any, ...]) -> Any:
    """``(2, 3)`` from ``f(2, 3)`` and from ``f((2, 3))``."""
    return numbers[0] if len(numbers) == 1 and not isinstance(numbers[0], int | np.integer) else numbers
