"""State dicts: torch's keys, written out by hand, and loading that changes all or nothing."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import nn

BATCH_NORM = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
LAYERS = {
    "Linear": (lambda: nn.Linear(2, 3), {"weight": (3, 2), "bias": (3,)}),
    "Linear without bias": (lambda: nn.Linear(2, 3, bias=False), {"weight": (3, 2)}),
    "Conv2d": (lambda: nn.Conv2d(4, 6, (3, 5), groups=2), {"weight": (6, 2, 3, 5), "bias": (6,)}),
    "Conv2d without bias": (lambda: nn.Conv2d(4, 6, 1, bias=False), {"weight": (6, 4, 1, 1)}),
    "ConvTranspose2d": (
        lambda: nn.ConvTranspose2d(4, 6, 2, groups=2),
        {"weight": (4, 3, 2, 2), "bias": (6,)},
    ),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(3), dict(zip(BATCH_NORM, [(3,)] * 4 + [()], strict=True))),
    "BatchNorm2d, not affine": (
        lambda: nn.BatchNorm2d(3, affine=False),
        {"running_mean": (3,), "running_var": (3,), "num_batches_tracked": ()},
    ),
    "BatchNorm2d without statistics": (
        lambda: nn.BatchNorm2d(3, track_running_stats=False),
        {"weight": (3,), "bias": (3,)},
    ),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), {"weight": (4,), "bias": (4,)}),
    "GroupNorm, not affine": (lambda: nn.GroupNorm(2, 4, affine=False), {}),
    "ReLU": (nn.ReLU, {}),
    "Sigmoid": (nn.Sigmoid, {}),
    "Tanh": (nn.Tanh, {}),
    "Softmax": (lambda: nn.Softmax(1), {}),
    "MaxPool2d": (lambda: nn.MaxPool2d(2), {}),
    "AvgPool2d": (lambda: nn.AvgPool2d(2), {}),
    "Upsample": (lambda: nn.Upsample(scale_factor=2), {}),
    "Dropout": (nn.Dropout, {}),
    "Flatten": (nn.Flatten, {}),
    "Identity": (nn.Identity, {}),
    "L1Loss": (nn.L1Loss, {}),
}


def nested():
    return nn.Sequential(
        nn.Conv2d(1, 2, 3, bias=False),
        nn.BatchNorm2d(2),
        nn.ModuleList([nn.Linear(1, 1), nn.Sequential(nn.ReLU(), nn.Linear(1, 1))]),
    )


@pytest.mark.parametrize("name", LAYERS)
def test_keys_and_shapes_of_every_layer(name):
    make, expected = LAYERS[name]
    state = make().state_dict()
    assert list(state) == list(expected), "keys in torch's order"
    assert {key: array.shape for key, array in state.items()} == expected
    for key, array in state.items():
        assert isinstance(array, np.ndarray)
        assert array.dtype == (np.int64 if key == "num_batches_tracked" else np.float32)


def test_keys_of_nested_containers():
    assert list(nested().state_dict()) == [
        "0.weight",
        "1.weight",
        "1.bias",
        "1.running_mean",
        "1.running_var",
        "1.num_batches_tracked",
        "2.0.weight",
        "2.0.bias",
        "2.1.1.weight",
        "2.1.1.bias",
    ]


def test_a_shared_parameter_and_a_shared_module_appear_under_all_their_names():
    m = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    m[1].weight = m[0].weight
    m.add_module("2", m[0])
    keys = ["0.weight", "0.bias", "1.weight", "1.bias", "2.weight", "2.bias"]
    assert list(m.state_dict()) == keys
    m.load_state_dict({key: np.full((1,) * (2 if "w" in key else 1), 7.0) for key in keys})
    assert m[2].weight.item() == m[1].weight.item() == 7.0
    assert m[0].weight is m[1].weight and m[0] is m[2]


def test_a_state_dict_is_a_copy_in_c_order():
    m = nn.Linear(2, 3)
    m.weight.data = np.asfortranarray(m.weight.data)
    state = m.state_dict()
    assert state["weight"].flags.c_contiguous
    state["weight"][...] = 99
    assert not (m.weight.data == 99).any()


def test_a_round_trip_keeps_every_bit():
    first, second = nested(), nested()
    minidl.manual_seed(1)
    for p in first.parameters():
        nn.init.normal_(p)
    second.load_state_dict(first.state_dict())
    for (key, a), b in zip(first.state_dict().items(), second.state_dict().values(), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=key)
        assert a.dtype == b.dtype


def test_loading_copies_into_the_parameters_that_an_optimizer_holds():
    m = nn.Linear(2, 1)
    weight, memory = m.weight, m.weight.data
    given = np.array([[5.0, 6.0]])
    m.load_state_dict({"weight": given, "bias": np.array([7.0])})
    assert m.weight is weight and m.weight.data is memory and m.weight.dtype == np.float32
    given[...] = 0
    np.testing.assert_array_equal(m.weight.data, [[5, 6]])


def test_arrays_of_any_memory_order_and_kind_are_taken():
    wide = np.arange(24.0).reshape(4, 6)
    for given in (wide[::2, ::3], np.asfortranarray(wide[::2, ::3]), wide[::2, ::3].tolist()):
        m = nn.Linear(2, 2, bias=False)
        m.load_state_dict({"weight": given})
        np.testing.assert_array_equal(m.weight.data, [[0, 3], [12, 15]])
        assert m.weight.data.flags.c_contiguous
    m.load_state_dict({"weight": minidl.tensor(wide[:2, :2])})
    np.testing.assert_array_equal(m.weight.data, [[0, 1], [6, 7]])


def test_a_pending_backward_notices_that_the_weights_were_loaded():
    m = nn.Linear(1, 1, bias=False)
    x = minidl.tensor([[1.0]], requires_grad=True)
    y = m(x)
    m.load_state_dict({"weight": [[3.0]]})
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


FAULTS = {
    "missing": (lambda state: state.pop("1.bias"), KeyError, r"missing \['1.bias'\]"),
    "unexpected": (lambda state: state.update(extra=np.zeros(1)), KeyError, r"unexpected \['extra'\]"),
    "shape": (lambda state: state.update({"1.weight": np.zeros((2, 1))}), ValueError, r"1.weight.*\(2, 1\)"),
    "would only broadcast": (
        lambda state: state.update({"1.weight": np.zeros(())}),
        ValueError,
        r"1.weight.*\(\)",
    ),
    "not numbers": (
        lambda state: state.update({"1.bias": np.array(["x"])}),
        (ValueError, TypeError),
        "1.bias",
    ),
    "complex": (lambda state: state.update({"1.bias": np.array([1j])}), (ValueError, TypeError), "1.bias"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_state_that_does_not_fit_is_named_and_changes_nothing(name):
    spoil, error, message = FAULTS[name]
    m = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    before = m.state_dict()
    state = {key: array + 1 for key, array in before.items()}
    spoil(state)
    with pytest.raises(error, match=message):
        m.load_state_dict(state)
    for key, array in m.state_dict().items():
        np.testing.assert_array_equal(array, before[key], err_msg=key)


def test_not_strict_takes_what_fits_by_name_but_no_wrong_shapes():
    m = nn.Linear(1, 2)
    bias = m.bias.data.copy()
    m.load_state_dict({"weight": [[1.0], [2.0]], "other": np.zeros(3)}, strict=False)
    np.testing.assert_array_equal(m.weight.data, [[1], [2]])
    np.testing.assert_array_equal(m.bias.data, bias)
    with pytest.raises(ValueError, match="weight"):
        m.load_state_dict({"weight": [[1.0]]}, strict=False)


def test_buffers_are_loaded_in_their_own_dtype():
    m = nn.BatchNorm2d(1)
    state = {key: np.asarray(value) for key, value in m.state_dict().items()}
    m.load_state_dict(state | {"num_batches_tracked": np.array(12.0), "running_mean": np.array([3.0])})
    assert m.num_batches_tracked.item() == 12 and m.num_batches_tracked.dtype == np.int64
    assert m.running_mean.item() == 3.0 and m.running_mean.dtype == np.float32
