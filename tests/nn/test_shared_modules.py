"""What is in two places of a network: shared modules and tensors, and rows in which a layer stands twice."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest

import minidl
from minidl import nn


def number(value):
    return minidl.tensor(np.array([value], np.float32))


class Scale(nn.Module):
    """One parameter, one buffer; knows how often it ran."""

    def __init__(self, value=2.0):
        super().__init__()
        self.weight = nn.Parameter(number(value))
        self.register_buffer("count", number(0.0))
        self.runs = 0

    def forward(self, x):
        self.runs += 1
        return x * self.weight


class Shared(nn.Module):
    """A layer under two names, a weight tied to another's, and a name without a module."""

    def __init__(self):
        super().__init__()
        self.first = Scale()
        self.second = self.first
        self.other = Scale(3.0)
        self.other.weight = self.first.weight
        self.add_module("nothing", None)


# --- walks ------------------------------------------------------------------------------------------------


def test_children_are_given_once_under_their_first_name():
    m = Shared()
    assert [name for name, _ in m.named_children()] == ["first", "other"]
    assert list(m.children()) == [m.first, m.other]


def test_apply_visits_a_shared_child_once():
    m, seen = Shared(), []
    m.apply(seen.append)
    assert seen == [m.first, m.other, m]


def test_apply_visits_once_for_each_parent_as_in_torch():
    layer, seen = Scale(), []
    left, right = nn.Sequential(layer), nn.Sequential(layer)
    nn.Sequential(left, right).apply(lambda m: seen.append(m))
    assert seen[:4] == [layer, left, layer, right]


def test_walks_give_duplicates_where_they_are_asked_to():
    m = Shared()
    assert [n for n, _ in m.named_modules()] == ["", "first", "other"]
    assert [n for n, _ in m.named_modules(remove_duplicate=False)] == ["", "first", "second", "other"]
    assert [n for n, _ in m.named_parameters()] == ["first.weight"]
    every = ["first.weight", "second.weight", "other.weight"]
    assert [n for n, _ in m.named_parameters(remove_duplicate=False)] == every
    assert [n for n, _ in m.named_buffers()] == ["first.count", "other.count"]
    every = ["first.count", "second.count", "other.count"]
    assert [n for n, _ in m.named_buffers("", True, False)] == every
    assert list(m.modules(False)) == [m, m.first, m.first, m.other]


def test_prefix_recurse_and_memo_stand_in_torch_s_places():
    m = Shared()
    m.gain = nn.Parameter(number(1.0))
    assert [n for n, _ in m.named_parameters("net")] == ["net.gain", "net.first.weight"]
    assert [n for n, _ in m.named_parameters("net", False)] == ["net.gain"]
    assert list(m.parameters(False)) == [m.gain] and list(m.buffers(False)) == []
    assert [n for n, _ in m.first.named_buffers("a", False)] == ["a.count"]
    memo = {m.other}
    assert [n for n, _ in m.named_modules(memo, "net")] == ["net", "net.first"]
    assert memo == {m, m.first, m.other}


def test_a_state_dict_has_what_is_shared_under_all_its_names():
    m = Shared()
    names = ["first.weight", "first.count", "second.weight", "second.count", "other.weight", "other.count"]
    assert list(m.state_dict()) == names
    m.load_state_dict({**m.state_dict(), "other.weight": [7.0]})
    assert m.first.weight.item() == 7.0 and m.other.weight is m.first.weight


def test_text_shows_every_name_and_those_without_a_module():
    assert repr(Shared()) == (
        "Shared(\n  (first): Scale()\n  (second): Scale()\n  (other): Scale()\n  (nothing): None\n)"
    )


class Noted(nn.Module):
    def __init__(self, note, *layers):
        super().__init__()
        self.note = note
        for i, layer in enumerate(layers):
            self.add_module(f"l{i}", layer)

    def extra_repr(self):
        return self.note


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (Noted("a=1"), "Noted(a=1)"),
        (Noted("a=1\nb=2"), "Noted(\n  a=1\n  b=2\n)"),
        (Noted("a=1", nn.ReLU()), "Noted(\n  a=1\n  (l0): ReLU()\n)"),
        (nn.Sequential(), "Sequential()"),
    ],
)
def test_text_of_its_own_stands_where_torch_puts_it(module, text):
    assert repr(module) == text


# --- what is done to all of them --------------------------------------------------------------------------


def test_shared_parameters_are_changed_once():
    m = Shared()
    m.first.weight.grad = number(1.0)
    m.double()
    assert m.first.weight is m.second.weight is m.other.weight
    assert m.first.weight.dtype == m.first.weight.grad.dtype == np.float64
    m.requires_grad_(False)
    assert not m.other.weight.requires_grad
    m.zero_grad()
    assert m.other.weight.grad is None


def test_zero_grad_may_keep_the_memory():
    m = Shared()
    gradient = m.first.weight.grad = number(3.0)
    m.zero_grad(False)
    assert m.first.weight.grad is gradient and gradient.item() == 0.0
    m.zero_grad(set_to_none=True)
    assert m.first.weight.grad is None


def test_zero_grad_leaves_a_gradient_that_is_part_of_a_graph_as_it_was():
    w = nn.Parameter(number(2.0))
    m = nn.Module()
    m.w = w
    (w * w * w).backward(create_graph=True)
    gradient = w.grad
    m.zero_grad(set_to_none=False)
    assert w.grad.item() == 0.0 and not w.grad.requires_grad and gradient.item() == 12.0
    assert minidl.autograd.grad(gradient, w)[0].item() == 12.0


class Frozen(nn.BatchNorm2d):
    """Stays in evaluation, as backbones do whose statistics are to be kept."""

    def train(self, mode=True):
        return super().train(False)


def test_a_train_of_its_own_is_heeded():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), Frozen(2), nn.Sequential(Frozen(2), nn.ReLU()))
    model.train()
    assert [m.training for m in model] == [True, False, True]
    assert [m.training for m in model[2]] == [False, True]


@pytest.mark.parametrize("mode", [1, "yes", None])
def test_a_mode_that_is_no_bool_changes_nothing(mode):
    m = Shared().eval()
    with pytest.raises(ValueError, match=f"train: mode must be True or False, got {mode!r}"):
        m.train(mode)
    assert not any(x.training for x in m.modules())


def test_walks_of_a_module_that_contains_itself_through_a_list_end():
    m = Scale()
    m.row = nn.ModuleList([m, nn.ReLU()])
    assert [n for n, _ in m.named_modules()] == ["", "row", "row.1"]
    assert list(m.parameters()) == [m.weight] and m.double().weight.dtype == np.float64
    m.weight.grad = number(1.0).double()
    m.requires_grad_(False).zero_grad()
    assert m.weight.grad is None


# --- rows -------------------------------------------------------------------------------------------------


def rows(*layers):
    return [nn.Sequential(*layers), nn.ModuleList(layers)]


def test_a_layer_that_stands_twice_runs_twice():
    layer = Scale(3.0)
    model = nn.Sequential(layer, nn.ReLU(), layer)
    assert model(number(2.0)).item() == 18.0 and layer.runs == 2
    model(number(1.0)).backward()
    assert layer.weight.grad.item() == 6.0, "the derivative of w²"


@pytest.mark.parametrize("kind", [0, 1])
def test_a_row_counts_gives_and_finds_a_layer_that_stands_twice(kind):
    layer, between = Scale(), nn.ReLU()
    row = rows(layer, between, layer)[kind]
    assert len(row) == 3 and list(row) == [layer, between, layer]
    assert row[0] is row[2] is row[-1] is row[-3] is layer and row[np.int64(1)] is between
    assert list(row.children()) == [layer, between]
    row.append(layer)
    assert len(row) == 4 and list(row._modules) == ["0", "1", "2", "3"]


@pytest.mark.parametrize("kind", [0, 1])
def test_a_slice_is_a_row_of_the_same_layers(kind):
    layers = [Scale(), nn.ReLU(), nn.Tanh()]
    row = rows(*layers)[kind]
    part = row[1:]
    assert type(part) is type(row) and list(part) == layers[1:]
    assert list(row[::-2]) == [layers[2], layers[0]] and list(row[5:]) == []
    assert list(part._modules) == [["1", "2"], ["0", "1"]][kind], "a Sequential keeps the names, as in torch"


@pytest.mark.parametrize("kind", [0, 1])
def test_rows_are_changed_like_lists(kind):
    a, b, c = Scale(), nn.ReLU(), nn.Tanh()
    row = rows(a, b)[kind]
    row[-1] = c
    assert list(row) == [a, c]
    row.insert(0, b).insert(3, a).insert(-1, b)
    assert list(row) == [b, a, c, b, a]
    del row[1]
    assert list(row) == [b, c, b, a] and list(row._modules) == ["0", "1", "2", "3"]
    del row[1:3]
    assert list(row) == [b, a] and list(row.extend([c, c])) == [b, a, c, c]
    assert list(row.extend(row)) == [b, a, c, c] * 2


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize("index", [2, -3])
def test_places_that_are_not_there(kind, index):
    row = rows(nn.ReLU(), nn.Tanh())[kind]
    for attempt in (
        lambda: row[index],
        lambda: row.__setitem__(index, nn.ReLU()),
        lambda: row.__delitem__(index),
        lambda: row.insert(index + (index > 0), nn.ReLU()),
    ):
        with pytest.raises(IndexError, match=f"{index + (index > 0)}|{index}"):
            attempt()
    with pytest.raises(TypeError):
        row.insert(0, "no module")
    assert [type(m) for m in row] == [nn.ReLU, nn.Tanh]


def test_a_sequential_may_be_given_names():
    model = nn.Sequential(OrderedDict([("twofold", Scale(2.0)), ("rectify", nn.ReLU())]))
    assert list(model.state_dict()) == ["twofold.weight", "twofold.count"]
    assert model.rectify is model[1] and model(number(-1.0)).item() == 0.0
    assert list(model[:1]._modules) == ["twofold"]
    assert len(nn.ModuleList()) == len(nn.ModuleList(None)) == len(nn.Sequential()) == 0
