"""Batch, layer, instance and group normalisation on a device; the kernels are in ``normalize.cu``.

``groups`` and the arrays' shapes are those of ``kernels/reference/normalize.py``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from minidl.kernels.cuda.arrays import MOST_BLOCKS, THREADS, blocks, on_device, pick
from minidl.kernels.cuda.device import namespace
from minidl.kernels.cuda.launch import Module

Needed = tuple[bool, bool, bool]

MODULE = Module("normalize.cu")
STATISTICS = ("v1", "v2", "v3")
MEANS = PARAMETERS = APPLY = ("v1", "v2")
_WARPS = THREADS // 32


class Groups(NamedTuple):
    """``number`` groups of ``runs`` runs of ``length`` contiguous numbers."""

    runs: int
    number: int
    length: int


def grouped(shape: tuple[int, ...], groups: int | None) -> Groups:
    """The groups of an array (N, C, M).

    >>> grouped((2, 6, 5), None), grouped((2, 6, 5), 3)
    (Groups(runs=2, number=6, length=5), Groups(runs=1, number=6, length=10))
    """
    n, c, m = shape
    return Groups(n, c, m) if groups is None else Groups(1, n * groups, c // max(1, groups) * m)


def pieces(groups: Groups) -> int:
    """Into how many pieces version 3 of the statistics cuts each group: some 4096 numbers in each."""
    return max(1, min(64, groups.runs * groups.length // 4096))


def choose(groups: Groups) -> str:
    """The version of the statistics: a thread, a block, or several blocks for each group.

    >>> choose(Groups(1, 9, 10)), choose(Groups(1, 4096, 768)), choose(Groups(16, 64, 256 * 256))
    ('v1', 'v2', 'v3')
    """
    if groups.runs * groups.length < 32:
        return "v1"
    return "v3" if groups.number < 512 and pieces(groups) > 1 else "v2"


def choose_apply(m: int) -> str:
    """The version of what is done with each number: blocks for each plane, if it has numbers enough.

    >>> choose_apply(4096), choose_apply(1)
    ('v2', 'v1')
    """
    return "v2" if m >= 64 else "v1"


@on_device
def forward(
    x: Any, weight: Any | None, bias: Any | None, groups: int | None, eps: float, version: str | None = None
) -> tuple[Any, Any, Any, Any]:
    """y, μ, σ² and s."""
    xp = namespace(x)
    mean, var = statistics(x, groups, version)
    inv_std = 1 / xp.sqrt(var + x.dtype.type(eps))
    return apply(x, weight, bias, mean, inv_std, groups), mean, var, inv_std


@on_device
def statistics(x: Any, groups: int | None, version: str | None = None) -> tuple[Any, Any]:
    """μ and σ² of each group; 0 where it has no values."""
    xp, shape = namespace(x), grouped(x.shape, groups)
    mean, var = (xp.zeros(shape.number, x.dtype) for _ in range(2))
    if not x.size:
        return mean, var
    version = pick(version, choose(shape), STATISTICS)
    name = f"normalize_statistics_{version}"
    if version == "v3":
        parts, each = xp.empty((shape.number, pieces(shape) * _WARPS, 3), x.dtype), pieces(shape) * _WARPS
        grid = (min(shape.number, MOST_BLOCKS), pieces(shape))
        MODULE.launch("normalize_moments_v3", grid, THREADS, x, parts, *shape, like=x)
        MODULE.launch(
            name, blocks(shape.number, _WARPS), THREADS, parts, mean, var, shape.number, each, like=x
        )
    else:
        work = blocks(shape.number, THREADS if version == "v1" else 1)
        MODULE.launch(name, work, THREADS, x, mean, var, *shape, like=x)
    return mean, var


@on_device
def apply(
    x: Any,
    weight: Any | None,
    bias: Any | None,
    mean: Any,
    inv_std: Any,
    groups: int | None,
    version: str | None = None,
) -> Any:
    """γ (x - μ) s + β."""
    y = namespace(x).empty(x.shape, x.dtype)
    if x.size:
        version = pick(version, choose_apply(x.shape[2]), APPLY)
        _each(f"normalize_apply_{version}", (x, y, weight, bias, mean, inv_std), x, groups)
    return y


@on_device
def backward(
    g: Any,
    x: Any,
    weight: Any | None,
    mean: Any,
    inv_std: Any,
    groups: int | None,
    needed: Needed,
    version: str | None = None,
) -> tuple[Any | None, Any | None, Any | None]:
    """Cotangents of x, γ and β, those that are needed."""
    dweight, dbias = parameters(g, x, mean, inv_std, groups, needed)
    if not needed[0]:
        return None, dweight, dbias
    means = group_means(g, x, weight, mean, inv_std, groups, version)
    return towards_input(g, x, weight, mean, inv_std, means, groups), dweight, dbias


@on_device
def forward_given(x: Any, weight: Any | None, bias: Any | None, mean: Any, inv_std: Any) -> Any:
    """y with a given μ and s for each channel."""
    return apply(x, weight, bias, mean, inv_std, None)


@on_device
def backward_given(
    g: Any, x: Any, weight: Any | None, mean: Any, inv_std: Any, needed: Needed
) -> tuple[Any | None, Any | None, Any | None]:
    """Cotangents of x, γ and β, those that are needed, where μ and s do not depend on x: dx = s γ g."""
    dweight, dbias = parameters(g, x, mean, inv_std, None, needed)
    dx = towards_input(g, x, weight, mean, inv_std, None, None) if needed[0] else None
    return dx, dweight, dbias


@on_device
def group_means(
    g: Any,
    x: Any,
    weight: Any | None,
    mean: Any,
    inv_std: Any,
    groups: int | None,
    version: str | None = None,
) -> tuple[Any, Any]:
    """With h = γ g: the means of h and of h x̂ over each group."""
    xp, shape, (_, c, m) = namespace(x), grouped(x.shape, groups), x.shape
    mean_h, mean_hx = (xp.zeros(shape.number, x.dtype) for _ in range(2))
    if x.size:
        version = pick(version, "v1" if shape.runs * shape.length < 32 else "v2", MEANS)
        MODULE.launch(
            f"normalize_means_{version}", blocks(shape.number, THREADS if version == "v1" else 1), THREADS,
            g, x, weight, mean, inv_std, mean_h, mean_hx, c, m, *shape, like=x,
        )  # fmt: skip
    return mean_h, mean_hx


@on_device
def parameters(
    g: Any, x: Any, mean: Any, inv_std: Any, groups: int | None, needed: Needed, version: str | None = None
) -> tuple[Any | None, Any | None]:
    """Cotangents of γ and β, those that are needed: the sums of g x̂ and of g over each channel."""
    xp, shape, (n, c, m) = namespace(x), grouped(x.shape, groups), x.shape
    dweight, dbias = (xp.zeros(c, x.dtype) if wanted else None for wanted in needed[1:])
    if not x.size or not any(needed[1:]):
        return dweight, dbias
    version = pick(version, "v2" if m == 1 else "v1", PARAMETERS)
    arrays = (g, x, mean, inv_std, dweight, dbias)
    if version == "v1":
        MODULE.launch(
            "normalize_parameters_v1",
            blocks(c, 1),
            THREADS,
            *arrays,
            n,
            c,
            m,
            shape.number,
            shape.length,
            like=x,
        )
    elif m != 1:
        raise ValueError(
            f"normalize: version v2 of the parameters' sums is for planes of one number, not {m}"
        )
    else:
        MODULE.launch(
            "normalize_parameters_v2", -(-c // 32), (32, 8), *arrays, n, c, shape.number, shape.length, like=x
        )
    return dweight, dbias


@on_device
def towards_input(
    g: Any,
    x: Any,
    weight: Any | None,
    mean: Any,
    inv_std: Any,
    means: tuple[Any, Any] | None,
    groups: int | None,
    version: str | None = None,
) -> Any:
    """dx from the groups' means of h and h x̂, or, where the statistics were given, without them."""
    dx = namespace(x).empty(x.shape, x.dtype)
    if x.size:
        version = pick(version, choose_apply(x.shape[2]), APPLY)
        arrays = (g, x, weight, mean, inv_std, *(means or (None, None)), dx)
        _each(f"normalize_input_{version}", arrays, x, groups)
    return dx


def _each(name: str, arrays: tuple[Any, ...], x: Any, groups: int | None) -> None:
    """Launch a kernel that does something with each number."""
    shape, (n, c, m) = grouped(x.shape, groups), x.shape
    if name.endswith("v1"):
        MODULE.launch(
            name, blocks(x.size), THREADS, *arrays, x.size, c, m, shape.number, shape.length, like=x
        )
    else:
        grid = (blocks(m), min(n * c, MOST_BLOCKS))
        MODULE.launch(name, grid, THREADS, *arrays, n * c, c, m, shape.number, shape.length, like=x)
