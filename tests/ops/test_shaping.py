"""reshape, permute, getitem, cat, pad, flatten: values move, nothing is computed, gradients move back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from oracles import loops, strategies
from oracles.checks import check_adjoint, check_op, run


def _row_major(x, shape):
    """The n-th value of x in row-major order is the n-th value of the result."""
    flat = [x[index] for index in np.ndindex(x.shape)]
    y = np.zeros(shape)
    for value, index in zip(flat, np.ndindex(*shape), strict=True):
        y[index] = value
    return y


@given(data=st.data(), shape=strategies.shapes(0, 4), seed=strategies.seeds)
def test_reshape(data, shape, seed):
    x = strategies.generic(np.random.default_rng(seed), shape)
    cut = data.draw(st.integers(0, len(shape)))
    target = (int(np.prod(shape[:cut])), *shape[cut:])
    check_op(
        lambda x: ops.reshape(x, target), lambda x: _row_major(x, target), x, seed=seed, second_order=True
    )
    check_op(lambda x: x.reshape(-1, *shape[cut:]), lambda x: _row_major(x, target), x, seed=seed)


@given(data=st.data(), shape=strategies.shapes(1, 4), seed=strategies.seeds)
def test_permute(data, shape, seed):
    x = strategies.generic(np.random.default_rng(seed), shape)
    dims = tuple(data.draw(st.permutations(range(len(shape)))))

    def oracle(x):
        y = np.zeros([shape[d] for d in dims])
        for index in np.ndindex(y.shape):
            source = [0] * len(dims)
            for position, d in enumerate(dims):
                source[d] = index[position]
            y[index] = x[tuple(source)]
        return y

    check_op(lambda x: ops.permute(x, dims), oracle, x, seed=seed, second_order=True)
    check_op(lambda x: x.permute(*[d - len(dims) for d in dims]), oracle, x, seed=seed)


@given(data=st.data(), shape=strategies.shapes(2, 4), seed=strategies.seeds)
def test_transpose(data, shape, seed):
    x = strategies.generic(np.random.default_rng(seed), shape)
    one, other = (data.draw(st.integers(-len(shape), len(shape) - 1)) for _ in range(2))
    target = list(shape)
    target[one], target[other] = shape[other], shape[one]

    def oracle(x):
        y = np.zeros(target)
        for index in np.ndindex(x.shape):
            moved = list(index)
            moved[one], moved[other] = index[other], index[one]
            y[tuple(moved)] = x[index]
        return y

    check_op(lambda x: x.transpose(one, other), oracle, x, seed=seed, second_order=True)


def test_T_is_the_transpose_of_a_matrix():
    _, (gradient,) = run(lambda x: x.T, (np.zeros((2, 3)),), np.arange(6.0).reshape(3, 2))
    np.testing.assert_array_equal(gradient, [[0, 2, 4], [1, 3, 5]])


INDICES = {
    "one row": 1,
    "the last": -1,
    "a slice": slice(1, None),
    "backwards": slice(None, None, -1),
    "every second": (slice(None), slice(None, None, 2)),
    "new axis": (None, 0, slice(None), None),
    "dots": (..., 0),
    "a scalar": (2, 1, 0),
    "nothing": slice(0, 0),
    "repeated": np.array([0, 2, 0, 0]),
    "pairs, repeated": (np.array([0, 1, 0]), np.array([1, 1, 1])),
    "a mask": np.array([True, False, True]),
}


@pytest.mark.parametrize("name", INDICES)
def test_getitem(name):
    index = INDICES[name]
    x = strategies.generic(np.random.default_rng(1), (3, 4, 2))
    # NumPy's indexing of positions is the oracle: which element of x lands where.
    positions = np.arange(x.size).reshape(x.shape)[index]

    def oracle(x):
        return np.array([x.ravel()[p] for p in positions.ravel()]).reshape(positions.shape)

    check_op(lambda x: x[index], oracle, x, second_order=True)
    check_adjoint(lambda x: ops.getitem(x, index), x, terms=4)


def test_getitem_adds_the_gradients_of_an_element_taken_several_times():
    _, (gradient,) = run(lambda x: x[np.array([1, 1, 0])], (np.zeros(3),), np.array([1.0, 10.0, 100.0]))
    np.testing.assert_array_equal(gradient, [100.0, 11.0, 0.0])


def test_getitem_takes_tensors_as_indices_and_refuses_what_is_outside():
    x = minidl.tensor(np.array([5.0, 6.0, 7.0]))
    np.testing.assert_array_equal(x[minidl.tensor(np.array([2, 0]))].numpy(), [7.0, 5.0])
    with pytest.raises(IndexError) as caught:
        x[3]
    assert "getitem" in str(caught.value) and "(3,)" in str(caught.value)


@given(data=st.data(), shape=strategies.shapes(1, 3), count=st.integers(1, 3), seed=strategies.seeds)
def test_cat(data, shape, count, seed):
    rng = np.random.default_rng(seed)
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    axis = dim % len(shape)
    own = [(*shape[:axis], data.draw(strategies.extents), *shape[axis + 1 :]) for _ in range(count)]
    parts = [strategies.generic(rng, s) for s in own]

    def oracle(*parts):
        y = np.zeros((*shape[:axis], sum(p.shape[axis] for p in parts), *shape[axis + 1 :]))
        offset = 0
        for part in parts:
            for index in np.ndindex(part.shape):
                y[(*index[:axis], index[axis] + offset, *index[axis + 1 :])] = part[index]
            offset += part.shape[axis]
        return y

    check_op(lambda *t: ops.cat(t, dim=dim), oracle, *parts, seed=seed, second_order=True)


def test_cat_of_one_tensor_twice_adds_its_gradients():
    _, (gradient,) = run(lambda x: minidl.cat([x, x]), (np.zeros(2),), np.array([1.0, 2.0, 10.0, 20.0]))
    np.testing.assert_array_equal(gradient, [11.0, 22.0])


@given(
    data=st.data(), shape=strategies.shapes(1, 4), seed=strategies.seeds, value=st.sampled_from([0.0, -1.5])
)
def test_pad(data, shape, seed, value):
    rng = np.random.default_rng(seed)
    x = strategies.generic(rng, shape)
    axes = data.draw(st.integers(1, len(shape)))
    amounts = []
    for position in range(axes):
        extent = shape[-1 - position]
        before = data.draw(st.integers(-(extent - 1), 3))
        amounts += [before, data.draw(st.integers(-(extent - 1) - min(before, 0), 3))]
    pads = tuple(amounts)
    check_op(lambda x: ops.pad(x, pads, value=value), lambda x: loops.pad(x, pads, value), x, seed=seed)
    if value == 0:
        check_adjoint(lambda x: ops.pad(x, pads, "constant"), x, terms=4, seed=seed)


@given(data=st.data(), shape=strategies.shapes(1, 4), seed=strategies.seeds)
def test_flatten(data, shape, seed):
    x = strategies.generic(np.random.default_rng(seed), shape)
    start = data.draw(st.integers(0, len(shape) - 1))
    end = data.draw(st.integers(start, len(shape) - 1))
    target = (*shape[:start], int(np.prod(shape[start : end + 1])), *shape[end + 1 :])
    check_op(lambda x: x.flatten(start, end), lambda x: _row_major(x, target), x, seed=seed)


BAD = {
    "reshape": (lambda x: ops.reshape(x, (4, 2)), "(4, 2)"),
    "reshape two unknown": (lambda x: ops.reshape(x, (-1, -1)), "(-1, -1)"),
    "permute": (lambda x: ops.permute(x, (0, 0)), "(0, 0)"),
    "permute too few": (lambda x: ops.permute(x, (0,)), "(0,)"),
    "cat": (lambda x: minidl.cat([x, minidl.tensor(np.zeros((2, 4)))], dim=0), "(2, 4)"),
    "cat ndim": (lambda x: minidl.cat([x, minidl.tensor(np.zeros(3))], dim=0), "(3,)"),
    "pad": (lambda x: ops.pad(x, (-2, -2)), "(-2, -2)"),
    "pad too many": (lambda x: ops.pad(x, (1, 1, 1, 1, 1, 1)), "6"),
    "pad odd": (lambda x: ops.pad(x, (1, 1, 1)), "3"),
}


@pytest.mark.parametrize("name", BAD)
def test_impossible_shapes_are_named(name):
    fn, named = BAD[name]
    with pytest.raises((ValueError, RuntimeError, IndexError)) as caught:
        fn(minidl.tensor(np.zeros((2, 3))))
    message = str(caught.value)
    assert name.split()[0] in message and "(2, 3)" in message and named in message


@pytest.mark.parametrize("dim", [2, -3])
def test_cat_along_an_axis_that_is_not_there(dim):
    x = minidl.tensor(np.zeros((2, 3)))
    with pytest.raises(IndexError, match=r"cat.*(2, 3)"):
        minidl.cat([x, x], dim=dim)


def test_cat_of_nothing():
    with pytest.raises((ValueError, RuntimeError), match="cat"):
        minidl.cat([])


THREE_TIMES = {
    "getitem": lambda x: x[:, 1:],
    "getitem, repeated": lambda x: x[:, np.array([0, 0, 2])],
    "diagonal": lambda x: x.diagonal(),
    "pad": lambda x: ops.pad(x, (1, -1)),
    "pad, reflect": lambda x: ops.pad(x, (2, 1), "reflect"),
    "gather": lambda x: x.gather(1, minidl.tensor([[0, 0], [2, 1]])),
    "cat, split": lambda x: ops.cat(x.split(2, 1)[::-1], 1),
    "flip, permute": lambda x: x.flip(0).permute(1, 0),
}


@pytest.mark.parametrize("name", THREE_TIMES)
def test_third_derivatives(name):
    """The adjoints are operations too: the gradient of a sum of fourth powers goes through them."""

    def gradient(x):
        y = THREE_TIMES[name](x)
        return minidl.autograd.grad((y * y * y * y).sum(), x, create_graph=True)[0]

    rng = np.random.default_rng(2)
    x = minidl.tensor(strategies.generic(rng, (2, 3)), requires_grad=True)
    v = minidl.tensor(strategies.generic(rng, (2, 3)))
    first = gradient(x)
    by_arrays, by_tensors = (
        minidl.autograd.grad(first, x, v, retain_graph=True, create_graph=way)[0] for way in (False, True)
    )
    np.testing.assert_allclose(by_tensors.detach().numpy(), by_arrays.numpy(), rtol=1e-13)
    third = [minidl.autograd.grad(by_tensors, x, v, retain_graph=True)[0].numpy()]
    # The map is a polynomial of degree 4: the third derivative is a difference of second ones, exactly.
    for step in (1.0, -1.0):
        moved = minidl.tensor(x.numpy() + step * v.numpy(), requires_grad=True)
        third.append(minidl.autograd.grad(gradient(moved), moved, v)[0].numpy())
    np.testing.assert_allclose(third[0], (third[1] - third[2]) / 2, rtol=1e-12, atol=1e-12)
