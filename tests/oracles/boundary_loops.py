"""V_rand and V_info by their definitions: literal loops over pixels and pairs of pixels."""

import itertools
import math
from collections import Counter
from fractions import Fraction

import numpy as np


def picture(*rows: str) -> np.ndarray:
    """ "#" is cell, "." is border: one section, bool (1, H, W)."""
    return np.array([[character == "#" for character in row] for row in rows])[None]


def flood_fill(foreground: np.ndarray) -> np.ndarray:
    labels = np.zeros(foreground.shape, dtype=np.int32)
    height, width = foreground.shape
    count = 0
    for start in itertools.product(range(height), range(width)):
        if not foreground[start] or labels[start]:
            continue
        count += 1
        todo = [start]
        while todo:
            y, x = todo.pop()
            if 0 <= y < height and 0 <= x < width and foreground[y, x] and not labels[y, x]:
                labels[y, x] = count
                todo += [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
    return labels


def grow_by_loop(labels: np.ndarray) -> np.ndarray:
    if not labels.any():
        return np.ones_like(labels)
    before = labels.copy()
    while (before == 0).any():
        after = before.copy()
        for y, x in np.argwhere(before == 0).tolist():
            for near_y, near_x in ((y - 1, x), (y, x - 1), (y, x + 1), (y + 1, x)):
                inside = 0 <= near_y < labels.shape[0] and 0 <= near_x < labels.shape[1]
                if inside and before[near_y, near_x]:
                    after[y, x] = before[near_y, near_x]
                    break
        before = after
    return before


def labelled_pixels(truth: np.ndarray, foreground: np.ndarray) -> list[list[tuple[int, int]]]:
    """Per section, the (predicted, true) segments of each pixel inside a true cell."""
    result = []
    for true_section, predicted_section in zip(truth, foreground, strict=True):
        true, predicted = flood_fill(true_section), grow_by_loop(flood_fill(predicted_section))
        pairs = zip(predicted.ravel().tolist(), true.ravel().tolist(), strict=True)
        result.append([(s, t) for s, t in pairs if t])
    return result


def rand_by_pairs(sections: list[list[tuple[int, int]]]) -> tuple[Fraction, Fraction, Fraction]:
    """Over all ordered pairs of pixels of one section: V_rand, split, merge."""
    both = together_s = together_t = 0
    for pixels in sections:
        for (s, t), (other_s, other_t) in itertools.product(pixels, repeat=2):
            together_s += s == other_s
            together_t += t == other_t
            both += s == other_s and t == other_t
    half = Fraction(1, 2)
    return (
        both / (half * together_s + half * together_t),
        Fraction(both, together_t),
        Fraction(both, together_s),
    )


def info_by_loop(sections: list[list[tuple[int, int]]]) -> tuple[float, float, float]:
    """V_info, split, merge from -sum p log p, sections weighted by their pixels."""
    h_s = h_t = h_st = 0.0
    for pixels in sections:
        n = len(pixels)
        for name, counts in (
            ("s", Counter(s for s, _ in pixels)),
            ("t", Counter(t for _, t in pixels)),
            ("st", Counter(pixels)),
        ):
            entropy = -sum(c / n * math.log(c / n) for c in counts.values()) * n if len(counts) > 1 else 0.0
            h_s, h_t, h_st = (
                h_s + entropy * (name == "s"),
                h_t + entropy * (name == "t"),
                h_st + entropy * (name == "st"),
            )
    information = h_s + h_t - h_st
    return (
        2 * information / (h_s + h_t) if h_s + h_t else 1.0,
        information / h_s if h_s else 1.0,
        information / h_t if h_t else 1.0,
    )
