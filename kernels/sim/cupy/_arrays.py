"""The array of a simulated device: NumPy's inside, CuPy's from outside.

What CuPy does not do, this does not do either: no host array is taken for a device's, none is made of one
without ``get()``, and what CuPy has no method for has none here. Fresh memory is full of rubbish.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl.kernels.sim.cupy.cuda.device import Device, get_device_id
from minidl.kernels.sim.cupy.cuda.memory import Block, MemoryPointer, OutOfMemoryError, pool
from minidl.kernels.sim.cupy.cuda.stream import NotWaitedFor, get_current_stream, later

HostArray = np.ndarray[Any, Any]

#: The element types that CuPy has, by NumPy's letters.
ELEMENTS = "?bhilqBHILQefdFD"

#: A byte that is an unlikely number in every type.
RUBBISH = 0xA5


class Flags:
    """How an array lies in memory."""

    def __init__(self, c_contiguous: bool, f_contiguous: bool, owndata: bool) -> None:
        self.c_contiguous, self.f_contiguous, self.owndata = c_contiguous, f_contiguous, owndata

    @property
    def fnc(self) -> bool:
        """Fortran's order, not C's."""
        return self.f_contiguous and not self.c_contiguous

    @property
    def forc(self) -> bool:
        """Fortran's order or C's."""
        return self.f_contiguous or self.c_contiguous

    def __getitem__(self, name: str) -> bool:
        return bool(getattr(self, name.lower()))


class ndarray:
    """An array on a simulated device.

    Args:
        shape: extents.
        dtype: element type.
        memptr: not offered; None.
        strides: not offered; None.
        order: "C" or "F".
    """

    __slots__ = ("__weakref__", "_base", "_block", "_memory")
    __array_priority__ = 100

    _base: ndarray | None
    _block: Block
    _memory: HostArray

    if TYPE_CHECKING:  # what _methods.py puts in

        def __getattr__(self, name: str) -> Any: ...

        def __getitem__(self, index: Any) -> ndarray: ...

    def __init__(
        self, shape: Any, dtype: Any = float, memptr: Any = None, strides: Any = None, order: str = "C"
    ) -> None:
        if memptr is not None or strides is not None:
            raise TypeError("ndarray: memptr and strides are not simulated")
        dtype = supported(np.dtype(dtype))
        extents = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
        nbytes = dtype.itemsize
        for extent in extents:
            nbytes *= int(extent)
        block = Block(
            pool, nbytes, get_device_id()
        )  # before the host is asked, which may have less than a GPU
        host = np.empty(extents, dtype, order=order)  # type: ignore[call-overload]
        host.view(np.uint8).fill(RUBBISH) if host.size and host.ndim else _spoil(host)
        _own(self, host, block)

    # -- what it is ------------------------------------------------------------------------------------------

    @property
    def _host(self) -> HostArray:
        """The memory, as a NumPy array, once the current stream has done what it was given."""
        current = get_current_stream()
        if current in self._block.pending:
            current.synchronize()  # in one stream, everything comes in its turn
        if self._block.pending:
            raise NotWaitedFor(
                "a copy to or from this array is under way in another stream; synchronize that stream, or "
                "have this one wait for an event behind the copy"
            )
        return self._memory

    @property
    def shape(self) -> tuple[int, ...]:
        return self._memory.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._memory.dtype

    @property
    def ndim(self) -> int:
        return self._memory.ndim

    @property
    def size(self) -> int:
        return self._memory.size

    @property
    def itemsize(self) -> int:
        return self._memory.itemsize

    @property
    def nbytes(self) -> int:
        return self._memory.nbytes

    @property
    def strides(self) -> tuple[int, ...]:
        return self._memory.strides

    @property
    def flags(self) -> Flags:
        f = self._memory.flags
        return Flags(f.c_contiguous, f.f_contiguous, f.owndata)

    @property
    def base(self) -> Any:
        """The array that owns the memory; None where that is this one."""
        return self._base

    @property
    def data(self) -> MemoryPointer:
        return MemoryPointer(self._memory.ctypes.data, self.device)

    @property
    def device(self) -> Device:
        return Device(self._block.device)

    @property
    def T(self) -> ndarray:
        return self.transpose()

    @property
    def mT(self) -> ndarray:
        return self.swapaxes(-1, -2)

    def __len__(self) -> int:
        return len(self._memory)

    def __iter__(self) -> Iterator[ndarray]:
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    # -- to and from the host --------------------------------------------------------------------------------

    def get(
        self, stream: Any = None, order: str = "C", out: HostArray | None = None, blocking: bool = True
    ) -> HostArray:
        """A copy on the host."""
        stream = stream or get_current_stream()
        if out is None:
            out = np.empty(self.shape, self.dtype, order=order)  # type: ignore[call-overload]
        elif not isinstance(out, np.ndarray):
            raise TypeError(f"Only numpy.ndarray can be obtained from cupy.ndarray: out is {type(out)}")
        elif out.shape != self.shape or out.dtype != self.dtype:
            raise ValueError(f"get: {self.dtype}{self.shape} does not fit into {out.dtype}{out.shape}")
        host = self._host
        if blocking or stream.is_null:
            np.copyto(out, host)
        else:
            later(self._block, functools.partial(np.copyto, out, host), stream)
        return out

    def set(self, arr: HostArray, stream: Any = None) -> None:
        """Overwrite it with a host array of the same shape and type; in a stream of one's own, later."""
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if arr.dtype != self.dtype:
            raise TypeError(f"{arr.dtype} array cannot be set to {self.dtype} array")
        if arr.shape != self.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {arr.shape}")
        if not self.flags.forc:
            raise RuntimeError("Cannot set to non-contiguous array")
        stream = stream or get_current_stream()
        host = self._host
        if stream.is_null:
            np.copyto(host, arr)
        else:
            later(self._block, functools.partial(np.copyto, host, arr), stream)

    def item(self) -> Any:
        return self._host.item()

    def tolist(self) -> Any:
        return self._host.tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> HostArray:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def __float__(self) -> float:
        return float(self._host.item())

    def __int__(self) -> int:
        return int(self._host.item())

    def __bool__(self) -> bool:
        return bool(self._host)

    def __repr__(self) -> str:
        return repr(self._host)

    def __str__(self) -> str:
        return str(self._host)

    def __format__(self, spec: str) -> str:
        return format(self._host, spec)

    # -- for NumPy's own functions ---------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        from minidl.kernels.sim import cupy

        ours = getattr(cupy, ufunc.__name__, None)
        if ours is None:
            return NotImplemented
        if "out" in options and isinstance(options["out"], tuple) and len(options["out"]) == 1:
            options["out"] = options["out"][0]
        return (ours if method == "__call__" else getattr(ours, method))(*inputs, **options)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        from minidl.kernels.sim import cupy

        path = [*function.__module__.split(".")[1:], function.__name__]
        ours: Any = cupy
        for name in path:
            ours = getattr(ours, name, None)
        if ours is None or ours is function or not all(t in (ndarray, np.ndarray) for t in types):
            return NotImplemented
        return ours(*args, **options)

    def __deepcopy__(self, memo: dict[int, Any]) -> ndarray:
        return self.copy()

    # -- DLPack ----------------------------------------------------------------------------------------------

    def __dlpack_device__(self) -> tuple[int, int]:
        """An "extension device" with the device's number: nobody else knows how to read it."""
        return 12, self._block.device

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: Any = None,
        copy: bool | None = None,
    ) -> Any:
        """Refused: it is the host's memory, and must not look like it."""
        raise BufferError("the memory of a simulated device is not shared with other libraries")


def _spoil(host: HostArray) -> None:
    """Rubbish into an array of no dimensions, which has no view as bytes."""
    if host.size:
        host[...] = np.frombuffer(bytes([RUBBISH]) * host.itemsize, host.dtype)[0]


def supported(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The element type itself.

    Raises:
        ValueError: a GPU has no such numbers (longdouble, objects, texts, dates), or not in this byte order.
    """
    if dtype.char not in ELEMENTS:
        raise ValueError(f"Unsupported dtype {dtype}")
    if not dtype.isnative:
        raise ValueError(f"Unsupported dtype {dtype} with big-endian byte-order")
    return dtype


def _own(array: ndarray, host: HostArray, block: Block) -> None:
    block.begin, block.end = np.lib.array_utils.byte_bounds(host) if host.size else (0, 0)
    array._memory, array._block, array._base = host, block, None


# ----------------------------------------------------------------------------------------------------------
# From outside to inside, and back
# ----------------------------------------------------------------------------------------------------------
def to_host(value: Any, found: list[ndarray]) -> Any:
    """``value`` with NumPy arrays in the place of the device's, which are noted in ``found``.

    Raises:
        TypeError: a host array is among them.
        ValueError: an array lives on another device than the current one.
    """
    if isinstance(value, ndarray):
        if value._block.device != get_device_id():
            raise ValueError(
                "Array device must be same as the current device: array device = "
                f"{value._block.device} while current = {get_device_id()}"
            )
        found.append(value)
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, tuple | list):
        return type(value)([to_host(v, found) for v in value])
    return value


def to_device(result: Any, found: list[ndarray]) -> Any:
    """What NumPy gave, as arrays of the current device; scalars become arrays of no dimensions.

    A view of an array in ``found`` stays one.
    """
    if isinstance(result, tuple):
        return tuple(to_device(r, found) for r in result)
    if isinstance(result, list):
        return [to_device(r, found) for r in result]
    if not isinstance(result, np.ndarray | np.generic):
        return result
    host = np.asarray(result)
    array = object.__new__(ndarray)
    for source in found:
        if host is source._memory:
            return source
        if _lies_in(host, source._block):
            array._memory, array._block, array._base = host, source._block, source._base
            if array._base is None:
                array._base = source
            supported(host.dtype)  # of a view, too
            return array
    supported(host.dtype)
    _own(array, host, Block(pool, host.nbytes, get_device_id()))
    return array


def _lies_in(host: HostArray, block: Block) -> bool:
    if not host.size or block.begin == block.end:
        return False
    begin, end = np.lib.array_utils.byte_bounds(host)
    return block.begin <= begin and end <= block.end


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """A GPU divides by zero without a word; memory that the host lacks is missing on the device."""
    try:
        with np.errstate(all="ignore"):
            yield
    except OutOfMemoryError:
        raise
    except MemoryError as error:
        raise OutOfMemoryError(0, pool.used_bytes()) from error


def asnumpy(
    a: Any, stream: Any = None, order: str = "C", out: HostArray | None = None, *, blocking: bool = True
) -> HostArray:
    """A copy on the host of an array or of what can become one."""
    if isinstance(a, ndarray):
        return a.get(stream=stream, order=order, out=out, blocking=blocking)
    return np.asarray(a, order=order)  # type: ignore[call-overload]
