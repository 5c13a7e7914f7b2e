"""erfcx(a) = e^(a²) erfc(a) of whole vectors, for a ≥ 0: the normal distribution's tail less its exponential.

erfc itself falls to 10^-300 while erfcx goes down gently, from 1 at 0 like 1 / (√π a). So (1 + 2a) erfcx(a)
lies between 1 and 1.3 and is smooth in q = (a - 4) / (a + 4), which maps all a from 0 to infinity to -1 ... 1
(Shepherd and Laframboise 1981): one polynomial in q serves everywhere, without branches. It is derived here
with 60 digits at Chebyshev's points; the result is good to a few units in the last place.
"""

from __future__ import annotations

import functools
from decimal import Decimal, localcontext
from typing import Any

from minidl.kernels.cpu.vector_math import _Lanes, _vector_function, chebyshev_polynomial

_DIGITS = 60
#: Where q is 0.
_CENTRE = 4
#: Terms of the polynomial that bring its error below the rounding, by the format's bits.
_TERMS = {32: 13, 64: 24}
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
    """Of (1 + 2a) erfcx(a) in q."""

    def scaled(q: Decimal) -> Decimal:
        a = _CENTRE * (1 + q) / (1 - q)
        return (1 + 2 * a) * exact_erfcx(a)

    return chebyshev_polynomial(scaled, -1, 1, _TERMS[bits])


def _erfcx(a: _Lanes) -> _Lanes:
    above, twice = a + _CENTRE, a * 2 + 1
    both = a.number(1) / (above * twice)  # one division for the two quotients
    q = (a - _CENTRE) * twice * both
    return q.polynomial(_polynomial(a.form.bits)) * (above * both)


erfcx: Any = _vector_function(_erfcx, "e^(a²) erfc(a) of every lane, a ≥ 0 and finite.")
