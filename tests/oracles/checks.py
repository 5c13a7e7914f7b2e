"""The factory of op tests: `check_op(fn, oracle, *arrays)` proves one operation at one point.

What it holds an operation to, for float64 inputs that requires gradients:

1. forward: the values of the literal loops, within the rounding of the sums;
2. backward: `minidl.gradcheck`, *and* central differences of the loops (not of the library) with a random
   cotangent;
3. memory order: Fortran, channels-last, sliced and reversed inputs and cotangents give the same values and
   gradients;
4. float32 in, float32 out, close to float64; gradients in the inputs' dtypes, in C order;
5. inputs and cotangent are left as they were.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import minidl
from oracles import strategies

Array = NDArray[np.float64]
TensorFunction = Callable[..., Any]
ArrayFunction = Callable[..., Any]


def tolerance(dtype: Any, terms: int, scale: float) -> float:
    """Rounding of a sum: each of `terms` summands of size `scale` is off by a few eps of the dtype."""
    return 4 * float(np.finfo(dtype).eps) * (terms + 8) * max(scale, 1.0)


def size_of(*arrays: NDArray[Any]) -> float:
    """The product of the arrays' largest values: a bound for one term of a sum of products of them."""
    product = 1.0
    for a in arrays:
        if a.size and np.isfinite(a).any():
            product *= max(1.0, float(np.abs(a[np.isfinite(a)]).max()))
    return product


def leaf(array: NDArray[Any]) -> minidl.Tensor:
    """A tensor around this very array, its memory order included, that requires a gradient."""
    return minidl.Tensor(array, requires_grad=True)


def values(tensor: Any) -> NDArray[Any]:
    """The array of an op's result, which must be a Tensor."""
    assert isinstance(tensor, minidl.Tensor), f"expected a Tensor, got {type(tensor)}"
    return np.asarray(tensor.detach().numpy())


def cotangent_for(y: NDArray[Any], seed: int = 0) -> Array:
    """A random cotangent: one of all ones hides wrong backwards."""
    return np.asarray(np.random.default_rng(seed + 7919 * y.size).normal(size=y.shape))


def run(
    fn: TensorFunction, arrays: tuple[Array, ...], g: Array | None
) -> tuple[NDArray[Any], list[NDArray[Any]]]:
    """Forward and backward of `fn`: (y, gradients); what must hold for every op is asserted."""
    inputs = [leaf(a) for a in arrays]
    before = [a.copy() for a in arrays]
    output = fn(*inputs)
    y = values(output)
    g = cotangent_for(y) if g is None else g
    g_before = g.copy()
    output.backward(minidl.Tensor(g))
    for a, old in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, old, err_msg="the op changed its input")
    np.testing.assert_array_equal(g, g_before, err_msg="the backward changed its cotangent")
    gradients = []
    for tensor, a in zip(inputs, arrays, strict=True):
        assert tensor.grad is not None, "an input got no gradient"
        gradient = tensor.grad.numpy()
        assert gradient.shape == a.shape
        assert gradient.dtype == a.dtype, f"gradient is {gradient.dtype}, the input {a.dtype}"
        assert gradient.flags.c_contiguous, "leaf gradients lie in C order"
        assert not any(np.shares_memory(gradient, other) for other in (*arrays, g)), (
            "a gradient is not an alias"
        )
        gradients.append(gradient)
    return y, gradients


def check_op(
    fn: TensorFunction,
    oracle: ArrayFunction,
    *arrays: Array,
    terms: int = 16,
    orders: bool = True,
    gradcheck: bool = True,
    seed: int = 0,
) -> None:
    """Everything in the module's text, for `fn` of tensors against `oracle` of arrays. `terms`: the
    length of the longest sum."""
    expected = np.asarray(oracle(*arrays))
    scale = max(size_of(*arrays), size_of(expected))
    g = cotangent_for(expected, seed)
    y, gradients = run(fn, arrays, g)
    assert y.dtype == np.float64
    assert y.shape == expected.shape, f"shape {y.shape}, expected {expected.shape}"
    np.testing.assert_allclose(
        y, expected, rtol=0, atol=tolerance(np.float64, terms, scale), err_msg="forward"
    )
    check_directions(oracle, arrays, g, gradients, seed)
    if gradcheck:
        # It raises where something is off; its result is checked too, lest it be ignored.
        assert minidl.gradcheck(fn, [leaf(a.copy()) for a in arrays])
    bound = scale * size_of(g)
    if orders:
        check_memory_orders(fn, arrays, g, y, gradients, tolerance(np.float64, terms, bound))
    check_float32(fn, arrays, g, y, gradients, tolerance(np.float32, terms, bound))


def check_directions(
    oracle: ArrayFunction, arrays: tuple[Array, ...], g: Array, gradients: list[NDArray[Any]], seed: int
) -> None:
    """<gradient, v> against the central difference of <oracle, g> along v: two random v, and three single
    elements.

    A random direction sees every element of the gradient; the single ones make a failure readable.
    """
    rng = np.random.default_rng(seed + 1)
    for position, (a, gradient) in enumerate(zip(arrays, gradients, strict=True)):
        if a.size == 0:
            continue
        directions = [("a random direction", rng.normal(size=a.shape)) for _ in range(2)]
        for flat in rng.choice(a.size, size=min(3, a.size), replace=False):
            unit = np.zeros(a.shape)
            unit.flat[flat] = 1.0
            directions.append((f"element {np.unravel_index(flat, a.shape)}", unit))
        for name, v in directions:
            slope, error = central_difference(oracle, arrays, position, g, v)
            actual = float(np.vdot(gradient, v))
            assert abs(actual - slope) <= error, (
                f"gradient {position} along {name}: {actual}, but the loops' slope is {slope} ± {error:.1e}"
            )


def central_difference(
    oracle: ArrayFunction, arrays: tuple[Array, ...], position: int, g: Array, v: Array
) -> tuple[float, float]:
    """The slope of <oracle, g> along v at input `position`, and a bound for its error.

    With steps h and 2h the errors h^2 f'''/6 of the two differences cancel (Richardson); what is left is of
    order h^4, estimated generously by their distance, and the rounding of the values divided by h.
    """
    h = 1e-3 / max(1.0, float(np.abs(v).max()))

    def contracted(step: float) -> float:
        moved = tuple(a + step * v if i == position else a for i, a in enumerate(arrays))
        return float(np.vdot(np.asarray(oracle(*moved)), g))

    near, near_minus, far, far_minus = (contracted(s) for s in (h, -h, 2 * h, -2 * h))
    first, second = (near - near_minus) / (2 * h), (far - far_minus) / (4 * h)
    slope = (4 * first - second) / 3
    rounding = 1e3 * np.finfo(np.float64).eps * max(1.0, abs(near), float(np.abs(g).sum())) / h
    return slope, rounding + 0.1 * abs(second - first)


def check_memory_orders(
    fn: TensorFunction,
    arrays: tuple[Array, ...],
    g: Array,
    y: NDArray[Any],
    gradients: list[NDArray[Any]],
    atol: float,
) -> None:
    """The same values in another memory order give the same results up to the rounding of sums."""
    names = sorted({name for a in arrays for name in strategies.memory_orders(a)})
    for name in names:
        moved = tuple(strategies.memory_orders(a).get(name, a) for a in arrays)
        moved_g = strategies.memory_orders(g).get(name, g)
        moved_y, moved_gradients = run(fn, moved, moved_g)
        np.testing.assert_allclose(moved_y, y, rtol=0, atol=atol, err_msg=f"forward, {name} inputs")
        for position, (actual, wanted) in enumerate(zip(moved_gradients, gradients, strict=True)):
            message = f"gradient {position}, {name} inputs"
            np.testing.assert_allclose(actual, wanted, rtol=0, atol=atol, err_msg=message)


def check_float32(
    fn: TensorFunction,
    arrays: tuple[Array, ...],
    g: Array,
    y: NDArray[Any],
    gradients: list[NDArray[Any]],
    atol: float,
) -> None:
    """float32 stays float32 and is close to float64; atol includes the rounding of the inputs themselves."""
    small = tuple(a.astype(np.float32) for a in arrays)
    small_y, small_gradients = run(fn, small, g.astype(np.float32))  # type: ignore[arg-type]
    assert small_y.dtype == np.float32, f"float32 in, {small_y.dtype} out"
    # Steep functions (1/x, logarithms near 0.5, powers) magnify the input's rounding by their slope.
    slope = max((float(np.abs(d).max()) for d in gradients if d.size), default=1.0)
    np.testing.assert_allclose(small_y, y, rtol=0, atol=atol * max(1.0, slope), err_msg="float32 forward")
    for position, (actual, wanted) in enumerate(zip(small_gradients, gradients, strict=True)):
        message = f"float32 gradient {position}"
        np.testing.assert_allclose(actual, wanted, rtol=0, atol=atol * max(1.0, slope), err_msg=message)


def check_adjoint(fn: TensorFunction, x: Array, *, terms: int, seed: int = 0) -> None:
    """For linear `fn`: <A x, g> = <x, A^T g>, where the backward is A^T; and A(2x - z) = 2 A x - A z."""
    y, _ = run(fn, (x,), None)
    g = cotangent_for(y, seed)
    _, (transposed,) = run(fn, (x,), g)
    scale = size_of(x) * size_of(g) * max(1.0, size_of(y)) * max(x.size, y.size, 1)
    assert abs(np.vdot(y, g) - np.vdot(x, transposed)) <= tolerance(np.float64, terms, scale)
    z = cotangent_for(x, seed + 1)
    combined, _ = run(fn, (2 * x - z,), g)
    of_z, _ = run(fn, (z,), g)
    bound = 4 * tolerance(np.float64, terms, size_of(x) * size_of(z) * size_of(y))
    np.testing.assert_allclose(combined, 2 * y - of_z, rtol=0, atol=bound, err_msg="not linear")
