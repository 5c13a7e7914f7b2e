"""Pictures, pixel by pixel: colours and blends worked by hand, and captions that are really drawn."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minidl.errors import InputError
from minidl.segmentation.pictures import (
    caption,
    colourise,
    contact_sheet,
    overlay,
    palette,
    side_by_side,
    to_picture,
)

COLOURS = np.array([[0, 0, 0], [200, 100, 0], [10, 20, 30]], dtype=np.uint8)
MASKS = hnp.arrays(
    np.uint8,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=20),
    elements=st.sampled_from([0, 1, 2, 255]),
)


def is_gray(colour: np.ndarray) -> bool:
    return len(set(colour.tolist())) == 1


@given(st.integers(1, 256))
def test_palette_is_distinct_without_gray_and_a_prefix_of_the_longer(num_classes: int) -> None:
    colours = palette(num_classes)
    assert colours.shape == (num_classes, 3)
    assert colours.dtype == np.uint8
    assert len(set(map(tuple, colours.tolist()))) == num_classes
    assert not any(is_gray(colour) for colour in colours[1:])
    np.testing.assert_array_equal(colours, palette(256)[:num_classes])


def test_the_first_colours_differ_for_colour_blind_eyes() -> None:
    """Deuteranopia, after Vienot, Brettel and Mollon (1999): linear RGB, red and green fall together."""
    linear = (palette(8) / 255.0) ** 2.2
    matrix = np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]])
    seen = 255 * np.clip(linear @ matrix.T, 0, 1) ** (1 / 2.2)
    for one, other in itertools.combinations(seen, 2):
        assert np.linalg.norm(one - other) > 30


@pytest.mark.parametrize(
    ("num_classes", "message"),
    [(0, "at least one class"), (-1, "at least one"), (10**6, "colours of your own")],
)
def test_palettes_that_cannot_be_are_refused(num_classes: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        palette(num_classes)


def test_further_colours_look_different() -> None:
    """Euclidean distance in CIELAB, after the textbook formulas (D65): 10 is plain beside each other."""
    linear = (palette(21) / 255.0) ** 2.2
    xyz = linear @ np.array([[0.4124, 0.2126, 0.0193], [0.3576, 0.7152, 0.1192], [0.1805, 0.0722, 0.9505]])
    f = np.cbrt(xyz / [0.9505, 1.0, 1.089])
    lab = np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)
    assert min(np.linalg.norm(one - other) for one, other in itertools.combinations(lab, 2)) > 10


@given(MASKS)
def test_colourise_looks_up_every_pixel(mask: np.ndarray) -> None:
    shown = colourise(mask, COLOURS)
    assert shown.dtype == np.uint8
    assert shown.shape == (*mask.shape, 3)
    for y, x in np.ndindex(mask.shape):
        if mask[y, x] == 255:
            assert is_gray(shown[y, x])
            assert 0 < shown[y, x, 0] < 255
        else:
            assert shown[y, x].tolist() == COLOURS[mask[y, x]].tolist()


def test_ignored_pixels_are_hatched_in_two_grays() -> None:
    shown = colourise(np.full((16, 16), 255), COLOURS)[..., 0]
    assert sorted(np.unique(shown).tolist()) == [112, 176]
    np.testing.assert_array_equal(shown[1:, :-1], shown[:-1, 1:])  # constant along diagonals
    assert np.count_nonzero(shown == 112) == 128


def test_the_ignored_id_may_be_any_and_wins_over_a_class() -> None:
    assert is_gray(colourise([[1]], COLOURS, ignore_index=1)[0, 0])
    assert is_gray(colourise([[-100]], COLOURS, ignore_index=-100)[0, 0])
    with pytest.raises(InputError, match="class id 255 but there are 3 colours"):
        colourise([[255]], COLOURS, ignore_index=None)


@pytest.mark.parametrize(
    ("mask", "colours", "message"),
    [
        ([[0, 3]], COLOURS, "class id 3 but there are 3 colours"),
        ([[-1]], COLOURS, "class id -1"),
        ([[0.5]], COLOURS, "float64"),
        ([0, 1], COLOURS, r"shape \(2,\)"),
        ([[0]], COLOURS.astype(float), "colours is float64"),
        ([[0]], COLOURS[:, :2], r"colours is uint8 of shape \(3, 2\)"),
        ([[0]], COLOURS[:0], r"shape \(0, 3\)"),
    ],
)
def test_bad_masks_and_colours_are_refused(mask: list, colours: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        colourise(mask, colours)


@given(hnp.arrays(np.uint8, (3, 5, 4)))
def test_an_eight_bit_image_survives_the_way_through_floats(levels: np.ndarray) -> None:
    shown = to_picture(levels.astype(np.float32) / 255)
    np.testing.assert_array_equal(shown, levels.transpose(1, 2, 0))
    gray = to_picture(levels[:1].astype(np.float32) / 255)
    np.testing.assert_array_equal(gray, np.repeat(levels[0][..., None], 3, axis=2))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((2, 4, 4)), "1 .gray. or 3 .RGB."),
        (np.zeros((4, 4)), r"shape \(4, 4\)"),
        (np.full((3, 4, 4), 255.0), "divide 0..255 by 255"),
        (np.full((3, 4, 4), -0.5), "before normalising"),
        (np.full((1, 4, 4), np.nan), "NaN"),
    ],
)
def test_bad_images_are_refused(image: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        to_picture(image)


def test_overlay_by_hand() -> None:
    image = np.array([[[0.0, 1.0]], [[0.4, 1.0]], [[1.0, 1.0]]])  # pixels (0, 102, 255) and (255, 255, 255)
    shown = overlay(image, [[1, 2]], COLOURS, alpha=0.25)
    # 3/4 (0, 102, 255) + 1/4 (200, 100, 0) = (50, 101.5, 191.25); rint goes to even: 102.
    # 3/4 255 + 1/4 (10, 20, 30) = (193.75, 196.25, 198.75)
    assert shown.tolist() == [[[50, 102, 191], [194, 196, 199]]]


@given(MASKS, st.integers(0, 2**31))
def test_overlay_runs_from_image_to_mask(mask: np.ndarray, seed: int) -> None:
    image = np.random.default_rng(seed).random((3, *mask.shape))
    np.testing.assert_array_equal(overlay(image, mask, COLOURS, alpha=0), to_picture(image))
    np.testing.assert_array_equal(overlay(image, mask, COLOURS, alpha=1), colourise(mask, COLOURS))


def test_bad_overlays_are_refused() -> None:
    with pytest.raises(InputError, match=r"image is \(4, 4\) and mask \(4, 5\)"):
        overlay(np.zeros((1, 4, 4)), np.zeros((4, 5), int), COLOURS)
    with pytest.raises(InputError, match=r"alpha=1.5"):
        overlay(np.zeros((1, 4, 4)), np.zeros((4, 4), int), COLOURS, alpha=1.5)


def test_side_by_side_is_image_truth_prediction() -> None:
    image, truth, prediction = np.full((1, 6, 8), 0.2), np.ones((6, 8), int), np.full((6, 8), 2)
    panel = side_by_side(image, truth, prediction, COLOURS, alpha=1)
    assert panel.shape == (6, 8 * 3 + 2 * 4, 3)
    assert (panel[:, :8] == 51).all()
    assert (panel[:, 8:12] == 255).all()
    assert (panel[:, 12:20] == COLOURS[1]).all()
    assert (panel[:, 24:] == COLOURS[2]).all()
    without = side_by_side(image, None, prediction, COLOURS, alpha=1)
    np.testing.assert_array_equal(without, np.delete(panel, np.s_[8:20], axis=1))


def test_titles_stand_above_their_panels() -> None:
    image, mask = np.zeros((1, 30, 80)), np.zeros((30, 80), int)
    plain = side_by_side(image, mask, mask, COLOURS)
    titled = side_by_side(image, mask, mask, COLOURS, ["image", "", "prediction"])
    np.testing.assert_array_equal(titled[18:], plain)
    strips = [titled[:18, start : start + 80] for start in (0, 84, 168)]
    assert [(strip < 128).any() for strip in strips] == [True, False, True]
    with pytest.raises(InputError, match="a list of 3"):
        side_by_side(image, mask, mask, COLOURS, ["image", "prediction"])
    with pytest.raises(InputError, match="a list of 3"):
        side_by_side(image, mask, mask, COLOURS, "abc")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["x" * 200, "a very long title\nwith a second line" * 5, "Zelle – 細胞 " * 30]
)
def test_a_long_caption_is_cut_to_its_room(text: str) -> None:
    strip = caption(text, 60)
    assert strip.shape == (18, 60, 3)
    assert (strip < 128).any()
    assert (strip[:, -1] == 255).all()  # it ends before the edge


def test_a_caption_is_cut_only_if_it_must_be() -> None:
    wide = caption("train 07", 300)
    np.testing.assert_array_equal(wide[:, :100], caption("train 07", 100))
    assert not np.array_equal(caption("train 07 and more", 60), caption("train 07", 60))


def test_contact_sheet_stacks_rows_on_white() -> None:
    black, red = np.zeros((5, 30, 3), np.uint8), np.full((7, 20, 3), [255, 0, 0], np.uint8)
    sheet = contact_sheet([black, red])
    assert sheet.shape == (5 + 4 + 7, 30, 3)
    np.testing.assert_array_equal(sheet[:5], black)
    assert (sheet[5:9] == 255).all()
    np.testing.assert_array_equal(sheet[9:, :20], red)
    assert (sheet[9:, 20:] == 255).all()
    titled = contact_sheet([black, red], ["one", "two"])
    assert titled.shape == (5 + 4 + 7 + 2 * 18, 30, 3)
    np.testing.assert_array_equal(titled[18:23], black)


@pytest.mark.parametrize(
    ("rows", "titles", "message"),
    [
        ([], None, "at least one picture"),
        ([np.zeros((4, 4), np.uint8)], None, r"shape \(4, 4\)"),
        ([np.zeros((4, 4, 3))], None, "float64"),
        ([np.zeros((4, 4, 3), np.uint8)], ["a", "b"], "a list of 1"),
    ],
)
def test_bad_contact_sheets_are_refused(rows: list, titles: list | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        contact_sheet(rows, titles)
