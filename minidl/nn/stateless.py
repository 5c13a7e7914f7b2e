"""Layers that only move values: flatten, identity.

Arguments and defaults are torch's; the equations are in the operation of the same name.
"""

from __future__ import annotations

from typing import Any

from minidl import ops
from minidl._tensor import Tensor
from minidl.nn.module import Module


class Flatten(Module):
    """(N, C, H, W) to (N, C·H·W)."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        return ops.flatten(input, self.start_dim, self.end_dim)


class Identity(Module):
    """Gives back what it gets, and takes any arguments, so that it can stand where another layer stood."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return input
