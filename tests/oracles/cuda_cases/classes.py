"""Softmax, cross-entropy and the confusion matrix."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from oracles.cuda_cases.case import Case, Draw

#: extents, axis, versions forward and backward
LINES = {
    "pixels": ((3, 5, 7), 1, ("v1", "v2"), ("v1",)),
    "few": ((11, 3), 1, ("v1", "v2", "v3", "v4"), ("v1", "v2", "v3")),
    "long": ((3, 301), 1, ("v1", "v2", "v3", "v4"), ("v1", "v2", "v3")),
}


def softmax() -> Iterator[Case]:
    from minidl.kernels.reference import softmax as reference

    for name, (shape, axis, forward, backward) in LINES.items():

        def logits(draw: Draw, shape: Any = shape, axis: int = axis) -> Any:
            z = draw(*shape) * 3
            z[0, 1] = -np.inf
            z[1, 0] = 1000
            z[2, -1] = 1000  # of which the maximum must know
            return (z, axis), {}

        def cotangents(draw: Draw, of: Any, shape: Any = shape, axis: int = axis) -> Any:
            return (draw(*shape), of(draw(*shape), axis), axis), {}

        for log in ("", "log_"):
            of = reference.log_forward if log else reference.forward

            def backwards(draw: Draw, of: Any = of, cotangents: Any = cotangents) -> Any:
                return cotangents(draw, of)

            yield from (Case("softmax", f"{log}forward", v, name, logits) for v in forward)
            yield from (Case("softmax", f"{log}backward", v, name, backwards, 64) for v in backward)


def cross_entropy() -> Iterator[Case]:
    from minidl.kernels.reference import cross_entropy as reference

    for name, shape, versions in (
        ("pixels", (2, 5, 9), ("v1", "v2")),
        ("samples", (9, 37, 1), ("v1", "v2", "v3")),
    ):
        for smoothing, ignoring, slope in ((0.0, False, True), (0.2, True, True), (0.2, True, False)):

            def forward(
                draw: Draw,
                s: Any = shape,
                smoothing: Any = smoothing,
                ignoring: Any = ignoring,
                slope: Any = slope,
            ) -> Any:
                z, labels = draw(*s) * 3, draw.ids(s[1], s[0], s[2])
                z[1, -1, -1] = 1000  # of which the maximum must know
                valid = draw.rng.random(labels.shape) < 0.7 if ignoring else None
                if ignoring:
                    valid[0, 0] = False
                    z[0, :, 0] = np.nan  # must not leak out of an ignored pixel
                return (z, np.where(True if valid is None else valid, labels, 0), valid), {
                    "class_weights": draw.positive(s[1]),
                    "smoothing": smoothing,
                    "slope": slope,
                }

            title = f"{name}-{smoothing}-{slope}"
            yield from (Case("cross_entropy", "forward", v, title, forward, 32) for v in versions)
            if slope:

                def backward(draw: Draw, forward: Any = forward) -> Any:
                    (z, labels, valid), options = forward(draw)
                    slopes = reference.forward(z, labels, valid, **options)[1]
                    return (draw(*labels.shape), slopes, valid), {}

                yield from (Case("cross_entropy", "backward", v, title, backward) for v in ("v1", "v2"))


def expected_confusion(truth: Any, prediction: Any, classes: int, ignored: Any) -> Any:
    counts, outside = np.zeros((classes, classes), np.int64), np.zeros(2, np.int64)
    for i, j in zip(truth.ravel(), prediction.ravel(), strict=True):
        if i == ignored:
            continue
        outside += (not 0 <= i < classes, not 0 <= j < classes)
        if 0 <= i < classes and 0 <= j < classes:
            counts[i, j] += 1
    return counts, outside


def confusion() -> Iterator[Case]:
    for ignored in (None, 2, 255):

        def ids(draw: Draw, ignored: Any = ignored) -> Any:
            truth, prediction = draw.ids(9, 3, 111) - 1, draw.ids(8, 3, 111) - 1
            truth[0, :7] = 255
            return (truth, prediction, 6, ignored), {}

        for v in ("v1", "v2"):
            yield Case("confusion", "matrix", v, str(ignored), ids, 0, expected=expected_confusion)
