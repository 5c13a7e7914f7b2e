"""Where in the program an operation was called: its module and line, for the messages of the debugging modes.

Modules say that they run only while such a mode is on (``nn.Module.__call__``): it costs time.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

_modules: ContextVar[tuple[Any, ...]] = ContextVar("minidl_modules", default=())


@contextlib.contextmanager
def inside(module: Any) -> Iterator[None]:
    """Operations in this block belong to ``module`` (which has ``named_modules()``)."""
    token = _modules.set((*_modules.get(), module))
    try:
        yield
    finally:
        _modules.reset(token)


def origin() -> str:
    """The module and the line that an operation was called from, as the end of a message."""
    modules = _modules.get()
    place = f", in module {_path(modules)}" if modules else ""
    frame = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "minidl":
        frame = frame.f_back  # type: ignore[assignment]
    return f"{place}, called at {frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else place


def _path(modules: tuple[Any, ...]) -> str:
    """The dotted name of the innermost module, seen from the outermost one that was called."""
    root, module = modules[0], modules[-1]
    name = next((name for name, m in root.named_modules() if m is module), "")
    return f"{type(root).__name__}{'.' if name else ''}{name} ({type(module).__name__})"
