"""Weak methods that the embedded data set must be too hard for: thresholds and a classifier of single pixels.

Both are given every advantage: whatever they leave open is settled by trying all ways and keeping the best on
the training pictures.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]  # (N, 3, H, W) in 0..1
Masks = NDArray[np.uint8]  # (N, H, W)


def mean_iou(truth: NDArray[np.integer], prediction: NDArray[np.integer], num_classes: int) -> float:
    """Mean over classes of intersection over union, all pixels pooled."""
    scores = []
    for index in range(num_classes):
        both = np.count_nonzero((truth == index) & (prediction == index))
        either = np.count_nonzero((truth == index) | (prediction == index))
        scores.append(both / either)
    return float(np.mean(scores))


# ---------------------------------------------------------------------------------------------
# Thresholds
# ---------------------------------------------------------------------------------------------
def otsu_thresholds(gray: NDArray[np.floating], levels: int, bins: int = 64) -> list[float]:
    """Otsu's thresholds for several levels: the cuts of a histogram with the largest variance between groups.

    N. Otsu, "A threshold selection method from gray-level histograms", IEEE Trans. SMC 9 (1979) 62-66.
    """
    counts, edges = np.histogram(gray, bins=bins, range=(0, 1))
    centres = (edges[:-1] + edges[1:]) / 2
    weight = np.concatenate([[0], np.cumsum(counts)])
    moment = np.concatenate([[0], np.cumsum(counts * centres)])

    # spread[low, high]: weight times squared mean of the bins low..high-1, its share of the variance between
    # groups.
    mass = weight[None, :] - weight[:, None]
    spread = (moment[None, :] - moment[:, None]) ** 2 / np.where(mass > 0, mass, np.inf)
    cuts = np.array([(0, *inner, bins) for inner in itertools.combinations(range(1, bins), levels - 1)])
    best = cuts[np.argmax(spread[cuts[:, :-1], cuts[:, 1:]].sum(axis=1)), 1:-1]
    return [float(edges[cut]) for cut in best]


def otsu_mean_iou(
    train: tuple[Images, Masks], held_out: tuple[Images, Masks], num_classes: int, levels: int
) -> float:
    """Each picture cut at its own Otsu thresholds; a level's class is what scores best in training."""
    train_levels, test_levels = (
        np.stack([np.digitize(g, otsu_thresholds(g, levels)) for g in images.mean(axis=1)])
        for images in (train[0], held_out[0])
    )

    def score(meaning: tuple[int, ...]) -> float:
        return mean_iou(train[1], np.array(meaning)[train_levels], num_classes)

    meaning = max(itertools.product(range(num_classes), repeat=levels), key=score)
    return mean_iou(held_out[1], np.array(meaning)[test_levels], num_classes)


# ---------------------------------------------------------------------------------------------
# Colour
# ---------------------------------------------------------------------------------------------
class ColourClassifier:
    """Bayes' rule on a pixel's quantised colour, with histograms of each class from the training pictures."""

    def __init__(self, images: Images, masks: Masks, num_classes: int, bins: int) -> None:
        self.bins = bins
        joint = self._codes(images).ravel() * num_classes + masks.ravel()
        self.counts = np.bincount(joint, minlength=bins**3 * num_classes).reshape(bins**3, num_classes)

    def _codes(self, images: Images) -> NDArray[np.int64]:
        r, g, b = np.minimum((images * self.bins).astype(np.int64), self.bins - 1).transpose(1, 0, 2, 3)
        return (r * self.bins + g) * self.bins + b

    def predict(self, images: Images, prior: NDArray[np.floating]) -> NDArray[np.int64]:
        """argmax over classes of p(colour | class) prior(class)."""
        likelihood = (self.counts + 0.1) / (self.counts + 0.1).sum(axis=0)
        return np.argmax(likelihood * prior, axis=1)[self._codes(images)]


def colour_mean_iou(train: tuple[Images, Masks], held_out: tuple[Images, Masks], num_classes: int) -> float:
    """The best of several resolutions and of the true and the equal prior, chosen in training."""
    frequency = np.bincount(train[1].ravel(), minlength=num_classes) / train[1].size
    candidates = [
        (ColourClassifier(*train, num_classes, bins), prior)
        for bins in (8, 16, 32)
        for prior in (frequency, np.full(num_classes, 1 / num_classes))
    ]
    classifier, prior = max(
        candidates, key=lambda pair: mean_iou(train[1], pair[0].predict(train[0], pair[1]), num_classes)
    )
    return mean_iou(held_out[1], classifier.predict(held_out[0], prior), num_classes)
