"""Arrays for checks: tolerances, cotangents, and the same values in every memory order.

Tolerance. A sum of n products, each at most s in size, computed in floating point of precision eps, is off by
at most about n·eps·s (each product is rounded once, and each addition once more). With a few roundings for
what comes before and after, :func:`tolerance` allows 4·eps·(n + 8)·s. It is derived from the length of the
sum, not from what a library happens to give.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minidl._tensor import Tensor

Array = NDArray[np.float64]


def tolerance(dtype: Any, terms: int, scale: float) -> float:
    """Rounding of a sum: each of ``terms`` summands of size ``scale`` is off by a few eps of the dtype.

    >>> tolerance("float64", 10, 1.0) == 4 * 2.0**-52 * 18
    True
    """
    return 4 * float(np.finfo(dtype).eps) * (terms + 8) * max(scale, 1.0)


def size_of(*arrays: NDArray[Any]) -> float:
    """The product of the arrays' largest values: a bound for one term of a sum of products of them.

    Arrays whose values are all below 1 count as 1; infinities and NaN are left out.

    >>> size_of(np.array([1.0, -3.0]), np.array([0.1]), np.array([2.0, np.inf]))
    6.0
    """
    product = 1.0
    for a in arrays:
        if a.size and np.isfinite(a).any():
            product *= max(1.0, float(np.abs(a[np.isfinite(a)]).max()))
    return product


def leaf(array: NDArray[Any]) -> Tensor:
    """A tensor around this very array, its memory order included, that requires a gradient."""
    return Tensor(array, requires_grad=True)


def values(tensor: Any) -> NDArray[Any]:
    """The array of an op's result.

    Raises:
        AssertionError: it is no Tensor.
    """
    assert isinstance(tensor, Tensor), f"expected a Tensor, got {type(tensor)}"
    return np.asarray(tensor.detach().numpy())


def cotangent_for(y: NDArray[Any], seed: int = 0) -> Array:
    """A random cotangent of y's shape: one of all ones hides wrong backwards.

    >>> cotangent_for(np.zeros((2, 3))).shape
    (2, 3)
    """
    return np.asarray(np.random.default_rng(seed + 7919 * y.size).normal(size=y.shape))


# --- memory orders ---


def fortran(a: NDArray[Any]) -> NDArray[Any]:
    """The first axis varies fastest."""
    return np.asfortranarray(a)


def channels_last(a: NDArray[Any]) -> NDArray[Any]:
    """Axis 1 varies fastest, as torch's `channels_last`; needs three axes."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1)


def sliced(a: NDArray[Any]) -> NDArray[Any]:
    """Every second element of a larger array, the others being NaN: whoever ignores strides reads them."""
    large = np.full([2 * n + 1 for n in a.shape], np.nan, a.dtype)
    window = large[tuple(slice(1, 2 * n + 1, 2) for n in a.shape)]
    window[...] = a
    return window


def reversed_axes(a: NDArray[Any]) -> NDArray[Any]:
    """Negative strides along every axis."""
    backwards = (slice(None, None, -1),) * a.ndim
    return np.ascontiguousarray(a[backwards])[backwards]


def memory_orders(a: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The same values in every memory order that differs from C for this number of axes.

    >>> sorted(memory_orders(np.zeros((2, 3, 4))))
    ['channels_last', 'fortran', 'reversed', 'sliced']
    """
    candidates: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
        "sliced": sliced,
        "reversed": reversed_axes,
        "fortran": fortran,
    }
    if a.ndim >= 3:
        candidates["channels_last"] = channels_last
    return {name: f(a) for name, f in candidates.items()} if a.ndim else {}
