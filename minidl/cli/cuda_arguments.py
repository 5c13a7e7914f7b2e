"""What ``minidl cuda-check`` passes to a kernel: numbers and arrays, as ``--arg`` says, or by default."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl.errors import InputError

if TYPE_CHECKING:
    from minidl.kernels.sim.module import RawKernel

#: What a parameter gets that no --arg names.
ELEMENTS, NUMBER = 1024, {"f": 1.0, "i": 1024, "u": 1024, "b": 1}
FILLS = ("random", "zeros", "ones", "arange", "unset")


def signature(kernel: RawKernel) -> list[tuple[str, str, str]]:
    """Of each parameter: its type ("P" for an array), what it points to, and r or w for that."""
    from minidl.kernels.sim import checked

    with checked():
        return kernel.signature


def text_of(extents: tuple[int, ...]) -> str:
    """``16x16``."""
    return "x".join(map(str, extents))


def arguments(
    kernel: RawKernel, specs: Mapping[str, str], rng: np.random.Generator
) -> tuple[list[Any], list[str], list[str]]:
    """The arguments, the names of those that count as unset, and what they are in words."""
    args: list[Any] = []
    unset: list[str] = []
    said: list[str] = []
    for name, (letter, pointee, access) in zip(kernel.parameters, signature(kernel), strict=True):
        spec = specs.get(name)
        if letter != "P":
            args.append(_number(name, spec, letter))
            said.append(f"{name} = {args[-1]}")
            continue
        dtype = np.dtype(pointee if pointee not in "vSP" else "uint8" if pointee == "v" else "uint64")
        default = f"{dtype}:{ELEMENTS}:{'random' if access == 'r' else 'zeros'}"
        spec = spec or default
        array = None if spec == "null" else _array(name, spec, rng)
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
    return dtype.type(value)


def _array(name: str, spec: str, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    if spec.endswith(".npy"):
        return _load(name, Path(spec))
    match = re.fullmatch(r"(\w+):(\d{1,12}(?:x\d{1,12})*)(?::([^:]+))?", spec)
    if match is None:
        raise InputError(f"--arg {name}={spec}: an array; write FILE.npy, null or DTYPE:SHAPE[:FILL]")
    try:
        dtype = np.dtype(match[1])
    except TypeError:
        raise InputError(
            f"--arg {name}={spec}: {match[1]} is no dtype; give float32, int32, uint8, ..."
        ) from None
    if dtype.kind not in "fiub":
        raise InputError(f"--arg {name}={spec}: {dtype} is no number; give float32, int32, uint8, ...")
    shape = tuple(int(extent) for extent in match[2].split("x"))
    if np.prod(shape, dtype=float) * dtype.itemsize > 2**31:
        raise InputError(f"--arg {name}={spec}: more than 2 GiB; give a smaller shape")
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
            values = np.full(size, float(fill) if dtype.kind == "f" else int(fill))
        except (ValueError, OverflowError):
            raise InputError(
                f"--arg {name}={spec}: fill {fill}; give {', '.join(FILLS)} or a number"
            ) from None
    return values.astype(dtype).reshape(shape)


def _load(name: str, path: Path) -> np.ndarray[Any, Any]:
    if not path.is_file():
        raise InputError(f"--arg {name}={path}: no such file; give a .npy file")
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError):
        raise InputError(
            f"--arg {name}={path}: not a .npy file of numbers; write it with numpy.save"
        ) from None
    return np.ascontiguousarray(array)
