"""Every version of every kernel, against the reference, in both dtypes."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from minidl.kernels.cuda.launch import FOLDER, Module
from oracles.cuda_cases import CASES, Case
from oracles.devices import KINDS, compiler_or_skip

ALL = [case for cases in CASES.values() for case in cases]


@pytest.mark.parametrize("xp", KINDS, indirect=True)
@pytest.mark.parametrize(
    "dtype",
    [pytest.param(np.float32, id="float32"), pytest.param(np.float64, id="float64", marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("case", ALL, ids=lambda case: case.id)
def test_a_version_agrees_with_the_reference(case: Case, dtype: Any, xp: ModuleType) -> None:
    compiler_or_skip()
    case.check(xp, dtype)


@pytest.mark.parametrize("operation", [name for name in CASES if name != "cat"])
def test_every_kernel_of_a_file_is_launched_by_its_cases(
    operation: str, monkeypatch: pytest.MonkeyPatch, xp: ModuleType
) -> None:
    compiler_or_skip()
    launched: set[str] = set()
    launch = Module.launch

    def noted(self: Module, kernel: str, *args: Any, **options: Any) -> None:
        if self.file.stem == operation:
            launched.add(kernel)
        launch(self, kernel, *args, **options)

    monkeypatch.setattr(Module, "launch", noted)
    for case in CASES[operation]:
        case.run(xp, np.float32)
    assert set(Module(FOLDER / f"{operation}.cu").signatures) == launched
