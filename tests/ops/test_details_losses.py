"""What mutants of the losses showed to be unchecked: defaults, dtypes, gradients of one operand alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minidl
from minidl import ops
from oracles import loss_formulas

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(2, 3, 4))
P = RNG.uniform(0.2, 1.0, (3, 4))
G = RNG.normal(size=(3, 4))
INF = math.inf

#: name: (the loss of (input, target), its target)
PAIRS = {
    "l1_loss": (ops.l1_loss, B),
    "mse_loss": (ops.mse_loss, B),
    "smooth_l1_loss": (ops.smooth_l1_loss, B),
    "kl_div": (ops.kl_div, P),
    "kl_div of logs": (lambda x, y, **o: ops.kl_div(x, y, log_target=True, **o), B),
    "binary_cross_entropy_with_logits": (ops.binary_cross_entropy_with_logits, P),
    "binary_cross_entropy_with_logits, weighted": (
        lambda x, y, **o: ops.binary_cross_entropy_with_logits(x, y, pos_weight=2.0, **o),
        P,
    ),
}


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("name", PAIRS)
def test_the_gradient_of_one_operand_does_not_depend_on_the_other_wanting_its_own(name, create_graph):
    loss, target = PAIRS[name]

    def gradients(wanted, create_graph):
        operands = [minidl.tensor(a, requires_grad=i in wanted) for i, a in enumerate((A, target))]
        loss(*operands, reduction="none").backward(minidl.tensor(G), create_graph=create_graph)
        return [None if t.grad is None else t.grad.detach().numpy() for t in operands]

    of_input, of_target = gradients({0, 1}, False)
    only_input, nothing = gradients({0}, create_graph)
    assert nothing is None
    np.testing.assert_allclose(only_input, of_input, rtol=0, atol=1e-14)
    nothing, only_target = gradients({1}, create_graph)
    assert nothing is None
    np.testing.assert_allclose(only_target, of_target, rtol=0, atol=1e-14)


def test_defaults():
    """The mean; beta 1; targets that are no logarithms; no smoothing; -100 is ignored."""
    a, b, p = (minidl.tensor(array) for array in (A, B, P))
    for name, target, array in (
        ("l1_loss", b, B),
        ("mse_loss", b, B),
        ("smooth_l1_loss", b, B),
        ("kl_div", p, P),
        ("binary_cross_entropy_with_logits", p, P),
    ):
        expected = getattr(loss_formulas, name)(A, array)
        np.testing.assert_allclose(getattr(ops, name)(a, target).item(), expected, rtol=1e-14, err_msg=name)
    ids = np.array([1, -100, 3])
    for name in ("cross_entropy", "nll_loss"):
        expected = getattr(loss_formulas, name)(A, ids)
        np.testing.assert_allclose(getattr(ops, name)(a, ids).item(), expected, rtol=1e-14, err_msg=name)


# --- class ids ----------------------------------------------------------------------------------------------


def test_nll_loss_of_ignored_pixels_takes_nothing_in_and_gives_nothing_back():
    x = np.array([[-1.0, -2.0], [np.nan, -INF], [-3.0, -4.0]])
    t = minidl.tensor(x, requires_grad=True)
    losses = ops.nll_loss(t, np.array([0, -100, 1]), reduction="none")
    np.testing.assert_array_equal(losses.detach().numpy(), [1, 0, 4])
    losses.backward(minidl.tensor(np.array([1.0, INF, 2.0])))
    np.testing.assert_array_equal(t.grad.numpy(), [[-1, 0], [0, 0], [0, -2]])


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_cross_entropy_of_ignored_pixels_gives_nothing_back_whatever_comes(smoothing):
    z = minidl.tensor(A, requires_grad=True)
    losses = ops.cross_entropy(z, np.array([0, -100, 1]), reduction="none", label_smoothing=smoothing)
    losses.backward(minidl.tensor(np.array([1.0, INF, 1.0])))
    np.testing.assert_array_equal(z.grad.numpy()[1], np.zeros(4))
    assert (z.grad.numpy()[[0, 2]] != 0).all()


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_an_infinite_class_weight_matters_only_to_its_own_class(name):
    weight = minidl.tensor(np.array([1.0, INF, 2.0, 1.0]))
    z = minidl.tensor(A, requires_grad=True)
    ids = np.array([0, 2, 3])
    losses = getattr(ops, name)(z, ids, weight, reduction="none")
    expected = getattr(loss_formulas, name)(A, ids, np.array([1.0, 0.0, 2.0, 1.0]), reduction="none")
    np.testing.assert_allclose(losses.detach().numpy(), expected, rtol=1e-14)
    losses.sum().backward()
    assert np.isfinite(z.grad.numpy()).all()


@pytest.mark.parametrize(("logits", "probabilities"), [("float32", "float64"), ("float64", "float32")])
def test_probabilities_of_another_dtype_are_taken_and_the_loss_has_that_of_the_logits(logits, probabilities):
    z = minidl.tensor(A.astype(logits), requires_grad=True)
    q = minidl.tensor(P.astype(probabilities), requires_grad=True)
    loss = ops.cross_entropy(z, q)
    assert loss.dtype == logits
    loss.backward()
    assert z.grad.dtype == logits and q.grad.dtype == probabilities
    expected = float(loss_formulas.cross_entropy_of_probabilities(A, P))
    assert math.isclose(loss.item(), expected, rel_tol=1e-6)


def test_probabilities_go_with_any_negative_ignore_index_and_with_no_other():
    z, q = minidl.tensor(A), minidl.tensor(P)
    plain = ops.cross_entropy(z, q).item()
    assert ops.cross_entropy(z, q, ignore_index=-1).item() == plain
    for index in (0, 255):
        with pytest.raises(ValueError, match=f"^cross_entropy: probabilities .*got {index}"):
            ops.cross_entropy(z, q, ignore_index=index)


ERRORS = {
    "past the classes": (IndexError, np.array([0, 4, 1]), {}, r"class id 4 is not in 0\.\.3 .*\(-100\)"),
    "far below zero": (IndexError, np.array([0, 1, -7]), {}, r"class id -7 is not in 0\.\.3 "),
    "ignored elsewhere": (IndexError, np.array([0, 9, 255]), {"ignore_index": 9}, r"class id 255 .*\(9\)"),
    "floats": (TypeError, np.array([0.0, 1.0, 2.0]), {}, "targets must be integer class ids, got float64"),
    "weights in a row": (ValueError, np.zeros(3, int), {"weight": np.ones((1, 4))}, r"weight .*\(1, 4\)"),
    "float32 weights": (
        TypeError,
        np.zeros(3, int),
        {"weight": lambda: minidl.tensor(np.ones(4, np.float32))},
        "weight is float32, but the logits float64",
    ),
}


@pytest.mark.parametrize("operation", ["cross_entropy", "nll_loss"])
@pytest.mark.parametrize("name", ERRORS)
def test_the_kind_of_error(operation, name):
    error, target, options, message = ERRORS[name]
    options = {option: value() if callable(value) else value for option, value in options.items()}
    with pytest.raises(error, match=f"^{operation}: {message}"):
        getattr(ops, operation)(minidl.tensor(A), target, **options)


@pytest.mark.parametrize("operation", ["cross_entropy", "nll_loss"])
def test_a_single_class_and_the_last_of_many_are_class_ids(operation):
    loss = getattr(ops, operation)
    assert loss(minidl.tensor(np.zeros((2, 1))), np.array([0, 0])).item() == 0
    for c in range(4):
        expected = getattr(loss_formulas, operation)(A[0], np.array(c))
        np.testing.assert_allclose(loss(minidl.tensor(A[0]), np.array(c)).item(), expected, rtol=1e-14)


def test_smoothing_over_many_classes_in_float32_does_not_drift():
    """Even logits of 2^14 classes: the loss is ln 2^14 = 9.704061; added up in float32 it is 9.703226."""
    logits = minidl.tensor(np.zeros((2, 1 << 14, 3), np.float32))
    losses = ops.cross_entropy(logits, np.zeros((2, 3), int), reduction="none", label_smoothing=1.0)
    np.testing.assert_allclose(losses.numpy(), 14 * math.log(2), rtol=1e-6)


def test_the_exponentials_of_many_classes_in_float32_do_not_drift():
    """ln(1 + 0.1 (2^18 - 1)): the sum added up in float32 is off by 2e-3 of itself."""
    logits = np.zeros((1, 1 << 18, 3), np.float32)
    logits[:, 0] = math.log(10)
    losses = ops.cross_entropy(minidl.tensor(logits), np.zeros((1, 3), int), reduction="none")
    np.testing.assert_allclose(losses.numpy(), math.log(1 + 0.1 * (2**18 - 1)), rtol=1e-6)


# --- single points ------------------------------------------------------------------------------------------


def test_binary_weights_may_be_plain_numbers_and_lists():
    x, y = minidl.tensor(A), minidl.tensor(P)
    expected = loss_formulas.binary_cross_entropy_with_logits(
        A, P, np.array([1.0, 2.0, 3.0, 4.0]), "mean", np.array(2.5)
    )
    got = ops.binary_cross_entropy_with_logits(x, y, [1, 2, 3, 4], pos_weight=2.5).item()
    assert math.isclose(got, float(expected), rel_tol=1e-14)


def test_kl_div_of_a_target_zero_under_a_second_derivative():
    x = minidl.tensor(np.array([-1.0, -2.0]), requires_grad=True)
    y = minidl.tensor(np.array([0.0, 1.0]))
    ops.kl_div(x, y, reduction="sum").backward(create_graph=True)
    np.testing.assert_array_equal(x.grad.detach().numpy(), [0, -1])


def test_smooth_l1_is_not_curved_at_beta_and_beyond():
    """Second derivative 1/beta where |d| < beta, else 0: at |d| = beta, too, as torch."""
    x = minidl.tensor(np.array([0.5, -1.5, 2.0, -2.0, 3.0]), requires_grad=True)
    loss = ops.smooth_l1_loss(x, minidl.tensor(np.zeros(5)), reduction="sum", beta=2.0)
    (slope,) = minidl.autograd.grad(loss, x, create_graph=True)
    np.testing.assert_array_equal(slope.detach().numpy(), [0.25, -0.75, 1, -1, 1])
    (curvature,) = minidl.autograd.grad(slope.sum(), x)
    np.testing.assert_array_equal(curvature.numpy(), [0.5, 0.5, 0, 0, 0])
