"""Softmax cross-entropy from logits (equations E3, E6, E7).

Notation: z (N, C, *) logits, y (N, *) class ids, w (C) class weights (1 by default), p = softmax(z), valid
pixels are those with y ≠ ignore_index, ℓ_i the loss of pixel i, g the cotangent of the result.

    forward   ℓ_i = -w[y_i] · log p_i[y_i],   log p = (z - max z) - log Σ e^(z - max z)
              mean: L = Σ ℓ_i / Σ w[y_i] over the valid pixels
              sum:  L = Σ ℓ_i
              none: ℓ, 0 at ignored pixels
    backward  dz_i = g · w[y_i] / Σ w[y] · (p_i - onehot(y_i)),  0 at ignored pixels

The document's E3 is L = -(1/N) Σ_i Σ_j y_ij log ŷ_ij with one-hot y: the inner sum picks the one term written
above. For a segmentation i runs over all valid pixels of all images, and with class weights the mean divides
by the sum of the weights, not by N. δ = ŷ - y (E7) is the backward without weights; with the mean it carries
the 1/N.

The loss is computed from logits: log of a probability that has rounded to 0 would be -inf. With every pixel
ignored the mean is 0/0 = NaN, as torch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import array_module, kernels

REDUCTIONS = ("mean", "sum", "none")


class CrossEntropy(Function):
    """L = -Σ w[y] log softmax(z)[y] / Σ w[y]."""

    @staticmethod
    def forward(ctx: Node, z: Any, target: Any, weight: Any, *, ignore_index: int, reduction: str) -> Any:
        ctx.kernels = kernels("cross_entropy", z)
        logits, labels = z.reshape(*z.shape[:2], -1), target.reshape(target.shape[0], -1)
        losses, log_p, pixel_weight = ctx.kernels.forward(logits, labels, weight, ignore_index)
        ctx.save(log_p, labels, pixel_weight)
        ctx.shape, ctx.ignore_index, ctx.total = z.shape, ignore_index, None
        if reduction == "none":
            return losses.reshape(target.shape)
        loss = losses.sum()
        if reduction == "mean":
            ctx.total = pixel_weight.sum()
            loss = loss / ctx.total
        return loss

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        log_p, labels, pixel_weight = ctx.saved
        if ctx.total is not None:
            g = g / ctx.total
        g = g.reshape(labels.shape) if g.ndim else array_module(g).full(labels.shape, g)
        dz = ctx.kernels.backward(g, log_p, labels, pixel_weight, ctx.ignore_index)
        return dz.reshape(ctx.shape), None, None


def cross_entropy(
    input: Tensor,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy of logits against class ids.

    Args:
        input: logits, (N, C) or (N, C, d1, ...), floating-point; not probabilities.
        target: class ids, integers of shape (N) or (N, d1, ...).
        weight: (C) weight of each class, or None.
        ignore_index: pixels of this id count neither in the loss nor in the gradient.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        a scalar, or with ``"none"`` the loss of each pixel.

    Raises:
        ValueError: shapes that do not fit, an unknown reduction.
        TypeError: logits that are not floating-point or targets that are not integers.
        IndexError: a class id outside 0..C-1.

    >>> import minidl
    >>> logits = minidl.tensor([[0.0, 0.0], [0.0, 1000.0]], requires_grad=True)
    >>> loss = minidl.ops.cross_entropy(logits, minidl.tensor([0, 1]))
    >>> loss.backward()
    >>> round(loss.item(), 4), logits.grad          # (ln 2 + 0) / 2, and (p - onehot) / 2
    (0.3466, tensor([[-0.25,  0.25],
            [ 0.  ,  0.  ]]))
    """
    target = target if isinstance(target, Tensor) else Tensor(np.asarray(target))
    if input.dtype.kind != "f":
        raise TypeError(f"cross_entropy: logits must be floating-point, got {input.dtype}")
    if target.dtype.kind not in "iu":
        raise TypeError(f"cross_entropy: targets must be integer class ids, got {target.dtype}")
    if input.ndim < 2 or target.shape != (input.shape[0], *input.shape[2:]):
        raise ValueError(
            f"cross_entropy: logits (N, C, ...) of shape {input.shape} do not fit "
            f"targets (N, ...) of shape {target.shape}"
        )
    if reduction not in REDUCTIONS:
        raise ValueError(
            f"cross_entropy: reduction must be one of {', '.join(REDUCTIONS)}, got {reduction!r}"
        )
    classes = input.shape[1]
    labels = target.data.astype(np.int64, copy=False)
    bad = (labels != ignore_index) & ((labels < 0) | (labels >= classes))
    if bad.any():
        raise IndexError(
            f"cross_entropy: class id {int(labels[bad][0])} is not in 0..{classes - 1} "
            f"(logits {input.shape}) and is not ignore_index ({ignore_index})"
        )
    if weight is not None:
        weight = weight if isinstance(weight, Tensor) else Tensor(np.asarray(weight, input.dtype))
        if weight.shape != (classes,):
            raise ValueError(f"cross_entropy: weight must have shape ({classes},), got {weight.shape}")
        weight = weight.detach()
    target = target if labels is target.data else Tensor(labels)  # the tensor itself: it knows of changes
    return CrossEntropy.apply(input, target, weight, ignore_index=ignore_index, reduction=reduction)
