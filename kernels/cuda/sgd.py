"""One step of SGD on a device, for all parameters in one launch; the kernels are in ``sgd.cu``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidl.kernels.cuda import tensors
from minidl.kernels.cuda.arrays import THREADS, blocks, pick
from minidl.kernels.cuda.device import namespace
from minidl.kernels.cuda.launch import Module

#: w, g, u (None without momentum) of one parameter, and whether u has no value yet.
Row = tuple[Any, Any, Any | None, bool]

MODULE = Module("sgd.cu")
VERSIONS = ("v1", "v2", "v3")


def step(
    rows: Sequence[Row],
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    version: str | None = None,
) -> None:
    """g ← g + weight_decay w;  u ← momentum u + (1 - dampening) g (at first u = g);  w ← w - lr u.

    With ``nesterov`` w ← w - lr (g + momentum u), without momentum w ← w - lr g.
    """
    for dtype in dict.fromkeys(row[0].dtype for row in rows):  # one launch for each dtype, in order
        own = [row for row in rows if row[0].dtype == dtype and row[0].size]
        if own:
            real = dtype.type
            numbers = (real(lr), real(momentum), real(1 - dampening), real(weight_decay))
            with own[0][0].device:
                _step(own, numbers, bool(nesterov), version)


def _step(rows: Sequence[Row], numbers: tuple[Any, ...], nesterov: bool, version: str | None) -> None:
    prepared = [tensors.in_place(row[:3]) for row in rows]
    arrays = [arranged for arranged, _ in prepared]
    tensors.check("sgd.step", arrays)
    version = pick(version, tensors.choose(arrays), VERSIONS)
    if version == "v1":
        for row, (*_, first) in zip(arrays, rows, strict=True):
            count = row[0].size
            arguments = (*row, *numbers, bool(first), nesterov, count)
            MODULE.launch("sgd_step_v1", blocks(count), THREADS, *arguments, like=row[0])
    else:
        xp, like = namespace(arrays[0][0]), arrays[0][0]
        work = tensors.pieces(xp, [row[0].size for row in arrays])
        described = [(*row, row[0].size, first) for row, (*_, first) in zip(arrays, rows, strict=True)]
        MODULE.launch(
            f"sgd_step_{version}", work.total, THREADS, tensors.table(xp, described), work.tensor, work.piece,
            *numbers, nesterov, tensors.PIECE, like=like,
            through=[a for row in arrays for a in row if a is not None],
        )  # fmt: skip
    for _, copies in prepared:
        for array, copy in copies:
            array[...] = copy
