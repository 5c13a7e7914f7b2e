"""Folders and files of compiled code: what is trusted, what is not, and that nothing of it stops the work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from minidl.kernels import caching

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="POSIX's permissions")


@pytest.fixture(autouse=True)
def _anew(monkeypatch):
    monkeypatch.setattr(caching, "_said", set())
    caching.trusted.cache_clear()
    yield
    caching.trusted.cache_clear()


@pytest.fixture
def others(monkeypatch):
    """What lies on the disk is another user's."""
    user = os.geteuid()
    return lambda: monkeypatch.setattr(os, "geteuid", lambda: user + 1)


def is_private(folder: Path) -> bool:
    return folder == caching.private() and folder.stat().st_mode & 0o777 == 0o700


def test_a_new_folder_is_ours_alone_whatever_the_mask(tmp_path):
    before = os.umask(0)
    try:
        folder = caching.trusted(str(tmp_path / "a" / "b"))
    finally:
        os.umask(before)
    assert folder == tmp_path / "a" / "b"
    assert [level.stat().st_mode & 0o777 for level in (folder, folder.parent)] == [0o700] * 2


@pytest.mark.parametrize("mode", [0o770, 0o777, 0o707, 0o1777])
def test_a_folder_that_others_may_write_is_not_used(tmp_path, mode, caplog):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(mode)
    assert is_private(caching.trusted(str(tmp_path / "cache")))
    assert len(caplog.messages) == 1 and "others may write there" in caplog.messages[0]


@pytest.mark.parametrize("mode", [0o770, 0o777])
def test_nor_is_one_below_such_a_folder_and_nothing_is_made_there(tmp_path, mode, caplog):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(mode)
    assert is_private(caching.trusted(str(tmp_path / "open" / "a" / "b")))
    assert not list((tmp_path / "open").iterdir()) and len(caplog.messages) == 1


def test_one_below_a_sticky_folder_is_used(tmp_path):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o1777)
    assert caching.trusted(str(tmp_path / "open" / "mine")) == tmp_path / "open" / "mine"


def test_the_folder_of_another_user_is_not_used(tmp_path, others, caplog):
    others()
    assert caching.trusted(str(tmp_path)) == caching.private()
    assert "belongs to another user" in caplog.messages[0]


def test_a_link_counts_for_what_it_leads_to(tmp_path, caplog):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "good").mkdir(mode=0o700)
    for name in ("open", "good", "absent", "loop"):
        (tmp_path / f"to {name}").symlink_to(tmp_path / (name if name != "loop" else "to loop"))
    assert caching.trusted(str(tmp_path / "to good" / "a")) == tmp_path / "good" / "a"
    for name in ("open", "absent", "loop"):
        assert is_private(caching.trusted(str(tmp_path / f"to {name}")))
    assert len(caplog.messages) == 3


def test_without_a_home_no_folder_of_a_strange_name_is_made(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as without HOME and without an account
    assert caching.in_users_folder("sim") is None
    assert is_private(caching.trusted(caching.in_users_folder()))
    assert not list(tmp_path.iterdir()) and "HOME is not set" in caplog.messages[0]


def test_an_empty_home_is_none(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "")
    assert caching.in_users_folder() is None


def test_a_relative_folder_holds_in_any_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert caching.trusted("below") == tmp_path / "below"


def test_what_was_written_is_read(tmp_path):
    for contents in (b"", b"x", bytes(1000)):
        assert caching.write(tmp_path / "file", contents) and caching.read(tmp_path / "file") == contents
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_every_cut_and_every_changed_byte_is_noticed(tmp_path):
    file = tmp_path / "file"
    caching.write(file, b"compiled code")
    whole = file.read_bytes()
    for n in range(len(whole)):
        file.write_bytes(whole[:n])
        assert caching.read(file) is None
        file.write_bytes(whole[:n] + bytes([whole[n] ^ 4]) + whole[n + 1 :])
        assert caching.read(file) is None


@pytest.mark.parametrize("how", ["a folder", "a link", "a pipe", "a device", "group", "others", "another's"])
def test_what_is_no_file_of_ours_is_not_read(tmp_path, how, others, caplog):
    file, good = tmp_path / "file", tmp_path / "good"
    caching.write(good, b"code")
    if how == "a folder":
        file.mkdir()
    elif how == "a pipe":
        os.mkfifo(file)
    elif how in ("a link", "a device"):
        file.symlink_to(good if how == "a link" else "/dev/zero")
    else:
        good.rename(file)
        file.chmod({"group": 0o620, "others": 0o602}.get(how, 0o600))
    if how == "another's":
        others()
    assert caching.read(file) is None and len(caplog.messages) == 1


def test_where_nothing_can_be_written_a_note_says_so_once(tmp_path, caplog):
    (tmp_path / "file").mkdir()
    assert not caching.write(tmp_path / "file", b"code") and not caching.write(tmp_path / "file", b"code")
    assert len(caplog.messages) == 1 and [path.name for path in tmp_path.iterdir()] == ["file"]


def test_notes_hold_nothing_that_a_terminal_would_obey(caplog):
    caching.note("folder\x1b[2Jname\nmore")
    assert caplog.messages == ["minidl: note: folder\\x1b[2Jname\\nmore"]
