"""What ``minidl cuda-check`` passes to a kernel: numbers and arrays, as ``--arg`` says, or by default."""

from __future__ import annotations

import math
import os
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from tokenize import TokenError
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from minidl._inputs import opened
from minidl._text import shown
from minidl.errors import InputError

if TYPE_CHECKING:
    from minidl.kernels.sim.confined import ConfinedKernel
    from minidl.kernels.sim.processes import Limits

#: What a parameter gets that no --arg names.
ELEMENTS, NUMBER = 1024, {"f": 1.0, "i": 1024, "u": 1024, "b": 1}
FILLS = ("random", "zeros", "ones", "arange", "unset")
#: Of an array; of the header of a .npy file, as numpy has it.
MOST_BYTES, HEADER_BYTES = 2**31, 10_000


class _Room:
    """The memory that arrays may take together, as they and what is remembered of them need it."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._arrays: list[tuple[int, int]] = []

    def take(self, place: str, size: int, itemsize: int) -> None:
        """An array of so many bytes, before it is made.

        Raises:
            InputError: it is too large.
        """
        from minidl.kernels.sim.arguments import memory_for
        from minidl.kernels.sim.confined import too_large

        if size > MOST_BYTES:
            raise InputError(f"{place}: more than 2 GiB; give a smaller shape")
        self._arrays.append((size, itemsize))
        if (needed := memory_for(self._arrays)) > self._limits.memory:
            raise InputError(f"{place}: {too_large(needed, self._limits)} (--memory-limit)")


def text_of(extents: tuple[int, ...]) -> str:
    """``16x16``."""
    return "x".join(map(str, extents))


def arguments(
    kernel: ConfinedKernel, specs: Mapping[str, str], rng: np.random.Generator
) -> tuple[list[Any], list[str], list[str]]:
    """The arguments, the names of those that count as unset, and what they are in words."""
    args: list[Any] = []
    unset: list[str] = []
    said: list[str] = []
    room = _Room(kernel.limits)
    for name, (letter, pointee, access) in zip(kernel.parameters, kernel.description.signature, strict=True):
        spec = specs.get(name)
        if letter != "P":
            args.append(_number(name, spec, letter))
            said.append(f"{name} = {args[-1]}")
            continue
        dtype = np.dtype(pointee if pointee not in "vSP" else "uint8" if pointee == "v" else "uint64")
        default = f"{dtype}:{ELEMENTS}:{'random' if access == 'r' else 'zeros'}"
        spec = spec or default
        array = None if spec == "null" else _array(name, spec, rng, room)
        args.append(array)
        if spec.endswith(":unset"):
            unset.append(name)
        said.append(f"{name} = {'null' if array is None else f'{array.dtype}[{text_of(array.shape)}]'}")
    return args, unset, said


def _number(name: str, spec: str | None, letter: str) -> np.generic:
    if letter == "S":
        raise InputError(f"parameter {name} is a struct by value, which is not simulated; pass an array")
    dtype = np.dtype(letter)
    if spec is None:
        return dtype.type(
            min(NUMBER[dtype.kind], np.iinfo(dtype).max) if dtype.kind in "iu" else NUMBER[dtype.kind]
        )
    stated, colon, text = spec.rpartition(":")
    if colon and stated != str(dtype):
        raise InputError(f"--arg {name}={spec}: the parameter is a number of {dtype}; write {name}=NUMBER")
    try:
        value = float(text) if dtype.kind == "f" else int(text)
    except ValueError:
        raise InputError(
            f"--arg {name}={spec}: the parameter is a number of {dtype}; write {name}=NUMBER"
        ) from None
    if dtype.kind in "iu" and not np.iinfo(dtype).min <= value <= np.iinfo(dtype).max:
        raise InputError(f"--arg {name}={spec}: does not fit into {dtype}; give a smaller number")
    if dtype.kind == "b" and value not in (0, 1):
        raise InputError(f"--arg {name}={spec}: a bool; give 0 or 1")
    with np.errstate(over="ignore"):  # what float32 does not reach is infinite
        return dtype.type(value)


def _array(name: str, spec: str, rng: np.random.Generator, room: _Room) -> np.ndarray[Any, Any]:
    if spec.endswith(".npy"):
        return _load(name, Path(spec), room)
    match = re.fullmatch(r"(\w{1,20}):(\d{1,12}(?:x\d{1,12}){0,31})(?::([^:]+))?", spec, re.ASCII)
    if match is None:
        raise InputError(f"--arg {name}={spec}: an array; write FILE.npy, null or DTYPE:SHAPE[:FILL]")
    try:
        dtype = np.dtype(match[1])
    except (TypeError, ValueError):
        raise InputError(
            f"--arg {name}={spec}: {match[1]} is no dtype; give float32, int32, uint8, ..."
        ) from None
    if dtype.kind not in "fiub":
        raise InputError(f"--arg {name}={spec}: {dtype} is no number; give float32, int32, uint8, ...")
    shape = tuple(int(extent) for extent in match[2].split("x"))
    room.take(f"--arg {name}={spec}", math.prod(shape) * dtype.itemsize, dtype.itemsize)
    return _filled(name, spec, shape, dtype, match[3] or "random", rng)


def _filled(
    name: str, spec: str, shape: tuple[int, ...], dtype: np.dtype[Any], fill: str, rng: np.random.Generator
) -> np.ndarray[Any, Any]:
    size = int(np.prod(shape))
    if fill == "random":
        values = (
            rng.standard_normal(size)
            if dtype.kind == "f"
            else rng.integers(0, 10 if dtype.kind != "b" else 2, size)
        )
    elif fill == "arange":
        values = np.arange(size)
    elif fill == "unset":
        return np.full(size * dtype.itemsize, 0xA5, np.uint8).view(dtype).reshape(shape)
    elif fill in ("zeros", "ones"):
        values = np.full(size, int(fill == "ones"))
    else:
        try:
            with np.errstate(over="ignore"):  # as above; a whole number must fit
                values = np.full(size, dtype.type(float(fill) if dtype.kind == "f" else int(fill)))
        except (ValueError, OverflowError):
            raise InputError(
                f"--arg {name}={spec}: fill {fill}; give {', '.join(FILLS)} or a number"
            ) from None
    return values.astype(dtype).reshape(shape)


def _load(name: str, path: Path, room: _Room) -> np.ndarray[Any, Any]:
    """The array in a .npy file. What its header says is held against the file's size before it is read."""
    place, remedy = f"--arg {name}={path}", "write it with numpy.save"
    with opened(path, "a .npy file", remedy, MOST_BYTES + 2**16) as file:
        try:
            shape, fortran, dtype = _header(file)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, TokenError, struct.error):
            raise InputError(f"{place}: not a .npy file of numbers; {remedy}") from None
        if dtype.hasobject or dtype.kind not in "fiub" or dtype.subdtype:
            raise InputError(f"{place}: holds {shown(dtype)}, which is no number; save an array of numbers")
        said, there = math.prod(shape) * dtype.itemsize, os.fstat(file.fileno()).st_size - file.tell()
        if said != there:
            raise InputError(
                f"{place}: its header says {said} bytes of numbers, and it has {there}; {remedy}"
            )
        room.take(place, said, dtype.itemsize)
        data = file.read(said)
    if len(data) != said:
        raise InputError(f"{place}: changed while it was read; give it again")
    array = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
    return array.astype(dtype.newbyteorder("="), order="C", copy=True)


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """The shape, whether the first index runs fastest, and the dtype; raises whatever numpy does."""
    start = file.read(12)
    length = struct.unpack("<H", start[8:10]) if start[6:7] == b"\x01" else struct.unpack("<I", start[8:12])
    if length[0] > HEADER_BYTES:  # numpy would read it before it refused it
        raise ValueError("its header is too long")
    file.seek(0)
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file, max_header_size=HEADER_BYTES)
    if len(shape) > 32 or any(extent < 0 for extent in shape):
        raise ValueError("a wrong shape")
    return shape, fortran, dtype
