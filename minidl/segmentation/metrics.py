"""How good is a segmentation, pixel by pixel: the confusion matrix and the scores read off it.

Notation: K classes, M the (K, K) confusion matrix, M[i, j] = number of pixels of true class i predicted as
class j. Row sums  r_k = sum_j M[k, j]: pixels that are k.  Column sums  c_k = sum_i M[i, k]: pixels called k.

    IoU_k       = M[k, k] / (r_k + c_k - M[k, k])      intersection over union (Jaccard)
    precision_k = M[k, k] / c_k                        of the pixels called k, how many are k
    recall_k    = M[k, k] / r_k                        of the pixels that are k, how many were found
    F1_k        = 2 M[k, k] / (r_k + c_k)              harmonic mean of the two (Dice)
    accuracy    = sum_k M[k, k] / sum_ij M[i, j]

Two conventions, because libraries differ:

- A class that is *absent*, neither in the truth nor in the prediction (r_k = c_k = 0), has no score: NaN, and
  it is left out of the means.
- A class that is present on one side only (never predicted, or predicted where it never occurs) scores 0
  everywhere, also where the fraction would read 0/0, as scikit-learn's ``zero_division=0`` has it.

M is a sum over pixels: matrices of several images are added, and the scores are taken once from the sum. The
mean of per-image scores is another number; it gives a class that covers ten pixels of one image the weight of
a whole image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minidl._device import CPU, device_of, move, on, place_of
from minidl._masks import host
from minidl._text import shown
from minidl.dispatch import kernels
from minidl.errors import InputError

Ids = NDArray[np.integer]
Floats = NDArray[np.float64]


def confusion_matrix(
    truth: Any, prediction: Any, num_classes: int, ignore_index: int | None = None
) -> NDArray[np.int64]:
    """Count how often true class i was predicted as class j.

    Args:
        truth: class ids, integers (or bool) of any shape, in 0 .. num_classes - 1, or ``ignore_index``.
        prediction: class ids of the same shape, in 0 .. num_classes - 1, on the same device: where that is a
            GPU, the pixels are counted there, and only the counts are copied.
        num_classes: K.
        ignore_index: pixels whose *truth* has this id are left out, whatever was predicted there.

    Returns:
        int64 (K, K) on the host, rows are the truth, columns the prediction. Additive: the matrix of two
        images is the sum of their matrices.

    Raises:
        InputError: shapes differ, an array is not of integers, or an id is out of range.
        RuntimeError: the two live on different devices.

    >>> confusion_matrix([[0, 0], [1, 255]], [[0, 1], [1, 0]], num_classes=2, ignore_index=255)
    array([[1, 1],
           [0, 1]])
    """
    if num_classes < 1:
        raise InputError(f"num_classes={num_classes}: a confusion matrix needs at least one class")
    true_ids, predicted_ids = _ids(truth, "truth"), _ids(prediction, "prediction")
    if true_ids.shape != predicted_ids.shape:
        raise InputError(
            f"prediction has shape {predicted_ids.shape} but truth has {true_ids.shape}: "
            "they must be equal; crop or resize the prediction to the mask"
        )
    place_of(lambda: "confusion_matrix", (true_ids, predicted_ids))  # raises where these are two
    count = kernels("confusion", true_ids).matrix
    matrix, outside = (move(a, CPU) for a in count(true_ids, predicted_ids, num_classes, ignore_index))
    if outside.any():
        raise _out_of_range(move(true_ids, CPU), move(predicted_ids, CPU), num_classes, ignore_index)
    counts: NDArray[np.int64] = matrix
    return counts


def _ids(values: Any, name: str) -> Any:
    array = values if device_of(values) != CPU else host(name, values)
    if array.dtype == np.bool_:
        with on(array):
            return array.astype(np.uint8)
    if array.dtype.kind not in "iu":
        if array.size == 0:  # np.asarray([]) is float64, yet there is nothing wrong in it
            return array.astype(np.int64)
        raise InputError(
            f"{name} has dtype {array.dtype}: class ids must be integers; take argmax or cast first"
        )
    return array


def _out_of_range(truth: Ids, prediction: Ids, num_classes: int, ignore_index: int | None) -> InputError:
    """What is said of ids that are no class; those of the truth first."""
    if ignore_index is not None:
        counted = truth != ignore_index
        truth, prediction = truth[counted], prediction[counted]
    hint = "" if ignore_index is not None else ", or give ignore_index if it marks pixels without a label"
    wrong = truth[(truth < 0) | (truth >= num_classes)]
    name, remedy = "truth", f"correct num_classes or the mask{hint}"
    if not wrong.size:
        wrong = prediction[(prediction < 0) | (prediction >= num_classes)]
        name, remedy = "prediction", "take the argmax over num_classes channels"
    return InputError(
        f"{name} has class id {wrong[0]} ({wrong.size} pixels out of range) "
        f"but ids run from 0 to {num_classes - 1}: {remedy}"
    )


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of one confusion matrix; the module's docstring has the equations and conventions.

    Attributes:
        iou, precision, recall, f1: float64 (K,), one number per class, NaN where the class is absent.
        support: int64 (K,), number of true pixels per class.
        accuracy: share of pixels that are right; NaN if no pixel was counted.
        mean_iou, mean_f1: mean over the classes that are not absent; NaN if all are.

    >>> scores = Scores.from_confusion(np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]]))
    >>> scores.iou
    array([0.75, 0.8 ,  nan])
    >>> round(scores.mean_iou, 3), scores.accuracy
    (0.775, 0.875)
    """

    iou: Floats
    precision: Floats
    recall: Floats
    f1: Floats
    support: NDArray[np.int64]
    accuracy: float
    mean_iou: float
    mean_f1: float

    @classmethod
    def from_confusion(cls, matrix: ArrayLike) -> Scores:
        """Scores of a (K, K) matrix of counts, rows truth, columns prediction.

        Raises:
            InputError: the matrix is not square, has no class, or holds negative counts.
        """
        counts = np.asarray(matrix)
        if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.size == 0:
            raise InputError(f"confusion matrix has shape {counts.shape}: it must be (K, K) with K >= 1")
        if not np.issubdtype(counts.dtype, np.integer) or (counts < 0).any():
            raise InputError(
                "confusion matrix must hold pixel counts: integers, none negative, not normalised"
            )
        counts = counts.astype(np.int64)
        hits, true, predicted = np.diagonal(counts), counts.sum(axis=1), counts.sum(axis=0)
        absent = true + predicted == 0
        iou = _fraction(hits, true + predicted - hits, absent)
        f1 = _fraction(2 * hits, true + predicted, absent)
        total = int(counts.sum())
        return cls(
            iou=iou,
            precision=_fraction(hits, predicted, absent),
            recall=_fraction(hits, true, absent),
            f1=f1,
            support=true,
            accuracy=int(hits.sum()) / total if total else math.nan,
            mean_iou=_mean_of_present(iou),
            mean_f1=_mean_of_present(f1),
        )

    def to_dict(self) -> dict[str, float | list[float | None] | list[int] | None]:
        """Plain lists and numbers for JSON, which knows no NaN: None stands in its place.

        >>> Scores.from_confusion(np.array([[2, 0], [0, 0]])).to_dict()["iou"]
        [1.0, None]
        """
        return {
            "accuracy": _json(self.accuracy),
            "mean_iou": _json(self.mean_iou),
            "mean_f1": _json(self.mean_f1),
            "iou": [_json(value) for value in self.iou],
            "precision": [_json(value) for value in self.precision],
            "recall": [_json(value) for value in self.recall],
            "f1": [_json(value) for value in self.f1],
            "support": [int(value) for value in self.support],
        }

    def table(self, class_names: Sequence[str] | None = None) -> str:
        """A text table, one line per class and one for the means; "-" stands for an absent class.

        >>> print(Scores.from_confusion(np.array([[3, 1], [0, 4]])).table(["membrane", "cell"]))
        class        IoU  precision  recall      F1  pixels
        membrane  0.7500     1.0000  0.7500  0.8571       4
        cell      0.8000     0.8000  1.0000  0.8889       4
        mean      0.7750                     0.8730       8
        pixel accuracy 0.8750
        """
        num_classes = len(self.iou)
        names = [shown(name) for name in class_names or [f"class {k}" for k in range(num_classes)]]
        if len(names) != num_classes:
            raise InputError(
                f"class_names has {len(names)} names but there are {num_classes} classes: give one each"
            )
        rows = [["class", "IoU", "precision", "recall", "F1", "pixels"]]
        for k, name in enumerate(names):
            row = [_text(scores[k]) for scores in (self.iou, self.precision, self.recall, self.f1)]
            rows.append([name, *row, str(self.support[k])])
        rows.append(["mean", _text(self.mean_iou), "", "", _text(self.mean_f1), str(self.support.sum())])
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = [
            "  ".join(
                [
                    row[0].ljust(widths[0]),
                    *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True)),
                ]
            )
            for row in rows
        ]
        return "\n".join([*lines, f"pixel accuracy {_text(self.accuracy)}"])


def _fraction(
    numerator: NDArray[np.int64], denominator: NDArray[np.int64], absent: NDArray[np.bool_]
) -> Floats:
    """numerator / denominator; NaN for an absent class, 0 for another class whose denominator is 0."""
    result = np.zeros(len(absent), dtype=np.float64)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    result[absent] = np.nan
    return result


def _mean_of_present(values: Floats) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else math.nan


def _json(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _text(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"
