"""Whose the files in a folder are: the mark of what a run has written, and what it may replace."""

import errno
import json
import os

import pytest

from minidl._atomic import atomic_write
from minidl._marks import MARK, mark, may_replace
from minidl._outputs import check, refuse_inputs, writing
from minidl.errors import InputError
from oracles.commands import tree
from oracles.runs import refusal

posix = pytest.mark.skipif(os.name != "posix", reason="kinds of files of POSIX")


def test_a_marked_folder_is_written_again_and_an_unmarked_file_is_not(tmp_path):
    out = tmp_path / "deep/out"
    for text in ("first", "second"):
        check(out, ["a.png"])
        with writing(out, ["a.png"]):
            atomic_write(out / "a.png", text)
    assert tree(out).keys() == {MARK, "a.png"}
    (out / "b.png").write_text("mine")
    for names in (["b.png"], ["a.png", "b.png"]):
        said = refusal(lambda names=names: check(out, names), "b.png", "--overwrite")
        with pytest.raises(InputError, match="is there already"), writing(out, names):
            atomic_write(out / "b.png", "lost")
        assert (out / "b.png").read_text() == "mine" and "\n" not in said
    check(out, ["b.png"], overwrite=True)
    with writing(out, ["b.png"], overwrite=True):
        atomic_write(out / "b.png", "ours now")
    check(out, ["a.png", "b.png"])


@pytest.mark.parametrize(
    "contents",
    [
        "",
        "{",
        "[1]",
        "[" * 10**5,
        '{"files": ["a.png"]}',
        '{"about": 1, "files": {"a.png": null}}',
        '{"about": "minidl has written these files", "files": {"a.png": null}}',
        "\xff",
    ],
)
def test_a_mark_that_is_not_ours_marks_nothing(tmp_path, contents):
    (tmp_path / MARK).write_text(contents, encoding="latin-1")
    (tmp_path / "a.png").write_text("mine")
    refusal(lambda: check(tmp_path, ["a.png"]), "minidl has not written it")
    refusal(lambda: check(tmp_path, ["new.png"]), MARK)
    assert (tmp_path / "a.png").read_text() == "mine"


def test_a_result_that_was_corrected_by_hand_is_not_ours(tmp_path):
    for _ in range(2):
        with writing(tmp_path, ["a.png", "b.png"]):
            atomic_write(tmp_path / "a.png", "ours")
            atomic_write(tmp_path / "b.png", "ours")
    (tmp_path / "a.png").write_text("corrected")
    refusal(lambda: check(tmp_path, ["a.png", "b.png"]), "a.png", "changed since")
    assert (tmp_path / "a.png").read_text() == "corrected"
    check(tmp_path, ["b.png"])
    (tmp_path / "a.png").write_text("ours")
    check(tmp_path, ["a.png", "b.png"])


def test_what_a_killed_process_left_is_still_ours(tmp_path):
    with writing(tmp_path, ["a.png"]):
        atomic_write(tmp_path / "a.png", "ours")
    entered = writing(tmp_path, ["a.png"])
    entered.__enter__()
    atomic_write(tmp_path / "a.png", "newer")
    check_mark = json.loads((tmp_path / MARK).read_text())["files"]
    assert check_mark == {"a.png": None}  # as SIGKILL would leave it
    assert may_replace(tmp_path / "a.png", check_mark)
    entered.__exit__(None, None, None)
    check(tmp_path, ["a.png"])


@posix
def test_a_marked_name_that_leads_out_of_the_folder_is_not_ours(tmp_path):
    truth = tmp_path / "truth.png"
    truth.write_text("truth")
    out = tmp_path / "out"
    with writing(out, ["a.png"]):
        atomic_write(out / "a.png", "x")
    (out / "a.png").unlink()
    (out / "a.png").symlink_to(truth)
    refusal(lambda: check(out, ["a.png"]), "a.png")
    mark(out, {"a.png": None})  # as after a kill
    refusal(lambda: check(out, ["a.png"]), "a.png")
    assert truth.read_text() == "truth"


def test_a_failure_before_the_first_result_leaves_nothing(tmp_path):
    def fail():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), writing(tmp_path / "a/b", ["x.png"]):
        fail()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "there").mkdir()
    (tmp_path / "there/mine").write_text("mine")
    with pytest.raises(KeyboardInterrupt), writing(tmp_path / "there", ["x.png"]):
        fail()
    assert tree(tmp_path).keys() == {"there", "there/mine"}


def test_a_failure_after_the_first_result_keeps_it(tmp_path):
    def write_one():
        with writing(tmp_path / "out", ["x.png", "y.png"]):
            atomic_write(tmp_path / "out/x.png", "x")
            raise OSError(errno.EIO, "broken")

    with pytest.raises(OSError, match="broken"):
        write_one()
    assert tree(tmp_path / "out").keys() == {MARK, "x.png"}


@pytest.mark.parametrize("name", ["d", "d/sub", "link", "link/sub", "d/../d", "other/../d/deeper/still"])
def test_no_folder_of_results_within_one_that_is_read(tmp_path, monkeypatch, name):
    for made in ("d", "other"):
        (tmp_path / made).mkdir()
    (tmp_path / "link").symlink_to("d")
    monkeypatch.chdir(tmp_path)
    for out in (tmp_path / name, os.path.relpath(tmp_path / name)):
        for read in (tmp_path / "d", tmp_path / "link"):
            with pytest.raises(InputError, match="another --out"):
                check(type(tmp_path)(out), ["a.png"], overwrite=True, inputs=[read])
    check(tmp_path / "other/new", ["a.png"], inputs=[tmp_path / "d"])


def test_a_file_that_is_read_is_not_written_over_by_any_name(tmp_path):
    source = tmp_path / "a.png"
    source.write_text("picture")
    out = tmp_path / "out"
    out.mkdir()
    os.link(source, out / "hard.png")
    (out / "soft.png").symlink_to(source)
    for name in ("hard.png", "soft.png"):
        refusal(lambda name=name: check(out, [name], overwrite=True, inputs=[source]), name, "written over")
    refuse_inputs([out / "new.png"], [source])


@pytest.mark.parametrize(
    "name", ["d/images", "d/masks", "d/masks/sub", "d/train/labels", "link", "d", "d/train"]
)
def test_the_folders_of_a_data_set_are_known_by_their_names(tmp_path, name):
    for made in ("d/images", "d/masks", "d/train/images", "d/train/labels"):
        (tmp_path / made).mkdir(parents=True)
    (tmp_path / "link").symlink_to("d/masks")
    refusal(lambda: check(tmp_path / name, ["a.png"], overwrite=True), "another --out")
    (tmp_path / "home/images").mkdir(parents=True)  # no masks beside it: pictures of somebody's
    check(tmp_path / "home/images/results", ["a.png"])


def test_no_new_folder_within_the_data_but_one_that_is_there_goes_on(tmp_path):
    data = tmp_path / "d"
    (data / "images").mkdir(parents=True)
    for out in (data, data / "run", data / "val"):
        refusal(lambda out=out: check(out, ["a"], data=data), "lies in the data set")
    old = data / "old"
    old.mkdir()
    (old / "config.json").write_text(
        json.dumps({"config": {}, "architecture": {}, "data": {}, "normalisation": {}})
    )
    check(old, ["a"], data=data)
    check(old / "evaluation-val", ["a"], data=data)


def test_results_whose_sums_found_no_room_are_whole_and_a_line_says_what_that_means(tmp_path, monkeypatch):
    out, said = tmp_path / "out", []

    def full(folder, sums):
        raise InputError(f"{folder / MARK}: cannot write it (No space left on device)")

    with writing(out, ["a.png"], say=said.append):
        atomic_write(out / "a.png", "result")
        monkeypatch.setattr("minidl._marks.mark", full)
    assert (out / "a.png").read_text() == "result"
    (line,) = said
    assert "No space left" in line and "a later run may replace it" in line and "\n" not in line
    monkeypatch.undo()
    with writing(out, ["a.png"], say=said.append):
        atomic_write(out / "a.png", "again")
    assert len(said) == 1 and may_replace(out / "a.png", json.loads((out / MARK).read_text())["files"])
