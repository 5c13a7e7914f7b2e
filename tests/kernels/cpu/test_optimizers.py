"""Compiled Adam and SGD against the reference kernels: the same bits, whatever the arrays look like."""

from __future__ import annotations

import numpy as np
import pytest

from minidl.kernels.cpu import adam, sgd
from minidl.kernels.cpu.pointwise import JOB
from minidl.kernels.reference import adam as reference_adam
from minidl.kernels.reference import sgd as reference_sgd

SHAPES = [(), (0,), (1,), (3,), (17,), (5, 7), (JOB + 1,), (2, JOB)]


def arrays(shape, dtype, seed):
    rng = np.random.default_rng(seed)
    w, g, m = (np.asarray(rng.normal(size=shape), dtype) for _ in range(3))
    return w, g, m, np.abs(np.asarray(rng.normal(size=shape), dtype))


def same(rows, others):
    for row, other in zip(rows, others, strict=True):
        for a, b in zip(row, other, strict=True):
            np.testing.assert_array_equal(a, b)


def copies(rows):
    return [tuple(a.copy() if isinstance(a, np.ndarray) else a for a in row) for row in rows]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("decay", "decoupled"), [(0.0, False), (0.1, False), (0.1, True), (0.0, True)])
def test_adam_has_the_references_bits(dtype, decay, decoupled):
    rows = [(*arrays(shape, dtype, i), i + 1) for i, shape in enumerate(SHAPES)]
    rows[3][1][:] = [np.nan, np.inf, 1e-30]  # gradients
    others = copies(rows)
    options = (1e-2, (0.9, 0.999), 1e-8, decay, decoupled)
    with np.errstate(all="ignore"):
        adam.step(rows, *options)
        reference_adam.step(others, *options)
    same(rows, others)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize(
    ("momentum", "dampening", "decay", "nesterov"),
    [(0, 0, 0, False), (0, 0, 0.1, False), (0.9, 0, 0, False), (0.9, 0.3, 0.1, False), (0.9, 0, 0.1, True)],
)
def test_sgd_has_the_references_bits(dtype, first, momentum, dampening, decay, nesterov):
    rows = []
    for i, shape in enumerate(SHAPES):
        w, g, u, _ = arrays(shape, dtype, i)
        rows.append((w, g, u if momentum else None, first))
    others = copies(rows)
    for step in (sgd.step, reference_sgd.step):
        step(rows if step is sgd.step else others, 0.1, momentum, dampening, decay, nesterov)
    same(rows, others)


def test_parameters_in_other_orders_and_dtypes_move_as_well():
    w, g, m, v = arrays((4, 6), "float32", 0)
    rows = [
        (w.T, g.T, m.T, v.T, 1),  # one order, not C: compiled
        (w[::2].copy().T, np.ascontiguousarray(g[::2].T), m[::2].copy().T, v[::2].copy().T, 1),
        (np.repeat(w, 2, 1)[:, ::2], g, m.copy(), v.copy(), 1),  # gaps
        (w.copy(), g.astype(np.float64), m.copy(), v.copy(), 1),  # two dtypes
        (w.astype(np.float16), g.astype(np.float16), m.astype(np.float16), v.astype(np.float16), 1),
    ]
    others = copies(rows)
    options = (1e-2, (0.9, 0.999), 1e-8, 0.1, False)
    adam.step(rows, *options)
    reference_adam.step(others, *options)
    same(rows, others)


def test_frozen_weights_are_refused_as_ever():
    w, g, m, v = arrays((4,), "float32", 0)
    w.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        adam.step([(w, g, m, v, 1)], 1e-2, (0.9, 0.999), 1e-8, 0.1, True)
