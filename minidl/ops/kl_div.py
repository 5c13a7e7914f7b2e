"""Kullback-Leibler divergence of a target distribution from predicted log-probabilities.

Notation: x logarithms of the predicted probabilities, y target probabilities (or their logarithms), ℓ the
term of an element, g its cotangent.

    forward   ℓ = y (log y - x), 0 · log 0 being 0;   dx = -g y,       dy = g (log y + 1 - x)
    of logs   ℓ = e^y (y - x);                        dx = -g e^y,     dy = g (ℓ + e^y)

Shape rule: x and y have one shape. The divergence of two distributions is the *sum* over their elements: of a
batch of them (N, ...) the mean is ``reduction="batchmean"``, Σ ℓ / N; ``"mean"`` divides by the number of
elements, as torch does with a warning.
"""

from __future__ import annotations

from typing import Any

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import array_module
from minidl.ops._reduce import REDUCTIONS, check_reduction, checked_pair, reduced, reduction_of
from minidl.ops.exponential import exp, log


class KlDiv(Function):
    """ℓ = y (log y - x)."""

    @staticmethod
    def forward(ctx: Node, x: Any, y: Any) -> Any:
        xp = array_module(x)
        ctx.save(x, y)
        return xp.where(y == 0, y.dtype.type(0), y * xp.log(y)) - y * x

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, y = ctx.saved
        return -g * y, g * (array_module(g).log(y) + 1 - x) if ctx.needs_input_grad[1] else None

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        x, y = ctx.saved
        return -g * y, g * (log(y) + 1 - x) if ctx.needs_input_grad[1] else None


class KlDivOfLogs(Function):
    """ℓ = e^y (y - x)."""

    @staticmethod
    def forward(ctx: Node, x: Any, y: Any) -> Any:
        ctx.save(x, y)
        return array_module(x).exp(y) * (y - x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, y = ctx.saved
        e = array_module(g).exp(y)
        return -g * e, g * (y - x + 1) * e if ctx.needs_input_grad[1] else None

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        x, y = ctx.saved
        e = exp(y)
        return -g * e, g * (y - x + 1) * e if ctx.needs_input_grad[1] else None

    @classmethod
    def operation(cls) -> str:
        return "kl_div"


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """Kullback-Leibler divergence of ``target`` from the prediction ``input``, element by element, reduced.

    Args:
        input: logarithms of the predicted probabilities, any shape.
        target: probabilities, of the same shape and dtype; with ``log_target`` their logarithms.
        size_average, reduce: former names of the reduction, taken with a warning, as by torch.
        reduction: ``"batchmean"`` (the sum divided by the first extent: the divergence itself), ``"sum"``,
            ``"mean"`` over all elements (the default, as in torch) or ``"none"``.
        log_target: whether the target is given as logarithms.

    Raises:
        ValueError: shapes that differ, an unknown reduction, or ``"batchmean"`` of a 0-d tensor.
        TypeError: dtypes that differ or are not floating-point.

    >>> import minidl
    >>> even, skewed = minidl.tensor([[0.5, 0.5]]), minidl.tensor([[1.0, 0.0]])
    >>> minidl.ops.kl_div(even.log(), skewed, reduction="batchmean")          # ln 2
    tensor(0.6931472)
    """
    reduction = reduction_of("kl_div", size_average, reduce, reduction)
    input, target = checked_pair("kl_div", input, target)
    check_reduction("kl_div", reduction, (*REDUCTIONS, "batchmean"))
    terms = (KlDivOfLogs if log_target else KlDiv).apply(input, target)
    if reduction != "batchmean":
        return reduced(terms, reduction)
    if input.ndim == 0:
        raise ValueError('kl_div: reduction "batchmean" needs a batch, got a 0-d input')
    return reduced(terms, "sum") / float(input.shape[0])
