"""Element-wise operations and losses at the ends of the range: values, slopes and slopes of slopes.

Every number here follows from the function's limits, or from its formula by hand.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import minidl
from minidl import ops
from minidl.autograd import grad

FAR = {np.float32: (1e4, 1e10, 1e20, 3e38), np.float64: (1e4, 1e20, 1e160, 1e308)}

#: Far below and far above 0: value and slope, where value None is the number itself. Nothing bends there.
LIMITS = {
    "sigmoid": (ops.sigmoid, (0, 0), (1, 0)),
    "tanh": (ops.tanh, (-1, 0), (1, 0)),
    "silu": (ops.silu, (0, 0), (None, 1)),
    "gelu": (ops.gelu, (0, 0), (None, 1)),
    "gelu of tanh": (lambda x: ops.gelu(x, approximate="tanh"), (0, 0), (None, 1)),
    "elu": (ops.elu, (-1, 0), (None, 1)),
    "softplus": (ops.softplus, (0, 0), (None, 1)),
    "hardswish": (ops.hardswish, (0, 0), (None, 1)),
    "relu": (ops.relu, (0, 0), (None, 1)),
}


@pytest.mark.parametrize("dtype", FAR)
@pytest.mark.parametrize("name", LIMITS)
def test_limits_of_activations(name, dtype):
    function, below, above = LIMITS[name]
    far = np.array(FAR[dtype], dtype)
    for values, (limit, slope) in ((-far, below), (far, above)):
        x = minidl.tensor(values, requires_grad=True)
        y = function(x)
        np.testing.assert_array_equal(
            y.detach().numpy(), values if limit is None else np.full_like(values, limit)
        )
        g = minidl.tensor(np.full(len(far), 2.0, dtype))
        (first,) = grad(y, x, g, create_graph=True)
        for gradient in (first, *grad(y, x, g, retain_graph=True)):
            np.testing.assert_array_equal(gradient.detach().numpy(), 2.0 * slope)
        if first.requires_grad:
            (second,) = grad(first, x, g, allow_unused=True)
            assert second is None or not second.numpy().any()


def constant(value):
    return minidl.tensor(np.float32(value))


#: Operation, operands (float32), cotangent, result or None (infinite), gradients.
ROWS = {
    "mse_loss of a mean": (
        ops.mse_loss,
        [[2e38, 0, 0, 0], [-1e38, 0, 0, 0]],
        1,
        None,
        [[1.5e38, 0, 0, 0], [-1.5e38, 0, 0, 0]],
    ),
    "smooth_l1_loss of tiny numbers": (
        lambda x, y: ops.smooth_l1_loss(x, y, reduction="sum", beta=1e-30),
        [[5e-31], [0]],
        1,
        1.25e-31,
        [[0.5], [-0.5]],
    ),
    "smooth_l1_loss of huge numbers": (
        lambda x, y: ops.smooth_l1_loss(x, y, reduction="sum", beta=1e30),
        [[5e29], [0]],
        1,
        1.25e29,
        [[0.5], [-0.5]],
    ),
    "smooth_l1_loss beyond a tiny beta": (
        lambda x, y: ops.smooth_l1_loss(x, y, reduction="sum", beta=1e-30),
        [[1e38], [-1e38]],
        1,
        2e38,
        [[1], [-1]],
    ),
    "the target's gradient of binary cross-entropy": (
        lambda x, y: ops.binary_cross_entropy_with_logits(x, y, reduction="sum"),
        [[1e-10, -1e-30, 1e38, -1e38], [1, 0, 1, 0]],
        1,
        2 * math.log(2),
        [[-0.5, 0.5, 0, 0], [-1e-10, 1e-30, -1e38, 1e38]],
    ),
    "the same with a weight of 1": (
        lambda x, y: ops.binary_cross_entropy_with_logits(x, y, reduction="sum", pos_weight=constant(1)),
        [[1e-10, -1e-30], [1, 0]],
        1,
        2 * math.log(2),
        [[-0.5, 0.5], [-1e-10, 1e-30]],
    ),
    "the same with a small weight": (
        lambda x, y: ops.binary_cross_entropy_with_logits(x, y, reduction="sum", pos_weight=constant(1e-9)),
        [[-10.0], [1]],
        1,
        1e-9 * math.log1p(math.exp(10)),
        [[-1e-9 / (1 + math.exp(-10))], [1e-9 * math.log1p(math.exp(10)) - math.log1p(math.exp(-10))]],
    ),
    "kl_div of logarithms": (
        lambda x, y: ops.kl_div(x, y, reduction="sum", log_target=True),
        [[-3e38], [-80]],
        1e-10,
        3e38 * math.exp(-80),
        [[-(2.0**-149)], [1e-10 * 3e38 * math.exp(-80)]],
    ),
    "div by a tiny number": (ops.div, [[-1e-30], [-1e-10]], 1e-25, 1e-20, [[-1e-15], [1e-35]]),
    "div by a huge number": (ops.div, [[-1e30], [-1e15]], 1e25, 1e15, [[-1e10], [1e25]]),
    "rsqrt of a tiny number": (ops.rsqrt, [[1e-30]], 1e-30, 1e15, [[-5e14]]),
    "rsqrt of a huge number": (ops.rsqrt, [[1e30]], 1e30, 1e-15, [[-5e-16]]),
    "pow of a tiny number and 0": (ops.pow, [[1e-45], [0]], 1, 1, [[0], [math.log(1.4012984643e-45)]]),
    "softmax": (lambda x: ops.softmax(x, 0), [[1e38, 0, -1e38]], 1, [1, 0, 0], [[0, 0, 0]]),
    "log_softmax": (lambda x: ops.log_softmax(x, 0), [[1e38, 0, -1e38]], 1, [0, -1e38, -2e38], [[-2, 1, 1]]),
    "cross_entropy": (
        lambda x: ops.cross_entropy(x, minidl.tensor(np.array([1]))),
        [[[1e38, -1e38]]],
        1,
        2e38,
        [[[1, -1]]],
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_values_and_gradients_of_float32(name):
    function, operands, cotangent, value, expected = ROWS[name]
    xs = [minidl.tensor(np.array(values, np.float32), requires_grad=True) for values in operands]
    y = function(*xs)
    np.testing.assert_allclose(y.detach().numpy(), math.inf if value is None else value, rtol=1e-6)
    g = minidl.tensor(np.full(y.shape, cotangent, np.float32))
    recorded = grad(y, xs, g, create_graph=True)
    for gradients in (recorded, grad(y, xs, g)):
        for gradient, numbers in zip(gradients, expected, strict=True):
            np.testing.assert_allclose(gradient.detach().numpy(), np.array(numbers, np.float64), rtol=2e-6)
