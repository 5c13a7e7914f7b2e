"""Predict images of any size: pad what is too small, cut what is too large into overlapping tiles, blend.

A network takes only some input sizes (a U-Net with four pools and same padding: multiples of 16), and a large
image does not fit into memory. `predict` hides both. One axis at a time, with n pixels, a network that loses
``margin`` pixels at each side, and tiles of ``side`` input pixels, which give ``out = side - 2 margin``
output pixels:

    input axis    |margin|<------------- n ------------->|margin + filling|      reflected beyond the image
    tile 0        |<-------- side -------->|
    tile 1                    |<-------- side -------->|
    output 0             |<--- out --->|
    output 1                        |<--- out --->|                              overlap in the middle

- With margin > 0 this is the overlap-tile strategy of the U-Net paper (Ronneberger et al. 2015, figure 2):
  the context that a valid convolution eats comes from the neighbouring pixels, or at the image's rim from its
  mirror image.
- Tiles start at multiples of ``multiple``. A pooling network is only equivariant to shifts by its total
  stride, so tiles that start elsewhere would pool other pixels together than the whole image does.
- Where tiles overlap, predictions are averaged with weights that fall smoothly towards a tile's edge, where
  the network saw least context: the raised cosine sin^2(pi (i + 1/2) / out). Along each axis the weights of a
  pixel are divided by their sum; its weight in 2-D is the product of the two, so these sum to one as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minidl._device import device_of, move, on
from minidl._masks import host
from minidl.dispatch import array_module
from minidl.errors import InputError

Floats = NDArray[np.float32]
Forward = Callable[[Floats], Any]


@dataclass(frozen=True)
class Axis:
    """How one axis of an image is cut; `plan_axis` makes it.

    Attributes:
        length: pixels of the image along this axis.
        side: pixels of the input of every tile.
        out: pixels of the output of every tile, side - 2 margin.
        starts: where each tile's output begins in the image; the last one may reach past its end.
        padding: pixels to reflect before and behind the image, so that every tile's input exists.
    """

    length: int
    side: int
    out: int
    starts: tuple[int, ...]
    padding: tuple[int, int]

    def weights(self) -> list[NDArray[np.float64]]:
        """One array (out,) per tile; over the image, the weights of all tiles sum to 1 at every pixel."""
        window = np.sin(np.pi * (np.arange(self.out) + 0.5) / self.out) ** 2
        total = np.zeros(self.starts[-1] + self.out)
        for start in self.starts:
            total[start : start + self.out] += window
        return [window / total[start : start + self.out] for start in self.starts]


def next_multiple(multiple: int) -> Callable[[int], int]:
    """The ``valid_size`` of a network with same padding: the smallest multiple that is at least n.

    >>> next_multiple(16)(500)
    512
    """
    return lambda n: max(1, math.ceil(n / multiple)) * multiple


def plan_axis(
    length: int, *, multiple: int, margin: int, tile: int, overlap: int, valid_size: Callable[[int], int]
) -> Axis:
    """Cut an axis of ``length`` pixels; arguments as in `predict`.

    The paper's network turns 572 pixels into 388 and takes sizes 12 above a multiple of 16:

    >>> paper = plan_axis(512, multiple=16, margin=92, tile=572, overlap=64,
    ...                   valid_size=lambda n: max(188, 188 + math.ceil((n - 188) / 16) * 16))
    >>> paper.side, paper.out, paper.starts, paper.padding
    (572, 388, (0, 128), (92, 96))
    """
    side = _usable(valid_size, max(tile, 1))
    out = side - 2 * margin
    if length <= out:  # one tile, no larger than it has to be
        side = _usable(valid_size, length + 2 * margin)
        return Axis(length, side, side - 2 * margin, (0,), (margin, side - length - margin))
    step = (out - overlap) // multiple * multiple
    if step < 1:
        raise InputError(
            f"tile={tile}, overlap={overlap}: a tile of {side} pixels gives {out}, of which the overlap "
            f"leaves less than the network's multiple of {multiple}; give a larger tile or a smaller overlap"
        )
    # Whole multiples from the first to the last start, spread evenly over the fewest tiles.
    reach = math.ceil((length - out) / multiple)
    gaps = math.ceil(reach * multiple / step)
    starts = tuple(i * reach // gaps * multiple for i in range(gaps + 1))
    return Axis(length, side, out, starts, (margin, starts[-1] + side - length - margin))


def _usable(valid_size: Callable[[int], int], n: int) -> int:
    size = valid_size(n)
    if size < n or valid_size(size) != size:
        raise InputError(
            f"valid_size({n}) gave {size}: it must give the smallest usable size that is at least {n}"
        )
    return size


def predict(
    forward: Forward,
    image: ArrayLike,
    num_classes: int,
    *,
    multiple: int = 1,
    tile: int = 512,
    overlap: int = 64,
    margin: int = 0,
    valid_size: Callable[[int], int] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Any:
    """Class probabilities of one image of any size.

    Args:
        forward: float32 (1, C, h, w) -> probabilities (1, K, h - 2 margin, w - 2 margin); called once per
            tile. Give probabilities, not logits: they are what is averaged, on their own device.
        image: (C, H, W).
        num_classes: K.
        multiple: the network's total stride (``model.multiple``); tiles start at multiples of it.
        tile: largest input of the network in pixels per axis, made usable with ``valid_size``; it bounds the
            memory.
        overlap: output pixels, at least, that neighbouring tiles share.
        margin: output pixels that the network loses at each side; 0 with same padding, 92 in the U-Net paper.
        valid_size: n -> smallest input size >= n that the network takes; by default the next multiple of
            ``multiple``.
        progress: called with (tiles done, tiles in all) after each tile.

    Returns:
        float32 (K, H, W), where ``forward`` leaves its results. An image that needs a single tile gets the
        network's output bit for bit, cropped.

    Beyond the image lies its mirror image (the rim itself is not repeated), mirrored again where the padding
    is wider than the image; an axis of one pixel repeats that pixel.

    Raises:
        InputError: the image is not (C, H, W) or has no pixels, the options leave no room for tiles, or
            ``forward`` returns another shape than promised.

    >>> picture = np.linspace(0, 1, 3 * 20 * 30, dtype=np.float32).reshape(3, 20, 30)
    >>> result = predict(lambda x: x, picture, num_classes=3, multiple=4, tile=16, overlap=4)
    >>> result.shape, bool(np.allclose(result, picture, atol=1e-6))
    ((3, 20, 30), True)
    """
    pixels = _pixels(image)
    _at_least(1, num_classes=num_classes, multiple=multiple, tile=tile)
    _at_least(0, overlap=overlap, margin=margin)
    options = {"multiple": multiple, "margin": margin, "tile": tile, "overlap": overlap}
    usable = valid_size or next_multiple(multiple)
    rows, columns = (plan_axis(n, valid_size=usable, **options) for n in pixels.shape[1:])
    padded = np.pad(pixels, ((0, 0), rows.padding, columns.padding), mode="reflect")
    result = None
    for done, (top, left, weight) in enumerate(_tiles(rows, columns), 1):
        window = padded[None, :, top : top + rows.side, left : left + columns.side]
        scores = _run(forward, window, (1, num_classes, rows.out, columns.out))[0]
        result = _zeros_beside(scores, (num_classes, *pixels.shape[1:])) if result is None else result
        _blend(result[:, top:, left:], scores, weight)
        if progress is not None:
            progress(done, len(rows.starts) * len(columns.starts))
    return result


def _pixels(image: ArrayLike) -> Floats:
    pixels = host("image", image).astype(np.float32, copy=False)
    if pixels.ndim != 3 or pixels.size == 0:
        raise InputError(f"image has shape {pixels.shape}: give channels, height, width, none of them 0")
    return pixels


def _tiles(rows: Axis, columns: Axis) -> Iterator[tuple[int, int, Floats]]:
    """Of every tile where its output begins, and the weights of those of its pixels that the image has.

    Those of a single tile are exactly 1.
    """
    for top, vertical in zip(rows.starts, rows.weights(), strict=True):
        for left, horizontal in zip(columns.starts, columns.weights(), strict=True):
            weight = np.outer(vertical[: rows.length - top], horizontal[: columns.length - left])
            yield top, left, weight.astype(np.float32)


def _zeros_beside(scores: Any, shape: tuple[int, ...]) -> Any:
    with on(scores):
        return array_module(scores).zeros(shape, np.float32)


def _blend(corner: Any, scores: Any, weight: Floats) -> None:
    """Add a tile's scores to the result, of which ``corner`` begins where the tile does."""
    height, width = weight.shape  # less than a tile where it reaches past the image
    with on(scores):
        corner[:, :height, :width] += scores[:, :height, :width] * move(weight, device_of(scores))


def _at_least(least: int, **options: int) -> None:
    for name, value in options.items():
        if value < least:
            raise InputError(f"{name}={value}: must be at least {least}")


def _run(forward: Forward, window: Floats, shape: tuple[int, ...]) -> Any:
    given = forward(np.ascontiguousarray(window))
    with on(given):
        scores = array_module(given).asarray(given, dtype=np.float32)
    if scores.shape != shape:
        raise InputError(
            f"forward turned {window.shape} into {scores.shape} where {shape} is expected: "
            "correct num_classes or margin (pixels lost at each side)"
        )
    return scores
