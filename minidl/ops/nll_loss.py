"""Negative log-likelihood of class ids from log-probabilities: cross-entropy without the softmax.

Notation: x (N, C, *) logarithms of probabilities, y (N, *) class ids, w (C) class weights (1 by default),
valid pixels are those with y ≠ ignore_index, ℓ_i the loss of pixel i, g its cotangent.

    forward   ℓ_i = -w[y_i] · x_i[y_i],  0 at ignored pixels
              mean: Σ ℓ_i / Σ w[y_i] over the valid pixels;  sum: Σ ℓ_i;  none: ℓ
    backward  dx_i[y_i] = -g_i w[y_i],  0 elsewhere

``cross_entropy(z, y)`` is ``nll_loss(log_softmax(z, 1), y)`` in one operation.
"""

from __future__ import annotations

from typing import Any

from minidl._device import on
from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import array_module
from minidl.ops._labels import Labels, check_labels, checked_scores, class_view, moved
from minidl.ops._reduce import check_reduction, reduced, reduction_of


class NllLoss(Function):
    """ℓ = -w[y] x[y] for each pixel."""

    @staticmethod
    def forward(ctx: Node, x: Any, *, labels: Labels, shape: tuple[int, ...]) -> Any:
        ctx.labels, ctx.shape = labels, x.shape
        xp = array_module(x)
        scores = x.reshape(class_view(x.shape))
        picked = xp.take_along_axis(scores, labels.ids[:, None], axis=1)[:, 0]
        return labels.where_valid(-picked * labels.weights()).reshape(shape)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        labels = ctx.labels
        xp = array_module(g)
        dx = xp.zeros(class_view(ctx.shape), g.dtype)
        own = labels.where_valid(-g.reshape(labels.ids.shape) * labels.weights())
        xp.put_along_axis(dx, labels.ids[:, None], own[:, None], axis=1)
        return dx.reshape(ctx.shape)

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        n, _, m = class_view(ctx.shape)
        return (g.reshape((n, 1, m)) * Tensor(-ctx.labels.targets())).reshape(ctx.shape)


def nll_loss(
    input: Tensor,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood of class ids.

    Args:
        input: logarithms of probabilities, (C), (N, C) or (N, C, d1, ...), floating-point.
        target: class ids, integers of shape (), (N) or (N, d1, ...).
        weight: (C) weight of each class, or None.
        ignore_index: pixels of this id count neither in the loss nor in the gradient.
        size_average, reduce: former names of the reduction, taken with a warning, as by torch.
        reduction: ``"mean"`` (by the sum of the weights), ``"sum"`` or ``"none"``.

    Returns:
        a scalar, or with ``"none"`` the loss of each pixel.

    Raises:
        ValueError: shapes that do not fit, an unknown reduction.
        TypeError: an input that is not floating-point or targets that are not integers.
        IndexError: a class id outside 0..C-1.

    >>> import minidl
    >>> minidl.ops.nll_loss(minidl.tensor([[-0.5, -1.0], [-2.0, -0.25]]), minidl.tensor([0, 1]))
    tensor(0.375)
    """
    reduction = reduction_of("nll_loss", size_average, reduce, reduction)
    check_reduction("nll_loss", reduction)
    input = checked_scores("nll_loss", input)
    target = moved(target, input)
    with on(input.data):
        labels = check_labels("nll_loss", input, target, weight, ignore_index)
        losses = NllLoss.apply(input, labels=labels, shape=target.shape)
        return reduced(losses, reduction, labels.total_weight())
