"""Which code runs an operation: where the data live, and which implementation is preferred there.

Two questions are kept apart:

* *Where do the data live?* The array's type says so: a NumPy array is on the host, a CuPy array on a GPU, one
  of ``kernels/sim`` on a simulated GPU. :func:`array_module` gives the matching namespace, and element-wise
  ops are written against that.
* *Which implementation of a hot loop runs there?* A preference local to the current context:
  ``minidl.use("numpy")`` picks the readable reference kernels (``kernels/reference/``),
  ``minidl.use("numba")`` the compiled ones (``kernels/cpu/``). A tape node keeps the kernels that its forward
  used, so that its backward uses the same. Where nobody has said anything, :func:`default_backend` decides.

A kernel is found by name: function ``forward`` in file ``max_pool2d.py`` of the backend's folder. Where a
backend of the host has no such function, the reference kernel runs instead, and a
:class:`KernelFallbackWarning` says so once. On a device there is no other way to compute it, and it raises.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import types
import warnings
from collections.abc import Callable
from contextvars import ContextVar, Token
from functools import cache
from typing import Any, cast

import numpy as np

from minidl._switch import Setting, Switch
from minidl.kernels import contracts, forks
from minidl.kernels.cuda.device import kind_of, namespace

#: Backends for host arrays and the package that holds the kernels of each. The first one is the reference.
HOST_BACKENDS = {"numpy": "minidl.kernels.reference", "numba": "minidl.kernels.cpu"}
REFERENCE = "numpy"
#: Kinds of devices and the package of their kernels: a simulated device runs the very kernels of a GPU.
DEVICE_BACKENDS = {"cuda": "minidl.kernels.cuda", "cuda_sim": "minidl.kernels.cuda"}
#: What is preferred where nobody says otherwise: the first of these whose package is installed.
DEFAULTS = ("numba", "numpy")

_preferred: ContextVar[str | None] = ContextVar("minidl_backend", default=None)  # None: the default
_checking = Setting("minidl_checking", default=None)  # None: the environment says


class KernelFallbackWarning(UserWarning):
    """The preferred backend has no kernel for an operation; the reference kernel ran instead."""


class use:
    """Prefer a backend's kernels from here on, or within a ``with`` block.

    Args:
        backend: ``"numpy"`` (readable reference) or ``"numba"`` (compiled).

    Raises:
        ValueError: there is no such backend.

    >>> import minidl
    >>> with minidl.use("numpy"):
    ...     minidl.dispatch.backend()
    'numpy'
    >>> minidl.use("abacus")
    Traceback (most recent call last):
    ValueError: use: there is no backend 'abacus'; choose from numpy, numba
    """

    def __init__(self, backend: str) -> None:
        if backend not in HOST_BACKENDS:
            raise ValueError(f"use: there is no backend {backend!r}; choose from {', '.join(HOST_BACKENDS)}")
        self._backend = _that_runs(backend)
        self._before: list[Token[str | None]] = [_preferred.set(self._backend)]
        self._entered = False

    def __enter__(self) -> use:
        if self._entered:  # the first block has the preference from __init__, each further one sets its own
            self._before.append(_preferred.set(self._backend))
        self._entered = True
        return self

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(ValueError):  # closed from another context, which has its own preference
            _preferred.reset(self._before.pop())


class check_kernels(Switch):
    """Within this block every compiled kernel is compared with the reference kernel, call by call.

    The first result that differs by more than rounding raises a ``KernelMismatchError``
    (``minidl/_compare.py``), which names the kernel, the place, both values, the arguments, the module and
    the line. Backwards of what ran within the block are compared as well, wherever they run. It costs the
    time of the reference and a copy of each array: for debugging. ``MINIDL_CHECK_KERNELS=1`` in the
    environment compares in the whole process, ``minidl train`` included.

    Args:
        mode: False turns it off again within an outer block.

    >>> import minidl
    >>> x = minidl.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> with check_kernels():
    ...     minidl.ops.max_pool2d(x, 2).item()
    4.0
    """

    variable = _checking


def checks_kernels() -> bool:
    """Whether kernels are compared with the reference in the current context."""
    mode = _checking.get()
    return _told_to_check() if mode is None else mode


@cache
def _told_to_check() -> bool:
    return os.environ.get("MINIDL_CHECK_KERNELS", "") not in ("", "0")


def set_num_threads(count: int) -> None:
    """Use so many threads: compiled kernels, reference kernels and BLAS. Holds for the whole process.

    Until it is called, compiled kernels and BLAS use all cores, and reference kernels one thread and BLAS's.
    Which thread computes a piece of a result changes nothing about its value; how many there are may change
    the rounding of sums over whole batches.

    Raises:
        ValueError: the count is not positive.

    >>> before = get_num_threads()
    >>> set_num_threads(2); get_num_threads()
    2
    >>> set_num_threads(before)
    """
    from minidl.kernels import threads

    threads.set_num_threads(count)


def get_num_threads() -> int:
    """The number of threads that was set, else the number of cores that this process may use."""
    from minidl.kernels import threads

    return threads.get_num_threads()


def backend() -> str:
    """Name of the backend preferred in the current context."""
    return _preferred.get() or default_backend()


@cache
def default_backend() -> str:
    """The backend where nobody chose one: ``MINIDL_BACKEND``, else the compiled one if Numba is installed.

    The environment variable is read once, when it is first needed. Numba is looked for, not imported. With
    ``NUMBA_DISABLE_JIT=1`` it compiles nothing, and the reference kernels run.

    Raises:
        InputError: the variable names no backend, or one that is not installed.
    """
    from importlib.util import find_spec  # here, as all that is rarely needed: `import minidl` stays quick

    given = os.environ.get("MINIDL_BACKEND")
    if not given:
        return _that_runs(next(name for name in DEFAULTS if find_spec(name)))
    from minidl.errors import InputError

    if given not in HOST_BACKENDS:
        choices = ", ".join(HOST_BACKENDS)
        raise InputError(f"MINIDL_BACKEND: there is no backend {given!r}; choose from {choices}")
    if not find_spec(given):
        raise InputError(f"MINIDL_BACKEND: {given} is not installed; install it, or unset the variable")
    return _that_runs(given)


@cache
def _that_runs(backend: str) -> str:
    """The backend, or the reference where Numba was told not to compile; then one warning says so."""
    if backend == REFERENCE or compiles():
        return backend
    warnings.warn(
        f"NUMBA_DISABLE_JIT is set, so nothing is compiled: the {REFERENCE!r} kernels run instead",
        KernelFallbackWarning,
        stacklevel=3,
    )
    return REFERENCE


@cache
def compiles() -> bool:
    """Whether Numba compiles: it does unless ``NUMBA_DISABLE_JIT`` is a number other than 0."""
    try:
        return int(os.environ.get("NUMBA_DISABLE_JIT") or 0) == 0
    except ValueError:  # Numba takes no notice of it either
        return True


def array_module(array: Any) -> types.ModuleType:
    """The namespace whose functions work on ``array``: ``numpy``, or a device's (``cupy``, or its stand-in).

    >>> import numpy
    >>> array_module(numpy.zeros(3)) is numpy
    True
    """
    if type(array) is np.ndarray or kind_of(array) is None:
        return np
    return namespace(array)


class Kernels:
    """The kernels of one operation in one backend; each is an attribute, looked up when first used."""

    def __init__(self, operation: str, backend: str) -> None:
        self.operation = operation
        self.backend = backend

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        kernel = _find(self.backend, self.operation, name)
        if kernel is None and self.backend in DEVICE_BACKENDS:
            raise NotImplementedError(
                f"{self.operation}.{name}: there is no CUDA kernel for this operation (nor can the reference "
                "kernel run there, which is NumPy's); move the tensors to the CPU with .cpu()"
            )
        if kernel is None and self.backend != REFERENCE:
            warnings.warn(
                f"{self.operation}.{name}: no kernel in backend {self.backend!r}; "
                f"the {REFERENCE!r} kernel runs instead",
                KernelFallbackWarning,
                stacklevel=3,
            )
            kernel = _find(REFERENCE, self.operation, name)
        if kernel is None:
            raise NotImplementedError(f"{self.operation}.{name}: no backend has this kernel")
        reference = _find(REFERENCE, self.operation, name)
        kernel = contracts.checked(f"{self.operation}.{name}", kernel, reference)
        setattr(self, name, kernel)  # asked for once: the next access does not come here
        return kernel

    def arrange(self, array: Any, kernel: str) -> Any:
        """``array`` in the memory order that ``kernel`` takes, once for several kernels that read it."""
        from minidl.kernels.layout import to_c_order, to_channels_last

        order = {"C": to_c_order, "channels-last": to_channels_last}
        takes = getattr(getattr(self, kernel), "takes", None)
        return order[takes](array) if takes in order else array

    def __repr__(self) -> str:
        return f"<kernels of {self.operation} in backend {self.backend!r}>"


def _find(backend: str, operation: str, name: str) -> Callable[..., Any] | None:
    module_name = f"{DEVICE_BACKENDS.get(backend) or HOST_BACKENDS[backend]}.{operation}"
    try:
        with forks.loading():
            module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name:  # the file is there; something that it imports is not
            raise
        return None
    return getattr(module, name, None)


@cache
def _kernels(operation: str, backend: str) -> Kernels:
    return Kernels(operation, backend)


def kernels(operation: str, array: Any) -> Kernels:
    """The kernels of ``operation`` that run where ``array`` lives, as the current context prefers.

    Raises:
        NotImplementedError: the array lives on a device for which there are no kernels.

    >>> import minidl, numpy
    >>> with minidl.use("numpy"):
    ...     kernels("conv2d", numpy.zeros(1))
    <kernels of conv2d in backend 'numpy'>
    """
    kind = kind_of(array)
    if kind is not None:
        return _kernels(operation, kind)
    if not isinstance(array, np.ndarray):
        raise NotImplementedError(f"{operation}: no kernels for arrays of type {type(array).__name__}")
    found = _kernels(operation, backend())
    if found.backend == REFERENCE or not checks_kernels():
        return found
    from minidl._compare import Checked

    return cast(Kernels, Checked(found, _kernels(operation, REFERENCE)))
