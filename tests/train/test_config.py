"""TrainConfig: what it accepts, what it refuses, and the numbers that follow from it."""

import json

import numpy as np
import pytest

from minidl.errors import InputError
from minidl.train import TrainConfig

REFUSED = [
    ("optimizer", "rmsprop"),
    ("schedule", "linear"),
    ("class_weights", "heavy"),
    *((name, value) for name in ("steps", "epochs", "batch_size", "eval_every") for value in (0, -3)),
    ("steps", 2.5),
    ("epochs", "3"),
    ("epochs", None),
    ("batch_size", True),
    ("batch_size", np.int64(4)),  # would not survive JSON
    ("warmup", -1),
    ("seed", -1),
    ("seed", 2**64),
    *(
        (name, value)
        for name in ("lr", "weight_decay", "momentum")
        for value in (-0.1, np.nan, np.inf, "1", None)
    ),
    ("lr", 0),
    ("lr", 0.0),
]


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_out_of_range_is_one_line_that_names_the_option(name, value):
    with pytest.raises(InputError) as error:
        TrainConfig(**{name: value})
    message = str(error.value)
    assert message.startswith(f"{name}: ") and "\n" not in message
    assert ";" in message or "one of" in message


def test_survives_json():
    config = TrainConfig(model={"base": 2}, steps=7, lr=0.1 + 0.2, augmentation={"crop": 32}, seed=2**64 - 1)
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_an_option_of_another_version_is_refused():
    with pytest.raises(InputError, match="configuration: unknown option 'warp'"):
        TrainConfig.from_dict({**TrainConfig().to_dict(), "warp": 9})


@pytest.mark.parametrize(
    ("options", "images", "steps"),
    [
        ({"epochs": 40, "batch_size": 8}, 24, 120),
        (
            {"epochs": 3, "batch_size": 4},
            5,
            4,
        ),  # 15 images in batches of 4: the last one reaches into epoch 4
        ({"epochs": 1, "batch_size": 8}, 1, 1),
        ({"steps": 300, "epochs": 2}, 1000, 300),
    ],
)
def test_total_steps(options, images, steps):
    assert TrainConfig(**options).total_steps(images) == steps


@pytest.mark.parametrize(
    ("options", "images", "interval"),
    [({"batch_size": 8}, 80, 25), ({"batch_size": 2}, 81, 41), ({"eval_every": 3}, 80, 3)],
)
def test_evaluation_interval(options, images, interval):
    assert TrainConfig(**options).evaluation_interval(images) == interval
