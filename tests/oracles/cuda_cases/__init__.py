"""Calls of every kernel version, on small odd shapes, with what they must give.

Expected values come from the NumPy reference kernels (which tests/ops holds against literal loops), or, where
there is none, from a formula or literal loops. A case is run on any namespace of device arrays. Its tolerance
is ``slack`` roundings of the largest expected value; ``slack`` 0 means the same bits.
"""

from __future__ import annotations

from oracles.cuda_cases import classes, convolutions, elementwise, norms, pooling
from oracles.cuda_cases.case import Case, far

__all__ = ["CASES", "Case", "far", "host_module"]

_OPTIMIZERS = tuple(elementwise.optimizers())

#: The cases of each .cu file (``cat`` has none).
CASES: dict[str, tuple[Case, ...]] = {
    "max_pool2d": tuple(pooling.max_pool()),
    "avg_pool2d": tuple(pooling.avg_pool()),
    "adaptive_avg_pool2d": tuple(pooling.adaptive()),
    "interpolate": tuple(pooling.interpolate()),
    "max_unpool2d": tuple(pooling.max_unpool()),
    "softmax": tuple(classes.softmax()),
    "cross_entropy": tuple(classes.cross_entropy()),
    "normalize": tuple(norms.normalize()),
    "activations": tuple(elementwise.activations()),
    "arithmetic": tuple(elementwise.arithmetic()),
    "cat": tuple(elementwise.cat()),
    "dropout": tuple(elementwise.dropout()),
    "reductions": tuple(elementwise.reductions()),
    "adam": tuple(case for case in _OPTIMIZERS if case.operation == "adam"),
    "sgd": tuple(case for case in _OPTIMIZERS if case.operation == "sgd"),
    "confusion": tuple(classes.confusion()),
    "conv2d": tuple(convolutions.direct()),
    "conv2d_depthwise": tuple(convolutions.depthwise()),
    "conv2d_implicit": tuple(convolutions.implicit()),
    "conv2d_winograd": tuple(convolutions.winograd()),
    "gemm": tuple(convolutions.products()),
    "unfold": tuple(convolutions.columns()),
}


def host_module(file: str) -> str:
    """The module of kernels/cuda whose kernels are in a .cu file."""
    return CASES[file][0].operation
