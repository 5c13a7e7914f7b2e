"""Padding with a constant, or cropping where the padding is negative.

Notation: y[i + left] = x[i], the constant elsewhere. The adjoint crops g where x was padded, and pads it with
zeros where x was cropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import array_module

Widths = tuple[tuple[int, int], ...]


class Pad(Function):
    """y = x with ``widths`` constants before and after on each axis."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, widths: Widths, value: float) -> Any:
        ctx.widths = widths
        return _pad(x, widths, value)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return _pad(g, tuple((-a, -b) for a, b in ctx.widths), 0)


def _pad(x: Any, widths: Widths, value: float) -> Any:
    shape = tuple(n + a + b for n, (a, b) in zip(x.shape, widths, strict=True))
    y = array_module(x).full(shape, value, x.dtype)
    source = tuple(slice(max(0, -a), n - max(0, -b)) for n, (a, b) in zip(x.shape, widths, strict=True))
    target = tuple(slice(max(0, a), n - max(0, b)) for n, (a, b) in zip(shape, widths, strict=True))
    y[target] = x[source]
    return y


def pad(x: Tensor, pad: Sequence[int], mode: str = "constant", value: float = 0.0) -> Tensor:
    """Pad the last dimensions with a constant; the *last* dimension comes first, as in torch.

    Args:
        x: any shape.
        pad: (left, right) for the last dimension, or (left, right, top, bottom) for the last two, and so on;
            negative ones crop.
        mode: ``"constant"``.
        value: the constant.

    Raises:
        ValueError: an odd number of widths, more of them than dimensions, a mode that is not there, or
            nothing left after cropping.

    >>> import minidl
    >>> minidl.ops.pad(minidl.tensor([[1, 2]]), (1, 0, 0, 1))
    tensor([[0, 1, 2],
            [0, 0, 0]])
    """
    if mode != "constant":
        raise ValueError(f"pad: mode must be 'constant', got {mode!r}")
    if len(pad) % 2 or len(pad) > 2 * x.ndim:
        raise ValueError(
            f"pad: {len(pad)} widths for shape {x.shape}; "
            "give two for each padded dimension, the last one first"
        )
    pairs = [(int(pad[i]), int(pad[i + 1])) for i in range(0, len(pad), 2)][::-1]
    widths = ((0, 0),) * (x.ndim - len(pairs)) + tuple(pairs)
    if any(n + a + b < 0 or n + min(a, 0) + min(b, 0) < 0 for n, (a, b) in zip(x.shape, widths, strict=True)):
        raise ValueError(f"pad: widths {tuple(pad)} crop more than there is in shape {x.shape}")
    return Pad.apply(x, widths=widths, value=value)
