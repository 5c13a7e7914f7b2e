"""Tensors on devices: where they live, how they move, and what refuses to mix."""

import copy
import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest

import minidl
from minidl import ops
from minidl.cuda import DeviceUnavailable, OutOfDeviceMemory
from oracles.devices import KINDS, compiler_or_skip

pytestmark = pytest.mark.parametrize("xp", KINDS, indirect=True)


@pytest.fixture
def device(xp: ModuleType) -> str:
    return "cuda" if xp.__name__ == "cupy" else "cuda_sim"


def test_there_and_back(device: str) -> None:
    x = minidl.tensor([[1.0, 2.0], [3.0, 4.0]])
    there = x.to(device)
    assert there.device == minidl.device(device) and there.device != x.device
    assert str(there.device) == f"{device}:0"
    np.testing.assert_array_equal(there.cpu().numpy(), x.numpy())
    assert there.to(device) is there and x.cpu() is x and x.to("cpu") is x
    assert there.tolist() == x.tolist() and there[1, 0].item() == 3.0 and float(there[0, 0]) == 1.0
    assert repr(there).endswith(f"device='{device}:0')")


def test_to_takes_a_device_a_dtype_both_or_a_tensor(device: str) -> None:
    x = minidl.tensor([1.5, 2.5])
    both = x.to(device, "float64")
    assert both.dtype == np.float64 and both.device.type == device
    assert x.to(both).device == both.device and x.to(both).dtype == np.float64
    assert both.to(np.float32).device == both.device
    assert x.to(device=device, dtype=np.int64).tolist() == [1, 2]
    assert minidl.tensor([1, 2], device=device, dtype="float32").device.type == device
    with pytest.raises(TypeError, match="give a device"):
        x.to()
    with pytest.raises(ValueError, match="neither a device"):
        x.to("gpu")


def test_a_copy_is_a_copy(device: str) -> None:
    x = minidl.tensor([1.0, 2.0], device=device)
    y = x.to(device, copy=True)
    x.data[0] = 7
    assert y.tolist() == [1.0, 2.0]
    z = copy.deepcopy(minidl.tensor([1.0], device=device).data)
    assert type(z) is type(x.data)


def test_the_gradient_goes_back(device: str) -> None:
    x = minidl.tensor([1.0, 2.0, 3.0], requires_grad=True)
    (x.to(device) * minidl.tensor([1.0, 10.0, 100.0], device=device)).to("cpu").backward([1.0, 2.0, 3.0])
    assert x.grad is not None and x.grad.device == x.device
    assert x.grad.tolist() == [1.0, 20.0, 300.0]
    assert minidl.gradcheck(lambda t: t.to(device).exp().cpu(), x.detach().double().requires_grad_())


def test_second_derivatives_through_a_move(device: str) -> None:
    compiler_or_skip()
    x = minidl.tensor([1.0, 2.0], requires_grad=True)
    y = x.to(device)
    (slope,) = minidl.autograd.grad((y * y * y).sum(), x, create_graph=True)
    assert minidl.autograd.grad(slope.sum(), x)[0].tolist() == [6.0, 12.0]


@pytest.mark.parametrize(
    "mix",
    [
        lambda a, b: a + b,
        lambda a, b: b * a,
        lambda a, b: a @ b,
        lambda a, b: a < b,
        lambda a, b: a == b.numpy(),
        lambda a, b: a + b.numpy(),
        lambda a, b: ops.cat((a, b)),
        lambda a, b: ops.where(a > 0, a, b),
        lambda a, b: ops.cross_entropy(a, minidl.tensor([0, 1])),
        lambda a, b: ops.conv2d(a[None, None], b[None, None]),
        lambda a, b: minidl.nn.Linear(2, 2)(a),
    ],
)
def test_devices_do_not_mix(device: str, mix: object) -> None:
    a = minidl.tensor([[1.0, 2.0], [3.0, 4.0]], device=device)
    b = minidl.tensor([[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(RuntimeError, match="expected all tensors to be on the same device"):
        mix(a, b)  # type: ignore[operator]


def test_numbers_and_numpys_scalars_mix_with_everything(device: str) -> None:
    x = minidl.tensor([1.0, 2.0], device=device)
    assert (x * 2 + np.float64(1)).tolist() == [3.0, 5.0]
    assert (x > 1).tolist() == [False, True]


def test_no_array_comes_out_by_itself(device: str) -> None:
    x = minidl.tensor([1.0, 2.0], device=device)
    for convert in (lambda: x.numpy(), lambda: np.asarray(x), lambda: np.add(x.data, np.ones(2))):
        with pytest.raises(TypeError):
            convert()
    with pytest.raises(TypeError, match=r"x\.cpu\(\)\.numpy\(\)"):
        x.numpy()


def test_writing_takes_values_from_anywhere(device: str) -> None:
    x = minidl.tensor([[1.0, 2.0], [3.0, 4.0]], device=device)
    x[0] = np.array([5.0, 6.0], np.float32)
    x[1, minidl.tensor([0])] = minidl.tensor([7.0])
    assert x.tolist() == [[5.0, 6.0], [7.0, 4.0]]
    x.copy_(minidl.tensor([[0.0, 1.0], [2.0, 3.0]]))
    assert x[[0, 1], [1, 0]].tolist() == [1.0, 2.0]
    y = minidl.tensor([0.0, 0.0])
    y.copy_(x[1])
    assert y.tolist() == [2.0, 3.0]


def test_modules_move_with_their_gradients_and_buffers(device: str) -> None:
    net = minidl.nn.Sequential(minidl.nn.Conv2d(1, 2, 3), minidl.nn.BatchNorm2d(2))
    before = net.state_dict()
    net[0].bias.grad = minidl.tensor([1.0, 2.0])
    assert net.to(device) is net
    assert {t.device.type for t in (*net.parameters(), *net.buffers(), net[0].bias.grad)} == {device}
    after = net.state_dict()
    assert all(isinstance(a, np.ndarray) and a.flags.c_contiguous for a in after.values())
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array)
    other = minidl.nn.Sequential(minidl.nn.Conv2d(1, 2, 3), minidl.nn.BatchNorm2d(2)).to(device)
    other.load_state_dict(after)
    assert other[0].weight.device.type == device
    np.testing.assert_array_equal(other.state_dict()["0.weight"], before["0.weight"])
    assert net.cpu()[0].weight.device.type == "cpu"


@pytest.mark.parametrize("optimizer", ["Adam", "SGD"])
def test_an_optimizers_state_is_saved_from_one_device_and_loaded_on_another(
    xp: ModuleType, device: str, optimizer: str
) -> None:
    compiler_or_skip()
    make = getattr(minidl.optim, optimizer)
    options = {} if optimizer == "Adam" else {"momentum": 0.9}

    def trained(place: str) -> tuple[minidl.Tensor, minidl.optim.Optimizer]:
        w = minidl.nn.Parameter(minidl.tensor([1.0, 2.0], device=place))
        return w, make([w], lr=0.1, **options)

    def step(w: minidl.Tensor, steps: minidl.optim.Optimizer) -> None:
        steps.zero_grad()
        (w * w).sum().backward()
        steps.step()

    w, steps = trained(device)
    step(w, steps)
    saved = steps.state_dict()
    assert all(isinstance(v, np.ndarray | int) for v in saved["state"][0].values())
    host, host_steps = trained("cpu")
    with minidl.no_grad():
        host.copy_(w)
    host_steps.load_state_dict(saved)
    step(w, steps)
    step(host, host_steps)
    np.testing.assert_allclose(w.detach().cpu().numpy(), host.detach().numpy(), rtol=1e-6)
    again, again_steps = trained(device)
    again_steps.load_state_dict(host_steps.state_dict())
    step(again, again_steps)
    assert again.device.type == device


def test_out_of_memory_names_the_tensor_and_the_process_goes_on(xp: ModuleType, device: str) -> None:
    x = minidl.tensor(np.ones((25, 40), np.float32), requires_grad=True, device=device)
    minidl.cuda.empty_cache(device)
    used = minidl.cuda.memory_statistics(device)["in_use"]
    minidl.cuda.set_memory_limit(used + 512, device)
    try:
        with pytest.raises(OutOfDeviceMemory, match=rf"^exp of float32\(25, 40\): {device}:0"):
            x.exp()
        with pytest.raises(OutOfDeviceMemory, match=r"^to\('"):
            minidl.tensor(np.zeros(5000), device=device)
        assert x[0, 0].item() == 1.0
    finally:
        minidl.cuda.set_memory_limit(0, device)
    assert x.exp().shape == (25, 40)


def test_memory_is_counted_and_comes_back(device: str) -> None:
    before = minidl.cuda.memory_statistics(device)
    x = minidl.tensor(np.zeros(1000, np.float32), device=device)
    between = minidl.cuda.memory_statistics(device)
    assert between["in_use"] - before["in_use"] == 4096
    view = x[10:20]
    del x
    assert minidl.cuda.memory_statistics(device)["in_use"] == between["in_use"]  # the view holds it
    del view
    assert minidl.cuda.memory_statistics(device)["in_use"] == before["in_use"]


def test_dlpack_shares_memory(xp: ModuleType, device: str) -> None:
    x = minidl.tensor([1.0, 2.0], device=device)
    array = xp.from_dlpack(x.data)
    array[0] = 9
    assert x.tolist() == [9.0, 2.0]
    assert minidl.from_dlpack(x).device == x.device
    with pytest.raises(BufferError, match="detach"):
        minidl.tensor([1.0], requires_grad=True, device=device).__dlpack__()
    host = minidl.tensor([1.0, 2.0])
    shared = np.from_dlpack(host)
    shared_back = minidl.from_dlpack(shared)
    host.data[1] = 5
    assert shared[1] == 5 and shared_back.tolist() == [1.0, 5.0]


def test_devices_that_are_not_there(xp: ModuleType, device: str) -> None:
    with pytest.raises(DeviceUnavailable, match="numbered from 0"):
        minidl.tensor([1.0]).to(f"{device}:99")
    for name in ("tpu", "cuda:x", "cpu:1", "", "cuda:-1"):
        with pytest.raises(ValueError, match="choose from cpu"):
            minidl.device(name)
    if not minidl.cuda.is_available():
        with pytest.raises(DeviceUnavailable) as error:
            minidl.tensor([1.0]).cuda()
        assert "\n" not in str(error.value) and minidl.cuda.why_unavailable() == str(error.value)


def test_work_on_the_second_device(xp: ModuleType, device: str) -> None:
    if minidl.cuda.device_count(device) < 2:
        pytest.skip("no GPU beside the first")
    compiler_or_skip()
    x = minidl.tensor([[1.0, 2.0], [4.0, 3.0]], requires_grad=True, device=f"{device}:1")
    y = (x * x + 1).exp().log().max() + x.sum()
    y.backward()
    assert y.device.index == 1 and x.grad.device.index == 1
    assert x.grad.tolist() == [[1.0, 1.0], [9.0, 1.0]]
    assert x.argmax().item() == 2 and (x > 2).tolist() == [[False, False], [True, True]]
    with pytest.raises(RuntimeError, match="same device"):
        x + x.detach().to(device)
    assert x.detach().to(device).device.index == 0


def test_importing_minidl_imports_no_cupy(xp: ModuleType) -> None:
    program = (
        "import sys, minidl, minidl.nn, minidl.optim, minidl.train, minidl.cli\n"
        "x = minidl.tensor([1.0], device='cuda_sim') + 1\n"
        "assert 'cupy' not in sys.modules, 'imported'"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_device_has_no_longdouble_but_is_given_its_numbers(xp: ModuleType) -> None:
    compiler_or_skip()
    device = "cuda" if xp.__name__ == "cupy" else "cuda_sim"
    wide = np.array([1.5, 2.5], np.longdouble)
    with pytest.raises(TypeError, match=rf"a device has no {wide.dtype}; give float64"):
        minidl.tensor(wide, device=device)
    x = minidl.zeros(2, device=device, requires_grad=True)
    x.detach()[...] = wide
    assert x.tolist() == [1.5, 2.5]
    (x * 2).backward(wide)
    assert x.grad.tolist() == [3.0, 5.0]
