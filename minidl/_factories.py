"""Tensors of zeros, of ones, of one number, of numbers in a row, of shared memory: torch's names."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl._arrays import extents, real_dtype
from minidl._device import CPU, Device, device_of, in_memory, on
from minidl._numbers import computed, number, written
from minidl._tensor import DEFAULT_DTYPE, Tensor
from minidl.dispatch import array_module

Size = int | Sequence[int]

#: DLPack's number for memory of a CUDA device.
CUDA_IN_DLPACK = 2


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros; the extents may be given one by one or as a tuple. float32 unless ``dtype`` says otherwise.

    Raises:
        DeviceUnavailable: this machine has no such device.
        TypeError: extents that are no integers, or a dtype that is none.
        ValueError: a negative extent.

    >>> zeros(2, 3), zeros((2,), device="cuda_sim")
    (tensor([[0., 0., 0.],
            [0., 0., 0.]]), tensor([0., 0.], device='cuda_sim:0'))
    """
    return _filled("zeros", size, 0, dtype, device, requires_grad)


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones; otherwise as :func:`zeros`.

    >>> ones(2, dtype="int64")
    tensor([1, 1])
    """
    return _filled("ones", size, 1, dtype, device, requires_grad)


def full(
    size: Size, fill_value: float, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """One number everywhere: float32 for a float, int64 for an integer, unless ``dtype`` says otherwise.

    Raises:
        DeviceUnavailable: this machine has no such device.
        OverflowError: the dtype does not hold the number.
        TypeError: extents that are no integers, a value that is no number, or a dtype that is none.
        ValueError: a negative extent.

    >>> full((2,), 1.5)
    tensor([1.5, 1.5])
    """
    value = number("full", "fill_value", fill_value)
    return _filled("full", size, value, _of_numbers(value) if dtype is None else dtype, device, requires_grad)


def arange(
    start: float,
    end: float | None = None,
    step: float = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, ... up to before ``end``; with one number 0, 1, ... before it.

    int64 if all are integers, else float32, unless ``dtype`` says otherwise: there are
    ⌈(end - start) / step⌉ numbers, each rounded once. For an integer dtype all three lose what is behind the
    point first.

    Raises:
        DeviceUnavailable: this machine has no such device.
        OverflowError: the dtype does not hold a number.
        TypeError: what is no number, or bools are asked for.
        ValueError: the step is 0 or leads away from the end, or a number is not finite.

    >>> arange(3), arange(1, 2, 0.5)
    (tensor([0, 1, 2]), tensor([1. , 1.5]))
    >>> arange(0, 3, -1)
    Traceback (most recent call last):
    ValueError: arange: step -1 does not lead from 0 to 3
    """
    first, last = (0, start) if end is None else (start, end)
    first, last = number("arange", "start", first), number("arange", "end", last)
    step = number("arange", "step", step)
    wanted = _of_numbers(first, last, step, True) if dtype is None else real_dtype("arange", dtype)
    if wanted.kind == "b":
        raise TypeError("arange: bools do not count; take an integer dtype")
    if not (math.isfinite(first) and math.isfinite(last)) or math.isnan(step):
        raise ValueError(f"arange: numbers must be finite, got {first}, {last} and {step}")
    if last != first and (last > first) != (step > 0) and step != 0:
        raise ValueError(f"arange: step {step} does not lead from {first} to {last}")
    if wanted.kind != "f":
        first, last, step = int(first), int(last), int(step) if math.isfinite(step) else step
    if step == 0:
        raise ValueError(f"arange: step must not be 0 (from {first} to {last})")
    count = _count(first, last, step)
    for end_of_row in (first, first + (count - 1) * step) if count else ():
        computed("arange", end_of_row, wanted)
    step = computed("arange", step, np.dtype(np.int64)) if count > 1 else 0
    return _made("arange", device, lambda xp: _row(xp, first, step, count, wanted), requires_grad)


def _count(first: Any, last: Any, step: Any) -> int:
    """⌈(last - first) / step⌉: of integers exactly, of floats in float64."""
    if all(isinstance(n, int) for n in (first, last, step)):
        return -((first - last) // step)
    return math.ceil((last - first) / step)


def _row(xp: Any, first: Any, step: Any, count: int, dtype: np.dtype[Any]) -> Any:
    if dtype.kind == "f":
        with np.errstate(all="ignore"):  # too large for the dtype: infinite
            return (first + step * xp.arange(count, dtype=np.float64)).astype(dtype)
    return (first + step * xp.arange(count, dtype=np.int64)).astype(dtype)


def zeros_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Zeros of a tensor's shape, dtype and device, unless others are given.

    >>> zeros_like(ones(2))
    tensor([0., 0.])
    """
    return _filled(
        "zeros_like", (input.shape,), 0, dtype or input.dtype, device or input.device, requires_grad
    )


def ones_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of a tensor's shape, dtype and device, unless others are given.

    >>> ones_like(zeros(2, dtype="float64"))
    tensor([1., 1.], dtype=float64)
    """
    return _filled(
        "ones_like", (input.shape,), 1, dtype or input.dtype, device or input.device, requires_grad
    )


def from_dlpack(ext_tensor: Any) -> Tensor:
    """A tensor that shares the memory of another library's array, on the host or on a GPU.

    Args:
        ext_tensor: anything with ``__dlpack__``: of NumPy, torch, CuPy, JAX, ..., or a Tensor.

    Raises:
        BufferError: the array cannot be shared: it needs a gradient, or lives where minidl cannot read.
        DeviceUnavailable: it lives on a GPU, but CuPy cannot use it.

    >>> import numpy
    >>> a = numpy.zeros(2); x = from_dlpack(a); a[0] = 1; x.tolist()
    [1.0, 0.0]
    """
    source = ext_tensor.data if isinstance(ext_tensor, Tensor) else ext_tensor
    if device_of(source) != CPU:
        with on(source):
            return Tensor(array_module(source).from_dlpack(source))
    if int(source.__dlpack_device__()[0]) == CUDA_IN_DLPACK:
        return Tensor(Device("cuda").namespace().from_dlpack(source))
    shared = np.from_dlpack(source)
    return Tensor(shared)


def _of_numbers(*values: Any) -> np.dtype[Any]:
    """What Python's numbers become: float32, int64 or bool."""
    if any(isinstance(value, float) for value in values):
        return DEFAULT_DTYPE
    return np.dtype(np.bool_ if all(isinstance(value, bool) for value in values) else np.int64)


def _filled(name: str, size: Any, value: Any, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    shape = extents(name, size)
    wanted = DEFAULT_DTYPE if dtype is None else real_dtype(name, dtype)
    fill = written(name, value, wanted)
    return _made(name, device, lambda xp: xp.full(shape, fill, wanted), requires_grad)


def _made(name: str, device: Any, make: Callable[[Any], Any], requires_grad: bool) -> Tensor:
    place = CPU if device is None else Device(device)
    if place.index is None:
        return Tensor(make(np), requires_grad)
    with place.context():
        return Tensor(in_memory(place, name, (), lambda: make(place.namespace())), requires_grad)
