"""Pictures that EXIF turns, masks that it does not: turned along, left as they are, or one clear line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minidl.segmentation.files import write_png
from minidl.segmentation.folder import DataSet, scan
from minidl.segmentation.turning import upright
from oracles.data_folders import refusal

# EXIF 2.3: what a viewer has to do with the stored rows to show the picture upright.
TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}
WIDE = np.arange(6, dtype=np.uint8).reshape(2, 3) % 4
SQUARE = np.arange(9, dtype=np.uint8).reshape(3, 3) % 5


def tag(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def add(
    folder: Path, stem: str, ids: np.ndarray, orientation: int, placing: str, own: int = 1, kind: str = "png"
) -> np.ndarray:
    """A picture of 10 * ids that is stored turned, its mask placed as said; gives the upright ids."""
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(ids * 10)
    image.save(folder / "images" / f"{stem}.{kind}", exif=tag(orientation))
    seen = TURNS[orientation](ids)
    mask = Image.fromarray(np.ascontiguousarray(seen if placing == "upright" else ids))
    mask.save(folder / "labels" / f"{stem}.png", **({"exif": tag(own)} if own != 1 else {}))
    return seen


def check(data: DataSet, expected: dict[str, np.ndarray]) -> None:
    for sample in [sample for samples in data.splits.values() for sample in samples]:
        image, mask = data.load(sample)
        np.testing.assert_array_equal(mask, expected[sample.stem])
        np.testing.assert_array_equal(np.rint(image[0] * 25.5), expected[sample.stem])


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("pixels", [WIDE, SQUARE, np.stack([WIDE] * 3, axis=2)])
def test_pixels_are_turned_as_exif_says(orientation: int, pixels: np.ndarray) -> None:
    turned = upright(pixels, orientation)
    np.testing.assert_array_equal(turned, TURNS[orientation](pixels))
    assert turned.flags.c_contiguous


@pytest.mark.parametrize("kind", ["png", "tif"])
@pytest.mark.parametrize("placing", ["upright", "stored"])
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_the_size_of_a_mask_tells_how_it_lies(
    tmp_path: Path, orientation: int, placing: str, kind: str
) -> None:
    seen = add(tmp_path, "a", WIDE, orientation, placing, kind=kind)
    data = scan(tmp_path)
    check(data, {"a": seen})
    assert any("lie as their pictures are stored" in note for note in data.notes) == (placing == "stored")


@pytest.mark.parametrize(
    ("ids", "orientation"),
    [(WIDE, 2), (WIDE, 3), (WIDE, 4), *((SQUARE, orientation) for orientation in range(2, 9))],
)
@pytest.mark.parametrize("placing", ["upright", "stored"])
def test_where_nothing_tells_it_is_asked_and_the_remedy_works(
    tmp_path: Path, ids: np.ndarray, orientation: int, placing: str
) -> None:
    seen = add(tmp_path, "a", ids, orientation, placing)
    message = refusal(tmp_path, tmp_path / "labels" / "a.png")
    assert f"its image a.png is stored turned (EXIF orientation {orientation})" in message
    assert 'mask_orientation = "upright" (' in message and str(tmp_path / "dataset.toml") in message
    (tmp_path / "dataset.toml").write_text(f'mask_orientation = "{placing}"')
    check(scan(tmp_path), {"a": seen})


@pytest.mark.parametrize("placing", ["upright", "stored"])
def test_the_other_masks_of_the_data_set_tell(tmp_path: Path, placing: str) -> None:
    expected = {
        "a": add(tmp_path, "a", SQUARE, 3, placing),
        "b": add(tmp_path, "b", WIDE, 6, placing),
        "c": add(tmp_path, "c", SQUARE, 8, placing),
    }
    data = scan(tmp_path)
    check(data, expected)
    assert (
        f"2 masks fit their turned pictures in both ways: taken as {placing}, as all others are" in data.notes
    )


def test_other_masks_that_contradict_each_other_do_not_tell(tmp_path: Path) -> None:
    add(tmp_path, "a", WIDE, 6, "upright")
    add(tmp_path, "b", WIDE, 6, "stored")
    add(tmp_path, "c", WIDE, 3, "stored")
    refusal(tmp_path, tmp_path / "labels" / "c.png")


@pytest.mark.parametrize("orientation", TURNS)
def test_a_mask_with_a_tag_of_its_own_is_turned_by_that(tmp_path: Path, orientation: int) -> None:
    check_with = add(tmp_path, "a", SQUARE, orientation, "stored", own=orientation)
    check(scan(tmp_path), {"a": check_with})


def test_masks_that_look_the_same_in_both_ways_are_no_question(tmp_path: Path) -> None:
    add(tmp_path, "a", WIDE, 3, "stored")
    write_png(tmp_path / "labels" / "a.png", np.ones((2, 3), np.uint8))
    assert scan(tmp_path, num_classes=2).notes != []


def test_what_is_said_of_masks_goes_before_their_size(tmp_path: Path) -> None:
    add(tmp_path, "a", WIDE, 6, "stored")
    (tmp_path / "dataset.toml").write_text('mask_orientation = "upright"')
    assert "3x2 pixels, but its image a.png has 2x3" in refusal(tmp_path, tmp_path / "labels" / "a.png")
    (tmp_path / "dataset.toml").write_text('mask_orientation = "up"')
    assert "mask_orientation is 'up'; give \"upright\"" in refusal(tmp_path, tmp_path / "dataset.toml")
