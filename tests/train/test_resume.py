"""A run that was stopped and resumed is, bit for bit, the run that was not."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import minidl
from minidl.errors import InputError
from minidl.segmentation.folder import scan
from minidl.train import Trainer, checkpoint
from oracles.runs import assert_same_checkpoint, contents, history_of, stop_after, write_squares

pytestmark = pytest.mark.usefixtures("quick_plots")

# Dropout, crops, flips, turns, brightness, warm-up: all that draws numbers or counts steps.
RANDOM = {"model": {"dropout": 0.3}, "augmentation": {"crop": 8}, "steps": 7, "eval_every": 3, "warmup": 2}


def files(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_one_seed_gives_the_same_files(train):
    first, second, other = (train(name, seed=seed, **RANDOM) for name, seed in (("a", 3), ("b", 3), ("c", 4)))
    a, b, c = (files(trainer.out) for trainer in (first, second, other))
    assert a == b  # history, plot, configuration and both checkpoints, byte for byte
    assert a["history.csv"] != c["history.csv"]
    assert not np.array_equal(
        contents(first.out).model["head.weight"], contents(other.out).model["head.weight"]
    )


def test_other_draws_from_the_generator_do_not_matter(train, squares, config, tmp_path):
    train("a", **RANDOM)
    minidl.random.generator().random(100)
    train("b", **RANDOM)
    assert_same_checkpoint(contents(tmp_path / "a"), contents(tmp_path / "b"))


@pytest.fixture
def uninterrupted(tmp_path_factory, squares_folder, quick_plots):
    from minidl.train import TrainConfig
    from oracles.runs import NETWORK

    options = {**RANDOM, "model": {**NETWORK, **RANDOM["model"]}, "batch_size": 4, "lr": 0.02}
    trainer = Trainer(scan(squares_folder), TrainConfig(**options), tmp_path_factory.mktemp("whole") / "run")
    trainer.run()
    return trainer


# It is asked to stop after each step and, while validating, after each of the 2 validation images: the counts
# below fall on step 1, 2, within the validation of step 3 (3 and 4), on steps 3 and 5, within that of step 6,
# on step 6, and within the last validation, when all steps are done.
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 9, 10, 11, 12])
def test_stopped_and_resumed_is_uninterrupted(uninterrupted, squares, tmp_path, count):
    out = tmp_path / "run"
    first = Trainer(squares, uninterrupted.config, out)
    assert first.run(stop_after(count)) is False
    assert contents(out).step == first.step
    minidl.random.generator().random(17)  # another process would have drawn other numbers
    second = Trainer(squares, uninterrupted.config, out, resume=True)
    assert (second.step, second.best, second.rows) == (first.step, first.best, first.rows)
    assert second.run() is True
    assert files(out) == files(uninterrupted.out)


@pytest.mark.parametrize("count", [1, 3, 7])
def test_a_checkpoint_whose_schedule_has_only_its_t_is_resumed_exactly(
    uninterrupted, squares, tmp_path, count
):
    """Checkpoints of the first versions know of a schedule what is not in the optimizer's groups: t."""
    out = tmp_path / "run"
    Trainer(squares, uninterrupted.config, out).run(stop_after(count))
    saved = contents(out)
    assert saved.schedule["last_epoch"] == saved.step
    saved.schedule = {"last_epoch": saved.step, "base_lrs": [0.02]}
    checkpoint.save(out / "last.safetensors", saved)
    assert Trainer(squares, uninterrupted.config, out, resume=True).run() is True
    assert files(out) == files(uninterrupted.out)


@pytest.mark.parametrize("workers", [0, 2, 5])
def test_the_number_of_workers_is_no_part_of_the_run(uninterrupted, squares, tmp_path, workers):
    """Begun with some, gone on with others: the same files."""
    out = tmp_path / "run"
    first = Trainer(squares, uninterrupted.config, out, workers=workers)
    assert first.run(stop_after(5)) is False
    again = Trainer(squares, uninterrupted.config, out, resume=True, workers=5 - workers)
    assert again.run() is True
    assert files(out) == files(uninterrupted.out)


def test_workers_are_counted_from_0(squares, tmp_path, config):
    refusal(lambda: Trainer(squares, config(), tmp_path / "run", workers=-1), "workers: -1", "0 or more")
    assert list(tmp_path.iterdir()) == []


def test_stopped_after_every_step(uninterrupted, squares, tmp_path):
    out = tmp_path / "run"
    trainer = Trainer(squares, uninterrupted.config, out)
    sessions = 1
    while not trainer.run(stop_after(1)):
        trainer = Trainer(squares, uninterrupted.config, out, resume=True)
        sessions += 1
        if sessions > 20:  # a stop within a validation repeats it: let it finish
            break
    else:
        pytest.fail("a validation was finished although it was asked to stop")
    assert trainer.run() is True
    assert files(out) == files(uninterrupted.out)


def test_a_resumed_run_keeps_its_own_options(train, squares, tmp_path, config):
    out = tmp_path / "run"
    Trainer(squares, config(steps=6, lr=0.02, seed=5), out).run(stop_after(2))
    again = Trainer(squares, config(steps=100, lr=9.0, seed=6, model={"base": 4}), out, resume=True)
    assert again.config == config(steps=6, lr=0.02, seed=5)
    assert again.total == 6 and again.architecture["base"] == 2


def refusal(call, *parts: str) -> None:
    with pytest.raises(InputError) as error:
        call()
    for part in parts:
        assert part in str(error.value)
    assert "\n" not in str(error.value)


def test_a_finished_run_is_not_resumed(train, squares, config):
    trainer = train()
    before = files(trainer.out)
    refusal(
        lambda: Trainer(squares, config(), trainer.out, resume=True), "finished (6 steps)", "another --out"
    )
    assert files(trainer.out) == before


def test_there_must_be_a_run_to_resume(squares, tmp_path, config):
    refusal(lambda: Trainer(squares, config(), tmp_path / "none", resume=True), "none", "--resume")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_checkpoint_is_not_resumed(squares, tmp_path, config):
    out = tmp_path / "run"
    Trainer(squares, config(), out).run(stop_after(2))
    path = out / "last.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    refusal(lambda: Trainer(squares, config(), out, resume=True), str(path), "damaged")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("classes", "other classes"),
        ("images", "other training images"),
        ("val", "other training images"),
        ("ignore", "other ignore index"),
    ],
)
def test_other_data_are_refused(tmp_path, config, change, named):
    root = write_squares(tmp_path / "data", {"train": 5, "val": 2})
    out = tmp_path / "run"
    Trainer(scan(root), config(), out).run(stop_after(1))
    options = {}
    if change == "classes":
        (root / "dataset.toml").write_text('classes = ["ground", "square"]\n')
    elif change == "images":
        for kind in ("images", "masks"):
            (root / "train" / kind / "04.png").unlink()
    elif change == "val":
        options = {"val": "03"}
    else:
        options = {"ignore_index": 7}
    refusal(lambda: Trainer(scan(root, **options), config(), out, resume=True), named, "resume with")


def test_the_options_of_the_scan_are_kept(squares, tmp_path, config):
    out = tmp_path / "run"
    given = {"val": None, "ignore_index": 255}
    Trainer(squares, config(), out, data_options=given).run(stop_after(1))
    assert contents(out).data["options"] == given
    Trainer(squares, config(), out, resume=True).run()
    assert contents(out).data["options"] == given


def test_history_is_written_again_if_only_it_was_lost(squares, tmp_path, config):
    out = tmp_path / "run"
    Trainer(squares, config(), out).run(stop_after(4))
    (out / "history.csv").unlink()
    Trainer(squares, config(), out, resume=True).run()
    assert [row["step"] for row in history_of(out)] == ["2", "4", "6"]


def test_trainers_in_threads_repeat_and_leave_the_global_generator_alone(squares, tmp_path, config):
    """With dropout, and recomputed stages, which draw again in the backward: as one after the other."""

    def make(name: str, seed: int) -> Trainer:
        options = {**RANDOM, "seed": seed, "model": {"dropout": 0.3, "recompute": True}}
        return Trainer(squares, config(**options), tmp_path / name)

    minidl.manual_seed(4)
    here = minidl.random.get_state()
    for seed in (0, 1):
        assert make(f"alone{seed}", seed).run() is True
    together = [make(f"together{seed}", seed) for seed in (0, 1)]
    assert minidl.random.get_state() == here
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda trainer: trainer.run(), together)) == [True, True]
    for seed in (0, 1):
        assert files(tmp_path / f"together{seed}") == files(tmp_path / f"alone{seed}")
    assert minidl.random.get_state() == here
