"""Wrong folders, and their remedies applied as they are written: then the ids are right."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from minidl.errors import InputError
from minidl.segmentation.folder import scan
from minidl.segmentation.pairing import without_ending
from oracles.wrong_folders import (
    OUTLINE,
    Truth,
    archive,
    box_outlines,
    by_commands,
    by_drawing,
    by_entries,
    by_giving,
    by_saving,
    by_swapping,
    by_unpacking,
    cityscapes,
    coco,
    coco_outlines,
    dicom,
    fill,
    film,
    folders,
    labelme,
    labelme_outlines,
    masks,
    named_splits,
    nifti,
    numbered,
    painted,
    split_below_kind,
    swapped,
    voc,
    yolo,
    yolo_outlines,
)
from oracles.wrong_masks import smoothed, through_jpeg

pytestmark = pytest.mark.skipif(os.name != "posix", reason="commands of a POSIX shell")


@dataclass(frozen=True)
class Wrong:
    """One folder; ``title`` and ``says`` are a row of docs/data.md."""

    title: str
    build: Callable[[Path], Truth]
    says: str
    apply: Callable[[Path, str], Path]
    given: str = ""  # below (or instead of) the folder
    exact: bool = True  # every pixel, else those away from edges


WRONG = [
    Wrong("`img/` and `gt/`", folders("img", "gt"), "images in img/, masks in gt/", by_commands),
    Wrong(
        "`Images/` and `Labels/`",
        folders("Images", "Labels"),
        "images in Images/, masks in Labels/",
        by_commands,
    ),
    Wrong(
        "`images/` and `annotations/`",
        folders("images", "annotations"),
        "images in images/, masks in annotations/",
        by_commands,
    ),
    Wrong(
        "`train_images/` and `train_masks/`",
        folders("train_images", "train_masks"),
        "images in train_images/, masks in train_masks/",
        by_commands,
    ),
    Wrong(
        "pictures in `train/`, masks in `train_masks/`",
        folders("train", "train_masks"),
        "images in train/, masks in train_masks/",
        by_commands,
    ),
    Wrong(
        "`images/train/`, `labels/train/`, ...",
        split_below_kind,
        "images in images/train/, images/val/, masks in",
        by_commands,
    ),
    Wrong(
        "`Training/` and `Validation/`",
        named_splits("Training", "Validation", ("image", "mask")),
        "images in Training/image/, Validation/image/, masks in",
        by_commands,
    ),
    Wrong(
        "`train/` beside `valid/`",
        named_splits("train", "valid"),
        "has valid/ beside train/, which would be left out",
        by_commands,
    ),
    Wrong(
        "`dataset/dataset/images/`",
        folders("dataset/images", "dataset/labels"),
        "a data set, but deeper; give",
        by_giving,
    ),
    Wrong(
        "`export/img/`, one folder lower",
        folders("export/img", "export/mask"),
        "images in img/, masks in mask/",
        by_commands,
    ),
    Wrong(
        "`images/` itself is given",
        folders("images", "labels"),
        "a folder within a data set; give",
        by_giving,
        "images",
    ),
    Wrong(
        "`x.png` and `x_mask.png` side by side",
        lambda root: fill(root, root, end="_mask.png"),
        "images and masks (a1_mask.png) side by side",
        by_commands,
    ),
    Wrong(
        "Pascal VOC", lambda root: voc(root / "VOCdevkit/VOC2012"), "a data set of Pascal VOC", by_commands
    ),
    Wrong("Cityscapes", cityscapes, "a data set of Cityscapes", by_commands),
    Wrong("an archive", archive, "an archive, not a folder", by_unpacking, ".zip"),
    Wrong(
        "a single picture",
        folders("images", "labels"),
        "a single picture, not a folder; give",
        by_giving,
        "images/a1.png",
    ),
    Wrong("a film", film, "a film (", by_saving),
    Wrong("DICOM", dicom, "DICOM files (", by_saving),
    Wrong("NIfTI", nifti, "NIfTI files (", by_saving),
    Wrong("COCO", coco, "annotations of COCO (", by_drawing(coco_outlines)),
    Wrong("LabelMe", labelme, "outlines of LabelMe (", by_drawing(labelme_outlines)),
    Wrong("YOLO, outlines", yolo(OUTLINE), "outlines of YOLO (", by_drawing(yolo_outlines)),
    Wrong(
        "YOLO, boxes",
        yolo("0 0.5 0.5 0.2 0.3\n1 0.2 0.2 0.1 0.1\n"),
        "boxes of YOLO (",
        by_drawing(box_outlines),
    ),
    Wrong(
        "masks of 0, 127, 255", masks(painted(0, 127, 255)), "values, which do not look like ids", by_entries
    ),
    Wrong(
        "masks in colours",
        masks(painted((0, 0, 0), (0, 128, 0), (128, 0, 0))),
        "an RGB mask of 3 colours where class ids are expected",
        by_entries,
    ),
    Wrong(
        "masks that went through JPEG",
        masks(lambda number: through_jpeg(np.array([0, 255]), number)),
        "traces of JPEG",
        by_entries,
        exact=False,
    ),
    Wrong(
        "masks with smooth edges",
        masks(lambda number: smoothed(np.array([[0, 0, 0], [0, 0, 255], [255, 0, 0]]), number)),
        "smoothed (antialiased) edges",
        by_entries,
        exact=False,
    ),
    Wrong("a number for each object", masks(numbered), "an instance map", by_entries),
    Wrong("masks in `images/`", swapped, "a picture, not a mask", by_swapping),
]


def refused(path: Path) -> str:
    with pytest.raises(InputError) as error:
        scan(path)
    return str(error.value)


def flat(ids: np.ndarray) -> np.ndarray:
    """Pixels all of whose neighbours are like them."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(ids, 1, constant_values=255), (3, 3))
    return windows.min(axis=(2, 3)) == windows.max(axis=(2, 3))


CASES = [(wrong, "data") for wrong in WRONG]
CASES += [(wrong, "my data's") for wrong in WRONG if wrong.apply is by_commands]  # as part of a command


@pytest.mark.parametrize(("wrong", "name"), CASES, ids=[f"{wrong.title} in {name}" for wrong, name in CASES])
def test_the_remedy_makes_a_data_set_of_it(tmp_path: Path, wrong: Wrong, name: str) -> None:
    root = tmp_path / name
    truth = wrong.build(root)
    given = root.with_name(root.name + wrong.given) if wrong.given.startswith(".") else root / wrong.given
    message = refused(given)
    assert message.startswith(f"{given}") and wrong.says in message, message
    assert "\n" not in message and ";" in message and len(message) < 1900
    path = wrong.apply(root, message)
    data = scan(path)
    samples = [sample for split in data.splits.values() for sample in split]
    assert {without_ending(sample.stem) for sample in samples} == truth.keys()
    for sample in samples:
        ids = data.load(sample)[1]
        wanted = truth[without_ending(sample.stem)]
        inside = np.ones(wanted.shape, bool) if wrong.exact else flat(wanted)
        np.testing.assert_array_equal(ids[inside], wanted[inside], err_msg=message)


def test_the_manual_has_every_one_of_them(root: Path) -> None:
    page = (root / "docs/data.md").read_text(encoding="utf-8")
    section = page.split("## Wrong folders and their remedies")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \| (.+?) \| .+ \|$", section, re.MULTILINE)
    assert [row for row in rows if row[0] not in ("folder", "---")] == [(w.title, w.says) for w in WRONG]
    assert len(WRONG) >= 20


def test_what_is_arranged_well_keeps_its_own_message(tmp_path: Path) -> None:
    """A mask that is missing is not explained by a stray file of another program."""
    fill(tmp_path / "images", tmp_path / "labels")
    (tmp_path / "labels/a1.png").unlink()
    (tmp_path / "notes.json").write_text('{"annotations": [], "categories": []}')
    assert "1 of 5 images have no mask in labels/ (a1.png)" in refused(tmp_path)


def test_a_folder_of_nothing_that_is_known(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    assert "has neither images/ nor train/" in refused(tmp_path)


def test_a_folder_that_may_not_be_read_or_never_ends(tmp_path: Path) -> None:
    (tmp_path / "around").symlink_to(tmp_path)
    (tmp_path / "img").mkdir()
    os.mkfifo(tmp_path / "img" / "pipe.txt")
    assert "has neither images/ nor train/" in refused(tmp_path)
