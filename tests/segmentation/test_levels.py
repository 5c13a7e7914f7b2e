"""Pictures that use little of 0..1: seen by people, and left alone for the network."""

import numpy as np
import pytest
from PIL import Image

from minidl.segmentation.files import read_image
from minidl.segmentation.levels import for_display, used_range, white
from minidl.segmentation.pictures import overlay, palette, side_by_side, to_picture


def picture(rng: np.random.Generator, size: int = 64) -> np.ndarray:
    """A bright square on a dark ground, 12 bits: 0..4095."""
    values = rng.normal(700, 150, (size, size))
    values[size // 4 : size // 2, size // 4 : size // 2] += 2500
    return np.clip(values, 0, 4095).astype(np.uint16)


@pytest.mark.parametrize("bits", [8, 9, 10, 11, 12, 13])
def test_few_bits_in_a_file_of_16_are_seen_as_well_as_in_one_of_8(tmp_path, bits):
    values = picture(np.random.default_rng(0))
    Image.fromarray((values >> (12 - bits) if bits <= 12 else values << 1).astype(np.uint16)).save(
        tmp_path / "wide.tif"
    )
    Image.fromarray((values >> 4).astype(np.uint8)).save(tmp_path / "narrow.png")
    wide, narrow = (read_image(tmp_path / name) for name in ("wide.tif", "narrow.png"))
    assert wide.max() < 0.13
    mask = np.zeros(values.shape, np.uint8)
    shown, panels = overlay(wide, mask, palette(2), alpha=0.25), side_by_side(wide, mask, mask, palette(2))
    assert shown.max() > 180 and np.ptp(panels[:, :64].astype(int)) > 200
    seen, known = (to_picture(for_display(image))[..., 0].ravel().astype(float) for image in (wide, narrow))
    assert np.corrcoef(seen, known)[0, 1] > 0.99


@pytest.mark.parametrize(("low", "high"), [(0, 0.001), (0.5, 0.51), (0.9, 1), (0.4, 0.6)])
@pytest.mark.parametrize("suffix", [".tif"])
def test_a_floating_point_picture_with_a_small_range_is_seen(tmp_path, low, high, suffix):
    pixels = np.linspace(low, high, 4096, dtype=np.float32).reshape(64, 64)
    Image.fromarray(pixels).save(tmp_path / f"a{suffix}")
    image = read_image(tmp_path / f"a{suffix}")
    shown = overlay(image, np.zeros((64, 64), np.uint8), palette(2), alpha=0)
    assert shown.min() == 0 and shown.max() == 255
    np.testing.assert_allclose(image[0], pixels)  # and what the network gets is what the file holds


def test_hot_pixels_do_not_leave_the_rest_black():
    image = picture(np.random.default_rng(1))[None] / 65535
    image[0, 5, 5] = 1.0
    assert np.median(to_picture(for_display(image))) > 20


@pytest.mark.parametrize("value", [0.0, 0.03, 0.5, 1.0])
def test_a_picture_of_one_value_stays_as_it_is(value):
    image = np.full((1, 8, 8), value)
    np.testing.assert_array_equal(for_display(image), image)


def test_a_few_bright_spots_on_an_even_ground_are_seen():
    image = np.full((1, 100, 100), 0.01)
    image[0, 50, 50] = 0.02
    assert to_picture(for_display(image)).max() == 255


def test_a_picture_that_uses_its_range_is_shown_as_it_is():
    rng = np.random.default_rng(2)
    for image in (rng.random((1, 20, 20)), rng.random((3, 20, 20)) * 0.4, 0.5 + rng.random((3, 20, 20)) / 3):
        np.testing.assert_array_equal(for_display(image), image)


def test_colours_stay_when_a_picture_is_stretched():
    image = np.linspace(0, 0.1, 300).reshape(1, 10, 30) * np.array([1, 0.5, 0.25]).reshape(3, 1, 1)
    shown = for_display(image)
    bright = shown[:, -1, -5]
    np.testing.assert_allclose(bright[1] / bright[0], 0.5, atol=0.01)


def test_a_picture_looks_the_same_beside_any_other():
    rng = np.random.default_rng(3)
    one, mask = picture(rng)[None] / 65535, np.zeros((64, 64), np.uint8)
    alone = overlay(one, mask, palette(2))
    overlay(rng.random((1, 64, 64)), mask, palette(2))
    np.testing.assert_array_equal(overlay(one, mask, palette(2)), alone)


def test_the_range_of_a_large_picture_is_that_of_its_pixels():
    pixels = np.random.default_rng(4).normal(0.5, 0.02, (1, 1500, 1300))
    np.testing.assert_allclose(used_range(pixels), np.percentile(pixels, (0.2, 99.8)), atol=1e-3)


@pytest.mark.parametrize(
    ("high", "expected"), [(1, 1), (0.51, 1), (0.5, 0.5), (16383 / 65535, 0.25), (1023 / 65535, 1 / 64)]
)
def test_white_is_told_by_the_bits_that_are_empty(high, expected):
    assert white(0, high) == expected
    assert white(0.1, 0.1 + high) == pytest.approx(expected, abs=0) or high == 1
