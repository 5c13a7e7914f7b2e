"""What the stand-in assumes of CuPy, as tests that run on both: on a GPU they confirm it (marker ``gpu``)."""

from types import ModuleType

import numpy as np
import pytest

from oracles.devices import KINDS, compiler_or_skip

pytestmark = pytest.mark.parametrize("xp", KINDS, indirect=True)

X = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.fixture
def x(xp: ModuleType) -> object:
    return xp.asarray(X)


# --- no mixing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mix",
    [
        lambda xp, x: x + X,
        lambda xp, x: X + x,
        lambda xp, x: np.add(x, X),
        lambda xp, x: xp.add(x, X),
        lambda xp, x: xp.maximum(x, X),
        lambda xp, x: xp.concatenate([x, X]),
        lambda xp, x: xp.where(x > 0, x, X),
        lambda xp, x: xp.matmul(x, X.T),
        lambda xp, x: np.asarray(x),
        lambda xp, x: np.exp(x, out=np.empty_like(X)),
        lambda xp, x: x.set(X.astype(np.float64)),
        lambda xp, x: x.get(out=x),
        lambda xp, x: X.__iadd__(x),
    ],
)
def test_host_and_device_do_not_mix(xp: ModuleType, x: object, mix: object) -> None:
    with pytest.raises(TypeError):
        mix(xp, x)  # type: ignore[operator]


def test_set_checks_type_and_shape(xp: ModuleType, x: object) -> None:
    with pytest.raises(ValueError, match=r"[Ss]hape"):
        x.set(X[:2])
    with pytest.raises(TypeError):
        x.set([1.0])
    x.set(X * 2)
    np.testing.assert_array_equal(x.get(), X * 2)


def test_two_devices_do_not_mix(xp: ModuleType, x: object) -> None:
    if xp.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("no GPU beside the first")
    with xp.cuda.Device(1):
        other = xp.ones((3, 4), xp.float32)
        assert other.device.id == 1 and other.get().sum() == 12
    assert x.device.id == 0 and x.device == xp.cuda.Device(0)


# --- what comes out -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "prod", "argmax", "any", "all", "std"])
def test_reductions_give_arrays_of_no_dimensions(xp: ModuleType, x: object, name: str) -> None:
    result = getattr(xp, name)(x)
    assert type(result) is xp.ndarray and result.shape == ()
    assert type(getattr(x, name)()) is xp.ndarray
    np.testing.assert_allclose(result.get(), getattr(np, name)(X), rtol=1e-6)
    assert float(result) == result.item()


def test_new_results_lie_in_c_order_and_views_stay_views(xp: ModuleType, x: object) -> None:
    assert not x.T.flags.c_contiguous and x.T.flags.f_contiguous
    for new in (x.T + 1, xp.exp(x.T), -x.T, x.T * x.T, x.T > 1, x.T.sum(axis=0, keepdims=True)):
        assert new.flags.c_contiguous
    assert x.T.copy().flags.c_contiguous and x.T.astype(xp.float64).flags.f_contiguous
    assert xp.empty_like(x.T).flags.f_contiguous and xp.zeros_like(x.T).flags.f_contiguous
    for view in (x.T, x[1:], x.reshape(-1), x.ravel(), x.view(), x[None], xp.broadcast_to(x, (2, 3, 4))):
        assert xp.may_share_memory(view, x)
    assert xp.asarray(x) is x and xp.ascontiguousarray(x) is x
    assert not xp.may_share_memory(xp.array(x), x) and xp.ascontiguousarray(x.T).flags.c_contiguous


def test_flags_have_no_writeable(xp: ModuleType, x: object) -> None:
    assert not hasattr(x.flags, "writeable")


@pytest.mark.parametrize("other", [2, 2.5, True, np.float32(2), np.float64(2), np.int64(2)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "uint8"])
def test_promotion_is_numpys(xp: ModuleType, dtype: str, other: object) -> None:
    host, device = X.astype(dtype), xp.asarray(X.astype(dtype))
    for name in ("add", "multiply", "true_divide", "maximum"):
        expected = getattr(np, name)(host, other)
        result = getattr(xp, name)(device, other)
        assert result.dtype == expected.dtype, name
        np.testing.assert_allclose(result.get(), expected, rtol=1e-6)


def test_dividing_by_zero_says_nothing(xp: ModuleType) -> None:
    zero = xp.zeros(3, xp.float32)
    for result in (1 / zero, xp.log(zero), zero / zero, xp.sqrt(zero - 1)):
        assert not xp.isfinite(result).any()


def test_nan_travels_through_maximum_and_max(xp: ModuleType) -> None:
    x = xp.asarray(np.array([1.0, np.nan, 3.0], np.float32))
    assert bool(xp.isnan(xp.maximum(x, 2)[1])) and bool(xp.isnan(x.max()))


# --- indices ------------------------------------------------------------------------------------------------


def test_integer_arrays_wrap_around(xp: ModuleType, x: object) -> None:
    index = xp.asarray([4, -1])  # of 3 rows: row 1, row 2
    np.testing.assert_array_equal(x[index].get(), X[[1, 2]])
    np.testing.assert_array_equal(xp.take(x, index, axis=0).get(), X[[1, 2]])
    with pytest.raises(IndexError):
        x[5]


def test_masks_and_puts(xp: ModuleType, x: object) -> None:
    np.testing.assert_array_equal(x[x > 5].get(), X[X > 5])
    x[x > 5] = -1
    expected = np.where(X > 5, -1, X)
    np.testing.assert_array_equal(x.get(), expected)
    x[0] = 7  # and a number of another type is cast
    x[1, ::2] = xp.asarray([1.5, 2.5])
    assert x[0].get().tolist() == [7.0] * 4 and x[1].get().tolist() == [1.5, 5.0, 2.5, -1.0]


def test_along_an_axis(xp: ModuleType, x: object) -> None:
    index = xp.asarray(np.array([[0], [2], [3]]))
    assert xp.take_along_axis(x, index, axis=1).get().ravel().tolist() == [0.0, 6.0, 11.0]
    xp.put_along_axis(x, index, xp.asarray(np.array([[9], [9], [9]], np.float32)), axis=1)
    assert [x[0, 0].item(), x[1, 2].item(), x[2, 3].item()] == [9.0, 9.0, 9.0]


def test_add_at_counts_every_index(xp: ModuleType) -> None:
    total = xp.zeros(3, xp.float32)
    xp.add.at(total, xp.asarray([0, 0, 2]), xp.asarray([1.0, 2.0, 4.0], dtype=xp.float32))
    assert total.get().tolist() == [3.0, 0.0, 4.0]


def test_counting_and_sorting(xp: ModuleType) -> None:
    ids = xp.asarray(np.array([2, 0, 2, 1]))
    assert xp.bincount(ids, minlength=5).get().tolist() == [1, 1, 2, 0, 0]
    weights = xp.asarray(np.array([0.5, 1.0, 2.0, 4.0]))
    assert xp.bincount(ids, weights=weights).get().tolist() == [1.0, 4.0, 2.5]
    assert int(xp.count_nonzero(ids)) == 3
    assert xp.argsort(ids, kind="stable").get().tolist() == [1, 3, 0, 2]
    assert xp.unique(ids).get().tolist() == [0, 1, 2]


# --- memory -------------------------------------------------------------------------------------------------


def test_the_pool_counts_in_units_of_512_bytes(xp: ModuleType) -> None:
    pool = xp.get_default_memory_pool()
    before = pool.used_bytes()
    small, large = xp.empty(1, xp.uint8), xp.empty(513, xp.uint8)
    assert pool.used_bytes() - before == 512 + 1024
    view = large[1:]
    del small, large
    assert pool.used_bytes() - before == 1024
    del view
    assert pool.used_bytes() == before <= pool.total_bytes()
    pool.free_all_blocks()
    assert pool.free_bytes() >= 0


def test_a_limit_is_an_error_that_leaves_everything_usable(xp: ModuleType, x: object) -> None:
    pool = xp.get_default_memory_pool()
    pool.free_all_blocks()
    pool.set_limit(size=pool.total_bytes() + 4096)
    try:
        assert pool.get_limit() > 0
        with pytest.raises(
            MemoryError, match=r"Out of memory allocating 80,[0-9]{3} bytes \(allocated so far"
        ):
            xp.empty(10000, xp.float64)
        assert float(x.sum()) == X.sum()
    finally:
        pool.set_limit(size=0)
    assert xp.empty(10000, xp.float64).nbytes == 80000


# --- streams ------------------------------------------------------------------------------------------------


def test_events_order_streams_and_tell_a_time(xp: ModuleType, x: object) -> None:
    begin, end = xp.cuda.Event(), xp.cuda.Event()
    stream = xp.cuda.Stream(non_blocking=True)
    begin.record()
    y = x + 1
    ready = xp.cuda.get_current_stream().record()
    stream.wait_event(ready)
    with stream:
        z = y * 2
        end.record()
    end.synchronize()
    assert end.done and xp.cuda.get_elapsed_time(begin, end) >= 0
    xp.cuda.get_current_stream().wait_event(end)
    np.testing.assert_array_equal(z.get(), (X + 1) * 2)
    xp.cuda.Device().synchronize()
    assert stream.done


def test_copies_through_pinned_memory(xp: ModuleType) -> None:
    stream = xp.cuda.Stream(non_blocking=True)
    pinned = np.frombuffer(xp.cuda.alloc_pinned_memory(X.nbytes), np.float32, X.size).reshape(X.shape)
    pinned[...] = X
    there = xp.empty(X.shape, xp.float32)
    stream.wait_event(xp.cuda.get_current_stream().record())
    there.set(pinned, stream=stream)
    xp.cuda.get_current_stream().wait_event(stream.record())
    np.testing.assert_array_equal((there + 1).get(), X + 1)


def test_raw_modules_run(xp: ModuleType, x: object) -> None:
    compiler_or_skip()
    code = (
        'extern "C" __global__ void twice(const float* x, float* y, int n)'
        " { int i = blockIdx.x * blockDim.x + threadIdx.x; if (i < n) y[i] = 2 * x[i]; }"
    )
    y = xp.empty_like(x)
    xp.RawModule(code=code).get_function("twice")((2,), (8,), (x, y, np.int32(12)))
    np.testing.assert_array_equal(y.get(), X * 2)
    xp.RawKernel(code, "twice")((1, 1, 1), (32, 1, 1), (y, x, np.int32(12)), shared_mem=0)
    np.testing.assert_array_equal(x.get(), X * 4)


def test_a_view_knows_the_array_that_owns_its_memory(xp: ModuleType) -> None:
    """By which a saved array is known as the input that it was, in second derivatives."""
    x = xp.asarray(X)
    assert x.base is None and (x * 1).base is None and x.copy().base is None
    for view in (x.view(), x[1:], x[1:][:, ::2], x.T, x.reshape(4, 3)):
        assert view.base is x
