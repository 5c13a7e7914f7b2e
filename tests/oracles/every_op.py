"""Every operation in one line, with the shapes of the arrays that it takes: for what must hold of all.

The lines are written for minidl and torch alike (F is either). They reach each kernel's usual ways; what is
special about an operation has tests of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Row = tuple[Callable[..., Any], list[tuple[int, ...]]]

MATRIX, IMAGES = (3, 5), (2, 4, 6, 7)
IDS = np.array([1, 4, 0])
PIXELS = np.arange(2 * 6 * 7).reshape(2, 6, 7) % 4


def _named(name: str, **options: Any) -> Callable[..., Any]:
    return lambda F, *tensors: getattr(F, name)(*tensors, **options)


def _running(F: Any, x: Any) -> tuple[Any, Any]:
    dtype = np.float64 if "64" in str(x.dtype) else np.float32
    return F.tensor(np.zeros(4, dtype)), F.tensor(np.ones(4, dtype))


def _unpooled(F: Any, x: Any) -> Any:
    index = np.broadcast_to(np.arange(6 * 7).reshape(6, 7), IMAGES)
    return F.max_unpool2d(x, F.tensor(index.copy()), 1)


#: With a gradient, or several.
ROWS: dict[str, Row] = {
    name: (_named(name), [MATRIX])
    for name in (
        *("abs", "elu", "exp", "gelu", "hardswish", "leaky_relu", "log", "neg", "relu", "rsqrt", "sigmoid"),
        *("sign", "silu", "softplus", "sqrt", "tanh", "clone", "sum", "mean", "var", "std", "amax", "amin"),
        *("max", "min", "diagonal"),
    )
}
ROWS |= {
    name: (_named(name), [MATRIX, (5,)]) for name in ("add", "sub", "mul", "div", "pow", "maximum", "minimum")
}
ROWS |= {
    name: (_named(name, reduction=reduction), [MATRIX, MATRIX])
    for name in ("l1_loss", "mse_loss", "smooth_l1_loss", "kl_div", "binary_cross_entropy_with_logits")
    for reduction in ("mean",)
}
ROWS |= {
    "gelu of tanh": (_named("gelu", approximate="tanh"), [MATRIX]),
    "prelu": (_named("prelu"), [MATRIX, (5,)]),
    "clamp": (lambda F, x: F.clamp(x, -1.0, 1.0), [MATRIX]),
    "clip": (lambda F, x: F.clip(x, -1.0, 1.0), [MATRIX]),
    "where": (lambda F, x, y: F.where(F.tensor(np.array([[True], [False], [True]])), x, y), [MATRIX, (5,)]),
    "cast": (lambda F, x: x.double(), [MATRIX]),
    "kl_div of logarithms": (_named("kl_div", reduction="sum", log_target=True), [MATRIX, MATRIX]),
    # reductions along a dimension, and what orders
    "sum of rows": (lambda F, x: F.sum(x, 1), [MATRIX]),
    "mean of columns": (lambda F, x: F.mean(x, 0, keepdim=True), [MATRIX]),
    "var of columns": (lambda F, x: F.var(x, 0), [MATRIX]),
    "std of rows": (lambda F, x: F.std(x, 1, keepdim=True), [MATRIX]),
    "max of rows": (lambda F, x: F.max(x, 1)[0], [MATRIX]),
    "sort": (lambda F, x: F.sort(x, 0)[0], [MATRIX]),
    "topk": (lambda F, x: F.topk(x, 2, 1)[0], [MATRIX]),
    "gather": (lambda F, x: F.gather(x, 1, F.tensor(np.array([[0, 0], [4, 1], [2, 2]]))), [MATRIX]),
    "scatter_add": (
        lambda F, x, y: F.scatter_add(x, 1, F.tensor(np.array([[0, 0], [4, 1], [2, 2]])), y),
        [MATRIX, (3, 2)],
    ),
    "softmax": (lambda F, x: F.softmax(x, 1), [MATRIX]),
    "log_softmax": (lambda F, x: F.log_softmax(x, 0), [MATRIX]),
    # shapes
    "reshape": (lambda F, x: F.reshape(x, (5, 3)), [MATRIX]),
    "flatten": (lambda F, x: F.flatten(x, 1), [IMAGES]),
    "permute": (lambda F, x: F.permute(x, (1, 0)), [MATRIX]),
    "transpose": (lambda F, x: F.transpose(x, 0, 1), [MATRIX]),
    "squeeze": (lambda F, x: F.squeeze(x, 1), [(3, 1)]),
    "unsqueeze": (lambda F, x: F.unsqueeze(x, 0), [MATRIX]),
    "expand": (lambda F, x: x.expand(4, 3), [(1, 3)]),
    "flip": (lambda F, x: F.flip(x, (0, 1)), [MATRIX]),
    "getitem": (lambda F, x: x[1:, [0, 0, 2]], [MATRIX]),
    "split": (lambda F, x: F.split(x, 2, 1)[2], [MATRIX]),
    "chunk": (lambda F, x: F.chunk(x, 2, 0)[0], [MATRIX]),
    "cat": (lambda F, x, y: F.cat([x, y], 0), [MATRIX, (2, 5)]),
    "stack": (lambda F, x, y: F.stack([x, y], 0), [MATRIX, MATRIX]),
    "pad": (lambda F, x: F.pad(x, (1, 2)), [MATRIX]),
    "dropout": (lambda F, x: F.dropout(x, 0.0), [MATRIX]),
    "dropout2d": (lambda F, x: F.dropout2d(x, 0.0), [IMAGES]),
    # products
    "matmul": (_named("matmul"), [MATRIX, (5, 2)]),
    "einsum": (lambda F, x, y: F.einsum("ij,jk->ik", x, y), [MATRIX, (5, 2)]),
    "linear": (_named("linear"), [MATRIX, (2, 5), (2,)]),
    # images
    "conv2d": (lambda F, x, w, b: F.conv2d(x, w, b, 1, 1), [IMAGES, (3, 4, 3, 3), (3,)]),
    "conv2d of steps": (lambda F, x, w: F.conv2d(x, w, None, 2, 1), [IMAGES, (3, 4, 3, 3)]),
    "conv2d of each channel": (lambda F, x, w: F.conv2d(x, w, None, 1, 1, 1, 4), [IMAGES, (4, 1, 3, 3)]),
    "conv_transpose2d": (lambda F, x, w: F.conv_transpose2d(x, w, None, 2), [IMAGES, (4, 3, 2, 2)]),
    "unfold": (lambda F, x: F.unfold(x, 3), [IMAGES]),
    "fold": (lambda F, x: F.fold(x, (6, 7), 3), [(2, 9, 20)]),
    "max_pool2d": (lambda F, x: F.max_pool2d(x, 2), [IMAGES]),
    "max_unpool2d": (_unpooled, [IMAGES]),
    "avg_pool2d": (lambda F, x: F.avg_pool2d(x, 3, 2, 1), [IMAGES]),
    "adaptive_avg_pool2d": (lambda F, x: F.adaptive_avg_pool2d(x, (2, 3)), [IMAGES]),
    "interpolate": (_named("interpolate", scale_factor=2.0, mode="bilinear"), [IMAGES]),
    "interpolate nearest": (_named("interpolate", scale_factor=2.0), [IMAGES]),
    "interpolate bicubic": (_named("interpolate", scale_factor=1.5, mode="bicubic"), [IMAGES]),
    "layer_norm": (lambda F, x, w, b: F.layer_norm(x, (5,), w, b), [MATRIX, (5,), (5,)]),
    "group_norm": (lambda F, x, w, b: F.group_norm(x, 2, w, b), [IMAGES, (4,), (4,)]),
    "instance_norm": (lambda F, x: F.instance_norm(x), [IMAGES]),
    "batch_norm": (
        lambda F, x, w, b: F.batch_norm(x, *_running(F, x), w, b, training=True),
        [IMAGES, (4,), (4,)],
    ),
    "batch_norm by given": (lambda F, x, w, b: F.batch_norm(x, *_running(F, x), w, b), [IMAGES, (4,), (4,)]),
    # losses of classes
    "cross_entropy": (lambda F, x: F.cross_entropy(x, F.tensor(IDS)), [MATRIX]),
    "cross_entropy of pixels": (
        lambda F, x: F.cross_entropy(x, F.tensor(PIXELS), label_smoothing=0.1, reduction="none"),
        [IMAGES],
    ),
    "cross_entropy of shares": (_named("cross_entropy"), [MATRIX, MATRIX]),
    "nll_loss": (lambda F, x: F.nll_loss(x, F.tensor(IDS)), [MATRIX]),
}

#: minidl's own, which torch does not have.
OWN: dict[str, Row] = {
    "convolve2d": (_named("convolve2d"), [(6, 7), (3, 3)]),
    "fused_conv2d": (
        lambda F, x, w, b: F.fused_conv2d(x, w, b, 1, 1, relu=True),
        [IMAGES, (3, 4, 3, 3), (3,)],
    ),
}

#: Without a gradient.
FLAT: dict[str, Row] = {
    name: (_named(name), [MATRIX]) for name in ("isfinite", "isinf", "isnan", "logical_not")
}
FLAT |= {name: (_named(name), [MATRIX, (5,)]) for name in ("eq", "ne", "lt", "le", "gt", "ge")}
FLAT |= {
    name: (lambda F, x, name=name: getattr(F, name)(x, 1), [MATRIX])
    for name in ("argmax", "argmin", "argsort")
}

#: Of integers only.
WHOLE = frozenset(("bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor"))
