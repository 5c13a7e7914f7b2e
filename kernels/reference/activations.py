"""Activations, element by element, and what their cotangents become.

Notation: x is the pre-activation, y the activation, g the cotangent of y; each backward gives that of x.
Where the slope is cheaper from the output, the backward takes y. The equations are those of ``minidl/ops``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

#: Of the tanh form of GELU: √(2/π), and the cubic term's weight.
SCALE = math.sqrt(2 / math.pi)
CUBIC = 0.044715
#: Beyond, t is -1 or 1 and x is not squared: x² may be infinite, and infinity times 1 - t² = 0 is NaN.
BEYOND_TANH = 10.0


def relu(x: Array) -> Array:
    """max(0, x). NaN stays NaN."""
    return np.maximum(x, 0)


def relu_backward(g: Array, y: Array) -> Array:
    """g where y > 0 or y is NaN, else 0."""
    passes = ~(y <= 0)  # not y > 0: torch lets g pass where y is NaN
    # The product takes a third of the time of the choice, but infinity times 0 is NaN where 0 is meant.
    dx = g * passes
    return dx if np.isfinite(dx.sum()) else np.where(passes, g, g.dtype.type(0))


def leaky_relu(x: Array, slope: float) -> Array:
    """x where x > 0, else slope · x."""
    return np.where(x > 0, x, x * slope)


def leaky_relu_backward(g: Array, x: Array, slope: float) -> Array:
    """g where x > 0, else slope · g."""
    return np.where(x > 0, g, g * slope)


def hardswish(x: Array) -> Array:
    """x min(max(x + 3, 0), 6) / 6."""
    return x * (np.clip(x + 3, 0, 6) / 6)


def hardswish_backward(g: Array, x: Array) -> Array:
    """0 for x <= -3, g for x >= 3, g (x/3 + 1/2) between."""
    return np.where(x <= -3, 0, np.where(x < 3, g * (x / 3 + 0.5), g)).astype(g.dtype, copy=False)


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x)."""
    # e^-|x| never overflows: 1/(1+e^-x) for x >= 0 and e^x/(1+e^x) for x < 0.
    small = np.exp(-np.abs(x))
    y = np.where(x >= 0, 1, small) / (1 + small)
    return y.astype(x.dtype, copy=False)


def sigmoid_backward(g: Array, y: Array) -> Array:
    """g y (1 - y)."""
    return g * y * (1 - y)


def tanh(x: Array) -> Array:
    """Hyperbolic tangent."""
    return np.tanh(x)


def tanh_backward(g: Array, y: Array) -> Array:
    """g (1 - y²)."""
    return g * (1 - y * y)


def silu(x: Array) -> Array:
    """x s with s = 1 / (1 + e^-x)."""
    return x * sigmoid(x)


def silu_backward(g: Array, x: Array) -> Array:
    """g s (1 + x (1 - s))."""
    s = sigmoid(x)
    return g * (s * (1 + x * (1 - s)))


def elu(x: Array, alpha: float) -> Array:
    """x where x > 0, else α (e^x - 1)."""
    # e^x is not needed above 0, where it may be infinite; expm1 keeps the digits of small x.
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def elu_backward(g: Array, x: Array, alpha: float) -> Array:
    """g where x > 0, else g α e^x; where x is NaN, g."""
    return np.where(x <= 0, g * alpha * np.exp(np.minimum(x, 0)), g)


def softplus(x: Array, beta: float, threshold: float) -> Array:
    """log(1 + e^(βx)) / β, x itself where βx exceeds the threshold."""
    z = x * beta
    # logaddexp(0, z) = log(e^0 + e^z), without overflow.
    return np.where(z > threshold, x, np.logaddexp(z, z.dtype.type(0)) / beta)


def softplus_backward(g: Array, x: Array, beta: float, threshold: float) -> Array:
    """g / (1 + e^(-βx)), g itself where βx exceeds the threshold."""
    z = x * beta
    return np.where(z > threshold, g, g * sigmoid(z))


def density(x: Array) -> Array:
    """φ, the density of the normal distribution."""
    return np.exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi))


def cumulative(x: Array) -> Array:
    """Φ, its cumulative function. By erfc, since 1 + erf loses all digits far below 0."""
    import scipy.special  # NumPy has no erfc; imported when first needed

    return scipy.special.erfc(x * -math.sqrt(0.5)) * 0.5


def gelu(x: Array) -> Array:
    """x Φ(x)."""
    return x * cumulative(x)


def gelu_backward(g: Array, x: Array) -> Array:
    """g (Φ(x) + x φ(x))."""
    return g * (cumulative(x) + x * density(x))


def gelu_tanh(x: Array) -> Array:
    """x (1 + t) / 2 with t = tanh(√(2/π) (x + 0.044715 x³))."""
    return x * (0.5 + 0.5 * _squashed(x))


def gelu_tanh_backward(g: Array, x: Array) -> Array:
    """g ((1 + t) / 2 + x (1 - t²) √(2/π) (1 + 3 · 0.044715 x²) / 2)."""
    near = np.clip(x, -BEYOND_TANH, BEYOND_TANH)
    t = _squashed(near)
    inner = (1 + near * near * (3 * CUBIC)) * SCALE
    return g * (0.5 + 0.5 * t + 0.5 * x * (1 - t * t) * inner)


def _squashed(x: Array) -> Array:
    return np.tanh((x + x * x * x * CUBIC) * SCALE)
