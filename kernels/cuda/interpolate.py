"""Resampling on a device (backend ``"cuda"``); the kernels are in ``interpolate.cu``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.kernels.cuda.arrays import REALS, THREADS, TILE, blocks, image_grid, on_device, pick
from minidl.kernels.cuda.device import namespace
from minidl.kernels.cuda.launch import Module

#: (index, weight) pairs, host arrays; weight is None where it is one everywhere.
Taps = tuple[tuple[Any, Any], ...]

MODULE = Module("interpolate.cu")
FORWARD = ("v1", "v2", "v3")
BACKWARD = ("v1", "v2")


def choose(vertical: Taps, horizontal: Taps) -> str:
    """The version of the forward: a copy for one tap without weight, registers for up to four taps.

    >>> nearest, linear = ((np.arange(3), None),), ((np.arange(3), np.ones(3)),) * 2
    >>> choose(nearest, nearest), choose(linear, linear), choose(linear * 3, linear)
    ('v3', 'v2', 'v1')
    """
    if all(len(taps) == 1 and taps[0][1] is None for taps in (vertical, horizontal)):
        return "v3"
    return "v2" if max(len(vertical), len(horizontal)) <= 4 else "v1"


@on_device
def forward(x: Any, vertical: Taps, horizontal: Taps, version: str | None = None) -> Any:
    """x (N, C, H, W) to (N, C, OH, OW)."""
    xp, planes, (h, w) = namespace(x), x.shape[0] * x.shape[1], x.shape[2:]
    out = len(vertical[0][0]), len(horizontal[0][0])
    if x.dtype not in REALS:  # bytes, by nearest only
        rows, columns = (xp.asarray(taps[0][0]) for taps in (vertical, horizontal))
        return x.take(rows, axis=2).take(columns, axis=3)
    version = pick(version, choose(vertical, horizontal), FORWARD)
    y = xp.empty((*x.shape[:2], *out), x.dtype)
    if not y.size:
        return y
    v_index, v_weight = _tables(xp, vertical, x.dtype)
    h_index, h_weight = _tables(xp, horizontal, x.dtype)
    name, grid, sizes = f"interpolate_forward_{version}", image_grid(planes, *out), (h, w, *out)
    # Versions 2 and 3 loop over planes, not over rows: the grid has all rows.
    grid = (grid[0], -(-out[0] // TILE[1]), grid[2])
    tables = (v_index, v_weight, h_index, h_weight, len(vertical), len(horizontal))
    if version == "v1":
        MODULE.launch(name, blocks(y.size), THREADS, x, y, *tables, y.size, *sizes, like=x)
    elif version == "v2":
        MODULE.launch(name, grid, TILE, x, y, *tables, planes, *sizes, like=x)
    else:
        MODULE.launch(name, grid, TILE, x, y, v_index, h_index, planes, *sizes, like=x)
    return y


@on_device
def backward(
    g: Any, x_shape: tuple[int, ...], vertical: Taps, horizontal: Taps, version: str | None = None
) -> Any:
    """Cotangent g (N, C, OH, OW) to that of x."""
    xp, (h, w) = namespace(g), x_shape[2:]
    version = pick(version, "v2", BACKWARD)
    if not g.size or not math.prod(x_shape):
        return xp.zeros(x_shape, g.dtype)
    name = f"interpolate_backward_{version}"
    if version == "v1":
        dx = xp.zeros(x_shape, g.dtype)
        tables = (*_tables(xp, vertical, g.dtype), *_tables(xp, horizontal, g.dtype))
        sizes = (len(vertical), len(horizontal), g.size, h, w, *g.shape[2:])
        MODULE.launch(name, blocks(g.size), THREADS, g, dx, *tables, *sizes, like=g)
        return dx
    dx = xp.empty(x_shape, g.dtype)
    lists = (*_readers(xp, vertical, h, g.dtype), *_readers(xp, horizontal, w, g.dtype))
    MODULE.launch(name, blocks(dx.size), THREADS, g, dx, *lists, dx.size, h, w, *g.shape[2:], like=g)
    return dx


def _tables(xp: Any, taps: Taps, dtype: Any) -> tuple[Any, Any]:
    """Index and weight of all taps, (taps, outputs); None for weights that are one everywhere."""
    index = np.stack([np.asarray(index) for index, _ in taps]).astype(np.int32)
    weights = _weights(taps, dtype)
    return xp.asarray(index), None if weights is None else xp.asarray(weights)


def _weights(taps: Taps, dtype: Any) -> Any:
    if all(weight is None for _, weight in taps):
        return None
    return np.stack([np.ones(len(i)) if weight is None else weight for i, weight in taps]).astype(dtype)


def _readers(xp: Any, taps: Taps, size: int, dtype: Any) -> tuple[Any, Any, Any]:
    """Who reads each pixel: where its list begins (size + 1), and the lists' outputs and weights.

    A sparse matrix transposed: sorted by pixel, and within one, by tap and output.
    """
    index = np.concatenate([np.asarray(index) for index, _ in taps])
    order = np.argsort(index, kind="stable")
    start = np.zeros(size + 1, np.int32)
    np.cumsum(np.bincount(index, minlength=size), out=start[1:])
    outputs = np.tile(np.arange(len(taps[0][0]), dtype=np.int32), len(taps))[order]
    weights = _weights(taps, dtype)
    weights = None if weights is None else xp.asarray(weights.reshape(-1)[order])
    return xp.asarray(start), xp.asarray(outputs), weights
