"""Gradient clipping: between ``backward()`` and the optimizer's step, the gradients are made smaller.

Notation: g_i the gradient of parameter i, all of them together one long vector g, p the order of the norm.

    by norm    ‖g‖ = (Σ |g|^p)^(1/p),  p = ∞: max |g|;   g ← g · min(1, max_norm / (‖g‖ + 1e-6))
    by value   g ← min(max(g, -v), v), each element on its own

The first keeps the direction of the step (Pascanu, Mikolov and Bengio 2013). Both change ``.grad`` in place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from minidl._device import on
from minidl._tensor import DEFAULT_DTYPE, Tensor
from minidl.dispatch import array_module


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale all gradients by one factor, so that their common norm is at most ``max_norm``.

    Args:
        parameters: those whose ``.grad`` is clipped; the ones without a gradient are left out.
        max_norm: largest norm, 0 or more.
        norm_type: order of the norm, positive; ``inf`` for the largest element.
        error_if_nonfinite: raise where the norm is infinite or NaN, instead of letting that spread.

    Returns:
        the norm before clipping, a 0-d tensor (0 without gradients). No power of a gradient over- or
        underflows on the way, and a norm that is too large for its dtype still clips as it should.

    Raises:
        ValueError: a ``max_norm`` below 0 or a ``norm_type`` that is not positive.
        RuntimeError: with ``error_if_nonfinite``, a norm that is not finite.

    >>> import minidl
    >>> w = minidl.nn.Parameter(minidl.tensor([0.0, 0.0]))
    >>> (w * minidl.tensor([3.0, 4.0])).sum().backward()
    >>> minidl.nn.utils.clip_grad_norm_([w], max_norm=1.0)
    tensor(5.)
    >>> w.grad.numpy().round(4)
    array([0.6, 0.8], dtype=float32)
    """
    max_norm, norm_type = float(max_norm), float(norm_type)
    if not max_norm >= 0:
        raise ValueError(f"clip_grad_norm_: max_norm must be 0 or more, got {max_norm}")
    if not norm_type > 0:
        raise ValueError(f"clip_grad_norm_: norm_type must be positive, got {norm_type}")
    grads = _gradients(parameters)
    if not grads:
        return Tensor(np.zeros((), DEFAULT_DTYPE))
    dtype = np.result_type(*(g.dtype for g in grads))
    with np.errstate(all="ignore"):  # infinities and NaN travel silently
        scale, relative = _norm(grads, norm_type)
        total = dtype.type(scale * relative)
        if error_if_nonfinite and not np.isfinite(total):
            raise RuntimeError(
                f"clip_grad_norm_: the norm of order {norm_type} of the gradients is {total}, so they cannot "
                "be clipped"
            )
        factor = np.minimum(max_norm / scale / (relative + 1e-6 / scale), 1)
        for g in grads:
            with on(g.data):
                g.data *= factor.astype(g.dtype)
            g.mark_changed()
    return Tensor(np.asarray(total))


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Clip every element of the gradients to -clip_value..clip_value. NaN stays NaN.

    Args:
        parameters: those whose ``.grad`` is clipped; the ones without a gradient are left out.
        clip_value: 0 or more.

    Raises:
        ValueError: a ``clip_value`` below 0.

    >>> import minidl
    >>> w = minidl.nn.Parameter(minidl.tensor([0.0, 0.0]))
    >>> (w * minidl.tensor([3.0, -0.5])).sum().backward()
    >>> minidl.nn.utils.clip_grad_value_([w], clip_value=1.0)
    >>> w.grad
    tensor([ 1. , -0.5])
    """
    clip_value = float(clip_value)
    if not clip_value >= 0:
        raise ValueError(f"clip_grad_value_: clip_value must be 0 or more, got {clip_value}")
    for g in _gradients(parameters):
        with on(g.data), np.errstate(all="ignore"):
            array_module(g.data).clip(g.data, -clip_value, clip_value, out=g.data)
        g.mark_changed()


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [p.grad for p in given if p.grad is not None]


def _norm(grads: list[Tensor], order: float) -> tuple[np.float64, np.float64]:
    """The norm of all gradients together in float64, as a scale and the norm of the gradients divided by it.

    The scale is 1 unless the powers leave the range of float64: then it is the largest element.
    """
    one = np.float64(1)
    if not math.isinf(order):
        total = _powers(grads, order, one)
        norm = total ** (1 / order)
        if 1e-270 < total and norm < math.inf:
            return one, norm
    largest = np.max([_of_one(g, lambda a: a.max()) for g in grads if g.numel() > 0], initial=np.float64(0))
    if math.isinf(order) or not 0 < largest < math.inf:
        return one, largest
    return largest, _powers(grads, order, largest) ** (1 / order)


def _powers(grads: list[Tensor], order: float, scale: np.float64) -> np.float64:
    """Σ |g / scale|^p."""

    def of_one(a: Any) -> Any:
        a = a.astype(np.float64)
        return ((a if scale == 1 else a / scale) ** order).sum()

    return np.float64(sum(_of_one(g, of_one) for g in grads))


def _of_one(g: Tensor, measure: Callable[[Any], Any]) -> float:
    """A number of a gradient's absolute values."""
    with on(g.data):
        return float(measure(abs(g.data)))
