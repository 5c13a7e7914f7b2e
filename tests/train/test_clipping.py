"""Gradient clipping in a training: the option, its default, and what it does to a step."""

import json

import numpy as np
import pytest

from minidl.errors import InputError
from minidl.nn.utils import clip_grad_norm_
from minidl.train import TrainConfig

pytestmark = pytest.mark.usefixtures("quick_plots")


def weights(trainer):
    return {name: array.copy() for name, array in trainer.model.state_dict().items()}


@pytest.mark.parametrize("value", [0, -1.0, np.nan, np.inf, "1", [1.0]])
def test_out_of_range_is_one_line_that_names_the_option(value):
    with pytest.raises(InputError, match=r"^clip_grad_norm: .*; give a finite number above 0, or none$"):
        TrainConfig(clip_grad_norm=value)


def test_no_clipping_by_default_and_in_runs_of_earlier_versions():
    values = TrainConfig().to_dict()
    assert values.pop("clip_grad_norm") is None
    assert TrainConfig.from_dict(values).clip_grad_norm is None
    kept = TrainConfig.from_dict(json.loads(json.dumps(TrainConfig(clip_grad_norm=0.5).to_dict())))
    assert kept.clip_grad_norm == 0.5


def test_every_step_is_clipped_to_the_norm_before_it_is_taken(train, monkeypatch):
    """With SGD the path is no longer than steps · rate · norm; without clipping it is."""
    norms = []

    def noting(parameters, max_norm):
        parameters = list(parameters)
        before = clip_grad_norm_(parameters, max_norm).item()
        norms.append((before, max_norm, sum(float((p.grad.data**2).sum()) for p in parameters) ** 0.5))

    monkeypatch.setattr("minidl.train.trainer.clip_grad_norm_", noting)
    options = {"optimizer": "sgd", "momentum": 0.0, "lr": 0.1, "schedule": "constant", "steps": 3}
    clipped = train("clipped", clip_grad_norm=1e-3, **options)
    assert len(norms) == 3
    for before, limit, after in norms:
        assert limit == 1e-3 < before and after <= 1e-3 * (1 + 1e-5)
    free = train("free", **options)
    assert len(norms) == 3, "no clipping unless it is asked for"
    start = weights(train("start", **{**options, "lr": 1e-30}))
    names = [name for name, _ in clipped.model.named_parameters()]
    length = {
        trainer: sum(float(((weights(trainer)[n] - start[n]) ** 2).sum()) for n in names) ** 0.5
        for trainer in (clipped, free)
    }
    assert 0 < length[clipped] <= 3 * 0.1 * 1e-3 * (1 + 1e-3) < length[free]


def test_a_limit_that_is_never_reached_changes_no_bit(train):
    free, clipped = train("free", steps=3), train("clipped", steps=3, clip_grad_norm=1e9)
    for name, array in weights(free).items():
        np.testing.assert_array_equal(weights(clipped)[name], array, err_msg=name)
