"""Masks that people can look at: colours, overlays, panels side by side, contact sheets.

Everything is a NumPy array, uint8 (H, W, 3); `minidl.segmentation.files.write_png` stores one. Pixels without
a label (``ignore_index``) are hatched in two grays, so that they are never taken for a class.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minidl._text import LINE, one_line, visible
from minidl.errors import InputError
from minidl.segmentation.levels import for_display

Picture = NDArray[np.uint8]

# Okabe and Ito, "Color Universal Design" (2008): told apart by people with any common form of colour
# blindness.
OKABE_ITO = (
    (0, 0, 0),  # black: class 0 is background in most data sets, and black dims what lies below it
    (230, 159, 0),  # orange
    (86, 180, 233),  # sky blue
    (0, 158, 115),  # bluish green
    (240, 228, 66),  # yellow
    (0, 114, 178),  # blue
    (213, 94, 0),  # vermilion
    (204, 121, 167),  # reddish purple
)
# Further colours come from a grid over the RGB cube, without what could pass for the gray of the hatching or,
# laid over an image, for shadow or glare. Lightness runs from 0 to 1.
GRID_STEP, LEAST_COLOURFULNESS, LIGHTNESS = 15, 60, (0.5, 0.93)
HATCH_LIGHT, HATCH_DARK, HATCH_PERIOD = 176, 112, 8
GAP, CAPTION_HEIGHT, FONT_SIZE = 4, 18, 12  # pixels


def palette(num_classes: int) -> Picture:
    """(num_classes, 3) uint8 RGB, distinct and none gray but black; more classes keep the first colours.

    Eight colours of Okabe and Ito; every further one is the candidate that lies farthest from all before it.

    Raises:
        InputError: num_classes is not positive, or in the thousands, where the candidates end.

    >>> palette(3)
    array([[  0,   0,   0],
           [230, 159,   0],
           [ 86, 180, 233]], dtype=uint8)
    """
    if num_classes < 1:
        raise InputError(f"num_classes={num_classes}: a palette needs at least one class")
    chosen = np.array(OKABE_ITO[:num_classes], dtype=np.uint8)
    if num_classes <= len(OKABE_ITO):
        return chosen
    levels = np.arange(0, 256, GRID_STEP)
    grid = (
        np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.uint8)
    )
    places = _oklab(grid)
    colourful = np.ptp(grid.astype(int), axis=1) >= LEAST_COLOURFULNESS
    usable = colourful & (places[:, 0] >= LIGHTNESS[0]) & (places[:, 0] <= LIGHTNESS[1])
    candidates, places = grid[usable], places[usable]
    if num_classes > len(candidates):
        raise InputError(
            f"num_classes: {num_classes} are more than the {len(candidates)} colours that can be told apart;"
            " give colours of your own in dataset.toml"
        )
    distance = np.min(np.linalg.norm(places[:, None] - _oklab(chosen)[None], axis=2), axis=1)
    further = []
    for _ in range(num_classes - len(chosen)):
        farthest = int(np.argmax(distance))
        further.append(candidates[farthest])
        distance = np.minimum(distance, np.linalg.norm(places - places[farthest], axis=1))
    return np.concatenate([chosen, np.stack(further)])


def _oklab(colours: Picture) -> NDArray[np.float64]:
    """sRGB (N, 3) -> Oklab (Ottosson 2020), where distance is roughly how different colours look."""
    scaled = colours / 255.0
    linear = np.where(scaled <= 0.04045, scaled / 12.92, ((scaled + 0.055) / 1.055) ** 2.4)
    cones = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    opponents = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return np.cbrt(linear @ cones.T) @ opponents.T


def colourise(mask: ArrayLike, colours: ArrayLike, ignore_index: int | None = 255) -> Picture:
    """Class ids (H, W) -> their colours (H, W, 3) uint8; pixels equal to ``ignore_index`` are hatched gray.

    Args:
        mask: integers; every id other than ``ignore_index`` must have a row in ``colours``.
        colours: (K, 3) uint8.

    Raises:
        InputError: an id without colour, or arrays of the wrong shape or type.

    >>> colourise([[0, 1]], palette(2))
    array([[[  0,   0,   0],
            [230, 159,   0]]], dtype=uint8)
    """
    ids, table = np.asarray(mask), np.asarray(colours)
    if ids.ndim != 2 or not (np.issubdtype(ids.dtype, np.integer) or ids.dtype == np.bool_):
        raise InputError(f"mask is {ids.dtype} of shape {ids.shape}: give integer class ids, height by width")
    if table.ndim != 2 or table.shape[1] != 3 or len(table) == 0 or table.dtype != np.uint8:
        raise InputError(
            f"colours is {table.dtype} of shape {table.shape}: give (num_classes, 3) uint8, e.g. palette(K)"
        )
    ids = ids.astype(np.int64)
    ignored = np.zeros(ids.shape, dtype=bool) if ignore_index is None else ids == ignore_index
    unknown = ~ignored & ((ids < 0) | (ids >= len(table)))
    if unknown.any():
        raise InputError(
            f"mask has class id {ids[unknown][0]} but there are {len(table)} colours: give one per class"
        )
    picture = table[np.where(ignored, 0, ids)]
    return np.where(ignored[..., None], _hatch(*ids.shape)[..., None], picture).astype(np.uint8)


def _hatch(height: int, width: int) -> Picture:
    diagonal = (np.arange(height)[:, None] + np.arange(width)[None, :]) % HATCH_PERIOD
    return np.where(diagonal < HATCH_PERIOD // 2, HATCH_LIGHT, HATCH_DARK).astype(np.uint8)


def to_picture(image: ArrayLike) -> Picture:
    """An image (1 or 3, H, W) in 0..1 -> uint8 (H, W, 3); gray becomes RGB, values the nearest of 0..255.

    Raises:
        InputError: another shape, or values outside 0..1 (an image in 0..255 or a normalised one).

    >>> to_picture([[[0.0, 1.0]]])
    array([[[  0,   0,   0],
            [255, 255, 255]]], dtype=uint8)
    """
    pixels = np.asarray(image, dtype=np.float64)
    if pixels.ndim != 3 or pixels.shape[0] not in (1, 3):
        raise InputError(f"image has shape {pixels.shape}: give channels first, 1 (gray) or 3 (RGB) of them")
    slack = 1e-3  # interpolation may overshoot a little; 0..255 or mean 0, deviation 1 are far outside
    if not ((pixels >= -slack) & (pixels <= 1 + slack)).all():
        raise InputError(
            "image has values outside 0..1 or NaN: show it before normalising, or divide 0..255 by 255"
        )
    channels = np.broadcast_to(pixels, (3, *pixels.shape[1:])).transpose(1, 2, 0)
    return np.rint(np.clip(channels, 0, 1) * 255).astype(np.uint8)


def overlay(
    image: ArrayLike, mask: ArrayLike, colours: ArrayLike, alpha: float = 0.5, ignore_index: int | None = 255
) -> Picture:
    """The image with its mask laid over it: (1 - alpha) image + alpha colour, uint8 (H, W, 3).

    An image that uses little of 0..1 is stretched first (`minidl.segmentation.levels.for_display`).

    Args:
        image: (1 or 3, H, W) in 0..1.
        mask: class ids (H, W).
        colours: (K, 3) uint8.
        alpha: 0 shows only the image, 1 only the mask.
        ignore_index: pixels with this id show gray hatching over the image.

    Raises:
        InputError: sizes differ, alpha is outside 0..1, or as `colourise` and `to_picture`.

    >>> overlay(np.ones((1, 1, 2)), [[0, 1]], palette(2))
    array([[[128, 128, 128],
            [242, 207, 128]]], dtype=uint8)
    """
    below, above = to_picture(for_display(image)), colourise(mask, colours, ignore_index)
    if below.shape != above.shape:
        raise InputError(
            f"image is {below.shape[:2]} and mask {above.shape[:2]} (height, width): they must be equal"
        )
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha={alpha}: must lie between 0 (image only) and 1 (mask only)")
    blend = (1 - alpha) * below.astype(np.float64) + alpha * above.astype(np.float64)
    return np.rint(blend).astype(np.uint8)


def side_by_side(
    image: ArrayLike,
    truth: ArrayLike | None,
    prediction: ArrayLike,
    colours: ArrayLike,
    titles: Sequence[str] | None = None,
    *,
    alpha: float = 0.5,
    ignore_index: int | None = 255,
) -> Picture:
    """Panels beside each other: image, truth over image (left out if None), prediction over image.

    The image is stretched as by `overlay`.

    Args:
        titles: one caption per panel, drawn above it and cut to its width; None leaves no room for captions.
        alpha: as `overlay`; 1 shows the masks alone.

    Returns:
        uint8 (H, 3 W + 2 gaps, 3), 18 pixels higher with titles; white between the panels.

    >>> mask = np.zeros((10, 20), dtype=np.uint8)
    >>> side_by_side(np.zeros((1, 10, 20)), mask, mask, palette(2)).shape
    (10, 68, 3)
    """
    panels = [to_picture(for_display(image))]
    if truth is not None:
        panels.append(overlay(image, truth, colours, alpha, ignore_index))
    panels.append(overlay(image, prediction, colours, alpha, ignore_index))
    if titles is not None:
        if isinstance(titles, str) or len(titles) != len(panels):
            raise InputError(f"titles: give a list of {len(panels)}, one per panel")
        panels = [
            np.concatenate([caption(title, panel.shape[1]), panel])
            for title, panel in zip(titles, panels, strict=True)
        ]
    return _stack(panels, axis=1)


def contact_sheet(rows: Sequence[Picture], titles: Sequence[str] | None = None) -> Picture:
    """Several pictures below each other, left-aligned on white, each under its title if titles are given.

    Args:
        rows: uint8 (H, W, 3) of any sizes, such as `side_by_side` makes.
        titles: one per row, cut to the sheet's width.

    >>> contact_sheet([np.zeros((10, 30, 3), np.uint8), np.zeros((20, 40, 3), np.uint8)]).shape
    (34, 40, 3)
    """
    if len(rows) == 0:
        raise InputError("rows is empty: a contact sheet needs at least one picture")
    for row in rows:
        if row.ndim != 3 or row.shape[2] != 3 or row.dtype != np.uint8:
            raise InputError(f"a row is {row.dtype} of shape {row.shape}: give uint8 (H, W, 3) pictures")
    width = max(row.shape[1] for row in rows)
    wide = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    if titles is not None:
        if isinstance(titles, str) or len(titles) != len(rows):
            raise InputError(f"titles: give a list of {len(rows)}, one per row")
        wide = [np.concatenate([caption(title, width), row]) for title, row in zip(titles, wide, strict=True)]
    return _stack(wide, axis=0)


def caption(text: str, width: int) -> Picture:
    """One line of dark text on white, uint8 (18, width, 3); text that is too long ends in "..."."""
    from PIL import Image, ImageDraw, ImageFont  # late: the only function here that needs Pillow

    strip = Image.new("RGB", (width, CAPTION_HEIGHT), "white")
    draw = ImageDraw.Draw(strip)
    font = ImageFont.load_default(FONT_SIZE)
    room = width - 2
    shown = visible(one_line(text[:LINE]))  # a line break would need a second line
    shown = shown[: max(room, 0)]  # no more than could be there, before it is measured
    if draw.textlength(shown, font=font) > room:
        while shown and draw.textlength(shown + "...", font=font) > room:
            shown = shown[:-1]
        shown += "..."
    draw.text((1, 1), shown, fill=(30, 30, 30), font=font)
    return np.array(strip, dtype=np.uint8)


def _stack(pictures: Sequence[Picture], axis: int) -> Picture:
    """Along an axis, with a white gap between; the other axis must agree."""
    shape = list(pictures[0].shape)
    shape[axis] = GAP
    gap = np.full(shape, 255, dtype=np.uint8)
    pieces = [piece for picture in pictures for piece in (gap, picture)]
    return np.concatenate(pieces[1:], axis=axis)
