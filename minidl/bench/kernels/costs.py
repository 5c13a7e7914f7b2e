"""What a case must at least do: FLOPs of its definition, and bytes, each array once.

Convolutions count as in ``minidl/bench/costs.py``: two for each product of a tap and a pixel, whatever
algorithm runs. For the rest every addition, product, division, comparison, root, exponential, logarithm, tanh
and erf of the formula in ``kernels/reference`` is one. These kernels wait for memory, so nothing hangs on it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from minidl.bench.costs import ADAM_TRAFFIC, FLOAT, SGD_TRAFFIC, Cost, products
from minidl.bench.kernels.case import Call, Case, arrays_of

#: FLOPs for each element of the first argument.
EACH = {
    "activations.relu": 1,  # max
    "activations.relu_backward": 1,
    "activations.bias_relu": 2,
    "activations.leaky_relu": 2,
    "activations.leaky_relu_backward": 2,
    "activations.hardswish": 5,  # x · min(max(x + 3, 0), 6) / 6
    "activations.hardswish_backward": 5,
    "activations.sigmoid": 4,  # 1 / (1 + e^-x)
    "activations.sigmoid_backward": 3,  # g y (1 - y)
    "activations.tanh": 1,
    "activations.tanh_backward": 3,  # g (1 - y²)
    "activations.silu": 5,  # x times a sigmoid
    "activations.silu_backward": 9,  # g s (1 + x (1 - s))
    "activations.elu": 4,
    "activations.elu_backward": 4,
    "activations.softplus": 6,
    "activations.softplus_backward": 6,
    "activations.gelu": 5,  # x (1 + erf(x / √2)) / 2
    "activations.gelu_backward": 11,  # Φ has 4, φ has 4, g (Φ + x φ) three more
    "activations.gelu_tanh": 9,
    "activations.gelu_tanh_backward": 17,
    "arithmetic.add": 1,
    "arithmetic.add_to_rows": 1,
    "dropout.forward": 1,  # the product; drawing is integers
    "dropout.backward": 1,
    "max_unpool2d.put": 0,
    "max_unpool2d.stayed": 0,
    "max_unpool2d.scatter_add": 1,
    "softmax.forward": 5,  # max, difference, e^, sum, quotient
    "softmax.backward": 4,  # g p, its sum, difference, product
    "softmax.log_forward": 5,
    "softmax.log_backward": 4,
    "cross_entropy.forward": 7,  # of each logit: log softmax, and two for its slope
    "normalize.forward": 8,  # mean 1, squares 3, then - · · +
    "normalize.backward": 11,  # x̂ 2, two sums 3, γ g 1, the two means' parts and the scale 5
    "normalize.forward_given": 4,
    "normalize.backward_given": 7,
    "reductions.sum": 1,
    "confusion.matrix": 1,
    "unfold.forward": 0,
    "unfold.backward": 1,
    "conv2d.backward_bias": 1,
}
#: FLOPs for each parameter of a step.
ADAM, SGD = 14, 5

Named = dict[str, Any]


def _window(a: Named) -> int:
    """Pixels of a window."""
    return prod(a["kernel"])


def _taps(a: Named) -> int:
    """FLOPs for each output of a resampling: a product and a sum for each weight; copies have none."""
    weighted = [taps for taps in (a["vertical"], a["horizontal"]) if taps[0][1] is not None]
    return 2 * prod(len(taps) for taps in weighted) if weighted else 0


def _areas(a: Named) -> int:
    """Pixels of all windows of one plane."""
    return prod(sum(end - begin for begin, end in a[axis]) for axis in ("vertical", "horizontal"))


def _fused_backward(a: Named, out: int) -> int:
    return sum(a["needed"]) * products(a["g"].size, a["weight"].shape) + 2 * a["g"].size


#: FLOPs from the arguments by name and the size of the first result, for what is not in :data:`EACH`.
FORMULAS: dict[str, Callable[[Named, int], int]] = {
    "conv2d.forward": lambda a, out: products(out, a["weight"].shape),
    "conv2d.backward_data": lambda a, out: products(a["g"].size, a["weight"].shape),
    "conv2d.backward_weight": lambda a, out: products(a["g"].size, a["weight_shape"]),
    "fused_conv2d.forward": lambda a, out: products(out, a["weight"].shape) + 2 * out,
    "fused_conv2d.backward": _fused_backward,
    "gemm.multiply": lambda a, out: 2 * out * a["a"].shape[-1],
    "max_pool2d.forward": lambda a, out: out * _window(a),
    "max_pool2d.backward": lambda a, out: a["g"].size,
    "avg_pool2d.forward": lambda a, out: out * _window(a),
    "avg_pool2d.backward": lambda a, out: a["g"].size * (1 + _window(a)),
    "adaptive_avg_pool2d.forward": lambda a, out: prod(a["x"].shape[:2]) * _areas(a),
    "adaptive_avg_pool2d.backward": lambda a, out: prod(a["x_shape"][:2]) * _areas(a) + a["g"].size,
    "interpolate.forward": lambda a, out: out * _taps(a),
    "interpolate.backward": lambda a, out: a["g"].size * max(1, _taps(a)),
    "max_unpool2d.gather": lambda a, out: 0,
    "cross_entropy.backward": lambda a, out: out,
    "cat.forward": lambda a, out: 0,
    "cat.backward": lambda a, out: 0,
    "adam.step": lambda a, out: ADAM * sum(row[0].size for row in a["rows"]),
    "sgd.step": lambda a, out: SGD * sum(row[0].size for row in a["rows"]),
}


def flops(case: Case, call: Call, results: Any) -> int:
    """Of one call.

    Args:
        case: the function.
        call: its arguments.
        results: what it gives.
    """
    if case.about in EACH:
        return EACH[case.about] * int(arrays_of(call.args)[0].size)
    return int(
        FORMULAS[case.about](case.named(call), max((int(a.size) for a in arrays_of(results)), default=0))
    )


def _nbytes(arrays: list[Any]) -> int:
    """Of different arrays; every number of floating point counts with four bytes."""
    different = {id(a): a for a in arrays}.values()
    return sum(a.size * (FLOAT if a.dtype.kind == "f" else a.itemsize) for a in different)


def cost(case: Case, call: Call, results: Any) -> Cost:
    """FLOPs, and the least bytes: all arguments read, all results written, each once; parameters both.

    Args:
        case: the function.
        call: its arguments.
        results: what it gives; for a function that works in place, not needed.

    >>> import numpy as np
    >>> from minidl.bench.kernels.cases import find
    >>> x = np.zeros((2, 3, 4, 4), np.float32)
    >>> cost(find("arithmetic-add"), Call((x, x + 1)), x)
    Cost(flops=96, bytes=1152)
    """
    given = arrays_of(call)
    if case.operation in ("adam", "sgd"):
        traffic = ADAM_TRAFFIC if case.operation == "adam" else SGD_TRAFFIC
        moved = traffic * FLOAT * sum(row[0].size for row in call.args[0])
    elif case.in_place:
        moved = _nbytes(given) + _nbytes(given[:1])
    elif case.about == "cat.backward":
        moved = 2 * _nbytes(given)  # for whoever copies: the pieces can be views
    else:
        moved = _nbytes(given) + _nbytes(arrays_of(results))
    return Cost(flops(case, call, results), int(moved))
