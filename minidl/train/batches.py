"""Batches of training images: order, augmentation and normalisation, functions of a seed and a number alone.

Sample number i (counted through all epochs) is image ``order(i // n)[i mod n]`` of the n training images,
where ``order(e)`` is a random permutation drawn from (seed, e); its augmentation is drawn from (seed, i).
Nothing depends on what was drawn before, so a run that is resumed at step s goes on with exactly the images
that it would have had, and any number of worker threads prepare the same batches.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.segmentation.augment import Augmentation
from minidl.segmentation.folder import DataSet
from minidl.segmentation.levels import used_range
from minidl.segmentation.pairing import Sample

Array = np.ndarray[Any, Any]

#: Decoded training images are kept in memory up to this many bytes.
CACHE_BYTES = 2**30

# Streams of random numbers that must not overlap: the second word of the generator's key is
# stream * 2**48 + number.
_ORDER, _AUGMENT = 1, 2


def generator(seed: int, stream: int, number: int) -> np.random.Generator:
    """A counter-based generator for one purpose and one number, independent of all others."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, stream * 2**48 + number], np.uint64)))


@dataclass(frozen=True)
class Statistics:
    """What one pass over the training images finds.

    Attributes:
        mean, std: of each channel over all pixels (images in 0..1).
        pixels: labelled pixels of each class.
        largest: greatest height and width.
        sizes: height and width of each image.
        low, high: between which all images lie, but for a few pixels (`minidl.segmentation.levels`).
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    pixels: tuple[int, ...]
    largest: tuple[int, int]
    sizes: tuple[tuple[int, int], ...] = ()
    low: float = 0.0
    high: float = 1.0

    def class_weights(self) -> Array:
        """Median-frequency weights (Eigen and Fergus 2015): the median class's share over the class's own.

        A class without pixels gets weight 0: there is nothing to learn it from.

        >>> Statistics((0.5,), (0.1,), (50, 25, 0, 100), (8, 8)).class_weights()
        array([1. , 2. , 0. , 0.5], dtype=float32)
        """
        share = np.array(self.pixels, np.float64)
        present = share > 0
        weights = np.zeros_like(share)
        weights[present] = np.median(share[present]) / share[present]
        return weights.astype(np.float32)


class Cache:
    """Decoded samples, the most recently used ones, up to a number of bytes; for several threads at once."""

    def __init__(self, data: DataSet, limit: int = CACHE_BYTES) -> None:
        self.data, self.limit, self.bytes = data, limit, 0
        self._kept: OrderedDict[Sample, tuple[Array, Array]] = OrderedDict()
        self._lock = threading.Lock()  # of the bookkeeping alone: files are read and decoded side by side

    def load(self, sample: Sample) -> tuple[Array, Array]:
        """Image float32 (C, H, W) and mask int32 (H, W); not to be written to."""
        with self._lock:
            if sample in self._kept:
                self._kept.move_to_end(sample)
                return self._kept[sample]
        image, mask = self.data.load(sample)
        assert mask is not None, "training samples have masks: DataSet.samples(labelled=True) checked it"
        with self._lock:
            if sample not in self._kept:  # else another thread was faster
                self._keep(sample, image, mask)
        return image, mask

    def _keep(self, sample: Sample, image: Array, mask: Array) -> None:
        self._kept[sample] = image, mask
        self.bytes += image.nbytes + mask.nbytes
        while self.bytes > self.limit and len(self._kept) > 1:
            _, (old_image, old_mask) = self._kept.popitem(last=False)
            self.bytes -= old_image.nbytes + old_mask.nbytes


def statistics(
    cache: Cache, samples: list[Sample], progress: Callable[[int, int], None] | None = None
) -> Statistics:
    """Mean, deviation, class counts and sizes, in one pass and in float64."""
    channels, classes = cache.data.in_channels, cache.data.num_classes
    total, squares, count = np.zeros(channels), np.zeros(channels), 0
    pixels = np.zeros(classes, np.int64)
    sizes: list[tuple[int, int]] = []
    low, high = np.inf, -np.inf
    for done, sample in enumerate(samples, 1):
        image, mask = cache.load(sample)
        with np.errstate(all="ignore"):  # infinities and NaN travel silently
            total += image.sum(axis=(1, 2), dtype=np.float64)
            squares += np.square(image, dtype=np.float64).sum(axis=(1, 2))
        count += mask.size
        pixels += np.bincount(mask[mask != cache.data.ignore_index], minlength=classes)
        sizes.append((mask.shape[0], mask.shape[1]))
        darkest, brightest = used_range(image)
        low, high = min(low, darkest), max(high, brightest)
        if progress is not None:
            progress(done, len(samples))
    with np.errstate(all="ignore"):
        mean = total / count
        std = np.sqrt(np.maximum(squares / count - mean**2, 1e-12))
    largest = (max((h for h, _ in sizes), default=0), max((w for _, w in sizes), default=0))
    counts = tuple(pixels.tolist())
    return Statistics(tuple(mean.tolist()), tuple(std.tolist()), counts, largest, tuple(sizes), low, high)


@dataclass(frozen=True)
class Normalisation:
    """(x - mean) / std for each channel; part of every checkpoint, for training and prediction alike."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images: Array) -> Array:
        """(..., C, H, W) in 0..1 to the network's input, float32."""
        mean, std = (np.array(v, np.float32).reshape(-1, 1, 1) for v in (self.mean, self.std))
        with np.errstate(all="ignore"):  # infinities and NaN travel silently
            return (images - mean) / std


class Batches:
    """The training batches by step number.

    Args:
        cache: where samples are read from.
        samples: the training images.
        batch_size: images in a batch; epochs follow one another without a gap, so every batch is full.
        augmentation: applied to each image; must make them all one size.
        normalisation: applied last.
        seed: see this module's text.
        margin: pixels that the network's output lacks at each side (padding "valid"). Pictures are continued
            by their mirror image that far, with a mask of ``ignore_index``, so that the pixels near the rim
            are learned too (the overlap-tile strategy of Ronneberger et al. 2015, figure 2).
    """

    def __init__(
        self,
        cache: Cache,
        samples: list[Sample],
        batch_size: int,
        augmentation: Augmentation,
        normalisation: Normalisation,
        seed: int,
        margin: int = 0,
    ) -> None:
        self.margin = margin
        self.cache, self.samples, self.batch_size = cache, samples, batch_size
        self.augmentation, self.normalisation, self.seed = augmentation, normalisation, seed
        self._order: tuple[int, Array] = (-1, np.zeros(0, np.int64))

    def sample(self, number: int) -> tuple[Array, Array]:
        """The i-th sample of the run, augmented, not yet normalised."""
        epoch, position = divmod(number, len(self.samples))
        order = self._order  # a pair that another thread may replace at any moment, but never changes
        if order[0] != epoch:
            order = epoch, generator(self.seed, _ORDER, epoch).permutation(len(self.samples))
            self._order = order
        image, mask = self.cache.load(self.samples[order[1][position]])
        if self.margin:
            border = (self.margin, self.margin)
            image = np.pad(image, ((0, 0), border, border), mode="reflect")
            mask = np.pad(mask, (border, border), constant_values=self.augmentation.ignore_index)
        return self.augmentation(image, mask, generator(self.seed, _AUGMENT, number))

    def batch(self, step: int) -> tuple[Array, Array]:
        """Images float32 (N, C, H, W) and masks int64 (N, H, W) of one step."""
        first = step * self.batch_size
        pairs = [self.sample(i) for i in range(first, first + self.batch_size)]
        images, masks = np.stack([p[0] for p in pairs]), np.stack([p[1] for p in pairs])
        return self.normalisation(images), masks.astype(np.int64)

    def iterate(self, first: int, last: int, workers: int = 1) -> Generator[tuple[Array, Array], None, None]:
        """Batches of steps [first, last), in order.

        So many threads prepare the next ones while the current one is used, one batch each; with 0 workers
        the caller's own thread prepares each when it is asked for.
        """
        if workers == 0:
            for step in range(first, last):
                yield self.batch(step)
            return
        pool = ThreadPoolExecutor(workers, thread_name_prefix="minidl-batches")
        try:
            ahead = min(first + workers, last)
            waiting = deque(pool.submit(self.batch, step) for step in range(first, ahead))
            for step in range(first, last):
                current = waiting.popleft().result()
                if step + workers < last:
                    waiting.append(pool.submit(self.batch, step + workers))
                yield current
        finally:  # the run was stopped, or a file could not be read
            pool.shutdown(cancel_futures=True)
