"""What the losses share: what they ask of their operands, and the sum or mean at their end.

Every loss is an operation that gives one value for each element (or pixel), followed by an ordinary sum or
mean, whose accuracy and backward are those of :mod:`minidl.ops.reductions`.

Input and target must have one shape. Where they differ, torch broadcasts in most losses and warns that the
result is likely wrong: a target (N) against a prediction (N, 1) makes N² differences. Here that is an error.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from minidl._tensor import Tensor
from minidl.autograd import Function
from minidl.ops._elementwise import as_tensor
from minidl.ops.reductions import mean, sum

REDUCTIONS = ("mean", "sum", "none")


def check_reduction(operation: str, reduction: str, choices: tuple[str, ...] = REDUCTIONS) -> None:
    """Raise a ValueError unless the reduction is one of the choices."""
    if reduction not in choices:
        raise ValueError(f"{operation}: reduction must be one of {', '.join(choices)}, got {reduction!r}")


def reduction_of(
    operation: str, size_average: bool | None, reduce: bool | None, reduction: str, stacklevel: int = 3
) -> str:
    """The reduction that is meant: its own name, unless torch's former names of it are given.

    ``reduce=False`` is "none", ``size_average=False`` "sum", all else "mean". A program that uses them is
    warned, as by torch; one that leaves both at None is not asked.

    Raises:
        TypeError: one of the two is something else than a bool or None, such as a reduction's name.
    """
    if size_average is None and reduce is None:
        return reduction
    for name, value in (("size_average", size_average), ("reduce", reduce)):
        if value is not None and not (isinstance(value, int | np.bool_) and value in (0, 1)):
            raise TypeError(
                f"{operation}: {name} must be a bool or None, got {value!r}; give the reduction by name: "
                "reduction='mean', 'sum' or 'none'"
            )
    meant = "none" if reduce is not None and not reduce else "mean"
    if meant == "mean" and size_average is not None and not size_average:
        meant = "sum"
    warnings.warn(
        f"{operation}: size_average and reduce args will be deprecated, please use reduction='{meant}' "
        "instead.",
        stacklevel=stacklevel,
    )
    return meant


def checked_pair(operation: str, input: Any, target: Any) -> tuple[Tensor, Tensor]:
    """Input and target, which may be arrays, as tensors; they must have one shape and one dtype.

    Raises:
        ValueError: shapes that differ.
        TypeError: dtypes that differ or are not floating-point, or what is no tensor or array.
    """
    input, target = as_tensor(operation, input), as_tensor(operation, target)
    if input.shape != target.shape:
        raise ValueError(
            f"{operation}: input has shape {input.shape} and target {target.shape}; they must be equal"
        )
    if input.dtype.kind != "f" or input.dtype != target.dtype:
        raise TypeError(
            f"{operation}: input ({input.dtype}) and target ({target.dtype}) must have one "
            "floating-point dtype"
        )
    return input, target


def of_pair(loss: type[Function], input: Tensor, target: Tensor, reduction: str) -> Tensor:
    """The loss of each element of two tensors that must be alike, reduced.

    Raises:
        ValueError: shapes that differ, or an unknown reduction.
        TypeError: dtypes that differ or are not floating-point.
    """
    input, target = checked_pair(loss.operation(), input, target)
    check_reduction(loss.operation(), reduction)
    return reduced(loss.apply(input, target), reduction)


def reduced(losses: Tensor, reduction: str, total_weight: Any = None) -> Tensor:
    """The losses themselves, their sum or their mean, which divides by the total weight if one is given."""
    if reduction == "none":
        return losses
    if reduction == "sum":
        return sum(losses)
    return mean(losses) if total_weight is None else sum(losses) / Tensor(total_weight)
