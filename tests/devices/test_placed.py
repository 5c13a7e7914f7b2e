"""How the tests of operations run on a device, with ``MINIDL_DEVICE=cuda_sim`` (oracles/placed.py).

Whether they notice a kernel that is wrong there, and one that is missing, is tested here; CI runs them.
"""

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minidl
from minidl import dispatch, ops
from minidl._tensor import Tensor
from minidl.kernels.cuda import softmax
from minidl.testing import memory_orders
from oracles import formulas, placed
from oracles.checks import check_op
from oracles.devices import KINDS, compiler_or_skip

pytestmark = pytest.mark.parametrize("xp", KINDS, indirect=True)

X = np.random.default_rng(0).normal(size=(2, 3, 4, 5))


def device_of(xp: ModuleType) -> minidl.device:
    return minidl.device("cuda" if xp.__name__ == "cupy" else "cuda_sim")


def outermost_first(array: Any) -> list[int]:
    return sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))


@pytest.mark.parametrize("order", ["C", *memory_orders(X)])
def test_arrays_lie_there_as_they_lay_on_the_host(xp: ModuleType, order: str) -> None:
    array = X if order == "C" else memory_orders(X)[order]
    there = placed.placed(array, device_of(xp))
    assert isinstance(there, xp.ndarray) and there.dtype == array.dtype
    np.testing.assert_array_equal(xp.asnumpy(there), array)
    assert outermost_first(there) == outermost_first(array)
    assert [s < 0 for s in there.strides] == [s < 0 for s in array.strides]
    assert there.flags.c_contiguous == array.flags.c_contiguous
    back = placed.fetched(there)
    np.testing.assert_array_equal(back, array)
    assert outermost_first(back) == outermost_first(array)


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (1, 1)])
def test_shapes_without_an_order(xp: ModuleType, shape: tuple[int, ...]) -> None:
    there = placed.placed(np.full(shape, 7.0), device_of(xp))
    assert there.shape == shape and (xp.asnumpy(there) == 7).all()


def test_one_element_that_is_many(xp: ModuleType) -> None:
    there = placed.placed(np.broadcast_to(np.array([[1.0], [2.0]]), (2, 3)), device_of(xp))
    assert there.strides[1] == 0 and xp.asnumpy(there).tolist() == [[1.0] * 3, [2.0] * 3]


def test_what_tests_make_is_there_and_what_they_read_is_here(xp: ModuleType) -> None:
    with placed.tensors_on(str(device_of(xp))):
        made = minidl.tensor([1.0, 2.0]), Tensor(X), minidl.tensor(X, requires_grad=True), minidl.zeros(2)
        assert {t.device for t in made} == {device_of(xp)}
        assert isinstance(placed.array(X), xp.ndarray) and not placed.nowhere()
        assert isinstance((made[1] * 2).numpy(), np.ndarray)
        with pytest.raises(RuntimeError, match=r"add: .*same device"):
            made[1] + X  # as a user would find
    assert minidl.tensor([1.0]).device == minidl.device("cpu")
    assert placed.array(X) is X and placed.nowhere()
    with pytest.raises(TypeError, match=r"x\.cpu\(\)\.numpy\(\)"):
        made[0].numpy()


@pytest.mark.parametrize("wrong", ["forward", "backward", "missing"])
def test_a_wrong_kernel_is_noticed(xp: ModuleType, wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler_or_skip()
    dispatch._kernels.cache_clear()  # what was looked up before
    right = getattr(softmax, wrong, None)
    if wrong == "missing":
        monkeypatch.delattr(softmax, "forward")
    else:
        monkeypatch.setattr(softmax, wrong, lambda *args: right(*args) * (1 + 1e-9))
    with placed.tensors_on(str(device_of(xp))):
        try:
            with pytest.raises((AssertionError, NotImplementedError), match="softmax"):
                check_op(lambda x: ops.softmax(x, 1), lambda x: formulas.softmax(x, 1), X, terms=16)
        finally:
            monkeypatch.undo()
            dispatch._kernels.cache_clear()
        check_op(lambda x: ops.softmax(x, 1), lambda x: formulas.softmax(x, 1), X, terms=16)
