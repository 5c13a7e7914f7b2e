"""What schedules take for a number, for a rate and for a function, and what they refuse."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.optim import lr_scheduler

BASES = (0.8, 0.1)


def optimizer():
    return optim.SGD([{"params": [nn.Parameter(np.ones(1))], "lr": lr} for lr in BASES])


def one_rate(lr=1.0):
    return optim.SGD([nn.Parameter(np.ones(1))], lr=lr)


def rates_of(o, schedule, count):
    """The rates before each of so many steps."""
    rates = []
    for _ in range(count):
        rates.append(o.param_groups[0]["lr"])
        schedule.step()
    return rates


NUMBERS = {
    "NumPy's scalar": np.float32(0.25),
    "an array": np.array(0.25),
    "an array of one": np.array([0.25]),
    "a tensor": minidl.tensor(0.25),
    "a tensor of one": minidl.tensor([0.25], dtype="float64"),
}


@pytest.mark.parametrize("form", NUMBERS)
def test_numbers_come_in_many_forms(form):
    """Options, and what a function returns: the rates are Python's floats, as a checkpoint needs them."""
    number = NUMBERS[form]
    for make, expected in (
        (lambda o: lr_scheduler.ExponentialLR(o, number), [1, 0.25, 0.0625]),
        (lambda o: lr_scheduler.ConstantLR(o, number, np.int64(2)), [0.25, 0.25, 1]),
        (lambda o: lr_scheduler.LinearLR(o, number, 1.0, minidl.tensor(3)), [0.25, 0.5, 0.75]),
        (lambda o: lr_scheduler.LambdaLR(o, lambda t: number), [0.25, 0.25, 0.25]),
    ):
        o = one_rate()
        schedule = make(o)
        assert rates_of(o, schedule, 3) == pytest.approx(expected, rel=1e-15)
        assert type(o.param_groups[0]["lr"]) is float
        json.dumps([schedule.state_dict(), o.state_dict()])


@pytest.mark.parametrize("form", NUMBERS)
def test_the_rate_may_be_any_number(form):
    """A tensor stays in its group and is overwritten; anything else becomes a float."""
    is_tensor = "tensor" in form
    rate = NUMBERS[form].clone() if is_tensor else NUMBERS[form]
    o = one_rate(rate)
    schedule = lr_scheduler.ExponentialLR(o, 0.5)
    schedule.step()
    assert schedule.base_lrs == [0.25] and schedule.get_last_lr() == [0.125]
    assert float(o.param_groups[0]["lr"]) == 0.125
    if is_tensor:
        assert o.param_groups[0]["lr"] is rate and rate.item() == 0.125
    assert json.loads(json.dumps(o.state_dict()))["param_groups"][0]["lr"] == 0.125


def test_groups_that_share_a_tensor_get_rates_of_their_own():
    shared = minidl.tensor(1.0)
    o = optim.SGD([{"params": [nn.Parameter(np.ones(1))]} for _ in BASES], lr=shared)
    schedule = lr_scheduler.LambdaLR(o, [lambda t: 0.5, lambda t: 0.25])
    assert schedule.get_last_lr() == [0.5, 0.25]
    assert [float(g["lr"]) for g in o.param_groups] == [0.5, 0.25] and shared.item() == 1.0


REFUSED = {
    "a step size of 0": (lambda o: lr_scheduler.StepLR(o, 0), ValueError, "StepLR: step_size .*0"),
    "a step size below 0": (lambda o: lr_scheduler.StepLR(o, -3), ValueError, "StepLR: step_size .*-3"),
    "a step size that is NaN": (lambda o: lr_scheduler.StepLR(o, math.nan), ValueError, "step_size .*nan"),
    "a step size that is text": (lambda o: lr_scheduler.StepLR(o, "3"), TypeError, "step_size .*str"),
    "a cosine of no length": (
        lambda o: lr_scheduler.CosineAnnealingLR(o, 0),
        ValueError,
        "CosineAnnealingLR: T_max .*0",
    ),
    "a warm-up of no steps": (
        lambda o: lr_scheduler.LinearLR(o, total_iters=0),
        ValueError,
        "LinearLR: total_iters .*0",
    ),
    "a warm-up of -5 steps": (
        lambda o: lr_scheduler.LinearLR(o, total_iters=-5),
        ValueError,
        "LinearLR: total_iters .*-5",
    ),
    "a polynomial of no steps": (
        lambda o: lr_scheduler.PolynomialLR(o, 0),
        ValueError,
        "PolynomialLR: total_iters .*0",
    ),
    "a negative power": (
        lambda o: lr_scheduler.PolynomialLR(o, 3, -1.0),
        ValueError,
        "PolynomialLR: power .*-1",
    ),
    "a constant for no steps": (
        lambda o: lr_scheduler.ConstantLR(o, 0.5, 0),
        ValueError,
        "ConstantLR: total_iters .*0",
    ),
    "a factor of 0": (lambda o: lr_scheduler.ConstantLR(o, 0), ValueError, "ConstantLR: factor .*0"),
    "a start of 0": (lambda o: lr_scheduler.LinearLR(o, 0), ValueError, "LinearLR: start_factor .*0"),
    "an end above 1": (lambda o: lr_scheduler.LinearLR(o, 0.5, 2), ValueError, "LinearLR: end_factor .*2"),
    "no gamma": (lambda o: lr_scheduler.ExponentialLR(o, None), TypeError, "ExponentialLR: gamma .*NoneType"),
    "two gammas": (
        lambda o: lr_scheduler.ExponentialLR(o, minidl.tensor([0.1, 0.2])),
        ValueError,
        r"ExponentialLR: gamma .*\(2,\)",
    ),
    "a milestone": (lambda o: lr_scheduler.MultiStepLR(o, 5), TypeError, "MultiStepLR: milestones .*int"),
    "milestones in text": (lambda o: lr_scheduler.MultiStepLR(o, "5"), TypeError, "milestones .*str"),
    "a number for a function": (lambda o: lr_scheduler.LambdaLR(o, 0.5), TypeError, "LambdaLR: .*float"),
    "a list of numbers": (lambda o: lr_scheduler.LambdaLR(o, [0.5, 0.5]), TypeError, "LambdaLR: .*float"),
    "too few functions": (lambda o: lr_scheduler.LambdaLR(o, [abs]), ValueError, "LambdaLR: 2 .*1"),
    "a function that returns nothing": (
        lambda o: lr_scheduler.LambdaLR(o, lambda t: None),
        TypeError,
        "LambdaLR: lr_lambda's result .*NoneType",
    ),
    "no optimizer": (lambda o: lr_scheduler.StepLR([], 3), TypeError, "StepLR: .*list"),
    "no optimizer for a function": (lambda o: lr_scheduler.LambdaLR(3, abs), TypeError, "LambdaLR: .*int"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_impossible_schedules_name_what_is_wrong(name):
    make, error, message = REFUSED[name]
    o = optimizer()
    with pytest.raises(error, match=message) as caught:
        make(o)
    assert "\n" not in str(caught.value)
    assert [g["lr"] for g in o.param_groups] == list(BASES)
