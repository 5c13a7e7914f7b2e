"""The description of a data set, dataset.toml: its keys, and one clear line for every mistake in it."""

from pathlib import Path

import numpy as np
import pytest

from minidl.segmentation.dataset_config import read_config
from minidl.segmentation.folder import scan
from oracles.data_folders import IDS, add, loaded, refusal, stems


def test_all_keys_together(tmp_path: Path) -> None:
    for stem in "abc":
        add(tmp_path, stem, IDS)
    (tmp_path / "dataset.toml").write_text(
        'classes = ["sky", "road"]\ncolours = ["#000000", "#0a0B0c"]\nnum_classes = 2\nignore_index = 9\n'
        'val = "c"\n[labels]\n2 = 9\n'
    )
    data, ids = loaded(tmp_path)
    assert data.classes == ("sky", "road") and data.ignore_index == 9 and stems(data)["val"] == ["c"]
    np.testing.assert_array_equal(data.colours, [[0, 0, 0], [10, 11, 12]])
    np.testing.assert_array_equal(ids, np.where(IDS == 2, 9, IDS))


@pytest.mark.parametrize(("text", "words"), [
    ("classes = [", "not valid TOML"),
    ("colors = []", "unknown key 'colors'; did you mean colours?"),
    ("weather = 1", "unknown key 'weather'; the keys are classes, "),
    ('classes = "sky"', "classes is 'sky'; give a list"),
    ("classes = [1, 2]", "classes holds 1; give each class a name"),
    ('classes = ["a", " "]', "classes holds ' '"),
    ("classes = []", "classes is empty"),
    ('classes = ["a", "a"]', "names one class twice"),
    ("colours = []", "colours is empty"),
    ('colours = ["red", "#000000"]', "colours holds 'red'"),
    ('colours = ["#000000", "#000000"]', "one colour to two classes"),
    ('classes = ["a", "b"]\ncolours = ["#000000"]', "1 colours for 2 classes"),
    ('classes = ["a", "b"]\nnum_classes = 3', "num_classes is 3, but 2 classes are named"),
    ('num_classes = "3"', "num_classes is '3'; give a whole number"),
    ("num_classes = 0", "num_classes is 0; give 1 to"),
    ("num_classes = true", "num_classes is True"),
    ("ignore_index = 1.5", "ignore_index is 1.5"),
    ("ignore_index = 3000000000", "ignore_index is 3000000000"),
    ("val = 3", "val is 3; give text"),
    ("labels = 3", "labels is 3; give a table"),
    ("[labels]\nred = 1", "[labels] has the key 'red'"),
    ("[labels]\n-1 = 1", "[labels] has the key '-1'"),
    ('[labels]\n255 = "cell"', "[labels] maps '255' to 'cell'"),
    ("[labels]\n255 = -1", "gives the id -1, but ids run from 0 to 65535"),
    ("[labels]\nnearest = 1", "says nearest = 1; give true or false"),
    ("[labels]\nnearest = true", "names no value or colour; name one"),
    ("[labels]\n0 = 0\nnearest = true\nothers = 1", "keep one of them"),
    ("[labels]\nothers = true", "maps 'others' to True"),
    ("num_classes = 2\n[labels]\nothers = 2", "gives the id 2, but ids run from 0 to 1"),
    ('[labels]\n"9-3" = 1', "has \"9-3\"; write the smaller number first"),
    ('[labels]\n"0-9" = 1\n"9-12" = 0', 'has "9-12", which overlaps another'),
    ('[labels]\n"0-9" = 70000', "gives the id 70000"),
    ('[labels]\n"0-99999999999" = 1', "has the key '0-99999999999'"),
    ("[labels]\n3000000000 = 1", "has the key '3000000000'"),
    ("num_classes = 2\n[labels]\n255 = 2", "gives the id 2, but ids run from 0 to 1"),
])  # fmt: skip
def test_mistakes_in_the_description(tmp_path: Path, text: str, words: str) -> None:
    add(tmp_path, "a", IDS)
    path = tmp_path / "dataset.toml"
    path.write_text(text)
    assert words in refusal(tmp_path, path)


def test_descriptions_that_cannot_be_read(tmp_path: Path) -> None:
    add(tmp_path, "a", IDS)
    assert "no such file" in refusal(tmp_path, tmp_path / "x.toml", config=tmp_path / "x.toml")
    assert "a folder, not a TOML file" in refusal(tmp_path, tmp_path, config=tmp_path)
    (tmp_path / "latin.toml").write_bytes(b'classes = ["Stra\xdfe"]')
    assert "not text in UTF-8" in refusal(tmp_path, tmp_path / "latin.toml", config=tmp_path / "latin.toml")


def test_arguments_against_the_description(tmp_path: Path) -> None:
    add(tmp_path, "a", IDS)
    (tmp_path / "dataset.toml").write_text('classes = ["a", "b", "c"]\nignore_index = 9')
    assert "4, but" in refusal(tmp_path, "num_classes", num_classes=4)
    assert scan(tmp_path, num_classes=3, ignore_index=8).ignore_index == 8


def test_an_empty_description_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "dataset.toml").write_text("")
    config = read_config(tmp_path / "dataset.toml")
    assert (config.classes, config.colours, config.num_classes, config.ignore_index, config.val) == (
        None,
    ) * 5
    assert config.values == {} and config.colour_ids == {}
