"""Tensor: an array, perhaps its gradient, and the memory of what it was computed from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl._arrays import DTYPES, as_array, as_zeros, copied, require_memory_of_its_own, write
from minidl._device import Device, move
from minidl._differentiable import Differentiable
from minidl._handles import Hook, HookHandle, Version
from minidl._methods import Methods
from minidl._placement import Placement, on_host

if TYPE_CHECKING:
    from minidl.autograd import Node

#: What Python numbers and lists of them become.
DEFAULT_DTYPE = np.dtype(np.float32)


class Tensor(Differentiable, Placement, Methods):
    """An n-dimensional array that can be differentiated.

    Made by :func:`minidl.tensor` or by operations. Its arithmetic operators and methods are those of
    :class:`~minidl._methods.Methods`; what it has to do with devices is in
    :class:`~minidl._placement.Placement`.

    Args:
        data: an array, whose memory is shared and whose dtype is kept (only one in foreign byte order or
            unaligned is copied); another tensor, of which this is then a view; or, as in torch, numbers in
            lists, which become float32, or extents, which make a float32 tensor of zeros. A NumPy scalar is
            an array without dimensions.
        requires_grad: record operations on it.
        sizes: further extents.

    Raises:
        TypeError: none of these (a float is not: that is :func:`minidl.tensor`), or not of real numbers.
        ValueError: lists of unequal lengths, or a negative extent.

    >>> import numpy
    >>> Tensor([1, 2]), Tensor(2, 3).shape, Tensor(numpy.arange(2)).dtype
    (tensor([1., 2.]), (2, 3), dtype('int64'))

    Attributes:
        data: the array itself (NumPy on the host, CuPy on a GPU). Writing into it is not noticed by the tape.
        grad: the gradient, a Tensor of the same shape and memory order, or ``None`` before ``backward()``.
        requires_grad: whether operations on this tensor are recorded.
        grad_fn: the node of the tape that made this tensor; ``None`` for a leaf.
    """

    __slots__ = ("__weakref__", "data")
    __array_priority__ = 1000  # numpy_array * tensor must come here, not run element by element

    data: Any

    def __init__(self, data: Any = (), requires_grad: Any = False, *sizes: Any) -> None:
        other = None
        if type(data) is np.ndarray and data.dtype in DTYPES and data.flags.aligned:
            self.data = data  # what operations give: all of it goes by here
        elif isinstance(data, Tensor):
            self.data, other = data.data, data
        elif isinstance(requires_grad, bool) and not sizes:
            self.data = as_array("Tensor", data)
        else:
            self.data, requires_grad = as_zeros("Tensor", (data, requires_grad, *sizes)), False
        self._grad: Tensor | None = None
        self._node: Node | None = None
        self._index = 0
        self._version = Version()
        self._leaf_hooks: dict[HookHandle, Hook] | None = None
        self._requires_grad = False
        self._retains_grad = False
        if requires_grad:
            self.requires_grad = True
        if other is not None:
            self._view(other)

    # -- what it is ------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents, outermost first: (N, C, H, W) for a batch of images."""
        return tuple(self.data.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Element type, as NumPy names it."""
        return self.data.dtype

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return self.data.ndim

    def size(self, dim: int | None = None) -> tuple[int, ...] | int:
        """The shape, or one extent of it (torch's ``size``)."""
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        """Number of dimensions (torch's ``dim``)."""
        return self.ndim

    def numel(self) -> int:
        """Number of elements."""
        return int(self.data.size)

    @property
    def T(self) -> Tensor:
        """The transpose of a matrix (in general, the dimensions in reverse order)."""
        return self.permute(*reversed(range(self.ndim)))

    @classmethod
    def _of(cls, array: Any, requires_grad: bool = False) -> Tensor:
        """A leaf of this class around an array, without the conversions of its constructor."""
        made = cls.__new__(cls)
        Tensor.__init__(made, array, requires_grad)
        return made

    def detach(self) -> Tensor:
        """The same array outside the graph. Memory is shared; in-place changes through either are noticed."""
        result = Tensor(self.data)
        result._version = self._version
        return result

    def _view(self, other: Tensor) -> None:
        """Become a view of another tensor, for ``Tensor(other)``: one memory, and a place in its graph."""
        whole = other[...]
        self.data, self._version = whole.data, whole._version
        self._node, self._index, self._requires_grad = whole._node, whole._index, whole._requires_grad

    # -- values ----------------------------------------------------------------------------------------------

    def item(self) -> Any:
        """The value of a tensor with one element, as a Python number.

        Raises:
            ValueError: there is not exactly one element.
        """
        if self.data.size != 1:
            raise ValueError(f"item: a tensor of shape {self.shape} has {self.data.size} elements, not one")
        return self.data.item()

    def tolist(self) -> Any:
        """Nested Python lists of the values."""
        return on_host(self).tolist()

    def copy_(self, src: Any, non_blocking: bool = False) -> Tensor:
        """Overwrite the values in place, from any device; the tape notices if a backward needs the old.

        Args:
            src: a tensor, an array, lists or a number of any dtype; it must broadcast to this shape.
            non_blocking: taken for torch's sake.

        Raises:
            OverflowError: a number that the dtype does not hold.
            RuntimeError: a gradient would be lost.
            ValueError: it does not broadcast, or this tensor's memory cannot be written to.

        >>> import minidl
        >>> minidl.zeros(2, 3).copy_(minidl.tensor([1, 2, 3]))
        tensor([[1., 2., 3.],
                [1., 2., 3.]])
        """
        self._forbid_in_place("copy_", src)
        values = src.data if isinstance(src, Tensor) else src
        if np.ndim(values) > self.ndim:
            raise ValueError(f"copy_: shape {np.shape(values)} does not broadcast to shape {self.shape}")
        write("copy_", self.data, values)
        self.mark_changed()
        return self

    def __setitem__(self, index: Any, value: Any) -> None:
        from minidl._indexing import resolved

        self._forbid_in_place("__setitem__", value)
        require_memory_of_its_own("__setitem__", "this tensor", self.data)  # even if only a part is taken
        place = resolved("__setitem__", index, self.data)
        values = value.data if isinstance(value, Tensor) else value
        write("__setitem__", place.view_of(self.data), values, place.taken)
        self.mark_changed()

    def mark_changed(self) -> None:
        """Say that ``.data`` was written to: a pending backward that saved it will raise an error."""
        self._version.value += 1

    def _forbid_in_place(self, operation: str, source: Any = None) -> None:
        if not (self._requires_grad or (isinstance(source, Tensor) and source._requires_grad)):
            return
        from minidl import autograd

        if autograd.is_grad_enabled():
            name = "this tensor" if self._requires_grad else "what is written"
            raise RuntimeError(
                f"{operation}: {name} requires a gradient, and in-place changes are not recorded; do it "
                "within minidl.no_grad(), or build a new tensor"
            )

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a 0-d tensor")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.data.size != 1 or self.dtype.kind == "f":
            raise TypeError("only a tensor of one integer can be an index or an extent")
        return int(self.data.item())

    def __repr__(self) -> str:
        text = np.array2string(on_host(self), separator=", ", prefix="tensor(")
        suffix = "" if isinstance(self.data, np.ndarray) else f", device={str(self.device)!r}"
        if self.dtype not in (DEFAULT_DTYPE, np.int64, np.bool_):
            suffix += f", dtype={self.dtype}"
        if self._node is not None:
            suffix += f", grad_fn={self._node!r}"
        elif self.requires_grad:
            suffix += ", requires_grad=True"
        return f"tensor({text}{suffix})"


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A new leaf with a copy of ``data``.

    Args:
        data: numbers, nested lists, a NumPy array or a Tensor.
        dtype: element type; by default an array's own, float32 for Python floats, int64 for Python integers.
        device: where it is to live; by default where the array does, which for numbers is the host.
        requires_grad: record operations on it, so that ``backward()`` fills in ``.grad``.

    Raises:
        DeviceUnavailable: this machine has no such device.
        RuntimeError: a gradient is asked for something that is not floating-point.
        OverflowError: the dtype does not hold a number (a float too large for float32 is infinite).
        TypeError: the elements are not numbers, or the dtype is none of them.
        ValueError: lists of unequal lengths, or NaN for integers.

    >>> tensor([[1.0, 2.0], [3.0, 4.0]])
    tensor([[1., 2.],
            [3., 4.]])
    >>> import numpy
    >>> tensor(numpy.zeros(2)).dtype     # float64 stays float64
    dtype('float64')
    """
    array = copied("tensor", data.data if isinstance(data, Tensor) else data, dtype)
    return Tensor(array if device is None else move(array, Device(device)), requires_grad)
