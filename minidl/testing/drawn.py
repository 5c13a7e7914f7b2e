"""The same checks at drawn shapes: :func:`check_property`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.testing.arrays import Array
from minidl.testing.op import check_op
from minidl.testing.report import Report


def separated(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Values in -2..2 that differ from one another and from 0 by at least 1/count: no kink lies near.

    >>> bool(np.abs(separated(np.random.default_rng(0), (3, 3))).min() > 0.1)
    True
    """
    count = int(np.prod(shape))
    ladder = (np.arange(count) + 0.5) * 4 / max(count, 1) - 2
    ladder += np.where(np.abs(ladder) < 1e-9, 1 / max(count, 1), 0.0)  # an odd count has a rung at 0
    return np.asarray(rng.permutation(ladder).reshape(shape))


def check_property(
    fn: Callable[..., Any],
    oracle: Callable[..., Any] | None,
    *axes: str,
    extents: tuple[int, int] = (1, 4),
    values: Callable[[np.random.Generator, tuple[int, ...]], Array] = separated,
    examples: int = 20,
    **options: Any,
) -> Report:
    """:func:`check_op` at drawn shapes; a failure is reported for the smallest shapes that show it.

    Args:
        fn, oracle, options: as for :func:`check_op`.
        axes: for each input the names of its axes, ``"N C H W"``; equal names have equal extents.
        extents: smallest and largest extent.
        values: draws an input of a shape; by default without ties and away from 0.
        examples: how many shapes. The same ones in every run.

    Raises:
        AssertionError: something is off.
        ModuleNotFoundError: Hypothesis, which draws and shrinks, is not installed.

    >>> import minidl
    >>> report = check_property(lambda a, b: a @ b, np.matmul, "I L", "L J", examples=3, linear=(0, 1))
    >>> report.checks["adjoint"].cases
    6
    """
    try:
        import hypothesis
        from hypothesis import strategies as st
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "check_property: needs hypothesis, which is not installed: pip install hypothesis; "
            "or call check_op with arrays of your own"
        ) from None

    names = sorted({name for text in axes for name in text.split()})
    merged = Report()

    @hypothesis.settings(max_examples=examples, deadline=None, derandomize=True, database=None)
    @hypothesis.given(
        st.fixed_dictionaries({n: st.integers(*extents) for n in names}), st.integers(0, 2**32 - 1)
    )
    def at(extent: dict[str, int], seed: int) -> None:
        rng = np.random.default_rng(seed)
        arrays = [values(rng, tuple(extent[n] for n in text.split())) for text in axes]
        report = check_op(fn, oracle, *arrays, seed=seed, **options)
        merged.name = report.name
        merged.add(report)

    at()
    return merged
