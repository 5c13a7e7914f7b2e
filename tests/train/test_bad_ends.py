"""Trainings that end badly: one line, and the checkpoints from before."""

import os
from pathlib import Path

import numpy as np
import pytest

from minidl.segmentation.folder import scan
from minidl.train import Trainer
from oracles.runs import FILES, contents, refusal, write_squares

pytestmark = pytest.mark.usefixtures("quick_plots")

# From the class prior the first step moves the head alone, to a loss that is huge and finite.
AT_ONCE = {"lr": 1e30, "schedule": "constant", "head_init": "network"}


def test_a_folder_with_a_run_is_not_overwritten(train, squares, config):
    trainer = train()
    before = {path.name: path.read_bytes() for path in trainer.out.iterdir()}
    refusal(lambda: Trainer(squares, config(), trainer.out), str(trainer.out), "--resume")
    assert {path.name: path.read_bytes() for path in trainer.out.iterdir()} == before


def test_an_infinite_loss_at_once_leaves_nothing(squares, tmp_path, config):
    trainer = Trainer(squares, config(**AT_ONCE), tmp_path / "a" / "run")
    refusal(trainer.run, "the loss became", "lower --lr")
    assert list(tmp_path.iterdir()) == []


def test_an_infinite_loss_later_leaves_the_checkpoint_from_before(squares, tmp_path, config):
    # the rate explodes after the first validation
    trainer = Trainer(squares, config(steps=6, eval_every=2, lr=0.01), tmp_path / "run")
    (factor,) = trainer.schedule.lr_lambdas
    trainer.schedule.lr_lambdas = [lambda t: 1e35 if t >= 2 else factor(t)]
    refusal(trainer.run, "the loss", "became", "lower --lr")
    assert {path.name for path in trainer.out.iterdir()} == FILES
    for name in ("last", "best"):
        saved = contents(trainer.out, name)
        assert saved.step == 2
        assert all(np.isfinite(array).all() for array in saved.model.values())


def test_ruined_weights_are_not_saved_over_good_ones(squares, tmp_path, config):
    """The last step before a validation blows up: no training loss has shown it yet."""
    trainer = Trainer(squares, config(steps=4, eval_every=2, model={"norm": "none"}), tmp_path / "run")
    (factor,) = trainer.schedule.lr_lambdas
    trainer.schedule.lr_lambdas = [lambda t: 1e38 if t == 3 else factor(t)]
    refusal(trainer.run, "the loss on the validation images", "step 4")
    assert contents(trainer.out).step == 2


@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_a_full_disk_keeps_the_old_checkpoints(squares, tmp_path, config, monkeypatch, call):
    trainer = Trainer(squares, config(steps=4, eval_every=2), tmp_path / "run")
    real = getattr(os, call)

    def full(*args):
        if trainer.step >= 4:
            raise OSError(28, "No space left on device")
        return real(*args)

    monkeypatch.setattr(os, call, full)
    refusal(trainer.run, "No space left on device", str(trainer.out))
    monkeypatch.undo()
    assert {path.name for path in trainer.out.iterdir()} == FILES
    assert contents(trainer.out).step == contents(trainer.out, "best").step == 2
    # and with room again, the run goes on
    again = Trainer(squares, trainer.config, trainer.out, resume=True)
    assert again.run() and again.step == 4


def test_a_folder_that_cannot_be_made(squares, tmp_path, config):
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "run"
    refusal(lambda: Trainer(squares, config(), out), str(out), "another --out")


def test_an_image_that_vanishes_while_training(tmp_path, config):
    root = write_squares(tmp_path / "data", {"train": 2, "val": 2})
    trainer = Trainer(scan(root), config(), tmp_path / "run")
    (root / "val/images/01.png").unlink()
    refusal(trainer.run, "01.png", "no such file")
    assert not (tmp_path / "run").exists()


def test_files_of_others_in_the_folder_stay(squares, tmp_path, config):
    out = tmp_path / "run"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    refusal(Trainer(squares, config(**AT_ONCE), out).run)
    assert [path.name for path in Path(out).iterdir()] == ["notes.txt"]
