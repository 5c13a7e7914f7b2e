"""``minidl cuda-check``: run a CUDA kernel on the CPU and say what is wrong with it."""

from __future__ import annotations

import io
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from minidl._atomic import atomic_write
from minidl._outputs import check_file
from minidl.cli.cuda_arguments import ELEMENTS, NUMBER, arguments, signature, text_of
from minidl.cli.numbers import SEED, Real, Whole
from minidl.cli.options import overwrite_option
from minidl.cli.screen import echo
from minidl.cli.threads import common_options
from minidl.errors import InputError

if TYPE_CHECKING:
    from minidl.kernels.sim.module import RawKernel


@click.command(
    "cuda-check",
    epilog="""\b
Examples:
  minidl cuda-check sum.cu
  minidl cuda-check sum.cu --arg x=float32:1000:random --arg n=1000 --block 256
  minidl cuda-check conv.cu --kernel conv_v2 --grid 4x4 --block 16x16 --arg x=image.npy
  minidl cuda-check conv.cu --define TILE=32 --order 0 --order 1 --save y=result.npy
""",
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--kernel", help="Name of the kernel; may be left out if the file has but one.")
@click.option(
    "--arg",
    "specs",
    metavar="NAME=VALUE",
    multiple=True,
    help="A parameter: a number, null, FILE.npy, or DTYPE:SHAPE[:FILL] with a SHAPE as 1024 or 3x32x32 and "
    "a FILL of random (the default), zeros, ones, arange, unset (reading it is a finding) or a number "
    f"[default: {ELEMENTS} elements; {NUMBER['i']}; {NUMBER['f']}].",
)
@click.option(
    "--grid", metavar="XxYxZ", help="Blocks [default: one thread for each element of the largest array]."
)
@click.option("--block", metavar="XxYxZ", help="Threads of a block [default: 256, or __launch_bounds__].")
@click.option(
    "--shared",
    type=Whole(0, 2**20),
    default=0,
    show_default=True,
    help="Bytes of extern __shared__ memory.",
)
@click.option(
    "--order",
    "orders",
    type=Whole(0, 2**32 - 1),
    multiple=True,
    help="Turns of threads and blocks: 0 ascending, 1 descending, more: shuffled; repeatable [default: 0].",
)
@click.option(
    "--define", "-D", "defines", metavar="NAME[=VALUE]", multiple=True, help="A macro for the compiler."
)
@click.option(
    "--include", "-I", "includes", type=click.Path(path_type=Path), multiple=True, help="A folder of headers."
)
@click.option(
    "--save", "saves", metavar="NAME=FILE.npy", multiple=True, help="Write an array as the kernel left it."
)
@click.option("--seed", type=Whole(0, SEED), default=0, show_default=True, help="Of random arrays.")
@click.option("--time-limit", type=Real(0, 10**7), default=60.0, show_default=True, help="Seconds; 0: none.")
@common_options
@overwrite_option
@click.option("--no-counts", is_flag=True, help="Leave out the table of accesses to memory.")
def command(
    file: Path,
    kernel: str | None,
    specs: tuple[str, ...],
    grid: str | None,
    block: str | None,
    shared: int,
    orders: tuple[int, ...],
    defines: tuple[str, ...],
    includes: tuple[Path, ...],
    saves: tuple[str, ...],
    seed: int,
    time_limit: float,
    overwrite: bool,
    no_counts: bool,
) -> int:
    """Run a kernel of a .cu file on the CPU, without a GPU, and look at every access to memory.

    Reported are accesses out of bounds or misaligned, races between threads and between blocks, reads of
    unwritten shared memory, barriers and shuffles that not all threads reach, each with its line, block and
    thread; and how much memory each line moves, how well coalesced, with how many bank conflicts.

    The file's code runs in this process, with all of your rights: check only what you would run.

    Exit code 1: there are findings.
    """
    from minidl.kernels.sim.checking import check_kernel

    options = (*(f"-D{d}" for d in defines), *(f"-I{i}" for i in includes))
    with _one_line(file):
        chosen = _kernel(file, kernel, options)
        chosen_specs = _named(specs, "--arg", chosen.parameters)
        targets = _targets(saves, chosen, overwrite, [file, *_read(specs)])
        args, unset, said = arguments(chosen, chosen_specs, np.random.default_rng(seed))
        threads = _extents("--block", block) if block else (min(256, chosen.max_threads_per_block),)
        blocks = _extents("--grid", grid) if grid else _cover(args, threads)
        shape = f"grid {text_of(blocks)}, block {text_of(threads)}"
        echo(f"{chosen.name}: {shape}, {', '.join(said) or 'no arguments'}")
        with _interruptible():
            found = check_kernel(
                chosen,
                blocks,
                threads,
                args,
                shared_mem=shared,
                orders=orders or (0,),
                unset=unset,
                time_limit=time_limit,
            )
    report = found.report() if not no_counts else found.report().removesuffix(f"\n{found.counts}")
    echo(*report.split("\n"))
    for name, path in targets.items():
        _save(path, args[chosen.parameters.index(name)])
        echo(f"{path} has {name}")
    return 1 if found.findings else 0


@contextmanager
def _one_line(file: Path) -> Iterator[None]:
    """What the simulator says of a wrong file or argument, as the user's error."""
    from minidl.kernels.sim import CompileError, NoCompiler, SourceError

    try:
        yield
    except CompileError as error:
        lines = [line for line in str(error).splitlines() if re.search(r"\berror\b", line)]
        first = lines[0] if lines else str(error).splitlines()[0]
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        raise InputError(f"the compiler refuses {first}{more}; correct it") from None
    except (NoCompiler, SourceError) as error:
        raise InputError(str(error)) from None
    except InputError:
        raise
    except (TypeError, ValueError, NotImplementedError) as error:
        raise InputError(f"{file}: {error}") from None


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C ends the process while compiled code runs, in which Python would not notice it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _kernel(file: Path, name: str | None, options: tuple[str, ...]) -> RawKernel:
    from minidl.kernels.sim import checked
    from minidl.kernels.sim.checking import the_kernel

    if not file.is_file():
        raise InputError(f"{file}: no such file; give a CUDA C source (.cu)")
    try:
        kernel = the_kernel(file, name, options)
    except UnicodeDecodeError:
        raise InputError(f"{file}: not a text file; give a CUDA C source (.cu)") from None
    with checked():
        kernel.compile()
    return kernel


def _named(given: tuple[str, ...], option: str, known: tuple[str, ...]) -> dict[str, str]:
    """``NAME=VALUE`` options as a dictionary whose names are all known."""
    named: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not value:
            raise InputError(f"{option} {text}: write NAME=VALUE")
        if name not in known:
            raise InputError(
                f"{option} {text}: no parameter is called {name}; they are {', '.join(known) or 'none'}"
            )
        if name in named:
            raise InputError(f"{option} {text}: {name} is given twice; give it once")
        named[name] = value
    return named


def _read(specs: tuple[str, ...]) -> list[Path]:
    """The files that --arg names."""
    return [Path(text.partition("=")[2]) for text in specs if text.endswith(".npy")]


def _targets(
    saves: tuple[str, ...], kernel: RawKernel, overwrite: bool, inputs: list[Path]
) -> dict[str, Path]:
    arrays = tuple(
        n for n, (letter, _, _) in zip(kernel.parameters, signature(kernel), strict=True) if letter == "P"
    )
    targets = {name: Path(value) for name, value in _named(saves, "--save", arrays).items()}
    for path in targets.values():
        if path.suffix != ".npy" or path.is_dir() or not path.absolute().parent.is_dir():
            raise InputError(f"--save {path}: give the path of a .npy file in a folder that is there")
        check_file(path, None, overwrite, "--save", inputs)
    if len({os.path.realpath(path) for path in targets.values()}) < len(targets):
        raise InputError("--save: two arrays would be written to one file; give each a file of its own")
    return targets


def _save(path: Path, array: np.ndarray[Any, Any]) -> None:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    atomic_write(path, buffer.getvalue())


def _extents(option: str, text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"\d{1,10}(x\d{1,10}){0,2}", text):
        raise InputError(f"{option} {text}: write one to three numbers, as 256 or 16x16")
    return tuple(int(number) for number in text.split("x"))


def _cover(args: list[Any], threads: tuple[int, ...]) -> tuple[int]:
    largest = max((a.size for a in args if isinstance(a, np.ndarray)), default=1)
    return (max(1, -(-largest // int(np.prod(threads)))),)
