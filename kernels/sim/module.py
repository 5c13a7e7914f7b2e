"""``RawModule`` and ``RawKernel`` with CuPy's signatures: a ``.cu`` source run on the CPU.

Where CuPy passes on whatever it is given, these check number and types of the arguments, and the launch's
limits.

>>> import numpy as np
>>> source = "extern \\"C\\" __global__ void twice(float* x) { x[threadIdx.x] *= 2; }"
>>> twice = RawKernel(source, "twice", host_arrays=True)
>>> x = np.arange(4, dtype=np.float32)
>>> twice((1,), (4,), (x,))  # doctest: +SKIP
>>> x  # doctest: +SKIP
array([0., 2., 4., 6.], dtype=float32)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from minidl.kernels import forks
from minidl.kernels.sim import compiler, launching
from minidl.kernels.sim.compiled import MAX_STATIC_SHARED, Library, Ready
from minidl.kernels.sim.modes import Mode, mode
from minidl.kernels.sim.processes import Limits
from minidl.kernels.sim.source import Translated, read_file, translate


class RawModule:
    """A CUDA C source; see ``cupy.RawModule``.

    Args:
        code: the source.
        path: or a ``.cu`` file (CuPy takes binaries there, which mean nothing here).
        options: NVRTC's; ``-D``, ``-U``, ``-I`` and ``--fmad`` matter here.
        backend: as in CuPy; makes no difference.
        translate_cucomplex: not simulated; False.
        enable_cooperative_groups: not simulated; False.
        name_expressions: not simulated (template kernels); None.
        jitify: makes no difference.
        file: what the findings and messages call ``code``.
        host_arrays: let kernels take NumPy arrays, too.
        read: the text of a file: of ``path``, and of what a source includes.

    Raises:
        SourceError: the source has something that cannot be run here.
    """

    def __init__(
        self,
        code: str | None = None,
        *,
        path: str | None = None,
        options: Sequence[str] = (),
        backend: str = "nvrtc",
        translate_cucomplex: bool = False,
        enable_cooperative_groups: bool = False,
        name_expressions: Sequence[str] | None = None,
        jitify: bool | None = None,
        file: str | None = None,
        host_arrays: bool = False,
        read: Callable[[Path], str] = read_file,
    ) -> None:
        if (code is None) == (path is None):
            raise TypeError("RawModule: exactly one of code and path must be given")
        if not isinstance(options, tuple):
            raise TypeError("RawModule: options must be a tuple of str")
        if translate_cucomplex or enable_cooperative_groups or name_expressions is not None:
            raise NotImplementedError(
                "RawModule: complex numbers, cooperative groups and template kernels are not simulated"
            )
        self.backend, self.options, self.file_path, self.name_expressions = backend, options, path, None
        self.enable_cooperative_groups = False
        self.host_arrays = host_arrays
        self.code = code if code is not None else read(Path(str(path)))
        self.file = file or path or "kernel.cu"
        self._read = read
        self._flags, self._folders = compiler.compiler_options(options)
        self._translated: Translated | None = None
        self._libraries: dict[str, Library] = {}
        self._lock = forks.guarded(threading.Lock(), forks.COMPILING)

    @property
    def source(self) -> Translated:
        """The source as C++."""
        if self._translated is None:
            self._translated = translate(self.code, self.file, self._folders, self._read)
        return self._translated

    def compile(self, log_stream: Any = None) -> None:
        """Compile for the mode that holds now, unless that was done."""
        self._library(mode())

    def built(self, mode_name: str, limits: Limits | None = None) -> Path:
        """The compiled file for ``"fast"`` or ``"check"`` mode, which is not loaded."""
        return compiler.kernel_library(self.source, self._flags, mode_name, limits)

    def get_function(self, name: str) -> RawKernel:
        """A kernel of this module.

        Raises:
            ValueError: it has none of that name.
        """
        if name not in self.source.kernels:
            known = ", ".join(self.source.kernels) or "none"
            raise ValueError(f"{self.file} has no kernel {name!r}; it has: {known}")
        return RawKernel._of(self, name)

    def get_global(self, name: str) -> Any:
        """Not simulated: pass an array to the kernel."""
        raise NotImplementedError(
            f"RawModule.get_global({name!r}): variables outside of kernels are not simulated; pass an array"
        )

    def _library(self, how: Mode) -> Library:
        name = "check" if how.check else "fast"
        with self._lock:
            if name not in self._libraries:
                self._libraries[name] = Library(self.built(name))
            return self._libraries[name]


class RawKernel:
    """A kernel; see ``cupy.RawKernel``.

    Args:
        code: the source.
        name: of the kernel.
        options, backend, translate_cucomplex, enable_cooperative_groups, jitify, file, host_arrays:
            as of :class:`RawModule`.
    """

    def __init__(
        self,
        code: str,
        name: str,
        options: Sequence[str] = (),
        backend: str = "nvrtc",
        translate_cucomplex: bool = False,
        *,
        enable_cooperative_groups: bool = False,
        jitify: bool | None = None,
        file: str | None = None,
        host_arrays: bool = False,
    ) -> None:
        self._module = RawModule(
            code,
            options=options,
            backend=backend,
            translate_cucomplex=translate_cucomplex,
            enable_cooperative_groups=enable_cooperative_groups,
            jitify=jitify,
            file=file,
            host_arrays=host_arrays,
        )
        self._start(name)

    @classmethod
    def _of(cls, module: RawModule, name: str) -> RawKernel:
        kernel = cls.__new__(cls)
        kernel._module = module
        kernel._start(name)
        return kernel

    def _start(self, name: str) -> None:
        self.name = name
        self.code, self.options, self.backend = self._module.code, self._module.options, self._module.backend
        self.file_path, self.enable_cooperative_groups = self._module.file_path, False
        self.max_dynamic_shared_size_bytes = MAX_STATIC_SHARED
        self._ready: dict[str, Ready] = {}

    def compile(self, log_stream: Any = None) -> None:
        """Compile for the mode that holds now, unless that was done."""
        self._for(mode())

    def _for(self, how: Mode) -> Ready:
        key = "check" if how.check else "fast"
        if key not in self._ready:
            self._module.get_function(self.name)  # says what there is, if not this
            self._ready[key] = Ready(self._module._library(how), self._module.source.kernels[self.name])
        return self._ready[key]

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return self._module.source.kernels[self.name].parameters

    @property
    def letters(self) -> tuple[str, ...]:
        """Types of the parameters as NumPy's letters; P is a pointer."""
        return tuple(letter for letter, _, _ in self.signature)

    @property
    def signature(self) -> list[tuple[str, str, str]]:
        """Of each parameter: its type, what it points to (or ``-``), and r or w for that."""
        return self._for(mode()).signature

    @property
    def max_threads_per_block(self) -> int:
        """As ``__launch_bounds__`` says, else 1024."""
        return self._for(mode()).max_threads

    @property
    def shared_size_bytes(self) -> int:
        """Bytes of static shared memory."""
        return self._for(mode()).shared_bytes

    @property
    def attributes(self) -> dict[str, int]:
        """What is known of the compiled kernel without a GPU."""
        return {
            "max_threads_per_block": self.max_threads_per_block,
            "shared_size_bytes": self.shared_size_bytes,
            "max_dynamic_shared_size_bytes": self.max_dynamic_shared_size_bytes,
        }

    def __call__(
        self,
        grid: Any,
        block: Any,
        args: Sequence[Any],
        *,
        shared_mem: int = 0,
        through: Sequence[Any] = (),
        unset: Sequence[str] = (),
    ) -> None:
        """Run the kernel; see ``cupy.RawKernel.__call__``.

        Args:
            grid: blocks, one to three extents.
            block: threads of a block, one to three extents.
            args: arrays for pointers (None: null), NumPy scalars of exactly the right type for numbers.
            shared_mem: bytes of dynamic shared memory.
            through: arrays that the kernel reaches by addresses in a table; check mode must know of them.
            unset: parameters whose arrays count as never written: reading them is a finding in check mode.

        Raises:
            TypeError, ValueError: an argument does not fit; nothing has run.
            KernelFault: the kernel did something wrong.
        """
        how = mode()
        self._for(how).launch(
            launching.extents(f"{self.name}: grid", grid, launching.MAX_GRID),
            launching.extents(f"{self.name}: block", block, launching.MAX_BLOCK),
            args,
            int(shared_mem),
            how,
            self._module.host_arrays,
            through,
            unset,
        )
