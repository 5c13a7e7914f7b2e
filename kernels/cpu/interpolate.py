"""Resampling as a weighted gather, channels in vectors (backend ``"numba"``).

The reference resizes along H, writes that, and resizes along W. Here each output pixel is summed from its
one, four or sixteen pixels in a register and written once (``kernels/cpu/pixels.py``); the neighbours'
pixels are in the cache. The adjoint has the transposed matrices, and gathers as well: each pixel asks which
outputs read it. For a doubling with ``nearest`` that is the sum of 2x2 pixels of g.

The sums of an output pixel run row by row, those of the reference along each row first: with several pixels
the results may differ in their last bit.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from minidl.kernels.cpu import pixels
from minidl.kernels.cpu.pixels import DTYPES, Matrix
from minidl.kernels.layout import channels_last
from minidl.kernels.reference import interpolate as reference

Array = np.ndarray[Any, Any]
Key = tuple[tuple[bytes, bytes | None], ...]
#: (index, weight) pairs; weight is None where it is one everywhere.
Taps = tuple[tuple[Array, Array | None], ...]


@channels_last
def forward(x: Array, vertical: Taps, horizontal: Taps) -> Array:
    """x (N, C, H, W) to (N, C, OH, OW)."""
    if x.dtype not in DTYPES:
        return reference.forward(x, vertical, horizontal)
    return pixels.gather(x, _matrix(vertical), _matrix(horizontal))


def backward(g: Array, x_shape: tuple[int, ...], vertical: Taps, horizontal: Taps) -> Array:
    """Cotangent g (N, C, OH, OW) to that of x."""
    if g.dtype not in DTYPES:
        return reference.backward(g, x_shape, vertical, horizontal)
    return pixels.gather(
        pixels.with_gaps(g), _adjoint(vertical, x_shape[2]), _adjoint(horizontal, x_shape[3])
    )


def _matrix(taps: Taps) -> Matrix:
    """The taps row by row: every row has one entry of each tap."""
    return _of_bytes(_key(taps))


def _adjoint(taps: Taps, size: int) -> Matrix:
    """The transposed matrix, for an axis of ``size`` pixels."""
    return _transposed(_key(taps), size)


def _key(taps: Taps) -> Key:
    """The taps as what a table can be asked for: a network resizes by the same matrices in every step."""
    return tuple((index.tobytes(), None if weight is None else weight.tobytes()) for index, weight in taps)


@functools.lru_cache(maxsize=64)
def _of_bytes(key: Key) -> Matrix:
    index = np.stack([np.frombuffer(i, np.int64) for i, _ in key], axis=1)
    weight = np.ones(index.shape)
    for column, (_, given) in enumerate(key):
        if given is not None:
            weight[:, column] = np.frombuffer(given)
    return Matrix(np.arange(len(index) + 1) * len(key), index.reshape(-1), weight.reshape(-1))


@functools.lru_cache(maxsize=64)
def _transposed(key: Key, size: int) -> Matrix:
    return pixels.transpose(_of_bytes(key), size)
