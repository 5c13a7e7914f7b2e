"""Every command on good input: what it says, what it writes."""

import csv
import json
import shlex
import shutil

import numpy as np
import pytest
from PIL import Image

from minidl.segmentation.files import read_image, read_mask, write_png
from oracles.commands import SMALL
from oracles.runs import contents, history_of

COMMANDS = ("demo", "train", "evaluate", "predict")


# ---------------------------------------------------------------------------------------------
# Help
# ---------------------------------------------------------------------------------------------
def test_help_lists_the_commands_in_order(call):
    said = call("--help")
    assert said.code == 0 and said.err == ""
    listed = [line.split()[0] for line in said.out.partition("Commands:")[2].splitlines() if line.strip()]
    assert listed == [*COMMANDS, "bench", "plan", "cuda-check"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_command_has_help_with_an_example(call, command, flag):
    said = call(command, flag)
    assert said.code == 0 and said.err == ""
    examples = said.out.partition("Example")[2]
    assert f"minidl {command} " in examples
    described = [line for line in said.out.splitlines() if line.startswith("  --")]
    assert described and all(len(line.split()) > 1 for line in described)


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_of_the_help_are_read(call, command):
    """The options in the examples exist: the commands get as far as looking for the data."""
    examples = call(command, "--help").out.partition("Example")[2].splitlines()[1:]
    lines = [shlex.split(line) for line in examples if line.strip()]
    assert lines
    for words in lines:
        if command != "demo":  # which would begin at once
            assert words[:2] == ["minidl", command]
            said = call(*words[1:])
            assert said.code == 2 and "--help" not in said.err, said.err


def test_without_arguments_the_help(call):
    said = call()
    assert said.code == 0 and said.err == "" and "minidl train DATA --out RUN" in said.out


def test_version(call, shell):
    import minidl

    assert call("--version").out == f"minidl, version {minidl.__version__}\n"
    assert shell("--version").out == f"minidl, version {minidl.__version__}\n"


# ---------------------------------------------------------------------------------------------
# train, evaluate, predict, one after the other
# ---------------------------------------------------------------------------------------------
def test_train(call, data, tmp_path):
    out = tmp_path / "deep" / "run"
    said = call("train", data, "--out", out, *SMALL)
    assert said.code == 0 and said.err == ""
    assert "6 train, 2 val, 2 test images; 2 classes" in said.out
    assert "steps 0 to 4" in said.out and "step     4/4" in said.out
    assert f"minidl evaluate {out} {data}" in said.out
    names = {path.name for path in out.iterdir()}
    assert names == {
        *("best.safetensors", "last.safetensors", "config.json", "history.csv", "history.png", "val.png"),
        ".minidl",
    }
    for name in ("history.png", "val.png"):
        with Image.open(out / name) as picture:
            assert min(picture.size) > 60


def test_the_options_arrive(call, data, tmp_path):
    out = tmp_path / "run"
    given = (
        *("--steps", 3, "--batch-size", 3, "--lr", 0.5, "--optimizer", "sgd", "--momentum", 0.25),
        *("--weight-decay", 0.125, "--schedule", "poly", "--warmup", 1, "--class-weights", "balanced"),
        *("--clip-grad-norm", 1.5, "--head-init", "network"),
        *("--base", 3, "--depth", 2, "--norm", "group", "--up", "bilinear", "--dropout", 0.5, "--crop", 8),
        *(
            "--no-flip",
            "--no-rotate90",
            "--brightness",
            0,
            "--contrast",
            0.75,
            "--eval-every",
            3,
            "--seed",
            9,
        ),
        *("--val", "0[45]", "--ignore-index", 200),
    )
    assert call("train", data, "--out", out, *given).code == 0
    saved = contents(out)
    network = {"base": 3, "depth": 2, "norm": "group", "up": "bilinear", "dropout": 0.5, "padding": "same"}
    augmentation = {"flip": False, "rotate90": False, "brightness": 0.0, "contrast": 0.75, "crop": 8}
    assert saved.config == {
        "model": network,
        "augmentation": augmentation,
        "steps": 3,
        "epochs": 40,
        "batch_size": 3,
        "lr": 0.5,
        "optimizer": "sgd",
        "momentum": 0.25,
        "weight_decay": 0.125,
        "clip_grad_norm": 1.5,
        "schedule": "poly",
        "warmup": 1,
        "class_weights": "balanced",
        "head_init": "network",
        "eval_every": 3,
        "seed": 9,
    }
    assert saved.data["ignore_index"] == 200 and saved.data["options"]["val"] == "0[45]"
    assert [len(saved.data["splits"][name]) for name in ("train", "val")] == [4, 4]


def test_networks_of_the_documents_and_of_the_paper(call, data, tmp_path):
    said = call("train", data, "--out", tmp_path / "a", "--network", "unet-paper", "--base", "8")
    assert said.error.startswith("--base: unet-paper has its own")
    from minidl.cli.train import _NETWORKS
    from minidl.models import UNet

    counts = [
        sum(p.numel() for p in UNet(channels, 2, **_NETWORKS[name]).parameters())
        for name, channels in (("unet-documents", 3), ("unet-paper", 1))
    ]
    assert counts == [3_716_898, 31_030_658]


def test_evaluate(call, trained, tmp_path):
    out = tmp_path / "scores"
    said = call("evaluate", trained / "run", trained / "data", "--split", "test", "--out", out)
    assert said.code == 0 and said.err == ""
    table = [line.split() for line in said.out.splitlines()]
    assert ["class", "IoU", "precision", "recall", "F1", "pixels"] in table
    figures = json.loads((out / "metrics.json").read_text())
    assert figures["split"] == "test" and figures["images"] == 2 and sum(figures["support"]) == 2 * 256
    shown = next(row for row in table if row and row[0] == "mean")
    assert float(shown[1]) == pytest.approx(figures["mean_iou"], abs=5e-5)
    assert {path.name for path in out.iterdir()} == {".minidl", "metrics.json", "pictures.png"}


def test_evaluate_agrees_with_the_history(call, trained, tmp_path):
    out = tmp_path / "scores"
    assert call("evaluate", trained / "run", trained / "data", "--out", out).code == 0
    figures = json.loads((out / "metrics.json").read_text())
    row = next(r for r in history_of(trained / "run") if int(r["step"]) == figures["step"])
    assert figures["mean_iou"] == float(row["val_iou"]) and figures["loss"] == float(row["val_loss"])


def test_evaluate_writes_beside_the_run_by_default(call, trained, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained / "run", run)
    assert call("evaluate", run / "last.safetensors", trained / "data").code == 0
    assert {path.name for path in (run / "evaluation-val").iterdir()} == {
        ".minidl",
        "metrics.json",
        "pictures.png",
    }


def test_evaluate_boundaries(call, trained, tmp_path):
    said = call(
        *("evaluate", trained / "run", trained / "data", "--out", tmp_path / "s"),
        *("--boundary", "class 0"),
    )
    assert "V_rand" in said.out and "pixel error" in said.out
    by_id = call("evaluate", trained / "run", trained / "data", "--out", tmp_path / "t", "--boundary", "0")
    assert by_id.out.replace("/t\n", "/s\n") == said.out
    assert 0 <= json.loads((tmp_path / "s/metrics.json").read_text())["boundaries"]["v_rand"] <= 1


def test_evaluating_training_images_says_so(call, trained, tmp_path):
    said = call("evaluate", trained / "run", trained / "data", "--split", "train", "--out", tmp_path / "s")
    assert "trained on 6 of these 6 images" in said.out
    said = call("evaluate", trained / "run", trained / "data", "--split", "test", "--out", tmp_path / "s")
    assert "trained on" not in said.out


def test_predict(call, trained, tmp_path):
    out = tmp_path / "results"
    odd = tmp_path / "odd.png"
    pixels = np.random.default_rng(0).integers(0, 256, (19, 37), dtype=np.uint8)
    write_png(odd, pixels)
    said = call("predict", trained / "run", trained / "data/test/images", odd, "--out", out)
    assert said.code == 0 and said.err == "" and said.out.endswith(f"3 masks in {out}\n")
    names = {f"{stem}{end}.png" for stem in ("00", "01", "odd") for end in ("", "_overlay")}
    assert {path.name for path in out.iterdir()} == {".minidl", *names}
    mask = read_mask(out / "odd.png")
    assert mask.shape == (19, 37) and set(np.unique(mask)) <= {0, 1}
    assert read_image(out / "odd_overlay.png").shape == (3, 19, 37)
    with Image.open(out / "odd.png") as picture:  # shown in the classes' colours
        assert picture.mode == "P"


def test_predictions_are_those_that_evaluate_scores(call, trained, tmp_path):
    out = tmp_path / "p"
    assert (
        call("predict", trained / "run", trained / "data/test/images", "--out", out, "--no-overlays").code
        == 0
    )
    right = [
        (read_mask(out / f"{stem}.png") == read_mask(trained / f"data/test/masks/{stem}.png")).mean()
        for stem in ("00", "01")
    ]
    call("evaluate", trained / "run", trained / "data", "--split", "test", "--out", tmp_path / "s")
    accuracy = json.loads((tmp_path / "s/metrics.json").read_text())["accuracy"]
    assert accuracy == pytest.approx(np.mean(right))
    assert len(list(out.glob("*.png"))) == 2  # no overlays


# ---------------------------------------------------------------------------------------------
# Data options: given once
# ---------------------------------------------------------------------------------------------
def test_evaluate_reads_the_data_as_the_training_did(call, data, tmp_path):
    toml = tmp_path / "cells.toml"
    toml.write_text('classes = ["ground", "square"]\n')
    out = tmp_path / "run"
    assert call("train", data, "--out", out, *SMALL, "--val", "0[45]", "--dataset-toml", toml).code == 0
    said = call("evaluate", out, data)
    assert "note: as in training: --dataset-toml" in said.out and "--val '0[45]'" in said.out
    assert "4 train, 4 val" in said.out and "ground, square" in said.out
    elsewhere = tmp_path / "copy"
    shutil.copytree(data, elsewhere)
    said = call("evaluate", out, elsewhere, "--out", tmp_path / "s")
    assert said.code == 0 and "as in training" not in said.out
    assert "note: in training the classes were called ground, square" in said.out
    assert (
        call("evaluate", out, data, "--val", "05", "--out", tmp_path / "s").out.count("5 train, 3 val") == 1
    )


def test_history_csv_is_for_other_programs(trained):
    with open(trained / "run/history.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert len(rows) == 3 and all(len(row) == len(rows[0]) for row in rows)


# ---------------------------------------------------------------------------------------------
# demo
# ---------------------------------------------------------------------------------------------
def test_demo(call, tmp_path, monkeypatch):
    """With 2 steps and smaller pictures; `make demo` and .ci/run have the real one."""
    from minidl.segmentation import synthetic

    original = synthetic.write_folder
    monkeypatch.setattr(
        synthetic, "write_folder", lambda path, seed: original(path, 8, 2, 2, size=32, seed=seed)
    )
    out = tmp_path / "demo"
    said = call("demo", "--out", out, "--steps", 2)
    assert said.code == 0 and said.err == ""
    figures = json.loads((out / "metrics.json").read_text())
    assert 0 <= figures["mean_iou"] <= 1 and figures["images"] == 2 and len(figures["iou"]) == 4
    assert figures["classes"] == ["background", "round", "ring", "lobed"]
    for name in ("test.png", "history.png", "history.csv", "best.safetensors", "data/train/images"):
        assert (out / name).exists(), name
    before = sorted(out.rglob("*"))
    assert "exists already" in call("demo", "--out", out).error
    assert sorted(out.rglob("*")) == before
    # the files of the demo are an ordinary data set and an ordinary run
    assert call("evaluate", out, out / "data", "--split", "test").code == 0
    again = json.loads((out / "evaluation-test/metrics.json").read_text())
    assert again["mean_iou"] == figures["mean_iou"]


def test_a_training_with_every_kernel_checked(shell, data, tmp_path):
    said = shell("train", data, "--out", tmp_path / "run", *SMALL, MINIDL_CHECK_KERNELS="1")
    assert said.code == 0, said.err
