"""Data sets on disk: what the values and colours of masks mean, from 0/255 to mappings of one's own."""

from pathlib import Path

import numpy as np
import pytest

from minidl.segmentation.folder import scan
from oracles.data_folders import BINARY, IDS, PAINTED, add, loaded, refusal


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
