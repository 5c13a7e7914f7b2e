"""Functions out of CuPy's signatures: the table says what may be given, NumPy computes it.

That CuPy's own signatures are these is a test (tests/parity/test_cupy_signatures.py).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.kernels.sim.cupy._arrays import ndarray, silence, to_device, to_host
from minidl.kernels.sim.cupy.cuda.device import get_device_id

#: What gives views, so may be asked of arrays of any device.
VIEWS = ("__getitem__", "diagonal", "reshape", "squeeze", "swapaxes", "transpose", "view")


def signature_of(line: str) -> tuple[str, inspect.Signature]:
    """Name and parameters of a line such as ``sum(a, axis=None)``."""
    name, _, parameters = line.partition("(")
    return name.strip(), inspect.signature(eval(f"lambda {parameters.rpartition(')')[0]}: None"))


def in_c_order(result: Any, found: list[Any]) -> Any:
    """CuPy makes new arrays in C order, whatever the order of what they were made of. Views stay views."""
    if isinstance(result, tuple | list):
        return type(result)(in_c_order(r, found) for r in result)
    if not isinstance(result, np.ndarray) or result.flags.c_contiguous or not result.ndim:
        return result
    if any(np.may_share_memory(result, source) for source in found):
        return result
    return np.ascontiguousarray(result)


def device_function(
    name: str, signature: inspect.Signature, compute: Callable[..., Any], keeps_order: bool = False
) -> Callable[..., Any]:
    """``compute``, a function of NumPy arrays, for arrays of a device and with CuPy's parameters."""

    def function(*args: Any, **options: Any) -> Any:
        try:
            signature.bind(*args, **options)
        except TypeError as error:
            raise TypeError(f"{name}() {error}") from None
        if name in VIEWS and args[0].device.id != get_device_id():
            with args[0].device:  # a view reads nothing: any device may be the current one
                return function(*args, **options)
        found: list[ndarray] = []
        given = [to_host(a, found) for a in args]
        named = {key: to_host(a, found) for key, a in options.items()}
        with silence():
            result = compute(*given, **named)
            if not keeps_order:
                result = in_c_order(result, [a._memory for a in found])
            return to_device(result, found)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"As ``cupy.{name}``, computed by NumPy."
    function.__signature__ = signature  # type: ignore[attr-defined]
    return function


#: Those that CuPy can do with ``at``.
SCATTERING = ("add", "subtract", "maximum", "minimum", "bitwise_and", "bitwise_or", "bitwise_xor")


class ufunc:
    """An element-wise function. New results lie in C order, as CuPy's do."""

    def __init__(self, name: str) -> None:
        self.__name__ = name
        self.name = f"cupy_{name}"
        self._numpy: Any = getattr(np, name)
        self.nin, self.nout = self._numpy.nin, self._numpy.nout
        self.nargs = self.nin + self.nout

    def __call__(
        self,
        *args: Any,
        out: Any = None,
        dtype: Any = None,
        casting: str = "same_kind",
        where: Any = None,
    ) -> Any:
        return self._run(self._numpy, args, out=out, dtype=dtype, casting=casting, where=where)

    def at(self, a: ndarray, indices: Any, b: Any = None) -> None:
        """In place, once for each index, however often it comes."""
        if self.__name__ not in (
            "add",
            "subtract",
            "maximum",
            "minimum",
            "bitwise_and",
            "bitwise_or",
            "bitwise_xor",
        ):
            raise NotImplementedError(f"`{self.name}.at`: CuPy has none")
        rest = () if b is None else (b,)
        self._run(self._numpy.at, (a, wrapped(indices, a), *rest))

    def outer(self, A: Any, B: Any, **kwargs: Any) -> Any:
        """Of all pairs."""
        return self._run(self._numpy.outer, (A, B), **kwargs)

    def reduce(
        self, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False
    ) -> Any:
        """Along an axis."""
        return self._run(self._numpy.reduce, (array,), axis=axis, dtype=dtype, out=out, keepdims=keepdims)

    def accumulate(self, array: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
        """Running results along an axis."""
        return self._run(self._numpy.accumulate, (array,), axis=axis, dtype=dtype, out=out)

    @staticmethod
    def _run(compute: Callable[..., Any], args: tuple[Any, ...], **options: Any) -> Any:
        found: list[ndarray] = []
        given = [to_host(a, found) for a in args]
        named = {name: to_host(a, found) for name, a in options.items() if a is not None}
        with silence():
            return to_device(in_c_order(compute(*given, **named), [a._memory for a in found]), found)

    def __repr__(self) -> str:
        return f"<ufunc '{self.name}'>"


def wrapped(index: Any, array: ndarray) -> Any:
    """An index whose integer arrays are taken modulo the extent: CuPy checks none, it wraps around."""
    parts = index if isinstance(index, tuple) else (index,)
    if not any(isinstance(p, ndarray) and p.dtype.kind in "iu" for p in parts):
        return index
    width = functools.reduce(lambda total, p: total + _dimensions(p), parts, 0)
    result, axis = [], 0
    for part in parts:
        if part is Ellipsis:
            axis += array.ndim - width
        elif isinstance(part, ndarray) and part.dtype.kind in "iu" and array.shape[axis]:
            result.append(to_device(part._host % array.shape[axis], []))
            axis += 1
            continue
        else:
            axis += _dimensions(part)
        result.append(part)
    return tuple(result) if isinstance(index, tuple) else result[0]


def _dimensions(part: Any) -> int:
    """How many of an array's axes a part of an index speaks of."""
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if isinstance(part, ndarray) and part.dtype.kind == "b" else 1
