"""squeeze, unsqueeze, expand, split, chunk, diagonal, and the copies stack and flip."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import nn, ops, optim
from oracles import shaping_loops, strategies
from oracles.checks import check_op, run
from oracles.devices import compiler_or_skip

_dims = st.integers(-3, 2)


def _reshaped(x, shape):
    return np.array(x.ravel().tolist()).reshape(shape)


@given(data=st.data(), shape=strategies.shapes(0, 4), seed=strategies.seeds)
def test_squeeze(data, shape, seed):
    x = strategies.generic(np.random.default_rng(seed), shape)
    if not shape or data.draw(st.booleans()):
        dim, gone = None, range(len(shape))
    else:
        chosen = data.draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
        dims = tuple(d - len(shape) if data.draw(st.booleans()) else d for d in chosen)
        dim, gone = (dims[0] if len(dims) == 1 else dims), chosen
    target = tuple(n for d, n in enumerate(shape) if not (d in gone and n == 1))
    check_op(lambda x: ops.squeeze(x, dim), lambda x: _reshaped(x, target), x, seed=seed, second_order=True)
    assert x.shape == shape and minidl.tensor(x).squeeze(dim).shape == target


@given(data=st.data(), shape=strategies.shapes(0, 3), seed=strategies.seeds)
def test_unsqueeze(data, shape, seed):
    x = strategies.generic(np.random.default_rng(seed), shape)
    dim = data.draw(st.integers(-len(shape) - 1, len(shape)))
    axis = dim + len(shape) + 1 if dim < 0 else dim
    target = (*shape[:axis], 1, *shape[axis:])
    check_op(lambda x: ops.unsqueeze(x, dim), lambda x: _reshaped(x, target), x, seed=seed, second_order=True)
    assert minidl.tensor(x).unsqueeze(dim).shape == target


@given(data=st.data(), shape=strategies.shapes(0, 3), new=st.integers(0, 2), seed=strategies.seeds)
def test_expand(data, shape, new, seed):
    x = strategies.generic(np.random.default_rng(seed), shape)
    full = [data.draw(st.integers(0, 3)) for _ in range(new)]
    full += [data.draw(st.integers(0, 3)) if n == 1 else n for n in shape]
    sizes = [
        -1 if d >= new and full[d] == shape[d - new] and data.draw(st.booleans()) else n
        for d, n in enumerate(full)
    ]
    check_op(
        lambda x: ops.expand(x, sizes),
        lambda x: shaping_loops.expand(x, full),
        x,
        terms=64,
        seed=seed,
        second_order=True,
        linear=True,
    )
    assert minidl.tensor(x).expand(*sizes).shape == tuple(full)


@given(data=st.data(), shape=strategies.shapes(1, 4), seed=strategies.seeds)
def test_flip(data, shape, seed):
    x = strategies.generic(np.random.default_rng(seed), shape)
    chosen = data.draw(st.lists(st.integers(0, len(shape) - 1), unique=True))
    dims = tuple(d - len(shape) if data.draw(st.booleans()) else d for d in chosen)
    check_op(
        lambda x: ops.flip(x, dims),
        lambda x: shaping_loops.flip(x, dims),
        x,
        seed=seed,
        second_order=True,
        linear=True,
    )
    np.testing.assert_array_equal(minidl.tensor(x).flip(*dims).numpy(), shaping_loops.flip(x, dims))


@given(data=st.data(), shape=strategies.shapes(0, 3), count=st.integers(1, 3), seed=strategies.seeds)
def test_stack(data, shape, count, seed):
    rng = np.random.default_rng(seed)
    dim = data.draw(st.integers(-len(shape) - 1, len(shape)))
    parts = [strategies.generic(rng, shape) for _ in range(count)]
    check_op(
        lambda *tensors: ops.stack(tensors, dim),
        lambda *parts: shaping_loops.stack(parts, dim),
        *parts,
        seed=seed,
        second_order=True,
    )


@st.composite
def _cuts(draw):
    """(shape, dim, what split takes, the extents of the pieces)."""
    shape = draw(strategies.shapes(1, 3))
    dim = draw(st.integers(-len(shape), len(shape) - 1))
    extent = shape[dim]
    if draw(st.booleans()):
        size = draw(st.integers(1, 5))
        return shape, dim, size, [min(size, extent - start) for start in range(0, extent, size)]
    ends = sorted(draw(st.lists(st.integers(0, extent), max_size=3)))
    sizes = [b - a for a, b in zip([0, *ends], [*ends, extent], strict=True)]
    return shape, dim, sizes, sizes


@given(data=st.data(), case=_cuts(), seed=strategies.seeds)
def test_split(data, case, seed):
    shape, dim, given_sizes, sizes = case
    x = strategies.generic(np.random.default_rng(seed), shape)
    pieces = minidl.tensor(x).split(given_sizes, dim)
    assert [p.shape[dim] for p in pieces] == sizes
    number = data.draw(st.integers(0, len(sizes) - 1))
    check_op(
        lambda x: ops.split(x, given_sizes, dim)[number],
        lambda x: shaping_loops.piece(x, sizes, number, dim),
        x,
        seed=seed,
        second_order=True,
        linear=True,
    )
    # Different weights: every piece has its own cotangent, and none of them is zero.
    check_op(
        lambda x: ops.cat([p * (k + 1) for k, p in enumerate(ops.split(x, given_sizes, dim))], dim),
        lambda x: np.concatenate(
            [(k + 1) * shaping_loops.piece(x, sizes, k, dim) for k in range(len(sizes))], dim
        ),
        x,
        seed=seed,
        second_order=True,
        linear=True,
    )


def test_pieces_that_nobody_uses_get_no_gradient():
    _, (gradient,) = run(lambda x: ops.split(x, 2)[1], (np.zeros(5),), np.array([1.0, 2.0]))
    np.testing.assert_array_equal(gradient, [0, 0, 1, 2, 0])


@pytest.mark.parametrize(
    ("extent", "chunks", "sizes"),
    [(5, 2, [3, 2]), (5, 4, [2, 2, 1]), (4, 4, [1] * 4), (3, 7, [1] * 3), (0, 3, [0] * 3), (6, 1, [6])],
)
def test_chunk(extent, chunks, sizes):
    x = np.arange(2.0 * extent).reshape(2, extent)
    pieces = minidl.tensor(x).chunk(chunks, -1)
    assert [p.shape for p in pieces] == [(2, n) for n in sizes]
    for number in range(len(sizes)):
        check_op(
            lambda x, k=number: ops.chunk(x, chunks, 1)[k],
            lambda x, k=number: shaping_loops.piece(x, sizes, k, 1),
            x,
            second_order=True,
            linear=True,
        )


@given(data=st.data(), shape=strategies.shapes(2, 4), offset=st.integers(-5, 5), seed=strategies.seeds)
def test_diagonal(data, shape, offset, seed):
    dims = data.draw(st.permutations(range(len(shape))))[:2]
    dim1, dim2 = (d - len(shape) if data.draw(st.booleans()) else d for d in dims)
    x = strategies.generic(np.random.default_rng(seed), shape)
    check_op(
        lambda x: ops.diagonal(x, offset, dim1, dim2),
        lambda x: shaping_loops.diagonal(x, offset, dim1, dim2),
        x,
        seed=seed,
        second_order=True,
        linear=True,
    )


VIEWS = {
    "squeeze": lambda x: x.squeeze(0),
    "unsqueeze": lambda x: x.unsqueeze(-1),
    "expand": lambda x: x.expand(2, 2, 3),
    "split, first": lambda x: x.split(1, 1)[0],
    "split, second": lambda x: x.split(1, 1)[1],
    "chunk": lambda x: x.chunk(2, 2)[1],
    "diagonal": lambda x: x.diagonal(0, 1, 2),
    "reshape": lambda x: x.reshape(6),
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_shares_memory_and_version(name):
    x = minidl.tensor(np.ones((1, 2, 3)))
    view = VIEWS[name](x)
    assert np.shares_memory(view.data, x.data)
    weight = minidl.tensor(np.ones(view.shape), requires_grad=True)
    y = weight * view  # its backward needs the view's values
    x[0, 0, 0] = 7.0
    with pytest.raises(RuntimeError, match=r"mul: .*changed in place"):
        y.sum().backward()


@pytest.mark.parametrize("name", [n for n in VIEWS if n != "expand"])
def test_writing_into_a_view_is_noticed_where_the_whole_is_needed(name):
    x = minidl.tensor(np.ones((1, 2, 3)))
    weight = minidl.tensor(np.ones((1, 2, 3)), requires_grad=True)
    y = weight * x
    VIEWS[name](x)[...] = 5.0
    assert (x.numpy() == 5).any()
    with pytest.raises(RuntimeError, match=r"mul: .*changed in place"):
        y.sum().backward()


def _refilled(x):
    """As a parameter, given the values of a checkpoint."""
    module = nn.PReLU(3)
    module.weight.data = x.data
    module.load_state_dict({"weight": np.full(3, 2.0, "f4")})


def _cleared(x):
    leaf = minidl.zeros(3, device=x.device, requires_grad=True)
    leaf.grad = x
    optim.SGD([leaf], 1.0).zero_grad(set_to_none=False)


def _accumulated(x):
    leaf = minidl.zeros(3, device=x.device, requires_grad=True)
    leaf.grad = x
    leaf.sum().backward()


def _recorded(x):
    x = minidl.ones(1, device=x.device, requires_grad=True).exp().expand(3)
    x += 1.0


WRITING = {
    "one element": lambda x: x.__setitem__(0, 2.0),
    "a part": lambda x: x.__setitem__(slice(0, 1), 2.0),
    "by a list": lambda x: x.__setitem__([0, 2], 2.0),
    "by a mask": lambda x: x.__setitem__(x > 0, 2.0),
    "copy_": lambda x: x.copy_(2.0),
    "in place": lambda x: x.__iadd__(2.0),
    "in place, recorded": _recorded,
    "out": lambda x: ops.add(minidl.ones(3, device=x.device), 1.0, out=x),
    "an initialiser": lambda x: nn.init.zeros_(x),
    "load_state_dict": _refilled,
    "zero_grad": _cleared,
    "backward": _accumulated,
}


@pytest.mark.parametrize("device", ["cpu", "cuda_sim"])
@pytest.mark.parametrize("way", WRITING)
def test_an_expanded_tensor_cannot_be_written_to(way, device):
    """CuPy would let it, and the base would silently change."""
    if device == "cuda_sim":
        compiler_or_skip()
    base = minidl.ones(1, device=device)
    with pytest.raises(
        ValueError, match=r"several elements of .* lie in the same memory; clone\(\) it first"
    ):
        WRITING[way](base.expand(3))
    assert base.tolist() == [1.0]


@pytest.mark.parametrize("copy", [lambda x: x.flip(0), lambda x: ops.stack([x]), lambda x: x.flip(())])
def test_copies_do_not_share_memory(copy):
    x = minidl.tensor([1.0, 2.0])
    assert not np.shares_memory(copy(x).data, x.data)


def test_stack_and_cat_promote_as_torch():
    integers, floats, doubles = (minidl.tensor([1], dtype=d) for d in ("int64", "float32", "float64"))
    for parts, dtype in [
        ((integers, floats), np.float32),
        ((floats, doubles), np.float64),
        ((integers, minidl.tensor([True])), np.int64),
    ]:
        assert ops.cat(parts).dtype == ops.stack(parts).dtype == dtype
    x = minidl.tensor([1.0], dtype="float32", requires_grad=True)
    ops.cat([x, doubles * 2]).sum().backward()
    assert x.grad.dtype == np.float32


def test_cat_leaves_out_empty_vectors():
    x = minidl.tensor(np.ones((2, 3)))
    assert ops.cat([minidl.tensor(np.zeros(0)), x, x], 1).shape == (2, 6)
    assert ops.cat([minidl.tensor(np.zeros(0))]).shape == (0,)


X = np.zeros((2, 3))
BAD = {
    "squeeze dimension": (lambda x: x.squeeze(2), IndexError, "2"),
    "squeeze twice": (lambda x: x.squeeze((0, -2)), RuntimeError, "twice"),
    "unsqueeze dimension": (lambda x: x.unsqueeze(3), IndexError, "3"),
    "unsqueeze before the first": (lambda x: x.unsqueeze(-4), IndexError, "-4"),
    "expand too few": (lambda x: x.expand(3), RuntimeError, "(3,)"),
    "expand an extent": (lambda x: x.expand(4, 3), RuntimeError, "(4, 3)"),
    "expand to nothing": (lambda x: x.expand(0, 3), RuntimeError, "(0, 3)"),
    "expand a new -1": (lambda x: x.expand(-1, 2, 3), RuntimeError, "(-1, 2, 3)"),
    "expand negative": (lambda x: x.expand(-2, 2, 3), RuntimeError, "(-2, 2, 3)"),
    "flip dimension": (lambda x: x.flip(2), IndexError, "2"),
    "flip twice": (lambda x: x.flip(0, -2), RuntimeError, "twice"),
    "flip one number": (lambda x: ops.flip(x, 0), TypeError, "0"),
    "stack shapes": (lambda x: ops.stack([x, x.T]), ValueError, "(3, 2)"),
    "stack dimension": (lambda x: ops.stack([x], 3), IndexError, "3"),
    "stack of nothing": (lambda x: ops.stack([]), ValueError, "at least one"),
    "split dimension": (lambda x: x.split(1, 2), IndexError, "2"),
    "split into nothings": (lambda x: x.split(0), ValueError, "0"),
    "split negative": (lambda x: x.split(-1), ValueError, "-1"),
    "split too few": (lambda x: x.split([1, 1], 1), ValueError, "[1, 1]"),
    "split negative extents": (lambda x: x.split([-1, 4], 1), ValueError, "[-1, 4]"),
    "split a scalar": (lambda x: x.sum().split(1), ValueError, "without dimensions"),
    "chunk into none": (lambda x: x.chunk(0), ValueError, "0"),
    "chunk a scalar": (lambda x: x.sum().chunk(1), ValueError, "without dimensions"),
    "diagonal of a vector": (lambda x: x[0].diagonal(), IndexError, "(3,)"),
    "diagonal dimension": (lambda x: x.diagonal(0, 0, 2), IndexError, "2"),
    "diagonal of one dimension": (lambda x: x.diagonal(0, 1, -1), RuntimeError, "twice"),
}


@pytest.mark.parametrize("name", BAD)
def test_impossible_calls_are_named(name):
    fn, kind, named = BAD[name]
    with pytest.raises(kind) as caught:
        fn(minidl.tensor(X))
    assert str(caught.value).startswith(f"{name.split()[0]}: ") and named in str(caught.value)


def test_empty_extents():
    empty = minidl.tensor(np.zeros((0, 3)))
    assert [p.shape for p in empty.split(2)] == [p.shape for p in empty.split(0)] == [(0, 3)]
    assert empty.split([]) == ()
    assert empty.flip(0, 1).shape == empty.unsqueeze(0).squeeze(0).shape == (0, 3)
    assert empty.diagonal().shape == (0,)
