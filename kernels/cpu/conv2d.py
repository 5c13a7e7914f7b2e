"""Convolution on CPUs: one entry, several algorithms (backend ``"numba"``).

What is different from ``kernels/reference/conv2d.py``: activations lie channels-last in memory, so that the
numbers of a pixel are neighbours; sums are kept in registers; and each problem gets the algorithm that suits
it (``plan.py`` decides, by a model of the cost):

* ``"winograd4"``, ``"winograd2"`` (``winograd.py``): 3x3 with a quarter, or 4/9, of the multiplications;
* ``"direct"`` (``conv2d_direct.py``): any convolution; reads the image in place;
* ``"im2col"`` (``conv2d_im2col.py``): any convolution; copies windows into columns, block by block;
* ``"depthwise"`` (``conv2d_depthwise.py``): as many groups as channels.

``algorithm=`` asks for one by name. What it cannot do is an error; nothing else runs in its place, with one
exception, so that NaN and infinity arrive where the definition puts them: Winograd's algorithm spreads what
is not finite over whole tiles. Such a result is thrown away and computed directly; and the gradient of x by
columns where a weight is not finite, since the direct one multiplies zeros around the cotangents by it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minidl.kernels.cpu import (
    conv2d_bias,
    conv2d_depthwise,
    conv2d_depthwise_weight,
    conv2d_direct,
    conv2d_direct_weight,
    conv2d_im2col,
    plan,
    winograd,
    winograd_weight,
)
from minidl.kernels.layout import channels_last
from minidl.kernels.reference import conv2d as reference

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]


class Algorithm(NamedTuple):
    """The functions of one algorithm, all with the arguments of this file's own."""

    forward: Callable[..., Any]
    backward_data: Callable[..., Any]
    backward_weight: Callable[..., Any]


def _winograd(m: int) -> Algorithm:
    def forward(x: Array, weight: Array, bias: Array | None, out: Pair, padding: Pair, **_: Any) -> Any:
        return winograd.forward(x, weight, bias, out, padding, m)

    def backward_data(g: Array, weight: Array, x_shape: tuple[int, ...], padding: Pair, **_: Any) -> Any:
        return winograd.backward_data(g, weight, x_shape, padding, m)

    def backward_weight(g: Array, x: Array, weight_shape: tuple[int, ...], padding: Pair, **_: Any) -> Any:
        both = winograd_weight.backward_weight(g, x, weight_shape, padding, m)
        return None if both is None else both[0]

    return Algorithm(forward, backward_data, backward_weight)


ALGORITHMS = {
    "winograd4": _winograd(4),
    "winograd2": _winograd(2),
    "direct": Algorithm(
        conv2d_direct.forward, conv2d_direct.backward_data, conv2d_direct_weight.backward_weight
    ),
    "im2col": Algorithm(conv2d_im2col.forward, conv2d_im2col.backward_data, conv2d_im2col.backward_weight),
    "depthwise": Algorithm(
        conv2d_depthwise.forward, conv2d_depthwise.backward_data, conv2d_depthwise_weight.backward_weight
    ),
}


def planned(
    direction: str,
    x_shape: tuple[int, ...],
    itemsize: int,
    weight_shape: tuple[int, ...],
    options: dict[str, Any],
) -> plan.Plan:
    """The plan for x and weight of these shapes; ``options`` may ask for an ``algorithm``.

    Raises:
        ValueError: the algorithm that is asked for cannot do this, or does not exist.
    """
    n, c, h, w = x_shape
    k, _, *kernel = weight_shape
    stride, padding, dilation, groups = (options[key] for key in ("stride", "padding", "dilation", "groups"))
    size = (kernel[0], kernel[1])
    problem = plan.Problem(direction, n, c, h, w, k, size, stride, padding, dilation, groups, itemsize)
    name = options.get("algorithm")
    return plan.choose(problem) if name is None else plan.forced(problem, name)


def chosen(
    direction: str,
    x_shape: tuple[int, ...],
    itemsize: int,
    weight_shape: tuple[int, ...],
    out: Pair,
    options: dict[str, Any],
) -> str:
    """The name of the algorithm that the functions below take."""
    return planned(direction, x_shape, itemsize, weight_shape, options).algorithm


def _run(
    direction: str, arrays: tuple[Array, ...], x_shape: Any, weight_shape: Any, args: Any, options: Any
) -> Array:
    plan_ = planned(direction, x_shape, arrays[0].itemsize, weight_shape, options)
    geometry = {name: value for name, value in options.items() if name != "algorithm"}
    result: Array | None = None
    for name in (plan_.algorithm, "direct", "im2col"):  # the next one where something is not finite
        result = getattr(ALGORITHMS[name], direction)(*args, **geometry)
        if result is not None:
            break
    assert result is not None
    return result


def _compiled_for(*arrays: Array | None) -> bool:
    """Whether all are float32, or all are float64; other numbers are left to the reference kernels."""
    dtypes = {array.dtype for array in arrays if array is not None}
    return len(dtypes) == 1 and dtypes <= {np.dtype(np.float32), np.dtype(np.float64)}


@channels_last
def forward(
    x: Array,
    weight: Array,
    bias: Array | None,
    out: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    algorithm: str | None = None,
) -> Array:
    """x (N, C, H, W), weight (K, C/groups, kh, kw), bias (K) or None, to y (N, K, OH, OW).

    Raises:
        ValueError: the algorithm that is asked for cannot do this, or does not exist. (The same below.)
    """
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if not _compiled_for(x, weight, bias):
        return reference.forward(x, weight, bias, out, **options)  # type: ignore[arg-type]
    arguments = (x, weight, bias, out)
    return _run("forward", (x,), x.shape, weight.shape, arguments, {**options, "algorithm": algorithm})


@channels_last
def backward_data(
    g: Array,
    weight: Array,
    x_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    algorithm: str | None = None,
) -> Array:
    """Cotangent g (N, K, OH, OW) to the cotangent of x (N, C, H, W)."""
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if not _compiled_for(g, weight):
        return reference.backward_data(g, weight, x_shape, **options)  # type: ignore[arg-type]
    arguments = (g, weight, x_shape)
    return _run("backward_data", (g,), x_shape, weight.shape, arguments, {**options, "algorithm": algorithm})


@channels_last
def backward_weight(
    g: Array,
    x: Array,
    weight_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    algorithm: str | None = None,
) -> Array:
    """Cotangent g (N, K, OH, OW) and input x (N, C, H, W) to that of the weight (K, C/groups, kh, kw)."""
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if not _compiled_for(g, x):
        return reference.backward_weight(g, x, weight_shape, **options)  # type: ignore[arg-type]
    arguments = (g, x, weight_shape)
    return _run(
        "backward_weight", (x,), x.shape, weight_shape, arguments, {**options, "algorithm": algorithm}
    )


@channels_last
def backward_bias(g: Array) -> Array:
    """Cotangent of the bias (K): g summed over images and pixels."""
    return conv2d_bias.backward_bias(g) if _compiled_for(g) else reference.backward_bias(g)
