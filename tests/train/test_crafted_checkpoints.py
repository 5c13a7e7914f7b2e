"""Checkpoints with a right checksum and wrong contents: every value of one in turn is something else."""

import json
import random

import numpy as np
import pytest

from minidl.errors import InputError
from minidl.models import UNet
from minidl.models.unet import convolution_weights
from minidl.train import Trainer, load_run
from minidl.train.checkpoint import load
from minidl.train.inference import predict_image
from oracles.crafted import changed, crafted, read, write
from oracles.runs import refusal, stop_after

pytestmark = pytest.mark.usefixtures("quick_plots")


@pytest.fixture
def run(squares, tmp_path, config):
    """A run that was stopped in the middle, with a row of history."""
    trainer = Trainer(squares, config(steps=6, model={"dropout": 0.2}), tmp_path / "run")
    assert trainer.run(stop_after(6)) is False
    return trainer


def use(trainer: Trainer) -> list[str]:
    """Predict with it and resume it; what was refused, in a line each."""
    refused = []
    image, _ = trainer.data.load(trainer.data.samples("test")[0])
    for step in (
        lambda: predict_image(load_run(trainer.out / "last.safetensors"), image),
        lambda: Trainer(trainer.data, trainer.config, trainer.out, resume=True).run(stop_after(1)),
    ):
        try:
            step()
        except InputError as error:
            refused.append(str(error))
    return refused


def test_a_sample_of_all_crafted_files_is_used_or_refused_in_a_line(run):
    path = run.out / "last.safetensors"
    cases = list(crafted(path))
    assert len(cases) > 3000
    counts = {0: 0, 1: 0, 2: 0}
    for name, text, tensors in random.Random(1).sample(cases, 120):
        write(path, text, tensors)
        refused = use(run)
        counts[len(refused)] += 1
        for message in refused:
            assert "\n" not in message and "\x1b" not in message and len(message) < 2000, (name, message)
    assert counts[2] > 40 and counts[0] > 0, counts


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (("architecture", "depth"), 2**70),
        (("architecture", "base"), 2**70),
        (("architecture", "base"), 2**19),
        (("architecture", "num_classes"), 2**40),
        (("normalisation", "std", 0), 0),
        (("normalisation", "std", 0), -1.0),
        (("normalisation", "std", 0), 1e-60),
        (("normalisation", "mean", 0), float("nan")),
        (("normalisation", "mean"), [0.1, 0.2, 0.3]),
        (("data", "classes"), "ab"),
        (("data", "colours", 0), [256, 0, 0]),
        (("step",), True),
        (("step",), -1),
        (("best",), float("inf")),
        (("history",), {}),
        (("running", "confusion"), [[0] * 2] * 3),
        (("config",), []),
    ],
)
def test_what_no_training_writes_is_refused_by_name(run, at, value):
    path = run.out / "last.safetensors"
    parts, tensors = read(path)
    write(path, json.dumps(changed(parts, at, value)), tensors)
    message = refusal(lambda: load(path), str(path))
    assert at[0] in message or "network" in message or "NaN" in message or "Infinity" in message, message


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["model.head.weight", "optimizer.0.exp_avg"])
def test_numbers_that_are_not_finite_are_refused(run, name, value):
    path = run.out / "last.safetensors"
    parts, tensors = read(path)
    tensors[name].reshape(-1)[-1] = value
    write(path, json.dumps(parts), tensors)
    refusal(lambda: load(path), str(path), "finite")


def test_no_mask_is_made_of_finite_weights_that_overflow(run):
    path = run.out / "last.safetensors"
    parts, tensors = read(path)
    tensors = {k: np.full_like(a, 1e38) if k.endswith("conv1.weight") else a for k, a in tensors.items()}
    write(path, json.dumps(parts), tensors)
    assert any("not finite numbers" in message for message in use(run))


def test_deep_nesting_is_refused(run):
    path = run.out / "last.safetensors"
    _, tensors = read(path)
    write(path, "[" * 100_000 + "]" * 100_000, tensors)
    refusal(lambda: load(path), str(path), "nested")


@pytest.mark.parametrize("up", ["nearest", "transpose"])
@pytest.mark.parametrize("bottleneck", [True, False])
def test_the_weights_of_a_network_are_counted_without_making_it(up, bottleneck):
    options = {"in_channels": 3, "num_classes": 4, "base": 2, "depth": 3, "bottleneck": bottleneck, "up": up}
    made = sum(p.numel() for p in UNet(**options).parameters() if p.ndim == 4)
    assert convolution_weights(**options) == made


@pytest.mark.parametrize("at", [("data", "options", "x"), ("architecture", "x")])
def test_arguments_that_nothing_takes_are_refused(run, at):
    """They become arguments of functions: an unknown one was a TypeError."""
    path = run.out / "last.safetensors"
    parts, tensors = read(path)
    write(path, json.dumps(changed(parts, at, 1)), tensors)
    refusal(lambda: load(path), str(path), "unknown 'x'")


@pytest.mark.parametrize("name", ["optimizer", "schedule", "class_weights"])
def test_a_choice_that_is_none_is_refused_with_those_there_are(run, squares, name):
    path = run.out / "last.safetensors"
    parts, tensors = read(path)
    write(path, json.dumps(changed(parts, ("config", name), "x")), tensors)
    refusal(lambda: Trainer(squares, run.config, run.out, resume=True), str(path), name, "give")


def test_a_checkpoint_larger_than_the_machine_can_use_is_not_read(run, monkeypatch):
    path = run.out / "last.safetensors"
    size = path.stat().st_size
    monkeypatch.setattr("minidl.train.checkpoint.memory", lambda: 2 * size)
    assert load(path).step == run.step
    monkeypatch.setattr("minidl.train.checkpoint.memory", lambda: 2 * size - 1)
    monkeypatch.setattr("safetensors.safe_open", None)
    refusal(lambda: load(path), str(path), f"{size:,} bytes", "memory")


def test_arrays_of_somebody_elses_file_are_not_read(tmp_path):
    """Of a file with a hole of gigabytes only the header is."""
    header = json.dumps({"x": {"dtype": "U8", "shape": [2**32], "data_offsets": [0, 2**32]}}).encode()
    path = tmp_path / "x.safetensors"
    with open(path, "wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + 2**32)
    refusal(lambda: load(path), str(path), "not a checkpoint of minidl")
