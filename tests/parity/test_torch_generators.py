"""``generator=`` where torch has it: name, place and what it does."""

import inspect

import pytest

import minidl
from minidl.nn import init

torch = pytest.importorskip("torch")

DRAWING = [
    name
    for name, function in inspect.getmembers(torch.nn.init, inspect.isfunction)
    if "generator" in inspect.signature(function).parameters and hasattr(init, name) and name[0] != "_"
]


@pytest.mark.parametrize("name", DRAWING)
def test_the_generator_is_where_torch_has_it(name):
    ours, theirs = (list(inspect.signature(getattr(m, name)).parameters) for m in (init, torch.nn.init))
    assert ours == theirs


def test_all_that_draw_are_seen():
    assert {"normal_", "uniform_", "kaiming_normal_", "xavier_uniform_"} <= set(DRAWING)


@pytest.mark.parametrize("library", [minidl, torch])
def test_a_generator_of_each_library_works_alike(library):
    generator = library.Generator()
    assert generator.initial_seed() == torch.Generator().initial_seed()
    assert generator.manual_seed(7) is generator and generator.initial_seed() == 7
    shared = library.zeros(3) + 0
    own = library.nn.init.normal_(library.zeros(3), 0.0, 1.0, generator)
    state = generator.get_state()
    more = library.nn.init.normal_(shared, generator=generator).tolist()
    generator.set_state(state)
    assert library.nn.init.normal_(library.zeros(3), generator=generator).tolist() == more != own.tolist()
    with pytest.raises(TypeError):
        library.nn.init.normal_(shared, generator=7)
