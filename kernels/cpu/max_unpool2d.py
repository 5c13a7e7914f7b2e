"""Max unpooling (backend ``"numba"``): the reference's. It is one pass of NumPy's over few numbers."""

from __future__ import annotations

from minidl.kernels.reference.max_unpool2d import gather, put, scatter_add, stayed

__all__ = ["gather", "put", "scatter_add", "stayed"]
