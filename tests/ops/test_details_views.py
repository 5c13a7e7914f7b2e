"""What mutants of the view operations, of cat, split and indexing showed to be unchecked."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import ops
from oracles import placed

X = np.arange(24.0).reshape(2, 3, 4)


def test_arguments_that_are_left_out():
    x = minidl.tensor(X)
    pair = [x, x + 100]
    assert ops.cat(pair).shape == (4, 3, 4) and ops.cat(pair).numpy()[2, 0, 0] == 100
    assert ops.stack(pair).shape == (2, 2, 3, 4) and ops.stack(pair).numpy()[1, 0, 0, 0] == 100
    assert [p.shape for p in ops.split(x, 1)] == [p.shape for p in ops.chunk(x, 2)] == [(1, 3, 4)] * 2
    assert ops.flatten(x).shape == (24,) and ops.flatten(x, 1).shape == (2, 12)
    assert ops.flatten(x, end_dim=1).shape == (6, 4)
    np.testing.assert_array_equal(ops.diagonal(x).numpy(), [[0, 16], [1, 17], [2, 18], [3, 19]])
    assert ops.squeeze(x[:1, :, :1]).shape == (3,)


def test_tensors_without_dimensions():
    x = minidl.tensor(5.0, requires_grad=True)
    for y in (
        ops.flatten(x),
        ops.reshape(x, (-1,)),
        ops.unsqueeze(x, 0),
        ops.expand(x, (1,)),
        ops.stack([x]),
    ):
        assert y.tolist() == [5.0]
        y.backward(minidl.tensor([2.0]))
    assert x.grad.item() == 10.0
    assert (
        ops.squeeze(x, 0).item()
        == ops.permute(x, ()).item()
        == ops.transpose(x.reshape(1, 1), 0, 1).item()
        == 5
    )
    with pytest.raises(ValueError, match=r"^cat: .*without dimensions"):
        ops.cat([x, x])


def test_numpy_numbers_are_shapes_and_sizes_too():
    x = minidl.tensor(X)
    assert ops.reshape(x, np.array([6, -1])).shape == (6, 4)
    assert ops.expand(x[:, :, :1], np.array([2, -1, 5])).shape == (2, 3, 5)
    assert [p.shape[2] for p in ops.split(x, np.int64(3), 2)] == [3, 1]
    with pytest.raises(TypeError, match=r"^flip: "):
        ops.flip(x, np.int64(0))


@pytest.mark.parametrize("join", [ops.cat, ops.stack])
def test_arrays_can_be_joined(join):
    y = join([placed.array(X[0]), minidl.tensor(X[1])])
    np.testing.assert_array_equal(y.numpy().reshape(X.shape), X)
    y = join(iter([X[0].tolist(), minidl.tensor(X[1]) if placed.nowhere() else X[1]]))
    np.testing.assert_array_equal(y.numpy().reshape(X.shape), X)


def test_cat_leaves_out_vectors_of_no_elements_and_nothing_else():
    empty, one = minidl.tensor([], dtype="float64"), minidl.tensor([7.0], requires_grad=True)
    y = ops.cat([empty, one, minidl.tensor([8.0, 9.0])])
    assert y.tolist() == [7.0, 8.0, 9.0]
    (2 * y).sum().backward()
    assert one.grad.tolist() == [2.0]
    # Its dtype counts, though, as in torch.
    assert ops.cat([empty, minidl.tensor([1.0], dtype="float32")]).dtype == np.float64


def test_one_tensor_can_be_stacked():
    assert ops.stack([minidl.tensor(X)], -1).shape == (2, 3, 4, 1)


def test_extents_that_are_used_up_exactly():
    x = minidl.tensor(X)
    assert [p.shape[1] for p in x.split(3, 1)] == [3] and [p.shape[1] for p in x.split(7, 1)] == [3]
    assert [p.shape[2] for p in x.split(2, 2)] == [2, 2]
    assert [p.shape[2] for p in x.split([0, 4, 0], 2)] == [0, 4, 0]
    assert [p.shape[0] for p in x[:1].chunk(3)] == [1] and [p.shape[2] for p in x.chunk(3, 2)] == [2, 2]


BAD = {
    "reshape negative": (lambda x: ops.reshape(x, (-2, -2, 6)), ValueError, "(-2, -2, 6)"),
    "reshape nothing beside unknown": (lambda x: ops.reshape(x, (-1, 0)), ValueError, "(-1, 0)"),
    "reshape no multiple": (lambda x: ops.reshape(x, (-1, 5)), ValueError, "(-1, 5)"),
    "reshape two unknown": (lambda x: ops.reshape(x, (-1, -1, 24)), ValueError, "(-1, -1, 24)"),
    "permute dimension": (lambda x: ops.permute(x, (0, 1, 3)), IndexError, "3"),
    "permute too few": (lambda x: ops.permute(x, (2, 0)), ValueError, "(2, 0)"),
    "transpose first": (lambda x: ops.transpose(x, 3, 0), IndexError, "3"),
    "transpose second": (lambda x: ops.transpose(x, 0, -4), IndexError, "-4"),
    "flatten first": (lambda x: ops.flatten(x, 3), IndexError, "3"),
    "flatten last": (lambda x: ops.flatten(x, 0, -4), IndexError, "-4"),
    "flatten backwards": (lambda x: ops.flatten(x, 2, 1), RuntimeError, "start_dim 2"),
    "unsqueeze before the first": (lambda x: ops.unsqueeze(x, -5), IndexError, "-5"),
    "stack before the first": (lambda x: ops.stack([x], -5), IndexError, "-5"),
    "stack after the last": (lambda x: ops.stack([x], 4), IndexError, "4"),
    "cat ranks": (lambda x: ops.cat([x, x[0]]), ValueError, "(3, 4)"),
    "cat next extent": (lambda x: ops.cat([x, x[:, :2]]), ValueError, "(2, 2, 4)"),
    "cat extent before": (lambda x: ops.cat([x, x[:1]], 1), ValueError, "(1, 3, 4)"),
    "cat last extent": (lambda x: ops.cat([x, x[..., :1]], 1), ValueError, "(2, 3, 1)"),
    "cat of nothing": (lambda x: ops.cat([]), ValueError, "at least one"),
    "chunk dimension": (lambda x: ops.chunk(x, 2, 3), IndexError, "3"),
    "chunk a number": (lambda x: ops.chunk(x.sum(), 2), ValueError, "without dimensions"),
    "chunk less than none": (lambda x: ops.chunk(x, -1), ValueError, "-1"),
    "split too much": (lambda x: ops.split(x, [2, 2], 1), ValueError, "[2, 2]"),
    "expand a list": (lambda x: ops.expand(x, [2, 3, 5]), RuntimeError, "(2, 3, 5)"),
    "expand a new -1": (lambda x: ops.expand(x, (-1, 2, 3, 4)), RuntimeError, "(-1, 2, 3, 4)"),
    "expand less than none": (lambda x: ops.expand(x[:1], (-2, 3, 4)), RuntimeError, "(-2, 3, 4)"),
    "diagonal of a vector": (lambda x: ops.diagonal(x[0, 0]), IndexError, "two dimensions, got shape (4,)"),
    "diagonal of a number": (lambda x: ops.diagonal(x.sum(), 0, 0, -1), IndexError, "two dimensions"),
    "getitem outside": (lambda x: x[2], IndexError, "(2, 3, 4)"),
    "getitem too many": (lambda x: x[0, 0, 0, 0], IndexError, "(2, 3, 4)"),
}


@pytest.mark.parametrize("name", BAD)
def test_impossible_calls_are_named(name):
    fn, kind, named = BAD[name]
    with pytest.raises(kind) as caught:
        fn(minidl.tensor(X))
    assert str(caught.value).startswith(f"{name.split()[0]}: ") and named in str(caught.value)


def test_the_number_of_elements_decides_whether_nothing_can_be_reshaped():
    empty = minidl.tensor(np.zeros((0, 3)))
    assert ops.reshape(empty, (2, 0)).shape == (2, 0) and ops.reshape(empty, (-1, 2)).shape == (0, 2)
    with pytest.raises(ValueError, match=r"^reshape: 0 elements"):
        ops.reshape(empty, (1, 3))


@pytest.mark.parametrize("kind", [np.array, list, minidl.tensor])
def test_an_index_that_is_changed_later_does_not_change_the_gradient(kind):
    x, index = minidl.tensor([1.0, 2.0, 3.0], requires_grad=True), kind([0, 2, 0])
    y = x[index]
    index[0] = index[1] = 1
    y.backward(minidl.tensor([1.0, 10.0, 100.0]))
    assert x.grad.tolist() == [101.0, 0.0, 10.0]


@pytest.mark.parametrize("index", [True, False, (None, True), (0, True), np.True_, (..., None, 1)])
def test_indices_that_add_or_drop_dimensions(index):
    """A bool is a mask of no dimensions: it adds one, of extent 1 or 0."""
    x = minidl.tensor(X, requires_grad=True)
    y = x[index]
    np.testing.assert_array_equal(y.detach().numpy(), X[index])
    y.backward(minidl.tensor(np.full(y.shape, 3.0)))
    expected = np.zeros(X.shape)
    expected[index] = 3.0
    np.testing.assert_array_equal(x.grad.numpy(), expected)


def test_views_of_views_are_written_through():
    x = minidl.tensor(X)
    ops.diagonal(ops.permute(x, (2, 0, 1)), 1, 1, 2)[...] = -1.0
    expected = X.copy()
    for i in range(2):
        expected[i, i + 1] = -1
    np.testing.assert_array_equal(x.numpy(), expected)


@pytest.mark.parametrize(
    ("offset", "expected"), [(3, [3.0]), (4, []), (-2, [8.0]), (-3, []), (9, []), (-9, [])]
)
def test_diagonals_at_and_beyond_the_corner(offset, expected):
    x = minidl.tensor(X[0], requires_grad=True)
    y = x.diagonal(offset)
    assert y.tolist() == expected
    y.backward(minidl.tensor(np.ones(len(expected))))
    np.testing.assert_array_equal(x.grad.numpy() * X[0], np.where(np.isin(X[0], expected), X[0], 0))


def test_a_transposed_matrix_keeps_its_gradient_in_place():
    x = minidl.tensor(X, requires_grad=True)
    weights = np.arange(24.0).reshape(4, 3, 2) ** 2
    (x.transpose(0, -1) * minidl.tensor(weights)).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), weights.transpose(2, 1, 0))
