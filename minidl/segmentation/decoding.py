"""Decode picture files that may come from anybody: known formats only, within a limit of memory.

Pillow knows some forty formats, and goes by what is in a file, whatever it is called: PostScript named
``x.png`` would start another program. So only `FORMATS` are opened, and as masks only `MASK_FORMATS`. What a
picture takes in memory is worked out from its header, before it is decoded, and must be within a limit, for
all threads that read at one time (`minidl.segmentation.memory`).
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from minidl import _inputs
from minidl._text import one_line
from minidl.errors import InputError
from minidl.kernels import forks
from minidl.segmentation.memory import ROOM, bytes_needed
from minidl.segmentation.samples import Samples, samples_of, unknown_kind

if TYPE_CHECKING:
    from PIL import Image

#: What Pillow may decode, by its names; of masks only what keeps ids exact.
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF", "PPM")
MASK_FORMATS = ("PNG", "TIFF", "BMP", "WEBP", "GIF", "PPM")
#: Compressions within TIFF files that keep values; of others, and of such as are not known, nobody says so.
_EXACT_TIFF = (
    "raw", "tiff_ccitt", "group3", "group4", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits",
    "lzma", "zstd", "tiff_raw_16",
)  # fmt: skip

_settings = forks.guarded(threading.Lock())
_KINDS = "give a PNG, JPEG, TIFF, BMP or WebP file"
_MORE = "cut it into parts, or allow more with --picture-memory"
_ORIENTATION = 0x0112  # EXIF's and TIFF's tag
_COUNTED = 2**20  # bytes: counting the pages of a larger stack could take minutes


@dataclass(frozen=True)
class Decoded:
    """A picture, turned upright; how its samples lie in the file, and its EXIF orientation before."""

    picture: Image.Image
    samples: Samples
    orientation: int


@contextmanager
def decoded(path: Path, formats: tuple[str, ...], memory: int) -> Iterator[Decoded]:
    """The decoded picture, turned upright; every failure to decode is one line that names the file.

    Args:
        path: the file.
        formats: `FORMATS` or `MASK_FORMATS`.
        memory: bytes that it may take.

    Raises:
        InputError: no regular file, none of these formats, damaged, several pictures, or too large.
    """
    with _inputs.opened(path, "an image file", _KINDS, most=memory) as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            raise InputError(f"{path}: an empty file; {_KINDS}")
        with _said_in_one_line(path, memory):
            picture = _recognised(file, path, memory)
            if formats is MASK_FORMATS:
                _refuse_loss(picture, file, path)
            needed = _check_claims(picture, path, size, memory)
            samples = samples_of(picture, file, path)
        with ROOM.lend(needed, memory), closing(picture):
            with _said_in_one_line(path, memory):
                orientation = _decode(picture)
            yield Decoded(picture, samples, orientation)


@contextmanager
def _said_in_one_line(path: Path, memory: int) -> Iterator[None]:
    """Every failure of Pillow's as an InputError that names the file."""
    from PIL import Image, UnidentifiedImageError

    try:
        yield
    except (InputError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: not an image file, or a damaged one; {_KINDS}") from error
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{path}: too large, it claims more pixels than {_mebibytes(memory)} are for; {_MORE}"
        ) from error
    except Exception as error:  # on damaged data Pillow's decoders raise nearly every kind of error
        reason = one_line(error) or type(error).__name__
        if "raw mode" in reason:  # how the samples lie is known to Pillow's headers, but not to its decoders
            raise InputError(f"{path}: of a kind that is not read here ({reason}); save it as PNG") from error
        raise InputError(f"{path}: a damaged or truncated image file ({reason}); copy it again") from error


def _recognised(file: IO[bytes], path: Path, memory: int) -> Image.Image:
    """The picture, of which no more than the header was read.

    Pillow has a limit of its own, with a warning at half of it, and some decoders take memory as soon as they
    are made: its limit becomes what ``memory`` is for. It is the whole process's, as the filters of warnings
    are, and pictures are read by several threads: one of them would put back what another has set.
    """
    from PIL import TiffImagePlugin, WebPImagePlugin  # noqa: F401, I001 - two that are not there by themselves
    from PIL import Image, UnidentifiedImageError

    with _settings, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = memory // bytes_needed("L", 1, 1) // 2 + 1
        try:
            return Image.open(file, formats=FORMATS)
        except UnidentifiedImageError as error:
            kind = unknown_kind(file)
            if kind is None:
                raise
            raise InputError(
                f"{path}: a damaged {kind} file, or one of a kind that is not read here; save it as PNG"
            ) from error
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _check_claims(picture: Image.Image, path: Path, size: int, memory: int) -> int:
    """What the header says, before anything is decoded; the bytes that decoding takes."""
    from PIL import TiffImagePlugin

    width, height = picture.size
    if isinstance(picture, TiffImagePlugin.TiffImageFile):  # is read by tiles, which may be larger than it
        width = max(width, _whole(picture.tag_v2.get(TiffImagePlugin.TILEWIDTH)))
        height = max(height, _whole(picture.tag_v2.get(TiffImagePlugin.TILELENGTH)))
    needed = bytes_needed(picture.mode, width, height, picture.format)
    if needed > memory:
        raise InputError(
            f"{path}: too large, {width} x {height} pixels take {_mebibytes(needed)} to read and"
            f" {_mebibytes(memory)} are allowed; {_MORE}"
        )
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        _check_whole(picture, path, size)
    # In MPO files a photo comes with its preview: phones write them.
    if picture.format != "MPO" and getattr(picture, "is_animated", False):
        pages = getattr(picture, "n_frames", 1) if size <= _COUNTED else "several"
        raise InputError(f"{path}: holds {pages} images; save each to a file of its own")
    return needed


def _check_whole(picture: Any, path: Path, size: int) -> None:
    """A TIFF file ends behind its compressed pixels: the decoder would say so past Python's streams."""
    tags = picture.tag_v2
    if tags.get(259, 1) == 1:
        return  # not compressed: Pillow reads it by itself
    for offsets, counts in ((273, 279), (324, 325)):  # of strips, of tiles
        places = zip(_list(tags.get(offsets)), _list(tags.get(counts)), strict=False)
        if any(_whole(at) + _whole(length) > size for at, length in places):
            raise InputError(
                f"{path}: a damaged or truncated image file (pixels lie behind its end); copy it again"
            )


def _list(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else (value,)


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _refuse_loss(picture: Image.Image, file: IO[bytes], path: Path) -> None:
    """Compression with loss turns ids into other ids."""
    kind = "JPEG" if picture.format == "MPO" else picture.format
    if kind == "WEBP" and _lossy_webp(file):
        kind = "WebP compressed with loss"
    elif kind == "TIFF" and picture.info.get("compression") not in _EXACT_TIFF:
        kind = "TIFF compressed with loss"
    elif kind in MASK_FORMATS:
        return
    raise InputError(f"{path}: a mask in {kind}, which does not keep class ids exact; save masks as PNG")


def _lossy_webp(file: IO[bytes]) -> bool:
    """Whether the first chunk with pixels is of the lossy kind (Pillow does not tell)."""
    before = file.tell()
    try:
        file.seek(12)
        for _ in range(100):  # more chunks than any program writes before the pixels
            head = file.read(8)
            if len(head) < 8 or head[:4] == b"VP8L":
                return len(head) < 8
            if head[:4] == b"VP8 ":
                return True
            size = int.from_bytes(head[4:], "little")
            file.seek(size + size % 2, os.SEEK_CUR)
        return True
    finally:
        file.seek(before)


def _decode(picture: Any) -> int:
    """Decode it, turn it upright, and give the EXIF orientation that it had."""
    from PIL import ImageOps

    # Of a TIFF file Pillow does both at once, and forgets the tag; elsewhere it may stand behind the pixels.
    tags = getattr(picture, "tag_v2", None)
    orientation = None if tags is None else tags.get(_ORIENTATION, 1)
    picture.load()
    if orientation is None:
        orientation = picture.getexif().get(_ORIENTATION, 1)
    ImageOps.exif_transpose(picture, in_place=True)
    return orientation if orientation in range(1, 9) else 1


def _mebibytes(count: int) -> str:
    return f"{-(-count // 2**20):,} MiB"
