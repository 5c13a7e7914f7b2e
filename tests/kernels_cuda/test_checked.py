"""Every version of every kernel in check mode: bounds, races, unwritten memory.

In several orders of blocks and threads: what depends on the order is a bug, even where no race is seen.
"""

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from minidl.kernels.cuda.plans import Plan
from minidl.kernels.sim import checked
from oracles.cuda_cases import CASES, Case, far
from oracles.devices import compiler_or_skip

#: Left to CuPy's own kernels.
WITHOUT_A_KERNEL = {("cat", "forward"), ("cat", "backward"), ("dropout", "backward")}

ALL = [case for cases in CASES.values() for case in cases]


@pytest.mark.parametrize(
    "order",
    [
        pytest.param(0, id="ascending", marks=pytest.mark.slow),
        pytest.param(1, id="descending", marks=pytest.mark.slow),
        pytest.param(5, id="shuffled"),
    ],
)
@pytest.mark.parametrize("case", ALL, ids=lambda case: case.id)
def test_a_version_does_nothing_wrong(case: Case, order: int, xp: ModuleType) -> None:
    compiler_or_skip()
    with checked(order):
        case.check(xp, np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("case", ALL, ids=lambda case: case.id)
def test_64_bit_positions_and_few_blocks(case: Case, xp: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernels as they are compiled for arrays of more than 2^31 elements, and their loops over blocks."""
    compiler_or_skip()
    chosen: list[str] = []
    values = Plan.values

    def noted(self: Plan, *args: Any) -> tuple[Any, ...]:
        chosen.append(self.macros["INDEX"])
        return values(self, *args)

    monkeypatch.setattr(Plan, "values", noted)
    with checked(), far(case.operation):
        case.check(xp, np.float32)
    assert set(chosen) <= {"long long"}
    assert chosen or (case.operation, case.function) in WITHOUT_A_KERNEL


@pytest.mark.slow
@pytest.mark.parametrize("file", [name for name in CASES if name != "cat"])
def test_nothing_is_wrong_in_float64_either(file: str, xp: ModuleType) -> None:
    compiler_or_skip()
    with checked(3):
        for case in CASES[file]:
            case.check(xp, np.float64)
