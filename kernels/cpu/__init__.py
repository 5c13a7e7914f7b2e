"""Kernels compiled by Numba, fast on CPUs (backend ``"numba"``).

A file here has the functions of the file of the same name in ``reference/``, with the same arguments and
the same results; its text says what it does differently and why that is faster.

What every file keeps to:

* Compiled functions work on ranges of independent pieces and let go of Python's lock; plain threads
  (``kernels/threads.py``) deal them out. Numba's own ``parallel=True`` is not used: its threading layers
  abort the process when it forks (``omp``) or when two Python threads enter at once (``workqueue``), and such
  code takes several times as long to compile.
* Memory order: activations are (N, C, H, W) by shape and channels-last in memory (see ``kernels/layout.py``).
* Compiled code is kept on disk (``keeping.py``). What a function calls is part of its code; so the folder of
  the cache is named after a hash of all sources here (:func:`cache_folder`).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from minidl.kernels import caching, compiling, forks


def _name() -> str:
    """``minidl-HASH``, with the hash over the sources of these kernels and the versions of their compiler.

    After any change another folder is used, and nothing stale can be found.
    """
    import llvmlite
    import numba

    digest = hashlib.sha256(f"{sys.version} {numba.__version__} {llvmlite.__version__}".encode())
    digest.update(os.environ.get("MINIDL_VECTOR_BYTES", "").encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return f"minidl-{digest.hexdigest()[:16]}"


@functools.cache
def cache_folder() -> Path:
    """Where compiled code is kept: below ``NUMBA_CACHE_DIR``, else in the user's own cache folder.

    Where others could write there, or nobody can, it is a temporary folder (``kernels/caching.py``).
    """
    parent = os.environ.get("NUMBA_CACHE_DIR") or caching.in_users_folder()
    name = _name()
    folder = caching.trusted(None if parent is None else os.path.join(parent, name))
    if folder.name == name and not any(folder.iterdir()):
        _forget_old(folder.parent)
    return folder


def kept_for_good() -> bool:
    """Whether code that is compiled now will be found by later processes."""
    with contextlib.suppress(OSError):
        return cache_folder().name == _name()
    return False


def nothing_kept() -> bool:
    """Whether nothing has been compiled here yet, so that a first kernel will take its time."""
    with contextlib.suppress(OSError):
        return not any(cache_folder().iterdir())
    return True


def _forget_old(parent: Path) -> None:
    """Remove what other versions of the kernels left there, if nothing was added to it for a month."""
    for folder in parent.glob("minidl-" + "[0-9a-f]" * 16):
        if time.time() - folder.stat().st_mtime > 30 * 24 * 3600:
            shutil.rmtree(folder, ignore_errors=True)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """``numba.njit`` that lets go of Python's lock and keeps its code on disk.

    Where there is no folder for that, the function is compiled anew in each process. So are functions from
    elsewhere: the folder's name says nothing of their sources.
    """
    import numba  # half a second: only when the first compiled kernel is asked for

    from minidl.kernels.cpu.keeping import Kept

    _guard_compiler()
    made: Any = numba.njit(nogil=True, error_model="numpy")(function)
    if not hasattr(made, "py_func"):  # NUMBA_DISABLE_JIT: the function itself
        made.py_func = made
    elif (function.__module__ or "").startswith(__name__):
        with contextlib.suppress(OSError):  # no folder, not even a temporary one
            made._cache = Kept(function, cache_folder())
    return cast(Callable[..., Any], made)


@functools.cache
def _guard_compiler() -> None:
    """Forks wait for compilations: their children could not take the locks of the compiler.

    Who watches is told of them.
    """
    compiling.watch_numba()
    import llvmlite.binding.ffi
    from numba.core.compiler_lock import global_compiler_lock

    for owner, rank in (
        (global_compiler_lock, forks.COMPILING),
        (llvmlite.binding.ffi.lib._lock, forks.LLVM),
    ):
        lock = getattr(owner, "_lock", None)  # an RLock; other versions may keep it elsewhere
        if hasattr(lock, "_at_fork_reinit"):
            forks.guarded(lock, rank)
