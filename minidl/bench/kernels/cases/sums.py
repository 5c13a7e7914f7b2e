"""Sums over classes, groups, axes and pixels, and the steps of optimizers."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minidl.bench.kernels.case import REFERENCE, Call, Case, Draw, Version, only, versions
from minidl.bench.kernels.cases.pointwise import WIDE
from minidl.bench.workloads import CLASSES

#: Rows and length of what a linear layer's row operations are measured on.
ROWS, LENGTH = 4096, 256


def _reference(operation: str) -> Any:
    return importlib.import_module(f"{REFERENCE}.{operation}")


def softmax() -> Iterator[Case]:
    """Over the classes of each pixel, and over rows that are contiguous."""

    def pixels(draw: Draw) -> tuple[Any, int]:
        return draw.image(CLASSES, 128), 1

    def lines(draw: Draw) -> tuple[Any, int]:
        return draw.normal(draw.rows(ROWS), LENGTH), 1

    for variant, drawn, there, back, title, terms in (
        ("", pixels, ("v1", "v2"), ("v1",), f"softmax over {CLASSES} classes", 16),
        ("rows", lines, ("v1", "v2", "v3", "v4"), ("v1", "v2", "v3"), f"softmax of {LENGTH}", LENGTH),
    ):
        for log in ("", "log_"):

            def forward(draw: Draw, drawn: Any = drawn) -> Call:
                return Call(drawn(draw))

            def backward(draw: Draw, drawn: Any = drawn, log: str = log) -> Call:
                z, axis = drawn(draw)
                result = getattr(_reference("softmax"), f"{log}forward")(z, axis)
                return Call((draw.normal(*z.shape), result, axis))

            for function, make, names in (("forward", forward, there), ("backward", backward, back)):
                several = versions(f"softmax_{log}{function}", *names)
                text = f"{log.replace('_', ' ')}{title}, {function}"
                yield Case("softmax", f"{log}{function}", make, several, variant, text, terms=terms)


def cross_entropy() -> Iterator[Case]:
    """Of the two classes of each pixel, and of rows."""

    def made(drawn: Callable[[Draw], tuple[int, int, int]]) -> tuple[Any, Any]:
        def forward(draw: Draw) -> Call:
            n, classes, m = drawn(draw)
            given = (draw.normal(n, classes, m), draw.ids(classes, n, m), None)
            return Call((*given, draw.positive(classes), 0.0, True))

        def backward(draw: Draw) -> Call:
            call = forward(draw)
            slopes = _reference("cross_entropy").forward(*call.args)[1]
            return Call((draw.normal(slopes.shape[0], slopes.shape[2]), slopes, None))

        return forward, backward

    pixels = made(lambda draw: (draw.batch(), CLASSES, draw.side(128) ** 2))
    rows = made(lambda draw: (draw.rows(ROWS), LENGTH, 1))
    for variant, makes, there, title, terms in (
        ("", pixels, ("v1", "v2"), f"cross-entropy of {CLASSES} classes", 16),
        ("rows", rows, ("v1", "v2", "v3"), f"cross-entropy of rows of {LENGTH}", LENGTH),
    ):
        for function, make, names in zip(("forward", "backward"), makes, (there, ("v1", "v2")), strict=True):
            several = versions(f"cross_entropy_{function}", *names)
            text = f"{title}, {function}"
            yield Case("cross_entropy", function, make, several, variant, text, terms=terms)


def _statistics(name: str) -> tuple[str, ...]:
    """The kernels of a version of the statistics."""
    moments = ("normalize_moments_v3",) if name == "v3" else ()
    return (*moments, f"normalize_statistics_{name}")


def normalize() -> Iterator[Case]:
    """Batch normalisation of the first block, and layer normalisation of rows."""
    op = "normalize"

    def batch(draw: Draw) -> tuple[Any, Any, Any, int | None]:
        c = WIDE[0]
        x = draw.normal(draw.batch(), c, draw.side(WIDE[1]) ** 2)
        return x, draw.positive(c), draw.normal(c), None

    def layer(draw: Draw) -> tuple[Any, Any, Any, int | None]:
        return draw.normal(draw.rows(ROWS), LENGTH, 1), draw.positive(LENGTH), draw.normal(LENGTH), 1

    def made(drawn: Any) -> tuple[Any, Any]:
        def forward(draw: Draw) -> Call:
            return Call((*drawn(draw), 1e-5))

        def backward(draw: Draw) -> Call:
            x, weight, bias, groups = drawn(draw)
            _, mean, _, inv_std = _reference(op).forward(x, weight, bias, groups, 1e-5)
            return Call((draw.normal(*x.shape), x, weight, mean, inv_std, groups, (True, True, True)))

        return forward, backward

    for variant, drawn, title, each, sums in (
        ("batch", batch, "batch normalisation", "v2", "v1"),
        ("layer", layer, f"layer normalisation of {LENGTH}", "v1", "v2"),
    ):
        forward, backward = made(drawn)
        there = tuple(Version(v, (*_statistics(v), f"normalize_apply_{each}")) for v in ("v1", "v2", "v3"))
        last = (f"normalize_parameters_{sums}", f"normalize_input_{each}")
        yield Case(op, "forward", forward, there, variant, f"{title}, forward")
        back = versions("normalize_means", "v1", "v2", also=last)
        yield Case(op, "backward", backward, back, variant, f"{title}, backward")
    yield from _given(op, batch)


def _given(op: str, drawn: Any) -> Iterator[Case]:
    """With the statistics of a training, as in a prediction."""

    def forward(draw: Draw) -> Call:
        x, weight, bias, _ = drawn(draw)
        return Call((x, weight, bias, draw.normal(x.shape[1]), draw.positive(x.shape[1])))

    def backward(draw: Draw) -> Call:
        x, weight, _, _ = drawn(draw)
        statistics = draw.normal(x.shape[1]), draw.positive(x.shape[1])
        return Call((draw.normal(*x.shape), x, weight, *statistics, (True, True, True)))

    title = "batch normalisation, given statistics"
    there, back = only("normalize_apply_v2"), only("normalize_parameters_v1", "normalize_input_v2")
    yield Case(op, "forward_given", forward, there, title=f"{title}, forward", terms=16)
    yield Case(op, "backward_given", backward, back, title=f"{title}, backward")


def _launched(variant: str, version: str) -> tuple[str, ...]:
    """The kernels of a version of a sum: over rows, over columns (images are columns), or first the one."""
    if version == "v1":
        return ("reductions_sum_v1",)
    rows, columns = f"reductions_rows_{version}", "reductions_columns_v2"
    return {"columns": (columns,), "all": (rows,), "bias": (rows, columns)}[variant]


def reductions() -> Iterator[Case]:
    """As the gradient of a bias; over everything; over the rows of a matrix."""

    def image(draw: Draw) -> Any:
        size = draw.side(WIDE[1])
        return draw.signs(draw.batch(), WIDE[0], size, size)

    def bias(draw: Draw) -> Call:
        return Call((image(draw), (0, 2, 3)))

    def everything(draw: Draw) -> Call:
        return Call((image(draw), (0, 1, 2, 3)))

    def columns(draw: Draw) -> Call:
        return Call((draw.signs(draw.rows(ROWS), LENGTH), (0,)))

    for variant, make, title in (
        ("bias", bias, "sum over images and pixels"),
        ("all", everything, "sum of everything"),
        ("columns", columns, f"sum of {ROWS} rows of {LENGTH}"),
    ):
        names = ("v1", "v2") if variant == "columns" else ("v1", "v2", "v3")
        several = tuple(Version(name, _launched(variant, name)) for name in names)
        yield Case("reductions", "sum", make, several, variant, title, terms=0)


def confusion() -> Iterator[Case]:
    """Of the predictions of a batch."""

    def ids(draw: Draw) -> Call:
        shape = (draw.batch(), draw.side(128), draw.side(128))
        return Call((draw.ids(CLASSES, *shape), draw.ids(CLASSES, *shape), CLASSES, None))

    def counted(truth: Any, prediction: Any, num_classes: int, ignore_index: int | None) -> Any:
        from minidl.segmentation.metrics import confusion_matrix

        return confusion_matrix(truth, prediction, num_classes, ignore_index), np.zeros(2, np.int64)

    def by_pairs(truth: Any, prediction: Any, num_classes: int, ignore_index: int | None) -> Any:
        counts = np.zeros((num_classes, num_classes), np.int64)
        for i in range(num_classes):
            for j in range(num_classes):
                counts[i, j] = ((truth == i) & (prediction == j)).sum()
        return counts, np.zeros(2, np.int64)

    both = versions("confusion", "v1", "v2")
    title = f"confusion matrix of {CLASSES} classes"
    own = {"numpy": counted}
    yield Case("confusion", "matrix", ids, both, title=title, expected=by_pairs, host=own, terms=0)


def optimizers() -> Iterator[Case]:
    """A step over the parameters of the documents' U-Net."""
    from minidl.bench.costs import layers

    def sizes(draw: Draw) -> Iterator[tuple[int, ...]]:
        for number, layer in enumerate(layers("documents")):
            if draw.quick and number >= 2:
                return
            yield layer.filters, layer.channels, layer.kernel, layer.kernel
            yield (layer.filters,)

    def adam(draw: Draw) -> Call:
        rows = [(*(draw.normal(*s) for _ in range(3)), draw.positive(*s), 10) for s in sizes(draw)]
        numbers = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0, "decoupled": False}
        return Call((rows,), numbers)

    def sgd(draw: Draw) -> Call:
        rows = [(*(draw.normal(*s) for _ in range(3)), False) for s in sizes(draw)]
        numbers = {"lr": 0.01, "momentum": 0.9, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False}
        return Call((rows,), numbers)

    for name, make in (("adam", adam), ("sgd", sgd)):
        three = versions(f"{name}_step", "v1", "v2", "v3")
        title = f"{name.upper() if name == 'sgd' else 'Adam'} step, 3.7 million parameters"
        yield Case(name, "step", make, three, title=title, in_place=True)
