"""Every example in every docstring runs and prints what it says."""

import doctest
import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import pytest

import minidl
import minidl.kernels

# Modules that need an optional library, which the default installation does not have.
OPTIONAL = {"cupy": "no GPU: cupy is not installed", "cupyx": "no GPU: cupy is not installed"}


def module_names() -> Iterator[str]:
    """All modules of minidl and minidl.kernels (in a clone the latter lies outside the former's folder)."""
    seen = set()
    for package in (minidl, minidl.kernels):
        names = (found.name for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."))
        for name in (package.__name__, *names):
            if name not in seen:
                seen.add(name)
                yield name


def load(name: str) -> ModuleType:
    """Import a module; skip the test if that needs an optional library."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in OPTIONAL:
            pytest.skip(OPTIONAL[missing])
        raise


NAMES = list(module_names())


@pytest.mark.parametrize("name", NAMES)
def test_examples_run(name: str) -> None:
    module = load(name)
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0, f"{result.failed} of {result.attempted} examples in {name} fail; output above"


def test_the_examples_were_found() -> None:
    finder = doctest.DocTestFinder()
    assert any(test.examples for test in finder.find(importlib.import_module("minidl.dispatch")))
    assert {"minidl.autograd", "minidl.kernels.reference", "minidl.ops"} <= set(NAMES)
