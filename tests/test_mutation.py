"""The tool that changes lines of the library (`make mutants`): what it changes, that a changed line dies
where a test notices and only there, and that the page shows the numbers."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import textwrap

import pytest

from mutation import forks, page, store
from mutation.live import Verdict
from mutation.mutants import mutants


def changes(text: str) -> list[tuple[str, str, str]]:
    return [(m.operator, m.before, m.after) for m in mutants("file.py", textwrap.dedent(text))]


# --- what is changed ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("y = a + b", {"y = a - b"}),
        ("y = (a - b) / c", {"y = (a + b) / c", "y = ((a - b) * c)"}),
        ("y = a * b - c", {"y = (a + b) - c", "y = a * b + c"}),
        ("y = a @ b", {"y = (a * b)"}),
        ("y = a < b", {"y = a <= b"}),
        ("y = a <= b < c", {"y = a < b < c", "y = a <= b <= c"}),
        ("y = a is not None", {"y = a is None"}),
        ("y = a not in b", {"y = a in b"}),
        ("y = a and b and c", {"y = (a or b or c)"}),
        ("y = not (a)", {"y = (a)"}),
        ("y = -x", {"y = x"}),
        ("y = ~(x <= z)", {"y = (x <= z)", "y = ~(x < z)"}),
        ("y = 1", {"y = 2", "y = 0"}),
        ("y = 2.5", {"y = 3.5"}),
        ("y = True", {"y = False"}),
        ("y = x[a:b:c]", {"y = x[:b:c]", "y = x[a::c]", "y = x[a:b:]"}),
        ("y = f(a, b)", {"y = f(b, a)"}),
        ("y = x.reshape(n, -1)", {"y = x.reshape(-1, n)", "y = x.reshape(n, 1)", "y = x.reshape(n, -0)"}),
        ("y = x.sum((a), axis=n)", {"y = x.sum((a))"}),
        ("y = x.sum(axis=n, out=z)", {"y = x.sum(out=z)"}),
        ("y += x", {"y -= x", "y = x", "pass"}),
        ("y = y.ravel()", {"pass"}),
        ("self.y = x", {"pass"}),
        ("f(x)", {"pass"}),
        ("y = a if b else c", {"y = a if (not (b)) else c"}),
        ("y = 'é' if a == b else c", {"y = 'é' if a != b else c"}),
    ],
)
def test_what_is_changed_in_a_line(line, expected):
    assert {after for _, _, after in changes(line)} == expected


@pytest.mark.parametrize(
    "text",
    [
        '"""Adds 1 to 2."""',
        'x = "a < b"',
        "def f(x: int | None = None) -> tuple[int, 3]: ...",
        "x: dict[str, 1]",
        "Pair = tuple[int, int]",
        "if TYPE_CHECKING:\n    x = 1 + 1",
        "assert x == 1",
        "y = zip(a, b, strict=True)",
        "y = x.astype(t, copy=False)",
        "y = isinstance(x, int | float)",
        "y = max(a, b)",
        "y = f(a, a)",
    ],
)
def test_what_is_left_alone(text):
    assert changes(text) == []


def test_the_message_of_an_error_is_left_alone_but_not_the_raise():
    assert changes("raise ValueError(f'{x + 1} of {n - 1}', a + b)") == [
        ("statement", "raise ValueError(f'{x + 1} of {n - 1}', a + b)", "pass")
    ]


TWICE = """
    class A:
        @property
        def x(self, n=1):
            return 2 + 3
        @x.setter
        def x(self, value):
            self.y = 4

    @decorated(5)
    def f():
        def g(k=6):
            return 7
        return g

    CONSTANT = 8
    """


def test_each_change_knows_its_function_and_the_lines_that_reach_it():
    found = {m.before + " > " + m.after: m for m in mutants("file.py", textwrap.dedent(TWICE))}
    seen = {text: (m.function, m.first, m.rank, m.reach) for text, m in found.items()}
    assert seen["return 2 + 3 > return 3 + 3"] == ("A.x", 3, 0, (5, 5))
    assert seen["self.y = 4 > self.y = 5"] == ("A.x", 6, 1, (8, 8))
    assert seen["def g(k=6): > def g(k=7):"] == ("f", 10, 0, (12, 12))
    assert seen["return 7 > return 8"] == ("f", 10, 0, (13, 13))
    # What import runs: anyone who calls the function may notice a default, anyone at all a constant.
    assert seen["def x(self, n=1): > def x(self, n=2):"] == (None, 0, 0, (5, 5))
    assert seen["@decorated(5) > @decorated(6)"] == (None, 0, 0, (12, 14))
    assert seen["CONSTANT = 8 > CONSTANT = 9"] == (None, 0, 0, (1, 16))


def test_every_change_of_the_library_is_python_keeps_the_lines_and_has_a_name_of_its_own(root):
    names = set()
    for file, text in store.sources(root).items():
        found = mutants(file, text)
        assert found or file.endswith(("__init__.py", "clone.py", "reference/arithmetic.py")), file
        tree = ast.dump(ast.parse(text))
        for mutant in found[::20]:
            changed = mutant.apply(text)
            assert ast.dump(ast.parse(changed)) != tree, mutant
            assert changed.count("\n") == text.count("\n"), mutant
        assert not names & {m.name for m in found}
        names |= {m.name for m in found}
        assert len({m.name for m in found}) == len(found)


# --- a whole run, on a small library ------------------------------------------------------------------------

LIBRARY = """
STEP = 3

def total(xs):
    result = 0
    for x in xs:
        result = result + x
    return result

def tail(xs, first=2):
    return xs[first:]

def shout(text):
    return text + "!"

def until(n):
    k = 0
    while k < n:
        k += STEP
    return k

def unseen(x):
    return x + x
"""
TESTS = """
from hypothesis import given, strategies as st
from minidl.ops import library

@given(st.lists(st.integers()))
def test_total(xs):
    assert library.total(xs) == sum(xs)

def test_until():
    assert library.until(5) == 6

def test_tail():
    assert library.tail([1, 2, 3]) == [3]

def test_shout_is_called():
    library.shout("a")
"""


@pytest.fixture
def checkout(tmp_path, root):
    files = {
        "minidl/__init__.py": "",
        "minidl/ops/__init__.py": "",
        "minidl/ops/library.py": LIBRARY,
        "tests/ops/test_library.py": TESTS,
        "tests/conftest.py": (root / "tests" / "conftest.py")
        .read_text(encoding="utf-8")
        .replace("minidl.manual_seed(0)", "pass"),
        "pyproject.toml": (root / "pyproject.toml").read_text(encoding="utf-8"),
    }
    for name, text in files.items():
        (tmp_path / "small" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "small" / name).write_text(text, encoding="utf-8")
    return tmp_path / "small"


def run(root, checkout, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(root / "tests")}
    command = [sys.executable, "-m", "mutation", "--checkout", str(checkout), "--no-parity", "--jobs", "2"]
    return subprocess.run(
        [*command, "--store", str(checkout.parent / "store"), *arguments],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
    )


def test_a_run(root, checkout):
    """Caught by a property; an endless loop; a constant and a default (at import); unnoticed; not run."""
    before = sorted(checkout.rglob("*"))
    done = run(root, checkout)
    assert done.returncode == 1, done.stderr
    verdicts = {
        tuple(row["name"].split("\t")[2:5]): row
        for line in (checkout.parent / "store" / "verdicts.jsonl").read_text(encoding="utf-8").splitlines()
        for row in [json.loads(line)]
    }
    killed = {key: row["killed_by"] for key, row in verdicts.items() if row["killed_by"] is not None}
    test = "tests/ops/test_library.py::"
    assert killed["arithmetic", "result = result + x", "result = result - x"] == f"{test}test_total"
    assert killed["statement", "k += STEP", "pass"] == f"{test}test_until (time)"
    assert killed["arithmetic", "k += STEP", "k -= STEP"] == f"{test}test_until (time)"
    assert killed["constant", "STEP = 3", "STEP = 4"] == f"{test}test_until"
    assert killed["constant", "def tail(xs, first=2):", "def tail(xs, first=3):"] == f"{test}test_tail"
    assert {key for key in verdicts if key not in killed} == {
        ("arithmetic", "return x + x", "return x - x"),
        ("comparison", "while k < n:", "while k <= n:"),
    }
    assert verdicts["arithmetic", "return x + x", "return x - x"]["reaching"] == 0
    assert sorted(checkout.rglob("*")) == before, "nothing is written into the checkout"
    # A second run knows all that.
    again = run(root, checkout)
    assert again.returncode == 1 and "survived" not in again.stderr
    assert again.stderr.splitlines()[-2:] == done.stderr.splitlines()[-2:]


def test_a_test_that_fails_unmutated_kills_nothing(root, checkout):
    with (checkout / "tests" / "ops" / "test_library.py").open("a", encoding="utf-8") as file:
        file.write("\ndef test_broken():\n    assert library.unseen(1) == 3\n")
    done = run(root, checkout, "--lines", "22-24")
    assert "does not pass unmutated, and is left out: tests/ops/test_library.py::test_broken" in done.stderr
    assert "survived 0 of 0 tests" in done.stderr


# --- children -----------------------------------------------------------------------------------------------


def test_children_are_ended_and_what_they_sent_is_kept():
    def endless(report):
        report("began")
        forks.limit_time(0.2)
        while True:
            pass

    def waits(report):
        import time

        time.sleep(60)

    def crashes(report):
        os.abort()

    def raises(report):
        report(1)
        report(2)
        raise ValueError

    works = {"endless": endless, "waits": waits, "crashes": crashes, "raises": raises}
    jobs = [forks.Job(name, work, 2.0) for name, work in works.items()]
    ended = {e.key: (e.sent, e.died) for e in forks.run_all(jobs, 2)}
    assert ended == {
        "endless": ("began", "time"),
        "waits": (None, "time"),
        "crashes": (None, "SIGABRT"),
        "raises": (2, "exit 70"),
    }


# --- the page -----------------------------------------------------------------------------------------------


def test_the_numbers_and_the_reasons_on_the_page(tmp_path):
    (tmp_path / "equivalent.toml").write_text(
        '[[mutants]]\nfile = "f.py"\nreason = "No\\n  difference."\nchanges = [["x = 1", "x = 2"]]\n'
    )
    (tmp_path / "survivors.toml").write_text("mutants = []\n")
    reasons = page.Reasons(tmp_path)
    found = mutants("f.py", "x = 1\ny = a | b\nz = 3\n")
    fates = {"x = 2": None, "x = 0": "test_x", "y = (a & b)": None, "z = 4": "test_z"}
    data = page.result([Verdict(m, fates[m.after], 1, 1) for m in found], reasons, 10, None)
    assert page.rate(data) == 2 / 3 and data["called equivalent but killed"] == []
    text = page.render(data)
    assert (
        "**4 mutants: 2 killed, 1 equivalent, 1 survivors. Of the 3 that are not equivalent, 66.67 %" in text
    )
    assert "- at import: `x = 1` to `x = 2`. No difference." in text
    assert "| `f.py` | 4 | 2 | 1 | 1 |" in text
    assert reasons.stale(mutants("f.py", "y = 1\n")) == [("f.py", "x = 1", "x = 2")]
    killed = [Verdict(m, "test", 1, 1) for m in found]
    assert len(page.result(killed, reasons, 10, None)["called equivalent but killed"]) == 1
