"""Who computes a case here: reference, compiled kernels, every CUDA version, PyTorch on either side."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from minidl.bench.kernels.case import DEVICE, HOST, REFERENCE, Call, Case, arrays_of, function_of, mapped
from minidl.dispatch import compiles
from minidl.kernels.layout import to_channels_last

#: Backends in the order of their turns, what each is, and where its results are computed.
BACKENDS = {
    "numpy": ("the readable reference kernels (kernels/reference)", "cpu"),
    "numba": ("the compiled kernels (kernels/cpu), convolutions by each algorithm", "cpu"),
    "torch": ("PyTorch's own operations on the CPU", "cpu"),
    "cuda": ("the CUDA kernels (kernels/cuda), every version", "gpu"),
    "cudnn": ("PyTorch's own operations on the GPU, convolutions by cuDNN", "gpu"),
}
#: Those that are minidl's: if one of them is wrong, something is wrong with minidl.
OWN = ("numpy", "numba", "cuda")


@dataclass
class Contestant:
    """A case, ready to be computed in one way.

    Attributes:
        name: "numba winograd4", "cuda v2".
        backend: of :data:`BACKENDS`.
        run: computes it.
        to_host: the arrays that are compared with the expected ones, from what ``run`` gives; None for one
            that another library understands in another way.
        version: of a device; "" where it is as the backend chooses.
        note: for people.
        given: its arguments' arrays, for minidl's own that do not work in place: a result that shares their
            memory is a view, and took no work.
    """

    name: str
    backend: str
    run: Callable[[], Any]
    to_host: Callable[[Any], Sequence[Any]]
    version: str = ""
    note: str = ""
    given: tuple[Any, ...] = ()

    @property
    def place(self) -> str:
        """ "cpu" or "gpu"."""
        return BACKENDS[self.backend][1]


def missing(backend: str) -> str:
    """Why a backend cannot take part here, in a few words; empty if it can.

    Args:
        backend: of :data:`BACKENDS`.
    """
    if backend == "numba" and not compiles():
        return "NUMBA_DISABLE_JIT is set"
    if backend in ("numba", "torch") and find_spec(backend) is None:
        return f"{backend} is not installed"
    if backend in ("cuda", "cudnn"):
        from minidl.kernels.cuda.device import cuda_problem

        if problem := cuda_problem():
            return problem
        if backend == "cudnn" and not _torch_on_gpu():
            return "PyTorch with CUDA is not installed"
    return ""


def _torch_on_gpu() -> bool:
    if find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


def on_host(case: Case, call: Call, backend: str) -> Iterator[Contestant]:
    """The contestants of "numpy" or "numba" for a case; none where the backend has no function of its own.

    Args:
        case: the function.
        call: its arguments, in C order.
        backend: which.
    """
    package = REFERENCE if backend == "numpy" else HOST
    function = case.host.get(backend) or function_of(package, case)
    reference = function_of(REFERENCE, case)
    if function is None or (backend != "numpy" and function is reference):
        return
    if case.operation != "conv2d" or backend == "numpy" or "bias" in case.function:
        yield _host(case, call, backend, function, {})
        return
    chosen, others = algorithms(case, call)
    yield _host(case, call, backend, function, {}, note=f"chosen: {chosen}")
    for name in others:
        yield _host(case, call, backend, function, {"algorithm": name}, name)


def algorithms(case: Case, call: Call) -> tuple[str, list[str]]:
    """The algorithm that the compiled backend chooses for a convolution, and the others that can do it.

    Args:
        case: a function of ``conv2d``.
        call: its arguments.
    """
    from minidl.bench.convolutions import applicable
    from minidl.bench.kernels.cases.products import geometry
    from minidl.kernels.cpu import plan

    s = geometry(case.function, call)
    n, c, h, w = s.x_shape
    problem = plan.Problem(
        case.function,
        n,
        c,
        h,
        w,
        s.weight_shape[0],
        s.kernel,
        s.stride,
        s.padding,
        s.dilation,
        s.groups,
        call.args[0].itemsize,
    )
    chosen = plan.choose(problem).algorithm
    return chosen, [name for name in applicable(problem) if name != chosen]


def _host(
    case: Case,
    call: Call,
    backend: str,
    function: Callable[..., Any],
    options: dict[str, Any],
    label: str = "",
    note: str = "",
) -> Contestant:
    mine: Call = mapped(call, np.copy)
    if backend == "numba":
        mine = _as_in_a_network(function, mine)
    given = mine.args[0] if case.in_place else None

    def run() -> Any:
        result = function(*mine.args, **mine.options, **options)
        return given if case.in_place else result

    reads = () if case.in_place else tuple(arrays_of(mine))
    return Contestant(f"{backend} {label}".strip(), backend, run, arrays_of, note=note, given=reads)


def _as_in_a_network(function: Callable[..., Any], call: Call) -> Call:
    """Pictures channels-last, as the compiled convolution leaves them, where the function takes them so."""
    if getattr(function, "takes", None) == "C":
        return call
    names = list(inspect.signature(function).parameters)

    def arranged(array: Any) -> Any:
        if array.ndim == 4:
            return to_channels_last(array)
        if array.ndim == 3 and array.shape[2] > 1 and array.dtype.kind == "f":  # (N, C, M): the same
            return np.ascontiguousarray(array.swapaxes(1, 2)).swapaxes(1, 2)
        return array

    def one(name: str, value: Any) -> Any:
        return value if name == "weight" else mapped(value, arranged)

    places = [*names, *[names[-1]] * max(0, len(call.args) - len(names))]
    args = tuple(one(name, value) for name, value in zip(places, call.args, strict=False))
    return Call(args, {name: one(name, value) for name, value in call.options.items()})


def on_device(case: Case, call: Call, xp: Any) -> Iterator[Contestant]:
    """Every version of a case on the current device, and first the one that the host code chooses.

    Args:
        case: the function.
        call: its arguments on the host.
        xp: CuPy, or its stand-in in a test.
    """
    own = case.device or function_of(DEVICE, case)
    if own is not None and len(case.versions) > 1:
        yield _device(case, call, xp, own, {}, "", "as chosen")
    for version in case.versions:
        function = version.run or own
        if function is not None:
            options = {"version": version.name} if version.options is None else version.options
            yield _device(case, call, xp, function, options, version.name)


def _device(
    case: Case,
    call: Call,
    xp: Any,
    function: Callable[..., Any],
    options: dict[str, Any],
    version: str,
    note: str = "",
) -> Contestant:
    mine: Call = mapped(call, xp.asarray)
    given = mine.args[0] if case.in_place else None

    def run() -> Any:
        result = function(*mine.args, **mine.options, **options)
        return given if case.in_place else result

    def to_host(result: Any) -> list[Any]:
        return [xp.asnumpy(array) for array in arrays_of(result)]

    reads = () if case.in_place else tuple(arrays_of(mine))
    return Contestant(f"cuda {version}".strip(), "cuda", run, to_host, version, note, reads)


def gives_views(contestant: Contestant, result: Any) -> bool:
    """Whether a result lies in the memory of the arguments.

    Args:
        contestant: whose.
        result: what its ``run`` gave.
    """
    spans = [_span(array) for array in contestant.given]
    return any(a < end and begin < b for begin, end in map(_span, arrays_of(result)) for a, b in spans)


def _span(array: Any) -> tuple[int, int]:
    """Where an array lies, from its first byte to behind its last."""
    if isinstance(array, np.ndarray):
        return np.lib.array_utils.byte_bounds(array)
    begin = int(array.data.ptr)
    reach = sum((size - 1) * step for size, step in zip(array.shape, array.strides, strict=True))
    return begin, begin + reach + array.itemsize


def contestants(case: Case, call: Call, backends: Sequence[str], xp: Any = None) -> Iterator[Contestant]:
    """All who compute a case.

    Args:
        case: the function.
        call: its arguments.
        backends: that take part; they must be there.
        xp: CuPy, for "cuda"; the current device is used.
    """
    for backend in backends:
        if backend in ("numpy", "numba"):
            yield from on_host(case, call, backend)
        elif backend == "cuda":
            yield from on_device(case, call, xp)
        else:
            from minidl.bench.kernels.torch_side import peers

            yield from peers(case, call, backend)
