"""Hooks on gradients: what they see, what they may return, in which order they run, as in torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minidl

LIBRARIES = {"torch": torch, "minidl": minidl}
GRAD = {"torch": torch.autograd.grad, "minidl": minidl.autograd.grad}


def values(x):
    return None if x is None else np.asarray(x.detach()).tolist()


def outcome(library, scenario, *args):
    """What a scenario gives, or the kind of error that it raises."""
    try:
        return scenario(LIBRARIES[library], GRAD[library], *args)
    except (RuntimeError, TypeError, ZeroDivisionError) as error:
        return type(error).__name__


def tensor_and_hooked(lib, where):
    """A leaf of two ones, and what the hook is put on: the leaf, or what was computed from it."""
    x = lib.ones(2, requires_grad=True)
    return x, x if where == "leaf" else x * 3


RETURNS = {
    "None": lambda lib, g: None,
    "a gradient": lambda lib, g: g * 10,
    "the gradient changed in place": lambda lib, g: g.__imul__(3),
    "another shape": lambda lib, g: lib.ones(3),
    "a shape that broadcasts": lambda lib, g: lib.ones(1),
    "another number of dimensions": lambda lib, g: lib.ones(2, 1),
    "no dimensions": lambda lib, g: g.sum(),
    "another dtype": lambda lib, g: g.double(),
    "integers": lambda lib, g: lib.tensor([1, 2]),
    "a number": lambda lib, g: 2.0,
    "a list": lambda lib, g: [1.0, 2.0],
    "an array": lambda lib, g: np.ones(2, np.float32),
    "a tuple": lambda lib, g: (g,),
    "an error": lambda lib, g: 1 // 0,
}


@pytest.mark.parametrize("way", ["backward", "grad", "create_graph"])
@pytest.mark.parametrize("where", ["leaf", "node"])
@pytest.mark.parametrize("returns", list(RETURNS))
def test_what_a_hook_returns(returns, where, way):
    def scenario(lib, grad):
        x, y = tensor_and_hooked(lib, where)
        y.register_hook(lambda g: RETURNS[returns](lib, g))
        loss = (y * y).sum()
        if way == "backward":
            loss.backward()
            return values(x.grad)
        return values(grad(loss, x, create_graph=way == "create_graph")[0])

    expected = outcome("torch", scenario)
    assert outcome("minidl", scenario) == expected
    assert isinstance(expected, str) == (list(RETURNS).index(returns) > 2)


@pytest.mark.parametrize("registered", ["before", "between", "after"])
@pytest.mark.parametrize("where", ["leaf", "node"])
def test_several_hooks_and_retain_grad(where, registered):
    def scenario(lib, grad):
        x, y = tensor_and_hooked(lib, where)
        seen = []
        steps = [
            lambda: y.register_hook(lambda g: [seen.append(values(g)), g * 2][1]),
            lambda: y.register_hook(lambda g: [seen.append(values(g)), g + 1][1]),
        ]
        steps.insert(["before", "between", "after"].index(registered), y.retain_grad)
        for step in steps:
            step()
        for _ in range(2):
            (y * y).sum().backward(retain_graph=True)
        return seen, values(x.grad), values(y.grad) if where == "node" else None

    assert outcome("minidl", scenario) == outcome("torch", scenario)


@pytest.mark.parametrize("what", ["removes itself", "removes the next", "removes the one before", "adds one"])
@pytest.mark.parametrize("where", ["leaf", "node"])
def test_hooks_that_change_while_they_run(where, what):
    def scenario(lib, grad):
        x, y = tensor_and_hooked(lib, where)
        seen, handles = [], {}

        def middle(g):
            seen.append("middle")
            if what == "adds one":
                y.register_hook(lambda g: seen.append("new"))
            else:
                names = {
                    "removes itself": "middle",
                    "removes the next": "last",
                    "removes the one before": "first",
                }
                handles[names[what]].remove()

        for name, hook in (("first", lambda g: seen.append("first")), ("middle", middle)):
            handles[name] = y.register_hook(hook)
        handles["last"] = y.register_hook(lambda g: seen.append("last"))
        loss = (y * y).sum()
        for _ in range(2):
            loss.backward(retain_graph=True)
        return seen, values(x.grad)

    assert outcome("minidl", scenario) == outcome("torch", scenario)


def test_hooks_in_grad():
    """Those of the inputs and of what lies between run; ``.grad`` is left alone where nobody retains it."""

    def scenario(lib, grad, target):
        x = lib.ones(2, requires_grad=True)
        y = x * 3
        z = y * y
        seen = []
        for name, tensor in (("x", x), ("y", y), ("z", z)):
            tensor.register_hook(lambda g, name=name: [seen.append((name, values(g))), g * 2][1])
        y.retain_grad()
        (gradient,) = grad(z.sum(), {"x": x, "y": y, "z": z}[target])
        return seen, values(gradient), values(x.grad), values(y.grad)

    for target in "xyz":
        assert outcome("minidl", scenario, target) == outcome("torch", scenario, target), target


def test_a_hook_that_raises_leaves_the_gradients_of_before():
    def scenario(lib, grad):
        x = lib.ones(2, requires_grad=True)
        x.register_hook(lambda g: 1 // 0)
        try:
            (x * x).sum().backward()
        except ZeroDivisionError:
            return values(x.grad)

    assert outcome("minidl", scenario) == outcome("torch", scenario) is None


@pytest.mark.parametrize("position", ["forward_pre_hook", "forward_hook"])
@pytest.mark.parametrize("what", ["None", "another", "raises", "removes the next"])
def test_hooks_on_modules(position, what):
    def scenario(lib, grad):
        nn = lib.nn
        model, seen, handles = nn.Sequential(nn.Identity(), nn.ReLU()), [], []
        layer = model[0]

        def hook(module, inputs, output=None):
            seen.append([values(x) for x in inputs])
            if what == "raises":
                raise ZeroDivisionError
            if what == "removes the next":
                handles[1].remove()
            return {"another": (inputs[0] if output is None else output) * 2}.get(what)

        register = getattr(layer, f"register_{position}")
        handles += [register(hook), register(lambda *a: seen.append("next"))]
        results = [values(model(lib.ones(2))) for _ in range(2)]
        return seen, results

    assert outcome("minidl", scenario) == outcome("torch", scenario)


def test_a_hook_that_changes_its_gradient_in_place_changes_no_others():
    """torch lets it, and warns against it: there the other factor's gradient may change, too."""
    x, y = (minidl.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    x.register_hook(lambda g: g.__imul__(10))
    (x + y).sum().backward()
    assert values(x.grad) == [10.0, 10.0]
    assert values(y.grad) == [1.0, 1.0]


BACKWARDS = {
    "as it should": lambda lib, g: g * 2,
    "None": lambda lib, g: None,
    "float64": lambda lib, g: g * np.float64(2) if lib is np else g.double() * 2,
    "integers": lambda lib, g: (g * 2).astype(np.int64) if lib is np else (g * 2).long(),
    "another shape": lambda lib, g: lib.ones(3),
    "a number": lambda lib, g: 2.0,
}


@pytest.mark.parametrize("gives", list(BACKWARDS))
def test_what_a_backward_of_ones_own_gives(gives):
    class InTorch(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return BACKWARDS[gives](torch, g)

    class InMinidl(minidl.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return BACKWARDS[gives](np, g)

    def scenario(lib, grad):
        x = lib.ones(2, requires_grad=True)
        (InTorch if lib is torch else InMinidl).apply(x).sum().backward()
        return values(x.grad), None if x.grad is None else str(x.grad.dtype).rpartition(".")[2]

    mine, theirs = outcome("minidl", scenario), outcome("torch", scenario)
    assert mine == theirs or (gives == "a number" and mine == "TypeError" and theirs == "RuntimeError")
