"""What was checked, how often, and how far off the worst was.

Each check compares arrays with arrays through :meth:`Report.compare`, which keeps the largest difference and
raises where it is larger than allowed. Two measures of a difference are kept:

* in units of eps of the array's dtype, relative to the largest value wanted (at least 1): 1 eps is the last
  digit of it;
* as a share of the difference that is allowed: at 1 the check would fail.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minidl._gradcheck import GradcheckError


@dataclass
class Check:
    """One kind of check: how many comparisons, and the worst difference (None: agreement is not measured)."""

    cases: int = 0
    eps: float | None = None
    share: float | None = None

    def add(self, eps: float | None, share: float | None, cases: int = 1) -> None:
        """Count comparisons and keep the worst of their differences."""
        self.cases += cases
        self.eps = _worst(self.eps, eps)
        self.share = _worst(self.share, share)


def _worst(*values: float | None) -> float | None:
    return max((v for v in values if v is not None), default=None)


@dataclass
class Report:
    """The checks of one operation. Print it; or read ``checks``, which maps names to :class:`Check`.

    Attributes:
        name: the operation's.
        checks: what was checked, in the order in which it was.
        left_out: what was not checked, and why.

    >>> report = Report("cube")
    >>> report.compare("forward", "forward", np.array([8.0]), np.array([8.0]), atol=1e-14)
    >>> report.count("gradcheck")
    >>> print(report.table(worst=False))
    cube: 2 checks passed
      check                     cases
      forward                       1
      gradcheck                     1
    """

    name: str = "op"
    checks: dict[str, Check] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def count(self, kind: str, eps: float | None = None, share: float | None = None) -> None:
        """One comparison of this kind went well."""
        self.checks.setdefault(kind, Check()).add(eps, share)

    def compare(
        self, kind: str, what: str, actual: NDArray[Any], wanted: NDArray[Any], *, atol: float
    ) -> None:
        """Hold ``actual`` to ``wanted``, element by element; NaN agrees with NaN, an infinity with itself.

        Raises:
            AssertionError: another shape, or an element is off by more than ``atol``.
        """
        require(
            actual.shape == wanted.shape, f"{self.name}: {what}: shape {actual.shape}, not {wanted.shape}"
        )
        off = differences(actual, wanted)
        worst = float(off.max(initial=0.0))
        if not worst <= atol:
            index = tuple(int(i) for i in np.unravel_index(int(off.argmax()), off.shape))
            raise AssertionError(
                f"{self.name}: {what}: element {index} of shape {actual.shape} is {float(actual[index])!r}, "
                f"should be {float(wanted[index])!r} (allowed difference {atol:.1e}; "
                f"{int((off > atol).sum())} of {off.size} elements are off)"
            )
        finite = np.abs(wanted[np.isfinite(wanted)])
        largest = float(finite.max(initial=1.0))  # of gradients that cancel to 1e-16 every digit is noise
        eps = float(np.finfo(actual.dtype).eps) if actual.dtype.kind == "f" else 1.0
        self.count(kind, worst / (eps * largest), worst / atol if atol else 0.0)

    @contextlib.contextmanager
    def during(self, what: str) -> Iterator[None]:
        """Name the operation and the check in whatever assertion fails in this block."""
        try:
            yield
        except AssertionError as error:
            kind = type(error)
            if kind not in (AssertionError, GradcheckError) or str(error).startswith(f"{self.name}: "):
                raise
            raise kind(f"{self.name}: {what}: {error}") from None

    def skip(self, kind: str, reason: str) -> None:
        """This kind of check does not apply."""
        self.left_out[kind] = reason

    def add(self, other: Report) -> None:
        """Take over what another report on the same operation has counted."""
        for kind, check in other.checks.items():
            self.checks.setdefault(kind, Check()).add(check.eps, check.share, check.cases)
        self.left_out |= other.left_out

    def table(self, worst: bool = True) -> str:
        """The report as text. Without ``worst``, nothing in it depends on the machine's rounding."""
        head = f"  {'check':24}  {'cases':>5}" + ("  worst (eps)  of allowed" if worst else "")
        rows = [f"{self.name}: {len(self.checks)} checks passed", head]
        for kind, check in self.checks.items():
            eps = "-" if check.eps is None else f"{check.eps:.2g}"
            share = "-" if check.share is None else f"{100 * check.share:.1f} %"
            rows.append(f"  {kind:24}  {check.cases:5}" + (f"  {eps:>11}  {share:>10}" if worst else ""))
        rows += [f"  left out: {kind}: {reason}" for kind, reason in self.left_out.items()]
        return "\n".join(rows)

    def __str__(self) -> str:
        return self.table()


def differences(actual: NDArray[Any], wanted: NDArray[Any]) -> NDArray[np.float64]:
    """|actual - wanted|; 0 where both are NaN or the same infinity, infinite where only one of them is.

    >>> differences(np.array([1.0, np.nan, np.inf, np.nan]), np.array([1.5, np.nan, np.inf, 0.0]))
    array([0.5, 0. , 0. , inf])
    """
    with np.errstate(all="ignore"):
        off = np.abs(np.asarray(actual, np.float64) - np.asarray(wanted, np.float64))
    same = (actual == wanted) | ((actual != actual) & (wanted != wanted))
    return np.where(same, 0.0, np.where(np.isnan(off), np.inf, off))


def require(holds: Any, message: str) -> None:
    """Raise AssertionError, also where Python runs with -O and ``assert`` does nothing."""
    if not holds:
        raise AssertionError(message)
