"""Options of optimizers: numbers in every form that holds exactly one; anything else is refused by name."""

from __future__ import annotations

import json
import math
from fractions import Fraction

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from oracles.update_rules import adam_by_hand, sgd_by_hand

GRADIENTS = (2.0, -1.0, 0.5)
#: Values that float32 holds exactly.
SGD_OPTIONS = {"lr": 0.25, "momentum": 0.5, "dampening": 0.125, "weight_decay": 0.0625}
ADAM_OPTIONS = {"lr": 0.25, "betas": (0.5, 0.75), "eps": 0.125, "weight_decay": 0.0625}
KINDS = {
    "SGD": (sgd_by_hand, SGD_OPTIONS),
    "Adam": (adam_by_hand, ADAM_OPTIONS),
    "AdamW": (lambda *a, **k: adam_by_hand(*a, decoupled=True, **k), ADAM_OPTIONS),
}
FORMS = {
    "a tensor": minidl.tensor,
    "a tensor of one element": lambda x: minidl.tensor([x]),
    "a float64 tensor": lambda x: minidl.tensor(x, dtype="float64"),
    "a parameter": lambda x: nn.Parameter(np.array(x)),
    "NumPy's float32": np.float32,
    "NumPy's float64": np.float64,
    "an array without dimensions": np.array,
    "an array of one element": lambda x: np.array([[x]]),
    "a fraction": Fraction,
}
EACH = [(kind, name) for kind, (_, options) in KINDS.items() for name in options]


def formed(form, value):
    return tuple(map(form, value)) if isinstance(value, tuple) else form(value)


def path_of(optimizer, parameter):
    path = []
    for g in GRADIENTS:
        parameter.grad = minidl.tensor(np.array([g]))
        optimizer.step()
        path.append(parameter.data.item())
    return path


def made(kind, **options):
    parameter = nn.Parameter(np.array([1.0]))
    return getattr(optim, kind)([parameter], **options), parameter


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("kind", "name"), EACH)
def test_a_number_in_any_form_is_the_number(kind, name, form):
    by_hand, options = KINDS[kind]
    given = {**options, name: formed(FORMS[form], options[name])}
    expected = by_hand(1.0, GRADIENTS, **options)
    np.testing.assert_allclose(path_of(*made(kind, **given)), expected, rtol=1e-14)

    in_group, parameter = nn.Parameter(np.array([1.0])), nn.Parameter(np.array([1.0]))
    grouped = getattr(optim, kind)([{"params": [in_group], **given}, {"params": [parameter]}])
    np.testing.assert_allclose(path_of(grouped, in_group), expected, rtol=1e-14)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("kind", "name"), EACH)
def test_a_number_may_be_set_later(kind, name, form):
    by_hand, options = KINDS[kind]
    optimizer, parameter = made(kind)
    optimizer.param_groups[0].update({**options, name: formed(FORMS[form], options[name])})
    expected = by_hand(1.0, GRADIENTS, **options)
    np.testing.assert_allclose(path_of(optimizer, parameter), expected, rtol=1e-14)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("kind", "name"), EACH)
def test_a_number_may_be_saved_and_loaded(kind, name, form):
    """What is saved is plain, as JSON takes it; and a saved number may come in any form."""
    by_hand, options = KINDS[kind]
    optimizer, _ = made(kind, **{**options, name: formed(FORMS[form], options[name])})
    state = optimizer.state_dict()
    read = json.loads(json.dumps(state["param_groups"]))[0]
    saved = tuple(read[name]) if name == "betas" else read[name]
    assert saved == options[name] and json.dumps(read)

    for group in (read, {**read, name: formed(FORMS[form], options[name])}):
        other, parameter = made(kind, lr=123.0)
        other.load_state_dict({"state": {}, "param_groups": [group]})
        expected = by_hand(1.0, GRADIENTS, **options)
        np.testing.assert_allclose(path_of(other, parameter), expected, rtol=1e-14)


def test_betas_may_be_one_tensor_or_one_array():
    expected = adam_by_hand(1.0, GRADIENTS, **ADAM_OPTIONS)
    for betas in (np.array([0.5, 0.75]), minidl.tensor([0.5, 0.75]), [0.5, 0.75], [np.float32(0.5), 0.75]):
        path = path_of(*made("Adam", **{**ADAM_OPTIONS, "betas": betas}))
        np.testing.assert_allclose(path, expected, rtol=1e-14)


@pytest.mark.parametrize("yes", [True, 1, np.True_, np.array(True), minidl.tensor(True), minidl.tensor(1.0)])
def test_nesterov_may_be_whatever_means_yes_or_no(yes):
    options = {"lr": 0.25, "momentum": 0.5}
    for given in (yes, 1 - int(yes)):
        expected = sgd_by_hand(1.0, GRADIENTS, nesterov=bool(given), **options)
        path = path_of(*made("SGD", **options, nesterov=given))
        np.testing.assert_allclose(path, expected, rtol=1e-14)


def test_a_tensor_is_read_in_every_step():
    """As in torch, whoever holds it may change it: 1 - 0.5, then - 0.25, then - 2."""
    rate = minidl.tensor(0.5)
    optimizer, parameter = made("SGD", lr=rate)
    path = []
    for value in (0.5, 0.25, 2.0):
        rate.copy_(minidl.tensor(value))
        parameter.grad = minidl.tensor(np.array([1.0]))
        optimizer.step()
        path.append(parameter.data.item())
    assert path == [0.5, 0.25, -1.75] and optimizer.param_groups[0]["lr"] is rate


WRONG = {
    "text": ("0.1", TypeError, "str"),
    "nothing": (None, TypeError, "NoneType"),
    "a complex number": (1j, TypeError, "complex"),
    "a list": ([0.1], TypeError, "list"),
    "an array of text": (np.array("0.1"), TypeError, "ndarray"),
    "two numbers": (np.array([0.1, 0.2]), ValueError, r"\(2,\)"),
    "a tensor of two": (minidl.tensor([0.1, 0.2]), ValueError, r"\(2,\)"),
    "no number": (minidl.tensor([]), ValueError, r"\(0,\)"),
    "an integer beyond all floats": (10**400, ValueError, "too large"),
}
OUT_OF_RANGE = {
    "NaN": (math.nan, ValueError, "nan"),
    "NaN in a tensor": (minidl.tensor(math.nan), ValueError, "nan"),
}


def options_with(name, value):
    return {name: (value, 0.9)} if name == "betas" else {name: value}


@pytest.mark.parametrize("wrong", [*WRONG, *OUT_OF_RANGE])
@pytest.mark.parametrize(("kind", "name"), [*EACH, ("SGD", "nesterov")])
def test_anything_else_is_refused_by_name(kind, name, wrong):
    value, error, told = {**WRONG, **OUT_OF_RANGE}[wrong]
    with pytest.raises(error, match=rf"^{kind}: {name}.* {told}|{name}.*{told}") as caught:
        made(kind, **options_with(name, value))
    assert str(caught.value).startswith(f"{kind}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize(("kind", "name"), [*EACH, ("SGD", "nesterov")])
def test_anything_else_is_refused_in_a_group_and_later(kind, name, wrong):
    """A step moves nothing then, not even the parameters of other groups."""
    value, error, told = WRONG[wrong]
    message = rf"^{kind}: {name}.*{told}"
    parameters = [nn.Parameter(np.ones(2)) for _ in range(2)]
    groups = [{"params": [p]} for p in parameters]
    with pytest.raises(error, match=message):
        getattr(optim, kind)([groups[0], {**groups[1], **options_with(name, value)}])

    optimizer = getattr(optim, kind)(groups)
    saved = optimizer.state_dict()
    saved["param_groups"][0]["lr"] = 0.5
    saved["param_groups"][1].update(options_with(name, value))
    with pytest.raises(error, match=message):
        optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0]["lr"] == 1e-3

    optimizer.param_groups[1].update(options_with(name, value))
    for p in parameters:
        p.grad = minidl.tensor(np.ones(2))
    with pytest.raises(error, match=message):
        optimizer.step()
    for p in parameters:
        np.testing.assert_array_equal(p.data, [1, 1])


@pytest.mark.parametrize(
    ("betas", "error", "told"),
    [
        (0.9, TypeError, "two numbers, got float"),
        ("ab", TypeError, "two numbers, got str"),
        (None, TypeError, "two numbers, got NoneType"),
        ((0.9,), ValueError, "two numbers, got 1"),
        ((0.9, 0.99, 0.999), ValueError, "two numbers, got 3"),
        (np.array(0.9), TypeError, "two numbers, got ndarray"),
        (minidl.tensor([0.1, 0.2, 0.3]), ValueError, "two numbers, got 3"),
        ((0.9, 1.0), ValueError, r"betas\[1\] must be in \[0.0, 1\), got 1.0"),
        ((-0.1, 0.9), ValueError, r"betas\[0\] must be in \[0.0, 1\), got -0.1"),
        ((0.5, math.nan), ValueError, r"betas\[1\] .* nan"),
    ],
)
def test_betas_are_two_numbers_below_one(betas, error, told):
    """Wherever they come from: from 1 on, the step would divide by 0."""
    for kind in ("Adam", "AdamW"):
        with pytest.raises(error, match=f"^{kind}: betas.*{told}|^{kind}: {told}"):
            made(kind, betas=betas)
        optimizer, parameter = made(kind)
        optimizer.param_groups[0]["betas"] = betas
        parameter.grad = minidl.tensor(np.array([1.0]))
        with pytest.raises(error, match=f"^{kind}: betas.*{told}|^{kind}: {told}"):
            optimizer.step()


@pytest.mark.parametrize("value", [0.5, 2, math.nan, "no"])
def test_nesterov_is_yes_or_no(value):
    error = TypeError if isinstance(value, str) else ValueError
    message = rf"SGD: nesterov must be .*{value if error is ValueError else 'str'}"
    with pytest.raises(error, match=message):
        made("SGD", momentum=0.9, nesterov=value)
    optimizer, parameter = made("SGD", momentum=0.9)
    optimizer.param_groups[0]["nesterov"] = value
    parameter.grad = minidl.tensor(np.array([1.0]))
    with pytest.raises(error, match=message):
        optimizer.step()


def test_an_optimizer_of_ones_own_keeps_options_of_any_kind():
    class Sign(optim.Optimizer):
        def __init__(self, params, size, mode):
            super().__init__(params, {"size": size, "mode": mode})

        def update(self, w, g, state, group):
            assert group is self.param_groups[0] and group["mode"] == "gently"
            w -= group["size"] * np.sign(g)
            group["steps"] = group.get("steps", 0) + 1

    parameter = nn.Parameter(np.array([1.0]))
    optimizer = Sign([parameter], 0.25, "gently")
    assert path_of(optimizer, parameter) == [0.75, 1.0, 0.75]
    assert optimizer.state_dict()["param_groups"][0] == {
        "size": 0.25,
        "mode": "gently",
        "steps": 3,
        "params": [0],
    }
