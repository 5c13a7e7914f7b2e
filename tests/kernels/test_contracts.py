"""No kernel of any backend takes arrays that do not belong together; the table names real arguments."""

from __future__ import annotations

import inspect
from importlib import import_module

import numpy as np
import pytest

import minidl
from minidl import dispatch, nn, ops, optim
from minidl.kernels import contracts
from minidl.kernels.contracts import CONTRACTS, ShapeMismatch
from minidl.kernels.cuda.errors import LaunchError

BACKENDS = ("numba", "numpy")


def zeros(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


@pytest.mark.parametrize("about", list(CONTRACTS))
def test_every_line_is_about_arguments_that_the_kernel_has(about):
    operation, name = about.split(".")
    reference = getattr(import_module(f"minidl.kernels.reference.{operation}"), name)
    parameters = inspect.signature(reference).parameters
    lines = [rule for rule in CONTRACTS[about] if isinstance(rule, str)]
    named = {entry.split()[0] for line in lines for entry in line.split(",")}
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    assert named <= set(parameters) or open_ended


def test_every_kernel_of_several_arrays_has_a_line():
    """Those without one take a single array, or broadcast."""
    several = set()
    for operation in {about.split(".")[0] for about in CONTRACTS} | {"reductions", "interpolate", "unfold"}:
        module = import_module(f"minidl.kernels.reference.{operation}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if name.startswith("_") or function.__module__ != module.__name__:
                continue
            arrays = [
                p for p in inspect.signature(function).parameters.values() if "Array" in str(p.annotation)
            ]
            if len(arrays) > 1:
                several.add(f"{operation}.{name}")
    helpers = {
        "arithmetic.add",  # broadcasts
        "fused_conv2d.joined",
        "fused_conv2d.parted",
        "fused_conv2d.passed",
        "unfold.im2col",
        "unfold.col2im",
    }
    assert several - helpers <= set(CONTRACTS)


CONV = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
POOL = {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0)}

#: Arguments that would fit, and for each array the shapes that do not.
CALLS = {
    "activations.relu_backward": ([zeros(2, 3), zeros(2, 3)], {}),
    "activations.gelu_backward": ([zeros(2, 3), zeros(2, 3)], {}),
    "arithmetic.add_to_rows": ([zeros(4, 3), zeros(3)], {}),
    "confusion.matrix": (
        [zeros(2, 3, dtype=np.int64), zeros(2, 3, dtype=np.int64)],
        {"num_classes": 2, "ignore_index": None},
    ),
    "conv2d.forward": ([zeros(2, 3, 5, 6), zeros(4, 3, 3, 3), zeros(4)], {"out": (3, 4), **CONV}),
    "conv2d.backward_data": ([zeros(2, 4, 3, 4), zeros(4, 3, 3, 3)], {"x_shape": (2, 3, 5, 6), **CONV}),
    "conv2d.backward_weight": (
        [zeros(2, 4, 3, 4), zeros(2, 3, 5, 6)],
        {"weight_shape": (4, 3, 3, 3), **CONV},
    ),
    "cross_entropy.forward": (
        [zeros(2, 3, 5), zeros(2, 5, dtype=np.int64), np.ones((2, 5), bool), zeros(3)],
        {"smoothing": 0.0, "slope": True},
    ),
    "cross_entropy.backward": ([zeros(2, 5), zeros(2, 3, 5), np.ones((2, 5), bool)], {}),
    "dropout.backward": ([zeros(2, 3), zeros(2, 3)], {}),
    "max_pool2d.backward": (
        [zeros(2, 3, 2, 3), zeros(2, 3, 2, 3, dtype=np.uint8)],
        {"x_shape": (2, 3, 4, 6), "dilation": (1, 1), **POOL},
    ),
    "avg_pool2d.backward": ([zeros(2, 3, 2, 3)], {"x_shape": (2, 3, 4, 6), "divisor": 4, **POOL}),
    "max_unpool2d.put": ([zeros(2, 3, 2, 2), zeros(2, 3, 2, 2, dtype=np.int64)], {"size": (4, 4)}),
    "max_unpool2d.gather": ([zeros(2, 3, 4, 4), zeros(2, 3, 2, 2, dtype=np.int64)], {}),
    "normalize.forward": ([zeros(2, 3, 5), zeros(3), zeros(3)], {"groups": None, "eps": 1e-5}),
    "normalize.backward": (
        [zeros(2, 3, 5), zeros(2, 3, 5), zeros(3), zeros(3), zeros(3)],
        {"groups": None, "needed": (True, True, True)},
    ),
    "normalize.forward_given": ([zeros(2, 3, 5), zeros(3), zeros(3), zeros(3), zeros(3)], {}),
    "softmax.backward": ([zeros(2, 3), zeros(2, 3)], {"axis": 1}),
    "softmax.log_backward": ([zeros(2, 3), zeros(2, 3)], {"axis": 1}),
    "cat.forward": ([zeros(2, 3), zeros(2, 4)], {"axis": 1}),
}


#: Extents that nothing else says, as (position of the array, axis): the batch, or the channels of one array.
FREE = {
    "arithmetic.add_to_rows": {(0, 0)},
    "cat.forward": {(0, 1), (1, 1)},
    "conv2d.forward": {(0, 0), (0, 2), (0, 3), (1, 2), (1, 3)},  # windows fewer than fit
    "conv2d.backward_data": {(0, 2), (0, 3), (1, 2), (1, 3)},
    "conv2d.backward_weight": {(0, 2), (0, 3), (1, 2), (1, 3)},
    "cross_entropy.backward": {(1, 1)},
    "dropout.backward": {(1, 0)},  # one row of a mask is stretched
    "max_unpool2d.gather": {(0, 2), (0, 3), (1, 2), (1, 3)},
    "normalize.forward": {(0, 0), (0, 2)},
    "normalize.forward_given": {(0, 0), (0, 2)},
    "normalize.backward": set(),
    "avg_pool2d.backward": {(0, 2), (0, 3)},  # one window fewer
}


def longer(array, axis):
    """With one element more along an axis."""
    shape = list(array.shape)
    shape[axis] += 1
    return np.zeros(shape, array.dtype)


def refusal(kernel, arrays, options):
    """What a kernel says of arrays that do not fit; None if it takes them."""
    try:
        kernel(*arrays, **options)
    except ShapeMismatch as error:
        return str(error)
    return None


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("about", list(CALLS))
def test_an_array_that_is_longer_or_shorter_than_the_others_is_refused(about, backend):
    operation, name = about.split(".")
    arrays, options = CALLS[about]
    with minidl.use(backend):
        kernel = getattr(dispatch.kernels(operation, arrays[0]), name)
    kernel(*[a.copy() for a in arrays], **options)  # as they should be
    refused = 0
    for position, array in enumerate(arrays):
        for axis in range(array.ndim):
            for wrong in (longer(array, axis), np.delete(array, 0, axis), array[..., None]):
                given = [a.copy() for a in arrays]
                given[position] = wrong
                message = refusal(kernel, given, options)
                assert (message or f"{about}:").startswith(f"{about}:")
                refused += message is not None
                free = (position, axis) in FREE.get(about, ()) or (
                    wrong.size == array.size and array.ndim == 1
                )
                assert message or free, (position, axis, wrong.shape)
    assert refused


@pytest.mark.parametrize("backend", [*BACKENDS, "cuda_sim"])
@pytest.mark.parametrize("operation", ["adam", "sgd"])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_optimizers_refuse_foreign_memory(operation, position, backend):
    """Weights of 4 numbers and of 100,000: the compiled kernels would read, and write, what is not theirs."""
    module = import_module(
        f"minidl.kernels.{ {'numba': 'cpu', 'numpy': 'reference', 'cuda_sim': 'cuda'}[backend] }.{operation}"
    )
    count = 4 if operation == "adam" else 3
    row = [zeros(4) for _ in range(count)]
    row[position] = zeros(100_000)
    if backend == "cuda_sim":
        from oracles import devices

        xp = devices.namespace_or_skip("cuda_sim")
        row = [xp.asarray(a) for a in row]
    last = {"adam": 1, "sgd": False}[operation]
    options = {
        "adam": (1e-3, (0.9, 0.999), 1e-8, 0.0, False),
        "sgd": (0.1, 0.9, 0.0, 0.0, False),
    }[operation]
    with pytest.raises((ShapeMismatch, LaunchError), match=r"\(4,\)"):
        module.step([(*row, last)], *options)


def test_a_compiled_pointwise_kernel_that_is_called_directly():
    from minidl.kernels.cpu import activations

    with pytest.raises(ShapeMismatch):
        activations.relu_backward(zeros(4), zeros(100_000))


# --- as people meet it ---


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("make", [optim.Adam, optim.AdamW, lambda p: optim.SGD(p, lr=0.1, momentum=0.9)])
def test_a_parameter_whose_data_was_replaced_by_larger_data(make, backend):
    with minidl.use(backend):
        p = nn.Parameter(minidl.ones(4))
        optimizer = make([p])
        p.grad = minidl.ones(4)
        optimizer.step()
        p.data = np.ones(100_000, "f4")
        p.grad = None
        (p * 1.0).sum().backward()
        with pytest.raises(RuntimeError, match=r"parameter 0 .*\(100000,\).*\(4,\).*make a new optimizer"):
            optimizer.step()
        assert p.data.min() == p.data.max() == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_gradient_from_before_the_data_were_replaced(backend):
    with minidl.use(backend):
        p = nn.Parameter(minidl.ones(3))
        p.grad = minidl.ones(3)
        p.data = np.ones(70_000, "f4")
        with pytest.raises(RuntimeError, match=r"parameter 0 .*\(70000,\).*gradient.*\(3,\).*backward"):
            optim.SGD([p], lr=0.1).step()
        with pytest.raises(RuntimeError, match=r"\(3,\).*\(70000,\)"):
            (p * 1.0).sum().backward()


def test_same_shapes_leaves_out_what_is_none():
    contracts.same_shapes("here", [zeros(2), None, zeros(2)])
    with pytest.raises(ShapeMismatch, match=r"here: .*\(2,\), \(1,\)"):
        contracts.same_shapes("here", [zeros(2), None, zeros(1)])


def test_operations_speak_first():
    """People meet the words of the operation, not those of the table."""
    with pytest.raises(ValueError, match="conv2d: ") as caught:
        ops.conv2d(minidl.zeros(1, 3, 5, 5), minidl.zeros(4, 2, 3, 3))
    assert not isinstance(caught.value, ShapeMismatch)
