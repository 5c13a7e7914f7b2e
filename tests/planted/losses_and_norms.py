"""Mistakes in softmax, losses and normalisations."""

from __future__ import annotations

import numpy as np

from oracles import formulas, loss_formulas
from planted.planting import Mistake, With, some

Z, TARGET = some(4, 3), np.array([0, 2, 255, 1])
CLASS_WEIGHTS = np.array([0.5, 1.0, 3.0])
X, SCALE, SHIFT = some(3, 4, 2, 2), some(4, seed=1), some(4, seed=2)
EPS = 1e-5


def _cross_entropy(**given):
    def line(F, z):
        weight = F.tensor(CLASS_WEIGHTS) if given.get("weight") is not None else None
        return F.cross_entropy(z, F.tensor(TARGET), weight, ignore_index=255)

    return line, lambda z: loss_formulas.cross_entropy(z, TARGET, ignore_index=255, **given)


def loss(what, wrong, function="CrossEntropy", **given):
    line, oracle = _cross_entropy(**given)
    return Mistake("cross_entropy", what, line, (Z,), oracle, function, wrong)


def _leak(right, ctx, g):
    """The ignored pixel gets the gradient of class 0."""
    dz = right(ctx, g)
    ignored = TARGET == 255
    p = np.exp(Z[ignored]) / np.exp(Z[ignored]).sum(axis=1, keepdims=True)
    dz[ignored] = (p - np.eye(3)[[0]]) / 3
    return dz


def _moments(axes):
    mean = X.mean(axis=axes, keepdims=True)
    inv_std = 1 / np.sqrt(X.var(axis=axes, keepdims=True) + EPS)
    return (X - mean) * inv_std, inv_std


def _without_mean(right, ctx, g, *_):
    xhat, inv_std = _moments((0, 2, 3))
    return inv_std * (g - xhat * (g * xhat).mean(axis=(0, 2, 3), keepdims=True)), None, None


def _without_variance(right, ctx, g, *_):
    _, inv_std = _moments((0, 2, 3))
    return inv_std * (g - g.mean(axis=(0, 2, 3), keepdims=True)), None, None


def _scale_without_xhat(right, ctx, g, *rest):
    dx, _, db = right(ctx, g, *rest)
    return dx, g.sum(axis=(0, 2, 3)), db


def _scale_forgotten(right, ctx, g, *rest):
    """The statistics' path without γ: dx as if the layer had none."""
    _, dw, db = right(ctx, g, *rest)
    x, weight, *others = ctx.saved
    without = right(With(ctx, saved=(x, np.ones_like(weight), *others)), g, *rest)
    return without[0], dw, db


def _zeros(right, ctx, g, *_):
    return np.zeros(X.shape), None, None


def _batch_norm(F, x, *parameters):
    return F.batch_norm(x, None, None, *parameters, training=True)


def _uniform(right, ctx, g):
    return g - g.sum(axis=1, keepdims=True) / g.shape[1]


MISTAKES = [
    Mistake(
        "softmax",
        "zeros",
        lambda F, z: F.softmax(z, 1),
        (Z,),
        lambda z: formulas.softmax(z, 1),
        "Softmax",
        lambda right, ctx, g: np.zeros_like(g),
        ones_miss=True,
    ),
    Mistake(
        "softmax",
        "only the diagonal: g p (1 - p)",
        lambda F, z: F.softmax(z, 1),
        (Z,),
        lambda z: formulas.softmax(z, 1),
        "Softmax",
        lambda right, ctx, g: g * _p() * (1 - _p()),
    ),
    Mistake(
        "softmax",
        "twice the gradient",
        lambda F, z: F.softmax(z, 1),
        (Z,),
        lambda z: formulas.softmax(z, 1),
        "Softmax",
        lambda right, ctx, g: 2 * right(ctx, g),
        ones_miss=True,
    ),
    Mistake(
        "log_softmax",
        "1/C in place of p",
        lambda F, z: F.log_softmax(z, 1),
        (Z,),
        lambda z: formulas.log_softmax(z, 1),
        "LogSoftmax",
        _uniform,
    ),
    loss(
        "the class weights' mean divides by N, not by their sum",
        lambda right, ctx, g: right(ctx, g) * (4.5 / 3),
        weight=CLASS_WEIGHTS,
    ),
    loss("an ignored pixel has a gradient", _leak),
    loss("1/N missing", lambda right, ctx, g: 3 * right(ctx, g)),
    loss("p instead of p - onehot", lambda right, ctx, g: np.maximum(right(ctx, g), 0)),
    Mistake(
        "mse_loss",
        "the 2 of the square forgotten",
        lambda F, x: F.mse_loss(x, F.tensor(Z + 1)),
        (Z,),
        lambda x: np.mean((x - (Z + 1)) ** 2),
        "MseLoss",
        lambda right, ctx, g: tuple(None if d is None else d / 2 for d in right(ctx, g)),
    ),
    Mistake(
        "batch_norm",
        "without the path through the mean",
        _batch_norm,
        (X,),
        formulas.batch_norm,
        "BatchNorm",
        _without_mean,
    ),
    Mistake(
        "batch_norm",
        "without the path through the variance",
        _batch_norm,
        (X,),
        formulas.batch_norm,
        "BatchNorm",
        _without_variance,
        ones_miss=True,
    ),
    Mistake(
        "batch_norm",
        "zeros",
        _batch_norm,
        (X,),
        formulas.batch_norm,
        "BatchNorm",
        _zeros,
        ones_miss=True,
    ),
    Mistake(
        "batch_norm",
        "the scale's gradient without x̂",
        _batch_norm,
        (X, SCALE, SHIFT),
        formulas.batch_norm,
        "BatchNorm",
        _scale_without_xhat,
    ),
    Mistake(
        "group_norm",
        "the scale forgotten in dx",
        lambda F, x, w, b: F.group_norm(x, 2, w, b),
        (X, SCALE, SHIFT),
        lambda x, w, b: formulas.group_norm(x, 2, w, b),
        "GroupNorm",
        _scale_forgotten,
    ),
]


def _p():
    return formulas.softmax(Z, 1)
