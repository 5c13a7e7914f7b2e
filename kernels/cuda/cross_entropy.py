"""Softmax cross-entropy and its slope on a device; the kernels are in ``cross_entropy.cu``."""

from __future__ import annotations

from typing import Any

from minidl.kernels.cuda.arrays import THREADS, blocks, on_device, pick
from minidl.kernels.cuda.device import namespace
from minidl.kernels.cuda.launch import Module

MODULE = Module("cross_entropy.cu")
FORWARD = ("v1", "v2", "v3")
BACKWARD = ("v1", "v2")


def choose(classes: int, m: int) -> str:
    """The version of the forward for (N, classes, m) logits.

    >>> choose(21, 512 * 512), choose(1000, 1), choose(2, 1)
    ('v2', 'v3', 'v2')
    """
    return "v3" if m == 1 and classes >= 8 else "v2"


def choose_backward(m: int) -> str:
    """The version of the backward: a thread for each pixel where pixels are neighbours.

    >>> choose_backward(512 * 512), choose_backward(1)
    ('v2', 'v1')
    """
    return "v2" if m > 1 else "v1"


@on_device
def forward(
    logits: Any,
    labels: Any,
    valid: Any | None,
    class_weights: Any,
    smoothing: float,
    slope: bool,
    version: str | None = None,
) -> tuple[Any, Any | None]:
    """The losses (N, M) of logits (N, C, M), and with ``slope`` their derivatives by the logits (N, C, M).

    labels are class ids (N, M), valid (N, M) tells which pixels count (None: all); class_weights (C).
    """
    xp, (n, classes, m) = namespace(logits), logits.shape
    version = pick(version, choose(classes, m), FORWARD)
    if version == "v3" and m != 1:
        raise ValueError(f"cross_entropy: version v3 is for one label a sample; here are {m}")
    losses = xp.empty((n, m), logits.dtype)
    slopes = xp.empty(logits.shape, logits.dtype) if slope else None
    if not losses.size:
        return losses, slopes
    real = logits.dtype.type
    of_weights = real(float(class_weights.sum())) if smoothing > 0 else real(0)
    sizes = (n * m, classes) if version == "v3" else (n * m, classes, m)
    grid = blocks(n * m, THREADS // 32 if version == "v3" else THREADS)
    MODULE.launch(
        f"cross_entropy_forward_{version}", grid, THREADS, logits, labels, valid, class_weights,
        losses, slopes, real(smoothing), of_weights, *sizes, like=logits,
    )  # fmt: skip
    return losses, slopes


@on_device
def backward(g: Any, slope: Any, valid: Any | None, version: str | None = None) -> Any:
    """Cotangent g (N, M) of the losses to that of the logits: g · slope, 0 where a pixel does not count."""
    n, classes, m = slope.shape
    version = pick(version, choose_backward(m), BACKWARD)
    dz = namespace(slope).empty(slope.shape, slope.dtype)
    if not dz.size:
        return dz
    count = n * m if version == "v2" else dz.size
    MODULE.launch(
        f"cross_entropy_backward_{version}",
        blocks(count),
        THREADS,
        g,
        slope,
        valid,
        dz,
        count,
        classes,
        m,
        like=g,
    )
    return dz
