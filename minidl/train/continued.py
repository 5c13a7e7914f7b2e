"""What is said of pictures that are smaller than what a network works on: they are continued by their mirror
image, and a person should know how much of the work that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidl.segmentation.tiling import plan_axis

Size = tuple[int, int]

#: Shares of mirrored pixels from which it is said when predicting; a rim of a few pixels changes nothing.
WORTH_A_NOTE = 0.1
#: Shares of pixels without a label from which a smaller crop is proposed.
WASTE = 0.25


def in_crops(sizes: Sequence[Size], crop: Any, margin: int = 0) -> str:
    """How many training pictures are smaller than the crops, and what happens to them; "" if there are none.

    Args:
        sizes: height and width of each picture.
        crop: height and width of the network's input.
        margin: pixels that its output lacks at each side.

    >>> in_crops([(100, 120), (256, 256)], (256, 256))[:88]
    '1 of 2 training images is smaller than the crop of 256 x 256 (it has 100 x 120): continu'
    """
    height, width = crop[0] - 2 * margin, crop[1] - 2 * margin
    small = [(h, w) for h, w in sizes if h < height or w < width]
    if not small:
        return ""
    covered = sum(min(h, height) * min(w, width) for h, w in sizes)
    share = 1 - covered / (height * width * len(sizes))
    remedy = "; a smaller --crop saves that time" if share >= WASTE else ""
    said = _count(small, sizes, "training image", f"the crop of {height} x {width}")
    what = f"continued by the mirror image, without a label there ({_percent(share)} of all pixels)"
    return f"{said}: {what}{remedy}"


def in_tiles(sizes: Sequence[Size], tiles: dict[str, Any]) -> str:
    """The same of pictures to predict, for `minidl.train.inference.tiles`; "" where it is a narrow rim.

    >>> options = {"multiple": 16, "tile": 512, "overlap": 64, "margin": 0}
    >>> in_tiles([(20, 20), (500, 500)], {**options, "valid_size": lambda n: -(-n // 16) * 16})[:70]
    '1 of 2 images is smaller than what the network takes (it has 20 x 20):'
    """
    small = []
    for size in sizes:
        axes = [plan_axis(n, **tiles) for n in size]
        rows, columns = (axis.length + sum(axis.padding) - 2 * tiles["margin"] for axis in axes)
        if 1 - size[0] * size[1] / (rows * columns) >= WORTH_A_NOTE:
            small.append((size, (rows, columns)))
    if not small:
        return ""
    (h, w), (rows, columns) = min(small)
    said = _count([size for size, _ in small], sizes, "image", "what the network takes")
    what = f"continued by the mirror image, {h} x {w} to {rows} x {columns}"
    return f"{said}: {what}; masks are as large as the images"


def _count(small: Sequence[Size], sizes: Sequence[Size], noun: str, than: str) -> str:
    one = len(small) == 1
    h, w = min(small, key=lambda size: size[0] * size[1])
    which = f"{'it has' if one else 'the smallest has' if len(set(small)) > 1 else 'they have'} {h} x {w}"
    plural = "" if len(sizes) == 1 else "s"
    return (
        f"{len(small)} of {len(sizes)} {noun}{plural} {'is' if one else 'are'} smaller than {than} ({which})"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else "less than 1 %"
