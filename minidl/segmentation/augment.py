"""Random changes to an image and its mask together, so that few pictures teach as much as many.

Turns and flips move image and mask alike and are exact: no pixel is interpolated, so a mask holds only ids it
held before (and the ignore index where a small picture was padded). Brightness and contrast change the image
alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from minidl._masks import host
from minidl.errors import InputError

_DRAWS = 7  # uniform numbers per call: two flips, turn, two for the crop's place, brightness, contrast


@dataclass(frozen=True)
class Augmentation:
    """Joint random augmentation of an image float32 (C, H, W) in 0..1 and its mask (H, W).

    In this order: flips up-down and left-right (each with probability 1/2), a turn by a multiple of 90
    degrees, a random crop, then ``contrast`` and ``brightness``: x becomes (x - m) (1 + c) + m + b with m the
    crop's mean per channel, c uniform in -contrast..contrast, b uniform in -brightness..brightness, clipped
    to 0..1.

    Args:
        crop: height and width to cut out, one number for a square, None for the whole picture. A picture
            smaller than that is padded first, about its centre: the image by reflection, the mask by
            ``ignore_index``, which the loss leaves out.
        flip: whether to flip.
        rotate90: whether to turn. Without a crop, a picture that is not square only turns by 0 or 180
            degrees, so that its shape stays.
        brightness, contrast: largest change, 0..1; 0 for none.
        ignore_index: the id for padded mask pixels; it must fit the mask's dtype when padding happens.

    Random numbers come from the generator in the call alone: always one ``rng.random(7)``, whatever the
    options and the picture, so that switching one option off leaves every later draw as it was.

    >>> augmentation = Augmentation(crop=2, brightness=0.0, contrast=0.0)
    >>> image = np.arange(9, dtype=np.float32).reshape(1, 3, 3) / 10
    >>> mask = np.arange(9).reshape(3, 3)
    >>> changed, labels = augmentation(image, mask, np.random.default_rng(1))
    >>> changed.shape, bool(np.allclose(changed[0] * 10, labels))
    ((1, 2, 2), True)
    """

    crop: int | tuple[int, int] | None = None
    flip: bool = True
    rotate90: bool = True
    brightness: float = 0.1
    contrast: float = 0.1
    ignore_index: int = 255

    def __post_init__(self) -> None:
        if isinstance(self.crop, list):  # as JSON brings it back
            object.__setattr__(self, "crop", tuple(self.crop))
        if self.crop is not None:
            sides = self.crop if isinstance(self.crop, tuple) else (self.crop,)
            whole = all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in sides)
            if not whole or (isinstance(self.crop, tuple) and len(sides) != 2):
                raise InputError(
                    f"crop: {self.crop!r} is no size; give pixels, one number or (height, width)"
                )
        for name in ("flip", "rotate90"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{name}: {getattr(self, name)!r} does not do; give True or False")
        for name in ("brightness", "contrast"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 <= value <= 1:
                raise InputError(f"{name}: {value!r} is no strength; give a number from 0 to 1")

    def __call__(
        self, image: np.ndarray, mask: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """A changed copy of both, C-contiguous; dtypes stay.

        Raises:
            ValueError: image and mask differ in height or width.
        """
        if image.ndim != 3 or mask.shape != image.shape[1:]:
            raise ValueError(
                f"image (C, H, W) and mask (H, W) must agree; got {image.shape} and {mask.shape}"
            )
        image, mask = host("image", image), host("mask", mask)
        up_down, left_right, turn, top, left, bright, contrast = rng.random(_DRAWS)
        if self.flip:
            axes = tuple(axis for axis, draw in ((-2, up_down), (-1, left_right)) if draw < 0.5)
            image, mask = np.flip(image, axes), np.flip(mask, axes)
        if self.rotate90:
            quarters = int(turn * 4)
            if self.crop is None and mask.shape[0] != mask.shape[1]:
                quarters = 2 * (quarters // 2)
            image, mask = np.rot90(image, quarters, axes=(-2, -1)), np.rot90(mask, quarters)
        image, mask = self._cropped(image, mask, top, left)
        return self._relit(image, 2 * bright - 1, 2 * contrast - 1), np.array(mask, order="C")

    def _cropped(
        self, image: np.ndarray, mask: np.ndarray, top: float, left: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cut at the place that ``top`` and ``left``, in 0..1, choose among all possible ones."""
        if self.crop is None:
            return image, mask
        height, width = self.crop if isinstance(self.crop, tuple) else (self.crop, self.crop)
        missing = (max(0, height - mask.shape[0]), max(0, width - mask.shape[1]))
        if any(missing):
            border = [(total // 2, total - total // 2) for total in missing]
            image = np.pad(image, [(0, 0), *border], mode="reflect")
            mask = np.pad(mask, border, constant_values=self.ignore_index)
        y = int(top * (mask.shape[0] - height + 1))
        x = int(left * (mask.shape[1] - width + 1))
        window = (slice(y, y + height), slice(x, x + width))
        return image[(slice(None), *window)], mask[window]

    def _relit(self, image: np.ndarray, bright: float, contrast: float) -> np.ndarray:
        """Brightness and contrast, strengths in -1..1; always a new C-contiguous array."""
        image = np.array(image, order="C")
        if self.brightness == 0 and self.contrast == 0:
            return image
        with np.errstate(all="ignore"):  # infinities and NaN travel silently
            mean = image.mean(axis=(1, 2), keepdims=True, dtype=np.float64).astype(image.dtype)
            image -= mean
            image *= image.dtype.type(1 + self.contrast * contrast)
            image += mean + image.dtype.type(self.brightness * bright)
            return np.clip(image, 0, 1, out=image)

    def to_dict(self) -> dict[str, Any]:
        """The options as JSON-able values."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, options: Mapping[str, Any]) -> Augmentation:
        """The augmentation that `to_dict` described.

        Raises:
            InputError: an unknown option, or a value out of range.
        """
        unknown = sorted(set(options) - {option.name for option in fields(cls)})
        if unknown:
            raise InputError(
                f"augmentation: unknown option {unknown[0]!r}; known are {[o.name for o in fields(cls)]}"
            )
        return cls(**options)
