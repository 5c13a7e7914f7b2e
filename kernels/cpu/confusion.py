"""The confusion matrix (backend ``"numba"``): the reference's, whose counting is compiled code of NumPy's."""

from __future__ import annotations

from minidl.kernels.reference.confusion import matrix

__all__ = ["matrix"]
