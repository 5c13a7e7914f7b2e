"""The operations that have CUDA kernels, on a simulated GPU: forward, backward, gradient check.

Expected is what the NumPy reference gives, which tests/ops holds against literal loops. The random cotangent
is the same on both sides. Cases are in tests/oracles/device_ops.py; on a real GPU they run as well.
"""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minidl
import minidl.kernels
from minidl._device import CPU, move
from minidl.testing import cotangent_for, size_of, tolerance
from oracles import backends
from oracles.device_ops import CASES, Case
from oracles.devices import KINDS, compiler_or_skip

pytestmark = pytest.mark.parametrize("xp", KINDS, indirect=True)
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def device_name(xp: ModuleType) -> str:
    return "cuda" if xp.__name__ == "cupy" else "cuda_sim"


def inputs(case: Case, dtype: Any) -> list[np.ndarray[Any, Any]]:
    rng = np.random.default_rng(3)
    return [rng.standard_normal(shape).astype(dtype) for shape in case.shapes]


def forward_backward(case: Case, arrays: list[Any], device: str) -> tuple[Any, list[Any]]:
    """y and the gradients, on the host."""
    leaves = [minidl.tensor(a, requires_grad=True, device=device) for a in arrays]
    y = case.make(lambda a: minidl.tensor(a, device=device))(*leaves)
    assert str(y.device) == str(minidl.device(device))
    host = move(y.data, CPU)
    y.backward(minidl.tensor(cotangent_for(host), dtype=host.dtype, device=device))
    assert all(x.grad.device == y.device and x.grad.data.flags.c_contiguous for x in leaves)
    return host, [move(x.grad.data, CPU) for x in leaves]


@every_case
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_forward_and_backward_are_those_of_the_reference(xp: ModuleType, case: Case, dtype: Any) -> None:
    compiler_or_skip()
    arrays = inputs(case, dtype)
    with minidl.use("numpy"):
        y, gradients = forward_backward(case, arrays, "cpu")
    ours, our_gradients = forward_backward(case, arrays, device_name(xp))
    atol = tolerance(dtype, case.terms, size_of(*arrays, y) * size_of(cotangent_for(y)))
    assert ours.dtype == dtype and ours.shape == y.shape
    np.testing.assert_allclose(ours, y, rtol=0, atol=atol)
    for mine, expected in zip(our_gradients, gradients, strict=True):
        assert mine.dtype == dtype
        np.testing.assert_allclose(mine, expected, rtol=0, atol=atol)


def test_every_kernel_file_of_an_operation_is_reached(xp: ModuleType) -> None:
    """By the cases here, or by the optimizers of tests/devices."""
    compiler_or_skip()
    folder = Path(minidl.kernels.__file__).parent
    cuda, reference = ({p.stem for p in (folder / n).glob("*.py")} for n in ("cuda", "reference"))
    with backends.kernels_in_use() as used:
        for case in CASES:
            forward_backward(case, inputs(case, np.float32), device_name(xp))
    assert reference <= cuda
    # Optimizers and metrics are no operations: tests/devices looks at them.
    assert reference - {"__init__", "adam", "sgd", "confusion"} <= used


@every_case
def test_gradient_check(xp: ModuleType, case: Case) -> None:
    compiler_or_skip()
    device = device_name(xp)
    leaves = [minidl.tensor(a, requires_grad=True, device=device) for a in inputs(case, np.float64)]
    fn = case.make(lambda a: minidl.tensor(a, device=device))
    assert minidl.gradcheck(fn, leaves, max_elements=6)


@every_case
def test_views_are_taken_for_what_they_show(xp: ModuleType, case: Case) -> None:
    """Reversed and sliced inputs: a kernel that ignored strides would read other numbers."""
    compiler_or_skip()
    device, arrays = device_name(xp), inputs(case, np.float64)
    fn = case.make(lambda a: minidl.tensor(a, device=device))
    straight = fn(*(minidl.tensor(a, device=device) for a in arrays))
    views = [xp.asarray(np.repeat(a[::-1], 2, axis=0))[::-2] for a in arrays]
    viewed = fn(*(minidl.Tensor(v) for v in views))
    np.testing.assert_array_equal(move(viewed.data, CPU), move(straight.data, CPU))
