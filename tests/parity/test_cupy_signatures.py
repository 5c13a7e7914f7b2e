"""Every attribute that the stand-in offers is one of the real CuPy 14.2, with the same parameters.

CuPy imports without a driver. Its compiled functions tell their parameters in the first line of their
docstrings. Where CuPy is not installed the tests skip; in CI that is a failure.
"""

import inspect
import re
from typing import Any

import numpy as np
import pytest

import minidl.kernels.sim.cupy as simulated
from minidl.kernels.sim.cupy._functions import FUNCTIONS, MAKERS, UFUNCS
from minidl.kernels.sim.cupy._methods import METHODS

cupy: Any = pytest.importorskip("cupy", reason="CuPy is not installed: pip install 'cupy-cuda12x==14.2.*'")

#: Python's own and the module's inner life.
INNER = re.compile(r"_.*|Any")


def parameters(thing: Any) -> list[tuple[str, Any, Any]] | None:
    """Names, kinds and defaults; None where CuPy does not tell."""
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        text = (getattr(thing, "__doc__", "") or "").strip().splitlines()
        match = re.match(r"[\w.]*\w\((.*)\)", text[0]) if text else None
        if match is None:
            return None
        # Cython writes C types before the names.
        plain = re.sub(
            r"(?<![=\w'])(?:Py_ssize_t|_?ndarray(?:_base)?|size_t|int|str|bool|bint|tuple) (?=\w)",
            "",
            match[1],
        )
        signature = inspect.signature(eval(f"lambda {plain}: None", {"None": None}))
    rows = [(p.name, p.kind, p.default) for p in signature.parameters.values()]
    return [(name, kind, default) for name, kind, default in rows if name != "self"]


def described(rows: list[tuple[str, Any, Any]] | None) -> list[str] | None:
    if rows is None:
        return None
    marks = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    keyword = inspect.Parameter.KEYWORD_ONLY
    return [
        f"{marks.get(kind, '')}{'only ' * (kind == keyword)}{name}"
        + ("" if default is inspect.Parameter.empty else f"={default!r}")
        for name, kind, default in rows
    ]


def test_it_is_the_version_that_the_stand_in_stands_in_for() -> None:
    assert cupy.__version__.split(".")[:2] == simulated.__version__.split(".")[:2]


NAMES = sorted(
    n for n in vars(simulated) if not INNER.fullmatch(n) and not inspect.ismodule(getattr(simulated, n))
)


@pytest.mark.parametrize("name", NAMES)
def test_every_attribute_is_one_of_cupys(name: str) -> None:
    if name in ("numpy", "FROM_NUMPY", "WRITTEN_OUT"):
        return
    ours, theirs = getattr(simulated, name), getattr(cupy, name)
    if isinstance(ours, simulated.ufunc):
        assert isinstance(theirs, cupy.ufunc) or name == "matmul"
        assert (ours.nin, ours.nout) == (theirs.nin, theirs.nout)
    elif isinstance(ours, type) and issubclass(ours, np.generic):
        assert ours is theirs  # CuPy's scalar types are NumPy's
    elif name not in ("ndarray", "ufunc", "dtype", "finfo", "iinfo") and callable(ours):
        assert described(parameters(ours)) == described(parameters(theirs)), name
    else:
        assert type(ours) is type(theirs) or isinstance(ours, type)


def test_the_tables_are_all_there() -> None:
    listed = [line.lstrip("*").partition("(")[0] for line in (FUNCTIONS + MAKERS).split("\n") if line]
    assert {*listed, *UFUNCS.split()} <= set(NAMES)


@pytest.mark.parametrize("line", METHODS.strip().splitlines())
def test_every_method_has_cupys_parameters(line: str) -> None:
    name = line.lstrip("*").partition("(")[0]
    ours = described(parameters(getattr(simulated.ndarray, name)))
    assert ours == described(parameters(getattr(cupy.ndarray, name)))


def test_the_array_has_no_attribute_that_cupys_has_not() -> None:
    extra = {n for n in dir(simulated.ndarray) if not hasattr(cupy.ndarray, n)}
    assert extra <= {
        "_base",
        "_block",
        "_host",
        "_memory",
        "__weakref__",
        "__slots__",
        "__module__",
        "__annotations__",
    }


@pytest.mark.parametrize("name", ["get", "set", "view", "item", "tolist", "__dlpack__"])
def test_what_is_written_out_has_cupys_parameters(name: str) -> None:
    ours, theirs = (described(parameters(getattr(c, name))) for c in (simulated.ndarray, cupy.ndarray))
    if name == "__dlpack__":  # CuPy's line leaves the types of two of them in
        theirs = [re.sub("only tuple ", "only ", p) for p in theirs or []]
    assert ours == theirs


def classes_and_functions() -> list[str]:
    return [n for n in simulated.cuda.__all__ if n not in ("device", "memory", "runtime", "stream")]


@pytest.mark.parametrize("name", classes_and_functions())
def test_cuda(name: str) -> None:
    ours, theirs = getattr(simulated.cuda, name), getattr(cupy.cuda, name)
    if not isinstance(ours, type):
        assert described(parameters(ours)) == described(parameters(theirs))
        return
    public = [n for n in vars(ours) if not n.startswith("_")]
    for attribute in public:
        assert hasattr(theirs, attribute) or attribute in DATA.get(name, ()), attribute
        one, other = getattr(ours, attribute), getattr(theirs, attribute, None)
        if inspect.isfunction(one) and described(parameters(other)) is not None:
            assert described(parameters(one)) == described(parameters(other)), attribute


#: Attributes that instances have, or of C structures, which the class does not show.
DATA = {"Stream": ("is_null", "ptr"), "MemoryPointer": ("ptr", "device", "device_id")}


@pytest.mark.parametrize("module", ["runtime", "memory", "stream", "device"])
def test_the_modules_of_cuda(module: str) -> None:
    ours, theirs = getattr(simulated.cuda, module), getattr(cupy.cuda, module)
    used = {
        "runtime": ("getDevice", "getDeviceCount", "memGetInfo", "getDeviceProperties", "driverGetVersion",
                    "runtimeGetVersion", "CUDARuntimeError"),
        "memory": ("OutOfMemoryError", "MemoryPool"),
        "stream": ("Stream", "get_current_stream"),
        "device": ("Device", "get_device_id"),
    }[module]  # fmt: skip
    for name in used:
        one, other = getattr(ours, name), getattr(theirs, name)
        if inspect.isfunction(one) and described(parameters(other)) is not None:
            assert described(parameters(one)) == described(parameters(other)), name


def test_raw_module_and_kernel_take_what_cupys_take() -> None:
    for name in ("RawModule", "RawKernel"):
        theirs = parameters(getattr(cupy, name))
        ours = {row[0] for row in parameters(getattr(simulated, name)) or []}
        assert {"code", "options"} <= ours & {row[0] for row in theirs or []}


def test_the_out_of_memory_error_says_what_cupys_says() -> None:
    for limit in (0, 5000):
        ours = simulated.cuda.memory.OutOfMemoryError(1024, 512, limit)
        theirs = cupy.cuda.memory.OutOfMemoryError(1024, 512, limit)
        assert str(ours) == str(theirs) and isinstance(ours, MemoryError) and isinstance(theirs, MemoryError)


def test_as_strided() -> None:
    ours, theirs = (m.lib.stride_tricks.as_strided for m in (simulated, cupy))
    assert described(parameters(ours)) == described(parameters(theirs))
