"""Binary cross-entropy from logits, for each element on its own: sigmoid and logarithm in one.

Notation: x logits, y targets (probabilities of the positive class), p the weight of the positive class (1 by
default), w a weight for each element (1 by default), σ the sigmoid, s(x) = log(1 + e^x) = -log σ(-x), ℓ the
loss of an element, g its cotangent.

    forward   ℓ = -w [p y log σ(x) + (1 - y) log(1 - σ(x))] = w [p y s(-x) + (1 - y) s(x)]
              s(x) = log(1 + e^-|x|) + max(x, 0), which never overflows
    backward  dx = g [(1 - y) σ(x) - p y σ(-x)],  without p: g [σ(x) - y]
              dy = g [p s(-x) - s(x)],            without p: -g x
                 = g [(p - 1) log(1 + e^-|x|) - max(x, 0) + p max(-x, 0)]

In both no two large terms cancel: an unlikely positive keeps its small loss and its small slope, and near
x = 0 dy keeps its digits.

Shape rule: x and y have one shape, to which w and p broadcast; the mean is a scalar and divides by the number
of elements, whatever w is; ``reduction="none"`` gives ℓ. w and p are constants: they get no gradient.
"""

from __future__ import annotations

from typing import Any

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.dispatch import array_module
from minidl.ops._labels import moved
from minidl.ops._reduce import check_reduction, checked_pair, reduced, reduction_of
from minidl.ops._shapes import broadcast
from minidl.ops.activations import sigmoid
from minidl.ops.where import choose


class BinaryCrossEntropyWithLogits(Function):
    """ℓ = p y s(-x) + (1 - y) s(x)."""

    @staticmethod
    def forward(ctx: Node, x: Any, y: Any, pos_weight: Any) -> Any:
        ctx.save(x, y, pos_weight)
        of_positive, of_negative = _softplus(x)
        return pos_weight * y * of_positive + (1 - y) * of_negative

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, y, pos_weight = ctx.saved
        xp = array_module(x)
        small = xp.exp(-abs(x))
        larger, smaller = 1 / (1 + small), small / (1 + small)
        upper, lower = xp.where(x >= 0, larger, smaller), xp.where(x >= 0, smaller, larger)
        dx = g * ((1 - y) * upper - pos_weight * y * lower)  # σ(x) and σ(-x)
        if not ctx.needs_input_grad[1]:
            return dx, None, None
        near = xp.log1p(small)
        return dx, g * ((pos_weight - 1) * near - xp.where(x >= 0, x, pos_weight * x)), None

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        x, y, pos_weight = ctx.saved
        dx = g * ((1 - y) * sigmoid(x) - pos_weight * y * sigmoid(-x))
        if not ctx.needs_input_grad[1]:
            return dx, None, None
        if not isinstance(pos_weight, Tensor):
            return dx, -g * x, None
        # s(-x) and s(x) are the losses of the targets 1 and 0; their difference is -x.
        xp = array_module(x.data)
        of_positive, of_negative = (
            BinaryCrossEntropyWithLogits.apply(x, Tensor(constant(x.data)), 1.0)
            for constant in (xp.ones_like, xp.zeros_like)
        )
        less, more = pos_weight * of_positive - of_negative, (pos_weight - 1) * of_positive - x
        return dx, g * choose(pos_weight < 1, less, more), None


def _softplus(x: Any) -> tuple[Any, Any]:
    """s(-x) and s(x), s(x) = log(1 + e^x), without overflow."""
    xp = array_module(x)
    near = xp.log1p(xp.exp(-abs(x)))
    return near + xp.maximum(-x, 0), near + xp.maximum(x, 0)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Tensor:
    """Binary cross-entropy of logits, averaged by default.

    Args:
        input: logits, any shape, floating-point; not probabilities.
        target: 0, 1 or a probability for each, of the same shape and dtype.
        weight: factor of each loss, broadcast to the input's shape, or None.
        size_average, reduce: former names of the reduction, taken with a warning, as by torch.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        pos_weight: factor of the positive part alone, broadcast to the input's shape, or None: more than 1
            for positives that are rare.

    Raises:
        ValueError: shapes that do not fit, or an unknown reduction.
        TypeError: dtypes that differ or are not floating-point.

    >>> import minidl
    >>> x, y = minidl.tensor([0.0, 1000.0, -1000.0]), minidl.tensor([1.0, 1.0, 1.0])
    >>> minidl.ops.binary_cross_entropy_with_logits(x, y, reduction="none")
    tensor([6.931472e-01, 0.000000e+00, 1.000000e+03])
    """
    reduction = reduction_of("binary_cross_entropy_with_logits", size_average, reduce, reduction)
    input, target = checked_pair("binary_cross_entropy_with_logits", input, target)
    check_reduction("binary_cross_entropy_with_logits", reduction)
    positive = 1.0 if pos_weight is None else _constant("pos_weight", pos_weight, input)
    losses = BinaryCrossEntropyWithLogits.apply(input, target, positive)
    if weight is not None:
        losses = losses * _constant("weight", weight, input)
    return reduced(losses, reduction)


def _constant(name: str, value: Any, input: Tensor) -> Tensor:
    """A weight without its gradient, which must broadcast to the input's shape."""
    operation = "binary_cross_entropy_with_logits"
    value = moved(value, input, input.dtype).detach()
    if value.dtype != input.dtype:
        raise TypeError(f"{operation}: {name} is {value.dtype}, but the input {input.dtype}")
    if broadcast(operation, value.shape, input.shape) != input.shape:
        raise ValueError(
            f"{operation}: {name} of shape {value.shape} does not broadcast to the input {input.shape}"
        )
    return value
