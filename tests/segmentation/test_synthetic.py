"""The embedded data set: reproducible, exact, and too hard for methods that see no context."""

import hashlib
import itertools
from pathlib import Path

import numpy as np
import pytest

from minidl.errors import InputError
from minidl.segmentation.folder import scan
from minidl.segmentation.synthetic import CLASSES, COLOURS, touching_cells, write_folder
from segmentation import baselines

LIMIT = 0.6  # mean IoU that a method without context must stay below
STEPS = 300  # of the two-layer network; ten times as many, of four times its width, end at 0.37


@pytest.fixture(scope="module")
def train() -> tuple[np.ndarray, np.ndarray]:
    return touching_cells(60, seed=1)


@pytest.fixture(scope="module")
def held_out() -> tuple[np.ndarray, np.ndarray]:
    return touching_cells(20, seed=2)


# ---------------------------------------------------------------------------------------------
# What is generated
# ---------------------------------------------------------------------------------------------
def test_shapes_types_and_ranges(train: tuple[np.ndarray, np.ndarray]) -> None:
    images, masks = train
    assert images.shape == (60, 3, 96, 96) and images.dtype == np.float32
    assert masks.shape == (60, 96, 96) and masks.dtype == np.uint8
    assert images.min() >= 0 and images.max() <= 1
    assert set(np.unique(masks)) == set(range(len(CLASSES))) == set(range(len(COLOURS)))
    share = np.bincount(masks.ravel(), minlength=4) / masks.size
    assert 0.25 < share[0] < 0.5 and share[1:].min() > 0.12, "no class may be rare"
    assert all(mask.max() > 0 for mask in masks), "never an empty picture"


def test_images_are_what_an_8_bit_file_holds(train: tuple[np.ndarray, np.ndarray]) -> None:
    images, _ = train
    np.testing.assert_array_equal(images, np.rint(images * 255).astype(np.float32) / np.float32(255))


def test_the_same_bytes_for_the_same_seed_everywhere() -> None:
    # A record of what the generator gave when it was written: it must never change, on any machine.
    images, masks = touching_cells(3, size=64, seed=11)
    digest = hashlib.sha256(np.rint(images * 255).astype(np.uint8).tobytes() + masks.tobytes()).hexdigest()
    assert digest == "a4314b2a54a5ba1b6179ab8362986b8fe68a205f799f2c9749e0c910eff99a4c"


def test_seeds_and_indices_are_independent_streams() -> None:
    images, masks = touching_cells(3, size=48, seed=5)
    longer, longer_masks = touching_cells(4, size=48, seed=5)
    np.testing.assert_array_equal(images, longer[:3])
    np.testing.assert_array_equal(masks, longer_masks[:3])
    other, _ = touching_cells(4, size=48, seed=6)
    pictures = [picture.tobytes() for picture in (*longer, *other)]
    assert len(set(pictures)) == 8


@pytest.mark.parametrize("size", [32, 45, 96, 131])
def test_any_size(size: int) -> None:
    images, masks = touching_cells(2, size=size, seed=3)
    assert images.shape == (2, 3, size, size) and masks.shape == (2, size, size)
    assert np.isfinite(images).all() and masks.max() <= 3


def test_no_pictures_are_an_empty_array() -> None:
    images, masks = touching_cells(0, size=32)
    assert images.shape == (0, 3, 32, 32) and masks.shape == (0, 32, 32)


@pytest.mark.parametrize(("arguments", "name"), [
    ({"count": -1}, "count"), ({"count": 1, "size": 31}, "size"),
    ({"count": 1, "seed": -1}, "seed"), ({"count": 1, "seed": 2**64}, "seed"),
])  # fmt: skip
def test_arguments_out_of_range(arguments: dict[str, int], name: str) -> None:
    with pytest.raises(InputError, match=f"^{name}: "):
        touching_cells(**arguments)


# ---------------------------------------------------------------------------------------------
# Masks are exact
# ---------------------------------------------------------------------------------------------
def test_masks_lie_exactly_on_the_pictures(train: tuple[np.ndarray, np.ndarray]) -> None:
    """Cells are darker than the glass; shifted by a pixel, masks explain the pictures worse."""
    images, masks = train
    gray = images.mean(axis=1, dtype=np.float64)[:, 2:-2, 2:-2]

    def rim_contrast(dy: int, dx: int) -> float:
        cell = np.roll(masks > 0, (dy, dx), axis=(1, 2))
        inner = cell & ~np.logical_and.reduce([np.roll(cell, s, axis=a) for s in (-1, 1) for a in (1, 2)])
        outer = ~cell & np.logical_or.reduce([np.roll(cell, s, axis=a) for s in (-1, 1) for a in (1, 2)])
        inner, outer = inner[:, 2:-2, 2:-2], outer[:, 2:-2, 2:-2]
        return float(gray[outer].mean() - gray[inner].mean())

    contrast = {shift: rim_contrast(*shift) for shift in itertools.product((-1, 0, 1), repeat=2)}
    assert max(contrast, key=lambda shift: contrast[shift]) == (0, 0)
    assert contrast[0, 0] > 0.02


def test_cells_touch_and_are_whole(train: tuple[np.ndarray, np.ndarray]) -> None:
    from scipy import ndimage

    _, masks = train
    touching = areas = 0
    for mask in masks:
        right = (mask[:, 1:] != mask[:, :-1]) & (mask[:, 1:] > 0) & (mask[:, :-1] > 0)
        touching += bool(right.any())
        labels, count = ndimage.label(mask > 0)
        inside = set(range(1, count + 1)) - {*labels[0], *labels[-1], *labels[:, 0], *labels[:, -1]}
        for label in inside:  # islands that the frame does not cut hold at least one whole cell
            areas += 1
            assert np.count_nonzero(labels == label) > 150
    assert touching > 0.9 * len(masks) and areas > 10


def test_the_three_cell_types_share_their_colours(train: tuple[np.ndarray, np.ndarray]) -> None:
    images, masks = train
    means = np.array([images.transpose(1, 0, 2, 3)[:, masks == kind].mean(axis=1) for kind in (1, 2, 3)])
    assert np.ptp(means, axis=0).max() < 0.02


# ---------------------------------------------------------------------------------------------
# Too hard without context
# ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("levels", [2, 3, 4])
def test_otsu_fails(
    train: tuple[np.ndarray, np.ndarray], held_out: tuple[np.ndarray, np.ndarray], levels: int
) -> None:
    few = (train[0][:8], train[1][:8])
    score = baselines.otsu_mean_iou(few, held_out, len(CLASSES), levels)
    print(f"Otsu, {levels} levels: mean IoU {score:.3f}")
    assert score < LIMIT


def test_colour_alone_fails(
    train: tuple[np.ndarray, np.ndarray], held_out: tuple[np.ndarray, np.ndarray]
) -> None:
    score = baselines.colour_mean_iou(train, held_out, len(CLASSES))
    print(f"Bayes classifier on colour: mean IoU {score:.3f}")
    assert score < LIMIT


def test_two_layers_of_3x3_fail(
    train: tuple[np.ndarray, np.ndarray], held_out: tuple[np.ndarray, np.ndarray]
) -> None:
    """A network that sees 5x5 pixels, trained until it hardly gets better: context is what is missing."""
    import minidl
    from minidl import nn, ops, optim

    images, masks = train
    minidl.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, len(CLASSES), 3, padding=1))
    optimizer = optim.Adam(net.parameters(), lr=1e-2)
    rng = np.random.default_rng(0)
    losses = []
    for _ in range(STEPS):
        chosen = rng.choice(len(images), size=2, replace=False)
        loss = ops.cross_entropy(net(minidl.tensor(images[chosen])), masks[chosen].astype(np.int64))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-20:]) < np.mean(losses[:20]) - 0.2, "it does learn what it can see"
    with minidl.no_grad():
        prediction = net(minidl.tensor(held_out[0])).numpy().argmax(axis=1)
    score = baselines.mean_iou(held_out[1], prediction, len(CLASSES))
    print(f"two layers of 3x3: mean IoU {score:.3f}")
    assert 0.2 < score < LIMIT


def test_the_baselines_are_sound() -> None:
    """Where the classes differ in colour, every baseline is right: they fail above for cause."""
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 3, size=(4, 16, 16), dtype=np.uint8)
    colours = np.array([[0.1, 0.1, 0.1], [0.5, 0.5, 0.5], [0.9, 0.9, 0.9]], dtype=np.float32)
    noise = 0.05 * rng.random((4, 3, 16, 16), dtype=np.float32)
    easy = (colours[masks].transpose(0, 3, 1, 2) + noise, masks)
    assert baselines.otsu_mean_iou(easy, easy, 3, 3) == 1.0
    assert baselines.colour_mean_iou(easy, easy, 3) == 1.0
    assert baselines.mean_iou(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), 2) == pytest.approx(
        (1 / 2 + 2 / 3) / 2
    )


# ---------------------------------------------------------------------------------------------
# As a folder
# ---------------------------------------------------------------------------------------------
def test_written_and_read_back(tmp_path: Path) -> None:
    write_folder(tmp_path / "cells", train=3, val=1, test=2, size=40, seed=9)
    images, masks = touching_cells(6, size=40, seed=9)
    data = scan(tmp_path / "cells")
    assert data.classes == CLASSES and data.in_channels == 3 and data.notes == []
    np.testing.assert_array_equal(data.colours, COLOURS)
    assert {split: len(samples) for split, samples in data.splits.items()} == {
        "train": 3,
        "val": 1,
        "test": 2,
    }
    samples = [sample for split in ("train", "val", "test") for sample in data.splits[split]]
    for index, sample in enumerate(samples):
        image, mask = data.load(sample)
        np.testing.assert_array_equal(image, images[index])
        np.testing.assert_array_equal(mask, masks[index])
    assert [path.name for path in tmp_path.iterdir()] == ["cells"], "no scratch folder stays"


def test_a_split_of_none_is_left_out_and_an_empty_folder_is_filled(tmp_path: Path) -> None:
    write_folder(tmp_path, train=2, val=0, test=0, size=32)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset.toml", "train"]


def test_folder_errors(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "mine.txt").write_text("keep me")
    with pytest.raises(InputError, match="old: exists already"):
        write_folder(tmp_path / "old")
    assert (tmp_path / "old" / "mine.txt").read_text() == "keep me"
    with pytest.raises(InputError, match=r"mine\.txt: exists already"):
        write_folder(tmp_path / "old" / "mine.txt")
    with pytest.raises(InputError, match="give at least one"):
        write_folder(tmp_path / "new", train=0, val=0, test=0)
    with pytest.raises(InputError, match="none below 0"):
        write_folder(tmp_path / "new", train=-1)
    with pytest.raises(InputError, match="cannot be written"):
        write_folder(tmp_path / "old" / "mine.txt" / "new", train=1, val=0, test=0, size=32)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
