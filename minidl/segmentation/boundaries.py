"""How well does a boundary map separate cells: V_rand, V_info and pixel error, as in the ISBI 2012 challenge.

`minidl.segmentation.segments` defines the scores of one section. For a stack of them, two things are left:

- *Pooling.* Segments of different sections are different segments. ``pooling="stack"`` adds numerators and
  denominators over the sections before dividing; a section counts by its pixels (V_info) or its pairs of
  pixels (V_rand), and two pixels are only ever compared within a section. For V_info this is the information
  *given the section*: knowing which section a pixel is in would add the same entropy, that of the section, to
  I, H(S) and H(T) and flatter every score. ``pooling="section"`` is the plain mean of the sections' scores. A
  section whose truth has no foreground has nothing to compare and is left out; if all are such, V_rand and
  V_info are NaN.
- *Thresholds.* A pixel is predicted foreground if its probability is *above* the threshold. Every score is
  taken at its own best threshold of 0, 0.1, ..., 1; of equal ones at the lowest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minidl.errors import InputError
from minidl.segmentation.segments import Overlap, Score, Segments, components, grow

THRESHOLDS: tuple[float, ...] = tuple(step / 10 for step in range(11))


@dataclass(frozen=True)
class ThresholdScores:
    """All scores at one threshold; lists of these draw the curves behind `BoundaryScores`."""

    threshold: float
    v_rand: float
    v_rand_split: float
    v_rand_merge: float
    v_info: float
    v_info_split: float
    v_info_merge: float
    pixel_error: float


@dataclass(frozen=True)
class BoundaryScores:
    """The best scores over the thresholds, each with the threshold that gave it (see `score_sections`)."""

    v_rand: float
    v_rand_threshold: float
    v_rand_split: float
    v_rand_merge: float
    v_info: float
    v_info_threshold: float
    v_info_split: float
    v_info_merge: float
    pixel_error: float
    pixel_threshold: float
    pooling: str
    by_threshold: tuple[ThresholdScores, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists for JSON; None in place of NaN."""
        plain = asdict(self)
        plain["by_threshold"] = [_without_nan(row) for row in plain["by_threshold"]]
        return _without_nan(plain)


def _without_nan(row: dict[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(v, float) and math.isnan(v) else v for name, v in row.items()}


def score_sections(
    truth_foreground: ArrayLike,
    foreground_probability: ArrayLike,
    thresholds: Sequence[float] = THRESHOLDS,
    *,
    pooling: Literal["stack", "section"] = "stack",
    alpha: float = 0.5,
) -> BoundaryScores:
    """V_rand, V_info and pixel error of a stack of sections, each at its best threshold.

    Args:
        truth_foreground: bool (S, H, W), True is cell interior, False is border (membrane).
        foreground_probability: float (S, H, W) in 0..1; a hard 0/1 prediction is fine too.
        thresholds: numbers in 0..1; a pixel is foreground where its probability is *above* the threshold.
        pooling: "stack" divides sums over the whole stack, "section" takes the mean over sections.
        alpha: weight between split (0) and merge (1) errors.

    Pixel error is 1 - accuracy: the share of all S * H * W pixels, true borders included, on the wrong side.

    Raises:
        InputError: shapes differ or are not (S, H, W), no pixels, probabilities outside 0..1 or NaN, truth
            not bool.

    >>> truth = np.array([[[1, 0, 1, 1]] * 4], dtype=bool)
    >>> joined = score_sections(truth, np.ones((1, 4, 4)))  # no border found: two cells in one segment
    >>> round(joined.v_rand, 4), joined.v_rand_split, round(joined.v_rand_merge, 4), joined.pixel_error
    (0.7143, 1.0, 0.5556, 0.25)
    """
    truth, probability = _checked(truth_foreground, foreground_probability)
    if len(thresholds) == 0 or not all(0 <= threshold <= 1 for threshold in thresholds):
        raise InputError("thresholds must be one or more numbers in 0..1")
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha={alpha}: the weight of merge errors must lie in 0..1")
    if pooling not in ("stack", "section"):
        raise InputError(f'pooling="{pooling}": choose "stack" or "section"')
    true_segments = [components(section) for section in truth]
    levels = sorted(float(threshold) for threshold in thresholds)
    rows = [_at_threshold(truth, true_segments, probability, t, pooling, alpha) for t in levels]
    # max and min keep the first of equals. V_rand and V_info are NaN at all thresholds or at none.
    rand, info = max(rows, key=lambda row: row.v_rand), max(rows, key=lambda row: row.v_info)
    pixel = min(rows, key=lambda row: row.pixel_error)
    return BoundaryScores(
        v_rand=rand.v_rand,
        v_rand_threshold=math.nan if math.isnan(rand.v_rand) else rand.threshold,
        v_rand_split=rand.v_rand_split,
        v_rand_merge=rand.v_rand_merge,
        v_info=info.v_info,
        v_info_threshold=math.nan if math.isnan(info.v_info) else info.threshold,
        v_info_split=info.v_info_split,
        v_info_merge=info.v_info_merge,
        pixel_error=pixel.pixel_error,
        pixel_threshold=pixel.threshold,
        pooling=pooling,
        by_threshold=tuple(rows),
    )


def _checked(truth: ArrayLike, probability: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.floating]]:
    true, predicted = np.asarray(truth), np.asarray(probability)
    if true.dtype != np.bool_:
        raise InputError(
            f"truth_foreground has dtype {true.dtype}: give bool, True for cell interior (mask == id)"
        )
    if true.ndim != 3 or true.shape != predicted.shape:
        raise InputError(
            f"truth_foreground {true.shape} and foreground_probability {predicted.shape} must have one shape "
            "(sections, height, width); a single section is array[None]"
        )
    if true.size == 0:
        raise InputError(
            f"truth_foreground has shape {true.shape}: there is no pixel to score; give a section"
        )
    if not np.issubdtype(predicted.dtype, np.floating):
        predicted = predicted.astype(np.float64)
    if not ((predicted >= 0) & (predicted <= 1)).all():
        raise InputError(
            "foreground_probability has values outside 0..1 or NaN: apply softmax to logits first"
        )
    return true, predicted


def _at_threshold(
    truth: NDArray[np.bool_],
    true_segments: list[Segments],
    probability: NDArray[np.floating],
    threshold: float,
    pooling: str,
    alpha: float,
) -> ThresholdScores:
    # A Python float is compared in the array's own precision: float32(0.1) is not above 0.1.
    foreground = probability > threshold
    sections = [
        Overlap.of(true, grow(components(section)))
        for true, section in zip(true_segments, foreground, strict=True)
    ]
    if pooling == "stack":
        total = sum(sections, Overlap())
        rand, info = total.v_rand(alpha), total.v_info(alpha)
    else:
        rand = _mean([section.v_rand(alpha) for section in sections])
        info = _mean([section.v_info(alpha) for section in sections])
    error = int(np.count_nonzero(foreground != truth)) / truth.size
    return ThresholdScores(threshold, *rand, *info, pixel_error=error)


def _mean(scores: list[Score]) -> Score:
    """Component by component over the sections that have anything to compare."""
    present = [score for score in scores if not math.isnan(score.value)]
    if not present:
        return Score(math.nan, math.nan, math.nan)
    return Score(*(math.fsum(component) / len(present) for component in zip(*present, strict=True)))
