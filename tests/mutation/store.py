"""What a run works on and what it has found out so far: in build/mutants/, so that it can be interrupted.

A verdict holds as long as the file that was changed stays as it was; that no test noticed also needs the same
tests. (A change elsewhere in the library may matter too: `--fresh` forgets everything.)
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import pickle
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mutation.baseline import Test
from mutation.live import Verdict
from mutation.mutants import Mutant

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("minidl", "kernels", "tests", "docs", "benchmarks", ".ci")
FILES = ("pyproject.toml", "setup.py", "README.md", "CHANGELOG.md", "LICENSE", "MANIFEST.in", "Makefile")

#: The code under test.
TARGETS = ("minidl/ops/*.py", "minidl/autograd/*.py", "kernels/reference/*.py")
#: Where the tests are that may notice; the others (commands, training, packages, data) come to the operations
#: only through what is tested here.
TESTS = (
    "tests/test_*.py",
    "tests/autograd",
    "tests/ops",
    "tests/kernels",
    "tests/nn",
    "tests/optim",
    "tests/models",
    "tests/docs",
)
PARITY = "tests/parity"
#: These test the mutation run and its pages, not the library.
NOT_TESTS = ("tests/test_mutation.py", "tests/docs/test_proof_mutants.py")


def copy_tree(checkout: Path, folder: Path) -> Path:
    """A copy of the sources and tests, which nobody edits while the run lasts."""
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc", "*.nb[ic]", "mutation")
    for name in FOLDERS:
        if (checkout / name).is_dir():
            shutil.copytree(checkout / name, folder / name, ignore=ignored)
    for name in FILES:
        if (checkout / name).is_file():
            shutil.copy(checkout / name, folder / name)
    return folder


def sources(root: Path, patterns: Iterable[str] = TARGETS) -> dict[str, str]:
    """The files to be changed, with their texts."""
    files = sorted({path for pattern in patterns for path in root.glob(pattern)})
    return {str(path.relative_to(root)): path.read_text(encoding="utf-8") for path in files}


def test_files(root: Path, parity: bool) -> list[str]:
    found: list[Path] = []
    for pattern in (*TESTS, *([PARITY] if parity else [])):
        found += (
            sorted((root / pattern).rglob("test_*.py")) if "*" not in pattern else sorted(root.glob(pattern))
        )
    names = [str(path.relative_to(root)) for path in found]
    return [name for name in names if name not in NOT_TESTS]


def digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


class Store:
    """The files of a run."""

    def __init__(self, folder: Path, root: Path, fresh: bool = False) -> None:
        self.folder, self.root = folder, root
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        self.library = digest(*sources(root, ("minidl/**/*.py", "kernels/**/*.py")).values())
        shared = sources(root, ("tests/oracles/*.py", "tests/conftest.py", "tests/parity/[!t]*.py"))
        self._shared_tests = digest(*shared.values())

    # -- the tests, unmutated --------------------------------------------------------------------------------

    def test_key(self, test_file: str) -> str:
        """Changes when the tests of a file, or what they use, change."""
        return digest((self.root / test_file).read_text(encoding="utf-8"), self._shared_tests)

    def load_baseline(self, test_files: list[str]) -> dict[str, list[Test]]:
        """What was measured with these very sources and tests."""
        known = self._baseline()
        keys = {f: (self.library, self.test_key(f)) for f in test_files}
        return {f: known[f][1] for f in test_files if f in known and known[f][0] == keys[f]}

    def save_baseline(self, tests: dict[str, list[Test]]) -> None:
        measured = {f: ((self.library, self.test_key(f)), rows) for f, rows in tests.items()}
        (self.folder / "baseline.pickle").write_bytes(pickle.dumps(self._baseline() | measured))

    def _baseline(self) -> dict[str, Any]:
        path = self.folder / "baseline.pickle"
        return dict(pickle.loads(path.read_bytes())) if path.exists() else {}

    # -- verdicts --------------------------------------------------------------------------------------------

    @property
    def _path(self) -> Path:
        return self.folder / "verdicts.jsonl"

    def add(self, verdict: Verdict, text: str, tests_key: str) -> None:
        row = {
            "name": verdict.mutant.name,
            "text": digest(text),
            "tests": tests_key,
            "killed_by": verdict.killed_by,
            "ran": verdict.ran,
            "reaching": verdict.reaching,
        }
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def verdicts(self, mutants: list[Mutant], texts: dict[str, str], tests_key: str) -> list[Verdict]:
        """Those of earlier runs that still hold."""
        if not self._path.exists():
            return []
        rows = {}
        for line in self._path.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(json.JSONDecodeError):  # the last line of a run that was interrupted
                row = json.loads(line)
                rows[row["name"], row["text"]] = row
        found = []
        for mutant in mutants:
            row = rows.get((mutant.name, digest(texts[mutant.file])))
            if row is not None and (row["killed_by"] is not None or row["tests"] == tests_key):
                found.append(Verdict(mutant, row["killed_by"], row["ran"], row["reaching"]))
        return found
