"""Activation checkpointing: memory for time (Chen et al. 2016, "Training deep nets with sublinear memory").

A forward keeps what its backward will need, so a deep network's memory grows with its depth. Within
:func:`checkpoint` nothing is kept but the inputs; the backward runs the function again, this time recorded,
and walks back over it. A network of L layers in √L segments then holds √L inputs and the inside of one
segment at a time, for one more forward.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minidl import random
from minidl._tensor import Tensor
from minidl.autograd.function import Function, trial
from minidl.autograd.grad_mode import enable_grad, is_grad_enabled
from minidl.autograd.node import Node, recomputing
from minidl.autograd.walk import cotangents_at


def is_recomputing() -> bool:
    """Whether a checkpointed function is being run for the second time.

    What is to happen once (batch norm's running statistics) is left out then.
    """
    return recomputing.get()


class _Trial:
    """A first run, whose nodes are thrown away; what remains is which outer tensors have a gradient in it."""

    def __init__(self) -> None:
        self.node = Node(Checkpoint, (), ())  # stands for all that is made inside
        self.outer: dict[int, Tensor] = {}

    def __call__(self, inputs: tuple[Any, ...]) -> Node:
        for x in inputs:
            if isinstance(x, Tensor) and x.requires_grad and x._node is not self.node:
                self.outer.setdefault(id(x), x)
        return self.node


class Checkpoint(Function):
    """y = f(x), without memory of how;  the backward computes f again and goes back through it."""

    @staticmethod
    def forward(ctx: Node, *arrays: Any, again: Callable[..., Any], outputs: tuple[Any, ...]) -> Any:
        ctx.save(*arrays, again)  # with what it holds it goes when the node is released
        return outputs

    @staticmethod
    def backward(ctx: Node, *cotangents: Any) -> Any:
        *_, again = ctx.saved  # raises if an input was changed since
        return again(cotangents)


def checkpoint(function: Callable[..., Any], *inputs: Any) -> Any:
    """``function(*inputs)``, with its insides computed again in the backward instead of kept (torch's name).

    Tensors that the function uses without being given them (the parameters of a module) get their gradients
    too. The second run draws the same random numbers as the first.

    Args:
        function: a module or any function that gives a tensor or a tuple of tensors; it must compute the same
            from the same inputs. :func:`minidl.autograd.is_recomputing` tells it that it runs again.
        inputs: what it is called with.

    Raises:
        TypeError: the function gives something that is no tensor.
        RuntimeError: in the backward, if the second run differs from the first in its shapes, an input was
            changed in between, or with ``create_graph=True``; at once, if the function itself asks for
            gradients of what it computes (``backward()``, ``grad()``).

    >>> import minidl
    >>> x = minidl.tensor([1.0, 2.0], requires_grad=True)
    >>> y = minidl.autograd.checkpoint(lambda x: (x * x).exp(), x)
    >>> y.grad_fn
    <CheckpointBackward>
    >>> y.backward(minidl.tensor([1.0, 0.0]))
    >>> x.grad
    tensor([5.436564, 0.      ])
    """
    if not is_grad_enabled():
        return function(*inputs)
    before = random.get_state()
    first = _Trial()
    token = trial.set(first)
    try:
        result = function(*inputs)
    finally:
        trial.reset(token)
    outputs = result if isinstance(result, tuple) else (result,)
    for y in outputs:
        if not isinstance(y, Tensor):
            raise TypeError(f"checkpoint: the function must give tensors, got {type(y).__name__}")
    outer = list(first.outer.values())
    shapes = [y.shape for y in outputs]

    def again(cotangents: tuple[Any, ...]) -> tuple[Any, ...]:
        second = _run_again(function, inputs, before)
        if [y.shape for y in second] != shapes:
            raise RuntimeError(
                f"checkpoint: the function gave shapes {[y.shape for y in second]} when run again for the "
                f"backward, {shapes} before"
            )
        found = cotangents_at(second, outer, cotangents)  # which empties the list: nothing else holds them
        return tuple(None if g is None else g.data for g in found)

    tensors = Checkpoint.apply(*outer, again=again, outputs=tuple(y.data for y in outputs))
    for tensor, y in zip(tensors, outputs, strict=True):
        tensor._version = y._version  # y may be a view of an input: writing to one changes both
    return tensors if isinstance(result, tuple) else tensors[0]


def _run_again(function: Callable[..., Any], inputs: tuple[Any, ...], state: dict[str, Any]) -> list[Any]:
    """What the function gives once more, recorded, with the random numbers of its first run."""
    token, outside = recomputing.set(True), trial.set(None)
    try:
        with enable_grad(), random.replay(state):  # the process's own generator does not move
            result = function(*inputs)
            return list(result) if isinstance(result, tuple) else [result]
    finally:
        trial.reset(outside)
        recomputing.reset(token)
