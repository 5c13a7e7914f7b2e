"""Read images and masks, write PNG files.

What the many kinds of image file become:

===========================================  ================================================================
file                                         image: float32 (C, H, W) in 0..1
===========================================  ================================================================
8-bit gray, 1-bit                            C = 1, value / 255 (1-bit: 0 and 1)
16-bit gray                                  C = 1, value / 65535
floating-point gray, already within 0..1     C = 1, as it is
RGB, palette, CMYK and other colour spaces   C = 3, converted to RGB, value / 255
with alpha (RGBA, LA, palette)               alpha is dropped: the colours are what was recorded; laying them
                                             over a backdrop of our choice would invent a picture
===========================================  ================================================================

The EXIF orientation that cameras write is applied to images and masks alike. An RGB file whose channels
happen to be equal stays RGB. Stacks (TIFF files of several pages, animations) are refused: one file is one
image.
"""

from __future__ import annotations

import io
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from minidl._atomic import atomic_write
from minidl.errors import InputError
from minidl.kernels import forks

if TYPE_CHECKING:
    from PIL import Image

PathLike = str | os.PathLike[str]

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".pgm", ".ppm"}
)
LOSSY_SUFFIXES = frozenset({".jpg", ".jpeg"})

_filters = forks.guarded(threading.Lock())
_KINDS = "give a PNG, JPEG, TIFF, BMP or WebP file"


def read_image(path: PathLike) -> np.ndarray:
    """Read an image file as float32 (C, H, W) in 0..1, C = 1 (gray) or 3 (RGB).

    Raises:
        InputError: the file is missing, empty, truncated, not an image, a stack of several images, of too
            many pixels, or holds values without a known range (32-bit integers above 65535, floats outside
            0..1).

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_png(Path(folder) / "a.png", np.array([[0, 51], [102, 255]], dtype=np.uint8))
    ...     read_image(Path(folder) / "a.png")
    array([[[0. , 0.2],
            [0.4, 1. ]]], dtype=float32)
    """
    path = Path(path)
    with _opened(path) as picture:
        mode = picture.mode
        if mode == "1":
            return np.asarray(picture, dtype=np.float32)[None]
        if mode == "L" or mode == "LA" or mode == "La":
            return _gray(np.asarray(picture.getchannel(0)), 255)
        if mode.startswith("I"):
            return _wide_integers(np.asarray(picture), path)
        if mode == "F":
            return _floats(np.asarray(picture), path)
        pixels = np.asarray(picture.convert("RGB"), dtype=np.float32)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)) / np.float32(255)


def _gray(pixels: np.ndarray, full: int) -> np.ndarray:
    return pixels.astype(np.float32)[None] / np.float32(full)


def _wide_integers(pixels: np.ndarray, path: Path) -> np.ndarray:
    """16-bit gray; some files hold the same range in 32-bit integers."""
    if pixels.dtype.itemsize > 2 and (pixels.min() < 0 or pixels.max() > 65535):
        raise InputError(
            f"{path}: 32-bit values from {pixels.min()} to {pixels.max()} have no known white;"
            " save it as 8 or 16 bit"
        )
    return _gray(pixels, 65535)


def _floats(pixels: np.ndarray, path: Path) -> np.ndarray:
    low, high = float(pixels.min()), float(pixels.max())
    if not (0 <= low and high <= 1):  # false for NaN, too
        raise InputError(
            f"{path}: floating-point values from {low:g} to {high:g}; scale them to 0..1,"
            " or save it as 8 or 16 bit"
        )
    return pixels.astype(np.float32)[None]


def read_mask(path: PathLike) -> np.ndarray:
    """Read a mask file's raw values, never scaled.

    Gray and 1-bit files give uint8 or int32 (H, W): the values as they are in the file (1-bit: 0 and 1).
    Palette files give the index (H, W) uint8, not the colour. RGB files give uint8 (H, W, 3): what the
    colours mean is for the data set to say (`minidl.segmentation.folder`). An alpha channel is dropped.

    Raises:
        InputError: as `read_image`; also for floating-point files, and JPEG files, whose compression changes
            ids.
    """
    path = Path(path)
    with _opened(path) as picture:
        if picture.format in ("JPEG", "MPO"):
            raise InputError(
                f"{path}: a mask in JPEG, which does not keep class ids exact; save masks as PNG"
            )
        mode = picture.mode
        if mode in ("1", "L", "P"):
            return np.array(picture, dtype=np.uint8)
        if mode in ("LA", "La", "PA"):
            return np.array(picture.getchannel(0))
        if mode.startswith("I"):
            return np.asarray(picture).astype(np.int32)
        if mode in ("RGB", "RGBA", "RGBX"):
            return np.asarray(picture)[..., :3].copy()
    raise InputError(f"{path}: a mask of mode {mode}; save it as 8-bit gray PNG whose values are class ids")


def _recognised(path: Path) -> Image.Image:
    """The picture, of which no more than the header was read.

    Large ones are welcome; only at twice its limit (179 million pixels) does Pillow refuse. Its warning is
    asked for with a lock, since the filters of warnings are the whole process's, and pictures are read by
    several threads: one of them would put back what another has set.
    """
    from PIL import Image

    with _filters, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(path)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The decoded picture, turned upright; every failure to decode is one line that names the file."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        if os.path.getsize(path) == 0 and path.is_file():
            raise InputError(f"{path}: an empty file; {_KINDS}")
        with _recognised(path) as file:
            pages = getattr(file, "n_frames", 1)
            if pages > 1 and file.format != "MPO":  # MPO: a photo with its preview, as phones write it
                raise InputError(f"{path}: holds {pages} images; save each to a file of its own")
            file.load()
            picture = ImageOps.exif_transpose(file)
            picture.format = file.format
    except (InputError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; check the path") from error
    except IsADirectoryError as error:
        raise InputError(f"{path}: a folder, not an image file; {_KINDS}") from error
    except PermissionError as error:
        raise InputError(f"{path}: no permission to read it; change its permissions") from error
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: not an image file, or a damaged one; {_KINDS}") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{path}: too large (179 million pixels at most); cut it into parts") from error
    except Exception as error:  # on damaged data Pillow's decoders raise nearly every kind of error
        raise InputError(
            f"{path}: a damaged or truncated image file ({_one_line(error)}); copy it again"
        ) from error
    yield picture


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


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
        picture.putpalette(np.ascontiguousarray(palette, dtype=np.uint8).tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    atomic_write(path, buffer.getvalue())
