"""Batched products of matrices on a device: what convolutions by im2col and by Winograd's algorithm call.

Not an operation of its own: there is no ``kernels/reference/gemm.py``. The kernels are in ``gemm.cu``, in
five versions from plain to fast.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from minidl.kernels.cuda.arrays import THREADS, pick
from minidl.kernels.cuda.device import namespace
from minidl.kernels.cuda.launch import Module

MODULE = Module("gemm.cu")
VERSIONS = ("v1", "v2", "v3", "v4", "v5")


class Operand(NamedTuple):
    """Where the elements of a batch of matrices lie: how far apart, in elements."""

    array: Any
    row: int
    column: int
    image: int = 0
    group: int = 0

    @property
    def mT(self) -> Operand:  # NumPy's name
        """The transposed matrices; nothing is copied."""
        return self._replace(row=self.column, column=self.row)


def matrices(array: Any) -> Operand:
    """(images, groups, rows, columns), or (groups, rows, columns): the same for all images."""
    *batch, rows, columns = array.shape
    image = batch[-1] * rows * columns if len(batch) == 2 else 0
    return Operand(array, columns, 1, image, rows * columns)


def tile(version: str, itemsize: int) -> int:
    """The side of the square of elements that a block computes."""
    return {"v4": 64, "v5": 128 if itemsize == 4 else 64}.get(version, 16)


def choose(m: int, n: int, k: int, itemsize: int = 4) -> str:
    """The version for an (m, k) by (k, n) product.

    The fast versions compute whole tiles, whatever the matrices' sizes: the largest tile of which at least
    half is used. Below 32 rows or columns the small tiles of v3 waste less.

    >>> choose(512, 4096, 576), choose(64, 4096, 27), choose(3, 4096, 64)
    ('v5', 'v5', 'v3')
    """
    for version in ("v5", "v4"):
        if 2 * min(m, n) >= tile(version, itemsize):
            return version
    return "v3"


def grid(version: str, m: int, n: int, batch: int, itemsize: int) -> int:
    """Blocks: all tiles of all products."""
    side = tile(version, itemsize)
    return -(-m // side) * -(-n // side) * batch


def multiply(
    a: Operand,
    b: Operand,
    size: tuple[int, int, int],
    images: int,
    groups: int,
    images_per_share: int = 1,
    bias: Any = None,
    version: str | None = None,
) -> Any:
    """C = A B for each group and each share of images, summed over the images of a share.

    Args:
        a, b: the factors, see :func:`matrices`.
        size: m, n and k: C is (m, n), A (m, k).
        images, groups: of the batch.
        images_per_share: how many images are summed; 1 gives a product for each image.
        bias: (groups·m) added to the rows, or None.
        version: ``"v1"`` ... ``"v5"``; None: :func:`choose`.

    Returns:
        (shares, groups, m, n).
    """
    m, n, k = size
    array = a.array
    version = pick(version, choose(m, n, k, array.itemsize), VERSIONS)
    shares = -(-images // images_per_share)
    c = namespace(array).empty((shares, groups, m, n), array.dtype)
    if not c.size:
        return c
    MODULE.launch(
        f"gemm_{version}",
        grid(version, m, n, shares * groups, array.itemsize),
        THREADS,
        *(array, b.array, bias, c, m, n, k),
        *a[1:],
        *b[1:],
        *(images, groups, images_per_share),
        like=array,
    )
    return c
