"""Every version of every kernel that is not a convolution's in check mode: bounds, races, unwritten memory.

In several orders of blocks and threads: what depends on the order is a bug, even where no race is seen.
"""

from types import ModuleType

import numpy as np
import pytest

from minidl.kernels.sim import checked
from oracles.cuda_cases import CASES, Case
from oracles.devices import compiler_or_skip

ALL = [case for cases in CASES.values() for case in cases]


@pytest.mark.parametrize("order", [0, 1, 5], ids=["ascending", "descending", "shuffled"])
@pytest.mark.parametrize("case", ALL, ids=lambda case: case.id)
def test_a_version_does_nothing_wrong(case: Case, order: int, xp: ModuleType) -> None:
    compiler_or_skip()
    with checked(order):
        case.check(xp, np.float32)


@pytest.mark.parametrize("operation", [name for name in CASES if name != "cat"])
def test_nothing_is_wrong_in_float64_either(operation: str, xp: ModuleType) -> None:
    compiler_or_skip()
    with checked(3):
        for case in CASES[operation]:
            case.check(xp, np.float64)
