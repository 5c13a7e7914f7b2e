"""Generated thin structures and blobs: share, width and contrast as asked for, and the same bytes."""

import hashlib

import numpy as np
import pytest

from minidl.errors import InputError
from minidl.segmentation.structures import NOISE, thin_structures, touching_blobs

BOTH = pytest.mark.parametrize("generate", [thin_structures, touching_blobs])


@BOTH
@pytest.mark.parametrize("share", [0.005, 0.016, 0.15, 0.5])
def test_every_picture_has_the_share_up_to_one_stamp(generate, share):
    _, masks = generate(4, size=96, share=share)
    stamp = np.pi * 1.5**2 if generate is thin_structures else np.pi * (1.25 * 6 + 1) ** 2
    shares = masks.mean(axis=(1, 2))
    assert (shares >= share).all() and (shares <= share + stamp / 96**2).all()


@BOTH
def test_pictures_are_what_an_8_bit_file_holds(generate):
    images, masks = generate(3, size=40)
    assert images.shape == (3, 1, 40, 40) and images.dtype == np.float32
    assert masks.shape == (3, 40, 40) and masks.dtype == np.uint8 and set(np.unique(masks)) == {0, 1}
    assert images.min() >= 0 and images.max() <= 1
    np.testing.assert_array_equal(images, np.rint(images * 255).astype(np.float32) / np.float32(255))


@pytest.mark.parametrize(
    ("generate", "digest"),
    [
        (thin_structures, "5bf5c4e0f41ac9ef02b8f4dff750ebfd91d348ae821f4d6f813fb61f4aed3fc2"),
        (touching_blobs, "c2ca4762c8b8317b7f3dec0dba6c664f5a2d3b4c7750412385fd41034dd61233"),
    ],
)
def test_the_same_bytes_for_the_same_seed_everywhere(generate, digest):
    # A record of what the generators gave when they were written: it must never change, on any machine.
    images, masks = generate(2, size=48, seed=11)
    data = np.rint(images * 255).astype(np.uint8).tobytes() + masks.tobytes()
    assert hashlib.sha256(data).hexdigest() == digest


@BOTH
def test_seeds_and_indices_are_independent_streams(generate):
    images, _ = generate(2, size=40, seed=5)
    longer, _ = generate(3, size=40, seed=5)
    np.testing.assert_array_equal(images, longer[:2])
    other, _ = generate(3, size=40, seed=6)
    assert len({picture.tobytes() for picture in (*longer, *other)}) == 6


@BOTH
def test_contrast_is_how_much_brighter_the_class_is(generate):
    options = {"size": 96, "share": 0.1}
    if generate is thin_structures:
        options["width"] = 8
    means = []
    for contrast in (0.1, 0.4):
        images, masks = generate(6, contrast=contrast, **options)
        means.append(float(images[:, 0][masks == 1].mean() - images[:, 0][masks == 0].mean()))
    # The point spread takes some of it at the rims, uneven light adds or takes at most its own range.
    assert 0.3 * 0.7 < means[1] - means[0] < 0.3


def test_the_noise_has_the_deviation_that_the_contrast_is_held_against():
    images, _ = thin_structures(4, size=96, contrast=0.01, share=0.001)
    # second differences take light and structures out; their variance is 6 times that of the noise
    bends = images[..., :-2] - 2 * images[..., 1:-1] + images[..., 2:]
    assert bends.std() / np.sqrt(6) == pytest.approx(NOISE, rel=0.03)


def test_lines_are_as_wide_as_asked_for():
    for width in (1, 3, 6):
        _, masks = thin_structures(4, size=96, width=width, share=0.05)
        # the largest square that fits into a line: a little less than its width across, never more
        side = width + 1
        windows = np.lib.stride_tricks.sliding_window_view(masks, (side, side), axis=(1, 2))
        full = windows.min(axis=(3, 4)).mean()
        assert full < 0.1 * masks.mean(), width  # where lines cross there is room for more
    thin, thick = (thin_structures(4, size=96, width=w, share=0.05)[1] for w in (1, 6))
    rims = [np.abs(np.diff(m.astype(int), axis=2)).sum() for m in (thin, thick)]
    assert rims[0] > 3 * rims[1]  # the same area in more and thinner lines


def test_blobs_touch():
    from minidl.segmentation.segments import components

    _, masks = touching_blobs(4, size=96, radius=5)
    areas = [np.bincount(components(mask == 1).ravel())[1:] for mask in masks]
    assert max(a.max() for a in areas) > 1.5 * np.pi * (5 * 1.25) ** 2


BAD = [
    ("count", -1),
    ("count", 1.5),
    ("count", True),
    ("size", 31),
    ("size", 40.0),
    ("seed", -1),
    ("seed", 2**64),
    ("contrast", 0),
    ("contrast", 0.6),
    ("contrast", float("nan")),
    ("contrast", "much"),
    ("share", 0),
    ("share", 0.51),
    ("share", float("nan")),
    ("share", True),
]


@pytest.mark.parametrize(
    ("generate", "name", "value"),
    [
        *((generate, name, value) for generate in (thin_structures, touching_blobs) for name, value in BAD),
        *((thin_structures, "width", value) for value in (0.9, 11, float("inf"))),
        *((touching_blobs, "radius", value) for value in (0, 11, float("nan"))),
    ],
)
def test_arguments_out_of_range_are_one_line_that_names_them(generate, name, value):
    with pytest.raises(InputError) as error:
        generate(**{"count": 1, "size": 40, name: value})
    assert (
        str(error.value).startswith(f"{name}: ") and "\n" not in str(error.value) and ";" in str(error.value)
    )
