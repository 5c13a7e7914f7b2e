"""A pytest fixture for CUDA kernels: ``cuda_check`` runs one on the CPU and fails with the report.

Write into ``conftest.py``: ``pytest_plugins = ["minidl.testing.cuda"]``. Then::

    def test_double(cuda_check):
        x = np.arange(100, dtype=np.float32)
        y = np.zeros_like(x)
        cuda_check("double.cu", x, y, 100, grid=1, block=128)
        assert np.array_equal(y, 2 * x)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from minidl.kernels.sim import Limits
from minidl.kernels.sim.checking import check_kernel, the_kernel
from minidl.kernels.sim.counts import Counts


@pytest.fixture
def cuda_check() -> Callable[..., Counts]:
    """``cuda_check(source, *args, grid=..., block=...)`` runs a kernel; the test fails if something is found.

    ``source`` is a ``.cu`` file, or the text of one; ``args`` are NumPy arrays, in which the kernel leaves
    its results, and numbers. Further arguments: ``kernel`` (its name, if there are several), ``shared_mem``,
    ``options`` (``("-DTILE=16",)``), ``orders`` (of threads and blocks; by default ascending, descending and
    one shuffled), ``unset``, ``time_limit`` (seconds of each run) and ``memory_limit`` (MiB). The result is
    the launch's counts. The source's code runs in processes of its own, as ``minidl cuda-check`` runs it.
    """

    def check(
        source: str | Path,
        *args: Any,
        grid: Any,
        block: Any,
        kernel: str | None = None,
        shared_mem: int = 0,
        options: Sequence[str] = (),
        orders: Sequence[int] = (0, 1, 2),
        unset: Sequence[str] = (),
        time_limit: float = Limits.seconds,
        memory_limit: int = Limits.memory // 2**20,
    ) -> Counts:
        __tracebackhide__ = True
        is_file = isinstance(source, Path) or source.endswith((".cu", ".cuh"))
        limits = Limits(seconds=time_limit, memory=memory_limit * 2**20)
        chosen = the_kernel(Path(source) if is_file else source, kernel, options, limits)
        found = check_kernel(
            chosen,
            grid,
            block,
            args,
            shared_mem=shared_mem,
            orders=orders,
            unset=unset,
        )
        print(found.printed, end="")
        if found.findings:
            pytest.fail(found.report(), pytrace=False)
        return found.counts

    return check
