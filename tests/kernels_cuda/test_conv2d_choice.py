"""Which algorithm does which convolution."""

from __future__ import annotations

import pytest

from minidl.kernels.cuda import conv2d, conv2d_winograd, winograd_matrices
from oracles.conv_cases import CASES, Case


def test_an_algorithm_that_does_not_exist():
    with pytest.raises(ValueError, match="no algorithm 'fft'; choose from direct, im2col"):
        conv2d.algorithm_for("forward", CASES[0].geometry, "fft")


def test_the_choice_follows_the_shape():
    big = Case("big", (4, 64, 32, 32), (64, 64, 3, 3), padding=(1, 1))
    choices = {
        "winograd": big,
        "implicit": big._replace(weight=(64, 64, 5, 5)),
        "direct": big._replace(x=(4, 3, 32, 32), weight=(8, 3, 3, 3)),
        "depthwise": big._replace(weight=(64, 1, 3, 3), groups=64),
    }
    for name, case in choices.items():
        assert conv2d.choose("forward", case.geometry) == name
    assert conv2d.choose("backward_weight", big.geometry) == "implicit"
    wide = big._replace(x=(4, 256, 32, 32), weight=(256, 256, 3, 3))
    assert conv2d.choose("backward_weight", wide.geometry) == "winograd"
    assert conv2d.choose("backward_data", big._replace(stride=(2, 2)).geometry) == "im2col"
    few = big._replace(x=(4, 3, 32, 32), weight=(64, 3, 3, 3))
    assert conv2d.choose("backward_data", few.geometry) == "direct"  # three rows


def test_winograds_matrices_are_the_derived_ones():
    assert winograd_matrices.FILE.read_text(encoding="utf-8") == winograd_matrices.text()


def test_pictures_beyond_32_bit_offsets_are_left_to_the_definition():
    huge = Case("huge", (1, 64, 8192, 8192), (64, 64, 3, 3), padding=(1, 1)).geometry
    assert {conv2d.choose(direction, huge) for direction in conv2d.DIRECTIONS} == {"direct"}
    with pytest.raises(ValueError, match="'winograd' cannot do"):
        conv2d.algorithm_for("forward", huge, "winograd")


def test_winograd_fits_three_by_three_only():
    assert conv2d_winograd.fits(CASES[2].geometry)
    for change in ({"stride": (2, 1)}, {"dilation": (1, 2)}, {"weight": (6, 5, 3, 1)}):
        assert not conv2d_winograd.fits(CASES[2]._replace(**change).geometry)
