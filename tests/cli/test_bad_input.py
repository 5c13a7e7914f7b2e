"""Bad input: one line on stderr that names the culprit and a remedy, exit code 2, and nothing written."""

import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from minidl.segmentation.files import read_mask, write_png
from oracles.commands import SMALL, tree

# ---------------------------------------------------------------------------------------------
# Data sets: each function spoils one thing and returns what the message must name
# ---------------------------------------------------------------------------------------------
IMAGES, MASKS = "train/images", "train/masks"


def missing_folder(data: Path) -> list[str]:
    shutil.rmtree(data)
    return [str(data), "no such folder"]


def a_file_instead_of_a_folder(data: Path) -> list[str]:
    shutil.rmtree(data)
    data.write_text("")
    return [str(data), "a file, not a folder"]


def empty_folder(data: Path) -> list[str]:
    shutil.rmtree(data)
    data.mkdir()
    return [str(data), "images/"]


def no_images_in_the_folder(data: Path) -> list[str]:
    for kind in (IMAGES, MASKS):
        for path in (data / kind).iterdir():
            path.unlink()
    return [str(data / IMAGES), "no image files"]


def no_masks(data: Path) -> list[str]:
    for split in ("train", "val", "test"):
        shutil.rmtree(data / split / "masks")
    return [str(data), "no masks"]


def truncated_image(data: Path) -> list[str]:
    path = data / IMAGES / "03.png"
    path.write_bytes(path.read_bytes()[:-40])
    return [str(path), "damaged or truncated", "copy it again"]


def text_named_as_an_image(data: Path) -> list[str]:
    path = data / IMAGES / "03.png"
    path.write_text("no picture at all")
    return [str(path), "not an image file"]


def empty_image(data: Path) -> list[str]:
    path = data / IMAGES / "03.png"
    path.write_bytes(b"")
    return [str(path), "empty file"]


def truncated_mask(data: Path) -> list[str]:
    path = data / "val/masks/01.png"
    path.write_bytes(path.read_bytes()[:60])
    return [str(path)]


def mask_of_another_size(data: Path) -> list[str]:
    path = data / MASKS / "02.png"
    write_png(path, np.eye(20, dtype=np.uint8))
    return [str(path), "20x20", "16x16", "same size"]


def rgb_mask(data: Path) -> list[str]:
    path = data / MASKS / "02.png"
    ids = read_mask(path)
    write_png(path, np.stack([ids * 255, ids * 0, ids * 0], axis=-1))
    return [str(path), "RGB mask", "[labels]"]


def black_and_white_mask_among_ids(data: Path) -> list[str]:
    path = data / MASKS / "02.png"
    write_png(path, read_mask(path) * 255)
    return [str(path), "0 and 255", "255 = 1"]


def id_past_num_classes(data: Path) -> list[str]:
    (data / "dataset.toml").write_text('classes = ["ground", "square"]\n')
    path = data / MASKS / "02.png"
    write_png(path, read_mask(path) * 2)
    return [str(path), "the value 2", "2 classes"]


def jpeg_mask(data: Path) -> list[str]:
    from PIL import Image

    path = data / MASKS / "02.png"
    Image.fromarray(read_mask(path)).save(path.with_suffix(".jpg"))
    path.unlink()
    return [str(path.with_suffix(".jpg")), "JPEG", "PNG"]


def unpaired_image(data: Path) -> list[str]:
    (data / MASKS / "04.png").unlink()
    return [str(data / "train"), "04.png", "no mask"]


def unpaired_mask(data: Path) -> list[str]:
    (data / IMAGES / "04.png").unlink()
    return [str(data / "train"), "04.png", "no image"]


def typo_in_the_toml(data: Path) -> list[str]:
    (data / "dataset.toml").write_text('clases = ["a", "b"]\n')
    return [str(data / "dataset.toml"), "clases", "did you mean classes"]


def broken_toml(data: Path) -> list[str]:
    (data / "dataset.toml").write_text("classes = [\n")
    return [str(data / "dataset.toml"), "not valid TOML"]


def only_one_class(data: Path) -> list[str]:
    for split in ("train", "val", "test"):
        for path in (data / split / "masks").iterdir():
            write_png(path, np.zeros((16, 16), np.uint8))
    return ["only class 0"]


SPOILS = [
    *(missing_folder, a_file_instead_of_a_folder, empty_folder, no_images_in_the_folder, no_masks),
    *(truncated_image, text_named_as_an_image, empty_image, truncated_mask, mask_of_another_size, rgb_mask),
    *(black_and_white_mask_among_ids, id_past_num_classes, jpeg_mask, unpaired_image, unpaired_mask),
    *(typo_in_the_toml, broken_toml, only_one_class),
]


def assert_names(message: str, parts: list[str]) -> None:
    for part in parts:
        assert part in message, message
    assert ";" in message, message  # a remedy


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__)
def test_train_on_bad_data(call, data, tmp_path, spoil):
    parts = spoil(data)
    before = tree(tmp_path)
    assert_names(call("train", data, "--out", tmp_path / "new" / "run", *SMALL).error, parts)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "spoil",
    [missing_folder, truncated_image, mask_of_another_size, rgb_mask],
    ids=lambda spoil: spoil.__name__,
)
def test_evaluate_on_bad_data(call, data, trained, tmp_path, spoil):
    parts = spoil(data)
    before = tree(tmp_path), tree(trained)
    assert_names(call("evaluate", trained / "run", data, "--out", tmp_path / "scores").error, parts)
    assert (tree(tmp_path), tree(trained)) == before


def test_a_bad_image_as_a_process(shell, data, tmp_path):
    """Nothing else on stderr, no colours, whoever asks for them not."""
    parts = truncated_image(data)
    before = tree(tmp_path)
    said = shell("train", "data", "--out", "run", *SMALL)
    assert_names(said.error, ["data/train/images/03.png", *parts[1:]])
    assert tree(tmp_path) == before


def test_a_loss_that_is_not_finite(shell, data, tmp_path):
    """In a process of its own: none of NumPy's warnings come along."""
    before = tree(tmp_path)
    said = shell("train", "data", "--out", "run", *SMALL, "--lr", "1e30")
    assert_names(said.error, ["the loss became", "step", "lower --lr"])
    assert tree(tmp_path) == before


# ---------------------------------------------------------------------------------------------
# train: options
# ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--epoch", "3"], ["--epoch", "--epochs"]),
        (["--stepz", "3"], ["--stepz", "--steps"]),
        (["--batch-size", "none"], ["--batch-size", "none"]),
        (["--batch-size", "0"], ["--batch-size"]),
        (["--lr", "-1"], ["--lr"]),
        (["--lr", "0"], ["--lr"]),
        (["--lr", "nan"], ["lr: nan"]),
        (["--optimizer", "adams"], ["--optimizer", "adams"]),
        (["--depth", "40"], ["--depth"]),
        (["--seed", "-1"], ["--seed"]),
        (["--seed", str(2**70)], ["seed: "]),
        (["--crop", "9", "--depth", "1"], ["crop: 9 x 9", "10 x 10"]),
        (["--epochs", "3", "--steps", "3"], ["--epochs", "--steps"]),
        (["--val", "zebra*"], ["val: 'zebra*' matches no image"]),
        (["--num-classes", "1"], ["--num-classes"]),
        (["--dataset-toml", "nowhere.toml"], ["nowhere.toml", "no such file"]),
        (["more"], ["more"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_train_options(call, data, tmp_path, options, parts):
    before = tree(tmp_path)
    message = call("train", data, "--out", tmp_path / "run", *options).error
    assert_names(message, parts)
    assert tree(tmp_path) == before


def test_out_is_missing(call, data):
    assert_names(call("train", data).error, ["--out", "minidl train --help"])


def test_an_unknown_command(call):
    assert_names(call("trian", "x").error, ["trian", "minidl --help"])


@pytest.mark.parametrize("command", ["train", "evaluate", "predict", "demo"])
def test_out_is_or_lies_in_a_file(call, trained, tmp_path, command):
    (tmp_path / "file").write_text("mine")
    first = {
        "train": [trained / "data"],
        "evaluate": [trained / "run", trained / "data"],
        "predict": [trained / "run", trained / "data/test/images"],
        "demo": [],
    }[command]
    for out in (tmp_path / "file", tmp_path / "file" / "sub"):
        assert_names(call(command, *first, "--out", out).error, [str(out), "--out"])
    assert tree(tmp_path) == {"file": b"mine"}


@pytest.mark.skipif(os.name != "posix", reason="a folder of the system's, /proc")
def test_out_cannot_be_written(call, data):
    assert_names(call("train", data, "--out", "/proc/minidl-run", *SMALL).error, ["/proc/minidl-run"])


def test_a_run_is_not_overwritten(call, data, trained):
    before = tree(trained)
    assert_names(
        call("train", data, "--out", trained / "run", *SMALL).error, [str(trained / "run"), "--resume"]
    )
    assert tree(trained) == before


# ---------------------------------------------------------------------------------------------
# resume
# ---------------------------------------------------------------------------------------------
def test_resume_without_a_run(call, data, tmp_path):
    before = tree(tmp_path)
    assert_names(
        call("train", data, "--out", tmp_path / "run", "--resume").error, [str(tmp_path / "run"), "--resume"]
    )
    assert tree(tmp_path) == before


def test_resume_of_a_finished_run(call, trained):
    before = tree(trained)
    said = call("train", trained / "data", "--out", trained / "run", "--resume")
    assert_names(said.error, ["finished (4 steps)", "--out"])
    assert tree(trained) == before


def test_resume_with_other_options(call, trained):
    said = call("train", trained / "data", "--out", trained / "run", "--resume", "--batch-size", "4")
    assert_names(said.error, ["--batch-size", "leave it out"])


def test_resume_with_other_data(call, trained, data, tmp_path):
    (data / MASKS / "05.png").unlink()
    (data / IMAGES / "05.png").unlink()
    said = call("train", data, "--out", trained / "run", "--resume")
    assert_names(said.error, [str(data), "other training images"])


# ---------------------------------------------------------------------------------------------
# Checkpoints
# ---------------------------------------------------------------------------------------------
def cut(path: Path) -> str:
    path.write_bytes(path.read_bytes()[:-100])
    return "damaged"


def flip(path: Path) -> str:
    whole = bytearray(path.read_bytes())
    whole[-20] ^= 4  # in the weights: the file is still a good safetensors file
    path.write_bytes(whole)
    return "damaged"


def nothing(path: Path) -> str:
    path.write_bytes(b"")
    return "damaged, or not a checkpoint"


def pickled(path: Path) -> str:
    path.write_bytes(pickle.dumps({"weights": [1, 2]}))
    return "damaged, or not a checkpoint"


def foreign(path: Path) -> str:
    save_file({"w": np.ones(3, np.float32)}, path, {"format": "pt"})
    return "not a checkpoint of minidl"


def gone(path: Path) -> str:
    path.unlink()
    return "no best.safetensors"


@pytest.mark.parametrize("harm", [cut, flip, nothing, pickled, foreign, gone], ids=lambda harm: harm.__name__)
@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_bad_checkpoints(call, trained, tmp_path, harm, command):
    run = tmp_path / "run"
    shutil.copytree(trained / "run", run)
    part = harm(run / "best.safetensors")
    before = tree(tmp_path)
    given = trained / ("data" if command == "evaluate" else "data/test/images")
    assert_names(call(command, run, given, "--out", tmp_path / "new").error, [str(run), part])
    assert tree(tmp_path) == before


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_no_run(call, trained, tmp_path, command):
    given = trained / ("data" if command == "evaluate" else "data/test/images")
    out = tmp_path / "new"
    assert_names(call(command, tmp_path / "none", given, "--out", out).error, ["none", "no such checkpoint"])
    assert_names(call(command, tmp_path, given, "--out", out).error, [str(tmp_path), "minidl train --out"])
    assert tree(tmp_path) == {}


# ---------------------------------------------------------------------------------------------
# evaluate
# ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--split", "holdout"], ["no split 'holdout'", "train, val, test"]),
        (["--boundary", "membrane"], ["--boundary", "class 0, class 1"]),
        (["--boundary", "2"], ["--boundary"]),
        (["--num-classes", "5"], ["5 classes", "trained with 2"]),
    ],
)
def test_evaluate_options(call, trained, tmp_path, options, parts):
    said = call("evaluate", trained / "run", trained / "data", "--out", tmp_path / "s", *options)
    assert_names(said.error, parts)
    assert tree(tmp_path) == {}


def test_evaluate_a_split_without_masks(call, data, trained, tmp_path):
    shutil.rmtree(data / "test/masks")
    before = tree(tmp_path)
    said = call("evaluate", trained / "run", data, "--split", "test", "--out", tmp_path / "s")
    assert_names(said.error, [str(data / "test"), "images without masks"])
    assert tree(tmp_path) == before


def test_evaluate_data_in_colour_with_a_gray_network(call, data, trained, tmp_path):
    for split in ("train", "val", "test"):
        for path in (data / split / "images").iterdir():
            write_png(path, np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8))
    said = call("evaluate", trained / "run", data, "--out", tmp_path / "s")
    assert_names(said.error, [str(data), "3 channels", "2 and 1"])


# ---------------------------------------------------------------------------------------------
# predict
# ---------------------------------------------------------------------------------------------
def images(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        write_png(folder / name, np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8))
    return [folder / name for name in names]


@pytest.mark.parametrize("content", [b"", b"no picture", None], ids=["empty", "text", "truncated"])
def test_one_bad_image_among_good_ones_writes_nothing(call, trained, tmp_path, content):
    good, bad = images(tmp_path / "in", "a.png", "b.png")
    bad.write_bytes(bad.read_bytes()[:-60] if content is None else content)
    before = tree(tmp_path)
    for given in ([tmp_path / "in"], [good, bad]):
        assert_names(call("predict", trained / "run", *given, "--out", tmp_path / "new").error, [str(bad)])
        assert tree(tmp_path) == before


def test_predict_what_is_not_there(call, trained, tmp_path):
    (tmp_path / "empty").mkdir()
    before = tree(tmp_path)
    for given, part in (("none.png", "no such file"), ("empty", "no images in this folder")):
        said = call("predict", trained / "run", tmp_path / given, "--out", tmp_path / "new")
        assert_names(said.error, [str(tmp_path / given), part])
    assert tree(tmp_path) == before


def test_predict_a_colour_image_with_a_gray_network(call, trained, tmp_path):
    write_png(tmp_path / "c.png", np.zeros((8, 8, 3), np.uint8))
    said = call("predict", trained / "run", tmp_path / "c.png", "--out", tmp_path / "new")
    assert_names(said.error, [str(tmp_path / "c.png"), "convert it to gray"])


def test_predict_never_writes_over_an_image(call, trained, tmp_path):
    images(tmp_path / "in", "a.png")
    before = tree(tmp_path)
    for out in (tmp_path / "in", tmp_path / "in" / ".." / "in"):
        assert_names(
            call("predict", trained / "run", tmp_path / "in", "--out", out).error, ["a.png", "--out"]
        )
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "names", [("one/a.png", "two/a.png"), ("one/a.png", "two/a_overlay.png")], ids=["stems", "overlay"]
)
def test_predict_two_images_to_one_file(call, trained, tmp_path, names):
    given = [images(tmp_path / Path(name).parent, Path(name).name)[0] for name in names]
    before = tree(tmp_path)
    said = call("predict", trained / "run", *given, "--out", tmp_path / "new")
    assert_names(said.error, [str(given[1]), str(given[0]), "rename"])
    assert tree(tmp_path) == before


def test_predict_needs_images(call, trained):
    assert_names(call("predict", trained / "run", "--out", "x").error, ["IMAGES"])


# ---------------------------------------------------------------------------------------------
# The system says no
# ---------------------------------------------------------------------------------------------
def test_a_full_disk_in_predict_leaves_whole_files(call, trained, tmp_path, monkeypatch):
    images(tmp_path / "in", "a.png", "b.png")
    real, done = os.replace, []

    def replace(source, target):
        if len(done) == 2:
            raise OSError(28, "No space left on device")
        done.append(target)
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    said = call("predict", trained / "run", tmp_path / "in", "--out", tmp_path / "out")
    assert_names(said.error, ["b.png", "No space left on device"])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "a_overlay.png"]


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (MemoryError("12 GiB"), "out of memory (12 GiB); use a smaller --crop"),
        (PermissionError(13, "Permission denied", "/data/x"), "/data/x: Permission denied; check"),
    ],
)
def test_errors_of_the_system_are_one_line(call, data, tmp_path, monkeypatch, error, part):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("minidl.cli.options.scan", fail)
    assert part in call("train", data, "--out", tmp_path / "run").error
