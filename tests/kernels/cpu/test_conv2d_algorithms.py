"""``algorithm=`` of the operations: what is asked for runs and has right derivatives, or is refused."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import minidl
from minidl import ops
from minidl.kernels.cpu import conv2d as kernels
from minidl.kernels.cpu import plan, winograd, winograd_weight
from minidl.testing import leaf

#: Shapes of x, weight and bias, and options: sizes that fill neither vectors (of 8 float64) nor tiles.
SAME = ((2, 9, 7, 5), (17, 9, 3, 3), (17,), {"padding": 1})
FULL = ((1, 3, 6, 7), (5, 3, 3, 3), (5,), {"padding": (2, 0)})
UNEVEN = {"stride": (2, 1), "padding": 2, "dilation": (1, 2), "groups": 2}
DILATED = ((2, 6, 9, 8), (10, 3, 3, 2), (10,), UNEVEN)
PATCHES = ((2, 9, 6, 8), (11, 9, 2, 2), (11,), {"stride": 2})
POINTWISE = ((2, 10, 5, 3), (7, 10, 1, 1), (7,), {})
CHANNELWISE = ((2, 11, 6, 7), (11, 1, 3, 3), (11,), {"padding": 1, "groups": 11})
GAPS = {"stride": (1, 2), "padding": 2, "dilation": 2, "groups": 5}
MULTIPLIED = ((1, 5, 7, 8), (15, 1, 2, 3), (15,), GAPS)

CASES = [
    *((name, case) for case in (SAME, FULL) for name in ("winograd4", "winograd2", "direct", "im2col")),
    *((name, case) for case in (DILATED, PATCHES, POINTWISE) for name in ("direct", "im2col")),
    *((name, case) for case in (CHANNELWISE, MULTIPLIED) for name in ("depthwise", "direct", "im2col")),
]
IDS = [f"{algorithm} {case[1]}" for algorithm, case in CASES]
every_case = pytest.mark.parametrize(("algorithm", "case"), CASES, ids=IDS)

#: What is computed in which direction of a convolution by one forward and backward of each operation.
ONCE_EACH = dict.fromkeys(plan.DIRECTIONS, 1)


@pytest.fixture(autouse=True)
def _compiled():
    with minidl.use("numba"):
        yield


@pytest.fixture
def ran(monkeypatch):
    """Counts (algorithm, direction) of everything that computes; the reference kernels fail."""
    counted = Counter()

    def watch(function, name, direction):
        def watched(*args, **options):
            m = args[5 if direction == "forward" else 4] if name == "winograd" else ""
            counted[f"{name}{m}", direction] += 1
            return function(*args, **options)

        return watched

    def fail(*_, **__):
        raise AssertionError("the reference kernel was called")

    for direction in plan.DIRECTIONS:
        module = winograd_weight if direction == "backward_weight" else winograd
        monkeypatch.setattr(module, direction, watch(getattr(module, direction), "winograd", direction))
        monkeypatch.setattr(kernels.reference, direction, fail)
    for name in ("direct", "im2col", "depthwise"):
        functions = kernels.ALGORITHMS[name]._asdict().items()
        watched = {direction: watch(function, name, direction) for direction, function in functions}
        monkeypatch.setitem(kernels.ALGORITHMS, name, kernels.Algorithm(**watched))
    return counted


def counts(algorithm):
    return {(algorithm, direction): count for direction, count in ONCE_EACH.items()}


def leaves(case, transposed=False):
    """x, weight and bias in float64; of a transposed convolution with the same weight."""
    x_shape, w_shape, b_shape, options = case
    rng = np.random.default_rng(7)
    if transposed:
        x_shape = (x_shape[0], w_shape[0], *x_shape[2:])
        b_shape = (w_shape[1] * options.get("groups", 1),)
    return [leaf(rng.normal(size=shape)) for shape in (x_shape, w_shape, b_shape)]


@every_case
def test_conv2d(algorithm, case, ran):
    options = case[3] | {"algorithm": algorithm}
    tensors = leaves(case)
    ops.conv2d(*tensors, **options).sum().backward()
    assert ran == counts(algorithm)
    assert minidl.gradcheck(lambda *t: ops.conv2d(*t, **options), tensors, max_elements=25)
    assert {name for name, _ in ran} == {algorithm}


@every_case
def test_conv_transpose2d(algorithm, case, ran):
    options = case[3] | {"algorithm": algorithm}
    tensors = leaves(case, transposed=True)
    ops.conv_transpose2d(*tensors, **options).sum().backward()
    assert ran == counts(algorithm)
    assert minidl.gradcheck(lambda *t: ops.conv_transpose2d(*t, **options), tensors, max_elements=25)
    assert {name for name, _ in ran} == {algorithm}


@pytest.mark.parametrize("relu", [False, True])
@every_case
def test_fused_conv2d(algorithm, case, relu, ran):
    options = case[3] | {"algorithm": algorithm, "relu": relu}
    tensors = leaves(case)
    ops.fused_conv2d(*tensors, **options).sum().backward()
    assert ran == counts(algorithm)
    assert minidl.gradcheck(lambda *t: ops.fused_conv2d(*t, **options), tensors, max_elements=15)
    assert {name for name, _ in ran} == {algorithm}


@pytest.mark.parametrize("doubled", [False, True])
@pytest.mark.parametrize("algorithm", ["winograd4", "winograd2", "direct", "im2col"])
def test_fused_conv2d_of_two_inputs(algorithm, doubled, ran):
    rng = np.random.default_rng(3)
    half = 2 if doubled else 1
    shapes = (2, 9, 6, 8), (17, 12, 3, 3), (17,), (2, 3, 6 // half, 8 // half)
    tensors = [leaf(rng.normal(size=shape)) for shape in shapes]

    def fused(x, weight, bias, second):
        joined = {"second": second, "upsample_second": doubled}
        return ops.fused_conv2d(x, weight, bias, padding=1, relu=True, algorithm=algorithm, **joined)

    fused(*tensors).sum().backward()
    assert ran == counts(algorithm)
    assert minidl.gradcheck(fused, tensors, max_elements=15)
    assert {name for name, _ in ran} == {algorithm}


SMALL = ((1, 2, 4, 3), (3, 2, 3, 3), (3,), {"padding": 1})
SMALL_CHANNELWISE = ((1, 2, 4, 3), (4, 1, 3, 2), (4,), {"padding": 1, "groups": 2, "stride": (1, 2)})
CURVED = [
    *((algorithm, SMALL) for algorithm in ("winograd4", "winograd2", "direct", "im2col")),
    *((algorithm, SMALL_CHANNELWISE) for algorithm in ("depthwise", "direct", "im2col")),
]


@pytest.mark.parametrize("name", ["conv2d", "conv_transpose2d", "fused_conv2d"])
@pytest.mark.parametrize(("algorithm", "case"), CURVED, ids=[f"{a} {c[1]}" for a, c in CURVED])
def test_second_derivatives(algorithm, case, name, ran):
    options = case[3] | {"algorithm": algorithm} | ({"relu": True} if name == "fused_conv2d" else {})
    tensors = leaves(case, transposed=name == "conv_transpose2d")
    assert minidl.gradgradcheck(lambda *t: getattr(ops, name)(*t, **options), tensors, max_elements=10)
    assert {called for called, _ in ran} == {algorithm}


@pytest.mark.parametrize("name", ["conv2d", "conv_transpose2d", "fused_conv2d"])
@pytest.mark.parametrize(
    ("algorithm", "case", "reason"),
    [
        ("winograd4", PATCHES, "it needs a 3x3 filter and stride 1"),
        ("winograd2", POINTWISE, "it needs a 3x3 filter"),
        ("winograd4", CHANNELWISE, "it needs groups=1"),
        ("depthwise", SAME, "it needs as many groups as channels"),
        ("depthwise", DILATED, "it needs as many groups as channels"),
        ("winograd", SAME, "there is no algorithm 'winograd'; choose from winograd4, winograd2, direct"),
        ("", SAME, "there is no algorithm ''"),
    ],
)
def test_what_cannot_be_done_is_refused(name, algorithm, case, reason, ran):
    tensors = leaves(case, transposed=name == "conv_transpose2d")
    with pytest.raises(ValueError, match="conv2d") as caught:
        getattr(ops, name)(*tensors, **case[3], algorithm=algorithm)
    assert reason in str(caught.value)
    assert not ran  # and nothing else was computed in its place


@pytest.mark.parametrize("name", ["conv2d", "conv_transpose2d", "fused_conv2d"])
def test_the_reference_backend_has_no_algorithms(name):
    tensors = leaves(SAME, transposed=name == "conv_transpose2d")
    with minidl.use("numpy"), pytest.raises(ValueError, match="algorithm='direct'") as caught:
        getattr(ops, name)(*tensors, padding=1, algorithm="direct")
    assert "minidl.use('numba')" in str(caught.value)
    with minidl.use("numpy"):
        getattr(ops, name)(*tensors, padding=1, algorithm=None)


def test_a_backward_in_another_backend_keeps_the_algorithm_of_its_forward(ran):
    tensors = leaves(SAME)
    y = ops.conv2d(*tensors, padding=1, algorithm="im2col")
    with minidl.use("numpy"):
        y.sum().backward()
    assert ran == counts("im2col")
