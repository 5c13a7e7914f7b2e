"""In which mode kernels run: fast, or checked."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from dataclasses import dataclass

from minidl.kernels import environment
from minidl.kernels.sim.counts import Counts


@dataclass(frozen=True)
class Mode:
    """How launches are run.

    Attributes:
        check: look at every access to memory.
        order: of blocks and threads: 0 ascending, 1 descending, n >= 2 shuffled with seed n.
        time_limit: seconds after which a launch is ended with a finding; 0: none.
        records: where the counts of each launch go; None: nothing is counted.
    """

    check: bool = False
    order: int = 0
    time_limit: float = 0.0
    records: list[Counts] | None = None


def from_environment() -> Mode:
    """As ``MINIDL_SIM`` (``fast`` or ``check``) and ``MINIDL_SIM_ORDER`` say.

    Raises:
        ValueError: they say something else.
    """
    return Mode(*environment.simulator())


_mode: contextvars.ContextVar[Mode | None] = contextvars.ContextVar("minidl.kernels.sim.mode", default=None)


def mode() -> Mode:
    """How a launch would run here and now."""
    return _mode.get() or from_environment()


@contextlib.contextmanager
def checked(
    order: int = 0, *, time_limit: float = 0.0, check: bool = True, count: bool = False
) -> Iterator[list[Counts]]:
    """Launches inside are checked: what they do wrong is raised as :class:`KernelFault`.

    Args:
        order: of blocks and threads: 0 ascending, 1 descending, n >= 2 shuffled with seed n.
        time_limit: seconds after which a launch is ended with a finding; 0: none.
        check: False for fast mode, with the order.
        count: count accesses to memory.

    Yields:
        A list, to which each launch adds its :class:`Counts` if that was asked for.

    >>> from minidl.kernels.sim import mode
    >>> with checked(order=1):
    ...     mode()
    Mode(check=True, order=1, time_limit=0.0, records=None)
    """
    if order < 0:
        raise ValueError(f"order={order}: give 0 (ascending), 1 (descending) or a seed from 2")
    records: list[Counts] = []
    token = _mode.set(Mode(check, order, time_limit, records if count else None))
    try:
        yield records
    finally:
        _mode.reset(token)
