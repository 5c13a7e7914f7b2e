"""The checks are checked: each finds the fault that it is there for, and says what is off."""

from __future__ import annotations

import re
import subprocess
import sys
import types

import numpy as np
import pytest

import minidl
from minidl import dispatch, ops, testing
from minidl.autograd import Function
from minidl.testing import check_adjoint, check_op, check_property

X = np.random.default_rng(0).normal(size=(2, 3, 4, 4))


def op(forward, backward, tensor_backward=None, view=False):
    """A one-input operation of these two array functions; both get the input."""

    class Own(Function):
        is_view = view

        @staticmethod
        def forward(ctx, x):
            ctx.save(x)
            return forward(x)

        @staticmethod
        def backward(ctx, g):
            return backward(g, *ctx.saved)

    if tensor_backward is not None:
        Own.tensor_backward = staticmethod(lambda ctx, g: tensor_backward(g, *ctx.saved))
    return Own.apply


def square(backward=lambda g, x: 2 * x * g, **options):
    return op(np.square, backward, **options)


def change(array):
    array *= 1.5
    return array


def skewed(x):
    """Reads the memory as it lies, which is right in C order only."""
    return x.ravel(order="K").reshape(x.shape) ** 2


calls = iter(range(10**6))

#: fault -> (operation, oracle, message). The cotangent of all ones would not see some of them.
FAULTS = {
    "forward": (op(lambda x: x * x * 1.001, lambda g, x: 2.002 * x * g), np.square, "own: forward: element"),
    "shape": (op(lambda x: (x * x)[..., None], lambda g, x: 2 * x * g[..., 0]), np.square, "forward: shape"),
    "forward and backward alike": (op(np.sin, lambda g, x: g * np.cos(x)), np.square, "forward: element"),
    "sign": (square(lambda g, x: -2 * x * g), np.square, "slope is"),
    "a millionth": (square(lambda g, x: 2.000002 * x * g), np.square, "slope is"),
    "gradient of another shape": (square(lambda g, x: (2 * x * g)[:1]), np.square, "shape"),
    "no gradient": (square(lambda g, x: None), np.square, "backward: input 0 got no gradient"),
    "changes its input": (op(lambda x: change(x) ** 2, lambda g, x: g), None, "the op changed its input"),
    "changes its cotangent": (square(lambda g, x: 2 * x * change(g)), None, "changed its cotangent"),
    "returns its input": (op(lambda x: x, lambda g, x: g), np.array, "shares memory with input 0"),
    "memory order": (op(skewed, lambda g, x: 2 * x * g), np.square, "memory|inputs"),
    "memory order of the cotangent": (
        square(lambda g, x: 2 * x * g.ravel(order="K").reshape(g.shape)),
        np.square,
        "own: gradient 0, channels_last inputs",
    ),
    "float64 for float32": (
        op(lambda x: x.astype(np.float64) ** 2, lambda g, x: 2 * x * g),
        np.square,
        "float32 in, float64 out",
    ),
    "float32 for float64": (
        op(lambda x: x.astype(np.float32) ** 2, lambda g, x: 2 * x * g),
        np.square,
        "float64 in, float32 out",
    ),
    "wrong in float32 only": (
        op(lambda x: x**2 + (x.dtype == np.float32), lambda g, x: 2 * x * g),
        np.square,
        "forward, float32: element",
    ),
    "half the digits": (
        op(lambda x: x * x.astype(np.float16), lambda g, x: 2 * x * g),
        np.square,
        "own: forward: element",
    ),
    "another result each time": (
        op(lambda x: x**2 + 1e-15 * next(calls), lambda g, x: 2 * x * g),
        np.square,
        "other bits",
    ),
    "empty batch": (
        op(lambda x: x**2 if x.size else x[..., :1], lambda g, x: 2 * x * g),
        np.square,
        "zero-size: shape",
    ),
    "one pixel": (
        op(lambda x: x**2 + (x.shape[-1] == 1), lambda g, x: 2 * x * g),
        np.square,
        "one pixel: element",
    ),
    "second order: other gradient": (
        square(tensor_backward=lambda g, x: 2.1 * x * g),
        np.square,
        "gradient 0 with create_graph=True: element",
    ),
    "second order: a constant that is none": (
        square(tensor_backward=lambda g, x: 2.0 * x.detach() * g),
        np.square,
        "gradcheck",
    ),
    "unrecorded": (lambda x: minidl.Tensor(x.data**2), np.square, "was not recorded"),
    "an array": (lambda x: x.data**2, np.square, "expected a Tensor"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_and_named(fault):
    fn, oracle, message = FAULTS[fault]
    expected = RuntimeError if fault == "gradient of another shape" else AssertionError
    with pytest.raises(expected, match=message):
        check_op(fn, oracle, X)


@pytest.mark.parametrize("fault", ["sign", "a millionth"])
def test_without_an_oracle_gradcheck_finds_wrong_backwards(fault):
    if fault == "a millionth":  # central differences of one step see 1e-5 of the largest gradient, not 1e-6
        fn = square(lambda g, x: 2.00002 * x * g)
    else:
        fn = FAULTS[fault][0]
    with pytest.raises(minidl.GradcheckError):
        check_op(fn, None, X)


def test_a_right_op_passes_and_the_report_says_what_was_done():
    report = check_op(square(tensor_backward=lambda g, x: 2.0 * x * g), np.square, X, name="square")
    assert report.name == "square" and not report.left_out
    assert {kind: check.cases for kind, check in report.checks.items()} == {
        "forward": 1,
        "oracle's slopes": 5,
        "gradcheck": 2,
        "same bits twice": 1,
        "memory orders": 8,
        "float32": 2,
        "second order": 2,
        "zero-size": 1,
        "one pixel": 1,
    }
    assert report.checks["forward"].eps == 0 and 0 < report.checks["float32"].eps < 4
    assert 0 < report.checks["float32"].share < 0.1
    text = str(report).splitlines()
    assert text[0] == "square: 9 checks passed" and "worst (eps)" in text[1]
    assert all(kind in "\n".join(text) for kind in report.checks)


def test_what_was_left_out_is_said():
    def picky(x):
        if x.shape[0] == 0:
            raise ValueError("picky: no images")
        return square()(x)

    report = check_op(picky, np.square, X)
    assert report.left_out["zero-size"] == "refused: picky: no images"
    assert "no tensor_backward" in report.left_out["second order"]
    assert "left out: zero-size: refused" in str(report)
    report = check_op(ops.sum, lambda x: x.sum(keepdims=True).reshape(()) / (x.size > 0), X, terms=X.size)
    assert report.left_out == {"zero-size": "the oracle raises RuntimeWarning"}
    assert check_op(ops.exp, None, X).left_out["forward"] == "there is no oracle"
    off = check_op(
        ops.exp, np.exp, X, orders=False, gradcheck=False, extremes=False, second_order=False, terms=32
    )
    assert set(off.checks) == {"forward", "oracle's slopes", "same bits twice", "float32"}


def test_a_second_derivative_that_is_demanded_must_exist():
    with pytest.raises(AssertionError, match=r"own: own has no tensor_backward"):
        check_op(square(), np.square, X, second_order=True)


@pytest.mark.parametrize("position", [0, 1])
def test_linearity_is_checked_in_the_input_that_is_named(position):
    a, b = np.random.default_rng(1).normal(size=(2, 3, 3))
    report = check_op(lambda a, b: a @ b, np.matmul, a, b, linear=(0, 1))
    assert report.checks["adjoint"].cases == report.checks["linear"].cases == 2
    affine = [lambda a, b: a @ b + b, lambda a, b: a @ b + a][position]
    with pytest.raises(AssertionError, match="add: <A x, g>, which should be"):
        check_op(affine, None, a, b, linear=(position,))


def test_an_adjoint_that_is_none_is_found():
    wrong = op(lambda x: x[::-1].copy(), lambda g, x: g)  # flipped: invisible to a cotangent of ones
    with pytest.raises(AssertionError, match=r"<A x, g>"):
        check_adjoint(wrong, X, terms=4)


def test_kernels_of_another_backend_are_held_to_the_reference(monkeypatch):
    """A backend whose max_pool2d adds 1 and whose backward forgets the sign."""
    right = dispatch.kernels("max_pool2d", X)
    fake = types.ModuleType("fake_kernels.max_pool2d")

    def forward(x, **options):
        y, *rest = right.forward(x, **options)
        return y + shift, *rest

    def backward(*arrays, **options):
        return sign * right.backward(*arrays, **options)

    fake.forward, fake.backward = forward, backward
    fake.__spec__ = types.SimpleNamespace(name="fake_kernels.max_pool2d", parent="fake_kernels")
    package = types.ModuleType("fake_kernels")
    package.__path__ = []
    monkeypatch.setitem(sys.modules, "fake_kernels", package)
    monkeypatch.setitem(sys.modules, "fake_kernels.max_pool2d", fake)
    monkeypatch.setitem(dispatch.HOST_BACKENDS, "fake", "fake_kernels")
    x = testing.separated(np.random.default_rng(0), X.shape)

    def check():
        dispatch._kernels.cache_clear()
        try:
            return check_op(lambda x: ops.max_pool2d(x, 2), None, x)
        finally:
            dispatch._kernels.cache_clear()

    shift, sign = 0, 1
    assert check().checks["backend fake"].cases == 2
    shift, sign = 1, 1
    with pytest.raises(AssertionError, match="forward, backend fake"):
        check()
    shift, sign = 0, -1
    with pytest.raises(AssertionError, match="gradient 0, backend fake"):
        check()


def test_the_other_backend_is_checked_whichever_is_preferred():
    x = testing.separated(np.random.default_rng(0), (1, 2, 6, 6))
    for backend, other in (("numpy", "numba"), ("numba", "numpy")):
        with minidl.use(backend):
            assert f"backend {other}" in check_op(lambda x: ops.max_pool2d(x, 2), None, x).checks


@pytest.mark.parametrize(("arrays", "message"), [((), "no arrays"), ((np.ones(2, np.float32),), "float32")])
def test_other_inputs_are_refused(arrays, message):
    with pytest.raises(TypeError, match=message):
        check_op(ops.exp, np.exp, *arrays)


def test_relu_is_its_own_adjoint_but_not_linear():
    with pytest.raises(AssertionError, match=r"not linear: A\(2x - z\)"):
        check_adjoint(ops.relu, X, terms=4)


# --- drawn shapes ---


def test_drawn_shapes_find_what_one_shape_does_not_and_shrink_it():
    wrong = op(
        lambda x: x.sum(1), lambda g, x: np.broadcast_to(g[:, None] / (1 if len(x) < 3 else 2), x.shape)
    )
    check_op(wrong, lambda x: x.sum(1), np.ones((2, 2)), extremes=False)
    with pytest.raises(AssertionError, match=r"slope") as caught:
        check_property(wrong, lambda x: x.sum(1), "N C", extremes=False)
    assert re.search(r"'C': 1\D+'N': 3", "".join(caught.value.__notes__))


def test_equal_axis_names_have_equal_extents():
    seen = []

    def oracle(a, b):
        seen.append((a.shape, b.shape))
        return a @ b

    report = check_property(
        lambda a, b: a @ b, oracle, "I L", "L J", extents=(0, 2), examples=6, extremes=False
    )
    assert report.name == "matmul" and report.checks["float32"].cases >= 6
    assert all(a[1] == b[0] for a, b in seen) and len({a + b for a, b in seen}) > 1


def test_without_hypothesis_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(ModuleNotFoundError, match="pip install hypothesis"):
        check_property(ops.exp, np.exp, "N")


def test_importing_the_checks_needs_no_hypothesis(root):
    code = (
        "import sys; sys.modules['hypothesis'] = None; import minidl; print(minidl.testing.check_op.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.stdout.strip() == "check_op", done.stderr
