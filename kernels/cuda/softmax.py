"""Softmax and its logarithm on a device (backend ``"cuda"``); the kernels are in ``softmax.cu``."""

from __future__ import annotations

import math
from typing import Any

from minidl.kernels.cuda.arrays import THREADS, blocks, on_device, pick
from minidl.kernels.cuda.device import namespace
from minidl.kernels.cuda.launch import Module

MODULE = Module("softmax.cu")
FORWARD = ("v1", "v2", "v3", "v4")
BACKWARD = ("v1", "v2", "v3")
#: Lines that a block of THREADS takes at a time: a thread, a warp or the block for each.
_EACH = {"thread": THREADS, "warp": THREADS // 32, "block": 1}
_WHO = {
    "forward": {"v1": "thread", "v2": "thread", "v3": "warp", "v4": "block"},
    "backward": {"v1": "thread", "v2": "warp", "v3": "block"},
}


def choose(extent: int, inner: int) -> str:
    """The version of the forward for lines of ``extent`` numbers that lie ``inner`` apart.

    >>> choose(21, 512 * 512), choose(1000, 1), choose(50000, 1), choose(2, 1)
    ('v2', 'v3', 'v4', 'v2')
    """
    if inner > 1 or extent < 8:
        return "v2"
    return "v3" if extent < 4096 else "v4"


def choose_backward(extent: int, inner: int) -> str:
    """The version of the backward.

    >>> choose_backward(21, 512 * 512), choose_backward(1000, 1), choose_backward(50000, 1)
    ('v1', 'v2', 'v3')
    """
    return {"v2": "v1", "v3": "v2", "v4": "v3"}[choose(extent, inner)]


@on_device
def forward(z: Any, axis: int, version: str | None = None) -> Any:
    """p = e^(z - max z) / Σ e^(z - max z)."""
    return _run("forward", "softmax_forward", (z,), axis, version)


@on_device
def backward(g: Any, p: Any, axis: int, version: str | None = None) -> Any:
    """p ⊙ (g - Σ g p)."""
    return _run("backward", "softmax_backward", (g, p), axis, version)


@on_device
def log_forward(z: Any, axis: int, version: str | None = None) -> Any:
    """log p = (z - max z) - log Σ e^(z - max z)."""
    return _run("forward", "softmax_log_forward", (z,), axis, version)


@on_device
def log_backward(g: Any, log_p: Any, axis: int, version: str | None = None) -> Any:
    """g - p Σ g."""
    return _run("backward", "softmax_log_backward", (g, log_p), axis, version)


def _run(direction: str, kernel: str, arrays: tuple[Any, ...], axis: int, version: str | None) -> Any:
    like = arrays[0]
    result = namespace(like).empty(like.shape, like.dtype)
    if not result.size:
        return result
    extent, inner = like.shape[axis], math.prod(like.shape[axis % like.ndim + 1 :])
    chosen = (choose if direction == "forward" else choose_backward)(extent, inner)
    version = pick(version, chosen, FORWARD if direction == "forward" else BACKWARD)
    who = _WHO[direction][version]
    if who != "thread" and inner > 1:
        raise ValueError(f"{kernel}: version {version} is for contiguous lines; these lie {inner} apart")
    lines = like.size // extent
    sizes = (lines, extent, inner) if who == "thread" else (lines, extent)
    MODULE.launch(
        f"{kernel}_{version}", blocks(lines, _EACH[who]), THREADS, *arrays, result, *sizes, like=like
    )
    return result
