"""The training loop: it learns, it keeps what it promises in its folder, and bad runs end in one line."""

import numpy as np
import pytest

from minidl.segmentation.files import write_png
from minidl.segmentation.folder import scan
from minidl.train import Trainer, evaluate_samples, load_run
from minidl.train.history import COLUMNS
from oracles.runs import FILES, bright_square, contents, history_of, refusal, write_squares

pytestmark = pytest.mark.usefixtures("quick_plots")


# ---------------------------------------------------------------------------------------------
# A good run
# ---------------------------------------------------------------------------------------------
def test_an_easy_task_is_learned(train):
    trainer = train(steps=40, eval_every=10)
    rows = history_of(trainer.out)
    assert [row["step"] for row in rows] == ["10", "20", "30", "40"]
    assert float(rows[-1]["train_loss"]) < 0.5 * float(rows[0]["train_loss"])
    assert float(rows[-1]["val_loss"]) < float(rows[0]["val_loss"])
    assert float(rows[-1]["val_iou"]) > 0.9
    assert {path.name for path in trainer.out.iterdir()} == FILES


def test_history_rows(train):
    trainer = train(steps=5, eval_every=2, batch_size=3, schedule="constant", warmup=2, lr=0.01)
    rows = history_of(trainer.out)
    assert tuple(rows[0]) == (*COLUMNS, "val_iou class 0", "val_iou class 1")
    assert [row["step"] for row in rows] == ["2", "4", "5"]
    assert [float(row["epoch"]) for row in rows] == [1.0, 2.0, 2.5]  # 6 images, 3 in a step
    # the rates of steps 2, 4, 5: the warm-up runs from a tenth at step 1, over 55 %, to full at step 3
    np.testing.assert_allclose([float(row["lr"]) for row in rows], [0.0055, 0.01, 0.01], rtol=1e-12)


def test_best_is_the_best_row_of_the_history(train, squares):
    # too fast a rate: scores go up and down
    trainer = train(steps=10, eval_every=1, lr=0.05, schedule="constant")
    rows = history_of(trainer.out)
    ious = [float(row["val_iou"]) for row in rows]
    assert ious.index(max(ious)) < len(ious) - 1, "no ups and downs: the test shows nothing"
    best = contents(trainer.out, "best")
    assert best.step == int(rows[ious.index(max(ious))]["step"])
    run = load_run(trainer.out)
    found = evaluate_samples(run.model, run.normalisation, squares, squares.samples("val"))
    assert found.scores.mean_iou == max(ious)
    assert contents(trainer.out).step == 10


def test_validation_loss_is_the_mean_over_labelled_pixels(train, squares):
    from minidl import ops, tensor

    trainer = train(class_weights="balanced")
    run = load_run(trainer.out / "last.safetensors")
    images, masks = zip(*(squares.load(sample) for sample in squares.samples("val")), strict=True)
    logits = run.model(tensor(run.normalisation(np.stack(images))))
    for weights, recorded in (
        (None, evaluate_samples(run.model, run.normalisation, squares, squares.samples("val")).loss),
        (trainer.class_weights, float(history_of(trainer.out)[-1]["val_loss"])),
    ):
        expected = ops.cross_entropy(logits, np.stack(masks).astype(np.int64), weights).item()
        np.testing.assert_allclose(recorded, expected, rtol=512 * np.finfo(np.float32).eps)  # 512 pixels


def test_the_steps_reported_are_the_steps_done(squares, tmp_path, config):
    said: list[tuple] = []

    class Recorder:
        def phase(self, name, total, done=0):
            said.append((name, total, done))

        def advance(self, amount=1, **figures):
            said.append((amount, tuple(sorted(figures))))

        def message(self, text):
            said.append((text,))

    Trainer(squares, config(steps=3), tmp_path / "run", reporter=Recorder()).run()
    step, image = (1, ("IoU", "loss")), (1, ())
    assert said[:9] == [("reading", 8, 0), *[image] * 8]  # 6 to learn from, 2 to validate on
    rest = [entry for entry in said[9:] if len(entry) > 1]
    validating = [("validating", 2, 0), image, image]
    assert rest == [("training", 3, 0), step, step, *validating, ("training", 3, 2), step, *validating]
    first, last = (entry[0] for entry in said if len(entry) == 1)
    assert "best so far" in first and "step     3/3" in last


def test_config_json_says_how_the_run_was_made(train, squares):
    import json

    trainer = train(seed=11)
    values = json.loads((trainer.out / "config.json").read_text())
    assert values["config"]["seed"] == 11
    assert values["architecture"]["in_channels"] == 1 and values["architecture"]["num_classes"] == 2
    assert values["data"]["classes"] == list(squares.classes)
    assert values["data"]["splits"]["val"] == ["val/images/00.png", "val/images/01.png"]


# ---------------------------------------------------------------------------------------------
# Options and odd data
# ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "options",
    [
        {"model": {"padding": "valid", "norm": "none"}},
        {"model": {"norm": "group", "up": "bilinear", "dropout": 0.2}},
        {"model": {"up": "transpose", "depth": 2}, "optimizer": "sgd", "momentum": 0.5},
        {"optimizer": "adamw", "weight_decay": 0.1, "schedule": "poly", "class_weights": "balanced"},
        {"augmentation": {"crop": 8, "rotate90": False, "flip": False, "brightness": 0, "contrast": 0}},
        {"batch_size": 13},  # more than there are images
    ],
    ids=lambda options: " ".join(options),
)
def test_options_train(train, options):
    rows = history_of(train(steps=4, **options).out)
    assert np.isfinite([float(row["val_loss"]) for row in rows]).all()


def test_valid_padding_learns_every_pixel_of_a_picture(squares, tmp_path, config):
    """The output is smaller than the input; mirrored rims make up for it."""
    options = config(
        model={"padding": "valid", "norm": "none"}, augmentation={"brightness": 0, "contrast": 0}
    )
    trainer = Trainer(squares, options, tmp_path / "run")
    images, masks = trainer.batches.batch(0)
    size = images.shape[2]
    margin = (size - trainer.model.output_size(size)) // 2
    # at each side: 2 pixels before the pooling, 2 below it, where they are twice as wide, and 2 after it
    assert margin == trainer.batches.margin == 2 + 2 * 2 + 2
    inner = masks[:, margin:-margin, margin:-margin]
    assert inner.shape[1:] == (16, 16) and (inner != squares.ignore_index).all()


def test_balanced_weights_are_the_median_frequencies(squares, tmp_path, config):
    trainer = Trainer(squares, config(class_weights="balanced"), tmp_path / "run")
    masks = np.stack([squares.load(sample)[1] for sample in squares.samples("train")])
    share = np.array([(masks == 0).mean(), (masks == 1).mean()])
    np.testing.assert_allclose(trainer.class_weights, np.median(share) / share, rtol=1e-6)


def test_batches_without_a_label_are_passed_over(tmp_path, config):
    """Half of the pictures have no labelled pixel; with one picture in a batch, half of the batches."""
    root = write_squares(tmp_path / "data", {"train": 4, "val": 2})
    for name in ("00", "01"):
        write_png(root / "train/masks" / f"{name}.png", np.full((16, 16), 255, np.uint8))
    (root / "dataset.toml").write_text("num_classes = 2\nignore_index = 255\n")
    trainer = Trainer(scan(root), config(batch_size=1, steps=8, eval_every=8), tmp_path / "run")
    before = {name: array.copy() for name, array in trainer.model.state_dict().items() if "weight" in name}
    steps = []
    original = trainer._step
    trainer._step = lambda *batch: steps.append(original(*batch)) or steps[-1]  # type: ignore[method-assign]
    assert trainer.run()
    assert np.isnan(steps).sum() == 4 and np.isfinite(steps).sum() == 4
    row = history_of(trainer.out)[0]
    np.testing.assert_allclose(float(row["train_loss"]), np.nanmean(steps), rtol=1e-12)
    after = trainer.model.state_dict()
    assert all(np.isfinite(after[name]).all() for name in before)
    assert any((after[name] != before[name]).any() for name in before)


def test_no_label_anywhere_is_refused(tmp_path, config):
    root = write_squares(tmp_path / "data", {"train": 2, "val": 1})
    for path in (root / "train/masks").iterdir():
        write_png(path, np.full((16, 16), 255, np.uint8))
    (root / "dataset.toml").write_text("num_classes = 2\nignore_index = 255\n")
    refusal(lambda: Trainer(scan(root), config(), tmp_path / "run"), "no training pixel has a label")


def test_one_picture_needs_a_validation(tmp_path, config):
    root = tmp_path / "data"
    for kind, picture in zip(("images", "masks"), bright_square(np.random.default_rng(0)), strict=True):
        (root / kind).mkdir(parents=True)
        write_png(root / kind / "a.png", picture)
    refusal(lambda: Trainer(scan(root), config(), tmp_path / "run"), "no images for validation", str(root))


@pytest.mark.parametrize(
    ("model", "crop", "next_one"),
    [({"depth": 2}, 10, "12 x 12"), ({"padding": "valid", "norm": "none"}, 19, "20 x 20")],
)
def test_a_crop_that_does_not_fit(squares, tmp_path, config, model, crop, next_one):
    def make():
        Trainer(squares, config(model=model, augmentation={"crop": crop}), tmp_path / "run")

    refusal(make, "crop: ", next_one)
    assert not (tmp_path / "run").exists()


def test_a_single_value_cannot_be_batch_normalised(squares, tmp_path, config):
    options = config(model={"depth": 3}, batch_size=1, augmentation={"crop": 8})
    refusal(lambda: Trainer(squares, options, tmp_path / "run"), "batch_size: ", "--norm group")
    for fitting in ({"model": {"depth": 3, "norm": "group"}}, {"model": {"depth": 2}}):
        Trainer(squares, config(batch_size=1, augmentation={"crop": 8}, **fitting), tmp_path / "run")


@pytest.mark.parametrize("model", [{"base": 0}, {"wings": 2}, {"norm": "layer"}])
def test_model_options_that_are_not_there(squares, tmp_path, config, model):
    refusal(lambda: Trainer(squares, config(model=model), tmp_path / "run"), "model: ")


@pytest.mark.parametrize("option", [{"wobble": 1}, {"brightness": 3}])
def test_augmentation_options_that_are_not_there(squares, tmp_path, config, option):
    refusal(lambda: Trainer(squares, config(augmentation=option), tmp_path / "run"), next(iter(option)))
