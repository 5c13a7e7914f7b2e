"""The single checks that :func:`minidl.testing.check_op` consists of.

Each takes the operation ``fn`` (a function of tensors), the inputs, and what the plain run in C order and
float64 gave: cotangent ``g``, result ``y``, ``gradients``.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minidl import dispatch
from minidl._gradcheck import gradcheck, gradgradcheck
from minidl._tensor import Tensor
from minidl.autograd import Node
from minidl.autograd import grad as gradients_of
from minidl.testing.arrays import Array, cotangent_for, leaf, memory_orders, size_of, tolerance, values
from minidl.testing.report import Report, require

TensorFunction = Callable[..., Any]


def run(
    fn: TensorFunction, arrays: tuple[Array, ...], g: Array | None
) -> tuple[NDArray[Any], list[NDArray[Any]]]:
    """Forward and backward of ``fn``: (y, gradients). What must hold for every operation is asserted.

    The inputs and the cotangent are left as they were; every input gets a gradient of its shape and dtype, in
    C order, in memory of its own. Without ``g`` a random cotangent is taken.
    """
    inputs = [leaf(a) for a in arrays]
    before = [a.copy() for a in arrays]
    output = fn(*inputs)
    y = values(output)
    g = cotangent_for(y) if g is None else g
    g_before = g.copy()
    for position, (tensor, a) in enumerate(zip(inputs, arrays, strict=True)):
        shares = a.size and np.may_share_memory(y, a)
        declared = output._version is tensor._version
        require(
            declared or not shares, f"the result shares memory with input {position}, but is_view is not set"
        )
    require(output.requires_grad, "the result does not require a gradient: it was not recorded")
    output.backward(Tensor(g))
    for a, old in zip(arrays, before, strict=True):
        require(np.array_equal(a, old, equal_nan=True), "the op changed its input")
    require(np.array_equal(g, g_before, equal_nan=True), "the backward changed its cotangent")
    gradients = []
    for position, (tensor, a) in enumerate(zip(inputs, arrays, strict=True)):
        require(tensor.grad is not None, f"input {position} got no gradient")
        gradient = values(tensor.grad)
        require(gradient.shape == a.shape, f"gradient {position}: shape {gradient.shape}, not {a.shape}")
        require(gradient.dtype == a.dtype, f"gradient {position} is {gradient.dtype}, the input {a.dtype}")
        require(_lies_as(gradient, a), f"gradient {position} lies in memory in another order than the input")
        shared = gradient.size and any(np.may_share_memory(gradient, other) for other in (*arrays, g))
        require(not shared, f"gradient {position} shares memory with an input or the cotangent")
        gradients.append(gradient)
    return y, gradients


def _lies_as(gradient: NDArray[Any], a: Array) -> bool:
    """Whether a gradient lies in memory as a copy of the input would; an axis of one has no order."""
    strides = zip(gradient.shape, gradient.strides, np.empty_like(a).strides, strict=True)
    return not a.size or all(stride == wanted for extent, stride, wanted in strides if extent > 1)


def check_repeatable(
    fn: TensorFunction,
    arrays: tuple[Array, ...],
    g: Array,
    y: NDArray[Any],
    gradients: list[NDArray[Any]],
    report: Report,
) -> None:
    """A second run gives the same bits."""
    with report.during("second run"):
        second_y, second_gradients = run(fn, arrays, g)
    pairs = zip((y, *gradients), (second_y, *second_gradients), strict=True)
    same = all(a.tobytes() == b.tobytes() for a, b in pairs)
    require(same, f"{report.name}: a second run with the same inputs gives other bits")
    report.count("same bits twice")


def check_memory_orders(
    fn: TensorFunction,
    arrays: tuple[Array, ...],
    g: Array,
    y: NDArray[Any],
    gradients: list[NDArray[Any]],
    atol: float,
    report: Report | None = None,
) -> None:
    """The same values in another memory order give the same results up to the rounding of sums."""
    report = Report() if report is None else report
    names = sorted({name for a in arrays for name in memory_orders(a)})
    for name in names:
        moved = tuple(memory_orders(a).get(name, a) for a in arrays)
        moved_g = memory_orders(g).get(name, g)
        with report.during(f"{name} inputs"):
            results = run(fn, moved, moved_g)
        _compare_run(report, "memory orders", f"{name} inputs", results, (y, gradients), (atol, atol))


def check_float32(
    fn: TensorFunction,
    arrays: tuple[Array, ...],
    g: Array,
    y: NDArray[Any],
    gradients: list[NDArray[Any]],
    atol: float,
    report: Report | None = None,
) -> None:
    """float32 stays float32 and is close to float64; atol includes the rounding of the inputs themselves."""
    report = Report() if report is None else report
    small = tuple(a.astype(np.float32) for a in arrays)
    with report.during("float32"):
        results = run(fn, small, g.astype(np.float32))  # type: ignore[arg-type]
    require(results[0].dtype == np.float32, f"{report.name}: float32 in, {results[0].dtype} out")
    # Steep functions (1/x, logarithms near 0.5, powers) magnify the input's rounding by their slope.
    steepest = max((float(np.abs(d).max()) for d in gradients if d.size), default=1.0)
    atol *= max(1.0, steepest)
    _compare_run(report, "float32", "float32", results, (y, gradients), (atol, atol))


def _compare_run(
    report: Report,
    kind: str,
    what: str,
    actual: tuple[NDArray[Any], Sequence[NDArray[Any]]],
    wanted: tuple[NDArray[Any], Sequence[NDArray[Any]]],
    atol: tuple[float, float],
) -> None:
    report.compare(kind, f"forward, {what}", actual[0], wanted[0], atol=atol[0])
    for position, (a, b) in enumerate(zip(actual[1], wanted[1], strict=True)):
        report.compare(kind, f"gradient {position}, {what}", a, b, atol=atol[1])


# --- backends and second derivatives: what applies is read off the tape ---


def tape(output: Any) -> list[Node]:
    """The nodes that a result was computed through, its own first.

    >>> import minidl
    >>> x = minidl.tensor([1.0], requires_grad=True)
    >>> tape((x * x).exp())
    [<ExpBackward>, <MulBackward>]
    """
    found: dict[Node, None] = {}
    waiting = [output.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in found:
            continue
        found[node] = None
        waiting += [edge[0] for edge in node.next_functions if isinstance(edge, tuple)]
    return list(found)


def _backends_with_rows(nodes: list[Node]) -> Iterator[str]:
    """Backends other than the preferred one that have kernels of their own for one of these operations."""
    used = {vars(node)["kernels"].operation for node in nodes if "kernels" in vars(node)}
    for backend, package in dispatch.HOST_BACKENDS.items():
        rows = (importlib.util.find_spec(f"{package}.{operation}") for operation in used)
        if backend != dispatch.backend() and any(rows):
            yield backend


def check_backends(
    fn: TensorFunction,
    arrays: tuple[Array, ...],
    g: Array,
    y: NDArray[Any],
    gradients: list[NDArray[Any]],
    atol: float,
    report: Report,
) -> None:
    """Every backend with kernels of its own for this operation agrees with the preferred one."""
    nodes = tape(fn(*(leaf(a) for a in arrays)))
    for backend in _backends_with_rows(nodes):
        what = f"backend {backend}"
        with dispatch.use(backend), warnings.catch_warnings(), report.during(what):
            warnings.simplefilter("ignore", dispatch.KernelFallbackWarning)
            results = run(fn, arrays, g)
        _compare_run(report, what, what, results, (y, gradients), (atol, atol))


def check_second_order(
    fn: TensorFunction,
    arrays: tuple[Array, ...],
    g: Array,
    gradients: list[NDArray[Any]],
    atol: float,
    seed: int,
    max_elements: int | None,
    report: Report,
) -> None:
    """The backward made of operations gives what the array backward gives; its own derivative is right."""
    inputs = [leaf(a.copy()) for a in arrays]
    again = gradients_of(fn(*inputs), inputs, Tensor(g), create_graph=True, allow_unused=True)
    for position, (tensor, wanted) in enumerate(zip(again, gradients, strict=True)):
        actual = np.zeros_like(wanted) if tensor is None else values(tensor)
        what = f"gradient {position} with create_graph=True"
        report.compare("second order", what, actual, wanted, atol=atol)
    if any(a.size for a in arrays):
        with report.during("second order"):
            passed = gradgradcheck(fn, inputs, seed=seed, max_elements=max_elements)
        require(passed, f"{report.name}: gradgradcheck returned False")
        report.count("second order")


# --- linear operations ---


def check_adjoint(
    fn: TensorFunction, x: Array, *, terms: int, seed: int = 0, report: Report | None = None
) -> Report:
    """For linear ``fn``: <A x, g> = <x, A^T g>, where the backward is A^T; and A(2x - z) = 2 A x - A z.

    The first is exact mathematics, not an approximation as central differences are: it holds to rounding.
    """
    report = Report("adjoint") if report is None else report
    y, _ = run(fn, (x,), None)
    g = cotangent_for(y, seed)
    _, (transposed,) = run(fn, (x,), g)
    scale = size_of(x) * size_of(g) * max(1.0, size_of(y)) * max(x.size, y.size, 1)
    left, right = np.asarray(np.vdot(y, g)), np.asarray(np.vdot(x, transposed))
    what = "<A x, g>, which should be <x, backward(g)>"
    report.compare("adjoint", what, left, right, atol=tolerance(np.float64, terms, scale))
    z = cotangent_for(x, seed + 1)
    combined, _ = run(fn, (2 * x - z,), g)
    of_z, _ = run(fn, (z,), g)
    bound = 4 * tolerance(np.float64, terms, size_of(x) * size_of(z) * size_of(y))
    report.compare("linear", "not linear: A(2x - z)", combined, 2 * y - of_z, atol=bound)
    return report


def check_gradients(fn: TensorFunction, arrays: tuple[Array, ...], report: Report, kinks: float) -> None:
    """``minidl.gradcheck``: every element of the gradients against central differences of ``fn`` itself."""
    # It raises where something is off; its result is checked too, lest it be ignored.
    with report.during("gradient"):
        passed = gradcheck(fn, [leaf(a.copy()) for a in arrays], max_kinks=kinks)
    require(passed, f"{report.name}: gradcheck returned False")
    report.count("gradcheck")
