"""Which test reaches which lines, and how long it takes, with nothing changed."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from _pytest.runner import runtestprotocol


@dataclass
class Test:
    """One test, unmutated."""

    __test__ = False

    nodeid: str
    seconds: float
    passed: bool
    lines: dict[str, set[int]] = field(default_factory=dict)  # file (as in the repository) -> lines run


class Tracer:
    """Notes the lines of some files that run, in every thread."""

    def __init__(self, root: Path, files: list[str]) -> None:
        self.lines: dict[str, set[int]] = {}
        self._local: dict[str, Callable[..., Any]] = {str(root / f): self._line_noter(f) for f in files}

    def _line_noter(self, file: str) -> Callable[..., Any]:
        def note(frame: FrameType, event: str, argument: Any) -> Callable[..., Any]:
            if event == "line":
                self.lines.setdefault(file, set()).add(frame.f_lineno)
            return note

        return note

    def _call(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        return self._local.get(frame.f_code.co_filename)

    def __enter__(self) -> Tracer:
        self.lines = {}
        threading.settrace(self._call)
        sys.settrace(self._call)
        return self

    def __exit__(self, *exc: object) -> None:
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]


def measure(items: list[pytest.Item], root: Path, files: list[str]) -> list[Test]:
    """Run the tests of one file one after the other."""
    tracer, tests = Tracer(root, files), []
    for item, following in zip(items, [*items[1:], None], strict=True):
        started = time.process_time()
        with tracer:
            reports = runtestprotocol(item, log=False, nextitem=following)
        seconds = time.process_time() - started
        passed = all(report.passed for report in reports)
        tests.append(Test(item.nodeid, seconds, passed, tracer.lines))
    return tests


def reaching(tests: list[Test], file: str, lines: tuple[int, int]) -> list[Test]:
    """The tests that run a line of the file between these two, quickest first."""
    wanted = range(lines[0], lines[1] + 1)
    found = [t for t in tests if file in t.lines and not t.lines[file].isdisjoint(wanted)]
    return sorted(found, key=lambda t: t.seconds)
