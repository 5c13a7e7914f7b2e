"""One line of code, two libraries: `agree(line, arrays)` calls it with minidl's functions and with
torch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import minidl
from minidl.testing import Report
from oracles import proof
from oracles.checks import cotangent_for, size_of, tolerance

#: Five times the profile's examples (60 quick, 300 in CI): a call costs a millisecond, and nothing else is
#: drawn here.
many = hypothesis.settings(max_examples=5 * hypothesis.settings().max_examples)


class TorchFunctions:
    """torch.nn.functional and what torch keeps elsewhere (`torch.cat`), under one roof as minidl.ops."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch.nn.functional, name, None) or getattr(torch, name)

    @staticmethod
    def tensor(array: NDArray[Any], requires_grad: bool = False) -> torch.Tensor:
        return torch.tensor(array, requires_grad=requires_grad)


class MinidlFunctions:
    """minidl.ops with `tensor` beside it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(minidl.ops, name)

    @staticmethod
    def tensor(array: NDArray[Any], requires_grad: bool = False) -> minidl.Tensor:
        return minidl.tensor(array, requires_grad=requires_grad)


TORCH, MINIDL = TorchFunctions(), MinidlFunctions()
Line = Callable[..., Any]


def forward_and_backward(
    F: Any, line: Line, arrays: tuple[NDArray[Any], ...]
) -> tuple[NDArray[Any], list[NDArray[Any]]]:
    """(y, gradients) of the line in one library, with the same random cotangent in both."""
    inputs = [F.tensor(a, requires_grad=True) for a in arrays]
    y = line(F, *inputs)
    y.backward(F.tensor(cotangent_for(np.zeros(tuple(y.shape)), 1).astype(arrays[0].dtype)))
    for tensor in inputs:
        assert tensor.grad is not None
    return y.detach().numpy(), [tensor.grad.numpy() for tensor in inputs]


def agree(line: Line, *arrays: NDArray[Any], terms: int = 64, steepness: float = 1.0) -> None:
    """The line's values, shapes, dtypes and gradients agree in float64 and float32, to rounding."""
    line, called = proof.watch(line)
    report = Report("minidl beside torch")
    for dtype in (np.float64, np.float32):
        cast = tuple(a.astype(dtype) for a in arrays)
        expected, expected_gradients = forward_and_backward(TORCH, line, cast)
        actual, actual_gradients = forward_and_backward(MINIDL, line, cast)
        assert actual.shape == expected.shape, f"shape {actual.shape}, torch's {expected.shape}"
        assert actual.dtype == expected.dtype == dtype
        scale = size_of(*cast) * size_of(expected) * 4 * steepness
        atol = 2 * tolerance(dtype, terms, scale)
        kind = f"torch {dtype.__name__}"
        report.compare(kind, f"forward, {kind}", actual, expected, atol=atol)
        for position, (a, b) in enumerate(zip(actual_gradients, expected_gradients, strict=True)):
            report.compare(kind, f"gradient {position}, {kind}", a, b, atol=atol)
    proof.record(called, report)


def both_raise(line: Line, *arrays: NDArray[Any]) -> None:
    """torch refuses the line; minidl refuses it too and says why (an assertion would not)."""
    line, called = proof.watch(line)
    with pytest.raises(
        (ValueError, RuntimeError, TypeError, IndexError, AssertionError, NotImplementedError)
    ):
        line(TORCH, *(TORCH.tensor(a) for a in arrays))
    with pytest.raises((ValueError, RuntimeError, TypeError, IndexError, NotImplementedError)) as caught:
        line(MINIDL, *(MINIDL.tensor(a) for a in arrays))
    assert str(caught.value)
    refused = Report()
    refused.count("torch refuses too")
    proof.record(called, refused)
