"""Order, statistics, class weights, the cache: against direct NumPy on small arrays."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from minidl.segmentation.augment import Augmentation
from minidl.segmentation.pairing import Sample
from minidl.train.batches import Batches, Cache, Normalisation, Statistics, generator, statistics

STILL = Augmentation(crop=4, flip=False, rotate90=False, brightness=0.0, contrast=0.0, ignore_index=9)
NOTHING = Normalisation((0.0,), (1.0,))


class Numbered:
    """Stands in for a DataSet: image i is full of i, its mask is ``i % 2``; counts what is read."""

    in_channels, num_classes, ignore_index = 1, 2, 9

    def __init__(self, size: tuple[int, int] = (4, 4)) -> None:
        self.size = size
        self.reads: list[str] = []

    def load(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        self.reads.append(sample.stem)
        number = int(sample.stem)
        return np.full((1, *self.size), number, np.float32), np.full(self.size, number % 2, np.int32)


def samples(count: int) -> list[Sample]:
    return [Sample(str(i), Path(f"{i}.png"), Path(f"{i}m.png")) for i in range(count)]


def batches(count: int, batch_size: int, seed: int = 0, **options) -> Batches:
    cache = Cache(options.pop("data", Numbered()))
    return Batches(
        *(cache, samples(count), batch_size, options.pop("augmentation", STILL)),
        *(options.pop("normalisation", NOTHING), seed),
        **options,
    )


def numbers(source: Batches, steps: int) -> list[int]:
    """Which image each place of the batches holds."""
    return [int(image[0, 0, 0]) for step in range(steps) for image in source.batch(step)[0]]


# ---------------------------------------------------------------------------------------------
# Order
# ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("count", "batch_size"), [(6, 2), (6, 4), (5, 3), (1, 4), (3, 8)])
def test_every_epoch_is_a_permutation(count, batch_size):
    steps = 4 * count  # 4 * batch_size epochs, whole ones
    drawn = numbers(batches(count, batch_size), steps)
    for epoch in range(4 * batch_size):
        assert sorted(drawn[epoch * count : (epoch + 1) * count]) == list(range(count))


def test_epochs_and_seeds_differ_in_order():
    drawn = numbers(batches(12, 4), 6)
    assert drawn[:12] != drawn[12:]
    assert drawn != numbers(batches(12, 4, seed=1), 6)


def test_masks_go_with_their_images():
    images, masks = batches(7, 7).batch(0)
    assert images.dtype == np.float32 and masks.dtype == np.int64
    assert images.shape == (7, 1, 4, 4) and masks.shape == (7, 4, 4)
    np.testing.assert_array_equal(masks[:, 0, 0], images[:, 0, 0, 0].astype(int) % 2)


def test_a_batch_depends_on_its_number_alone():
    """Asked in any order, twice, or by a new object: the same arrays."""
    strong = Augmentation(crop=3, brightness=0.5, contrast=0.5, ignore_index=9)
    forward, backward = (batches(5, 3, seed=4, augmentation=strong) for _ in range(2))
    straight = [forward.batch(step) for step in range(8)]
    for step in (7, 0, 3, 3, 6, 1, 5, 2, 4):
        again = backward.batch(step)
        np.testing.assert_array_equal(again[0], straight[step][0], strict=True)
        np.testing.assert_array_equal(again[1], straight[step][1], strict=True)


class Slow(Numbered):
    """The first images take longest, so that threads finish in another order than they began."""

    def load(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        time.sleep(0.01 if int(sample.stem) < 2 else 0)
        return super().load(sample)


WORKERS = pytest.mark.parametrize("workers", [0, 1, 2, 3, 8])


@WORKERS
def test_any_number_of_workers_gives_the_same_batches_in_order(workers):
    strong = Augmentation(crop=3, brightness=0.5, contrast=0.5, ignore_index=9)
    source = batches(5, 2, data=Slow(), augmentation=strong)
    source.cache.limit = 300  # two samples: the threads read again and again, and drop what others read
    for step, (images, masks) in enumerate(source.iterate(3, 19, workers), 3):
        expected = batches(5, 2, augmentation=strong).batch(step)
        np.testing.assert_array_equal(images, expected[0], strict=True)
        np.testing.assert_array_equal(masks, expected[1], strict=True)
    assert step == 18
    assert list(source.iterate(4, 4, workers)) == []
    kept = source.cache._kept.values()
    assert source.cache.bytes == sum(image.nbytes + mask.nbytes for image, mask in kept) <= 300


def reading_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("minidl-batches")]


@WORKERS
def test_a_run_that_stops_leaves_no_thread(workers):
    iterator = batches(5, 2, data=Slow()).iterate(0, 1000, workers)
    next(iterator)
    assert (len(reading_threads()) > 0) == (workers > 0) and len(reading_threads()) <= workers
    iterator.close()
    assert reading_threads() == []


def test_workers_read_side_by_side():
    """Three batches must meet, or none of them is ever read."""
    barrier = threading.Barrier(3)

    class Meeting(Numbered):
        def load(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
            barrier.wait(timeout=30)
            return super().load(sample)

    assert len(list(batches(6, 1, data=Meeting()).iterate(0, 6, workers=3))) == 6


@WORKERS
def test_an_error_in_a_reading_thread_arrives_in_its_turn(workers):
    """Image 3 is broken: the batches before it come whole, then the error, and no thread is left."""

    class Broken(Slow):
        def load(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
            if sample.stem == "3":
                raise KeyError(sample.stem)
            return super().load(sample)

    good = numbers(batches(6, 1, seed=2), 6).index(3)
    source = batches(6, 1, seed=2, data=Broken()).iterate(0, 6, workers)
    assert good > 0
    for _ in range(good):
        next(source)
    with pytest.raises(KeyError, match="3"):
        next(source)
    assert reading_threads() == []


def test_streams_of_random_numbers_are_apart():
    drawn = {
        tuple(generator(seed, stream, number).integers(0, 2**62, 2))
        for seed in (0, 1)
        for stream in (1, 2)
        for number in (0, 1, 2**40)
    }
    assert len(drawn) == 12


def test_margin_continues_pictures_by_their_mirror_image_without_labels():
    class Ramp(Numbered):
        def load(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
            return np.arange(4, dtype=np.float32).reshape(1, 1, 4).repeat(4, axis=1), np.ones(
                (4, 4), np.int32
            )

    whole = Augmentation(crop=8, flip=False, rotate90=False, brightness=0, contrast=0, ignore_index=9)
    images, masks = batches(1, 1, data=Ramp(), margin=2, augmentation=whole).batch(0)
    np.testing.assert_array_equal(images[0, 0, 0], [2, 1, 0, 1, 2, 3, 2, 1])
    expected = np.full((8, 8), 9)
    expected[2:6, 2:6] = 1
    np.testing.assert_array_equal(masks[0], expected)


# ---------------------------------------------------------------------------------------------
# Statistics
# ---------------------------------------------------------------------------------------------
def test_statistics_against_numpy_on_pictures_of_several_sizes():
    rng = np.random.default_rng(0)
    sizes = [(3, 5), (4, 4), (7, 2)]
    images = [rng.random((3, *size), dtype=np.float32) for size in sizes]
    masks = [rng.choice([0, 1, 3, 9], size=size).astype(np.int32) for size in sizes]

    class Given(Numbered):
        in_channels, num_classes = 3, 4

        def load(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
            return images[int(sample.stem)], masks[int(sample.stem)]

    told: list[tuple[int, int]] = []
    found = statistics(Cache(Given()), samples(3), lambda *progress: told.append(progress))
    pixels = np.concatenate([image.reshape(3, -1) for image in images], axis=1).astype(np.float64)
    # The variance comes from the mean of squares: relative error eps * count, and a sum of 45 terms.
    np.testing.assert_allclose(found.mean, pixels.mean(axis=1), rtol=1e-13)
    np.testing.assert_allclose(found.std, pixels.std(axis=1), rtol=1e-12)
    labels = np.concatenate([mask.ravel() for mask in masks])
    assert found.pixels == tuple(int((labels == k).sum()) for k in range(4))
    assert found.largest == (7, 5)
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_constant_channel_does_not_divide_by_zero():
    found = statistics(Cache(Numbered()), samples(1))
    scaled = Normalisation(found.mean, found.std)(np.zeros((1, 4, 4), np.float32))
    assert np.isfinite(scaled).all()


def test_normalisation():
    normalise = Normalisation((0.5, 0.25), (0.5, 2.0))
    images = np.array([[[[1.0]], [[4.25]]]], np.float32)
    np.testing.assert_array_equal(normalise(images), np.array([[[[1.0]], [[2.0]]]], np.float32), strict=True)


@pytest.mark.parametrize("value", [np.inf, np.nan, np.finfo(np.float32).max])
def test_pictures_that_are_not_finite_are_normalised_in_silence(value):
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        Normalisation((float("inf"), 0.5), (1e-6, 1e-6))(np.full((2, 3, 3), value, np.float32))


def test_class_weights_by_hand():
    # shares 1/10, 2/10, 7/10: the median is 2/10
    weights = Statistics((0.0,), (1.0,), (10, 20, 70), (1, 1)).class_weights()
    np.testing.assert_allclose(weights, np.array([2.0, 1.0, 2 / 7], np.float32))
    assert weights.dtype == np.float32
    # an absent class weighs nothing and does not count for the median: of 10 and 30 it is 20
    absent = Statistics((0.0,), (1.0,), (10, 0, 30), (1, 1)).class_weights()
    np.testing.assert_allclose(absent, [2.0, 0.0, 2 / 3], rtol=1e-6)


# ---------------------------------------------------------------------------------------------
# Cache
# ---------------------------------------------------------------------------------------------
def test_the_cache_reads_once_what_fits():
    data = Numbered()
    cache = Cache(data)
    for _ in range(3):
        for sample in samples(4):
            cache.load(sample)
    assert data.reads == ["0", "1", "2", "3"]
    assert cache.bytes == 4 * (16 * 4 + 16 * 4)


def test_the_cache_is_bounded_and_drops_what_was_used_longest_ago():
    data = Numbered()
    one = 16 * 4 + 16 * 4  # bytes of an image and its mask
    cache = Cache(data, limit=2 * one)
    a, b, c = samples(3)
    for sample in (a, b, a, c):  # c drops b
        cache.load(sample)
        assert cache.bytes <= 2 * one
    data.reads.clear()
    for sample in (a, c, b):
        cache.load(sample)
    assert data.reads == ["1"]


def test_a_picture_larger_than_the_cache_is_still_read():
    cache = Cache(Numbered(), limit=1)
    for sample in samples(3):
        image, _ = cache.load(sample)
        assert image[0, 0, 0] == int(sample.stem)
    assert cache.bytes == 16 * 8  # one
