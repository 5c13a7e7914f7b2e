"""For tests that set numbers of threads: a fresh start, and what BLAS has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import threadpoolctl

from minidl.kernels import threads


@pytest.fixture(autouse=True)
def nobody_has_set_a_number(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a fresh process; BLAS is given back what it had. Holds in every module that imports it."""
    monkeypatch.setattr(threads, "_count", None)
    with threadpoolctl.threadpool_limits():
        yield


def blas_threads() -> list[int]:
    """Of each BLAS in this process."""
    return [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
