"""Mistakes in arithmetic, activations and matrix products."""

from __future__ import annotations

import numpy as np

import minidl
from oracles import formulas
from planted.planting import GRADCHECK, LOOPS, Mistake, some

SQUARE, OTHER, ROW = some(3, 3), some(3, 3, seed=1), some(1, 3, seed=2)


def _dropout(F, x):
    minidl.manual_seed(0)
    return F.dropout(x, 0.5)


def _sub(right, ctx, g):
    dx, dy = right(ctx, g)
    return dx, -dy


def _div(right, ctx, g):
    _, y = ctx.saved
    dx, dy = right(ctx, g)
    return dx, dy * y


def _mean_for_sum(right, ctx, g):
    dx, _ = right(ctx, g)
    return dx, g.mean(axis=0, keepdims=True)


def _redraw(right, ctx, g):
    return g * 2.0 * (minidl.random.generator().random(g.shape) >= 0.5)


MISTAKES = [
    Mistake(
        "sub",
        "the sign of the second operand",
        lambda F, a, b: F.sub(a, b),
        (SQUARE, OTHER),
        lambda a, b: a - b,
        "Sub",
        _sub,
    ),
    Mistake(
        "mul",
        "the factors exchanged: dx = g x, dy = g y",
        lambda F, a, b: F.mul(a, b),
        (SQUARE, OTHER),
        lambda a, b: a * b,
        "Mul",
        lambda right, ctx, g: right(ctx, g)[::-1],
    ),
    Mistake(
        "div",
        "dy = -g x / y, where the divisor belongs squared",
        lambda F, a, b: F.div(a, b),
        (SQUARE, 1 + OTHER**2),
        lambda a, b: a / b,
        "Div",
        _div,
    ),
    Mistake(
        "add",
        "broadcasting not undone",
        lambda F, a, b: F.add(a, b),
        (SQUARE, ROW),
        lambda a, b: a + b,
        "Add",
        lambda right, ctx, g: (g, g),
    ),
    Mistake(
        "add",
        "broadcasting undone by the mean instead of the sum",
        lambda F, a, b: F.add(a, b),
        (SQUARE, ROW),
        lambda a, b: a + b,
        "Add",
        _mean_for_sum,
    ),
    Mistake(
        "pow",
        "g y x^y: the exponent not lowered by one",
        lambda F, x: F.pow(x, 3),
        (SQUARE,),
        lambda x: x**3,
        "Pow",
        lambda right, ctx, g: (right(ctx, g)[0] * ctx.saved[0], None),
    ),
    Mistake(
        "exp",
        "the cotangent ignored: dx = e^x",
        lambda F, x: F.exp(x),
        (SQUARE,),
        np.exp,
        "Exp",
        lambda right, ctx, g: right(ctx, np.ones_like(g)),
        ones_miss=True,
    ),
    Mistake(
        "relu",
        "the mask forgotten: dx = g",
        lambda F, x: F.relu(x),
        (SQUARE,),
        formulas.relu,
        "Relu",
        lambda right, ctx, g: g,
    ),
    Mistake(
        "sigmoid",
        "y (1 - y) taken once too often",
        lambda F, x: F.sigmoid(x),
        (SQUARE,),
        formulas.sigmoid,
        "Sigmoid",
        lambda right, ctx, g: right(ctx, right(ctx, g)),
    ),
    Mistake(
        "tanh",
        "off by a thousandth",
        lambda F, x: F.tanh(x),
        (SQUARE,),
        formulas.tanh,
        "Tanh",
        lambda right, ctx, g: 1.001 * right(ctx, g),
    ),
    Mistake(
        "dropout",
        "the mask drawn again in the backward",
        _dropout,
        (np.ones((4, 5)),),
        lambda x: x * _mask(),
        "Dropout",
        _redraw,
        caught=(GRADCHECK, LOOPS),
    ),
    Mistake(
        "matmul",
        "the transposes missing: dx = g y, dy = x g for square matrices",
        lambda F, a, b: F.matmul(a, b),
        (SQUARE, OTHER),
        formulas.matmul,
        "Matmul",
        lambda right, ctx, g: (g @ ctx.saved[1], ctx.saved[0] @ g),
    ),
    Mistake(
        "linear",
        "the weight's gradient not transposed",
        lambda F, x, w: F.linear(x, w),
        (SQUARE, OTHER),
        formulas.linear,
        "Linear",
        lambda right, ctx, g: _second_transposed(right(ctx, g)),
    ),
    Mistake(
        "linear",
        "the bias's gradient from the last row only",
        lambda F, x, w, b: F.linear(x, w, b),
        (SQUARE, OTHER, ROW[0]),
        formulas.linear,
        "Linear",
        lambda right, ctx, g: (*right(ctx, g)[:2], right(ctx, g[-1:] * np.eye(3)[-1:].T)[2]),
    ),
]


def _second_transposed(gradients):
    return gradients[0], gradients[1].T, *gradients[2:]


def _mask():
    """The mask that dropout draws from this seed: what it makes of ones."""
    minidl.manual_seed(0)
    return minidl.ops.dropout(minidl.tensor(np.ones((4, 5))), 0.5).numpy()
