"""Normalisation layers: each holds weight, bias and running statistics, and calls one operation.

Arguments, defaults, initial values and names of parameters and buffers are torch's; the equations are in the
operation of the same name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl import ops
from minidl._device import on
from minidl._tensor import Tensor
from minidl.autograd import is_recomputing
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter, filled


class _Norm(Module):
    """What the norms share: a weight of ones and a bias of zeros, or neither."""

    def _register_affine(
        self, shape: tuple[int, ...], weight: bool, bias: bool, device: Any, dtype: Any
    ) -> None:
        one, zero = filled(shape, 1, device, dtype), filled(shape, 0, device, dtype)
        self.register_parameter("weight", Parameter(one) if weight else None)
        self.register_parameter("bias", Parameter(zero) if bias else None)

    def _require_positive(self, **sizes: int) -> None:
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{type(self).__name__}: {name} must be at least 1, got {size}")


class _RunningNorm(_Norm):
    """What BatchNorm2d and InstanceNorm2d share: statistics of the channels, recorded while training."""

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        device: Any,
        dtype: Any,
        bias: bool,
    ) -> None:
        super().__init__()
        self._require_positive(num_features=num_features)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self._register_affine((num_features,), affine, affine and bias, device, dtype)
        mean, var = (filled((num_features,), value, device, dtype) for value in (0, 1))
        count = filled((), 0, device, np.int64)
        for name, value in (("running_mean", mean), ("running_var", var), ("num_batches_tracked", count)):
            self.register_buffer(name, value if track_running_stats else None)

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"


class BatchNorm2d(_RunningNorm):
    """Batch normalisation of (N, C, H, W); :func:`minidl.ops.batch_norm`.

    All but the number of channels may be changed later, as attributes: each forward asks them anew.

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: share of each batch in the running statistics; ``None`` for the plain average of all
            batches so far.
        affine: with weight and bias.
        track_running_stats: record statistics while training, for evaluation; without them, evaluation uses
            the batch's own. Turned off later, it keeps the record as it is.
        device, dtype: where parameters and statistics lie, and as what; the host and float32 by default.
        bias: False leaves out the bias alone.

    >>> import minidl, numpy
    >>> layer = minidl.nn.BatchNorm2d(3)
    >>> layer(minidl.tensor(numpy.zeros((2, 3, 4, 4), "float32"))).shape, layer.num_batches_tracked.item()
    ((2, 3, 4, 4), 1)
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim != 4:
            raise ValueError(
                f"BatchNorm2d: input must be 4-dimensional (N, C, H, W), got shape {input.shape}"
            )
        record: tuple[Any, Any] = (self.running_mean, self.running_var)
        count = self.num_batches_tracked if self.training and self.track_running_stats else None
        if self.training and not self.track_running_stats:
            record = (None, None)
        own = self.training or (self.running_mean is None and self.running_var is None)
        share = self.momentum
        if share is None:
            share = 0.0 if count is None else 1 / (count.item() + 1)
        y = ops.batch_norm(input, *record, self.weight, self.bias, own, share, self.eps)
        if count is not None and not is_recomputing():  # which is the same batch once more
            with on(count.data):  # after the forward: a batch that it refuses does not count
                count.data += 1
        return y

    def uses_running_statistics(self) -> bool:
        """Whether the next forward standardises by the running statistics."""
        return not self.training and self.running_mean is not None and self.running_var is not None


class InstanceNorm2d(_RunningNorm):
    """Instance normalisation of (N, C, H, W), or of one image (C, H, W); :func:`minidl.ops.instance_norm`.

    Args:
        num_features: C. Without ``affine`` and ``track_running_stats`` nothing depends on it, and, as in
            torch, it is not compared with the input.
        eps: added to the variance.
        momentum: share of each batch in the running statistics.
        affine: with weight and bias.
        track_running_stats: record statistics while training and use them in evaluation.
        device, dtype: where parameters and statistics lie, and as what; the host and float32 by default.
        bias: False leaves out the bias alone.

    >>> import minidl, numpy
    >>> minidl.nn.InstanceNorm2d(3)(minidl.tensor(numpy.zeros((2, 3, 4, 4), "float32"))).shape
    (2, 3, 4, 4)
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in (3, 4):
            raise ValueError(
                f"InstanceNorm2d: input must be (N, C, H, W) or (C, H, W), got shape {input.shape}"
            )
        if input.ndim == 3:
            return self.forward(input.reshape(1, *input.shape)).reshape(input.shape)
        own = self.training or not self.track_running_stats
        share = 0.0 if self.momentum is None else self.momentum
        parameters = (self.running_mean, self.running_var, self.weight, self.bias)
        return ops.instance_norm(input, *parameters, own, share, self.eps)

    def extra_repr(self) -> str:
        more = f"affine={self.affine}, track_running_stats={self.track_running_stats}"
        return f"{super().extra_repr()}, {more}"


class GroupNorm(_Norm):
    """Group normalisation of (N, C, ...); :func:`minidl.ops.group_norm`.

    Args:
        num_groups: how many groups the channels are cut into.
        num_channels: C.
        eps: added to the variance.
        affine: with weight and bias.
        device, dtype: where the parameters lie, and as what; the host and float32 by default.
        bias: False leaves out the bias alone.

    >>> import minidl, numpy
    >>> minidl.nn.GroupNorm(2, 4)(minidl.tensor(numpy.zeros((1, 4, 8, 8), "float32"))).shape
    (1, 4, 8, 8)
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self._require_positive(num_groups=num_groups, num_channels=num_channels)
        if num_channels % num_groups:
            raise ValueError(f"GroupNorm: num_groups {num_groups} must divide num_channels {num_channels}")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self._register_affine((num_channels,), affine, affine and bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        return ops.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}"


class LayerNorm(_Norm):
    """Layer normalisation over the last axes; :func:`minidl.ops.layer_norm`.

    Args:
        normalized_shape: the extents of the axes that are normalised together; an integer stands for the last
            one alone.
        eps: added to the variance.
        elementwise_affine: with a weight and a bias for each place.
        bias: False leaves out the bias alone.
        device, dtype: where the parameters lie, and as what; the host and float32 by default.

    >>> import minidl
    >>> minidl.nn.LayerNorm(2, eps=0.0)(minidl.tensor([[1.0, 3.0]])).tolist()
    [[-1.0, 1.0]]
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        if not shape or min(shape) < 0:
            raise ValueError(f"LayerNorm: normalized_shape must be one extent or more, got {shape}")
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine
        self._register_affine(shape, elementwise_affine, elementwise_affine and bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        return ops.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        text = f"{self.normalized_shape}, eps={self.eps}"
        return text if self.bias is not None else f"{text}, bias=False"
