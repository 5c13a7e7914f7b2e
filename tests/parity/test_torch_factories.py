"""Agreement with torch of arange's lengths and values, and of what it and Tensor(...) are given."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minidl
from parity.agreement import many

ERRORS = (RuntimeError, TypeError, ValueError, OverflowError)


def made(F: Any, *numbers: Any, **options: Any) -> Any:
    """The values of arange, or None if it refuses."""
    if "dtype" in options and F is torch:
        options["dtype"] = getattr(torch, options["dtype"])
    try:
        return F.arange(*numbers, **options).numpy()
    except ERRORS:
        return None


def check(*numbers: Any, **options: Any) -> None:
    ours, theirs = made(minidl, *numbers, **options), made(torch, *numbers, **options)
    assert (ours is None) == (theirs is None), f"{numbers}: {ours}, torch {theirs}"
    if ours is not None:
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape, f"{numbers}: {ours}, torch {theirs}"
        unit = np.finfo(ours.dtype).eps if ours.dtype.kind == "f" else 0  # torch rounds more than once
        largest = max((abs(float(n)) for n in numbers if math.isfinite(n)), default=0)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2 * unit * largest)


NUMBERS = st.integers(-9, 9) | st.sampled_from([0.0, 0.1, 0.25, -0.3, 1 / 3, 2.5, -7.75, 9.99, 1e-2])


@many
@given(
    st.lists(NUMBERS, min_size=1, max_size=3),
    st.sampled_from([None, "float32", "float64", "int64", "int32", "uint8"]),
)
def test_drawn_rows(numbers: list[Any], dtype: str | None) -> None:
    if dtype is None or dtype.startswith("float"):
        check(*numbers, **({"dtype": dtype} if dtype else {}))
    elif dtype == "int64":
        check(*numbers, dtype=dtype)
    elif all(isinstance(n, int) and (n >= 0 or dtype != "uint8") for n in numbers[:2]):
        check(*(n if isinstance(n, int) else 1 for n in numbers), dtype=dtype)


@pytest.mark.parametrize(
    "numbers",
    [
        (0, 10, -1), (10, 0), (0, 0, -1), (5, 5, -1), (0, 10, 0), (0, 1, 0.0), (-3,), (0,), (0.0,), (3.5,),
        (math.nan,), (math.inf,), (0, 1, math.nan), (0, 1, math.inf), (0, 10, -math.inf), (-math.inf, 0),
        (2**62, 2**62 + 3), (2**70,), (0, 1, 1e-3), (1e10, 1e10 + 3), (True,), (1, 0, -0.25),
        (np.int64(5),), (np.float32(2.5),), ("3",), (None,), ([3],),
    ],
)  # fmt: skip
def test_rows_by_name(numbers: tuple[Any, ...]) -> None:
    if all(isinstance(n, int | float | np.generic) for n in numbers):
        check(*numbers)
    else:
        assert made(minidl, *numbers) is None and made(torch, *numbers) is None


@pytest.mark.parametrize(
    "args",
    [
        ([1, 2],), ((2, 3),), ([[1, 2], [3, 4]],), ([],), ((),), ([[]],), ([True, False],), ([1e40, 0.5],),
        (range(3),), ([2**70],), (0,), (0, 3), (2, 0), (), (3.0,), (True,), ("a",), (["a"],), (None,), (-1,),
        (2, 3.0), ({},), ({1},), (1j,), ([[1, 2], [3]],), ([[1], 2],), ([None],), ([1j],),
    ],
)  # fmt: skip
def test_the_constructor(args: tuple[Any, ...]) -> None:
    with warnings.catch_warnings(action="ignore"):
        try:
            theirs = torch.Tensor(*args).numpy()
        except ERRORS:
            theirs = None
    try:
        ours = minidl.Tensor(*args).numpy()
    except ERRORS:
        ours = None
    assert (ours is None) == (theirs is None), f"{ours}, torch {theirs}"
    if ours is not None:
        np.testing.assert_array_equal(ours, theirs, strict=True)


@pytest.mark.parametrize("args", [(3,), (2, 3), (1, 1, 2), (np.int64(2), 3)])
def test_extents_make_float32_of_that_shape(args: tuple[Any, ...]) -> None:
    ours, theirs = minidl.Tensor(*args), torch.Tensor(*args)
    assert ours.shape == tuple(theirs.shape) and ours.dtype == np.float32 and theirs.dtype == torch.float32


def test_a_tensor_of_a_tensor_shares_its_memory_and_its_graph() -> None:
    for library in (minidl, torch):
        x = library.tensor([1.0, 2.0], requires_grad=True)
        y = library.Tensor(x)
        (y * y).sum().backward()
        assert np.shares_memory(y.detach().numpy(), x.detach().numpy())
        assert x.grad is not None and x.grad.tolist() == [2.0, 4.0]
