"""Initial values of weights: Glorot's (xavier), He's (kaiming) and torch's defaults.

A weight has shape (out, in) or (K, C/groups, kh, kw). ``fan_in`` is how many numbers go into one output (in,
or C/groups·kh·kw), ``fan_out`` how many outputs one input reaches (out, or K·kh·kw). Each rule keeps the
variance of the signals level from layer to layer:

    Glorot and Bengio 2010   var w = gain² · 2 / (fan_in + fan_out)
    He et al. 2015           var w = gain² / fan_in,   gain = √2 after a ReLU, which halves the second moment

All fill the tensor in place and draw from ``generator``, a :class:`minidl.Generator`; without one from that
of the process, :func:`minidl.random.generator`.
"""

from __future__ import annotations

import math

from minidl import random
from minidl._arrays import write
from minidl._tensor import Tensor

_GAINS = {
    "linear": 1.0,
    "conv2d": 1.0,
    "conv_transpose2d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By what factor the spread must grow to make up for a nonlinearity (torch's table).

    ``param`` is the slope of "leaky_relu"; a PReLU is one, with 0.25 to begin with. torch has no gain for
    ELU, GELU, SiLU, hardswish and softplus: people take that of "relu", to which they come close.

    >>> round(calculate_gain("relu") ** 2, 6)
    2.0
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        known = ", ".join([*_GAINS, "leaky_relu"])
        raise ValueError(f"calculate_gain: nonlinearity must be one of {known}, got {nonlinearity!r}")
    return _GAINS[nonlinearity]


def fans(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight.

    >>> import minidl, numpy
    >>> fans(minidl.tensor(numpy.zeros((8, 3, 5, 5))))
    (75, 200)
    """
    if tensor.ndim < 2:
        raise ValueError(f"init: fans are defined for two dimensions or more, got shape {tensor.shape}")
    if tensor.numel() == 0:
        raise ValueError(f"init: a tensor of shape {tensor.shape} has no elements to fill")
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: random.Stream | None = None
) -> Tensor:
    """Fill with numbers drawn evenly from [a, b).

    Raises:
        TypeError: the tensor is not floating-point, or ``generator`` is none.
    """
    _require_floating("uniform_", tensor)
    return _fill(tensor, random.source("uniform_", generator).uniform(a, b, tensor.shape))


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: random.Stream | None = None
) -> Tensor:
    """Fill with numbers from a normal distribution.

    Raises:
        TypeError: the tensor is not floating-point, or ``generator`` is none.
    """
    _require_floating("normal_", tensor)
    return _fill(tensor, random.source("normal_", generator).normal(mean, std, tensor.shape))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one value."""
    return _fill(tensor, val)


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with zeros."""
    return _fill(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with ones."""
    return _fill(tensor, 1.0)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: random.Stream | None = None) -> Tensor:
    """Glorot's rule, evenly from ±gain √(6 / (fan_in + fan_out))."""
    bound = gain * math.sqrt(6 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: random.Stream | None = None) -> Tensor:
    """Glorot's rule, normal with variance gain² · 2 / (fan_in + fan_out)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(fans(tensor))), generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: random.Stream | None = None,
) -> Tensor:
    """He's rule, evenly from ±gain √(3 / fan)."""
    bound = calculate_gain(nonlinearity, a) * math.sqrt(3 / _fan(tensor, mode))
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: random.Stream | None = None,
) -> Tensor:
    """He's rule, normal with variance gain² / fan."""
    return normal_(tensor, 0.0, calculate_gain(nonlinearity, a) / math.sqrt(_fan(tensor, mode)), generator)


def torch_default_(weight: Tensor, bias: Tensor | None) -> None:
    """What torch gives Linear and convolution layers: both evenly from ±1/√fan_in.

    (torch writes the weight's rule as ``kaiming_uniform_(a=√5)``: gain² = 2/(1+5) = 1/3 makes the bound
    √(3·(1/3)/fan_in) the same number.)
    """
    kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None:
        bound = 1 / math.sqrt(fans(weight)[0])
        uniform_(bias, -bound, bound)


def _require_floating(operation: str, tensor: Tensor) -> None:
    """Random numbers in an integer tensor would be cut off: all zeros, most of the time."""
    if tensor.dtype.kind != "f":
        raise TypeError(f"{operation}: random numbers need a floating-point tensor, got {tensor.dtype}")


def _fan(tensor: Tensor, mode: str) -> int:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"init: mode must be 'fan_in' or 'fan_out', got {mode!r}")
    return fans(tensor)[mode == "fan_out"]


def _fill(tensor: Tensor, values: object) -> Tensor:
    write("init", tensor.data, values)  # drawn on the host: one seed gives one network everywhere
    tensor.mark_changed()
    return tensor
