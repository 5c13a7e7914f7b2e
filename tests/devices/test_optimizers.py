"""Optimizers whose parameters live in several places: each group moves as if each place had its own."""

import itertools
from functools import partial
from typing import Any

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl._device import device_of
from oracles.devices import compiler_or_skip
from oracles.update_rules import adam_by_hand, sgd_by_hand

PLACES = ("cpu", "cuda_sim:0", "cuda_sim:1")
DTYPES = ("float32", "float64")
MAKERS = {
    "SGD": lambda groups: optim.SGD(groups, lr=0.1),
    "SGD with momentum": lambda groups: optim.SGD(groups, lr=0.1, momentum=0.9, weight_decay=0.01),
    "Adam": lambda groups: optim.Adam(groups, lr=0.1, weight_decay=0.01),
    "AdamW": lambda groups: optim.AdamW(groups, lr=0.1),
}
STEPS = 3

pytestmark = pytest.mark.parametrize("backend", ["numpy", "numba"], indirect=True)


def values(number: int, step: int, dtype: str) -> np.ndarray:
    return np.random.default_rng((number, step)).normal(size=(2, 3)).astype(dtype)


def start(number: int, device: str, dtype: str) -> nn.Parameter:
    return nn.Parameter(minidl.tensor(values(number, 0, dtype), device=device))


def walk(optimizer: Any, parameters: dict[int, nn.Parameter]) -> dict[int, np.ndarray]:
    """Where some steps lead; the gradients of a parameter depend on its number alone."""
    for step in range(1, 1 + STEPS):
        for number, p in parameters.items():
            p.grad = minidl.tensor(values(number, step, str(p.dtype)), device=p.device)
        optimizer.step()
    return {number: p.detach().cpu().numpy() for number, p in parameters.items()}


@pytest.mark.parametrize("name", MAKERS)
def test_a_group_may_span_devices_and_dtypes(name: str) -> None:
    """To the bit as parameters alone in their optimizers; whichever comes first, which used to decide."""
    compiler_or_skip()
    where = dict(enumerate(itertools.product(PLACES, DTYPES)))
    alone = {}
    for number, place in where.items():
        p = start(number, *place)
        alone |= walk(MAKERS[name]([p]), {number: p})
    for order in (range(6), range(5, -1, -1), (2, 0, 5, 1, 4, 3)):
        parameters = {number: start(number, *where[number]) for number in order}
        optimizer = MAKERS[name](parameters.values())
        for number, found in walk(optimizer, parameters).items():
            np.testing.assert_array_equal(found, alone[number], strict=True)
            assert str(parameters[number].device) == where[number][0]
        for index, state in optimizer.state.items():
            places = {str(device_of(a)) for a in state.values() if hasattr(a, "strides")}
            assert places <= {where[order[index]][0]}


@pytest.mark.parametrize("name", MAKERS)
def test_a_network_in_two_halves_is_trained(name: str) -> None:
    """On the host and on a device in turn, with the numbers of one on the host alone."""
    compiler_or_skip()

    def losses(second: str) -> list[float]:
        minidl.manual_seed(0)
        halves = nn.Linear(3, 4).double(), nn.Linear(4, 1).double().to(second)
        optimizer = MAKERS[name]([p for half in halves for p in half.parameters()])
        found = []
        for step in range(4):
            optimizer.zero_grad()
            x = minidl.tensor(values(0, step, "float64"))
            loss = (halves[1](halves[0](x).tanh().to(second)) ** 2).mean()
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        return found

    np.testing.assert_allclose(losses("cuda_sim"), losses("cpu"), rtol=1e-12)


def one(device: str) -> nn.Parameter:
    return nn.Parameter(minidl.tensor([1.0, 2.0], device=device))


@pytest.mark.parametrize(("here", "there"), tuple(itertools.permutations(PLACES, 2)))
@pytest.mark.parametrize("name", MAKERS)
def test_a_gradient_from_elsewhere_is_refused_and_nothing_moves(name: str, here: str, there: str) -> None:
    first, second = one("cpu"), one(here)
    optimizer = MAKERS[name]([{"params": [first]}, {"params": [second]}])
    first.grad = minidl.tensor([1.0, 1.0])
    second.grad = minidl.tensor([1.0, 1.0], device=here)
    second.data = second.detach().to(there).data  # the parameter moves, its gradient stays
    message = rf"parameter 1 \(shape \(2,\)\) is on {there}, but its gradient is on {here}; .*backward"
    with pytest.raises(RuntimeError, match=message):
        optimizer.step()
    np.testing.assert_array_equal(first.numpy(), [1, 2])


#: name: (the rule for one number, its options, what is remembered)
RULES = {
    "SGD": (sgd_by_hand, {"lr": 0.1, "momentum": 0.9}, "momentum_buffer"),
    "Adam": (adam_by_hand, {"lr": 0.1}, "exp_avg"),
    "AdamW": (partial(adam_by_hand, decoupled=True), {"lr": 0.1, "weight_decay": 0.1}, "exp_avg"),
}


@pytest.mark.parametrize(("here", "there"), tuple(itertools.permutations(PLACES, 2)))
@pytest.mark.parametrize("kind", RULES)
def test_a_state_that_stayed_behind_is_refused_and_can_be_moved(kind: str, here: str, there: str) -> None:
    compiler_or_skip()
    by_hand, options, remembered = RULES[kind]
    gradients = (2.0, -1.0, 0.5, 3.0)
    layer = nn.Linear(1, 1, bias=False).double().to(here)
    parameter = layer.weight
    with minidl.no_grad():
        parameter.copy_(minidl.tensor([[1.0]], dtype="float64"))
    optimizer = getattr(optim, kind)([parameter], **options)
    path = []
    for step, g in enumerate(gradients):
        if step == 2:
            layer.to(there)
        parameter.grad = minidl.tensor([[g]], dtype="float64", device=parameter.device)
        if step == 2:
            message = (
                rf"{kind}: parameter 0 .* is on {there}, but its {remembered} is on {here}; .*load_state_dict"
            )
            with pytest.raises(RuntimeError, match=message):
                optimizer.step()
            assert parameter.item() == path[-1]
            optimizer.load_state_dict(optimizer.state_dict())
        optimizer.step()
        path.append(parameter.item())
    np.testing.assert_allclose(path, by_hand(1.0, gradients, **options), rtol=1e-13)
