"""Whether operations are recorded: a state of the context (so of each thread), set by ``with`` blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minidl._switch import Setting, Switch

_grad_enabled = Setting("minidl_grad_enabled", default=True)


def is_grad_enabled() -> bool:
    """Whether operations are recorded on the tape in the current context."""
    return bool(_grad_enabled.get())


class set_grad_enabled(Switch):
    """Within this block (or decorated function) operations are recorded, or not, as ``mode`` says."""

    variable = _grad_enabled


class _Decorator(set_grad_enabled):
    """Also as a decorator without brackets: ``@no_grad``."""

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        made = super().__new__(cls)
        if function is None:
            return made
        made.__init__()  # type: ignore[misc]  # Python does not call it where something else is returned
        return made(function)


class no_grad(_Decorator):
    """Within this block (or decorated function) nothing is recorded: results do not require a gradient.

    >>> import minidl
    >>> x = minidl.tensor([1.0, 2.0], requires_grad=True)
    >>> with minidl.no_grad():
    ...     (x * 2).requires_grad
    False
    >>> @minidl.no_grad()
    ... def evaluate(batches):  # a generator: nothing is recorded in it, all is recorded in the loop over it
    ...     for batch in batches:
    ...         yield batch * 2
    >>> [y.requires_grad for y in evaluate([x])], (x * 2).requires_grad
    ([False], True)
    """

    def __init__(self) -> None:
        super().__init__(False)


class enable_grad(_Decorator):
    """Within this block (or decorated function) operations are recorded, even inside of a :class:`no_grad`.

    >>> import minidl
    >>> x = minidl.tensor([1.0, 2.0], requires_grad=True)
    >>> with minidl.no_grad(), minidl.autograd.enable_grad():
    ...     (x * 2).requires_grad
    True
    """

    def __init__(self) -> None:
        super().__init__(True)
