"""Lines of classes: softmax, cross-entropy, the confusion matrix."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from minidl.kernels.cuda import confusion, cross_entropy, softmax
from minidl.kernels.cuda.workloads.workload import Workload, drawn, ids

#: Eight classes of the pixels of two pictures; 128 classes of 16 samples; one line for a block.
PIXELS, SAMPLES, LONG = (2, 8, 256), (16, 128), (4, 2048)


def lines() -> Iterator[Workload]:
    """For each number: a comparison, a difference, an exponential, an addition, a division (or difference).

    The logarithm has one more of its own for each line. Backward: a product and an addition, a difference and
    a product.
    """
    for shape, forwards, backwards in (
        (PIXELS, ("v1", "v2"), ("v1",)),
        (SAMPLES, ("v3",), ("v2",)),
        (LONG, ("v4",), ("v3",)),
    ):
        z, g = drawn(shape, shape)
        extent = shape[1]
        for version in forwards:
            yield Workload(partial(softmax.forward, z, 1, version=version), z.size, 5)
            yield Workload(partial(softmax.log_forward, z, 1, version=version), z.size, 5 + 1 / extent)
        for version in backwards:
            p = softmax.forward(z, 1)
            yield Workload(partial(softmax.backward, g, p, 1, version=version), z.size, 4)
            log_p = softmax.log_forward(z, 1)
            yield Workload(partial(softmax.log_backward, g, log_p, 1, version=version), z.size, 4)


def losses() -> Iterator[Workload]:
    """Cross-entropy without smoothing, with slopes.

    For each logit a comparison, a difference, an exponential and an addition; log p by a difference more, its
    exponential and a product for the slope. For each pixel a logarithm, a product and a difference.
    """
    for shape, versions in ((PIXELS, ("v1", "v2")), ((*SAMPLES, 1), ("v3",))):
        n, classes, m = shape
        z, weights, g = drawn(shape, (classes,), (n, m))
        labels = ids(classes, n, m)
        for version in versions:
            run = partial(cross_entropy.forward, z, labels, None, weights, 0.0, True, version=version)
            yield Workload(run, z.size, 7 + 3 / classes)
        for backward in cross_entropy.BACKWARD if m > 1 else ():
            yield Workload(partial(cross_entropy.backward, g, z, None, version=backward), z.size, 1)


def pairs() -> Iterator[Workload]:
    """Of true and predicted classes, by pixel: integers only."""
    truth = ids(8, 2, 32, 32)
    for version in confusion.VERSIONS:
        run = partial(confusion.matrix, truth, truth[::-1], 8, None, version=version)
        yield Workload(run, truth.size, 0)
