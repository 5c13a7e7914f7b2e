"""relu(w ⋆ [x, doubled second] + β) in one pass over memory (backend ``"numba"``).

What is different from ``kernels/reference/fused_conv2d.py``, which does one step after the other:

* Winograd's convolution reads its input in two parts and writes max(0, y + β) as it writes (``winograd.py``).
  What the skip connection and the upsampling would have written and read again, the largest arrays of a
  U-Net, is never there.
* The ReLU's backward needs no mask: y itself tells where it was 0, and the cotangents are looked at as they
  are read, for the data's and for the weights' gradient alike; the bias's comes with the latter.

Where another algorithm is chosen for the convolution, or a result was not finite, the steps are taken one by
one, with the kernels of this folder.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.cpu import activations, conv2d, winograd, winograd_weight
from minidl.kernels.layout import channels_last, to_channels_last
from minidl.kernels.reference.fused_conv2d import joined, parted

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]


@channels_last
def forward(
    x: Array,
    second: Array | None,
    weight: Array,
    bias: Array | None,
    out: Pair,
    doubled: bool,
    relu: bool,
    **options: Any,
) -> Array:
    """As the reference's, channels-last."""
    if m := _outputs("forward", x, second, weight, out, options):
        padding = options["padding"]
        y = winograd.forward(x, weight, bias, out, padding, m, second, doubled, relu)
        if y is not None:
            return y
        options["algorithm"] = "direct"
    y = conv2d.forward(_whole(x, second, doubled), weight, bias, out, **options)
    return activations.relu(y) if relu else y


@channels_last
def backward(
    g: Array,
    y: Array,
    x: Array,
    second: Array | None,
    weight: Array,
    needed: tuple[bool, bool],
    doubled: bool,
    relu: bool,
    **options: Any,
) -> tuple[Array | None, Array | None, Array | None, Array | None]:
    """As the reference's, channels-last."""
    dx = dsecond = dw = db = None
    if needed[0]:
        dx, dsecond = _backward_data(g, y, x, second, weight, doubled, relu, options)
    if needed[1]:
        dw, db = _backward_weight(g, y, x, second, weight, doubled, relu, options)
    return dx, dsecond, dw, db


def _backward_data(
    g: Array, y: Array, x: Array, second: Array | None, weight: Array, doubled: bool, relu: bool, options: Any
) -> tuple[Array, Array | None]:
    shape = (x.shape[0], weight.shape[1] * options["groups"], *x.shape[2:])
    if m := _outputs("backward_data", x, second, weight, g.shape[2:], options):
        split, z = (None if second is None else x.shape[1]), (y if relu else None)
        dx = winograd.backward_data(g, weight, shape, options["padding"], m, z, split, doubled)
        if dx is not None:
            return dx if isinstance(dx, tuple) else (dx, None)
        options = {**options, "algorithm": "direct"}
    whole = conv2d.backward_data(_passed(g, y, relu), weight, shape, **options)
    return parted(whole, x.shape[1], second, doubled)


def _backward_weight(
    g: Array, y: Array, x: Array, second: Array | None, weight: Array, doubled: bool, relu: bool, options: Any
) -> tuple[Array, Array]:
    if m := _outputs("backward_weight", x, second, weight, g.shape[2:], options):
        z = y if relu else None
        both = winograd_weight.backward_weight(g, x, weight.shape, options["padding"], m, z, second, doubled)
        if both is not None:
            return both
        options = {**options, "algorithm": "direct"}
    g, whole = _passed(g, y, relu), _whole(x, second, doubled)
    return conv2d.backward_weight(g, whole, weight.shape, **options), conv2d.backward_bias(g)


def _passed(g: Array, y: Array, relu: bool) -> Array:
    """The cotangent behind the ReLU, where it was not looked at on the way."""
    return activations.relu_backward(g, y) if relu else g


def _whole(x: Array, second: Array | None, doubled: bool) -> Array:
    return to_channels_last(joined(x, second, doubled))


def _outputs(
    direction: str, x: Array, second: Array | None, weight: Array, out: Any, options: dict[str, Any]
) -> int:
    """m, where the planner (or the caller) chooses Winograd's F(m x m, 3x3); else 0."""
    shape = (x.shape[0], weight.shape[1] * options["groups"], *x.shape[2:])
    name = conv2d.chosen(direction, shape, x.itemsize, weight.shape, tuple(out), options)
    return {"winograd4": 4, "winograd2": 2}.get(name, 0)
