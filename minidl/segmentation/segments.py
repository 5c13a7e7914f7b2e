"""Cut a boundary map into segments, and compare two such segmentations: V_rand and V_info of one section.

One wrong pixel in a membrane can join two cells, which accuracy hardly notices. So the foreground (cell
interior) is cut into segments, and the predicted segments are compared with the true ones:

1. *Segments* (`components`). The foreground of a section falls into 4-connected components, in 2-D, section
   by section. With 4-connectivity a diagonal border one pixel wide is tight.
2. *Thinning* (`grow`). Border pixels of the prediction are grown away: every one of them ends in a segment
   nearby, so a thick and a thin border cost the same. A section without any predicted foreground becomes a
   single segment: no border separates anything in it.
3. *Restriction*. Border pixels of the truth are left out; what is left, n pixels, is compared.
4. *Contingency* (`Overlap`). n_ij pixels lie in predicted segment i and true segment j; p_ij = n_ij / n,
   s_i = sum_j p_ij, t_j = sum_i p_ij. Then, after Arganda-Carreras et al., Frontiers in Neuroanatomy 9:142
   (2015), equations 1 to 6:

       V_rand       = sum p_ij^2 / (alpha sum s_i^2 + (1 - alpha) sum t_j^2)         (3), alpha = 1/2
       V_rand,split = sum p_ij^2 / sum t_j^2           V_rand,merge = sum p_ij^2 / sum s_i^2
       V_info       = I(S;T) / ((1 - alpha) H(S) + alpha H(T))                       (6), alpha = 1/2
       V_info,split = I(S;T) / H(S)                    V_info,merge = I(S;T) / H(T)

All lie in 0..1, 1 is best. alpha = 0 is the split score, alpha = 1 the merge score, 1/2 their harmonic mean.
A split score below 1 says that true cells were cut apart, a merge score below 1 that cells were joined.

Where a fraction reads 0/0: V_info,split is 1 when H(S) = 0 (a single segment: nothing is split), V_info,merge
is 1 when H(T) = 0 (nothing could be merged), V_info is 1 when both are 0. Without any true foreground there
is nothing to compare: all are NaN.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Segments = NDArray[np.int32]


def components(foreground: NDArray[np.bool_]) -> Segments:
    """Number the 4-connected components of a section: bool (H, W) -> int32 (H, W), from 1; border is 0.

    >>> components(np.array([[1, 0, 1], [1, 0, 1], [0, 1, 0]], dtype=bool))
    array([[1, 0, 2],
           [1, 0, 2],
           [0, 3, 0]], dtype=int32)
    """
    from scipy import ndimage  # late: scipy is slow to import and only scoring needs it

    labels, _ = ndimage.label(foreground, structure=[[0, 1, 0], [1, 1, 1], [0, 1, 0]])
    return np.asarray(labels, dtype=np.int32)


def grow(labels: Segments) -> Segments:
    """Thin the borders of one section away: each border pixel (0) joins a nearest segment.

    The rule, so that two programs agree on every pixel: go in rounds. In each round all border pixels that
    have a labelled neighbour *as the round begins* take that neighbour's label; of several, the first in the
    order up, left, right, down. A section without any label becomes the single segment 1. int32 (H, W) in,
    int32 (H, W) without a 0 out.

    >>> grow(np.array([[1, 0, 0, 0, 2]], dtype=np.int32))
    array([[1, 1, 1, 2, 2]], dtype=int32)
    """
    if not labels.any():
        return np.ones_like(labels)
    height, width = labels.shape
    # In a rim of -1 (never a label, never to be filled) every flat index plus a step is a neighbour.
    grid = np.pad(labels, 1, constant_values=-1).ravel()
    row = width + 2
    steps = (-row, -1, 1, row)  # up, left, right, down: the order decides ties
    border = np.flatnonzero(grid == 0)
    touching = np.zeros(border.shape, dtype=bool)
    for step in steps:
        touching |= grid[border + step] > 0
    front = border[touching]
    while front.size:
        taken = np.zeros(front.shape, dtype=grid.dtype)
        for step in steps:
            neighbour = grid[front + step]
            taken = np.where((taken == 0) & (neighbour > 0), neighbour, taken)
        grid[front] = taken  # only now: pixels of one round do not see each other
        around = np.concatenate([front + step for step in steps])
        front = np.unique(around[grid[around] == 0])
    return grid.reshape(height + 2, row)[1:-1, 1:-1].copy()


class Score(NamedTuple):
    """A score in 0..1 and its two components."""

    value: float
    split: float
    merge: float


@dataclass(frozen=True)
class Overlap:
    """The sums that V_rand and V_info are made of; sums of several sections are added with ``+``.

    Attributes:
        joint_squares, predicted_squares, true_squares: sums of n_ij^2, (n s_i)^2, (n t_j)^2: ordered pairs of
            pixels, a pixel with itself included, that are together in both, the prediction, the truth.
        information, predicted_entropy, true_entropy: n I(S;T), n H(S), n H(T) in nats (logarithm to base e).
    """

    joint_squares: int = 0
    predicted_squares: int = 0
    true_squares: int = 0
    information: float = 0.0
    predicted_entropy: float = 0.0
    true_entropy: float = 0.0

    @classmethod
    def of(cls, true_segments: Segments, predicted_segments: Segments) -> Overlap:
        """Sums over the pixels of one section whose true segment is not 0; predictions come from `grow`.

        Counts stay sparse: only pairs of segments that meet are held, never a (segments, segments) matrix.
        """
        inside = true_segments > 0
        true, predicted = true_segments[inside].astype(np.int64), predicted_segments[inside].astype(np.int64)
        pixels = int(true.size)
        if pixels == 0:
            return cls()
        columns = int(true.max()) + 1
        codes, joint = np.unique(predicted * columns + true, return_counts=True)
        row, column = np.divmod(codes, columns)
        s, t = np.bincount(predicted), np.bincount(true)
        # Quotients of integers below 2^53 are correctly rounded, and fsum rounds once: a perfect segmentation
        # scores exactly 1.
        shared = joint * np.log(joint * pixels / (s[row] * t[column]))
        s, t = s[s > 0], t[t > 0]
        return cls(
            joint_squares=int((joint**2).sum()),
            predicted_squares=int((s**2).sum()),
            true_squares=int((t**2).sum()),
            information=math.fsum(shared.tolist()),
            predicted_entropy=math.fsum((s * np.log(pixels / s)).tolist()),
            true_entropy=math.fsum((t * np.log(pixels / t)).tolist()),
        )

    def __add__(self, other: Overlap) -> Overlap:
        mine, others = asdict(self), asdict(other)
        return Overlap(**{name: mine[name] + others[name] for name in mine})

    def v_rand(self, alpha: float = 0.5) -> Score:
        """V_rand (equation 3), its split and its merge component; NaN if no pixel was compared."""
        if not self.joint_squares:
            return Score(math.nan, math.nan, math.nan)
        blend = alpha * self.predicted_squares + (1 - alpha) * self.true_squares
        joint = self.joint_squares
        return Score(joint / blend, joint / self.true_squares, joint / self.predicted_squares)

    def v_info(self, alpha: float = 0.5) -> Score:
        """V_info (equation 6), its split and its merge component; NaN if no pixel was compared."""
        if not self.joint_squares:
            return Score(math.nan, math.nan, math.nan)
        blend = (1 - alpha) * self.predicted_entropy + alpha * self.true_entropy
        return Score(
            *(_share(self.information, of) for of in (blend, self.predicted_entropy, self.true_entropy))
        )


def _share(information: float, entropy: float) -> float:
    # I <= H; rounding may break that in the last place. Entropies of single segments are exactly 0 (log 1).
    return min(max(information / entropy, 0.0), 1.0) if entropy > 0 else 1.0
