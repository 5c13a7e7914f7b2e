"""The same U-Net in torch, from torch's own layers and with the same names: weights can be copied across.

It is a peer to compare with, not a part of the library; torch is imported here only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
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

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(x)))


class TorchUNet(nn.Module):
    """ "Same" padding, nearest upsampling, with or without a bottleneck and batch normalisation."""

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        base: int,
        depth: int,
        bottleneck: bool = True,
        norm: str = "none",
    ) -> None:
        super().__init__()
        self.depth = depth
        widths = [base * 2**level for level in range(depth + bottleneck)]
        pairs = list(zip([in_channels, *widths], widths, strict=False))
        self.down = nn.ModuleList([DoubleConv(a, b, norm) for a, b in pairs])
        self.decode = nn.ModuleList()
        below = widths[-1]
        for width in reversed(widths[:depth]):
            self.decode.append(DoubleConv(width + below, width, norm))
            below = width
        self.head = nn.Conv2d(below, num_classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skips = []
        for level, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if level else x)
            skips.append(x)
        if len(skips) > self.depth:
            skips.pop()
        else:
            x = F.max_pool2d(x, 2)
        for decode in self.decode:
            x = decode(torch.cat([skips.pop(), F.interpolate(x, scale_factor=2)], dim=1))
        out: torch.Tensor = self.head(x)
        return out


def with_weights(architecture: dict[str, Any], state: dict[str, np.ndarray[Any, Any]]) -> TorchUNet:
    """The torch network of a minidl architecture, with the weights of a minidl ``state_dict``.

    Raises:
        ValueError: an option that this peer does not have.
    """
    options = dict(architecture)
    plain = {"up": "nearest", "padding": "same", "dropout": 0.0}
    for name, value in plain.items():
        if options.pop(name, value) != value:
            raise ValueError(f"the torch peer has {name}={value!r} only")
    model = TorchUNet(**options)
    model.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in state.items()})
    return model
