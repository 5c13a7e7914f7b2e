"""The second document's equations of backpropagation (E5, E7 to E10), evaluated as they are printed.

What is right is decided by central differences of a network in plain NumPy, in float64. The printed forms are
then computed literally, or in the most favourable reading where the literal one is no product at all.
docs/equations.md tells the same in words.
"""

import numpy as np
import pytest

import minidl
from minidl import ops

H = 1e-6
#: A central difference with this step is off by about H² from its formula and by eps / H from rounding,
#: both below 1e-9 for values and slopes near 1.
CLOSE = {"rtol": 1e-7, "atol": 1e-8}


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softmax(z):
    return np.exp(z - z.max()) / np.exp(z - z.max()).sum()


def slopes(f, x):
    """Central differences of f, a scalar function of an array."""
    result = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[index] += H
        down[index] -= H
        result[index] = (f(up) - f(down)) / (2 * H)
    return result


def differs(printed, true):
    """Far more than any tolerance: another formula, not another rounding."""
    return printed.shape != true.shape or np.abs(printed - true).max() > 0.05


# ---------------------------------------------------------------------------------------------
# E5: one sample is a column there, a row here
# ---------------------------------------------------------------------------------------------
def test_e5_columns_and_rows_say_the_same():
    rng = np.random.default_rng(5)
    W, b, samples = rng.standard_normal((4, 3)), rng.standard_normal(4), rng.standard_normal((6, 3))
    rows = ops.linear(*map(minidl.tensor, (samples, W, b))).numpy()
    for a, z in zip(samples, rows, strict=True):
        printed = [sum(W[i, j] * a[j] for j in range(3)) + b[i] for i in range(4)]
        np.testing.assert_allclose(z, printed, rtol=0, atol=64 * np.finfo(float).eps)
    with pytest.raises(ValueError, match="linear"):
        ops.linear(*map(minidl.tensor, (samples.T.copy(), W, b)))  # columns are refused, not misread


# ---------------------------------------------------------------------------------------------
# E7: the output error
# ---------------------------------------------------------------------------------------------
Z, Y = np.array([0.3, -1.1, 0.8]), np.array([0.0, 1.0, 0.0])


@pytest.mark.parametrize(
    ("activation", "loss"),
    [
        (softmax, lambda p: -(Y * np.log(p)).sum()),
        (sigmoid, lambda p: -(Y * np.log(p) + (1 - Y) * np.log(1 - p)).sum()),
        (lambda z: z, lambda p: 0.5 * ((p - Y) ** 2).sum()),
    ],
    ids=["softmax and cross-entropy", "sigmoid and binary cross-entropy", "identity and half the square"],
)
def test_e7_holds_for_the_canonical_pairs(activation, loss):
    np.testing.assert_allclose(activation(Z) - Y, slopes(lambda z: loss(activation(z)), Z), **CLOSE)


def test_e7_fails_for_sigmoid_with_squared_error():
    z, y = np.array([0.0]), np.array([1.0])
    true = slopes(lambda z: 0.5 * ((sigmoid(z) - y) ** 2).sum(), z)
    np.testing.assert_allclose(true, [-0.125], **CLOSE)  # (p - y) p (1 - p) = -0.5 · 0.5 · 0.5
    assert (sigmoid(z) - y).tolist() == [-0.5]
    x = minidl.tensor(z, requires_grad=True)
    (0.5 * (ops.sigmoid(x) - minidl.tensor(y)) ** 2).sum().backward()
    assert x.grad.numpy().tolist() == [-0.125]


def test_e7_fails_for_softmax_with_mean_absolute_error():
    z, y = np.zeros(2), np.array([1.0, 0.0])
    true = slopes(lambda z: np.abs(softmax(z) - y).mean(), z)
    np.testing.assert_allclose(true, [-0.25, 0.25], **CLOSE)
    assert (softmax(z) - y).tolist() == [-0.5, 0.5]
    x = minidl.tensor(z, requires_grad=True)
    ops.l1_loss(ops.softmax(x, dim=0), minidl.tensor(y)).backward()
    np.testing.assert_allclose(x.grad.numpy(), true, **CLOSE)


def test_e7_needs_targets_that_add_up_to_one():
    y = np.array([1.0, 1.0, 0.0])  # two labels at once
    true = slopes(lambda z: -(y * np.log(softmax(z))).sum(), Z)
    assert differs(softmax(Z) - y, true)
    np.testing.assert_allclose(2 * softmax(Z) - y, true, **CLOSE)


def test_e7_with_the_mean_over_samples_is_divided_by_their_number():
    logits = np.stack([Z, -Z, 2 * Z, 0 * Z])
    x = minidl.tensor(logits, requires_grad=True)
    ops.cross_entropy(x, np.full(4, 1)).backward()
    printed = np.stack([softmax(z) - Y for z in logits])
    np.testing.assert_allclose(x.grad.numpy(), printed / 4, rtol=0, atol=64 * np.finfo(float).eps)


# ---------------------------------------------------------------------------------------------
# E8, E9: the hidden layers. x -> W1, tanh -> W2, softmax -> cross-entropy
# ---------------------------------------------------------------------------------------------
def two_layers(inputs, hidden, classes, symmetric=False):
    """The network's numbers, and what central differences say about them."""
    rng = np.random.default_rng(8)
    x, y = rng.standard_normal(inputs), np.eye(classes)[-1]
    W1, b1 = rng.standard_normal((hidden, inputs)), rng.standard_normal(hidden)
    W2, b2 = rng.standard_normal((classes, hidden)), rng.standard_normal(classes)
    if symmetric:
        W2 = W2 + W2.T

    def loss(W1=W1, b1=b1, W2=W2, b2=b2):
        return -(y * np.log(softmax(W2 @ np.tanh(W1 @ x + b1) + b2))).sum()

    a1 = np.tanh(W1 @ x + b1)
    values = {"x": x, "W1": W1, "b1": b1, "W2": W2, "b2": b2, "a1": a1, "dσ": 1 - a1**2}
    values["δ2"] = softmax(W2 @ a1 + b2) - y
    true = {k: slopes(lambda v, k=k: loss(**{k: v}), values[k]) for k in ("W1", "b1", "W2", "b2")}
    return values, true, loss


def test_e8_as_printed_is_no_product_where_the_layers_differ_in_width():
    v, true, _ = two_layers(inputs=4, hidden=3, classes=2)
    with pytest.raises(ValueError, match="mismatch"):
        v["W2"] @ v["δ2"]  # (2, 3) times (2,)
    np.testing.assert_allclose((v["W2"].T @ v["δ2"]) * v["dσ"], true["b1"], **CLOSE)


def test_e8_as_printed_is_wrong_where_the_widths_happen_to_agree():
    v, true, _ = two_layers(inputs=3, hidden=3, classes=3)
    assert differs(v["dσ"] * (v["W2"] @ v["δ2"]), true["b1"])
    np.testing.assert_allclose((v["W2"].T @ v["δ2"]) * v["dσ"], true["b1"], **CLOSE)


def test_e8_without_the_elementwise_product_is_a_single_number():
    v, true, _ = two_layers(inputs=3, hidden=3, classes=3)
    assert np.shape(v["dσ"] @ (v["W2"].T @ v["δ2"])) == ()  # a row times a column
    assert true["b1"].shape == (3,)


def test_e8_goes_unnoticed_where_the_weights_are_symmetric():
    """Why one example is no proof: here W is its own transpose."""
    v, true, _ = two_layers(inputs=3, hidden=3, classes=3, symmetric=True)
    np.testing.assert_allclose(v["dσ"] * (v["W2"] @ v["δ2"]), true["b1"], **CLOSE)


def test_e9_as_printed_is_the_transposed_gradient_of_the_next_layer():
    v, true, _ = two_layers(inputs=4, hidden=3, classes=2)
    printed = np.outer(v["a1"], v["δ2"])  # ΔW1 / α: a column a(1) times a row δ(2)
    assert printed.shape == (3, 2) != true["W1"].shape == (3, 4)
    np.testing.assert_allclose(printed.T, true["W2"], **CLOSE)
    δ1 = (v["W2"].T @ v["δ2"]) * v["dσ"]
    np.testing.assert_allclose(np.outer(δ1, v["x"]), true["W1"], **CLOSE)
    np.testing.assert_allclose(δ1, true["b1"], **CLOSE)
    np.testing.assert_allclose(v["δ2"], true["b2"], **CLOSE)


def test_e9_as_printed_is_wrong_in_square_layers_too():
    v, true, _ = two_layers(inputs=3, hidden=3, classes=3)
    printed = np.outer(v["a1"], v["δ2"])
    assert differs(printed, true["W1"]) and differs(printed.T, true["W1"])


def test_e9_the_step_goes_against_the_gradient():
    v, true, loss = two_layers(inputs=4, hidden=3, classes=2)
    step = 0.01
    assert loss(W1=v["W1"] - step * true["W1"]) < loss() < loss(W1=v["W1"] + step * true["W1"])
    weight = minidl.nn.Parameter(minidl.tensor(v["W1"]))
    weight.grad = minidl.tensor(true["W1"])
    minidl.optim.SGD([weight], lr=step).step()
    np.testing.assert_allclose(weight.detach().numpy(), v["W1"] - step * true["W1"], rtol=0, atol=1e-15)


# ---------------------------------------------------------------------------------------------
# E10: the worked example, two hidden ReLU layers
# ---------------------------------------------------------------------------------------------
def three_layers(sizes):
    """Forward of the example (the names count layers, 1 to 3) and the central differences of its loss."""
    rng = np.random.default_rng(10)
    values = {"X": rng.standard_normal(sizes[0])}
    for layer in (1, 2, 3):
        values[f"W{layer}"] = rng.standard_normal((sizes[layer], sizes[layer - 1]))
        values[f"b{layer}"] = rng.standard_normal(sizes[layer])
    y = np.eye(sizes[3])[1]

    def forward(v):
        z1 = v["W1"] @ v["X"] + v["b1"]
        z2 = v["W2"] @ np.maximum(z1, 0) + v["b2"]
        return z1, z2, v["W3"] @ np.maximum(z2, 0) + v["b3"]

    def loss(**changed):
        return -(y * np.log(softmax(forward(values | changed)[2]))).sum()

    z1, z2, z3 = forward(values)
    true = {k: slopes(lambda new, k=k: loss(**{k: new}), values[k]) for k in values if k != "X"}
    values |= {"a1": np.maximum(z1, 0), "a2": np.maximum(z2, 0), "dσ1": (z1 > 0) * 1.0, "dσ2": (z2 > 0) * 1.0}
    return values, softmax(z3) - y, true


def test_e10_the_right_deltas_and_updates():
    v, δ3, true = three_layers((6, 5, 4, 3))
    δ2 = (v["W3"].T @ δ3) * v["dσ2"]
    δ1 = (v["W2"].T @ δ2) * v["dσ1"]
    for layer, (δ, a) in enumerate([(δ1, v["X"]), (δ2, v["a1"]), (δ3, v["a2"])], 1):
        np.testing.assert_allclose(np.outer(δ, a), true[f"W{layer}"], **CLOSE)
        np.testing.assert_allclose(δ, true[f"b{layer}"], **CLOSE)


def test_e10_as_printed_no_delta_can_be_multiplied_out():
    v, δ3, _ = three_layers((6, 5, 4, 3))
    with pytest.raises(ValueError, match="mismatch"):
        v["W3"] @ δ3  # the document's W_2^(2) times δ_2^(2)
    δ2 = (v["W3"].T @ δ3) * v["dσ2"]
    with pytest.raises(ValueError, match="mismatch"):
        v["W1"] @ δ2  # the document's W_1^(1) times δ_1^(2): the wrong layer as well
    with pytest.raises(ValueError, match="mismatch"):
        v["W1"].T @ δ2  # which a transpose does not cure


def test_e10_as_printed_is_wrong_in_every_hidden_layer_even_if_all_are_square():
    """The most favourable reading: widths that fit, element-wise and outer products where they are needed."""
    v, δ3, true = three_layers((4, 4, 4, 4))
    δ2 = v["dσ2"] * (v["W3"] @ δ3)
    δ1 = v["dσ1"] * (v["W1"] @ δ2)
    assert differs(δ2, true["b2"]) and differs(δ1, true["b1"])
    # No row for W3: its update is given an a_2^(2) that the example never defines.
    updates = {"W1": (v["a1"], δ2), "W2": (v["a2"], δ3)}
    for name, (a, δ) in updates.items():
        assert differs(np.outer(a, δ), true[name]) and differs(np.outer(δ, a), true[name])
    np.testing.assert_allclose(δ3, true["b3"], **CLOSE)  # the output layer's bias is right


def test_e10_as_printed_the_first_update_does_not_look_at_the_image():
    """Each row of the true ΔW1 is a multiple of X; the printed α a1 δ has no X in it at all."""
    v, _, true = three_layers((6, 5, 4, 3))
    alive = np.abs(true["b1"]) > 0.01
    assert alive.any()
    ratio = true["W1"][alive] / true["b1"][alive][:, None]
    np.testing.assert_allclose(ratio, np.broadcast_to(v["X"], ratio.shape), rtol=0, atol=1e-5)
    assert differs(np.outer(v["a1"], np.ones(4)), true["W1"])  # not even the shape is that of W1


def test_e10_an_image_must_be_flattened_before_it_is_multiplied():
    W, image = np.ones((5, 784)), np.arange(784.0).reshape(28, 28)
    with pytest.raises(ValueError, match="mismatch"):
        W @ image
    assert (W @ image.ravel()).shape == (5,)
    assert ops.linear(minidl.tensor(image[None]).flatten(1), minidl.tensor(W)).shape == (1, 5)
