"""Schedules against closed formulas and hand-worked rates, with two parameter groups and with a break."""

from __future__ import annotations

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
        lambda o: lr_scheduler.LinearLR(o, 0.25, 2.0, 7),
        lambda b, t: b * (0.25 + 1.75 * min(t, 7) / 7),
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


def test_a_second_schedule_begins_with_the_first_rate_again():
    """The optimizer remembers the rate it began with: a new schedule does not build on the old one's last."""
    o = optimizer()
    first = lr_scheduler.ExponentialLR(o, 0.5)
    for _ in range(3):
        first.step()
    lr_scheduler.ExponentialLR(o, 0.5)
    assert [g["lr"] for g in o.param_groups] == list(BASES)


def test_the_base_class_has_no_formula():
    with pytest.raises(NotImplementedError):
        lr_scheduler.LRScheduler(optimizer())
