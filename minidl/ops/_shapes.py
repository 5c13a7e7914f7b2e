"""The arithmetic of shapes, in one place: every op's shape rule is a function here."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

Pair = tuple[int, int]


def pair(value: Any, name: str, operation: str, least: int = 0) -> Pair:
    """An integer or two of them, (vertical, horizontal), each at least ``least``.

    >>> pair(3, "stride", "conv2d", least=1)
    (3, 3)
    >>> pair((2, 0), "stride", "conv2d", least=1)
    Traceback (most recent call last):
    ValueError: conv2d: stride must be at least 1, got (2, 0)
    """
    values = tuple(value) if isinstance(value, Sequence | np.ndarray) else (value, value)
    if len(values) != 2 or not all(
        isinstance(v, int | np.integer) and not isinstance(v, bool) for v in values
    ):
        raise TypeError(f"{operation}: {name} must be an integer or a pair of integers, got {value!r}")
    if min(values) < least:
        raise ValueError(f"{operation}: {name} must be at least {least}, got {value!r}")
    return int(values[0]), int(values[1])


def conv_output(
    size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, operation: str
) -> Pair:
    """Extents after a sliding window; on each axis

        out = ⌊(size + 2 padding - dilation (kernel - 1) - 1) / stride⌋ + 1

    The window covers ``dilation (kernel - 1) + 1`` pixels (its field of view).

    Raises:
        ValueError: the window is larger than the padded input.

    >>> conv_output((5, 7), (3, 3), (2, 2), (1, 1), (1, 1), "conv2d")
    (3, 4)
    """
    out = []
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        span = d * (k - 1) + 1
        if n + 2 * p < span:
            raise ValueError(
                f"{operation}: the window covers {span} pixels (kernel {tuple(kernel)}, "
                f"dilation {tuple(dilation)}), more than the padded input of {n + 2 * p} "
                f"(size {tuple(size)}, padding {tuple(padding)})"
            )
        out.append((n + 2 * p - span) // s + 1)
    return out[0], out[1]


def same_padding(kernel: Pair, dilation: Pair) -> tuple[Pair, Pair]:
    """Padding with which a convolution of stride 1 keeps the image's size: (on every side, more at the end).

    The span d (k - 1) is divided between the two sides; where it is odd, right and bottom get one pixel more.

    >>> same_padding((3, 4), (1, 1))
    ((1, 1), (0, 1))
    """
    (sides_v, more_v), (sides_h, more_h) = (
        divmod(d * (k - 1), 2) for k, d in zip(kernel, dilation, strict=True)
    )
    return (sides_v, sides_h), (more_v, more_h)


def pool_output(
    size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool, operation: str
) -> Pair:
    """Extents after pooling: a convolution's, or with ``ceil_mode`` rounded up, so that the last window may
    hang over the end, as long as it begins inside the image or its left (upper) padding.

    Raises:
        ValueError: not one window is left.

    >>> pool_output((5, 7), (2, 2), (2, 2), (0, 0), (1, 1), True, "max_pool2d")
    (3, 4)
    """
    if not ceil_mode:
        return conv_output(size, kernel, stride, padding, dilation, operation)
    out = []
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        windows = (n + 2 * p - d * (k - 1) - 1 + s - 1) // s + 1
        out.append(windows - 1 if (windows - 1) * s >= n + p else windows)
    if min(out) < 1:
        raise ValueError(
            f"{operation}: no window of {tuple(kernel)} is left (size {tuple(size)}, stride {tuple(stride)}, "
            f"padding {tuple(padding)}, dilation {tuple(dilation)})"
        )
    return out[0], out[1]


@functools.lru_cache(maxsize=256)
def adaptive_windows(size: int, out: int) -> tuple[Pair, ...]:
    """``out`` windows [first, last) that cover ``size`` pixels as evenly as whole numbers allow:

        first = ⌊i · size / out⌋,  last = ⌈(i + 1) · size / out⌉

    >>> adaptive_windows(5, 3)
    ((0, 2), (1, 4), (3, 5))
    """
    return tuple((i * size // out, -(-(i + 1) * size // out)) for i in range(out))


def conv_transpose_output(
    size: Pair, kernel: Pair, stride: Pair, padding: Pair, output_padding: Pair, dilation: Pair
) -> Pair:
    """Extents of a transposed convolution; on each axis

        out = (size - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1

    >>> conv_transpose_output((4, 4), (2, 2), (2, 2), (0, 0), (0, 0), (1, 1))
    (8, 8)
    """
    h, w = (
        (n - 1) * s - 2 * p + d * (k - 1) + o + 1
        for n, k, s, p, o, d in zip(size, kernel, stride, padding, output_padding, dilation, strict=True)
    )
    return h, w


def broadcast(operation: str, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The common shape of element-wise operands: axes are aligned at the right, extents of 1 stretch.

    >>> broadcast("add", (4, 1), (3,))
    (4, 3)
    >>> broadcast("add", (4, 2), (3,))
    Traceback (most recent call last):
    ValueError: add: shapes (4, 2) and (3,) do not broadcast
    """
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise ValueError(f"{operation}: shapes {' and '.join(map(str, shapes))} do not broadcast") from None


def stretched_axes(shape: tuple[int, ...], full: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of ``full`` that broadcasting added to ``shape`` or stretched.

    >>> stretched_axes((4, 1), (2, 4, 3))
    (0, 2)
    """
    added = len(full) - len(shape)
    return (*range(added), *(i + added for i, n in enumerate(shape) if n == 1 and full[i + added] != 1))


def dims(dim: int | Sequence[int] | None, shape: tuple[int, ...], operation: str) -> tuple[int, ...]:
    """Dimension numbers as non-negative and unique; ``None`` means all of them.

    >>> dims((-1, 0), (4, 5, 6), "sum")
    (2, 0)
    """
    ndim = len(shape)
    if dim is None:
        return tuple(range(ndim))
    if isinstance(dim, bool):  # what was meant for a later argument, such as keepdim
        raise TypeError(f"{operation}: dim must be an integer or several of them, got {dim}")
    given = (dim,) if isinstance(dim, int | np.integer) else tuple(dim)
    for d in given:
        if not -max(ndim, 1) <= d < max(ndim, 1):
            raise IndexError(f"{operation}: dimension {d} is out of range for shape {shape}")
    # A 0-d tensor has no axis, but torch lets it be addressed as if it had one.
    result = tuple(int(d) % ndim for d in given) if ndim else ()
    if len(set(result)) != len(result):
        raise RuntimeError(f"{operation}: dimension named twice in {given} (shape {shape})")
    return result


def require_ndim(operation: str, name: str, array: Any, ndim: int, layout: str) -> None:
    """Raise unless ``array`` has ``ndim`` dimensions.

    >>> require_ndim("conv2d", "input", np.zeros((2, 3)), 4, "(N, C, H, W)")
    Traceback (most recent call last):
    ValueError: conv2d: input must be 4-dimensional (N, C, H, W), got shape (2, 3)
    """
    if array.ndim != ndim:
        raise ValueError(
            f"{operation}: {name} must be {ndim}-dimensional {layout}, got shape {tuple(array.shape)}"
        )


def require_image(operation: str, array: Any, channels: bool = True) -> None:
    """Raise unless ``array`` is (N, C, H, W) with at least one pixel and (if ``channels``) one channel.

    >>> require_image("max_pool2d", np.zeros((2, 3, 0, 5)))
    Traceback (most recent call last):
    ValueError: max_pool2d: only the batch may be empty, got an input of shape (2, 3, 0, 5)
    """
    require_ndim(operation, "input", array, 4, "(N, C, H, W)")
    if 0 in array.shape[1 if channels else 2 :]:
        only = "only the batch" if channels else "only batch and channels"
        raise ValueError(f"{operation}: {only} may be empty, got an input of shape {tuple(array.shape)}")
