"""One call of one version of a kernel, what it must give, and how the two are compared."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np

from minidl.kernels.cuda import arguments, arrays

Make = Callable[["Draw"], tuple[tuple[Any, ...], dict[str, Any]]]


class Draw:
    """Random arrays of a dtype."""

    def __init__(self, dtype: Any, seed: int = 0) -> None:
        self.dtype, self.rng = np.dtype(dtype), np.random.default_rng(seed)

    def __call__(self, *shape: int) -> Any:
        """Normal numbers."""
        return self.rng.standard_normal(shape).astype(self.dtype)

    def positive(self, *shape: int) -> Any:
        """Numbers that are not near zero."""
        return (0.5 + self.rng.random(shape)).astype(self.dtype)

    def ids(self, below: int, *shape: int) -> Any:
        """Integers 0 ... below - 1."""
        return self.rng.integers(0, below, shape)


@dataclass(frozen=True)
class Case:
    """One call of one version of one kernel."""

    operation: str
    function: str
    version: str | None
    name: str
    make: Make
    slack: float = 16
    expected: Callable[..., Any] | None = None  #: None: the reference kernel's function of the same name
    in_place: bool = False  #: the result is what the call did to its first argument
    call: Callable[..., Any] | None = None  #: None: the device's function of that name

    @property
    def id(self) -> str:
        return "-".join(filter(None, (self.operation, self.function, self.name, self.version)))

    def run(self, xp: Any, dtype: Any) -> Any:
        """The results on a device, as host arrays."""
        args, options = self.make(Draw(dtype))
        device = importlib.import_module(f"minidl.kernels.cuda.{self.operation}")
        if self.version is not None:
            options = {**options, "version": self.version}
        args, call = mapped(args, xp.asarray), self.call or getattr(device, self.function)
        result = call(*args, **mapped(options, xp.asarray))
        return mapped(args[0] if self.in_place else result, xp.asnumpy)

    def want(self, dtype: Any) -> Any:
        """What they must be."""
        args, options = self.make(Draw(dtype))
        expected = self.expected or getattr(
            importlib.import_module(f"minidl.kernels.reference.{self.operation}"), self.function
        )
        with np.errstate(all="ignore"):
            result = expected(*args, **options)
        return args[0] if self.in_place else result

    def check(self, xp: Any, dtype: Any) -> None:
        """Raise unless results are as they must be."""
        same(self.run(xp, dtype), self.want(dtype), self.slack, self.id)


@contextlib.contextmanager
def far(operation: str) -> Iterator[None]:
    """Launches inside are those of huge arrays: positions have 64 bits, and grids too few blocks for the
    work.

    So what a small array never needs is run as well: the other width of INDEX, and the second round of each
    loop over blocks.
    """
    device = importlib.import_module(f"minidl.kernels.cuda.{operation}")
    with contextlib.ExitStack() as stack:
        stack.enter_context(patch.object(arguments, "INT_MAX", 0))
        for module in (arrays, device):
            if hasattr(module, "MOST_BLOCKS"):
                stack.enter_context(patch.object(module, "MOST_BLOCKS", 1))
        yield


class OnHost(tuple):
    """A tuple whose arrays stay on the host: tables that kernels' host code itself uploads."""


def mapped(value: Any, function: Callable[[Any], Any]) -> Any:
    """``function`` of every array in nested tuples, lists and dictionaries."""
    if isinstance(value, OnHost) or value is None:
        return value
    if isinstance(value, tuple | list):
        return type(value)(mapped(v, function) for v in value)
    if isinstance(value, dict):
        return {k: mapped(v, function) for k, v in value.items()}
    return function(value) if hasattr(value, "strides") and hasattr(value, "reshape") else value


def same(got: Any, want: Any, slack: float, where: str) -> None:
    """Raise unless arrays agree: shapes, dtypes, NaN and infinities, values up to ``slack`` roundings."""
    if isinstance(want, tuple | list):
        assert len(got) == len(want), where
        for number, (a, b) in enumerate(zip(got, want, strict=True)):
            same(a, b, slack, f"{where} {number}")
        return
    if not hasattr(want, "dtype"):
        assert got == want or (got is None and want is None), where
        return
    assert got.shape == want.shape and got.dtype == want.dtype, (where, got.shape, got.dtype, want.shape)
    if want.dtype.kind != "f":
        assert (got == want).all(), where
        return
    assert not unwritten(got).any(), f"{where}: nobody wrote {int(unwritten(got).sum())} numbers"
    finite = np.isfinite(want)
    np.testing.assert_array_equal(np.where(finite, 0, got), np.where(finite, 0, want), err_msg=where)
    largest = np.abs(want[finite]).max(initial=0)
    allowed = slack * np.finfo(want.dtype).eps * largest
    np.testing.assert_allclose(got[finite], want[finite], rtol=0, atol=allowed, err_msg=where)


def unwritten(array: Any) -> Any:
    """Where the simulator's fresh memory is as it was: a tiny number, which a tolerance would let pass."""
    return array.view(f"u{array.itemsize}") == int.from_bytes(b"\xa5" * array.itemsize, "little")
