"""Memory order: what is counted, what a U-Net step copies, what is in which order whatever comes in."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import models, nn, ops, optim
from minidl.kernels import layout
from oracles import strategies

DEPTH = 2


@pytest.fixture(autouse=True)
def counter():
    layout.conversions.reset()
    yield layout.conversions
    layout.conversions.reset()


def image(order="C", n=16):
    x = np.random.default_rng(0).normal(size=(2, 3, n, n)).astype(np.float32)
    return x if order == "C" else strategies.memory_orders(x)[order]


def target(n=16):
    return np.random.default_rng(1).integers(0, 2, (2, n, n))


# --- counting -----------------------------------------------------------------------------------------------


def test_an_array_in_c_order_is_passed_on_and_any_other_copied_and_counted(counter):
    x = np.zeros((2, 3, 4), np.float32)
    assert layout.to_c_order(x) is x and counter.count == 0 and counter.bytes == 0
    y = layout.to_c_order(strategies.channels_last(x))
    assert y.flags.c_contiguous and counter.count == 1 and counter.bytes == 96
    layout.to_c_order(x[:, ::2])
    assert counter.count == 2 and counter.bytes == 96 + 64
    counter.reset()
    assert counter.count == counter.bytes == 0


def test_a_kernel_declares_what_it_takes():
    @layout.c_order
    def kernel(a, number, b, *, option):
        assert a.flags.c_contiguous and b.flags.c_contiguous
        return number + option

    assert kernel.takes == "C" and kernel.__name__ == "kernel"
    x = np.zeros((3, 4))
    assert kernel(x, 1, x.T, option=2) == 3
    assert layout.conversions.count == 1


def test_a_row_or_a_single_pixel_is_in_c_order_however_it_was_cut():
    x = np.zeros((4, 4, 4, 4))
    for part in (x[:2], x[1:2, 2:3, 1:2, :3], x[:0, ::2], np.moveaxis(np.zeros((2, 5, 5, 1)), 3, 1)):
        assert layout.to_c_order(part) is part
    assert layout.conversions.count == 0


# --- a U-Net's step -----------------------------------------------------------------------------------------


def step(order="C", fused=False, base=4, n=16, **options):
    """One training step; (copies in the forward, copies in all)."""
    model = models.UNet(3, 2, base=base, depth=DEPTH, **options)
    optimizer = optim.Adam(model.parameters())
    if fused:
        model = minidl.fuse(model)
    layout.conversions.reset()
    loss = ops.cross_entropy(model(minidl.Tensor(image(order, n))), target(n))
    forward = layout.conversions.count
    loss.backward()
    optimizer.step()
    return forward, layout.conversions.count


@pytest.mark.parametrize("up", models.unet.UPS)
@pytest.mark.parametrize("norm", models.unet.NORMS)
def test_a_step_on_an_image_in_c_order(norm, up):
    """What has to be copied, with everything else made in the order in which it is read.

    Compiled: activations lie channels-last, so in the forward the image alone is copied; in the backward it
    is once more, for the gradient of the first weight. Each `cat` hands out two slices of its cotangent: the
    sum with what comes up through the pooling and the upsampling read them as they lie; a transposed
    convolution has its copied, one a level.

    Reference: everything is in C order, the image too. The skip's slice is added to the cotangent that comes
    up through the pooling, which makes a new array; the other goes to the kernel of the upsampling, which
    copies it: one copy a level. So is the cotangent of the mean loss, one number repeated for each pixel.
    """
    with minidl.use("numba"):
        assert step(norm=norm, up=up) == (1, 2 + DEPTH * (up == "transpose"))
    with minidl.use("numpy"):
        assert step(norm=norm, up=up) == (0, DEPTH + 1)


def test_a_step_on_a_channels_last_image():
    """The first convolution alone sees the image: the reference copies it forward and for its weight."""
    with minidl.use("numba"):
        assert step("channels_last") == (0, 0)
    with minidl.use("numpy"):
        assert step("channels_last") == (1, DEPTH + 3)


@pytest.mark.parametrize("up", models.unet.UPS)
@pytest.mark.parametrize("norm", models.unet.NORMS)
def test_a_fused_step_copies_the_image_alone(norm, up):
    """With channels as a real network has them: nothing is concatenated, so there are no slices either."""
    with minidl.use("numba"):
        assert step(fused=True, base=32, n=64, norm=norm, up=up) == (1, 2)
        assert step("channels_last", fused=True, base=32, n=64, norm=norm, up=up) == (0, 0)


@pytest.mark.parametrize(("backend", "copies"), [("numba", 1), ("numpy", 0)])
def test_prediction_copies_the_image_at_most(backend, copies):
    model = models.UNet(3, 2, base=4, depth=DEPTH, norm="batch").eval()
    with minidl.use(backend), minidl.no_grad():
        model(minidl.Tensor(image()))
    assert layout.conversions.count == copies


# --- what is in which order whatever comes in ---------------------------------------------------------------


@pytest.mark.parametrize("order", ["C", "channels_last", "fortran", "sliced", "reversed"])
@pytest.mark.parametrize("make", [lambda p: optim.Adam(p), lambda p: optim.SGD(p, lr=0.1, momentum=0.9)])
def test_state_and_checkpoints_are_in_c_order_and_of_the_same_values(order, make):
    def train(order):
        minidl.manual_seed(0)
        model = models.UNet(3, 2, base=4, depth=DEPTH, norm="batch", up="transpose")
        optimizer = make(model.parameters())
        x = minidl.Tensor(image(order), requires_grad=True)
        ops.cross_entropy(model(x), target()).backward()
        optimizer.step()
        return model, optimizer, x

    model, optimizer, x = train(order)
    assert x.grad.data.strides == np.empty_like(x.data).strides
    for name, p in model.named_parameters():
        assert p.data.flags.c_contiguous and p.grad.data.flags.c_contiguous, name
    for state in optimizer.state_dict()["state"].values():
        assert all(v.flags.c_contiguous for v in state.values() if isinstance(v, np.ndarray))
    expected = train("C")[0].state_dict()
    for name, array in model.state_dict().items():
        assert array.flags.c_contiguous, name
        np.testing.assert_array_equal(array, expected[name], err_msg=name)


def test_a_parameter_given_in_another_order_is_put_into_c_order():
    given = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    p = nn.Parameter(given)
    assert p.data.flags.c_contiguous
    p.requires_grad_(True)
    (p.T @ p).sum().backward()
    assert p.grad.data.flags.c_contiguous


def test_a_gradient_that_arrives_transposed_is_kept_in_the_order_of_its_leaf():
    x = minidl.tensor(np.zeros((2, 3)), requires_grad=True)
    for _ in range(2):  # first and accumulated
        x.permute(1, 0).backward(np.arange(6.0).reshape(3, 2))
        assert x.grad.data.flags.c_contiguous
    np.testing.assert_array_equal(x.grad.data, 2 * np.arange(6.0).reshape(3, 2).T)


# --- accuracy -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["C", "channels_last", "fortran"])
def test_sums_over_a_large_image_do_not_lose_digits_in_any_order(order):
    """Float32 sums of n = 2^18 numbers between 0.5 and 1.5, over N, H and W.

    Pairwise summation is off by about eps log2(n) = 2e-6 relative; adding one after the other, which NumPy
    does along a non-contiguous axis, by up to eps n = 0.03. The bound lies between: 1e-5.
    """
    rng = np.random.default_rng(0)
    exact = rng.uniform(0.5, 1.5, (4, 2, 256, 256)).astype(np.float32)
    x = exact if order == "C" else strategies.memory_orders(exact)[order]
    wanted = exact.astype(np.float64).mean(axis=(0, 2, 3))
    mean = minidl.Tensor(x).mean((0, 2, 3)).numpy()
    np.testing.assert_allclose(mean, wanted, rtol=1e-5)
    layer = nn.BatchNorm2d(2, momentum=1.0)
    layer(minidl.Tensor(x))
    np.testing.assert_allclose(layer.running_mean.data, wanted, rtol=1e-5)
    weight = minidl.tensor(np.zeros((2, 2, 1, 1), np.float32))
    bias = minidl.tensor(np.zeros(2, np.float32), requires_grad=True)
    ops.conv2d(minidl.tensor(exact), weight, bias).backward(minidl.Tensor(x))
    np.testing.assert_allclose(bias.grad.data, wanted * 4 * 256 * 256, rtol=1e-5)
