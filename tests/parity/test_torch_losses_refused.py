"""What torch's losses refuse is refused."""

from __future__ import annotations

import numpy as np
import pytest

from parity.agreement import both_raise


def _zeros(*shapes):
    return tuple(np.zeros(s) for s in shapes)


def _ids(shape, value=0):
    return np.full(shape, value, np.int64)


X = (2, 4, 5, 5)


def _labels(name, target, *shapes, **options):
    """A call of a loss with class ids; the arrays are logits and, perhaps, weights."""
    return lambda F, x, *w: getattr(F, name)(x, F.tensor(target), *w, **options), _zeros(*shapes)


MISTAKES = {}
for _name in ("cross_entropy", "nll_loss"):
    MISTAKES |= {
        f"{_name}: sizes": _labels(_name, _ids((2, 5, 4)), X),
        f"{_name}: samples": _labels(_name, _ids((3, 5, 5)), X),
        f"{_name}: class past the end": _labels(_name, _ids((2, 5, 5), 4), X),
        f"{_name}: negative class": _labels(_name, _ids((2, 5, 5), -1), X),
        f"{_name}: weights": _labels(_name, _ids((2, 5, 5)), X, (3,)),
        f"{_name}: reduction": _labels(_name, _ids((2, 5, 5)), X, reduction="median"),
        f"{_name}: batchmean": _labels(_name, _ids((2, 5, 5)), X, reduction="batchmean"),
        f"{_name}: bools": _labels(_name, np.zeros((2, 5, 5), bool), X),
        f"{_name}: floats": _labels(_name, np.zeros((2, 5, 5)), X),
        f"{_name}: one-hot integers": _labels(_name, _ids(X), X),
        f"{_name}: a number": _labels(_name, _ids(()), ()),
        f"{_name}: integers": (
            lambda F, x, name=_name: getattr(F, name)(x, F.tensor(_ids(2))),
            (_ids((2, 3)),),
        ),
        f"{_name}: weights of another dtype": (
            lambda F, x, w, name=_name: getattr(F, name)(x, F.tensor(_ids(2)), w),
            (np.zeros((2, 3), np.float32), np.ones(3)),
        ),
    }
MISTAKES |= {
    "cross_entropy: smoothing": _labels("cross_entropy", _ids((2, 5, 5)), X, label_smoothing=1.5),
    "cross_entropy: probabilities of other classes": _labels("cross_entropy", np.zeros((2, 3, 5, 5)), X),
    "cross_entropy: probabilities and ignore_index": _labels("cross_entropy", np.ones(X), X, ignore_index=1),
    "smooth_l1_loss: beta": (lambda F, a, b: F.smooth_l1_loss(a, b, beta=-1.0), _zeros((3,), (3,))),
    "binary: shapes": (lambda F, a, b: F.binary_cross_entropy_with_logits(a, b), _zeros((2, 3), (3,))),
    "binary: integers": (
        lambda F, a: F.binary_cross_entropy_with_logits(a, F.tensor(_ids((2, 3)))),
        _zeros((2, 3)),
    ),
    "binary: weight": (lambda F, a, w: F.binary_cross_entropy_with_logits(a, a, w), _zeros((2, 3), (2,))),
    "binary: larger weight": (
        lambda F, a, w: F.binary_cross_entropy_with_logits(a, a, w),
        _zeros((2, 3), (4, 2, 3)),
    ),
    "binary: larger pos_weight": (
        lambda F, a, w: F.binary_cross_entropy_with_logits(a, a, pos_weight=w),
        _zeros((2, 3), (4, 2, 3)),
    ),
    "kl_div: integers": (lambda F, a: F.kl_div(a, F.tensor(_ids(3)), reduction="sum"), _zeros((3,))),
    "mse_loss: integers": (lambda F: F.mse_loss(F.tensor(_ids(3)), F.tensor(_ids(3))), ()),
    "mse_loss: shapes": (lambda F, a, b: F.mse_loss(a, b), _zeros((2, 3), (2, 4))),
    "l1_loss: reduction": (lambda F, a: F.l1_loss(a, a, reduction="median"), _zeros((3,))),
    "l1_loss: batchmean": (lambda F, a: F.l1_loss(a, a, reduction="batchmean"), _zeros((3,))),
    "kl_div: reduction": (lambda F, a: F.kl_div(a, a, reduction="median"), _zeros((3,))),
}


@pytest.mark.filterwarnings("ignore:Using a target size:UserWarning")
@pytest.mark.parametrize("name", MISTAKES)
def test_what_torch_refuses_is_refused(name):
    line, arrays = MISTAKES[name]
    both_raise(line, *arrays)
