"""Every kind of mask file: container x mode x bit depth, in the ways it may lie there, and what is in it."""

import io
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from oracles.picture_files import DEFLATE, LZW, NONE, OLD_DEFLATE, PACKBITS, bmp, gif, png, pnm, tiff

SHAPE = (7, 13)  # rows that end within a byte

AS_THEY_ARE = "the values as they are"
BLACK_WHITE = "0 where it is black, 1 where it is white"
GRAYS = "the gray values of the palette"
INDICES = "the indices"
COLOURS = "the colours"
GRAY_OF = "the gray values, alpha dropped"


@dataclass(frozen=True)
class Kind:
    """One row of the table: what it is, what comes out or why nothing does, and its files."""

    container: str
    stored: str
    bits: str
    read: str | None  # None: refused
    says: str  # a part of the message, if refused
    files: dict[str, tuple[bytes, np.ndarray | None]] = field(repr=False)


def values(below: int, channels: int = 0, seed: int = 0) -> np.ndarray:
    """All values up to ``below`` where there is room, the highest one always."""
    shape = (*SHAPE, channels) if channels else SHAPE
    drawn = np.random.default_rng(seed).integers(0, below, shape)
    drawn.flat[: min(below, drawn.size)] = np.arange(below)[-drawn.size :]
    drawn.flat[-2:] = below - 1, 0
    return drawn


def grays(count: int, step: int = 1, first: int = 0) -> list[tuple[int, int, int]]:
    return [((first + i * step) % 256,) * 3 for i in range(count)]


def colours(count: int) -> list[tuple[int, int, int]]:
    """As VOC's: black first, one gray among them where there are more than seven."""
    result = []
    for index in range(count):
        r = g = b = 0
        for bit in range(8):
            r |= (index >> (3 * bit) & 1) << (7 - bit)
            g |= (index >> (3 * bit + 1) & 1) << (7 - bit)
            b |= (index >> (3 * bit + 2) & 1) << (7 - bit)
        result.append((r, g, b))
    return result


def by_pillow(array: np.ndarray, kind: str, **options: Any) -> bytes:
    """For compressions that are too long to be written here."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **options)
    return buffer.getvalue()


def kinds() -> Iterator[Kind]:
    """All of them."""
    yield from _png()
    yield from _tiff()
    yield from _bmp()
    yield from _gif_and_webp()
    yield from _netpbm()
    yield Kind("JPEG", "any", "8", None, "a mask in JPEG", {
        "gray": (by_pillow(values(3).astype(np.uint8), "JPEG"), None),
        "colours": (by_pillow(values(3, 3).astype(np.uint8), "JPEG"), None),
    })  # fmt: skip


def _png() -> Iterator[Kind]:
    gamma = (b"gAMA", struct.pack(">I", 45455))
    for bits in (1, 2, 4, 8, 16):
        v = values(2**bits)
        ways = {"plain": {}, "interlaced": {"interlaced": True}, "gAMA": {"chunks": [gamma]}}
        ways["sBIT"] = {"chunks": [(b"sBIT", bytes([max(1, bits - 1)]))]}
        ways["tRNS"] = {"chunks": [(b"tRNS", struct.pack(">H", 1))]}
        files = {name: (png(v, bits, 0, **way), v) for name, way in ways.items()}
        yield Kind("PNG", "gray", str(bits), BLACK_WHITE if bits == 1 else AS_THEY_ARE, "", files)
    for bits in (1, 2, 4, 8):
        v = values(2**bits)
        yield from _palettes("PNG", str(bits), v, {
            name: lambda palette, v=v, bits=bits, way=way: png(v, bits, 3, palette, **way)
            for name, way in {
                "plain": {}, "interlaced": {"interlaced": True}, "tRNS": {"chunks": [(b"tRNS", b"\0")]},
                "sBIT": {"chunks": [(b"sBIT", b"\5\5\5")]},
            }.items()
        })  # fmt: skip
    for colour_type, channels, what in ((2, 3, "RGB"), (6, 4, "RGB with alpha")):
        v = values(256, channels)
        files = {
            "plain": (png(v, 8, colour_type), v[..., :3]),
            "interlaced": (png(v, 8, colour_type, interlaced=True), v[..., :3]),
        }
        yield Kind("PNG", what, "8", COLOURS, "", files)
        deep = png(values(65536, channels), 16, colour_type)
        yield Kind("PNG", what, "16", None, "colours of 16 bits", {"plain": (deep, None)})
    v = values(256, 2)
    yield Kind("PNG", "gray with alpha", "8", GRAY_OF, "", {"plain": (png(v, 8, 4), v[..., 0])})
    deep = png(values(65536, 2), 16, 4)
    yield Kind("PNG", "gray with alpha", "16", None, "colours of 16 bits", {"plain": (deep, None)})


def _palettes(container: str, bits: str, v: np.ndarray, ways: dict[str, Any]) -> Iterator[Kind]:
    count = int(v.max()) + 1
    steps = {"as the index": grays(count), "others": grays(count, 3, 2), "backwards": grays(count)[::-1]}
    files = {
        f"{way}, {name}": (encode(palette), np.array(palette)[:, 0][v])
        for way, encode in ways.items()
        for name, palette in steps.items()
    }
    yield Kind(container, "palette of grays", bits, GRAYS, "", files)
    painted = {way: (encode(colours(count)), v) for way, encode in ways.items()}
    yield Kind(container, "palette with colours", bits, INDICES, "", painted)


def _tiff() -> Iterator[Kind]:
    ways: dict[str, dict[str, Any]] = {
        "plain": {}, "big endian": {"order": ">"}, "strips": {"strips": 7}, "tiles": {"tile": 16},
        "packbits": {"compression": PACKBITS}, "lzw": {"compression": LZW},
        "deflate": {"compression": DEFLATE}, "old deflate": {"compression": OLD_DEFLATE, "order": ">"},
        "one plane": {"planar": True, "compression": DEFLATE},
    }  # fmt: skip
    reversed_bits: dict[str, dict[str, Any]] = {
        "fill order 2": {"fill_order": 2}, "fill order 2, lzw": {"fill_order": 2, "compression": LZW},
    }  # fmt: skip
    for bits in (1, 2, 4, 8, 16):
        v = values(2**bits)
        more = {**ways, **(reversed_bits if bits <= 8 else {})}
        if bits >= 8:
            more["predictor"] = {"compression": LZW, "predictor": True}
        files = {name: (tiff(v, bits, **way), v) for name, way in more.items()}
        if bits == 1:
            bools = v.astype(bool)
            for name in ("group3", "group4", "tiff_ccitt"):
                files[name] = (by_pillow(bools, "TIFF", compression=name), v)
        yield Kind("TIFF", "gray", str(bits), BLACK_WHITE if bits == 1 else AS_THEY_ARE, "", files)
        if bits < 16:
            if bits == 8:  # not known to Pillow
                del more["fill order 2"]
            inverted = {
                name: (tiff(v, bits, 0, **way), v if bits > 1 else 1 - v) for name, way in more.items()
            }
        else:
            inverted = {"plain": (tiff(v, 16, 0), v), "lzw": (tiff(v, 16, 0, compression=LZW), v)}
        what = BLACK_WHITE if bits == 1 else AS_THEY_ARE
        yield Kind("TIFF", "gray, 0 is white", str(bits), what, "", inverted)
    yield from _tiff_rare_grays()
    yield from _tiff_palettes(ways, reversed_bits)
    yield from _tiff_colours(ways)


def _tiff_rare_grays() -> Iterator[Kind]:
    v = values(4096)
    yield Kind("TIFF", "gray", "12", AS_THEY_ARE, "", {"plain": (tiff(v, 12), v)})
    wide = values(70000)
    both = {"plain": (tiff(wide, 32), wide), "signed": (tiff(wide, 32, sample_format=2, order=">"), wide)}
    yield Kind("TIFF", "gray", "32", AS_THEY_ARE, "", both)
    for bits in (8, 16, 32):
        v = values(100) - 3
        files = {"plain": (tiff(v % 2**bits, bits, sample_format=2), v)}
        yield Kind("TIFF", "gray, signed", str(bits), AS_THEY_ARE, "", files)
    beyond = tiff(values(256) + 2**32 - 256, 32)
    yield Kind(
        "TIFF", "gray above 2147483647", "32", None, "class ids end at 65535", {"plain": (beyond, None)}
    )
    real = tiff(values(256).astype(np.float32).view(np.uint32), 32, sample_format=3)
    yield Kind("TIFF", "floating point", "32", None, "floating-point", {"plain": (real, None)})
    for bits in (2, 4, 16):
        files = {"plain": (tiff(values(2**bits), bits, planar=True), None)}
        if bits == 4:
            files["0 is white"] = (tiff(values(256), 8, 0, planar=True), None)
        yield Kind("TIFF", "gray in a plane of its own", str(bits), None, "planes of their own", files)


def _tiff_palettes(
    ways: dict[str, dict[str, Any]], reversed_bits: dict[str, dict[str, Any]]
) -> Iterator[Kind]:
    for bits in (1, 2, 4, 8):
        v = values(2**bits)
        yield from _palettes("TIFF", str(bits), v, {
            name: lambda palette, v=v, bits=bits, way=way: tiff(v, bits, 3, palette=palette, **way)
            for name, way in {**ways, "fill order 2, lzw": reversed_bits["fill order 2, lzw"]}.items()
        })  # fmt: skip
    refused = {
        f"{bits}": (tiff(values(2**bits), bits, 3, palette=colours(2**bits), fill_order=2), None)
        for bits in (1, 2, 4)
    }
    yield Kind("TIFF", "palette, bits turned around (FillOrder 2)", "1, 2, 4", None, "not read here", refused)
    refused = {"plain": (tiff(values(256), 8, 0, fill_order=2), None)}
    yield Kind(
        "TIFF", "gray, 0 is white, bits turned around (FillOrder 2)", "8", None, "not read here", refused
    )


def _tiff_colours(ways: dict[str, dict[str, Any]]) -> Iterator[Kind]:
    v = values(256, 2)
    files = {name: (tiff(v, 8, extra=[2], **way), v[..., 0]) for name, way in ways.items()}
    yield Kind("TIFF", "gray with alpha", "8", GRAY_OF, "", files)
    indices = values(256, 2)
    for palette, what, expected in (
        (grays(256, 3), "palette of grays with alpha", True),
        (colours(256), "palette with alpha", False),
    ):
        found = np.array(palette)[:, 0][indices[..., 0]] if expected else indices[..., 0]
        data = tiff(indices, 8, 3, palette=palette, extra=[2])
        yield Kind("TIFF", what, "8", GRAYS if expected else INDICES, "", {"plain": (data, found)})
    for channels, what in ((3, "RGB"), (4, "RGB with alpha")):
        v = values(256, channels)
        extra = [2] if channels == 4 else []
        more = {**ways, "planes, raw": {"planar": True}, "planes, strips": {"planar": True, "strips": 7}}
        files = {name: (tiff(v, 8, 2, extra=extra, **way), v[..., :3]) for name, way in more.items()}
        yield Kind("TIFF", what, "8", COLOURS, "", files)
        deep = values(65536, channels)
        refused = {
            name: (tiff(deep, 16, 2, extra=extra, **way), None)
            for name, way in {**ways, "planes, raw": {"planar": True}}.items()
        }
        yield Kind("TIFF", what, "16", None, "16", refused)
    opaque = values(256, 4)
    opaque[..., 3] = 255
    files = {"opaque": (tiff(opaque, 8, 2, extra=[1]), opaque[..., :3])}
    yield Kind("TIFF", "RGB multiplied with alpha, opaque", "8", COLOURS, "", files)
    half = np.minimum(opaque, 128)
    refusal = "multiplied with their opacity"
    yield Kind(
        "TIFF", "RGB multiplied with alpha", "8", None, refusal, {"half": (tiff(half, 8, 2, extra=[1]), None)}
    )
    v = values(256, 4)
    yield Kind("TIFF", "CMYK", "8", None, "mode CMYK", {"plain": (tiff(v, 8, 5), None)})
    for photometric, what in ((6, "YCbCr"), (8, "LAB")):
        # Uncompressed YCbCr is not read at all by some versions of Pillow.
        compression = DEFLATE if photometric == 6 else NONE
        files = {"plain": (tiff(v[..., :3], 8, photometric, compression=compression), None)}
        yield Kind("TIFF", what, "8", None, what, files)
    eight = values(256, 3).astype(np.uint8)
    lossy = {name: (by_pillow(eight, "TIFF", compression=name), None) for name in ("jpeg",)}
    yield Kind("TIFF", "compressed with loss", "8", None, "compressed with loss", lossy)


def _bmp() -> Iterator[Kind]:
    for bits in (1, 4, 8):
        count = 2**bits
        v = values(count)
        ways: dict[str, dict[str, Any]] = {
            "plain": {},
            "top down": {"top_down": True},
            "OS/2": {"core": True},
        }
        if bits > 1:
            ways["run lengths"] = {"run_lengths": True}
        files = {
            f"{way}, {name}": (bmp(v, bits, palette, **options), np.array(palette)[:, 0][v])
            for way, options in ways.items()
            for name, palette in {"as the index": grays(count), "others": grays(count, 3, 2)}.items()
        }
        if bits > 1:  # fewer colours than there could be: two grays, and three
            for name, palette in {"two": grays(2, 255), "two dark": grays(2), "three": grays(3, 127)}.items():
                few = values(len(palette))
                for way in ({}, {"run_lengths": True}):
                    found = np.array(palette)[:, 0][few]
                    files[f"{name} {way}"] = (bmp(few, bits, palette, **way), found)
        yield Kind("BMP", "palette of grays", str(bits), GRAYS, "", files)
        if bits == 1:
            files = {
                f"{way}, {name}": (bmp(v, 1, palette, **options), (np.array(palette)[:, 0] // 255)[v])
                for way, options in ways.items()
                for name, palette in {"usual": grays(2, 255), "turned": grays(2, 255)[::-1]}.items()
            }
            yield Kind("BMP", "palette of black and white", "1", BLACK_WHITE, "", files)
        files = {way: (bmp(v, bits, colours(count), **options), v) for way, options in ways.items()}
        if bits > 1:
            few = values(3)
            files["three colours"] = (bmp(few, bits, colours(3)), few)
            files["two colours"] = (bmp(few % 2, bits, colours(2)), few % 2)
        yield Kind("BMP", "palette with colours", str(bits), INDICES, "", files)
    words = values(2**15)
    short = {"555": (bmp(words, 16), None), "565": (bmp(words, 16, masks=(0xF800, 0x7E0, 0x1F)), None)}
    yield Kind("BMP", "RGB", "5", None, "colours of 5 bits", short)
    for channels in (3, 4):
        v = values(256, channels)
        files = {
            way: (bmp(v, 8 * channels, top_down=way != "plain"), v[..., :3]) for way in ("plain", "top down")
        }
        yield Kind("BMP", "RGB" if channels == 3 else "RGB with alpha", "8", COLOURS, "", files)


def _gif_and_webp() -> Iterator[Kind]:
    v = values(256)
    for bits in (1, 2, 4, 8):
        v = values(2**bits)
        yield from _palettes("GIF", str(bits), v, {
            name: lambda palette, v=v, way=way: gif(v, palette, **way)
            for name, way in {"plain": {}, "rows": {"interlaced": True}, "local": {"local": True}}.items()
        })  # fmt: skip
    for channels, what in ((3, "RGB"), (4, "RGB with alpha")):
        v = values(256, channels).astype(np.uint8)
        data = by_pillow(v, "WEBP", lossless=True, exact=True)
        yield Kind("WebP, lossless", what, "8", COLOURS, "", {"plain": (data, v[..., :3])})
        yield Kind("WebP, lossy", what, "8", None, "compressed with loss", {
            "plain": (by_pillow(v, "WEBP"), None), "best": (by_pillow(v, "WEBP", quality=100), None),
        })  # fmt: skip


def _netpbm() -> Iterator[Kind]:
    v = values(2)
    files = {f"P{kind}": (pnm(v, kind, comment=kind == 1), 1 - v) for kind in (1, 4)}
    yield Kind("PBM", "1 bit (in the file 1 is black)", "1", BLACK_WHITE, "", files)
    for low, high, bits in (
        (1, 254, "below 8"),
        (255, 255, "8"),
        (256, 65534, "9 to 16"),
        (65535, 65535, "16"),
    ):
        files = {}
        for white in sorted(
            {low, 2, 3, 15, 100, 254, 300, 1000, 4095, 40000, 65534} & {*range(low, high + 1)} | {low, high}
        ):
            v = values(white + 1)
            files |= {f"P{kind} {white}": (pnm(v, kind, white, comment=white % 2 == 1), v) for kind in (2, 5)}
        yield Kind("PGM", "gray", bits, AS_THEY_ARE, "", files)
    above = {"8 bits": (pnm(values(201), 5, 100), None), "16 bits": (pnm(values(5000), 5, 4095), None)}
    yield Kind(
        "PGM", "values above its own white", "any", None, "above the largest that its header allows", above
    )
    plain = {"8 bits": (pnm(values(201), 2, 100), None), "16 bits": (pnm(values(5000), 2, 4095), None)}
    yield Kind("PGM", "values above its own white, as text", "any", None, "too large", plain)
    v = values(256, 3)
    files = {f"P{kind}": (pnm(v, kind), v) for kind in (3, 6)}
    yield Kind("PPM", "RGB", "8", COLOURS, "", files)
    for white, bits in ((15, "below 8"), (1000, "above 8")):
        files = {f"P{kind}": (pnm(values(white + 1, 3), kind, white), None) for kind in (3, 6)}
        yield Kind("PPM", "RGB", bits, None, f"a white of {white}", files)
    pam = b"P7\nWIDTH 13\nHEIGHT 7\nDEPTH 1\nMAXVAL 255\nTUPLTYPE GRAYSCALE\nENDHDR\n" + bytes(91)
    yield Kind("PAM", "any", "any", None, "PAM file", {"plain": (pam, None)})
    real = b"Pf\n13 7\n-1.0\n" + values(256).astype("<f4").tobytes()
    yield Kind("PFM", "floating point", "32", None, "floating-point", {"plain": (real, None)})


def table(tested: Iterable[Kind]) -> str:
    """The table of docs/data.md, from the very kinds that are tested."""
    rows: dict[tuple[str, str, str, str], list[str]] = {}
    for kind in tested:
        said = kind.read or f"refused: “… {kind.says} …”"
        rows.setdefault((kind.container, kind.stored, said), []).append(kind.bits)
    lines = ["| file | holds | bits of a sample | read as |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {file} | {holds} | {', '.join(bits)} | {said} |" for (file, holds, said), bits in rows.items()
    ]
    return "\n".join(lines)
