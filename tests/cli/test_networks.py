"""One name, one network: what --network builds is what the function of that name in minidl.models gives."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import minidl
from minidl import models, nn
from minidl.bench.costs import ARCHITECTURES
from minidl.cli.train import _NETWORKS, _config, command
from minidl.models import UNet
from minidl.train.checkpoint import Checkpoint, load, save
from minidl.train.inference import load_run
from minidl.train.setup import build_model

CHANNELS = {"unet-documents": 3, "unet-paper": 1}
NAMED = sorted(set(_NETWORKS) - {"unet"})


def configured(*options):
    """The network's options, as a run with this command line stores them."""
    context = command.make_context("train", ["cells", "--out", "run", *options])
    return _config(context, context.params).model


def of_layers(model):
    """Text, shapes by name, and what no shape shows: where how much is dropped, and how far each pads."""
    return {
        "text": repr(model),
        "shapes": {name: array.shape for name, array in model.state_dict().items()},
        "dropout": [(n, m.p) for n, m in model.named_modules() if isinstance(m, nn.Dropout)],
        "padding": [(n, m.padding) for n, m in model.named_modules() if isinstance(m, nn.Conv2d)],
        "own": (model.padding, model.up, model.depth, len(model.down)),
    }


@pytest.mark.parametrize("name", NAMED)
def test_the_command_line_builds_the_network_of_the_function_of_that_name(name):
    function = getattr(models, name.replace("-", "_"))
    options = configured("--network", name)
    built = of_layers(UNet(in_channels=CHANNELS[name], num_classes=2, **options))
    assert built == of_layers(function(num_classes=2))
    assert built == of_layers(function(num_classes=2, in_channels=CHANNELS[name]))


def test_the_paper_s_network_is_the_paper_s():
    """Ronneberger et al. 2015: unpadded convolutions (figure 1), dropout at the contracting path's end."""
    model = models.unet_paper()
    layers = of_layers(model)
    assert {padding for _, padding in layers["padding"]} == {(0, 0)} and model.output_size(572) == 388
    assert layers["dropout"] == [("down.3.dropout", 0.5), ("down.4.dropout", 0.5)]
    assert models.unet_paper(padding="same").padding == "same"
    assert of_layers(models.unet_paper(dropout=0.0))["dropout"] == []


def test_the_documents_network_pads_with_zeros_and_drops_nothing():
    layers = of_layers(models.unet_documents())
    assert layers["dropout"] == []
    assert {padding for name, padding in layers["padding"] if name != "head"} == {(1, 1)}


@pytest.mark.parametrize("name", NAMED)
def test_a_run_stores_every_option_so_that_no_later_default_changes_its_network(name):
    own = set(inspect.signature(UNet).parameters) - {"in_channels", "num_classes", "recompute"}
    assert set(configured("--network", name)) == own


def test_padding_may_be_given_beside_a_name_and_nothing_else():
    assert configured("--network", "unet-paper", "--padding", "same")["padding"] == "same"
    assert configured("--network", "unet-documents", "--padding", "valid")["padding"] == "valid"
    for option, value in (("base", 8), ("depth", 2), ("norm", "batch"), ("up", "nearest"), ("dropout", 0.1)):
        with pytest.raises(minidl.errors.InputError, match=f"^--{option}: unet-paper has its own"):
            configured("--network", "unet-paper", f"--{option}", str(value))


def test_a_stored_run_keeps_the_padding_that_it_was_trained_with(tmp_path):
    """The name "unet-paper" was once padded: such a run is loaded, and computes, as it was."""
    stored = {"base": 2, "depth": 2, "bottleneck": True, "norm": "none", "up": "transpose", "dropout": 0.5}
    architecture = {**stored, "padding": "same", "in_channels": 1, "num_classes": 2}
    model = build_model(architecture)
    checkpoint = Checkpoint(
        config={"model": {**stored, "padding": "same"}},
        architecture=architecture,
        data={"classes": ["a", "b"], "colours": [[0, 0, 0], [1, 1, 1]], "root": "x", "splits": {}},
        normalisation={"mean": [0.0], "std": [1.0]},
        step=1,
        model=model.state_dict(),
    )
    save(tmp_path / "best.safetensors", checkpoint)
    run = load_run(tmp_path)
    image = np.random.default_rng(0).normal(size=(1, 1, 8, 8)).astype(np.float32)
    assert run.model.padding == "same" and load(run.path).architecture == architecture
    expected = model.eval()(minidl.tensor(image)).numpy()
    np.testing.assert_array_equal(run.model(minidl.tensor(image)).numpy(), expected)
    assert expected.shape == (1, 2, 8, 8)


@pytest.mark.parametrize("name", NAMED)
def test_the_benchmark_s_networks_are_these_with_padding_and_without_dropout(name):
    """So that every library can compute them, one step after another."""
    given = ARCHITECTURES[name.removeprefix("unet-")]
    own = {"in_channels": CHANNELS[name], "num_classes": given["num_classes"]}
    options = {**models.NETWORKS[name], "padding": "same", "dropout": 0.0, **own}
    assert of_layers(UNet(**given)) == of_layers(UNet(**options))
