"""3x3 convolution by Winograd's minimal filtering: a quarter of the multiplications (Lavin and Gray 2015).

A picture is cut into tiles of n x n pixels, n = m + 2, that overlap by two; each gives m x m outputs. With
the matrices of ``cook_toom.py``, X a tile, W a filter, ⊙ the element-wise product:

    forward          Y  = Aᵀ [ Σ_c (G W Gᵀ) ⊙ (Bᵀ X B) ] A  + β
    backward_data    a forward: the cotangents are the picture, the filters turned by 180 degrees
    backward_weight  dW = Gᵀ [ Σ_tiles (Bᵀ X B) ⊙ (A G_y Aᵀ) ] G           (``winograd_weight.py``)

The ⊙ and its sum over channels are, for each of the n·n numbers of a tile, a product of matrices: (tiles x C)
times (C x K); backward_weight's is (C x tiles) times (tiles x K). So the arithmetic runs at the speed of a
matrix product and there is less of it: 36 multiplications for 16 outputs instead of 144 with m = 4.

**Blocks.** The transformed input of a whole layer is 2.25 times the input. It is never whole: a block of
tiles is transformed, multiplied and transformed back while it is in the second-level cache.

**Fused.** Bias and ReLU are applied as the tiles are written; the ReLU's backward as tiles are read (the
output tells where it was 0). The input may come in two parts instead of concatenated, the second one doubled
by nearest upsampling: what a U-Net's decoder does. See ``winograd_tiles.py``.

**Pieces.** The transformed filters take four times the room of the filters: 144 MiB for 1,024 channels to
1,024, as much as the arrays of a whole stage. So many are made, and multiplied, in pieces of some filters;
the picture is transformed anew for each, which costs little: where channels are many, pixels are few.

**Rounding.** Transforms subtract large numbers; the error grows with m. ``benchmarks/accuracy.py`` measures
it.

**Not finite.** An infinity in a tile makes all of its outputs NaN, not only those whose window holds it. So
these functions give None where an output is not finite, and the caller computes directly instead.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.kernels import memory, threads
from minidl.kernels.cpu import winograd_tiles
from minidl.kernels.cpu.products import ROWS
from minidl.kernels.cpu.vectors import lanes_of

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]

#: Bytes of transformed tiles that a thread works on at once: they stay in the second-level cache with room to
#: spare.
BLOCK_BYTES = 400_000
#: Tiles in a block, at least and at most. All blocks read all transformed weights: where these are more than
#: WEIGHT_BYTES, beyond what a second-level cache holds, that cost is spread over more tiles. (Measured with
#: blocks of 12 to 144 tiles of the documents' U-Net's layers; within a tenth, it matters little.)
LEAST_TILES, MOST_TILES, WEIGHT_BYTES = 2 * ROWS, 16 * ROWS, 4_000_000
#: Transformed filters are made in pieces of no more bytes than that: 256 filters of 1,024 channels.
PIECE_BYTES = 40_000_000
#: A piece has a multiple of so many filters: whole vectors of either dtype.
LEAST_FILTERS = 2 * lanes_of(4)


def forward(
    x: Array,
    weight: Array,
    bias: Array | None,
    out: Pair,
    padding: Pair,
    m: int,
    second: Array | None = None,
    doubled: bool = False,
    relu: bool = False,
) -> Array | None:
    """x (N, C, H, W), weight (K, C, 3, 3), bias (K) or None to y (N, K, OH, OW), all pictures channels-last.

    Args:
        second: (N, C1, H, W), further channels of the input; (N, C1, H/2, W/2) with ``doubled``.
        relu: give max(0, y).

    Returns:
        y, or None if it is not finite everywhere.
    """
    parts = (x.shape[1], 0 if second is None else second.shape[1], weight.shape[0], 0)
    y = memory.empty_channels_last((x.shape[0], weight.shape[0], *out), x.dtype)
    fine = _convolve(
        (x, second), None, weight, False, bias, (y, None), x.shape[2:], padding, m, parts, doubled, relu
    )
    return y if fine else None


def backward_data(
    g: Array,
    weight: Array,
    x_shape: tuple[int, ...],
    padding: Pair,
    m: int,
    z: Array | None = None,
    split: int | None = None,
    doubled: bool = False,
) -> Any:
    """Cotangent g (N, K, OH, OW) to that of x (N, C, H, W).

    Args:
        z: the output of the ReLU that followed; g counts only where it is above 0.
        split: channels of the first part of x, where x was given in two. Then a pair is returned.
        doubled: the second part was doubled; its cotangent is (N, C - split, H/2, W/2).

    Returns:
        dx or (dx, dx of the second part); None if it is not finite everywhere.
    """
    n, c, h, w = x_shape
    first = c if split is None else split
    dx = memory.empty_channels_last((n, first, h, w), g.dtype)
    half = 2 if doubled else 1
    rest = (
        None if split is None else memory.empty_channels_last((n, c - first, h // half, w // half), g.dtype)
    )
    parts = (g.shape[1], 0, first, c - first)
    turned = (2 - padding[0], 2 - padding[1])
    fine = _convolve(
        (g, None), z, weight, True, None, (dx, rest), g.shape[2:], turned, m, parts, doubled, False
    )
    if not fine:
        return None
    return dx if rest is None else (dx, rest)


def _convolve(
    pictures: tuple[Array, Array | None],
    z: Array | None,
    weight: Array,
    turned: bool,
    bias: Array | None,
    outputs: tuple[Array, Array | None],
    size: tuple[int, ...],
    padding: Pair,
    m: int,
    parts: tuple[int, int, int, int],
    doubled: bool,
    relu: bool,
) -> bool:
    """Whether all outputs are finite; ``outputs`` are filled."""
    per_filter = (m + 2) ** 2 * (parts[0] + parts[1]) * weight.itemsize
    whole = [((0, parts[2]), (0, parts[3]))]
    if per_filter * (parts[2] + parts[3]) > PIECE_BYTES:
        whole = [(piece, (0, 0)) for piece in pieces_of(parts[2], per_filter)]
        whole += [((0, 0), piece) for piece in pieces_of(parts[3], per_filter)]
    fine = [
        _convolve_piece(
            pictures, z, weight, turned, bias, outputs, size, padding, m, parts, piece, doubled, relu
        )
        for piece in whole
    ]
    return all(fine)


def pieces_of(filters: int, bytes_of_each: int) -> list[Pair]:
    """Filters first ... last - 1 of each piece: nearly equal ones, of at most PIECE_BYTES or a few vectors.

    >>> pieces_of(1024, 36 * 1024 * 4), pieces_of(64, 36 * 64 * 4), pieces_of(0, 1)
    ([(0, 256), (256, 512), (512, 768), (768, 1024)], [(0, 64)], [])
    """
    count = max(LEAST_FILTERS, PIECE_BYTES // max(1, bytes_of_each))
    count = -(-filters // -(-filters // count)) if filters else 1
    count = -(-count // LEAST_FILTERS) * LEAST_FILTERS  # whole vectors
    return [(first, min(filters, first + count)) for first in range(0, filters, count)]


def _convolve_piece(
    pictures: tuple[Array, Array | None],
    z: Array | None,
    weight: Array,
    turned: bool,
    bias: Array | None,
    outputs: tuple[Array, Array | None],
    size: tuple[int, ...],
    padding: Pair,
    m: int,
    parts: tuple[int, int, int, int],
    piece: tuple[Pair, Pair],
    doubled: bool,
    relu: bool,
) -> bool:
    """The same for some channels of the first and of the second part of the outputs."""
    x, y = pictures[0], outputs[0]
    (first, last), (second, end) = piece
    strides, from_filter = parts[2:], first if last else parts[2] + second
    parts = (parts[0], parts[1], last - first, end - second)
    lanes, workers, planes = lanes_of(x.itemsize), threads.get_num_threads(), (m + 2) ** 2
    vectors, k_vectors = vectors_of(parts[:2], lanes), vectors_of(parts[2:], lanes)
    sizes = block_sizes(
        *(m, x.shape, y.shape, padding, parts, strides, doubled, z, vectors + k_vectors, lanes, x.itemsize)
    )
    many_weights = planes * sum(parts[:2]) * sum(parts[2:]) * x.itemsize > WEIGHT_BYTES
    sizes[1] = evenly(int(sizes[2]), int(sizes[1]), workers, many_weights)
    U = transformed_weights(weight, m, parts, turned, from_filter)
    padded_bias = np.zeros(k_vectors * lanes, x.dtype)
    if bias is not None:
        padded_bias[: parts[2]] = bias[first:last]
    block = sum(planes * plane_of(sizes[1], v, lanes) for v in (vectors, k_vectors)) + (planes + 1) * lanes
    works = memory.work_space((workers, block), x.dtype)
    seen = works[:, planes * lanes : (planes + 1) * lanes]
    seen[...] = 0
    low = x.dtype.type(0 if relu else -np.inf)
    threads.deal(
        *(
            winograd_tiles.convolve,
            -(-sizes[2] // sizes[1]),
            sizes,
            flat_of(x),
            flat_of(pictures[1], x),
        ),
        *(
            flat_of(z, x),
            U,
            padded_bias,
            low,
            flat_of(y)[first:],
            flat_of(outputs[1], x)[second:],
            works,
        ),
    )
    return not np.isnan(seen).any()


def transformed_weights(
    weight: Array, m: int, parts: tuple[int, int, int, int], turned: bool, from_filter: int = 0
) -> Array:
    """U = G w Gᵀ as the products read it; ``turned`` by 180 degrees, inputs and outputs exchanged.

    Args:
        weight: all filters.
        parts: channels of the two inputs, and of the two outputs that are wanted, ``from_filter`` on.
    """
    lanes, workers = lanes_of(weight.itemsize), threads.get_num_threads()
    vectors, k_vectors = vectors_of(parts[:2], lanes), vectors_of(parts[2:], lanes)
    U = memory.work_space(((m + 2) ** 2 * vectors * lanes * k_vectors * lanes,), weight.dtype)
    by_first, by_second = weight.shape[1] * 9, 9
    by_filter, by_channel = (by_second, by_first) if turned else (by_first, by_second)
    strides = np.array((by_filter, by_channel, 8 if turned else 0), np.int64)
    taps = memory.empty((workers, 9 * lanes), weight.dtype)
    flat = weight.reshape(-1)[from_filter * by_filter :]
    arguments = (flat, U, np.array(parts, np.int64), strides, taps)
    threads.deal(winograd_tiles.transform_weights, k_vectors, m, *arguments)
    return U


def block_sizes(
    m: int,
    x_shape: tuple[int, ...],
    y_shape: tuple[int, ...],
    padding: Pair,
    parts: tuple[int, int, int, int],
    strides: tuple[int, ...],
    doubled: bool,
    z: Array | None,
    vectors: int,
    lanes: int,
    itemsize: int,
) -> Array:
    """What the compiled functions ask to know, as one array: see the unpacking there.

    ``strides``: how far apart the pixels of the two outputs (or of g) lie; ``parts`` has the channels of them
    that are looked at.
    """
    TH, TW = -(-y_shape[2] // m), -(-y_shape[3] // m)
    tiles = x_shape[0] * TH * TW
    per_tile = (m + 2) ** 2 * vectors * lanes * itemsize
    weights = (m + 2) ** 2 * (parts[0] + parts[1]) * (parts[2] + parts[3]) * itemsize
    least = LEAST_TILES if weights <= WEIGHT_BYTES else 2 * LEAST_TILES
    T = min(MOST_TILES, max(least, BLOCK_BYTES // per_tile // ROWS * ROWS))
    T = min(T, max(1, -(-tiles // ROWS)) * ROWS)
    return np.array(
        (m, T, tiles, TH, TW, *x_shape[2:], *padding, *y_shape[2:], *parts, *strides, doubled, z is not None),
        np.int64,
    )


def evenly(tiles: int, most: int, workers: int, many_weights: bool) -> int:
    """Tiles of a block, a multiple of ROWS and at most ``most``, with which all threads are done the soonest.

    Reading the weights takes a block about as long as some tiles do. (No bit of an output depends on it.)

    >>> evenly(16, 2 * ROWS, 2, False) == ROWS, evenly(1024, 4 * ROWS, 2, False) == 4 * ROWS
    (True, True)
    """
    weights = ROWS * 2 if many_weights else ROWS // 2

    def rounds(T: int) -> int:
        return math.ceil(math.ceil(tiles / T) / workers)

    return min(range(most, 0, -ROWS), key=lambda T: rounds(T) * (T + weights))


def vectors_of(channels: tuple[int, ...], lanes: int) -> int:
    """Vectors that the channels of some pictures take, each picture's beginning with a vector of its own."""
    return sum(-(-c // lanes) for c in channels)


def plane_of(T: int, vectors: int, lanes: int) -> int:
    """Numbers from one plane of T transformed tiles to the next: an odd number of vectors."""
    return (int(vectors * T) | 1) * lanes


def flat_of(picture: Array | None, like: Array | None = None) -> Array:
    """A channels-last picture as one row of numbers; an empty one of the same dtype for none."""
    if picture is None:
        assert like is not None
        return np.empty(0, like.dtype)
    return picture.transpose(0, 2, 3, 1).reshape(-1)
