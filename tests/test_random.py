"""The one source of random numbers: seeds, states as text, and training runs that repeat to the bit."""

from __future__ import annotations

import json

import numpy as np
import pytest

import minidl
from minidl import models, nn, ops, optim


def draws(n=5):
    return minidl.random.generator().random(n).tolist()


def test_one_seed_one_sequence():
    minidl.manual_seed(7)
    first = draws()
    minidl.manual_seed(7)
    assert draws() == first
    minidl.manual_seed(8)
    assert draws() != first


def test_it_is_numpys_philox():
    minidl.manual_seed(7)
    assert draws() == np.random.Generator(np.random.Philox(7)).random(5).tolist()


@pytest.mark.parametrize("seed", [-1, "a", 1.5])
def test_a_seed_that_is_none(seed):
    with pytest.raises((ValueError, TypeError)):
        minidl.manual_seed(seed)


@pytest.mark.parametrize("before", [0, 1, 2, 3, 4, 5, 1000])
def test_a_state_goes_through_json_and_continues_exactly(before):
    """Philox makes four numbers at a time, a float32 takes half of one: all places of the buffer are met."""
    minidl.manual_seed(3)
    minidl.random.generator().random(before)
    minidl.random.generator().random(1, dtype=np.float32)
    text = json.dumps(minidl.random.get_state())
    halves, rest, normal = (
        minidl.random.generator().random(3, dtype=np.float32).tolist(),
        draws(9),
        minidl.random.generator().normal(size=3).tolist(),
    )
    minidl.manual_seed(99)
    draws(3)
    minidl.random.set_state(json.loads(text))
    assert minidl.random.generator().random(3, dtype=np.float32).tolist() == halves
    assert draws(9) == rest
    assert minidl.random.generator().normal(size=3).tolist() == normal


def test_a_state_is_a_copy():
    state = minidl.random.get_state()
    text = json.dumps(state)
    draws(100)
    assert json.dumps(state) == text


def test_other_uses_of_numpy_do_not_disturb_it():
    minidl.manual_seed(1)
    first = draws()
    minidl.manual_seed(1)
    np.random.default_rng(0).random(1000)
    assert draws() == first


def without(state, key):
    return {k: v for k, v in state.items() if k != key}


DAMAGED = {
    "nothing": lambda s: {},
    "not a dictionary": lambda s: None,
    "another generator": lambda s: {**s, "bit_generator": "MT19937"},
    "no counter": lambda s: {**s, "state": without(s["state"], "counter")},
    "no key": lambda s: {**s, "state": {"counter": [9, 9, 9, 9]}},
    "short key": lambda s: {**s, "state": {"counter": [9, 9, 9, 9], "key": [1]}},
    "long counter": lambda s: {**s, "state": {"counter": [9] * 5, "key": [1, 1]}},
    "short buffer": lambda s: {**s, "buffer": [1]},
    "no position": lambda s: without(s, "buffer_pos"),
    "position past the buffer": lambda s: {**s, "buffer_pos": 77},
    "negative number": lambda s: {**s, "uinteger": -1},
    "text for a number": lambda s: {**s, "has_uint32": "x"},
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_state_is_refused_and_changes_nothing(name):
    minidl.manual_seed(5)
    draws(3)
    before = json.dumps(minidl.random.get_state())
    with pytest.raises(ValueError, match="set_state"):
        minidl.random.set_state(DAMAGED[name](json.loads(before)))
    assert json.dumps(minidl.random.get_state()) == before


# --- runs repeat --------------------------------------------------------------------------------------------


def train(seed, steps=5):
    """A tiny U-Net with dropout and batch normalisation; every loss, and all of the end state, as bytes."""
    minidl.manual_seed(seed)
    rng = np.random.default_rng(0)
    model = models.UNet(1, 3, base=4, depth=2, norm="batch", dropout=0.3)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(steps):
        x = rng.normal(size=(2, 1, 8, 12)).astype(np.float32)
        loss = ops.cross_entropy(model(minidl.tensor(x)), rng.integers(0, 3, (2, 8, 12)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, {key: array.tobytes() for key, array in model.state_dict().items()}


def test_one_seed_makes_a_run_bit_identical():
    losses, weights = train(11)
    again, same = train(11)
    assert losses == again and weights == same
    other, _ = train(12)
    assert losses != other


def test_dropout_draws_the_same_mask_whatever_the_memory_order():
    x = np.ones((2, 3, 4, 5), np.float32)
    results = []
    for array in (x, np.asfortranarray(x)):
        minidl.manual_seed(0)
        results.append(nn.Dropout(0.5)(minidl.Tensor(array)).numpy())
    np.testing.assert_array_equal(*results)
