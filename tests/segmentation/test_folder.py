"""Data sets on disk: every layout that is meant to work, and one clear line for every way they go wrong."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minidl.errors import InputError
from minidl.segmentation.files import write_png
from minidl.segmentation.folder import match_channels, scan
from minidl.segmentation.pictures import palette
from oracles.data_folders import IDS, add, picture, refusal, stems


# ---------------------------------------------------------------------------------------------
# Layouts
# ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["labels", "masks"])
@pytest.mark.parametrize("end", ["", "_mask", "_label", "_labels", "_gt"])
def test_flat_folder(tmp_path: Path, kind: str, end: str) -> None:
    for index in range(10):
        add(tmp_path, f"cell{index}", IDS, kind=kind, end=end)
    data = scan(tmp_path)
    assert stems(data) == {"train": [f"cell{i}" for i in range(8)], "val": ["cell8", "cell9"]}
    assert data.num_classes == 3 and data.classes == ("class 0", "class 1", "class 2")
    assert data.in_channels == 3 and data.ignore_index == 255
    np.testing.assert_array_equal(data.colours, palette(3))
    image, mask = data.load(data.splits["val"][1])
    np.testing.assert_array_equal(image, picture().transpose(2, 0, 1).astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(mask, IDS)
    assert image.dtype == np.float32 and mask is not None and mask.dtype == np.int32


def test_splits_and_unlabelled_test(tmp_path: Path) -> None:
    add(tmp_path / "train", "a", IDS)
    add(tmp_path / "val", "a", IDS)
    add(tmp_path / "test", "b", None)
    data = scan(tmp_path)
    assert stems(data) == {"train": ["a"], "val": ["a"], "test": ["b"]} and data.notes == []
    image, mask = data.load(data.samples("test", labelled=False)[0])
    assert image.shape == (3, 2, 4) and mask is None
    with pytest.raises(InputError, match="images without masks; add a folder labels/"):
        data.samples("test")


def test_a_split_that_is_not_there(tmp_path: Path) -> None:
    add(tmp_path / "test", "b", IDS)
    data = scan(tmp_path)
    assert stems(data) == {"test": ["b"]}
    with pytest.raises(InputError, match="no split 'val'; there is test"):
        data.samples("val")


@pytest.mark.parametrize(("total", "kept"), [(1, 0), (2, 1), (9, 1), (10, 2), (30, 6)])
def test_the_last_fifth_becomes_val(tmp_path: Path, total: int, kept: int) -> None:
    for index in range(1, total + 1):  # not padded with zeros: by name as text, 10 would come before 9
        add(tmp_path, f"frame{index}", IDS)
    data = scan(tmp_path)
    frames = [f"frame{index}" for index in range(1, total + 1)]
    assert data.splits.get("val", []) == [
        s for s in data.splits.get("val", []) if s.stem in frames[total - kept :]
    ]
    assert len(data.splits.get("val", [])) == kept
    assert stems(data)["train"] == frames[: total - kept]
    assert any("kept for validation" in note for note in data.notes) == (kept > 0)


def test_val_by_glob(tmp_path: Path) -> None:
    for index in range(30):
        add(tmp_path / "train", f"{index:02d}", IDS)
    data = scan(tmp_path, val="2[4-9]")
    assert stems(data)["val"] == ["24", "25", "26", "27", "28", "29"]
    assert len(data.splits["train"]) == 24 and data.notes == []
    (tmp_path / "dataset.toml").write_text('val = "0?"')
    assert stems(scan(tmp_path))["val"] == [f"0{index}" for index in range(10)]
    assert stems(scan(tmp_path, val="2[4-9]")) == stems(data), "the argument goes first"
    assert "matches no image" in refusal(tmp_path, "val", val="zebra*")
    assert "matches every image" in refusal(tmp_path, "val", val="*")


def test_glob_beside_a_val_folder_adds_to_it(tmp_path: Path) -> None:
    for stem in ("a", "b"):
        add(tmp_path / "train", stem, IDS)
    add(tmp_path / "val", "c", IDS)
    assert stems(scan(tmp_path, val="b")) == {"train": ["a"], "val": ["c", "b"]}


def test_other_files_are_left_out_and_named(tmp_path: Path) -> None:
    add(tmp_path, "a", IDS)
    (tmp_path / "images" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "images" / "notes.txt").write_text("x")
    (tmp_path / "labels" / "deeper").mkdir()
    data = scan(tmp_path)
    assert stems(data) == {"train": ["a"]}
    assert [re.findall(r"notes\.txt|deeper", note) for note in data.notes] == [["notes.txt"], ["deeper"]]


def test_progress_counts_every_sample(tmp_path: Path) -> None:
    for stem in "abc":
        add(tmp_path, stem, IDS)
    calls: list[tuple[int, int]] = []
    scan(tmp_path, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_gray_and_rgb_images(tmp_path: Path) -> None:
    add(tmp_path, "a", IDS, image=picture((2, 4)))
    assert scan(tmp_path).in_channels == 1
    add(tmp_path, "b", IDS)
    data = scan(tmp_path)
    assert data.in_channels == 3 and "1 gray images among 2 are read as RGB" in data.notes
    gray, _ = data.load(data.splits["train"][0])
    np.testing.assert_array_equal(gray, [picture((2, 4)).astype(np.float32) / np.float32(255)] * 3)


def test_rgb_is_never_made_gray(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^x\.png: an RGB image where gray"):
        match_channels(np.zeros((3, 2, 2), dtype=np.float32), 1, "x.png")


def test_palette_masks_are_read_by_index(tmp_path: Path) -> None:
    add(tmp_path, "a", None)
    (tmp_path / "masks").mkdir()
    write_png(
        tmp_path / "masks" / "a.png",
        IDS,
        palette=np.array([[9, 9, 9], [255, 0, 0], [0, 0, 255]], dtype=np.uint8),
    )
    data = scan(tmp_path)
    np.testing.assert_array_equal(data.load(data.splits["train"][0])[1], IDS)


# ---------------------------------------------------------------------------------------------
# Layouts that do not work
# ---------------------------------------------------------------------------------------------
def test_no_data_set_there(tmp_path: Path) -> None:
    assert "no such folder" in refusal(tmp_path / "missing", tmp_path / "missing")
    (tmp_path / "file").write_text("x")
    assert "a file, not a folder" in refusal(tmp_path / "file", tmp_path / "file")
    assert "neither images/ nor train/" in refusal(tmp_path, tmp_path)


def test_incomplete_layouts(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    assert "no folder images/" in refusal(tmp_path, tmp_path / "train")
    (tmp_path / "train" / "images").mkdir()
    assert "no image files" in refusal(tmp_path, tmp_path / "train" / "images")
    add(tmp_path / "train", "a", None)
    assert "no masks" in refusal(tmp_path, tmp_path)
    add(tmp_path / "train", "a", IDS)
    add(tmp_path / "train", "a", IDS, kind="masks")
    assert "labels/ and masks/" in refusal(tmp_path, tmp_path / "train")
    add(tmp_path, "a", IDS)
    assert "images/ and train/" in refusal(tmp_path, tmp_path)


def test_unpaired_files_in_both_directions(tmp_path: Path) -> None:
    for index in range(12):
        add(tmp_path, f"i{index}", IDS if index < 7 else None)
    write_png(tmp_path / "labels" / "other_mask.png", IDS)
    message = refusal(tmp_path, tmp_path)
    assert "5 of 12 images have no mask in labels/ (i7.png, i8.png, i9.png, ...)" in message
    assert "1 masks in labels/ have no image (other_mask.png)" in message
    for index in range(7, 12):
        add(tmp_path, f"i{index}", IDS)
    message = refusal(tmp_path, tmp_path)
    assert "have no mask" not in message and "other_mask.png" in message


def test_empty_labels_folder(tmp_path: Path) -> None:
    add(tmp_path, "a", None)
    (tmp_path / "labels").mkdir()
    assert "1 of 1 images have no mask" in refusal(tmp_path, tmp_path)


def test_two_files_for_one(tmp_path: Path) -> None:
    add(tmp_path, "a", IDS)
    Image.fromarray(picture()).save(tmp_path / "images" / "a.tif")
    assert "same stem as a.png" in refusal(tmp_path, tmp_path / "images" / "a.tif")
    (tmp_path / "images" / "a.tif").unlink()
    write_png(tmp_path / "labels" / "a_mask.png", IDS)
    assert "second mask beside a.png" in refusal(tmp_path, tmp_path / "labels" / "a_mask.png")


def test_a_stem_that_ends_like_a_mask_is_its_own(tmp_path: Path) -> None:
    add(tmp_path, "a", IDS)
    add(tmp_path, "a_mask", IDS)
    assert {s.mask_path.name for s in scan(tmp_path).splits["train"] if s.mask_path} <= {
        "a.png",
        "a_mask.png",
    }


def test_mask_of_another_size(tmp_path: Path) -> None:
    add(tmp_path, "a", IDS)
    add(tmp_path, "b", IDS.T)
    message = refusal(tmp_path, tmp_path / "labels" / "b.png")
    assert "2x4 pixels" in message and "b.png has 4x2" in message


@pytest.mark.parametrize("folder", ["images", "labels"])
@pytest.mark.parametrize("contents", [b"", b"no image", None])
def test_damaged_files_are_found_by_the_scan(tmp_path: Path, folder: str, contents: bytes | None) -> None:
    add(tmp_path, "a", IDS)
    path = tmp_path / folder / "a.png"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 30] if contents is None else contents)
    refusal(tmp_path, path)


def test_files_that_change_after_the_scan(tmp_path: Path) -> None:
    for stem in "ab":
        add(tmp_path, stem, IDS)
    data = scan(tmp_path)
    sample = data.splits["train"][0]
    add(tmp_path, "a", IDS + 1)
    with pytest.raises(InputError, match="holds the value 3, but there are 3 classes"):
        data.load(sample)
    add(tmp_path, "a", IDS.T)
    with pytest.raises(InputError, match="make both the same size"):
        data.load(sample)
    sample.image_path.unlink()
    with pytest.raises(InputError, match="no such file"):
        data.load(sample)


# ---------------------------------------------------------------------------------------------
# Real data, as they lie
# ---------------------------------------------------------------------------------------------
def test_isbi2012(real_data: Callable[[str], Path]) -> None:
    data = scan(real_data("isbi2012"), val="2[4-9]")
    assert {split: len(samples) for split, samples in data.splits.items()} == {
        "train": 24,
        "val": 6,
        "test": 30,
    }
    assert stems(data)["val"] == ["24", "25", "26", "27", "28", "29"]
    assert data.num_classes == 2 and data.in_channels == 1
    assert any("0 and 255" in note for note in data.notes)
    share, mean = [], []
    for sample in data.samples("train") + data.samples("val"):
        image, mask = data.load(sample)
        assert mask is not None and image.shape == (1, 512, 512)
        share.append(np.mean(mask == 0))
        mean.append(255 * image.mean(dtype=np.float64))
    # The data set's own description: 22.0 % membrane, 16.8 % to 27.0 % per image; mean gray value 126.16.
    assert np.mean(share) == pytest.approx(0.220, abs=5e-4)
    assert (min(share), max(share)) == pytest.approx((0.168, 0.270), abs=5e-4)
    assert np.mean(mean) == pytest.approx(126.16, abs=5e-3)


def test_camvid(real_data: Callable[[str], Path]) -> None:
    data = scan(real_data("camvid"), ignore_index=11)
    assert {split: len(samples) for split, samples in data.splits.items()} == {
        "train": 367,
        "val": 101,
        "test": 233,
    }
    assert data.num_classes == 11 and data.in_channels == 3 and data.ignore_index == 11 and data.notes == []
    sample = next(sample for sample in data.samples("test") if sample.stem == "0001TP_008550")
    image, mask = data.load(sample)
    assert mask is not None and image.shape == (3, 360, 480)
    # Pixels by id of this frame, from the data set's own description.
    counts = [36078, 52889, 1001, 35990, 6027, 17410, 2030, 0, 8247, 1379, 1877, 9872]
    assert np.bincount(mask.ravel(), minlength=12).tolist() == counts
