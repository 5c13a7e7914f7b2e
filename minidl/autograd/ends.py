"""Where a walk begins and where it ends: the first cotangents, and the gradients that leaves collect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl import dispatch
from minidl._arrays import require_memory_of_its_own
from minidl._device import CPU, device_of, known_there, move, on, place_of
from minidl._differentiable import check_gradient
from minidl._masks import host
from minidl._tensor import Tensor
from minidl.autograd.function import is_of_a_trial
from minidl.kernels.layout import copied_as


def require_graph(operation: str, tensor: Tensor) -> None:
    """Raise unless there is a graph to walk from (or to) the tensor."""
    if not tensor.requires_grad:
        raise RuntimeError(
            f"{operation}: this tensor does not require a gradient and was not computed from one that does"
        )
    if is_of_a_trial(tensor):
        raise RuntimeError(
            f"{operation}: within a function given to checkpoint() there is no graph to walk, since its "
            f"first run keeps none; call {operation} outside of it, or the function without checkpoint()"
        )


def is_one_in_a_list(cotangents: Any) -> bool:
    """Whether this is a list of one cotangent, other than a cotangent that is itself written as a list."""
    if not isinstance(cotangents, list | tuple) or len(cotangents) != 1:
        return False
    return cotangents[0] is None or hasattr(cotangents[0], "shape")


def seeds_of(operation: str, outputs: Sequence[Tensor], given: Any, create_graph: bool) -> list[Any]:
    """The cotangent to start with at each output, from one, several, or none at all.

    Raises:
        ValueError: not as many cotangents as outputs.
    """
    single = given is None or isinstance(given, Tensor) or hasattr(given, "strides")
    cotangents = [given] * (len(outputs) if given is None else 1) if single else list(given)
    if len(cotangents) != len(outputs):
        raise ValueError(f"{operation}: {len(cotangents)} cotangents for {len(outputs)} outputs")
    return [seed_of(operation, y, g, create_graph) for y, g in zip(outputs, cotangents, strict=True)]


def seed_of(operation: str, tensor: Tensor, gradient: Any, create_graph: bool) -> Any:
    """The cotangent to start with: an array, with ``create_graph`` a tensor."""
    xp = dispatch.array_module(tensor.data)
    if gradient is None:
        if tensor.data.size != 1:
            raise RuntimeError(
                f"{operation}: a tensor of shape {tensor.shape} is no scalar; pass the gradient, "
                "an array of that shape"
            )
        with on(tensor.data):
            gradient = xp.ones_like(tensor.data)
    shape = tuple(gradient.shape) if hasattr(gradient, "shape") else np.shape(gradient)
    if shape != tensor.shape:
        raise RuntimeError(f"{operation}: gradient of shape {shape} for a tensor of shape {tensor.shape}")
    if not create_graph:
        array = gradient.data if isinstance(gradient, Tensor) else _there(gradient, tensor)
        place_of(lambda: operation, (tensor.data, array))
        with on(array), np.errstate(all="ignore"):  # too large for the dtype: infinite
            return array.astype(tensor.dtype, copy=False)
    gradient = gradient if isinstance(gradient, Tensor) else Tensor(_there(gradient, tensor))
    return gradient if gradient.dtype == tensor.dtype else gradient.astype(tensor.dtype)


def _there(gradient: Any, tensor: Tensor) -> Any:
    """Numbers and host arrays as an array where the tensor lives."""
    array = host("a gradient", gradient) if device_of(gradient) == CPU else gradient
    if array.dtype.kind not in "fiub":
        raise TypeError(f"a gradient must hold real numbers, got {array.dtype}")
    return move(known_there(array, tensor.dtype, tensor.device), tensor.device)


def accumulate(leaf: Tensor, box: list[Any]) -> None:
    """Add to a leaf's gradient what is in the box. The gradient lies in memory as the leaf does."""
    if leaf.grad is None:
        leaf.grad = owned(box, leaf.data)
        return
    check_gradient(
        "backward: the .data of a leaf was replaced; set its .grad to None", leaf.grad.data, leaf.data
    )
    if isinstance(box[0], Tensor):
        leaf.grad = leaf.grad + box[0]
    elif leaf.grad.requires_grad:  # it is part of a graph, which must not change
        with on(leaf.data):
            leaf.grad = Tensor(leaf.grad.data + box[0])
    else:
        require_memory_of_its_own("backward", "a leaf's .grad", leaf.grad.data)
        with on(leaf.data):
            leaf.grad.data += box[0]
        leaf.grad.mark_changed()


def owned(box: list[Any], like: Any) -> Tensor:
    """A gradient as a tensor that shares its memory with nothing, in the memory order and dtype of ``like``.

    It is copied only if it must be: where something else may still look at it, or it lies otherwise.
    """
    from minidl.kernels import memory  # here: `import minidl` makes no arrays and does without the pool

    if isinstance(box[0], Tensor):
        return box[0].clone()
    if (
        memory.is_nobody_elses(box)
        and box[0].dtype == like.dtype
        and box[0].flags.writeable
        and memory.in_order_of(box[0], like)
    ):
        return Tensor(box[0])
    if isinstance(like, np.ndarray):
        return Tensor(copied_as(box[0], like))
    with on(like):
        copy = dispatch.array_module(like).empty_like(like)
        copy[...] = box[0]
    return Tensor(copy)
