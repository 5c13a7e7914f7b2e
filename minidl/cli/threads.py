"""``--threads``, which may stand before a command or after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from minidl import __version__
from minidl.cli.numbers import THREADS, Whole
from minidl.errors import InputError

Command = TypeVar("Command", bound=Callable[..., Any])

#: Under this name the context of a command line keeps the number that was given.
_KEPT = "minidl.threads"


def common_options(command: Command) -> Command:
    """What may stand before a command and after it: ``--threads``, and ``--version``, unseen after it."""
    return threads_option(click.version_option(__version__, prog_name="minidl", hidden=True)(command))


def threads_option(command: Command) -> Command:
    """``--threads``: one meaning, wherever it stands."""
    return click.option(
        "--threads",
        type=Whole(1, THREADS),
        expose_value=False,
        callback=_set,
        help="Threads for kernels and BLAS [default: the number of cores].",
    )(command)


def _set(ctx: click.Context, option: click.Parameter, count: int | None) -> None:
    """Called from the left to the right, first for ``minidl`` itself, whether the option is there or not.

    Raises:
        InputError: it was given before, and differs.
    """
    from minidl import dispatch  # late: --help is quick
    from minidl.kernels.threads import available_cores

    before = ctx.meta.get(_KEPT)  # of this command and those in front of it
    if count is not None and before is not None and count != before:
        raise InputError(f"--threads: {before} before the command and {count} after it; give one of the two")
    if count is not None or ctx.parent is None:
        ctx.meta[_KEPT] = count
        dispatch.set_num_threads(count or available_cores())


def again() -> list[str]:
    """The option as it must be given again, for a command that is printed.

    The number decides the order of sums: a run that goes on with another one ends with other bits.
    """
    context = click.get_current_context(silent=True)  # none for those who call a command's functions
    count = None if context is None else context.meta.get(_KEPT)
    return [] if count is None else ["--threads", str(count)]
