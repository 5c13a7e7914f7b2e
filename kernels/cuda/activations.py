"""Activations and their cotangents on a device; the kernels are in ``activations.cu``."""

from __future__ import annotations

import math
from typing import Any

from minidl.kernels.cuda.arrays import MOST_BLOCKS, REALS, THREADS, aligned, blocks, on_device, pick
from minidl.kernels.cuda.device import namespace
from minidl.kernels.cuda.launch import Module

MODULE = Module("activations.cu")
VERSIONS = ("v1", "v2")


def choose(*arrays: Any) -> str:
    """The version for arrays that are walked through side by side: vectors, where all begin at one."""
    return "v2" if aligned(*arrays) else "v1"


def _run(name: str, *arrays: Any, numbers: tuple[float, ...] = (), version: str = "v1") -> Any:
    """The kernel's result, of the first array's shape."""
    like = arrays[0]
    result = namespace(like).empty(like.shape, like.dtype)
    if result.size:
        given = (like.dtype.type(number) for number in numbers)
        MODULE.launch(
            f"activations_{name}_{version}",
            blocks(like.size),
            THREADS,
            *arrays,
            result,
            *given,
            like.size,
            like=like,
        )
    return result


@on_device
def relu(x: Any, version: str | None = None) -> Any:
    """max(0, x). NaN stays NaN."""
    if x.dtype not in REALS:
        return namespace(x).maximum(x, x.dtype.type(0))
    return _run("relu", x, version=pick(version, choose(x), VERSIONS))


@on_device
def relu_backward(g: Any, y: Any, version: str | None = None) -> Any:
    """g where y > 0 or y is NaN, else 0."""
    return _run("relu_backward", g, y, version=pick(version, choose(g, y), VERSIONS))


@on_device
def bias_relu(x: Any, bias: Any, version: str | None = None) -> Any:
    """max(0, x + bias) for x (N, C, ...) and a bias for each channel, in one pass."""
    c, m = x.shape[1], math.prod(x.shape[2:])
    y = namespace(x).empty(x.shape, x.dtype)
    if not y.size:
        return y
    whole = m % (16 // x.itemsize) == 0 and aligned(x)
    version = pick(version, "v2" if whole and m >= 64 else "v1", VERSIONS)
    if version == "v1":
        MODULE.launch("activations_bias_relu_v1", blocks(x.size), THREADS, x, bias, y, x.size, c, m, like=x)
        return y
    if not whole:
        raise ValueError(f"bias_relu: version v2 is for aligned planes of whole vectors, not of {m} numbers")
    planes = x.shape[0] * c
    grid = (blocks(m * x.itemsize // 16), min(planes, MOST_BLOCKS))
    MODULE.launch("activations_bias_relu_v2", grid, THREADS, x, bias, y, planes, c, m, like=x)
    return y


@on_device
def leaky_relu(x: Any, slope: float) -> Any:
    """x where x > 0, else slope · x."""
    return _run("leaky_relu", x, numbers=(slope,))


@on_device
def leaky_relu_backward(g: Any, x: Any, slope: float) -> Any:
    """g where x > 0, else slope · g."""
    return _run("leaky_relu_backward", g, x, numbers=(slope,))


@on_device
def hardswish(x: Any) -> Any:
    """x min(max(x + 3, 0), 6) / 6."""
    return _run("hardswish", x)


@on_device
def hardswish_backward(g: Any, x: Any) -> Any:
    """0 for x <= -3, g for x >= 3, g (x/3 + 1/2) between."""
    return _run("hardswish_backward", g, x)


@on_device
def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x)."""
    return _run("sigmoid", x)


@on_device
def sigmoid_backward(g: Any, y: Any) -> Any:
    """g y (1 - y)."""
    return _run("sigmoid_backward", g, y)


@on_device
def tanh(x: Any) -> Any:
    """Hyperbolic tangent."""
    return _run("tanh", x)


@on_device
def tanh_backward(g: Any, y: Any) -> Any:
    """g (1 - y²)."""
    return _run("tanh_backward", g, y)


@on_device
def silu(x: Any) -> Any:
    """x s with s = 1 / (1 + e^-x)."""
    return _run("silu", x)


@on_device
def silu_backward(g: Any, x: Any) -> Any:
    """g s (1 + x (1 - s))."""
    return _run("silu_backward", g, x)


@on_device
def elu(x: Any, alpha: float) -> Any:
    """x where x > 0, else α (e^x - 1)."""
    return _run("elu", x, numbers=(alpha,))


@on_device
def elu_backward(g: Any, x: Any, alpha: float) -> Any:
    """g where x > 0, else g α e^x; where x is NaN, g."""
    return _run("elu_backward", g, x, numbers=(alpha,))


@on_device
def softplus(x: Any, beta: float, threshold: float) -> Any:
    """log(1 + e^(βx)) / β, x itself where βx exceeds the threshold."""
    return _run("softplus", x, numbers=(beta, threshold))


@on_device
def softplus_backward(g: Any, x: Any, beta: float, threshold: float) -> Any:
    """g / (1 + e^(-βx)), g itself where βx exceeds the threshold."""
    return _run("softplus_backward", g, x, numbers=(beta, threshold))


@on_device
def gelu(x: Any) -> Any:
    """x Φ(x)."""
    return _run("gelu", x)


@on_device
def gelu_backward(g: Any, x: Any) -> Any:
    """g (Φ(x) + x φ(x))."""
    return _run("gelu_backward", g, x)


@on_device
def gelu_tanh(x: Any) -> Any:
    """x (1 + t) / 2 with t = tanh(√(2/π) (x + 0.044715 x³))."""
    return _run("gelu_tanh", x)


@on_device
def gelu_tanh_backward(g: Any, x: Any) -> Any:
    """g ((1 + t) / 2 + x (1 - t²) √(2/π) (1 + 3 · 0.044715 x²) / 2)."""
    return _run("gelu_tanh_backward", g, x)
