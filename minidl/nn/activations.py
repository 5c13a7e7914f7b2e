"""Activations and dropout as layers. Each calls one operation, in whose file the equation is.

Arguments and defaults are torch's. ``inplace`` is taken for torch's sake and only kept as an attribute:
results are always new tensors.
"""

from __future__ import annotations

from typing import Any

from minidl import ops
from minidl._tensor import Tensor
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter, filled


class _MaybeInPlace(Module):
    """What takes no options but ``inplace``."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace


class ReLU(_MaybeInPlace):
    """max(0, x); :func:`minidl.ops.relu`."""

    def forward(self, input: Tensor) -> Tensor:
        return ops.relu(input)


class LeakyReLU(Module):
    """x above 0, ``negative_slope`` · x below; :func:`minidl.ops.leaky_relu`."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, input: Tensor) -> Tensor:
        return ops.leaky_relu(input, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class PReLU(Module):
    """x above 0, weight · x below, with a weight that is learnt; :func:`minidl.ops.prelu`.

    Args:
        num_parameters: 1, or the number of channels, each of which then has a slope of its own.
        init: the slopes to begin with.
        device, dtype: where the slopes lie, and as what; the host and float32 by default.

    >>> import minidl
    >>> minidl.nn.PReLU()(minidl.tensor([-2.0, 2.0])).tolist()
    [-0.5, 2.0]
    """

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        if num_parameters < 1:
            raise ValueError(f"PReLU: num_parameters must be at least 1, got {num_parameters}")
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(filled((num_parameters,), init, device, dtype))

    def reset_parameters(self) -> None:
        """Set all slopes to ``init``."""
        self.weight.data[...] = self.init
        self.weight.mark_changed()

    def forward(self, input: Tensor) -> Tensor:
        return ops.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class ELU(Module):
    """x above 0, ``alpha`` (e^x - 1) below; :func:`minidl.ops.elu`."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha, self.inplace = alpha, inplace

    def forward(self, input: Tensor) -> Tensor:
        return ops.elu(input, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"


class GELU(Module):
    """x Φ(x); :func:`minidl.ops.gelu`."""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        return ops.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class SiLU(_MaybeInPlace):
    """x / (1 + e^-x); :func:`minidl.ops.silu`."""

    def forward(self, input: Tensor) -> Tensor:
        return ops.silu(input)


class Hardswish(_MaybeInPlace):
    """SiLU from straight pieces; :func:`minidl.ops.hardswish`."""

    def forward(self, input: Tensor) -> Tensor:
        return ops.hardswish(input)


class Softplus(Module):
    """log(1 + e^(βx)) / β; :func:`minidl.ops.softplus`."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta, self.threshold = beta, threshold

    def forward(self, input: Tensor) -> Tensor:
        return ops.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Sigmoid(Module):
    """1 / (1 + e^-x)."""

    def forward(self, input: Tensor) -> Tensor:
        return ops.sigmoid(input)


class Tanh(Module):
    """Hyperbolic tangent."""

    def forward(self, input: Tensor) -> Tensor:
        return ops.tanh(input)


class Softmax(Module):
    """Probabilities along ``dim``."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return ops.softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class _Dropout(Module):
    """What the dropouts share."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"{type(self).__name__}: p must be a probability between 0 and 1, got {p}")
        self.p, self.inplace = p, inplace

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Dropout(_Dropout):
    """Zeroes elements in training; :func:`minidl.ops.dropout`."""

    def forward(self, input: Tensor) -> Tensor:
        return ops.dropout(input, self.p, self.training)


class Dropout2d(_Dropout):
    """Zeroes whole channels in training; :func:`minidl.ops.dropout2d`."""

    def forward(self, input: Tensor) -> Tensor:
        return ops.dropout2d(input, self.p, self.training)
