"""Pixel scores, Rand and information scores against scikit-learn, which computes them in its own way."""

import numpy as np
import pytest
import sklearn.metrics
import sklearn.metrics.cluster
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minidl.segmentation.metrics import Scores, confusion_matrix
from minidl.segmentation.segments import Overlap

K = 5
EPS = np.finfo(np.float64).eps
LABELS = list(range(K))
PAIRS = st.integers(1, 60).flatmap(
    lambda n: st.tuples(
        hnp.arrays(np.int32, n, elements=st.integers(0, K - 1)),
        hnp.arrays(np.int32, n, elements=st.integers(0, K - 1)),
    )
)


@given(PAIRS)
def test_confusion_matrix_and_accuracy(masks: tuple[np.ndarray, np.ndarray]) -> None:
    matrix = confusion_matrix(*masks, K)
    np.testing.assert_array_equal(matrix, sklearn.metrics.confusion_matrix(*masks, labels=LABELS))
    accuracy = Scores.from_confusion(matrix).accuracy
    assert accuracy == pytest.approx(sklearn.metrics.accuracy_score(*masks), abs=2 * EPS)


@given(PAIRS)
def test_scores_of_the_classes_that_are_present(masks: tuple[np.ndarray, np.ndarray]) -> None:
    scores = Scores.from_confusion(confusion_matrix(*masks, K))
    precision, recall, f1, support = sklearn.metrics.precision_recall_fscore_support(
        *masks, labels=LABELS, zero_division=0.0
    )
    iou = sklearn.metrics.jaccard_score(*masks, labels=LABELS, average=None, zero_division=0.0)
    present = np.isin(LABELS, np.concatenate(masks))
    np.testing.assert_array_equal(scores.support, support)
    for ours, theirs in (
        (scores.precision, precision),
        (scores.recall, recall),
        (scores.f1, f1),
        (scores.iou, iou),
    ):
        np.testing.assert_array_equal(np.isnan(ours), ~present)
        np.testing.assert_allclose(ours[present], theirs[present], rtol=0, atol=4 * EPS)
    mean = sklearn.metrics.jaccard_score(
        *masks, labels=np.flatnonzero(present), average="macro", zero_division=0.0
    )
    assert scores.mean_iou == pytest.approx(mean, abs=2 * K * EPS)


@given(PAIRS)
def test_rand_and_information_scores(labels: tuple[np.ndarray, np.ndarray]) -> None:
    """Split and merge scores of V_info are homogeneity and completeness under other names.

    V_rand counts a pixel paired with itself, which scikit-learn's matrix of pairs leaves out: n pairs more.
    """
    true, predicted = labels[0] + 1, labels[1] + 1
    overlap = Overlap.of(true[None], predicted[None])
    n = len(true)
    (_, split_apart), (joined, together) = sklearn.metrics.cluster.pair_confusion_matrix(
        predicted, true
    ).tolist()
    assert overlap.joint_squares == together + n
    assert overlap.true_squares == together + split_apart + n
    assert overlap.predicted_squares == together + joined + n
    # Entropies are sums of at most 60 terms of at most log 60 = 4.1; a quotient amplifies by 1 / H, and the
    # smallest entropy above 0 is that of one pixel among 60, 0.085 nats.
    tolerance = 60 * 4.1 * EPS / 0.085
    score = overlap.v_info()
    homogeneity, completeness, v_measure = sklearn.metrics.homogeneity_completeness_v_measure(true, predicted)
    assert score.merge == pytest.approx(homogeneity, abs=tolerance)
    assert score.split == pytest.approx(completeness, abs=tolerance)
    assert score.value == pytest.approx(v_measure, abs=tolerance)
