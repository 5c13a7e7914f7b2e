"""What the losses with class ids share: checks, weights, and the target written out as a distribution.

Notation: z (N, C, *) scores of C classes, y (N, *) class ids, w (C) class weights, ε label smoothing. A
pixel is valid where y ≠ ignore_index; everything of the others is 0. Without a batch, scores (C) have one id.

    weight of a pixel   w[y],  by whose sum the mean divides
    its target          t_c = (1 - ε) w[y] · [c = y] + (ε/C) w_c

Both losses are -Σ_c t_c log p_c: the cross-entropy against the smoothed, weighted one-hot vector.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from minidl._device import CPU, device_of, move, place_of
from minidl._masks import host
from minidl._tensor import Tensor
from minidl.dispatch import array_module
from minidl.ops._elementwise import as_tensor


class Labels(NamedTuple):
    """Checked class ids, as arrays (N, M) with the pixels in one row."""

    ids: Any  #: int64; 0 where ignored
    valid: Any  #: bool; None where no pixel is ignored
    class_weights: Any  #: (C), in the scores' dtype
    smoothing: float

    def where_valid(self, values: Any) -> Any:
        """Values (N, M), 0 where ignored: not a product, for infinity times 0 is NaN."""
        if self.valid is None:
            return values
        return array_module(values).where(self.valid, values, values.dtype.type(0))

    def weights(self) -> Any:
        """w[y] of each pixel, 0 where ignored."""
        return self.where_valid(self.class_weights[self.ids])

    def total_weight(self) -> Any:
        """Σ w[y] over the valid pixels: the weight of each class times the number of its pixels."""
        xp, w = array_module(self.ids), self.class_weights
        if (w == 1).all():
            count = self.ids.size if self.valid is None else xp.count_nonzero(self.valid)
            return xp.asarray(count, w.dtype)
        ids = self.ids if self.valid is None else self.ids[self.valid]
        counts = xp.bincount(ids.reshape(-1), minlength=len(w))
        here = counts > 0  # an infinite weight of a class that does not occur must not matter
        return xp.asarray((counts[here] * w[here].astype(np.float64)).sum(), w.dtype)

    def targets(self) -> Any:
        """t (N, C, M), the weighted and smoothed one-hot vectors; 0 where ignored."""
        xp = array_module(self.ids)
        (n, m), c, dtype = self.ids.shape, len(self.class_weights), self.class_weights.dtype
        t = xp.zeros((n, c, m), dtype)
        if self.smoothing > 0:
            t += (self.class_weights * dtype.type(self.smoothing / c)).reshape(1, c, 1)
            if self.valid is not None:
                t *= self.valid[:, None]
        own = self.ids[:, None]
        kept = self.weights()[:, None] * dtype.type(1 - self.smoothing)
        xp.put_along_axis(t, own, xp.take_along_axis(t, own, axis=1) + kept, axis=1)
        return t


def class_view(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Scores (N, C, *), or (C) without a batch, seen as (N, C, M)."""
    return (1, shape[0], 1) if len(shape) == 1 else (shape[0], shape[1], math.prod(shape[2:]))


def moved(value: Any, input: Tensor, dtype: Any = None) -> Tensor:
    """A tensor as it is, which must live where the input does; anything else as a tensor there."""
    if isinstance(value, Tensor):
        return value
    if device_of(value) == CPU:
        value = Tensor(value).data if isinstance(value, np.ndarray) else host("loss", value)
        with np.errstate(all="ignore"):  # too large for the dtype: infinite
            value = np.asarray(value, dtype)
    return Tensor(move(value, input.device))


def checked_scores(operation: str, input: Any) -> Tensor:
    """Scores, which may be an array, as a tensor: floating-point, (C) or (N, C, ...), with a class at least.

    Raises:
        TypeError, ValueError: they are none.
    """
    input = as_tensor(operation, input)
    if input.dtype.kind != "f":
        raise TypeError(f"{operation}: logits must be floating-point, got {input.dtype}")
    if input.ndim == 0 or class_view(input.shape)[1] == 0:
        raise ValueError(f"{operation}: input must be (N, C, ...) with one class or more, got {input.shape}")
    return input


def check_labels(
    operation: str, input: Tensor, target: Tensor, weight: Any, ignore_index: int, smoothing: float = 0.0
) -> Labels:
    """The class ids that go with the scores.

    Raises:
        TypeError: ids that are not integers.
        ValueError: shapes that do not fit.
        IndexError: an id outside 0..C-1.
    """
    if target.dtype.kind not in "iu":
        raise TypeError(f"{operation}: targets must be integer class ids, got {target.dtype}")
    if target.shape != (input.shape[:1] + input.shape[2:] if input.ndim > 1 else ()):
        raise ValueError(
            f"{operation}: logits (N, C, ...) of shape {input.shape} do not fit "
            f"targets (N, ...) of shape {target.shape}"
        )
    place_of(lambda: operation, (input.data, target.data))
    n, classes, m = class_view(input.shape)
    ids = target.data.astype(np.int64, copy=False).reshape(n, m)
    class_weights = check_weight(operation, weight, input)
    if ids.size and 0 <= ids.min() and ids.max() < classes and not 0 <= ignore_index < classes:
        return Labels(ids, None, class_weights, smoothing)  # the usual case: two passes instead of six
    valid = ids != ignore_index
    bad = valid & ((ids < 0) | (ids >= classes))
    if bad.any():
        raise IndexError(
            f"{operation}: class id {int(ids[bad][0])} is not in 0..{classes - 1} "
            f"(logits {input.shape}) and is not ignore_index ({ignore_index})"
        )
    return Labels(array_module(ids).where(valid, ids, 0), valid, class_weights, smoothing)


def check_weight(operation: str, weight: Any, input: Tensor) -> Any:
    """The class weights as an array (C) of the input's dtype; ones where there are none."""
    classes = class_view(input.shape)[1]
    if weight is None:
        return array_module(input.data).ones(classes, input.dtype)
    weight = moved(weight, input, input.dtype)
    place_of(lambda: operation, (input.data, weight.data))
    if weight.shape != (classes,):
        raise ValueError(f"{operation}: weight must have shape ({classes},), got {weight.shape}")
    if weight.dtype != input.dtype:
        raise TypeError(f"{operation}: weight is {weight.dtype}, but the logits {input.dtype}")
    return weight.data
