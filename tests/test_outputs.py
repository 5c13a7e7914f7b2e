"""What is written: files, whole ones, only where nothing of anybody else's is, by one writer at a time."""

import ast
import errno
import json
import os
import socket
import stat
import subprocess
import sys
import threading

import pytest

from minidl import _lock
from minidl._atomic import atomic_write, destination
from minidl._lock import check_free, locked
from minidl._marks import MARK, is_marked, mark, may_replace
from minidl._outputs import check, check_file, refuse_inputs, writing
from minidl.errors import InputError
from oracles.commands import environment, tree
from oracles.runs import refusal

posix = pytest.mark.skipif(os.name != "posix", reason="kinds of files of POSIX")


# ---------------------------------------------------------------------------------------------
# What a target is
# ---------------------------------------------------------------------------------------------
def fifo(path):
    os.mkfifo(path)


def a_socket(path):
    with socket.socket(socket.AF_UNIX) as end:
        here = os.getcwd()
        os.chdir(path.parent)  # the address of a socket is short
        try:
            end.bind(path.name)
        finally:
            os.chdir(here)


def folder(path):
    path.mkdir()


def device(path):
    path.symlink_to("/dev/null")


def loop(path):
    path.symlink_to(path.name)


def link_to_a_folder(path):
    path.symlink_to(path.parent)


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


# ---------------------------------------------------------------------------------------------
# Whose it is
# ---------------------------------------------------------------------------------------------
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


# ---------------------------------------------------------------------------------------------
# One writer
# ---------------------------------------------------------------------------------------------
HOLD = """
import sys, pathlib
from minidl._lock import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that writes to the folder."""
    if _lock.fcntl is None:
        pytest.skip("no flock")
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, env=environment(), **pipes)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_writer_is_told_the_folder_and_the_process(tmp_path, holder):
    for action in (
        lambda: check_free(tmp_path),
        lambda: check(tmp_path, ["a"]),
        lambda: locked(tmp_path).__enter__(),
        lambda: writing(tmp_path, ["a"]).__enter__(),
    ):
        refusal(action, str(tmp_path), f"process {holder.pid} on {socket.gethostname()}")
    holder.communicate("")
    with locked(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_lock_dies_with_its_process(tmp_path, holder):
    holder.kill()
    holder.wait()
    assert (tmp_path / _lock.NAME).exists()
    check_free(tmp_path)
    with writing(tmp_path, ["a"]):
        atomic_write(tmp_path / "a", "x")
    assert tree(tmp_path).keys() == {MARK, "a"}


def test_two_threads_are_two_writers(tmp_path):
    refused = []

    def other():
        with pytest.raises(InputError) as error, locked(tmp_path):
            pass
        refused.append(str(error.value))

    with locked(tmp_path):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert f"process {os.getpid()} on" in refused[0]


def test_of_many_threads_one_writes_at_a_time(tmp_path):
    inside, most, done = [], [], []

    def work():
        for _ in range(20):
            try:
                with locked(tmp_path):
                    inside.append(1)
                    most.append(len(inside))
                    inside.pop()
                    done.append(1)
            except InputError:
                pass

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done and max(most) == 1


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS])
def test_where_nothing_can_be_locked_it_is_said_once_and_goes_on(tmp_path, monkeypatch, number):
    if _lock.fcntl is None:
        pytest.skip("no flock")

    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(_lock.fcntl, "flock", flock)
    said = []
    for _ in range(3):
        with locked(tmp_path, said.append):
            check_free(tmp_path)
    assert len(said) == 1 and str(tmp_path) in said[0] and os.strerror(number) in said[0]


def test_without_flock_at_all_it_is_said_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(_lock, "fcntl", None)
    said = []
    with writing(tmp_path / "out", ["a"], say=said.append):
        atomic_write(tmp_path / "out/a", "x")
    assert len(said) == 1 and "cannot be locked" in said[0]


@posix
@pytest.mark.parametrize("make", [fifo, folder, device, loop])
def test_a_lock_file_that_is_none_is_one_line(tmp_path, make):
    make(tmp_path / _lock.NAME)
    refusal(lambda: locked(tmp_path).__enter__(), _lock.NAME)
    check_free(tmp_path)


def test_what_stands_in_a_lock_file_does_not_reach_the_screen(tmp_path):
    with locked(tmp_path):
        (tmp_path / _lock.NAME).write_bytes(b"\x1b[31mprocess 1 on \x1b]0;x\n" * 10)
        said = refusal(lambda: check_free(tmp_path), "another process")
    assert "\x1b" not in said


def test_destination_is_the_path_itself_where_there_is_no_link(tmp_path):
    assert destination(tmp_path / "new") == tmp_path / "new"
    assert is_marked(tmp_path) is False
