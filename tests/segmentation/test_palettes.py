"""Masks of indices: one meaning in all files of a data set, or the colours, or one clear line."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minidl.segmentation.folder import scan
from oracles.data_folders import IDS, add, loaded, picture, refusal
from oracles.mask_kinds import colours
from oracles.picture_files import Palette, bmp, gif, png, tiff

BLACK, RED, GREEN, GRAY = (0, 0, 0), (255, 0, 0), (0, 255, 0), (128, 128, 128)
MAPPED = '[labels]\n"#000000" = 0\n"#ff0000" = 1\n"#00ff00" = 2\n'


def add_palette(folder: Path, stem: str, ids: np.ndarray, palette: Palette, kind: str = "png") -> None:
    add(folder, stem, None, image=picture((*ids.shape, 3)))
    (folder / "labels").mkdir(exist_ok=True)
    encode = {
        "png": lambda: png(ids, 8, 3, palette),
        "tif": lambda: tiff(ids, 8, 3, palette=palette),
        "bmp": lambda: bmp(ids, 8, palette),
        "gif": lambda: gif(ids, palette),
    }[kind]
    (folder / "labels" / f"{stem}.{kind}").write_bytes(encode())


@pytest.mark.parametrize("kind", ["png", "tif", "bmp", "gif"])
def test_one_palette_for_all_files_means_the_indices(tmp_path: Path, kind: str) -> None:
    """As in Pascal VOC, whose index 7 is a gray: files in which only that one occurs count by index, too."""
    voc = colours(256)
    assert voc[7] == GRAY
    for stem, ids in (("a", IDS), ("b", IDS // 2 * 7), ("c", IDS * 0)):
        add_palette(tmp_path, stem, ids, voc, kind)
    data = scan(tmp_path, num_classes=21)
    for sample in data.splits["train"] + data.splits["val"]:
        expected = {"a": IDS, "b": IDS // 2 * 7, "c": IDS * 0}[sample.stem]
        np.testing.assert_array_equal(data.load(sample)[1], expected)


@pytest.mark.parametrize("kind", ["png", "tif", "bmp", "gif"])
def test_grays_that_were_numbered_anew_in_each_file_come_back(tmp_path: Path, kind: str) -> None:
    add_palette(tmp_path, "a", np.minimum(IDS, 1), [(0,) * 3, (2,) * 3], kind)  # {0, 2} as {0, 1}
    add_palette(tmp_path, "b", IDS, [(0,) * 3, (1,) * 3, (2,) * 3], kind)
    data, mask = loaded(tmp_path)
    np.testing.assert_array_equal(mask, np.minimum(IDS, 1) * 2)
    assert data.num_classes == 3


def test_gray_masks_that_pillow_saves_as_gif_come_back(tmp_path: Path) -> None:
    for stem, ids in (("a", IDS), ("b", np.where(IDS == 1, 0, IDS)), ("c", np.where(IDS == 2, 0, IDS))):
        add(tmp_path, stem, None)
        (tmp_path / "labels").mkdir(exist_ok=True)
        Image.fromarray(ids.astype(np.uint8)).save(tmp_path / "labels" / f"{stem}.gif")
    data = scan(tmp_path)
    for sample in data.splits["train"] + data.splits["val"]:
        expected = {"a": IDS, "b": np.where(IDS == 1, 0, IDS), "c": np.where(IDS == 2, 0, IDS)}[sample.stem]
        np.testing.assert_array_equal(data.load(sample)[1], expected)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([BLACK, RED], [BLACK, GREEN]),  # an index with two colours
        ([BLACK, RED], [RED, BLACK]),
        ([BLACK, RED], [BLACK, GREEN, RED]),  # a colour with two indices
        ([BLACK, RED, GREEN], [GREEN, BLACK, RED]),
    ],
)
def test_palettes_that_differ_are_refused_and_the_remedy_works(
    tmp_path: Path, first: Palette, second: Palette
) -> None:
    ids = np.array([[0, len(first) - 1]])
    other = np.array([[0, len(second) - 1]])
    add_palette(tmp_path, "a", ids, first)
    add_palette(tmp_path, "b", other, second)
    message = refusal(tmp_path, tmp_path / "labels" / "b.png")
    assert "that of a.png" in message and "indices are no class ids here" in message
    (tmp_path / "dataset.toml").write_text(MAPPED)
    data = scan(tmp_path)
    classes = {BLACK: 0, RED: 1, GREEN: 2}
    masks = [data.load(data.splits[split][0])[1] for split in ("train", "val")]
    np.testing.assert_array_equal(masks[0], np.vectorize([classes[c] for c in first].__getitem__)(ids))
    np.testing.assert_array_equal(masks[1], np.vectorize([classes[c] for c in second].__getitem__)(other))
    (tmp_path / "dataset.toml").write_text('colours = ["#000000", "#ff0000", "#00ff00"]')
    np.testing.assert_array_equal(scan(tmp_path).load(data.splits["val"][0])[1], masks[1])


def test_the_entries_of_the_message_are_a_whole_mapping(tmp_path: Path) -> None:
    add_palette(tmp_path, "a", np.array([[0, 1]]), [BLACK, RED])
    add_palette(tmp_path, "b", np.array([[0, 1]]), [BLACK, GREEN])
    message = refusal(tmp_path, tmp_path / "labels" / "b.png")
    assert '"#000000" = 0, "#00ff00" = 1, "#ff0000" = 2, under [labels]' in message


def test_a_palette_that_repeats_itself_and_entries_that_are_not_used_do_no_harm(tmp_path: Path) -> None:
    add_palette(tmp_path, "a", np.array([[0, 1]]), [BLACK, RED, GREEN, RED])
    add_palette(tmp_path, "b", np.array([[0, 3]]), [BLACK, RED, GRAY, RED])
    data = scan(tmp_path)
    np.testing.assert_array_equal(data.load(data.splits["val"][0])[1], [[0, 3]])


def test_with_colours_under_labels_the_colours_of_palettes_count(tmp_path: Path) -> None:
    add_palette(tmp_path, "a", np.array([[0, 1]]), [RED, BLACK])
    (tmp_path / "dataset.toml").write_text(MAPPED)
    np.testing.assert_array_equal(loaded(tmp_path)[1], [[1, 0]])
    (tmp_path / "dataset.toml").write_text('[labels]\n"#000000" = 0\n"#00ff00" = 1\n')
    assert "the colour #ff0000 has no class" in refusal(tmp_path, tmp_path / "labels" / "a.png")
