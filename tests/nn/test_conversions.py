"""A module in another dtype or on another device: what changes, what stays, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from oracles.devices import KINDS, compiler_or_skip, namespace_or_skip


def network():
    """A shared weight, statistics, an integer buffer, and a gradient of everything."""
    minidl.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))
    model[2].weight = model[0].weight
    model.add_module("norm", nn.BatchNorm2d(2))
    (model[2](model[0](minidl.tensor([[1.0, -2.0, 0.5]]))).sum() + model.norm.weight.sum()).backward()
    return model


INTEGERS = [np.int64, "int32", np.uint8, bool, "bool", np.dtype("int8"), "complex64"]


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize(
    ("convert", "name"),
    [
        (lambda model, dtype: model.to(dtype), "to"),
        (lambda model, dtype: model.to(dtype=dtype), "to"),
        (lambda model, dtype: model.to("cpu", dtype), "to"),
        (lambda model, dtype: model.astype(dtype), "astype"),
    ],
)
def test_weights_do_not_become_integers(convert, name, dtype):
    model = network()
    before = model.state_dict()
    with pytest.raises(TypeError, match=f"^{name}: a module can only be converted to a floating-point dtype"):
        convert(model, dtype)
    for key, array in model.state_dict().items():
        assert array.dtype == before[key].dtype, key
        np.testing.assert_array_equal(array, before[key])


def test_the_dtype_of_an_integer_tensor_is_refused_too():
    with pytest.raises(TypeError, match="floating-point dtype, got int64"):
        network().to(minidl.tensor([1]))
    with pytest.raises(TypeError, match="takes no copy=True"):
        network().to("float64", False, True)
    with pytest.raises(RuntimeError, match="only floating-point tensors have gradients, this one is int64"):
        nn.Parameter(np.array([1, 2]))
    assert nn.Parameter(np.array([1, 2]), requires_grad=False).dtype == np.int64
    assert nn.Parameter().shape == (0,) and nn.Parameter().requires_grad


def test_a_tensor_itself_may_become_integers():
    x = minidl.tensor([1.5, -2.5])
    assert x.to(np.int64).tolist() == [1, -2] and x.to(bool).tolist() == [True, True]


@pytest.mark.parametrize(
    "convert",
    [
        lambda model: model.float(),
        lambda model: model.to(np.float32),
        lambda model: model.to("cpu"),
        lambda model: model.to("cpu", "float32", True),
        lambda model: model.to(model[0].weight),
        lambda model: model.cpu(),
        lambda model: model.astype("float32"),
        lambda model: model.to(None),
    ],
)
def test_what_changes_nothing_leaves_arrays_and_gradients_as_they_are(convert):
    model = network()
    kept = [(p, p.data, p.grad, None if p.grad is None else p.grad.data) for p in model.parameters()]
    buffers = [(b, b.data) for b in model.buffers()]
    assert convert(model) is model
    for p, data, gradient, values in kept:
        assert p.data is data and p.grad is gradient
        assert gradient is None or gradient.data is values
    assert all(b.data is data for b, data in buffers)
    assert sum(p.grad is not None for p in model.parameters()) == 4


def test_gradients_follow_the_dtype():
    model = network()
    before = [(p, p.grad, None if p.grad is None else p.grad.numpy()) for p in model.parameters()]
    model.double()
    for p, gradient, values in before:
        assert p.dtype == np.float64 and p.grad is gradient
        if gradient is not None:
            assert gradient.dtype == np.float64
            np.testing.assert_array_equal(gradient.numpy(), values)
    (model[0](minidl.tensor([[1.0, 1.0, 1.0]], dtype="float64"))).sum().backward()
    np.testing.assert_allclose(model[0].bias.grad.numpy(), before[1][2] + 1.0, rtol=1e-7)
    model.float()
    assert {p.grad.dtype for p in model.parameters() if p.grad is not None} == {np.dtype(np.float32)}


@pytest.mark.parametrize("device", KINDS)
def test_gradients_hooks_sharing_and_buffers_go_to_a_device(device):
    namespace_or_skip(device)
    compiler_or_skip()
    model, seen = network(), []
    model[0].weight.register_hook(lambda g: seen.append(g.device))
    model.norm.num_batches_tracked.data[...] = 5
    before = {n: None if p.grad is None else p.grad.numpy() for n, p in model.named_parameters()}
    model.to(device, "float64")
    assert model[2].weight is model[0].weight
    for name, p in model.named_parameters():
        assert p.requires_grad and p.is_leaf and p.device == minidl.device(device)
        if before[name] is not None:
            assert p.grad.device == p.device and p.grad.dtype == np.float64
            np.testing.assert_array_equal(p.grad.cpu().numpy(), before[name])
    count = model.norm.num_batches_tracked
    assert count.device == minidl.device(device) and count.dtype == np.int64 and count.item() == 5
    model[0](minidl.tensor([[1.0, 2.0, 3.0]], dtype="float64", device=device)).sum().backward()
    assert seen == [minidl.device(device)]
    assert model.cpu()[0].weight.grad.device == minidl.device("cpu")


def test_an_optimizer_made_before_moves_the_same_parameters():
    model = network()
    optimizer = optim.SGD(model.parameters(), 0.5)
    model.double()
    before = model[0].bias.numpy().copy()
    gradient = model[0].bias.grad.numpy().copy()
    optimizer.step()
    np.testing.assert_allclose(model[0].bias.numpy(), before - 0.5 * gradient, rtol=1e-15)


def test_a_gradient_that_is_part_of_a_graph_keeps_its_graph():
    model = nn.Module()
    model.w = nn.Parameter(np.array([2.0], np.float32))
    (model.w**3).sum().backward(create_graph=True)
    gradient = model.w.grad
    model.double()
    assert model.w.grad is gradient and gradient.dtype == np.float64 and gradient.grad_fn is not None


@pytest.mark.filterwarnings("error")
def test_what_a_dtype_cannot_hold_becomes_infinite_in_silence():
    model = nn.Module()
    model.w = nn.Parameter(np.array([1e40, -1e40, 1.0]))
    assert model.float().w.numpy().tolist() == [np.inf, -np.inf, 1.0]
    model.load_state_dict({"w": np.array([1e300, 2.0, -1e300])})
    assert model.w.numpy().tolist() == [np.inf, 2.0, -np.inf]


def test_layers_are_made_where_and_as_what_they_are_asked_to():
    layers = {
        "Linear": nn.Linear(2, 3, True, "cuda_sim", "float64"),
        "Conv2d": nn.Conv2d(2, 4, 3, 1, 0, 1, 2, True, "zeros", "cuda_sim", "float64"),
        "ConvTranspose2d": nn.ConvTranspose2d(2, 4, 3, 1, 0, 0, 2, True, 1, "zeros", "cuda_sim", "float64"),
        "BatchNorm2d": nn.BatchNorm2d(2, 1e-5, 0.1, True, True, "cuda_sim", "float64"),
        "InstanceNorm2d": nn.InstanceNorm2d(2, 1e-5, 0.1, True, True, "cuda_sim", "float64"),
        "GroupNorm": nn.GroupNorm(2, 4, 1e-5, True, "cuda_sim", "float64"),
        "LayerNorm": nn.LayerNorm(2, 1e-5, True, True, "cuda_sim", "float64"),
        "PReLU": nn.PReLU(2, 0.5, "cuda_sim", "float64"),
    }
    for name, layer in layers.items():
        tensors = dict([*layer.named_parameters(), *layer.named_buffers()])
        assert tensors and all(t.device == minidl.device("cuda_sim") for t in tensors.values()), name
        count = tensors.pop("num_batches_tracked", None)
        assert count is None or count.dtype == np.int64
        assert all(t.dtype == np.float64 for t in tensors.values()), name
    with pytest.raises(RuntimeError, match="only floating-point"):
        nn.Linear(2, 3, dtype="int64")


def test_the_seed_decides_the_weights_wherever_they_are_made():
    weights = []
    for device in ("cpu", "cuda_sim"):
        minidl.manual_seed(3)
        weights.append(nn.Linear(2, 3, device=device).weight.cpu().detach().numpy())
    np.testing.assert_array_equal(*weights)


# --- the arguments of to ----------------------------------------------------------------------------------


def test_arguments_of_to_stand_where_torch_has_them():
    x = minidl.tensor([1.0])
    assert x.to("float64", False, True).dtype == np.float64
    assert x.to("float32", False, True) is not x and x.to("float32", False, False) is x
    assert x.to("cpu", "float64", False, True).dtype == np.float64
    assert x.to("cpu", None, False, True) is not x and x.to("cpu", None) is x
    assert x.to(None, "float64").dtype == np.float64 and x.to(None) is x
    other = minidl.tensor([1], dtype="int32")
    assert x.to(other, False, True).dtype == np.int32 and x.to(x, False, True) is not x
    assert x.to("cpu", dtype="float64").dtype == x.to("float64", device="cpu").dtype == np.float64
    assert x.to("float64", non_blocking=True).dtype == np.float64


@pytest.mark.parametrize(
    ("arguments", "named", "message"),
    [
        (("float64", "cpu"), {}, "to: 'cpu' is not expected there; the order is device, dtype"),
        (("cpu", "float64", 1), {}, "to: 1 is not expected there"),
        (("cpu", "float64", False, True, True), {}, "not expected there"),
        (("float64",), {"dtype": "float32"}, "given twice"),
        (("cpu",), {"device": "cpu"}, "given twice"),
        ((minidl.tensor(1),), {"dtype": "float32"}, "given twice"),
        ((), {}, "give a device"),
    ],
)
@pytest.mark.parametrize("what", [minidl.tensor([1.0]), nn.Linear(1, 1)], ids=["tensor", "module"])
def test_arguments_of_to_in_another_order_are_refused(what, arguments, named, message):
    with pytest.raises(TypeError, match=message):
        what.to(*arguments, **named)


def test_a_number_is_a_gpu_s():
    for attempt in (lambda m: m.to(99), lambda m: m.cuda(99), lambda m: m.to("cuda:99")):
        for what in (minidl.tensor([1.0]), nn.Linear(1, 1)):
            with pytest.raises(minidl.cuda.DeviceUnavailable):
                attempt(what)
    for what in (minidl.tensor([1.0]), nn.Linear(1, 1)):
        with pytest.raises(ValueError, match="True is neither a device"):
            what.to(True)
