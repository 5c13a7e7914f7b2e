"""The functions of the namespace, from CuPy's signatures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.kernels.sim.cupy._arrays import ELEMENTS, RUBBISH, ndarray
from minidl.kernels.sim.cupy._tables import device_function, signature_of, ufunc

UFUNCS = """
add subtract multiply divide true_divide floor_divide remainder mod fmod power negative positive absolute
abs sign sqrt square reciprocal exp exp2 expm1 log log2 log10 log1p logaddexp sin cos tan arcsin arccos
arctan sinh cosh tanh arctan2 hypot maximum minimum fmax fmin floor ceil trunc rint isnan isinf isfinite
signbit copysign frexp ldexp equal not_equal less less_equal greater greater_equal logical_and logical_or
logical_not logical_xor bitwise_and bitwise_or bitwise_xor bitwise_not invert left_shift right_shift
divmod
"""

#: A star: the result keeps the order in memory that NumPy gives it.
FUNCTIONS = """
all(a, axis=None, out=None, keepdims=False)
allclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False)
amax(a, axis=None, out=None, keepdims=False)
amin(a, axis=None, out=None, keepdims=False)
any(a, axis=None, out=None, keepdims=False)
argmax(a, axis=None, dtype=None, out=None, keepdims=False)
argmin(a, axis=None, dtype=None, out=None, keepdims=False)
argsort(a, axis=-1, kind=None)
around(a, decimals=0, out=None)
array_equal(a1, a2, equal_nan=False)
array_split(ary, indices_or_sections, axis=0)
*asfortranarray(a, dtype=None)
bincount(x, weights=None, minlength=None)
broadcast_arrays(*args)
broadcast_to(array, shape)
clip(a, a_min, a_max, out=None)
concatenate(tup, axis=0, out=None, *, dtype=None, casting='same_kind')
*copy(a, order='K')
copyto(dst, src, casting='same_kind', where=None)
count_nonzero(a, axis=None)
cumprod(a, axis=None, dtype=None, out=None)
cumsum(a, axis=None, dtype=None, out=None)
diag(v, k=0)
diagonal(a, offset=0, axis1=0, axis2=1)
dot(a, b, out=None)
einsum(*operands, **kwargs)
expand_dims(a, axis)
flatnonzero(a)
flip(a, axis=None)
fliplr(a)
flipud(a)
*full_like(a, fill_value, dtype=None, order='K', subok=None, shape=None)
hstack(tup, *, dtype=None, casting='same_kind')
inner(a, b)
isclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False)
max(a, axis=None, out=None, keepdims=False)
mean(a, axis=None, dtype=None, out=None, keepdims=False)
min(a, axis=None, out=None, keepdims=False)
moveaxis(a, source, destination)
nan_to_num(x, copy=True, nan=0.0, posinf=None, neginf=None)
nonzero(a)
*ones_like(a, dtype=None, order='K', subok=None, shape=None)
outer(a, b, out=None)
pad(array, pad_width, mode='constant', **kwargs)
prod(a, axis=None, dtype=None, out=None, keepdims=False)
put_along_axis(arr, indices, values, axis)
*ravel(a, order='C')
repeat(a, repeats, axis=None)
*reshape(a, newshape, order='C', *, copy=None)
roll(a, shift, axis=None)
round(a, decimals=0, out=None)
searchsorted(a, v, side='left', sorter=None)
sort(a, axis=-1, kind=None)
split(ary, indices_or_sections, axis=0)
squeeze(a, axis=None)
stack(tup, axis=0, out=None, *, dtype=None, casting='same_kind')
std(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False)
sum(a, axis=None, dtype=None, out=None, keepdims=False)
swapaxes(a, axis1, axis2)
take(a, indices, axis=None, out=None)
take_along_axis(a, indices, axis)
tensordot(a, b, axes=2)
tile(A, reps)
trace(a, offset=0, axis1=0, axis2=1, dtype=None, out=None)
transpose(a, axes=None)
tril(m, k=0)
triu(m, k=0)
unique(ar, return_index=False, return_inverse=False, return_counts=False, axis=None, *, equal_nan=True)
unravel_index(indices, dims, order='C')
var(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False)
vdot(a, b)
vstack(tup, *, dtype=None, casting='same_kind')
where(condition, x=None, y=None)
*zeros_like(a, dtype=None, order='K', subok=None, shape=None)
"""

#: Functions that make an array out of numbers.
MAKERS = """
arange(start, stop=None, step=1, dtype=None)
eye(N, M=None, k=0, dtype=float, order='C')
full(shape, fill_value, dtype=None, order='C')
identity(n, dtype=float)
indices(dimensions, dtype=int)
linspace(start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0)
ones(shape, dtype=float, order='C')
zeros(shape, dtype=float, order='C')
"""


def _take(a: Any, indices: Any, axis: int | None = None, out: Any = None) -> Any:
    return np.take(a, indices, axis, out, mode="wrap")


def _take_along_axis(a: Any, indices: Any, axis: int) -> Any:
    return np.take_along_axis(a, _around(a, indices, axis), axis)


def _put_along_axis(arr: Any, indices: Any, values: Any, axis: int) -> None:
    np.put_along_axis(arr, _around(arr, indices, axis), values, axis)


def _around(a: Any, indices: Any, axis: int | None) -> Any:
    """Indices modulo the extent: CuPy checks none."""
    extent = a.size if axis is None else a.shape[axis]
    return indices % extent if extent else indices


def _copyto(dst: Any, src: Any, casting: Any = "same_kind", where: Any = None) -> None:
    np.copyto(dst, src, casting, True if where is None else where)


def _broadcast_to(array: Any, shape: Any) -> Any:
    """CuPy's view may be written to, though several of its elements are one in memory; NumPy's may not."""
    stretched = np.broadcast_to(array, shape)
    return np.lib.stride_tricks.as_strided(array, stretched.shape, stretched.strides)


def _broadcast_arrays(*args: Any) -> Any:
    shape = np.broadcast_shapes(*(a.shape for a in args))
    return [_broadcast_to(a, shape) for a in args]


def _where(condition: Any, x: Any = None, y: Any = None) -> Any:
    return np.where(condition) if x is None and y is None else np.where(condition, x, y)


#: What CuPy does otherwise than NumPy.
SPECIAL: dict[str, Callable[..., Any]] = {
    "broadcast_arrays": _broadcast_arrays,
    "broadcast_to": _broadcast_to,
    "copyto": _copyto,
    "put_along_axis": _put_along_axis,
    "take": _take,
    "take_along_axis": _take_along_axis,
    "where": _where,
}
#: Options that CuPy has and NumPy has not, by the value that both mean by leaving them out.
DROPPED = {"subok": None, "dtype": None, "minlength": None, "shape": None, "out": None, "copy": None}


def _computing(name: str) -> Callable[..., Any]:
    compute = SPECIAL.get(name) or getattr(np, name)

    def computed(*args: Any, **options: Any) -> Any:
        given = {k: v for k, v in options.items() if k not in DROPPED or v is not DROPPED[k]}
        return compute(*args, **given)

    return computed


_matmul = device_function(
    "matmul",
    signature_of(
        "f(*args, axes=None, axis=None, keepdims=False, casting='same_kind', dtype=None, signature=None, "
        "order='K', out=None)"
    )[1],
    getattr(np, "matmul"),  # noqa: B009 - its type hints know no out=None
)


def namespace() -> dict[str, Any]:
    """All of them by name."""
    functions: dict[str, Any] = {name: ufunc(name) for name in UFUNCS.split()}
    functions["matmul"] = _matmul
    for line in (FUNCTIONS + MAKERS).strip().splitlines():
        if not line:
            continue
        name, signature = signature_of(line.removeprefix("*"))
        functions[name] = device_function(name, signature, _computing(name), line.startswith("*"))
    return functions


# ----------------------------------------------------------------------------------------------------------
# Arrays out of nothing, or out of what the host has
# ----------------------------------------------------------------------------------------------------------
def empty(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    """As ``cupy.empty``: full of rubbish."""
    return ndarray(shape, dtype, order=order)


def empty_like(
    prototype: ndarray, dtype: Any = None, order: str = "K", subok: None = None, shape: Any = None
) -> ndarray:
    """As ``cupy.empty_like``: full of rubbish."""
    if not isinstance(prototype, ndarray):
        raise TypeError(f"empty_like: an array of the device is needed, not {type(prototype)}")
    result = _zeros_like(prototype, dtype=dtype, order=order, shape=shape)
    result._memory.reshape(-1, order="A").view(np.uint8).fill(RUBBISH)
    return result


_zeros_like = device_function(
    "zeros_like",
    signature_of("f(a, dtype=None, order='K', subok=None, shape=None)")[1],
    lambda a, **options: np.zeros_like(a, **{k: v for k, v in options.items() if v is not None}),
    keeps_order=True,
)


def array(
    obj: Any,
    dtype: Any = None,
    copy: bool = True,
    order: str = "K",
    subok: bool = False,
    ndmin: int = 0,
    *,
    blocking: bool = False,
) -> ndarray:
    """As ``cupy.array``: a copy on the current device of numbers, of a host array or of a device's."""
    if isinstance(obj, ndarray) and not copy and (dtype is None or obj.dtype == dtype):
        return obj
    return _array(obj, dtype, order, ndmin)


def _has(a: ndarray, dtype: Any) -> bool:
    return dtype is None or a.dtype == dtype


def asarray(
    a: Any, dtype: Any = None, order: str | None = None, *, copy: bool | None = None, blocking: bool = False
) -> ndarray:
    """As ``cupy.asarray``: the array itself where nothing is to be changed, else a copy on the device."""
    if (
        isinstance(a, ndarray)
        and not copy
        and (dtype is None or dtype == a.dtype)
        and order in (None, "K", "A")
    ):
        return a
    return _array(a, dtype, order or "K", 0)


def ascontiguousarray(a: Any, dtype: Any = None) -> ndarray:
    """As ``cupy.ascontiguousarray``."""
    if isinstance(a, ndarray) and a.flags.c_contiguous and _has(a, dtype) and a.ndim:
        return a
    return _array(a, dtype, "C", 1)


def _array(obj: Any, dtype: Any, order: str, ndmin: int) -> ndarray:
    found: list[ndarray] = []
    host = np.array(_from_host(obj, found), dtype, copy=True, order=order, ndmin=ndmin)  # type: ignore[call-overload]
    if dtype is None and host.dtype.char in ELEMENTS:
        host = host.astype(host.dtype.newbyteorder("="), copy=False)  # as CuPy does with a host array
    result = ndarray(host.shape, host.dtype)
    result._memory = host
    result._block.begin, result._block.end = np.lib.array_utils.byte_bounds(host) if host.size else (0, 0)
    return result


def _from_host(obj: Any, found: list[ndarray]) -> Any:
    """Lists of the device's arrays are allowed, and host arrays: here a copy is asked for."""
    if isinstance(obj, ndarray):
        with obj.device:
            return obj._host
    if isinstance(obj, tuple | list):
        return [_from_host(o, found) for o in obj]
    return obj


def from_dlpack(array: Any, *, device: Any = None, copy: bool | None = None) -> ndarray:
    """As ``cupy.from_dlpack``: of a simulated array the same memory, of anything else an error."""
    if not isinstance(array, ndarray):
        raise BufferError("from_dlpack: the array does not live on a simulated device")
    return array.copy() if copy else array.view()


def get_array_module(*args: Any) -> Any:
    """This module if one of the arguments is an array of it, else NumPy."""
    from minidl.kernels.sim import cupy

    return cupy if any(isinstance(a, ndarray) for a in args) else np


def size(a: ndarray, axis: int | None = None) -> int:
    """Number of elements, or an extent."""
    return a.size if axis is None else a.shape[axis]


def shape(a: Any) -> tuple[int, ...]:
    """Extents."""
    return a.shape if isinstance(a, ndarray) else np.shape(a)


def ndim(a: Any) -> int:
    """Number of dimensions."""
    return a.ndim if isinstance(a, ndarray) else np.ndim(a)


def may_share_memory(a: ndarray, b: ndarray, max_work: Any = None) -> bool:
    """Whether two arrays may look into the same memory."""
    return bool(np.may_share_memory(a._memory, b._memory))


def shares_memory(a: ndarray, b: ndarray, max_work: Any = None) -> bool:
    """Whether two arrays look into the same memory."""
    return bool(np.shares_memory(a._memory, b._memory))


def result_type(*arrays_and_dtypes: Any) -> Any:
    """The type that an operation on these gives."""
    return np.result_type(*(a._memory if isinstance(a, ndarray) else a for a in arrays_and_dtypes))
