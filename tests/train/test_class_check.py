"""Classes that training or validation lack: refused where nothing could come of it, else said."""

import numpy as np
import pytest

from minidl.segmentation.files import write_png
from minidl.train import Trainer, checkpoint, load_run
from oracles.runs import Lines, folder_of, history_of, masks_of, refusal, stop_after

pytestmark = pytest.mark.usefixtures("quick_plots")

TOML = "num_classes = 3\nignore_index = 255\n"


def data_of(tmp_path, train, val):
    masks = [*masks_of(train, 2), *masks_of(val, 2, seed=1)]
    return folder_of(tmp_path / "data", masks, TOML)


USELESS = {
    "no label": ({0: 0.5, 1: 0.5}, {255: 1.0}, "no pixel of the 2 validation masks has a label"),
    "another class": ({0: 0.5, 1: 0.5}, {2: 1.0}, "only what no training mask does (class 2)"),
    "other classes": ({0: 1.0}, {1: 0.5, 2: 0.25, 255: 0.25}, "(class 1, class 2)"),
}


@pytest.mark.parametrize("weights", ["none", "balanced"])
@pytest.mark.parametrize("case", USELESS)
def test_a_validation_that_can_name_no_best_is_refused_before_training(tmp_path, config, case, weights):
    train, val, why = USELESS[case]
    data = data_of(tmp_path, train, val)
    refusal(
        lambda: Trainer(data, config(class_weights=weights), tmp_path / "run"),
        *(str(tmp_path / "data/val/masks"), why, "--val"),
    )
    assert not (tmp_path / "run").exists()


LACKING = {
    "validation has one more": ({0: 0.5, 1: 0.5}, {0: 0.5, 2: 0.5}, "note: class 2: in the validation masks"),
    "validation lacks one": ({0: 0.5, 1: 0.25, 2: 0.25}, {0: 1.0}, None),
    "nobody has one": ({0: 0.5, 1: 0.5}, {0: 0.5, 1: 0.5}, "note: class 2: no pixel"),
    "one class": ({1: 1.0}, {0: 0.5, 1: 0.5}, "note: all training masks hold class 1 only"),
    "one class in both": ({1: 1.0}, {1: 1.0}, "note: class 0, class 2: no pixel"),
    "one labelled pixel": (
        {0: 1 / 256, 255: 255 / 256},
        {0: 0.5, 1: 0.5},
        "note: class 1: in the validation",
    ),
    "one pixel to validate on": ({0: 0.5, 1: 0.5}, {1: 1 / 256, 255: 255 / 256}, "note: class 2: no pixel"),
    "one pixel of a class": ({0: 254 / 256, 1: 1 / 256, 2: 1 / 256}, {0: 0.5, 2: 0.5}, None),
}


@pytest.mark.parametrize("weights", ["none", "balanced"])
@pytest.mark.parametrize("case", LACKING)
def test_a_class_that_is_missing_somewhere_is_no_obstacle(tmp_path, config, case, weights):
    train, val, note = LACKING[case]
    lines = Lines()
    options = config(steps=2, batch_size=2, eval_every=1, class_weights=weights)
    trainer = Trainer(data_of(tmp_path, train, val), options, tmp_path / "run", reporter=lines)
    assert trainer.run()
    if note is None:
        assert not any(line.startswith("note: ") for line in lines.said)
    else:
        assert sum(line.startswith(note) for line in lines.said) == 1
    rows = history_of(trainer.out)
    assert [row["step"] for row in rows] == ["1", "2"] and all(row["val_iou"] for row in rows)
    for array in load_run(trainer.out).model.state_dict().values():
        assert np.isfinite(array).all()


def test_a_run_that_an_older_version_began_goes_on_without_labels_to_validate_on(tmp_path, config):
    data = data_of(tmp_path, {0: 0.5, 1: 0.5}, {0: 0.5, 1: 0.5})
    out = tmp_path / "run"
    Trainer(data, config(), out).run(stop_after(3))
    before = checkpoint.load(out / "last.safetensors").step
    for path in (tmp_path / "data/val/masks").iterdir():
        write_png(path, np.full((16, 16), 255, np.uint8))
    resumed = Trainer(data, config(), out, resume=True)
    assert resumed.step == before and resumed.run()
    assert history_of(out)[-1]["val_iou"] == ""
