"""`minidl predict` where some images cannot be used: the others get their masks, and nobody overlooks it."""

import os
from pathlib import Path

import numpy as np
import pytest

from minidl.segmentation.files import write_png
from oracles.commands import assert_names, tree


def pictures(folder: Path, count: int = 4) -> list[Path]:
    folder.mkdir()
    rng = np.random.default_rng(0)
    paths = [folder / f"{index}.png" for index in range(count)]
    for path in paths:
        write_png(path, rng.integers(0, 256, (16, 16), dtype=np.uint8))
    return paths


def truncated(path: Path) -> str:
    path.write_bytes(path.read_bytes()[:-60])
    return "damaged or truncated"


def empty(path: Path) -> str:
    path.write_bytes(b"")
    return "an empty file"


def text(path: Path) -> str:
    path.write_text("no picture")
    return "not an image file"


def in_colour(path: Path) -> str:
    write_png(path, np.zeros((16, 16, 3), np.uint8))
    return "convert it to gray"


def too_large(path: Path) -> str:
    write_png(path, np.zeros((600, 600), np.uint8))
    return "too large, it claims"


def a_link_to_nothing(path: Path) -> str:
    path.unlink()
    path.symlink_to(path.parent / "gone.png")
    return "which leads nowhere"


SPOILS = [truncated, empty, text, in_colour, too_large, a_link_to_nothing]


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__)
@pytest.mark.parametrize("which", [0, 2, 3])
def test_the_others_get_their_masks(call, trained, tmp_path, spoil, which):
    paths = pictures(tmp_path / "in")
    reason = spoil(paths[which])
    out = tmp_path / "out"
    arguments = ("predict", trained / "run", tmp_path / "in", "--out", out, "--picture-memory", "1")
    said = call(*arguments)
    assert said.code == 1 and said.out.endswith(f"3 masks in {out}\n")
    named, count = said.err.splitlines()
    assert named.startswith(f"minidl: error: {paths[which]}: ") and reason in named and ";" in named
    assert count == f"minidl: error: 1 of 4 images have no mask: {paths[which].name}"
    stems = [path.stem for path in paths if path != paths[which]]
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [".minidl", *(f"{stem}{end}.png" for stem in stems for end in ("", "_overlay"))]
    )
    before = tree(tmp_path)
    assert_names(call(*arguments, "--strict").error, [str(paths[which]), reason])
    assert tree(tmp_path) == before


def test_the_masks_are_those_of_a_call_without_the_bad_one(call, trained, tmp_path):
    paths = pictures(tmp_path / "in")
    assert call("predict", trained / "run", *paths, "--out", tmp_path / "all").code == 0
    empty(paths[1])
    assert call("predict", trained / "run", *paths, "--out", tmp_path / "some").code == 1
    whole, some = tree(tmp_path / "all"), tree(tmp_path / "some")
    assert {name: whole[name] for name in some if name != ".minidl"} == {
        name: contents for name, contents in some.items() if name != ".minidl"
    }


def test_several_bad_ones_are_all_named_and_counted(call, trained, tmp_path):
    paths = pictures(tmp_path / "in", 10)
    for path in paths[1:9:2]:
        empty(path)
    said = call("predict", trained / "run", tmp_path / "in", "--out", tmp_path / "out")
    assert said.code == 1 and said.out.startswith("6 masks in ")
    assert [line.split(": ")[2] for line in said.err.splitlines()[:-1]] == [
        str(path) for path in paths[1:9:2]
    ]
    assert said.err.endswith("4 of 10 images have no mask: 1.png, 3.png, 5.png, 7.png\n")


def test_none_that_can_be_used_is_an_error_and_leaves_nothing(call, trained, tmp_path):
    paths = pictures(tmp_path / "in", 3)
    for path in paths:
        empty(path)
    before = tree(tmp_path)
    said = call("predict", trained / "run", tmp_path / "in", "--out", tmp_path / "new/out")
    assert said.code == 2 and said.err.count("\n") == 4 and said.out == ""
    assert "no mask was made; none of the 3 images can be used" in said.err
    assert tree(tmp_path) == before
    assert_names(call("predict", trained / "run", paths[0], "--out", tmp_path / "new").error, [str(paths[0])])
    assert tree(tmp_path) == before


def test_a_mask_of_an_earlier_call_is_not_taken_for_this_ones(call, trained, tmp_path):
    paths, out = pictures(tmp_path / "in"), tmp_path / "out"
    assert call("predict", trained / "run", tmp_path / "in", "--out", out).code == 0
    before = tree(out)
    empty(paths[2])
    said = call("predict", trained / "run", tmp_path / "in", "--out", out)
    assert said.code == 1 and f"({out / '2.png'} is from an earlier call)" in said.err
    assert tree(out) == before


def test_an_argument_that_is_not_there_is_a_slip_and_stops_it_all(call, trained, tmp_path):
    paths = pictures(tmp_path / "in")
    said = call("predict", trained / "run", *paths, tmp_path / "typo.png", "--out", tmp_path / "out")
    assert_names(said.error, [str(tmp_path / "typo.png"), "no such file"])
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.name != "posix", reason="names of bytes")
def test_a_name_that_acts_on_a_terminal_is_written_out(call, trained, tmp_path):
    paths = pictures(tmp_path / "in")
    strange = paths[0].with_name("a\x1b[31m\nb.png")
    paths[0].rename(strange)
    empty(strange)
    said = call("predict", trained / "run", tmp_path / "in", "--out", tmp_path / "out")
    assert said.code == 1 and said.err.count("\n") == 2 and "\x1b" not in said.err
