"""Inputs and names of others: one line, exit code 2, nothing written; and nothing acts on a terminal."""

import json
import os
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from minidl.segmentation.files import write_png
from minidl.train import checkpoint
from oracles.commands import ROOT, SMALL, Said, assert_names, environment, tree

Call = Callable[..., Said]

ESCAPE = "\x1b]0;title\x07\x1b[31m\u202egnp"


def fifo(path: Path) -> str:
    os.mkfifo(path)
    return "a named pipe"


def device(path: Path) -> str:
    path.symlink_to("/dev/zero")
    return "a device"


def loop(path: Path) -> str:
    path.symlink_to(path.name)
    return "leads nowhere"


def dangling(path: Path) -> str:
    path.symlink_to("nowhere")
    return "leads nowhere"


KINDS = [fifo, device, loop, dangling]


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("name", ["dataset.toml", "train/images/03.png", "val/masks/01.png"])
def test_a_file_of_the_data_that_is_none(
    call: Call, data: Path, tmp_path: Path, make: Callable[[Path], str], name: str
) -> None:
    (data / name).unlink(missing_ok=True)
    words = make(data / name)
    said = call("train", data, "--out", tmp_path / "run", *SMALL)
    assert_names(said.error, [str(data / name), words])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("make", [loop, dangling])
@pytest.mark.parametrize("name", ["val", "test", "train/masks", "train/labels", "train/images"])
def test_a_folder_of_the_data_that_is_a_link_to_nowhere(
    call: Call, data: Path, tmp_path: Path, make: Callable[[Path], str], name: str
) -> None:
    """Left out without a word, other images would validate, or other masks be learned."""
    if (data / name).exists():
        (data / name).rename(tmp_path / "moved")
    words = make(data / name)
    assert_names(call("train", data, "--out", tmp_path / "run", *SMALL).error, [str(data / name), words])


@pytest.mark.parametrize("name", ["val", "test", "train/labels"])
@pytest.mark.parametrize("make", [fifo, device, Path.touch])
def test_a_folder_of_the_data_that_is_something_else(
    call: Call, data: Path, tmp_path: Path, make: Callable[[Path], object], name: str
) -> None:
    """As a link is, after a checkout on a system without links."""
    if (data / name).exists():
        (data / name).rename(tmp_path / "moved")
    make(data / name)
    said = call("train", data, "--out", tmp_path / "run", *SMALL)
    assert_names(said.error, [str(data / name), "not a folder"])


@pytest.mark.parametrize("make", KINDS)
def test_files_that_options_and_arguments_name(
    call: Call, data: Path, tmp_path: Path, trained: Path, make: Callable[[Path], str]
) -> None:
    words = make(tmp_path / "x.png")
    path = tmp_path / "x.png"
    for said in (
        call("train", data, "--out", tmp_path / "out", "--dataset-toml", path, *SMALL),
        call("evaluate", path, data),
        call("evaluate", trained / "run", data, "--out", tmp_path / "out", "--dataset-toml", path),
        call("predict", path, data / "train/images/00.png", "--out", tmp_path / "out"),
        call("predict", trained / "run", path, "--out", tmp_path / "out"),
        call("plan", path),
    ):
        assert_names(said.error, [str(path), words])
    (tmp_path / "pictures").mkdir()
    make(tmp_path / "pictures/a.png")
    said = call("predict", trained / "run", tmp_path / "pictures", "--out", tmp_path / "out")
    assert_names(said.error, [str(tmp_path / "pictures/a.png"), words])
    assert not (tmp_path / "out").exists()


def test_links_to_files_and_folders_are_followed(call: Call, data: Path, tmp_path: Path) -> None:
    (data / "val").rename(tmp_path / "elsewhere")
    (data / "val").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "names.toml").write_text('classes = ["ground", "square"]')
    (data / "dataset.toml").symlink_to(tmp_path / "names.toml")
    said = call("train", data, "--out", tmp_path / "run", *SMALL)
    assert said.code == 0, said.err
    assert "2 val" in said.out and "ground, square" in said.out


# --- memory -------------------------------------------------------------------------------------------------


def test_the_limit_holds_in_training_evaluation_and_prediction(
    call: Call, data: Path, tmp_path: Path, trained: Path
) -> None:
    write_png(data / "val/images/00.png", np.zeros((300, 400, 3), np.uint8))
    write_png(data / "val/masks/00.png", np.eye(300, 400, dtype=np.uint8))
    large, limit = data / "val/images/00.png", ("--picture-memory", 1)
    before = tree(tmp_path)
    for said in (
        call("train", data, "--out", tmp_path / "out", "--workers", 2, *limit, *SMALL),
        call("evaluate", trained / "run", data, "--out", tmp_path / "out", *limit),
        call("predict", trained / "run", large, "--out", tmp_path / "out", *limit),
    ):
        assert_names(said.error, [str(large), "400 x 300", "take 2 MiB", "1 MiB", "--picture-memory"])
    assert tree(tmp_path) == before
    said = call("train", data, "--out", tmp_path / "out", "--workers", 2, "--picture-memory", 2, *SMALL)
    assert said.code == 0, said.err


def test_a_picture_that_grew_after_it_was_checked_is_refused_in_a_worker(
    call: Call, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from minidl.train.batches import Batches, Cache

    def grown(batches: Batches, number: int) -> object:
        batches.cache = Cache(batches.cache.data)
        write_png(data / "train/images/00.png", np.zeros((300, 400, 3), np.uint8))
        return batches.cache.load(batches.samples[0])

    monkeypatch.setattr(Batches, "sample", grown)
    said = call("train", data, "--out", tmp_path / "run", "--picture-memory", 1, "--workers", 2, *SMALL)
    assert_names(said.error, [str(data / "train/images/00.png"), "400 x 300", "--picture-memory"])


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "1e3", "9" * 30, "x"])
def test_limits_that_are_none(call: Call, data: Path, tmp_path: Path, value: str) -> None:
    said = call("train", data, "--out", tmp_path / "run", f"--picture-memory={value}")
    assert "--picture-memory" in said.error


# --- names --------------------------------------------------------------------------------------------------


def is_harmless(said: Said) -> bool:
    return all(line.isprintable() for line in (said.out + said.err).split("\n"))


def test_names_of_files_do_not_act_on_the_terminal(
    call: Call, data: Path, tmp_path: Path, trained: Path
) -> None:
    strange = f"{ESCAPE}\nminidl: error: x.png"
    for kind in ("images", "masks"):
        (data / "train" / kind / "03.png").rename(data / "train" / kind / strange)
        os.rename(data / "val" / kind / "01.png", os.fsencode(data / "val" / kind) + b"/\xff\x9b31m.png")
    (data / "train/images" / f"{ESCAPE}.txt").write_text("")
    root, run = data.rename(tmp_path / f"data{ESCAPE}"), tmp_path / f"run{ESCAPE}"
    for arguments in (
        ("train", root, "--out", run, *SMALL),
        ("train", root, "--out", run, *SMALL),  # holds a run already
        ("evaluate", run, root),
        ("evaluate", run, root, "--split", ESCAPE),
        ("evaluate", run, root, "--boundary", ESCAPE),
        ("predict", run, root / "train/images" / strange, "--out", tmp_path / f"out{ESCAPE}"),
        ("predict", run, tmp_path / ESCAPE, "--out", tmp_path / "out"),
        ("train", root, "--out", run, f"--{ESCAPE}"),
        (ESCAPE,),
    ):
        said = call(*arguments)
        assert is_harmless(said), said
        assert "\\x1b" in said.out + said.err
        assert said.code in (0, 2) and (said.code == 0) == (said.err == "")
    (root / "train/images" / strange).write_bytes(b"no picture")
    assert "\\nminidl: error: x.png" in call("train", root, "--out", tmp_path / "new", *SMALL).error


def test_names_of_classes_do_not_act_on_the_terminal(call: Call, data: Path, tmp_path: Path) -> None:
    names = json.dumps(["a\x1b[31m\rb", "\u202ecell\u2028"])
    (data / "dataset.toml").write_text(f"classes = {names}", encoding="utf-8")
    run = tmp_path / "run"
    assert is_harmless(said := call("train", data, "--out", run, *SMALL)) and said.code == 0
    assert is_harmless(said := call("evaluate", run, data)) and said.code == 0
    assert "a\\x1b[31m\\rb" in said.out and "\\u202ecell\\u2028" in said.out


def test_names_in_a_checkpoint_do_not_act_on_the_terminal(call: Call, tmp_path: Path, trained: Path) -> None:
    saved = checkpoint.load(trained / "run/best.safetensors")
    saved.data["classes"] = ["x" * 10**6, f"{ESCAPE}\nb"]
    checkpoint.save(tmp_path / "x.safetensors", saved)
    said = call("evaluate", tmp_path / "x.safetensors", trained / "data", "--out", tmp_path / "out")
    assert is_harmless(said) and said.code == 0 and "in training the classes were called xxx" in said.out
    assert len(said.out) < 2000


@pytest.mark.parametrize("text", [
    'classes = ["a", "{}"]', 'val = "{}"', '"{}" = 1', 'colours = ["{}"]', '[labels]\n"{}" = 1',
    '[labels]\n1 = "{}"', 'num_classes = "{}"',
])  # fmt: skip
def test_a_million_characters_are_refused_before_the_training(
    call: Call, data: Path, tmp_path: Path, text: str
) -> None:
    (data / "dataset.toml").write_text(text.replace("{}", "x" * 10**6))
    said = call("train", data, "--out", tmp_path / "run", *SMALL)
    assert_names(said.error, [str(data / "dataset.toml")])
    assert len(said.error) < 1000 and not (tmp_path / "run").exists()


def test_long_names_of_classes_are_drawn_and_listed(call: Call, data: Path, tmp_path: Path) -> None:
    names = json.dumps(["a" * 200, "細" * 200])
    (data / "dataset.toml").write_text(f"classes = {names}", encoding="utf-8")
    assert call("train", data, "--out", tmp_path / "run", *SMALL).code == 0
    said = call("evaluate", tmp_path / "run", data)
    assert said.code == 0 and max(map(len, said.out.split("\n"))) < 400


def test_output_that_cannot_be_shown_is_written_out(shell: Callable[..., Said]) -> None:
    said = shell("plan", "--size", "32", PYTHONIOENCODING="ascii")
    assert said.code == 0 and "\\u2192" in said.out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_under_the_output_is_named() -> None:
    command = [sys.executable, "-m", "minidl", "plan", "--size", "32"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command, cwd=ROOT, env=environment(), stdout=full, stderr=subprocess.PIPE, text=True, timeout=120
        )
    said = Said(done.returncode, "", done.stderr)
    assert_names(said.error, ["standard output: cannot be written"])


def test_all_output_goes_through_one_function() -> None:
    for path in (ROOT / "minidl/cli").glob("*.py"):
        found = re.findall(
            r"\bclick\.(?:echo|secho)\(|(?<![\w.])print\(|sys\.std\w+\.write", path.read_text()
        )
        assert len(found) == (path.name == "screen.py"), path


# --- what libraries say -------------------------------------------------------------------------------------


def tiff(samples: int, following: int, compression: int = 1) -> bytes:
    """A TIFF file of 8 x 8 pixels that claims so many samples in each, and another page somewhere."""
    tags = {
        256: 8,
        257: 8,
        258: 8,
        259: compression,
        262: 1,
        273: 134,
        277: samples,
        278: 8,
        279: 64 if compression == 1 else 90,
    }
    table = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + table + struct.pack("<I", following) + bytes(72)


@pytest.mark.parametrize(
    ("samples", "following", "compression"),
    [(7, 0, 1), (2**31, 0, 1), (1, 2**32 - 1, 1), (1, 0, 7), (1, 0, 5)],
)
def test_what_pillow_logs_and_warns_of_is_not_on_the_screen(
    shell: Callable[..., Said], tmp_path: Path, trained: Path, samples: int, following: int, compression: int
) -> None:
    (tmp_path / "x.tif").write_bytes(tiff(samples, following, compression))
    said = shell("predict", trained / "run", "x.tif", "--out", "out")
    assert_names(said.error, ["x.tif"])


@pytest.mark.parametrize("glob", ["[" * 50_000, "'\x1b[2Jaaaaaaaaa" * 10_000, "*" * 1001])
def test_a_glob_that_nobody_writes_is_refused_at_once(
    call: Call, data: Path, tmp_path: Path, glob: str
) -> None:
    """To read the first one took minutes."""
    said = call("train", data, "--out", tmp_path / "run", f"--val={glob}", *SMALL)
    assert_names(said.error, ["val", "give a glob"])
    assert_names(call("bench", "--only", glob, "--out", tmp_path / "out").error, ["--only", "give a glob"])
    said = call("bench", "kernels", "--only", glob, "--out", tmp_path / "out")
    assert_names(said.error, ["--only", "give a glob"])


def test_more_classes_than_colours_are_refused_with_a_remedy(call: Call, data: Path, tmp_path: Path) -> None:
    said = call("train", data, "--out", tmp_path / "run", "--num-classes", 2**16, *SMALL)
    assert_names(said.error, ["65536", "dataset.toml"])


@pytest.mark.parametrize(
    ("name", "value"),
    [("MINIDL_VECTOR_BYTES", v) for v in ("7", "0", "-64", "x", "9" * 50, "\u00b2")]
    + [("MINIDL_SIM", "x"), ("MINIDL_SIM_ORDER", "-1"), ("MINIDL_SIM_ORDER", "1" * 5000)],
)
def test_a_variable_that_kernels_heed_is_looked_at_first(
    call: Call, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert_names(call("plan", "--size", "16").error, [name, "give"])


@pytest.mark.parametrize("width", ["16", "32", "64", ""])
def test_widths_of_vectors_that_there_are(call: Call, monkeypatch: pytest.MonkeyPatch, width: str) -> None:
    monkeypatch.setenv("MINIDL_VECTOR_BYTES", width)
    assert call("plan", "--size", "16").code == 0
