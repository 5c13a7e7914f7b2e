"""Layers that learn: modules that hold parameters and call one operation.

Arguments, defaults, initial values and names of the parameters are torch's; the equations are in the
operation of the same name. Normalisation is in :mod:`minidl.nn.norm`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidl import ops
from minidl._tensor import Tensor
from minidl.nn import init
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter, filled
from minidl.ops._shapes import Pair, conv_transpose_output, pair, same_padding
from minidl.ops.conv2d import check_named_padding

#: What a convolution may find beyond an image's border: zeros, or as the modes of :func:`minidl.ops.pad`.
PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


def _require_positive(layer: str, **sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{layer}: {name} must be at least 1, got {size}")


class Linear(Module):
    """Fully connected: (..., in) to (..., out); :func:`minidl.ops.linear`.

    Args:
        in_features, out_features: how many numbers go in and come out.
        bias: with one.
        device, dtype: where the parameters lie, and as what; the host and float32 by default.

    >>> import minidl
    >>> minidl.nn.Linear(3, 5)(minidl.tensor([[1.0, 2.0, 3.0]])).shape
    (1, 5)
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        _require_positive("Linear", in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(filled((out_features, in_features), 0, device, dtype))
        zero = filled((out_features,), 0, device, dtype)
        self.register_parameter("bias", Parameter(zero) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        init.torch_default_(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return ops.linear(input, self.weight, self.bias)

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
        padding: int | Pair | str,
        dilation: int | Pair,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
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
        self.padding: Any = padding
        if isinstance(padding, str) and not transposed:
            check_named_padding(name, padding, self.stride)
        else:
            self.padding = pair(padding, "padding", name)
        self.dilation = pair(dilation, "dilation", name, least=1)
        modes = ("zeros",) if transposed else PADDING_MODES
        if padding_mode not in modes:
            raise ValueError(f"{name}: padding_mode must be one of {', '.join(modes)}, got {padding_mode!r}")
        self.padding_mode = padding_mode
        ends = (in_channels, out_channels // groups) if transposed else (out_channels, in_channels // groups)
        self.weight = Parameter(filled((*ends, *self.kernel_size), 0, device, dtype))
        zero = filled((out_channels,), 0, device, dtype)
        self.register_parameter("bias", Parameter(zero) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        init.torch_default_(self.weight, self.bias)

    def extra_repr(self) -> str:
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        )
        plain = {"padding": (0, 0), "dilation": (1, 1), "output_padding": (0, 0), "groups": 1}
        shown = ((k, getattr(self, k, v)) for k, v in plain.items())
        text += "".join(f", {k}={value!r}" for k, value in shown if value != plain[k])
        text += "" if self.bias is not None else ", bias=False"
        return text if self.padding_mode == "zeros" else f"{text}, padding_mode={self.padding_mode}"


class Conv2d(_Convolution):
    """Convolution: (N, C, H, W) to (N, K, OH, OW); :func:`minidl.ops.conv2d`, ``padding="same"`` included.

    ``padding_mode`` says what lies beyond the border: ``"zeros"``, or ``"reflect"``, ``"replicate"`` or
    ``"circular"`` as in :func:`minidl.ops.pad`.

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
        padding: int | Pair | str = 0,
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            *(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias),
            *(padding_mode, device, dtype),
            transposed=False,
        )

    def forward(self, input: Tensor) -> Tensor:
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = self._bordered(input), 0
        return ops.conv2d(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def _bordered(self, x: Tensor) -> Tensor:
        """The image with its border: all of the padding, as padding_mode has it."""
        sides, more = self.padding, (0, 0)
        if isinstance(sides, str):
            window = (self.weight.shape[2], self.weight.shape[3])
            dilation = pair(self.dilation, "dilation", "Conv2d", least=1)
            sides, more = same_padding(window, dilation) if sides == "same" else ((0, 0), (0, 0))
        v, h = pair(sides, "padding", "Conv2d")
        return ops.pad(x, (h, h + more[1], v, v + more[0]), mode=self.padding_mode)


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
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        extra = pair(output_padding, "output_padding", "ConvTranspose2d")  # checked before weights are drawn
        super().__init__(
            *(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias),
            *(padding_mode, device, dtype),
            transposed=True,
        )
        self.output_padding = extra

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """``output_size`` (OH, OW) takes the place of the layer's output_padding."""
        if self.padding_mode != "zeros":
            raise ValueError(f"ConvTranspose2d: padding_mode must be zeros, got {self.padding_mode!r}")
        extra = self.output_padding if output_size is None else self._padding_for(input, output_size)
        options = (self.stride, self.padding, extra, self.groups, self.dilation)
        return ops.conv_transpose2d(input, self.weight, self.bias, *options)

    def _padding_for(self, x: Tensor, output_size: Sequence[int]) -> Pair:
        """The output_padding with which ``x`` becomes so large: from 0 to less than a stride."""
        wanted = pair(tuple(output_size)[-2:], "output_size", "ConvTranspose2d")
        size, window = (x.shape[-2], x.shape[-1]), (self.weight.shape[2], self.weight.shape[3])
        stride, padding, dilation = (
            pair(getattr(self, name), name, "ConvTranspose2d") for name in ("stride", "padding", "dilation")
        )
        least = conv_transpose_output(size, window, stride, padding, (0, 0), dilation)
        extra = (wanted[0] - least[0], wanted[1] - least[1])
        if not all(0 <= e < s for e, s in zip(extra, stride, strict=True)):
            raise ValueError(
                f"ConvTranspose2d: output_size {wanted} must be {least}, or larger by less than the stride "
                f"{stride} (input {x.shape})"
            )
        return extra
