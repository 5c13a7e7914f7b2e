"""Every kernel beside the reference: which one went wrong first?

A wrong number deep in a network shows as a loss that does not fall. While kernels are checked
(:class:`minidl.dispatch.check_kernels`), each call of a compiled kernel is repeated by the reference kernel
on copies of the same arrays, and the first result that differs by more than rounding raises.

**What rounding may do.** A result is a sum of n terms; let S be the sum of their magnitudes. In whatever
order they are added, the rounding error is below n ε S (Higham 2002, section 4.2), and, since rounding errors
have either sign, hardly ever above λ √n ε S with a small λ (Higham and Mary 2019). Winograd's method rounds
in its transforms, too, in which neighbours meet: there the largest S nearby counts. So for each array

    |fast - reference|  ≤  8 √n ε S

with ε of its dtype. n comes from the shapes (:data:`LENGTHS`). For kernels that are linear in each of their
arrays (:data:`LINEAR`), S is the largest result of the reference on the magnitudes of its arguments: so
cancellation is allowed for exactly as far as it can occur. For the others S is the largest result times
(1 + the largest argument), which is what moves when an argument is rounded. Integers, and what is only picked
or copied (n = 0), must be the same; NaN and infinities must stand in the same places.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minidl import _origin

#: λ: how many times √n ε S two kernels may differ.
FACTOR = 8


class KernelMismatchError(RuntimeError):
    """A kernel's result is not the reference's; the message says which, where, and what was expected."""


def _taps(a: dict[str, Any]) -> int:
    """Products in an output of a convolution, or in one of its adjoint, whichever are more."""
    weight: Any = a["weight"]
    return int(weight.size // max(1, min(weight.shape[0], weight.shape[1])))


def _cotangents(a: dict[str, Any]) -> int:
    return int(a["g"].size // max(1, a["g"].shape[1]))


def _window(a: dict[str, Any]) -> int:
    return math.prod(a["kernel"])


def _plane(a: dict[str, Any]) -> int:
    image: Any = a.get("x", a.get("g"))
    return math.prod(image.shape[2:])


def _values(a: dict[str, Any]) -> int:
    return int(a["x"].size)


#: Terms in a sum, from a kernel's arguments by name. Not listed: as many as the largest argument has numbers.
LENGTHS: dict[str, Callable[[dict[str, Any]], int]] = {
    "conv2d.forward": _taps,
    "conv2d.backward_data": _taps,
    "conv2d.backward_weight": _cotangents,
    "conv2d.backward_bias": _cotangents,
    "fused_conv2d.forward": _taps,
    "fused_conv2d.backward": lambda a: max(_taps(a), _cotangents(a)),
    "max_pool2d.forward": lambda a: 0,
    "max_pool2d.backward": _window,
    "avg_pool2d.forward": _window,
    "avg_pool2d.backward": _window,
    "adaptive_avg_pool2d.forward": _plane,
    "adaptive_avg_pool2d.backward": _plane,
    "interpolate.forward": lambda a: 16,
    "interpolate.backward": _plane,
    "unfold.forward": lambda a: 0,
    "unfold.backward": _window,
    "normalize.forward": _values,
    "normalize.backward": _values,
    "adam.step": lambda a: 16,
    "sgd.step": lambda a: 4,
}

#: Operations that are linear in each of their arrays (a ReLU at the end makes no difference larger).
LINEAR = frozenset(
    ("conv2d", "fused_conv2d", "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "interpolate", "unfold")
)


class Checked:
    """The kernels of one operation, each call of which is compared with the reference."""

    def __init__(self, kernels: Any, reference: Any) -> None:
        self._kernels, self._reference = kernels, reference
        self.operation: str = kernels.operation
        self.backend: str = kernels.backend
        self._origin = _origin.origin()  # of the forward: a backward is called from within the walk

    def arrange(self, array: Any, kernel: str) -> Any:
        """As the kernels' own."""
        return self._kernels.arrange(array, kernel)

    def __repr__(self) -> str:
        return f"<checked {self._kernels!r}>"

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        fast, reference = getattr(self._kernels, name), getattr(self._reference, name)
        about = f"{self._kernels.operation}.{name}"

        def checked(*args: Any, **options: Any) -> Any:
            # How a result is to be computed (``algorithm``) is not the reference's business.
            asked = {name: value for name, value in options.items() if name != "algorithm"}
            before = _mapped((args, asked), np.copy)
            result = fast(*args, **options)
            mine = _mapped(before, np.copy)
            expected = reference(*mine[0], **mine[1])
            named = _named(reference, *before)
            magnitudes, bound = tolerance(about, reference, before[0], before[1], expected)
            where = f"{about} of backend {self._kernels.backend!r}", f"{_told(named)}{self._origin}"
            _same("result", result, expected, magnitudes, bound, where)
            _same("argument", (args, asked), mine, mine, bound, where)  # some kernels change them
            return result

        return checked


def tolerance(
    about: str,
    reference: Callable[..., Any],
    args: Any,
    options: Any,
    expected: Any,
    terms: int | None = None,
    most: int | None = None,
) -> tuple[Any, float]:
    """How far a kernel's result may be from the reference's: the S of each of its arrays, and 8 √n.

    Args:
        about: operation and function, as in :data:`LENGTHS`.
        reference: the function; for linear operations it runs once more, on magnitudes.
        args, options: its arguments; they stay as they are.
        expected: its result.
        terms: n; None: from the shapes.
        most: counts instead of an n that is larger.

    Returns:
        Arrays in the same containers as ``expected``, whose largest numbers are the S, and the factor: the
        bound for each array is factor · ε · S.
    """
    terms = _length(about, _named(reference, args, options)) if terms is None else terms
    terms = terms if most is None else min(terms, most)
    linear, magnitudes = about.partition(".")[0] in LINEAR, expected
    if terms and linear:
        sizes = _mapped((args, options), _magnitude)
        magnitudes = reference(*sizes[0], **sizes[1])
    grown = 0.0 if linear else largest((args, options))
    return magnitudes, FACTOR * math.sqrt(terms) * (1 + grown)


def differ(result: Any, expected: Any, allowed: float) -> Any:
    """Where arrays differ by more than ``allowed``, or only one has a NaN or an infinity; integers: at all.

    >>> differ(np.array([1.0, 2.0, np.nan]), np.array([1.0, 2.5, np.nan]), 0.1)
    array([False,  True, False])
    """
    if expected.dtype.kind != "f":
        return np.asarray(result != expected)
    finite = np.isfinite(result) & np.isfinite(expected)
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(result - expected) > allowed
    nan, other_nan = np.isnan(result), np.isnan(expected)
    special = (nan != other_nan) | (np.isinf(result) | np.isinf(expected)) & (result != expected)
    return np.where(finite, apart, special & ~(nan & other_nan))


def largest(value: Any) -> float:
    """The largest magnitude of the finite numbers in all arrays of floats, in nested containers.

    >>> largest([np.array([1.0, -3.0, np.inf]), (np.array([7]),)])
    3.0
    """
    floats = (_magnitude(a) for _, a in _arrays(value) if a.dtype.kind == "f")
    return max((float(a.max(initial=0)) for a in floats), default=0.0)


def _mapped(value: Any, function: Callable[[Any], Any]) -> Any:
    """``function`` of every array in nested tuples, lists and dictionaries."""
    if isinstance(value, np.ndarray):
        return function(value)
    if isinstance(value, tuple | list):
        return type(value)(_mapped(v, function) for v in value)
    return {k: _mapped(v, function) for k, v in value.items()} if isinstance(value, dict) else value


def _magnitude(array: Any) -> Any:
    return (
        np.abs(np.where(np.isfinite(array), array, array.dtype.type(0))) if array.dtype.kind == "f" else array
    )


def _arrays(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """The arrays in nested containers, each with where it is: " 0", " options.bias"."""
    if isinstance(value, np.ndarray):
        yield place, value
    elif isinstance(value, tuple | list):
        for i, v in enumerate(value):
            yield from _arrays(v, f"{place} {i}")
    elif isinstance(value, dict):
        for k, v in value.items():
            yield from _arrays(v, f"{place} {k}")


def _named(reference: Callable[..., Any], args: Any, options: Any) -> dict[str, Any]:
    """The arguments by the reference kernel's names."""
    bound = inspect.signature(reference).bind(*args, **options).arguments
    return {**bound, **bound.pop("options", {})}


def _length(about: str, named: dict[str, Any]) -> int:
    given = LENGTHS.get(about)
    return given(named) if given is not None else max((a.size for _, a in _arrays(named)), default=1)


def _told(named: dict[str, Any]) -> str:
    """The arguments for a message: shapes of arrays, other values as they are."""

    def one(value: Any) -> str:
        if isinstance(value, np.ndarray):
            return f"{value.dtype} {value.shape}"
        if isinstance(value, tuple | list) and any(True for _ in _arrays(value)):
            return f"[{', '.join(f'{a.dtype} {a.shape}' for _, a in _arrays(value))}]"
        return repr(value)

    return "called with " + ", ".join(f"{name} {one(value)}" for name, value in named.items())


def _same(
    what: str, result: Any, expected: Any, magnitudes: Any, bound: float, where: tuple[str, str]
) -> None:
    """Raise if an array in ``result`` is not that in ``expected``, up to ``bound`` ε S."""
    pairs = list(_arrays(result)), list(_arrays(expected)), list(_arrays(magnitudes))
    if len(pairs[0]) != len(pairs[1]):
        raise KernelMismatchError(f"{where[0]}: gives {len(pairs[0])} arrays, the reference {len(pairs[1])}")
    for (place, a), (_, b), (_, size) in zip(*pairs, strict=True):
        if a.shape != b.shape or a.dtype != b.dtype:
            raise KernelMismatchError(
                f"{where[0]}: {what}{place} is {a.dtype} {a.shape},"
                f" the reference's {b.dtype} {b.shape}; {where[1]}"
            )
        epsilon = float(np.finfo(b.dtype).eps) if b.dtype.kind == "f" else 0.0
        allowed = bound * epsilon * largest(size)
        wrong = differ(a, b, allowed)
        if wrong.any():
            first = np.unravel_index(int(wrong.argmax()), wrong.shape)
            raise KernelMismatchError(
                f"{where[0]}: {what}{place} at {tuple(map(int, first))} is {a[first]!s}, the reference's is"
                f" {b[first]!s}; {int(wrong.sum())} of {wrong.size} values differ by more than {allowed:.2g};"
                f" {where[1]}"
            )
