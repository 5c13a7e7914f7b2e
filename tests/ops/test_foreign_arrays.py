"""Arrays as people have them: in another byte order, unaligned, read-only, of subclasses, of other elements.

Each gives what the same numbers in an ordinary array give, or is refused in one line.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import minidl
from minidl import nn, ops, optim
from oracles import formulas, loops, placed, pool_loops


class Subclass(np.ndarray):
    """An array class of somebody's own, with an addition of its own."""

    def __add__(self, other):
        raise AssertionError("a tensor's operations must not be a subclass's")


def field_of_packed_records(a):
    records = np.zeros(a.shape, [("tag", "u1"), ("value", a.dtype)])
    records["value"] = a
    assert not records["value"].flags.aligned
    return records["value"]


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def memory_mapped(a, folder, mode):
    file = folder / f"numbers-{len(list(folder.iterdir()))}"
    mapped = np.memmap(file, a.dtype, "w+", shape=a.shape)
    mapped[...] = a
    mapped.flush()
    return np.memmap(file, a.dtype, mode, shape=a.shape)


#: (array, folder) -> the same numbers in another array.
ARRAYS = {
    "big-endian float32": lambda a, folder: a.astype(">f4"),
    "big-endian float64": lambda a, folder: a.astype(">f8"),
    "float16": lambda a, folder: a.astype("f2"),
    "big-endian float16": lambda a, folder: a.astype(">f2"),
    "longdouble": lambda a, folder: a.astype(np.longdouble),
    "unaligned float32": lambda a, folder: field_of_packed_records(a.astype("f4")),
    "unaligned float64": lambda a, folder: field_of_packed_records(a),
    "unaligned and big-endian": lambda a, folder: field_of_packed_records(a.astype(">f4")),
    "read-only": lambda a, folder: read_only(a.astype("f4")),
    "memory-mapped": lambda a, folder: memory_mapped(a.astype("f4"), folder, "r+"),
    "memory-mapped read-only": lambda a, folder: memory_mapped(a.astype("f4"), folder, "r"),
    "memory-mapped big-endian": lambda a, folder: memory_mapped(a.astype(">f4"), folder, "r"),
    "a subclass": lambda a, folder: a.astype("f4").view(Subclass),
    "masked nowhere": lambda a, folder: np.ma.masked_array(a.astype("f4")),
    "every second": lambda a, folder: np.repeat(a.astype("f4"), 2, -1)[..., ::2],
    "backwards": lambda a, folder: a.astype("f4")[..., ::-1].copy()[..., ::-1],
    "Fortran's order": lambda a, folder: np.asfortranarray(a.astype("f4")),
    "big-endian, Fortran's order": lambda a, folder: np.asfortranarray(a.astype(">f4")),
}
KERNEL = np.arange(54.0).reshape(2, 3, 3, 3) % 5 - 2


def numbers(*shape):
    """Halves from -2.5 on: exact in every floating-point dtype, and so are their products."""
    return np.arange(float(math.prod(shape))).reshape(shape) % 7 - 2.5


def like(x, values):
    return minidl.tensor(values, dtype=x.dtype)


#: What is computed, shape of the operand, what comes out by the formulas in float64.
COMPUTED = {
    "add": (lambda x: x + x, (3, 4), lambda a: a + a),
    "add of a row": (lambda x: x + x[0], (3, 4), lambda a: a + a[0]),
    "mul": (lambda x: x * x, (3, 4), lambda a: a * a),
    "mul by a number": (lambda x: 3 * x, (3, 4), lambda a: 3 * a),
    "lt": (lambda x: x < 0.5, (3, 4), lambda a: a < 0.5),
    "matmul": (lambda x: x @ x, (4, 4), lambda a: formulas.matmul(a, a)),
    "relu": (lambda x: x.relu(), (3, 4), formulas.relu),
    "exp": (lambda x: x.exp(), (3, 4), np.exp),
    "sum": (lambda x: x.sum(0), (3, 4), lambda a: formulas.total(a, 0)),
    "max": (lambda x: x.max(1).values, (3, 4), lambda a: formulas.largest(a, 1)),
    "softmax": (lambda x: ops.softmax(x, 1), (3, 4), lambda a: formulas.softmax(a, 1)),
    "getitem": (lambda x: x[[2, 0]], (3, 4), lambda a: a[[2, 0]]),
    "cat": (lambda x: ops.cat([x, x], 0), (3, 4), lambda a: np.concatenate([a, a])),
    "conv2d": (
        lambda x: ops.conv2d(x, like(x, KERNEL), padding=1),
        (2, 3, 5, 5),
        lambda a: loops.conv2d(a, KERNEL, padding=1),
    ),
    "max_pool2d": (lambda x: ops.max_pool2d(x, 2), (2, 3, 4, 4), lambda a: pool_loops.max_pool2d(a, 2)),
    "avg_pool2d": (lambda x: ops.avg_pool2d(x, 2), (2, 3, 4, 4), lambda a: pool_loops.avg_pool2d(a, 2)),
}


def tolerance(dtype):
    return max(1e-6, 8 * float(np.finfo(dtype).eps))


def has_no_kernels(kind):
    """A device has some for float32 and float64 alone."""
    return kind.endswith(("float16", "longdouble")) and not placed.nowhere()


@pytest.mark.parametrize("make", ["tensor", "Tensor"])
@pytest.mark.parametrize("kind", ARRAYS)
def test_operations_give_what_they_give_of_an_ordinary_array(kind, make, tmp_path):
    if has_no_kernels(kind):
        return
    for apply, shape, formula in COMPUTED.values():
        a = numbers(*shape)
        x = getattr(minidl, make)(ARRAYS[kind](a, tmp_path))
        y = apply(x)
        assert type(y.numpy()) is np.ndarray and y.dtype.isnative and x.dtype.isnative
        np.testing.assert_allclose(y.numpy().astype(float), formula(a), rtol=tolerance(x.dtype))


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_beside_tensors_are_tensors(kind, tmp_path):
    a = numbers(3, 4)
    foreign = ARRAYS[kind](a, tmp_path)
    x = minidl.tensor(np.ones((3, 4)))
    if placed.nowhere():
        for result, expected in (
            (x + foreign, 1 + a),
            (foreign - x, a - 1),
            (x.maximum(foreign), np.maximum(1, a)),
        ):
            assert isinstance(result, minidl.Tensor)
            np.testing.assert_array_equal(result.numpy(), expected)
        np.testing.assert_array_equal((x > foreign).numpy(), a < 1)
    y = minidl.zeros(3, 4)
    y[1:] = foreign[1:]
    y[[0]] = foreign[:1]
    np.testing.assert_array_equal(y.numpy(), a)
    np.testing.assert_array_equal(minidl.zeros(3, 4).copy_(foreign).numpy(), a)
    w = minidl.tensor(np.zeros((3, 4)), requires_grad=True)
    (w * 2).backward(foreign)
    np.testing.assert_array_equal(w.grad.numpy(), 2 * a)


@pytest.mark.parametrize("kind", ARRAYS)
def test_parameters_of_them_learn(kind, tmp_path):
    if has_no_kernels(kind):
        return
    a = numbers(3, 4)
    for make in (lambda array: array, minidl.tensor, minidl.Tensor):
        for optimizer, moved in (
            (optim.SGD, a - 0.5),
            (optim.Adam, a - 0.5),
        ):  # Adam's first step is the rate
            p = nn.Parameter(make(ARRAYS[kind](a, tmp_path)))
            p.grad = minidl.tensor(np.ones((3, 4)), dtype=p.dtype)
            optimizer([p], lr=0.5).step()
            np.testing.assert_allclose(p.detach().numpy().astype(float), moved, atol=tolerance(p.dtype))
    layer = nn.Linear(4, 3)
    layer.load_state_dict({"weight": ARRAYS[kind](a, tmp_path), "bias": ARRAYS[kind](a[:, 0], tmp_path)})
    np.testing.assert_array_equal(layer.weight.detach().numpy(), a)


def test_memory_is_shared_where_it_can_be(tmp_path):
    a = numbers(3, 4).astype("f4")
    for kind in (
        "memory-mapped",
        "a subclass",
        "masked nowhere",
        "every second",
        "backwards",
        "Fortran's order",
    ):
        foreign = ARRAYS[kind](a, tmp_path)
        assert not placed.nowhere() or np.shares_memory(minidl.Tensor(foreign).data, foreign)
        assert not np.shares_memory(minidl.tensor(foreign).numpy(), foreign)


INTEGERS = ("big-endian int32", "big-endian int64", "big-endian uint16", "unaligned int64")


@pytest.mark.parametrize("kind", INTEGERS)
def test_integers_in_another_byte_order_are_class_ids_and_indices(kind):
    code = {"int32": "i4", "int64": "i8", "uint16": "u2"}[kind.split()[1]]
    ids = np.array([2, 0, 1], (">" if "big" in kind else "=") + code)
    ids = ids if "big" in kind else field_of_packed_records(ids)
    scores = minidl.tensor(np.log([[1.0, 2.0, 1.0], [4.0, 2.0, 2.0], [1.0, 2.0, 1.0]]))
    for target in (ids, minidl.tensor(ids), minidl.Tensor(ids)):
        loss = ops.cross_entropy(scores, target)
        assert math.isclose(loss.item(), -(math.log(0.25) + math.log(0.5) + math.log(0.5)) / 3)
        assert scores[target][:, 0].tolist() == [scores[i, 0].item() for i in (2, 0, 1)]
    assert (minidl.tensor(ids) * 3).tolist() == [6, 0, 3]
    assert ops.gather(scores, 1, minidl.tensor(ids.astype("i8"))[:, None]).shape == (3, 1)


REFUSED = {
    "complex": lambda: np.zeros(2, "c8"),
    "objects": lambda: np.zeros(2, object),
    "text": lambda: np.array(["a", "b"]),
    "bytes": lambda: np.array([b"a", b"b"]),
    "dates": lambda: np.zeros(2, "M8[s]"),
    "durations": lambda: np.zeros(2, "m8[s]"),
    "records": lambda: np.zeros(2, [("x", "f4")]),
    "raw memory": lambda: np.zeros(2, "V4"),
    "masked somewhere": lambda: np.ma.masked_array([1.0, 2.0], [True, False]),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_other_elements_are_refused_by_name(kind):
    array = REFUSED[kind]()
    x = minidl.zeros(2)
    calls = {
        "tensor": lambda: minidl.tensor(array),
        "Tensor": lambda: minidl.Tensor(array),
        "mul": lambda: x * array,
        "lt": lambda: x < array,
        "__setitem__": lambda: x.__setitem__(slice(None), array),
        "copy_": lambda: x.copy_(array),
    }
    for name, call in calls.items():
        with pytest.raises(TypeError, match=rf"^{name}: (elements must be numbers|a masked array)[^\n]*$"):
            call()
    with pytest.raises(TypeError, match=r"^tensor: "):
        nn.Parameter(array)
    assert x.tolist() == [0.0, 0.0]


def test_a_matrix_is_an_array_of_two_dimensions():
    with pytest.warns(PendingDeprecationWarning):
        matrix = np.matrix([[1.0, 2.0], [3.0, 4.0]])
    for x in (minidl.tensor(matrix), minidl.Tensor(matrix)):
        assert (x * x).tolist() == [[1, 4], [9, 16]] and x[0].shape == (2,) and x.sum(0).shape == (2,)
    assert (minidl.tensor([[2.0, 0.0]]) * matrix if placed.nowhere() else x * 2).shape == (2, 2)


def test_read_only_memory_is_not_written_to():
    array = read_only(np.zeros(2, np.float32))
    x = minidl.Tensor(array)
    if not placed.nowhere():  # there it is a copy
        return
    for name, write in {
        "__setitem__": lambda: x.__setitem__(0, 1.0),
        "copy_": lambda: x.copy_([1.0, 2.0]),
        "add": lambda: ops.add(minidl.ones(2), 1, out=x),
        "SGD": lambda: optim.SGD([x.requires_grad_()], lr=0.1),
    }.items():
        with pytest.raises(ValueError, match=rf"^{name}: the memory of .* is read-only; clone\(\) it first$"):
            write()
    assert array.tolist() == [0.0, 0.0]


LOSSES = {
    "mse_loss": lambda x, y: ops.mse_loss(x, y),
    "l1_loss": lambda x, y: ops.l1_loss(x, y),
    "smooth_l1_loss": lambda x, y: ops.smooth_l1_loss(x, y),
    "kl_div": lambda x, y: ops.kl_div(x, y),
    "binary_cross_entropy_with_logits": lambda x, y: ops.binary_cross_entropy_with_logits(x, y, weight=y),
    "cross_entropy of probabilities": lambda x, y: ops.cross_entropy(x, y),
    "cross_entropy with weights": lambda x, y: ops.cross_entropy(x, [0, 1], weight=y[0]),
    "nll_loss with weights": lambda x, y: ops.nll_loss(x, [0, 1], weight=y[0]),
}


@pytest.mark.parametrize("kind", ["big-endian float32", "unaligned float32", "a subclass", "read-only"])
@pytest.mark.parametrize("name", LOSSES)
def test_losses_take_targets_and_weights_as_they_are(name, kind, tmp_path):
    x = minidl.tensor(np.log([[0.25, 0.5, 0.25], [0.5, 0.25, 0.25]]).astype("f4"))
    y = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]])
    expected = LOSSES[name](x, minidl.tensor(y.astype("f4"))).item()
    assert LOSSES[name](x, placed.array(ARRAYS[kind](y, tmp_path))).item() == expected
    if placed.nowhere():
        foreign = ARRAYS[kind](x.numpy().astype("f8"), tmp_path)
        assert LOSSES[name](foreign, minidl.tensor(y.astype("f4"))).item() == expected


def test_a_users_own_operation_gets_ordinary_arrays_and_may_give_numbers():
    class Product(minidl.Function):
        @staticmethod
        def forward(ctx, x, y):
            assert type(y) is np.ndarray and y.dtype.isnative and y.flags.aligned
            return float((x * y).sum()), 3

        @staticmethod
        def backward(ctx, g, _):
            return g, None

    if placed.nowhere():
        for y in (np.array([1.0, 2.0], ">f8"), field_of_packed_records(np.array([1.0, 2.0]))):
            total, three = Product.apply(minidl.tensor([3.0, 4.0]), y)
            assert total.item() == 11.0 and total.shape == () and three.item() == 3
