"""Using a trained network: pictures of any size, whole or in tiles, and scores."""

import numpy as np
import pytest

from minidl import Tensor, no_grad, ops
from minidl.errors import InputError
from minidl.models import UNet
from minidl.segmentation.files import write_png
from minidl.segmentation.folder import scan
from minidl.train import Trainer, evaluate_samples, load_run, predict_image, probabilities
from minidl.train.batches import Normalisation
from minidl.train.checkpoint import save
from oracles.runs import contents, stop_after

pytestmark = pytest.mark.usefixtures("quick_plots")

NORM = Normalisation((0.4,), (0.2,))
SAME = {"base": 2, "depth": 2, "norm": "none"}
VALID = {"base": 2, "depth": 1, "norm": "none", "padding": "valid"}


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).random((1, height, width), dtype=np.float32)


def direct(model: UNet, image: np.ndarray) -> np.ndarray:
    """The network on the whole picture, without padding or tiles."""
    with no_grad():
        return ops.softmax(model.eval()(Tensor(NORM(image)[None])), dim=1).data[0]


@pytest.mark.parametrize("options", [SAME, VALID], ids=["same", "valid"])
@pytest.mark.parametrize("size", [(1, 1), (3, 200), (17, 16), (31, 45), (64, 5)])
def test_pictures_of_any_size(options, size):
    p = probabilities(UNet(1, 3, **options), NORM, picture(*size))
    assert p.shape == (3, *size) and p.dtype == np.float32
    np.testing.assert_allclose(p.sum(axis=0), 1, atol=8 * np.finfo(np.float32).eps)


def test_a_picture_that_fits_goes_through_as_it_is():
    model, image = UNet(1, 3, **SAME), picture(16, 24)
    np.testing.assert_array_equal(probabilities(model, NORM, image), direct(model, image))


def test_without_padding_the_picture_is_continued_by_its_mirror_image():
    model, image = UNet(1, 3, **VALID), picture(20, 24)
    margin = 8  # 2 + 2 * 2 + 2
    continued = np.pad(image, ((0, 0), (margin, margin), (margin, margin)), mode="reflect")
    np.testing.assert_array_equal(probabilities(model, NORM, image), direct(model, continued))


@pytest.mark.parametrize("options", [SAME, VALID], ids=["same", "valid"])
def test_tiles_agree_with_the_whole_away_from_their_seams(options):
    """Deeper in a tile than the network sees, a pixel is predicted as in the whole picture."""
    model, image = UNet(1, 2, **options), picture(96, 96)
    whole = probabilities(model, NORM, image, tile=256)
    tiled = probabilities(model, NORM, image, tile=64)
    if (
        options is VALID
    ):  # every tile is given all the context there is: equal up to the rounding of the blending
        np.testing.assert_allclose(tiled, whole, atol=64 * np.finfo(np.float32).eps)
    else:  # zeros around a tile are not what lies around it: a corner that only one tile covers
        np.testing.assert_allclose(tiled[:, :16, :16], whole[:, :16, :16], atol=64 * np.finfo(np.float32).eps)
        assert (tiled.argmax(axis=0) == whole.argmax(axis=0)).mean() > 0.95


def test_prediction_leaves_no_graph_and_no_changed_statistics():
    model = UNet(1, 2, base=2, depth=1, norm="batch").train()
    before = {name: array.copy() for name, array in model.state_dict().items()}
    probabilities(model, NORM, picture(16, 16))
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


# ---------------------------------------------------------------------------------------------
# Runs
# ---------------------------------------------------------------------------------------------
def test_a_loaded_run_predicts_as_the_trainer_did(train, squares):
    trainer = train(steps=4)
    run = load_run(trainer.out / "last.safetensors")
    assert run.step == 4 and run.classes == list(squares.classes)
    image, _ = squares.load(squares.samples("test")[0])
    here = probabilities(trainer.model, trainer.normalisation, image)
    np.testing.assert_array_equal(probabilities(run.model, run.normalisation, image), here)
    ids = predict_image(run, image)
    np.testing.assert_array_equal(ids, here.argmax(axis=0))
    assert ids.dtype == np.uint8


def test_ids_above_255_are_kept():
    from minidl.train import Run

    model = UNet(1, 300, base=2, depth=1)
    model.head.bias.data[299] = 50.0
    run = Run("x", model, NORM, {"classes": [str(i) for i in range(300)]}, 0)  # type: ignore[arg-type]
    ids = predict_image(run, picture(4, 4))
    assert ids.dtype == np.uint16 and (ids == 299).all()


def test_a_run_that_was_not_validated_names_its_last_checkpoint(squares, tmp_path, config):
    out = tmp_path / "run"
    Trainer(squares, config(), out).run(stop_after(1))
    with pytest.raises(InputError, match=r"not been validated yet.*last\.safetensors"):
        load_run(out)
    assert load_run(out / "last.safetensors").step == 1


def test_folders_without_a_run(tmp_path):
    with pytest.raises(InputError, match="give the folder that 'minidl train --out' wrote"):
        load_run(tmp_path)
    with pytest.raises(InputError, match="no such checkpoint"):
        load_run(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("base", "says"), [(1, "does not fit its own configuration"), (4, r"the network would have \d+ weights")]
)
def test_weights_that_do_not_fit_their_architecture(train, tmp_path, base, says):
    saved = contents(train().out)
    saved.architecture["base"] = base
    path = tmp_path / "odd.safetensors"
    save(path, saved)
    with pytest.raises(InputError, match=says) as error:
        load_run(path)
    assert "\n" not in str(error.value)


# ---------------------------------------------------------------------------------------------
# Scores
# ---------------------------------------------------------------------------------------------
def test_evaluation_against_loops(train, squares):
    trainer = train()
    run = load_run(trainer.out)
    kept = []
    samples = squares.samples("test")
    found = evaluate_samples(
        run.model, run.normalisation, squares, samples, keep=lambda *row: kept.append(row)
    )
    matrix = np.zeros((2, 2), int)
    for (sample, image, truth, prediction), expected in zip(kept, samples, strict=True):
        assert sample == expected
        np.testing.assert_array_equal(prediction, predict_image(run, image))
        for t, p in zip(truth.ravel(), prediction.ravel(), strict=True):
            matrix[t, p] += 1
    np.testing.assert_array_equal(found.scores.support, matrix.sum(axis=1))
    assert found.scores.accuracy == np.trace(matrix) / matrix.sum()
    assert found.to_dict(["a", "b"])["loss"] == found.loss


def evaluation(root, ids, **options):
    """Of an untrained network, on two pictures with the given masks."""
    for kind in ("images", "masks"):
        (root / "train" / kind).mkdir(parents=True)
    for index, mask in enumerate(ids):
        write_png(root / "train/images" / f"{index}.png", (picture(*mask.shape)[0] * 255).astype(np.uint8))
        write_png(root / "train/masks" / f"{index}.png", mask)
    (root / "dataset.toml").write_text("num_classes = 2\nignore_index = 255\n")
    data = scan(root, val="1")
    model = UNet(1, 2, **SAME)
    samples = [*data.samples("train"), *data.samples("val")]
    return evaluate_samples(model, NORM, data, samples, **options)


def halves(height: int = 16, width: int = 16) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    mask[:, : width // 2] = 1
    return mask


def test_boundary_scores(tmp_path):
    found = evaluation(tmp_path, [halves(), halves()], boundary=0)
    assert found.boundaries is not None and 0 <= found.boundaries.v_rand <= 1
    assert "boundaries" in found.to_dict(["border", "cell"])


def test_boundary_scores_need_sections_of_one_size_with_labels_throughout(tmp_path):
    with pytest.raises(InputError, match=r"1\.png: 16x20 pixels, the first section has 16x16.*--boundary"):
        evaluation(tmp_path / "sizes", [halves(), halves(20)], boundary=0)
    hole = halves()
    hole[3, 3] = 255
    with pytest.raises(InputError, match=r"1\.png: has pixels without a label.*--boundary"):
        evaluation(tmp_path / "labels", [halves(), hole], boundary=0)
    assert np.isfinite(evaluation(tmp_path / "without", [halves(20), hole]).loss)


def test_boundary_scores_bear_the_rounding_of_blended_tiles():
    """A sum of weights in float32 may be above 1 by an ulp, and the interior would be below 0."""
    from pathlib import Path

    from minidl.train.inference import _Sections

    p = np.zeros((2, 4, 4), np.float32)
    p[0] = np.nextafter(np.float32(1), np.float32(2))
    sections = _Sections(0)
    sections.add(p, np.arange(16).reshape(4, 4) % 2, Path("a.png"), 255)
    assert sections.scores().pixel_error == 0.5


def test_loss_of_no_labelled_pixel_is_absent(tmp_path):
    nothing = np.full((16, 16), 255, np.uint8)
    data = tmp_path / "data"
    found = evaluation(data, [halves(), nothing])
    assert np.isfinite(found.loss)
    scanned = scan(data, val="1")
    only = evaluate_samples(UNet(1, 2, **SAME), NORM, scanned, scanned.samples("val"))
    assert only.to_dict(["a", "b"])["loss"] is None
