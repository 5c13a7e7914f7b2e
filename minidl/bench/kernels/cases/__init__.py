"""All cases; ``tests/bench/test_kernel_cases.py`` holds the list to the backends' folders."""

from __future__ import annotations

from collections.abc import Sequence

from minidl import _inputs
from minidl.bench.kernels.case import Case
from minidl.bench.kernels.cases import pointwise, products, sums, windows

#: In the order of the tables.
CASES: tuple[Case, ...] = (
    *products.convolutions(),
    *products.fused(),
    *products.matrices(),
    *windows.max_pool(),
    *windows.avg_pool(),
    *windows.adaptive(),
    *windows.interpolate(),
    *windows.unpool(),
    *windows.unfold(),
    *sums.normalize(),
    *sums.softmax(),
    *sums.cross_entropy(),
    *sums.reductions(),
    *sums.confusion(),
    *pointwise.activations(),
    *pointwise.arithmetic(),
    *pointwise.dropout(),
    *pointwise.cat(),
    *sums.optimizers(),
)


def find(name: str) -> Case:
    """The case of that name.

    Raises:
        KeyError: there is none.

    >>> find("conv2d-forward-wide").title
    '3x3 convolution 32 → 32 at 128x128, forward'
    """
    for case in CASES:
        if case.name == name:
            return case
    raise KeyError(name)


def matches(case: Case, pattern: str) -> bool:
    """Whether a pattern as a shell's fits the case's name, or is its operation.

    >>> matches(find("gemm-multiply"), "gemm"), matches(find("gemm-multiply"), "*mul*")
    (True, True)
    """
    return any(_inputs.matches(pattern, name, "--only") for name in (case.name, case.operation))


def select(patterns: Sequence[str]) -> list[Case]:
    """The cases that one of the patterns fits; all of them without a pattern."""
    return [case for case in CASES if not patterns or any(matches(case, p) for p in patterns)]
