"""How a mistake is described and planted."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import minidl
from minidl.autograd import Function
from minidl.autograd.walk import _Walk
from oracles.checks import central_difference, cotangent_for

Array = NDArray[np.float64]

#: (right backward, ctx, cotangents of the outputs) to cotangents of the inputs.
Wrong = Callable[..., Any]

GRADCHECK, LOOPS, TORCH = "gradcheck", "loops", "torch"


class MinidlFunctions:
    """minidl.ops, with `tensor` beside it; the same line of code then works with torch's functions."""

    def __getattr__(self, name: str) -> Any:
        return getattr(minidl.ops, name)

    @staticmethod
    def tensor(array: NDArray[Any]) -> minidl.Tensor:
        return minidl.tensor(array)


@dataclass(frozen=True)
class Mistake:
    """One wrong backward and what notices it."""

    operation: str  # public name
    what: str  # the mistake, in words
    line: Callable[..., Any]  # (F, *tensors) to a tensor: the operation, in minidl and in torch
    arrays: tuple[Array, ...]
    oracle: Callable[..., Any]  # the same values, from literal loops
    function: str  # class of the operation; "" for the walk over the tape
    wrong: Any  # its backward; for the walk a subclass of it
    caught: tuple[str, ...] = (GRADCHECK, LOOPS, TORCH)
    ones_miss: bool = False  # a cotangent of all ones does not notice
    slope: Callable[..., Array] | None = (
        None  # (g, *arrays) to the gradient of the first, where there are ties
    )

    @property
    def name(self) -> str:
        return f"{self.operation}: {self.what}"

    @property
    def ones_see(self) -> bool:
        """Whether a cotangent of all ones notices; where values tie there are no slopes to compare with."""
        return not self.ones_miss and self.slope is None

    def fn(self, *tensors: minidl.Tensor) -> minidl.Tensor:
        result = self.line(MinidlFunctions(), *tensors)
        assert isinstance(result, minidl.Tensor)
        return result


@contextlib.contextmanager
def planted(mistake: Mistake) -> Iterator[None]:
    """Within this block the operation's backward (or the walk) is the wrong one."""
    if not mistake.function:
        with _replaced(minidl.autograd.walk, "_Walk", mistake.wrong):
            yield
        return
    function = _function(mistake.function)
    right = function.backward

    def backward(ctx: Any, *cotangents: Any) -> Any:
        return mistake.wrong(right, ctx, *cotangents)

    with _replaced(function, "backward", staticmethod(backward)):
        yield


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    own = name in vars(owner)
    before = vars(owner).get(name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)


def _function(name: str) -> type[Function]:
    """The operation's class."""
    classes, found = [Function], []
    while classes:
        cls = classes.pop()
        classes += cls.__subclasses__()
        if cls.__name__ == name and cls.__module__.startswith("minidl."):
            found.append(cls)
    (only,) = found
    return only


class With:
    """A ctx as another would have it: other saved arrays, other options."""

    def __init__(self, ctx: Any, **changed: Any) -> None:
        self._ctx = ctx
        self.__dict__.update(changed)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ctx, name)


class Walk(_Walk):
    """The walk over the tape, for subclasses that get it wrong."""


# ---------------------------------------------------------------------------------------------------------
# The checks
# ---------------------------------------------------------------------------------------------------------


def leaves(arrays: tuple[Array, ...]) -> list[minidl.Tensor]:
    return [minidl.tensor(a, requires_grad=True) for a in arrays]


def gradcheck_passes(mistake: Mistake) -> bool:
    """`minidl.gradcheck`, whose cotangents are random."""
    return _passes(lambda: minidl.gradcheck(mistake.fn, leaves(mistake.arrays)))


def ones_pass(mistake: Mistake) -> bool:
    """The operation's own slopes as in gradcheck, but along a cotangent of all ones."""

    def values(*arrays: Array) -> Array:
        with minidl.no_grad():
            return np.asarray(mistake.fn(*(minidl.tensor(a) for a in arrays)).numpy())

    return _passes(lambda: _slopes_agree(mistake, values, np.ones(values(*mistake.arrays).shape)))


def loops_pass(mistake: Mistake) -> bool:
    """The gradient against the slopes of literal loops, or, where there are ties, against the loops' own."""

    def check() -> bool:
        expected = np.asarray(mistake.oracle(*mistake.arrays))
        g = cotangent_for(expected)
        if mistake.slope is None:
            return _slopes_agree(mistake, mistake.oracle, g)
        y, (gradient,) = gradients(mistake, g)
        wanted = mistake.slope(g, *mistake.arrays)
        return np.array_equal(y, expected) and np.allclose(gradient, wanted, rtol=0, atol=1e-10)

    return _passes(check)


def gradients(mistake: Mistake, g: Array) -> tuple[Array, list[Array]]:
    """Values and gradients by an ordinary backward."""
    inputs = leaves(mistake.arrays)
    y = mistake.fn(*inputs)
    y.backward(minidl.tensor(g))
    found = [np.zeros(t.shape) if t.grad is None else t.grad.numpy() for t in inputs]
    return y.detach().numpy(), found


def _slopes_agree(mistake: Mistake, oracle: Callable[..., Any], g: Array) -> bool:
    """The gradients against differences of the oracle: along random directions, which see every element."""
    rng = np.random.default_rng(0)
    for position, gradient in enumerate(gradients(mistake, g)[1]):
        for _ in range(4):
            v = rng.normal(size=gradient.shape)
            slope, error = central_difference(oracle, mistake.arrays, position, g, v)
            if abs(float(np.vdot(gradient, v)) - slope) > error:
                return False
    return True


def _passes(check: Callable[[], bool]) -> bool:
    """A check notices by saying no, by failing, or because the tape refuses what the backward gives."""
    try:
        return check()
    except (AssertionError, RuntimeError, ValueError):
        return False


# ---------------------------------------------------------------------------------------------------------
# Numbers to put in
# ---------------------------------------------------------------------------------------------------------


def some(*shape: int, seed: int = 0) -> Array:
    """Any numbers, none near 0."""
    x = np.random.default_rng([seed, *shape]).normal(size=shape)
    return np.asarray(x + 0.2 * np.sign(x))


def apart(*shape: int, seed: int = 0) -> Array:
    """Numbers that are all different by 0.1 at least."""
    count = int(np.prod(shape))
    return np.random.default_rng([seed, *shape]).permutation(count).reshape(shape) / 10 - count / 20
