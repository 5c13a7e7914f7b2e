"""Twenty steps of the documents' U-Net in both libraries: every loss, gradient and weight as a whole."""

import numpy as np
import pytest

from oracles import trajectory
from parity.trajectory import compare


@pytest.mark.parametrize("kind", trajectory.OPTIMIZERS)
def test_twenty_steps(kind):
    worst, kept = compare(kind)
    print(kind, worst)
    for name in ("losses", "gradients", "weights"):
        assert worst[name] <= trajectory.TOLERANCE, worst
    # A single element may be far smaller than its array's greatest; in units of that one:
    for name in ("gradients elementwise", "weights elementwise"):
        assert worst[name] <= 5e-10, worst
    # and the record in the repository is what this torch gives
    with np.load(trajectory.FIXTURE, allow_pickle=False) as file:
        stored = {name: file[f"{kind}.{name}"] for name in kept}
    again = trajectory.deviations(kept, stored)
    assert all(value <= trajectory.TOLERANCE for value in again.values()), again
