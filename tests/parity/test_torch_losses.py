"""Losses beside torch's, drawn: values, gradients, extreme logits, layers, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

import minidl
from oracles import strategies
from parity.agreement import MINIDL, TORCH, agree, forward_and_backward, many

reductions = st.sampled_from(["mean", "sum", "none"])
#: of the target: one sample without a batch, vectors, rows, pictures, no samples, no pixels
targets = st.sampled_from(
    [(), (1,), (4,), (3, 2), (2, 2, 3), (2, 1, 1), (1, 4, 4), (2, 1, 2, 2), (0,), (2, 0, 3)]
)


@st.composite
def labelled(draw):
    """(logits, target, weight, options): some pixels ignored, or all of them."""
    rng = np.random.default_rng(draw(strategies.seeds))
    shape, classes = draw(targets), draw(st.integers(1, 5))
    ignore_index = draw(st.sampled_from([-100, 255, -1, 0]))
    ignored = rng.random(shape) < draw(st.sampled_from([0.0, 0.3, 1.0]))
    target = np.where(ignored, ignore_index, rng.integers(0, classes, shape))
    weight = rng.uniform(0.2, 3, classes) if draw(st.booleans()) else None
    logits = 3 * rng.normal(size=(*shape[:1], classes, *shape[1:]))
    return logits, target, weight, {"ignore_index": ignore_index, "reduction": draw(reductions)}


def like(F, x, array):
    """A tensor of x's dtype."""
    if array is None:
        return None
    return F.tensor(np.asarray(array, np.float64 if "64" in str(x.dtype) else np.float32))


@many
@given(case=labelled(), smoothing=st.sampled_from([0.0, 0.0, 0.1, 1.0]))
def test_cross_entropy(case, smoothing):
    logits, target, weight, options = case
    agree(
        lambda F, x: F.cross_entropy(
            x, F.tensor(target), like(F, x, weight), label_smoothing=smoothing, **options
        ),
        logits,
        terms=256,
    )  # all ignored: NaN on both sides, which counts as equal


@many
@given(case=labelled())
def test_nll_loss(case):
    log_p, target, weight, options = case
    agree(lambda F, x: F.nll_loss(x, F.tensor(target), like(F, x, weight), **options), log_p, terms=256)


@many
@given(case=labelled(), smoothing=st.sampled_from([0.0, 0.1, 1.0]), seed=strategies.seeds)
def test_cross_entropy_of_probabilities(case, smoothing, seed):
    logits, _, weight, options = case
    probabilities = np.random.default_rng(seed).uniform(0, 1, logits.shape)

    def line(F, x, q):
        return F.cross_entropy(
            x, q, like(F, x, weight), reduction=options["reduction"], label_smoothing=smoothing
        )

    agree(line, logits, probabilities, terms=256)


@many
@given(
    shape=strategies.shapes(0, 4),
    weights=st.sampled_from([None, "number", "last axis", "all"]),
    positives=st.sampled_from([None, "number", "last axis", "all"]),
    reduction=reductions,
    seed=strategies.seeds,
)
@example(shape=(0, 3), weights="last axis", positives=None, reduction="mean", seed=0)
def test_binary_cross_entropy_with_logits(shape, weights, positives, reduction, seed):
    rng = np.random.default_rng(seed)
    of = {None: None, "number": (), "last axis": shape[-1:], "all": shape}
    w, p = (None if of[n] is None else rng.uniform(0.2, 3, of[n]) for n in (weights, positives))

    def line(F, x, y):
        options = {"weight": like(F, x, w), "pos_weight": like(F, x, p), "reduction": reduction}
        return F.binary_cross_entropy_with_logits(x, y, **options)

    agree(line, 3 * rng.normal(size=shape), rng.uniform(0, 1, shape), terms=256)


@pytest.mark.parametrize("name", ["l1_loss", "mse_loss", "smooth_l1_loss"])
@many
@given(shape=strategies.shapes(0, 4), reduction=reductions, seed=strategies.seeds)
@example(shape=(0, 3), reduction="mean", seed=0)
def test_losses_of_pairs_with_ties(name, shape, reduction, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=shape), rng.normal(size=shape)
    b = np.where(rng.random(shape) < 0.3, a, b)
    agree(lambda F, a, b: getattr(F, name)(a, b, reduction=reduction), a, b, terms=256)


@many
@given(
    shape=strategies.shapes(0, 3),
    beta=st.sampled_from([0.0, 0.25, 1.0, 2.0]),
    reduction=reductions,
    seed=strategies.seeds,
)
def test_smooth_l1_loss_on_and_beside_beta(shape, beta, reduction, seed):
    a, b = np.random.default_rng(seed).integers(-8, 9, (2, *shape)) / 4  # differences on beta and 0, exactly
    agree(
        lambda F, a, b: F.smooth_l1_loss(a, b, reduction=reduction, beta=beta), a, b, terms=256, steepness=4
    )


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning")
@many
@given(
    shape=strategies.shapes(1, 4),
    log_target=st.booleans(),
    reduction=st.sampled_from(["mean", "sum", "none", "batchmean"]),
    seed=strategies.seeds,
)
def test_kl_div(shape, log_target, reduction, seed):
    rng = np.random.default_rng(seed)
    target = rng.normal(size=shape) / 2 if log_target else rng.uniform(0.1, 1, shape)
    agree(
        lambda F, a, b: F.kl_div(a, b, reduction=reduction, log_target=log_target),
        *(rng.normal(size=shape), target),
        terms=256,
        steepness=4,
    )


# --- extremes -----------------------------------------------------------------------------------------------

INF, NAN = np.inf, np.nan
LOGITS = np.array(
    [[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0], [0.0, -INF, 1.0], [-INF, 0.0, 0.0], [INF, 0.0, 1.0], [NAN, 0.0, 1.0]]
)
IDS = np.array([1, 1, 0, 0, 1, 2])
SCALARS = np.array([1e4, 1e4, -1e4, -1e4, INF, INF, -INF, -INF, NAN, 0.5])
BITS = np.array([0.0, 1.0] * 5)
MORE = np.array([0.0, INF, INF, NAN, -INF, 1e30])
LESS = np.array([2.0, 3.0, INF, 1.0, INF, -1e30])
EXTREMES = {
    "cross_entropy": (lambda F, x: F.cross_entropy(x, F.tensor(IDS), reduction="none"), (LOGITS,)),
    "cross_entropy, smoothed": (
        lambda F, x: F.cross_entropy(x, F.tensor(IDS), reduction="none", label_smoothing=0.1),
        (LOGITS,),
    ),
    "cross_entropy, weighted by 0": (
        lambda F, x: F.cross_entropy(x, F.tensor(IDS), like(F, x, [0.0, 1.0, 2.0]), reduction="sum"),
        (LOGITS,),
    ),
    "cross_entropy, weights that sum to 0": (
        lambda F, x: F.cross_entropy(x, F.tensor(np.zeros(2, np.int64)), like(F, x, [0.0, 1.0, 1.0])),
        (LOGITS[:2],),
    ),
    "nll_loss": (lambda F, x: F.nll_loss(x, F.tensor(IDS), reduction="none"), (LOGITS,)),
    "nll_loss, ignored": (lambda F, x: F.nll_loss(x, F.tensor(np.full(6, -100))), (LOGITS,)),
    "nll_loss, weighted by 0": (
        lambda F, x: F.nll_loss(x, F.tensor(IDS), like(F, x, [0.0, 1.0, 2.0]), reduction="none"),
        (LOGITS,),
    ),
    "binary": (
        lambda F, x, y: F.binary_cross_entropy_with_logits(x, y, reduction="none"),
        (SCALARS[[0, 1, 2, 3, 9]], BITS[[0, 1, 2, 3, 9]]),
    ),
    "l1_loss": (lambda F, a, b: F.l1_loss(a, b, reduction="none"), (MORE[[0, 1, 5]], LESS[[0, 1, 5]])),
    "mse_loss": (lambda F, a, b: F.mse_loss(a, b, reduction="none"), (MORE, LESS)),
    "smooth_l1_loss": (lambda F, a, b: F.smooth_l1_loss(a, b, reduction="none", beta=2.0), (MORE, LESS)),
    "kl_div": (
        lambda F, a: F.kl_div(a, like(F, a, [0.0, 0.5, 1.0, -1.0, 0.0]), reduction="none"),
        (np.array([-1.0, INF, -INF, -1.0, -INF]),),
    ),
    "kl_div of logarithms": (
        lambda F, a, b: F.kl_div(a, b, reduction="none", log_target=True),
        (np.array([0.0, INF, -1.0, -INF, -1.0]), np.array([0.2, 0.3, -INF, -INF, -1000.0])),
    ),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", EXTREMES)
def test_extremes_give_torchs_numbers_infinities_and_nan(name, dtype):
    line, arrays = EXTREMES[name]
    cast = tuple(a.astype(dtype) for a in arrays)
    ours, theirs = (forward_and_backward(F, line, cast) for F in (MINIDL, TORCH))
    rtol = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(ours[0], theirs[0], rtol=rtol)
    for position, (a, b) in enumerate(zip(ours[1], theirs[1], strict=True)):
        np.testing.assert_allclose(a, b, rtol=rtol, err_msg=f"gradient {position}")


def test_where_minidl_is_gentler_than_torch():
    """An ignored pixel has gradient 0 whatever its logits are: torch multiplies 0 by its NaN."""
    logits, target = np.array([[1.0, 0.0], [INF, 0.0]]), np.array([0, -100])

    def line(F, x):
        return F.cross_entropy(x, F.tensor(target), reduction="sum")

    ours, theirs = (forward_and_backward(F, line, (logits,)) for F in (MINIDL, TORCH))
    assert ours[0] == theirs[0]
    assert np.isnan(theirs[1][0][1]).all() and (ours[1][0][1] == 0).all()
    np.testing.assert_allclose(ours[1][0][0], theirs[1][0][0], rtol=1e-15)


# --- layers -------------------------------------------------------------------------------------------------

RNG = np.random.default_rng(0)
PICTURES, LABELS = RNG.normal(size=(2, 3, 4, 4)), RNG.integers(0, 3, (2, 4, 4))
A, B, WEIGHT = RNG.normal(size=(4, 3)), RNG.uniform(0.1, 1, (4, 3)), RNG.uniform(0.5, 2, 3)
LAYERS = {
    "CrossEntropyLoss": (lambda m, w: m.CrossEntropyLoss(), (PICTURES, LABELS)),
    "CrossEntropyLoss, everything": (
        lambda m, w: m.CrossEntropyLoss(w, ignore_index=1, reduction="sum", label_smoothing=0.1),
        (PICTURES, LABELS),
    ),
    "NLLLoss": (lambda m, w: m.NLLLoss(w, ignore_index=1), (PICTURES, LABELS)),
    "BCEWithLogitsLoss": (lambda m, w: m.BCEWithLogitsLoss(w, pos_weight=2 * w), (A, B)),
    "L1Loss": (lambda m, w: m.L1Loss(), (A, B)),
    "MSELoss": (lambda m, w: m.MSELoss(reduction="sum"), (A, B)),
    "SmoothL1Loss": (lambda m, w: m.SmoothL1Loss(beta=0.5), (A, B)),
    "KLDivLoss": (lambda m, w: m.KLDivLoss(reduction="batchmean"), (A, B)),
    "KLDivLoss of logarithms": (lambda m, w: m.KLDivLoss(reduction="sum", log_target=True), (A, B)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_loss_layers(name):
    make, (input, target) = LAYERS[name]
    ours, theirs = make(minidl.nn, minidl.tensor(WEIGHT)), make(torch.nn, torch.tensor(WEIGHT))
    assert list(ours.state_dict()) == list(theirs.state_dict()) and repr(ours) == repr(theirs)
    x, t = minidl.tensor(input, requires_grad=True), torch.tensor(input, requires_grad=True)
    y, expected = ours(x, minidl.tensor(target)), theirs(t, torch.tensor(target))
    y.backward()
    expected.backward()
    np.testing.assert_allclose(y.item(), expected.item(), rtol=1e-14)
    np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), rtol=0, atol=1e-14)
