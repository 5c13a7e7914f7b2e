"""``minidl bench kernels``: every kernel of every backend, checked, then timed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from minidl import _outputs
from minidl._atomic import atomic_write
from minidl.cli.numbers import ROUNDS, Whole
from minidl.cli.options import note, overwrite_option
from minidl.cli.progress import Progress
from minidl.cli.screen import echo
from minidl.cli.stopping import stops_at_once
from minidl.cli.threads import common_options
from minidl.errors import InputError

#: What a measurement writes.
FILES = (
    "results.json",
    "results.md",
    *(f"{name}-{place}.png" for name in ("shares", "roofline") for place in ("cpu", "gpu")),
)

#: Exit code where a kernel of minidl's is wrong.
WRONG = 1


@click.command(
    "kernels",
    epilog="""\b
Examples:
  minidl bench kernels --list
  minidl bench kernels --quick                        see that it works, in some seconds
  minidl bench kernels --out kernels                  everything, on the CPU and on the GPU
  minidl bench kernels --only 'conv2d,*relu*' --rounds 15
  minidl bench kernels --only gemm --backends cuda,cudnn --device cuda:1
""",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("minidl-bench-kernels"),
    show_default=True,
    help="Folder for results.json, results.md and plots.",
)
@click.option(
    "--only",
    metavar="NAMES",
    help="Cases or operations, separated by commas; * and ? as in a shell [default: everything].",
)
@click.option(
    "--backends",
    metavar="NAMES",
    help="Of numpy, numba, torch, cuda, cudnn, separated by commas [default: all that are there].",
)
@click.option(
    "--device", metavar="NAME", help="The GPU: cuda or cuda:N; cpu: none [default: cuda, if there]."
)
@click.option("--rounds", type=Whole(1, ROUNDS), help="Turns of each contestant [default: 7].")
@click.option("--quick", is_flag=True, help="Small shapes and few rounds; the figures mean nothing.")
@click.option("--list", "listed", is_flag=True, help="Say what can be measured, and by whom, and stop.")
@common_options
@overwrite_option
def command(
    out: Path,
    only: str | None,
    backends: str | None,
    device: str | None,
    rounds: int | None,
    quick: bool,
    listed: bool,
    overwrite: bool,
) -> int:
    """Time every kernel of every backend on one case each: NumPy, compiled, CUDA by version, PyTorch, cuDNN.

    A kernel is compared with the reference in float64 first; one that is wrong is reported and not timed, and
    the exit code is 1. Without a GPU it says so, times the CPU, and prints what is known of the CUDA kernels
    (registers, occupancy, counted bytes) and bounds from data sheets, labelled as prediction.
    """
    if listed:
        echo(*_listing().split("\n"))
        return 0
    plan = _plan(only, backends, device, rounds, quick)
    _outputs.check(out, FILES, overwrite)
    with _outputs.writing(out, FILES, overwrite, note):
        return _measure(plan, out)


def _plan(only: str | None, backends: str | None, device: str | None, rounds: int | None, quick: bool) -> Any:
    from minidl.bench.kernels.cases import CASES, matches, select
    from minidl.bench.kernels.run import Plan
    from minidl.dispatch import get_num_threads

    patterns = _names(only)
    for pattern in patterns:
        if not any(matches(case, pattern) for case in CASES):
            raise InputError(f"--only {pattern}: matches nothing; see 'minidl bench kernels --list'")
    gpu, no_gpu = _gpu(device)
    chosen, absent = _backends(backends, no_gpu)
    if "cuda" not in chosen and "cudnn" not in chosen:
        gpu = None
    return Plan(select(patterns), chosen, get_num_threads(), absent, rounds, quick, gpu)


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _gpu(device: str | None) -> tuple[int | None, str]:
    """The number of the GPU, or None and why there is none; it must be there if it was named.

    Raises:
        InputError: no such device, or one that cannot be timed.
    """
    from minidl._device import Device
    from minidl.kernels.cuda.device import cuda_problem
    from minidl.kernels.cuda.errors import DeviceUnavailable

    if device is None:
        problem = cuda_problem()
        return (None, problem) if problem else (0, "")
    try:
        asked = Device(device)
        if asked.type == "cuda_sim":
            raise InputError(
                f"--device {device}: the simulator computes what a GPU would, but on this machine's "
                "processor, so its times say nothing of a GPU and are never shown; give cuda, cuda:N or cpu "
                "('minidl cuda-check' counts what a kernel moves)"
            )
        asked.check()
    except (ValueError, DeviceUnavailable) as error:
        raise InputError(f"--device: {error}") from None
    return (asked.index, "") if asked.index is not None else (None, "--device cpu: no GPU was asked for")


def _backends(text: str | None, no_gpu: str) -> tuple[list[str], dict[str, str]]:
    """Those that take part, and why the others do not; those that were named must be there.

    Raises:
        InputError: one is not.
    """
    from minidl.bench.kernels.contestants import BACKENDS, missing

    names = _names(text) if text is not None else list(BACKENDS)
    if not names:
        raise InputError(f"--backends names none; choose from {', '.join(BACKENDS)}")
    chosen, absent = [], {}
    for name in names:
        if name not in BACKENDS:
            raise InputError(
                f"--backends {name}: there is no such backend; choose from {', '.join(BACKENDS)}"
            )
    for name in BACKENDS:
        on_gpu = BACKENDS[name][1] == "gpu"
        why = no_gpu if on_gpu and no_gpu else missing(name) if name in names else "not among --backends"
        if why and text is not None and name in names:
            raise InputError(f"--backends {name}: {why}; install it, or leave it out")
        if why:
            absent[name] = why
        else:
            chosen.append(name)
    return chosen, absent


def _measure(plan: Any, out: Path) -> int:
    from minidl.bench.kernels import tables
    from minidl.bench.kernels.run import begin, faults, run

    record = begin(plan)
    if plan.gpu is None:
        echo(*tables.gpu_line(record).split("\n"))

    def save(so_far: dict[str, Any]) -> None:
        atomic_write(out / "results.json", json.dumps(so_far) + "\n")

    with Progress(unit=" cases") as progress, stops_at_once() as stop:
        try:
            run(plan, record, progress, save, tables.lines)
        except KeyboardInterrupt:
            progress.close()
            if record["cases"]:
                _write(record, out)
                echo(f"stopped; what was measured so far is in {out}", err=True)
            else:
                echo("stopped before anything was measured", err=True)
            return stop.exit_code
    _write(record, out)
    wrong = faults(record)
    for line in wrong:
        echo(f"wrong: {line}", err=True)
    echo(f"results.json, results.md and plots are in {out}")
    return WRONG if wrong else 0


def _write(record: dict[str, Any], out: Path) -> None:
    """Tables and pictures of a record."""
    from minidl.bench.kernels.plots import write_plots
    from minidl.bench.kernels.tables import render

    atomic_write(out / "results.json", json.dumps(record, indent=1, allow_nan=False) + "\n")
    atomic_write(out / "results.md", "# minidl bench kernels\n\n" + render(record))
    write_plots(record, out)


def _listing() -> str:
    """Cases by operation with their CUDA versions, and backends."""
    from itertools import groupby

    from minidl.bench.kernels.cases import CASES
    from minidl.bench.kernels.contestants import BACKENDS, missing

    lines: list[str] = []
    for operation, cases in groupby(CASES, lambda case: case.operation):
        lines.append(operation)
        for case in cases:
            names = ", ".join(version.name for version in case.versions) or "CuPy's own"
            lines.append(f"  {case.name:36} {case.title or case.function}  [cuda: {names}]")
    lines.append("backends (--backends):")
    for name, (text, _) in BACKENDS.items():
        why = missing(name)
        lines.append(f"  {name:36} {text}{f' (not here: {why})' if why else ''}")
    return "\n".join(lines)
