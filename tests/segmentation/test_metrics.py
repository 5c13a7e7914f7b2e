"""The confusion matrix against counting by hand, the scores against their definitions as sets of pixels."""

import doctest
import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minidl.errors import InputError
from minidl.segmentation.metrics import Scores, confusion_matrix

EPS = np.finfo(np.float64).eps
MASKS = hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5).flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, 3, 255])),
        hnp.arrays(np.int64, shape, elements=st.integers(0, 3)),
    )
)


def count_by_loop(
    truth: np.ndarray, prediction: np.ndarray, num_classes: int, ignore: int | None
) -> np.ndarray:
    matrix = np.zeros((num_classes, num_classes), dtype=np.int64)
    for t, p in zip(truth.ravel().tolist(), prediction.ravel().tolist(), strict=True):
        if t != ignore:
            matrix[t, p] += 1
    return matrix


def scores_by_sets(truth: list[int], prediction: list[int], k: int) -> dict[str, Fraction] | None:
    """Scores of class k out of sets of pixel positions; None if the class is in neither list."""
    true = {i for i, id_ in enumerate(truth) if id_ == k}
    predicted = {i for i, id_ in enumerate(prediction) if id_ == k}
    if not true | predicted:
        return None
    hits = len(true & predicted)
    return {
        "iou": Fraction(hits, len(true | predicted)),
        "precision": Fraction(hits, len(predicted)) if predicted else Fraction(0),
        "recall": Fraction(hits, len(true)) if true else Fraction(0),
        "f1": Fraction(2 * hits, len(true) + len(predicted)),
    }


@given(MASKS)
def test_confusion_matrix_counts_every_labelled_pixel_once(masks: tuple[np.ndarray, np.ndarray]) -> None:
    truth, prediction = masks
    matrix = confusion_matrix(truth, prediction, 4, ignore_index=255)
    assert matrix.dtype == np.int64
    np.testing.assert_array_equal(matrix, count_by_loop(truth, prediction, 4, 255))
    assert matrix.sum() == np.count_nonzero(truth != 255)


@given(MASKS, st.integers(0, 30))
def test_confusion_matrices_add_up(masks: tuple[np.ndarray, np.ndarray], cut: int) -> None:
    truth, prediction = (array.ravel() for array in masks)
    parts = [confusion_matrix(truth[s], prediction[s], 4, 255) for s in (slice(cut), slice(cut, None))]
    np.testing.assert_array_equal(sum(parts), confusion_matrix(truth, prediction, 4, 255))


@given(MASKS)
def test_scores_are_their_definitions(masks: tuple[np.ndarray, np.ndarray]) -> None:
    truth, prediction = masks
    scores = Scores.from_confusion(confusion_matrix(truth, prediction, 4, ignore_index=255))
    kept = truth != 255
    true, predicted = truth[kept].tolist(), prediction[kept].tolist()
    expected = [scores_by_sets(true, predicted, k) for k in range(4)]
    for name in ("iou", "precision", "recall", "f1"):
        values = [math.nan if one is None else float(one[name]) for one in expected]
        np.testing.assert_array_equal(
            getattr(scores, name), values
        )  # one rounding on either side: no tolerance
    present = [one for one in expected if one is not None]
    for name, mean in (("iou", scores.mean_iou), ("f1", scores.mean_f1)):
        if present:
            exact = float(sum(one[name] for one in present) / len(present))
            assert mean == pytest.approx(
                exact, abs=8 * EPS
            )  # four roundings of terms, three additions, a division
        else:
            assert math.isnan(mean)
    if true:
        assert scores.accuracy == sum(t == p for t, p in zip(true, predicted, strict=True)) / len(true)
    else:
        assert math.isnan(scores.accuracy)
    np.testing.assert_array_equal(scores.support, [true.count(k) for k in range(4)])


def test_four_by_four_by_hand() -> None:
    """The example of docs/metrics.md: class 2 never occurs."""
    truth = [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 255]]
    prediction = [[0, 0, 0, 0], [0, 1, 1, 1], [0, 1, 0, 0], [0, 0, 0, 1]]
    matrix = confusion_matrix(truth, prediction, num_classes=3, ignore_index=255)
    np.testing.assert_array_equal(matrix, [[10, 1, 0], [1, 3, 0], [0, 0, 0]])
    scores = Scores.from_confusion(matrix)
    np.testing.assert_array_equal(scores.iou, [10 / 12, 3 / 5, math.nan])
    np.testing.assert_array_equal(scores.precision, [10 / 11, 3 / 4, math.nan])
    np.testing.assert_array_equal(scores.recall, [10 / 11, 3 / 4, math.nan])
    np.testing.assert_array_equal(scores.f1, [20 / 22, 6 / 8, math.nan])
    assert scores.accuracy == 13 / 15
    assert scores.mean_iou == pytest.approx(43 / 60, abs=2 * EPS)


def test_a_class_on_one_side_only_scores_zero_and_counts_in_the_mean() -> None:
    never_predicted = Scores.from_confusion(confusion_matrix([0, 1], [0, 0], 2))
    assert [never_predicted.precision[1], never_predicted.recall[1], never_predicted.iou[1]] == [0, 0, 0]
    assert never_predicted.mean_iou == 0.25
    never_true = Scores.from_confusion(confusion_matrix([0, 0], [0, 1], 2))
    assert [never_true.precision[1], never_true.recall[1], never_true.f1[1]] == [0, 0, 0]
    assert never_true.mean_iou == 0.25


def test_an_ignored_id_may_lie_among_the_classes_and_below_zero() -> None:
    np.testing.assert_array_equal(confusion_matrix([0, 1], [0, 0], 2, ignore_index=1), [[1, 0], [0, 0]])
    np.testing.assert_array_equal(confusion_matrix([0, -100], [1, 9], 2, ignore_index=-100), [[0, 1], [0, 0]])
    np.testing.assert_array_equal(
        confusion_matrix(np.zeros(1, np.uint8), [1], 2, ignore_index=-100), [[0, 1], [0, 0]]
    )


def test_bool_masks_are_ids_zero_and_one() -> None:
    truth = np.array([True, False, True])
    np.testing.assert_array_equal(confusion_matrix(truth, ~truth, 2), [[0, 1], [2, 0]])


@pytest.mark.parametrize(
    ("truth", "prediction", "num_classes", "message"),
    [
        ([0, 1], [0], 2, r"prediction has shape \(1,\) but truth has \(2,\)"),
        ([0, 2], [0, 0], 2, r"truth has class id 2 \(1 pixels.*from 0 to 1.*ignore_index"),
        ([0, -1], [0, 0], 2, r"truth has class id -1"),
        ([0, 1], [0, 7], 2, r"prediction has class id 7.*argmax"),
        ([0.0, 1.0], [0, 1], 2, r"truth has dtype float64"),
        ([0, 1], [0.3, 0.7], 2, r"prediction has dtype float64.*argmax"),
        ([0], [0], 0, r"num_classes=0"),
    ],
)
def test_bad_masks_are_refused(truth: list, prediction: list, num_classes: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        confusion_matrix(truth, prediction, num_classes)


@pytest.mark.parametrize("matrix", [np.zeros((2, 3), int), np.zeros((0, 0), int), np.zeros(4, int)])
def test_a_matrix_that_is_not_square_is_refused(matrix: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"must be \(K, K\)"):
        Scores.from_confusion(matrix)


@pytest.mark.parametrize("matrix", [np.eye(2), np.array([[1, -1], [0, 1]])])
def test_a_matrix_that_holds_no_counts_is_refused(matrix: np.ndarray) -> None:
    with pytest.raises(InputError, match="pixel counts"):
        Scores.from_confusion(matrix)


@given(MASKS)
def test_to_dict_is_json_without_nan(masks: tuple[np.ndarray, np.ndarray]) -> None:
    scores = Scores.from_confusion(confusion_matrix(*masks, 4, ignore_index=255))
    plain = json.loads(json.dumps(scores.to_dict(), allow_nan=False))
    np.testing.assert_array_equal([math.nan if v is None else v for v in plain["iou"]], scores.iou)
    assert (plain["mean_f1"] is None) == math.isnan(scores.mean_f1)
    assert sum(plain["support"]) == np.count_nonzero(masks[0] != 255)


def test_table_names_each_class_and_marks_the_absent_one() -> None:
    scores = Scores.from_confusion(np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]]))
    lines = scores.table(["sky", "building", "tree"]).splitlines()
    assert lines[1].split() == ["sky", "0.7500", "1.0000", "0.7500", "0.8571", "4"]
    assert lines[3].split() == ["tree", "-", "-", "-", "-", "0"]
    assert lines[4].split() == ["mean", "0.7750", "0.8730", "8"]
    assert len({len(line) for line in lines[:-1]}) == 1  # columns line up
    assert "class 2" in scores.table()
    with pytest.raises(InputError, match="2 names but there are 3 classes"):
        scores.table(["sky", "tree"])


def test_the_examples_in_the_documentation_run(root: Path) -> None:
    result = doctest.testfile(str(root / "docs" / "metrics.md"), module_relative=False)
    assert result.attempted > 0
    assert result.failed == 0
