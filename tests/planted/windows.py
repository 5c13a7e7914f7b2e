"""Mistakes in operations that look through windows: convolution, pooling, resampling."""

from __future__ import annotations

import numpy as np

from oracles import loops, pool_loops, resize_loops
from planted.planting import LOOPS, TORCH, Mistake, With, apart, some

X, W, BIAS = some(2, 2, 5, 5), some(2, 2, 3, 3, seed=1), some(2, seed=2)
GROUPED = some(4, 1, 3, 3, seed=3)
PLANE = apart(1, 1, 4, 4)
TIED = np.array([[[[1.0, 2.0, 2.0], [2.0, 2.0, 0.0], [1.0, 2.0, 2.0]]]])


def options(ctx, **changed):
    """The ctx of a convolution with other options."""
    return With(ctx, options={**ctx.options, **changed})


def _flipped(right, ctx, g):
    x, w = ctx.saved
    return right(With(ctx, saved=(x, w[:, :, ::-1, ::-1].copy())), g)


def _exchanged(right, ctx, g):
    x, w = ctx.saved
    return right(With(ctx, saved=(x, w.transpose(1, 0, 2, 3).copy())), g)


def _ignored(**changed):
    """dw as if an option were not there; its windows begin at the same pixel."""

    def wrong(right, ctx, g):
        dx, _, *rest = right(ctx, g)
        return dx, right(options(ctx, **changed), g)[1], *rest

    return wrong


def _other_group(right, ctx, g):
    dx, dw, *rest = right(ctx, g)
    return dx, dw[::-1].copy(), *rest


def _one_pixel_off(right, ctx, g):
    dx, *rest = right(ctx, g)
    return np.roll(dx, 1, axis=3), *rest


def _bias_mean(right, ctx, g):
    dx, dw, db = right(ctx, g)
    return dx, dw, db / g.shape[0]


def _first_image_only(right, ctx, g):
    dx, dw, _ = right(ctx, g)
    return dx, dw, g[0].sum(axis=(1, 2))


def conv(**given):
    return lambda F, x, w: F.conv2d(x, w, **given), lambda x, w: loops.conv2d(x, w, **given)


def convolution(what, wrong, w=W, **given):
    line, oracle = conv(**given)
    return Mistake("conv2d", what, line, (X if w is W else some(2, 2, 5, 5), w), oracle, "Conv2d", wrong)


def _pool_slope(g, x):
    """E2's backward, the first maximum in row-major order: literal loops."""
    dx = np.zeros(x.shape)
    for n, c, i, j in np.ndindex(g.shape):
        window = [(x[n, c, i + u, j + v], -u, -v) for u in range(2) for v in range(2)]
        _, u, v = max(window)
        dx[n, c, i - u, j - v] += g[n, c, i, j]
    return dx


def _last_maximum(right, ctx, g, *_):
    (tap,) = ctx.saved
    last = np.zeros(tap.shape, tap.dtype)
    for n, c, i, j in np.ndindex(g.shape):
        window = [(TIED[n, c, i + u, j + v], 2 * u + v) for u in range(2) for v in range(2)]
        last[n, c, i, j] = max(window)[1]
    return right(With(ctx, saved=(last,)), g)


def _assigned(right, ctx, g, *_):
    """What the last window that a pixel won gives it, instead of the sum over all windows."""
    dx = np.zeros(PLANE.shape)
    for i, j in np.ndindex(g.shape[2:]):
        one = np.zeros(g.shape)
        one[:, :, i, j] = g[:, :, i, j]
        alone = right(ctx, one)
        dx[alone != 0] = alone[alone != 0]
    return dx


def _without_neighbour(right, ctx, g):
    first_only = tuple(taps[:1] for taps in ctx.taps)
    return right(With(ctx, taps=first_only), g)


def _last_reader(right, ctx, g):
    return g[:, :, 1::2, 1::2].copy()


def _half_up(F, x):
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


MISTAKES = [
    convolution("the filter turned by 180 degrees in dx", _flipped, padding=1),
    convolution("filters and channels exchanged in dx", _exchanged),
    convolution("the stride ignored in dw", _ignored(stride=(1, 1)), stride=2),
    convolution("the dilation ignored in dw", _ignored(dilation=(1, 1)), dilation=2),
    convolution("the groups' weights exchanged", _other_group, w=GROUPED, groups=2),
    convolution("the padding off by one in dx", _one_pixel_off, padding=1),
    Mistake(
        "conv2d",
        "the bias's gradient divided by the batch",
        lambda F, x, w, b: F.conv2d(x, w, b),
        (X, W, BIAS),
        loops.conv2d,
        "Conv2d",
        _bias_mean,
    ),
    Mistake(
        "conv_transpose2d",
        "the bias's gradient from the first image only",
        lambda F, x, w, b: F.conv_transpose2d(x, w, b, stride=2),
        (some(2, 2, 2, 2), W, BIAS),
        lambda x, w, b: loops.conv_transpose2d(x, w, b, stride=2),
        "ConvTranspose2d",
        _first_image_only,
    ),
    Mistake(
        "conv_transpose2d",
        "the filter turned by 180 degrees in dx",
        lambda F, x, w: F.conv_transpose2d(x, w, stride=2),
        (some(2, 2, 2, 2), W),
        lambda x, w: loops.conv_transpose2d(x, w, stride=2),
        "ConvTranspose2d",
        _flipped,
        ones_miss=True,
    ),
    Mistake(
        "max_pool2d",
        "of equal maxima the last gets the gradient",
        lambda F, x: F.max_pool2d(x, 2, 1),
        (TIED,),
        lambda x: pool_loops.max_pool2d(x, 2, 1),
        "MaxPool2d",
        _last_maximum,
        caught=(LOOPS, TORCH),
        slope=_pool_slope,
    ),
    Mistake(
        "max_pool2d",
        "where windows overlap, assigned instead of added",
        lambda F, x: F.max_pool2d(x, 2, 1),
        (PLANE,),
        lambda x: pool_loops.max_pool2d(x, 2, 1),
        "MaxPool2d",
        _assigned,
    ),
    Mistake(
        "avg_pool2d",
        "not divided by the size of the window",
        lambda F, x: F.avg_pool2d(x, 2),
        (PLANE,),
        lambda x: pool_loops.avg_pool2d(x, 2),
        "AvgPool2d",
        lambda right, ctx, g: 4 * right(ctx, g),
    ),
    Mistake(
        "interpolate",
        "bilinear, without the neighbour's share",
        _half_up,
        (PLANE,),
        lambda x: resize_loops.interpolate(x, (8, 8), (2.0, 2.0), "bilinear", False),
        "Interpolate",
        _without_neighbour,
    ),
    Mistake(
        "interpolate",
        "nearest, one of the readers of a pixel instead of all",
        lambda F, x: F.interpolate(x, scale_factor=2),
        (PLANE,),
        lambda x: resize_loops.interpolate(x, (8, 8), (2.0, 2.0)),
        "Interpolate",
        _last_reader,
    ),
    Mistake(
        "interpolate",
        "the rows taken for columns",
        lambda F, x: F.interpolate(x, scale_factor=2),
        (PLANE,),
        lambda x: resize_loops.interpolate(x, (8, 8), (2.0, 2.0)),
        "Interpolate",
        lambda right, ctx, g: right(ctx, g.transpose(0, 1, 3, 2).copy()),
        ones_miss=True,
    ),
]
