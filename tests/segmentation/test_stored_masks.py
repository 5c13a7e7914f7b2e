"""Masks are read as they were stored: every container x mode x bit depth, in every way they may lie there.

The files are written byte by byte (`oracles.picture_files`), so none but their encoder says what is in them.
To write the table of docs/data.md: ``cd tests; PYTHONPATH=..:. python -m segmentation.test_stored_masks``.
"""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minidl.errors import InputError
from minidl.segmentation.files import read_image, read_mask, write_png
from minidl.segmentation.samples import samples_of
from oracles.mask_kinds import Kind, grays, kinds, table, values
from oracles.picture_files import DEFLATE, bmp, gif, png, pnm, tiff

KINDS = list(kinds())
NAMES = [f"{kind.container}, {kind.stored}, {kind.bits}" for kind in KINDS]
PAGE = Path(__file__).parents[2] / "docs" / "data.md"
PLACE = re.compile(r"(?<=write it anew -->\n).*?(?=\n<!-- end of the table)", re.DOTALL)


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_masks_come_back_as_they_were_stored_or_are_refused_with_the_cause(
    tmp_path: Path, kind: Kind
) -> None:
    path = tmp_path / "a.png"  # what counts is what is in it
    for way, (data, expected) in kind.files.items():
        path.write_bytes(data)
        if kind.read is None:
            with pytest.raises(InputError) as error:
                read_mask(path)
            message = str(error.value)
            assert message.startswith(f"{path}: ") and ";" in message and kind.says in message, (way, message)
        else:
            np.testing.assert_array_equal(read_mask(path), expected, err_msg=way)


def test_the_page_has_the_table_of_what_is_tested() -> None:
    assert PLACE.search(PAGE.read_text(encoding="utf-8"))[0] == table(KINDS)


# --- pictures: by their own white ---------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("photometric", [0, 1])
def test_gray_pictures_are_scaled_by_their_own_white(tmp_path: Path, bits: int, photometric: int) -> None:
    v = values(2**bits)
    expected = v / (2**bits - 1)
    if photometric:
        (tmp_path / "a.png").write_bytes(png(v, bits, 0))
        np.testing.assert_allclose(read_image(tmp_path / "a.png"), expected[None], rtol=2**-22)
    for compression in (1, DEFLATE):
        (tmp_path / "a.tif").write_bytes(tiff(v, bits, photometric, compression=compression))
        upright = expected if photometric else 1 - expected
        np.testing.assert_allclose(read_image(tmp_path / "a.tif"), upright[None], atol=2**-22)


def test_12_bit_pictures_are_scaled_by_their_own_white(tmp_path: Path) -> None:
    v = values(4096)
    (tmp_path / "a.tif").write_bytes(tiff(v, 12))
    np.testing.assert_allclose(read_image(tmp_path / "a.tif"), v[None] / 4095, rtol=2**-22)


@pytest.mark.parametrize("white", [1, 3, 100, 255, 256, 4095, 65535])
@pytest.mark.parametrize("kind", [2, 3, 5, 6])
def test_netpbm_pictures_are_scaled_by_their_own_white(tmp_path: Path, kind: int, white: int) -> None:
    v = values(white + 1, 3 if kind in (3, 6) else 1)
    (tmp_path / "a.pgm").write_bytes(pnm(v, kind, white))
    rounding = 0.51 / (65535 if white > 255 and kind in (2, 5) else 255)  # of what decodes it
    np.testing.assert_allclose(read_image(tmp_path / "a.pgm"), v.transpose(2, 0, 1) / white, atol=rounding)


def test_netpbm_pictures_with_values_above_their_white_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pgm").write_bytes(pnm(values(201), 5, 100))
    with pytest.raises(InputError, match=r"a.pgm: holds the value 200, above the largest .*, 100; "):
        read_image(tmp_path / "a.pgm")


@pytest.mark.parametrize("read", [read_image, read_mask])
@pytest.mark.parametrize(
    ("kind", "white"), [(4, 1), (5, 3), (5, 255), (5, 4095), (5, 65535), (6, 255), (6, 15), (6, 1000)]
)
def test_several_netpbm_pictures_in_one_file_are_refused(
    tmp_path: Path, read: Callable[[Path], np.ndarray], kind: int, white: int
) -> None:
    one = pnm(values(white + 1, 3 if kind == 6 else 0), kind, white)
    (tmp_path / "a.pgm").write_bytes(one + one)
    with pytest.raises(InputError, match=r"a.pgm: holds several images; save each to a file of its own"):
        read(tmp_path / "a.pgm")


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("run_lengths", [False, True])
def test_bmp_pictures_in_few_grays(tmp_path: Path, bits: int, run_lengths: bool) -> None:
    """Pillow takes such palettes for none, and then forgets how many bits an index has."""
    for palette in (grays(2), grays(2, 255), grays(2**bits)):
        v = values(len(palette))
        (tmp_path / "a.bmp").write_bytes(bmp(v, bits, palette, run_lengths=run_lengths))
        expected = np.array(palette)[v].transpose(2, 0, 1) / 255
        found = read_image(tmp_path / "a.bmp")
        np.testing.assert_allclose(np.broadcast_to(found, expected.shape), expected, rtol=2**-22)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "GIF"])
def test_pictures_with_a_palette_of_grays_are_gray(tmp_path: Path, kind: str) -> None:
    """As their neighbours are in which all grays occur, so that the palette is left away."""
    v, palette = values(16), grays(16, 16, 15)
    encode = {
        "PNG": lambda: png(v, 8, 3, palette),
        "TIFF": lambda: tiff(v, 8, 3, palette=palette),
        "BMP": lambda: bmp(v, 8, palette),
        "GIF": lambda: gif(v, palette),
    }[kind]
    (tmp_path / "a.png").write_bytes(encode())
    expected = np.array(palette)[v][None, ..., 0] / 255
    np.testing.assert_allclose(read_image(tmp_path / "a.png"), expected, rtol=2**-22)


def test_signed_gray_pictures(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(tiff(values(128), 8, sample_format=2))
    np.testing.assert_allclose(read_image(tmp_path / "a.tif"), values(128)[None] / 127, rtol=2**-22)
    (tmp_path / "a.tif").write_bytes(tiff((values(128) - 1) % 256, 8, sample_format=2))
    with pytest.raises(InputError, match="values below 0 have no known black; "):
        read_image(tmp_path / "a.tif")


def test_16_bit_gray_with_alpha_is_gray(tmp_path: Path) -> None:
    v = values(65536, 2)
    (tmp_path / "a.png").write_bytes(png(v, 16, 4))
    np.testing.assert_allclose(read_image(tmp_path / "a.png"), v[None, ..., 0] / 65535, atol=1 / 255)


# --- our own files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "colours", [grays(3, 127), grays(2, 255), grays(255), [(0, 0, 0), (9, 8, 7), (1, 1, 1)]]
)
def test_indices_that_were_written_with_any_palette_come_back(
    tmp_path: Path, colours: list[tuple[int, int, int]]
) -> None:
    indices = values(len(colours)).astype(np.uint8)
    write_png(tmp_path / "a.png", indices, np.array(colours, dtype=np.uint8))
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), indices)
    with Image.open(tmp_path / "a.png") as picture:
        np.testing.assert_array_equal(picture.convert("RGB"), np.array(colours)[indices])


def test_a_header_is_all_that_is_read_before_the_memory_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(values(4), 2, 0))
    with path.open("rb") as file, Image.open(file) as picture:
        before = file.tell()
        assert samples_of(picture, file, path).white == 3 and file.tell() == before


if __name__ == "__main__":
    text = PLACE.sub(lambda _: table(KINDS), PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(text, encoding="utf-8", newline="\n")
