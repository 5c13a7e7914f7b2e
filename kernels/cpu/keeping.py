"""What Numba has compiled, kept on disk in files of our own (``kernels/caching.py``).

Numba's own cache has an index file for each function: a damaged one raises out of the first call, a full disk
as well, and two processes that compile one function for different types at once may give both the same data
file. Here each combination of function and types has one file, named after both, which says itself what it
is for; what cannot be read is compiled anew, what cannot be written is not kept.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minidl.kernels import caching


class Kept:
    """A function's compiled code on disk: what Numba's dispatcher asks of a cache."""

    def __init__(self, function: Callable[..., Any], folder: Path) -> None:
        self.folder, self.function = folder, function
        self.cache_path = str(folder)

    def _key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        """Everything that the code depends on and that the folder's name does not say."""
        from numba.core.serialize import dumps

        code = self.function.__code__
        cells = tuple(cell.cell_contents for cell in self.function.__closure__ or ())
        closure = hashlib.sha256(dumps(cells)).hexdigest() if cells else ""
        place = self.function.__module__, self.function.__qualname__, code.co_firstlineno
        return sig, codegen.magic_tuple(), place, hashlib.sha256(code.co_code).hexdigest(), closure

    def _path(self, key: tuple[Any, ...]) -> Path:
        digest = hashlib.sha256(repr(key).encode()).hexdigest()
        return self.folder / f"{self.function.__name__}-{digest[:32]}.nbc"

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled function for these types, or None."""
        target_context.refresh()
        key = self._key(sig, target_context.codegen())
        path = self._path(key)
        if (data := caching.read(path)) is None:
            return None
        try:
            from numba.core.compiler import CompileResult

            stored, reduced = pickle.loads(data)
            return CompileResult._rebuild(target_context, *reduced) if stored == key else None
        except Exception:  # whole, but of no use: the library that wrote it had been changed by hand, say
            caching.damaged(path)
            return None

    def save_overload(self, sig: Any, compiled: Any) -> None:
        """Keep the code, unless it holds addresses that mean something in this process only."""
        from numba.core.serialize import dumps

        code = compiled.library
        if compiled.lifted or code.has_dynamic_globals:
            return
        key = self._key(sig, compiled.codegen)
        caching.write(self._path(key), dumps((key, compiled._reduce())))

    def flush(self) -> None:
        """Numba's ``recompile``: what is there is written over."""

    enable = disable = flush
