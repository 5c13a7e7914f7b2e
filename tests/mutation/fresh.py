"""The thorough way, for what runs at import: constants, defaults, class bodies.

The child is a fork of a process that knows NumPy, Hypothesis and pytest but has imported neither minidl nor a
test. It imports the changed text in place of the file, and runs pytest on the test files that matter.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import os
import types
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from mutation import baseline
from mutation.baseline import Test
from mutation.forks import Ended, Job, limit_time, run_all
from mutation.live import FACTOR, GRACE, Verdict, file_of
from mutation.mutants import Mutant

#: Processor time for imports and collection.
START = 60.0
#: A mutant's first round of tests takes about so long; most are noticed there.
FIRST_ROUND = 2.0

LIBRARIES = (
    "numpy",
    "hypothesis.strategies",
    "hypothesis.extra.numpy",
    "hypothesis.internal.conjecture.engine",
)
#: pytest rewrites the asserts of plugins, and says so where one is imported already.
NO_WARNING = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
OPTIONS = ["-q", "-x", "-p", "no:cacheprovider", "--tb=no", "--capture=no", *NO_WARNING]


def import_libraries() -> None:
    for name in LIBRARIES:
        importlib.import_module(name)


def quick_hypothesis() -> None:
    """The same examples as always, but a failing one is not made smaller: only that it fails counts."""
    present = hypothesis.settings()
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile(
        "mutants", present, phases=phases, report_multiple_bugs=False, print_blob=False
    )
    hypothesis.settings.load_profile("mutants")


def judge(
    mutants: list[Mutant],
    texts: dict[str, str],
    tests: list[Test],
    root: Path,
    workers: int,
    budget: float,
    favourites: dict[str, list[str]],
) -> Iterator[Verdict]:
    """The verdicts. `favourites`: for a file, test files that noticed other changes of it, the best first."""

    def job(mutant: Mutant) -> Job:
        reaching = baseline.reaching(tests, mutant.file, mutant.reach)
        rounds = list(split(reaching, favourites.get(mutant.file, []), budget))
        path = str(root / mutant.file)
        code = compile(mutant.apply(texts[mutant.file]), path, "exec", dont_inherit=True)

        def work(report: Callable[[Any], None]) -> None:
            import_instead(path, code)
            os.chdir(root)
            ran = 0
            for chosen in rounds:
                ran += len(chosen)
                limit_time(START + GRACE + FACTOR * sum(t.seconds for t in chosen))
                killer = run_tests(chosen)
                report((ran, killer))
                if killer is not None:
                    return

        seconds = sum(t.seconds for chosen in rounds for t in chosen)
        return Job((mutant, len(reaching)), work, 300 + 20 * seconds)

    for ended in run_all(map(job, mutants), workers):
        yield _verdict(ended)


def _verdict(ended: Ended) -> Verdict:
    mutant, reaching = ended.key
    ran, killer = ended.sent or (0, None)
    if ended.died is not None:
        killer = f"({ended.died})"
    return Verdict(mutant, killer, ran, reaching)


def split(reaching: list[Test], favourites: list[str], budget: float) -> Iterator[list[Test]]:
    """Two rounds: the best two test files' quick tests, then all others within the budget."""
    spent: dict[str, float] = defaultdict(float)
    first, rest, total = [], [], 0.0
    count: dict[str, int] = defaultdict(int)
    for test in reaching:
        count[file_of(test.nodeid)] += 1
    best = [*favourites, *sorted(count, key=lambda f: -count[f])][:2]
    for test in reaching:
        file = file_of(test.nodeid)
        if file in best and spent[file] + test.seconds <= FIRST_ROUND:
            spent[file] += test.seconds
            first.append(test)
        elif total + test.seconds <= budget:
            total += test.seconds
            rest.append(test)
    yield from filter(None, (first, rest))


def import_instead(path: str, code: types.CodeType) -> None:
    """From now on importing the file at this path gives this code."""
    loader = importlib.machinery.SourceFileLoader
    original = loader.get_code

    def get_code(self: Any, fullname: str) -> types.CodeType | None:
        return code if self.path == path else original(self, fullname)

    loader.get_code = get_code  # type: ignore[method-assign]


class _Only:
    """A pytest plugin: run these tests and no others, in this order; remember the first that fails."""

    def __init__(self, nodeids: list[str]) -> None:
        self.nodeids = nodeids
        self.failed: str | None = None
        self.ran = 0

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self) -> None:
        quick_hypothesis()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        rank = {nodeid: number for number, nodeid in enumerate(self.nodeids)}
        items[:] = sorted((i for i in items if i.nodeid in rank), key=lambda i: rank[i.nodeid])

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and self.failed is None:
            self.failed = f"{report.nodeid or 'conftest.py'} (collection)"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.ran += 1
        if report.failed and self.failed is None:
            self.failed = report.nodeid


def run_tests(chosen: list[Test]) -> str | None:
    """The first test that fails, run by pytest in this process; None if all pass."""
    plugin = _Only([t.nodeid for t in chosen])
    files = list(dict.fromkeys(file_of(t.nodeid) for t in chosen))
    code = pytest.main([*OPTIONS, *files], plugins=[plugin])
    if plugin.failed is None and code != pytest.ExitCode.OK:
        return f"pytest ended with {code!s}"
    return plugin.failed
