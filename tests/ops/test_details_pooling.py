"""Pooling, unpooling and resizing at their borders: the last tap, the last pixel, the most of a padding."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import minidl
from minidl import ops

# --- pooling ---


@pytest.mark.parametrize("kernel", [(1, 256), (1, 257), (257, 1), (1, 300)])
def test_the_last_of_many_taps_can_win(kernel):
    """A byte numbers 256 taps."""
    x = np.zeros((1, 1, *kernel))
    x[0, 0, -1, -1] = 1
    y, index = ops.max_pool2d(minidl.tensor(x), kernel, return_indices=True)
    assert y.item() == 1 and index.item() == x.size - 1


def test_a_dilated_window_needs_a_pixel():
    # Extent 1, padding 1: the taps lie at -1 and +1.
    with pytest.raises(ValueError, match="max_pool2d: a window holds no pixel"):
        ops.max_pool2d(minidl.tensor(np.zeros((1, 1, 1, 1))), (1, 2), 1, (0, 1), (1, 2))
    # Extent 2, distance 3: at -1 and 2. Distance 2: at -1 and 1.
    with pytest.raises(ValueError, match="no pixel"):
        ops.max_pool2d(minidl.tensor(np.zeros((1, 1, 2, 1))), (2, 1), 1, (1, 0), (3, 1))
    x = minidl.tensor(np.array([[[[-5.0], [-7.0]]]]))
    np.testing.assert_array_equal(ops.max_pool2d(x, (2, 1), 1, (1, 0), (2, 1)).numpy()[0, 0], [[-7], [-5]])
    # One pixel, and steps that lead far beyond it.
    assert ops.max_pool2d(x[:, :, :1], 1, 3, 0, 2).item() == -5


def test_a_window_rounded_up_begins_on_the_image_or_its_first_padding():
    # Extent 4, kernel 2, stride 3, padding 1: windows begin at -1, 2 and (outside: left out) 5.
    x = minidl.tensor(np.array([[[[1.0, 2, 3, 4]]]]))
    np.testing.assert_array_equal(
        ops.max_pool2d(x, (1, 2), (1, 3), (0, 1), ceil_mode=True).numpy()[0, 0, 0], [1, 4]
    )
    # One pixel more: the third would begin at 5, which is outside, too.
    x = minidl.tensor(np.array([[[[1.0, 2, 3, 4, 5]]]]))
    assert ops.max_pool2d(x, (1, 2), (1, 3), (0, 1), ceil_mode=True).tolist() == [[[[1, 4]]]]
    # Two more: it begins at 5, inside.
    x = minidl.tensor(np.array([[[[1.0, 2, 3, 4, 5, 6]]]]))
    assert ops.max_pool2d(x, (1, 2), (1, 3), (0, 1), ceil_mode=True).tolist() == [[[[1, 4, 6]]]]
    # Stride 2 without padding and extent 5: at 0, 2 and 4, the last with one pixel.
    x = minidl.tensor(np.array([[[[1.0, 2, 3, 4, 5]]]]))
    assert ops.max_pool2d(x, (1, 2), ceil_mode=True).tolist() == [[[[2, 4, 5]]]]
    assert ops.avg_pool2d(x, (1, 2), ceil_mode=True).tolist() == [[[[1.5, 3.5, 5]]]]
    assert ops.max_pool2d(x, (1, 2)).tolist() == [[[[2, 4]]]] and ops.avg_pool2d(x, (1, 2)).shape[3] == 2


def test_padding_of_half_the_window_is_the_most():
    x = minidl.tensor(np.ones((1, 1, 2, 2)))
    for operation in (ops.max_pool2d, ops.avg_pool2d):
        assert operation(x, (2, 3), 1, 1).shape == (1, 1, 3, 2)
        with pytest.raises(ValueError, match=f"{operation.__name__}: padding"):
            operation(x, (2, 3), 1, (1, 2))


@pytest.mark.parametrize("kernel", [[2, 3], np.array([2, 3]), (np.int64(2), np.uint8(3))])
def test_a_pair_may_be_a_list_an_array_or_of_numpys_integers(kernel):
    x = minidl.tensor(np.arange(12.0).reshape(1, 1, 3, 4))
    assert ops.max_pool2d(x, kernel, 1).tolist() == [[[[6, 7], [10, 11]]]]


@pytest.mark.parametrize("kernel", [True, (2, False), 2.0, (2,), "22", None])
def test_what_is_no_pair_of_integers(kernel):
    with pytest.raises(TypeError, match="max_pool2d: kernel_size must be an integer or a pair of integers"):
        ops.max_pool2d(minidl.tensor(np.zeros((1, 1, 4, 4))), kernel)


def test_the_divisor_may_be_any_integer_of_numpy_and_counts_padding_by_default():
    x = minidl.tensor(np.array([[[[6.0, 9.0]]]], np.float32))
    y = ops.avg_pool2d(x, (1, 2), divisor_override=np.int64(3))
    assert y.item() == 5 and y.dtype == np.float32
    assert ops.avg_pool2d(x, (1, 2), 1, (0, 1)).tolist() == [[[[3, 7.5, 4.5]]]]
    assert ops.avg_pool2d(x, (1, 2), divisor_override=1).item() == 15


def test_sizes_of_an_adaptive_average():
    x = minidl.tensor(np.zeros((2, 3, 4, 6)))
    assert ops.adaptive_avg_pool2d(x, np.int64(2)).shape == (2, 3, 2, 2)
    assert ops.adaptive_avg_pool2d(x, [2, 3]).shape == (2, 3, 2, 3)
    assert ops.adaptive_avg_pool2d(x, (None, 3)).shape == (2, 3, 4, 3)
    assert ops.adaptive_avg_pool2d(x, (0, 3)).shape == (2, 3, 0, 3)
    assert ops.adaptive_avg_pool2d(x[:, :0], 2).shape == (2, 0, 2, 2)
    with pytest.raises(TypeError, match="adaptive_avg_pool2d: output_size"):
        ops.adaptive_avg_pool2d(x, "22")
    with pytest.raises(TypeError, match="adaptive_avg_pool2d: output_size"):
        ops.adaptive_avg_pool2d(x, (True, 2))


# --- unpooling ---


def test_how_far_the_output_of_an_unpooling_may_be_from_the_rule():
    """Stride (3, 2), kernel 3: two pixels come from 6 x 5, and from up to 2 rows and 1 column away."""
    x, index = minidl.tensor(np.ones((1, 1, 2, 2))), minidl.tensor(np.arange(4).reshape(1, 1, 2, 2))
    assert ops.max_unpool2d(x, index, 3, (3, 2)).shape == (1, 1, 6, 5)
    for size in itertools.product((4, 5, 6, 7, 8), (4, 5, 6)):
        assert ops.max_unpool2d(x, index, 3, (3, 2), output_size=size).shape[2:] == size
        assert ops.max_unpool2d(x, index, 3, (3, 2), output_size=[1, 1, *size]).shape[2:] == size
    for size in ((3, 5), (9, 5), (6, 3), (6, 7)):
        with pytest.raises(ValueError, match="max_unpool2d: output_size"):
            ops.max_unpool2d(x, index, 3, (3, 2), output_size=size)


def test_an_unpooling_reaches_the_first_and_the_last_pixel():
    index = minidl.tensor(np.array([[[[11, 0]]]]))
    y = ops.max_unpool2d(minidl.tensor(np.array([[[[1.0, 2.0]]]])), index, 3, 1)
    np.testing.assert_array_equal(y.numpy()[0, 0], [[2, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]])


def test_unpooling_to_one_pixel_and_of_no_images():
    one = ops.max_unpool2d(
        minidl.tensor(np.full((1, 1, 1, 1), 5.0)), minidl.tensor(np.zeros((1, 1, 1, 1), int)), 1
    )
    assert one.tolist() == [[[[5]]]]
    none = minidl.tensor(np.zeros((0, 2, 2, 2)))
    assert ops.max_unpool2d(none, minidl.tensor(np.zeros((0, 2, 2, 2), int)), 2).shape == (0, 2, 4, 4)


# --- resizing ---


def nearest_row(extent, **options):
    x = minidl.tensor(np.arange(float(extent)).reshape(1, 1, 1, extent))
    return ops.interpolate(x, **options).numpy()[0, 0, 0].astype(int).tolist()


def test_nearest_copies_and_doubles_whatever_the_scale_says():
    """torch does so; floor(i / scale) would be 0, 0, 1 and 0, 0, 0, 1, 1, 2."""
    assert nearest_row(3, scale_factor=(1, 1.3)) == [0, 1, 2]
    assert nearest_row(3, scale_factor=(1, 2.3)) == [0, 0, 1, 1, 2, 2]
    assert nearest_row(3, scale_factor=(1, 3.4)) == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_nearest_rounds_as_float32():
    """10 pixels to 6: 3 times float32(10 / 6) is less than 5 by a bit that float32 rounds away."""
    assert nearest_row(10, size=(1, 6)) == [0, 1, 3, 5, 6, 8]


def test_the_last_of_many_pixels_lies_inside_the_image():
    """In float32 the last position, (n - 1) / n, is rounded to 1, where there is no pixel any more."""
    n = 13_103_685
    y = ops.interpolate(minidl.tensor(np.full((1, 1, 1, 1), 7, np.uint8)), size=(1, n))
    assert y.shape == (1, 1, 1, n) and (y.numpy() == 7).all()


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_one_output_pixel_looks_at_the_first_corner_or_the_middle(mode):
    x = minidl.tensor(np.array([[[[1.0, 2.0, 5.0, 16.0]]]]))
    assert ops.interpolate(x, (1, 1), mode=mode, align_corners=True).item() == 1
    middle = {"bilinear": 3.5, "bicubic": (19 * (2 + 5) - 3 * (1 + 16)) / 32}[mode]
    assert ops.interpolate(x, (1, 1), mode=mode).item() == pytest.approx(middle, rel=1e-14)


def test_scale_factors_in_both_directions_and_as_numbers_of_numpy():
    x = minidl.tensor(np.array([[[[1.0, 2.0], [3.0, 4.0]]]]))
    assert ops.interpolate(x, scale_factor=[1, 2]).tolist() == [[[[1, 1, 2, 2], [3, 3, 4, 4]]]]
    assert ops.interpolate(x, scale_factor=np.float32(0.5)).tolist() == [[[[1]]]]
    assert ops.interpolate(x, size=np.int64(1)).shape == (1, 1, 1, 1)
