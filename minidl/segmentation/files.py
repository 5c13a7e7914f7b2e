"""Read images and masks, write PNG files.

What the many kinds of image file become:

===========================================  ================================================================
file                                         image: float32 (C, H, W) in 0..1
===========================================  ================================================================
8-bit gray, 1-bit, a palette of grays only   C = 1, value / 255 (1-bit: 0 and 1)
16-bit gray                                  C = 1, value / 65535
gray with a white of its own (1 to 15 bits)  C = 1, value / white
floating-point gray, already within 0..1     C = 1, as it is
RGB, palette, CMYK and other colour spaces   C = 3, converted to RGB, value / 255
with alpha (RGBA, LA, palette)               alpha is dropped: the colours are what was recorded; laying them
                                             over a backdrop of our choice would invent a picture
===========================================  ================================================================

The EXIF orientation that cameras write is applied to images and masks alike. An RGB file whose channels
happen to be equal stays RGB. Stacks (TIFF files of several pages, animations) are refused: one file is one
image.

Which formats are opened, and how much memory a picture may take: `minidl.segmentation.decoding`.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from minidl._atomic import atomic_write
from minidl.errors import InputError
from minidl.segmentation.decoding import FORMATS, MASK_FORMATS, decoded
from minidl.segmentation.memory import MEMORY
from minidl.segmentation.samples import Samples
from minidl.segmentation.stored import Stored, grays_of, stored

if TYPE_CHECKING:
    from PIL import Image

PathLike = str | os.PathLike[str]

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".pbm", ".pgm", ".ppm", ".pnm"}
)
LOSSY_SUFFIXES = frozenset({".jpg", ".jpeg"})


def read_image(path: PathLike, memory: int = MEMORY) -> np.ndarray:
    """Read an image file as float32 (C, H, W) in 0..1, C = 1 (gray) or 3 (RGB).

    Args:
        path: the file.
        memory: bytes that reading it may take.

    Raises:
        InputError: the file is missing, no regular file, empty, truncated, not an image of a known format, a
            stack of several images, of more pixels than ``memory`` is for, or holds values without a known
            range (32-bit integers above 65535, floats outside 0..1).

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_png(Path(folder) / "a.png", np.array([[0, 51], [102, 255]], dtype=np.uint8))
    ...     read_image(Path(folder) / "a.png")
    array([[[0. , 0.2],
            [0.4, 1. ]]], dtype=float32)
    """
    return read_turned(path, memory)[0]


def read_turned(path: PathLike, memory: int = MEMORY) -> tuple[np.ndarray, int]:
    """The image as `read_image` gives it, and the EXIF orientation (1 to 8) that turned it upright."""
    path = Path(path)
    with decoded(path, FORMATS, memory) as read:
        return _image(read.picture, read.samples, path), read.orientation


def _image(picture: Image.Image, samples: Samples, path: Path) -> np.ndarray:
    mode = picture.mode
    if mode == "1":
        return np.asarray(picture).astype(np.float32)[None]
    if mode in ("L", "LA", "La") or (picture.format == "PNG" and samples.alpha_beside_gray):
        pixels = np.asarray(picture.getchannel(0))
        if samples.signed and pixels.max(initial=0) > 127:
            raise InputError(f"{path}: signed values below 0 have no known black; save it as 8-bit PNG")
        return _gray(pixels, 127 if samples.signed else 255)
    if mode in ("P", "PA") and grays_of(picture) is not None:
        return _gray(np.asarray(picture.convert("L")), 255)
    if mode.startswith("I"):
        return _wide_integers(np.asarray(picture), picture.format == "TIFF", samples, path)
    if mode == "F":
        return _floats(np.asarray(picture), path)
    pixels = np.asarray(picture if mode == "RGB" else picture.convert("RGB"))
    picture.close()  # what the decoder holds
    return _scaled(pixels.transpose(2, 0, 1), 255)


def _gray(pixels: np.ndarray, full: int) -> np.ndarray:
    return _scaled(pixels[None], full)


def _scaled(pixels: np.ndarray, full: int) -> np.ndarray:
    """Values of 0..full as float32 of 0..1 in C order, without a copy in between."""
    result = np.empty(pixels.shape, np.float32)
    return np.divide(pixels, np.float32(full), out=result, dtype=np.float32, casting="unsafe")


def _wide_integers(pixels: np.ndarray, own_white: bool, samples: Samples, path: Path) -> np.ndarray:
    """12- and 16-bit gray; some files hold the same range in 32-bit integers."""
    if pixels.dtype.itemsize > 2 and (pixels.min() < 0 or pixels.max() > 65535):
        raise InputError(
            f"{path}: 32-bit values from {pixels.min()} to {pixels.max()} have no known white;"
            " save it as 8 or 16 bit"
        )
    white = samples.white if own_white and samples.bits < 16 else 65535
    if own_white and samples.inverted:
        pixels = white - pixels
    return _gray(pixels, white)


def _floats(pixels: np.ndarray, path: Path) -> np.ndarray:
    low, high = float(pixels.min()), float(pixels.max())
    if not (0 <= low and high <= 1):  # false for NaN, too
        raise InputError(
            f"{path}: floating-point values from {low:g} to {high:g}; scale them to 0..1,"
            " or save it as 8 or 16 bit"
        )
    return pixels.astype(np.float32)[None]


def read_mask(path: PathLike, memory: int = MEMORY) -> np.ndarray:
    """Read a mask file's raw values, never scaled.

    Gray and 1-bit files give uint8 or int32 (H, W): the values as they are in the file (1-bit: 0 is black, 1
    is white). Palette files give the index (H, W) uint8, not the colour, unless all colours are gray: then
    the gray values. RGB files give uint8 (H, W, 3): what the colours mean is for the data set to say
    (`minidl.segmentation.folder`). An alpha channel is dropped. Every kind: `minidl.segmentation.stored`.

    Raises:
        InputError: as `read_image`; also for what does not keep ids exact: compression with loss (JPEG files,
            TIFF and WebP files with such a compression), colours of other than 8 bits, floating point.
    """
    return read_stored(path, memory).values


def read_stored(path: PathLike, memory: int = MEMORY) -> Stored:
    """What `read_mask` reads, with the palette if the values are indices, and the EXIF orientation."""
    path = Path(path)
    with decoded(path, MASK_FORMATS, memory) as read:
        values, palette = stored(read.picture, read.samples, path)
        return Stored(values, palette, read.orientation)


def write_png(path: PathLike, pixels: np.ndarray, palette: np.ndarray | None = None) -> None:
    """Write a PNG file, whole or not at all (see `minidl._atomic.atomic_write`).

    Args:
        path: the file to write; its folder must exist.
        pixels: uint8 (H, W) gray, uint8 (H, W, 3) RGB, or uint16 (H, W) gray of 16 bits.
        palette: uint8 (K, 3), K at most 256: store uint8 (H, W) as palette indices that viewers show in these
            colours; `read_mask` gives the indices back.

    Raises:
        InputError: the file cannot be written.
        ValueError: shape or dtype is none of the above, or an index has no colour.
    """
    from PIL import Image

    pixels = np.ascontiguousarray(pixels)
    kind = (pixels.dtype.name, pixels.shape[2:] if pixels.ndim == 3 else pixels.ndim)
    if kind not in (("uint8", 2), ("uint8", (3,)), ("uint16", 2)) or pixels.size == 0:
        raise ValueError(
            "write_png takes uint8 (H, W), uint8 (H, W, 3) or uint16 (H, W), none of them empty;"
            f" got {pixels.dtype} {pixels.shape}"
        )
    picture = Image.fromarray(pixels)
    if palette is not None:
        if kind != ("uint8", 2) or int(pixels.max()) >= len(palette):
            raise ValueError(
                f"write_png: a palette of {len(palette)} colours needs uint8 (H, W) indices below that"
            )
        picture.putpalette(np.ascontiguousarray(_with_a_colour(palette), dtype=np.uint8).tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    atomic_write(path, buffer.getvalue())


def _with_a_colour(palette: np.ndarray) -> np.ndarray:
    """A palette of grays alone would say that the grays are meant (`minidl.segmentation.stored`)."""
    if len(palette) > 255 or (palette != palette[:, :1]).any():
        return palette
    return np.concatenate([palette, [[255, 0, 0]]])
