"""The confusion matrix: counting pairs of class ids.

Notation: K classes, M the (K, K) matrix, M[i, j] = number of pixels of true class i predicted as class j.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def matrix(
    truth: Array, prediction: Array, num_classes: int, ignore_index: int | None
) -> tuple[Array, Array]:
    """M, int64 (K, K), and how many ids of the truth and of the prediction were no class, int64 (2).

    Pixels whose truth is ``ignore_index`` are left out; those with an id outside 0 ... K - 1 are not in M.
    """
    if ignore_index is not None:
        counted = truth != ignore_index
        truth, prediction = truth[counted], prediction[counted]
    wrong = [(ids < 0) | (ids >= num_classes) for ids in (truth, prediction)]
    outside = np.array([np.count_nonzero(w) for w in wrong], np.int64)
    if outside.any():
        right = ~(wrong[0] | wrong[1])
        truth, prediction = truth[right], prediction[right]
    # One number per (true, predicted) pair; counting these numbers fills the matrix in one pass.
    pairs = truth.ravel().astype(np.int64) * num_classes + prediction.ravel().astype(np.int64)
    counts = np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)
    return counts.astype(np.int64), outside
