"""The confusion matrix where labels live on a device, and evaluation that copies only counts to the host."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl.errors import InputError
from minidl.models import UNet
from minidl.segmentation import tiling
from minidl.segmentation.folder import scan
from minidl.segmentation.metrics import confusion_matrix
from minidl.testing import tolerance
from minidl.train import evaluate_samples, inference
from minidl.train.batches import Normalisation
from oracles.devices import KINDS, compiler_or_skip
from oracles.runs import write_squares

pytestmark = pytest.mark.parametrize("xp", KINDS, indirect=True)
DTYPES = ("uint8", "int16", "int64", "uint16")


def counted(truth: Any, prediction: Any, classes: int, ignored: int | None) -> Any:
    """By hand, pixel by pixel."""
    matrix = np.zeros((classes, classes), np.int64)
    for i, j in zip(truth.ravel().tolist(), prediction.ravel().tolist(), strict=True):
        if i != ignored:
            matrix[i, j] += 1
    return matrix


def test_counts(xp: ModuleType) -> None:
    compiler_or_skip()

    @given(
        shape=st.lists(st.integers(0, 4), min_size=1, max_size=3).map(tuple),
        dtypes=st.tuples(st.sampled_from(DTYPES), st.sampled_from(DTYPES)),
        ignored=st.sampled_from((None, 0, 2, 255)),
        strided=st.booleans(),
        seed=st.integers(0, 99),
    )
    def at(shape: Any, dtypes: Any, ignored: int | None, strided: bool, seed: int) -> None:
        rng = np.random.default_rng(seed)
        truth, prediction = (rng.integers(0, 3, shape).astype(dtype) for dtype in dtypes)
        if ignored == 255 and truth.size:
            truth.flat[0] = 255
        ours = [xp.asarray(a) for a in (truth, prediction)]
        if strided:
            truth, prediction = truth.T, prediction.T[::-1]
            ours = [ours[0].T, ours[1].T[::-1]]
        matrix = confusion_matrix(*ours, 3, ignored)
        assert isinstance(matrix, np.ndarray) and matrix.dtype == np.int64
        np.testing.assert_array_equal(matrix, counted(truth, prediction, 3, ignored))

    at()


def test_bool_masks_and_many_classes(xp: ModuleType) -> None:
    compiler_or_skip()
    truth = np.array([True, False, True])
    np.testing.assert_array_equal(
        confusion_matrix(xp.asarray(truth), xp.asarray(~truth), 2), [[0, 1], [2, 0]]
    )
    ids = np.arange(200)  # too many for counts in shared memory
    np.testing.assert_array_equal(
        confusion_matrix(xp.asarray(ids), xp.asarray(ids[::-1].copy()), 200), np.eye(200)[::-1]
    )


@pytest.mark.parametrize(
    ("truth", "prediction", "message"),
    [
        ([0, 2], [0, 0], r"truth has class id 2 \(1 pixels.*from 0 to 1.*ignore_index"),
        ([0, -1], [7, 0], r"truth has class id -1"),
        ([0, 1], [0, 7], r"prediction has class id 7.*argmax"),
        ([0.0, 1.0], [0, 1], r"truth has dtype float64"),
        ([0, 1], [0], r"prediction has shape \(1,\) but truth has \(2,\)"),
    ],
)
def test_bad_masks_are_refused_with_the_host_s_words(
    xp: ModuleType, truth: list, prediction: list, message: str
) -> None:
    compiler_or_skip()
    errors = []
    for asarray in (np.asarray, xp.asarray):
        with pytest.raises(InputError, match=message) as caught:
            confusion_matrix(asarray(np.array(truth)), asarray(np.array(prediction)), 2)
        errors.append(str(caught.value))
    assert errors[0] == errors[1]


def test_labels_in_two_places_are_refused(xp: ModuleType) -> None:
    with pytest.raises(RuntimeError, match=r"confusion_matrix: .*same device"):
        confusion_matrix(np.zeros(2, int), xp.zeros(2, np.int64), 2)


def test_tiles_are_blended_where_the_network_is(xp: ModuleType) -> None:
    """The identity as a network: whatever the tiles, the image comes out, up to the weights' rounding."""
    image = np.random.default_rng(0).random((2, 21, 30)).astype(np.float32)
    result = tiling.predict(xp.asarray, image, 2, multiple=4, tile=16, overlap=4)
    assert isinstance(result, xp.ndarray)
    np.testing.assert_allclose(xp.asnumpy(result), image, rtol=0, atol=tolerance(np.float32, 4, 1.0))


def test_evaluation_copies_no_label_maps(
    xp: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler_or_skip()
    data = scan(write_squares(tmp_path / "data", {"train": 1, "val": 2}))
    minidl.manual_seed(0)
    net = UNet(in_channels=data.in_channels, num_classes=data.num_classes, base=2, depth=1)
    norm, samples = Normalisation((0.5,) * data.in_channels, (0.25,) * data.in_channels), data.samples("val")
    with minidl.use("numpy"):
        expected = evaluate_samples(net, norm, data, samples)
    copied: list[Any] = []
    move = inference.move

    def noted(array: Any, device: Any) -> Any:
        if device.index is None and not isinstance(array, np.ndarray):
            copied.append((array.dtype.kind, array.ndim))
        return move(array, device)

    monkeypatch.setattr(inference, "move", noted)
    ours = evaluate_samples(net.to("cuda" if xp.__name__ == "cupy" else "cuda_sim"), norm, data, samples)
    assert copied == [("f", 2)] * len(samples)  # the true classes' probabilities, for the loss
    np.testing.assert_array_equal(ours.scores.support, expected.scores.support)
    np.testing.assert_array_equal(ours.scores.iou, expected.scores.iou)
    # A logit is a sum of 9 * 4 products at most, of which three follow one another.
    assert abs(ours.loss - expected.loss) < tolerance(np.float32, 3 * 36, 8.0)
