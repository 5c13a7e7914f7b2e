"""Image and mask files: every kind comes back as documented, every damage is one clear line."""

import io
import os
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from minidl._atomic import atomic_write
from minidl.errors import InputError
from minidl.segmentation.files import read_image, read_mask, write_png

GRAY = np.array([[0, 1, 2], [128, 254, 255]], dtype=np.uint8)
RGB = np.arange(18, dtype=np.uint8).reshape(2, 3, 3) * 14


def one_line(error: pytest.ExceptionInfo[InputError], path: Path) -> str:
    """The message: a single line that begins with the file and ends in a remedy."""
    message = str(error.value)
    assert message.startswith(f"{path}: ") and "\n" not in message and ";" in message
    return message


# ---------------------------------------------------------------------------------------------
# Images
# ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".pgm", ".webp"])
def test_8_bit_gray(tmp_path: Path, suffix: str) -> None:
    lossless: dict[str, Any] = {"lossless": True} if suffix == ".webp" else {}
    path = tmp_path / f"a{suffix}"
    Image.fromarray(GRAY).save(path, **lossless)
    image = read_image(path)
    expected = np.array([[0, 1 / 255, 2 / 255], [128 / 255, 254 / 255, 1]], dtype=np.float32)
    if suffix == ".webp":  # the format has no gray
        expected = np.stack([expected] * 3)
    np.testing.assert_array_equal(image, expected.reshape(-1, 2, 3))
    assert image.dtype == np.float32 and image.flags.c_contiguous


def test_rgb_is_channels_first(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.shape == (3, 2, 3) and image.dtype == np.float32 and image.flags.c_contiguous
    for row, column, channel in np.ndindex(RGB.shape):
        assert image[channel, row, column] == np.float32(RGB[row, column, channel]) / np.float32(255)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_gray(tmp_path: Path, suffix: str) -> None:
    values = np.array([[0, 1], [32768, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / f"a{suffix}")
    image = read_image(tmp_path / f"a{suffix}")
    np.testing.assert_allclose(image, [[[0, 1 / 65535], [32768 / 65535, 1]]], rtol=2**-23)


def test_16_bit_big_endian(tmp_path: Path) -> None:
    values = np.array([[0, 256], [1, 65535]], dtype=">u2")
    Image.frombytes("I;16B", (2, 2), values.tobytes()).save(tmp_path / "a.tif")
    np.testing.assert_allclose(
        read_image(tmp_path / "a.tif"), [[[0, 256 / 65535], [1 / 65535, 1]]], rtol=2**-23
    )
    mask = read_mask(tmp_path / "a.tif")
    np.testing.assert_array_equal(mask, [[0, 256], [1, 65535]])
    assert mask.dtype == np.int32


def test_1_bit(tmp_path: Path) -> None:
    Image.fromarray(np.array([[True, False, True]])).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.array([[[1, 0, 1]]], dtype=np.float32))


def test_palette_becomes_its_colours(tmp_path: Path) -> None:
    colours = np.array([[255, 0, 0], [0, 255, 51]], dtype=np.uint8)
    write_png(tmp_path / "a.png", np.array([[0, 1]], dtype=np.uint8), palette=colours)
    expected = np.array([[[1, 0]], [[0, 1]], [[0, 0.2]]], dtype=np.float32)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), expected)


@pytest.mark.parametrize("alpha", [0, 100, 255])
def test_alpha_is_dropped(tmp_path: Path, alpha: int) -> None:
    opacity = np.full((2, 3, 1), alpha, dtype=np.uint8)
    Image.fromarray(np.concatenate([RGB, opacity], axis=2)).save(tmp_path / "rgba.png")
    Image.fromarray(np.concatenate([GRAY[..., None], opacity], axis=2)).save(tmp_path / "la.png")
    Image.fromarray(RGB).save(tmp_path / "rgb.png")
    Image.fromarray(GRAY).save(tmp_path / "l.png")
    np.testing.assert_array_equal(read_image(tmp_path / "rgba.png"), read_image(tmp_path / "rgb.png"))
    np.testing.assert_array_equal(read_image(tmp_path / "la.png"), read_image(tmp_path / "l.png"))


def test_float_gray_in_range_is_kept_and_out_of_range_refused(tmp_path: Path) -> None:
    values = np.array([[0, 0.25], [0.5, 1]], dtype=np.float32)
    Image.fromarray(values).save(tmp_path / "good.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "good.tif"), values[None])
    for name, wrong in (("high", 255.0), ("low", -0.5), ("nan", np.nan)):
        path = tmp_path / f"{name}.tif"
        Image.fromarray(np.array([[0, wrong]], dtype=np.float32)).save(path)
        with pytest.raises(InputError) as error:
            read_image(path)
        assert "scale them to 0..1" in one_line(error, path)


def test_32_bit_integers(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 65535]], dtype=np.int32)).save(tmp_path / "fits.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "fits.tif"), [[[0, 1]]])
    path = tmp_path / "wide.tif"
    Image.fromarray(np.array([[0, 65536]], dtype=np.int32)).save(path)
    with pytest.raises(InputError) as error:
        read_image(path)
    assert "65536" in one_line(error, path)


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    Image.fromarray(RGB).convert("CMYK").save(tmp_path / "a.tif")
    np.testing.assert_allclose(read_image(tmp_path / "a.tif"), RGB.transpose(2, 0, 1) / 255, atol=1.5 / 255)


# EXIF 2.3: what a viewer has to do with the stored rows to show the picture upright.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.T,
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).T,
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(GRAY).save(tmp_path / "a.png", exif=exif)
    upright = UPRIGHT[orientation](GRAY)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), upright)
    np.testing.assert_array_equal(
        read_image(tmp_path / "a.png")[0], upright.astype(np.float32) / np.float32(255)
    )


# ---------------------------------------------------------------------------------------------
# Masks
# ---------------------------------------------------------------------------------------------
def test_masks_keep_raw_values(tmp_path: Path) -> None:
    Image.fromarray(GRAY).save(tmp_path / "l.png")
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "1.png")
    Image.fromarray(np.array([[0, 300]], dtype=np.uint16)).save(tmp_path / "i16.png")
    write_png(tmp_path / "p.png", np.array([[2, 0], [1, 2]], dtype=np.uint8), palette=RGB[0])
    Image.fromarray(RGB).save(tmp_path / "rgb.png")
    Image.fromarray(np.concatenate([RGB, RGB[..., :1]], axis=2)).save(tmp_path / "rgba.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "l.png"), GRAY)
    np.testing.assert_array_equal(read_mask(tmp_path / "1.png"), [[1, 0]])
    np.testing.assert_array_equal(read_mask(tmp_path / "i16.png"), [[0, 300]])
    np.testing.assert_array_equal(read_mask(tmp_path / "p.png"), [[2, 0], [1, 2]])
    np.testing.assert_array_equal(read_mask(tmp_path / "rgb.png"), RGB)
    np.testing.assert_array_equal(read_mask(tmp_path / "rgba.png"), RGB)
    for name in ("l", "1", "i16", "p", "rgb"):
        mask = read_mask(tmp_path / f"{name}.png")
        assert mask.dtype in (np.uint8, np.int32)
        mask += 0  # the caller's own, writable


def test_mask_with_alpha_keeps_its_values(tmp_path: Path) -> None:
    Image.fromarray(np.stack([GRAY, 255 - GRAY], axis=2)).save(tmp_path / "la.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "la.png"), GRAY)


def test_lossy_and_real_valued_masks_are_refused(tmp_path: Path) -> None:
    # By contents, not by name: a JPEG renamed .png is one all the same.
    Image.fromarray(GRAY).save(tmp_path / "a.png", format="JPEG")
    with pytest.raises(InputError) as error:
        read_mask(tmp_path / "a.png")
    assert "JPEG" in one_line(error, tmp_path / "a.png")
    Image.fromarray(np.zeros((2, 2), dtype=np.float32)).save(tmp_path / "f.tif")
    with pytest.raises(InputError) as error:
        read_mask(tmp_path / "f.tif")
    assert "mode F" in one_line(error, tmp_path / "f.tif")


# ---------------------------------------------------------------------------------------------
# Damage
# ---------------------------------------------------------------------------------------------
def encoded(format_name: str) -> bytes:
    buffer = io.BytesIO()
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, size=(40, 40, 3), dtype=np.uint8)).save(buffer, format=format_name)
    return buffer.getvalue()


@pytest.mark.parametrize("read", [read_image, read_mask])
@pytest.mark.parametrize("format_name", ["PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF"])
@pytest.mark.parametrize("kept", [0.05, 0.5, 0.9])
def test_truncated(tmp_path: Path, read, format_name: str, kept: float) -> None:  # type: ignore[no-untyped-def]
    whole = encoded(format_name)
    path = tmp_path / f"cut.{format_name.lower()}"
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(InputError) as error:
        read(path)
    one_line(error, path)


def test_damaged_png_chunk(tmp_path: Path) -> None:
    data = bytearray(encoded("PNG"))
    data[len(data) // 2] ^= 0xFF
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(InputError) as error:
        read_image(tmp_path / "a.png")
    one_line(error, tmp_path / "a.png")


@pytest.mark.parametrize("read", [read_image, read_mask])
@pytest.mark.parametrize(("name", "contents", "words"), [
    ("missing.png", None, "no such file"),
    ("empty.png", b"", "empty file"),
    ("text.png", b"this is a letter, not a picture\n" * 20, "not an image file"),
    ("archive.png", b"PK\x03\x04" + bytes(200), "not an image file"),
])  # fmt: skip
def test_no_image(tmp_path: Path, read, name: str, contents: bytes | None, words: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / name
    if contents is not None:
        path.write_bytes(contents)
    with pytest.raises(InputError) as error:
        read(path)
    assert words in one_line(error, path)


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read_image(tmp_path)
    assert "a folder" in one_line(error, tmp_path)


@pytest.mark.parametrize("format_name", ["TIFF", "GIF", "PNG"])
def test_a_stack_is_refused(tmp_path: Path, format_name: str) -> None:
    pages = [Image.fromarray(np.full((4, 4), 60 * value, dtype=np.uint8)) for value in range(3)]
    path = tmp_path / f"stack.{format_name.lower()}"
    pages[0].save(path, format=format_name, save_all=True, append_images=pages[1:])
    with pytest.raises(InputError) as error:
        read_image(path)
    assert "holds 3 images" in one_line(error, path)


def test_threads_that_read_side_by_side_leave_the_filters_of_warnings_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second begins within the first and ends after it: it would put back what the first had set."""
    write_png(tmp_path / "a.png", np.zeros((2, 2), np.uint8))
    before, second_is_in, first_is_out = list(warnings.filters), threading.Event(), threading.Event()
    open_file, calls = Image.open, []

    def slow(path: Any, formats: Any) -> Any:
        calls.append(path)
        if len(calls) == 1:
            second.start()
            second_is_in.wait(0.2)  # in vain, if only one at a time may touch the filters
        else:
            second_is_in.set()
            first_is_out.wait(5)
        return open_file(path, formats=formats)

    second = threading.Thread(target=read_image, args=(tmp_path / "a.png",))
    monkeypatch.setattr(Image, "open", slow)
    read_image(tmp_path / "a.png")
    first_is_out.set()
    second.join()
    assert len(calls) == 2
    assert warnings.filters == before


# ---------------------------------------------------------------------------------------------
# Writing
# ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "pixels", [GRAY, RGB, np.array([[0, 256], [1, 65535]], dtype=np.uint16), GRAY[::-1, ::2]]
)
def test_png_round_trip(tmp_path: Path, pixels: np.ndarray) -> None:
    write_png(tmp_path / "a.png", pixels)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), pixels)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("pixels", [
    np.zeros((2, 2), dtype=np.float32), np.zeros((2, 2), dtype=np.int64), np.zeros((2, 2, 4), dtype=np.uint8),
    np.zeros((3, 2, 2), dtype=np.uint8), np.zeros((0, 2), dtype=np.uint8), np.zeros(4, dtype=np.uint8),
])  # fmt: skip
def test_png_of_other_arrays(tmp_path: Path, pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="write_png takes"):
        write_png(tmp_path / "a.png", pixels)
    assert not list(tmp_path.iterdir())


def test_png_index_without_colour(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="palette of 2 colours"):
        write_png(
            tmp_path / "a.png", np.array([[2]], dtype=np.uint8), palette=np.zeros((2, 3), dtype=np.uint8)
        )


def test_atomic_write_replaces_whole_files(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    atomic_write(path, "ü\r\n")
    assert path.read_bytes() == "ü\r\n".encode()
    atomic_write(str(path), b"\x00\x01")
    assert path.read_bytes() == b"\x00\x01"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_write_keeps_the_old_file_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError) as error:
        atomic_write(path, b"new")
    assert "No space left on device" in one_line(error, path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]

    def interrupted(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        atomic_write(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_atomic_write_to_impossible_places(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "missing" / "a", tmp_path / "file" / "a", tmp_path):
        with pytest.raises(InputError) as error:
            atomic_write(path, b"data")
        one_line(error, path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX")
def test_atomic_write_gives_the_usual_permissions(tmp_path: Path) -> None:
    atomic_write(tmp_path / "a", b"")
    (tmp_path / "b").write_bytes(b"")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode
