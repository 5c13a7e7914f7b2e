"""A training that finds nothing of a rare class says so, once, and shows it in every row."""

import csv

import numpy as np
import pytest

from minidl.train import TrainConfig, Trainer
from minidl.train.collapse import missed, warning
from oracles.runs import Lines, folder_of, history_of, stop_after

pytestmark = pytest.mark.usefixtures("quick_plots")

TOML = 'classes = ["background", "vessel"]\n'


@pytest.fixture
def unlearnable(tmp_path):
    """A class of 4 of 256 pixels that nothing in the pictures tells: "all background" is the best answer."""
    rng = np.random.default_rng(1)
    masks = [(rng.permutation(256) < 4).reshape(16, 16) for _ in range(4)]
    return folder_of(tmp_path / "data", masks, TOML)


def test_the_log_of_a_collapsing_training(unlearnable, tmp_path, config):
    lines = Lines()
    options = config(steps=40, eval_every=10, batch_size=2, lr=1e-3)
    trainer = Trainer(unlearnable, options, tmp_path / "run", reporter=lines)
    assert trainer.run()
    steps = [line for line in lines.said if line.startswith("step ")]
    assert len(steps) == 4
    assert all("accuracy 0.98" in line and "(background 0.98  vessel 0.00)" in line for line in steps)
    said = [line for line in lines.said if not line.startswith("step ")]
    assert said == [
        "warning: vessel (1.6 % of the validation pixels) is hardly found: recall 0.00 at step 30, although"
        " 98 % of all pixels are right; if it stays so, train again with --class-weights balanced"
    ]
    assert lines.said.index(said[0]) == 3  # right after the row of step 30
    rows = history_of(trainer.out)
    assert [row["val_iou vessel"] for row in rows] == ["0.0"] * 4
    assert all(float(row["val_iou background"]) > 0.98 for row in rows)


def test_a_resumed_run_does_not_say_it_again(unlearnable, tmp_path, config):
    options, out = config(steps=40, eval_every=10, batch_size=2, lr=1e-3), tmp_path / "run"
    first, second = Lines(), Lines()
    assert Trainer(unlearnable, options, out, reporter=first).run(stop_after(39)) is False
    assert sum(line.startswith("warning: ") for line in first.said) == 1
    assert Trainer(unlearnable, options, out, resume=True, reporter=second).run()
    assert any(line.startswith("step ") for line in second.said)
    assert not any(line.startswith("warning: ") for line in second.said)


def test_a_training_that_learns_is_not_warned_of(squares, tmp_path, config):
    lines = Lines()
    Trainer(squares, config(steps=40, eval_every=10), tmp_path / "run", reporter=lines).run()
    assert len(lines.said) == 4 and all(line.startswith("step ") for line in lines.said)


ROW = {"step": 60, "val_accuracy": 0.98, "val_class_recall": [1.0, 0.02]}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, [1]),
        ({"step": 59}, []),  # half of 120 is not reached
        ({"val_class_recall": [1.0, 0.3]}, []),
        ({"val_class_recall": [1.0, None]}, []),  # validation has none
        ({"val_class_recall": [0.05, 0.02]}, [0, 1]),
        ({"val_accuracy": 0.3}, []),  # bad, and everyone sees it
        ({"val_accuracy": None}, []),
        ({"val_class_recall": None}, []),
    ],
)
def test_when_a_class_counts_as_missed(changed, expected):
    assert missed({**ROW, **changed}, [984, 16], [984, 16], 120) == expected


def test_what_training_never_saw_and_what_older_versions_wrote_is_not_warned_of():
    assert missed(ROW, [984, 16], [1000, 0], 120) == []
    assert missed({"step": 60, "val_accuracy": 0.98}, [984, 16], [984, 16], 120) == []


def test_a_long_run_is_warned_at_step_500_and_a_short_one_at_25():
    for step, total, expected in ((499, 10**6, []), (500, 10**6, [1]), (24, 30, []), (25, 30, [1])):
        assert missed({**ROW, "step": step}, [9, 1], [9, 1], total) == expected


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({}, "train again with --class-weights balanced"),
        ({"head_init": "network"}, "train again with --head-init prior or --class-weights balanced"),
        ({"class_weights": "balanced"}, "train again with more --steps or another --lr"),
    ],
)
def test_the_remedy_is_an_option_that_the_run_has_not(options, remedy):
    said = warning([ROW], [984, 16], [984, 16], ["ground", "cell"], TrainConfig(**options), 120)
    assert said is not None and said.endswith(remedy) and "\n" not in said


def test_a_class_that_is_not_rare_gets_another_remedy():
    rows = [{**ROW, "val_accuracy": 0.7}]
    said = warning(rows, [70, 30], [70, 30], ["ground", "cell"], TrainConfig(head_init="network"), 120)
    assert said is not None and said.endswith("train again with more --steps or another --lr")


def test_of_many_classes_the_first_ones_are_named():
    row = {"step": 60, "val_accuracy": 0.9, "val_class_recall": [1.0] + [0.0] * 30}
    names = [f"kind {i}" for i in range(31)]
    said = warning([row], [1000] + [1] * 30, [9] * 31, names, TrainConfig(), 120)
    assert said is not None and "kind 5 (" in said and "kind 6" not in said
    assert "and 25 more classes are hardly found" in said


def test_a_name_of_two_lines_stays_on_one_and_a_comma_in_its_cell(tmp_path):
    from minidl.train import history

    row = {"step": 60, "val_accuracy": 0.9, "val_class_recall": [1.0, 0.0], "val_class_iou": [0.9, 0.0]}
    names = ["a, b", "evil\x1b[2J"]
    said = warning([row], [9, 1], [9, 1], names, TrainConfig(), 120)
    assert said is not None and "\x1b" not in said
    history.write_csv(tmp_path / "history.csv", [row], names)
    with open(tmp_path / "history.csv", newline="") as file:
        (read,) = csv.DictReader(file)
    assert read["val_iou a, b"] == "0.9" and read["val_iou evil\\x1b[2J"] == "0.0"
