"""Modules beside torch's: walks over shared layers, rows, norms whose attributes change, conversions."""

from __future__ import annotations

import itertools
from collections import OrderedDict

import numpy as np
import pytest
import torch

import minidl
from oracles.checks import tolerance

LIBRARIES = (minidl.nn, torch.nn)


# --- walks ------------------------------------------------------------------------------------------------


def tied(m):
    """A layer under two names of one parent and under one of another, and a tied weight."""
    layer = m.Linear(2, 2)
    other = m.Linear(2, 2)
    other.weight = layer.weight
    net = m.Module()
    net.a, net.b, net.c = layer, m.Sequential(layer, m.ReLU(), other), layer
    net.add_module("none", None)
    net.register_parameter("no", None)
    net.register_buffer("nothing", None)
    net.norm = m.BatchNorm2d(2)
    net.more = m.ModuleList([net.norm, other, net.norm])
    return net


def cyclic(m):
    net = m.Sequential(m.BatchNorm2d(1))
    net.add_module("row", m.ModuleList([net, m.ReLU()]))
    return net


def nested(m):
    return m.Sequential(m.Sequential(m.Sequential()), m.ModuleList(), m.Sequential(m.ReLU(), m.Identity()))


NETS = {"tied": tied, "cyclic": cyclic, "nested": nested}


def numbered(pairs):
    """Names, and of what they name which are the same."""
    pairs, ids = list(pairs), {}
    return [(name, ids.setdefault(id(thing), len(ids))) for name, thing in pairs]


WALKS = {
    "children": lambda net: enumerate(net.children()),
    "named_children": lambda net: net.named_children(),
    "modules": lambda net: enumerate(net.modules()),
    "named_modules": lambda net: net.named_modules(),
    "named_modules of a prefix": lambda net: net.named_modules(None, "p"),
    "parameters": lambda net: enumerate(net.parameters()),
    "own parameters": lambda net: enumerate(net.parameters(False)),
    "named_parameters": lambda net: net.named_parameters(),
    "named_parameters of a prefix": lambda net: net.named_parameters("p", True),
    "buffers": lambda net: enumerate(net.buffers()),
    "own buffers": lambda net: enumerate(net.buffers(False)),
    "named_buffers": lambda net: net.named_buffers("p", True, True),
}
WITH_DUPLICATES = {
    "modules": lambda net: enumerate(net.modules(False)),
    "named_modules": lambda net: net.named_modules(None, "", False),
    "named_parameters": lambda net: net.named_parameters("", True, False),
    "named_buffers": lambda net: net.named_buffers("", True, False),
}


@pytest.mark.parametrize("walk", WALKS)
@pytest.mark.parametrize("net", NETS)
def test_walks_give_the_same_in_the_same_order(net, walk):
    ours, theirs = (numbered(WALKS[walk](NETS[net](m))) for m in LIBRARIES)
    assert ours == theirs


@pytest.mark.parametrize("walk", WITH_DUPLICATES)
@pytest.mark.parametrize("net", ["tied", "nested"])
def test_walks_give_the_same_duplicates(net, walk):
    ours, theirs = (numbered(WITH_DUPLICATES[walk](NETS[net](m))) for m in LIBRARIES)
    assert ours == theirs


@pytest.mark.parametrize("net", ["tied", "nested"])
def test_apply_and_state_dicts_visit_the_same(net):
    seen = []
    for m in LIBRARIES:
        built, visited = NETS[net](m), []
        assert built.apply(visited.append) is built
        seen.append((numbered(enumerate(visited)), list(built.state_dict())))
    assert seen[0] == seen[1]


def test_text_is_laid_out_the_same():
    def net(m):
        class Note(m.Module):
            def __init__(self, note, **layers):
                super().__init__()
                self.note = note
                for name, layer in layers.items():
                    self.add_module(name, layer)

            def extra_repr(self):
                return self.note

        relu, inner = m.ReLU(), Note("one\ntwo")
        return Note(
            "a=1", x=relu, y=None, z=relu, w=m.Sequential(inner, inner), v=Note("", u=Note("k", t=Note("")))
        )

    ours, theirs = (repr(net(m)) for m in LIBRARIES)
    assert ours == theirs


def test_a_train_of_its_own_is_heeded_by_both():
    def modes(m):
        class Frozen(m.Sequential):
            def train(self, mode=True):
                return super().train(False)

        shared = m.ReLU()
        net = m.Sequential(Frozen(shared, m.Sequential(m.ReLU())), shared, m.ReLU())
        return [x.training for x in net.train().modules()]

    ours, theirs = (modes(m) for m in LIBRARIES)
    assert ours == theirs


# --- rows -------------------------------------------------------------------------------------------------

INDICES = [
    0,
    2,
    -1,
    -4,
    4,
    -5,
    slice(None),
    slice(1, 3),
    slice(None, None, 2),
    slice(3, 0, -1),
    slice(9, None),
]


@pytest.mark.parametrize("kind", ["Sequential", "ModuleList"])
@pytest.mark.parametrize("index", INDICES, ids=str)
def test_rows_are_read_and_cut_the_same(kind, index):
    def outcome(m, act):
        layers = [m.ReLU(), m.Tanh(), m.ReLU()]
        layers.insert(1, layers[0])  # stands twice
        row = getattr(m, kind)(*layers) if kind == "Sequential" else m.ModuleList(layers)
        try:
            found = act(row)
        except IndexError:
            return "IndexError"
        found = row if found is None else found
        if isinstance(found, m.Sequential | m.ModuleList):
            return type(found).__name__, len(found), [(k, layers.index(v)) for k, v in found._modules.items()]
        return layers.index(found)

    for act in (lambda row: row[index], lambda row: row.__delitem__(index)):
        assert outcome(minidl.nn, act) == outcome(torch.nn, act)


def test_rows_grow_the_same():
    def names(m):
        row = m.Sequential(OrderedDict([("a", m.ReLU()), ("b", m.Tanh())]))
        row.append(m.Sigmoid())
        grown = m.ModuleList([m.ReLU()]).append(m.Tanh()).extend([m.ReLU(), m.Sigmoid()])
        grown.insert(1, m.Identity())
        plain = m.Sequential(m.ReLU()).insert(0, m.Tanh()).insert(-1, m.Identity()).extend([m.Sigmoid()])
        return [[(k, type(v).__name__) for k, v in r._modules.items()] for r in (row, grown, plain)]

    assert names(minidl.nn) == names(torch.nn)


# --- norms whose attributes change ------------------------------------------------------------------------

CHANGES = [
    {"track_running_stats": False},
    {"track_running_stats": True},
    {"momentum": None},
    {"momentum": 0.5},
    {"momentum": 1},
    {"eps": 0.5},
    {"running_mean": None, "running_var": None},
    {"running_mean": None},
    {"running_var": None},
    {"num_batches_tracked": None},
    {"num_batches_tracked": None, "momentum": None},
    {"weight": None},
    {"bias": None},
    {"affine": False},
    {"training": False},
]
MADE = [
    dict(zip(("affine", "track_running_stats", "momentum"), values, strict=True))
    for values in itertools.product([True, False], [True, False], [0.3, None])
]


def history(library, kind, made, changes, training):
    """Outputs and statistics of a forward, a change, two forwards, and one in the other mode."""
    m, tensor = (minidl.nn, minidl.tensor) if library == "minidl" else (torch.nn, torch.tensor)
    rng = np.random.default_rng(0)
    layer = getattr(m, kind)(3, **made).double().train(training)
    found = []
    for step in range(5):
        if step == 1:
            for name, value in changes.items():
                if value is None or not hasattr(layer, name) or getattr(layer, name) is not None:
                    setattr(layer, name, value)
        if step == 4:
            layer.train(not layer.training)
        x = rng.normal(step, 2.0, (2, 3, 4, 3))
        try:
            found.append(layer(tensor(x)).detach().numpy())
        except (ValueError, RuntimeError):
            found.append("refused")
        statistics = (getattr(layer, name) for name in ("running_mean", "running_var", "num_batches_tracked"))
        found.append([None if s is None else s.detach().numpy().copy() for s in statistics])
    return found


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("changes", CHANGES, ids=str)
@pytest.mark.parametrize("kind", ["BatchNorm2d", "InstanceNorm2d"])
def test_a_norm_whose_attributes_change_does_as_torch_s(kind, changes, training):
    for made in MADE:
        ours, theirs = (history(library, kind, made, changes, training) for library in ("minidl", "torch"))
        refused = False
        for a, b in zip(ours, theirs, strict=True):
            assert isinstance(a, str) == isinstance(b, str), (made, a, b)
            if isinstance(a, str):
                refused = True
                continue
            if isinstance(a, np.ndarray):
                np.testing.assert_allclose(
                    a, b, rtol=0, atol=tolerance(np.float64, 120, 10.0), err_msg=str(made)
                )
                continue
            *ours_running, count = a
            *theirs_running, torch_count = b
            for x, y in zip(ours_running, theirs_running, strict=True):
                assert (x is None) == (y is None), made
                if x is not None:
                    np.testing.assert_allclose(x, y, rtol=1e-12, err_msg=str(made))
            if not refused:  # which torch counts all the same
                assert (count is None) == (torch_count is None) and (count is None or count == torch_count), (
                    made
                )


# --- conversions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "step",
    [
        lambda net, dtypes: net.float(),
        lambda net, dtypes: net.double(),
        lambda net, dtypes: net.to(dtypes.float64),
        lambda net, dtypes: net.to("cpu", dtypes.float64, True),
        lambda net, dtypes: net.to(dtype=dtypes.float64, device="cpu"),
        lambda net, dtypes: net.cpu(),
        lambda net, dtypes: net.to(dtypes.int64),
        lambda net, dtypes: net.to(dtypes.bool),
        lambda net, dtypes: net.to(dtypes.float64, "cpu"),
    ],
)
def test_conversions_treat_dtypes_and_gradients_as_torch_does(step):
    def outcome(library):
        m, dtypes = (minidl.nn, np) if library == "minidl" else (torch.nn, torch)
        tensor = minidl.tensor if library == "minidl" else torch.tensor
        net = m.Sequential(m.Linear(2, 2), m.BatchNorm2d(2), m.Linear(2, 2))
        net[2].weight = net[0].weight
        net[2](net[0](tensor([[1.0, 2.0]]))).sum().backward()
        kept = list(net.parameters())
        try:
            step(net, dtypes)
        except TypeError:
            return "TypeError"
        assert all(a is b for a, b in zip(kept, net.parameters(), strict=True))
        assert net[2].weight is net[0].weight
        named = [*net.named_parameters(), *net.named_buffers()]
        return [
            (
                n,
                str(t.dtype).removeprefix("torch."),
                t.grad is None or str(t.grad.dtype).removeprefix("torch."),
            )
            for n, t in named
        ]

    assert outcome("minidl") == outcome("torch")


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning")
@pytest.mark.parametrize(
    ("given", "kernel"), [({"padding": 2}, 3), ({"padding": "same"}, (3, 4)), ({"padding": (1, 0)}, 2)]
)
@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_padding_modes(mode, given, kernel):
    ours = minidl.nn.Conv2d(2, 3, kernel, padding_mode=mode, **given).double()
    theirs = torch.nn.Conv2d(2, 3, kernel, padding_mode=mode, **given).double()
    ours.load_state_dict({name: t.numpy() for name, t in theirs.state_dict().items()})
    x = np.random.default_rng(0).normal(size=(2, 2, 6, 5))
    a, b = minidl.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    ours(a).sum().backward(), theirs(b).sum().backward()
    np.testing.assert_allclose(ours(a).detach().numpy(), theirs(b).detach().numpy(), rtol=0, atol=1e-13)
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=0, atol=1e-13)
