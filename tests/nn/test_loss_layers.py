"""Loss layers: each hands its options to its operation; weights are buffers."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import nn
from oracles import loss_formulas

RNG = np.random.default_rng(0)
LOGITS, IDS = RNG.normal(size=(2, 3, 2, 2)), RNG.integers(0, 3, (2, 2, 2))
IDS[0, 0, 0] = 255
W, P = RNG.uniform(0.5, 2, (2, 3))
A, B = RNG.normal(size=(2, 4, 3))
PROBABILITIES = RNG.uniform(0.1, 1, (4, 3))

# name: (the layer, its operands, the formula of the operands and the reduction)
LOSSES = {
    "CrossEntropyLoss": (
        lambda r: nn.CrossEntropyLoss(minidl.tensor(W), None, 255, None, r, 0.2),
        (LOGITS, IDS),
        lambda z, y, r: loss_formulas.cross_entropy(z, y, W, 255, r, 0.2),
    ),
    "CrossEntropyLoss, weights as an array": (
        lambda r: nn.CrossEntropyLoss(W, ignore_index=255, reduction=r),
        (LOGITS, IDS),
        lambda z, y, r: loss_formulas.cross_entropy(z, y, W, 255, r),
    ),
    "NLLLoss": (
        lambda r: nn.NLLLoss(minidl.tensor(W), None, 255, None, r),
        (LOGITS, IDS),
        lambda x, y, r: loss_formulas.nll_loss(x, y, W, 255, r),
    ),
    "BCEWithLogitsLoss": (
        lambda r: nn.BCEWithLogitsLoss(minidl.tensor(W), None, None, r, minidl.tensor(P)),
        (A, PROBABILITIES),
        lambda x, y, r: loss_formulas.binary_cross_entropy_with_logits(x, y, W, r, P),
    ),
    "L1Loss": (lambda r: nn.L1Loss(None, None, r), (A, B), loss_formulas.l1_loss),
    "MSELoss": (lambda r: nn.MSELoss(reduction=r), (A, B), loss_formulas.mse_loss),
    "SmoothL1Loss": (
        lambda r: nn.SmoothL1Loss(None, None, r, 0.7),
        (A, B),
        lambda x, y, r: loss_formulas.smooth_l1_loss(x, y, r, 0.7),
    ),
    "KLDivLoss": (lambda r: nn.KLDivLoss(reduction=r), (A, PROBABILITIES), loss_formulas.kl_div),
    "KLDivLoss of logarithms": (
        lambda r: nn.KLDivLoss(None, None, r, True),
        (A, B),
        lambda x, y, r: loss_formulas.kl_div(x, y, r, True),
    ),
}


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", LOSSES)
def test_a_layer_computes_what_the_formula_does_with_its_options(name, reduction):
    make, operands, oracle = LOSSES[name]
    got = make(reduction)(*(minidl.tensor(a) for a in operands)).numpy()
    np.testing.assert_allclose(got, oracle(*operands, reduction), rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", LOSSES)
def test_the_mean_is_the_default_and_text_is_the_name_alone(name):
    _, operands, _ = LOSSES[name]
    kind = name.split(",")[0].split(" ")[0]
    options = {"ignore_index": 255} if kind in ("CrossEntropyLoss", "NLLLoss") else {}
    plain, mean = (getattr(nn, kind)(**options, **more) for more in ({}, {"reduction": "mean"}))
    tensors = [minidl.tensor(a) for a in operands]
    assert plain(*tensors).shape == ()
    np.testing.assert_array_equal(plain(*tensors).numpy(), mean(*tensors).numpy())
    assert repr(plain) == f"{kind}()"


def test_batchmean():
    got = nn.KLDivLoss(reduction="batchmean")(minidl.tensor(A), minidl.tensor(PROBABILITIES)).item()
    np.testing.assert_allclose(got, loss_formulas.kl_div(A, PROBABILITIES, "sum") / 4, rtol=1e-14)


def test_weights_are_buffers():
    for layer, names in (
        (nn.CrossEntropyLoss([1.0, 2.0]), ["weight"]),
        (nn.NLLLoss([1.0, 2.0]), ["weight"]),
        (nn.BCEWithLogitsLoss([1.0, 2.0], pos_weight=[3.0, 4.0]), ["weight", "pos_weight"]),
        (nn.BCEWithLogitsLoss(), []),
        (nn.CrossEntropyLoss(), []),
    ):
        assert list(layer.state_dict()) == names
        assert not list(layer.parameters())
        assert all(b.dtype == np.float32 for b in layer.buffers())
        assert all(b.dtype == np.float64 for b in layer.double().buffers())
