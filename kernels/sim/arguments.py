"""What is checked before a launch, and arrays laid out in memory that two processes see."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.kernels.sim import launching
from minidl.kernels.sim.findings import Index

#: Bytes between two arrays, so that an index that misses its array hits no other; and what their addresses
#: are multiples of, as on a GPU.
APART, ALIGNMENT = 65536, 256
#: Bytes for each few bytes that a launch may touch, and at most for each launch: as in runtime/checker.cpp,
#: shared.h and fibers.cpp.
CELL, FIXED = 84, 512 * 2**20
#: Blocks of a launch: a hundred million would take an hour.
MAX_BLOCKS = 2**26

Signature = Sequence[tuple[str, str, str]]


def check_launch(
    name: str,
    parameters: Sequence[str],
    signature: Signature,
    most_threads: int,
    shape: tuple[Index, Index],
    args: Sequence[Any],
    unset: Sequence[str],
) -> None:
    """What holds for every launch of grid and block, ``shape``.

    Raises:
        TypeError, ValueError: it does not.
    """
    grid, block = shape
    if (threads := block[0] * block[1] * block[2]) > most_threads:
        raise ValueError(f"{name}: {threads} threads in a block; at most {most_threads} are allowed")
    if (blocks := grid[0] * grid[1] * grid[2]) > MAX_BLOCKS:
        raise ValueError(
            f"{name}: {blocks} blocks; at most {MAX_BLOCKS} are simulated, so give a smaller grid"
        )
    if len(args) != len(signature):
        raise TypeError(
            f"{name}: {len(args)} arguments for {len(signature)} parameters: {', '.join(parameters)}"
        )
    if unknown := [given for given in unset if given not in parameters]:
        raise ValueError(f"{name}: unset={unknown[0]!r} is no parameter; they are {', '.join(parameters)}")


def memory_for(arrays: Iterable[tuple[int, int]]) -> int:
    """Bytes that a checked launch may need for arrays of (bytes, bytes of an element).

    >>> memory_for([]) == FIXED
    True
    """
    total = FIXED
    for size, itemsize in arrays:
        granule = itemsize if itemsize in (1, 2, 8) else 4
        total += size + APART + ALIGNMENT + (size // granule + 2) * CELL
    return total


@dataclass(frozen=True)
class Laid:
    """An array in the common memory: where its first element is, and all that it may touch."""

    array: np.ndarray[Any, Any]
    first: int
    start: int
    bytes: int


class Memory:
    """Copies of arrays, far from one another; those that share memory still do.

    A context: at its end the memory is given back.
    """

    def __init__(self, arrays: Sequence[np.ndarray[Any, Any]]) -> None:
        self.arrays: dict[int, Laid] = {}  # by id
        self._spans: list[tuple[int, int, int]] = []  # (address, bytes, where it begins here)
        end = APART
        bounds = {id(a): (*_bounds(a), a) for a in arrays}
        for low, high, _ in sorted(bounds.values(), key=lambda bound: bound[:2]):
            if self._spans and low < sum(self._spans[-1][:2]):
                start, size, place = self._spans[-1]
                self._spans[-1] = (start, max(size, high - start), place)
            else:
                self._spans.append((low, high - low, end))
            _, size, place = self._spans[-1]
            end = place + size + APART + -(place + size) % ALIGNMENT
        self.bytes = end
        for key, (low, high, array) in bounds.items():
            start, _, place = next(s for s in self._spans if s[0] <= low and high <= s[0] + s[1])
            pointer = int(array.__array_interface__["data"][0])
            self.arrays[key] = Laid(array, place + pointer - start, place + low - start, high - low)
        self.file = os.memfd_create("minidl-arrays")
        try:
            os.ftruncate(self.file, self.bytes)
            self._map = mmap.mmap(self.file, self.bytes)
        except BaseException:
            os.close(self.file)
            raise

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.file)  # the mapping goes with its last view

    def fill(self) -> None:
        """Copy the arrays there."""
        here = np.frombuffer(self._map, np.uint8)
        for address, size, place in self._spans:
            if size:
                there = memoryview((ctypes.c_char * size).from_address(address))
                here[place : place + size] = np.frombuffer(there, np.uint8)

    def give_back(self) -> None:
        """Copy what a kernel wrote into the arrays that may be written."""
        for laid in self.arrays.values():
            array = laid.array
            if array.flags.writeable and array.size:
                array[...] = np.ndarray(array.shape, array.dtype, self._map, laid.first, array.strides)


def _bounds(array: np.ndarray[Any, Any]) -> tuple[int, int]:
    if array.size:
        low, high = np.lib.array_utils.byte_bounds(array)
        return int(low), int(high)
    return (int(array.__array_interface__["data"][0]),) * 2


def values_of(
    name: str, parameters: Sequence[str], signature: Signature, args: Sequence[Any]
) -> tuple[list[bytes | None], dict[int, np.ndarray[Any, Any]]]:
    """The bytes of each number (and null), None for each array; and the arrays by number of the parameter.

    Raises:
        TypeError: an argument is not what the parameter takes.
    """
    values: list[bytes | None] = []
    arrays: dict[int, np.ndarray[Any, Any]] = {}
    for number, (value, (letter, pointee, _)) in enumerate(zip(args, signature, strict=True)):
        place = f"{name}: argument '{parameters[number]}'"
        if letter != "P":
            values.append(launching.scalar(place, value, letter).ljust(8, b"\0"))
        elif value is None:
            values.append(bytes(8))
        else:
            memory = launching.host_memory(place, value, True)
            launching.pointer(place, memory, pointee)
            if memory.dtype.hasobject:
                raise TypeError(f"{place}: an array of Python objects, which no kernel can read")
            values.append(None)
            arrays[number] = memory
    return values, arrays
