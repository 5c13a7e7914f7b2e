"""A data set that a tiny network learns in seconds, and trainings of it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from minidl._atomic import atomic_write
from minidl.segmentation.folder import DataSet, scan
from minidl.train import TrainConfig, Trainer
from oracles.runs import NETWORK, write_squares


@pytest.fixture(scope="session")
def squares_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_squares(tmp_path_factory.mktemp("squares") / "data", {"train": 6, "val": 2, "test": 2})


@pytest.fixture(scope="session")
def squares(squares_folder: Path) -> DataSet:
    return scan(squares_folder)


@pytest.fixture
def config() -> Callable[..., TrainConfig]:
    """Options of a run of 6 steps, validated every 2 steps; others by name."""

    def make(model: dict[str, Any] | None = None, **options: Any) -> TrainConfig:
        defaults: dict[str, Any] = {"steps": 6, "batch_size": 4, "lr": 0.02, "eval_every": 2}
        return TrainConfig(model={**NETWORK, **(model or {})}, **{**defaults, **options})

    return make


@pytest.fixture
def train(squares: DataSet, tmp_path: Path, config: Callable[..., TrainConfig]) -> Callable[..., Trainer]:
    """``train("name", **options)`` trains to the end in a folder of that name."""

    def run(name: str = "run", data: DataSet = squares, **options: Any) -> Trainer:
        trainer = Trainer(data, config(**options), tmp_path / name)
        assert trainer.run() is True
        return trainer

    return run


@pytest.fixture
def quick_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plot takes longer than a tiny run: its rows alone are written. test_history.py draws real ones."""

    def write(path: Path, rows: list[dict[str, Any]], classes: Sequence[str] = ()) -> None:
        atomic_write(path, repr(rows))

    monkeypatch.setattr("minidl.train.history.write_plot", write)
