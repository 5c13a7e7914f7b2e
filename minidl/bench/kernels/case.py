"""What a case is: one kernel function with its arguments, and the CUDA versions that compute it."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from minidl.bench.tasks import QUICK_BATCH, QUICK_LEAST, QUICK_SHRINK
from minidl.bench.workloads import BATCH

#: Channels of convolutions in a quick run.
QUICK_CHANNELS = 16

REFERENCE, HOST, DEVICE = "minidl.kernels.reference", "minidl.kernels.cpu", "minidl.kernels.cuda"


class OnHost(tuple[Any, ...]):
    """A tuple whose arrays stay on the host: tables that a kernel's host code uploads by itself."""

    __slots__ = ()


class Call(NamedTuple):
    """The arguments of a kernel, by position and by name."""

    args: tuple[Any, ...]
    options: dict[str, Any] = {}  # noqa: RUF012 - never changed


class Draw:
    """The arrays of a case: always the same, small ones for ``--quick``.

    Args:
        quick: small pictures, and few of them.
    """

    def __init__(self, quick: bool = False) -> None:
        self.quick, self.rng = quick, np.random.default_rng(0)

    def side(self, extent: int) -> int:
        """Height and width of a picture.

        >>> Draw().side(128), Draw(quick=True).side(128)
        (128, 16)
        """
        return min(extent, max(QUICK_LEAST, extent // QUICK_SHRINK)) if self.quick else extent

    def channels(self, count: int) -> int:
        """Channels or filters of a convolution, whose work grows with their product."""
        return min(count, QUICK_CHANNELS) if self.quick else count

    def batch(self, size: int = BATCH) -> int:
        """Pictures at a time."""
        return min(size, QUICK_BATCH) if self.quick else size

    def rows(self, count: int) -> int:
        """Rows of a matrix of samples."""
        return count // QUICK_SHRINK if self.quick else count

    def normal(self, *shape: int) -> Any:
        """Normally distributed float32."""
        return self.rng.standard_normal(shape, np.float32)

    def signs(self, *shape: int) -> Any:
        """-1, 0 and 1, float32: sums of them are exact in any order, as long as there are less than 2^24."""
        return self.rng.integers(-1, 2, shape).astype(np.float32)

    def positive(self, *shape: int) -> Any:
        """Between a half and one and a half."""
        return self.rng.random(shape, np.float32) + np.float32(0.5)

    def image(self, channels: int, extent: int) -> Any:
        """(N, C, H, W)."""
        return self.normal(self.batch(), channels, self.side(extent), self.side(extent))

    def weight(self, *shape: int) -> Any:
        """A filter that leaves numbers as large as they are."""
        return self.normal(*shape) / np.float32(np.sqrt(np.prod(shape[1:])))

    def ids(self, below: int, *shape: int) -> Any:
        """Integers 0 ... below - 1, int64."""
        return self.rng.integers(0, below, shape)


@dataclass(frozen=True)
class Version:
    """A way to compute a case on a device.

    Attributes:
        name: "v1", "winograd", ...
        kernels: names of the CUDA kernels that it launches, or a function of the call that gives them.
        run: what is called with the case's arguments; None: the function of ``kernels/cuda``.
        options: further arguments of that function; None: ``version=name``.
        products: its products for each of the definition's; Winograd's F(4x4, 3x3) needs a quarter.
    """

    name: str
    kernels: tuple[str, ...] | Callable[[Call], tuple[str, ...]]
    run: Callable[..., Any] | None = None
    options: dict[str, Any] | None = None
    products: float = 1.0

    def launches(self, call: Call) -> tuple[str, ...]:
        """The CUDA kernels that run for this call."""
        return self.kernels if isinstance(self.kernels, tuple) else self.kernels(call)


def versions(stem: str, *names: str, also: tuple[str, ...] = ()) -> tuple[Version, ...]:
    """Versions whose kernels are named after them.

    >>> [v.kernels for v in versions("activations_relu", "v1", "v2")]
    [('activations_relu_v1',), ('activations_relu_v2',)]
    """
    return tuple(Version(name, (f"{stem}_{name}", *also)) for name in names)


def only(*kernels: str) -> tuple[Version, ...]:
    """The one way, of a function that takes no ``version=``."""
    return (Version("v1", kernels, options={}),)


@dataclass(frozen=True)
class Case:
    """A kernel function on given arguments.

    Attributes:
        operation, function: where it is found in each backend's folder.
        make: draws the arguments.
        versions: on a device.
        variant: what tells it from another case of the same function.
        title: for people; None: the name.
        expected: what the result must be, where ``kernels/reference`` has no such function.
        host: what computes it on the CPU, by backend, where that is not the backend's function of that name.
        device: the same on a device.
        in_place: the result is what the call did to its first argument.
        terms: additions, and other roundings, on the way to a number of the result; None: as
            ``minidl/_compare.py`` has it.
    """

    operation: str
    function: str
    make: Callable[[Draw], Call]
    versions: tuple[Version, ...] = ()
    variant: str = ""
    title: str | None = None
    expected: Callable[..., Any] | None = None
    host: dict[str, Callable[..., Any]] = field(default_factory=dict)
    device: Callable[..., Any] | None = None
    in_place: bool = False
    terms: int | None = None

    @property
    def name(self) -> str:
        """For ``--only`` and the results."""
        return "-".join(filter(None, (self.operation, self.function, self.variant)))

    @property
    def about(self) -> str:
        """Operation and function."""
        return f"{self.operation}.{self.function}"

    def reference(self) -> Callable[..., Any]:
        """The function that says what is right: of any precision, on NumPy's arrays."""
        return self.expected or function_of(REFERENCE, self)  # type: ignore[return-value]

    def named(self, call: Call) -> dict[str, Any]:
        """The arguments by the reference's names."""
        bound = inspect.signature(self.reference()).bind(*call.args, **call.options).arguments
        return {**bound, **bound.pop("options", {})}


def function_of(package: str, case: Case) -> Callable[..., Any] | None:
    """The case's function in a backend's package, if it has one."""
    name = f"{package}.{case.operation}"
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return None
    return getattr(module, case.function, None)


def mapped(value: Any, function: Callable[[Any], Any]) -> Any:
    """``function`` of every array in nested tuples, lists and dictionaries; tables of the host stay.

    >>> mapped((np.ones(2), [3, np.zeros(1)], OnHost((np.ones(1),))), np.size)
    (2, [3, 1], (array([1.]),))
    """
    if isinstance(value, OnHost):
        return value
    if isinstance(value, Call):
        return Call(*(mapped(part, function) for part in value))
    if isinstance(value, tuple | list):
        return type(value)(mapped(v, function) for v in value)
    if isinstance(value, dict):
        return {k: mapped(v, function) for k, v in value.items()}
    return function(value) if hasattr(value, "strides") and hasattr(value, "reshape") else value


def arrays_of(value: Any) -> list[Any]:
    """All arrays in nested tuples, lists and dictionaries, in order.

    >>> [a.shape for a in arrays_of(((np.ones(2), 3), {"b": np.ones(4)}))]
    [(2,), (4,)]
    """
    if isinstance(value, tuple | list | dict):
        parts: Iterable[Any] = value.values() if isinstance(value, dict) else value
        return [array for part in parts for array in arrays_of(part)]
    return [value] if hasattr(value, "strides") and hasattr(value, "reshape") else []
