"""``generator=`` of the initialisers: numbers of one's own, beside those of the process."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import minidl
from minidl.nn import init

DRAWING = ["uniform_", "normal_", "xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_"]


def seeded(seed: int) -> minidl.Generator:
    return minidl.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", DRAWING)
def test_a_generator_repeats_and_goes_on(name):
    fill = getattr(init, name)
    generator = seeded(7)
    first, second = (fill(minidl.zeros(4, 3), generator=generator).tolist() for _ in range(2))
    assert first != second
    assert fill(minidl.zeros(4, 3), generator=seeded(7)).tolist() == first


@pytest.mark.parametrize("name", DRAWING)
def test_it_draws_what_the_process_would_and_leaves_that_untouched(name):
    fill = getattr(init, name)
    before = minidl.random.get_state()
    own = fill(minidl.zeros(4, 3), generator=seeded(7)).tolist()
    assert minidl.random.get_state() == before
    minidl.manual_seed(7)
    assert fill(minidl.zeros(4, 3)).tolist() == own


@pytest.mark.parametrize("name", DRAWING)
@pytest.mark.parametrize("given", [7, "cpu", np.random.default_rng(0)], ids=["number", "text", "NumPy's"])
def test_what_is_no_generator_is_refused_and_nothing_is_filled(name, given):
    x = minidl.zeros(4, 3)
    with pytest.raises(TypeError, match=r"normal_|uniform_") as refused:
        getattr(init, name)(x, generator=given)
    assert "generator must be a minidl.Generator, got" in str(refused.value)
    assert not x.numpy().any()


def test_threads_with_a_generator_each_repeat():
    def weights(seed: int, found: list) -> None:
        generator = seeded(seed)
        found += [init.kaiming_normal_(minidl.zeros(9, 7), generator=generator).tolist() for _ in range(50)]

    alone: list[list] = [[], []]
    for seed in (0, 1):
        weights(seed, alone[seed])
    before = minidl.random.get_state()
    together: list[list] = [[], []]
    threads = [threading.Thread(target=weights, args=(seed, together[seed])) for seed in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone and alone[0] != alone[1]
    assert minidl.random.get_state() == before


def test_a_generator_without_a_seed_begins_the_same_everywhere():
    assert minidl.Generator().initial_seed() == 67280421310721
    assert seeded(3).initial_seed() == 3
    a, b = (init.normal_(minidl.zeros(3), generator=minidl.Generator("cpu")).tolist() for _ in range(2))
    assert a == b


def test_a_state_is_kept_and_restored():
    generator = seeded(5)
    init.normal_(minidl.zeros(3), generator=generator)
    state = generator.get_state()
    first = init.normal_(minidl.zeros(3), generator=generator).tolist()
    generator.set_state(state)
    assert init.normal_(minidl.zeros(3), generator=generator).tolist() == first


@pytest.mark.parametrize("seed", [-1, "a", 1.5])
def test_a_seed_that_is_none(seed):
    with pytest.raises((ValueError, TypeError)):
        seeded(seed)


def test_numbers_are_drawn_on_the_host():
    with pytest.raises(ValueError, match="device must be 'cpu'"):
        minidl.Generator("cuda")
