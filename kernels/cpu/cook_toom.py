"""The matrices of Winograd's minimal filtering, derived (Cook-Toom) and not typed in.

F(m, r) computes m outputs of a filter with r taps, y[i] = Σ_k w[k] x[i+k], from n = m + r - 1 inputs with n
multiplications, where the plain sum takes m·r:

    y = Aᵀ [(G w) ⊙ (Bᵀ x)]

**Where it comes from.** Let w and g be the coefficients of two polynomials of degrees r-1 and m-1. Their
product s = w·g has n coefficients, and a polynomial of degree n-1 is determined by its values at n points.
So: evaluate w and g at the points (each a linear map), multiply the values (n multiplications), interpolate
(a linear map again). With E_q the evaluation of a polynomial with q coefficients, s = E_n⁻¹ [(E_r w) ⊙ (E_m
g)]. "Infinity" may be one of the points: the value there is the leading coefficient.

That is the full convolution of w and g. Filtering is its adjoint (the map g -> s transposed reads n numbers
and gives m), and transposing a chain of linear maps reverses it:

    y = E_mᵀ [(E_r w) ⊙ (E_n⁻ᵀ x)],     so   Aᵀ = E_mᵀ,  G = E_r,  Bᵀ = E_n⁻ᵀ

The rows of E_n⁻ᵀ are Lagrange's polynomials Π_{k≠j} (x - p_k) / Π_{k≠j} (p_j - p_k). The denominators are
moved into G, so that Bᵀ, which is applied to every input, is exact in floating point: the denominators of the
points are powers of two.

**In two dimensions** apply it to the columns, then to the rows: Y = Aᵀ [(G W Gᵀ) ⊙ (Bᵀ X B)] A. F(4x4, 3x3)
takes 36 multiplications for 16 outputs where the plain sum takes 144 (Lavin and Gray 2015).

**Which points.** Any distinct ones give the same result on paper. Rounding grows with the size of the
matrices' entries, so both large points (their powers) and close ones (small denominators in G) are bad. For
F(4, 3) the usual 0, ±1, ±2 have more than twice the rms error of 0, ±5/8, ±3/2 and three times the largest
(``benchmarks/accuracy.py``). Points in pairs ±p make half of all sums shared (see ``transforms.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations
from math import prod
from typing import NamedTuple

Matrix = list[list[Fraction]]

#: The finite points of F(m, 3) by m; infinity is always the last one.
POINTS: dict[int, tuple[Fraction, ...]] = {
    2: (Fraction(0), Fraction(1), Fraction(-1)),
    4: (Fraction(0), Fraction(5, 8), Fraction(-5, 8), Fraction(3, 2), Fraction(-3, 2)),
}


class Filtering(NamedTuple):
    """y = AT [(G w) ⊙ (BT x)] for m outputs and r taps."""

    m: int
    r: int
    AT: Matrix  #: (m, n)
    G: Matrix  #: (n, r)
    BT: Matrix  #: (n, n)

    @property
    def n(self) -> int:
        """Inputs of a tile, and multiplications."""
        return self.m + self.r - 1


def times_linear(polynomial: Sequence[Fraction], root: Fraction) -> list[Fraction]:
    """The coefficients, constant first, of polynomial·(x - root).

    >>> [int(c) for c in times_linear([Fraction(1), Fraction(1)], Fraction(1))]     # (x + 1)(x - 1)
    [-1, 0, 1]
    """
    shifted = [Fraction(0), *polynomial]
    return [s - root * c for s, c in zip(shifted, [*polynomial, Fraction(0)], strict=True)]


def derive(m: int, r: int, points: Sequence[Fraction] | None = None) -> Filtering:
    """The matrices of F(m, r) for the finite ``points`` (m + r - 2 different ones) and infinity.

    Raises:
        ValueError: not as many points, or two that are equal.

    >>> [[int(a) for a in row] for row in derive(2, 3).BT]
    [[-1, 0, 1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]]
    """
    chosen = list(POINTS[m] if points is None else points)
    n = m + r - 1
    if len(chosen) != n - 1 or len(set(chosen)) != n - 1:
        raise ValueError(f"derive: F({m}, {r}) needs {n - 1} different finite points, got {chosen}")
    AT = [[p**i for p in chosen] + [Fraction(i == m - 1)] for i in range(m)]
    G, BT = [], []
    for j, p in enumerate(chosen):
        lagrange, denominator = [Fraction(1)], Fraction(1)
        for k, q in enumerate(chosen):
            if k != j:
                lagrange, denominator = times_linear(lagrange, q), denominator * (p - q)
        BT.append([*lagrange, Fraction(0)])
        G.append([p**i / denominator for i in range(r)])
    at_infinity = [Fraction(1)]
    for q in chosen:
        at_infinity = times_linear(at_infinity, q)
    BT.append(at_infinity)
    G.append([Fraction(i == r - 1) for i in range(r)])
    return Filtering(m, r, AT, G, BT)


def at_one(m: int, points: Sequence[Fraction] | None = None) -> list[Fraction]:
    """s with Σ_j s_j (E_m g)_j = Σ_i g_i: the value at 1, which is the sum of g, out of the other values.

    m of the values determine g: those at infinity and at m - 1 finite points (Lagrange), which are chosen so
    that Σ|s_j| is least.

    >>> [int(s) for s in at_one(2)]                           # 1 is one of the points
    [0, 1, 0, 0]
    """
    chosen = list(POINTS[m] if points is None else points)
    best: list[Fraction] = []
    for places in combinations(range(len(chosen)), m - 1):
        taken = [chosen[j] for j in places]
        s = [Fraction(0)] * len(chosen) + [prod((1 - p for p in taken), start=Fraction(1))]
        for j in places:
            others = [q for q in taken if q != chosen[j]]
            s[j] = prod(((1 - q) / (chosen[j] - q) for q in others), start=Fraction(1))
        if not best or sum(map(abs, s)) < sum(map(abs, best)):
            best = s
    return best


def transpose(matrix: Matrix) -> Matrix:
    """Rows to columns."""
    return [list(column) for column in zip(*matrix, strict=True)]


def product(a: Matrix, b: Matrix) -> Matrix:
    """The matrix product.

    >>> product([[Fraction(1), Fraction(2)]], [[Fraction(3)], [Fraction(4)]])
    [[Fraction(11, 1)]]
    """
    columns = transpose(b)
    return [[sum((x * y for x, y in zip(row, c, strict=True)), Fraction(0)) for c in columns] for row in a]


def repeats(n: int, first: int) -> Matrix:
    """(n, q): which pixel of the small picture each of n pixels of the doubled one repeats.

    The n pixels begin at an odd (``first`` = -1) or even (0) position of the doubled picture: R x_small =
    x_large.

    >>> [[int(v) for v in row] for row in repeats(4, -1)]
    [[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]]
    """
    begin = first // 2
    last = (first + n - 1) // 2
    return [[Fraction((first + i) // 2 - begin == q) for q in range(last - begin + 1)] for i in range(n)]
