"""What the samples of a picture file are: how many bits they have, and which value is white.

Pillow hands out pictures to look at. On the way it stretches gray of 2 and 4 bits and PGM files with a white
of their own to 0..255, turns TIFF files around in which 0 is white, and cuts 16-bit colours to 8 bits. For a
picture that is right or nearly so, but the numbers in a mask are names of classes. So the header is asked,
before anything is decoded, how the samples lie in the file, and `minidl.segmentation.stored` gives them back.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from minidl.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

_ENOUGH = 64  # bytes of a file's beginning that tell what is asked here
_KNOWN = (
    ("TIFF", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    ("BMP", (b"BM",)),
    ("PNG", (b"\x89PNG\r\n\x1a\n",)),
    ("PAM", (b"P7\n",)),
    ("netpbm", (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6", b"PF")),
)


@dataclass(frozen=True)
class Samples:
    """How the samples lie in the file.

    Attributes:
        bits: of one sample.
        white: the value that is white.
        inverted: 0 is white, and ``white`` is black.
        signed: values may be below 0.
        associated: colours were multiplied with their opacity.
        converted: the colours were made from others (YCbCr) and rounded.
        alpha_beside_gray: two samples a pixel, which Pillow may hand out as colours.
    """

    bits: int
    white: int
    inverted: bool = False
    signed: bool = False
    associated: bool = False
    converted: bool = False
    alpha_beside_gray: bool = False


def samples_of(picture: Image.Image, file: IO[bytes], path: Path) -> Samples:
    """What the header of a recognised picture says of its samples; nothing was decoded yet.

    Raises:
        InputError: Pillow would take other values out of the file than are in it, and cannot be helped.
    """
    if picture.format == "TIFF":
        return _tiff(picture, path)
    head = _head(file)
    if picture.format == "PNG":
        return Samples(head[24], 2 ** head[24] - 1, alpha_beside_gray=head[25] == 4)
    if picture.format == "BMP":
        return _bmp(picture, head, path)
    if picture.format == "PPM" and picture.mode in ("1", "L", "I", "RGB"):
        return _netpbm(picture, file, path)
    bits = 1 if picture.mode == "1" else 8
    return Samples(bits, 2**bits - 1)


def unknown_kind(file: IO[bytes]) -> str | None:
    """The format of a file that Pillow did not recognise, if its beginning is that of a known one.

    >>> import io
    >>> unknown_kind(io.BytesIO(b"P7\\nWIDTH 4")), unknown_kind(io.BytesIO(b"hello"))
    ('PAM', None)
    """
    head = _head(file)
    return next((name for name, marks in _KNOWN if head.startswith(marks)), None)


def _head(file: IO[bytes]) -> bytes:
    before = file.tell()
    try:
        file.seek(0)
        return file.read(_ENOUGH)
    finally:
        file.seek(before)


def _tiff(picture: Any, path: Path) -> Samples:
    tags = picture.tag_v2

    def first(tag: int, default: int) -> int:
        value = tags.get(tag, default)
        value = value[0] if isinstance(value, tuple) and value else value
        return value if isinstance(value, int) else default

    bits, photometric = first(258, 1), first(262, 0)
    apart = first(284, 1) == 2 and picture.info.get("compression") == "raw"
    if apart and (bits != 8 or photometric == 0 or first(266, 1) == 2):
        # Of the way in which such samples lie Pillow keeps the first letter, and reads others.
        raise InputError(
            f"{path}: a TIFF file of {bits}-bit samples with planes of their own (PlanarConfiguration 2),"
            " which are not read exactly here; save it with the samples of a pixel together, or as PNG"
        )
    return Samples(
        bits=bits,
        white=2**bits - 1,
        inverted=photometric == 0,
        signed=first(339, 1) == 2,
        associated=first(338, 0) == 1,
        converted=photometric == 6,
    )


def _bmp(picture: Any, head: bytes, path: Path) -> Samples:
    """Of indices; where Pillow takes a palette of grays for none it forgets how long an index is."""
    from PIL import ImagePalette

    core = int.from_bytes(head[14:18], "little") == 12
    at = 24 if core else 28
    bits = int.from_bytes(head[at : at + 2], "little")
    if bits == 0 or bits > 8:
        return Samples(bits=5 if bits == 16 else 8, white=31 if bits == 16 else 255)
    taken = {"1": 1, "L": 8}.get(picture.mode, bits)
    decoder, extents, offset, parameters = tuple(picture.tile[0])
    if decoder == "bmp_rle" and offset % 2:  # where runs end is counted from the beginning of the file
        raise InputError(f"{path}: a BMP file whose pixels begin at an odd place; save it as PNG")
    if taken != bits or (decoder == "bmp_rle" and picture.mode == "1"):
        grays = (0, 255) if picture.mode == "1" else range(2**bits)
        picture._mode = "P"
        picture.palette = ImagePalette.raw("RGB", bytes(value for value in grays for _ in range(3)))
        raw = "P" if bits == 8 or decoder == "bmp_rle" else f"P;{bits}"
        kind = type(picture.tile[0])
        entry = (decoder, extents, offset, (raw, *parameters[1:]))
        picture.tile = [kind(*entry) if kind is not tuple else entry]
    return Samples(bits, 2**bits - 1)


def _netpbm(picture: Any, file: IO[bytes], path: Path) -> Samples:
    decoder, _, offset, parameters = tuple(picture.tile[0])
    bits = {"1": 1, "I": 16}.get(picture.mode, 8)
    scaled = decoder != "raw" and bits > 1
    white = int(parameters[-1]) if scaled else 2**bits - 1
    bits = bits if white < 256 else 16
    if decoder != "ppm_plain":
        row = picture.size[0] * len(picture.getbands()) * bits
        _check_last(file, path, offset + picture.size[1] * -(-row // 8))
    if decoder == "ppm":
        _check_white(picture, file, path, offset, white)
    return Samples(bits, white)


def _check_last(file: IO[bytes], path: Path, end: int) -> None:
    """These files may follow each other in one, of which Pillow sees the first."""
    before = file.tell()
    try:
        file.seek(end)
        if re.match(rb"P[1-7]\s", file.read(3)):
            raise InputError(f"{path}: holds several images; save each to a file of its own")
    finally:
        file.seek(before)


def _check_white(picture: Any, file: IO[bytes], path: Path, offset: int, white: int) -> None:
    """Values above the file's own white are against the format, and would be read as white."""
    before = file.tell()
    kind = np.dtype(np.uint8 if white < 256 else ">u2")
    count = picture.size[0] * picture.size[1] * len(picture.getbands())
    most = 0
    try:
        file.seek(offset)
        while count > 0 and (data := file.read(min(count, 2**20) * kind.itemsize)):
            values = np.frombuffer(data[: len(data) // kind.itemsize * kind.itemsize], kind)
            most, count = max(most, int(values.max(initial=0))), count - max(1, values.size)
    finally:
        file.seek(before, os.SEEK_SET)
    if most > white:
        raise InputError(
            f"{path}: holds the value {most}, above the largest that its header allows, {white}; correct the"
            " header, or save it as PNG"
        )
