"""sort, argsort, topk."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from oracles import shaping_loops, strategies
from oracles.checks import check_op, run


@given(
    data=st.data(),
    shape=strategies.shapes(1, 4),
    descending=st.booleans(),
    seed=strategies.seeds,
)
def test_sort(data, shape, descending, seed):
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = strategies.separated(np.random.default_rng(seed), shape)
    check_op(
        lambda x: ops.sort(x, dim, descending).values,
        lambda x: shaping_loops.sort(x, dim, descending)[0],
        x,
        seed=seed,
        second_order=True,
    )


@given(data=st.data(), shape=strategies.shapes(1, 4), largest=st.booleans(), seed=strategies.seeds)
def test_topk(data, shape, largest, seed):
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    k = data.draw(st.integers(0, shape[dim]))
    x = strategies.separated(np.random.default_rng(seed), shape)
    check_op(
        lambda x: ops.topk(x, k, dim, largest).values,
        lambda x: shaping_loops.sort(x, dim, largest, k)[0],
        x,
        seed=seed,
        second_order=True,
    )


VALUES = np.array([0.0, 1.0, -1.0, np.nan, np.inf, -np.inf, -0.0])


@given(
    data=st.data(),
    shape=strategies.shapes(1, 3),
    descending=st.booleans(),
    order=st.sampled_from(["C", "fortran", "sliced", "reversed"]),
    seed=strategies.seeds,
)
def test_the_indices_of_equals_infinities_and_nan(data, shape, descending, order, seed):
    """NaN is the largest, equals keep their order, in both directions and in every memory order."""
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    k = data.draw(st.integers(0, shape[dim]))
    x = np.random.default_rng(seed).choice(VALUES, shape)
    t = minidl.Tensor({"C": x, **strategies.memory_orders(x)}[order])
    values, indices = shaping_loops.sort(x, dim, descending)
    ordered = t.sort(dim, descending, stable=True)
    best = t.topk(k, dim, descending, sorted=False)
    first = (slice(None),) * (dim % len(shape)) + (slice(k),)
    np.testing.assert_array_equal(ordered.indices.numpy(), indices)
    np.testing.assert_array_equal(ordered.values.numpy(), values)
    np.testing.assert_array_equal(t.argsort(dim, descending).numpy(), indices)
    np.testing.assert_array_equal(best.indices.numpy(), indices[first])
    np.testing.assert_array_equal(best.values.numpy(), values[first])
    for result in (ordered.indices, best.indices, ops.argsort(t, dim)):
        assert result.dtype == np.int64 and not result.requires_grad


def test_a_hand_worked_gradient():
    x = np.array([3.0, 1.0, 2.0])
    _, (gradient,) = run(lambda x: ops.topk(x, 2, largest=False).values, (x,), np.array([10.0, 20.0]))
    np.testing.assert_array_equal(gradient, [0, 10, 20])
    _, (gradient,) = run(lambda x: ops.sort(x).values, (x,), np.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(gradient, [3, 1, 2])


def test_integers_bools_and_tensors_without_dimensions():
    values, indices = ops.sort(minidl.tensor([3, 200, 1], dtype="uint8"), descending=True)
    assert values.tolist() == [200, 3, 1] and values.dtype == np.uint8 and indices.tolist() == [1, 0, 2]
    assert ops.sort(minidl.tensor([True, False])).values.tolist() == [False, True]
    scalar = minidl.tensor(2.0, requires_grad=True)
    for fn in (ops.sort, lambda t: ops.topk(t, 1)):
        values, indices = fn(scalar)
        assert values.item() == 2.0 and indices.item() == 0
        values.backward()
    assert scalar.grad.item() == 2.0 and ops.argsort(scalar).item() == 0


def test_empty_extents():
    empty = minidl.tensor(np.zeros((0, 3)))
    for dim in (0, 1):
        assert ops.sort(empty, dim).values.shape == ops.argsort(empty, dim).shape == (0, 3)
    assert ops.topk(empty, 2, 1).values.shape == (0, 2) and ops.topk(empty, 0, 0).indices.shape == (0, 3)


def test_changed_indices_are_noticed():
    for name, fn in {"sort": ops.sort, "topk": lambda x: ops.topk(x, 1)}.items():
        x = minidl.tensor([1.0, 2.0], requires_grad=True)
        values, indices = fn(x)
        indices[0] = 0
        with pytest.raises(RuntimeError, match=rf"{name}: .*changed in place"):
            values.sum().backward()


@pytest.mark.parametrize("name", ["sort", "argsort", "topk"])
def test_dimensions_that_are_not_there(name):
    arguments = (1, 2) if name == "topk" else (2,)
    with pytest.raises(IndexError, match=rf"{name}.*\(2, 3\)"):
        getattr(ops, name)(minidl.tensor(np.zeros((2, 3))), *arguments)


@pytest.mark.parametrize("k", [-1, 4])
def test_more_than_there_is(k):
    with pytest.raises(ValueError, match=rf"topk.*{k}.*\(2, 3\)"):
        ops.topk(minidl.tensor(np.zeros((2, 3))), k)
    with pytest.raises(TypeError, match=r"topk.*bool"):
        ops.topk(minidl.tensor([True]), 1)


def test_the_last_dimension_is_sorted_upwards_if_nothing_is_said():
    x = minidl.tensor([[[2, 3], [1, 1]], [[0, 9], [4, 5]], [[7, 6], [8, 8]]])
    values, indices = ops.sort(x)
    assert values.tolist() == [[[2, 3], [1, 1]], [[0, 9], [4, 5]], [[6, 7], [8, 8]]]
    assert (
        indices.tolist() == ops.argsort(x).tolist() == [[[0, 1], [0, 1]], [[0, 1], [0, 1]], [[1, 0], [0, 1]]]
    )
    values, indices = ops.topk(x, 1)
    assert values.tolist() == [[[3], [1]], [[9], [5]], [[7], [8]]]
    assert indices.tolist() == [[[1], [0]], [[1], [1]], [[0], [0]]]


@pytest.mark.parametrize("k", [-1, 2])
def test_a_number_is_one_element(k):
    with pytest.raises(ValueError, match=rf"^topk: .*0\.\.1, got {k}"):
        ops.topk(minidl.tensor(1.0), k)


@pytest.mark.parametrize("name", ["sort", "argsort", "topk"])
def test_the_operation_is_named(name):
    seen = []
    with minidl.autograd.watch(lambda function, *_: seen.append(function.operation())):
        if name == "topk":
            ops.topk(minidl.tensor([1.0, 2.0]), 1)
        else:
            getattr(ops, name)(minidl.tensor([1.0, 2.0]))
    assert seen == ([name] if name != "argsort" else [])
    with pytest.raises(IndexError, match=rf"^{name}: dimension -2"):
        getattr(ops, name)(minidl.tensor([1.0]), *((1, -2) if name == "topk" else (-2,)))
