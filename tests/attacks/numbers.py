"""Numbers on the command line: beyond every bound, other digits, NaN, five thousand digits"""

from __future__ import annotations

import random
from typing import Any

from attacks.bench import Bench, Ended, drawn

MEANS = "refused in a line that names the option, or taken; at once, and before anything is made"
COUNT = 1500

_VALUES = (
    *(
        "",
        " ",
        "-",
        "+",
        "0",
        "-0",
        "-1",
        "00",
        "+1",
        "1_0",
        "1 0",
        "0x10",
        "0b1",
        "1e3",
        "1.",
        ".5",
        "1.0",
        "1/2",
        "1,5",
        "0.1",
    ),
    *(
        "nan",
        "-nan",
        "inf",
        "-inf",
        "Infinity",
        "1e400",
        "-1e400",
        "1e-400",
        "5e-324",
        "1e308",
        "1e30",
        "true",
        "None",
        "[]",
    ),
    *(
        "\u00b2",
        "\u0663",
        "\uff11",
        "\u2460",
        "\u4e00",
        "1\n",
        "1\0",
        "\x1b[31m",
        "\ud800",
        "1" * 41,
        "1" * 5000,
        "-" + "9" * 5000,
    ),
    *(str(2**k + d) for k in (8, 15, 16, 31, 32, 53, 63, 64, 70, 128) for d in (-1, 0, 1)),
    *(str(10**k) for k in (3, 5, 6, 9, 12, 18, 19, 38, 40)),
)


def _numeric() -> list[tuple[tuple[str, ...], str]]:
    """(command, option) of all that take a number, and those whose text holds some."""
    import click

    from minidl.cli import COMMANDS, cli

    found: list[tuple[tuple[str, ...], str]] = [(("--threads",), "--threads")]
    commands: list[tuple[tuple[str, ...], Any]] = []
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        commands.append(((name,), command))
        commands += [((name, inner), c) for inner, c in getattr(command, "commands", {}).items()]
    kinds = (click.types.IntParamType, click.types.FloatParamType)
    for path, command in commands:
        for option in command.params:
            texts = ("--size", "--crop", "--boundary", "--grid", "--block")
            if isinstance(option, click.Option) and (
                isinstance(option.type, kinds) or option.opts[0] in texts
            ):
                found.append((path, option.opts[0]))
    return found


def attack(bench: Bench, rng: random.Random, count: int) -> None:
    """Each option gets each value; where values are good, something else is missing, and no work is done."""
    nothing = bench.folder / "nothing"
    needed: dict[str, tuple[Any, ...]] = {
        "train": (nothing, "--out", bench.folder / "out"),
        "evaluate": (nothing, nothing),
        "predict": (nothing, nothing, "--out", bench.folder / "out"),
        "cuda-check": (nothing,),
        "demo": ("--out", bench.data),
        "bench": ("--out", bench.data / "train/images/00.png"),
        "plan": ("--json", bench.folder / "nothing/x.json"),
    }
    cases = [(path, option, value) for path, option in _numeric() for value in _VALUES]
    for path, option, value in drawn(rng, cases, count):
        arguments = [f"{option}={value}", "plan", *needed["plan"]] if path[0] == option else [
            *path, *needed[path[0]], f"{option}={value}"
        ]  # fmt: skip

        def expect(ended: Ended, option: str = option) -> str:
            places = (option, "nothing", "data")
            return "" if any(p in ended.error for p in places) else f"names neither: {ended.error}"

        bench.call(f"{' '.join(path)} {option}={value[:30]!r}", *arguments, codes=[2], expect=expect)
