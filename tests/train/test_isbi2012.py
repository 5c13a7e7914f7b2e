"""The training of benchmarks/isbi2012.py is the trainer's own: docs/results.md rests on it."""

from __future__ import annotations

import numpy as np

from benchmarks import isbi2012
from minidl.train.trainer import Trainer


def test_the_benchmark_trains_as_the_trainer_does(squares, config, tmp_path):
    plain, timed = (Trainer(squares, config(steps=2), tmp_path / name) for name in ("plain", "timed"))
    plain.run()
    found = isbi2012.train_minidl(timed)
    for expected, actual in zip(plain.model.parameters(), timed.model.parameters(), strict=True):
        np.testing.assert_array_equal(actual.numpy(), expected.numpy())
    assert len(found["losses"]) == 2 and np.isfinite(found["losses"]).all() and found["seconds"] > 0
    np.testing.assert_allclose(found["probabilities"].sum(axis=1), 1, rtol=1e-5)
