"""Joint augmentation: image and mask stay together, nothing is interpolated, every draw is accounted for."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.errors import InputError
from minidl.segmentation.augment import Augmentation

SIZES = st.integers(1, 12)
SEEDS = st.integers(0, 10_000)


def pair(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture whose every pixel is different, and a mask that numbers the same pixels: 1, 2, 3, ..."""
    mask = np.arange(1, height * width + 1, dtype=np.int32).reshape(height, width)
    image = np.stack([mask, mask // 2]).astype(np.float32) / np.float32(height * width)
    return image, mask


def moves_only(**options: Any) -> Augmentation:
    return Augmentation(brightness=0, contrast=0, **options)


def assert_in_step(mask: np.ndarray, image: np.ndarray, ignore: int) -> None:
    """Each labelled pixel still has the image value that belongs to its number."""
    labelled = mask != ignore
    ratio = image[0][labelled] / mask[labelled]
    np.testing.assert_allclose(ratio, ratio[0] if ratio.size else 0, rtol=2**-20)


# ---------------------------------------------------------------------------------------------
# Geometry
# ---------------------------------------------------------------------------------------------
@given(SIZES, SIZES, st.none() | SIZES | st.tuples(SIZES, SIZES), st.booleans(), st.booleans(), SEEDS)
def test_image_and_mask_move_together(
    height: int, width: int, crop: int | tuple[int, int] | None, flip: bool, rotate90: bool, seed: int
) -> None:
    image, mask = pair(height, width)
    augmentation = moves_only(crop=crop, flip=flip, rotate90=rotate90, ignore_index=-7)
    changed, ids = augmentation(image, mask, np.random.default_rng(seed))
    expected = (height, width) if crop is None else crop if isinstance(crop, tuple) else (crop, crop)
    assert ids.shape == expected and changed.shape == (2, *expected)
    assert changed.dtype == np.float32 and ids.dtype == np.int32
    assert changed.flags.c_contiguous and ids.flags.c_contiguous
    assert_in_step(ids, changed, ignore=-7)
    kept = ids[ids != -7]
    assert set(kept.tolist()) <= set(mask.ravel().tolist()) and len(set(kept.tolist())) == kept.size
    if crop is None:
        assert kept.size == mask.size


def dihedral(mask: np.ndarray) -> set[bytes]:
    """All eight flips and turns of a square, by their bytes."""
    turned = [np.rot90(mask, k) for k in range(4)]
    return {np.ascontiguousarray(m).tobytes() for m in turned + [m.T for m in turned]}


@pytest.mark.parametrize(
    ("flip", "rotate90", "count"), [(True, True, 8), (True, False, 4), (False, True, 4), (False, False, 1)]
)
def test_every_flip_and_turn_comes_up_and_no_other(flip: bool, rotate90: bool, count: int) -> None:
    image, mask = pair(3, 3)
    rng = np.random.default_rng(0)
    augmentation = moves_only(flip=flip, rotate90=rotate90)
    seen = {augmentation(image, mask, rng)[1].tobytes() for _ in range(300)}
    assert len(seen) == count and seen <= dihedral(mask)
    if count == 1:
        assert seen == {mask.tobytes()}


def test_without_a_crop_oblong_pictures_keep_their_shape() -> None:
    image, mask = pair(2, 5)
    rng = np.random.default_rng(0)
    seen = {moves_only(flip=False)(image, mask, rng)[1].tobytes() for _ in range(50)}
    assert seen == {mask.tobytes(), np.ascontiguousarray(mask[::-1, ::-1]).tobytes()}


def test_every_place_of_the_crop_is_equally_likely() -> None:
    image, mask = pair(4, 6)
    rng = np.random.default_rng(0)
    augmentation = moves_only(crop=(3, 4), flip=False, rotate90=False)
    corners = [int(augmentation(image, mask, rng)[1][0, 0]) for _ in range(1200)]
    places, counts = np.unique(corners, return_counts=True)
    assert places.tolist() == [1, 2, 3, 7, 8, 9]  # rows 0..1, columns 0..2 of a picture 6 wide
    # Binomial(1200, 1/6): mean 200, standard deviation 12.9; five of them on either side.
    assert counts.min() > 135 and counts.max() < 265


def test_small_pictures_are_padded_by_reflection_and_ignored_there() -> None:
    image = np.array([[[0.1, 0.2, 0.3]]], dtype=np.float32).repeat(3, axis=1)
    mask = np.array([[1, 2, 3]] * 3, dtype=np.uint8)
    changed, ids = moves_only(crop=(3, 6), flip=False, rotate90=False)(image, mask, np.random.default_rng(0))
    np.testing.assert_array_equal(ids, [[255, 1, 2, 3, 255, 255]] * 3)
    np.testing.assert_array_equal(
        changed[0], np.array([[0.2, 0.1, 0.2, 0.3, 0.2, 0.1]] * 3, dtype=np.float32)
    )


def test_padding_in_one_direction_and_cropping_in_the_other() -> None:
    image, mask = pair(2, 9)
    changed, ids = moves_only(crop=5, rotate90=False, ignore_index=99)(image, mask, np.random.default_rng(3))
    assert changed.shape == (2, 5, 5)
    assert np.count_nonzero(ids == 99) == 15 and np.count_nonzero((ids != 99).all(axis=1)) == 2


# ---------------------------------------------------------------------------------------------
# Light
# ---------------------------------------------------------------------------------------------
class Fixed:
    """Stands in for the generator: the seven numbers of one call are given."""

    def __init__(self, *numbers: float) -> None:
        self.numbers = numbers

    def random(self, count: int) -> np.ndarray:
        assert count == len(self.numbers)
        return np.array(self.numbers)


STILL = (0.9, 0.9, 0.0, 0.0, 0.0)  # no flip, no turn, first place


def test_brightness_and_contrast_by_hand() -> None:
    image = np.array([[[0.4, 0.6]], [[0.2, 0.4]]], dtype=np.float32)  # means 0.5 and 0.3
    mask = np.array([[0, 1]])

    def lit(bright: float, contrast: float) -> np.ndarray:
        rng: Any = Fixed(*STILL, bright, contrast)
        changed, ids = Augmentation(brightness=0.2, contrast=0.5)(image, mask, rng)
        np.testing.assert_array_equal(ids, mask)
        return changed

    close: dict[str, Any] = {"rtol": 0, "atol": 4 * 2**-24}
    np.testing.assert_allclose(lit(1.0, 0.5), [[[0.6, 0.8]], [[0.4, 0.6]]], **close)
    np.testing.assert_allclose(lit(0.5, 1.0), [[[0.35, 0.65]], [[0.15, 0.45]]], **close)
    np.testing.assert_allclose(lit(0.5, 0.0), [[[0.45, 0.55]], [[0.25, 0.35]]], **close)
    np.testing.assert_allclose(lit(0.0, 0.5), [[[0.2, 0.4]], [[0.0, 0.2]]], **close)
    np.testing.assert_allclose(lit(0.5, 0.5), image, **close)


@given(st.floats(0, 1), st.floats(0, 1), SEEDS)
def test_values_stay_in_range(brightness: float, contrast: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.random((3, 4, 5), dtype=np.float32)
    mask = rng.integers(0, 3, size=(4, 5))
    changed, ids = Augmentation(brightness=brightness, contrast=contrast)(image, mask, rng)
    assert changed.min() >= 0 and changed.max() <= 1 and changed.dtype == np.float32
    assert sorted(ids.ravel()) == sorted(mask.ravel())


# ---------------------------------------------------------------------------------------------
# Random numbers, arguments, JSON
# ---------------------------------------------------------------------------------------------
@given(
    st.booleans(),
    st.booleans(),
    st.none() | st.integers(1, 9),
    st.sampled_from([0.0, 0.3]),
    st.tuples(SIZES, SIZES),
)
def test_always_seven_draws(
    flip: bool, rotate90: bool, crop: int | None, light: float, size: tuple[int, int]
) -> None:
    rng, counter = np.random.default_rng(4), np.random.default_rng(4)
    Augmentation(crop, flip, rotate90, light, light)(*pair(*size), rng)
    counter.random(7)
    assert rng.random() == counter.random()


def test_the_inputs_are_left_alone_and_nothing_is_shared() -> None:
    image, mask = pair(4, 4)
    before = image.copy(), mask.copy()
    every: list[dict[str, Any]] = [{}, {"flip": False, "rotate90": False, "brightness": 0, "contrast": 0}]
    for options in every:
        changed, ids = Augmentation(**options)(image, mask, np.random.default_rng(0))
        assert not np.shares_memory(changed, image) and not np.shares_memory(ids, mask)
        changed += 1
        ids += 1
        np.testing.assert_array_equal(image, before[0])
        np.testing.assert_array_equal(mask, before[1])


def test_the_same_generator_state_gives_the_same_picture() -> None:
    image, mask = pair(8, 8)
    first = Augmentation(crop=5)(image, mask, np.random.default_rng(1))
    again = Augmentation(crop=5)(image, mask, np.random.default_rng(1))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])


@pytest.mark.parametrize("crop", [None, 64, (48, 96)])
def test_json_round_trip(crop: int | tuple[int, int] | None) -> None:
    augmentation = Augmentation(crop=crop, flip=False, brightness=0.25, ignore_index=11)
    assert Augmentation.from_dict(json.loads(json.dumps(augmentation.to_dict()))) == augmentation


@pytest.mark.parametrize(("options", "words"), [
    ({"crop": 0}, "^crop: 0 is no size"), ({"crop": (3, -1)}, "^crop: "), ({"crop": (1, 2, 3)}, "^crop: "),
    ({"crop": 2.5}, "^crop: "), ({"crop": True}, "^crop: "), ({"crop": "big"}, "^crop: "),
    ({"brightness": -0.1}, "^brightness: -0.1"), ({"contrast": 1.5}, "^contrast: 1.5"),
    ({"contrast": float("nan")}, "^contrast: nan"), ({"brightness": "much"}, "^brightness: 'much'"),
    ({"blur": 1}, "^augmentation: unknown option 'blur'"),
])  # fmt: skip
def test_options_out_of_range(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Augmentation.from_dict(options)


@pytest.mark.parametrize("shapes", [((3, 4, 5), (5, 4)), ((4, 5), (4, 5)), ((1, 4, 5), (1, 4, 5))])
def test_shapes_that_do_not_fit(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match="must agree"):
        Augmentation()(np.zeros(shapes[0], np.float32), np.zeros(shapes[1], int), np.random.default_rng(0))


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, np.finfo(np.float32).max])
def test_pictures_that_are_not_finite_are_relit_in_silence(value: float) -> None:
    image = np.full((1, 4, 4), value, np.float32)
    with np.errstate(over="raise", invalid="raise"):
        Augmentation(contrast=1.0)(image, np.zeros((4, 4), np.int64), np.random.default_rng(0))
