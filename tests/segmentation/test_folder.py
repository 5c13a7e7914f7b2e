"""Data sets on disk: every layout that is meant to work, and one clear line for every way they go wrong."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from minidl.errors import InputError
from minidl.segmentation.dataset_config import read_config
from minidl.segmentation.files import write_png
from minidl.segmentation.folder import DataSet, match_channels, scan
from minidl.segmentation.pictures import palette

IDS = np.array([[0, 1, 2, 1], [2, 2, 0, 0]], dtype=np.uint8)
BINARY = np.array([[0, 255, 255, 0], [0, 0, 255, 0]], dtype=np.uint8)
PAINTED = np.array([[[0, 0, 0], [255, 0, 0]], [[0, 128, 255], [0, 0, 0]]], dtype=np.uint8).repeat(2, axis=1)


def picture(shape: tuple[int, ...] = (2, 4, 3)) -> np.ndarray:
    return (np.arange(np.prod(shape)).reshape(shape) * 7 % 256).astype(np.uint8)


def add(
    folder: Path,
    stem: str,
    mask: np.ndarray | None,
    *,
    image: np.ndarray | None = None,
    kind: str = "labels",
    end: str = "",
) -> None:
    """One image, and its mask unless None."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    write_png(folder / "images" / f"{stem}.png", picture() if image is None else image)
    if mask is not None:
        (folder / kind).mkdir(exist_ok=True)
        write_png(folder / kind / f"{stem}{end}.png", mask)


def stems(data: DataSet) -> dict[str, list[str]]:
    return {split: [sample.stem for sample in samples] for split, samples in data.splits.items()}


def refusal(root: Path, about: Path | str, **options: Any) -> str:
    """The message of scanning a bad data set: one line that begins with the culprit and has a remedy."""
    with pytest.raises(InputError) as error:
        scan(root, **options)
    message = str(error.value)
    assert message.startswith(f"{about}: "), message
    assert "\n" not in message and ";" in message
    return message


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
# From values to ids
# ---------------------------------------------------------------------------------------------
def loaded(root: Path, **options: Any) -> tuple[DataSet, np.ndarray]:
    """The data set, and the mask of its first sample."""
    data = scan(root, **options)
    mask = data.load(next(iter(data.splits.values()))[0])[1]
    assert mask is not None
    return data, mask


@pytest.mark.parametrize("options", [{}, {"num_classes": 2}])
def test_0_and_255_everywhere_is_0_and_1(tmp_path: Path, options: dict[str, int]) -> None:
    add(tmp_path, "a", BINARY)
    add(tmp_path, "b", np.zeros_like(BINARY))
    data, mask = loaded(tmp_path, **options)
    np.testing.assert_array_equal(mask, BINARY // 255)
    assert data.num_classes == 2 and "masks hold only 0 and 255: read as class 0 and class 1" in data.notes


def test_0_and_255_with_two_names(tmp_path: Path) -> None:
    add(tmp_path, "a", BINARY)
    (tmp_path / "dataset.toml").write_text('classes = ["membrane", "cell"]\nignore_index = 7')
    data, mask = loaded(tmp_path)
    np.testing.assert_array_equal(mask, BINARY // 255)
    assert data.classes == ("membrane", "cell") and data.ignore_index == 7


def test_0_and_255_in_rgb_files(tmp_path: Path) -> None:
    add(tmp_path, "a", np.stack([BINARY] * 3, axis=2))
    data, mask = loaded(tmp_path)
    np.testing.assert_array_equal(mask, BINARY // 255)
    assert data.num_classes == 2


def test_0_and_255_where_ids_are_expected(tmp_path: Path) -> None:
    add(tmp_path, "a", BINARY)
    path = tmp_path / "labels" / "a.png"
    message = refusal(tmp_path, path, num_classes=5)
    assert "ids of 5 classes are expected" in message
    assert f"255 = 1 under [labels] in {tmp_path / 'dataset.toml'}" in message
    assert "leaves class 0 alone" in refusal(tmp_path, path, ignore_index=255)
    add(tmp_path, "b", IDS)
    message = refusal(tmp_path, path)
    assert (
        "other masks hold class ids" in message and "ignore_index = 255" in message and "255 = 1" in message
    )


def test_the_remedies_for_0_and_255_work(tmp_path: Path) -> None:
    add(tmp_path, "a", BINARY)
    add(tmp_path, "b", IDS)
    data, mask = loaded(tmp_path, ignore_index=255)
    np.testing.assert_array_equal(mask, BINARY)
    assert data.num_classes == 3
    (tmp_path / "dataset.toml").write_text("num_classes = 3\n[labels]\n255 = 1\n")
    data, mask = loaded(tmp_path)
    np.testing.assert_array_equal(mask, BINARY // 255)


def test_255_beside_ids_is_ignored_by_default(tmp_path: Path) -> None:
    mask = IDS.copy()
    mask[0, 0] = 255
    add(tmp_path, "a", mask)
    data, ids = loaded(tmp_path)
    np.testing.assert_array_equal(ids, mask)
    assert data.num_classes == 3 and data.ignore_index == 255


def test_ignore_index_does_not_count_as_a_class(tmp_path: Path) -> None:
    add(tmp_path, "a", np.arange(8, dtype=np.uint8).reshape(2, 4))
    assert scan(tmp_path).num_classes == 8
    data, ids = loaded(tmp_path, ignore_index=7)
    assert data.num_classes == 7 and data.ignore_index == 7 and ids.max() == 7


def test_ids_past_the_classes(tmp_path: Path) -> None:
    add(tmp_path, "a", IDS)
    add(tmp_path, "b", IDS + 2)
    message = refusal(tmp_path, tmp_path / "labels" / "b.png", num_classes=3)
    assert (
        "holds the value 3, but there are 3 classes (ids 0..2)" in message and "ignore_index = 3" in message
    )
    (tmp_path / "dataset.toml").write_text('classes = ["a", "b", "c", "d"]')
    assert "holds the value 4" in refusal(tmp_path, tmp_path / "labels" / "b.png")


def test_16_bit_masks(tmp_path: Path) -> None:
    add(tmp_path, "a", np.array([[0, 1, 300, 2], [0, 0, 0, 0]], dtype=np.uint16))
    _, ids = loaded(tmp_path, num_classes=301)
    np.testing.assert_array_equal(ids[0], [0, 1, 300, 2])


def test_mapping_of_values(tmp_path: Path) -> None:
    add(tmp_path, "a", np.array([[0, 128, 255, 7], [0, 0, 128, 7]], dtype=np.uint8))
    (tmp_path / "dataset.toml").write_text("[labels]\n128 = 1\n255 = 2\n7 = 255\n")
    data, ids = loaded(tmp_path)
    np.testing.assert_array_equal(ids, [[0, 1, 2, 255], [0, 0, 1, 255]])
    assert data.num_classes == 3
    (tmp_path / "dataset.toml").write_text("[labels]\n128 = 1\n255 = 2\n")
    assert "holds the value 7, but there are 3 classes" in refusal(tmp_path, tmp_path / "labels" / "a.png")


def test_swapped_values_do_not_chain(tmp_path: Path) -> None:
    add(tmp_path, "a", IDS)
    (tmp_path / "dataset.toml").write_text("[labels]\n0 = 1\n1 = 2\n2 = 0\n")
    np.testing.assert_array_equal(loaded(tmp_path)[1], (IDS + 1) % 3)


def test_mapping_of_colours(tmp_path: Path) -> None:
    add(tmp_path, "a", PAINTED)
    expected = [[0, 0, 1, 1], [2, 2, 0, 0]]
    description = tmp_path / "elsewhere.toml"
    description.write_text('[labels]\n"#000000" = 0\n"#FF0000" = 1\n"#0080ff" = 2\n')
    data, ids = loaded(tmp_path, config=description)
    np.testing.assert_array_equal(ids, expected)
    assert data.num_classes == 3
    description.write_text('colours = ["#000000", "#ff0000", "#0080ff"]')
    data, ids = loaded(tmp_path, config=description)
    np.testing.assert_array_equal(ids, expected)
    np.testing.assert_array_equal(data.colours, [[0, 0, 0], [255, 0, 0], [0, 128, 255]])


def test_colours_without_a_class(tmp_path: Path) -> None:
    add(tmp_path, "a", PAINTED)
    path = tmp_path / "labels" / "a.png"
    message = refusal(tmp_path, path)
    assert "RGB mask of 3 colours where class ids are expected" in message
    assert (
        f'"#000000" = 0, "#0080ff" = 1, "#ff0000" = 2, under [labels] in {tmp_path / "dataset.toml"}'
        in message
    )
    (tmp_path / "dataset.toml").write_text('[labels]\n"#000000" = 0\n"#ff0000" = 1\n')
    assert 'add "#0080ff" = ID to [labels]' in refusal(tmp_path, path)


@pytest.mark.parametrize("values", [[0, 128], [0, 85, 170], [0, 20], [0, 1, 2, 254]])
def test_shades_of_gray_are_not_taken_for_ids(tmp_path: Path, values: list[int]) -> None:
    add(tmp_path, "a", np.resize(np.array(values, dtype=np.uint8), (2, 4)))
    message = refusal(tmp_path, tmp_path / "labels" / "a.png")
    assert f"holds the value {values[-1]}" in message and f"{values[-1]} = {len(values) - 1}" in message
    assert scan(tmp_path, num_classes=values[-1] + 1).num_classes == values[-1] + 1


def test_masks_of_one_class(tmp_path: Path) -> None:
    add(tmp_path, "a", np.zeros_like(IDS))
    assert "hold only class 0" in refusal(tmp_path, tmp_path / "labels" / "a.png")
    assert any("class 0 only" in note for note in scan(tmp_path, num_classes=2).notes)


# ---------------------------------------------------------------------------------------------
# dataset.toml
# ---------------------------------------------------------------------------------------------
def test_all_keys_together(tmp_path: Path) -> None:
    for stem in "abc":
        add(tmp_path, stem, IDS)
    (tmp_path / "dataset.toml").write_text(
        'classes = ["sky", "road"]\ncolours = ["#000000", "#0a0B0c"]\nnum_classes = 2\nignore_index = 9\n'
        'val = "c"\n[labels]\n2 = 9\n'
    )
    data, ids = loaded(tmp_path)
    assert data.classes == ("sky", "road") and data.ignore_index == 9 and stems(data)["val"] == ["c"]
    np.testing.assert_array_equal(data.colours, [[0, 0, 0], [10, 11, 12]])
    np.testing.assert_array_equal(ids, np.where(IDS == 2, 9, IDS))


@pytest.mark.parametrize(("text", "words"), [
    ("classes = [", "not valid TOML"),
    ("colors = []", "unknown key 'colors'; did you mean colours?"),
    ("weather = 1", "unknown key 'weather'; the keys are classes, "),
    ('classes = "sky"', "classes is 'sky'; give a list"),
    ("classes = [1, 2]", "classes holds 1; give each class a name"),
    ('classes = ["a", " "]', "classes holds ' '"),
    ("classes = []", "classes is empty"),
    ('classes = ["a", "a"]', "names one class twice"),
    ("colours = []", "colours is empty"),
    ('colours = ["red", "#000000"]', "colours holds 'red'"),
    ('colours = ["#000000", "#000000"]', "one colour to two classes"),
    ('classes = ["a", "b"]\ncolours = ["#000000"]', "1 colours for 2 classes"),
    ('classes = ["a", "b"]\nnum_classes = 3', "num_classes is 3, but 2 classes are named"),
    ('num_classes = "3"', "num_classes is '3'; give a whole number"),
    ("num_classes = 0", "num_classes is 0; give 1 to"),
    ("num_classes = true", "num_classes is True"),
    ("ignore_index = 1.5", "ignore_index is 1.5"),
    ("ignore_index = 3000000000", "ignore_index is 3000000000"),
    ("val = 3", "val is 3; give text"),
    ("labels = 3", "labels is 3; give a table"),
    ("[labels]\nred = 1", "[labels] has the key 'red'"),
    ("[labels]\n-1 = 1", "[labels] has the key '-1'"),
    ('[labels]\n255 = "cell"', "[labels] maps '255' to 'cell'"),
    ("[labels]\n255 = -1", "gives the id -1, but ids run from 0 to 65535"),
    ("num_classes = 2\n[labels]\n255 = 2", "gives the id 2, but ids run from 0 to 1"),
])  # fmt: skip
def test_mistakes_in_the_description(tmp_path: Path, text: str, words: str) -> None:
    add(tmp_path, "a", IDS)
    path = tmp_path / "dataset.toml"
    path.write_text(text)
    assert words in refusal(tmp_path, path)


def test_descriptions_that_cannot_be_read(tmp_path: Path) -> None:
    add(tmp_path, "a", IDS)
    assert "no such file" in refusal(tmp_path, tmp_path / "x.toml", config=tmp_path / "x.toml")
    assert "cannot be read" in refusal(tmp_path, tmp_path, config=tmp_path)
    (tmp_path / "latin.toml").write_bytes(b'classes = ["Stra\xdfe"]')
    assert "not valid TOML" in refusal(tmp_path, tmp_path / "latin.toml", config=tmp_path / "latin.toml")


def test_arguments_against_the_description(tmp_path: Path) -> None:
    add(tmp_path, "a", IDS)
    (tmp_path / "dataset.toml").write_text('classes = ["a", "b", "c"]\nignore_index = 9')
    assert "4, but" in refusal(tmp_path, "num_classes", num_classes=4)
    assert scan(tmp_path, num_classes=3, ignore_index=8).ignore_index == 8


def test_an_empty_description_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "dataset.toml").write_text("")
    config = read_config(tmp_path / "dataset.toml")
    assert (config.classes, config.colours, config.num_classes, config.ignore_index, config.val) == (
        None,
    ) * 5
    assert config.values == {} and config.colour_ids == {}


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
