"""Exponentials and logarithms of whole vectors: ``exp``, ``expm1``, ``log``, ``log1p`` for compiled kernels.

The C library's functions take one number at a time, and a loop that calls them has no vector instructions at
all. Here each is a formula without branches or tables, so that it runs on a register's worth of numbers:

    exp    x = k ln 2 + r with a whole k and |r| ≤ ½ ln 2, and e^x = 2^k e^r.  e^r = 1 + r + r² q(r) with a
           polynomial q; 2^k is made by writing k into the exponent's bits.
    log    x = 2^k m with √½ ≤ m < √2, and log x = k ln 2 + log m.  With f = m - 1 and s = f / (2 + f),
           log m = log((1 + s) / (1 - s)) = 2 s + 2 s³/3 + 2 s⁵/5 ... = f - (f²/2 - s (f²/2 + s² p(s²))).

**Accuracy.** k ln 2 has more digits than a float. So ln 2 is split (Cody and Waite) into a head whose last
bits are 0, so that k times it is exact, and a tail with what the head leaves out. The polynomials are derived
below: they agree with the function at Chebyshev's points, which leaves an error within a small factor of the
least possible one, and have as many terms as bring that below half a unit in the last place. What remains is
rounding: ``exp`` and ``log`` are within 1, ``expm1`` and ``log1p`` within 2 units in the last place of the
true value (``tests/kernels/cpu/test_vector_math.py`` measures it).

**Edges.** e^0 = 1 exactly, e^∞ = ∞, e^-∞ = 0, log 0 = -∞, log of a negative number is NaN, NaN stays NaN.
Results and arguments below the smallest normal number (gradual underflow) are right, too: 2^k is applied in
two factors, each of which is a normal number, so that only the last product rounds; AVX-512 has an
instruction that gives the same bits."""

from __future__ import annotations

import functools
from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from minidl.kernels.cpu.vectors import SCALES, constant, emit_fma, llvm_vector

_DIGITS = 60  # of the derivations: far more than any result keeps


class _Format(NamedTuple):
    """What the formulas need to know about a floating-point format."""

    bits: int
    mantissa: int  #: bits after the point
    bias: int  #: the exponent's bits of the number 1
    exp_terms: int  #: of q(r)
    log_terms: int  #: of p(s²)

    @property
    def dtype(self) -> Any:
        return np.dtype(f"float{self.bits}")


_FORMATS = {32: _Format(32, 23, 127, 6, 4), 64: _Format(64, 52, 1023, 11, 8)}

# --- derivations --------------------------------------------------------------------------------------------


def chebyshev_polynomial(
    function: Callable[[Decimal], Decimal], low: float | Decimal, high: float | Decimal, terms: int
) -> list[float]:
    """Coefficients, constant first, of the polynomial that meets ``function`` at Chebyshev's points.

    Newton's divided differences, multiplied out, with 60 digits.

    >>> chebyshev_polynomial(lambda x: 1 + 2 * x * x, -1, 1, 3)
    [1.0, 0.0, 2.0]
    """
    with localcontext(prec=_DIGITS):
        middle, half = (Decimal(high) + Decimal(low)) / 2, (Decimal(high) - Decimal(low)) / 2
        unit = np.cos((2 * np.arange(terms) + 1) * np.pi / (2 * terms))
        points = [middle + half * Decimal(float(u)) for u in unit]
        divided = [function(x) for x in points]
        for order in range(1, terms):
            for i in range(terms - 1, order - 1, -1):
                divided[i] = (divided[i] - divided[i - 1]) / (points[i] - points[i - order])
        coefficients = [Decimal(0)] * terms
        for i in range(terms - 1, -1, -1):  # coefficients · (x - points[i]) + divided[i]
            shifted = [Decimal(0), *coefficients[:-1]]
            coefficients = [s - points[i] * c for s, c in zip(shifted, coefficients, strict=True)]
            coefficients[0] += divided[i]
        return [float(round(c, _DIGITS // 2)) for c in coefficients]


@functools.cache
def _exp_polynomial(bits: int) -> list[float]:
    """q(r) = (e^r - 1 - r) / r² for |r| ≤ ½ ln 2."""
    edge = Decimal(2).ln() / 2

    def q(r: Decimal) -> Decimal:
        return (r.exp() - 1 - r) / (r * r) if r else Decimal("0.5")

    return chebyshev_polynomial(q, -edge, edge, _FORMATS[bits].exp_terms)


@functools.cache
def _log_polynomial(bits: int) -> list[float]:
    """p(z) = (log((1 + s) / (1 - s)) - 2 s) / s³ with z = s², s up to that of √2."""
    root = Decimal(2).sqrt()

    def p(z: Decimal) -> Decimal:
        s = z.sqrt()
        return (((1 + s) / (1 - s)).ln() - 2 * s) / s**3

    return chebyshev_polynomial(p, Decimal(0), ((root - 1) / (root + 1)) ** 2, _FORMATS[bits].log_terms)


@functools.cache
def _split_ln2(bits: int) -> tuple[float, float]:
    """ln 2 as a head that has room for the bits of k behind it, and a tail."""
    form = _FORMATS[bits]
    with localcontext(prec=_DIGITS):
        exact = Decimal(2).ln()
        step = Decimal(2) ** -(form.mantissa - form.bias.bit_length() - 1)
        head = (exact / step).to_integral_value() * step
        return float(head), float(exact - head)


# --- formulas -----------------------------------------------------------------------------------------------


class _Lanes:
    """A vector in LLVM's code with arithmetic signs, so that formulas read as such."""

    def __init__(self, builder: Any, value: Any, bits: int) -> None:
        self.builder, self.value, self.form = builder, value, _FORMATS[bits]

    def new(self, value: Any) -> _Lanes:
        return _Lanes(self.builder, value, self.form.bits)

    def number(self, number: float) -> _Lanes:
        return self.new(constant(float(self.form.dtype.type(number)), self.form.bits))

    def _of(self, other: _Lanes | float) -> _Lanes:
        return other if isinstance(other, _Lanes) else self.number(other)

    def __add__(self, other: _Lanes | float) -> _Lanes:
        return self.new(self.builder.fadd(self.value, self._of(other).value))

    def __sub__(self, other: _Lanes | float) -> _Lanes:
        return self.new(self.builder.fsub(self.value, self._of(other).value))

    def __mul__(self, other: _Lanes | float) -> _Lanes:
        return self.new(self.builder.fmul(self.value, self._of(other).value))

    def __truediv__(self, other: _Lanes | float) -> _Lanes:
        return self.new(self.builder.fdiv(self.value, self._of(other).value))

    def times_plus(self, factor: _Lanes | float, summand: _Lanes | float) -> _Lanes:
        """self · factor + summand, rounded once."""
        factor, summand = self._of(factor), self._of(summand)
        return self.new(emit_fma(self.builder, self.value, factor.value, summand.value, self.form.bits))

    def polynomial(self, coefficients: list[float]) -> _Lanes:
        """Horner's scheme."""
        total = self.number(coefficients[-1])
        for c in reversed(coefficients[:-1]):
            total = total.times_plus(self, c)
        return total

    def where(self, comparison: str, limit: float, then: _Lanes | float) -> _Lanes:
        """``then`` in the lanes where self (comparison) limit holds, which it never does for a NaN."""
        return self.select(self.mask(comparison, limit), then)

    def mask(self, comparison: str, limit: float) -> Any:
        return self.builder.fcmp_ordered(comparison, self.value, self.number(limit).value)

    def select(self, mask: Any, then: _Lanes | float) -> _Lanes:
        """``then`` where the mask is set, else self."""
        return self.new(self.builder.select(mask, self._of(then).value, self.value))

    # Bits. An integer k is added to the exponent as k << mantissa.

    def integers(self, number: int) -> Any:
        kind = ir.VectorType(ir.IntType(self.form.bits), llvm_vector(self.form.bits).count)
        return ir.Constant(kind, [number] * kind.count)

    def as_bits(self) -> Any:
        return self.builder.bitcast(self.value, self.integers(0).type)

    def from_bits(self, integers: Any) -> _Lanes:
        return self.new(self.builder.bitcast(integers, llvm_vector(self.form.bits)))

    def power_of_two(self, k: Any) -> _Lanes:
        """2^k for integers k of normal numbers."""
        biased = self.builder.add(k, self.integers(self.form.bias))
        return self.from_bits(self.builder.shl(biased, self.integers(self.form.mantissa)))

    def scaled(self, k: _Lanes) -> _Lanes:
        """self · 2^k for whole k, rounded once: AVX-512's own instruction, for the eight that do the same."""
        width, letter = self.value.type.count, "s" if self.form.bits == 32 else "d"
        mask, plain = ir.IntType(width), ir.IntType(32)
        kind = ir.FunctionType(self.value.type, [self.value.type] * 3 + [mask, plain])
        name = f"llvm.x86.avx512.mask.scalef.p{letter}.512"
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        every, usual = ir.Constant(mask, 2**width - 1), ir.Constant(plain, 4)  # lanes; rounding as set
        return self.new(self.builder.call(function, [self.value, k.value, self.value, every, usual]))

    @property
    def rounding(self) -> float:
        """1.5 · 2^mantissa: numbers of this size have no bits after the point; adding it rounds another."""
        return 1.5 * 2.0**self.form.mantissa

    def rounded(self) -> tuple[_Lanes, Any]:
        """The nearest whole number, as a float and as an integer."""
        shifted = self + self.rounding
        whole = self.builder.sub(shifted.as_bits(), self.number(self.rounding).as_bits())
        return shifted - self.rounding, whole

    def floats_of(self, k: Any) -> _Lanes:
        """Small integers as floats; AVX2 has no instruction for 64-bit ones."""
        magic = self.number(self.rounding).as_bits()
        return self.from_bits(self.builder.add(k, magic)) - self.rounding


def _reduced(x: _Lanes) -> tuple[_Lanes, _Lanes, Any]:
    """r and k of x = k ln 2 + r; k as a float and as an integer."""
    k, whole = (x * (1 / float(Decimal(2).ln()))).rounded()
    head, tail = _split_ln2(x.form.bits)
    return k.times_plus(-tail, k.times_plus(-head, x)), k, whole


def _within(x: _Lanes, low: float, high: float) -> _Lanes:
    return x.where("<", low, low).where(">", high, high)


def _limits(form: _Format) -> tuple[float, float]:
    """Below the first e^x rounds to 0, above the second to infinity."""
    ln2 = float(Decimal(2).ln())
    return -(form.bias + form.mantissa + 1) * ln2, (form.bias + 1.25) * ln2


def _exp(x: _Lanes) -> _Lanes:
    x = _within(x, *_limits(x.form))
    r, k, whole = _reduced(x)
    power = (r * r).times_plus(r.polynomial(_exp_polynomial(x.form.bits)), r) + 1
    if SCALES:
        return power.scaled(k)
    half = x.builder.ashr(whole, x.integers(1))
    return power * x.power_of_two(half) * x.power_of_two(x.builder.sub(whole, half))


def _expm1(x: _Lanes) -> _Lanes:
    # Below, e^x - 1 is -1; above, the last factor 2 is split off so that 2^k stays finite.
    clamped = _within(x, -(x.form.mantissa + 2.0), _limits(x.form)[1])
    r, _, k = _reduced(clamped)
    less_one = (r * r).times_plus(r.polynomial(_exp_polynomial(x.form.bits)), r)
    half = x.power_of_two(x.builder.sub(k, x.integers(1)))  # 2^k (e^r - 1) + 2^k - 1, halved
    result = less_one.times_plus(half, half - 0.5) * 2
    return result.where("==", 0, x)  # the sign of a zero


def _log_with(x: _Lanes, correction: _Lanes | None = None) -> _Lanes:
    """log x, plus a small correction before the last rounding."""
    form, builder = x.form, x.builder
    small = x.mask("<", 2.0 ** (1 - form.bias))
    scaled = x.select(small, x * 2.0 ** (form.mantissa + 1))  # no leading 1 otherwise
    root = x.number(0.5**0.5).as_bits()
    above = builder.sub(scaled.as_bits(), root)  # so that the carry of the exponent comes at √½, not at 1
    k = x.floats_of(builder.ashr(above, x.integers(form.mantissa)))
    k = k.select(small, k - (form.mantissa + 1))
    fraction = builder.and_(above, x.integers(2**form.mantissa - 1))
    f = x.from_bits(builder.add(fraction, root)) - 1
    s, square = f / (f + 2), f * f * 0.5
    z = s * s
    head, tail = _split_ln2(form.bits)
    low = k * tail if correction is None else k.times_plus(tail, correction)
    rest = square - s.times_plus(z.polynomial(_log_polynomial(form.bits)).times_plus(z, square), low)
    result = k.times_plus(head, f - rest)
    result = result.select(builder.fcmp_unordered("<", x.value, x.number(0).value), float("nan"))
    result = result.select(x.mask("==", float("inf")), float("inf"))
    return result.select(x.mask("==", 0), float("-inf"))


def _log1p(x: _Lanes) -> _Lanes:
    u = x + 1
    # What 1 + x lost in rounding, (x - (u - 1)) / u: the slope of log there times the lost part.
    lost = (x - (u - 1)) / u
    lost = lost.select(x.mask("==", float("inf")), 0)
    return _log_with(u, lost).select(x.mask("==", 0), x)  # the sign of a zero


def _vector_function(formula: Callable[[_Lanes], _Lanes], text: str) -> Any:
    def typed(typingctx: Any, x: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return formula(_Lanes(builder, args[0], signature.args[0].bits)).value

        return x(x), codegen

    typed.__doc__ = text
    return intrinsic(typed)


exp = _vector_function(_exp, "e^x of every lane.")
expm1 = _vector_function(_expm1, "e^x - 1 of every lane, accurate near 0.")
log = _vector_function(_log_with, "The natural logarithm of every lane.")
log1p = _vector_function(_log1p, "log(1 + x) of every lane, accurate near 0.")
