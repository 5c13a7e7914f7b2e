"""Gradients that are forgotten before the next walk: what ``zero_grad`` of modules and optimizers does."""

from __future__ import annotations

from collections.abc import Iterable

from minidl._arrays import write
from minidl._device import on
from minidl._tensor import Tensor
from minidl.dispatch import array_module


def clear_gradients(tensors: Iterable[Tensor], set_to_none: bool = True) -> None:
    """Forget the gradients of these tensors.

    Args:
        tensors: those whose ``.grad`` is cleared.
        set_to_none: ``.grad`` becomes None; else a gradient that is there becomes zeros, in its own memory
            (unless it is part of a graph, which must not change).

    >>> import minidl
    >>> x = minidl.tensor([1.0, 2.0], requires_grad=True)
    >>> x.sum().backward()
    >>> clear_gradients([x], set_to_none=False); x.grad
    tensor([0., 0.])
    """
    for tensor in tensors:
        gradient = tensor.grad
        if gradient is None or set_to_none:
            tensor.grad = None
        elif gradient.requires_grad:
            with on(gradient.data):
                tensor.grad = Tensor(array_module(gradient.data).zeros_like(gradient.data))
        else:
            write("zero_grad", gradient.data, 0)
            gradient.mark_changed()
