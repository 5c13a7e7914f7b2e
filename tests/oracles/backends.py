"""Running tests with the kernels of each backend (tests/conftest.py).

Tests that cannot reach a kernel need not run twice. Which files can is listed here; a test of another file
that asks for a kernel fails and says that its file must be listed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from minidl import dispatch

TESTS = Path(__file__).resolve().parents[1]

#: The one that users get comes first.
BACKENDS = ("numba", "numpy")

#: Files and folders that run on each backend, at every call of pytest.
BOTH = frozenset(
    (
        "autograd",
        "models",
        "nn",
        "ops",
        "optim",
        "test_autograd.py",
        "test_gradcheck.py",
        "test_hooks.py",
        "test_saved_arrays.py",
        "test_tensor.py",
        "test_tensor_interface.py",
    )
)

#: Those that run on the default backend alone: they look at what surrounds the kernels, or name backends
#: themselves. CI runs cli, parity and train once more, with MINIDL_BACKEND=numpy (.ci/run).
ONE = frozenset(
    (
        "bench",
        "attacks",
        "cli",
        "devices",
        "docs",
        "kernels",
        "kernels_cuda",
        "parity",
        "planted",
        "segmentation",
        "sim",
        "soak",
        "train",
        "test_compare.py",
        "test_dispatch.py",
        "test_docstrings.py",
        "test_layout.py",
        "test_planted_bugs.py",
        "test_random.py",
        "test_testing.py",
        "test_testing_report.py",
    )
)

#: A test whose argument ``backend`` names it, in a file that is not in BOTH.
both_backends = pytest.mark.parametrize("backend", BACKENDS, indirect=True)


def _among(file: Path, names: frozenset[str]) -> bool:
    """Whether a file, or its folder, is one of those."""
    path = file.resolve()
    return path.is_relative_to(TESTS) and path.relative_to(TESTS).parts[0] in names


def runs_on_both(file: Path) -> bool:
    """Whether the tests of a file run once for each backend."""
    return _among(file, BOTH)


def is_listed(file: Path) -> bool:
    """Whether a file is known to reach kernels."""
    return _among(file, BOTH | ONE) or not file.resolve().is_relative_to(TESTS)


@contextlib.contextmanager
def kernels_in_use() -> Iterator[set[str]]:
    """The operations whose kernels are asked for in this block."""
    used: set[str] = set()
    find: Callable[..., Any] = dispatch._kernels

    def recorded(operation: str, backend: str) -> Any:
        used.add(operation)
        return find(operation, backend)

    recorded.cache_clear = find.cache_clear  # type: ignore[attr-defined]
    dispatch._kernels = recorded  # type: ignore[assignment]
    try:
        yield used
    finally:
        dispatch._kernels = find  # type: ignore[assignment]
