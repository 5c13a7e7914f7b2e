"""½ e^(a²) erfc(a) of whole vectors, for a ≥ 0: the normal distribution's tail less its exponential.

erfc itself falls to 10^-300 while erfcx(a) = e^(a²) erfc(a) goes down gently, from 1 at 0 like 1 / (√π a). So
(a + 3) erfcx(a) stays between 0.56 and 3 and is smooth in q = (a - 3) / (a + 3), which maps all a from 0 to
infinity to -1 ... 1 (the idea is that of Shepherd and Laframboise 1981): one polynomial in q serves
everywhere, without branches, and one division serves q = 1 - 6 / (a + 3) and the result. The polynomial is
derived here with 60 digits at Chebyshev's points; the relative error stays below 6 eps."""

from __future__ import annotations

import functools
from decimal import Decimal, localcontext
from typing import Any

from minidl.kernels.cpu.vector_math import _Lanes, _vector_function, chebyshev_polynomial

_DIGITS = 60
#: Where q is 0: of the values tried, one at which few terms are enough for both formats.
_CENTRE = 3
#: Terms of the polynomial that bring its error below the rounding, by the format's bits.
_TERMS = {32: 11, 64: 24}
_PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")


def exact_erfcx(a: Decimal) -> Decimal:
    """erfcx with 30 digits or more: a power series for small a, a continued fraction for large a."""
    with localcontext(prec=_DIGITS):
        if a < 6:  # e^(a²) - 2/√π (a + 2a³/3 + 4a⁵/15 + ...), which takes at most 16 digits away
            term = total = a
            n = 1
            while term > total * Decimal(10) ** -_DIGITS:
                term = term * 2 * a * a / (2 * n + 1)
                total, n = total + term, n + 1
            return (a * a).exp() - 2 * total / _PI.sqrt()
        fraction = a  # 1/√π · 1/(a + (1/2)/(a + 1/(a + (3/2)/(a + ...))))
        for k in range(200, 0, -1):
            fraction = a + Decimal(k) / 2 / fraction
        return 1 / (_PI.sqrt() * fraction)


@functools.cache
def _polynomial(bits: int) -> list[float]:
    """Of ½ (a + 3) erfcx(a) in q."""

    def scaled(q: Decimal) -> Decimal:
        a = _CENTRE * (1 + q) / (1 - q)
        return (a + _CENTRE) * exact_erfcx(a) / 2

    return chebyshev_polynomial(scaled, -1, 1, _TERMS[bits])


def _half_erfcx(a: _Lanes) -> _Lanes:
    inverse = a.number(1) / (a + _CENTRE)
    q = inverse.times_plus(-2 * _CENTRE, 1)
    return q.polynomial(_polynomial(a.form.bits)) * inverse


half_erfcx: Any = _vector_function(_half_erfcx, "½ e^(a²) erfc(a) of every lane, a ≥ 0 and finite.")
