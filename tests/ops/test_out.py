"""out=: the result is written into a tensor that is there already; nothing of it is recorded."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import ops
from oracles import placed

CALLS = {
    "add": lambda x, out: ops.add(x, 2.0, out=out),
    "sub": lambda x, out: ops.sub(x, 2.0, out=out),
    "mul": lambda x, out: ops.mul(x, 2.0, out=out),
    "div": lambda x, out: ops.div(x, 2.0, out=out),
    "pow": lambda x, out: ops.pow(x, 2.0, out=out),
    "exp": lambda x, out: ops.exp(x, out=out),
    "log": lambda x, out: ops.log(x, out=out),
    "sqrt": lambda x, out: ops.sqrt(x, out=out),
    "abs": lambda x, out: ops.abs(x, out=out),
    "clamp": lambda x, out: ops.clamp(x, 0.0, 2.0, out=out),
    "maximum": lambda x, out: ops.maximum(x, x - 1, out=out),
    "minimum": lambda x, out: ops.minimum(x, x + 1, out=out),
}


def operand(requires_grad=False):
    return minidl.tensor(np.array([[1.0, 4.0, 9.0], [0.25, 16.0, 2.0]]), requires_grad=requires_grad)


@pytest.mark.parametrize("name", CALLS)
def test_the_result_is_written_into_out_which_is_returned(name):
    call, x = CALLS[name], operand()
    wanted = call(x, None).numpy()
    out = minidl.tensor(np.full((2, 3), np.nan))
    memory = out.data
    assert call(x, out) is out and out.data is memory
    np.testing.assert_array_equal(out.numpy(), wanted)
    np.testing.assert_array_equal(x.numpy(), operand().numpy())
    # An operand may be the place for the result, and any memory order will do.
    assert call(x, x) is x
    np.testing.assert_array_equal(x.numpy(), wanted)
    strided = minidl.Tensor(np.zeros((6, 2))[::-2, :].T)
    np.testing.assert_array_equal(call(operand(), strided).numpy(), wanted)


@pytest.mark.parametrize("name", CALLS)
def test_a_pending_backward_that_saved_out_raises_and_names_its_operation(name):
    w, out = operand(requires_grad=True), operand()
    y = (w / out).sum()
    CALLS[name](operand(), out)
    with pytest.raises(RuntimeError, match=r"^div: an array of shape \(2, 3\).*changed in place"):
        y.backward()
    part = operand()
    y = part[0].exp().sum() + (w[0] * part[0]).sum()
    CALLS[name](operand()[1], part[1])  # another row of the same memory: views share their version
    with pytest.raises(RuntimeError, match=r"^mul: .*changed in place"):
        y.backward()


@pytest.mark.parametrize("name", CALLS)
def test_gradients_are_not_lost_silently(name):
    call = CALLS[name]
    for x, out in ((operand(True), operand()), (operand(), operand(True)), (operand(True) * 1, operand())):
        before = out.numpy().copy()
        with pytest.raises(RuntimeError, match=f"^{name}: what is written into out is not recorded"):
            call(x, out)
        np.testing.assert_array_equal(out.numpy(), before)
        with minidl.no_grad():
            assert call(x, out) is out
        np.testing.assert_array_equal(out.numpy(), call(operand(), None).numpy())


BAD = {
    "shape": (np.zeros((2, 2)), ValueError, r"out has shape \(2, 2\), the result \(2, 3\)"),
    "shape that would broadcast": (np.zeros((1, 2, 3)), ValueError, r"out has shape \(1, 2, 3\)"),
    "integers": (np.zeros((2, 3), np.int64), RuntimeError, "float64 does not fit into out of int64"),
    "bools": (np.zeros((2, 3), np.bool_), RuntimeError, "float64 does not fit into out of bool"),
    "shared memory": (
        np.lib.stride_tricks.as_strided(np.zeros(3), (2, 3), (0, 8)),
        ValueError,
        "several elements of out",
    ),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("name", CALLS)
def test_an_out_that_does_not_fit_is_left_as_it_was(name, what):
    array, error, message = BAD[what]
    out = minidl.Tensor(array)
    with pytest.raises(error, match=f"^{name}: .*{message}"):
        CALLS[name](operand(), out)
    assert not out.numpy().any()


@pytest.mark.parametrize("name", CALLS)
def test_arrays_are_no_tensors(name):
    with pytest.raises(TypeError, match=f"^{name}: out must be a tensor, got ndarray"):
        CALLS[name](operand(), np.zeros((2, 3)))


def test_dtypes_that_hold_the_result():
    for dtype in (np.float32, np.float64):
        out = minidl.tensor(np.zeros(2, dtype))
        assert ops.add(minidl.tensor([1, 2]), 1, out=out).tolist() == [2.0, 3.0]
    narrow = minidl.tensor(np.zeros(1, np.float32))
    assert ops.mul(minidl.tensor(np.array([0.1])), 1, out=narrow).numpy()[0] == np.float32(0.1)
    wide = minidl.tensor(np.zeros(1, np.int64))
    assert ops.add(minidl.tensor(np.uint8([1])), 1, out=wide).tolist() == [2]
    for dtype in (np.int64, np.uint8):
        with pytest.raises(RuntimeError, match=f"{np.dtype(dtype)} does not fit into out of bool"):
            ops.add(minidl.tensor(np.ones(1, dtype)), 1, out=minidl.tensor([True]))


def test_an_axis_of_one_element_may_have_any_stride():
    """As after expand() or broadcast_to(): nothing lies twice in the same memory."""
    row = np.zeros(3)
    out = minidl.Tensor(np.lib.stride_tricks.as_strided(row, (1, 3), (0, 8)))
    assert ops.add(minidl.tensor(np.array([[1.0, 2.0, 3.0]])), 1, out=out) is out
    assert out.tolist() == [[2.0, 3.0, 4.0]]
    assert row.tolist() == [2.0, 3.0, 4.0] or not placed.nowhere()  # the very memory that was given
