"""How the direct gradient of a convolution's weights is cut into pieces (``conv2d_direct_weight.py``).

The sum over all pixels can be cut into *shares*, each with sums of its own that are added at the end; and
what is summed, filters and taps, into *chunks*. Which is better depends on what each costs besides products.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

#: Bytes that one core multiplies and adds in a second, and copies; about, to compare ways to cut the work.
PRODUCTS, COPIES = 400e9, 10e9


class Work(NamedTuple):
    """What :func:`cuts` wants to know: rows, bytes and, of the products, seconds of one core."""

    rows: int  #: of g, in all images together
    high: int  #: of an image
    most: int  #: that a block may have
    least: int  #: below that, too much of the image is copied twice
    window: int  #: rows of the image under a filter
    stride: int
    panels: int  #: of filters, in all groups
    runs: int  #: of taps
    x: int  #: bytes of the image, if it has to be copied
    g: int  #: bytes of the cotangent, if it has to be copied
    sums: int  #: bytes of all sums
    products: float


@functools.lru_cache(maxsize=1024)
def cuts(work: Work) -> tuple[int, int, int]:
    """Rows of a block, shares of the blocks, chunks of the units: the best of all, by what they would cost.

    More shares write more sums; more chunks copy the image, and cotangents, more often; few pieces leave
    threads idle. Nothing depends on the number of threads.

    Images are shared out where the sums are small; the filters are, where they are large:

    >>> pixels = Work(64, 8, 8, 1, 1, 1, panels=1, runs=1, x=0, g=0, sums=10_000, products=1e-2)
    >>> filters = Work(8, 8, 8, 1, 1, 1, panels=16, runs=1, x=0, g=0, sums=10_000_000, products=1e-2)
    >>> cuts(pixels), cuts(filters)
    ((8, 4, 1), (8, 1, 4))
    """
    best, units = (math.inf, 1, 1, 1), work.panels * work.runs
    for shares in (1, 2, 4, 8, 16):
        rows = min(work.most, max(work.least, -(-work.rows // shares)))
        rows = -(-work.high // -(-work.high // rows))
        blocks = work.rows // work.high * -(-work.high // rows)
        if shares > blocks:
            break
        for chunks in sorted({min(units, count) for count in (1, 2, 3, 4, 6, 8, 12, 16)}):
            twice = ((rows - 1) * work.stride + work.window) / (rows * work.stride)
            copied = chunks * twice * work.x + max(1, chunks / work.panels) * work.g
            seconds = work.products + (copied + 2 * work.sums * (shares + blocks / 4)) / COPIES
            largest = -(-blocks // shares) / blocks * -(-units // chunks) / units
            late = [-(-shares * chunks // cores) * largest for cores in (2, 4)]
            best = min(best, (seconds * sum(late), rows, shares, chunks))
    return best[1:]
