"""Names of files, folders, classes and options: escape sequences, line breaks, bidi marks, not UTF-8"""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path

from attacks.bench import Bench, limited
from oracles.commands import SMALL

MEANS = "the work is done or refused, and nothing in the output acts on a terminal or is of any length"
COUNT = 400

_ATOMS = (
    *(
        "\x1b[31m",
        "\x1b]0;title\x07",
        "\x1b[2J",
        "\x9b31m",
        "\n",
        "\r",
        "\t",
        "\x08",
        "\x7f",
        "\u202e",
        "\u2066",
        "\u200b",
        "\ufeff",
    ),
    *(
        "\u2028",
        "\u0085",
        "\U000e0041",
        "e\u0301",
        "\u7d30\u80de",
        "\U0001f9ec",
        "\udcff",
        "\udc9b",
        "\ud800",
        " ",
        "  ",
        "-",
        "--out",
        "-h",
    ),
    *(
        "*",
        "?",
        "[",
        "]",
        "{}",
        "{0}",
        "%s",
        "%n",
        "$HOME",
        "`id`",
        "$(id)",
        ";",
        "|",
        "&",
        "'",
        '"',
        "\\",
        "~",
        "#",
        "=",
        ":",
        ",",
        "\u00b2",
    ),
    *(
        "minidl: error: x",
        "CON",
        "nul",
        "..",
        ".",
        "a" * 60,
        "b" * 240,
        "0",
        "val",
        ".minidl",
        "a.png",
        ".png.png",
    ),
)


def _name(rng: random.Random, longest: int = 200) -> str:
    """Some of these, without what no name can hold."""
    while True:
        text = "".join(rng.choices(_ATOMS, k=rng.choice((1, 1, 2, 3, 6)))).replace("\ud800", "?")
        if text.strip("./") and len(os.fsencode(text)) <= longest:
            return text


def attack(bench: Bench, rng: random.Random, count: int) -> None:
    """Names at every place where one can stand."""
    ways = (_picture, _folders, _of_the_data, _classes, _options)
    for number in range(count):
        ways[number % len(ways)](bench, rng)
        for path in (bench.folder / "in", bench.folder / "out", bench.folder / "copy"):
            shutil.rmtree(path, ignore_errors=True)


def _picture(bench: Bench, rng: random.Random) -> None:
    path, out = bench.folder / "in" / f"{_name(rng)}.png", bench.folder / "out"
    path.parent.mkdir()
    shutil.copy(bench.data / "test/images/00.png", path)
    given = path if rng.random() < 0.5 else path.parent
    bench.call(
        f"a picture {path.name!r}",
        "predict",
        bench.run,
        given,
        "--out",
        out,
        *limited("predict"),
        writes=[out],
    )


def _folders(bench: Bench, rng: random.Random) -> None:
    """--out, the run and DATA; --out not within another."""
    out, run = bench.folder / "out" / _name(rng), bench.folder / "in" / _name(rng)
    run.parent.mkdir()
    shutil.copytree(bench.run, run)
    data = bench.folder / "copy" / _name(rng)
    shutil.copytree(bench.data, data)
    for arguments in (
        ("predict", run, data / "test/images", "--out", out),
        ("evaluate", run, data, "--out", out),
    ):
        bench.call(
            f"{arguments[0]}: {out.name!r}, {run.name!r}, {data.name!r}", *arguments, writes=[out.parent]
        )
    missing = bench.folder / _name(rng)
    bench.call(
        f"a run that is not there: {missing.name!r}", "predict", missing, data, "--out", out, codes=[2]
    )


def _of_the_data(bench: Bench, rng: random.Random) -> None:
    """A pair of the data set, or only a half of it, or something beside it, has this name."""
    copy, out, name = bench.folder / "copy", bench.folder / "out", _name(rng)
    shutil.copytree(bench.data, copy)
    for kind in rng.choice((("images", "masks"), ("images",), ("masks",))):
        os.rename(copy / "train" / kind / "03.png", copy / "train" / kind / f"{name}.png")
    (copy / "train/images" / f"{_name(rng)}.txt").write_bytes(b"")
    bench.call(f"in the data: {name!r}", "train", copy, "--out", out, *SMALL, writes=[out])


def _classes(bench: Bench, rng: random.Random) -> None:
    copy, out, names = bench.folder / "copy", bench.folder / "out", [_name(rng), "second"]
    shutil.copytree(bench.data, copy)
    text = f"classes = {json.dumps(names)}\n"
    Path(copy / "dataset.toml").write_bytes(text.encode("utf-8", "surrogatepass"))
    bench.call(f"classes {names}", "evaluate", bench.run, copy, "--out", out, writes=[out])


def _options(bench: Bench, rng: random.Random) -> None:
    """Where an option, a choice, a glob or a class is expected."""
    name = _name(rng) * rng.choice((1, 1, 1, 10_000))
    out = bench.folder / "out"
    for arguments in (
        (name,),
        ("train", bench.data, "--out", out, f"--{name}"),
        ("train", bench.data, "--out", out, "--optimizer", name),
        ("evaluate", bench.run, bench.data, "--out", out, f"--split={name}"),
        ("evaluate", bench.run, bench.data, "--out", out, f"--boundary={name}"),
        ("evaluate", bench.run, bench.data, "--out", out, f"--val={name}"),
        ("plan", f"--size={name}"),
        ("plan", f"--device={name}"),
        ("predict", name, name, "--out", out),
    ):
        bench.call(f"{arguments[0]!r:.30}: {name[:60]!r}", *arguments, writes=[out])
        shutil.rmtree(out, ignore_errors=True)
