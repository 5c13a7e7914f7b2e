"""Arrays from outside: which of them can be a tensor's, and how values get into a tensor's memory."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from minidl._device import device_of, known_there, move, on
from minidl._masks import host, refuse_masked

NUMBERS = (bool, int, float, np.generic)

#: What the elements of tensors are: bools, integers and floating-point numbers, as the processor takes them.
DTYPES = frozenset(np.dtype(code) for code in "?bBhHiIlLqQefdg")


def real_dtype(operation: str, dtype: Any) -> np.dtype[Any]:
    """A dtype for tensors out of anything that NumPy takes for one, in the machine's own byte order.

    Raises:
        TypeError: it is none, or not one of real numbers.

    >>> real_dtype("zeros", ">f4")
    dtype('float32')
    """
    try:
        found = np.dtype(dtype).newbyteorder("=")
    except TypeError:
        raise TypeError(f"{operation}: {dtype!r} is no dtype") from None
    if found not in DTYPES:
        raise TypeError(f"{operation}: elements must be bools, integers or floats, not {found}")
    return found


def plain(operation: str, array: Any) -> np.ndarray[Any, Any]:
    """A host array as tensors and kernels take it: in the machine's byte order, aligned, of no subclass.

    Most arrays are that already and come back as they are. Of a subclass (``np.memmap``, ``np.matrix``) it is
    the base, with the same memory; what is in another byte order or unaligned (as the fields of packed
    records) is copied, in its memory order.

    Raises:
        TypeError: elements that are no real numbers, or a masked array some of whose elements are masked.

    >>> plain("add", np.array([1, 2], ">i2")).dtype
    dtype('int16')
    """
    if type(array) is np.ndarray and array.dtype in DTYPES and array.flags.aligned:
        return array
    array = host(operation, array)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{operation}: elements must be numbers, got {array.dtype}")
    native = array.astype(array.dtype.newbyteorder("="), order="K", copy=False)
    return native if native.flags.aligned else native.copy(order="K")


def as_array(operation: str, data: Any) -> Any:
    """The array of ``Tensor(data)``: see there.

    >>> as_array("Tensor", [1, 2]), as_array("Tensor", 2)
    (array([1., 2.], dtype=float32), array([0., 0.], dtype=float32))
    """
    if isinstance(data, np.ndarray | np.generic):
        return plain(operation, np.asarray(data) if isinstance(data, np.generic) else data)
    if device_of(data).index is not None:
        if data.dtype not in DTYPES:
            raise TypeError(f"{operation}: elements must be numbers, got {data.dtype}")
        return data
    if isinstance(data, int) and not isinstance(data, bool):
        return as_zeros(operation, (data,))
    if isinstance(data, list | tuple | range):
        return numbers(operation, data, np.dtype(np.float32))
    array = host(operation, data)
    if not array.ndim and not hasattr(data, "__array__"):
        raise TypeError(
            f"{operation}: data must be an array, a tensor, a list of numbers, or extents, got "
            f"{type(data).__name__}; minidl.tensor makes a tensor of a number"
        )
    return plain(operation, array)


def copied(operation: str, array: Any, dtype: Any) -> Any:
    """A new array in C order, of an array, a number, or numbers in lists: see :func:`minidl.tensor`."""
    wanted = None if dtype is None else real_dtype(operation, dtype)
    if device_of(array).index is not None:
        with on(array):
            return array.astype(wanted or array.dtype, order="C", copy=True)
    if not hasattr(array, "dtype"):
        return numbers(operation, array, wanted)
    array = plain(operation, array if isinstance(array, np.ndarray) else host(operation, array))
    if wanted is None or wanted == array.dtype:
        return np.array(array, order="C")
    with np.errstate(all="ignore"):  # too large for the dtype: infinite, and what casts make of it
        return np.array(array, wanted, order="C")


def numbers(operation: str, data: Any, dtype: np.dtype[Any] | None) -> np.ndarray[Any, Any]:
    """Numbers in lists as a new array in C order; without a dtype float32, int64 or bool for Python's.

    Raises:
        OverflowError, TypeError, ValueError: see :func:`minidl.tensor`.
    """
    refuse_masked(operation, data)
    try:
        array = np.array(data, order="C")
    except (OverflowError, ValueError) as error:
        raise type(error)(f"{operation}: {error}") from None
    huge = array.dtype.kind == "O" and all(isinstance(v, int | float) for v in array.flat)
    if array.dtype.kind not in "biuf" and not huge:
        raise TypeError(f"{operation}: elements must be numbers, got {array.dtype}")
    if dtype is None and not _has_dtype(data):
        if array.dtype.kind == "f" or (huge and any(isinstance(v, float) for v in array.flat)):
            dtype = np.dtype(np.float32)
        elif huge or array.dtype == np.uint64:
            dtype = np.dtype(np.int64)  # which is refused below
    if dtype is None:
        return array
    try:
        if dtype.kind in "iu" and array.dtype.kind == "f" and (array > np.iinfo(dtype).max).any():
            raise OverflowError(f"{array.max()} is out of bounds for {dtype}")
        with np.errstate(all="ignore"):  # too large for float32: infinite
            return np.array(data, dtype, order="C")
    except (OverflowError, ValueError) as error:
        raise type(error)(f"{operation}: {error}; use a dtype that holds the numbers") from None


def _has_dtype(data: Any) -> bool:
    """A list of NumPy's scalars or of arrays keeps their precision; one of Python's numbers does not."""
    while isinstance(data, list | tuple) and data:
        data = data[0]
    return hasattr(data, "dtype")


def as_zeros(operation: str, sizes: tuple[Any, ...]) -> np.ndarray[Any, Any]:
    """float32 zeros of these extents.

    >>> as_zeros("Tensor", (2, 3)).shape
    (2, 3)
    """
    return np.zeros(extents(operation, sizes), np.float32)


def extents(operation: str, sizes: Any) -> tuple[int, ...]:
    """Extents as they were given: integers one by one, or in one tuple or list; or a single integer.

    Raises:
        TypeError: no integers.
        ValueError: a negative one, or more elements than there is memory for.

    >>> extents("zeros", (2, 3)), extents("zeros", ([2, 3],)), extents("full", 4)
    ((2, 3), (2, 3), (4,))
    >>> extents("zeros", (2, -1))
    Traceback (most recent call last):
    ValueError: zeros: extents must not be negative, got (2, -1)
    """
    if not isinstance(sizes, list | tuple):
        sizes = (sizes,)
    if len(sizes) == 1 and isinstance(sizes[0], list | tuple):
        sizes = sizes[0]
    try:
        if any(isinstance(n, bool | np.bool_) for n in sizes):
            raise TypeError
        found = tuple(operator.index(n) for n in sizes)
    except TypeError:
        raise TypeError(f"{operation}: extents must be integers, got {tuple(sizes)}") from None
    if any(n < 0 for n in found):
        raise ValueError(f"{operation}: extents must not be negative, got {found}")
    if math.prod(n for n in found if n) >= 2**62:
        raise ValueError(f"{operation}: shape {found} has more elements than there can be")
    return found


def require_memory_of_its_own(operation: str, what: str, array: Any) -> None:
    """Raise a ValueError if elements lie in the same memory, or in memory that must not be written to.

    >>> require_memory_of_its_own("copy_", "this tensor", np.broadcast_to(np.zeros(3), (2, 3)))
    Traceback (most recent call last):
    ValueError: copy_: several elements of this tensor (shape (2, 3)) lie in the same memory; clone() it first
    """
    if 0 in array.strides and array.size and _is_stretched(array):
        raise ValueError(
            f"{operation}: several elements of {what} (shape {tuple(array.shape)}) lie in the same memory; "
            "clone() it first"
        )
    if isinstance(array, np.ndarray) and not array.flags.writeable:
        raise ValueError(f"{operation}: the memory of {what} is read-only; clone() it first")


def _is_stretched(array: Any) -> bool:
    return any(step == 0 and extent > 1 for step, extent in zip(array.strides, array.shape, strict=True))


def write(operation: str, target: Any, value: Any, taken: tuple[Any, ...] = ()) -> None:
    """Put ``value`` into ``target``, or where ``taken``, integer arrays and slices, says.

    Args:
        operation: for messages.
        target: an array of a tensor, or a view of it, on any device.
        value: a number, or an array from anywhere, which must broadcast; it may lie in the same memory. Its
            numbers become the target's dtype as in a cast: too large for floats is infinite.
        taken: where in the target, if not everywhere.

    Raises:
        OverflowError: a number (not one in an array) that the dtype does not hold.
        TypeError: neither number nor array.
        ValueError: it does not broadcast, or the memory cannot be written to.
    """
    from minidl._numbers import number, written  # here: `import minidl` goes without

    require_memory_of_its_own(operation, "this tensor", target)
    if isinstance(value, NUMBERS):
        value = written(operation, number(operation, "the value", value), target.dtype)
        with on(target):
            target[taken or ...] = value
    else:
        value = _there(operation, value, target)
        ones = next((i for i, n in enumerate(value.shape) if n != 1), value.ndim)
        value = value.reshape(value.shape[ones:])  # torch strips ones in front, wherever they are written
        with on(target), np.errstate(all="ignore"):
            try:
                target[taken or ...] = value
            except ValueError as error:
                shapes = f"shape {tuple(value.shape)} cannot be written into shape {tuple(target.shape)}"
                raise ValueError(f"{operation}: {shapes} ({error})") from None


def _there(operation: str, value: Any, target: Any) -> Any:
    """An array, or what can become one, on the target's device and apart from its memory."""
    device = device_of(target)
    if device_of(value).index is None:
        try:
            value = plain(operation, value if isinstance(value, np.ndarray) else host(operation, value))
        except ValueError as error:  # lists of unequal lengths
            raise ValueError(f"{operation}: {error}") from None
        value = known_there(value, target.dtype, device)
    there = move(value, device)
    if there is value and device.index is not None:  # NumPy itself sees to memory that overlaps
        with on(target):
            if device.namespace().may_share_memory(there, target):
                return there.copy()
    return there
