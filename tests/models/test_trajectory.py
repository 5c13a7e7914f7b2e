"""Twenty steps of the documents' U-Net beside the record that torch left (`make fixtures`): no torch needed.

`tests/parity/test_torch_trajectory.py` makes the record anew and compares every array as a whole.
"""

import numpy as np
import pytest

from oracles import trajectory


@pytest.fixture(scope="module")
def stored():
    with np.load(trajectory.FIXTURE, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def of(stored, kind):
    return {name: stored[f"{kind}.{name}"] for name in ("losses", "gradients", "weights")}


@pytest.mark.parametrize("kind", trajectory.OPTIMIZERS)
def test_every_loss_gradient_and_weight_is_torchs(stored, kind):
    expected = of(stored, kind)
    assert expected["losses"].shape == (trajectory.STEPS,)
    assert expected["gradients"].shape == expected["weights"].shape == (trajectory.STEPS, 34, 3)
    actual = trajectory.record(trajectory.minidl_steps(kind))
    assert actual["losses"][-1] < actual["losses"][0] / 2
    worst = trajectory.deviations(actual, expected)
    assert all(value <= trajectory.TOLERANCE for value in worst.values()), worst


def test_the_two_optimizers_left_different_records(stored):
    """The fixture is not one trajectory twice, and every entry of it is a number."""
    sgd, adam = of(stored, "sgd"), of(stored, "adam")
    assert sgd["losses"][0] == adam["losses"][0]
    np.testing.assert_array_equal(sgd["gradients"][0], adam["gradients"][0])
    for name in ("losses", "gradients", "weights"):
        assert np.isfinite(sgd[name]).all() and np.isfinite(adam[name]).all()
        assert (sgd[name][-1] != adam[name][-1]).all()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda g: g.transpose(0, 1, 3, 2),
        lambda g: g[:, :, ::-1, ::-1],
        lambda g: np.where(np.arange(g.size).reshape(g.shape) == 70, -g, g),
        lambda g: g * (1 + 1e-10),
        lambda g: g + 1e-10 * np.roll(g, 1),
    ],
    ids=["transposed", "flipped", "one sign", "scaled by 1 + 1e-10", "a term of 1e-10 too much"],
)
def test_what_is_kept_of_a_gradient_tells_it_from_a_wrong_one(wrong):
    """One of its three numbers differs by more than the tolerance, in units of the norm."""
    g = trajectory.uniform(5, (32, 3, 3, 3)) - 0.5
    right, other = (np.array(trajectory.measures(a, 7)) for a in (g, wrong(g)))
    assert np.max(np.abs(other - right)) > 10 * trajectory.TOLERANCE * right[0]


def test_the_recipe_depends_on_no_generator_of_minidl():
    """The raw bits of Philox, which NumPy never changes: a few of its numbers, written out."""
    drawn = [number.hex() for number in trajectory.uniform(1, (2,)).tolist()]
    assert drawn == ["0x1.36da89edd58a0p-2", "0x1.b289f407757c1p-1"]
    x, target = trajectory.pictures()
    assert x.shape == (2, 3, 32, 16) and x.dtype == np.float64
    assert set(np.unique(target)) == {0, 1, trajectory.IGNORE}
