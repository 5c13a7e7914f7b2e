"""Operations that have CUDA kernels, at small odd shapes: what tests run on a device and on the host.

Each case gives a function of tensors and the shapes that it takes; what has no gradient (labels, masks) is
made by ``place``, which puts a NumPy array where the tensors live.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import minidl
from minidl import ops

Place = Callable[[Any], Any]


class Case(NamedTuple):
    """An operation, the shapes of its inputs, and the length of the longest sum in it."""

    name: str
    make: Callable[[Place], Callable[..., Any]]
    shapes: tuple[tuple[int, ...], ...]
    terms: int = 64


def _labels(place: Place, shape: tuple[int, ...], classes: int, ignored: bool = False) -> Any:
    ids = np.random.default_rng(11).integers(0, classes, shape)
    if ignored:
        ids[..., ::3] = 255
    return place(ids)


def _dropped(x: Any, **options: Any) -> Any:
    minidl.manual_seed(5)  # the same mask whenever it is called
    return ops.dropout(x, **options)


def _pooled(place: Place) -> Any:
    index = np.array([[[[0, 3, 4], [11, 12, 19]]]])
    return lambda x: ops.max_unpool2d(x, place(index), 2, output_size=(4, 6))


def plain(fn: Callable[..., Any]) -> Callable[[Place], Callable[..., Any]]:
    """For a function that needs nothing but its inputs."""
    return lambda place: fn


IMAGE = (2, 3, 7, 5)

CASES = [
    Case("add", plain(lambda x, y: x + y), (IMAGE, IMAGE)),
    Case("add broadcast", plain(lambda x, y: x + y), (IMAGE, (3, 1, 1)), 70),
    Case("relu", plain(ops.relu), (IMAGE,)),
    Case("leaky_relu", plain(ops.leaky_relu), (IMAGE,)),
    Case("sigmoid", plain(ops.sigmoid), (IMAGE,)),
    Case("tanh", plain(ops.tanh), (IMAGE,)),
    Case("silu", plain(ops.silu), (IMAGE,)),
    Case("hardswish", plain(ops.hardswish), (IMAGE,)),
    Case("elu", plain(ops.elu), (IMAGE,)),
    Case("softplus", plain(ops.softplus), (IMAGE,)),
    Case("gelu", plain(ops.gelu), (IMAGE,)),
    Case("gelu tanh", plain(lambda x: ops.gelu(x, approximate="tanh")), (IMAGE,)),
    Case("softmax", plain(lambda x: ops.softmax(x, 1)), (IMAGE,)),
    Case("softmax last", plain(lambda x: ops.softmax(x, -1)), ((3, 37),)),
    Case("log_softmax", plain(lambda x: ops.log_softmax(x, 1)), (IMAGE,)),
    Case("sum", plain(lambda x: x.sum((0, 2))), (IMAGE,)),
    Case("mean", plain(lambda x: x.mean()), (IMAGE,), 210),
    Case("var", plain(lambda x: x.var(1)), (IMAGE,)),
    Case("max", plain(lambda x: x.max()), (IMAGE,)),
    Case("max_pool2d", plain(lambda x: ops.max_pool2d(x, 2)), (IMAGE,)),
    Case("max_pool2d overlapping", plain(lambda x: ops.max_pool2d(x, 3, 2, 1)), (IMAGE,)),
    Case("avg_pool2d", plain(lambda x: ops.avg_pool2d(x, 3, 2, 1)), (IMAGE,)),
    Case("avg_pool2d inside", plain(lambda x: ops.avg_pool2d(x, 3, 2, 1, count_include_pad=False)), (IMAGE,)),
    Case("adaptive_avg_pool2d", plain(lambda x: ops.adaptive_avg_pool2d(x, (3, 2))), (IMAGE,)),
    Case("max_unpool2d", _pooled, ((1, 1, 2, 3),)),
    Case("interpolate nearest", plain(lambda x: ops.interpolate(x, scale_factor=2)), (IMAGE,)),
    Case(
        "interpolate bilinear", plain(lambda x: ops.interpolate(x, size=(9, 4), mode="bilinear")), (IMAGE,)
    ),
    Case("cat", plain(lambda x, y: ops.cat((x, y), 1)), (IMAGE, (2, 1, 7, 5))),
    Case("dropout", plain(lambda x: _dropped(x, p=0.4)), (IMAGE,)),
    Case(
        "batch_norm", plain(lambda x, w, b: ops.batch_norm(x, None, None, w, b, training=True)),
        (IMAGE, (3,), (3,)), 140,
    ),
    Case("group_norm", plain(lambda x, w, b: ops.group_norm(x, 3, w, b)), (IMAGE, (3,), (3,)), 140),
    Case("layer_norm", plain(lambda x, w, b: ops.layer_norm(x, (5,), w, b)), (IMAGE, (5,), (5,)), 140),
    Case(
        "cross_entropy",
        lambda place: lambda x: ops.cross_entropy(x, _labels(place, (2, 7, 5), 3)), (IMAGE,), 70,
    ),
    Case(
        "cross_entropy ignoring, weighted",
        lambda place: lambda x: ops.cross_entropy(
            x, _labels(place, (2, 7, 5), 3, True), place(np.array([0.5, 1.0, 2.0], x.dtype)),
            ignore_index=255, label_smoothing=0.1,
        ),
        (IMAGE,), 70,
    ),
    Case("conv2d", plain(lambda x, w, b: ops.conv2d(x, w, b, padding=1)), (IMAGE, (4, 3, 3, 3), (4,)), 120),
    Case(
        "conv2d strided, grouped",
        plain(lambda x, w: ops.conv2d(x, w, None, 2, 1, 2, 3)), (IMAGE, (6, 1, 3, 2)), 120,
    ),
    Case("conv2d pointwise", plain(lambda x, w: ops.conv2d(x, w)), (IMAGE, (4, 3, 1, 1)), 120),
    Case(
        "conv_transpose2d",
        plain(lambda x, w, b: ops.conv_transpose2d(x, w, b, 2, 1)), (IMAGE, (3, 2, 3, 3), (2,)), 120,
    ),
    Case(
        "fused_conv2d",
        plain(
            lambda x, w, b, s: ops.fused_conv2d(
                x, w, b, padding=1, second=s, upsample_second=True, relu=True
            )
        ),
        ((2, 3, 6, 4), (4, 5, 3, 3), (4,), (2, 2, 3, 2)), 120,
    ),
    Case("unfold", plain(lambda x: ops.unfold(x, 3, padding=1)), (IMAGE,)),
    Case("fold", plain(lambda x: ops.fold(x, (5, 4), 2)), ((2, 12, 12),)),
    Case("linear", plain(lambda x, w, b: ops.linear(x, w, b)), ((4, 5), (3, 5), (3,))),
    Case("matmul", plain(lambda x, y: x @ y), ((2, 4, 5), (5, 3))),
]  # fmt: skip
