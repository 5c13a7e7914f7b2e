"""The confusion matrix on a device (backend ``"cuda"``); the kernels are in ``confusion.cu``."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.cuda.arguments import MAX_SHARED
from minidl.kernels.cuda.arrays import THREADS, blocks, on_device, pick
from minidl.kernels.cuda.device import namespace
from minidl.kernels.cuda.launch import Module

MODULE = Module("confusion.cu")
VERSIONS = ("v1", "v2")


def shared_bytes(num_classes: int) -> int:
    """What version 2 needs for a block's own counts."""
    return (num_classes**2 + 2) * 4


def choose(num_classes: int) -> str:
    """Counts in shared memory, as long as a few blocks fit a multiprocessor.

    >>> choose(2), choose(32), choose(200)
    ('v2', 'v2', 'v1')
    """
    return "v2" if shared_bytes(num_classes) <= MAX_SHARED // 3 else "v1"


@on_device
def matrix(
    truth: Any, prediction: Any, num_classes: int, ignore_index: int | None, version: str | None = None
) -> tuple[Any, Any]:
    """How often true class i was predicted as class j, (K, K), and how many ids of either were no class (2).

    Pixels whose truth is ``ignore_index`` are left out.
    """
    xp = namespace(truth)
    counts = xp.zeros((num_classes, num_classes), xp.uint64)
    outside = xp.zeros(2, xp.uint64)
    if truth.size:
        version = pick(version, choose(num_classes), VERSIONS)
        shared = shared_bytes(num_classes) if version == "v2" else 0
        ids = (truth.astype(np.int64, copy=False), prediction.astype(np.int64, copy=False))
        ignored = np.iinfo(np.int64).min if ignore_index is None else ignore_index
        MODULE.launch(
            f"confusion_{version}", blocks(truth.size), THREADS, *ids, counts, outside,
            truth.size, num_classes, ignored, like=truth, shared_bytes=shared,
        )  # fmt: skip
    return counts.astype(np.int64), outside.astype(np.int64)
