"""Pictures that are smaller than what a network works on: it is said, with how many and how much."""

import numpy as np
import pytest

from minidl.models import UNet
from minidl.segmentation.augment import Augmentation
from minidl.train.continued import in_crops, in_tiles
from minidl.train.inference import tiles


def test_nothing_is_said_of_pictures_that_are_large_enough():
    assert in_crops([(256, 256), (300, 1000)], (256, 256)) == ""
    assert in_tiles([(256, 256), (1000, 700), (513, 512)], tiles(UNet(1, 2, base=2, depth=3))) == ""


def test_the_share_that_is_said_is_that_of_pixels_without_a_label():
    said = in_crops([(100, 100)] * 6, (256, 256))
    assert said == (
        "6 of 6 training images are smaller than the crop of 256 x 256 (they have 100 x 100): continued by"
        " the mirror image, without a label there (85 % of all pixels); a smaller --crop saves that time"
    )
    augmentation = Augmentation(crop=256, ignore_index=255)
    image, mask = np.zeros((1, 100, 100), np.float32), np.zeros((100, 100), np.int32)
    _, labels = augmentation(image, mask, np.random.default_rng(0))
    assert round(100 * (labels == 255).mean()) == 85


def test_a_few_small_pictures_among_large_ones_are_counted():
    said = in_crops([(256, 256)] * 9 + [(250, 256)], (256, 256))
    assert said.startswith("1 of 10 training images is smaller than the crop of 256 x 256 (it has 250 x 256)")
    assert "(less than 1 % of all pixels)" in said and "--crop" not in said
    assert "the smallest has 100 x 90" in in_crops([(100, 90), (120, 130)], (256, 256))


def test_the_margin_of_convolutions_without_padding_is_no_part_of_a_picture():
    """The paper's network: 572 pixels in, 388 out; a picture of 388 fills its crop."""
    assert in_crops([(388, 388)], (572, 572), margin=92) == ""
    assert "the crop of 388 x 388" in in_crops([(300, 388)], (572, 572), margin=92)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_pictures_to_predict_that_are_mostly_mirror_image_are_said(padding):
    options = tiles(UNet(1, 2, base=2, depth=2, padding=padding))
    said = in_tiles([(5, 7), (500, 500)], options)
    assert said.startswith("1 of 2 images is smaller than what the network takes (it has 5 x 7): continued")
    assert said.endswith("; masks are as large as the images")
