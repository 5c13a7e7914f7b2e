"""Agreement with torch of Python numbers beside tensors and in them, above all those that do not fit."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch

import minidl
from minidl import ops

DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float32", "float64"]
INTEGERS = [0, 1, -1, 127, 128, 255, 256, 300, -129, 2**31, 2**40, 2**62, -(2**63)]
FLOATS = [1.5, 0.1, -0.0, 255.5, 6e4, 3e9, 3.4e38, 3.5e38, 1e40, -1e40, 1e300, math.inf, -math.inf, math.nan]


def stored(x: Any, index: Any, value: Any) -> Any:
    x = x.clone()
    x[index] = value
    return x


#: F is minidl or torch, x a tensor, v the number.
COMPUTED = {
    "add": lambda F, x, v: x + v,
    "add, on the left": lambda F, x, v: v + x,
    "sub": lambda F, x, v: x - v,
    "sub, on the left": lambda F, x, v: v - x,
    "mul": lambda F, x, v: x * v,
    "div": lambda F, x, v: x / v,
    "div, on the left": lambda F, x, v: v / x,
    "pow, on the left": lambda F, x, v: v**x,
    "pow": lambda F, x, v: x**v,
    "bitwise_and": lambda F, x, v: x & v,
    "bitwise_or": lambda F, x, v: x | v,
    "bitwise_xor": lambda F, x, v: v ^ x,
}
WRITTEN = {
    "clamp": lambda F, x, v: x.clamp(max=v),
    "clamp, from below": lambda F, x, v: x.clamp(min=v),
    "clamp, between": lambda F, x, v: x.clamp(0, v),
    "where": lambda F, x, v: F.where(x > 0, x, v),
    "full": lambda F, x, v: F.full((2,), v, dtype=x.dtype),
    "tensor": lambda F, x, v: F.tensor([v], dtype=x.dtype),
    "tensor, one number": lambda F, x, v: F.tensor(v, dtype=x.dtype),
    "pad": lambda F, x, v: (ops if F is minidl else torch.nn.functional).pad(x, (1, 0), value=v),
    "__setitem__": lambda F, x, v: stored(x, 0, v),
    "__setitem__ of a list": lambda F, x, v: stored(x, [0, 2], v),
    "__setitem__ of a mask": lambda F, x, v: stored(x, x > 0, v),
}
COMPARED = {
    "eq": lambda F, x, v: x == v,
    "ne": lambda F, x, v: x != v,
    "lt": lambda F, x, v: x < v,
    "le": lambda F, x, v: x <= v,
    "gt": lambda F, x, v: x > v,
    "ge": lambda F, x, v: x >= v,
    "lt, on the left": lambda F, x, v: v < x,
}


def result(F: Any, line: Any, dtype: str, value: Any) -> Any:
    """The values, or the error."""
    array = np.array([1, 2, 0]).astype(dtype)
    try:
        return line(F, minidl.tensor(array) if F is minidl else torch.tensor(array), value).numpy()
    except (RuntimeError, TypeError, ValueError, OverflowError, NotImplementedError) as error:
        return error


def holds(dtype: str, value: Any) -> bool:
    """Whether an integer dtype holds an integer; bools and floats hold them all here."""
    kind = np.dtype(dtype).kind
    return kind not in "iu" or np.iinfo(dtype).min <= value <= np.iinfo(dtype).max


def both(line: Any, dtype: str, value: Any) -> tuple[Any, Any]:
    ours = result(minidl, line, dtype, value)
    with warnings.catch_warnings(action="ignore"):
        theirs = result(torch, line, dtype, value)
    return ours, theirs


def check(name: str, line: Any, dtype: str, value: Any) -> None:
    ours, theirs = both(line, dtype, value)
    what = f"{name} of {dtype} and {value}: {ours!r}, torch {theirs!r}"
    if isinstance(ours, Exception) or isinstance(theirs, Exception):
        assert isinstance(ours, Exception) and isinstance(theirs, Exception), what
        return
    assert ours.dtype == theirs.dtype and ours.shape == theirs.shape, what
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, err_msg=what)


@pytest.fixture(autouse=True)
def _one_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minidl, "where", ops.where, raising=False)


def test_a_choice_between_numbers() -> None:
    for line in (
        lambda F, x, v: F.where(x > 0, v, 2.5),
        lambda F, x, v: F.where(x > 0, v, True),
        lambda F, x, v: F.where(x > 0, 1, v),
    ):
        for value in (*INTEGERS, *FLOATS, True):
            check("where", line, "float32", value)


@pytest.mark.parametrize("name", [*COMPUTED, *WRITTEN])
def test_integers(name: str) -> None:
    line = {**COMPUTED, **WRITTEN}[name]
    for dtype in DTYPES:
        for value in INTEGERS:
            if holds(dtype, value) or name.startswith("div"):
                check(name, line, dtype, value)
            else:  # torch computes with what is left of it modulo 256, or 2**16, ...; or raises as well
                ours, _ = both(line, dtype, value)
                operation = name.partition(",")[0].partition(" ")[0]
                assert isinstance(ours, OverflowError if name != "pow" else (OverflowError, ValueError)), ours
                assert str(ours).startswith(f"{operation}: "), ours


@pytest.mark.parametrize("name", [*COMPUTED, *WRITTEN, *COMPARED])
def test_floats(name: str) -> None:
    line = {**COMPUTED, **WRITTEN, **COMPARED}[name]
    for dtype in DTYPES:
        for value in FLOATS:
            check(name, line, dtype, value)


@pytest.mark.parametrize("name", COMPARED)
def test_integers_that_are_compared(name: str) -> None:
    """torch compares with what is left of an integer that the dtype does not hold: minidl with itself."""
    for dtype in DTYPES:
        for value in INTEGERS:
            if holds(dtype, value):
                check(name, COMPARED[name], dtype, value)
            else:
                expected = [COMPARED[name](None, n, value) for n in (1, 2, 0)]
                assert both(COMPARED[name], dtype, value)[0].tolist() == expected


CASTS = [
    math.nan,
    math.inf,
    -math.inf,
    1e20,
    -1e20,
    -1.0,
    -1.5,
    300.7,
    3e9,
    -3e9,
    255.9,
    -129.5,
    7e4,
    1e40,
    1e300,
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("source", ["float32", "float64"])
def test_casts_of_floats_that_the_dtype_does_not_hold(source: str, dtype: str) -> None:
    with np.errstate(all="ignore"):
        array = np.array(CASTS).astype(source)
    wanted = torch.tensor(array).to(getattr(torch, dtype)).numpy()
    x = minidl.tensor(array)
    target = minidl.zeros(len(CASTS), dtype=dtype)
    stored_in = minidl.zeros(len(CASTS), dtype=dtype)
    stored_in[:] = x
    for ours in (x.astype(dtype), x.to(dtype), minidl.tensor(array, dtype=dtype), target.copy_(x), stored_in):
        np.testing.assert_array_equal(ours.numpy(), wanted, strict=True)


def test_lists_of_numbers() -> None:
    for values in (
        [1e40],
        [1, 2.5],
        [True, 2],
        [2**63 - 1],
        [-(2**63)],
        [2**70, 1.5],
        [],
        [[]],
        [math.nan, 1],
    ):
        ours, theirs = minidl.tensor(values).numpy(), torch.tensor(values).numpy()
        np.testing.assert_array_equal(ours, theirs, strict=True)
    for values in ([2**63], [2**70], 2**63, [[1], [1, 2]], ["a"], [None], "a"):
        for library in (minidl, torch):
            with pytest.raises((ValueError, TypeError, RuntimeError, OverflowError)):
                library.tensor(values)
