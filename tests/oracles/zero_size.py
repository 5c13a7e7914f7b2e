"""Every operation with nothing to work on: an empty batch, no rows, no columns, no channels.

A row is one line for minidl and torch, the shapes of its arrays, and what must come out, written down by
hand: a shape (then there is nothing in it), or numbers (a sum over nothing is 0).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Row = tuple[Callable[..., Any], list[tuple[int, ...]], Any]

EMPTY, IMAGES = (0, 3), (0, 4, 5, 6)


def nothing(*shape: int) -> np.ndarray:
    """An array of this shape, which has no elements."""
    assert 0 in shape
    return np.zeros(shape)


def zeros(*shape: int) -> np.ndarray:
    """What a sum over nothing gives."""
    return np.zeros(shape)


def _labels(F: Any, *shape: int) -> Any:
    return F.tensor(np.zeros(shape, np.int64))


def _running(F: Any, x: Any) -> tuple[Any, Any]:
    dtype = np.float64 if "64" in str(x.dtype) else np.float32
    return F.tensor(np.zeros(4, dtype)), F.tensor(np.ones(4, dtype))


_ELEMENTWISE = (
    *("abs", "elu", "exp", "gelu", "hardswish", "leaky_relu", "log", "neg", "relu", "rsqrt", "sigmoid"),
    *("sign", "silu", "softplus", "sqrt", "tanh"),
)

ROWS: dict[str, Row] = {
    name: (lambda F, x, name=name: getattr(F, name)(x), [(2, 0, 3)], nothing(2, 0, 3))
    for name in _ELEMENTWISE
}
ROWS |= {
    name: (lambda F, x, y, name=name: getattr(F, name)(x, y), [(2, 0, 3), (3,)], nothing(2, 0, 3))
    for name in ("add", "sub", "mul", "div", "pow", "maximum", "minimum")
}
ROWS |= {
    "clamp": (lambda F, x: F.clamp(x, -1.0, 1.0), [EMPTY], nothing(0, 3)),
    "clone": (lambda F, x: F.clone(x), [EMPTY], nothing(0, 3)),
    "prelu": (lambda F, x, w: F.prelu(x, w), [(0, 3, 2), (3,)], nothing(0, 3, 2)),
    "where": (lambda F, x, y: F.where(F.tensor(np.zeros((0, 1), bool)), x, y), [EMPTY, (3,)], nothing(0, 3)),
    # reductions: over nothing a sum is 0; over the other dimension nothing is left
    "sum": (lambda F, x: F.sum(x, 0), [EMPTY], zeros(3)),
    "sum of all": (lambda F, x: F.sum(x), [EMPTY], zeros()),
    "mean": (lambda F, x: F.mean(x, 1), [EMPTY], nothing(0)),
    "var": (lambda F, x: F.var(x, 1), [EMPTY], nothing(0)),
    "std": (lambda F, x: F.std(x, 1, keepdim=True), [EMPTY], nothing(0, 1)),
    "amax": (lambda F, x: F.amax(x, 1), [EMPTY], nothing(0)),
    "amin": (lambda F, x: F.amin(x, 1), [EMPTY], nothing(0)),
    "max": (lambda F, x: F.max(x, 1)[0], [EMPTY], nothing(0)),
    "min": (lambda F, x: F.min(x, 1)[0], [EMPTY], nothing(0)),
    "softmax": (lambda F, x: F.softmax(x, 1), [EMPTY], nothing(0, 3)),
    "softmax over nothing": (lambda F, x: F.softmax(x, 0), [EMPTY], nothing(0, 3)),
    "log_softmax": (lambda F, x: F.log_softmax(x, 1), [EMPTY], nothing(0, 3)),
    "sort": (lambda F, x: F.sort(x, 0)[0], [EMPTY], nothing(0, 3)),
    "topk": (lambda F, x: F.topk(x, 2, 1)[0], [EMPTY], nothing(0, 2)),
    "topk of none": (lambda F, x: F.topk(x, 0, 1)[0], [(2, 3)], nothing(2, 0)),
    "gather": (lambda F, x: F.gather(x, 1, _labels(F, 0, 2)), [EMPTY], nothing(0, 2)),
    # shapes
    "reshape": (lambda F, x: F.reshape(x, (5, 0)), [EMPTY], nothing(5, 0)),
    "flatten": (lambda F, x: F.flatten(x, 1), [IMAGES], nothing(0, 120)),
    "permute": (lambda F, x: F.permute(x, (1, 0)), [EMPTY], nothing(3, 0)),
    "transpose": (lambda F, x: F.transpose(x, 0, 1), [EMPTY], nothing(3, 0)),
    "squeeze": (lambda F, x: F.squeeze(x, 1), [(0, 1)], nothing(0)),
    "unsqueeze": (lambda F, x: F.unsqueeze(x, 0), [EMPTY], nothing(1, 0, 3)),
    "expand": (lambda F, x: x.expand(0, 3), [(1, 3)], nothing(0, 3)),
    "flip": (lambda F, x: F.flip(x, (0, 1)), [EMPTY], nothing(0, 3)),
    "getitem": (lambda F, x: x[1:1], [(3, 2)], nothing(0, 2)),
    "diagonal": (lambda F, x: F.diagonal(x), [EMPTY], nothing(0)),
    "split": (lambda F, x: F.split(x, [0, 3], 1)[0], [(2, 3)], nothing(2, 0)),
    "chunk": (lambda F, x: F.chunk(x, 1, 0)[0], [EMPTY], nothing(0, 3)),
    "cat": (lambda F, x, y: F.cat([x, y], 0), [EMPTY, (0, 3)], nothing(0, 3)),
    "stack": (lambda F, x, y: F.stack([x, y], 0), [EMPTY, EMPTY], nothing(2, 0, 3)),
    "pad": (lambda F, x: F.pad(x, (1, 2)), [EMPTY], nothing(0, 6)),
    "pad of nothing": (lambda F, x: F.pad(x, (1, 1)), [(2, 0)], zeros(2, 2)),
    # products: over nothing an inner product is 0
    "matmul": (lambda F, x, y: F.matmul(x, y), [EMPTY, (3, 2)], nothing(0, 2)),
    "matmul over nothing": (lambda F, x, y: F.matmul(x, y), [(2, 0), (0, 3)], zeros(2, 3)),
    "einsum": (lambda F, x, y: F.einsum("ij,jk->ik", x, y), [(2, 0), (0, 3)], zeros(2, 3)),
    "linear": (lambda F, x, w, b: F.linear(x, w, b), [EMPTY, (2, 3), (2,)], nothing(0, 2)),
    # images
    "conv2d": (
        lambda F, x, w, b: F.conv2d(x, w, b, 2, 1),
        [IMAGES, (2, 4, 3, 3), (2,)],
        nothing(0, 2, 3, 3),
    ),
    "conv_transpose2d": (
        lambda F, x, w: F.conv_transpose2d(x, w, None, 2),
        [IMAGES, (4, 2, 2, 2)],
        nothing(0, 2, 10, 12),
    ),
    "unfold": (lambda F, x: F.unfold(x, 3), [IMAGES], nothing(0, 36, 12)),
    "fold": (lambda F, x: F.fold(x, (5, 6), 3), [(0, 36, 12)], nothing(0, 4, 5, 6)),
    "max_pool2d": (lambda F, x: F.max_pool2d(x, 2), [IMAGES], nothing(0, 4, 2, 3)),
    "avg_pool2d": (lambda F, x: F.avg_pool2d(x, 2), [IMAGES], nothing(0, 4, 2, 3)),
    "adaptive_avg_pool2d": (lambda F, x: F.adaptive_avg_pool2d(x, (2, 3)), [IMAGES], nothing(0, 4, 2, 3)),
    "interpolate": (
        lambda F, x: F.interpolate(x, scale_factor=2.0, mode="bilinear"),
        [IMAGES],
        nothing(0, 4, 10, 12),
    ),
    "dropout": (lambda F, x: F.dropout(x, 0.5), [EMPTY], nothing(0, 3)),
    "dropout2d": (lambda F, x: F.dropout2d(x, 0.5), [IMAGES], nothing(0, 4, 5, 6)),
    "layer_norm": (lambda F, x, w, b: F.layer_norm(x, (3,), w, b), [EMPTY, (3,), (3,)], nothing(0, 3)),
    "group_norm": (lambda F, x, w, b: F.group_norm(x, 2, w, b), [IMAGES, (4,), (4,)], nothing(0, 4, 5, 6)),
    "instance_norm": (lambda F, x: F.instance_norm(x), [IMAGES], nothing(0, 4, 5, 6)),
    "batch_norm": (
        lambda F, x, w: F.batch_norm(x, *_running(F, x), w),
        [IMAGES, (4,)],
        nothing(0, 4, 5, 6),
    ),
    # losses: a sum over no pixel is 0
    "cross_entropy": (lambda F, x: F.cross_entropy(x, _labels(F, 0), reduction="sum"), [EMPTY], zeros()),
    "nll_loss": (lambda F, x: F.nll_loss(x, _labels(F, 0), reduction="sum"), [EMPTY], zeros()),
    "l1_loss": (lambda F, x, y: F.l1_loss(x, y, reduction="none"), [EMPTY, EMPTY], nothing(0, 3)),
    "mse_loss": (lambda F, x, y: F.mse_loss(x, y, reduction="sum"), [EMPTY, EMPTY], zeros()),
    "smooth_l1_loss": (lambda F, x, y: F.smooth_l1_loss(x, y, reduction="sum"), [EMPTY, EMPTY], zeros()),
    "kl_div": (lambda F, x, y: F.kl_div(x, y, reduction="sum"), [EMPTY, EMPTY], zeros()),
    "binary_cross_entropy_with_logits": (
        lambda F, x, y: F.binary_cross_entropy_with_logits(x, y, reduction="none"),
        [EMPTY, EMPTY],
        nothing(0, 3),
    ),
}
