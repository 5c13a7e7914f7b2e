"""``minidl cuda-check``: run a CUDA kernel on the CPU and say what is wrong with it."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from minidl._atomic import atomic_write
from minidl._inputs import is_folder, read_text
from minidl._outputs import check_file
from minidl._text import shown
from minidl.cli.cuda_arguments import ELEMENTS, NUMBER, arguments, text_of
from minidl.cli.numbers import SEED, Real, Whole
from minidl.cli.options import overwrite_option
from minidl.cli.screen import echo
from minidl.cli.stopping import Stop, stops_at_once
from minidl.cli.threads import common_options
from minidl.errors import InputError

if TYPE_CHECKING:
    from minidl.kernels.sim.confined import ConfinedKernel
    from minidl.kernels.sim.processes import Limits

#: As of `minidl.kernels.sim.Limits`, which is imported when it is needed.
SECONDS, COMPILE_SECONDS, MEBIBYTES = 60.0, 300.0, 8192
#: Of a source, and of each file that it includes.
SOURCE_BYTES = 2**20


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
@click.option(
    "--time-limit",
    type=Real(0, 10**7),
    default=SECONDS,
    show_default=True,
    help="Seconds of each run of the file's code, which is ended then; 0: none.",
)
@click.option(
    "--compile-limit",
    type=Real(0, 10**7),
    default=COMPILE_SECONDS,
    show_default=True,
    help="Seconds of the compiler; 0: none.",
)
@click.option(
    "--memory-limit",
    type=Whole(1024, 2**30),
    default=MEBIBYTES,
    show_default=True,
    metavar="MIB",
    help="MiB that the compiler, and the file's code with what is remembered of its accesses, may ask for.",
)
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
    compile_limit: float,
    memory_limit: int,
    overwrite: bool,
    no_counts: bool,
) -> int:
    """Run a kernel of a .cu file on the CPU, without a GPU, and look at every access to memory.

    Reported are accesses out of bounds or misaligned, races between threads and between blocks, reads of
    unwritten shared memory, barriers and shuffles that not all threads reach, each with its line, block and
    thread; and how much memory each line moves, how well coalesced, with how many bank conflicts.

    The file's code runs with your rights (its global objects are made as soon as it is loaded), in processes
    of its own, which end after --time-limit, have no more than --memory-limit, and can, where the system lets
    them give that up, neither start programs nor write files nor use the network. They can read what you can.
    Check only what you would run.

    Exit code 1: there are findings.
    """
    from minidl.kernels.sim import Limits
    from minidl.kernels.sim.checking import check_kernel

    limits = Limits(time_limit, compile_limit, memory_limit * 2**20)
    with stops_at_once() as stop, _one_line(file, stop):
        chosen = _kernel(file, kernel, _options(defines, includes), limits)
        chosen_specs = _named(specs, "--arg", chosen.parameters)
        threads = _extents("--block", block) if block is not None else None
        blocks = _extents("--grid", grid) if grid is not None else None
        echo(
            f"note: the code of {shown(file)} now runs, with your rights; check only what you would run",
            err=True,
        )
        targets = _targets(saves, chosen, overwrite, [file, *_read(specs)])
        args, unset, said = arguments(chosen, chosen_specs, np.random.default_rng(seed))
        threads = threads or (min(256, chosen.description.max_threads),)
        blocks = blocks or _cover(args, threads)
        shape = f"grid {text_of(blocks)}, block {text_of(threads)}"
        echo(f"{chosen.name}: {shape}, {', '.join(said) or 'no arguments'}")
        found = check_kernel(
            chosen, blocks, threads, args, shared_mem=shared, orders=orders or (0,), unset=unset
        )
    if found.printed:
        echo(*found.printed.removesuffix("\n").split("\n"))
    report = found.report() if not no_counts else found.report().removesuffix(f"\n{found.counts}")
    echo(*report.split("\n"))
    for name, path in targets.items():
        _save(path, args[chosen.parameters.index(name)])
        echo(f"{path} has {name}")
    return 1 if found.findings else 0


#: In what the compiler and the linker say; that the linker has failed says the last line, which is no help.
_MISTAKE = re.compile(r"^(?!collect2:).*(\berror\b|undefined reference|relocation|hidden symbol)")


@contextmanager
def _one_line(file: Path, stop: Stop) -> Iterator[None]:
    """What the simulator says of a wrong file or argument, as the user's error; a signal's exit code."""
    from minidl.kernels.sim import CompileError, CompileLimit, LoadError, MemoryLimit, NoCompiler, SourceError

    try:
        yield
    except KeyboardInterrupt:
        echo("minidl: stopped", err=True)
        raise click.exceptions.Exit(stop.exit_code) from None
    except CompileLimit as error:
        raise InputError(f"{file}: {error}; see --compile-limit and --memory-limit") from None
    except CompileError as error:
        lines = [line for line in str(error).splitlines() if _MISTAKE.search(line)]
        first = lines[0] if lines else str(error).splitlines()[0]
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        raise InputError(f"the compiler refuses {first}{more}; correct it") from None
    except MemoryLimit as error:
        raise InputError(f"{error} (--memory-limit)") from None
    except (LoadError, NoCompiler, SourceError) as error:
        raise InputError(str(error)) from None
    except InputError:
        raise
    except (TypeError, ValueError, NotImplementedError) as error:
        said = str(error)
        raise InputError(said if said.startswith(f"{file}") else f"{file}: {said}") from None


def _options(defines: tuple[str, ...], includes: tuple[Path, ...]) -> tuple[str, ...]:
    """-D and -I as the compiler takes them."""
    for text in defines:
        if not re.fullmatch(r"[A-Za-z_]\w*(\([\w, .]*\))?(=[^\n\0]*)?", text, re.ASCII):
            raise InputError(f"--define {text}: write NAME or NAME=VALUE")
    for folder in includes:
        if not is_folder(folder):
            raise InputError(f"--include {folder}: no such folder; give a folder of headers")
    return (*(f"-D{d}" for d in defines), *(f"-I{i}" for i in includes))


def _kernel(file: Path, name: str | None, options: tuple[str, ...], limits: Limits) -> ConfinedKernel:
    from minidl.kernels.sim.checking import the_kernel

    def read(path: Path) -> str:
        return read_text(path, "a CUDA C source", "give a CUDA C source (.cu)", most=SOURCE_BYTES)

    return the_kernel(file, name, options, limits, read)


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
    saves: tuple[str, ...], kernel: ConfinedKernel, overwrite: bool, inputs: list[Path]
) -> dict[str, Path]:
    arrays = tuple(
        n
        for n, (letter, _, _) in zip(kernel.parameters, kernel.description.signature, strict=True)
        if letter == "P"
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
    if not re.fullmatch(r"\d{1,10}(x\d{1,10}){0,2}", text, re.ASCII):
        raise InputError(f"{option} {text}: write one to three numbers, as 256 or 16x16")
    extents = tuple(int(number) for number in text.split("x"))
    if 0 in extents:
        raise InputError(f"{option} {text}: each number must be at least 1")
    return extents


def _cover(args: list[Any], threads: tuple[int, ...]) -> tuple[int]:
    largest = max((a.size for a in args if isinstance(a, np.ndarray)), default=1)
    return (max(1, -(-largest // int(np.prod(threads)))),)
