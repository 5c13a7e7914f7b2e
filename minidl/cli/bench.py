"""``minidl bench``: speed and memory beside other libraries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from minidl import _inputs, _outputs
from minidl._atomic import atomic_write
from minidl.bench.contestants import CONTESTANTS, OWN, PEERS
from minidl.bench.plan import Plan, select
from minidl.bench.run import begin, run
from minidl.bench.workloads import GROUPS, WORKLOADS
from minidl.cli import bench_kernels
from minidl.cli.numbers import ROUNDS, Whole
from minidl.cli.options import note, on_command_line, overwrite_option
from minidl.cli.progress import Progress, about_compiling
from minidl.cli.screen import echo
from minidl.cli.stopping import stops_at_once
from minidl.cli.threads import common_options
from minidl.errors import InputError

#: What a measurement writes.
FILES = ("results.json", "results.md", "ratios.png", "roofline.png", "scaling.png")

#: Parts that are no workloads: each has a table of its own.
EXTRAS = {
    "memory": "peak memory of training steps",
    "startup": "first steps, with and without a compile cache",
}


@click.group(
    "bench",
    invoke_without_command=True,
    epilog="""\b
Examples:
  minidl bench --list
  minidl bench --quick                                see that it works, in a minute or two
  minidl bench --out speed                            everything, beside all that is installed
  minidl bench --only 'conv*,training' --rounds 15
  minidl bench --only relu --peers none               minidl alone
  minidl bench --profile --out profile                where one training step's time goes
  minidl bench kernels                                every kernel of every backend, GPU included
""",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("minidl-bench"),
    show_default=True,
    help="Folder for results.json, results.md and plots.",
)
@click.option(
    "--only",
    metavar="NAMES",
    help="Workloads or groups, separated by commas; * and ? as in a shell [default: everything].",
)
@click.option(
    "--peers",
    metavar="NAMES",
    help="Contestants beside minidl, separated by commas, or 'none' [default: all peers].",
)
@click.option("--rounds", type=Whole(1, ROUNDS), help="Turns of each contestant [default: 5 to 9].")
@click.option("--quick", is_flag=True, help="Small shapes and few rounds; the figures mean nothing.")
@click.option("--list", "listed", is_flag=True, help="Say what can be measured, and beside whom, and stop.")
@click.option("--profile", is_flag=True, help="The shares of one training step's time, instead of ratios.")
@common_options
@overwrite_option
@click.pass_context
def command(
    ctx: click.Context,
    out: Path,
    only: str | None,
    peers: str | None,
    rounds: int | None,
    quick: bool,
    listed: bool,
    profile: bool,
    overwrite: bool,
) -> int | None:
    """Measure minidl beside other libraries: training steps, predictions, single operations, memory.

    Every contestant is a process of its own, all use --threads threads, and they take turns (A B C A B C
    ...), so that whatever else the machine does meets all alike. Peers: PyTorch, TensorFlow, ONNX Runtime,
    as far as they are installed (pip install 'minidl[bench]').
    """
    if ctx.invoked_subcommand is not None:
        _refuse_options(ctx)
        return None
    if listed:
        echo(*_listing().split("\n"))
        return 0
    if profile:
        return _profile(out, only, quick, overwrite)
    plan = _plan(only, peers, rounds, quick)
    _outputs.check(out, FILES, overwrite)
    with _outputs.writing(out, FILES, overwrite, note):
        return _measure(plan, out)


command.add_command(bench_kernels.command)


def _refuse_options(ctx: click.Context) -> None:
    """Options of ``bench`` mean nothing to the command behind it, which has its own of the same names.

    Raises:
        InputError: one was given.
    """
    for option in ctx.command.params:
        if option.expose_value and on_command_line(ctx, option.name or ""):
            name, behind = option.opts[0], ctx.invoked_subcommand
            raise InputError(
                f"{name}: stands before '{behind}'; give it behind: minidl bench {behind} {name}"
            )


def _plan(only: str | None, peers: str | None, rounds: int | None, quick: bool) -> Plan:
    from minidl.dispatch import get_num_threads

    patterns = _names(only)
    known = {w.name for w in WORKLOADS} | set(GROUPS) | set(EXTRAS)
    for pattern in patterns:
        if not _matching(pattern, known):
            raise InputError(f"--only {pattern}: matches nothing; see 'minidl bench --list'")
    extras = {name for name in EXTRAS if not patterns or any(_matching(p, {name}) for p in patterns)}
    return Plan(
        workloads=select(patterns, quick),
        peers=_peers(peers),
        threads=get_num_threads(),
        rounds=rounds,
        quick=quick,
        memory="memory" in extras,
        startup="startup" in extras,
    )


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _matching(pattern: str, names: set[str]) -> bool:
    return any(_inputs.matches(pattern, name, "--only") for name in names)


def _peers(text: str | None) -> list[str]:
    """Those that were named, in the order of the list; they must be installed then."""
    if text is None:
        return list(PEERS)
    names = [] if text.strip() == "none" else _names(text)
    for name in names:
        if name not in CONTESTANTS or name == "minidl":
            choices = ", ".join(n for n in CONTESTANTS if n != "minidl")
            raise InputError(f"--peers {name}: there is no such contestant; choose from {choices}, or none")
        if not CONTESTANTS[name].installed():
            raise InputError(f"--peers {name}: not installed; pip install 'minidl[bench]', or leave it out")
    return [name for name in CONTESTANTS if name in names]


def _measure(plan: Plan, out: Path) -> int:
    from minidl.kernels.cpu import nothing_kept

    if not any(CONTESTANTS[name].installed() for name in plan.peers if name not in OWN):
        echo("note: no peer takes part, minidl is measured alone; pip install 'minidl[bench]'")
    if nothing_kept():  # the contestants are processes of their own, which compile unseen
        echo(about_compiling())
    record = begin(plan)
    with Progress(unit=" turns") as progress, stops_at_once() as stop:
        try:
            run(plan, record, progress, lambda r: atomic_write(out / "results.json", json.dumps(r) + "\n"))
        except KeyboardInterrupt:
            progress.close()
            if record["workloads"]:
                _write(record, out)
                echo(f"stopped; what was measured so far is in {out}", err=True)
            else:
                echo("stopped before anything was measured", err=True)
            return stop.exit_code
    _write(record, out)
    echo(f"results.json, results.md and plots are in {out}")
    return 0


def _write(record: dict[str, Any], out: Path) -> None:
    """Tables and pictures of a record."""
    from minidl.bench.plots import write_plots
    from minidl.bench.tables import render

    atomic_write(out / "results.json", json.dumps(record, indent=1, allow_nan=False) + "\n")
    atomic_write(out / "results.md", "# minidl bench\n\n" + render(record))
    write_plots(record, out)


def _profile(out: Path, only: str | None, quick: bool, overwrite: bool) -> int:
    from minidl.bench.profile import WORKLOAD, profile
    from minidl.dispatch import get_num_threads

    names = _names(only) or [WORKLOAD]
    known = [w.name for w in WORKLOADS if w.group == "training"]
    for name in names:
        if name not in known:
            raise InputError(
                f"--only {name}: --profile takes a training step; choose from {', '.join(known)}"
            )
    files = [*(f"profile-{name}.json" for name in names), "profile.md"]
    _outputs.check(out, files, overwrite)
    texts = []
    with _outputs.writing(out, files, overwrite, note):
        for name in names:
            with Progress(unit=" workloads") as progress:
                progress.phase("profiling", 1)
                said = profile(name, get_num_threads(), quick)
            texts.append(said.text())
            echo(*texts[-1].split("\n"))
            atomic_write(out / f"profile-{name}.json", json.dumps(said.to_dict(), indent=1) + "\n")
        atomic_write(out / "profile.md", "# minidl bench --profile\n\n" + "\n".join(texts))
    echo(f"profile.md is in {out}")
    return 0


def _listing() -> str:
    """Workloads by group, and contestants with their versions."""
    lines: list[str] = []
    for group, heading in GROUPS.items():
        lines.append(f"{group}: {heading}")
        lines += [f"  {w.name:22} {w.title}" for w in WORKLOADS if w.group == group]
    lines += [f"{name}: {text}" for name, text in EXTRAS.items()]
    lines.append("contestants (--peers):")
    for name, one in CONTESTANTS.items():
        if name in OWN[1:]:
            lines.append(f"  {name:22} {one.title}")
        elif name in PEERS:
            lines.append(f"  {name:22} {one.title}, {one.version() or 'not installed'}")
    return "\n".join(lines)
