"""Softmax cross-entropy from logits (equations E3, E6, E7).

Notation: z (N, C, *) logits, y (N, *) class ids, w (C) class weights (1 by default), ε label smoothing (0 by
default), p = softmax(z), valid pixels are those with y ≠ ignore_index, ℓ_i the loss of pixel i, g its
cotangent.

    forward   ℓ_i = -Σ_c t_ic log p_ic,   t_ic = (1 - ε) w[y_i] · [c = y_i] + (ε/C) w_c
              log p = (z - max z) - log Σ e^(z - max z);  without smoothing ℓ_i = -w[y_i] · log p_i[y_i]
              mean: L = Σ ℓ_i / Σ w[y_i] over the valid pixels
              sum:  L = Σ ℓ_i
              none: ℓ, 0 at ignored pixels
    backward  dz_i = g_i · (p_i Σ_c t_ic - t_i),  0 at ignored pixels;
              without smoothing and weights dz_i = g_i · (p_i - onehot(y_i))

With probabilities q (N, C, *) as target t_ic = w_c ((1 - ε) q_ic + ε/C), and the mean divides by the number
of pixels, as in torch.

The document's E3 is L = -(1/N) Σ_i Σ_j y_ij log ŷ_ij with one-hot y: the inner sum picks the one term written
above. For a segmentation i runs over all valid pixels of all images, and with class weights the mean divides
by the sum of the weights, not by N. δ = ŷ - y (E7) is the backward without weights; with the mean it carries
the 1/N.

The loss is computed from logits: log of a probability that has rounded to 0 would be -inf. With every pixel
ignored the mean is 0/0 = NaN, as torch.
"""

from __future__ import annotations

from typing import Any

from minidl._device import on
from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import kernels
from minidl.ops._labels import Labels, check_labels, check_weight, checked_scores, class_view, moved
from minidl.ops._reduce import check_reduction, reduced, reduction_of
from minidl.ops.reductions import sum as sum_of
from minidl.ops.softmax import log_softmax, softmax


class CrossEntropy(Function):
    """ℓ = -Σ_c t_c log softmax(z)_c for each pixel.

    dℓ/dz needs nothing that the forward does not have at hand, so it is computed there, if anybody will ask
    for it; the backward only multiplies by the cotangent.
    """

    @staticmethod
    def forward(ctx: Node, z: Any, *, labels: Labels, shape: tuple[int, ...]) -> Any:
        ctx.kernels, ctx.labels = kernels("cross_entropy", z), labels
        losses, slope = ctx.kernels.forward(
            z.reshape(class_view(z.shape)), *labels, slope=ctx.needs_input_grad[0]
        )
        ctx.save(z, slope)
        return losses.reshape(shape)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        z, slope = ctx.saved
        labels = ctx.labels
        return ctx.kernels.backward(g.reshape(labels.ids.shape), slope, labels.valid).reshape(z.shape)

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        z, _ = ctx.saved
        n, c, m = class_view(z.shape)
        t = ctx.labels.targets()
        p = softmax(z.reshape((n, c, m)), 1)
        dz = g.reshape((n, 1, m)) * (p * Tensor(t.sum(axis=1, keepdims=True)) - Tensor(t))
        return dz.reshape(z.shape)


def cross_entropy(
    input: Tensor,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy of logits against class ids, or against probabilities.

    Args:
        input: logits, (C), (N, C) or (N, C, d1, ...), floating-point; not probabilities.
        target: class ids, integers of shape (), (N) or (N, d1, ...); or probabilities of the classes,
            floating-point of the logits' shape, which may require a gradient.
        weight: (C) weight of each class, or None.
        ignore_index: pixels of this id count neither in the loss nor in the gradient.
        size_average, reduce: former names of the reduction, taken with a warning, as by torch.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        label_smoothing: the share of the target that is spread evenly over all classes, 0 to 1.

    Returns:
        a scalar, or with ``"none"`` the loss of each pixel.

    Raises:
        ValueError: shapes that do not fit, an unknown reduction, smoothing outside 0..1, or probabilities
            together with an ``ignore_index`` of 0 or more.
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
    reduction = reduction_of("cross_entropy", size_average, reduce, reduction)
    check_reduction("cross_entropy", reduction)
    input = checked_scores("cross_entropy", input)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing must be between 0 and 1, got {label_smoothing}")
    target = moved(target, input)
    if target.dtype.kind == "f" and target.shape == input.shape:
        if ignore_index >= 0:
            raise ValueError(
                f"cross_entropy: probabilities as target have no ignore_index (got {ignore_index})"
            )
        with on(input.data):
            return reduced(_of_probabilities(input, target, weight, label_smoothing), reduction)
    with on(input.data):
        labels = check_labels("cross_entropy", input, target, weight, ignore_index, label_smoothing)
        losses = CrossEntropy.apply(input, labels=labels, shape=target.shape)
        return reduced(losses, reduction, labels.total_weight())


def _of_probabilities(z: Tensor, q: Tensor, weight: Any, smoothing: float) -> Tensor:
    """-Σ_c w_c q_c log p_c for each pixel, made of operations: the target may need a gradient too."""
    axis = 0 if z.ndim == 1 else 1
    if q.dtype != z.dtype:
        q = q.astype(z.dtype)
    if smoothing > 0:
        q = q * (1 - smoothing) + smoothing / z.shape[axis]
    w = check_weight("cross_entropy", weight, z).reshape(-1, *(1,) * (z.ndim - axis - 1))
    return -sum_of(log_softmax(z, axis) * q * Tensor(w), axis)
