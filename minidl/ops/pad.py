"""Padding the last dimensions with a constant or with the image's own pixels; negative padding crops.

Notation: on one axis x has n elements and y[j] = x[s(j - left)], where s says which pixel stands beyond the
border; g is the cotangent of y.

    constant    the value beyond the border                       dx = g cropped to where x lies
    reflect     s(i) = -i before 0,  2(n-1) - i after n-1         dx[s(i)] = the sum of the g's that read it
    replicate   s(i) = 0 before 0,  n-1 after n-1                 likewise
    circular    s(i) = i mod n                                    likewise

The adjoint of cropping is padding with zeros. Axes are padded one after the other, so a corner reads the
pixel that is mirrored (or clamped, or wrapped) along both.

Limits, as in torch: ``reflect`` needs less padding than there are elements, ``circular`` not more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl._numbers import number, written
from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import array_module
from minidl.ops.clone import clone

Widths = tuple[tuple[int, int], ...]

#: How many of the last dimensions are padded, and of how many in all, where pixels are read again.
_RANKS = {2: (2, 3), 4: (3, 4), 6: (4, 5)}
_MODES = ("constant", "reflect", "replicate", "circular")


class Pad(Function):
    """y = x with ``widths`` constants before and after on each axis;  dx = g with the widths taken back."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, widths: Widths, value: float) -> Any:
        ctx.widths = widths
        return _constant(x, widths, value)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return _constant(g, _negative(ctx.widths), 0)

    @staticmethod
    def tensor_backward(ctx: Node, g: Tensor) -> Tensor:
        return Pad.apply(g, widths=_negative(ctx.widths), value=0.0)


class PadBorder(Function):
    """y = x with its own pixels before and after on each axis;  dx = g folded back onto them."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, widths: Widths, mode: str) -> Any:
        ctx.shape, ctx.widths, ctx.mode = x.shape, widths, mode
        return _unfolded(x, widths, mode)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return _folded(g, ctx.shape, ctx.widths, ctx.mode)

    @staticmethod
    def tensor_backward(ctx: Node, g: Tensor) -> Tensor:
        return FoldBorder.apply(g, shape=ctx.shape, widths=ctx.widths, mode=ctx.mode)

    @classmethod
    def operation(cls) -> str:
        return "pad"


class FoldBorder(Function):
    """The adjoint of :class:`PadBorder`: the padding is added to the pixels it was read from."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, shape: tuple[int, ...], widths: Widths, mode: str) -> Any:
        ctx.widths, ctx.mode = widths, mode
        return _folded(x, shape, widths, mode)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return _unfolded(g, ctx.widths, ctx.mode)

    @staticmethod
    def tensor_backward(ctx: Node, g: Tensor) -> Tensor:
        return PadBorder.apply(g, widths=ctx.widths, mode=ctx.mode)

    @classmethod
    def operation(cls) -> str:
        return "pad"


def _negative(widths: Widths) -> Widths:
    return tuple((-before, -after) for before, after in widths)


def _constant(x: Any, widths: Widths, value: float) -> Any:
    shape = tuple(n + a + b for n, (a, b) in zip(x.shape, widths, strict=True))
    y = array_module(x).full(shape, value, x.dtype)
    source = tuple(slice(max(0, -a), n - max(0, -b)) for n, (a, b) in zip(x.shape, widths, strict=True))
    target = tuple(slice(max(0, a), n - max(0, b)) for n, (a, b) in zip(shape, widths, strict=True))
    y[target] = x[source]
    return y


def _kept(n: int, width: tuple[int, int]) -> tuple[int, int]:
    """The first of the n elements that is not cropped, and the one after the last."""
    before, after = width
    return max(0, -before), n - max(0, -after)


def _sources(n: int, width: tuple[int, int], mode: str) -> Any:
    """s: for each position along the padded axis, which of the n elements stands there."""
    before, after = width
    i = np.arange(-before, n + after)
    if mode == "replicate":
        return i.clip(0, n - 1)
    if mode == "reflect":
        return n - 1 - np.abs(n - 1 - np.abs(i))
    first, last = _kept(n, width)  # what is wrapped around is what a negative width has left
    return first + (i - first) % (last - first)  # nothing left: i has no elements, and nothing is divided


def _unfolded(x: Any, widths: Widths, mode: str) -> Any:
    for axis, width in enumerate(widths):
        if width != (0, 0):
            xp = array_module(x)
            x = xp.take(x, xp.asarray(_sources(x.shape[axis], width, mode)), axis=axis)
    return x


def _folded(g: Any, shape: tuple[int, ...], widths: Widths, mode: str) -> Any:
    """Axis by axis: the elements inside go to their places, each one beyond is added to its source."""
    xp = array_module(g)
    for axis, (n, width) in enumerate(zip(shape, widths, strict=True)):
        if width == (0, 0):
            continue
        before = width[0]
        dx = xp.zeros((*g.shape[:axis], n, *g.shape[axis + 1 :]), g.dtype)
        rows, folded = xp.moveaxis(g, axis, 0), xp.moveaxis(dx, axis, 0)
        first, last = _kept(n, width)
        folded[first:last] = rows[first + before : last + before]
        for j, source in enumerate(_sources(n, width, mode).tolist()):
            if not first <= j - before < last:
                folded[source] += rows[j]
        g = dx
    return g


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Pad the last dimensions; the *last* dimension comes first, as in torch.

    Args:
        input: any shape for ``constant``; for the other modes (C, W), (N, C, W), (C, H, W), (N, C, H, W) or
            one dimension more, all of whose spatial dimensions are padded.
        pad: (left, right) for the last dimension, or (left, right, top, bottom) for the last two, and so on;
            negative ones crop.
        mode: ``"constant"``, ``"reflect"`` (the border pixel is not repeated), ``"replicate"`` (it is), or
            ``"circular"`` (the other side).
        value: the constant, 0 by default.

    Raises:
        OverflowError: a value that the dtype does not hold.
        ValueError: an odd number of widths, more of them than dimensions, a mode that is not there, a value
            beside another mode than constant, more padding than the mode has pixels for, or nothing left
            after cropping.
        TypeError: widths that are not integers, or bool pixels to reflect or replicate.

    >>> import minidl
    >>> minidl.ops.pad(minidl.tensor([[1, 2]]), (1, 0, 0, 1))
    tensor([[0, 1, 2],
            [0, 0, 0]])
    >>> minidl.ops.pad(minidl.tensor([[1, 2, 3]]), (2, 1), mode="reflect")
    tensor([[3, 2, 1, 2, 3, 2]])
    """
    if mode not in _MODES:
        raise ValueError(f"pad: mode must be one of {', '.join(_MODES)}, got {mode!r}")
    if not all(isinstance(n, int | np.integer) for n in pad):
        raise TypeError(f"pad: widths must be integers, got {tuple(pad)}")
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise ValueError(
            f"pad: {len(pad)} widths for shape {input.shape}; "
            "give two for each padded dimension, the last one first"
        )
    pairs = [(int(pad[i]), int(pad[i + 1])) for i in range(0, len(pad), 2)][::-1]
    widths = ((0, 0),) * (input.ndim - len(pairs)) + tuple(pairs)
    if any(n + min(a, 0) + min(b, 0) < 0 for n, (a, b) in zip(input.shape, widths, strict=True)):
        raise ValueError(f"pad: widths {tuple(pad)} crop more than there is in shape {input.shape}")
    if mode == "constant":
        fill = written("pad", 0 if value is None else number("pad", "value", value), input.dtype)
        return Pad.apply(input, widths=widths, value=fill)
    if value:
        raise ValueError(f"pad: mode {mode!r} takes no value, got {value}")
    _require_pixels(input, len(pad), widths, mode)
    if not any(pad):
        return clone(input)
    return PadBorder.apply(input, widths=widths, mode=mode)


def _require_pixels(x: Tensor, count: int, widths: Widths, mode: str) -> None:
    """What the modes that read pixels again ask of the shape."""
    if x.ndim not in _RANKS.get(count, ()):
        raise ValueError(
            f"pad: {count} widths for shape {x.shape}; mode {mode!r} pads the last dimension of 2 or 3, the "
            "last two of 3 or 4, or the last three of 4 or 5"
        )
    if x.dtype.kind == "b" and mode != "circular":
        raise TypeError(f"pad: mode {mode!r} takes numbers, got bool")
    spatial = count // 2
    may_be_empty = (0,) if x.ndim == spatial + 2 else ()
    if mode != "circular" and any(n == 0 for i, n in enumerate(x.shape) if i not in may_be_empty):
        raise ValueError(f"pad: only the batch may be empty, got shape {x.shape} for mode {mode!r}")
    for n, (before, after) in zip(x.shape[-spatial:], widths[-spatial:], strict=True):
        most = {"reflect": n - 1, "circular": n}.get(mode)
        if most is not None and max(before, after) > most:
            raise ValueError(
                f"pad: mode {mode!r} can pad {n} elements by {most} at most, got ({before}, {after}) "
                f"(shape {x.shape})"
            )
        out, kept = n + before + after, n + min(before, 0) + min(after, 0)
        if (out > 0 and kept <= 0) if mode == "circular" else out < 1:
            raise ValueError(
                f"pad: widths ({before}, {after}) leave nothing of {n} elements (shape {x.shape})"
            )
