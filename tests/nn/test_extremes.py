"""Normalisation and clipping at the ends of a format's range, where squares and powers would leave it.

On the host only: a GPU's kernels take the squares of normalisation in the format, as torch's do everywhere.
"""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pytest

import minidl
from minidl import ops
from minidl.autograd import grad
from oracles import exact
from oracles.exact import NUMBERS, SIZES, leaf, near

CASES = [(dtype, size) for dtype, sizes in SIZES.items() for size in sizes]


def _cases(of):
    chosen = [(dtype, size) for dtype, size in CASES if of(dtype, size)]
    ids = [f"{dtype.__name__} {size:g}" for dtype, size in chosen]
    return pytest.mark.parametrize(("dtype", "size"), chosen, ids=ids)


#: The deviation's inverse is in range; the sum of all numbers is.
invertible = _cases(lambda dtype, size: 1 / size < float(np.finfo(dtype).max) / 4)
summable = _cases(lambda dtype, size: size < 1e38 or dtype == np.float64)

NORMS = {
    "batch_norm": lambda x, eps: ops.batch_norm(x, None, None, training=True, eps=eps),
    "instance_norm": lambda x, eps: ops.instance_norm(x, eps=eps),
    "group_norm": lambda x, eps: ops.group_norm(x, 2, eps=eps),
    "layer_norm": lambda x, eps: ops.layer_norm(x, (6,), eps=eps),
}


@invertible
@pytest.mark.parametrize("name", NORMS)
def test_normalised_values_and_their_gradients(name, dtype, size):
    """Where 1/deviation is in range; with an ε that is nothing beside the variance, or none."""
    eps = 1e-5 if size > 1e10 else 5e-324 if name == "batch_norm" else 0.0
    x = leaf(NUMBERS.reshape(1, 1, 6) * size if name != "layer_norm" else NUMBERS * size, dtype)
    if name == "group_norm":
        x = leaf(np.stack([NUMBERS * size, NUMBERS[::-1] * size])[None], dtype)
    g = np.array([1.0, 0.5, -2.0, 3.0, 0.25, -1.0])
    y = NORMS[name](x, eps)
    gradient = minidl.tensor(np.resize(g, y.shape).astype(dtype))
    (dx,) = grad(y, x, gradient, retain_graph=True)
    (dx_again,) = grad(y, x, gradient, create_graph=True)
    for group in np.ndindex(x.shape[:-1]):
        values = exact.decimals(x.detach().numpy()[group])
        xhat, expected = exact.standardised(values, exact.decimals(g), eps)
        near(y.detach().numpy()[group], exact.rounded(xhat, (6,)), dtype)
        for found in (dx, dx_again):
            near(found.detach().numpy()[group], exact.rounded(expected, (6,)), dtype, ulps=64)


@pytest.mark.parametrize("dtype", SIZES)
def test_normalised_values_of_groups_of_any_size_side_by_side(dtype):
    sizes = (1e-15, 1.0, 1e20, 1e37) if dtype == np.float32 else (1e-150, 1.0, 1e160, 1e300)
    rows = np.outer(sizes, NUMBERS).astype(dtype)
    y = ops.layer_norm(minidl.tensor(rows), (6,), eps=0.0).numpy()
    of_planes = ops.batch_norm(
        minidl.tensor(rows.T.reshape(6, 4, 1, 1)), None, None, training=True, eps=5e-324
    )
    for row, line, plane in zip(rows, y, of_planes.numpy()[:, :, 0, 0].T, strict=True):
        xhat, _ = exact.standardised(exact.decimals(row), exact.decimals(NUMBERS), 0.0)
        near(line, exact.rounded(xhat, (6,)), dtype)
        near(plane, exact.rounded(xhat, (6,)), dtype)


def test_a_group_of_equal_huge_numbers_is_normalised_to_zeros():
    x = minidl.tensor(np.full((4, 3, 8, 8), 3e38, np.float32))
    np.testing.assert_array_equal(ops.batch_norm(x, None, None, training=True).numpy(), 0.0)
    np.testing.assert_array_equal(ops.layer_norm(x, (3, 8, 8)).numpy(), 0.0)


def test_given_statistics_at_the_end_of_the_range():
    """x - mean is infinite where the normalised value is 6e19."""
    x, mean = minidl.tensor(np.float32([[3e38], [-3e38]])), minidl.tensor(np.float32([-3e38]))
    y = ops.batch_norm(x, mean, minidl.tensor(np.float32([1e38])))
    np.testing.assert_allclose(y.numpy(), [[6e19], [0.0]], rtol=1e-5)


@summable
@pytest.mark.parametrize("order", [0.5, 1, 2, 3, 10, 100, math.inf])
def test_the_norm_of_gradients_and_what_is_left_of_them(order, dtype, size):
    parameters = [minidl.nn.Parameter(minidl.tensor(np.zeros(3, dtype))) for _ in range(2)]
    for p, part in zip(parameters, np.split(NUMBERS * size, 2), strict=True):
        p.grad = minidl.tensor(part.astype(dtype))
    values = exact.decimals(np.concatenate([p.grad.numpy() for p in parameters]))
    expected = max(abs(v) for v in values) if order == math.inf else exact.norm(values, order)
    bound = 1e-3 if size > 1 else 1e-3 * size
    total = minidl.nn.utils.clip_grad_norm_(parameters, bound, order)
    near(total.numpy(), float(expected), dtype, ulps=64)
    factor = min(Decimal(1), Decimal(bound) / (expected + Decimal("1e-6")))
    if factor > float(np.finfo(dtype).tiny):
        near(
            np.concatenate([p.grad.numpy() for p in parameters]),
            exact.rounded([v * factor for v in values], (6,)),
            dtype,
        )


def test_gradients_are_clipped_where_their_norm_is_too_large_for_their_dtype():
    p = minidl.nn.Parameter(minidl.tensor(np.zeros(2, np.float32)))
    p.grad = minidl.tensor(np.float32([3e38, -3e38]))
    assert minidl.nn.utils.clip_grad_norm_([p], 1.0).item() == math.inf
    np.testing.assert_allclose(p.grad.numpy(), [0.5**0.5, -(0.5**0.5)], rtol=1e-5)
    p.grad = minidl.tensor(np.float32([3e38, -3e38]))
    with pytest.raises(RuntimeError, match="norm of order"):
        minidl.nn.utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)
    np.testing.assert_array_equal(p.grad.numpy(), np.float32([3e38, -3e38]))
