"""Tensors of zeros, of ones, of one number, of numbers in a row, of shared memory: torch's names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl._device import CPU, Device, device_of, in_memory, on
from minidl._tensor import DEFAULT_DTYPE, Tensor
from minidl.dispatch import array_module

Size = int | Sequence[int]

#: DLPack's number for memory of a CUDA device.
CUDA_IN_DLPACK = 2


def zeros(*size: Any, dtype: Any = None, device: Any = "cpu", requires_grad: bool = False) -> Tensor:
    """Zeros; the extents may be given one by one or as a tuple. float32 unless ``dtype`` says otherwise.

    Raises:
        DeviceUnavailable: this machine has no such device.

    >>> zeros(2, 3), zeros((2,), device="cuda_sim")
    (tensor([[0., 0., 0.],
            [0., 0., 0.]]), tensor([0., 0.], device='cuda_sim:0'))
    """
    return full(_size(size), 0, dtype or DEFAULT_DTYPE, device, requires_grad)


def ones(*size: Any, dtype: Any = None, device: Any = "cpu", requires_grad: bool = False) -> Tensor:
    """Ones; otherwise as :func:`zeros`.

    >>> ones(2, dtype="int64")
    tensor([1, 1])
    """
    return full(_size(size), 1, dtype or DEFAULT_DTYPE, device, requires_grad)


def full(
    size: Size, fill_value: float, dtype: Any = None, device: Any = "cpu", requires_grad: bool = False
) -> Tensor:
    """One number everywhere: float32 for a float, int64 for an integer, unless ``dtype`` says otherwise.

    Raises:
        DeviceUnavailable: this machine has no such device.

    >>> full((2,), 1.5)
    tensor([1.5, 1.5])
    """
    if dtype is None:
        dtype = np.asarray(fill_value).dtype if not isinstance(fill_value, float) else DEFAULT_DTYPE
    shape = (size,) if isinstance(size, int) else tuple(size)
    return _made("full", device, lambda xp: xp.full(shape, fill_value, np.dtype(dtype)), requires_grad)


def arange(
    start: float,
    end: float | None = None,
    step: float = 1,
    dtype: Any = None,
    device: Any = "cpu",
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, ... up to before ``end``; with one number 0, 1, ... before it.

    int64 if all are integers, else float32, unless ``dtype`` says otherwise.

    >>> arange(3), arange(1, 2, 0.5)
    (tensor([0, 1, 2]), tensor([1. , 1.5]))
    """
    first, last = (0, start) if end is None else (start, end)
    if dtype is None:
        dtype = (
            np.int64 if all(isinstance(n, int | np.integer) for n in (first, last, step)) else DEFAULT_DTYPE
        )
    return _made("arange", device, lambda xp: xp.arange(first, last, step, dtype), requires_grad)


def zeros_like(input: Tensor, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of a tensor's shape, dtype and device, unless others are given.

    >>> zeros_like(ones(2))
    tensor([0., 0.])
    """
    return full(input.shape, 0, dtype or input.dtype, device or input.device, requires_grad)


def ones_like(input: Tensor, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of a tensor's shape, dtype and device, unless others are given.

    >>> ones_like(zeros(2, dtype="float64"))
    tensor([1., 1.], dtype=float64)
    """
    return full(input.shape, 1, dtype or input.dtype, device or input.device, requires_grad)


def from_dlpack(array: Any) -> Tensor:
    """A tensor that shares the memory of another library's array, on the host or on a GPU.

    Args:
        array: anything with ``__dlpack__``: of NumPy, torch, CuPy, JAX, ..., or a Tensor.

    Raises:
        BufferError: the array cannot be shared: it needs a gradient, or lives where minidl cannot read.
        DeviceUnavailable: it lives on a GPU, but CuPy cannot use it.

    >>> import numpy
    >>> a = numpy.zeros(2); x = from_dlpack(a); a[0] = 1; x.tolist()
    [1.0, 0.0]
    """
    source = array.data if isinstance(array, Tensor) else array
    if device_of(source) != CPU:
        with on(source):
            return Tensor(array_module(source).from_dlpack(source))
    if int(source.__dlpack_device__()[0]) == CUDA_IN_DLPACK:
        return Tensor(Device("cuda").namespace().from_dlpack(source))
    shared = np.from_dlpack(source)
    return Tensor(shared)


def _size(size: tuple[Any, ...]) -> Any:
    return size[0] if len(size) == 1 and not isinstance(size[0], int) else size


def _made(name: str, device: Any, make: Callable[[Any], Any], requires_grad: bool) -> Tensor:
    place = Device(device)
    if place.index is None:
        return Tensor(make(np), requires_grad)
    with place.context():
        return Tensor(in_memory(place, name, (), lambda: make(place.namespace())), requires_grad)
