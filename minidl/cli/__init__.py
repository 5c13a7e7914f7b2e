"""The command line, ``minidl train`` and the other :data:`COMMANDS`: thin calls into the library.

Exit codes: 0 done; 1 ``cuda-check`` found mistakes, ``bench kernels`` a wrong kernel, or ``predict`` images
that it could not use among others; 2 something the user gave cannot be used (one line on stderr says what and
what to do); 130 stopped by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP (the terminal went away), 141 the reader of
the output went away (``minidl ... | head``).
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from typing import Any

import click

from minidl import __version__, _breaks
from minidl._breaks import CTRL_C
from minidl._text import LINE, one_line, shown
from minidl.cli import streams
from minidl.cli.screen import echo
from minidl.cli.threads import threads_option
from minidl.errors import InputError

BROKEN_PIPE = 128 + 13  # as a shell reports a process that SIGPIPE ended

#: Commands and the module that has each one, imported when it is asked for: ``minidl --help`` stays quick.
COMMANDS = {
    "demo": "minidl.cli.demo",
    "train": "minidl.cli.train",
    "evaluate": "minidl.cli.evaluate",
    "predict": "minidl.cli.predict",
    "bench": "minidl.cli.bench",
    "plan": "minidl.cli.plan",
    "cuda-check": "minidl.cli.cuda_check",
}


class LazyGroup(click.Group):
    """A group whose commands are imported when first used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which one needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module."""
        if cmd_name not in COMMANDS:
            return None
        from importlib import import_module

        with _breaks.importing():
            command: click.Command = import_module(COMMANDS[cmd_name]).command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. What became of a broken pipe is said here: click would exit with 1."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise click.exceptions.Exit(_broken_pipe()) from None


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="minidl")
@threads_option
def cli() -> None:
    """Train a U-Net on your pictures and masks, measure it, and use it.

    \b
    minidl demo                                   see it work, on generated pictures
    minidl train DATA --out RUN                   train on a folder with images/ and masks/
    minidl evaluate RUN DATA                      scores on the validation images
    minidl predict RUN photo.png --out results    masks for new pictures
    minidl bench                                  speed and memory beside other libraries
    minidl plan                                   how each convolution of a network is computed
    minidl cuda-check kernel.cu                   find the races in a CUDA kernel, without a GPU
    """
    with _breaks.importing():
        from minidl import dispatch
        from minidl.kernels import environment

    try:
        environment.check()
    except ValueError as error:
        raise InputError(str(error)) from None
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always", dispatch.KernelFallbackWarning)
        dispatch.backend()  # a MINIDL_BACKEND that cannot be had is told before any work is done
    for note in notes:
        echo(f"note: {one_line(note.message)}", err=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; gives the exit code. Errors of the user's become one line on stderr."""
    streams.open_missing()
    streams.write_anything()
    try:
        _breaks.begin_work()
        with streams.libraries_silent():
            result: Any = cli.main(args=arguments, prog_name="minidl", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        return _usage(error)
    except InputError as error:
        return _fail(str(error))
    except (KeyboardInterrupt, click.Abort) as error:
        if isinstance(error.__cause__, EOFError):  # click takes every one of them for the end of an answer
            return _fail("a file ends before it should (EOFError); make it anew, or use a copy")
        echo("minidl: stopped", err=True)
        return CTRL_C
    except OSError as error:
        where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        return _fail(f"{where}{error.strerror or error}; check the path, its permissions and the disk")
    except MemoryError as error:
        return _fail(f"out of memory ({error}); use a smaller --crop, --batch-size or --base")


def _usage(error: click.ClickException) -> int:
    """A mistyped command or option; ``minidl`` alone shows the help."""
    if type(error).__name__ == "NoArgsIsHelpError":  # click 8.2 and later raise it, earlier ones print
        echo(*error.format_message().split("\n"))
        return 0
    context = getattr(error, "ctx", None)
    where = context.command_path if context is not None else "minidl"
    if isinstance(error, click.NoSuchOption) and isinstance(getattr(context, "command", None), LazyGroup):
        return _fail(
            f"{error.format_message().rstrip('.')}; options of a command stand after it, as in 'minidl train"
            f" DATA --out RUN'; see '{where} --help'"
        )
    return _fail(f"{error.format_message().rstrip('.')}; see '{where} --help'")


def _fail(message: str) -> int:
    # One line, whatever a library's message looks like.
    echo(shown(one_line(message), LINE), err=True, label="minidl: error: ")
    return 2


def _broken_pipe() -> int:
    """Nobody reads the output any more. Python would complain once more when it flushes at exit: not so."""
    with contextlib.suppress(OSError, ValueError):  # stdout may be no file of the system's
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN_PIPE


def entry() -> None:
    """For ``python -m minidl`` and the installed script: :func:`main` as a process of its own."""
    try:
        try:
            code = main()
        finally:
            _breaks.end_work()
    except KeyboardInterrupt:  # one more, while the first was told
        _breaks.leave()
    sys.exit(code)
