"""What is written: files, whole ones, and only through one place."""

import ast
import os
import stat

import pytest

from minidl._atomic import atomic_write, destination
from minidl._marks import is_marked
from minidl._outputs import check, check_file
from minidl.errors import InputError
from oracles.runs import refusal
from oracles.targets import a_socket, device, fifo, folder, link_to_a_folder, loop

posix = pytest.mark.skipif(os.name != "posix", reason="kinds of files of POSIX")


@posix
@pytest.mark.parametrize("make", [fifo, a_socket, folder, device, loop, link_to_a_folder])
def test_what_is_no_file_is_refused_and_stays(tmp_path, make):
    path = tmp_path / "out"
    make(path)
    before = os.lstat(path)
    refusal(lambda: atomic_write(path, "x"), str(path), "give another")
    refusal(lambda: check(tmp_path, ["out"], overwrite=True), str(path), "give another")
    refusal(lambda: check_file(path, None, True, "--json"), str(path), "--json", "give another")
    assert os.lstat(path) == before and [p.name for p in tmp_path.iterdir()] == ["out"]


@posix
def test_a_write_goes_through_links_and_leaves_them(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "chain").symlink_to("disk/real")
    (tmp_path / "link").symlink_to(tmp_path / "chain")
    check_file(tmp_path / "link", None, False, "--json")  # nothing is lost
    for text in ("new", "newer"):  # the link leads nowhere at first
        atomic_write(tmp_path / "link", text)
        assert (tmp_path / "disk/real").read_text() == text
        assert (tmp_path / "link").is_symlink() and (tmp_path / "chain").is_symlink()
    assert [p.name for p in (tmp_path / "disk").iterdir()] == ["real"]


@posix
def test_a_write_in_a_relative_folder_goes_through_links(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.symlink("a", "b")
    atomic_write("b", "1")
    assert os.readlink("b") == "a" and (tmp_path / "a").read_text() == "1"


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o777])
def test_a_replaced_file_passes_its_permissions_on(tmp_path, mode):
    path = tmp_path / "private"
    path.write_text("old")
    path.chmod(mode)
    atomic_write(path, "new")
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_write_protected_file_is_not_replaced(tmp_path, monkeypatch):
    path = tmp_path / "kept"
    path.write_text("old")
    path.chmod(0o444)
    if os.access(path, os.W_OK):  # root may write all: what the system answers to others
        writable = lambda path, mode: not mode & os.W_OK or os.stat(path).st_mode & 0o222  # noqa: E731
        monkeypatch.setattr(os, "access", writable)
    refusal(lambda: atomic_write(path, "new"), "write-protected")
    assert path.read_text() == "old"


@pytest.mark.parametrize("length", [200, 241, 255])
def test_the_longest_names_can_be_written(tmp_path, length):
    atomic_write(tmp_path / ("n" * length), "x")
    assert [len(p.name) for p in tmp_path.iterdir()] == [length]


@pytest.mark.parametrize("name", ["n" * 256, "ü" * 128, "a\0b", "n" * 10**5])
def test_names_that_cannot_be_are_one_line(tmp_path, name):
    with pytest.raises(InputError):
        atomic_write(tmp_path / name, "x")
    said = refusal(lambda: check(tmp_path / "new", ["good.png", name]), "give another --out")
    assert len(said) < 500 and list(tmp_path.iterdir()) == []


@posix
def test_a_target_that_becomes_a_folder_meanwhile(tmp_path, monkeypatch):
    path, fsync = tmp_path / "out", os.fsync

    def slow(descriptor):
        path.mkdir(exist_ok=True)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    refusal(lambda: atomic_write(path, "x"), "is a folder")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_nothing_is_written_in_another_way(root):
    """Whatever writes a file of results calls atomic_write; the rest is named here, with its reason."""
    allowed = {
        ("minidl/_atomic.py", "open"): "the one place",
        ("minidl/segmentation/files.py", "save"): "a picture, into memory",
        ("minidl/bench/worker.py", "write_text"): "/proc/self/clear_refs",
    }
    found = set()
    for path in sorted((root / "minidl").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            text = ast.unparse(node)
            writes = name in ("write_text", "write_bytes", "tofile", "save_file", "imsave")
            writes |= name in ("savefig", "save", "savez") and "buffer" not in text and "ctx" not in text
            writes |= name == "open" and any(f"'{mode}" in text for mode in "wax") and "devnull" not in text
            if writes and text.startswith(("self.", "checkpoints.", "save(")):
                writes = False  # a function of ours
            if writes:
                found.add((path.relative_to(root).as_posix(), name))
    assert found <= allowed.keys(), found - allowed.keys()


def test_destination_is_the_path_itself_where_there_is_no_link(tmp_path):
    assert destination(tmp_path / "new") == tmp_path / "new"
    assert is_marked(tmp_path) is False
