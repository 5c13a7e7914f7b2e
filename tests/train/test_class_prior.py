"""A training starts at the classes' shares: the constant prediction that no other constant one beats."""

import json

import numpy as np
import pytest

from minidl import models, nn, random
from minidl.train import TrainConfig, Trainer, checkpoint, evaluate_samples
from minidl.train.prior import class_shares, start_at
from oracles.runs import (
    NETWORK,
    assert_same_checkpoint,
    contents,
    folder_of,
    history_of,
    masks_of,
    stop_after,
)

pytestmark = pytest.mark.usefixtures("quick_plots")

EPS = np.finfo(np.float32).eps
# A batch is then the pictures themselves.
PLAIN = {"flip": False, "rotate90": False, "brightness": 0, "contrast": 0}


def entropy(shares):
    return -sum(share * np.log(share) for share in shares if share)


CASES = {
    "two classes": ({0: 0.875, 1: 0.125}, "num_classes = 2\n", "none", entropy([0.875, 0.125])),
    "a rare class": ({0: 255 / 256, 1: 1 / 256}, "num_classes = 2\n", "none", entropy([255 / 256, 1 / 256])),
    "three classes": (
        {0: 0.5, 1: 0.375, 2: 0.125},
        "num_classes = 3\n",
        "none",
        entropy([0.5, 0.375, 0.125]),
    ),
    "ignored pixels": (
        {0: 0.5, 1: 0.25, 255: 0.25},
        "num_classes = 2\nignore_index = 255\n",
        "none",
        entropy([2 / 3, 1 / 3]),
    ),
    # counted as one pixel beside the 512 of two masks: every true share is smaller by that
    "an absent class": (
        {0: 0.75, 2: 0.25},
        "num_classes = 3\n",
        "none",
        entropy([0.75, 0.25]) + np.log(513 / 512),
    ),
    # all classes weigh the same, whatever their shares: log K
    "balanced weights": ({0: 0.875, 1: 0.125}, "num_classes = 2\n", "balanced", np.log(2)),
    "three balanced": ({0: 0.5, 1: 0.375, 2: 0.125}, "num_classes = 3\n", "balanced", np.log(3)),
}


@pytest.mark.parametrize("case", CASES)
def test_the_first_loss_is_the_entropy_of_the_shares(tmp_path, config, case):
    shares, toml, weights, expected = CASES[case]
    data = folder_of(tmp_path / "data", masks_of(shares), toml)
    options = config(class_weights=weights, steps=1, batch_size=2, eval_every=1, augmentation=PLAIN)
    trainer = Trainer(data, options, tmp_path / "run")
    found = evaluate_samples(
        *(trainer.model, trainer.normalisation, data, trainer.train_samples), weights=trainer.class_weights
    )
    # A float32 logit rounds by eps/2 of itself, a softmax by a few eps, and -log p is off by that much.
    logits = np.abs(trainer.model.head.bias.numpy()).max()
    np.testing.assert_allclose(found.loss, expected, rtol=0, atol=(4 + logits) * EPS)
    # The first step sees both training pictures, as they are: its loss adds up 512 pixels in float32.
    trainer.run()
    np.testing.assert_allclose(float(history_of(trainer.out)[0]["train_loss"]), expected, rtol=512 * EPS)


def test_no_constant_prediction_has_a_smaller_loss():
    rng = np.random.default_rng(0)
    pixels, weights = rng.integers(1, 1000, 5), rng.random(5) + 0.1
    best = class_shares(pixels, weights)

    def loss(p):
        return -(weights * pixels * np.log(p)).sum() / (weights * pixels).sum()

    others = rng.dirichlet(np.ones(5), 200)
    near = best * np.exp(rng.normal(0, 1e-3, (200, 5)))
    assert all(loss(p) >= loss(best) for p in (*others, *near / near.sum(axis=1, keepdims=True)))


@pytest.mark.parametrize("weights", [None, np.array([0.25, 0.0, 2.0, 0.0])])
def test_an_absent_class_has_the_share_of_one_pixel_at_most(weights):
    shares = class_shares([700, 0, 1, 0], weights)
    assert np.isfinite(np.log(shares)).all()
    np.testing.assert_allclose(shares.sum(), 1, rtol=4 * np.finfo(float).eps)
    assert shares[1] == shares[3] <= shares[2] and shares[1] < 1 / 600


@pytest.mark.parametrize(
    ("pixels", "weights"),
    [
        ([0, 0], None),
        ([3, 0], np.array([0.0, 1.0])),
        ([3, -1], None),
        ([3, 1], np.array([1.0, np.nan])),
        ([3, 1], np.array([np.inf, 1.0])),
        ([3, 1], np.array([1.0, -1.0])),
        ([3, 1], np.ones(3)),
    ],
)
def test_shares_of_nothing_are_refused(pixels, weights):
    with pytest.raises(ValueError, match="class_shares: "):
        class_shares(pixels, weights)


def test_a_head_without_a_bias_cannot_start_there():
    for head in (nn.Conv2d(2, 2, 1, bias=False), nn.Conv2d(2, 3, 1)):
        with pytest.raises(ValueError, match="start_at: "):
            start_at(head, np.array([0.5, 0.5]))


def test_the_first_step_moves_the_head_alone_and_the_second_all(squares, tmp_path, config):
    trainer = Trainer(squares, config(steps=2, schedule="constant", augmentation=PLAIN), tmp_path / "run")
    batches = trainer.batches.iterate(0, 2, 0)

    def moved():
        before = {name: p.numpy().copy() for name, p in trainer.model.named_parameters()}
        images, masks = next(batches)
        trainer._step(images, masks, masks)
        return {name for name, p in trainer.model.named_parameters() if (p.numpy() != before[name]).any()}

    everything = {name for name, _ in trainer.model.named_parameters()}
    # Every picture has the classes' shares exactly: the bias is where it belongs, but for rounding.
    assert moved() | {"head.bias"} == {"head.weight", "head.bias"}
    assert moved() | {"head.bias"} == everything


def test_turned_off_a_training_starts_at_the_weights_of_the_network(squares, tmp_path, config):
    with random.using(random.Stream(4)):
        plain = models.UNet(in_channels=1, num_classes=2, **NETWORK).state_dict()
    off, on = (
        Trainer(squares, config(seed=4, head_init=init), tmp_path / init).model.state_dict()
        for init in ("network", "prior")
    )
    for name, array in plain.items():
        np.testing.assert_array_equal(off[name], array, strict=True)
        assert name.startswith("head.") or (on[name] == array).all()
    assert (on["head.weight"] == 0).all() and (plain["head.weight"] != 0).all()


def test_the_network_by_itself_keeps_its_initial_weights():
    model = models.UNet(in_channels=1, num_classes=2, **NETWORK)
    assert (model.head.weight.numpy() != 0).any() and (model.head.bias.numpy() == 0).all()


def test_it_is_the_default_and_is_stored(squares, tmp_path, config):
    assert TrainConfig().head_init == "prior"
    trainer = Trainer(squares, config(steps=1), tmp_path / "run")
    trainer.run()
    assert json.loads((trainer.out / "config.json").read_text())["config"]["head_init"] == "prior"


def as_before(path):
    """A checkpoint as versions wrote it that knew neither the class prior nor figures of each class."""
    saved = checkpoint.load(path)
    saved.config.pop("head_init")
    saved.history = [
        {name: value for name, value in row.items() if not name.startswith("val_class")}
        for row in saved.history
    ]
    checkpoint.save(path, saved)


def test_a_run_of_an_older_version_goes_on_bit_for_bit(squares, tmp_path, config):
    options = config(head_init="network", model={"dropout": 0.2})
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    Trainer(squares, options, whole).run()
    assert Trainer(squares, options, halves).run(stop_after(5)) is False  # after the validation of step 2
    as_before(halves / "last.safetensors")
    resumed = Trainer(squares, config(), halves, resume=True)
    assert resumed.config.head_init == "network"
    assert resumed.run()
    a, b = contents(whole), contents(halves)
    a.history = b.history = []
    assert_same_checkpoint(a, b)
    first, *rest = history_of(halves)
    assert first["val_iou class 1"] == "" and first["val_iou"] != ""
    assert rest and all(row["val_iou class 1"] != "" for row in rest)
