"""Schedules beside torch's: the same rates to the bit, alone and in pairs, set by hand in between, resumed.

Both sides compute with Python's floats and by the same recursions, so nothing is rounded differently, and
there is no tolerance. The combinations are drawn.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import nn

torch = pytest.importorskip("torch")

STEPS = 30
BASES = (0.8, 0.1)

counts = st.integers(1, 12)
factors = st.sampled_from((0.1, 0.25, 1 / 3, 0.9, 1.0))
gammas = st.sampled_from((0.1, 0.5, 0.9, 1.0, 1.1))
#: name: its options. Functions are not here: they need a list in some tests.
OPTIONS = {
    "ConstantLR": st.fixed_dictionaries({}, optional={"factor": factors, "total_iters": counts}),
    "StepLR": st.fixed_dictionaries({"step_size": counts}, optional={"gamma": gammas}),
    "MultiStepLR": st.fixed_dictionaries(
        {"milestones": st.lists(st.integers(0, STEPS), max_size=5)}, optional={"gamma": gammas}
    ),
    "ExponentialLR": st.fixed_dictionaries({"gamma": gammas}),
    "LinearLR": st.fixed_dictionaries(
        {},
        optional={
            "start_factor": factors,
            "end_factor": st.sampled_from((0.0, 0.3, 1.0)),
            "total_iters": counts,
        },
    ),
    "PolynomialLR": st.fixed_dictionaries(
        {}, optional={"total_iters": counts, "power": st.sampled_from((0.5, 0.9, 1.0, 2.0))}
    ),
    "CosineAnnealingLR": st.fixed_dictionaries(
        {"T_max": counts}, optional={"eta_min": st.sampled_from((0.0, 0.01, 0.5))}
    ),
    "LambdaLR": st.fixed_dictionaries(
        {"lr_lambda": st.sampled_from((lambda t: 1 / (t + 1), lambda t: 0.95**t, lambda t: t // 3))}
    ),
}
KINDS = sorted(OPTIONS)


@st.composite
def drawn(draw: st.DrawFn, kinds: tuple[str, ...] = tuple(KINDS)) -> tuple[str, dict]:
    """A schedule and its options."""
    kind = draw(st.sampled_from(kinds))
    return kind, draw(OPTIONS[kind])


@pytest.fixture(autouse=True)
def _torch_is_quiet() -> Iterator[None]:
    """It warns of a schedule's step without one of the optimizer, and of ``step(epoch)``."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module=r"torch\..*")
        warnings.filterwarnings("ignore", message=r"Detected call of|The epoch parameter")
        yield


class Both:
    """An optimizer of two groups in minidl and in torch, and schedules on each."""

    def __init__(self, bases: tuple[float, ...] = BASES) -> None:
        self.bases = bases
        self.ours = minidl.optim.SGD([{"params": [nn.Parameter(np.ones(1))], "lr": lr} for lr in bases])
        self.theirs = torch.optim.SGD(
            [{"params": [torch.nn.Parameter(torch.ones(1))], "lr": lr} for lr in bases]
        )
        self.made: list[tuple[str, dict]] = []
        self.pairs: list[tuple] = []

    def add(self, kind: str, options: dict) -> Both:
        self.made.append((kind, options))
        self.pairs.append(
            (
                getattr(minidl.optim.lr_scheduler, kind)(self.ours, **options),
                getattr(torch.optim.lr_scheduler, kind)(self.theirs, **options),
            )
        )
        return self

    def step(self, *epoch: int) -> None:
        for ours, theirs in self.pairs:
            ours.step(*epoch)
            theirs.step(*epoch)

    def set_by_hand(self, group: int, rate: float) -> None:
        for optimizer in (self.ours, self.theirs):
            optimizer.param_groups[group]["lr"] = rate

    def break_off(self) -> None:
        """Save all of minidl's side as a checkpoint does, and go on with what was read from it."""
        optimizer, schedules = json.loads(
            json.dumps([self.ours.state_dict(), [ours.state_dict() for ours, _ in self.pairs]])
        )
        fresh = Both(tuple(9.0 for _ in self.bases))
        for kind, options in self.made:
            fresh.add(kind, options)
        self.ours, mine = fresh.ours, [ours for ours, _ in fresh.pairs]
        self.ours.load_state_dict(optimizer)
        for schedule, state in zip(mine, schedules, strict=True):
            schedule.load_state_dict(state)
        self.pairs = [(ours, theirs) for ours, (_, theirs) in zip(mine, self.pairs, strict=True)]

    def check(self, where: object = "") -> None:
        rates, expected = (
            [group["lr"] for group in optimizer.param_groups] for optimizer in (self.ours, self.theirs)
        )
        assert rates == expected, where
        for ours, theirs in self.pairs:
            assert ours.get_last_lr() == theirs.get_last_lr(), where
            assert ours.last_epoch == theirs.last_epoch


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_a_schedule_alone(kind, data):
    both = Both().add(kind, data.draw(OPTIONS[kind]))
    for t in range(STEPS):
        both.check(t)
        both.step()


@pytest.mark.parametrize("first", KINDS)
@given(data=st.data())
def test_two_schedules_on_one_optimizer(first, data):
    both = Both().add(first, data.draw(OPTIONS[first])).add(*data.draw(drawn()))
    for t in range(STEPS):
        both.check(t)
        both.step()


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_rates_set_by_hand_in_between(kind, data):
    both = Both().add(kind, data.draw(OPTIONS[kind]))
    if data.draw(st.booleans()):
        both.add(*data.draw(drawn()))
    by_hand = data.draw(
        st.dictionaries(
            st.integers(0, STEPS - 1), st.tuples(st.sampled_from((0, 1)), st.floats(0, 2)), max_size=4
        )
    )
    for t in range(STEPS):
        if t in by_hand:
            both.set_by_hand(*by_hand[t])
        both.check(t)
        both.step()


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_saved_in_the_middle_and_continued(kind, data):
    """Also where another schedule and a hand have left their marks."""
    both = Both().add(kind, data.draw(OPTIONS[kind]))
    if data.draw(st.booleans()):
        both.add(*data.draw(drawn()))
    middle, touched = data.draw(st.integers(0, 20)), data.draw(st.integers(0, 20))
    for t in range(STEPS):
        if t == touched:
            both.set_by_hand(1, 0.7)
        if t == middle:
            both.break_off()
        both.check(t)
        both.step()


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_continued_by_last_epoch(kind, data):
    """The optimizer's groups are loaded, and the schedule is made for the t that was reached."""
    options, reached = data.draw(OPTIONS[kind]), data.draw(st.integers(0, 15))
    both = Both().add(kind, options)
    for _ in range(reached):
        both.step()
    later = Both((9.0, 9.0))
    later.ours.load_state_dict(both.ours.state_dict())
    later.theirs.load_state_dict(both.theirs.state_dict())
    later.add(kind, {**options, "last_epoch": reached})
    for t in range(STEPS):
        later.check((reached, t))
        later.step()


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_sent_to_an_epoch(kind, data):
    """``step(epoch)`` takes the closed form, whatever happened; further steps go on from there."""
    both = Both().add(kind, data.draw(OPTIONS[kind]))
    for t, epoch in enumerate(data.draw(st.lists(st.none() | st.integers(0, 20), max_size=12))):
        both.step(*([] if epoch is None else [epoch]))
        both.check((t, epoch))


def test_a_function_for_each_group():
    functions = [lambda t: 1 / (t + 1), lambda t: 0.5**t]
    for given_as in (list, tuple):
        both = Both().add("LambdaLR", {"lr_lambda": given_as(functions)}).add("StepLR", {"step_size": 4})
        for t in range(12):
            both.check(t)
            both.step()


class Decay:
    """A function with a memory."""

    def __init__(self, base: float) -> None:
        self.base = base

    def __call__(self, t: int) -> float:
        return self.base**t


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("ConstantLR", {}),
        ("StepLR", {"step_size": 3}),
        ("MultiStepLR", {"milestones": [2, 2, 7]}),
        ("ExponentialLR", {"gamma": 0.5}),
        ("LinearLR", {}),
        ("PolynomialLR", {}),
        ("CosineAnnealingLR", {"T_max": 9}),
        ("LambdaLR", {"lr_lambda": [Decay(0.5), lambda t: 1.0]}),
    ],
)
def test_states_have_torchs_keys_and_go_both_ways(kind, options):
    both = Both().add(kind, options)
    for _ in range(3):
        both.step()
    ((ours, theirs),) = both.pairs
    flags = {"_is_initial", "_get_lr_called_within_step"}  # torch's, of a call that is not yet over
    assert ours.state_dict() == {k: v for k, v in theirs.state_dict().items() if k not in flags}

    crossed = Both((9.0, 9.0)).add(kind, options)
    ((mine, peer),) = crossed.pairs
    crossed.ours.load_state_dict(
        {"state": {}, "param_groups": [dict(g) for g in both.theirs.state_dict()["param_groups"]]}
    )
    for group, saved in zip(crossed.theirs.param_groups, both.ours.state_dict()["param_groups"], strict=True):
        group["lr"] = saved["lr"]
    mine.load_state_dict(theirs.state_dict())
    peer.load_state_dict(ours.state_dict())
    for t in range(10):
        both.check(t)
        crossed.check(t)
        assert [g["lr"] for g in crossed.ours.param_groups] == [g["lr"] for g in both.ours.param_groups]
        both.step()
        crossed.step()


REFUSED = {
    "a factor above 1": ("ConstantLR", {"factor": 1.5}),
    "a factor below 0": ("ConstantLR", {"factor": -0.5}),
    "a start of 0": ("LinearLR", {"start_factor": 0.0}),
    "a start above 1": ("LinearLR", {"start_factor": 2.0}),
    "an end above 1": ("LinearLR", {"end_factor": 2.0}),
    "an end below 0": ("LinearLR", {"end_factor": -0.1}),
    "more functions than groups": ("LambdaLR", {"lr_lambda": [abs, abs, abs]}),
    "fewer functions than groups": ("LambdaLR", {"lr_lambda": [abs]}),
    "no function": ("LambdaLR", {"lr_lambda": 0.5}),
    "milestones that are a number": ("MultiStepLR", {"milestones": 5}),
    "a t without first rates": ("StepLR", {"step_size": 3, "last_epoch": 4}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_torch_refuses(name):
    kind, options = REFUSED[name]
    both = Both()
    with pytest.raises((TypeError, ValueError, KeyError)) as theirs:
        getattr(torch.optim.lr_scheduler, kind)(both.theirs, **options)
    with pytest.raises(theirs.type, match=kind):
        getattr(minidl.optim.lr_scheduler, kind)(both.ours, **options)


#: torch finds out in a later step: it divides by 0.
DIVIDING = {
    "StepLR": {"step_size": 0},
    "CosineAnnealingLR": {"T_max": 0},
    "ConstantLR": {"factor": 0.0, "total_iters": 2},
    "PolynomialLR": {"power": -1.0, "total_iters": 2},
}


@pytest.mark.parametrize("kind", DIVIDING)
def test_where_torch_would_divide_by_zero(kind):
    both = Both()
    schedule = getattr(torch.optim.lr_scheduler, kind)(both.theirs, **DIVIDING[kind])
    with pytest.raises(ZeroDivisionError):
        _ = [schedule.step() for _ in range(3)]
    with pytest.raises(ValueError, match=f"{kind}: "):
        getattr(minidl.optim.lr_scheduler, kind)(both.ours, **DIVIDING[kind])


def test_a_rate_that_is_a_tensor_stays_one():
    """Both overwrite it in place, in float32: four roundings of each side, so 4 units in the last place."""
    rate, peer = minidl.tensor(0.5), torch.tensor(0.5)
    ours = minidl.optim.SGD([nn.Parameter(np.ones(1))], lr=rate)
    theirs = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=peer)
    both = [
        (
            getattr(minidl.optim.lr_scheduler, kind)(ours, **options),
            getattr(torch.optim.lr_scheduler, kind)(theirs, **options),
        )
        for kind, options in (("LinearLR", {"total_iters": 3}), ("ExponentialLR", {"gamma": 0.7}))
    ]
    for _ in range(6):
        assert ours.param_groups[0]["lr"] is rate and theirs.param_groups[0]["lr"] is peer
        np.testing.assert_allclose(rate.item(), peer.item(), rtol=4 * 2**-23)
        for schedules in both:
            for schedule in schedules:
                schedule.step()
