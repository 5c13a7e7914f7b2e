"""dataset.toml: nested, long, of every wrong type, in other encodings, mutated, no regular file"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator

from attacks.bench import Bench, Ended
from attacks.mutation import mutated

MEANS = "used, or refused in a line that names the file"
COUNT = 1500

_GOOD = """classes = ["ground", "square"]
colours = ["#000000", "#ff0000"]
num_classes = 2
ignore_index = 255
val = "0*"

[labels]
0 = 0
1 = 1
"#ff0000" = 1
"""
_KEYS = (
    "classes",
    "colours",
    "num_classes",
    "ignore_index",
    "val",
    "labels",
    "labels.1",
    'labels."#ff0000"',
    "unknown",
)
_VALUES = (
    *(
        "true",
        "-1",
        "0",
        "1",
        "3",
        "65536",
        "65537",
        "2147483648",
        "9" * 400,
        "-" + "9" * 4299,
        "0x" + "f" * 5000,
    ),
    *(
        "0.5",
        "nan",
        "inf",
        "-inf",
        "1e999",
        '""',
        '"x"',
        "[]",
        "[[]]",
        "{}",
        "1979-05-27",
        "07:32:00",
        "1979-05-27T07:32:00Z",
    ),
    *(
        '["a", "a"]',
        '["a", 1]',
        '["\\u001b[31m", "b"]',
        '["a\\nb", "c"]',
        '["", " "]',
        '["\\u202e", "\\u0000"]',
    ),
    *(
        '["#000000"]',
        '["#00000g", "#ffffff"]',
        '["red", "blue"]',
        "[1, 2]",
        '{"1" = 1}',
        "{a = {b = {c = 1}}}",
    ),
    *('"["', '"[!"', '"**/../*"', '"' + "*" * 900 + '"', '"' + "[a-" * 300 + '"', '"' + "x" * 10**6 + '"'),
    *("[" + '"a",' * 70_000 + "]", "[" + ",".join(f'"c{i}"' for i in range(65_537)) + "]"),
)


def attack(bench: Bench, rng: random.Random, count: int) -> None:
    """Evaluate with each."""
    path, out = bench.data / "dataset.toml", bench.folder / "out"
    cases = list(_cases())
    for number in range(count):
        if number < len(cases) and count >= len(cases):
            name, data = cases[number]
        elif rng.random() < 0.5:
            name, data = rng.choice(cases)
        else:
            name, data = mutated(
                rng, rng.choice((_GOOD.encode(), _GOOD.encode(), rng.choice(cases)[1][:5000]))
            )
        path.unlink(missing_ok=True)
        path.write_bytes(data)

        def expect(ended: Ended) -> str:
            # What a good dataset.toml means may not fit the masks, or the run: then these are named.
            known = (str(path), str(bench.data), "--", "dataset.toml")
            return (
                ""
                if ended.code == 0 or any(k in ended.error for k in known)
                else f"names nothing: {ended.error}"
            )

        bench.call(
            f"dataset.toml, {name}",
            "evaluate",
            bench.run,
            bench.data,
            "--out",
            out,
            writes=[out],
            expect=expect,
        )
        shutil.rmtree(out, ignore_errors=True)
    path.unlink()
    for kind, make in _kinds(path):
        make()
        bench.call(f"dataset.toml is {kind}", "evaluate", bench.run, bench.data, "--out", out, codes=[2])
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _kinds(path):  # type: ignore[no-untyped-def]
    yield "a pipe", lambda: os.mkfifo(path)
    yield "a folder", path.mkdir
    for target in ("/dev/zero", "/dev/urandom", "nowhere", path.name, "/proc/self/mem", "/"):
        yield f"a link to {target}", lambda target=target: path.symlink_to(target)
    yield "a file of 100 GB", lambda: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 10**11)


def _cases() -> Iterator[tuple[str, bytes]]:
    for key in _KEYS:
        for value in _VALUES:
            yield f"{key} = {value[:30]}", f"{key} = {value}\n".encode()
    for levels in (31, 33, 1000, 100_000, 1_000_000):
        yield f"{levels} lists", f"classes = {'[' * levels}{']' * levels}".encode()
        yield f"{levels} tables", ("a = " + "{a = " * levels + "1" + "}" * levels).encode()
        yield f"a key of {levels} parts", (".".join("a" * levels) + " = 1").encode()
        yield f"a header of {levels} parts", ("[" + ".".join("a" * levels) + "]").encode()
    for codec in ("utf-8-sig", "utf-16", "utf-32", "latin-1", "utf-7"):
        yield f"in {codec}", _GOOD.replace("ground", "gr\xfcnd").encode(codec)
    yield "cut within a character", "classes = ['\u7d30'".encode()[:-2]
    yield "surrogates", b"classes = ['\xed\xa0\x80', 'b']"
    for text in (
        "\0",
        "\x1b[31m",
        "\r",
        "=",
        "[",
        "[[",
        "[labels",
        '"""',
        "'''",
        '"\\',
        "a",
        "[a]\n" * 100_000,
        "#" * 10**6,
        "\n" * 10**6,
        '"' * 99_999,
    ):
        yield f"the text {text[:9]!r}", text.encode()
    yield "5 MiB", b"#" * (5 * 2**20)
    many = "\n".join(f"{i} = 1" for i in range(65_536))
    yield "65536 labels", f"num_classes = 2\n[labels]\n{many}".encode()
    yield "a million labels", ("[labels]\n" + "\n".join(f"{i} = 0" for i in range(300_000))).encode()
    yield "long names", f"classes = {json.dumps(['a' * 200, 'b' * 200])}".encode()
