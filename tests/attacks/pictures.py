"""Pictures and masks: seven formats mutated, bombs, other formats under these names, pipes, devices, links"""

from __future__ import annotations

import io
import os
import random
import shutil
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from attacks.bench import Bench, Ended, limited
from attacks.mutation import mutated

MEANS = "read, or refused in a line that names the file; no more memory than --picture-memory and a little"
COUNT = 4000
SUFFIXES = {
    "PNG": "png",
    "JPEG": "jpg",
    "TIFF": "tif",
    "BMP": "bmp",
    "WEBP": "webp",
    "GIF": "gif",
    "PPM": "ppm",
}


def attack(bench: Bench, rng: random.Random, count: int) -> None:
    """Each file is a picture to predict, and half of them a mask to compare with."""
    whole, hostile = list(_whole(rng)), list(_hostile())
    for number in range(count):
        if number < len(hostile) * 2 and count > 40:
            name, suffix, data = hostile[number // 2]
        elif rng.random() < 0.2:
            name, suffix, data = rng.choice(hostile)
        else:
            name, suffix, data = rng.choice(whole)
            what, data = mutated(rng, data)
            name = f"{name}, {what}"
        _try(bench, name, suffix, data, mask=number % 2 == 1)


def _try(bench: Bench, name: str, suffix: str, data: bytes | str, mask: bool) -> None:
    place, out = bench.folder / "given", bench.folder / "out"
    shutil.rmtree(place, ignore_errors=True)
    shutil.rmtree(out, ignore_errors=True)
    if mask:
        shutil.copytree(bench.data, place)
        (place / "val/masks/00.png").unlink()
        path = place / f"val/masks/00.{suffix}"
    else:
        place.mkdir()
        path = place / f"x.{suffix}"
    _make(path, data)

    def expect(ended: Ended) -> str:
        # Of a mask with other ids it is the data set that does not fit.
        named = path.name in ended.error or (mask and str(place) in ended.error)
        return "" if ended.code == 0 or named else f"does not name it: {ended.error}"

    if mask:
        bench.call(f"mask: {name}", "evaluate", bench.run, place, "--out", out, *limited("evaluate"),
                   writes=[out], expect=expect)  # fmt: skip
    else:
        bench.call(f"picture: {name}", "predict", bench.run, path, "--out", out, *limited("predict"),
                   writes=[out], expect=expect)  # fmt: skip


def _make(path: Path, data: bytes | str) -> None:
    """A file of these bytes; or, by its name, something that is no regular file."""
    if isinstance(data, bytes):
        path.write_bytes(data)
    elif data == "fifo":
        os.mkfifo(path)
    elif data == "folder":
        path.mkdir()
    elif data.startswith("sparse"):
        with open(path, "wb") as file:
            file.write(b"\x89PNG\r\n\x1a\n")
            file.truncate(int(data.split()[1]))
    else:
        path.symlink_to(data)


def _saved(pixels: np.ndarray, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def _whole(rng: random.Random) -> Iterator[tuple[str, str, bytes]]:
    """Small good files of every format, in several ways to write it."""
    numbers = np.random.default_rng(rng.randrange(2**32))
    gray, colour = (numbers.integers(0, 256, (16, 16, *more), dtype=np.uint8) for more in ((), (3,)))
    two = gray // 128
    for kind, suffix in SUFFIXES.items():
        for what, pixels in (("gray", gray), ("colour", colour), ("ids", two)):
            yield f"{kind} {what}", suffix, _saved(pixels, kind)
    yield "PNG 16 bit", "png", _saved(gray.astype(np.uint16) * 257, "PNG")
    yield "PNG with alpha", "png", _saved(np.dstack([colour, gray]), "PNG")
    yield "JPEG progressive", "jpg", _saved(colour, "JPEG", progressive=True)
    yield "WebP lossless", "webp", _saved(colour, "WEBP", lossless=True)
    for compression in ("tiff_lzw", "tiff_deflate", "packbits", "jpeg"):
        yield f"TIFF {compression}", "tif", _saved(colour, "TIFF", compression=compression)
    yield "TIFF float", "tif", _saved((gray / 255).astype(np.float32), "TIFF")
    yield "PGM of text", "pgm", b"P2 4 2 255\n0 1 2 3\n4 5 6 7\n"
    yield "PNG with a palette", "png", _palette(two)


def _palette(pixels: np.ndarray) -> bytes:
    picture, file = Image.fromarray(pixels, "L").convert("P"), io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int = 8, colour: int = 0, interlaced: int = 0, *more: bytes) -> bytes:
    """A PNG file that claims this size, and holds next to nothing."""
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    pixels = zlib.compress(bytes(10**6), 9)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (_chunk(b"IHDR", head), *more, _chunk(b"IDAT", pixels), _chunk(b"IEND", b""))
    )


def _hostile() -> Iterator[tuple[str, str, bytes | str]]:
    """Files that no camera writes."""
    yield from _bombs()
    yield from _foreign()
    for what in (
        "fifo",
        "folder",
        "/dev/zero",
        "/dev/random",
        "/dev/tty",
        "nowhere",
        "/proc/self/mem",
        "/",
        "sparse 99999999999",
    ):
        for suffix in ("png", "tif"):
            yield what, suffix, what
    for suffix in (*SUFFIXES.values(), "pgm"):
        yield "link to itself", suffix, f"x.{suffix}"
        yield "nothing", suffix, b""
        yield "zeros", suffix, bytes(1000)
        yield "text", suffix, b"not a picture\n" * 100
        yield "one byte", suffix, b"\x89"


def _bombs() -> Iterator[tuple[str, str, bytes]]:
    for width, height in (
        (30_000, 30_000),
        (2**31 - 1, 1),
        (1, 2**31 - 1),
        (0, 1),
        (1, 0),
        (2**32 - 1, 2**32 - 1),
    ):
        for colour, depth in ((0, 1), (0, 16), (2, 8), (3, 8), (6, 16)):
            yield (
                f"PNG claims {width} x {height}, {colour}, {depth}",
                "png",
                png(width, height, depth, colour),
            )
    yield "PNG claims 9000 x 9000, interlaced", "png", png(9000, 9000, 8, 2, 1)
    text = zlib.compress(bytes(300 * 2**20), 9)
    for kind in (b"zTXt", b"iCCP"):
        yield f"PNG with a bomb in {kind.decode()}", "png", png(8, 8, 8, 0, 0, _chunk(kind, b"a\0\0" + text))
    yield "PNG with a bomb in iTXt", "png", png(8, 8, 8, 0, 0, _chunk(b"iTXt", b"a\0\1\0\0\0" + text))
    yield "PNG with 200,000 chunks", "png", png(8, 8, 8, 0, 0, *[_chunk(b"teXt", b"a\0b")] * 200_000)
    yield "PNG that is animated", "png", png(8, 8, 8, 0, 0, _chunk(b"acTL", struct.pack(">II", 2**31, 0)))
    gray = np.zeros((16, 16), np.uint8)
    jpeg = bytearray(_saved(gray, "JPEG"))
    at = jpeg.index(b"\xff\xc0") + 5
    for height, width in ((13_300, 13_300), (65_535, 65_535), (65_535, 1), (0, 16)):
        yield (
            f"JPEG claims {width} x {height}",
            "jpg",
            bytes(jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]),
        )
    yield "JPEG with 50,000 segments", "jpg", bytes(jpeg[:2] + b"\xff\xfe\x00\x04ab" * 50_000 + jpeg[2:])
    for width, height in ((60_000, 60_000), (2**31 - 1, 2**31 - 1), (10**9, 10), (2000, 2000)):
        yield f"PPM claims {width} x {height}", "ppm", b"P6 %d %d 255\n" % (width, height) + bytes(100)
        yield f"PBM claims {width} x {height}", "ppm", b"P1 %d %d\n" % (width, height) + b"0 " * 100
        yield f"BMP claims {width} x {height}", "bmp", _bmp(gray, width, height)
    yield "PPM with a number of a million digits", "ppm", b"P6 " + b"1" * 10**6 + b" 1 255\n"
    yield "PPM of ten million comments", "ppm", b"P6 " + b"#\n" * 10**7 + b"1 1 255\nabc"
    yield "PFM claims 60000 x 60000", "ppm", b"Pf\n60000 60000\n-1.0\n" + bytes(100)
    gif = bytearray(_saved(gray, "GIF"))
    yield "GIF claims 65535 x 65535", "gif", bytes(gif[:6] + b"\xff" * 4 + gif[10:])
    yield from _tiffs(gray)


def _bmp(pixels: np.ndarray, width: int, height: int) -> bytes:
    data = bytearray(_saved(pixels, "BMP"))
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


def _tiff(entries: dict[int, tuple[int, int, int]], following: int = 0, pixels: bytes = bytes(64)) -> bytes:
    """A little-endian TIFF file of one directory: tag -> (type, count, value or offset)."""
    table = b"".join(struct.pack("<HHII", tag, *entry) for tag, entry in sorted(entries.items()))
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + struct.pack("<I", following) + pixels


def _tiffs(gray: np.ndarray) -> Iterator[tuple[str, str, bytes]]:
    plain = {256: (4, 1, 8), 257: (4, 1, 8), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1), 273: (4, 1, 122),
             278: (4, 1, 8), 279: (4, 1, 64)}  # fmt: skip
    yield "TIFF made by hand", "tif", _tiff(plain)
    for tag, name in (
        (256, "width"),
        (257, "height"),
        (278, "rows in a strip"),
        (279, "bytes in a strip"),
        (273, "offset"),
        (258, "bits"),
        (277, "samples"),
        (259, "compression"),
    ):
        for value in (0, 1, 7, 65_535, 10**6, 2**31, 2**32 - 1):
            yield f"TIFF with {value} as {name}", "tif", _tiff({**plain, tag: (4, 1, value)})
    for tag in (273, 279, 258, 320, 270):
        yield f"TIFF that claims 2**30 values of {tag}", "tif", _tiff({**plain, tag: (4, 2**30, 8)})
    tiles = {k: v for k, v in plain.items() if k not in (273, 278, 279)}
    for side in (0, 1, 16, 60_000, 2**31, 2**32 - 1):
        more = {322: (4, 1, side), 323: (4, 1, side), 324: (4, 1, 122), 325: (4, 1, 64)}
        yield f"TIFF of tiles of {side}", "tif", _tiff({**tiles, **more})
    yield "TIFF whose directories are a circle", "tif", _tiff(plain, following=8)
    lzw = bytearray(_saved(gray, "TIFF", compression="tiff_lzw"))
    yield "TIFF whose next directory is far away", "tif", _tiff(plain, following=2**32 - 1)
    yield "TIFF cut in its directory", "tif", bytes(lzw[:20])
    stack = io.BytesIO()
    first, *rest = [Image.fromarray(gray)] * 300
    first.save(stack, "TIFF", save_all=True, append_images=rest)
    yield "TIFF of 300 pages", "tif", stack.getvalue()


def _foreign() -> Iterator[tuple[str, str, bytes]]:
    """Formats that Pillow also knows, and others, under names that are taken."""
    postscript = (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/tmp/minidl-was-run) (w) file closefile\n"
    )
    texts = {
        "PostScript": postscript + b"%%EndComments\nshowpage\n",
        "PDF": b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\n",
        "SVG": b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]><svg xmlns="http://www.w3.org/2000/svg"/>',
        "XPM": b'/* XPM */\nstatic char * x[] = {\n"9 9 1 1",\n};',
        "XBM": b"#define x_width 99999\n#define x_height 99999\nstatic char x_bits[] = {\n0x00};\n",
        "pickle": b"\x80\x04\x95\x1e\0\0\0\0\0\0\0\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.",
        "gzip": b"\x1f\x8b\x08" + bytes(100),
        "ELF": b"\x7fELF" + bytes(100),
        "FITS": b"SIMPLE  =                    T" + b" " * 2850,
        "WMF": b"\xd7\xcd\xc6\x9a" + bytes(100),
        "Photoshop": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 30_000, 30_000, 8, 3),
        "FLI": bytes(4) + b"\x11\xaf" + bytes(200),
        "NumPy": b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    }
    for name, data in texts.items():
        for suffix in ("png", "jpg", "tif"):
            yield f"{name} named .{suffix}", suffix, data
    gray = np.zeros((16, 16), np.uint8)
    for kind in ("TGA", "ICO", "PCX", "SGI", "DIB", "JPEG2000", "ICNS", "SPIDER", "MSP"):
        try:
            picture = Image.fromarray(gray)
            file = io.BytesIO()
            (picture.convert("1") if kind == "MSP" else picture).save(file, kind)
        except (OSError, KeyError, ValueError):
            continue  # this Pillow cannot write it
        yield f"{kind} named .png", "png", file.getvalue()
