"""The quick way: a pytest session that has collected every test, and a fork of it for each mutant.

All tests and the library are imported once. A child exchanges the code of one function, wherever it is
referenced (the function object stays the same), and runs the tests that reach the changed line until one
fails. Tests that noticed another change of the same function come first.
"""

from __future__ import annotations

import gc
import types
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from mutation import baseline
from mutation.baseline import Test
from mutation.forks import Ended, Job, limit_time, run_all
from mutation.mutants import Mutant

#: Processor time that a test may take: so much, and so many times what it takes unmutated.
GRACE, FACTOR = 2.0, 10.0


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: the test that noticed, or None; `ran` tests of `reaching` were run."""

    mutant: Mutant
    killed_by: str | None
    ran: int
    reaching: int


@dataclass
class Live:
    """A collected session. Made inside pytest's ``runtestloop``."""

    root: Path
    items: dict[str, pytest.Item]
    workers: int
    budget: float  # seconds (unmutated) of tests that are run for one mutant at most
    killers: dict[tuple[str, str | None], list[str]] = field(default_factory=lambda: defaultdict(list))
    killer_files: dict[str, dict[str, int]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(int))
    )

    def measure(self, test_files: list[str], files: list[str]) -> Iterator[tuple[str, list[Test] | None]]:
        """The tests of some test files, unmutated (None: the child died)."""

        def job(test_file: str) -> Job:
            items = [item for nodeid, item in self.items.items() if file_of(nodeid) == test_file]
            return Job(test_file, lambda report: report(baseline.measure(items, self.root, files)), 1800)

        for ended in run_all(map(job, test_files), self.workers):
            yield ended.key, ended.sent if ended.died is None else None

    def control(self, tests: list[Test]) -> list[str]:
        """The tests that fail, nothing being changed, when all run in the order in which mutants get them."""
        ordered = sorted(tests, key=lambda t: t.seconds)

        def work(report: Callable[[Any], None]) -> None:
            failed = []
            for test in ordered:
                limit_time(GRACE + FACTOR * test.seconds)
                reports = runtestprotocol(self.items[test.nodeid], log=False, nextitem=None)
                failed += [test.nodeid] if any(r.failed for r in reports) else []
            report(failed)

        (ended,) = run_all([Job("control", work, 3600)], 1)
        if ended.died is not None:
            raise RuntimeError(f"the tests end the process, nothing being changed: {ended.died}")
        return list(ended.sent)

    def judge(
        self, mutants: list[Mutant], texts: dict[str, str], tests: list[Test]
    ) -> Iterator[tuple[Mutant, Verdict | None]]:
        """The verdicts; None for a mutant that must be imported afresh."""
        functions = live_functions(self.root)

        def job(mutant: Mutant) -> Job:
            reaching = baseline.reaching(tests, mutant.file, mutant.reach)
            chosen = self.choose(mutant, reaching)
            unmutated = functions.get((str(self.root / mutant.file), mutant.function, mutant.first), [])
            code = changed_code(mutant, texts[mutant.file], self.root)

            def work(report: Callable[[Any], None]) -> None:
                if exchange(unmutated, code):
                    run_until_one_fails([self.items[t.nodeid] for t in chosen], chosen, report)

            wall = 60 + 20 * sum(t.seconds for t in chosen)
            return Job((mutant, chosen, len(reaching)), work, wall)

        for ended in run_all(map(job, mutants), self.workers):
            mutant = ended.key[0]
            yield mutant, self._verdict(ended)

    def choose(self, mutant: Mutant, reaching: list[Test]) -> list[Test]:
        """Of the tests that reach the line the likeliest to notice first, within the budget."""
        known = self.killers[mutant.file, mutant.function]
        ranks = {nodeid: rank for rank, nodeid in enumerate(reversed(known))}
        spent, chosen = 0.0, []
        for test in sorted(reaching, key=lambda t: (ranks.get(t.nodeid, len(ranks)), t.seconds)):
            spent += test.seconds
            if spent > self.budget and chosen:
                break
            chosen.append(test)
        return chosen

    def _verdict(self, ended: Ended) -> Verdict | None:
        mutant, chosen, reaching = ended.key
        if ended.died is None and ended.sent is None:
            return None
        done, failed = ended.sent or (0, None)
        if ended.died is not None:  # while the test after the last one that passed was running
            failed = chosen[done].nodeid if done < len(chosen) else None
            note = f"{failed} ({ended.died})"
        else:
            note = failed
        if failed is None:
            return Verdict(mutant, None, done, reaching)
        known = self.killers[mutant.file, mutant.function]
        if ended.died is None:  # a test that runs into the time limit is no good first choice
            known[:] = [*(n for n in known if n != failed), failed]
            self.killer_files[mutant.file][file_of(failed)] += 1
        return Verdict(mutant, note, done + 1, reaching)


def run_until_one_fails(items: list[pytest.Item], tests: list[Test], report: Callable[[Any], None]) -> None:
    """Run the tests in this process; sends (tests that passed, the one that failed)."""
    report((0, None))
    for number, (item, test) in enumerate(zip(items, tests, strict=True)):
        following = items[number + 1] if number + 1 < len(items) else None
        limit_time(GRACE + FACTOR * test.seconds)
        reports = runtestprotocol(item, log=False, nextitem=following)
        limit_time(0)
        failed = any(r.failed for r in reports)
        if failed:
            report((number, item.nodeid))
            return
        report((number + 1, None))


def file_of(nodeid: str) -> str:
    return nodeid.partition("::")[0]


# ---------------------------------------------------------------------------------------------------------
# Exchanging the code of a function
# ---------------------------------------------------------------------------------------------------------


def live_functions(root: Path) -> dict[tuple[str, str | None, int], list[types.FunctionType]]:
    """All function objects made from the sources: (file, qualified name, first line)."""
    found: dict[tuple[str, str | None, int], list[types.FunctionType]] = defaultdict(list)
    for thing in gc.get_objects():
        if type(thing) is types.FunctionType and thing.__code__.co_filename.startswith(str(root)):
            code = thing.__code__
            found[code.co_filename, code.co_qualname, code.co_firstlineno].append(thing)
    return found


def changed_code(mutant: Mutant, text: str, root: Path) -> types.CodeType:
    """The mutant's code of the function that is changed."""
    module = compile(mutant.apply(text), str(root / mutant.file), "exec", dont_inherit=True)
    return [code for code in codes(module) if code.co_qualname == mutant.function][mutant.rank]


def exchange(functions: list[types.FunctionType], code: types.CodeType) -> bool:
    """Give the function objects this code; False where that cannot be done."""
    if not functions or any(f.__code__.co_freevars != code.co_freevars for f in functions):
        return False
    for function in functions:
        function.__code__ = code
    return True


def codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """The code objects within a code object, in the order of the text."""
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield constant
            yield from codes(constant)
