"""``python -m mutation``: change, run, count. Needs ``tests`` on the path; ``make mutants`` does that."""

from __future__ import annotations

import argparse
import fnmatch
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mutation import fresh, page, store
from mutation.baseline import Test
from mutation.forks import Job, run_all, say
from mutation.live import Live, Verdict, file_of
from mutation.mutants import Mutant, mutants

THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mutation", description="Would the tests notice a changed line?")
    parser.add_argument("--files", nargs="+", default=["*"], help="only these files (patterns)")
    parser.add_argument("--lines", help="only these lines of them, e.g. 10-20")
    parser.add_argument("--sample", type=int, help="at most so many mutants of each file, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of the drawing")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="children at a time")
    parser.add_argument("--tests", nargs="+", default=["*"], help="only these test files (patterns)")
    parser.add_argument(
        "--no-parity", dest="parity", action="store_false", help="without the tests beside torch"
    )
    parser.add_argument("--budget", type=float, default=120, help="seconds of tests for one mutant at most")
    parser.add_argument("--checkout", type=Path, default=store.ROOT, help="the repository to be examined")
    parser.add_argument("--store", type=Path, default=store.ROOT / "build" / "mutants")
    parser.add_argument("--fresh", action="store_true", help="forget what earlier runs found out")
    parser.add_argument("--list", action="store_true", help="list the mutants and end")
    parser.add_argument("--write", action="store_true", help="write docs/proof/mutants.json and mutants.md")
    return parser.parse_args()


class Run:
    """One run: what is changed, by which tests it is judged, and what came out."""

    def __init__(self, options: argparse.Namespace, root: Path) -> None:
        self.options, self.root = options, root
        self.texts = {
            f: t for f, t in store.sources(root).items() if any(fnmatch.fnmatch(f, p) for p in options.files)
        }
        self.mutants = [m for file, text in self.texts.items() for m in self.drawn(mutants(file, text))]
        files = store.test_files(root, options.parity)
        self.test_files = [f for f in files if any(fnmatch.fnmatch(f, p) for p in options.tests)]
        self.store = store.Store(options.store, root, options.fresh)
        self.tests_key = store.digest(*(self.store.test_key(f) for f in self.test_files))
        self.tests: list[Test] = []
        self.favourites: dict[str, list[str]] = {}
        self.counts = {"killed": 0, "survived": 0}
        self.said = time.monotonic()

    def drawn(self, every: list[Mutant]) -> list[Mutant]:
        options = self.options
        if options.lines:
            first, _, last = options.lines.partition("-")
            every = [m for m in every if int(first) <= m.line <= int(last or first)]
        if options.sample is None or len(every) <= options.sample:
            return every
        chosen = random.Random(f"{options.seed} {every[0].file}").sample(range(len(every)), options.sample)
        return [every[i] for i in sorted(chosen)]

    def open(self) -> list[Mutant]:
        """The mutants without a verdict."""
        known = {v.mutant for v in self.verdicts()}
        return [m for m in self.mutants if m not in known]

    def verdicts(self) -> list[Verdict]:
        return self.store.verdicts(self.mutants, self.texts, self.tests_key)

    def note(self, verdict: Verdict) -> None:
        mutant = verdict.mutant
        self.store.add(verdict, self.texts[mutant.file], self.tests_key)
        if verdict.killed_by is None:
            self.counts["survived"] += 1
            place = f"{mutant.file}:{mutant.line} [{mutant.operator}]"
            say(f"survived {verdict.ran} of {verdict.reaching} tests: {place}")
            say(f"    {mutant.before}\n    {mutant.after}")
        else:
            self.counts["killed"] += 1
        if time.monotonic() > self.said + 20:
            self.said = time.monotonic()
            say(f"... {self.counts['killed']} killed, {self.counts['survived']} survived")

    # -- in a process of its own: a pytest session with everything imported ----------------------------------

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self) -> None:
        fresh.quick_hypothesis()

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            raise RuntimeError(f"{report.nodeid} cannot be collected:\n{report.longrepr}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        import minidl

        assert str(minidl.__file__).startswith(str(self.root)), f"another minidl: {minidl.__file__}"
        live = Live(self.root, {i.nodeid: i for i in session.items}, self.options.jobs, self.options.budget)
        self.tests = self.measured(live)
        candidates = [m for m in self.open() if m.function is not None]
        for _, verdict in live.judge(candidates, self.texts, self.tests):
            if verdict is not None:
                self.note(verdict)
        self.favourites = {
            file: sorted(counts, key=lambda f, c=counts: -c[f]) for file, counts in live.killer_files.items()
        }
        return True

    def measured(self, live: Live) -> list[Test]:
        """The tests that pass unmutated, in their own order and in the order in which mutants get them."""
        collected = {file_of(nodeid) for nodeid in live.items}
        files = [f for f in self.test_files if f in collected]
        known = self.store.load_baseline(files)
        missing = [f for f in files if f not in known]
        all_targets = list(store.sources(self.root))
        for file, tests in live.measure(missing, all_targets):
            if tests is None:
                say(f"the tests of {file} end the process: left out")
                continue
            known[file] = tests
            say(f"{file}: {len(tests)} tests, {sum(t.seconds for t in tests):.1f} s")
            self.store.save_baseline(known)
        for test in (t for tests in known.values() for t in tests if not t.passed):
            say(f"does not pass unmutated, and is left out: {test.nodeid}")
        tests = [t for rows in known.values() for t in rows if t.passed and t.nodeid in live.items]
        if missing:
            unreliable = live.control(tests)
            for nodeid in unreliable:
                say(f"fails in another order, and is left out: {nodeid}")
            for rows in known.values():
                for test in rows:
                    test.passed &= test.nodeid not in unreliable
            self.store.save_baseline(known)
        return [t for t in tests if t.passed]

    def session(self, report: Callable[[Any], None]) -> None:
        os.chdir(self.root)
        pytest.main([*fresh.OPTIONS, *self.test_files], plugins=[self])
        report((self.tests, self.favourites))


def main() -> int:
    options = arguments()
    for name in THREADS:
        os.environ[name] = "1"
    os.environ["MINIDL_HYPOTHESIS"] = "quick"
    sys.dont_write_bytecode = True
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = os.environ["NUMBA_CACHE_DIR"] = f"{folder}/left"
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        root = store.copy_tree(options.checkout, Path(folder).resolve() / "tree")
        sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != store.ROOT]
        return work(Run(options, root))


def work(run: Run) -> int:
    options = run.options
    say(f"{len(run.mutants)} mutants of {len(run.texts)} files, {len(run.test_files)} test files")
    if options.list:
        for m in run.mutants:
            print(f"{m.file}:{m.line} [{m.operator}]\n    {m.before}\n    {m.after}")
        return 0
    if not run.open():
        known = run.store.load_baseline(run.test_files)
        run.tests = [t for tests in known.values() for t in tests if t.passed]
        return finish(run)
    fresh.import_libraries()
    # The session is a child: this process must not import the library, so that its later children can.
    (ended,) = run_all([Job("session", run.session, 7 * 86400, speaks=True)], 1)
    if ended.sent is None:
        say(f"the session ended early: {ended.died}")
        return 2
    run.tests, run.favourites = ended.sent
    rest = run.open()
    say(f"{len(rest)} mutants are imported afresh")
    judged = fresh.judge(rest, run.texts, run.tests, run.root, options.jobs, options.budget, run.favourites)
    for verdict in judged:
        run.note(verdict)
    return finish(run)


def finish(run: Run) -> int:
    reasons = page.Reasons()
    verdicts = run.verdicts()
    data = page.result(verdicts, reasons, len(run.tests), run.options.sample)
    for one in data["called equivalent but killed"]:
        say(f"called equivalent, but {one['killed_by']} notices: {one}")
    stale = [] if run.options.sample or run.options.lines else reasons.stale(run.mutants)
    for row in stale:
        say(f"a reason for a mutant that is not there: {row}")
    if run.options.write:
        page.write(store.ROOT / "docs" / "proof", data)
    for file, row in sorted(data["files"].items()):
        alive, same = len(row["survivors"]), len(row["equivalent"])
        say(f"{file}: {row['mutants']} mutants, {row['killed']} killed, {same} equivalent, {alive} survivors")
    say(f"{len(verdicts)} mutants; {100 * page.rate(data):.2f} % of those not equivalent are killed")
    good = page.rate(data) >= page.REQUIRED and not stale and not data["called equivalent but killed"]
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
