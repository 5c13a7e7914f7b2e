"""The used part of ``cupy.lib``."""

from minidl.kernels.sim.cupy.lib import stride_tricks as stride_tricks
