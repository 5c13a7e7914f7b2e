"""What folders of pictures and masks are called by those who did not know our names for them."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

SPLITS = ("train", "val", "test")

_IMAGES = """image images img imgs im ims picture pictures pic pics photo photos original originals raw
    input inputs frame frames jpegimages rgb x"""
_MASKS = """mask masks label labels lbl lbls gt gts groundtruth groundtruths annotation annotations annot
    annots ann anns segmentation segmentations seg segs segmentationclass segmentationclassraw
    segmentationclasspng target targets truth truths manual output outputs y"""
_SPLITS = {
    "train": "train training trn tr",
    "val": "val valid validation validate vali dev eval",
    "test": "test testing tst ts",
}
_KIND = {**dict.fromkeys(_IMAGES.split(), "images"), **dict.fromkeys(_MASKS.split(), "labels")}
_SPLIT = {name: split for split, names in _SPLITS.items() for name in names.split()}


def quoted(path: Path) -> str:
    """A path as part of a command.

    >>> quoted(Path("my cells"))
    "'my cells'"
    """
    return shlex.quote(os.fspath(path))


def role(name: str) -> tuple[str | None, str | None]:
    """Split and kind (``images`` or ``labels``) that a folder's name speaks of, None where it does not.

    >>> role("Images"), role("train_masks"), role("Validation"), role("imagesTr"), role("photos-of-2019")
    ((None, 'images'), ('train', 'labels'), ('val', None), ('train', 'images'), (None, None))
    """
    letters = re.sub("[^a-z]", "", name.lower())
    if letters in _KIND:
        return None, _KIND[letters]
    split = kind = None
    for word in (part.lower() for part in re.findall("[A-Z]*[a-z]+|[A-Z]+|[0-9]+", name)):
        if word in _SPLIT and split is None:
            split = _SPLIT[word]
        elif word in _KIND and kind is None:
            kind = _KIND[word]
        else:
            return None, None
    return split, kind
