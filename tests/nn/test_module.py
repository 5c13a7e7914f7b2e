"""Module: what an attribute becomes, names and their order, modes, hooks, text."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import nn


def number(value, **options):
    return minidl.tensor(np.array([value], np.float32), **options)


class Scale(nn.Module):
    """One parameter, one buffer, one plain attribute."""

    def __init__(self, value=2.0):
        super().__init__()
        self.weight = nn.Parameter(number(value))
        self.register_buffer("count", number(0.0))
        self.note = "plain"

    def forward(self, x):
        return x * self.weight


class Tree(nn.Module):
    """Scale layers at two depths, assigned in an order that is not alphabetical."""

    def __init__(self):
        super().__init__()
        self.zebra = Scale()
        self.gain = nn.Parameter(number(1.0))
        self.inner = nn.Sequential(Scale(), nn.ReLU(), Scale())
        self.apple = Scale()

    def forward(self, x):
        return self.apple(self.inner(self.zebra(x))) * self.gain


# --- what an attribute becomes ------------------------------------------------------------------------------


def test_parameters_buffers_modules_and_plain_attributes_are_kept_apart():
    m = Tree()
    assert [name for name, _ in m.named_parameters()] == [
        "gain",
        "zebra.weight",
        "inner.0.weight",
        "inner.2.weight",
        "apple.weight",
    ]
    assert [name for name, _ in m.named_buffers()] == [
        "zebra.count",
        "inner.0.count",
        "inner.2.count",
        "apple.count",
    ]
    assert [name for name, _ in m.named_children()] == ["zebra", "inner", "apple"]
    assert [name for name, _ in m.named_modules()] == [
        "",
        "zebra",
        "inner",
        "inner.0",
        "inner.1",
        "inner.2",
        "apple",
    ]
    assert m.zebra.note == "plain"
    assert next(m.parameters()) is m.gain
    assert list(m.children()) == [m.zebra, m.inner, m.apple]
    assert next(m.buffers()) is m.zebra.count


def test_a_tensor_that_is_no_parameter_is_a_plain_attribute():
    m = nn.Module()
    m.constant = number(3.0, requires_grad=True)
    assert list(m.named_parameters()) == [] and m.state_dict() == {}
    assert m.constant.item() == 3.0


def test_assigning_again_replaces_a_parameter_in_its_place():
    m = Tree()
    fresh = nn.Parameter(number(9.0))
    m.zebra.weight = fresh
    assert dict(m.named_parameters())["zebra.weight"] is fresh
    assert [name for name, _ in m.named_parameters()][1] == "zebra.weight"
    assert m.zebra(number(2.0)).item() == 18.0


def test_assigning_again_replaces_a_submodule_in_its_place():
    m = Tree()
    m.inner = nn.Tanh()
    assert [name for name, _ in m.named_children()] == ["zebra", "inner", "apple"]
    assert "inner.0.weight" not in m.state_dict()
    assert m(number(0.0)).item() == 0.0


def test_a_parameter_may_become_none_and_come_back():
    m = Scale()
    m.weight = None
    assert m.weight is None and list(m.state_dict()) == ["count"]
    m.weight = nn.Parameter(number(1.0))
    assert list(m.state_dict()) == ["weight", "count"]


def test_a_registered_none_keeps_its_name_and_counts_for_nothing():
    m = nn.Module()
    m.register_parameter("bias", None)
    m.register_buffer("mean", None)
    m.add_module("gone", None)
    assert m.bias is None and m.mean is None and m.gone is None
    assert list(m.parameters()) == list(m.buffers()) == list(m.children()) == []
    assert m.state_dict() == {}
    m.bias = nn.Parameter(number(4.0))
    assert list(m.state_dict()) == ["bias"]


def test_a_buffer_stays_a_buffer_when_it_is_assigned():
    m = Scale()
    m.count = number(5.0)
    assert list(m.state_dict()) == ["weight", "count"] and m.state_dict()["count"][0] == 5.0
    assert [name for name, _ in m.named_parameters()] == ["weight"]


def test_an_attribute_may_become_a_parameter_and_the_reverse_is_asked_for_by_name():
    m = nn.Module()
    m.x = 3
    m.x = nn.Parameter(number(1.0))
    assert list(m.state_dict()) == ["x"]
    del m.x
    assert m.state_dict() == {} and not hasattr(m, "x")
    m.x = 3
    assert m.x == 3


@pytest.mark.parametrize(
    ("name", "value"), [("weight", np.ones(1)), ("weight", number(1.0)), ("weight", 1.0), ("layer", 3)]
)
def test_a_parameter_or_module_is_not_lost_to_another_kind_of_value(name, value):
    """torch's rule: otherwise the name would silently leave the state dict, and training."""
    m = Scale()
    m.layer = nn.ReLU()
    with pytest.raises(TypeError, match=name):
        setattr(m, name, value)
    assert list(m.state_dict()) == ["weight", "count"] and isinstance(m.layer, nn.ReLU)


def test_a_name_that_is_taken_cannot_be_registered():
    for register in ("register_buffer", "register_parameter", "add_module"):
        m = nn.Module()
        m.x = 3
        with pytest.raises(KeyError, match="x"):
            getattr(m, register)("x", None)
        assert m.x == 3


@pytest.mark.parametrize("name", ["a.b", ""])
def test_a_name_with_a_dot_or_none_at_all_would_make_keys_ambiguous(name):
    m = nn.Module()
    for register in (m.add_module, m.register_parameter, m.register_buffer):
        with pytest.raises(KeyError):
            register(name, None)


def test_deleting_and_missing_attributes():
    m = Tree()
    del m.apple
    assert [name for name, _ in m.named_children()] == ["zebra", "inner"]
    del m.gain
    with pytest.raises(AttributeError, match="'Tree' has no attribute 'gain'"):
        _ = m.gain
    with pytest.raises(AttributeError):
        del m.gain


def test_forgetting_super_init_is_named():
    class Forgetful(nn.Module):
        def __init__(self):
            self.layer = nn.ReLU()

    with pytest.raises(AttributeError, match=r"super\(\).__init__\(\)"):
        Forgetful()


def test_dir_lists_what_was_registered():
    assert {"weight", "count", "note"} <= set(dir(Scale()))


def test_forward_must_be_defined():
    with pytest.raises(NotImplementedError, match="ModuleList"):
        nn.ModuleList()(number(1.0))


# --- sharing ------------------------------------------------------------------------------------------------


def test_a_module_in_two_places_is_listed_once():
    m = nn.Module()
    m.a = Scale()
    m.b = m.a
    assert [name for name, _ in m.named_modules()] == ["", "a"]
    assert [name for name, _ in m.named_parameters()] == ["a.weight"]
    assert [name for name, _ in m.named_buffers()] == ["a.count"]
    m.train(False)
    assert not m.b.training


def test_a_module_that_contains_itself_ends():
    m = Scale()
    m.again = m
    assert [name for name, _ in m.named_modules()] == [""]


# --- modes and conversions ----------------------------------------------------------------------------------


def test_train_and_eval_reach_everything_below_and_return_the_module():
    m = Tree()
    assert all(x.training for x in m.modules())
    assert m.eval() is m and not any(x.training for x in m.modules())
    assert m.inner.train() is m.inner
    assert [name for name, x in m.named_modules() if x.training] == ["inner", "inner.0", "inner.1", "inner.2"]


def test_requires_grad_freezes_and_zero_grad_forgets():
    m = Tree()
    m.inner.requires_grad_(False)
    m(number(1.0)).backward()
    assert m.inner[0].weight.grad is None and m.zebra.weight.grad is not None
    m.zero_grad()
    assert all(p.grad is None for p in m.parameters())


def test_double_and_float_convert_what_is_floating_point():
    m = nn.BatchNorm2d(2).double()
    dtypes = {name: array.dtype.name for name, array in m.state_dict().items()}
    assert dtypes == {
        "weight": "float64",
        "bias": "float64",
        "running_mean": "float64",
        "running_var": "float64",
        "num_batches_tracked": "int64",
    }
    assert m.float() is m and m.weight.dtype == np.float32
    assert m.weight.requires_grad


def test_apply_visits_those_below_first():
    m, seen = Tree(), []
    assert m.apply(lambda x: seen.append(type(x).__name__)) is m
    assert seen == ["Scale", "Scale", "ReLU", "Scale", "Sequential", "Scale", "Tree"]


# --- text ---------------------------------------------------------------------------------------------------


def test_text_is_nested_as_torchs():
    text = repr(nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Dropout(p=0.25))))
    assert text == (
        "Sequential(\n"
        "  (0): Linear(2, 3, bias=True)\n"
        "  (1): Sequential(\n"
        "    (0): ReLU()\n"
        "    (1): Dropout(p=0.25)\n"
        "  )\n"
        ")"
    )
