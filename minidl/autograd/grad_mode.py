"""Whether operations are recorded: a state of the context (so of each thread), set by ``with`` blocks."""

from __future__ import annotations

import contextlib
from contextvars import ContextVar

_grad_enabled: ContextVar[bool] = ContextVar("minidl_grad_enabled", default=True)


def is_grad_enabled() -> bool:
    """Whether operations are recorded on the tape in the current context."""
    return _grad_enabled.get()


class set_grad_enabled(contextlib.ContextDecorator):
    """Within this block (or decorated function) operations are recorded, or not, as ``mode`` says.

    The state is local to the thread (more exactly, to the context: see :mod:`contextvars`).
    """

    def __init__(self, mode: bool) -> None:
        self.mode = mode

    def __enter__(self) -> set_grad_enabled:
        self._stack = [*getattr(self, "_stack", ()), _grad_enabled.set(self.mode)]
        return self

    def __exit__(self, *exc: object) -> None:
        _grad_enabled.reset(self._stack.pop())

    def _recreate_cm(self) -> set_grad_enabled:
        return set_grad_enabled(self.mode)  # a decorated function may run in several threads


class no_grad(set_grad_enabled):
    """Within this block (or decorated function) nothing is recorded: results do not require a gradient.

    >>> import minidl
    >>> x = minidl.tensor([1.0, 2.0], requires_grad=True)
    >>> with minidl.no_grad():
    ...     (x * 2).requires_grad
    False
    """

    def __init__(self) -> None:
        super().__init__(False)


class enable_grad(set_grad_enabled):
    """Within this block (or decorated function) operations are recorded, even inside of a :class:`no_grad`.

    >>> import minidl
    >>> x = minidl.tensor([1.0, 2.0], requires_grad=True)
    >>> with minidl.no_grad(), minidl.autograd.enable_grad():
    ...     (x * 2).requires_grad
    True
    """

    def __init__(self) -> None:
        super().__init__(True)
