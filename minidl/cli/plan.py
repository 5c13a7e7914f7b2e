"""``minidl plan``: which algorithm each convolution of a network takes, and why."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from minidl._atomic import atomic_write
from minidl._machine import memory
from minidl._outputs import check_file
from minidl.cli import plan_cuda
from minidl.cli.numbers import IMAGES, Whole
from minidl.cli.options import overwrite_option
from minidl.cli.progress import Progress
from minidl.cli.screen import echo
from minidl.cli.threads import common_options
from minidl.dispatch import compiles
from minidl.errors import InputError

if TYPE_CHECKING:
    from minidl.kernels.cpu.plan import Plan, Problem
    from minidl.models import UNet

#: Pixels of a side where --size is not given.
SIZES = {"documents": 256, "paper": 572}


class Row(NamedTuple):
    """One convolution in one direction."""

    layer: str
    problem: Problem
    plan: Plan
    others: dict[str, Any]  #: of the other algorithms: expected seconds, or the reason why not
    measured: dict[str, float]  #: seconds by algorithm, as far as they were measured


@click.command(
    "plan",
    epilog="""\b
Examples:
  minidl plan                                      the documents' U-Net
  minidl plan --model paper --batch-size 1
  minidl plan run1 --size 192x256                  the network of a run
  minidl plan --measure --verbose --json plan.json
  minidl plan --device cuda                        the kernels of a GPU (none is needed)
""",
)
@click.argument("run", type=click.Path(path_type=Path), required=False)
@click.option(
    "--model",
    type=click.Choice(list(SIZES)),
    help="The documents' U-Net or the paper's [default: documents]; not beside RUN.",
)
@click.option("--batch-size", type=Whole(1, IMAGES), default=4, show_default=True, help="Images in a step.")
@click.option(
    "--size",
    metavar="HxW",
    help="Pixels of an image, as 256x320 or 256 [default: 256; 572 for the paper's network].",
)
@click.option(
    "--device",
    type=click.Choice(["cpu", "cuda"]),
    default="cpu",
    show_default=True,
    help="Whose kernels: the CPU's, or a GPU's, which need not be there.",
)
@click.option("--verbose", is_flag=True, help="Say of each other algorithm what it would cost, or why not.")
@click.option("--measure", is_flag=True, help="Measure, too (with --verbose: all algorithms).")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write it all to this file.")
@common_options
@overwrite_option
def command(
    run: Path | None,
    model: str | None,
    batch_size: int,
    size: str | None,
    device: str,
    verbose: bool,
    measure: bool,
    json_file: Path | None,
    overwrite: bool,
) -> int:
    """Show which algorithm each convolution of a network takes, forward and backward, and why.

    Times are those that the planner expects of --threads threads; --measure puts measured ones beside them.
    With --device cuda the CUDA kernels are shown that run one after the other; the choice depends on the
    shapes alone. RUN is the folder of a run, or a checkpoint file: its network is shown.
    """
    if json_file is not None:
        check_file(json_file, {"input", "rows"}, overwrite, "--json", _files(run))
    network = _network(run, model)
    shape = _shape(network, batch_size, size, SIZES.get(model or "", 256))
    first = next(p.shape[0] for p in network.parameters() if p.ndim == 4)  # channels of the first layer
    one = (
        4 * shape[2] * shape[3] * (shape[1] + 2 * first)
    )  # what is read is one picture, of the layers' sizes
    _check_memory(one, "--size", "a picture of this size, with the first layer's outputs,")
    given = f"input {' x '.join(map(str, shape))}, float32"
    if device == "cuda":
        if measure or verbose:
            raise InputError(
                f"--device cuda: --{'measure' if measure else 'verbose'} is of the CPU's kernels; "
                "'minidl bench kernels' times those of a GPU"
            )
        chosen = plan_cuda.planned(network, shape)
        echo(given)
        echo(*_aligned(*plan_cuda.cells(chosen, _convolution)).split("\n"))
        _write(json_file, shape, [plan_cuda.to_dict(row) for row in chosen])
        return 0
    if measure and not compiles():
        raise InputError("--measure: NUMBA_DISABLE_JIT is set, so no kernel is compiled; unset it")
    rows = _planned(network, shape)
    if measure:
        largest = max((row.problem.bytes for row in rows), default=0)
        _check_memory(2 * largest, "--measure", "a convolution of this size")  # as much again to work with
        rows = _measured(rows, verbose)
    echo(f"{given}, {_threads()}")
    echo(*_table(rows, verbose, measure).split("\n"))
    _write(json_file, shape, [_to_dict(row) for row in rows])
    return 0


def _files(run: Path | None) -> list[Path]:
    """What is read of a run: never written over."""
    return [] if run is None else [run] if run.is_file() else sorted(run.glob("*.safetensors"))


def _write(json_file: Path | None, shape: tuple[int, ...], rows: list[dict[str, Any]]) -> None:
    if json_file is not None:
        atomic_write(json_file, json.dumps({"input": list(shape), "rows": rows}, indent=1) + "\n")
        echo(f"{json_file} has it all")


def _network(run: Path | None, model: str | None) -> UNet:
    from minidl.models import unet_documents, unet_paper
    from minidl.train.inference import load_run

    if run is not None and model is not None:
        raise InputError(f"--model {model}: {run} has a network of its own; give one of the two")
    if run is not None:
        return load_run(run).model
    return unet_paper() if model == "paper" else unet_documents()


def _shape(network: UNet, batch_size: int, size: str | None, default: int) -> tuple[int, int, int, int]:
    """(N, C, H, W) of an input that fits the network."""
    if size is None:
        side = network.valid_size(default)
        return batch_size, network.in_channels, side, side
    match = re.fullmatch(r"([0-9]{1,5})(?:x([0-9]{1,5}))?", size)
    if match is None:
        raise InputError(f"--size {size}: no size; write height x width as 256x320, or 256 for both")
    h, w = int(match[1]), int(match[2] or match[1])
    fits = network.valid_size(h), network.valid_size(w)
    if fits != (h, w):
        raise InputError(
            f"--size {size}: does not fit the network; the next that does is {fits[0]}x{fits[1]}"
        )
    return batch_size, network.in_channels, h, w


def _planned(network: UNet, shape: tuple[int, ...]) -> list[Row]:
    from minidl.bench.convolutions import layers
    from minidl.kernels.cpu import plan

    rows = []
    for name, problems in layers(network, shape):
        for problem in problems:
            best = plan.choose(problem)
            others = {
                a: plan.refusal(problem, a) or plan.cost(problem, a)
                for a in plan.ALGORITHMS
                if a != best.algorithm
            }
            rows.append(Row(name, problem, best, others, {}))
    return rows


def _check_memory(needed: int, option: str, what: str) -> None:
    """Refuse what the machine has no memory for, before any of it is asked for.

    Raises:
        InputError: it does not fit.
    """
    if needed > memory():
        raise InputError(
            f"{option}: {what} takes {-(-needed // 2**20):,} MiB, more than this machine has; give a smaller"
            " --size or --batch-size"
        )


def _measured(rows: list[Row], all_algorithms: bool) -> list[Row]:
    from minidl.bench.convolutions import applicable, measure

    done: dict[Problem, dict[str, float]] = {}
    with Progress(unit=" convolutions") as progress:
        progress.phase("measuring", len(rows))
        for row in rows:
            if row.problem not in done:
                algorithms = applicable(row.problem) if all_algorithms else [row.plan.algorithm]
                done[row.problem] = measure(row.problem, algorithms)
            progress.advance()
    return [row._replace(measured=done[row.problem]) for row in rows]


# --- what is shown ------------------------------------------------------------------------------------------


def _threads() -> str:
    from minidl.dispatch import get_num_threads

    count = get_num_threads()
    return "1 thread" if count == 1 else f"{count} threads"


def _convolution(problem: Problem) -> str:
    p = problem
    text = f"{p.c} → {p.k}, {p.kernel[0]}x{p.kernel[1]} at {p.h}x{p.w}"
    return text + (f", stride {p.stride[0]}" if p.stride != (1, 1) else "")


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e3:.2f}"


def _table(rows: list[Row], verbose: bool, measure: bool) -> str:
    """Columns as wide as their widest entry; the reasons at the end of the lines."""
    from minidl.bench.convolutions import expected

    head = ["layer", "convolution", "direction", "algorithm", "GFLOP", "MB", "ms"]
    cells, notes = [[*head, *(["measured"] if measure else [])]], ["why"]
    shown = None
    for row in rows:
        first = row.layer != shown
        shown = row.layer
        line = [row.layer if first else "", _convolution(row.problem) if first else ""]
        line += [row.problem.direction.replace("_", "-"), row.plan.algorithm, f"{row.plan.flops / 1e9:.2f}"]
        line += [f"{row.plan.bytes / 1e6:.1f}", _milliseconds(expected(row.plan.seconds))]
        line += [_milliseconds(row.measured[row.plan.algorithm])] if measure else []
        cells.append(line)
        notes.append(row.plan.why)
        for name, other in row.others.items() if verbose else ():
            refused = isinstance(other, str)
            times = ["", "", "" if refused else _milliseconds(expected(other))]
            measured = [_milliseconds(row.measured.get(name))] if measure else []
            cells.append(["", "", "", f"  not {name}", *times, *measured])
            notes.append(other if refused else f"{other / row.plan.seconds:.1f} times as long")
    flops, moved, seconds = (
        sum(getattr(row.plan, name) for row in rows) for name in ("flops", "bytes", "seconds")
    )
    total = ["all", "", "", "", f"{flops / 1e9:.2f}", f"{moved / 1e6:.1f}", _milliseconds(expected(seconds))]
    measured = [_milliseconds(sum(r.measured[r.plan.algorithm] for r in rows))] if measure else []
    cells.append([*total, *measured])
    notes.append("")
    return _aligned(cells, notes)


def _aligned(cells: list[list[str]], notes: list[str]) -> str:
    """Four columns of words, the others of numbers, and the notes."""
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    lines = []
    for line, note in zip(cells, notes, strict=True):
        left = [text.ljust(width) for text, width in zip(line[:4], widths[:4], strict=True)]
        right = [text.rjust(width) for text, width in zip(line[4:], widths[4:], strict=True)]
        lines.append("  ".join([*left, *right, note]).rstrip())
    return "\n".join(lines)


def _to_dict(row: Row) -> dict[str, Any]:
    return {
        "layer": row.layer,
        "problem": row.problem._asdict(),
        "plan": row.plan._asdict(),
        "others": row.others,
        "measured": row.measured,
    }
