"""Augmented assignment, ``x += y``: the result takes the place of x, in x's own memory, as in torch.

Every name for x, every view of it and every array that shares its memory sees the new values. Where gradients
are recorded, x becomes the result in the graph, too: what was computed from it before keeps the old values
(or, if those were saved for a backward and are overwritten here, that backward raises).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minidl._arrays import require_memory_of_its_own
from minidl._device import on
from minidl._tensor import Tensor
from minidl.autograd import is_grad_enabled
from minidl.ops._elementwise import KINDS, cast
from minidl.ops._out import into


def in_place(sign: str, operation: Callable[..., Tensor], x: Tensor, other: Any) -> Tensor:
    """``operation(x, other)`` written into x, which is returned.

    Raises:
        RuntimeError: x is a leaf that requires a gradient (outside of :class:`minidl.no_grad`), the change
            would have to be recorded for other views of the same memory, too, or the dtype of x cannot hold
            the result.
        ValueError: the result has another shape than x.

    >>> import minidl
    >>> weight = minidl.tensor([1.0, 2.0], requires_grad=True)
    >>> same = weight
    >>> with minidl.no_grad():
    ...     weight -= 0.5
    >>> same is weight, same
    (True, tensor([0.5, 1.5], requires_grad=True))
    """
    needs = x.requires_grad or (isinstance(other, Tensor) and other.requires_grad)
    if needs and is_grad_enabled():
        return _recorded(sign, operation, x, other)
    return into(sign, x, operation(x, other))


def _recorded(sign: str, operation: Callable[..., Tensor], x: Tensor, other: Any) -> Tensor:
    _refuse_what_is_not_recorded(sign, x)
    require_memory_of_its_own(sign, "the tensor", x.data)
    from minidl.kernels import memory

    box, x.data = [x.data], None
    try:
        alone = memory.is_nobody_elses(box)
    finally:
        x.data = box.pop()
    with on(x.data):
        before = Tensor(x.data if alone else x.data.copy())
    before._node, before._index, before._requires_grad = x._node, x._index, x._requires_grad
    result = operation(before, other)
    if result.shape != x.shape:
        raise ValueError(f"{sign}: the result has shape {result.shape}, the tensor {x.shape}")
    if KINDS[result.dtype.kind] > KINDS[x.dtype.kind]:
        raise RuntimeError(f"{sign}: a result of {result.dtype} does not fit into a tensor of {x.dtype}")
    result = cast(result, x.dtype)
    if alone:
        x.data = result.data  # nobody can tell the difference, and nothing is copied
    else:
        with on(x.data):
            x.data[...] = result.data
        x.mark_changed()
    _take_place(x, result)
    return x


def _refuse_what_is_not_recorded(sign: str, x: Tensor) -> None:
    if x._node is None and x.requires_grad:
        raise RuntimeError(
            f"{sign}: a leaf that requires a gradient cannot be changed in place while gradients are"
            " recorded; do it within minidl.no_grad(), or build a new tensor: x = x + y"
        )
    if x._version.has_other_users(x):
        raise RuntimeError(
            f"{sign}: other tensors are views of this one's memory (or it is a view of theirs), and for them"
            " the change is not recorded; build a new tensor: x = x + y"
        )


def _take_place(x: Tensor, result: Tensor) -> None:
    """Let x be where the result is in the graph; hooks stay where they were, at the value before."""
    keeps = x._retains_grad
    if keeps and x._node is not None:
        x._node.kept[x._index].remove(x._keep)
    x._node, x._index, x._requires_grad, x._retains_grad = result._node, result._index, True, False
    if keeps:
        x.retain_grad()
