"""nn.summary: shapes, parameters and FLOPs worked out by hand, and nothing left behind in the model."""

from __future__ import annotations

import json

import numpy as np
import pytest

import minidl
from minidl import nn


def rows(summary):
    return {r.name: (r.kind, r.output_shape, r.parameters, r.flops, r.calls) for r in summary.rows}


def test_a_hand_worked_network():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),  # 16x12 -> 8x6, 8 (27 + 1) parameters
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, groups=4, padding=1, bias=False),  # each output sees 2 channels
        nn.MaxPool2d(2),
        nn.ConvTranspose2d(8, 2, 2, stride=2),  # every input value meets 2 * 4 weights
        nn.Flatten(),
        nn.Linear(96, 10),
    )
    summary = nn.summary(model, (5, 3, 16, 12))
    assert rows(summary) == {
        "0": ("Conv2d", (5, 8, 8, 6), 224, 2 * 27 * 5 * 8 * 48, 1),
        "1": ("BatchNorm2d", (5, 8, 8, 6), 16, 0, 1),
        "2": ("ReLU", (5, 8, 8, 6), 0, 0, 1),
        "3": ("Conv2d", (5, 8, 8, 6), 144, 2 * 18 * 5 * 8 * 48, 1),
        "4": ("MaxPool2d", (5, 8, 4, 3), 0, 0, 1),
        "5": ("ConvTranspose2d", (5, 2, 8, 6), 66, 2 * 8 * 5 * 8 * 12, 1),
        "6": ("Flatten", (5, 96), 0, 0, 1),
        "7": ("Linear", (5, 10), 970, 2 * 96 * 5 * 10, 1),
    }
    assert summary.parameters == 224 + 16 + 144 + 66 + 970
    assert summary.flops == 2 * (51840 + 34560 + 3840 + 4800)


def test_flops_of_an_operation_outside_any_layer_belong_to_the_module_that_runs_it():
    class Product(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(np.ones((4, 6), np.float32))

        def forward(self, x):
            return x @ self.weight

    summary = nn.summary(nn.Sequential(Product()), (3, 4))
    assert rows(summary) == {"0": ("Product", (3, 6), 24, 2 * 3 * 4 * 6, 1)}


def test_a_module_used_twice_counts_its_work_twice_and_its_parameters_once():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x):
            return self.layer(self.layer(x))

    summary = nn.summary(Twice(), (3, 4))
    assert rows(summary)["layer"] == ("Linear", (3, 4), 20, 2 * (2 * 4 * 12), 2)
    assert (summary.parameters, summary.flops) == (20, 192)


def test_a_shared_parameter_counts_once_in_the_total():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    assert nn.summary(model, (1, 2)).parameters == 4 + 2 + 2


def test_the_documents_unet():
    """By hand: a 3x3 convolution from a to b channels on n² pixels multiplies and adds 9 a b n² times."""
    convolutions = [
        *[(3, 32, 128), (32, 32, 128), (32, 64, 64), (64, 64, 64)],
        *[(64, 128, 32), (128, 128, 32), (128, 256, 16), (256, 256, 16)],
        *[(512, 256, 16), (256, 256, 16), (384, 128, 32), (128, 128, 32)],
        *[(192, 64, 64), (64, 64, 64), (96, 32, 128), (32, 32, 128)],
    ]
    terms = sum(9 * a * b * n * n for a, b, n in convolutions) + 32 * 2 * 128 * 128  # and the 1x1 head
    parameters = sum((9 * a + 1) * b for a, b, _ in convolutions) + (32 + 1) * 2
    assert parameters == 3_716_898  # as the documents' program has
    summary = nn.summary(minidl.models.unet_documents(2), (1, 3, 128, 128))
    assert summary.parameters == parameters
    assert summary.flops == 2 * terms == 6_221_201_408
    assert [r.output_shape for r in summary.rows if r.name == "head"] == [(1, 2, 128, 128)]
    twice = nn.summary(minidl.models.unet_documents(2), (2, 3, 128, 128))
    assert twice.flops == 2 * summary.flops and twice.parameters == summary.parameters


def test_nothing_is_left_behind():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Dropout(0.5))
    model[1].eval()
    before, drawn = model.state_dict(), json.dumps(minidl.random.get_state())
    nn.summary(model, (2, 1, 4, 4))
    assert [m.training for m in model.modules()] == [True, True, False, True]
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[key], err_msg=key)
    assert json.dumps(minidl.random.get_state()) == drawn
    assert all(p.grad is None for p in model.parameters())
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())


def test_a_failing_forward_leaves_nothing_behind_either():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Conv2d(3, 2, 1))
    with pytest.raises(ValueError, match="channels"):
        nn.summary(model, (2, 1, 4, 4))
    assert all(m.training and not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())
    model.add_module("1", nn.Identity())
    assert nn.summary(model, (2, 1, 4, 4)).flops == 2 * 2 * 2 * 16


def test_text_lines_up():
    text = str(nn.summary(nn.Sequential(nn.Conv2d(3, 1000, 1), nn.ReLU()), (1, 3, 10, 10)))
    lines = text.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[0].split() == ["layer", "kind", "output", "shape", "parameters", "MFLOPs"]
    assert lines[2].split() == ["0", "Conv2d", "1", "x", "1000", "x", "10", "x", "10", "4,000", "0.60"]
    assert lines[-1].split() == ["total", "4,000", "0.60"]
