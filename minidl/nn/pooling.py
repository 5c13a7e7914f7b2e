"""Layers that look through windows and have no parameters: pooling, unpooling, resizing.

Arguments, their order and defaults are torch's (whose layers take ``return_indices`` before ``ceil_mode``,
other than its functions); the equations are in the operation of the same name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from minidl import ops
from minidl._tensor import Tensor
from minidl.nn.module import Module
from minidl.ops._shapes import Pair


class _Pool(Module):
    """What the poolings share."""

    #: Further options and their defaults; extra_repr names those that differ.
    further: ClassVar[dict[str, Any]] = {}

    def __init__(self, kernel_size: int | Pair, stride: int | Pair | None, padding: int | Pair) -> None:
        super().__init__()
        self.kernel_size, self.padding = kernel_size, padding
        self.stride = kernel_size if stride is None else stride

    def extra_repr(self) -> str:
        text = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        changed = (
            (k, getattr(self, k)) for k, default in self.further.items() if getattr(self, k) != default
        )
        return text + "".join(f", {k}={value}" for k, value in changed)


class MaxPool2d(_Pool):
    """The largest value of each window (``return_indices``: and where); :func:`minidl.ops.max_pool2d`."""

    further: ClassVar[dict[str, Any]] = {"dilation": 1, "return_indices": False, "ceil_mode": False}

    def __init__(
        self,
        kernel_size: int | Pair,
        stride: int | Pair | None = None,
        padding: int | Pair = 0,
        dilation: int | Pair = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding)
        self.dilation, self.return_indices, self.ceil_mode = dilation, return_indices, ceil_mode

    def forward(self, input: Tensor) -> Any:
        window = (self.kernel_size, self.stride, self.padding, self.dilation)
        return ops.max_pool2d(input, *window, self.ceil_mode, self.return_indices)


class MaxUnpool2d(_Pool):
    """Maxima back to where they were found; :func:`minidl.ops.max_unpool2d`.

    >>> import minidl
    >>> pool, unpool = minidl.nn.MaxPool2d(2, return_indices=True), minidl.nn.MaxUnpool2d(2)
    >>> y, indices = pool(minidl.tensor([[[[1.0, 2.0, 5.0], [3.0, 0.0, 1.0]]]]))
    >>> unpool(y, indices, output_size=(2, 3))
    tensor([[[[0., 0., 0.],
              [3., 0., 0.]]]])
    """

    def __init__(
        self, kernel_size: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0
    ) -> None:
        super().__init__(kernel_size, stride, padding)

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        return ops.max_unpool2d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class AvgPool2d(_Pool):
    """The mean of each window; :func:`minidl.ops.avg_pool2d`."""

    further: ClassVar[dict[str, Any]] = {
        "ceil_mode": False,
        "count_include_pad": True,
        "divisor_override": None,
    }

    def __init__(
        self,
        kernel_size: int | Pair,
        stride: int | Pair | None = None,
        padding: int | Pair = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        window = (self.kernel_size, self.stride, self.padding)
        return ops.avg_pool2d(input, *window, self.ceil_mode, self.count_include_pad, self.divisor_override)


class AdaptiveAvgPool2d(Module):
    """Means over windows that make the output as large as asked; :func:`minidl.ops.adaptive_avg_pool2d`."""

    def __init__(self, output_size: int | Sequence[int | None]) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        return ops.adaptive_avg_pool2d(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class Upsample(Module):
    """Resize images; :func:`minidl.ops.interpolate`."""

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        self.size, self.scale_factor, self.mode, self.align_corners = size, scale_factor, mode, align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Tensor) -> Tensor:
        how = (self.mode, self.align_corners, self.recompute_scale_factor)
        return ops.interpolate(input, self.size, self.scale_factor, *how)

    def extra_repr(self) -> str:
        what = f"size={self.size}" if self.size is not None else f"scale_factor={self.scale_factor}"
        corners = "" if self.align_corners is None else f", align_corners={self.align_corners}"
        return f"{what}, mode={self.mode!r}{corners}"
