"""NVIDIA's compiler as a library (NVRTC): what it says of a kernel, without a GPU and without a driver.

The wheel ``nvidia-cuda-nvrtc-cu12`` holds it, and so does every installation of CUDA. CuPy calls the same
library when a kernel is first launched; here it is called for any architecture, to see that each file
compiles and what each kernel costs (``budget.py``).
"""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

#: The folder of the .cu files, which is where they find ``common.cuh``.
FOLDER = Path(__file__).parent

#: What CI compiles for: Volta, Turing, Ampere (A100 and the GeForce 30 series), Ada, Hopper, Blackwell (B200
#: and the GeForce 50 series).
ARCHITECTURES = (70, 75, 80, 86, 89, 90, 100, 120)

#: The version whose figures are committed: another one allots registers differently.
VERSION = (12, 9)


class CompileError(RuntimeError):
    """NVRTC refused a file; the message is its log."""


class Compiled(NamedTuple):
    """What NVRTC made of a file."""

    log: str  #: warnings, and with ``--ptxas-options=-v`` the registers of each kernel
    ptx: str  #: the intermediate code, as text


def libraries() -> Iterator[Path]:
    """The NVRTC libraries of the installed wheels, CUDA 12's first."""
    for part in ("cuda_nvrtc", "cu13"):
        for folder in sys.path:
            for path in sorted((Path(folder or ".") / "nvidia" / part / "lib").glob("libnvrtc.so.*")):
                if "alt" not in path.name and "builtins" not in path.name:
                    yield path


@functools.cache
def compiler(major: int = VERSION[0]) -> Compiler | None:
    """The installed NVRTC of a major version, or None."""
    for path in libraries():
        found = Compiler(path)
        if found.version[0] == major:
            return found
    return None


class Compiler:
    """One NVRTC library.

    Args:
        path: the shared library.

    Raises:
        OSError: it cannot be loaded.
    """

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))
        major, minor = ctypes.c_int(), ctypes.c_int()
        self._library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
        self.version = (major.value, minor.value)

    def architectures(self) -> tuple[int, ...]:
        """Those of :data:`ARCHITECTURES` that this version knows."""
        count = ctypes.c_int()
        self._library.nvrtcGetNumSupportedArchs(ctypes.byref(count))
        known = (ctypes.c_int * count.value)()
        self._library.nvrtcGetSupportedArchs(known)
        return tuple(a for a in ARCHITECTURES if a in set(known))

    def compile(self, path: Path, architecture: int, real: str = "float", index: str = "int") -> Compiled:
        """Compile one file, with the options that the launcher gives.

        Args:
            path: the .cu file; its folder and that of ``common.cuh`` are searched for includes.
            architecture: compute capability, e.g. 80.
            real: element type, ``"float"`` or ``"double"``.
            index: index type, ``"int"`` or ``"long long"``.

        Raises:
            CompileError: the file does not compile, or there is a warning in it.
        """
        options = [
            f"-arch=sm_{architecture}",
            "-std=c++17",
            "-ftz=true",  # which CuPy adds to what it is given: float32 below 1.2e-38 becomes 0
            f"-I{path.parent}",
            f"-I{FOLDER}",
            f"-DREAL={real}",
            f"-DINDEX={index}",
            "--ptxas-options=-v",
        ]
        return self._compile(path.read_text(encoding="utf-8"), path.name, options)

    def _compile(self, text: str, name: str, options: Sequence[str]) -> Compiled:
        program, library = ctypes.c_void_p(), self._library
        code = library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), name.encode(), 0, None, None)
        if code:
            raise CompileError(f"{name}: nvrtcCreateProgram failed with code {code}")
        try:
            given = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
            code = library.nvrtcCompileProgram(program, len(options), given)
            log = self._text("ProgramLog", program)
            if code or f"{name}(" in log:  # "file.cu(12): warning ..."
                raise CompileError(f"{name} ({' '.join(options)}):\n{log}")
            return Compiled(log, self._text("PTX", program))
        finally:
            library.nvrtcDestroyProgram(ctypes.byref(program))

    def _text(self, what: str, program: Any) -> str:
        size = ctypes.c_size_t()
        if getattr(self._library, f"nvrtcGet{what}Size")(program, ctypes.byref(size)) or not size.value:
            return ""
        buffer = ctypes.create_string_buffer(size.value)
        getattr(self._library, f"nvrtcGet{what}")(program, buffer)
        return buffer.raw[: size.value].rstrip(b"\0").decode()
