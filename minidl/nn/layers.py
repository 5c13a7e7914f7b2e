"""Layers that learn: modules that hold parameters and call one operation.

Arguments, defaults, initial values and names of the parameters are torch's; the equations are in the
operation of the same name. Layers without parameters are in :mod:`minidl.nn.stateless`.
"""

from __future__ import annotations

import numpy as np

from minidl import ops
from minidl._tensor import DEFAULT_DTYPE, Tensor
from minidl.nn import init
from minidl.nn.module import Module, Parameter
from minidl.ops._shapes import Pair, pair


def _parameter(*shape: int) -> Parameter:
    return Parameter(Tensor(np.zeros(shape, DEFAULT_DTYPE)))


def _require_positive(layer: str, **sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{layer}: {name} must be at least 1, got {size}")


class Linear(Module):
    """Fully connected: (..., in) to (..., out); :func:`minidl.ops.linear`.

    >>> import minidl
    >>> minidl.nn.Linear(3, 5)(minidl.tensor([[1.0, 2.0, 3.0]])).shape
    (1, 5)
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        _require_positive("Linear", in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        self.weight = _parameter(out_features, in_features)
        self.register_parameter("bias", _parameter(out_features) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        init.torch_default_(self.weight, self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return ops.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"


class _Convolution(Module):
    """What Conv2d and ConvTranspose2d share."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair,
        padding: int | Pair,
        dilation: int | Pair,
        groups: int,
        bias: bool,
        transposed: bool,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        _require_positive(name, in_channels=in_channels, out_channels=out_channels)
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{name}: groups {groups} must divide "
                f"in_channels {in_channels} and out_channels {out_channels}"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = pair(kernel_size, "kernel_size", name, least=1)
        self.stride = pair(stride, "stride", name, least=1)
        self.padding = pair(padding, "padding", name)
        self.dilation = pair(dilation, "dilation", name, least=1)
        ends = (in_channels, out_channels // groups) if transposed else (out_channels, in_channels // groups)
        self.weight = _parameter(*ends, *self.kernel_size)
        self.register_parameter("bias", _parameter(out_channels) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        init.torch_default_(self.weight, self.bias)

    def extra_repr(self) -> str:
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        )
        plain = {"padding": (0, 0), "dilation": (1, 1), "groups": 1}
        text += "".join(f", {k}={getattr(self, k)}" for k, v in plain.items() if getattr(self, k) != v)
        return text if self.bias is not None else f"{text}, bias=False"


class Conv2d(_Convolution):
    """Convolution: (N, C, H, W) to (N, K, OH, OW); :func:`minidl.ops.conv2d`.

    >>> import minidl, numpy
    >>> layer = minidl.nn.Conv2d(3, 8, kernel_size=3, padding=1)
    >>> layer, layer(minidl.tensor(numpy.zeros((1, 3, 16, 16), "float32"))).shape
    (Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1)), (1, 8, 16, 16))
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, transposed=False
        )

    def forward(self, x: Tensor) -> Tensor:
        return ops.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class ConvTranspose2d(_Convolution):
    """Transposed convolution: (N, C, H, W) to (N, K, OH, OW); :func:`minidl.ops.conv_transpose2d`.

    >>> import minidl, numpy
    >>> layer = minidl.nn.ConvTranspose2d(8, 4, kernel_size=2, stride=2)
    >>> layer(minidl.tensor(numpy.zeros((1, 8, 5, 5), "float32"))).shape
    (1, 4, 10, 10)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        output_padding: int | Pair = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | Pair = 1,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, transposed=True
        )
        self.output_padding = pair(output_padding, "output_padding", "ConvTranspose2d")

    def forward(self, x: Tensor) -> Tensor:
        options = (self.stride, self.padding, self.output_padding, self.groups, self.dilation)
        return ops.conv_transpose2d(x, self.weight, self.bias, *options)


class BatchNorm2d(Module):
    """Batch normalisation of (N, C, H, W); :func:`minidl.ops.batch_norm`."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        super().__init__()
        _require_positive("BatchNorm2d", num_features=num_features)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.register_parameter("weight", Parameter(np.ones(num_features, DEFAULT_DTYPE)) if affine else None)
        self.register_parameter("bias", _parameter(num_features) if affine else None)
        mean, var = np.zeros(num_features, DEFAULT_DTYPE), np.ones(num_features, DEFAULT_DTYPE)
        self.register_buffer("running_mean", Tensor(mean) if track_running_stats else None)
        self.register_buffer("running_var", Tensor(var) if track_running_stats else None)
        count = Tensor(np.zeros((), np.int64)) if track_running_stats else None
        self.register_buffer("num_batches_tracked", count)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4:
            raise ValueError(f"BatchNorm2d: input must be 4-dimensional (N, C, H, W), got shape {x.shape}")
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.data += 1
        training = self.training or self.running_mean is None
        return ops.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, training, self.momentum, self.eps
        )

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"


class GroupNorm(Module):
    """Group normalisation; :func:`minidl.ops.group_norm`."""

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__()
        _require_positive("GroupNorm", num_groups=num_groups, num_channels=num_channels)
        if num_channels % num_groups:
            raise ValueError(f"GroupNorm: num_groups {num_groups} must divide num_channels {num_channels}")
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, eps
        self.register_parameter("weight", Parameter(np.ones(num_channels, DEFAULT_DTYPE)) if affine else None)
        self.register_parameter("bias", _parameter(num_channels) if affine else None)

    def forward(self, x: Tensor) -> Tensor:
        return ops.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}"
