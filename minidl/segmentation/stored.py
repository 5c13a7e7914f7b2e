"""The values that a mask file stores, whatever Pillow makes of them.

==========================================  =================================================================
file                                        values
==========================================  =================================================================
gray of 2 to 32 bits                        as they are in the file, never stretched; also where 0 is white
1 bit (gray of PNG and TIFF, PBM, BMP)      0 where it is black, 1 where it is white: which bit stands for
                                            which is a matter of the format
a palette of grays only                     the gray values: GIF and many optimisers give the grays that occur
                                            new numbers, in each file others
a palette with colours                      the indices; beside them the palette, because indices say nothing
                                            where palettes differ (`minidl.segmentation.palettes`)
colours of 8 bits                           the colours
==========================================  =================================================================

What cannot be had exactly is refused: colours of 5 or 16 bits, floating point, CMYK, YCbCr, LAB.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from minidl.errors import InputError
from minidl.segmentation.samples import Samples

if TYPE_CHECKING:
    from PIL import Image

_SAVE = "save it as 8-bit gray PNG whose values are class ids"


@dataclass(frozen=True)
class Stored:
    """A mask as it is in its file.

    Attributes:
        values: (H, W) values or indices, or uint8 (H, W, 3) colours.
        palette: uint8 (K, 3), if ``values`` are indices into colours.
        orientation: of EXIF, by which it was turned upright; 1 if it was not.
    """

    values: np.ndarray
    palette: np.ndarray | None = None
    orientation: int = 1

    def painted(self) -> np.ndarray:
        """The colours, where there is a palette; else the values.

        >>> Stored(np.array([[1, 0]]), np.array([[0, 0, 0], [255, 0, 0]], np.uint8)).painted().tolist()
        [[[255, 0, 0], [0, 0, 0]]]
        """
        return self.values if self.palette is None else self.palette[self.values]


def stored(picture: Image.Image, samples: Samples, path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Values of a decoded mask as they are in its file, and the palette if they are indices into colours.

    Raises:
        InputError: the file's kind does not keep the values exact, or does not have any.
    """
    mode = picture.mode
    if mode == "1":
        return np.array(picture, dtype=np.uint8), None
    if mode in ("P", "PA"):
        indices = np.array(picture.getchannel(0) if mode == "PA" else picture, dtype=np.uint8)
        return _by_palette(indices, picture, samples, path)
    if mode in ("L", "LA", "La"):
        return _gray(np.array(picture.getchannel(0)), samples), None
    if mode.startswith("I"):
        return _wide(np.asarray(picture), picture.format == "PPM", samples, path), None
    if mode in ("RGB", "RGBA", "RGBX"):
        return _colours(picture, samples, path), None
    what = "floating-point values (mode F)" if mode == "F" else f"mode {mode}"
    raise InputError(f"{path}: a mask of {what}; {_SAVE}")


def _gray(values: np.ndarray, samples: Samples) -> np.ndarray:
    """uint8 as Pillow gives it, 0..255 from black to white."""
    if samples.inverted or samples.white < 255:
        shown = np.arange(256)[::-1] if samples.inverted else np.arange(256)
        values = _unstretched(shown, samples.white, 255).astype(np.uint8)[values]
    return values.view(np.int8).astype(np.int32) if samples.signed else values


def _unstretched(shown: np.ndarray, white: int, full: int) -> np.ndarray:
    """What is stored of what Pillow shows: exact, because it lies farther apart than the rounding."""
    return np.rint(shown * (min(white, full) / full)).astype(np.int32)


def _wide(values: np.ndarray, stretched: bool, samples: Samples, path: Path) -> np.ndarray:
    if stretched and samples.white < 65535:
        return _unstretched(np.arange(65536), samples.white, 65535)[values]
    if samples.bits == 32 and not samples.signed and values.min(initial=0) < 0:
        large = int(values.min()) + 2**32
        raise InputError(f"{path}: holds the value {large}, and class ids end at 65535; {_SAVE}")
    return values.astype(np.int32)


def _colours(picture: Image.Image, samples: Samples, path: Path) -> np.ndarray:
    if samples.converted:
        raise InputError(f"{path}: a mask in YCbCr, which does not keep colours exact; save it as PNG")
    if samples.white != 255:
        what = f"a white of {samples.white}" if picture.format == "PPM" else f"{samples.bits} bits"
        raise InputError(
            f"{path}: a mask in colours of {what}, which are not read exactly; save it as PNG of 8 bits"
        )
    pixels = np.asarray(picture)
    if samples.associated and picture.mode == "RGBA" and pixels[..., 3].min(initial=255) < 255:
        raise InputError(
            f"{path}: a mask whose colours are multiplied with their opacity, which does not keep them exact;"
            " save it as PNG without transparency"
        )
    return pixels[..., :3].copy()


def grays_of(picture: Image.Image) -> np.ndarray | None:
    """The grays of a palette that has no other colours, uint8 (K,); None if it has any.

    Of all of it, also of what is not used: among the colours of Pascal VOC there is a gray, of index 7.
    """
    palette = _palette(picture)
    return None if (palette != palette[:, :1]).any() else palette[:, 0]


def _palette(picture: Image.Image) -> np.ndarray:
    return np.array(picture.getpalette("RGB") or (), dtype=np.uint8).reshape(-1, 3)


def _by_palette(
    indices: np.ndarray, picture: Image.Image, samples: Samples, path: Path
) -> tuple[np.ndarray, np.ndarray | None]:
    palette = _palette(picture)
    highest = int(indices.max(initial=0))
    if highest >= len(palette):
        raise InputError(
            f"{path}: holds the index {highest}, but its palette has {len(palette)} colours; {_SAVE}"
        )
    grays = grays_of(picture)
    if grays is None:
        return indices, palette
    if picture.format == "BMP" and samples.bits == 1 and set(grays.tolist()) == {0, 255}:
        grays = grays // 255  # the format has no 1-bit gray but this
    return grays[indices], None
