"""Convolutions whose border differs between the axes, and stacks of images."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import ops
from oracles import loops

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("kernel", [(2, 3), (3, 2), (2, 2), (4, 1)])
def test_the_odd_pixel_of_padding_same_goes_to_the_right_and_to_the_bottom_each_for_its_axis(kernel):
    x, w = RNG.normal(size=(2, 3, 5, 6)), RNG.normal(size=(2, 3, *kernel))
    around = [((k - 1) // 2, k // 2) for k in kernel]  # (before, after) on each axis
    padded = np.pad(x, ((0, 0), (0, 0), *around))
    y = ops.conv2d(minidl.tensor(x), minidl.tensor(w), padding="same")
    assert y.shape == (2, 2, 5, 6)
    np.testing.assert_allclose(y.numpy(), loops.conv2d(padded, w), rtol=0, atol=1e-13)


def test_true_convolution_of_a_stack_of_stacks_is_that_of_each_image():
    images, filter_ = RNG.normal(size=(2, 3, 4, 5)), minidl.tensor(RNG.normal(size=(2, 3)))
    y = ops.convolve2d(minidl.tensor(images), filter_)
    assert y.shape == (2, 3, 5, 7)
    for i, j in np.ndindex(2, 3):
        one = ops.convolve2d(minidl.tensor(images[i, j]), filter_)
        np.testing.assert_array_equal(y.numpy()[i, j], one.numpy())
