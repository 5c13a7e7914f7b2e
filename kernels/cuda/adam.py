"""One step of Adam or AdamW on a device, for all parameters in one launch; the kernels are in ``adam.cu``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.kernels.cuda import tensors
from minidl.kernels.cuda.arrays import THREADS, blocks, pick
from minidl.kernels.cuda.device import namespace
from minidl.kernels.cuda.launch import Module

#: w, g, m, v and t of one parameter.
Row = tuple[Any, Any, Any, Any, int]

MODULE = Module("adam.cu")
VERSIONS = ("v1", "v2", "v3")


def step(
    rows: Sequence[Row],
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    decoupled: bool,
    version: str | None = None,
) -> None:
    """m ← β₁ m + (1 - β₁) g,  v ← β₂ v + (1 - β₂) g²,  w ← w - lr · m̂ / (√v̂ + eps)."""
    for dtype in dict.fromkeys(row[0].dtype for row in rows):  # one launch for each dtype, in order
        own = [row for row in rows if row[0].dtype == dtype and row[0].size]
        if own:
            with own[0][0].device:
                _step(own, lr, betas, eps, weight_decay, decoupled, version)


def _step(
    rows: Sequence[Row],
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    decoupled: bool,
    version: str | None,
) -> None:
    (beta1, beta2), real = betas, rows[0][0].dtype.type
    prepared = [tensors.in_place(row[:4]) for row in rows]
    arrays = [arranged for arranged, _ in prepared]
    tensors.check("adam.step", arrays)
    shrink = 1 - lr * weight_decay if weight_decay and decoupled else 1.0
    added = 0.0 if decoupled else weight_decay
    own = [(math.sqrt(1 - beta2**t), lr / (1 - beta1**t)) for *_, t in rows]
    first = (real(1 - beta1), real(beta2), real(1 - beta2))
    last = (real(shrink), real(added))
    version = pick(version, tensors.choose(arrays), VERSIONS)
    if version == "v1":
        for row, (root, rate) in zip(arrays, own, strict=True):
            numbers = (*first, real(root), real(eps), real(rate), *last)
            MODULE.launch(
                "adam_step_v1", blocks(row[0].size), THREADS, *row, *numbers, row[0].size, like=row[0]
            )
    else:
        xp, like = namespace(arrays[0][0]), arrays[0][0]
        work = tensors.pieces(xp, [row[0].size for row in arrays])
        table = tensors.table(xp, [(*row, row[0].size) for row in arrays])
        per_row = xp.asarray(np.array(own, real))
        MODULE.launch(
            f"adam_step_{version}", work.total, THREADS, table, per_row, work.tensor, work.piece,
            *first, real(eps), *last, tensors.PIECE, like=like, through=[a for row in arrays for a in row],
        )  # fmt: skip
    for _, copies in prepared:
        for array, copy in copies:
            array[...] = copy
