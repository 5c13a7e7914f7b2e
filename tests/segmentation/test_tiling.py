"""Tiled prediction against the same network run over the whole padded image at once."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from minidl.errors import InputError
from minidl.segmentation.tiling import next_multiple, plan_axis, predict

EPS = np.finfo(np.float32).eps
RNG = np.random.default_rng(0)
KERNEL = RNG.standard_normal((3, 3)).astype(np.float32)


def correlate3(x: np.ndarray) -> np.ndarray:
    """A valid 3x3 correlation of every channel: (..., h, w) -> (..., h - 2, w - 2)."""
    return np.einsum("...ij,ij->...", sliding_window_view(x, (3, 3), axis=(-2, -1)), KERNEL)


def tiny_valid_unet(x: np.ndarray) -> np.ndarray:
    """Correlate, pool 2, correlate, double, correlate: loses 4 pixels at each side, takes even sizes."""
    height, width = x.shape[2] - 2, x.shape[3] - 2
    assert height % 2 == 0
    assert width % 2 == 0
    pooled = correlate3(x).reshape(*x.shape[:2], height // 2, 2, width // 2, 2).max(axis=(3, 5))
    return correlate3(correlate3(pooled).repeat(2, axis=2).repeat(2, axis=3))


def image_of(height: int, width: int, channels: int = 2) -> np.ndarray:
    return np.random.default_rng(height * 1000 + width).random((channels, height, width), dtype=np.float32)


def paper_size(n: int) -> int:
    """The U-Net paper's network takes 188, 204, 220, ..., 572, ..."""
    return 188 + max(0, math.ceil((n - 188) / 16)) * 16


# ---------------------------------------------------------------------------------------------
# Plans
# ---------------------------------------------------------------------------------------------
@given(
    length=st.integers(1, 400),
    multiple=st.sampled_from([1, 2, 4, 8, 16]),
    margin=st.integers(0, 20),
    tile=st.integers(1, 200),
    overlap=st.integers(0, 60),
)
def test_tiles_cover_the_axis_aligned_and_overlapping(
    length: int, multiple: int, margin: int, tile: int, overlap: int
) -> None:
    usable = next_multiple(multiple)
    assume(usable(tile) - 2 * margin - overlap >= multiple)
    plan = plan_axis(length, multiple=multiple, margin=margin, tile=tile, overlap=overlap, valid_size=usable)
    assert plan.side <= usable(tile)
    assert plan.side % multiple == 0
    assert plan.out == plan.side - 2 * margin
    assert plan.starts[0] == 0
    assert all(start % multiple == 0 for start in plan.starts)
    assert (
        length <= plan.starts[-1] + plan.out < length + multiple + (multiple if len(plan.starts) == 1 else 0)
    )
    for left, right in zip(plan.starts, plan.starts[1:], strict=False):
        assert left < right <= left + plan.out - overlap
    before, behind = plan.padding
    assert before == margin
    assert before + length + behind == plan.starts[-1] + plan.side
    total = np.zeros(plan.starts[-1] + plan.out)
    for start, weight in zip(plan.starts, plan.weights(), strict=True):
        assert (weight > 0).all()
        total[start : start + plan.out] += weight
    # At most len(starts) quotients meet in a pixel, each and each addition rounded once.
    np.testing.assert_allclose(total, 1, rtol=0, atol=2 * len(plan.starts) * np.finfo(np.float64).eps)


def test_no_more_tiles_than_needed() -> None:
    plan = plan_axis(1000, multiple=16, margin=0, tile=512, overlap=24, valid_size=next_multiple(16))
    assert plan.starts == (0, 240, 496)  # 512 + 480 = 992 < 1000: three, spread evenly over 0 .. 496
    single = plan_axis(500, multiple=16, margin=0, tile=512, overlap=24, valid_size=next_multiple(16))
    assert (single.side, single.starts, single.padding) == (512, (0,), (0, 12))


def test_weights_are_one_alone_and_small_at_an_overlapped_edge() -> None:
    plan = plan_axis(28, multiple=1, margin=0, tile=16, overlap=4, valid_size=next_multiple(1))
    first, second = plan.weights()
    assert plan.starts == (0, 12)
    np.testing.assert_array_equal(first[:12], 1)
    assert first[15] < 0.1 < 0.9 < second[3]
    assert (np.diff(first[12:]) < 0).all()


# ---------------------------------------------------------------------------------------------
# Networks
# ---------------------------------------------------------------------------------------------
SIZES = st.integers(1, 50)


@given(SIZES, SIZES, st.sampled_from([1, 4]), st.integers(16, 40), st.integers(0, 8))
def test_a_pointwise_network_gives_itself(h: int, w: int, multiple: int, tile: int, overlap: int) -> None:
    image = image_of(h, w)
    result = predict(lambda x: 1 - x, image, num_classes=2, multiple=multiple, tile=tile, overlap=overlap)
    assert result.dtype == np.float32
    assert result.shape == image.shape
    # Up to n tiles meet along an axis; each weight, product and addition is rounded once.
    meeting = math.ceil(tile / max(1, next_multiple(multiple)(tile) - overlap)) + 2
    np.testing.assert_allclose(result, 1 - image, rtol=0, atol=3 * meeting**2 * EPS)


@given(SIZES, SIZES)
def test_a_single_tile_is_the_network_bit_for_bit(h: int, w: int) -> None:
    image = image_of(h, w)
    seen = []

    def forward(x: np.ndarray) -> np.ndarray:
        seen.append(x.shape)
        return np.tanh(x)

    result = predict(forward, image, num_classes=2, multiple=8, tile=56)
    np.testing.assert_array_equal(result, np.tanh(image))
    assert seen == [(1, 2, next_multiple(8)(h), next_multiple(8)(w))]


@given(st.integers(5, 50), st.integers(5, 50), st.integers(14, 30), st.integers(0, 4))
def test_a_valid_network_tiled_is_the_network_whole(h: int, w: int, tile: int, overlap: int) -> None:
    image = image_of(h, w)
    even = next_multiple(2)
    tiled = predict(
        tiny_valid_unet, image, 2, multiple=2, margin=4, tile=tile, overlap=overlap,
        valid_size=lambda n: max(10, even(n)),
    )  # fmt: skip
    # Reflected once, by 4 and by as much as makes the size even; a one-tile call of the network itself.
    padded = np.pad(image, ((0, 0), (4, 4 + h % 2), (4, 4 + w % 2)), mode="reflect")
    whole = tiny_valid_unet(padded[None])[0, :, :h, :w]
    # Three sums of 9 products with one kernel, each rounded 10 times; blending rounds a few times more.
    size = float(np.abs(KERNEL).sum() ** 3)
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=40 * EPS * size)


def test_pooling_sees_the_same_blocks_in_every_tile() -> None:
    """Means of aligned 4x4 blocks: a tile that started off the grid would average other pixels."""

    def blocks(x: np.ndarray) -> np.ndarray:
        n, c, h, w = x.shape
        means = x.reshape(n, c, h // 4, 4, w // 4, 4).mean(axis=(3, 5))
        return means.repeat(4, axis=2).repeat(4, axis=3)

    image = image_of(44, 60)
    tiled = predict(blocks, image, 2, multiple=4, tile=20, overlap=5)
    np.testing.assert_allclose(tiled, blocks(image[None])[0], rtol=0, atol=16 * EPS)


def test_the_paper_s_network() -> None:
    """572 in, 388 out: a 512x512 section takes 2 x 2 tiles (figure 2 of the paper); here it only crops."""
    shapes = []

    def forward(x: np.ndarray) -> np.ndarray:
        shapes.append(x.shape[2:])
        assert all(n >= 188 and (n - 188) % 16 == 0 for n in x.shape[2:])
        return x[:, :, 92:-92, 92:-92]

    image = image_of(512, 300, channels=1)
    result = predict(forward, image, 1, multiple=16, margin=92, tile=572, valid_size=paper_size)
    assert shapes == [(572, 492)] * 2  # 300 + 184 = 484, the next size is 492
    np.testing.assert_allclose(result, image, rtol=0, atol=8 * EPS)


def test_beyond_the_rim_lies_the_mirror_image() -> None:
    seen = []
    predict(
        lambda x: (seen.append(x), x[:, :, 2:-2, 2:-2])[1],
        np.array([[[1, 2, 3]]], dtype=np.float32), 1, margin=2,
    )  # fmt: skip
    assert seen[0].shape == (1, 1, 5, 7)
    assert seen[0][0, 0, 2].tolist() == [3, 2, 1, 2, 3, 2, 1]  # the rim, 1 and 3, is not repeated
    assert (seen[0] == seen[0][:, :, 2:3]).all()  # an axis of one pixel repeats it


def test_probabilities_stay_probabilities() -> None:
    def softmax(x: np.ndarray) -> np.ndarray:
        e = np.exp(np.concatenate([x, -x, x**2], axis=1))
        return e / e.sum(axis=1, keepdims=True)

    result = predict(softmax, image_of(60, 45, channels=1), 3, tile=16, overlap=8)
    assert (result >= 0).all()
    np.testing.assert_allclose(result.sum(axis=0), 1, rtol=0, atol=32 * EPS)


def test_forward_gets_one_contiguous_float32_tile_at_a_time_and_progress_counts() -> None:
    steps = []

    def forward(x: np.ndarray) -> np.ndarray:
        assert x.shape == (1, 2, 16, 16)
        assert x.dtype == np.float32
        assert x.flags.c_contiguous
        return x.astype(np.float64)

    image = image_of(40, 20).astype(np.float64)
    predict(forward, image, 2, tile=16, overlap=4, progress=lambda *step: steps.append(step))
    assert steps == [(done, 6) for done in range(1, 7)]


def test_the_image_is_left_as_it_was() -> None:
    image = image_of(20, 20)
    copy = image.copy()

    def forward(x: np.ndarray) -> np.ndarray:
        x *= 0  # a network may work in place
        return x

    assert not predict(forward, image, 2).any()
    np.testing.assert_array_equal(image, copy)


# ---------------------------------------------------------------------------------------------
# Bad input
# ---------------------------------------------------------------------------------------------
def same(x: np.ndarray) -> np.ndarray:
    return x


@pytest.mark.parametrize(
    ("image", "message"),
    [(np.zeros((4, 4)), r"shape \(4, 4\)"), (np.zeros((1, 0, 4)), "none of them 0")],
)
def test_bad_images_are_refused(image: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        predict(same, image, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"multiple": 0}, "multiple=0"),
        ({"tile": 0}, "tile=0"),
        ({"overlap": -1}, "overlap=-1"),
        ({"margin": -2}, "margin=-2"),
        ({"tile": 16, "overlap": 16}, "larger tile or a smaller overlap"),
        ({"tile": 16, "overlap": 12, "multiple": 8}, "multiple of 8"),
        ({"tile": 16, "overlap": 0, "margin": 8}, "gives 0"),
        ({"valid_size": lambda n: n - 1}, r"valid_size\(512\) gave 511"),
        ({"valid_size": lambda n: n + 1}, r"valid_size\(512\) gave 513"),
    ],
)
def test_bad_options_are_refused(options: dict[str, int | Callable[[int], int]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        predict(same, np.zeros((1, 40, 40)), 1, **options)


def test_a_network_of_another_shape_is_refused() -> None:
    image = np.zeros((1, 8, 8))
    with pytest.raises(InputError, match=r"turned \(1, 1, 8, 8\) into \(1, 1, 8, 8\) where \(1, 3, 8, 8\)"):
        predict(same, image, 3)
    with pytest.raises(InputError, match="margin"):
        predict(lambda x: x[:, :, 1:-1, 1:-1], image, 1)
