"""The one source of random numbers: seeds, states as text, and training runs that repeat to the bit."""

from __future__ import annotations

import json
import math
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import models, nn, ops, optim
from minidl.segmentation.augment import Augmentation
from minidl.train import batches
from oracles import strategies
from oracles.pointwise_formulas import philox, philox_halves, philox_words


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


# --- the n-th number, by the text of minidl/random.py alone -------------------------------------------------


def key_of(seed):
    return [int(word) for word in np.random.SeedSequence(seed).generate_state(2, np.uint64)]


@pytest.mark.parametrize(
    ("word", "key", "result"),
    [  # the vectors that come with the authors' own code (Random123, kat_vectors)
        (0, (0, 0), "16554d9eca36314c db20fe9d672d0fdc d7e772cee186176b 7e68b68aec7ba23b"),
        (2**64 - 1, (2**64 - 1,) * 2, "87b092c3013fe90b 438c3c67be8d0224 9cc7d7c69cd777b6 a09caebf594f0ba0"),
    ],
)
def test_the_literal_philox_is_that_of_its_authors(word, key, result):
    assert philox([word] * 4, key) == [int(text, 16) for text in result.split()]


@given(seed=strategies.seeds, count=st.integers(0, 12))
def test_the_nth_number_is_a_function_of_seed_and_n(seed, count):
    minidl.manual_seed(seed)
    minidl.random.generator().random(count)
    words = philox_words(key_of(seed), count, 5)
    assert draws() == [(word >> 11) / 2**53 for word in words]


@given(seed=strategies.seeds, counts=st.lists(st.integers(0, 9), max_size=4))
def test_32_bit_numbers_are_halves_of_whole_words(seed, counts):
    minidl.manual_seed(seed)
    first = 0
    for count in counts:
        assert minidl.random.uint32(count).tolist() == philox_halves(key_of(seed), first, count)
        first += (count + 1) // 2
    assert draws(1) == [(philox_words(key_of(seed), first, 1)[0] >> 11) / 2**53]


@given(seed=strategies.seeds, features=st.tuples(st.integers(1, 4), st.integers(1, 4)))
def test_an_initialisation_follows_from_the_text(seed, features):
    """A linear layer: weights, then biases, evenly from ±1/√in, one word each, in row-major order."""
    minidl.manual_seed(seed)
    layer = nn.Linear(*features)
    values = [*layer.weight.data.ravel().tolist(), *layer.bias.data.tolist()]
    bound = 1 / math.sqrt(features[0])
    unit = [(word >> 11) / 2**53 for word in philox_words(key_of(seed), 0, len(values))]
    wanted = [np.float32(-bound + 2 * bound * u) for u in unit]
    # The bound itself is computed in another order (√3 · √(1/3) / √in): two roundings of float64, which may
    # move the rounding to float32 by one unit.
    np.testing.assert_allclose(values, wanted, rtol=2**-23)


def test_order_and_augmentation_come_from_philox_generators_of_their_own():
    """Keys (seed, stream 2^48 + number): neither draws from the process-wide generator."""
    before = minidl.random.get_state()
    draw = batches.generator(7, batches._AUGMENT, 123).random(3).tolist()
    words = philox_words((7, batches._AUGMENT * 2**48 + 123), 0, 3)
    assert draw == [(word >> 11) / 2**53 for word in words]
    image, mask = np.zeros((1, 4, 4), np.float32), np.zeros((4, 4), np.int64)
    rng = batches.generator(7, batches._AUGMENT, 5)
    Augmentation()(image, mask, rng)
    assert rng.random() == (philox_words((7, batches._AUGMENT * 2**48 + 5), 7, 1)[0] >> 11) / 2**53
    assert minidl.random.get_state() == before


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


# --- threads ---


def test_threads_that_draw_at_once_get_different_words():
    """A draw moves the generator on in the step that reads where it stands: no word is given out twice."""
    minidl.manual_seed(0)
    start, claimed = threading.Barrier(4, timeout=20), []

    def work():
        start.wait()
        claimed.extend([minidl.random.claim(3)[1] for _ in range(300)])

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    assert sorted(claimed) == list(range(0, 3 * 1200, 3))


def test_a_recomputed_function_draws_again_without_moving_what_others_draw_from():
    """The backward of a checkpoint runs with the random numbers of the forward, in its thread alone."""
    minidl.manual_seed(3)
    elsewhere = []

    def noisy(x):
        if minidl.autograd.is_recomputing():  # meanwhile another thread draws
            thread = threading.Thread(target=lambda: elsewhere.extend(draws(2)))
            thread.start()
            thread.join(timeout=20)
        return ops.dropout(x, 0.5)

    x = minidl.ones(64, requires_grad=True)
    y = minidl.autograd.checkpoint(noisy, x)
    expected = np.random.Generator(np.random.Philox())
    expected.bit_generator.state = minidl.random.generator().bit_generator.state
    y.sum().backward()
    assert x.grad.tolist() == y.tolist()
    assert elsewhere == expected.random(2).tolist()
    assert draws(1) == expected.random(1).tolist()


def test_a_seed_within_a_replay_ends_with_it():
    minidl.manual_seed(1)
    here = minidl.random.get_state()
    with minidl.random.replay(here):
        minidl.manual_seed(2)
        inside = draws()
    minidl.manual_seed(2)
    assert draws() == inside
    minidl.random.set_state(here)
    minidl.manual_seed(1)
    assert draws() != inside
