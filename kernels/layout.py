"""Memory order: which order a kernel takes, and the one place where arrays are converted.

Shapes are always (N, C, H, W). In memory the elements may lie in C order (W fastest) or channels-last (C
fastest), or belong to a slice. A kernel that is written for C order says so with :func:`c_order`; a view in
any other order is then copied on the way in, and :data:`conversions` counts that, so that a test can assert
how many copies a training step makes.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


class Counter:
    """How many arrays were copied into another memory order, and how many bytes that was."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start counting at zero."""
        self.count = 0
        self.bytes = 0


conversions = Counter()

_copier: Callable[[Any], Any] | None = None


def set_copier(copied: Callable[[Any], Any]) -> None:
    """Let another function than NumPy's copy arrays: ``kernels/cpu/order.py`` has one for large ones."""
    global _copier
    _copier = copied


def contiguous(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A counted copy of an array with its axes in C order."""
    conversions.count += 1
    conversions.bytes += array.nbytes
    return _copy(array)


def _copy(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if _copier is None or not isinstance(array, np.ndarray):
        return array.copy(order="C")
    copy: np.ndarray[Any, Any] = _copier(array)
    return copy


def copied_as(array: np.ndarray[Any, Any], like: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A copy in the memory order and dtype of ``like``, as ``np.empty_like``. It is wanted, so not counted.

    >>> copied_as(np.ones((2, 3)), np.zeros((3, 2), np.float32).T).strides
    (4, 8)
    """
    axes = sorted(range(like.ndim), key=lambda axis: -abs(like.strides[axis]))
    turned = array.astype(like.dtype, copy=False).transpose(axes)
    return _copy(turned).transpose(np.argsort(axes))


def to_c_order(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """``array`` itself if it lies in C order, else a counted copy that does."""
    return array if array.flags.c_contiguous else contiguous(array)


def is_channels_last(array: np.ndarray[Any, Any]) -> bool:
    """Whether an (N, C, H, W) array lies in memory as (N, H, W, C) (of one channel or pixel: both)."""
    return array.ndim == 4 and array.transpose(0, 2, 3, 1).flags.c_contiguous


def to_channels_last(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """An (N, C, H, W) array itself if it lies channels-last, else a counted copy that does."""
    if is_channels_last(array):
        return array
    return contiguous(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def channels_last(kernel: Kernel) -> Kernel:
    """Declare that a kernel takes its (N, C, H, W) activations channels-last in memory.

    All four-dimensional arguments but those named ``weight`` are activations; the kernel's other arrays are
    taken in C order.
    """
    names = tuple(inspect.signature(kernel).parameters)

    def arranged(name: str, value: Any) -> Any:
        if not isinstance(value, np.ndarray):
            return value
        return to_channels_last(value) if value.ndim == 4 and name != "weight" else to_c_order(value)

    @functools.wraps(kernel)
    def wrapped(*args: Any, **options: Any) -> Any:
        given = (arranged(name, a) for name, a in zip(names, args, strict=False))
        return kernel(*given, **{name: arranged(name, a) for name, a in options.items()})

    wrapped.takes = "channels-last"  # type: ignore[attr-defined]
    return wrapped  # type: ignore[return-value]


def c_order(kernel: Kernel) -> Kernel:
    """Declare that a kernel takes its arrays in C order and gives its results in C order."""

    @functools.wraps(kernel)
    def wrapped(*args: Any, **options: Any) -> Any:
        return kernel(*(to_c_order(a) if isinstance(a, np.ndarray) else a for a in args), **options)

    wrapped.takes = "C"  # type: ignore[attr-defined]
    return wrapped  # type: ignore[return-value]
