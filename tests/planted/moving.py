"""Mistakes in operations that sum numbers or move them."""

from __future__ import annotations

import numpy as np

from oracles import formulas, loops
from planted.planting import LOOPS, TORCH, Mistake, apart, some

SQUARE, CUBE = some(3, 3), some(3, 3, 3)
TIED = np.array([[1.0, 2.0, 2.0], [3.0, 3.0, 3.0], [0.0, 1.0, 0.0]])
REPEATED = np.array([0, 2, 2, 1])


def _first_of_equals(g, x):
    dx = np.zeros(x.shape)
    dx[np.arange(len(x)), formulas.argmax(x, 1).astype(int)] = g
    return dx


def _last_of_equals(right, ctx, g, *_):
    dx = np.zeros(TIED.shape)
    dx[np.arange(3), 2 - TIED[:, ::-1].argmax(axis=1)] = g.reshape(-1)
    return dx


def _assign(right, ctx, g):
    dx = np.zeros(SQUARE.shape)
    dx[REPEATED] = g
    return dx


MISTAKES = [
    Mistake(
        "mean",
        "1/N missing",
        lambda F, x: F.mean(x, 1),
        (SQUARE,),
        lambda x: formulas.mean(x, 1),
        "Mean",
        lambda right, ctx, g: 3 * right(ctx, g),
    ),
    Mistake(
        "sum",
        "the cotangent spread along the other axis",
        lambda F, x: F.sum(x, 1),
        (SQUARE,),
        lambda x: formulas.total(x, 1),
        "Sum",
        lambda right, ctx, g: right(ctx, g).T,
        ones_miss=True,
    ),
    Mistake(
        "max",
        "of equal maxima the last gets the gradient",
        lambda F, x: F.max(x, 1)[0],
        (TIED,),
        lambda x: formulas.largest(x, 1),
        "MaxAlong",
        _last_of_equals,
        caught=(LOOPS, TORCH),
        slope=_first_of_equals,
    ),
    Mistake(
        "permute",
        "permuted by the order itself, not by its inverse",
        lambda F, x: F.permute(x, (1, 2, 0)),
        (CUBE,),
        lambda x: np.transpose(x, (1, 2, 0)),
        "Permute",
        lambda right, ctx, g: np.transpose(g, (1, 2, 0)),
        ones_miss=True,
    ),
    Mistake(
        "reshape",
        "the elements in column order",
        lambda F, x: F.reshape(x, (9,)),
        (SQUARE,),
        np.ravel,
        "Reshape",
        lambda right, ctx, g: g.reshape((3, 3), order="F"),
        ones_miss=True,
    ),
    Mistake(
        "flip",
        "not flipped back",
        lambda F, x: F.flip(x, (0,)),
        (SQUARE,),
        lambda x: x[::-1],
        "Flip",
        lambda right, ctx, g: g,
        ones_miss=True,
    ),
    Mistake(
        "cat",
        "the pieces handed out in reverse",
        lambda F, a, b: F.cat([a, b]),
        (SQUARE, SQUARE + 1),
        lambda a, b: np.concatenate([a, b]),
        "Cat",
        lambda right, ctx, g: right(ctx, g)[::-1],
        ones_miss=True,
    ),
    Mistake(
        "getitem",
        "an element taken twice gets one of its two cotangents",
        lambda F, x: x[F.tensor(REPEATED)],
        (SQUARE,),
        lambda x: x[REPEATED],
        "Getitem",
        _assign,
    ),
    Mistake(
        "pad",
        "cropped on the wrong side",
        lambda F, x: F.pad(x, (1, 0)),
        (SQUARE,),
        lambda x: loops.pad(x, (1, 0)),
        "Pad",
        lambda right, ctx, g: g[:, :-1],
        ones_miss=True,
    ),
    Mistake(
        "where",
        "both branches get the whole cotangent",
        lambda F, a, b: F.where(F.tensor(apart(3, 3) > 0), a, b),
        (SQUARE, SQUARE + 1),
        lambda a, b: np.where(apart(3, 3) > 0, a, b),
        "Where",
        lambda right, ctx, g: (None, g, g),
    ),
]
