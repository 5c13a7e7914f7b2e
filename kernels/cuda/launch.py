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

import hashlib
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from minidl.kernels import compiling
from minidl.kernels.cuda import plans
from minidl.kernels.cuda.arguments import (
    Extents,
    argument,
    check_count,
    check_extents,
    check_shared,
    describe,
    grid_width,
    index,
    real,
)
from minidl.kernels.cuda.device import kind_of, namespace
from minidl.kernels.cuda.errors import LaunchError
from minidl.kernels.cuda.plans import Places, Plan, places
from minidl.kernels.cuda.signature import Signature, signatures

FOLDER = Path(__file__).resolve().parent


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
        self._places: dict[str, Places] = {}
        self._plans: dict[tuple[Any, ...], Plan] = {}

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
        where = self._places.get(kernel)
        key = where and plans.key(where, grid, block, shared_bytes, args, like)
        plan = self._plans.get((kernel, key))
        if plan is None:
            plan = self._checked(kernel, grid, block, args, like, shared_bytes)
            if key is not None:
                self._keep((kernel, key), plan)
        values = plan.values(args, like)
        with like.device:
            if through and kind_of(like) == "cuda_sim":
                plan.compiled(plan.grid, plan.block, values, shared_mem=shared_bytes, through=tuple(through))
            else:
                plan.compiled(plan.grid, plan.block, values, shared_mem=shared_bytes)

    def _checked(
        self, kernel: str, grid: Extents, block: Extents, args: Sequence[Any], like: Any, shared_bytes: int
    ) -> Plan:
        """A launch that fits the kernel's declaration, and the kernel compiled for it.

        Raises:
            LaunchError: it does not fit.
        """
        signature = self._signature(kernel)
        if kind_of(like) is None:
            raise LaunchError(f"{kernel}: like= must be an array on a device, not {describe(like)}")
        check_count(signature, args)
        macros = self._macros(signature, args, grid_width(grid, block), like)
        extents = check_extents(signature, grid, block, self._numbers)
        check_shared(signature, shared_bytes)
        values = [
            argument(signature, number, p, a, macros, like)
            for number, (p, a) in enumerate(zip(signature.parameters, args, strict=True), 1)
        ]
        with like.device:
            compiled = self._compiled(kernel, macros, like)
        where = self._places.setdefault(kernel, places(signature))
        return Plan(signature, compiled, extents, macros, values, where)

    def _keep(self, key: tuple[Any, ...], plan: Plan) -> None:
        if len(self._plans) >= plans.MOST:  # shapes that change all the time: begin anew, rather than grow
            self._plans.clear()
        self._plans[key] = plan

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
        return {"REAL": real(signature, args, like), "INDEX": index(signature, args, width)}

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
            with compiling.under_way():  # now, unless the code is on disk
                self._kernels[kernel, *key] = self._modules[key].get_function(kernel)
        return self._kernels[kernel, *key]

    def _extras(self, xp: Any) -> dict[str, Any]:
        """The simulator reports lines of a file, so it is told which; CuPy has no such argument."""
        return {} if xp.__name__ == "cupy" else {"file": str(self.file)}
