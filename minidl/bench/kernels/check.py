"""Whether a result is right: before anything is timed.

What is right is the NumPy reference in float64, on the same numbers. What rounding to float32 may do on the
way is derived in ``minidl/_compare.py``: a result of n terms whose magnitudes add up to S may be off by

    8 √n ε S        with ε = 2⁻²³ of float32

where S of linear operations is the reference on the magnitudes of its arguments, and else the largest result
times (1 + the largest argument). Integers, and what is only copied (n = 0), must be the same.

Long sums would be allowed so much that a missing term could hide in it. So plain sums add up ones, zeros and
minus ones, which is exact in any order (n = 0). Elsewhere the numbers are drawn with mean zero: their partial
sums stay small, and the error does not grow with n any more (Higham and Mary 2020, "Sharper probabilistic
backward error analysis ... with random data"); an n above :data:`MOST` counts as that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl._compare import differ, largest, tolerance
from minidl.bench.kernels.case import Call, Case, arrays_of, mapped

#: ε of the contestants' numbers.
EPSILON = float(np.finfo(np.float32).eps)
#: Terms that count at most, as said above.
MOST = 256


class Expected:
    """The right results of a case, and how far from them a contestant may be.

    Args:
        case: the function.
        call: its arguments, float32; they stay as they are.

    Attributes:
        arrays: the results, in float64.
        allowed: the largest error of each.

    >>> from minidl.bench.kernels.cases import find
    >>> call = Call((np.ones((1, 1, 2, 2), np.float32),) * 2)
    >>> right = Expected(find("arithmetic-add"), call)
    >>> right.fault([np.full((1, 1, 2, 2), 2, np.float32)]), right.fault([np.zeros((1, 1, 2, 2), np.float32)])
    ('', 'result at (0, 0, 0, 0) is 0.0, expected 2.0; 4 of 4 values differ by more than 3.8e-06')
    """

    def __init__(self, case: Case, call: Call) -> None:
        reference, mine = case.reference(), as_double(call)
        with np.errstate(all="ignore"):
            given = reference(*mine.args, **mine.options)
            result = mine.args[0] if case.in_place else given
            sizes, factor = tolerance(case.about, reference, *as_double(call), result, case.terms, MOST)
        self.arrays = arrays_of(result)
        self.allowed = [factor * EPSILON * largest(size) for size in arrays_of(sizes)]

    def fault(self, results: Sequence[Any]) -> str:
        """What is wrong with the results, in one line; empty if nothing is.

        Args:
            results: NumPy arrays as the reference gives them; None for one that is not to be compared.
        """
        if len(results) != len(self.arrays):
            return f"gives {len(results)} arrays, expected {len(self.arrays)}"
        for number, (array, right, allowed) in enumerate(
            zip(results, self.arrays, self.allowed, strict=True)
        ):
            what = "result" if len(results) == 1 else f"result {number}"
            if array is None:
                continue
            floats = right.dtype.kind == "f"
            if array.shape != right.shape or (floats and array.dtype != np.float32):
                expected = f"{'float32' if floats else right.dtype} {right.shape}"
                return f"{what} is {array.dtype} {array.shape}, expected {expected}"
            wrong = differ(array, right, allowed)
            if wrong.any():
                first = np.unravel_index(int(wrong.argmax()), wrong.shape)
                return (
                    f"{what} at {tuple(map(int, first))} is {array[first]!s}, expected {right[first]!s}; "
                    f"{int(wrong.sum())} of {wrong.size} values differ by more than {allowed:.2g}"
                )
        return ""

    def share(self, results: Sequence[Any]) -> float:
        """The worst error as a share of what is allowed; 0 where nothing is allowed, and nothing differs."""
        shares = [0.0]
        for array, right, allowed in zip(results, self.arrays, self.allowed, strict=True):
            if array is not None and right.dtype.kind == "f" and right.size and allowed:
                with np.errstate(invalid="ignore"):
                    shares.append(float(np.nanmax(np.abs(array - right), initial=0.0) / allowed))
        return max(shares)


def as_double(call: Call) -> Call:
    """The call in float64, on copies.

    Args:
        call: of any arrays of NumPy; integers stay integers.
    """
    result: Call = mapped(call, lambda a: a.astype(np.float64) if a.dtype.kind == "f" else a.copy())
    return result
