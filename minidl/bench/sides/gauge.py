"""The machine itself: how fast NumPy's BLAS multiplies matrices here, and how fast memory can be copied."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from minidl.bench.sides.job import Job, Parts
from minidl.bench.tasks import Workload

#: (M, N, K) of the products that are tried; the fastest one is the measure.
SHAPES = ((1024, 1024, 1024), (2048, 1024, 1024), (1536, 1536, 1536), (4096, 512, 1024))
#: Numbers that are copied; too many for any cache.
COPIED = 16 * 2**20
#: How often they are copied, one after the other: the best counts.
COPIES = 4


class Side:
    """See :mod:`minidl.bench.sides`; the workload does not matter.

    Args:
        setting: not used.
        threads: that BLAS may use (the worker's environment says so), and that copy.
    """

    def __init__(self, setting: str, threads: int) -> None:
        self.threads = threads
        self.pool = ThreadPoolExecutor(threads)
        self.shape: tuple[int, int, int] | None = None
        self.matrices: tuple[Any, Any, Any] | None = None
        parts = [np.zeros(COPIED // threads, np.float32) for _ in range(threads)]
        self.copies = [(part, part + 1) for part in parts]

    def prepare(self, workload: Workload) -> Job:
        """Choose the fastest product, once."""
        if self.shape is None:
            for _ in range(2):  # the first time wakes BLAS's threads
                rates = {shape: self._multiply(shape) for shape in SHAPES}
            self.shape = max(rates, key=lambda shape: rates[shape])
        shape = self.shape

        def run() -> Parts:
            # Copies first: after a product BLAS's threads keep their cores busy for a while, waiting.
            rate = max(self._copy() for _ in range(COPIES))
            return {"sgemm": self._multiply(shape), "copy": rate}

        return Job(run, list)

    def _multiply(self, shape: tuple[int, int, int]) -> float:
        """FLOP/s of one product."""
        m, n, k = shape
        if self.matrices is None or self.matrices[2].shape != (m, n) or self.matrices[0].shape[1] != k:
            ones = np.ones
            self.matrices = ones((m, k), np.float32), ones((k, n), np.float32), ones((m, n), np.float32)
        a, b, c = self.matrices
        began = time.perf_counter()
        np.matmul(a, b, out=c)
        return 2 * m * n * k / (time.perf_counter() - began)

    def _copy(self) -> float:
        """Bytes that are read and written in a second, when all threads copy."""
        began = time.perf_counter()
        list(self.pool.map(lambda pair: np.copyto(*pair), self.copies))
        size = sum(into.nbytes for into, _ in self.copies)
        return 2 * size / (time.perf_counter() - began)
