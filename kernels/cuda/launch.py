"""The one way to launch a kernel: everything is checked before anything runs.

``cupy.RawKernel`` checks nothing. A wrong number of arguments crashes; a Python float arrives as a double, of
which a ``float`` parameter reads half; a view is taken for its base; an array of another device, or of the
host, is an address like any other. Here each of these is a :class:`LaunchError` that names the kernel and the
argument. The same code runs for CuPy and for its stand-in, so what passes there passes on a GPU.

>>> import minidl.kernels.sim.cupy as xp
>>> x = xp.zeros(5, xp.float32)
>>> Module("relu.cu").file.name
'relu.cu'
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from minidl.kernels.cuda.device import kind_of, namespace
from minidl.kernels.cuda.errors import LaunchError
from minidl.kernels.cuda.signature import ALIGNMENT, Parameter, Signature, signatures

FOLDER = Path(__file__).resolve().parent
#: Limits of every architecture since sm_30.
MAX_GRID = (2**31 - 1, 65535, 65535)
MAX_BLOCK = (1024, 1024, 64)
MAX_THREADS = 1024
#: Bytes of shared memory that a block gets without asking the driver for more.
MAX_SHARED = 48 * 1024
INT_MAX = 2**31 - 1

Extents = int | Sequence[int]


class Module:
    """The kernels of one ``.cu`` file. Making one reads nothing: files are read at the first launch.

    Args:
        file: its name in this folder, or a path.
        defines: further macros, the same for all of its kernels.

    Attributes:
        file: the path.
    """

    def __init__(self, file: str | Path, **defines: int | str) -> None:
        self.file = FOLDER / file  # an absolute path stays what it is
        self.defines = {name: str(value) for name, value in defines.items()}
        self._modules: dict[tuple[Any, ...], Any] = {}
        self._kernels: dict[tuple[Any, ...], Any] = {}

    @cached_property
    def source(self) -> str:
        """The text of the file."""
        return self.file.read_text(encoding="utf-8")

    @cached_property
    def signatures(self) -> dict[str, Signature]:
        """What the text says of each kernel."""
        return signatures(self.source)

    def launch(
        self,
        kernel: str,
        grid: Extents,
        block: Extents,
        *args: Any,
        like: Any,
        shared_bytes: int = 0,
        through: Sequence[Any] = (),
    ) -> None:
        """Run a kernel on the device where ``like`` lives, in the current stream.

        Args:
            kernel: its name.
            grid: blocks, one to three extents.
            block: threads of a block, one to three extents.
            args: as in the source. Arrays for pointers (None where the source says "or null"), Python or
                NumPy integers for integers, NumPy scalars of exactly the right type for floating point.
            like: an array of the device; all others must live there, too.
            shared_bytes: of dynamic shared memory, for a kernel that declares ``extern __shared__``.
            through: arrays that the kernel reaches by addresses in a table. A GPU need not know of them; the
                simulator's checker does, and the caller must keep them alive.

        Raises:
            LaunchError: an argument does not fit. Nothing has run.
        """
        signature = self._signature(kernel)
        if kind_of(like) is None:
            raise LaunchError(f"{kernel}: like= must be an array on a device, not {_describe(like)}")
        _check_count(signature, args)
        macros = self._macros(signature, args, grid_width(grid, block), like)
        extents = _check_extents(signature, grid, block, self._numbers)
        _check_shared(signature, shared_bytes)
        values = tuple(
            _argument(signature, number, p, a, macros, like)
            for number, (p, a) in enumerate(zip(signature.parameters, args, strict=True), 1)
        )
        with like.device:
            compiled = self._compiled(kernel, macros, like)
            extra = {} if namespace(like).__name__ == "cupy" or not through else {"through": tuple(through)}
            compiled(*extents, values, shared_mem=shared_bytes, **extra)

    @cached_property
    def _numbers(self) -> dict[str, str]:
        """Macros of the file that are plain numbers: a ``__launch_bounds__`` may be given by one."""
        return {**dict(re.findall(r"^#define[ \t]+(\w+)[ \t]+(\d+)\b", self.source, re.M)), **self.defines}

    def _signature(self, kernel: str) -> Signature:
        try:
            return self.signatures[kernel]
        except KeyError:
            known = ", ".join(self.signatures) or "none"
            raise LaunchError(f"{self.file.name} has no kernel {kernel!r}; it has: {known}") from None

    def _macros(self, signature: Signature, args: Sequence[Any], width: int, like: Any) -> dict[str, str]:
        """What REAL and INDEX stand for in this launch."""
        return {"REAL": _real(signature, args, like), "INDEX": _index(signature, args, width)}

    def options(self, macros: dict[str, str]) -> tuple[str, ...]:
        """What the compiler is given.

        CuPy keeps compiled code under a hash of the source and the options, not of the headers: an edited
        header would not be noticed, were its hash not among the options.
        """
        headers = b"".join(path.read_bytes() for path in sorted(self.file.parent.glob("*.cuh")))
        folders = dict.fromkeys((self.file.parent, FOLDER))
        return (
            "-std=c++17",
            *(f"-D{name}={value}" for name, value in {**self.defines, **macros}.items()),
            f"-DMINIDL_HEADERS=0x{hashlib.sha256(headers).hexdigest()[:8]}",
            *(f"-I{folder}" for folder in folders),
        )

    def _compiled(self, kernel: str, macros: dict[str, str], like: Any) -> Any:
        """The compiled kernel, kept for each device and choice of options."""
        xp = namespace(like)
        key = (xp.__name__, like.device.id, *macros.values())
        if key not in self._modules:
            self._modules[key] = xp.RawModule(
                code=self.source, options=self.options(macros), **self._extras(xp)
            )
        if (kernel, *key) not in self._kernels:
            self._kernels[kernel, *key] = self._modules[key].get_function(kernel)
        return self._kernels[kernel, *key]

    def _extras(self, xp: Any) -> dict[str, Any]:
        """The simulator reports lines of a file, so it is told which; CuPy has no such argument."""
        return {} if xp.__name__ == "cupy" else {"file": str(self.file)}


def grid_width(grid: Extents, block: Extents) -> int:
    """Threads along x: how far a grid-stride loop steps."""
    with contextlib.suppress(TypeError, ValueError, IndexError):
        return int(_three(grid)[0]) * int(_three(block)[0])
    return 0  # what is not a number is refused later, with a better message


def _three(extents: Extents) -> tuple[Any, ...]:
    given = tuple(extents) if isinstance(extents, Sequence) else (extents,)
    return (*given, 1, 1)[: max(3, len(given))]


def _check_count(signature: Signature, args: Sequence[Any]) -> None:
    if len(args) != len(signature.parameters):
        raise LaunchError(
            f"{signature.name}: {len(args)} arguments for {len(signature.parameters)} parameters: {signature}"
        )


def _check_extents(
    signature: Signature, grid: Extents, block: Extents, numbers: dict[str, str]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Grid and block as three ints each, within the limits."""
    checked = []
    for what, extents, limits in (("grid", grid, MAX_GRID), ("block", block, MAX_BLOCK)):
        three = _three(extents)
        if len(three) != 3 or not all(isinstance(e, int | np.integer) for e in three):
            raise LaunchError(f"{signature.name}: {what} must be one to three integers, not {extents!r}")
        if min(three) < 1:
            raise LaunchError(f"{signature.name}: {what} {three} is empty; return before the launch instead")
        if any(e > limit for e, limit in zip(three, limits, strict=True)):
            raise LaunchError(f"{signature.name}: {what} {three} exceeds the limits {limits}")
        checked.append(tuple(int(e) for e in three))
    threads = checked[1][0] * checked[1][1] * checked[1][2]
    if threads > MAX_THREADS:
        raise LaunchError(
            f"{signature.name}: block {checked[1]} has {threads} threads; {MAX_THREADS} are allowed"
        )
    bound = _launch_bound(signature, numbers)
    if bound is not None and threads > bound:
        raise LaunchError(f"{signature.name}: {threads} threads in a block; __launch_bounds__ says {bound}")
    return checked[0], checked[1]


def _launch_bound(signature: Signature, numbers: dict[str, str]) -> int | None:
    """The number in ``__launch_bounds__``, None if it is an expression that the compiler must work out."""
    text = signature.max_threads
    text = numbers.get(text, text) if text else text
    return int(text) if text and text.isdigit() else None


def _check_shared(signature: Signature, shared_bytes: int) -> None:
    if signature.dynamic_shared and shared_bytes <= 0:
        raise LaunchError(f"{signature.name}: declares extern __shared__ memory; give shared_bytes=")
    if not signature.dynamic_shared and shared_bytes:
        raise LaunchError(
            f"{signature.name}: has no extern __shared__ memory, but shared_bytes={shared_bytes}"
        )
    if shared_bytes > MAX_SHARED:
        raise LaunchError(f"{signature.name}: shared_bytes={shared_bytes}; a block gets at most {MAX_SHARED}")


def _real(signature: Signature, args: Sequence[Any], like: Any) -> str:
    """``float`` or ``double``: as the first array given for a REAL pointer, else the first REAL number."""
    given = [(p, a) for p, a in zip(signature.parameters, args, strict=True) if p.ctype in ("REAL", "VECTOR")]
    given.sort(key=lambda pair: not pair[0].pointer)
    dtypes = (a.dtype for _, a in given if hasattr(a, "dtype"))
    dtype = next(dtypes, like.dtype)
    return "double" if dtype == np.float64 else "float"


def _index(signature: Signature, args: Sequence[Any], width: int) -> str:
    """``long long`` where a position may pass 2^31 - 1, even by one step of a grid-stride loop."""
    largest = max((int(a.size) for a in args if hasattr(a, "strides")), default=0) + width
    numbers = (
        int(a)
        for p, a in zip(signature.parameters, args, strict=True)
        if p.ctype == "INDEX" and not p.pointer and isinstance(a, int | np.integer)
    )
    return "long long" if max(largest, *map(abs, numbers), 0) > INT_MAX else "int"


def _describe(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"a NumPy array of shape {value.shape}, which lives on the host"
    if hasattr(value, "dtype"):
        return f"{type(value).__name__} of dtype {value.dtype}"
    return f"{type(value).__name__} ({value!r})" if isinstance(value, int | float) else type(value).__name__


def _argument(
    signature: Signature, number: int, parameter: Parameter, value: Any, macros: dict[str, str], like: Any
) -> Any:
    """What CuPy is given for one parameter."""
    place = f"{signature.name}: argument {number} '{parameter}'"
    dtype = parameter.dtype(macros)
    if parameter.pointer:
        return _pointer(place, parameter, value, dtype, like)
    return _number(place, value, dtype)


def _pointer(place: str, parameter: Parameter, value: Any, dtype: np.dtype[Any], like: Any) -> Any:
    if value is None:
        if parameter.nullable:
            return None
        raise LaunchError(f"{place} is None; the source does not say that it may be null")
    kind = kind_of(value)
    if kind is None:
        raise LaunchError(f"{place} wants an array on the device, got {_describe(value)}")
    if kind != kind_of(like) or value.device.id != like.device.id:
        raise LaunchError(
            f"{place} lives on {kind}:{value.device.id}, but the kernel runs on "
            f"{kind_of(like)}:{like.device.id}"
        )
    if value.dtype != dtype:
        raise LaunchError(f"{place} wants {dtype}, got an array of {value.dtype}")
    if not value.flags.c_contiguous:
        raise LaunchError(
            f"{place} is not in C order (shape {value.shape}, strides {value.strides}), and the kernel knows "
            "nothing of strides; call xp.ascontiguousarray"
        )
    vector = ALIGNMENT.get(parameter.ctype, 1)
    if value.data.ptr % vector:
        raise LaunchError(f"{place} begins at an address that is no multiple of {vector} bytes")
    return value


def _number(place: str, value: Any, dtype: np.dtype[Any]) -> np.generic:
    if dtype.kind == "f":
        if isinstance(value, np.generic) and value.dtype == dtype:
            return value
        hint = (
            f"write np.{dtype}(...)" if isinstance(value, float | int | np.number) else "a number is needed"
        )
        raise LaunchError(f"{place} wants a NumPy scalar of {dtype}, got {_describe(value)}: {hint}")
    if dtype.kind == "b":
        if isinstance(value, bool | np.bool_):
            return np.bool_(value)
        raise LaunchError(f"{place} wants True or False, got {_describe(value)}")
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise LaunchError(f"{place} wants an integer, got {_describe(value)}")
    limits = np.iinfo(dtype)
    if not limits.min <= int(value) <= limits.max:
        raise LaunchError(f"{place}: {int(value)} does not fit into {dtype}")
    return dtype.type(value)
