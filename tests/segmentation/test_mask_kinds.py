"""Masks that hold no class ids: what they are is said, and the entries in the message make ids of them."""

import re
from pathlib import Path

import numpy as np
import pytest

from minidl.errors import InputError
from minidl.segmentation.folder import DataSet, scan
from oracles.data_folders import add, picture
from oracles.wrong_masks import SIZE, areas, as_png, objects, smoothed, through_jpeg

GRAYS = [[0, 255], [0, 128, 255], [40, 200], [0, 85, 170, 255], [255, 0]]
COLOURS = [
    [[0, 0, 0], [255, 0, 0], [0, 0, 255]],
    [[255, 255, 255], [0, 128, 0]],
    [[20, 20, 20], [200, 60, 60], [60, 200, 60], [60, 60, 200]],
]


def write(root: Path, masks: list[np.ndarray]) -> None:
    for index, mask in enumerate(masks):
        add(root, f"{index:02}", mask, image=picture((*mask.shape[:2], 3)))


def refused(root: Path, **options: int) -> str:
    with pytest.raises(InputError) as error:
        scan(root, **options)
    message = str(error.value)
    assert message.startswith(str(root)) and "\n" not in message and ";" in message
    return message


def apply(root: Path, message: str) -> DataSet:
    """Write the entries of a message where it says, and scan again."""
    entries = re.findall(r'("#[0-9a-f]{6}" = \d+|\b\d+ = \d+|others = \d+|nearest = true)', message)
    assert f"under [labels] in {root / 'dataset.toml'}" in message and entries
    above = "ignore_index = -1\n" if "ignore_index = -1 above it" in message else ""
    (root / "dataset.toml").write_text(above + "[labels]\n" + "\n".join(entries) + "\n")
    return scan(root)


def masks_of(data: DataSet) -> list[np.ndarray]:
    return [data.load(sample)[1] for samples in data.splits.values() for sample in samples]


# ---------------------------------------------------------------------------------------------
# Shades
# ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("shades", [[0, 127, 255], [0, 85, 170, 255], [10, 100, 200], [0, 64, 128, 192, 255]])
@pytest.mark.parametrize("declared", [False, True])
def test_shades_are_mapped_completely(tmp_path: Path, shades: list[int], declared: bool) -> None:
    ids = [areas(np.random.default_rng(seed), len(shades)) for seed in range(3)]
    ids[0][ids[0] == 1] = 0  # no mask has them all
    write(tmp_path, [np.array(shades, np.uint8)[mask] for mask in ids])
    message = refused(tmp_path, **({"num_classes": len(shades)} if declared else {}))
    assert ", ".join(f"{value} = {index}" for index, value in enumerate(shades)) in message
    if 255 in shades:
        assert "255 = 255 instead of" in message
        message = re.sub(r"\(write 255 .*?\)", "", message)
    data = apply(tmp_path, message)
    assert data.num_classes == len(shades) and data.notes[1:] == []
    for found, wanted in zip(masks_of(data), ids, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_a_mask_of_0_and_255_among_shades_is_a_shade_too(tmp_path: Path) -> None:
    ids = areas(np.random.default_rng(0), 3)
    write(tmp_path, [np.where(ids > 0, 255, 0).astype(np.uint8), np.array([0, 127, 255], np.uint8)[ids]])
    assert "0 = 0, 127 = 1, 255 = 2" in refused(tmp_path)


def test_255_that_is_left_out_by_default_is_said(tmp_path: Path) -> None:
    ids = areas(np.random.default_rng(0), 3)
    ids[0, :41] = 255
    write(tmp_path, [ids, ids])
    assert (
        "255 means no label (1.0% of the pixels): if it is a class, write 255 = ID" in scan(tmp_path).notes[1]
    )
    assert len(scan(tmp_path, ignore_index=255).notes) == 1
    (tmp_path / "dataset.toml").write_text("[labels]\n255 = 255\n")
    assert len(scan(tmp_path, num_classes=3).notes) == 1


# ---------------------------------------------------------------------------------------------
# JPEG, smooth edges
# ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("shades", [*GRAYS, *COLOURS], ids=str)
@pytest.mark.parametrize("how", [smoothed, through_jpeg])
def test_smoothed_masks_are_known_and_read_by_the_nearest_value(tmp_path, shades, how) -> None:
    made = [how(np.array(shades), seed) for seed in range(3)]
    write(tmp_path, [mask for mask, _ in made])
    message = refused(tmp_path)
    assert "others lie at edges" in message and "nearest = true" in message
    data = apply(tmp_path, message)
    assert data.num_classes == len(shades)
    order = np.array([_id_of(shade, data) for shade in shades])
    assert sorted(order) == list(range(len(shades)))
    for found, (_, ids) in zip(masks_of(data), made, strict=True):
        inside = np.zeros(ids.shape, bool)  # away from edges, where the truth itself is a matter of rounding
        inside[1:-1, 1:-1] = _flat(ids)
        np.testing.assert_array_equal(found[inside], order[ids[inside]])


def _id_of(shade: int | list[int], data: DataSet) -> int:
    """What the entries say of the value that is nearest to a shade: JPEG may have changed it a little."""
    if isinstance(shade, int):
        table = data.label_map.values
        return table[min(table, key=lambda value: abs(value - shade))]
    table = data.label_map.colours
    away = {c: sum(abs((c >> s & 255) - v) for s, v in zip((16, 8, 0), shade, strict=True)) for c in table}
    return table[min(away, key=lambda colour: away[colour])]


def _flat(ids: np.ndarray) -> np.ndarray:
    windows = np.lib.stride_tricks.sliding_window_view(ids, (3, 3))
    return windows.min(axis=(2, 3)) == windows.max(axis=(2, 3))


def test_traces_of_jpeg_and_smooth_edges_are_told_apart(tmp_path: Path) -> None:
    write(tmp_path / "a", [through_jpeg(np.array([0, 255]), seed)[0] for seed in range(2)])
    write(tmp_path / "b", [smoothed(np.array([0, 255]), seed, 8)[0] for seed in range(2)])
    assert "traces of JPEG" in refused(tmp_path / "a")
    assert "smoothed (antialiased) edges" in refused(tmp_path / "b")


@pytest.mark.parametrize("text", ["num_classes = 2", "[labels]\n0 = 0\n255 = 1", 'classes = ["a", "b"]'])
def test_smoothed_masks_are_known_whatever_is_declared(tmp_path: Path, text: str) -> None:
    write(tmp_path, [through_jpeg(np.array([0, 255]), seed)[0] for seed in range(2)])
    (tmp_path / "dataset.toml").write_text(text)
    message = refused(tmp_path)
    assert "nearest = true" in message and "= 2" not in message


def test_colours_that_are_named_among_smoothed_ones(tmp_path: Path) -> None:
    made = [smoothed(np.array(COLOURS[0]), seed) for seed in range(2)]
    write(tmp_path, [mask for mask, _ in made])
    named = '[labels]\n"#000000" = 0\n"#ff0000" = 1\n"#0000ff" = 2\n'
    for text in (named, 'colours = ["#000000", "#ff0000", "#0000ff"]\n[labels]\n'):
        (tmp_path / "dataset.toml").write_text(text)
        assert "nearest = true" in refused(tmp_path) and "beside what is there" in refused(tmp_path)
        (tmp_path / "dataset.toml").write_text(text + "nearest = true\n")
        assert scan(tmp_path).num_classes == 3


def test_all_colours_without_a_class_are_named_at_once(tmp_path: Path) -> None:
    ids = areas(np.random.default_rng(0), 4)
    write(tmp_path, [np.array(COLOURS[2], np.uint8)[ids]])
    (tmp_path / "dataset.toml").write_text('[labels]\n"#141414" = 0\n"#c83c3c" = 1\n')
    assert 'add "#3c3cc8" = ID, "#3cc83c" = ID to [labels]' in refused(tmp_path)


# ---------------------------------------------------------------------------------------------
# Instances
# ---------------------------------------------------------------------------------------------
INSTANCES = {
    "from 1 in each": [objects(0, 30), objects(1, 22), objects(2, 41)],
    "one mask": [objects(0, 16)],
    "never twice": [objects(0, 30), objects(1, 30, 31), objects(2, 40, 61)],
    "with gaps": [objects(0, 25) * 37, objects(1, 30) * 41, objects(2, 30) * 43],
    "hundreds": [objects(0, 300, size=128), objects(1, 350, size=128)],
}


@pytest.mark.parametrize("masks", INSTANCES.values(), ids=INSTANCES)
@pytest.mark.parametrize("declared", [False, True])
def test_instance_maps_are_known_and_become_one_class(tmp_path, masks, declared) -> None:
    write(tmp_path, [as_png(mask) for mask in masks])
    message = refused(tmp_path, **({"num_classes": 2} if declared else {}))
    assert "an instance map" in message and "others = 1" in message
    data = apply(tmp_path, message)
    assert data.num_classes == 2 and data.ignore_index == (
        -1 if masks[0].max() > 255 and "= -1" in message else 255
    )
    for found, mask in zip(masks_of(data), masks, strict=True):
        np.testing.assert_array_equal(found, mask > 0)


def test_instance_maps_in_colours(tmp_path: Path) -> None:
    masks = [objects(seed, 30, first=1 + 30 * seed) for seed in range(3)]
    colours = np.random.default_rng(0).integers(1, 256, (91, 3), dtype=np.uint8)
    colours[0] = 0
    write(tmp_path, [colours[mask] for mask in masks])
    message = refused(tmp_path)
    assert "an instance map, 90 colours" in message and '"#000000" = 0, others = 1' in message
    for found, mask in zip(masks_of(apply(tmp_path, message)), masks, strict=True):
        np.testing.assert_array_equal(found, mask > 0)


@pytest.mark.parametrize("count", [13, 40])
def test_many_classes_are_no_instances(tmp_path: Path, count: int) -> None:
    """Each class in several regions of most masks; or every class once in every mask, as organs are."""
    write(tmp_path / "a", [as_png(1 + np.tile(objects(seed, count, 0), (2, 2))) for seed in range(3)])
    assert scan(tmp_path / "a").num_classes == count + 1
    write(tmp_path / "b", [as_png(objects(seed, count)) for seed in range(3)])
    assert scan(tmp_path / "b").num_classes == count + 1


def test_instances_that_are_classes_after_all(tmp_path: Path) -> None:
    write(tmp_path, [as_png(objects(0, 30)), as_png(objects(1, 22))])
    assert "or declare num_classes = 31 there" in refused(tmp_path)
    assert scan(tmp_path, num_classes=31).num_classes == 31


def test_others_leave_the_ground_and_what_has_no_label(tmp_path: Path) -> None:
    ids = areas(np.random.default_rng(0), 3)
    ids[0, :5] = 255
    write(tmp_path, [ids])
    (tmp_path / "dataset.toml").write_text("[labels]\n2 = 2\nothers = 1\n")
    data = scan(tmp_path)
    np.testing.assert_array_equal(masks_of(data)[0], ids)
    assert data.num_classes == 3
    (tmp_path / "dataset.toml").write_text("[labels]\n0 = 1\nothers = 0\n")
    np.testing.assert_array_equal(masks_of(scan(tmp_path))[0], np.where(ids == 255, 255, ids == 0))


# ---------------------------------------------------------------------------------------------
# Pictures where masks should be, and ids that are what they seem
# ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("shape", [(SIZE, SIZE), (SIZE, SIZE, 3)])
def test_pictures_among_the_masks(tmp_path: Path, shape: tuple[int, ...]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    write(tmp_path, [noise, noise])
    assert "a picture, not a mask" in refused(tmp_path)


def test_ranges_of_values(tmp_path: Path) -> None:
    mask = np.array([[7, 1000, 1999, 2000], [11, 11, 1500, 0]], np.uint16)
    write(tmp_path, [mask])
    (tmp_path / "dataset.toml").write_text('[labels]\n"0-11" = 0\n11 = 2\n"1000-1999" = 1\n2000 = 255\n')
    data = scan(tmp_path)
    np.testing.assert_array_equal(masks_of(data)[0], [[0, 1, 1, 255], [2, 2, 1, 0]])
    assert data.num_classes == 3


def test_a_probability_is_cut_in_two_by_ranges(tmp_path: Path) -> None:
    mask = smoothed(np.array([0, 255]), 0)[0]
    write(tmp_path, [mask])
    (tmp_path / "dataset.toml").write_text('[labels]\n"0-127" = 0\n"128-255" = 1\n')
    np.testing.assert_array_equal(masks_of(scan(tmp_path))[0], mask > 127)
