"""Calls of reductions, selections and shapes that torch refuses."""

from __future__ import annotations

import numpy as np
import pytest

from parity.agreement import both_raise


def _zeros(*shapes):
    return tuple(np.zeros(s) for s in shapes)


def _index(F, *values):
    return F.tensor(np.array(values))


X = _zeros((2, 3))
MISTAKES = {
    "var: integers": (lambda F: F.var(F.tensor(np.ones(3, np.int64))), ()),
    "var: both spellings": (lambda F, x: F.var(x, 0, unbiased=True, correction=1), X),
    "var: dimension": (lambda F, x: F.var(x, 2), X),
    "std: dimension twice": (lambda F, x: F.std(x, (0, 0)), X),
    "sum: two names": (lambda F, x: x.sum(dim=0, axis=0), X),
    "mean: integers": (lambda F: F.mean(F.tensor(np.ones(3, np.int64))), ()),
    "min: empty": (lambda F, x: F.min(x), _zeros((0, 3))),
    "min: empty dimension": (lambda F, x: F.min(x, 0), _zeros((0, 3))),
    "max: dimensions": (lambda F, x: F.max(x, (0, 1)), X),
    "amax: empty": (lambda F, x: F.amax(x), _zeros((0,))),
    "amin: dimension twice": (lambda F, x: F.amin(x, (0, 0)), X),
    "argmax: empty": (lambda F, x: F.argmax(x), _zeros((0, 3))),
    "argmax: empty dimension": (lambda F, x: F.argmax(x, 0), _zeros((0, 3))),
    "argmin: bool": (lambda F: F.argmin(F.tensor(np.array([True]))), ()),
    "argmin: dimensions": (lambda F, x: F.argmin(x, (0, 1)), X),
    "sort: dimension": (lambda F, x: F.sort(x, dim=2), X),
    "topk: too many": (lambda F, x: F.topk(x, 4), X),
    "topk: negative": (lambda F, x: F.topk(x, -1), X),
    "topk: bool": (lambda F: F.topk(F.tensor(np.array([True])), 1), ()),
    "gather: past the end": (lambda F, x: F.gather(x, 1, _index(F, [0, 3])), X),
    "gather: negative": (lambda F, x: F.gather(x, 1, _index(F, [-1])), X),
    "gather: floats": (lambda F, x: F.gather(x, 1, _index(F, [0.0])), X),
    "gather: larger elsewhere": (lambda F, x: F.gather(x, 1, _index(F, [0], [0], [0])), X),
    "gather: dimensions": (lambda F, x: F.gather(x, 1, _index(F, 0, 0)), X),
    "gather: dimension": (lambda F, x: F.gather(x, 2, _index(F, [0])), X),
    "scatter_add: dtype": (
        lambda F, x: F.scatter_add(x, 1, _index(F, [0]), F.tensor(np.zeros((1, 1), "f4"))),
        X,
    ),
    "scatter_add: small": (lambda F, x, s: F.scatter_add(x, 1, _index(F, [0, 0]), s), (*X, np.zeros((1, 1)))),
    "scatter_add: past the end": (lambda F, x: F.scatter_add(x, 1, _index(F, [3]), x), X),
    "squeeze: dimension": (lambda F, x: F.squeeze(x, 2), X),
    "squeeze: twice": (lambda F, x: F.squeeze(x, (0, 0)), X),
    "unsqueeze: dimension": (lambda F, x: F.unsqueeze(x, 3), X),
    "unsqueeze: before": (lambda F, x: F.unsqueeze(x, -4), X),
    "expand: too few": (lambda F, x: x.expand(3), X),
    "expand: extent": (lambda F, x: x.expand(4, 3), X),
    "expand: to nothing": (lambda F, x: x.expand(0, 3), X),
    "expand: new -1": (lambda F, x: x.expand(-1, 2, 3), X),
    "flip: dimension": (lambda F, x: F.flip(x, (2,)), X),
    "flip: twice": (lambda F, x: F.flip(x, (0, 0)), X),
    "flip: a number": (lambda F, x: F.flip(x, 0), X),
    "stack: shapes": (lambda F, x: F.stack([x, x.T]), X),
    "stack: nothing": (lambda F: F.stack([]), ()),
    "stack: dimension": (lambda F, x: F.stack([x], 3), X),
    "split: sections": (lambda F, x: F.split(x, [1, 1], 1), X),
    "split: zero": (lambda F, x: F.split(x, 0), X),
    "split: negative": (lambda F, x: F.split(x, -1), X),
    "split: scalar": (lambda F, x: F.split(x, 1), _zeros(())),
    "chunk: none": (lambda F, x: F.chunk(x, 0), X),
    "diagonal: vector": (lambda F, x: F.diagonal(x), _zeros((3,))),
    "diagonal: same": (lambda F, x: F.diagonal(x, 0, 1, -1), X),
    "pad: reflect too much": (lambda F, x: F.pad(x, (3, 0), "reflect"), X),
    "pad: circular too much": (lambda F, x: F.pad(x, (4, 0), "circular"), X),
    "pad: reflect a vector": (lambda F, x: F.pad(x, (1, 1), "reflect"), _zeros((3,))),
    "pad: rank": (lambda F, x: F.pad(x, (1, 1), "replicate"), _zeros((1, 2, 3, 3))),
    "pad: value": (lambda F, x: F.pad(x, (1, 1), "reflect", 1.0), X),
    "pad: mode": (lambda F, x: F.pad(x, (1, 1), "mirror"), X),
    "pad: nothing left": (lambda F, x: F.pad(x, (-2, -1), "replicate"), X),
    "pad: empty": (lambda F, x: F.pad(x, (1, 1), "reflect"), _zeros((2, 0))),
    "pad: floats": (lambda F, x: F.pad(x, (1.0, 1)), X),
    "einsum: sizes": (lambda F, x: F.einsum("ij,jk", x, x), X),
    "einsum: diagonal": (lambda F, x: F.einsum("ii", x), X),
    "einsum: output twice": (lambda F, x: F.einsum("ij->ii", x), X),
    "einsum: output unknown": (lambda F, x: F.einsum("ij->z", x), X),
    "einsum: operands": (lambda F, x: F.einsum("ij,jk", x), X),
    "einsum: more operands": (lambda F, x: F.einsum("ij", x, x), X),
    "einsum: none": (lambda F: F.einsum("ij"), ()),
    "einsum: labels": (lambda F, x: F.einsum("ijk", x), X),
    "einsum: digits": (lambda F, x: F.einsum("i1", x), X),
    "einsum: two dots": (lambda F, x: F.einsum("..ij", x), X),
    "einsum: two ellipses": (lambda F, x: F.einsum("...i...", x), X),
    "einsum: two arrows": (lambda F, x: F.einsum("ij->i->j", x), X),
    "einsum: dtypes": (lambda F, x: F.einsum("ij,ij", x, F.tensor(np.zeros((2, 3), "f4"))), X),
    "matmul: bool": (lambda F: F.matmul(*[F.tensor(np.ones((2, 2), bool))] * 2), ()),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_torch_refuses_is_refused(name):
    line, arrays = MISTAKES[name]
    both_raise(line, *arrays)
