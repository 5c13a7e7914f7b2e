"""CUDA C on the CPU: what lets ``kernels/cuda/*.cu`` run, and be checked, without a GPU.

``sim/cupy`` stands in for CuPy; here is what its ``RawModule`` does: the source is compiled by the machine's
C++ compiler over a header that gives CUDA's language a meaning, each CUDA thread is a fiber, and in check
mode every access to memory is looked at: bounds, races, alignment, unwritten shared memory.
``docs/cuda-check.md`` shows it.

* ``source.py``: the little that must be rewritten (``shared_variables.py``, ``texts.py``).
* ``compiler.py``: g++ and the cache of what it makes. ``lines.py``: places of its code in the source.
* ``module.py``: ``RawModule`` and ``RawKernel``, as CuPy's. ``compiled.py``, ``launching.py``: how they run.
* ``modes.py``: fast and check. ``findings.py``, ``counts.py``: what a checked launch says.
* ``checking.py``: one kernel over NumPy arrays, for ``minidl cuda-check`` and the pytest fixture, in a
  process of its own (``confined.py``, ``processes.py``, ``runtime/process/``): the source may be anybody's.
* ``runtime/``: the C++ side.
"""

from minidl.kernels.sim.compiler import CompileError as CompileError
from minidl.kernels.sim.compiler import CompileLimit as CompileLimit
from minidl.kernels.sim.compiler import NoCompiler as NoCompiler
from minidl.kernels.sim.confined import LoadError as LoadError
from minidl.kernels.sim.confined import MemoryLimit as MemoryLimit
from minidl.kernels.sim.counts import Counts as Counts
from minidl.kernels.sim.counts import LineCounts as LineCounts
from minidl.kernels.sim.findings import Finding as Finding
from minidl.kernels.sim.findings import KernelFault as KernelFault
from minidl.kernels.sim.findings import Party as Party
from minidl.kernels.sim.modes import Mode as Mode
from minidl.kernels.sim.modes import checked as checked
from minidl.kernels.sim.modes import mode as mode
from minidl.kernels.sim.processes import Limits as Limits
from minidl.kernels.sim.source import SourceError as SourceError
