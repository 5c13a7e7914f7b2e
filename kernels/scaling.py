"""Powers of two by which numbers are divided before they are squared.

Squares leave the range of a format long before the numbers do: in float32 those of 1e-25 are 0 and those of
1e20 infinite. Divided by a power of two of about their own size the numbers lie around 1, and nothing is
rounded: only exponents change.
"""

from __future__ import annotations

from typing import Any


def largest(xp: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """max |x| over ``axes``, which stay with extent 1; 0 where there is nothing, NaN where x holds one.

    >>> import numpy
    >>> largest(numpy, numpy.array([[1.0, -3.0], [0.5, 0.25]]), (1,))
    array([[3. ],
           [0.5]])
    """
    if not x.size:
        return xp.zeros(tuple(1 if axis in axes else n for axis, n in enumerate(x.shape)), x.dtype)
    return xp.maximum(x.max(axis=axes, keepdims=True), -x.min(axis=axes, keepdims=True))


def power_of_two(xp: Any, sizes: Any) -> Any:
    """For each size (0 or more) the largest power of two that does not exceed it; 1 for 0, infinity and NaN.

    >>> import numpy
    >>> power_of_two(numpy, numpy.array([3.0, 0.3, 0.0, numpy.inf]))
    array([2.  , 0.25, 1.  , 1.  ])
    """
    usual = (sizes > 0) & xp.isfinite(sizes)
    _, exponents = xp.frexp(xp.where(usual, sizes, sizes.dtype.type(1)))  # size = m 2^exponent, ½ ≤ m < 1
    return xp.ldexp(sizes.dtype.type(1), exponents - 1)
