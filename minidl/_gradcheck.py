"""Checking a backward against central differences.

Let F map inputs to an output y, and v be a random cotangent of y. The backward must give the gradient of the
scalar s(x) = Σ v ⊙ F(x). Each element of it is compared with the central difference

    (s(x + h e_i) - s(x - h e_i)) / 2h = ∂s/∂x_i + O(h²)

in float64. A *random* cotangent, because one of all ones hides mistakes: the sum of a softmax is constant, so
a backward that returns zeros would pass.

Tolerance. The difference carries a truncation error of about h² s'''/6 and a rounding error of about
eps·|s|/h. With h = 1e-6 times the size of x_i both are near 1e-10 of the scale of s, so 1e-6 (relative to
the largest gradient) separates rounding from mistakes.

Kinks. Where F has a corner within h of x_i (ReLU at 0, a tie in max pooling), the two one-sided slopes differ
and no central difference is right. Such an element is recognised by slopes that still differ after h is made
smaller, and is left out, unless too many are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl._device import CPU, move
from minidl._tensor import Tensor
from minidl.autograd import enable_grad, grad, no_grad


class GradcheckError(AssertionError):
    """A backward disagrees with central differences."""


def gradcheck(
    fn: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    step: float = 1e-6,
    rtol: float = 1e-6,
    atol: float = 1e-8,
    seed: int = 0,
    max_elements: int | None = None,
    max_kinks: float = 0.1,
    raise_exception: bool = True,
) -> bool:
    """Compare the backward of ``fn`` with central differences, element by element.

    Args:
        fn: takes the inputs, gives a Tensor or a tuple of them. Must be deterministic.
        inputs: a Tensor or a sequence; those that require a gradient are checked, and must be float64.
        step: h, relative to max(1, |x_i|).
        rtol, atol: allowed difference: atol + rtol · (largest gradient of that input).
        seed: of the random cotangents and of the choice of elements.
        max_elements: check only so many random elements of each input (all by default).
        max_kinks: largest share of elements that may sit on a kink before the check is called meaningless.
        raise_exception: raise on disagreement instead of returning False.

    Returns:
        True if all agree.

    Raises:
        GradcheckError: an element is off (the message says which, of which input), or too many kinks.
        TypeError: an input is not float64, or none requires a gradient.

    >>> import minidl
    >>> x = minidl.tensor([[0.3, -1.2], [2.0, 0.7]], requires_grad=True, dtype="float64")
    >>> gradcheck(lambda x: minidl.ops.softmax(x, dim=1), x)
    True
    """
    tensors = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    try:
        _check_all(fn, tensors, np.random.default_rng(seed), max_elements, (step, rtol, atol, max_kinks))
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _check_all(
    fn: Callable[..., Any],
    tensors: list[Any],
    rng: np.random.Generator,
    max_elements: int | None,
    limits: tuple[float, float, float, float],
) -> None:
    """Every input that requires a gradient, with one random cotangent."""
    checked = _checked(tensors)
    outputs = _run(fn, tensors)
    cotangents = [rng.standard_normal(y.shape) for y in outputs]
    analytic = _analytic(outputs, cotangents, [tensors[i] for i in checked])

    def scalar() -> float:
        with no_grad():
            values = _run(fn, tensors)
        return float(sum(np.vdot(v, move(y.data, CPU)) for v, y in zip(cotangents, values, strict=True)))

    for position, gradient in zip(checked, analytic, strict=True):
        count = gradient.size if max_elements is None else min(max_elements, gradient.size)
        elements = np.sort(rng.permutation(gradient.size)[:count])
        _compare(scalar, tensors[position], position, gradient, elements, limits)


def gradgradcheck(
    fn: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    step: float = 1e-6,
    rtol: float = 1e-6,
    atol: float = 1e-8,
    seed: int = 0,
    max_elements: int | None = None,
    max_kinks: float = 0.1,
    raise_exception: bool = True,
) -> bool:
    """Compare the gradient of the gradient of ``fn`` with central differences of the gradient.

    The map that is checked takes the inputs and a random cotangent v of each output, and gives the gradients
    of Σ v ⊙ fn with respect to the inputs (computed with ``create_graph=True``); it is differentiated with
    respect to both. Arguments, result and errors are those of :func:`gradcheck`.

    Raises:
        GradcheckError: an element is off, or no gradient depends on the inputs or cotangents.
        RuntimeError: an operation has no ``tensor_backward``.
        TypeError: an input is not float64, or none requires a gradient.

    >>> import minidl
    >>> x = minidl.tensor([[0.3, -1.2], [2.0, 0.7]], requires_grad=True, dtype="float64")
    >>> gradgradcheck(lambda x: minidl.ops.softmax(x, dim=1), x)
    True
    """
    tensors = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    checked = _checked(tensors)
    rng = np.random.default_rng([seed, 1])
    places = [(y.shape, y.device) for y in _run(fn, tensors) if y.requires_grad]
    cotangents = [Tensor(move(rng.standard_normal(shape), place), True) for shape, place in places]

    def gradients(*both: Any) -> tuple[Tensor, ...]:
        given, seeds = both[: len(tensors)], both[len(tensors) :]
        with enable_grad():  # the gradient needs a graph, also where only its value is asked for
            outputs = [y for y in _run(fn, list(given)) if y.requires_grad]
            sources = [given[i] for i in checked]
            found = grad(outputs, sources, seeds, create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None)

    return gradcheck(
        gradients,
        [*tensors, *cotangents],
        step=step,
        rtol=rtol,
        atol=atol,
        seed=seed,
        max_elements=max_elements,
        max_kinks=max_kinks,
        raise_exception=raise_exception,
    )


def _checked(tensors: list[Any]) -> list[int]:
    checked = [i for i, t in enumerate(tensors) if isinstance(t, Tensor) and t.requires_grad]
    if not checked:
        raise TypeError("gradcheck: no input requires a gradient")
    for i in checked:
        if tensors[i].dtype != np.float64:
            raise TypeError(
                f"gradcheck: input {i} is {tensors[i].dtype}; central differences need float64 "
                "(call .double(), or give dtype='float64')"
            )
    return checked


def _run(fn: Callable[..., Any], tensors: list[Any]) -> list[Tensor]:
    result = fn(*tensors)
    outputs = list(result) if isinstance(result, tuple | list) else [result]
    return [y for y in outputs if isinstance(y, Tensor) and y.dtype.kind == "f"]


def _analytic(
    outputs: list[Tensor], cotangents: list[Any], inputs: list[Tensor]
) -> list[np.ndarray[Any, Any]]:
    before = [x.grad for x in inputs]
    for x in inputs:
        x.grad = None
    try:
        for y, v in zip(outputs, cotangents, strict=True):
            if y.requires_grad:
                y.backward(Tensor(move(v, y.device)), retain_graph=True)
        return [np.zeros(x.shape) if x.grad is None else move(x.grad.data, CPU, copy=True) for x in inputs]
    finally:
        for x, grad in zip(inputs, before, strict=True):
            x.grad = grad


def _compare(
    scalar: Callable[[], float],
    x: Tensor,
    position: int,
    analytic: np.ndarray[Any, Any],
    elements: np.ndarray[Any, Any],
    limits: tuple[float, float, float, float],
) -> None:
    step, rtol, atol, max_kinks = limits
    centre = scalar()
    rows, kinks = [], 0
    for flat in elements:
        index = tuple(int(i) for i in np.unravel_index(flat, x.shape))
        h = step * max(1.0, abs(float(x.data[index])))
        slope, spread = _slopes(scalar, x, index, h, centre)
        rows.append((index, float(analytic[index]), slope, spread, h))  # no NumPy number, which would warn
    allowed = atol + rtol * max((abs(row[2]) for row in rows), default=0.0)
    for index, got, slope, spread, h in rows:
        if abs(got - slope) <= allowed:
            continue
        if _is_kink(scalar, x, index, h, centre, spread, allowed):
            kinks += 1
            continue
        raise GradcheckError(
            f"gradcheck: input {position}, element {index} of shape {x.shape}: "
            f"backward gives {got:.10g}, central difference {slope:.10g} (allowed difference {allowed:.1g})"
        )
    if kinks > max_kinks * max(1, len(rows)):
        raise GradcheckError(
            f"gradcheck: input {position}: {kinks} of {len(rows)} elements sit on a kink, where there is no "
            "derivative; move the inputs away from ties and corners"
        )


def _slopes(
    scalar: Callable[[], float], x: Tensor, index: tuple[int, ...], h: float, centre: float
) -> tuple[float, float]:
    """Central difference at one element, and by how much the slopes on its two sides differ."""
    value = x.data[index].item()
    try:
        x.data[index] = value + h
        right, above = scalar(), x.data[index].item() - value  # the step that was really made, after rounding
        x.data[index] = value - h
        left, below = scalar(), value - x.data[index].item()
    finally:
        x.data[index] = value
    return (right - left) / (above + below), abs((right - centre) / above - (centre - left) / below)


def _is_kink(
    scalar: Callable[[], float],
    x: Tensor,
    index: tuple[int, ...],
    h: float,
    centre: float,
    spread: float,
    allowed: float,
) -> bool:
    """Whether the slopes on the two sides stay apart: at a smooth point they approach each other with h."""
    _, closer = _slopes(scalar, x, index, h / 8, centre)
    noise = 64 * np.finfo(np.float64).eps * max(1.0, abs(centre)) / h
    return bool(spread > allowed + noise and closer > 0.5 * spread)
