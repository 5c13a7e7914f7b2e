"""Hooks on gradients: who sees a cotangent on its way, and what they may put in its place.

A hook gets the whole gradient of a tensor, summed over all paths, and may return another of the same shape,
dtype and device: the walk goes on with that, into kernels that rely on it. Hooks run in the order in which
they were registered; what ``retain_grad()`` keeps is what all of them have made of it, as in torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minidl._handles import Hook, HookHandle
from minidl._tensor import Tensor
from minidl.autograd.node import Node


def run_hooks(hooks: dict[HookHandle, Hook] | None, cotangent: Any) -> Any:
    """What the hooks make of a cotangent: an array as an array, a tensor (``create_graph``) as a tensor.

    Those that are registered at the beginning run, even if one of them removes another.

    Raises:
        RuntimeError: a hook returned a gradient of another shape, dtype or device.
        TypeError: a hook returned something that is neither a tensor nor None.
    """
    for hook in list((hooks or {}).values()):
        cotangent = _run(hook, cotangent)
    return cotangent


def _run(hook: Hook, cotangent: Any) -> Any:
    if isinstance(cotangent, Tensor):
        replaced = hook(cotangent)
        return cotangent if replaced is None else _checked(hook, replaced, cotangent)
    # The same array may be the cotangent of several tensors. A hook that changes it in place changes a copy.
    seen = Tensor(cotangent.copy())
    before = seen._version.value
    replaced = hook(seen)
    if replaced is not None:
        return _checked(hook, replaced, seen).data
    return cotangent if seen._version.value == before else _checked(hook, seen, seen).data


def _checked(hook: Hook, replaced: Any, gradient: Tensor) -> Tensor:
    """What the hook returned, if it can stand in for the gradient."""
    name = getattr(hook, "__name__", type(hook).__name__)
    if not isinstance(replaced, Tensor):
        raise TypeError(
            f"hook {name!r}: must return a tensor or None, got {type(replaced).__name__}"
            f" for the gradient of shape {gradient.shape}"
        )
    for what, was, now in (
        ("shape", gradient.shape, replaced.shape),
        ("dtype", gradient.dtype, replaced.dtype),
        ("device", gradient.device, replaced.device),
    ):
        if was != now:
            raise RuntimeError(
                f"hook {name!r}: returned a gradient of {what} {now} in place of one of {what} {was};"
                f" it must keep the {what}"
            )
    return replaced


def hooked(node: Node, cotangents: list[Any | None]) -> list[Any | None]:
    """The cotangents of a node's outputs after the hooks on these, then seen by those that keep them."""
    for index, cotangent in enumerate(cotangents):
        if cotangent is None:
            continue
        if index in node.hooks:
            cotangents[index] = cotangent = run_hooks(node.hooks[index], cotangent)
        for keep in node.kept.get(index, ()):
            keep(cotangent)
    return cotangents


def fitting(name: Callable[[], str], position: int, cotangent: Any, shape: Any, dtype: Any) -> Any:
    """A cotangent that a backward gave for an input of this shape and dtype, in that dtype.

    Raises:
        RuntimeError: it has another shape.
        TypeError: it is no array (with ``create_graph`` no tensor).
    """
    if cotangent.__class__ in (float, int, bool) or not hasattr(cotangent, "dtype"):
        raise TypeError(
            f"{name()}: gradient {position} must be an array of shape {shape}, or None; "
            f"got {type(cotangent).__name__}"
        )
    if cotangent.shape != shape:
        raise RuntimeError(
            f"{name()}: gradient {position} has shape {cotangent.shape}, "
            f"but input {position} has shape {shape}"
        )
    return cotangent if cotangent.dtype == dtype else cotangent.astype(dtype)
