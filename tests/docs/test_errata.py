"""The documents' equations on image operations and losses (E1 to E4, E6, E11, E12), evaluated as printed.

Each test evaluates the printed form literally, in plain loops that share nothing with minidl, and shows
either that it agrees with minidl or why it cannot be meant. docs/equations.md tells the same in words. The
equations of backpropagation (E5, E7 to E10) are in test_errata_backprop.py, the programs in
test_errata_programs.py.
"""

import math

import numpy as np
import pytest

import minidl
from minidl import ops

EPS = np.finfo(np.float64).eps


def printed_e1(w, x, a, b):
    """y(a, b) = sum_{u,v} w(u, v) x(a - u, b - v), for a window that lies inside the picture."""
    return sum(w[u, v] * x[a - u, b - v] for u in range(w.shape[0]) for v in range(w.shape[1]))


def printed_e2(w, x, a, b):
    """p(a, b) = max_u sum_v w(u, v) x(a - u, b - v)."""
    return max(sum(w[u, v] * x[a - u, b - v] for v in range(w.shape[1])) for u in range(w.shape[0]))


def plane(operation, x, *args, **options):
    """An operation of minidl on one plane (H, W)."""
    return operation(minidl.tensor(np.asarray(x, float)[None, None]), *args, **options).numpy()[0, 0]


def correlate(x, w):
    return plane(ops.conv2d, x, minidl.tensor(np.ascontiguousarray(w)[None, None]))


# ---------------------------------------------------------------------------------------------
# E1: convolution
# ---------------------------------------------------------------------------------------------
def test_e1_is_a_flip_and_a_shift_of_what_networks_compute():
    rng = np.random.default_rng(1)
    x, w = rng.integers(-9, 10, (5, 7)).astype(float), rng.integers(-9, 10, (2, 3)).astype(float)
    flipped = correlate(x, w[::-1, ::-1])
    assert flipped.shape == (4, 5)
    for i, j in np.ndindex(flipped.shape):
        assert printed_e1(w, x, i + 2 - 1, j + 3 - 1) == flipped[i, j]  # integers: exact


def test_e1_without_the_flip_is_another_picture():
    x, w = np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([[1.0, 2.0], [0.0, -1.0]])
    assert printed_e1(w, x, 1, 1) == 1 * 1 + 2 * 0 + 0 * 2 - 1 * 1 == 0
    assert correlate(x, w)[0, 0] == 1 * 1 + 2 * 2 + 0 * 0 - 1 * 1 == 4


# ---------------------------------------------------------------------------------------------
# E2: pooling
# ---------------------------------------------------------------------------------------------
def test_e2_has_no_weights_that_make_it_a_maximum():
    """One bright pixel must give 1, which forces all weights to be 1; but then a picture of ones gives 2."""
    candidates = np.linspace(-2, 2, 41)
    for u, v in np.ndindex(2, 2):
        x = np.zeros((2, 2))
        x[1 - u, 1 - v] = 1
        assert plane(ops.max_pool2d, x, 2) == [[1.0]]
        for value in candidates:  # the other weights meet zeros, so they do not matter
            w = np.full((2, 2), 7.0)
            w[u, v] = value
            assert (printed_e2(w, x, 1, 1) == 1) == (value == 1)
    assert printed_e2(np.ones((2, 2)), np.ones((2, 2)), 1, 1) == 2
    assert plane(ops.max_pool2d, np.ones((2, 2)), 2) == [[1.0]]


def test_e2_as_printed_adds_and_scales_with_its_weights():
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert printed_e2(np.ones((2, 2)), x, 1, 1) == 3 + 4  # the larger of two row sums
    assert printed_e2(np.full((2, 2), 10.0), x, 1, 1) == 70
    assert plane(ops.max_pool2d, x, 2) == [[4.0]]
    assert plane(ops.avg_pool2d, x, 2) == [[2.5]]


def test_e2_backward_goes_to_the_first_largest_or_is_shared():
    x = minidl.tensor(np.array([[[[5.0, 5.0], [1.0, 5.0]]]]), requires_grad=True)
    ops.max_pool2d(x, 2).backward(np.array([[[[8.0]]]]))
    assert x.grad.numpy()[0, 0].tolist() == [[8, 0], [0, 0]]
    x.grad = None
    ops.avg_pool2d(x, 2).backward(np.array([[[[8.0]]]]))
    assert x.grad.numpy()[0, 0].tolist() == [[2, 2], [2, 2]]


# ---------------------------------------------------------------------------------------------
# E3, E4, E6: losses and softmax
# ---------------------------------------------------------------------------------------------
def probabilities(z):
    """E6: exp(z_j) / sum_k exp(z_k), for logits small enough to do without the shift."""
    exponentials = [math.exp(value) for value in z]
    return [e / sum(exponentials) for e in exponentials]


def printed_e3(y, p):
    """L = -(1/N) sum_i sum_j y_ij log p_ij."""
    return -sum(y[i][j] * math.log(p[i][j]) for i in range(len(y)) for j in range(len(y[0]))) / len(y)


def test_e3_is_the_mean_over_pixels_and_the_second_documents_form_is_one_of_its_terms():
    rng = np.random.default_rng(3)
    logits, labels = rng.standard_normal((2, 3, 4, 5)), rng.integers(0, 3, (2, 4, 5))
    pixels = [logits[n, :, i, j] for n, i, j in np.ndindex(labels.shape)]
    p, y = [probabilities(z) for z in pixels], np.eye(3)[labels.ravel()]
    mean = ops.cross_entropy(minidl.tensor(logits), labels).item()
    # 40 terms below 10, added up and divided by 40: 10 eps; four times that.
    assert mean == pytest.approx(printed_e3(y, p), abs=40 * EPS)
    each = ops.cross_entropy(minidl.tensor(logits), labels, reduction="none").numpy().ravel()
    for i in range(40):
        assert each[i] == pytest.approx(printed_e3(y[i : i + 1], p[i : i + 1]), abs=40 * EPS)  # N = 1


def test_e3_breaks_on_rounded_probabilities_and_the_loss_from_logits_does_not():
    z = np.array([0.0, 1000.0])
    with np.errstate(all="ignore"):
        p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
        assert p.tolist() == [0, 1]
        right, wrong = (-np.sum(np.array(y) * np.log(p)) for y in ([0.0, 1.0], [1.0, 0.0]))
    assert math.isnan(right)  # 0 · log 0, although the network is right
    assert math.isinf(wrong)
    losses = ops.cross_entropy(minidl.tensor(np.stack([z, z])), np.array([1, 0]), reduction="none")
    assert losses.numpy().tolist() == [0, 1000]


def test_e3_with_class_weights_divides_by_their_sum_not_by_n():
    logits, labels, w = np.zeros((3, 2)), np.array([0, 0, 1]), np.array([1.0, 4.0])
    by_n = (1 + 1 + 4) * math.log(2) / 3
    got = ops.cross_entropy(minidl.tensor(logits), labels, weight=w).item()
    assert got == pytest.approx(math.log(2), abs=4 * EPS)  # a weighted mean of three equal losses
    assert got != pytest.approx(by_n, rel=0.4)


def test_e3_counts_only_pixels_that_have_a_label():
    logits = np.array([[0.0, 0.0], [0.0, 50.0]])
    got = ops.cross_entropy(minidl.tensor(logits), np.array([0, 255]), ignore_index=255).item()
    assert got == pytest.approx(math.log(2), abs=4 * EPS)
    assert math.isnan(ops.cross_entropy(minidl.tensor(logits), np.array([255, 255]), ignore_index=255).item())


def test_e4_is_what_l1_loss_computes_with_slope_zero_at_zero():
    predicted, truth = [1.0, 2.0, 3.0, 4.5], [0.0, 2.0, 5.0, 4.0]
    printed = sum(abs(p - t) for p, t in zip(predicted, truth, strict=True)) / 4
    x = minidl.tensor(np.array(predicted), requires_grad=True)
    loss = ops.l1_loss(x, minidl.tensor(np.array(truth)))
    assert loss.item() == printed == (1 + 0 + 2 + 0.5) / 4
    loss.backward()
    assert x.grad.numpy().tolist() == [0.25, 0, -0.25, 0.25]


def test_e6_needs_the_shift_and_is_no_elementwise_function():
    with pytest.raises(OverflowError):
        probabilities([1000.0, 1000.0])
    assert ops.softmax(minidl.tensor(np.array([1000.0, 1000.0])), dim=0).numpy().tolist() == [0.5, 0.5]
    z = [0.5, -1.0, 2.0]
    got = ops.softmax(minidl.tensor(np.array(z)), dim=0).numpy()
    np.testing.assert_allclose(got, probabilities(z), rtol=8 * EPS)
    # Raising one logit lowers the other probabilities: E8's σ'(z), one number for each z, cannot say that.
    raised = ops.softmax(minidl.tensor(np.array([0.5, -1.0, 3.0])), dim=0).numpy()
    assert raised[0] < got[0] and raised[1] < got[1] and raised[2] > got[2]


# ---------------------------------------------------------------------------------------------
# E11: the backward of a convolution, which the documents do not print
# ---------------------------------------------------------------------------------------------
def loop_convolution(x, w, stride, padding):
    """One plane, plain loops."""
    padded = np.zeros((x.shape[0] + 2 * padding, x.shape[1] + 2 * padding))
    padded[padding : padding + x.shape[0], padding : padding + x.shape[1]] = x
    rows, cols = ((n - k) // stride + 1 for n, k in zip(padded.shape, w.shape, strict=True))
    y = np.zeros((rows, cols))
    for i, j, u, v in np.ndindex(rows, cols, *w.shape):
        y[i, j] += w[u, v] * padded[i * stride + u, j * stride + v]
    return y


def slopes(f, x, h=0.5):
    """Central differences of a scalar function, which for a linear one are exact whatever h is."""
    result = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[index] += h
        down[index] -= h
        result[index] = (f(up) - f(down)) / (2 * h)
    return result


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (1, 1), (2, 0), (2, 1), (3, 2)])
def test_e11_is_what_central_differences_measure(stride, padding):
    rng = np.random.default_rng(11)
    x, w = rng.integers(-4, 5, (6, 7)).astype(float), rng.integers(-4, 5, (3, 2)).astype(float)
    g = rng.integers(-4, 5, loop_convolution(x, w, stride, padding).shape).astype(float)

    leaves = [minidl.tensor(v, requires_grad=True) for v in (x[None, None], w[None, None], np.zeros(1))]
    ops.conv2d(*leaves, stride=stride, padding=padding).backward(g[None, None])
    dx, dw, db = (leaf.grad.numpy() for leaf in leaves)

    # Small integers and halves: every number here is exact.
    def s(x, w):
        return (g * loop_convolution(x, w, stride, padding)).sum()

    np.testing.assert_array_equal(dx[0, 0], slopes(lambda x: s(x, w), x))
    np.testing.assert_array_equal(dw[0, 0], slopes(lambda w: s(x, w), w))
    assert db.tolist() == [g.sum()]


def test_e11_for_stride_one_is_the_first_documents_convolution_of_g_with_w():
    rng = np.random.default_rng(12)
    g, w = rng.integers(-4, 5, (3, 4)).astype(float), rng.integers(-4, 5, (2, 3)).astype(float)
    x = minidl.tensor(np.zeros((1, 1, 4, 6)), requires_grad=True)
    ops.conv2d(x, minidl.tensor(w[None, None])).backward(g[None, None])
    around = np.pad(g, ((1, 1), (2, 2)))  # "full": wherever filter and g overlap at all
    for a, b in np.ndindex(4, 6):
        assert x.grad.numpy()[0, 0, a, b] == printed_e1(w, around, a + 1, b + 2)


# ---------------------------------------------------------------------------------------------
# E12: ways up
# ---------------------------------------------------------------------------------------------
def test_e12_upsampling_has_no_weights_and_a_transposed_convolution_has():
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    nearest = plane(ops.interpolate, x, scale_factor=2, mode="nearest")
    assert nearest.tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    ones = minidl.tensor(np.ones((1, 1, 2, 2)))
    assert plane(ops.conv_transpose2d, x, ones, stride=2).tolist() == nearest.tolist()  # one filter of many
    other = minidl.tensor(np.array([[[[1.0, 0.0], [0.0, -1.0]]]]))
    assert plane(ops.conv_transpose2d, x, other, stride=2).tolist() != nearest.tolist()


def test_e12_deconvolution_is_the_adjoint_not_the_inverse():
    rng = np.random.default_rng(13)
    x, w, c = (rng.integers(-4, 5, shape).astype(float) for shape in ((4, 4), (2, 2), (2, 2)))
    filters = minidl.tensor(w[None, None])
    back = plane(ops.conv_transpose2d, c, filters, stride=2)
    assert (loop_convolution(x, w, 2, 0) * c).sum() == (x * back).sum()  # <A x, c> = <x, Aᵀ c>
    there_and_back = plane(ops.conv_transpose2d, loop_convolution(x, w, 2, 0), filters, stride=2)
    assert not np.allclose(there_and_back, x)


@pytest.mark.parametrize(("k", "d"), [(3, 1), (3, 2), (2, 4), (5, 3)])
def test_e12_a_dilated_filter_sees_so_far_and_no_further(k, d):
    field = (k - 1) * d + 1
    x = minidl.tensor(np.zeros((1, 1, 1, 20)), requires_grad=True)
    y = ops.conv2d(x, minidl.tensor(np.ones((1, 1, 1, k))), dilation=d)
    assert y.shape[3] == 20 - field + 1
    y[:, :, :, 0].sum().backward()
    assert np.flatnonzero(x.grad.numpy()).tolist() == list(range(0, field, d))
