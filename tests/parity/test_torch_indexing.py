"""Agreement with torch of ``x[index]``: values, gradients, writing, what shares memory, what is refused."""

from __future__ import annotations

import contextlib
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minidl
from oracles.index_strategies import indices, made
from parity.agreement import many

REFUSED = (IndexError, TypeError, ValueError, RuntimeError)


def quiet(library: Any) -> Any:
    """torch says of some indices that they will be refused or mean something else one day."""
    return warnings.catch_warnings(action="ignore") if library is torch else contextlib.nullcontext()


def outcome(library: Any, array: Any, index: Any, weights: Any) -> Any:
    """(y, gradient, whether memory is shared), or None if the index is refused."""
    x = library.tensor(array, requires_grad=True)
    try:
        with quiet(library):
            y = x[index]
    except REFUSED:
        return None
    with quiet(library):
        (y * library.tensor(weights(tuple(y.shape)))).sum().backward()
    shared = np.may_share_memory(y.detach().numpy(), x.detach().numpy())
    assert x.grad is not None
    return y.detach().numpy(), x.grad.numpy(), shared


def written(library: Any, array: Any, index: Any, value: Any) -> Any:
    """The array after ``x[index] = value``, or None if that is refused."""
    x = library.tensor(array)
    try:
        with quiet(library):
            x[index] = library.tensor(value) if isinstance(value, np.ndarray) else value
    except REFUSED:
        return None
    return x.numpy()


def with_bools(array: Any) -> torch.Tensor:
    """torch reads through masks of uint8, but does not write a number through them."""
    return torch.tensor(array != 0 if array.dtype == np.uint8 else array)


def same(ours: Any, theirs: Any) -> None:
    assert (ours is None) == (theirs is None), f"{ours}\nand torch:\n{theirs}"
    if ours is not None:
        np.testing.assert_array_equal(ours, theirs, strict=True)


def check(array: Any, index: Any, seed: int = 0) -> None:
    def weights(shape: tuple[int, ...]) -> Any:
        return np.random.default_rng(seed).integers(-9, 9, shape).astype(float)

    ours = outcome(minidl, array, made(index, minidl.tensor), weights)
    theirs = outcome(torch, array, made(index, torch.tensor), weights)
    if ours is None and theirs is not None and not theirs[0].size:
        return  # torch looks at no integer in a list where nothing is taken
    assert (ours is None) == (theirs is None), f"{index}: {ours}\nand torch:\n{theirs}"
    values: list[Any] = [7.5]
    if ours is not None and theirs is not None:
        same(ours[0], theirs[0])
        same(ours[1], theirs[1])
        if ours[0].size:  # nothing overlaps with no memory
            assert ours[2] == theirs[2], f"{index}: shares memory: {ours[2]}, torch: {theirs[2]}"
        shape = ours[0].shape
        values += [weights(shape), weights((1, *shape)), weights(shape[1:])]
        values += [weights((2, *shape))] if ours[0].size else []  # nor at a shape
    for value in values:
        same(
            written(minidl, array, made(index, minidl.tensor), value),
            written(torch, array, made(index, with_bools), value),
        )


@many
@given(st.data())
def test_drawn_indices(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(0, 4), max_size=4), label="shape"))
    index = data.draw(indices(shape), label="index")
    check(np.arange(float(np.prod(shape))).reshape(shape), index, data.draw(st.integers(0, 9)))


#: t makes a tensor.
INDICES = {
    "an integer beside a list": lambda t: (0, slice(None), [0, 1]),
    "an integer after a list": lambda t: ([0, 1], slice(None), 2),
    "an integer between lists": lambda t: ([0, 1], 0, [0, 1]),
    "a tensor's integer beside a list": lambda t: (t(np.array(1)), slice(None), [0, 1]),
    "an array's integer beside a list": lambda t: (np.array(1), slice(None), [0, 1]),
    "NumPy's integer beside a list": lambda t: (np.int32(1), slice(None), [0, 1]),
    "an integer beside a mask": lambda t: (0, slice(None), t(np.array([True, False, True, True]))),
    "dots between": lambda t: (0, ..., [0, 1]),
    "None between": lambda t: ([0, 1], None, 0),
    "None before a list": lambda t: (None, [0, 1], slice(None), [0, 1]),
    "nothing": lambda t: (),
    "a list": lambda t: [0, 1],
    "a list of bools": lambda t: [True, False],
    "an empty list": lambda t: [],
    "empty lists apart": lambda t: ([], slice(None), []),
    "a list of lists is a tuple": lambda t: [[0, 1], [1, 0]],
    "a long list of lists is none": lambda t: [[0, 1]] * 32,
    "a list with None is a tuple": lambda t: [None, 0],
    "a list with a slice is a tuple": lambda t: [0, slice(0, 2)],
    "a list with dots is a tuple": lambda t: [..., 0],
    "a list of tensors is a tuple": lambda t: [t(np.array([0, 1])), t(np.array([0, 1]))],
    "a list of tensors of one integer is a tuple": lambda t: [t(np.array(0)), t(np.array(1))],
    "a list of NumPy's integers": lambda t: [np.int64(1), np.int64(0)],
    "a list within a tuple": lambda t: ([[0, 1], [1, 0]],),
    "a list within a tuple, and an integer": lambda t: ([[0, 1], [1, 0]], 0),
    "a list of three depths": lambda t: [[[[0, 1]]]],
    "a tuple in a tuple": lambda t: ((0, 1), 0),
    "a range": lambda t: range(2),
    "a range beside an integer": lambda t: (0, range(2)),
    "masks of two lists": lambda t: ([True, True], [True, False, True]),
    "integers and bools in one list": lambda t: [0, True],
    "a mask of all": lambda t: t(np.arange(24).reshape(2, 3, 4) % 5 > 2),
    "a mask of two dimensions and an integer": lambda t: (t(np.arange(6).reshape(2, 3) % 2 > 0), 3),
    "a mask of two dimensions and a list": lambda t: (t(np.arange(6).reshape(2, 3) % 2 > 0), [3]),
    "a mask of uint8": lambda t: t(np.uint8([0, 2])),
    "a mask of uint8 of two dimensions": lambda t: t(np.uint8([[0, 1, 1], [1, 1, 2]])),
    "one uint8": lambda t: t(np.array(1, np.uint8)),
    "NumPy's one uint8": lambda t: np.uint8(1),
    "True": lambda t: True,
    "False": lambda t: False,
    "True and an integer": lambda t: (0, True),
    "True, an integer and a list": lambda t: (0, True, [0, 1]),
    "True after a slice": lambda t: (slice(None), True),
    "True after dots": lambda t: (..., True),
    "a list and True apart": lambda t: ([0, 1], slice(None), True),
    "False and a list of one": lambda t: (False, [0]),
    "False and a list of two": lambda t: (False, [0, 1]),
    "True twice": lambda t: (True, True),
    "a tensor's True": lambda t: t(np.array(True)),
    "a slice from a tensor": lambda t: slice(t(np.array(1)), None),
    "a slice from NumPy's integer": lambda t: slice(np.int64(1), None),
    "a slice outside": lambda t: slice(5, 7),
    "outside": lambda t: 2,
    "outside, negative": lambda t: -3,
    "outside in a list": lambda t: [2],
    "outside in a list, negative": lambda t: [-3],
    "outside by far": lambda t: 2**70,
    "outside by far in a list": lambda t: [2**70],
    "too many": lambda t: (0, 0, 0, 0),
    "too many with a mask": lambda t: (0, t(np.ones((3, 4, 1), bool))),
    "a mask that is too short": lambda t: t(np.ones(1, bool)),
    "a mask that is too long": lambda t: [True, False, True],
    "lists that do not broadcast": lambda t: ([0, 1, 0], [0, 1]),
    "a float": lambda t: 1.0,
    "NumPy's float": lambda t: np.float32(1),
    "floats": lambda t: t(np.array([0.0, 1.0])),
    "no floats": lambda t: t(np.zeros(0)),
    "a slice to a float": lambda t: slice(1, 2.0),
    "a slice of step 0": lambda t: slice(None, None, 0),
    "text": lambda t: "a",
    "text in a tuple": lambda t: (0, "a"),
    "an object": lambda t: object(),
    "a dictionary": lambda t: {},
    "text in an array": lambda t: np.array(["a"]),
    "objects in an array": lambda t: np.array([None]),
}


@pytest.mark.parametrize("what", INDICES)
def test_indices_by_name(what: str) -> None:
    array, weights = np.arange(24.0).reshape(2, 3, 4), np.ones
    same_outcome = [outcome(F, array, INDICES[what](F.tensor), weights) for F in (minidl, torch)]
    assert (same_outcome[0] is None) == (same_outcome[1] is None), same_outcome
    if same_outcome[0] is not None:
        for ours, theirs in zip(*same_outcome, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    same(
        written(minidl, array, INDICES[what](minidl.tensor), 7.5),
        written(torch, array, INDICES[what](with_bools), 7.5),
    )


@pytest.mark.parametrize("what", [(), 0, (0, 0), ..., None, True, False, [0], slice(None), (True, None)])
def test_indices_of_a_tensor_without_dimensions(what: Any) -> None:
    check(np.array(5.0), what)


def test_an_array_of_uint8_is_a_mask() -> None:
    array = np.arange(6.0).reshape(2, 3)
    ours, theirs = (outcome(F, array, np.uint8([0, 1]), np.ones) for F in (minidl, torch))
    for mine, expected in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, expected)
