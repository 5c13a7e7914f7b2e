"""Forward hooks: when they run, what they may replace, and how they go away."""

from __future__ import annotations

import minidl
from minidl import nn


def double():
    """A module that doubles, and a list of what its hooks saw."""
    m = nn.Linear(1, 1, bias=False)
    m.load_state_dict({"weight": [[2.0]]})
    return m, []


def x(value=3.0):
    return minidl.tensor([[value]])


def test_a_forward_hook_sees_the_module_its_inputs_and_its_output():
    m, seen = double()
    m.register_forward_hook(lambda module, inputs, output: seen.append((module, inputs, output)))
    given = x()
    y = m(given)
    ((module, inputs, output),) = seen
    assert module is m and output is y and len(inputs) == 1 and inputs[0] is given
    assert y.item() == 6.0


def test_a_pre_hook_runs_before_forward():
    m, seen = double()
    m.register_forward_pre_hook(lambda module, inputs: seen.append("before"))
    m.register_forward_hook(lambda module, inputs, output: seen.append("after"))
    forward = m.forward
    m.forward = lambda given: (seen.append("forward"), forward(given))[1]
    m(x())
    assert seen == ["before", "forward", "after"]


def test_what_a_hook_returns_replaces_input_and_output():
    m, seen = double()
    m.register_forward_pre_hook(lambda module, inputs: inputs[0] + 1)
    m.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].item()))
    m.register_forward_hook(lambda module, inputs, output: output * 10)
    m.register_forward_hook(lambda module, inputs, output: output + 0.5)
    assert m(x()).item() == 80.5  # ((3 + 1) * 2) * 10 + 0.5, in the order of registration
    assert seen == [4.0], "a forward hook sees the inputs as the pre-hooks left them"


def test_a_pre_hook_may_return_all_inputs_as_a_tuple():
    class Add(nn.Module):
        def forward(self, a, b, scale=1.0):
            return (a + b) * scale

    m = Add()
    m.register_forward_pre_hook(lambda module, inputs: (inputs[1], inputs[1]))
    assert m(x(1.0), x(5.0), scale=2.0).item() == 20.0


def test_removal_of_one_hook_leaves_the_others():
    m, seen = double()
    handles = [m.register_forward_hook(lambda *_, name=name: seen.append(name)) for name in "abc"]
    handles[1].remove()
    m(x())
    assert seen == ["a", "c"]
    handles[1].remove()  # a second time is no error
    handles[0].remove()
    handles[2].remove()
    m(x())
    assert seen == ["a", "c"]


def test_the_same_hook_twice_runs_twice_and_is_removed_once():
    m, seen = double()

    def hook(module, inputs, output):
        seen.append(1)

    first = m.register_forward_hook(hook)
    m.register_forward_hook(hook)
    m(x())
    assert len(seen) == 2
    first.remove()
    m(x())
    assert len(seen) == 3


def test_a_hook_may_remove_itself_while_it_runs():
    m, seen = double()
    handle = m.register_forward_hook(lambda *_: (seen.append(1), handle.remove())[1])
    m.register_forward_hook(lambda *_: seen.append(2))
    m(x())
    m(x())
    assert seen == [1, 2, 2]


def test_hooks_of_an_inner_module_run_too_and_forward_alone_runs_none():
    inner, seen = double()
    m = nn.Sequential(inner, nn.ReLU())
    inner.register_forward_hook(lambda *_: seen.append("inner"))
    m.register_forward_hook(lambda *_: seen.append("outer"))
    m(x())
    assert seen == ["inner", "outer"]
    inner.forward(x())
    assert seen == ["inner", "outer"]


def test_gradients_flow_through_what_a_hook_put_in():
    m, _ = double()
    m.register_forward_hook(lambda module, inputs, output: output * output)
    given = minidl.tensor([[3.0]], requires_grad=True)
    m(given).backward()
    assert given.grad.item() == 24.0  # d (2x)² / dx = 8x
