"""A tensor's methods: ``x.relu()`` is ``ops.relu(x)``.

Nothing is computed here. Every operation has its one home in :mod:`minidl.ops`; this class only gives it the
spelling that people write.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl._operators import Operations, Operators

if TYPE_CHECKING:
    from minidl._tensor import Tensor

#: The module minidl.ops: imported when it is first asked for something, and then it puts itself here.
ops: Any = Operations()


class Methods(Operators):
    """What :class:`~minidl.Tensor` inherits: each method forwards to the operation of its name."""

    __slots__ = ()

    def exp(self) -> Tensor:
        """See :func:`minidl.ops.exp`."""
        return ops.exp(self)

    def log(self) -> Tensor:
        """See :func:`minidl.ops.log`."""
        return ops.log(self)

    def sqrt(self) -> Tensor:
        """See :func:`minidl.ops.sqrt`."""
        return ops.sqrt(self)

    def rsqrt(self) -> Tensor:
        """See :func:`minidl.ops.rsqrt`."""
        return ops.rsqrt(self)

    def abs(self) -> Tensor:
        """See :func:`minidl.ops.abs`."""
        return ops.abs(self)

    def sign(self) -> Tensor:
        """See :func:`minidl.ops.sign`."""
        return ops.sign(self)

    def neg(self) -> Tensor:
        """See :func:`minidl.ops.neg`."""
        return ops.neg(self)

    def add(self, other: Any) -> Tensor:
        """See :func:`minidl.ops.add`."""
        return ops.add(self, other)

    def sub(self, other: Any) -> Tensor:
        """See :func:`minidl.ops.sub`."""
        return ops.sub(self, other)

    def mul(self, other: Any) -> Tensor:
        """See :func:`minidl.ops.mul`."""
        return ops.mul(self, other)

    def div(self, other: Any) -> Tensor:
        """See :func:`minidl.ops.div`."""
        return ops.div(self, other)

    def pow(self, exponent: Any) -> Tensor:
        """See :func:`minidl.ops.pow`."""
        return ops.pow(self, exponent)

    def maximum(self, other: Tensor) -> Tensor:
        """See :func:`minidl.ops.maximum`."""
        return ops.maximum(self, other)

    def minimum(self, other: Tensor) -> Tensor:
        """See :func:`minidl.ops.minimum`."""
        return ops.minimum(self, other)

    def clamp(self, min: Any = None, max: Any = None) -> Tensor:
        """See :func:`minidl.ops.clamp`."""
        return ops.clamp(self, min, max)

    def clip(self, min: Any = None, max: Any = None) -> Tensor:
        """See :func:`minidl.ops.clip`."""
        return ops.clip(self, min, max)

    def where(self, condition: Any, other: Any) -> Tensor:
        """This tensor where the condition holds, else ``other``; see :func:`minidl.ops.where`."""
        return ops.where(condition, self, other)

    def eq(self, other: Any) -> Tensor:
        """See :func:`minidl.ops.eq`."""
        return ops.eq(self, other)

    def ne(self, other: Any) -> Tensor:
        """See :func:`minidl.ops.ne`."""
        return ops.ne(self, other)

    def lt(self, other: Any) -> Tensor:
        """See :func:`minidl.ops.lt`."""
        return ops.lt(self, other)

    def le(self, other: Any) -> Tensor:
        """See :func:`minidl.ops.le`."""
        return ops.le(self, other)

    def gt(self, other: Any) -> Tensor:
        """See :func:`minidl.ops.gt`."""
        return ops.gt(self, other)

    def ge(self, other: Any) -> Tensor:
        """See :func:`minidl.ops.ge`."""
        return ops.ge(self, other)

    def isnan(self) -> Tensor:
        """See :func:`minidl.ops.isnan`."""
        return ops.isnan(self)

    def isinf(self) -> Tensor:
        """See :func:`minidl.ops.isinf`."""
        return ops.isinf(self)

    def isfinite(self) -> Tensor:
        """See :func:`minidl.ops.isfinite`."""
        return ops.isfinite(self)

    def logical_not(self) -> Tensor:
        """See :func:`minidl.ops.logical_not`."""
        return ops.logical_not(self)

    def prelu(self, weight: Tensor) -> Tensor:
        """See :func:`minidl.ops.prelu`."""
        return ops.prelu(self, weight)

    def sum(
        self,
        dim: int | Sequence[int] | None = None,
        keepdim: bool = False,
        *,
        dtype: Any = None,
        axis: int | Sequence[int] | None = None,
        keepdims: bool | None = None,
    ) -> Tensor:
        """See :func:`minidl.ops.sum`; ``axis`` and ``keepdims`` are NumPy's names for the arguments."""
        return ops.sum(self, *_numpy_names("sum", dim, keepdim, axis, keepdims), dtype=dtype)

    def mean(
        self,
        dim: int | Sequence[int] | None = None,
        keepdim: bool = False,
        *,
        dtype: Any = None,
        axis: int | Sequence[int] | None = None,
        keepdims: bool | None = None,
    ) -> Tensor:
        """See :func:`minidl.ops.mean`; ``axis`` and ``keepdims`` are NumPy's names for the arguments."""
        return ops.mean(self, *_numpy_names("mean", dim, keepdim, axis, keepdims), dtype=dtype)

    def var(
        self,
        dim: Any = None,
        unbiased: bool | None = None,
        keepdim: bool = False,
        *,
        correction: Any = None,
    ) -> Tensor:
        """See :func:`minidl.ops.var`."""
        return ops.var(self, dim, unbiased, keepdim, correction=correction)

    def std(
        self,
        dim: Any = None,
        unbiased: bool | None = None,
        keepdim: bool = False,
        *,
        correction: Any = None,
    ) -> Tensor:
        """See :func:`minidl.ops.std`."""
        return ops.std(self, dim, unbiased, keepdim, correction=correction)

    def max(self, dim: int | Tensor | None = None, keepdim: bool = False) -> Any:
        """See :func:`minidl.ops.max`."""
        return ops.max(self, dim, keepdim)

    def min(self, dim: int | Tensor | None = None, keepdim: bool = False) -> Any:
        """See :func:`minidl.ops.min`."""
        return ops.min(self, dim, keepdim)

    def amax(self, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Tensor:
        """See :func:`minidl.ops.amax`."""
        return ops.amax(self, dim, keepdim)

    def amin(self, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Tensor:
        """See :func:`minidl.ops.amin`."""
        return ops.amin(self, dim, keepdim)

    def argmax(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """See :func:`minidl.ops.argmax`."""
        return ops.argmax(self, dim, keepdim)

    def argmin(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """See :func:`minidl.ops.argmin`."""
        return ops.argmin(self, dim, keepdim)

    def sort(self, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Any:
        """See :func:`minidl.ops.sort`."""
        return ops.sort(self, dim, descending, stable=stable)

    def argsort(self, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Tensor:
        """See :func:`minidl.ops.argsort`."""
        return ops.argsort(self, dim, descending, stable=stable)

    def topk(self, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
        """See :func:`minidl.ops.topk`."""
        return ops.topk(self, k, dim, largest, sorted)

    def gather(self, dim: int, index: Tensor) -> Tensor:
        """See :func:`minidl.ops.gather`."""
        return ops.gather(self, dim, index)

    def scatter_add(self, dim: int, index: Tensor, src: Tensor) -> Tensor:
        """See :func:`minidl.ops.scatter_add`."""
        return ops.scatter_add(self, dim, index, src)

    def matmul(self, other: Any) -> Tensor:
        """See :func:`minidl.ops.matmul`."""
        return ops.matmul(self, other)

    @property
    def mT(self) -> Tensor:
        """The matrices of the last two dimensions transposed."""
        return ops.transpose(self, -2, -1)

    def reshape(self, *shape: Any) -> Tensor:
        """See :func:`minidl.ops.reshape`; the extents may be given one by one or as a tuple."""
        return ops.reshape(self, _one_by_one(shape))

    def permute(self, *dims: Any) -> Tensor:
        """See :func:`minidl.ops.permute`; the dimensions may be given one by one or as a tuple."""
        return ops.permute(self, _one_by_one(dims))

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        """See :func:`minidl.ops.transpose`."""
        return ops.transpose(self, dim0, dim1)

    def squeeze(self, dim: int | Sequence[int] | None = None) -> Tensor:
        """See :func:`minidl.ops.squeeze`."""
        return ops.squeeze(self, dim)

    def unsqueeze(self, dim: int) -> Tensor:
        """See :func:`minidl.ops.unsqueeze`."""
        return ops.unsqueeze(self, dim)

    def expand(self, *sizes: Any) -> Tensor:
        """See :func:`minidl.ops.expand`; the extents may be given one by one or as a tuple."""
        return ops.expand(self, _one_by_one(sizes))

    def flip(self, *dims: Any) -> Tensor:
        """See :func:`minidl.ops.flip`; the dimensions may be given one by one or as a tuple."""
        return ops.flip(self, _one_by_one(dims))

    def split(self, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
        """See :func:`minidl.ops.split`."""
        return ops.split(self, split_size, dim)

    def chunk(self, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
        """See :func:`minidl.ops.chunk`."""
        return ops.chunk(self, chunks, dim)

    def diagonal(self, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
        """See :func:`minidl.ops.diagonal`."""
        return ops.diagonal(self, offset, dim1, dim2)

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

    def softmax(self, dim: int, dtype: Any = None) -> Tensor:
        """See :func:`minidl.ops.softmax`."""
        return ops.softmax(self, dim, dtype=dtype)

    def log_softmax(self, dim: int, dtype: Any = None) -> Tensor:
        """See :func:`minidl.ops.log_softmax`."""
        return ops.log_softmax(self, dim, dtype=dtype)

    def clone(self) -> Tensor:
        """See :func:`minidl.ops.clone`."""
        return ops.clone(self)

    def astype(self, dtype: Any) -> Tensor:
        """The same values in another dtype; the gradient is cast back."""
        return ops.cast(self, dtype)

    def float(self) -> Tensor:
        """The same values as float32."""
        return self.astype(np.float32)

    def double(self) -> Tensor:
        """The same values as float64."""
        return self.astype(np.float64)


def _numpy_names(
    operation: str, dim: Any, keepdim: bool, axis: Any, keepdims: bool | None
) -> tuple[Any, bool]:
    """(dim, keepdim), of which each may have been given under NumPy's name instead."""
    if (dim is not None and axis is not None) or (keepdim and keepdims is not None):
        raise TypeError(
            f"{operation}: axis and keepdims are other names of dim and keepdim; give one of each"
        )
    return axis if dim is None else dim, keepdim if keepdims is None else keepdims


def _one_by_one(numbers: tuple[Any, ...]) -> Any:
    """``(2, 3)`` from ``f(2, 3)`` and from ``f((2, 3))``."""
    return numbers[0] if len(numbers) == 1 and not isinstance(numbers[0], int | np.integer) else numbers
