"""float32 at the ends of its range: nowhere is minidl further from the exact result than torch.

Exact is what torch gives in float64 of the same float32 numbers: values, gradients, gradients of gradients.
Results that float32 cannot hold are infinite or 0, as the exact number rounds. Many results of both libraries
are off here, for lack of range; what counts is that minidl's are not where torch's are right.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minidl
from oracles.every_op import ROWS
from parity.agreement import MINIDL, TORCH

MAGNITUDES = (1e36, 1e30, 1e20, 1e10, 1e-10, 1e-20, 1e-30, 1e-37)
TINY = float(np.finfo(np.float32).tiny)


def run(F, grad, line, arrays, dtype, cotangent):
    """y, the gradients, and the gradients of the gradients, as float64 arrays."""
    xs = [F.tensor(a.astype(dtype), requires_grad=True) for a in arrays]
    y = line(F, *xs)
    v = np.random.default_rng(1).normal(size=tuple(y.shape)) * cotangent
    g = F.tensor(np.asarray(v.astype(np.float32)).astype(np.asarray(y.detach().numpy()).dtype))
    first = grad(y, xs, g, create_graph=True)
    second = [None] * len(xs)
    recorded = [d for d in first if d.requires_grad]
    if recorded:
        along = [
            F.tensor(np.random.default_rng(2).normal(size=tuple(d.shape)).astype(dtype)) for d in recorded
        ]
        second = grad(recorded, xs, along, allow_unused=True)
    flat = [np.zeros(a.shape) if h is None else (h + 0) for h, a in zip(second, arrays, strict=True)]
    return [np.array(r.tolist(), np.float64) for r in (y, *first, *flat)]


def off(actual, exact):
    """The relative error, 0 where the result is the exact number rounded to float32, or neither is finite."""
    with np.errstate(all="ignore"):
        rounded = exact.astype(np.float32).astype(np.float64)
        error = np.abs(actual - rounded) / np.maximum(np.abs(rounded), 64 * TINY)
    same = (actual == rounded) | ~(np.isfinite(actual) | np.isfinite(rounded))
    return np.where(same, 0.0, np.where(np.isnan(error), np.inf, error))


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")  # torch's opinion of kl_div's default
@pytest.mark.parametrize("magnitude", MAGNITUDES)
@pytest.mark.parametrize("name", ROWS)
def test_no_further_from_the_exact_result_than_torch(name, magnitude):
    line, shapes = ROWS[name]
    rng = np.random.default_rng(0)
    low = 0.1 if name in ("log", "sqrt", "rsqrt", "pow", "kl_div") else -2.0
    arrays = [rng.uniform(low, 2, s) for s in shapes]
    arrays = [(arrays[0] * magnitude).astype(np.float32), *(a.astype(np.float32) for a in arrays[1:])]
    for cotangent in (1.0, 1e-15, 1e15):
        exact = run(TORCH, torch.autograd.grad, line, arrays, np.float64, cotangent)
        theirs = run(TORCH, torch.autograd.grad, line, arrays, np.float32, cotangent)
        ours = run(MINIDL, minidl.autograd.grad, line, arrays, np.float32, cotangent)
        for number, (e, t, m) in enumerate(zip(exact, theirs, ours, strict=True)):
            worse = (off(m, e) > 1e-3) & (off(m, e) > 4 * off(t, e))
            place = tuple(np.argwhere(worse)[0]) if worse.any() else ()
            assert not worse.any(), (name, number, cotangent, place, m[place], t[place], e[place])
