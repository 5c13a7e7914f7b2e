"""The same U-Net in torch, from torch's own layers and with the same names: weights can be copied across."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np


@functools.cache
def _double_conv() -> Any:
    from torch import nn
    from torch.nn import functional as F

    class DoubleConv(nn.Module):
        """(3x3 convolution, norm, ReLU) twice."""

        def __init__(self, in_channels: int, out_channels: int, norm: str) -> None:
            super().__init__()
            bias = norm == "none"
            self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=bias)
            self.norm1 = nn.BatchNorm2d(out_channels) if norm == "batch" else nn.Identity()
            self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=bias)
            self.norm2 = nn.BatchNorm2d(out_channels) if norm == "batch" else nn.Identity()

        def forward(self, x: Any) -> Any:
            x = F.relu(self.norm1(self.conv1(x)), inplace=True)
            return F.relu(self.norm2(self.conv2(x)), inplace=True)

    return DoubleConv


@functools.cache
def network_class() -> Any:
    """``TorchUNet``, a ``torch.nn.Module``; made when first asked for, since minidl does not need torch."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    DoubleConv = _double_conv()

    class TorchUNet(nn.Module):
        """ "Same" padding, nearest or learned upsampling, with or without bottleneck and batch norm."""

        def __init__(
            self,
            in_channels: int,
            num_classes: int,
            base: int,
            depth: int,
            bottleneck: bool = True,
            norm: str = "none",
            up: str = "nearest",
        ) -> None:
            super().__init__()
            self.depth = depth
            widths = [base * 2**level for level in range(depth + bottleneck)]
            pairs = list(zip([in_channels, *widths], widths, strict=False))
            self.down = nn.ModuleList([DoubleConv(a, b, norm) for a, b in pairs])
            self.upsample, self.decode = nn.ModuleList(), nn.ModuleList()
            below = widths[-1]
            for width in reversed(widths[:depth]):
                if up == "transpose":
                    self.upsample.append(nn.ConvTranspose2d(below, below // 2, 2, stride=2))
                    below //= 2
                else:
                    self.upsample.append(nn.Upsample(scale_factor=2, mode="nearest"))
                self.decode.append(DoubleConv(width + below, width, norm))
                below = width
            self.head = nn.Conv2d(below, num_classes, 1)

        def forward(self, x: Any) -> Any:
            skips = []
            for level, block in enumerate(self.down):
                x = block(F.max_pool2d(x, 2) if level else x)
                skips.append(x)
            if len(skips) > self.depth:
                skips.pop()
            else:
                x = F.max_pool2d(x, 2)
            for upsample, decode in zip(self.upsample, self.decode, strict=True):
                x = decode(torch.cat([skips.pop(), upsample(x)], dim=1))
            return self.head(x)

    return TorchUNet


def with_weights(architecture: dict[str, Any], state: dict[str, np.ndarray[Any, Any]]) -> Any:
    """The torch network of a minidl architecture, with the weights of a minidl ``state_dict``.

    Args:
        architecture: what ``minidl.models.UNet`` was called with.
        state: its ``state_dict()``.

    Raises:
        ValueError: an option that this peer does not have.
    """
    import torch

    options = dict(architecture)
    plain = {"padding": "same", "dropout": 0.0, "recompute": False}
    for name, value in plain.items():
        if options.pop(name, value) != value:
            raise ValueError(f"the torch peer has {name}={value!r} only")
    if options.get("up", "nearest") not in ("nearest", "transpose"):
        raise ValueError("the torch peer has up='nearest' and up='transpose' only")
    model = network_class()(**options)
    model.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in state.items()})
    return model
