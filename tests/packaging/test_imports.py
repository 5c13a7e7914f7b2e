"""``import minidl`` is light, and the optional libraries are imported late."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HEAVY = ("scipy", "numba", "PIL", "matplotlib", "cupy", "tqdm", "click", "torch", "safetensors")
OPTIONAL = {"cupy", "cupyx", "torch", "sklearn", "threadpoolctl"}


def loaded_by(module: str, root: Path) -> set[str]:
    """Names of all modules that a fresh interpreter has after ``import module``."""
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_import_minidl_adds_little_to_import_numpy(root: Path) -> None:
    added = loaded_by("minidl", root) - loaded_by("numpy", root)
    assert "minidl.autograd" in added
    assert "minidl.ops" not in added, "most of minidl's modules: imported with the first operation"
    assert not {name for name in added if name.partition(".")[0] in HEAVY}
    # Parts of NumPy and of the standard library that take a tenth of its time each: used late or not at all.
    assert not added & {"numpy.random", "importlib.resources", "multiprocessing", "unittest", "asyncio"}


def top_level_imports(body: list[ast.stmt]) -> Iterator[str]:
    """Top-level packages that a module imports when it is imported (``if TYPE_CHECKING`` does not run)."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from top_level_imports(node.orelse)
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
        for block in ("body", "orelse", "finalbody", "handlers"):
            for inner in getattr(node, block, []):
                yield from top_level_imports(inner.body if isinstance(inner, ast.ExceptHandler) else [inner])


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import torch.nn as nn", {"torch"}),
        ("try:\n    from cupy import x\nexcept ImportError:\n    import numpy", {"cupy", "numpy"}),
        ("class A:\n    import torch", {"torch"}),
        ("def f():\n    import torch", set()),
        ("if TYPE_CHECKING:\n    import torch\nelse:\n    import scipy", {"scipy"}),
        ("with a:\n    import b", {"b"}),
    ],
)
def test_top_level_imports_are_recognised(source: str, expected: set[str]) -> None:
    assert set(top_level_imports(ast.parse(source).body)) == expected


def test_optional_libraries_are_imported_inside_functions(root: Path) -> None:
    files = [*(root / "minidl").rglob("*.py"), *(root / "kernels").rglob("*.py")]
    assert len(files) > 10
    for file in files:
        found = set(top_level_imports(ast.parse(file.read_text(encoding="utf-8")).body))
        assert not found & OPTIONAL, f"{file.relative_to(root)} imports {found & OPTIONAL} at its top level"
