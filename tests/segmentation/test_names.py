"""Names in Unicode's two forms, and names that are no text at all, pair up and are read."""

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from minidl.segmentation.folder import scan
from oracles.data_folders import IDS, add, refusal, stems

NAMES = ["Zürich", "é̂cole", "Ångström", "が行", "한글", "ḍ̇"]


def renamed(folder: Path, form: str) -> None:
    for path in list(folder.iterdir()):
        path.rename(folder / unicodedata.normalize(form, path.name))


@pytest.mark.parametrize("masks", ["NFC", "NFD"])
@pytest.mark.parametrize("images", ["NFC", "NFD"])
@pytest.mark.parametrize("end", ["", "_mask"])
def test_names_pair_up_in_both_forms(tmp_path: Path, images: str, masks: str, end: str) -> None:
    for name in NAMES:
        add(tmp_path, name, IDS, end=end)
    renamed(tmp_path / "images", images)
    renamed(tmp_path / "labels", masks)
    data = scan(tmp_path, val=unicodedata.normalize(masks, "Zü*"))
    assert set(stems(data)["train"]) == {unicodedata.normalize("NFC", name) for name in NAMES[1:]}
    assert stems(data)["val"] == [unicodedata.normalize("NFC", "Zürich")]
    for sample in data.splits["train"] + data.splits["val"]:
        np.testing.assert_array_equal(data.load(sample)[1], IDS)


def test_two_files_whose_names_differ_in_the_form_only_are_refused(tmp_path: Path) -> None:
    add(tmp_path, "a", IDS)
    for form in ("NFC", "NFD"):
        add(tmp_path, unicodedata.normalize(form, "Zürich"), IDS)
    if len(list((tmp_path / "images").iterdir())) < 3:
        pytest.skip("no two such files can be here")
    message = refusal(tmp_path, tmp_path / "images" / unicodedata.normalize("NFC", "Zürich.png"))
    assert "but for the way in which Unicode writes its letters" in message


def test_names_that_are_no_text_pair_up(tmp_path: Path) -> None:
    names = [b"\xff\xfe", b"caf\xe9", b"\xed\xa0\x80"]
    for name in names:
        add(tmp_path, "x", IDS)
        try:
            for kind in ("images", "labels"):
                folder = os.fsencode(tmp_path / kind)
                os.rename(folder + b"/x.png", folder + b"/" + name + b".png")
        except OSError:
            pytest.skip("no such names can be here")
    data = scan(tmp_path)
    assert {os.fsencode(stem) for split in stems(data).values() for stem in split} == set(names)
    for sample in data.splits["train"] + data.splits["val"]:
        np.testing.assert_array_equal(data.load(sample)[1], IDS)
