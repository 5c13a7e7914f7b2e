"""The embedded data set: generated pictures of touching cells with exact masks.

A picture looks like a stained smear: cells with a dark nucleus, pressed against each other, on a pale
background that is lit unevenly and noisy. What a cell *is* shows only in the shape of its nucleus:

=====  ==========  =====================================================
id     name        nucleus
=====  ==========  =====================================================
0      background  none (but dark specks of dirt)
1      round       one disc in the middle
2      ring        a ring around the middle
3      lobed       three separate lobes
=====  ==========  =====================================================

All pixels of a cell carry its class, the plain ones between nucleus and edge too. The three nuclei have the
same area and the same colour, so neither a pixel's colour nor its nearest neighbours tell the class: a method
has to see the whole cell, about 25 pixels across. That is what makes the set a fair first exercise for a
network that sees context.

One seed gives the same bytes on every machine: random numbers come from NumPy's counter-based Philox
generator as integers and uniform numbers, and the pictures are made with additions, multiplications,
divisions, square roots and comparisons only, which IEEE 754 rounds correctly everywhere (sines and
exponentials differ from one CPU to the next).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minidl._atomic import atomic_write
from minidl.errors import InputError
from minidl.segmentation.dataset_config import FILE_NAME
from minidl.segmentation.files import write_png

CLASSES = ("background", "round", "ring", "lobed")
COLOURS = np.array([[236, 232, 226], [214, 84, 64], [58, 126, 196], [86, 168, 92]], dtype=np.uint8)

SPACING = 22  # pixels between the sites of the jittered hexagonal grid that cells sit on
SMALLEST = 32  # pixels: a side shorter than this would hold no whole cell

# Reflected light in 0..1, red, green, blue.
_GLASS = np.array([0.80, 0.74, 0.78], dtype=np.float32)
_CYTOPLASM = np.array([0.66, 0.55, 0.70], dtype=np.float32)
_NUCLEUS = np.array([0.43, 0.30, 0.54], dtype=np.float32)

_NUCLEUS_AREA = 0.32  # share of the area of a cell of unit radius, the same for the three classes
_RING_MIDDLE = 0.58  # mean radius of the ring; its thickness follows from the area
_LOBE_DISTANCE = 0.44  # from the cell's centre to the centre of each lobe


@dataclass
class _Cells:
    """The cells of one picture, one entry each (S cells)."""

    centre: np.ndarray  # (S, 2) float32, pixels, y and x
    radius: np.ndarray  # (S,) float32, pixels
    axis: np.ndarray  # (S, 2) float32, unit vector: the long axis, and the nucleus's orientation
    stretch: np.ndarray  # (S,) float32, long over short axis
    wobble: np.ndarray  # (S, 2) float32, third harmonic of the outline
    shift: np.ndarray  # (S, 2) float32, of the nucleus off the centre, in radii
    kind: np.ndarray  # (S,) uint8, class id 1..3
    stain: np.ndarray  # (S, 2) float32, factor on the cytoplasm's and the nucleus's depth of colour


def touching_cells(count: int, size: int = 96, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Generate pictures of touching cells and their class masks.

    Picture ``i`` depends on ``seed``, ``size`` and ``i`` alone: a longer run begins with the shorter one.

    Args:
        count: number of pictures N, 0 or more.
        size: height and width in pixels, at least 32.
        seed: a non-negative integer below 2**64.

    Returns:
        ``images`` float32 (N, 3, size, size), RGB in 0..1 in steps of 1/255 (as an 8-bit file would hold
        them), and ``masks`` uint8 (N, size, size), the class ids of `CLASSES`.

    Raises:
        InputError: an argument out of its range.

    >>> images, masks = touching_cells(2, size=64, seed=7)
    >>> images.shape, images.dtype, masks.shape, masks.dtype
    ((2, 3, 64, 64), dtype('float32'), (2, 64, 64), dtype('uint8'))
    """
    if count < 0:
        raise InputError(f"count: {count} pictures cannot be generated; give 0 or more")
    if size < SMALLEST:
        raise InputError(f"size: {size} pixels are too few for whole cells; give at least {SMALLEST}")
    if not 0 <= seed < 2**64:
        raise InputError(f"seed: {seed} is out of range; give an integer from 0 to 2**64 - 1")
    images = np.empty((count, 3, size, size), dtype=np.float32)
    masks = np.empty((count, size, size), dtype=np.uint8)
    for index in range(count):
        rng = np.random.Generator(np.random.Philox(key=np.array([seed, index], dtype=np.uint64)))
        picture, masks[index] = _picture(rng, size)
        images[index] = np.floor(picture * 255 + np.float32(0.5)) / np.float32(255)
    return images, masks


def write_folder(
    path: str | os.PathLike[str],
    train: int = 160,
    val: int = 20,
    test: int = 20,
    size: int = 96,
    seed: int = 0,
) -> None:
    """Write the data set as a folder that `minidl.segmentation.folder.scan` reads.

    PNG files under ``train/``, ``val/`` and ``test/`` (a split of 0 pictures is left out), each with
    ``images/`` and ``labels/``, and a ``dataset.toml`` with the classes' names and colours. The splits are
    consecutive pictures of ``touching_cells(train + val + test, size, seed)``. The folder appears whole or
    not at all.

    Raises:
        InputError: ``path`` exists and is not an empty folder, cannot be written, or an argument is out of
            its range.
    """
    target = Path(path)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target}: exists already; give the path of a new folder, or remove it first")
    counts = {"train": train, "val": val, "test": test}
    if min(counts.values()) < 0 or sum(counts.values()) == 0:
        raise InputError(
            f"train, val, test: {train}, {val}, {test} pictures; give at least one, and none below 0"
        )
    images, masks = touching_cells(sum(counts.values()), size, seed)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
            folder = Path(scratch) / "data"
            folder.mkdir()
            _write_files(folder, counts, images, masks)
            if target.exists():
                target.rmdir()  # empty, as checked above
            shutil.move(folder, target)
    except OSError as error:
        raise InputError(
            f"{target}: cannot be written ({error.strerror or error}); give another path"
        ) from error


def _write_files(folder: Path, counts: dict[str, int], images: np.ndarray, masks: np.ndarray) -> None:
    pixels = np.rint(images * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    first = 0
    for split, count in counts.items():
        if count == 0:
            continue
        for kind in ("images", "labels"):
            (folder / split / kind).mkdir(parents=True)
        for index in range(first, first + count):
            write_png(folder / split / "images" / f"cells_{index:04d}.png", pixels[index])
            write_png(folder / split / "labels" / f"cells_{index:04d}.png", masks[index], palette=COLOURS)
        first += count
    names = ", ".join(f'"{name}"' for name in CLASSES)
    colours = ", ".join('"#{:02x}{:02x}{:02x}"'.format(*colour) for colour in COLOURS.tolist())
    atomic_write(folder / FILE_NAME, f"classes = [{names}]\ncolours = [{colours}]\n")


def _picture(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """One picture (3, size, size) float32 in 0..1 and its mask (size, size) uint8."""
    cells = _place_cells(rng, size)
    owner, gap, y, x = _owners(cells, size)
    radius = cells.radius[owner]

    # Polar form without angles: (c, s) is the direction seen from the cell's axis, and the third harmonic of
    # that angle is a polynomial in c and s.
    distance = np.sqrt(y * y + x * x)
    safe = np.maximum(distance, np.float32(1e-6))
    c, s = y / safe, x / safe
    wobble = cells.wobble[owner]
    outline = 1 + wobble[..., 0] * (c * (4 * c * c - 3)) + wobble[..., 1] * (s * (3 - 4 * s * s))
    inside = distance < outline
    mask = np.where(inside, cells.kind[owner], 0).astype(np.uint8)

    shift = cells.shift[owner]
    depth = _nucleus(cells.kind[owner], y - shift[..., 0], x - shift[..., 1])
    nucleus = np.clip(depth * radius + np.float32(0.5), 0, 1) * inside
    # A pale seam of about two pixels marks where two cells press against each other.
    seam = np.clip(1 - gap * radius / 3, 0, 1)
    stain = cells.stain[owner]
    body = inside * stain[..., 0] * (1 - np.float32(0.7) * seam)
    picture = _paint(rng, size, body, nucleus * stain[..., 1])
    return picture, mask


def _place_cells(rng: np.random.Generator, size: int) -> _Cells:
    """Draw the cells: sites of a jittered hexagonal grid, some of them left empty."""
    rows = cols = size // SPACING + 3
    total = rows * cols
    row, col = np.divmod(np.arange(total), cols)
    offset = rng.random((total, 2), dtype=np.float32)
    start = rng.random(2, dtype=np.float32) - np.float32(1.5)
    grid = np.stack([row, col + np.float32(0.5) * (row % 2)], axis=1).astype(np.float32)
    centre = SPACING * (grid + start + np.float32(0.34) * (offset - np.float32(0.5)))
    draws = rng.random((total, 10), dtype=np.float32)
    cells = _Cells(
        centre=centre,
        radius=np.float32(10.5) + np.float32(2.5) * draws[:, 0],
        axis=_directions(draws[:, 1], draws[:, 2]),
        stretch=1 + np.float32(0.18) * draws[:, 3],
        wobble=np.float32(0.10) * (draws[:, 4:6] - np.float32(0.5)),
        shift=np.float32(0.12) * (draws[:, 6:8] - np.float32(0.5)),
        kind=rng.integers(1, 4, size=total, dtype=np.uint8),
        stain=np.float32(0.85) + np.float32(0.3) * draws[:, 8:10],
    )
    # Cells come in clumps: a site is taken where a smooth random field is high.
    field = _smooth_field(rng, size, 4)
    at = np.clip(centre.astype(np.int64), 0, size - 1)
    taken = field[at[:, 0], at[:, 1]] + np.float32(0.5) * rng.random(total, dtype=np.float32) > np.float32(
        0.5
    )
    taken[np.argmax(field[at[:, 0], at[:, 1]])] = True  # never an empty picture
    return _Cells(**{name: value[taken] for name, value in vars(cells).items()})


def _directions(t: np.ndarray, flip: np.ndarray) -> np.ndarray:
    """Unit vectors (S, 2) from two uniform numbers each, by a rational parametrisation of the circle."""
    t = 2 * t - 1
    vectors = np.stack([1 - t * t, 2 * t], axis=1) / (1 + t * t)[:, None]
    return np.where(flip < 0.5, -1, 1).astype(np.float32)[:, None] * vectors


def _owners(cells: _Cells, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The cell that each pixel is nearest to, in units of the cell's radius.

    Returns the cell's index (size, size), how much farther the next cell is, and the pixel's offset from its
    own cell's centre along and across that cell's axis, in radii.
    """
    pixel = np.arange(size, dtype=np.float32)
    dy = (pixel[None, :, None] - cells.centre[:, 0, None, None]) / cells.radius[:, None, None]
    dx = (pixel[None, None, :] - cells.centre[:, 1, None, None]) / cells.radius[:, None, None]
    ay, ax = cells.axis[:, 0, None, None], cells.axis[:, 1, None, None]
    root = np.sqrt(cells.stretch)[:, None, None]
    along, across = (ay * dy + ax * dx) / root, (ay * dx - ax * dy) * root
    squared = along * along + across * across
    owner = np.argmin(squared, axis=0)[None]
    nearest = np.take_along_axis(squared, owner, axis=0)
    np.put_along_axis(squared, owner, np.float32(1e6), axis=0)
    gap = np.sqrt(squared.min(axis=0)) - np.sqrt(nearest[0])
    return (
        owner[0],
        gap,
        np.take_along_axis(along, owner, axis=0)[0],
        np.take_along_axis(across, owner, axis=0)[0],
    )


def _nucleus(kind: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Signed distance to the edge of the nucleus, in radii, positive inside; same shape as ``kind``.

    With a = _NUCLEUS_AREA (times pi): a disc of radius sqrt(a); a ring of mean radius m and thickness t with
    2 m t = a; three discs of radius sqrt(a / 3).
    """
    distance = np.sqrt(y * y + x * x)
    disc = np.float32(_NUCLEUS_AREA**0.5) - distance
    ring = np.float32(_NUCLEUS_AREA / (4 * _RING_MIDDLE)) - np.abs(distance - np.float32(_RING_MIDDLE))
    nearest = np.full_like(distance, np.inf)
    for cy, cx in ((1.0, 0.0), (-0.5, 0.75**0.5), (-0.5, -(0.75**0.5))):
        ly, lx = y - np.float32(_LOBE_DISTANCE * cy), x - np.float32(_LOBE_DISTANCE * cx)
        nearest = np.minimum(nearest, np.sqrt(ly * ly + lx * lx))
    lobes = np.float32((_NUCLEUS_AREA / 3) ** 0.5) - nearest
    return np.where(kind == 1, disc, np.where(kind == 2, ring, lobes))


def _paint(rng: np.random.Generator, size: int, body: np.ndarray, nucleus: np.ndarray) -> np.ndarray:
    """Colour, dirt, uneven light, blur and noise: (3, size, size) float32 in 0..1."""
    grain = np.float32(0.5) * (_smooth_field(rng, size, size // 4) + _smooth_field(rng, size, size // 9))
    body = body * (np.float32(0.6) + np.float32(0.8) * grain)
    dirt = np.clip(_smooth_field(rng, size, size // 5) * 8 - np.float32(6.4), 0, 1) * (body == 0)
    dark = np.maximum(nucleus, np.float32(0.8) * dirt)[None]
    glass, cytoplasm, core = (colour[:, None, None] for colour in (_GLASS, _CYTOPLASM, _NUCLEUS))
    picture = glass + body[None] * (cytoplasm - glass)
    picture = picture + dark * (core - picture)
    light = np.float32(0.72) + np.float32(0.5) * _smooth_field(rng, size, 2)
    tint = np.float32(0.96) + np.float32(0.08) * rng.random((3, 1, 1), dtype=np.float32)
    picture = _blur(picture * light * tint)
    return np.clip(picture + np.float32(0.055) * _noise(rng, picture.shape), 0, 1)


def _smooth_field(rng: np.random.Generator, size: int, knots: int) -> np.ndarray:
    """A random field (size, size) in 0..1: uniform numbers on a coarse grid, joined by cubic smooth steps."""
    values = rng.random((knots + 1, knots + 1), dtype=np.float32)
    position = np.arange(size, dtype=np.float32) * np.float32(knots / size)
    low = position.astype(np.int64)
    t = position - low
    t = t * t * (3 - 2 * t)
    rows = values[low] + t[:, None] * (values[low + 1] - values[low])
    return rows[:, low] + t[None, :] * (rows[:, low + 1] - rows[:, low])


def _blur(picture: np.ndarray) -> np.ndarray:
    """The binomial kernel 1 2 1 along both axes, edges repeated: the microscope's point spread."""
    padded = np.pad(picture, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    return (rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:]) / 16


def _noise(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Nearly Gaussian noise, mean 0, variance 1: four bytes summed, each of variance (256**2 - 1) / 12."""
    total = rng.integers(0, 256, size=(4, *shape), dtype=np.uint8).sum(axis=0, dtype=np.int64)
    deviation = (4 * (256**2 - 1) / 12) ** 0.5
    return (total.astype(np.float32) - np.float32(4 * 127.5)) / np.float32(deviation)
