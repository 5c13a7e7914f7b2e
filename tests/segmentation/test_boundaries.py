"""V_rand and V_info: 4x4 sections worked by hand, drawn ones against literal loops over pixels and pairs."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minidl.errors import InputError
from minidl.segmentation.boundaries import THRESHOLDS, score_sections
from minidl.segmentation.segments import Overlap, grow
from oracles.boundary_loops import flood_fill, info_by_loop, labelled_pixels, picture, rand_by_pairs

EPS = np.finfo(np.float64).eps
LN2, LN3 = math.log(2), math.log(3)
STACK_SHAPES = hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=4)
STACK = STACK_SHAPES.flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.bool_, shape),
        hnp.arrays(
            np.float32, shape, elements=st.sampled_from(np.float32([0, 0.05, 0.3, 0.5, 0.75, 1]).tolist())
        ),
    )
)


# ---------------------------------------------------------------------------------------------
# By hand: the cases of docs/metrics.md
# ---------------------------------------------------------------------------------------------
TWO_CELLS = picture("#.##", "#.##", "#.##", "#.##")  # T1 = 4 pixels, T2 = 8 pixels, n = 12
THREE_CELLS = picture("#.##", "#...", "#.##", "#.##")  # T1 = 4, T2 = 2, T3 = 4, n = 10


def score(truth: np.ndarray, foreground: np.ndarray) -> dict:
    return score_sections(truth, foreground.astype(np.float32)).to_dict()


def test_perfect() -> None:
    scores = score(THREE_CELLS, THREE_CELLS)
    for name in ("v_rand", "v_rand_split", "v_rand_merge", "v_info", "v_info_split", "v_info_merge"):
        assert scores[name] == 1, name
    assert scores["pixel_error"] == 0
    assert (scores["v_rand_threshold"], scores["v_info_threshold"], scores["pixel_threshold"]) == (0, 0, 0)


def test_a_thicker_border_costs_pixels_but_no_segments() -> None:
    thick = picture("#..#", "#..#", "#..#", "#..#")  # grown away: column 1 joins column 0, column 2 column 3
    scores = score(TWO_CELLS, thick)
    assert (scores["v_rand"], scores["v_info"], scores["pixel_error"]) == (1, 1, 4 / 16)


def test_one_split() -> None:
    """T2 is cut by a border in row 1, which grows away upwards: S1 = T1, S2 = rows 0-1, S3 = rows 2-3 of T2.

    p = 4/12, 4/12, 4/12.  sum p^2 = 3/9 = 1/3.  s = 1/3 each: sum s^2 = 1/3.  t = 1/3, 2/3: sum t^2 = 5/9.
    split = (1/3) / (5/9) = 3/5, merge = 1, V_rand = (1/3) / (1/6 + 5/18) = 3/4.
    I = H(T) = 1/3 ln 3 + 2/3 ln 3/2 = ln 3 - 2/3 ln 2, H(S) = ln 3.
    """
    scores = score(TWO_CELLS, picture("#.##", "#...", "#.##", "#.##"))
    assert scores["v_rand_split"] == pytest.approx(3 / 5, abs=EPS)
    assert scores["v_rand_merge"] == 1
    assert scores["v_rand"] == pytest.approx(3 / 4, abs=EPS)
    information = LN3 - 2 / 3 * LN2
    assert scores["v_info_split"] == pytest.approx(information / LN3, abs=8 * EPS)
    assert scores["v_info_merge"] == 1
    assert scores["v_info"] == pytest.approx(2 * information / (information + LN3), abs=8 * EPS)
    assert scores["pixel_error"] == 2 / 16


def test_one_merge() -> None:
    """T2 and T3 are joined: S1 = T1 = 4 pixels, S2 = T2 and T3 = 6 pixels.

    p = 4/10, 2/10, 4/10: sum p^2 = 36/100 = sum t^2.  s = 4/10, 6/10: sum s^2 = 52/100.
    split = 1, merge = 36/52 = 9/13, V_rand = 36 / 44 = 9/11.
    I = H(S) = -(2/5 ln 2/5 + 3/5 ln 3/5), H(T) = -(4/5 ln 2/5 + 1/5 ln 1/5).
    """
    scores = score(THREE_CELLS, TWO_CELLS)
    assert scores["v_rand_split"] == 1
    assert scores["v_rand_merge"] == pytest.approx(9 / 13, abs=EPS)
    assert scores["v_rand"] == pytest.approx(9 / 11, abs=EPS)
    h_s = -(2 / 5 * math.log(2 / 5) + 3 / 5 * math.log(3 / 5))
    h_t = -(4 / 5 * math.log(2 / 5) + 1 / 5 * math.log(1 / 5))
    assert scores["v_info_split"] == 1
    assert scores["v_info_merge"] == pytest.approx(h_s / h_t, abs=8 * EPS)
    assert scores["v_info"] == pytest.approx(2 * h_s / (h_s + h_t), abs=8 * EPS)
    assert scores["pixel_error"] == 2 / 16


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_no_border_found_and_no_cell_found_both_merge_everything(value: float) -> None:
    """One segment of 12 pixels: sum p^2 = sum t^2 = 5/9, sum s^2 = 1; merge = 5/9, V_rand = 10/14 = 5/7."""
    scores = score(TWO_CELLS, np.full((1, 4, 4), value))
    assert scores["v_rand"] == pytest.approx(5 / 7, abs=EPS)
    assert scores["v_rand_split"] == 1
    assert scores["v_rand_merge"] == pytest.approx(5 / 9, abs=EPS)
    assert (scores["v_info"], scores["v_info_split"], scores["v_info_merge"]) == (0, 1, 0)
    assert scores["pixel_error"] == (4 / 16 if value else 12 / 16)


def test_truth_that_is_one_cell() -> None:
    whole = np.ones((1, 4, 4), dtype=bool)
    assert score(whole, whole)["v_info"] == 1  # 0 / 0: one segment each, nothing wrong
    assert score(whole, ~whole)["v_rand"] == 1  # no border predicted between any two pixels
    # Cut into 8 and 8 pixels: sum p^2 = 1/2, split = 1/2, V_rand = 1/2 / (1/4 + 1/2). At threshold 1 nothing
    # is cell, so nothing is cut: that is best here. Look at threshold 0.5.
    cut = picture("#.##", "#.##", "#.##", "#.##").astype(float)
    (row,) = score_sections(whole, cut, [0.5]).by_threshold
    assert row.v_rand == pytest.approx(2 / 3, abs=EPS)
    assert (row.v_rand_split, row.v_rand_merge) == (1 / 2, 1)
    assert (row.v_info, row.v_info_split, row.v_info_merge) == (0, 0, 1)
    assert score(whole, cut)["v_rand_threshold"] == 1


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("pooling", ["stack", "section"])
def test_truth_without_cells_has_only_a_pixel_error(value: float, pooling: str) -> None:
    truth = np.zeros((2, 4, 4), dtype=bool)
    scores = score_sections(truth, np.full(truth.shape, value), pooling=pooling)
    assert math.isnan(scores.v_rand)
    assert math.isnan(scores.v_rand_threshold)
    assert math.isnan(scores.v_info_split)
    assert scores.pixel_error == 0  # at threshold 1 nothing is foreground
    assert json.loads(json.dumps(scores.to_dict(), allow_nan=False))["v_info"] is None


# ---------------------------------------------------------------------------------------------
# Drawn sections
# ---------------------------------------------------------------------------------------------
@given(STACK)
def test_scores_at_every_threshold_are_the_loops(stack: tuple[np.ndarray, np.ndarray]) -> None:
    truth, probability = stack
    rows = score_sections(truth, probability).by_threshold
    assert tuple(row.threshold for row in rows) == THRESHOLDS
    for row in rows:
        foreground = probability > np.float32(row.threshold)
        assert row.pixel_error == np.count_nonzero(foreground != truth) / truth.size
        sections = labelled_pixels(truth, foreground)
        if not truth.any():
            assert math.isnan(row.v_rand)
            continue
        expected = rand_by_pairs(sections)
        assert (row.v_rand, row.v_rand_split, row.v_rand_merge) == pytest.approx(
            [float(value) for value in expected], abs=EPS
        )
        # At most 64 pixels: a sum of at most 64 terms below 64 log 64 / e, divided by n H >= log 2 > 0.
        tolerance = 64 * 64 * EPS / LN2
        assert (row.v_info, row.v_info_split, row.v_info_merge) == pytest.approx(
            info_by_loop(sections), abs=tolerance
        )


@given(STACK)
def test_pooling_by_section_is_the_mean_of_sections(stack: tuple[np.ndarray, np.ndarray]) -> None:
    truth, probability = stack
    rows = score_sections(truth, probability, [0.4], pooling="section").by_threshold
    single = [
        score_sections(t[None], p[None], [0.4]) for t, p in zip(truth, probability, strict=True) if t.any()
    ]
    if not single:
        assert math.isnan(rows[0].v_rand)
        return
    for name in ("v_rand", "v_rand_merge", "v_info", "v_info_split"):
        mean = sum(getattr(one, name) for one in single) / len(single)
        assert getattr(rows[0], name) == pytest.approx(mean, abs=4 * EPS)


@given(STACK, st.integers(2, 3))
def test_repeating_a_stack_changes_nothing(stack: tuple[np.ndarray, np.ndarray], times: int) -> None:
    """Were sections not kept apart, log(times) of information about the section would raise V_info."""
    truth, probability = stack
    once, more = (
        score_sections(np.tile(truth, (n, 1, 1)), np.tile(probability, (n, 1, 1))) for n in (1, times)
    )
    for name in ("v_rand", "v_info", "pixel_error"):
        assert getattr(more, name) == pytest.approx(getattr(once, name), abs=64 * EPS, nan_ok=True)


def test_sections_are_pooled_by_pairs_not_averaged() -> None:
    """Perfect beside all-merged TWO_CELLS: (80 + 80) / (1/2 (80 + 144) + 1/2 (80 + 80)) = 160/192 = 5/6."""
    truth = np.concatenate([TWO_CELLS, TWO_CELLS])
    prediction = np.concatenate([TWO_CELLS, np.ones_like(TWO_CELLS)]).astype(float)
    assert score_sections(truth, prediction).v_rand == pytest.approx(5 / 6, abs=EPS)
    by_section = score_sections(truth, prediction, pooling="section")
    assert by_section.v_rand == pytest.approx((1 + 5 / 7) / 2, abs=EPS)
    assert by_section.pooling == "section"


@given(STACK)
def test_each_score_has_its_own_best_threshold(stack: tuple[np.ndarray, np.ndarray]) -> None:
    truth, probability = stack
    best = score_sections(truth, probability, [0.9, 0.0, 0.4])  # in any order
    assert [row.threshold for row in best.by_threshold] == [0.0, 0.4, 0.9]
    assert best.pixel_error == min(row.pixel_error for row in best.by_threshold)
    if truth.any():
        for name in ("v_rand", "v_info"):
            scores = [getattr(row, name) for row in best.by_threshold]
            assert getattr(best, name) == max(scores)
            first = best.by_threshold[scores.index(max(scores))]  # of equals the lowest threshold
            assert getattr(best, f"{name}_threshold") == first.threshold
            assert getattr(best, f"{name}_merge") == getattr(first, f"{name}_merge")


@given(STACK, st.floats(0, 1))
def test_scores_lie_in_0_to_1_and_alpha_runs_from_split_to_merge(
    stack: tuple[np.ndarray, np.ndarray], alpha: float
) -> None:
    truth, probability = stack
    sections = [
        Overlap.of(flood_fill(t), grow(flood_fill(p > 0.4))) for t, p in zip(truth, probability, strict=True)
    ]
    total = sum(sections, Overlap())
    if not truth.any():
        assert math.isnan(total.v_rand().value)
        return
    for at in (total.v_rand, total.v_info):
        score = at(alpha)
        assert (
            min(score.split, score.merge) - 4 * EPS <= score.value <= max(score.split, score.merge) + 4 * EPS
        )
        assert all(0 <= value <= 1 + 4 * EPS for value in score)
        assert at(0).value == score.split
        assert at(1).value == score.merge


def test_a_threshold_is_exceeded_not_met() -> None:
    truth = np.array([[[True, False]]])
    probability = np.array([[[0.5, 0.1]]], dtype=np.float32)  # float32(0.1) is above the double 0.1
    errors = {row.threshold: row.pixel_error for row in score_sections(truth, probability).by_threshold}
    assert [errors[t] for t in (0.0, 0.1, 0.4, 0.5, 1.0)] == [1 / 2, 0, 0, 1 / 2, 1 / 2]


# ---------------------------------------------------------------------------------------------
# Bad input
# ---------------------------------------------------------------------------------------------
GOOD = np.zeros((1, 2, 2), dtype=bool)


@pytest.mark.parametrize(
    ("truth", "probability", "message"),
    [
        (GOOD, np.zeros((1, 2, 3)), r"\(1, 2, 2\) and .* \(1, 2, 3\)"),
        (GOOD[0], np.zeros((2, 2)), "one shape"),
        (GOOD.astype(np.uint8), np.zeros((1, 2, 2)), "dtype uint8: give bool"),
        (GOOD, np.full((1, 2, 2), 1.5), "outside 0..1"),
        (GOOD, np.full((1, 2, 2), -3.0), "softmax"),
        (GOOD, np.full((1, 2, 2), np.nan), "NaN"),
        (GOOD[:0], np.zeros((0, 2, 2)), "no pixel"),
    ],
)
def test_bad_arrays_are_refused(truth: np.ndarray, probability: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        score_sections(truth, probability)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"thresholds": []}, "thresholds"),
        ({"thresholds": [0.5, 1.1]}, "thresholds"),
        ({"thresholds": [math.nan]}, "thresholds"),
        ({"pooling": "all"}, 'pooling="all"'),
        ({"alpha": -0.1}, "alpha=-0.1"),
    ],
)
def test_bad_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        score_sections(GOOD, np.zeros((1, 2, 2)), **options)
