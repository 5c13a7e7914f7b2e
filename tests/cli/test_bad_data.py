"""Bad data: one line on stderr that names the culprit and a remedy, exit code 2, and nothing written."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from minidl.segmentation.files import read_mask, write_png
from oracles.commands import SMALL, assert_names, tree

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


@pytest.mark.parametrize("momentum", ["0", "0.9"])
def test_a_loss_that_is_not_finite(shell, data, tmp_path, momentum):
    """In a process of its own: none of NumPy's warnings come along."""
    before = tree(tmp_path)
    said = shell(
        "train", "data", "--out", "run", *SMALL, "--optimizer", "sgd", "--momentum", momentum, "--lr", "1e6"
    )
    assert_names(said.error, ["the loss", "became", "step", "lower --lr"])
    assert tree(tmp_path) == before
