"""Picture files may come from anybody: known formats only, within a limit of memory."""

import io
import os
import struct
import threading
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from minidl.errors import InputError
from minidl.segmentation import decoding
from minidl.segmentation.decoding import FORMATS, MASK_FORMATS
from minidl.segmentation.files import read_image, read_mask, write_png
from minidl.segmentation.memory import MEMORY, Room, bytes_needed

Read = Callable[..., np.ndarray]


def refusal(read: Read, path: Path, **options: int) -> str:
    with pytest.raises(InputError) as error:
        read(path, **options)
    message = str(error.value)
    assert message.startswith(f"{path}: ") and ";" in message and message.isprintable()
    return message


def encoded(kind: str, size: tuple[int, int] = (16, 16), mode: str = "RGB", **options: Any) -> bytearray:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, kind, **options)
    return bytearray(buffer.getvalue())


# --- formats ------------------------------------------------------------------------------------------------

SCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"


@pytest.mark.parametrize("read", [read_image, read_mask])
@pytest.mark.parametrize("name", ["x.png", "x.eps", "x.jpg"])
def test_postscript_starts_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Read, name: str
) -> None:
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_: pytest.fail("Ghostscript"))
    (tmp_path / name).write_bytes(SCRIPT)
    assert "not an image file" in refusal(read, tmp_path / name)


def other_formats() -> list[str]:
    Image.init()
    wanted = (
        "SGI",
        "TGA",
        "PCX",
        "ICO",
        "ICNS",
        "MSP",
        "PALM",
        "DDS",
        "JPEG2000",
        "SPIDER",
        "DIB",
        "XBM",
    )
    return [kind for kind in (*wanted, "EPS", "BLP", "AVIF", "QOI") if kind in Image.SAVE]


@pytest.mark.parametrize("kind", other_formats())
def test_other_formats_are_not_opened_whatever_they_are_called(tmp_path: Path, kind: str) -> None:
    mode = {"MSP": "1", "XBM": "1", "PALM": "1", "SPIDER": "F", "BLP": "P"}.get(kind, "RGB")
    (tmp_path / "x.png").write_bytes(encoded(kind, (32, 32), mode))
    refusal(read_image, tmp_path / "x.png")


def test_every_decoder_but_ours_is_out_of_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.init()
    ours = set(FORMATS)
    assert len(Image.OPEN) > 30
    for kind in set(Image.OPEN) - ours:

        def entered(*_: object, kind: str = kind) -> Any:
            pytest.fail(kind)

        monkeypatch.setitem(Image.OPEN, kind, (entered, None))
    (tmp_path / "x.png").write_bytes(b"anything")
    assert "not an image file" in refusal(read_image, tmp_path / "x.png")


@pytest.mark.parametrize("kind", FORMATS)
def test_our_formats_are_opened_whatever_they_are_called(tmp_path: Path, kind: str) -> None:
    lossless: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    (tmp_path / "x.png").write_bytes(encoded(kind, (5, 4), **lossless))
    assert read_image(tmp_path / "x.png").shape[1:] == (4, 5)
    if kind in MASK_FORMATS:
        assert read_mask(tmp_path / "x.png").shape[:2] == (4, 5)
    else:
        assert "a mask in JPEG" in refusal(read_mask, tmp_path / "x.png")


@pytest.mark.parametrize(("kind", "options"), [
    ("WEBP", {}), ("WEBP", {"exif": Image.Exif().tobytes()}), ("TIFF", {"compression": "jpeg"}), ("JPEG", {}),
    ("MPO", {}),
])  # fmt: skip
def test_masks_are_not_compressed_with_loss(tmp_path: Path, kind: str, options: dict[str, Any]) -> None:
    (tmp_path / "x.png").write_bytes(encoded(kind, **options))
    assert "does not keep class ids exact; save masks as PNG" in refusal(read_mask, tmp_path / "x.png")


def test_masks_may_be_compressed_without_loss(tmp_path: Path) -> None:
    ids = np.arange(48, dtype=np.uint8).reshape(6, 8)
    for name, options in (
        ("deflate.tif", {"compression": "tiff_deflate"}),
        ("lzw.tif", {"compression": "tiff_lzw"}),
    ):
        Image.fromarray(ids).save(tmp_path / name, **options)
        np.testing.assert_array_equal(read_mask(tmp_path / name), ids)
    Image.fromarray(ids).convert("RGB").save(tmp_path / "a.webp", lossless=True, exif=Image.Exif().tobytes())
    np.testing.assert_array_equal(read_mask(tmp_path / "a.webp")[..., 0], ids)


# --- memory -------------------------------------------------------------------------------------------------


def claiming_jpeg(width: int, height: int) -> bytes:
    data = encoded("JPEG")
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def claiming_png(width: int, height: int) -> bytes:
    data = encoded("PNG")
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    return bytes(data)


def claiming_gif(width: int, height: int) -> bytes:
    data = encoded("GIF")
    data[6:10] = struct.pack("<HH", width, height)
    return bytes(data)


def claiming_bmp(width: int, height: int) -> bytes:
    data = encoded("BMP")
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


def claiming_webp(width: int, height: int) -> bytes:
    data = encoded("WEBP", lossless=True)
    (bits,) = struct.unpack("<I", data[21:25])
    data[21:25] = struct.pack("<I", (bits & ~0xFFFFFFF) | (width - 1) | ((height - 1) << 14))
    return bytes(data)


def claiming_ppm(width: int, height: int) -> bytes:
    return f"P6 {width} {height} 255\n".encode()


def tiff(**tags: int) -> bytes:
    """A gray picture of 16 x 16, compressed; tags by their numbers, as t256=16."""
    entries = {256: 16, 257: 16, 258: 8, 259: 8, 262: 1, 277: 1}
    entries.update({int(name[1:]): value for name, value in tags.items()})
    packed = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(entries.items()))
    return struct.pack("<2sHIH", b"II", 42, 8, len(entries)) + packed + bytes(68)


def claiming_tiff(width: int, height: int) -> bytes:
    return tiff(t256=width, t257=height, t273=8, t279=50)


def claiming_tiles(width: int, height: int) -> bytes:
    return tiff(t322=width, t323=height, t324=8, t325=50)


CLAIMS = [claiming_jpeg, claiming_png, claiming_gif, claiming_bmp, claiming_webp, claiming_ppm]
CLAIMS += [claiming_tiff, claiming_tiles]


@pytest.mark.parametrize("read", [read_image, read_mask])
@pytest.mark.parametrize("claiming", CLAIMS)
def test_small_files_that_claim_large_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, claiming: Callable[[int, int], bytes], read: Read
) -> None:
    """Refused by their headers: the decoder is never asked."""
    monkeypatch.setattr(decoding, "_decode", lambda _: pytest.fail("decoded"))
    (tmp_path / "x.png").write_bytes(claiming(16383, 16384 if claiming is not claiming_webp else 16383))
    with pytest.raises(InputError, match=r"x.png: (too large, .*--picture-memory|a mask in JPEG)"):
        read(tmp_path / "x.png", memory=MEMORY // 2)


def test_the_line_says_what_it_takes_and_what_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(claiming_jpeg(13300, 13300))
    said = refusal(read_image, tmp_path / "a.jpg")
    assert "13300 x 13300 pixels take 2,700 MiB to read and 2,048 MiB are allowed" in said


def test_the_limit_is_met_to_the_byte(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.zeros((300, 400, 3), np.uint8))
    needed = bytes_needed("RGB", 400, 300)
    assert read_image(tmp_path / "a.png", needed).shape == (3, 300, 400)
    assert "400 x 300 pixels" in refusal(read_image, tmp_path / "a.png", memory=needed - 1)


def test_a_file_larger_than_the_memory_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded("PNG") + bytes(2**20))
    assert "bytes" in refusal(read_image, tmp_path / "a.png", memory=2**20)


def test_large_pictures_do_not_warn_and_pillows_own_limit_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_png(tmp_path / "a.png", np.zeros((30, 40), np.uint8))
    for limit in (800, 100):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert read_image(tmp_path / "a.png").shape == (1, 30, 40)
        assert limit == Image.MAX_IMAGE_PIXELS


def test_a_large_stack_is_not_counted(tmp_path: Path) -> None:
    page = Image.new("L", (8, 8))
    page.save(tmp_path / "a.tif", save_all=True, append_images=[page] * 2)
    with open(tmp_path / "a.tif", "ab") as file:
        file.truncate(2**21)
    assert "holds several images" in refusal(read_image, tmp_path / "a.tif")


def test_threads_share_the_memory() -> None:
    room, limit, most, now = Room(), 100, 0, 0
    lock = threading.Lock()

    def borrow(amount: int) -> None:
        nonlocal most, now
        for _ in range(50):
            with room.lend(amount, limit):
                with lock:
                    now += amount
                    most = max(most, now)
                with lock:
                    now -= amount

    threads = [threading.Thread(target=borrow, args=(amount,)) for amount in (30, 60, 100, 45, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads) and 0 < most <= limit


def test_memory_is_given_back_after_a_failure(tmp_path: Path) -> None:
    data = encoded("PNG", (64, 64))
    (tmp_path / "bad.png").write_bytes(data[: len(data) // 2])
    write_png(tmp_path / "good.png", np.zeros((64, 64), np.uint8))
    for _ in range(3):
        refusal(read_image, tmp_path / "bad.png")
    assert decoding.ROOM._lent == 0
    assert read_image(tmp_path / "good.png").shape == (1, 64, 64)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_does_not_wait_for_the_parents_threads() -> None:
    with decoding.ROOM.lend(5, 10):
        child = os.fork()
        if child == 0:
            with decoding.ROOM.lend(10, 10):
                os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
