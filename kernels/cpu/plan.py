"""Which algorithm a convolution takes: those that can do it, and what each would cost.

The cost is a model, not a measurement: the same problem gets the same algorithm in every run, on any number
of threads, and so the same bits. Its terms, for one core:

    seconds = multiplications / rate + bytes / copy rate + pieces · seconds for each

with the multiplications as the algorithm does them (channels rounded up to whole vectors, pixels to whole
tiles, Winograd's fewer). The constants (``rates.py``) were fitted to measurements on two kinds of CPU;
``docs/planner.md`` says how often the choice is the fastest.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from typing import Any, NamedTuple

from minidl.kernels.cpu import conv2d_few
from minidl.kernels.cpu.conv2d_direct_weight import heights as gradient_heights
from minidl.kernels.cpu.conv2d_im2col import channel_parts
from minidl.kernels.cpu.conv2d_tiles import pixel_heights, tall_tiles
from minidl.kernels.cpu.products import ROWS, WIDE
from minidl.kernels.cpu.rates import RATES, Rates
from minidl.kernels.cpu.vectors import lanes_of

Pair = tuple[int, int]

#: Pieces of work that an algorithm is expected to make, whatever the number of threads: the choice must not
#: depend on it.
PIECES = 8

DIRECTIONS = ("forward", "backward_data", "backward_weight")
ALGORITHMS = ("winograd4", "winograd2", "direct", "im2col", "depthwise")


class Problem(NamedTuple):
    """One convolution in one direction. h, w, c: of the input x; k: filters; the names are the document's."""

    direction: str
    n: int
    c: int
    h: int
    w: int
    k: int
    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int
    itemsize: int = 4

    @property
    def out(self) -> Pair:
        """Pixels of y."""
        sizes = zip((self.h, self.w), self.kernel, self.stride, self.padding, self.dilation, strict=True)
        oh, ow = (max(0, (e + 2 * p - d * (q - 1) - 1) // s + 1) for e, q, s, p, d in sizes)
        return oh, ow

    @property
    def flops(self) -> int:
        """Multiplications and additions of the definition."""
        return 2 * self.n * self.k * math.prod(self.out) * self.c // self.groups * math.prod(self.kernel)

    @property
    def bytes(self) -> int:
        """What has to be read and written at least once."""
        weights = self.k * self.c // self.groups * math.prod(self.kernel)
        return self.itemsize * (self.n * (self.c * self.h * self.w + self.k * math.prod(self.out)) + weights)


class Plan(NamedTuple):
    """A choice: the algorithm, why, and what it is expected to cost (seconds of one core)."""

    algorithm: str
    why: str
    flops: int
    bytes: int
    seconds: float


def refusal(problem: Problem, algorithm: str) -> str | None:
    """Why the algorithm cannot do this, or None."""
    if algorithm.startswith("winograd"):
        wants = {
            "a 3x3 filter": problem.kernel == (3, 3),
            "stride 1": problem.stride == (1, 1),
            "dilation 1": problem.dilation == (1, 1),
            "groups=1": problem.groups == 1,
        }
        missing = [want for want, given in wants.items() if not given]
        return f"it needs {' and '.join(missing)}" if missing else None
    if algorithm == "depthwise":
        return None if problem.groups == problem.c else "it needs as many groups as channels"
    return None


def cost(problem: Problem, algorithm: str, rates: Rates = RATES) -> float:
    """Expected seconds of one core."""
    name = algorithm.rstrip("24")
    seconds = {"winograd": _winograd, "direct": _direct, "im2col": _im2col, "depthwise": _depthwise}[name]
    return seconds(problem, algorithm, rates) + problem.bytes / rates.copies


@functools.lru_cache(maxsize=4096)
def choose(problem: Problem) -> Plan:
    """The algorithm that is expected to be the fastest.

    >>> choose(Problem("forward", 4, 64, 64, 64, 64, (3, 3), (1, 1), (1, 1), (1, 1), 1)).algorithm
    'winograd4'
    """
    costs = {a: cost(problem, a) for a in ALGORITHMS if refusal(problem, a) is None}
    best = min(costs, key=lambda a: costs[a])
    return Plan(best, _why(problem, best, costs), problem.flops, problem.bytes, costs[best])


def forced(problem: Problem, algorithm: str) -> Plan:
    """The plan with an algorithm that was asked for.

    Raises:
        ValueError: there is no such algorithm, or it cannot do this.
    """
    if algorithm not in ALGORITHMS:
        raise ValueError(f"conv2d: there is no algorithm {algorithm!r}; choose from {', '.join(ALGORITHMS)}")
    if reason := refusal(problem, algorithm):
        raise ValueError(f"conv2d: algorithm {algorithm!r} cannot do this convolution: {reason}")
    return Plan(algorithm, "asked for", problem.flops, problem.bytes, cost(problem, algorithm))


def _why(problem: Problem, best: str, costs: dict[str, float]) -> str:
    others = sorted((seconds / costs[best], a) for a, seconds in costs.items() if a != best)
    reasons = {
        "winograd4": "36 multiplications for 16 outputs instead of 144",
        "winograd2": "16 multiplications for 4 outputs instead of 36",
        "direct": "reads the image in place",
        "im2col": f"rows of {problem.out[1]} pixels fill no tile, columns do",
        "depthwise": "no sum over channels",
    }
    against = f"; {others[0][1]} would take {others[0][0]:.1f} times as long" if others else ""
    return reasons[best] + against


# --- the terms ----------------------------------------------------------------------------------------------


def _round_up(count: int, step: int) -> int:
    return -(-count // step) * step


def _panels(columns: int, itemsize: int) -> list[int]:
    """The widths, in vectors, of the panels that so many columns are cut into."""
    vectors = -(-columns // lanes_of(itemsize))
    whole, rest = divmod(vectors, WIDE)
    return [WIDE] * whole + [width for width in (2, 1) if width < WIDE and rest & width]


def _cover(count: int, tall: int, low: int, beyond: bool) -> Pair:
    """How many tall and low tiles cover ``count`` rows; ``beyond``: the last may reach beyond them."""
    talls: int = 0 if count < tall and not beyond else tall_tiles.py_func(count, tall, low)  # type: ignore[attr-defined]
    return talls, -(-max(0, count - talls * tall) // low)


def _product(
    count: int,
    lines: float,
    depth: float,
    columns: int,
    steps: float,
    itemsize: int,
    rates: Rates,
    heights: Any,
) -> float:
    """Seconds for ``lines`` times (count x depth) times (depth x columns).

    Args:
        steps: how often each tile is begun.
        heights: of the tiles, by their width: pixels' or those of a gradient of weights.
    """
    row = 2 * depth * lanes_of(itemsize) / (rates.products * 4 / itemsize)  # seconds for a row of one vector
    seconds = 0.0
    for width, panels in Counter(_panels(columns, itemsize)).items():
        tall, low = heights.py_func(width)
        talls, lows = _cover(count, tall, low, heights is gradient_heights)
        rows = talls * tall + lows * low / rates.low
        work = rows * width * row / (rates.narrow if width == 1 else 1)
        seconds += panels * lines * (work + (talls + lows) * steps * rates.tile)
    return seconds


def _packing(problem: Problem, rates: Rates) -> float:
    weights = problem.k * problem.c // problem.groups * math.prod(problem.kernel)
    return weights * problem.itemsize / rates.packing


def _direct(problem: Problem, algorithm: str, rates: Rates) -> float:
    (kh, kw), per_group, filters = problem.kernel, problem.c // problem.groups, problem.k // problem.groups
    calls = 1
    if problem.direction == "backward_weight":
        seconds = _direct_weight(problem, rates)
    elif problem.direction == "forward":
        oh, ow = problem.out
        lines, length = (1, problem.n * oh * ow) if _pointwise(problem) else (problem.n * oh, ow)
        few = conv2d_few.lines_of(problem.kernel, per_group, problem.dilation, problem.groups)
        seconds = problem.groups * _direct_product(problem, lines, length, filters, few, rates)
    else:
        (sy, sx), (oh, ow) = problem.stride, problem.out
        taps = (-(-kh // sy), -(-kw // sx))
        few = conv2d_few.lines_of(taps, filters, problem.dilation, problem.groups)
        patches = problem.groups == 1 and problem.dilation[1] == 1 and kw == sx and problem.padding[1] == 0
        patches = patches and ow * kw == problem.w and not conv2d_few.pays(per_group, *few, problem.itemsize)
        columns, across = (kw * per_group, 1) if patches else (per_group, sx)
        lines, length = (problem.n * -(-problem.h // sy), ow if patches else -(-problem.w // sx))
        lines, length = (1, problem.n * oh * ow) if _pointwise(problem) else (lines, length)
        calls = min(sy, problem.h) * across
        depth = kh * kw * filters / (sy * sx) * (1 if not patches else sx / kw)
        each = (few[0], depth / few[0])
        seconds = problem.groups * calls * _direct_product(problem, lines, length, columns, each, rates)
    copied = problem.bytes if max(problem.padding) > 0 else 0
    # All classes of pixels are dealt out in one call, but their weights are packed one after the other.
    return seconds + copied / (4 * rates.copies) + _packing(problem, rates) + (1 + calls) / 2 * rates.call


def _pointwise(problem: Problem) -> bool:
    return (*problem.kernel, *problem.stride, *problem.padding) == (1, 1, 1, 1, 0, 0)


def _direct_product(
    problem: Problem, lines: float, length: int, outputs: int, sums: tuple[int, float], rates: Rates
) -> float:
    """Seconds for ``lines`` rows of ``length`` pixels; ``sums``: lines of the filter and their numbers."""
    size, (segments, depth) = problem.itemsize, sums
    if conv2d_few.pays(outputs, segments, math.ceil(depth), size):
        each = conv2d_few.cost(outputs, segments, math.ceil(depth), size)
        return lines * length * each * 2 * lanes_of(size) / (rates.products * 4 / size) / rates.few
    merged = problem.groups == 1 and problem.dilation[1] == 1
    steps = segments if problem.direction == "forward" and not merged else 1
    return _product(length, lines, segments * depth, outputs, steps, size, rates, pixel_heights)


def _direct_weight(problem: Problem, rates: Rates) -> float:
    (kh, kw), per_group, filters = problem.kernel, problem.c // problem.groups, problem.k // problem.groups
    merged, size = problem.groups == 1 and problem.dilation[1] == 1, problem.itemsize
    runs, run = (kh, kw * per_group) if merged else (kh * kw, per_group)
    pixels = problem.n * math.prod(problem.out)
    blocks = max(1, pixels / 384)
    products = _product(run, runs, pixels, filters, blocks, size, rates, gradient_heights)
    return problem.groups * products / rates.weights + (
        blocks * runs * run * filters * problem.groups * size / (4 * rates.copies)
    )


def _im2col(problem: Problem, algorithm: str, rates: Rates) -> float:
    oh, ow = problem.out
    pixels, taps = problem.n * oh * ow, math.prod(problem.kernel)
    per_group, filters, size = problem.c // problem.groups, problem.k // problem.groups, problem.itemsize
    depth = taps * per_group
    if problem.direction == "backward_weight":
        blocks = max(1.0, pixels * depth * size / (256 * 1024))
        products = _product(depth, 1, pixels, filters, blocks, size, rates, gradient_heights) / rates.weights
    elif problem.direction == "forward":
        products = _product(pixels, 1, depth, filters, 1, size, rates, pixel_heights)
    else:
        return _im2col_data(problem, rates)
    wide = _round_up(per_group, lanes_of(size))
    columns = pixels * taps * (wide * size / rates.columns + rates.column)
    return problem.groups * (products + columns) + _packing(problem, rates) + rates.call


def _im2col_data(problem: Problem, rates: Rates) -> float:
    """Windows overlap: only images, groups and parts of the channels can be dealt out to threads."""
    pixels, taps = problem.n * math.prod(problem.out), math.prod(problem.kernel)
    channels, filters, size = problem.c // problem.groups, problem.k // problem.groups, problem.itemsize
    parts = problem.groups
    if problem.groups == 1 and channels:
        parts = channel_parts(channels, problem.n, PIECES)
        channels //= parts
    wide = _round_up(channels, lanes_of(size))
    columns = pixels * taps * (wide * size / rates.columns + rates.column)
    products = _product(pixels, 1, filters, taps * channels, 1, size, rates, pixel_heights)
    again = (parts - 1) * pixels * problem.k * size / rates.copies if problem.groups == 1 else 0
    pieces = max(1, problem.n * parts)
    idle = pieces % 2 / pieces + 1  # two cores, one of them idle at the end
    return (parts * (products + columns) + again) * idle + _packing(problem, rates) + rates.call


def _winograd(problem: Problem, algorithm: str, rates: Rates) -> float:
    m = int(algorithm[-1])
    lanes, size = lanes_of(problem.itemsize), problem.itemsize
    high, wide = problem.out if problem.direction != "backward_data" else (problem.h, problem.w)
    tiles, planes = problem.n * -(-high // m) * -(-wide // m), (m + 2) ** 2
    c, k = (_round_up(count, lanes) for count in (problem.c, problem.k))
    rate = rates.winograd * rates.products * 4 / size
    products = 2 * planes * _round_up(tiles, ROWS) * c * k / rate
    results = {"forward": k, "backward_data": c}.get(problem.direction, 0)  # backward_weight transforms both
    transforms = planes * tiles * size * ((c + k - results) / rates.transforms + results / rates.back)
    weights = planes * c * k * size / rates.transforms + _packing(problem, rates)
    return products + transforms + weights + 2 * rates.call


def _depthwise(problem: Problem, algorithm: str, rates: Rates) -> float:
    lanes = lanes_of(problem.itemsize)
    k, pixels = _round_up(problem.k, lanes), problem.n * math.prod(problem.out)
    work = 2 * pixels * math.prod(problem.kernel) * k
    filled = 0  # bytes of the pictures whose channels are filled up to a vector
    if problem.k < lanes:
        filled = (pixels + problem.n * problem.h * problem.w) * lanes * problem.itemsize
    return work / rates.depthwise * problem.itemsize / 4 + filled / rates.packing + rates.call
