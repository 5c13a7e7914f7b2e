"""Schedules against closed formulas and hand-worked rates, with two parameter groups and with a break.

That the recursions are torch's, to the bit, is shown in tests/parity/test_torch_schedules.py.
"""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest

from minidl import nn, optim
from minidl.optim import lr_scheduler

BASES = (0.8, 0.1)
STEPS = 13


def optimizer():
    groups = [{"params": [nn.Parameter(np.ones(1))], "lr": lr} for lr in BASES]
    return optim.SGD(groups, momentum=0.9)


def one_rate(lr=1.0):
    return optim.SGD([nn.Parameter(np.ones(1))], lr=lr)


def rates_of(o, schedules, count):
    """The rates of the first group before each of so many steps of all schedules."""
    rates = []
    for _ in range(count):
        rates.append(o.param_groups[0]["lr"])
        for schedule in schedules:
            schedule.step()
    return rates


# name: (schedule of an optimizer, rate of base b at step t)
SCHEDULES = {
    "StepLR": (lambda o: lr_scheduler.StepLR(o, 3, gamma=0.5), lambda b, t: b * 0.5 ** (t // 3)),
    "StepLR by default": (lambda o: lr_scheduler.StepLR(o, 4), lambda b, t: b * 0.1 ** (t // 4)),
    "MultiStepLR": (
        lambda o: lr_scheduler.MultiStepLR(o, [9, 2, 5], gamma=0.5),
        lambda b, t: b * 0.5 ** sum(t >= m for m in (2, 5, 9)),
    ),
    "ExponentialLR": (lambda o: lr_scheduler.ExponentialLR(o, 0.9), lambda b, t: b * 0.9**t),
    "ConstantLR": (lambda o: lr_scheduler.ConstantLR(o, 0.25, 4), lambda b, t: b * (0.25 if t < 4 else 1)),
    "ConstantLR by default": (lr_scheduler.ConstantLR, lambda b, t: b * (1 / 3 if t < 5 else 1)),
    "LinearLR": (
        lambda o: lr_scheduler.LinearLR(o, 0.25, 0.75, 7),
        lambda b, t: b * (0.25 + 0.5 * min(t, 7) / 7),
    ),
    "LinearLR by default": (lr_scheduler.LinearLR, lambda b, t: b * (1 / 3 + 2 / 3 * min(t, 5) / 5)),
    "PolynomialLR": (
        lambda o: lr_scheduler.PolynomialLR(o, 8, power=0.9),
        lambda b, t: b * (1 - min(t, 8) / 8) ** 0.9,
    ),
    "CosineAnnealingLR": (
        lambda o: lr_scheduler.CosineAnnealingLR(o, 10, eta_min=0.01),
        lambda b, t: 0.01 + (b - 0.01) * (1 + math.cos(math.pi * t / 10)) / 2,
    ),
    "LambdaLR": (lambda o: lr_scheduler.LambdaLR(o, lambda t: 1 / (t + 1)), lambda b, t: b / (t + 1)),
}

#: name: (class, arguments that must be given)
KINDS = {
    name: (
        name.partition(" ")[0],
        {
            "StepLR": {"step_size": 3},
            "MultiStepLR": {"milestones": [2]},
            "ExponentialLR": {"gamma": 0.5},
            "CosineAnnealingLR": {"T_max": 3},
            "LambdaLR": {"lr_lambda": abs},
        }.get(name.partition(" ")[0], {}),
    )
    for name in SCHEDULES
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_follow_the_formula(name):
    make, formula = SCHEDULES[name]
    o = optimizer()
    schedule = make(o)
    for t in range(STEPS):
        expected = [formula(b, t) for b in BASES]
        assert [g["lr"] for g in o.param_groups] == pytest.approx(expected, rel=1e-12, abs=1e-15)
        assert schedule.get_last_lr() == [g["lr"] for g in o.param_groups]
        assert schedule.last_epoch == t
        schedule.step()


@pytest.mark.parametrize("name", SCHEDULES)
def test_continuing_gives_the_same_rates_to_the_bit(name):
    make, _ = SCHEDULES[name]
    straight, o = [], optimizer()
    schedule = make(o)
    for _ in range(STEPS):
        schedule.step()
        straight.append(schedule.get_last_lr())

    o = optimizer()
    schedule = make(o)
    for _ in range(4):
        schedule.step()
    saved = json.loads(
        json.dumps({"schedule": schedule.state_dict(), "groups": o.state_dict()["param_groups"]})
    )
    o = optimizer()
    schedule = make(o)
    o.load_state_dict({"state": {}, "param_groups": saved["groups"]})
    schedule.load_state_dict(saved["schedule"])
    resumed = [schedule.get_last_lr()]
    for _ in range(STEPS - 4):
        schedule.step()
        resumed.append(schedule.get_last_lr())
    assert resumed == straight[3:]


def test_hand_worked_rates():
    """Powers of two, exact: halving every 2 steps; a line from 1/4 to 1 over 3 steps; a cosine over 2."""
    rates = {}
    for name, make in {
        "step": lambda o: lr_scheduler.StepLR(o, 2, 0.5),
        "line": lambda o: lr_scheduler.LinearLR(o, 0.25, 1.0, 3),
        "poly": lambda o: lr_scheduler.PolynomialLR(o, 4, 2.0),
        "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, 2),
    }.items():
        o = optim.SGD([nn.Parameter(np.ones(1))], lr=16.0)
        schedule = make(o)
        rates[name] = [o.param_groups[0]["lr"]]
        for _ in range(4):
            schedule.step()
            rates[name].append(o.param_groups[0]["lr"])
    assert rates["step"] == [16, 16, 8, 8, 4]
    assert rates["line"] == [4, 8, 12, 16, 16]
    assert rates["poly"] == [16, 9, 4, 1, 0]
    assert rates["cosine"] == pytest.approx([16, 8, 0, 8, 16], abs=1e-12)


def test_the_optimizer_uses_the_rate():
    p = nn.Parameter(np.zeros(1))
    o = optim.SGD([p], lr=1.0)
    schedule = lr_scheduler.StepLR(o, 1, 0.5)
    for expected in (-1.0, -1.5, -1.75):
        p.grad = nn.Parameter(np.ones(1))
        o.step()
        schedule.step()
        assert p.data.item() == expected


def test_a_second_schedule_goes_on_from_the_rate_in_force():
    """The optimizer remembers the rate it began with, but a new schedule multiplies what the old one left."""
    o = one_rate(16.0)
    rates_of(o, [lr_scheduler.ExponentialLR(o, 0.5)], 3)
    second = lr_scheduler.StepLR(o, 1, 0.25)
    assert second.base_lrs == [16]
    assert rates_of(o, [second], 3) == [2, 0.5, 0.125]


def test_two_schedules_on_one_optimizer_multiply():
    """A warm-up 0.1, 0.325, 0.55, 0.775, 1, 1, ... times a decay 0.9ᵗ."""
    o = one_rate()
    both = [lr_scheduler.LinearLR(o, 0.1, 1.0, 4), lr_scheduler.ExponentialLR(o, 0.9)]
    expected = [0.1, 0.2925, 0.4455, 0.564975, 0.6561, 0.59049, 0.531441]
    assert rates_of(o, both, 7) == pytest.approx(expected, rel=1e-14)


def test_three_schedules_multiply_in_every_order():
    """Powers of two, exact: halved at 2 and 4, halved at 3, a quarter before 4."""
    for order in itertools.permutations(("step", "milestone", "constant")):
        o = one_rate(64.0)
        made = {
            "step": lambda o: lr_scheduler.StepLR(o, 2, 0.5),
            "milestone": lambda o: lr_scheduler.MultiStepLR(o, [3], 0.5),
            "constant": lambda o: lr_scheduler.ConstantLR(o, 0.25, 4),
        }
        assert rates_of(o, [made[name](o) for name in order], 6) == [16, 16, 8, 4, 8, 8], order


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda o: lr_scheduler.ExponentialLR(o, 0.5), [8, 4, 100, 50, 25]),
        (lambda o: lr_scheduler.StepLR(o, 3, 0.5), [8, 8, 100, 50, 50]),
        (lambda o: lr_scheduler.MultiStepLR(o, [1, 4], 0.5), [8, 4, 100, 100, 50]),
        (lambda o: lr_scheduler.ConstantLR(o, 0.5, 4), [4, 4, 100, 100, 200]),
        (lambda o: lr_scheduler.LinearLR(o, 0.25, 1.0, 3), [2, 4, 100, 100 * 4 / 3, 100 * 4 / 3]),
        (lambda o: lr_scheduler.PolynomialLR(o, 4), [8, 6, 100, 50, 0]),
        (lambda o: lr_scheduler.CosineAnnealingLR(o, 3), [8, 6, 100, 0, 2]),
        (lambda o: lr_scheduler.LambdaLR(o, lambda t: 1 / 2**t), [8, 4, 100, 1, 0.5]),
    ],
    ids=lambda case: None if isinstance(case, list) else "rates",
)
def test_a_rate_set_by_hand_is_what_the_schedule_goes_on_from(make, expected):
    """100 at step 2. A function of t alone says what the rate is, and undoes it; a cosine rises by its own
    share of the first rate."""
    o = one_rate(8.0)
    schedule, rates = make(o), []
    for t in range(5):
        if t == 2:
            o.param_groups[0]["lr"] = 100.0
        rates += rates_of(o, [schedule], 1)
    assert rates == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_the_last_rate_is_the_schedules_whatever_was_set_since():
    o = one_rate(8.0)
    schedule = lr_scheduler.ExponentialLR(o, 0.5)
    schedule.step()
    o.param_groups[0]["lr"] = 100.0
    assert schedule.get_last_lr() == [4]
    schedule.get_last_lr()[0] = 7.0  # a copy
    assert schedule.get_last_lr() == [4]


def test_a_function_for_each_group():
    o = optimizer()
    schedule = lr_scheduler.LambdaLR(o, [lambda t: 1 / (t + 1), lambda t: 2.0**t])
    for t in range(4):
        assert schedule.get_last_lr() == [0.8 * (1 / (t + 1)), 0.1 * 2.0**t]
        schedule.step()


def test_a_cosine_rises_again_after_its_end():
    o = one_rate(16.0)
    rates = rates_of(o, [lr_scheduler.CosineAnnealingLR(o, 2, eta_min=2.0)], 9)
    assert rates == pytest.approx([16, 9, 2, 9, 16, 9, 2, 9, 16], rel=1e-12)


def test_a_schedule_is_continued_by_last_epoch():
    """It is made for t and goes on to t + 1, with the rate in force: halved at 3, 6, 9."""
    o = one_rate(64.0)
    rates_of(o, [lr_scheduler.StepLR(o, 3, 0.5)], 4)
    other = one_rate(1.0)
    other.load_state_dict(o.state_dict())
    schedule = lr_scheduler.StepLR(other, 3, 0.5, last_epoch=4)
    assert (schedule.last_epoch, schedule.base_lrs) == (5, [64])
    assert rates_of(other, [schedule], 5) == [32, 16, 16, 16, 8]


@pytest.mark.parametrize("name", SCHEDULES)
def test_to_continue_there_must_be_first_rates(name):
    kind, options = KINDS[name]
    with pytest.raises(KeyError, match=rf"{kind}: last_epoch=3 .*group 0 has no 'initial_lr'"):
        getattr(lr_scheduler, kind)(optimizer(), **options, last_epoch=3)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_step_may_name_the_epoch(name):
    """Then the closed form gives the rate, whatever was set by hand."""
    make, formula = SCHEDULES[name]
    o = optimizer()
    schedule = make(o)
    for t in (5, 2, 11, 0):
        o.param_groups[1]["lr"] = 123.0
        schedule.step(t)
        assert schedule.get_last_lr() == pytest.approx([formula(b, t) for b in BASES], rel=1e-12, abs=1e-15)
        assert schedule.last_epoch == t


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_state_without_rates_in_force_is_enough_beside_the_optimizers(name):
    """The states of minidl's first checkpoints: t and the first rates."""
    make, formula = SCHEDULES[name]
    o = optimizer()
    rates_of(o, [make(o)], 4)
    later = optimizer()
    schedule = make(later)
    later.load_state_dict(o.state_dict())
    schedule.load_state_dict({"last_epoch": 4, "base_lrs": list(BASES)})
    assert schedule.get_last_lr() == [g["lr"] for g in o.param_groups]
    for t in range(4, STEPS):
        expected = [formula(b, t) for b in BASES]
        assert schedule.get_last_lr() == pytest.approx(expected, rel=1e-12, abs=1e-15)
        schedule.step()


@pytest.mark.parametrize("spoil", [{"base_lrs": [0.1]}, {"base_lrs": ["a", "b"]}, {"last_epoch": "x"}, None])
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(spoil):
    schedule = lr_scheduler.StepLR(optimizer(), 3)
    before = schedule.state_dict()
    state = {"base_lrs": [1.0, 2.0]} if spoil is None else {**before, "gamma": 0.7, **spoil}
    with pytest.raises((KeyError, TypeError, ValueError), match=r"StepLR|last_epoch"):
        schedule.load_state_dict(state)
    assert schedule.state_dict() == before


class Decay:
    """A function with a memory."""

    def __init__(self, base):
        self.base = base

    def __call__(self, t):
        return self.base**t


def test_functions_that_are_objects_are_saved():
    o = optimizer()
    state = lr_scheduler.LambdaLR(o, [Decay(0.5), lambda t: 1.0]).state_dict()
    assert state["lr_lambdas"] == [{"base": 0.5}, None]
    later = lr_scheduler.LambdaLR(optimizer(), [Decay(0.9), lambda t: 1.0])
    later.load_state_dict(json.loads(json.dumps(state)))
    later.step()
    assert later.get_last_lr() == [0.8 * 0.5, 0.1]


def test_saved_options_hold():
    state = lr_scheduler.MultiStepLR(optimizer(), [2, 2, 3], gamma=0.5).state_dict()
    later = lr_scheduler.MultiStepLR(one_rate(), [100], gamma=0.1)
    later.load_state_dict({**json.loads(json.dumps(state)), "base_lrs": [1.0]})
    assert rates_of(later.optimizer, [later], 5) == [1, 1, 0.25, 0.125, 0.125]


def test_no_milestones_are_no_change():
    o = one_rate(8.0)
    assert rates_of(o, [lr_scheduler.MultiStepLR(o, [])], 3) == [8, 8, 8]


def test_the_base_class_has_no_formula():
    with pytest.raises(NotImplementedError):
        lr_scheduler.LRScheduler(optimizer())
