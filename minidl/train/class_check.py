"""Which classes training and validation hold: what makes a run useless is said before it begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl._text import listed
from minidl.errors import InputError
from minidl.segmentation.folder import DataSet
from minidl.segmentation.pairing import Sample


def count_pixels(data: DataSet, samples: Sequence[Sample], tick: Callable[[], Any]) -> tuple[int, ...]:
    """Labelled pixels of each class in these masks; ``tick()`` after each.

    Raises:
        InputError: a file cannot be read.
    """
    pixels = np.zeros(data.num_classes, np.int64)
    for sample in samples:
        _, mask = data.load(sample)
        assert mask is not None, "DataSet.samples(labelled=True) checked it"
        pixels += np.bincount(mask[mask != data.ignore_index], minlength=data.num_classes)
        tick()
    return tuple(pixels.tolist())


def useless(data: DataSet, train: Sequence[int], val: Sequence[int]) -> str | None:
    """Why no validation could tell one checkpoint from another; None: it can.

    Its mean IoU would be undefined, or 0, after every step, and the first checkpoint would stay "the best".

    Args:
        data: whose validation images are named.
        train, val: labelled pixels of each class; ``train`` has some.
    """
    folder = data.root
    for sample in data.splits.get("val", [])[:1]:
        folder = (sample.mask_path or sample.image_path).parent
    remedy = "or choose other images for validation (val/, or --val GLOB)"
    if not sum(val):
        return (
            f"{folder}: no pixel of the {len(data.splits.get('val', []))} validation masks has a label, so"
            f" that no checkpoint would be the best; check these masks and the ignore index, {remedy}"
        )
    if not any(t and v for t, v in zip(train, val, strict=True)):
        there = listed(name for name, count in zip(data.classes, val, strict=True) if count)
        return (
            f"{folder}: the validation masks hold only what no training mask does ({there}), so that no"
            f" checkpoint would be the best; add such images to train/, {remedy}"
        )
    return None


def refuse(data: DataSet, train: Sequence[int], val: Sequence[int]) -> None:
    """Raise an InputError if :func:`useless` has something to say."""
    why = useless(data, train, val)
    if why is not None:
        raise InputError(why)


def notes(classes: Sequence[str], train: Sequence[int], val: Sequence[int]) -> list[str]:
    """Lines about classes that are missing somewhere; a training is possible all the same.

    >>> notes(["ground", "cell", "edge"], [90, 0, 0], [50, 9, 0])
    ['cell: in the validation masks, but in no training mask; not learned, its IoU of 0 lowers the mean', \
'edge: no pixel in the masks of training and validation', \
'all training masks hold ground only: nothing can be told apart']
    """
    together = list(zip(classes, train, val, strict=True))
    unseen = [name for name, t, v in together if not t and v]
    nowhere = [name for name, t, v in together if not t and not v]
    present = [name for name, t, _ in together if t]
    said = []
    if unseen:
        its = "its IoU of 0 lowers" if len(unseen) == 1 else "their IoU of 0 lowers"
        said.append(
            f"{listed(unseen)}: in the validation masks, but in no training mask; not learned, {its} the mean"
        )
    if nowhere:
        said.append(f"{listed(nowhere)}: no pixel in the masks of training and validation")
    if len(present) == 1:
        said.append(f"all training masks hold {listed(present)} only: nothing can be told apart")
    return said
