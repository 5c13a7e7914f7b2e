"""Methods and operators of the simulated array, from CuPy's signatures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.kernels.sim.cupy._arrays import ndarray, to_host
from minidl.kernels.sim.cupy._tables import device_function, signature_of, ufunc, wrapped

#: A star: the result keeps the order in memory that NumPy gives it.
METHODS = """
all(self, axis=None, out=None, keepdims=False)
any(self, axis=None, out=None, keepdims=False)
argmax(self, axis=None, out=None, dtype=None, keepdims=False)
argmin(self, axis=None, out=None, dtype=None, keepdims=False)
argsort(self, axis=-1, kind=None)
*astype(self, dtype, order='K', casting=None, subok=None, copy=True)
clip(self, min=None, max=None, out=None)
*copy(self, order='C')
cumprod(self, axis=None, dtype=None, out=None)
cumsum(self, axis=None, dtype=None, out=None)
diagonal(self, offset=0, axis1=0, axis2=1)
dot(self, b, out=None)
fill(self, value)
*flatten(self, order='C')
max(self, axis=None, out=None, keepdims=False)
mean(self, axis=None, dtype=None, out=None, keepdims=False)
min(self, axis=None, out=None, keepdims=False)
nonzero(self)
prod(self, axis=None, dtype=None, out=None, keepdims=None)
*ravel(self, order='C')
repeat(self, repeats, axis=None)
*reshape(self, *shape, order='C', copy=None)
round(self, decimals=0, out=None)
sort(self, axis=-1, kind=None)
squeeze(self, axis=None)
std(self, axis=None, dtype=None, out=None, ddof=0, keepdims=False)
sum(self, axis=None, dtype=None, out=None, keepdims=False)
swapaxes(self, axis1, axis2)
take(self, indices, axis=None, out=None)
trace(self, offset=0, axis1=0, axis2=1, dtype=None, out=None)
transpose(self, *axes)
var(self, axis=None, dtype=None, out=None, ddof=0, keepdims=False)
"""

BINARY = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "power", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
    "lshift": "left_shift", "rshift": "right_shift", "divmod": "divmod", "matmul": "matmul",
}  # fmt: skip
COMPARISONS = {
    "lt": "less", "le": "less_equal", "eq": "equal", "ne": "not_equal", "gt": "greater",
    "ge": "greater_equal",
}  # fmt: skip
UNARY = {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert"}


def _computing(name: str) -> Callable[..., Any]:
    method = getattr(np.ndarray, name)

    def compute(host: Any, *args: Any, **options: Any) -> Any:
        given = {key: value for key, value in options.items() if value is not None or key == "axis"}
        if name == "take":
            return _take(host, *args, **given)
        return method(host, *args, **given)

    return compute


def _take(host: Any, indices: Any, axis: int | None = None, out: Any = None) -> Any:
    return np.take(host, indices, axis, out, mode="wrap")  # CuPy's


def _view(self: ndarray, dtype: Any = None, type: Any = None) -> Any:
    return device_view(self) if dtype is None else device_view(self, dtype)


def _getitem(self: ndarray, index: Any) -> Any:
    return taken(self, wrapped(index, self))


def _setitem(self: ndarray, index: Any, value: Any) -> None:
    if isinstance(value, np.ndarray) and value.ndim:
        # The only place where CuPy takes a host array, by copying it: here it is asked for in so many words.
        raise TypeError(f"Unsupported type {type(value)}")
    found: list[ndarray] = []
    host, place, new = (to_host(part, found) for part in (self, wrapped(index, self), value))
    with np.errstate(all="ignore"):
        host[place] = new


def _operator(name: str, reflected: bool) -> Callable[..., Any]:
    function = ufunc(name)

    def operator(self: ndarray, other: Any) -> Any:
        if not isinstance(other, ndarray | np.ndarray | np.generic | int | float | complex):
            return NotImplemented
        return function(other, self) if reflected else function(self, other)

    return operator


def _in_place(name: str) -> Callable[..., Any]:
    function = ufunc(name)

    def operator(self: ndarray, other: Any) -> Any:
        return function(self, other, out=self)

    return operator


def _unary(name: str) -> Callable[..., Any]:
    function = ufunc(name)
    return lambda self: function(self)


taken = device_function("__getitem__", signature_of("f(self, index)")[1], lambda host, index: host[index])
device_view = device_function("view", signature_of("f(self, dtype=None)")[1], lambda host, *d: host.view(*d))


def install() -> None:
    """Put them into the class."""
    for line in METHODS.strip().splitlines():
        name, signature = signature_of(line.removeprefix("*"))
        setattr(ndarray, name, device_function(name, signature, _computing(name), line.startswith("*")))
    for name, function in BINARY.items():
        setattr(ndarray, f"__{name}__", _operator(function, False))
        setattr(ndarray, f"__r{name}__", _operator(function, True))
        if name not in ("divmod", "matmul"):
            setattr(ndarray, f"__i{name}__", _in_place(function))
    for name, function in COMPARISONS.items():
        setattr(ndarray, f"__{name}__", _operator(function, False))
    for name, function in UNARY.items():
        setattr(ndarray, f"__{name}__", _unary(function))
    written_out = {"__getitem__": _getitem, "__setitem__": _setitem, "view": _view, "__hash__": None}
    for name, method in written_out.items():
        setattr(ndarray, name, method)
