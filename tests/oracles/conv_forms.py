"""E11, the backward of a convolution, in its literal forms: each step of the recipe is one small function.

None of this computes a derivative by perturbation, and none of it is the library's code: the three forms
must agree with the library's backward because the mathematics says so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oracles import loops

Array = NDArray[np.float64]
Pair = tuple[int, int]


def spread(plane: Array, step: Pair) -> Array:
    """Put step - 1 zeros between neighbouring values of the last two axes."""
    H, W = plane.shape[-2:]
    out = np.zeros((*plane.shape[:-2], (H - 1) * step[0] + 1, (W - 1) * step[1] + 1))
    for i, j in np.ndindex(H, W):
        out[..., i * step[0], j * step[1]] = plane[..., i, j]
    return out


def bias_gradient(g: Array) -> Array:
    """dL/dbias[k] = sum_{n,i,j} g[n,k,i,j]."""
    total = np.zeros(g.shape[1])
    for n, k, i, j in np.ndindex(g.shape):
        total[k] += g[n, k, i, j]
    return total


def input_gradient(
    g: Array, w: Array, x_shape: tuple[int, ...], stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """Zeros between the values of g, w dilated, a full convolution, the padding cropped, the rest 0."""
    N, C, H, W = x_shape
    K = g.shape[1]
    spread_g, spread_w = spread(g, stride), spread(w, dilation)
    padded = np.zeros((N, C, H + 2 * padding[0], W + 2 * padding[1]))
    for n, k, c in np.ndindex(N, K, C // groups):
        channel = (k // (K // groups)) * (C // groups) + c
        full = loops.document_convolution(spread_g[n, k], spread_w[k, c])
        padded[n, channel, : full.shape[0], : full.shape[1]] += full
    return padded[:, :, padding[0] : padding[0] + H, padding[1] : padding[1] + W]


def weight_gradient(
    g: Array, x: Array, w_shape: tuple[int, ...], stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """The cross-correlation of x with g, g's values standing `stride` apart, read every `dilation` pixels."""
    K, per_group, R, S = w_shape
    spread_g = spread(g, stride)
    dw = np.zeros(w_shape)
    for n, k, c in np.ndindex(x.shape[0], K, per_group):
        channel = (k // (K // groups)) * per_group + c
        plane = x[None, None, n, channel]
        correlation = loops.conv2d(plane, spread_g[None, None, n, k], None, 1, padding)[0, 0]
        for u, v in np.ndindex(R, S):
            dw[k, c, u, v] += correlation[u * dilation[0], v * dilation[1]]
    return dw


def im2col_gradients(
    g: Array, x: Array, w: Array, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> tuple[Array, Array]:
    """(dX, dW) = (col2im(W^T G), G X_col^T), group by group, with the loops' own unfold and fold."""
    N, _, H, W = x.shape
    K, per_group, R, S = w.shape
    per_filters = K // groups
    dx, dw = np.zeros(x.shape), np.zeros(w.shape)
    for q in range(groups):
        channels, filters = (
            slice(q * per_group, (q + 1) * per_group),
            slice(q * per_filters, (q + 1) * per_filters),
        )
        columns = loops.unfold(x[:, channels], (R, S), dilation, padding, stride)
        rows = w[filters].reshape(per_filters, per_group * R * S)
        flat_g = g[:, filters].reshape(N, per_filters, -1)
        for n in range(N):
            dw[filters] += (flat_g[n] @ columns[n].T).reshape(per_filters, per_group, R, S)
            back = (rows.T @ flat_g[n])[None]
            dx[n, channels] = loops.fold(back, (H, W), (R, S), dilation, padding, stride)[0]
    return dx, dw
