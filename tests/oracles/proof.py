"""Counting what the tests prove, operation by operation, for the table of docs/proof.md.

Off unless the environment variable MINIDL_PROOF names a file. Then every public function of minidl.ops is
wrapped, before any test is imported, to note that it was called; a check that called exactly one operation is
credited to it, any other to the combination ("relu + sum"), which proves neither alone. (A comparison that
makes a mask is no part of it.) At the end of the run the counts are written as JSON.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import minidl
from minidl import ops
from minidl.testing import Check, Report

#: Results are whole numbers or truth values: there is no gradient, nothing is rounded, `check_op` does not
#: apply. Their tests compare every element with Python's own answer, and with torch's.
WITHOUT_GRADIENT = {
    *("argmax", "argmin", "argsort", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor"),
    *("eq", "ge", "gt", "isfinite", "isinf", "isnan", "le", "logical_not", "lt", "ne"),
}

#: operation -> kind of check -> number of configurations at which it was made, and what `Check` keeps.
Row = dict[str, tuple[int, Check]]
rows: dict[str, Row] = {}

_recording = False
_depth = 0  # of calls among the operations: `mean` may call `sum`, but only `mean` was tested
_current: set[str] | None = None  # the operations that the function under test has called


def start() -> None:
    """Wrap the operations. Tests imported from now on see the wrapped ones."""
    global _recording
    _recording = True
    wrapped: dict[Callable[..., Any], Callable[..., Any]] = {}
    for name in sorted(ops.__all__):
        operation = getattr(ops, name)
        wrapper = wrapped.setdefault(operation, _noting(name, operation))  # `clip` is `clamp`, wrapped too
        setattr(ops, name, wrapper)
        if getattr(minidl, name, None) is operation:
            setattr(minidl, name, wrapper)


def first_name(name: str) -> str:
    """Of an operation with two names, the one under which it is counted: `clamp` for `clip`."""
    return next(n for n in sorted(ops.__all__) if getattr(ops, n) is getattr(ops, name))


def _noting(name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(operation)
    def noting(*args: Any, **kwargs: Any) -> Any:
        global _depth
        if _current is not None and _depth == 0:
            _current.add(name)
        _depth += 1
        try:
            return operation(*args, **kwargs)
        finally:
            _depth -= 1

    return noting


def watch(fn: Callable[..., Any]) -> tuple[Callable[..., Any], set[str]]:
    """`fn`, and the set of operations that it calls itself (not those of its backward)."""
    called: set[str] = set()
    if not _recording:
        return fn, called

    @functools.wraps(fn)
    def watched(*args: Any, **kwargs: Any) -> Any:
        global _current, _depth
        before, _current, depth, _depth = _current, called, _depth, 0
        try:
            return fn(*args, **kwargs)
        finally:
            _current, _depth = before, depth

    return watched, called


def record(called: set[str], report: Report, arrays: tuple[Any, ...] = ()) -> None:
    """Credit a report to the operations that were called; `arrays` tell whether an extent was zero or one."""
    kinds = dict(report.checks)
    for kind in _extremes(arrays):
        kinds.setdefault(kind, Check(1))
    if not (_recording and called and kinds):
        return
    row = rows.setdefault(" + ".join(sorted(called - WITHOUT_GRADIENT or called)), {})
    for kind, check in kinds.items():
        count, total = row.setdefault(kind, (0, Check()))
        total.add(check.eps, check.share, check.cases)
        row[kind] = (count + 1, total)


def _extremes(arrays: tuple[Any, ...]) -> list[str]:
    """What `minidl.testing` calls an empty batch and a single pixel, of drawn shapes."""
    found = ["zero-size"] if any(np.size(a) == 0 for a in arrays) else []
    shape = np.shape(arrays[0]) if arrays else ()
    pixels = shape[2:] if len(shape) > 2 else shape
    return [*found, "one pixel"] if pixels and set(pixels) == {1} else found


def write(path: Path) -> None:
    """The counts as JSON, sorted, numbers rounded to two digits."""
    table = {
        op: {
            kind: {"configurations": count, "comparisons": c.cases} | _measured(c)
            for kind, (count, c) in sorted(row.items())
        }
        for op, row in sorted(rows.items())
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


def _measured(check: Check) -> dict[str, float]:
    pairs = {"eps": check.eps, "share": check.share}
    return {name: float(f"{value:.2g}") for name, value in pairs.items() if value is not None}
