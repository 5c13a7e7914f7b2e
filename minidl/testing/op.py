"""All checks of one operation, from one call: :func:`check_op`. What an operation is held to:

1. Forward: the values of the oracle, within the rounding of the sums.
2. Backward: :func:`minidl.gradcheck`, and central differences of the *oracle*, with random cotangents.
3. Inputs and cotangent are left as they were; gradients have the inputs' shapes and dtypes, lie in C
   order and in memory of their own; a second run gives the same bits.
4. Fortran, channels-last, sliced and reversed inputs and cotangents give the same values and gradients.
5. float32 in, float32 out, close to float64.
6. Every backend with kernels of its own for the operation agrees.
7. With ``linear``: <A x, g> = <x, backward(g)>, and A(2x - z) = 2 A x - A z.
8. Second derivatives, if every operation on the tape has a ``tensor_backward``: it agrees with the
   ``backward``, and its own gradient with central differences (:func:`minidl.gradgradcheck`).
9. The same inputs cut to an empty batch and to one pixel, where the oracle has a value for these.

What is off is said with its place:

>>> import minidl
>>> check_op(lambda x: x.exp(), np.expm1, np.array([-1.0, 0.5, 2.0]))
Traceback (most recent call last):
AssertionError: exp: forward: element (0,) of shape (3,) is 0.36787944117144233, should be
-0.6321205588285577 (allowed difference 1.4e-13; 3 of 3 elements are off)
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minidl.testing import single
from minidl.testing.arrays import Array, cotangent_for, leaf, size_of, tolerance, values
from minidl.testing.differences import check_directions
from minidl.testing.report import Report, require

TensorFunction = Callable[..., Any]
ArrayFunction = Callable[..., Any]


def check_op(
    fn: TensorFunction,
    oracle: ArrayFunction | None = None,
    *arrays: Array,
    name: str | None = None,
    terms: int = 16,
    orders: bool = True,
    gradcheck: bool = True,
    linear: bool | Sequence[int] = False,
    second_order: bool | None = None,
    max_elements: int | None = None,
    backends: bool = True,
    extremes: bool = True,
    seed: int = 0,
) -> Report:
    """Hold an operation to everything that one of this library is held to: the nine points of this module.

    Args:
        fn: takes one Tensor for each array, gives a Tensor. Whatever has no gradient (labels, options, a
            seeded mask) belongs into its closure. It must be deterministic.
        oracle: the same with arrays, written for obviousness: loops, one equation, nothing of the library.
            Without one only ``fn``'s own consistency is checked.
        arrays: float64, away from corners and ties (0 for ReLU), where no difference is right.
        name: for messages; by default that of ``fn``, or of the operation that it ran.
        terms: the length of the longest sum of products in forward and backward: the allowed difference
            grows with it (:func:`~minidl.testing.tolerance`).
        orders, gradcheck, backends, extremes: False leaves out 4, the first half of 2, 6 or 9.
        linear: True if ``fn`` is linear in its first input (the others held fixed), or the positions of the
            inputs in each of which it is linear.
        second_order: True demands 8, False leaves it out.
        max_elements: check second derivatives at so many random elements of each input (by default at all,
            which takes longest of all checks).
        seed: of cotangents and directions.

    Returns:
        A :class:`Report`; print it.

    Raises:
        AssertionError: something is off; the message says what, and where.
        TypeError: no arrays, or other dtypes than float64.

    >>> import math, minidl
    >>> def softplus(x):
    ...     return (1.0 + x.exp()).log()
    >>> def literal(x):
    ...     return np.array([math.log(1 + math.exp(v)) for v in x])
    >>> report = check_op(softplus, literal, np.array([-1.0, 0.5, 2.0]))
    >>> report.checks["forward"].cases
    1
    """
    case = _Case.of(fn, oracle, arrays, name, terms, seed)
    case.check_first_order(gradcheck, orders, backends)
    for position in (0,) if linear is True else linear or ():
        case.check_linear(position)
    case.check_second_order(second_order, case.tolerance(np.float64), max_elements)
    if extremes:
        case.check_extremes(gradcheck)
    return case.report


@dataclass
class _Case:
    """An operation at one point: what goes in, and what the plain run gave."""

    fn: TensorFunction
    oracle: ArrayFunction | None
    arrays: tuple[Array, ...]
    terms: int
    seed: int
    report: Report
    expected: NDArray[Any] | None
    g: Array
    y: NDArray[Any]
    gradients: list[NDArray[Any]]

    @classmethod
    def of(
        cls,
        fn: TensorFunction,
        oracle: ArrayFunction | None,
        arrays: tuple[Array, ...],
        name: str | None,
        terms: int,
        seed: int,
    ) -> _Case:
        arrays = tuple(np.asarray(a) for a in arrays)
        if not arrays:
            raise TypeError("check_op: no arrays given: check_op(fn, oracle, array, ...)")
        for position, a in enumerate(arrays):
            if a.dtype != np.float64:
                raise TypeError(f"check_op: input {position} is {a.dtype}; give float64 arrays")
        expected = None if oracle is None else np.asarray(oracle(*arrays))
        output = fn(*(leaf(a) for a in arrays))
        report = Report(name or _name(fn, output))
        with report.during("forward"):
            shape = values(output).shape
        if expected is not None:
            require(shape == expected.shape, f"{report.name}: forward: shape {shape}, not {expected.shape}")
        g = cotangent_for(values(output), seed)
        with report.during("backward"):
            y, gradients = single.run(fn, arrays, g)
        return cls(fn, oracle, arrays, terms, seed, report, expected, g, y, gradients)

    @property
    def results(self) -> tuple[tuple[Array, ...], Array, NDArray[Any], list[NDArray[Any]]]:
        """What the single checks take."""
        return self.arrays, self.g, self.y, self.gradients

    def tolerance(self, dtype: Any) -> float:
        """For forward and backward: a product has the inputs' sizes, the output's and the cotangent's."""
        expected = self.y if self.expected is None else self.expected
        scale = max(size_of(*self.arrays), size_of(expected))
        return tolerance(dtype, self.terms, scale * size_of(self.g))

    def check_first_order(self, gradcheck: bool, orders: bool, backends: bool) -> None:
        """Points 1 to 6: values and gradients, at this point and however it is given."""
        self.check_values()
        if gradcheck:
            single.check_gradients(self.fn, self.arrays, self.report, kinks=0.1)
        single.check_repeatable(self.fn, *self.results, self.report)
        exact, rough = self.tolerance(np.float64), self.tolerance(np.float32)
        if orders:
            single.check_memory_orders(self.fn, *self.results, exact, self.report)
        single.check_float32(self.fn, *self.results, rough, self.report)
        if backends:
            single.check_backends(self.fn, *self.results, exact, self.report)

    def check_values(self) -> None:
        """Forward beside the oracle, gradients beside the oracle's slopes."""
        dtype = self.y.dtype
        require(dtype == np.float64, f"{self.report.name}: float64 in, {dtype} out")
        if self.oracle is None or self.expected is None:
            self.report.skip("forward", "there is no oracle")
            return
        scale = max(size_of(*self.arrays), size_of(self.expected))
        atol = tolerance(np.float64, self.terms, scale)
        self.report.compare("forward", "forward", self.y, self.expected, atol=atol)
        check_directions(self.oracle, self.arrays, self.g, self.gradients, self.seed, self.report)

    def check_linear(self, position: int) -> None:
        """Linear in one input, the others held fixed."""

        def of_one(x: Any) -> Any:
            return self.fn(*(x if i == position else a for i, a in enumerate(fixed)))

        fixed = [leaf(a).detach() for a in self.arrays]
        others = size_of(*(a for i, a in enumerate(self.arrays) if i != position))
        terms = int(np.ceil(self.terms * others))
        single.check_adjoint(of_one, self.arrays[position], terms=terms, seed=self.seed, report=self.report)

    def check_second_order(self, wanted: bool | None, atol: float, elements: int | None) -> None:
        """Only where every operation on the tape can be differentiated twice, unless it is demanded."""
        if wanted is False:
            return
        nodes = single.tape(self.fn(*(leaf(a) for a in self.arrays)))
        lacking = sorted({n.function.operation() for n in nodes if n.function.tensor_backward is None})
        if lacking and not wanted:
            self.report.skip("second order", f"{', '.join(lacking)} has no tensor_backward")
            return
        require(not lacking, f"{self.report.name}: {', '.join(lacking)} has no tensor_backward")
        point = (self.arrays, self.g, self.gradients)
        single.check_second_order(self.fn, *point, atol, self.seed, elements, self.report)

    def check_extremes(self, gradcheck: bool) -> None:
        """An empty batch and one pixel: the oracle says whether there is a value."""
        for kind, arrays in _cut(self.arrays):
            reason = self._check_extreme(kind, arrays, gradcheck)
            if reason:
                self.report.skip(kind, reason)

    def _check_extreme(self, kind: str, arrays: tuple[Array, ...], gradcheck: bool) -> str:
        expected = None
        if self.oracle is not None:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")  # the mean of nothing, 0 / 0
                    expected = np.asarray(self.oracle(*arrays))
            except Exception as error:  # a user's function: whatever it raises means that it has no value
                return f"the oracle raises {type(error).__name__}"
            if not np.isfinite(expected).all():
                return "the oracle is not finite"
        try:
            self.fn(*(leaf(a) for a in arrays))
        except (ValueError, RuntimeError, IndexError, TypeError) as error:
            return f"refused: {error}"
        with self.report.during(kind):
            y, _ = single.run(self.fn, arrays, None)
        wanted = y if expected is None else expected
        scale = max(size_of(*arrays), size_of(wanted))
        atol = tolerance(np.float64, self.terms, scale)
        self.report.compare(kind, f"forward, {kind}", y, wanted, atol=atol)
        if gradcheck and any(a.size for a in arrays):
            single.check_gradients(self.fn, arrays, self.report, kinks=1.0)
        return ""


def _cut(arrays: tuple[Array, ...]) -> Iterator[tuple[str, tuple[Array, ...]]]:
    """The inputs with an empty batch, and with one pixel; all inputs of the first one's shape are cut alike.

    Of three axes and more, (N, C, ...), the pixels are those of axis 2 on; of fewer, all axes.
    """
    shape = arrays[0].shape
    if not shape:
        return
    kept = 2 if len(shape) > 2 else 0
    one = (slice(None),) * kept + (slice(0, 1),) * (len(shape) - kept)
    for kind, index in (("zero-size", (slice(0, 0),)), ("one pixel", one)):
        if arrays[0][index].shape != shape:
            yield kind, tuple(a[index].copy() if a.shape == shape else a for a in arrays)


def _name(fn: TensorFunction, output: Any) -> str:
    """The function's name; of a lambda and of ``SomeFunction.apply``, that of the last operation that ran."""
    own = str(getattr(fn, "__name__", "<lambda>"))
    node = getattr(output, "grad_fn", None)
    named = own.isidentifier() and own != "apply"
    return own if named or node is None else node.function.operation()
