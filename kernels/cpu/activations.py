"""Activations in one pass over memory (backend ``"numba"``).

The reference computes an activation in several NumPy operations, each of which reads and writes an array as
large as the input, on one core. Here a formula on vectors takes each vector through all its steps while it is
in registers, the exponentials included (``vector_math.py``), and the threads share the memory. Any order
without gaps is worked on as it lies, and the result gets the same (``pointwise.py``).

Where a formula chooses (``where_less`` and the others), a comparison with NaN is false: which side the choice
then takes is the reference's, so that NaN comes out where it went in. The gradient passes where the argument
of the choice is NaN, as in torch.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba.extending import register_jitable

from minidl.kernels.cpu.pointwise import binary, fill, negative, run, size, supported, unary
from minidl.kernels.cpu.vector_erfcx import half_erfcx
from minidl.kernels.cpu.vector_math import exp, expm1, log1p
from minidl.kernels.cpu.vectors import fma, where_at_most, where_equal, where_less
from minidl.kernels.reference import activations as reference
from minidl.kernels.reference.activations import BEYOND_TANH, CUBIC, SCALE

Array = np.ndarray[Any, Any]
Formula = Callable[..., Any]


# --- formulas on vectors; a and b are the options, unused where there are none ------------------------------


@register_jitable
def _relu(x, a, b):  # type: ignore[no-untyped-def]
    zero = fill(x, 0.0)
    return where_less(x, zero, zero, x)


@register_jitable
def _relu_backward(g, y, a, b):  # type: ignore[no-untyped-def]
    zero = fill(y, 0.0)
    return where_at_most(y, zero, zero, g)


@register_jitable
def _leaky_relu(x, slope, b):  # type: ignore[no-untyped-def]
    return where_less(fill(x, 0.0), x, x, x * fill(x, slope))


@register_jitable
def _leaky_relu_backward(g, x, slope, b):  # type: ignore[no-untyped-def]
    return where_less(fill(x, 0.0), x, g, g * fill(x, slope))


@register_jitable
def _hardswish(x, a, b):  # type: ignore[no-untyped-def]
    zero, six = fill(x, 0.0), fill(x, 6.0)
    ramp = x + fill(x, 3.0)
    ramp = where_less(ramp, zero, zero, ramp)
    return x * (where_less(six, ramp, six, ramp) / six)


@register_jitable
def _hardswish_backward(g, x, a, b):  # type: ignore[no-untyped-def]
    three = fill(x, 3.0)
    between = where_less(x, three, g * (x / three + fill(x, 0.5)), g)
    return where_at_most(x, fill(x, -3.0), fill(x, 0.0), between)


@register_jitable
def _sized(x):  # type: ignore[no-untyped-def]
    """-|x|."""
    return negative(size(x))


@register_jitable
def _logistic(x):  # type: ignore[no-untyped-def]
    one = fill(x, 1.0)
    small = exp(_sized(x))  # never overflows
    return where_less(x, fill(x, 0.0), small, one) / (one + small)


@register_jitable
def _sigmoid(x, a, b):  # type: ignore[no-untyped-def]
    return _logistic(x)


@register_jitable
def _sigmoid_backward(g, y, a, b):  # type: ignore[no-untyped-def]
    return g * y * (fill(y, 1.0) - y)


@register_jitable
def _silu(x, a, b):  # type: ignore[no-untyped-def]
    return x * _logistic(x)


@register_jitable
def _silu_backward(g, x, a, b):  # type: ignore[no-untyped-def]
    one, s = fill(x, 1.0), _logistic(x)
    return g * (s * (one + x * (one - s)))


@register_jitable
def _hyperbolic(x):  # type: ignore[no-untyped-def]
    """tanh |x| = -e / (2 + e) with e = expm1(-2|x|), which keeps the digits near 0; then the sign of x."""
    zero = fill(x, 0.0)
    e = expm1(fill(x, 2.0) * _sized(x))
    size = (zero - e) / (fill(x, 2.0) + e)
    return where_equal(x, zero, x, where_less(x, zero, zero - size, size))


@register_jitable
def _tanh(x, a, b):  # type: ignore[no-untyped-def]
    return _hyperbolic(x)


@register_jitable
def _tanh_backward(g, y, a, b):  # type: ignore[no-untyped-def]
    return g * (fill(y, 1.0) - y * y)


@register_jitable
def _elu(x, alpha, b):  # type: ignore[no-untyped-def]
    zero = fill(x, 0.0)
    return where_less(zero, x, x, fill(x, alpha) * expm1(where_less(zero, x, zero, x)))


@register_jitable
def _elu_backward(g, x, alpha, b):  # type: ignore[no-untyped-def]
    zero = fill(x, 0.0)
    return where_at_most(x, zero, g * fill(x, alpha) * exp(where_less(zero, x, zero, x)), g)


@register_jitable
def _softplus(x, beta, threshold):  # type: ignore[no-untyped-def]
    zero, z = fill(x, 0.0), x * fill(x, beta)
    # log(1 + e^z) = max(z, 0) + log(1 + e^-|z|), without overflow.
    y = (where_less(z, zero, zero, z) + log1p(exp(_sized(z)))) / fill(x, beta)
    return where_less(fill(x, threshold), z, x, y)


@register_jitable
def _softplus_backward(g, x, beta, threshold):  # type: ignore[no-untyped-def]
    z = x * fill(x, beta)
    return where_less(fill(x, threshold), z, g, g * _logistic(z))


@register_jitable
def _normal(x):  # type: ignore[no-untyped-def]
    """Φ(x), by its smaller tail, and e^(-x²/2)."""
    one, limit = fill(x, 1.0), fill(x, 40.0)
    a = size(x) * fill(x, math.sqrt(0.5))
    a = where_less(limit, a, limit, a)  # beyond, the tail is 0 and a² might be infinite
    square = a * a
    e = exp(negative(square))
    e = fma(e, fma(negative(a), a, square), e)  # the square's rounding, which the exponential would magnify
    tail = e * half_erfcx(a)
    return where_less(x, fill(x, 0.0), tail, one - tail), e


@register_jitable
def _gelu(x, a, b):  # type: ignore[no-untyped-def]
    cumulative, _ = _normal(x)
    return x * cumulative


@register_jitable
def _gelu_backward(g, x, a, b):  # type: ignore[no-untyped-def]
    cumulative, e = _normal(x)
    return g * (cumulative + x * (e * fill(x, 1 / math.sqrt(2 * math.pi))))


@register_jitable
def _gelu_tanh(x, a, b):  # type: ignore[no-untyped-def]
    half = fill(x, 0.5)
    t = _hyperbolic((x + x * x * x * fill(x, CUBIC)) * fill(x, SCALE))
    return x * (half + half * t)


@register_jitable
def _gelu_tanh_backward(g, x, a, b):  # type: ignore[no-untyped-def]
    half, one, limit = fill(x, 0.5), fill(x, 1.0), fill(x, BEYOND_TANH)
    near = where_less(limit, x, limit, where_less(x, negative(limit), negative(limit), x))
    t = _hyperbolic((near + near * near * near * fill(x, CUBIC)) * fill(x, SCALE))
    inner = (one + near * near * fill(x, 3 * CUBIC)) * fill(x, SCALE)
    return g * (half + half * t + half * x * (one - t * t) * inner)


# --- kernels ------------------------------------------------------------------------------------------------


def _kernel(formula: Formula, plain: Formula) -> Formula:
    """The function of the reference kernel's name and arguments (an array or two, then numbers)."""
    arrays = 2 if formula.__name__.endswith("_backward") else 1
    loop: list[Formula] = []  # made when first asked for: few of these are used by any one program

    @functools.wraps(plain)
    def kernel(*args: Any) -> Array:
        if not supported(*args[:arrays]):
            result: Array = plain(*args)
            return result
        if not loop:
            loop.append((unary if arrays == 1 else binary)(formula))
        a, b = (*map(float, args[arrays:]), 0.0, 0.0)[:2]
        return run(loop[0], args[:arrays], a, b)

    return kernel


relu = _kernel(_relu, reference.relu)
relu_backward = _kernel(_relu_backward, reference.relu_backward)
leaky_relu = _kernel(_leaky_relu, reference.leaky_relu)
leaky_relu_backward = _kernel(_leaky_relu_backward, reference.leaky_relu_backward)
hardswish = _kernel(_hardswish, reference.hardswish)
hardswish_backward = _kernel(_hardswish_backward, reference.hardswish_backward)
sigmoid = _kernel(_sigmoid, reference.sigmoid)
sigmoid_backward = _kernel(_sigmoid_backward, reference.sigmoid_backward)
tanh = _kernel(_tanh, reference.tanh)
tanh_backward = _kernel(_tanh_backward, reference.tanh_backward)
silu = _kernel(_silu, reference.silu)
silu_backward = _kernel(_silu_backward, reference.silu_backward)
elu = _kernel(_elu, reference.elu)
elu_backward = _kernel(_elu_backward, reference.elu_backward)
softplus = _kernel(_softplus, reference.softplus)
softplus_backward = _kernel(_softplus_backward, reference.softplus_backward)
gelu = _kernel(_gelu, reference.gelu)
gelu_backward = _kernel(_gelu_backward, reference.gelu_backward)
gelu_tanh = _kernel(_gelu_tanh, reference.gelu_tanh)
gelu_tanh_backward = _kernel(_gelu_tanh_backward, reference.gelu_tanh_backward)
