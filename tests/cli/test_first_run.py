"""What a newcomer sees and gives: options in any place, small pictures, pictures of 12 bits, a first run."""

import json
import os
import re

import numpy as np
import pytest
from PIL import Image

import minidl
from minidl.cli import COMMANDS
from oracles.commands import SMALL, environment
from oracles.runs import contents, write_squares

# --- options that may stand before a command and after it ---


@pytest.mark.parametrize("name", [*COMMANDS, "bench kernels"])
def test_every_command_says_that_it_takes_threads(call, name):
    said = call(*name.split(), "--help")
    assert said.code == 0 and re.search(r"--threads .*Threads for kernels and BLAS", said.out)


@pytest.mark.parametrize("name", [*COMMANDS, "bench kernels"])
def test_every_command_says_the_version(call, name):
    assert call(*name.split(), "--version").out == call("--version").out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--threads", 3, "plan"],
        ["plan", "--threads", 3],
        ["plan", "--threads=3"],
        ["--threads", 3, "plan", "--threads", 3],
    ],
)
def test_threads_may_stand_before_the_command_and_after_it(call, arguments):
    said = call(*arguments, "--size", 32)
    assert said.code == 0 and "3 threads" in said.out and minidl.get_num_threads() == 3


def test_threads_that_were_given_once_do_not_hold_for_the_next_command(call):
    call("plan", "--threads", 3, "--size", 32)
    assert call("plan", "--threads", 1, "--size", 32).code == 0
    assert call("--threads", 2, "plan", "--size", 32).code == 0


@pytest.mark.parametrize("name", ["train", "evaluate", "predict", "demo", "plan", "bench", "cuda-check"])
def test_two_numbers_of_threads_are_one_line(call, name):
    given = {"train": ["data", "--out", "r"], "evaluate": ["r", "d"], "predict": ["r", "p", "--out", "o"]}
    said = call("--threads", 2, name, "--threads", 3, *given.get(name, ["x"] * (name == "cuda-check")))
    assert said.error == "--threads: 2 before the command and 3 after it; give one of the two"


def test_two_numbers_of_threads_around_bench_kernels_are_one_line(call):
    assert "give one" in call("bench", "--threads", 2, "kernels", "--threads", 3, "--list").error
    assert call("bench", "--threads", 2, "kernels", "--list").code == 0


@pytest.mark.parametrize("count", ["0", "-1", "x", "1.5", "10000000"])
def test_impossible_threads_after_the_command_are_refused(call, count):
    assert "--threads" in call("plan", "--threads", count).error


def test_an_option_of_a_command_in_front_of_it_says_where_it_stands(call):
    said = call("--out", "r", "train", "cells").error
    assert "--out" in said and "stand after it" in said


def test_the_command_that_goes_on_has_the_threads_of_the_run(data, tmp_path, monkeypatch, capsys):
    from minidl.cli import main
    from minidl.train.trainer import Trainer

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Trainer, "run", lambda self, should_stop: (self.save("last"), False)[1])
    (tmp_path / "run").mkdir()
    for arguments in (
        ["train", "data", "--out", "run", *SMALL, "--threads", "1"],
        ["--threads", "1", "train", "data", "--out", "run", "--resume"],
    ):
        main(arguments)
        assert (
            capsys.readouterr().err.splitlines()[-1] == "  minidl train data --out run --resume --threads 1"
        )


# --- crops that are larger than the pictures ---


def test_a_crop_larger_than_the_pictures_is_said(call, data, tmp_path):
    said = call("train", data, "--out", tmp_path / "run", *SMALL, "--crop", 32)
    assert said.code == 0, said.err
    (note,) = [line for line in said.out.splitlines() if "the crop of" in line]
    assert note == (
        "note: 6 of 6 training images are smaller than the crop of 32 x 32 (they have 16 x 16): continued by"
        " the mirror image, without a label there (75 % of all pixels); a smaller --crop saves that time"
    )


def test_a_crop_that_fits_is_not_spoken_of(call, data, tmp_path):
    assert "the crop of" not in call("train", data, "--out", tmp_path / "run", *SMALL).out


def test_pictures_that_are_smaller_than_what_the_network_takes_are_said(call, trained, tmp_path):
    Image.fromarray(np.arange(9, dtype=np.uint8).reshape(3, 3) * 20).save(tmp_path / "small.png")
    said = call("predict", trained / "run", tmp_path / "small.png", "--out", tmp_path / "out")
    assert "note: 1 of 1 image is smaller than what the network takes (it has 3 x 3)" in said.out
    assert np.array(Image.open(tmp_path / "out/small.png")).shape == (3, 3)
    other = trained / "data/val/images/00.png"
    assert "note" not in call("predict", trained / "run", other, "--out", tmp_path / "out2").out


def test_the_bar_of_a_large_picture_moves_with_its_tiles(call, trained, tmp_path, monkeypatch):
    moved = []
    monkeypatch.setattr(
        "minidl.cli.progress.Progress.advance", lambda self, amount=1, **_: moved.append(amount)
    )
    Image.fromarray(np.zeros((16, 1100), np.uint8)).save(tmp_path / "wide.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    said = call(
        "predict", trained / "run", tmp_path / "wide.png", tmp_path / "bad.png", "--out", tmp_path / "out"
    )
    assert said.code == 1 and moved == [pytest.approx(1 / 3)] * 3 + [1]


# --- 12 bits ---


@pytest.fixture
def both(tmp_path):
    """The same pictures of 12 bits in files of 16, and of 8."""
    for name in ("wide", "narrow"):
        write_squares(tmp_path / name, {"train": 6, "val": 2})
    rng = np.random.default_rng(0)
    for path in sorted((tmp_path / "narrow").rglob("images/*.png")):
        values = np.array(Image.open(path)).astype(np.uint16) * 16 + rng.integers(0, 16, (16, 16), np.uint16)
        Image.fromarray(values).save(tmp_path / "wide" / path.relative_to(tmp_path / "narrow"))
    return tmp_path


def test_twelve_bits_train_as_the_same_pictures_of_eight(call, both):
    """Brightness changes by tenths of white; tenths of 16 bits would be ten deviations of 12."""
    for name in ("wide", "narrow"):
        options = (*SMALL, "--steps", 16, "--eval-every", 8, "--brightness", 0.1, "--lr", 0.005)
        assert call("train", both / name, "--out", both / f"{name}-run", *options).code == 0
    wide, narrow = (contents(both / f"{name}-run") for name in ("wide", "narrow"))
    assert wide.normalisation["mean"][0] < 0.06 < narrow.normalisation["mean"][0]
    for one, other in zip(wide.history, narrow.history, strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=0.05)
        assert one["val_loss"] == pytest.approx(other["val_loss"], rel=0.05)


def test_pictures_of_twelve_bits_can_be_seen_in_all_that_is_written(call, both):
    run = both / "run"
    assert call("train", both / "wide", "--out", run, *SMALL).code == 0
    assert call("predict", run, both / "wide/val/images", "--out", both / "out").code == 0
    assert call("evaluate", run, both / "wide", "--out", both / "scores").code == 0
    sheets = (np.array(Image.open(p)) for p in (run / "val.png", both / "scores/pictures.png"))
    for sheet in sheets:
        panel = sheet[20:200, 20:200]  # in the first row the picture alone
        assert np.percentile(panel, 95) > 150 and np.percentile(panel, 5) < 100
    shown = np.array(Image.open(both / "out/00_overlay.png")).astype(int)
    assert np.ptp(shown) > 80


# --- a first run, as it happens ---


@pytest.mark.slow
def test_a_first_run_says_compiling_and_a_second_one_does_not(shell, data, tmp_path):
    cache = str(tmp_path / "cache")
    options = ("train", "data", *SMALL, "--threads", 1)
    first = shell(*options, "--out", "one", NUMBA_CACHE_DIR=cache, MINIDL_BACKEND="numba")
    assert first.code == 0 and first.err == ""
    lines = first.out.splitlines()
    assert sum(line.startswith("compiling kernels, once") for line in lines) == 1
    steps = [line for line in lines if line.startswith("step ")]
    assert all(re.search(r"  \[\d\d:\d\d elapsed, (\d\d:\d\d|\?) left\]$", line) for line in steps), steps
    second = shell(*options, "--out", "two", NUMBA_CACHE_DIR=cache, MINIDL_BACKEND="numba")
    assert second.code == 0 and "compiling" not in second.out
    assert json.loads((tmp_path / "one/config.json").read_text()) and environment()["PYTHONPATH"]
    assert os.listdir(cache)
