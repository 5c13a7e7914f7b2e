"""Encoders of picture files, byte by byte from the formats' descriptions: they share nothing with any reader.

Every one takes the samples as they are to lie in the file, so what a reader should find is known without
asking another library.
"""

import struct
import zlib
from collections.abc import Iterable, Sequence

import numpy as np

Palette = Sequence[tuple[int, int, int]]


def packed(rows: np.ndarray, bits: int, order: str = ">") -> bytes:
    """Rows (H, n) of samples, each row from a new byte on; of 1, 2, 4, 12 bits the first in the highest."""
    if bits >= 8 and bits != 12:
        return rows.astype(f"{order}u{bits // 8}").tobytes()
    lines = []
    for row in rows.tolist():
        text = "".join(f"{value:0{bits}b}" for value in row)
        text += "0" * (-len(text) % 8)
        lines.append(int(text, 2).to_bytes(len(text) // 8, "big"))
    return b"".join(lines)


def as_rows(samples: np.ndarray) -> np.ndarray:
    """(H, W) or (H, W, C), channels beside each other, as (H, W * C)."""
    return samples.reshape(samples.shape[0], -1)


# --- PNG (ISO/IEC 15948) ------------------------------------------------------------------------------------

PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def png(
    samples: np.ndarray,
    bits: int,
    colour_type: int,
    palette: Palette = (),
    chunks: Iterable[tuple[bytes, bytes]] = (),
    interlaced: bool = False,
) -> bytes:
    """colour_type: 0 gray, 2 RGB, 3 palette, 4 gray with alpha, 6 RGB with alpha."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    def filtered(part: np.ndarray) -> bytes:
        rows = as_rows(part)
        return b"".join(b"\0" + packed(rows[i : i + 1], bits) for i in range(len(rows))) if part.size else b""

    height, width = samples.shape[:2]
    parts = [samples[y::down, x::right] for y, x, down, right in PASSES] if interlaced else [samples]
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, interlaced)
    colours = chunk(b"PLTE", bytes(v for colour in palette for v in colour)) if palette else b""
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            *(chunk(*each) for each in chunks if each[0] != b"tRNS"),
            colours,
            *(chunk(*each) for each in chunks if each[0] == b"tRNS"),
            chunk(b"IDAT", zlib.compress(b"".join(filtered(part) for part in parts))),
            chunk(b"IEND", b""),
        ]
    )


# --- TIFF 6.0 -----------------------------------------------------------------------------------------------

NONE, LZW, DEFLATE, PACKBITS, OLD_DEFLATE = 1, 5, 8, 32773, 32946


def packbits(data: bytes) -> bytes:
    """A run of two or more as one pair, what lies between as it is."""
    out, at = bytearray(), 0
    while at < len(data):
        run = 1
        while at + run < len(data) and run < 128 and data[at + run] == data[at]:
            run += 1
        out += bytes([257 - run, data[at]]) if run > 1 else bytes([0, data[at]])
        at += run
    return bytes(out)


def lzw(data: bytes) -> bytes:
    """TIFF's variant: codes from the highest bit on, one code sooner longer than GIF's."""
    table = {bytes([i]): i for i in range(256)}
    codes, width, text = [(256, 9)], 9, b""
    for value in data:
        if text + bytes([value]) in table:
            text += bytes([value])
            continue
        codes.append((table[text], width))
        table[text + bytes([value])] = len(table) + 2
        width = max(9, (len(table) + 2).bit_length())
        text = bytes([value])
        assert len(table) < 4000, "give less data"
    codes += [(table[text], width)]
    width = max(9, (len(table) + 3).bit_length())
    bits = "".join(f"{code:0{length}b}" for code, length in [*codes, (257, width)])
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


ENCODE = {NONE: bytes, LZW: lzw, DEFLATE: zlib.compress, OLD_DEFLATE: zlib.compress, PACKBITS: packbits}
REVERSED = bytes(int(f"{i:08b}"[::-1], 2) for i in range(256))


def tiff(
    samples: np.ndarray,
    bits: int,
    photometric: int = 1,
    *,
    order: str = "<",
    compression: int = NONE,
    planar: bool = False,
    fill_order: int = 1,
    sample_format: int | None = None,
    extra: Sequence[int] = (),
    palette: Palette = (),
    predictor: bool = False,
    strips: int = 1,
    tile: int = 0,
    orientation: int | None = None,
) -> bytes:
    """photometric: 0 white is zero, 1 black is zero, 2 RGB, 3 palette; palette's colours have 8 bits each."""
    height, width = samples.shape[:2]
    deep = samples.reshape(height, width, -1)
    count = deep.shape[2]
    pieces = []
    for part in _tiff_parts(deep, planar, strips, tile):
        if predictor:
            part = np.concatenate([part[:, :1], np.diff(part.astype(int), axis=1)], axis=1) % 2**bits
        data = ENCODE[compression](packed(as_rows(part), bits, order))
        pieces.append(data.translate(REVERSED) if fill_order == 2 else data)  # of what was compressed
    tags: Tags = {
        256: (LONG, [width]),
        257: (LONG, [height]),
        258: (SHORT, [bits] * count),
        259: (SHORT, [compression]),
        262: (SHORT, [photometric]),
        266: (SHORT, [fill_order]),
        277: (SHORT, [count]),
        284: (SHORT, [2 if planar else 1]),
    }
    if tile:
        tags |= {322: (LONG, [tile]), 323: (LONG, [tile])}
    else:
        tags[278] = (LONG, [-(-height // strips)])
        assert height % strips == 0
    if sample_format is not None:
        tags[339] = (SHORT, [sample_format] * count)
    if extra:
        tags[338] = (SHORT, list(extra))
    if predictor:
        tags[317] = (SHORT, [2])
    if orientation is not None:
        tags[274] = (SHORT, [orientation])
    if palette:
        full = [*palette, *[(0, 0, 0)] * (2**bits - len(palette))]
        tags[320] = (SHORT, [colour[channel] * 257 for channel in range(3) for colour in full])
    return _tiff_file(order, tags, pieces, tiled=bool(tile))


#: tag: (type, values)
Tags = dict[int, tuple[int, list[int]]]
SHORT, LONG = 3, 4


def _tiff_parts(deep: np.ndarray, planar: bool, strips: int, tile: int) -> list[np.ndarray]:
    """Strips or tiles, plane after plane if each sample has one."""
    layers = [deep[..., i : i + 1] for i in range(deep.shape[2])] if planar else [deep]
    parts: list[np.ndarray] = []
    for layer in layers:
        if tile:
            grid = np.pad(layer, ((0, -layer.shape[0] % tile), (0, -layer.shape[1] % tile), (0, 0)))
            parts += [
                grid[y : y + tile, x : x + tile]
                for y in range(0, grid.shape[0], tile)
                for x in range(0, grid.shape[1], tile)
            ]
        else:
            parts += np.array_split(layer, strips)
    return parts


def _tiff_file(order: str, tags: Tags, pieces: list[bytes], tiled: bool) -> bytes:
    """Header, directory, values that do not fit into it, pieces."""
    places, sizes = (324, 325) if tiled else (273, 279)
    tags[sizes] = (LONG, [len(piece) for piece in pieces])
    tags[places] = (LONG, [0] * len(pieces))
    at = len(_tiff_head(order, tags))
    tags[places] = (LONG, [at + sum(map(len, pieces[:index])) for index in range(len(pieces))])
    return _tiff_head(order, tags) + b"".join(pieces)


def _tiff_head(order: str, tags: Tags) -> bytes:
    directory, beyond = b"", b""
    end = 8 + 2 + 12 * len(tags) + 4
    for tag, (kind, values) in sorted(tags.items()):
        data = struct.pack(f"{order}{len(values)}{'H' if kind == SHORT else 'I'}", *values)
        if len(data) <= 4:
            field = data.ljust(4, b"\0")
        else:
            field = struct.pack(f"{order}I", end + len(beyond))
            beyond += data + b"\0" * (len(data) % 2)
        directory += struct.pack(f"{order}HHI", tag, kind, len(values)) + field
    mark = b"II*\0" if order == "<" else b"MM\0*"
    head = mark + struct.pack(f"{order}I", 8) + struct.pack(f"{order}H", len(tags))
    return head + directory + bytes(4) + beyond


# --- BMP ----------------------------------------------------------------------------------------------------


def bmp(
    samples: np.ndarray,
    bits: int,
    palette: Palette = (),
    *,
    run_lengths: bool = False,
    top_down: bool = False,
    core: bool = False,
    masks: tuple[int, int, int] | None = None,
) -> bytes:
    """Indices of 1, 4, 8 bits; words of 16 bits; (H, W, 3) or (H, W, 4) RGB samples of 24 and 32 bits.

    The palette has as many entries as are given. core: the header of OS/2, with three bytes for a colour.
    """
    height, width = samples.shape[:2]
    rows = samples if top_down else samples[::-1]
    if run_lengths:
        pixels = (_rle4 if bits == 4 else _rle8)(rows)
    else:
        if bits >= 24:
            rows = as_rows(rows[..., [2, 1, 0, *range(3, rows.shape[2])]])
        lines = [packed(rows[i : i + 1], min(bits, 8) if bits != 16 else 16, "<") for i in range(height)]
        pixels = b"".join(line + b"\0" * (-len(line) % 4) for line in lines)
    if core:
        header = struct.pack("<IHHHH", 12, width, height, 1, bits)
        colours = b"".join(bytes([b, g, r]) for r, g, b in palette)
    else:
        kind = {4: 2, 8: 1}[bits] if run_lengths else 3 if masks else 0
        fields = (
            40,
            width,
            -height if top_down else height,
            1,
            bits,
            kind,
            len(pixels),
            0,
            0,
            len(palette),
            0,
        )
        header = struct.pack("<IiiHHIIiiII", *fields)
        header += struct.pack("<III", *masks) if masks else b""
        colours = b"".join(bytes([b, g, r, 0]) for r, g, b in palette)
    start = 14 + len(header) + len(colours)
    return struct.pack("<2sIHHI", b"BM", start + len(pixels), 0, 0, start) + header + colours + pixels


def _rle8(rows: np.ndarray) -> bytes:
    out = bytearray()
    for row in rows.tolist():
        if len(row) > 2:  # as they are, to a whole word
            out += bytes([0, len(row), *row]) + b"\0" * (len(row) % 2)
        else:
            for value in row:
                out += bytes([1, value])
        out += b"\0\0"
    return bytes(out + b"\0\1")


def _rle4(rows: np.ndarray) -> bytes:
    out = bytearray()
    for row in rows.tolist():
        for index in range(0, len(row), 2):
            pair = row[index : index + 2]
            out += bytes([len(pair), pair[0] << 4 | pair[-1]])
        out += b"\0\0"
    return bytes(out + b"\0\1")


# --- PNM ----------------------------------------------------------------------------------------------------


def pnm(samples: np.ndarray, kind: int, white: int = 255, comment: bool = False) -> bytes:
    """kind: 1 to 6, as in P1 to P6."""
    height, width = samples.shape[:2]
    head = f"P{kind}\n" + ("# said by hand\n" if comment else "") + f"{width} {height}\n"
    if kind not in (1, 4):
        head += f"{white}\n"
    rows = as_rows(samples)
    if kind <= 3:
        return (head + "\n".join(" ".join(map(str, row)) for row in rows.tolist()) + "\n").encode()
    return head.encode() + packed(rows, 1 if kind == 4 else 8 if white < 256 else 16)


# --- GIF ----------------------------------------------------------------------------------------------------


def gif(indices: np.ndarray, palette: Palette, *, interlaced: bool = False, local: bool = False) -> bytes:
    """The codes of pixels as they are: the table is cleared before it would grow."""
    height, width = indices.shape
    bits = max(2, int(len(palette) - 1).bit_length())
    table = bytes(v for colour in [*palette, *[(0, 0, 0)] * (2**bits - len(palette))] for v in colour)
    if interlaced:
        order = [*range(0, height, 8), *range(4, height, 8), *range(2, height, 4), *range(1, height, 2)]
        indices = indices[order]
    text, since = "", 0
    codes: list[int] = []
    for value in indices.ravel().tolist():
        if since == 0:
            codes.append(2**bits)
        codes.append(value)
        since = (since + 1) % (2**bits - 2)
    for code in [*codes, 2**bits + 1]:
        text = f"{code:0{bits + 1}b}" + text  # the first code in the lowest bits
    data = int(text, 2).to_bytes(-(-len(text) // 8), "little")
    blocks = b"".join(bytes([len(data[i : i + 255])]) + data[i : i + 255] for i in range(0, len(data), 255))
    size = bits - 1
    screen = struct.pack("<HHBBB", width, height, 0x70 if local else 0xF0 | size, 0, 0)
    flags = (0x80 | size if local else 0) | (0x40 if interlaced else 0)
    image = struct.pack("<BHHHHB", 0x2C, 0, 0, width, height, flags)
    return b"".join(
        [
            b"GIF89a" + screen,
            b"" if local else table,
            image,
            table if local else b"",
            bytes([bits]) + blocks + b"\0;",
        ]
    )
