"""What normalisation computes between its passes over memory, and whole images at once.

The sums that ``normalize_loops.py`` takes of the pieces become statistics, or sums, of each image's groups
and then factors for each channel. Where there are many images with statistics of their own, a thread takes an
image through all three steps, and finds in its cache what it has just read.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.cpu import compiled
from minidl.kernels.cpu.normalize_loops import affine, gradient, statistics, sums

Array = np.ndarray[Any, Any]


@compiled
def merge(
    begin: int, end: int, worker: int, means: Array, squares: Array, weight: Array, bias: Array,
    mean: Array, var: Array, inv_std: Array, centre: Array, scale: Array, shift: Array,
    groups: int, eps: float, chunks: int, chunk: int, rows: int, C: int,
) -> None:  # fmt: skip
    """Statistics of each image's groups from those of its pieces; from them, the factors of ``affine``."""
    channels = weight.size
    wide, group_size = channels // groups, rows * (C // groups)
    for image in range(begin, end):
        for group in range(groups):
            at, first = image * groups + group, image * chunks * C + group * wide
            middle = 0.0
            for k in range(chunks):
                some = 0.0
                for j in range(first + k * C, first + (k + 1) * C, channels):
                    for i in range(j, j + wide):
                        some += means[i]
                middle += some * min(chunk, rows - k * chunk)
            middle /= group_size
            whole = 0.0
            for k in range(chunks):
                n = min(chunk, rows - k * chunk)
                for j in range(first + k * C, first + (k + 1) * C, channels):
                    for i in range(j, j + wide):
                        whole += squares[i] + n * (means[i] - middle) ** 2
            mean[at], var[at], inv_std[at] = middle, whole / group_size, 1 / np.sqrt(whole / group_size + eps)
            for j in range(group * wide, C, channels):
                for i in range(wide):
                    place = image * C + j + i
                    centre[place], shift[place] = mean[at], bias[group * wide + i]
                    scale[place] = inv_std[at] * weight[group * wide + i]


@compiled
def gather(
    begin: int, end: int, worker: int, totals: Array, moments: Array, weight: Array, inv_std: Array,
    total: Array, moment: Array, by_g: Array, by_x: Array, shift: Array,
    groups: int, chunks: int, chunk: int, rows: int, C: int,
) -> None:  # fmt: skip
    """The sums of each image's channels from those of its pieces; from them, the factors of ``gradient``.

    With h = γ g and x̂ = s (x - μ): dx = s (h - mean h - x̂ mean(h x̂)), so that x - μ has the factor
    -s² mean(h x̂), where mean(h x̂) = s mean(h (x - μ)).
    """
    channels = weight.size
    wide, group_size = channels // groups, rows * (C // groups)
    for image in range(begin, end):
        for c in range(channels):
            sum_g, sum_gx = 0.0, 0.0
            for i in range(image * chunks * C + c, (image + 1) * chunks * C, channels):
                sum_g += totals[i]
                sum_gx += moments[i]
            total[image * channels + c], moment[image * channels + c] = sum_g, sum_gx
        for group in range(groups):
            s = np.float64(inv_std[image * groups + group])
            mean_h, mean_hx = 0.0, 0.0
            for c in range(group * wide, (group + 1) * wide):
                mean_h += weight[c] * total[image * channels + c]
                mean_hx += weight[c] * s * moment[image * channels + c]
            mean_h /= group_size
            mean_hx /= group_size
            for j in range(group * wide, C, channels):
                for i in range(wide):
                    place = image * C + j + i
                    by_g[place], by_x[place] = weight[group * wide + i] * s, -s * s * mean_hx
                    shift[place] = -s * mean_h


@compiled
def forward(
    begin: int, end: int, worker: int, x: Array, y: Array, weight: Array, bias: Array,
    means: Array, squares: Array, mean: Array, var: Array, inv_std: Array,
    centre: Array, scale: Array, shift: Array, groups: int, eps: float, far: bool,
    chunks: int, chunk: int, rows: int, C: int,
) -> None:  # fmt: skip
    """Whole images, one after the other."""
    images = x.size // (rows * C)
    for image in range(begin, end):
        first, turn = image * chunks, (images - 1 - image) * chunks
        statistics(first, first + chunks, worker, x, means, squares, chunks, chunk, rows, C)
        merge(
            image, image + 1, worker, means, squares, weight, bias, mean, var, inv_std, centre, scale, shift,
            groups, eps, chunks, chunk, rows, C,
        )  # fmt: skip
        affine(turn, turn + chunks, worker, x, y, centre, scale, shift, far, chunks, chunk, rows, C)


@compiled
def backward(
    begin: int, end: int, worker: int, g: Array, x: Array, dx: Array, centre: Array,
    totals: Array, moments: Array, weight: Array, inv_std: Array, total: Array, moment: Array,
    by_g: Array, by_x: Array, shift: Array, groups: int, far: bool,
    chunks: int, chunk: int, rows: int, C: int,
) -> None:  # fmt: skip
    """Whole images, one after the other."""
    images = x.size // (rows * C)
    for image in range(begin, end):
        first, turn = image * chunks, (images - 1 - image) * chunks
        sums(first, first + chunks, worker, g, x, centre, totals, moments, chunks, chunk, rows, C)
        gather(
            image, image + 1, worker, totals, moments, weight, inv_std, total, moment, by_g, by_x, shift,
            groups, chunks, chunk, rows, C,
        )  # fmt: skip
        gradient(
            turn, turn + chunks, worker, g, x, dx, centre, by_g, by_x, shift, far, chunks, chunk, rows, C
        )  # fmt: skip
