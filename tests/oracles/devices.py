"""Namespaces of device arrays for tests: CuPy's stand-in always, CuPy itself where there is a GPU.

A test that takes the fixture ``xp`` (tests/conftest.py) says what holds for both; on a GPU it confirms
what the stand-in assumes.
"""

from __future__ import annotations

from types import ModuleType

import pytest

from minidl.kernels.cuda.device import cuda_problem, namespace_of
from minidl.kernels.sim import compiler

SIMULATED = pytest.param("cuda_sim", id="cuda_sim")
GPU = pytest.param("cuda", id="cuda", marks=pytest.mark.gpu)
#: Both, for a test's argument ``xp``.
KINDS = (SIMULATED, GPU)


def namespace_or_skip(kind: str) -> ModuleType:
    """The namespace of a kind of device; the test skips where there is none."""
    if kind == "cuda" and cuda_problem():
        pytest.skip("no GPU")
    return namespace_of(kind)


def compiler_or_skip() -> None:
    """For a test that runs kernels: it skips where there is no compiler, which CI does not allow."""
    try:
        compiler.compiler()
    except compiler.NoCompiler as error:
        pytest.skip(f"no C++ compiler: {error}")
