"""Where the stand-in is stricter than CuPy: rubbish in fresh memory, devices, and what is not offered."""

import numpy as np
import pytest

import minidl.kernels.sim.cupy as xp


def test_fresh_memory_is_rubbish() -> None:
    for fresh in (xp.empty((2, 3), xp.uint8), xp.empty_like(xp.zeros(4, xp.uint8)), xp.ndarray(5, xp.uint8)):
        assert (fresh.get() == 0xA5).all()
    assert xp.empty((), xp.uint16).item() == 0xA5A5
    assert xp.empty((3, 2), xp.uint8, order="F").flags.f_contiguous
    assert xp.empty((0, 3)).size == 0


def test_arrays_of_two_devices_are_an_error() -> None:
    x = xp.ones(3)
    with xp.cuda.Device(1):
        y = xp.ones(3)
        with pytest.raises(ValueError, match="same as the current device"):
            x + y
        with pytest.raises(ValueError, match="same as the current device"):
            x.sum()
    with pytest.raises(RuntimeError, match="invalid device ordinal"):
        xp.cuda.Device(2)


def test_what_is_not_offered_is_an_attribute_error() -> None:
    for name in ("random", "fft", "linalg", "put", "memmap"):
        with pytest.raises(AttributeError, match="stand-in"):
            getattr(xp, name)
    with pytest.raises(TypeError, match="unexpected keyword"):
        xp.sum(xp.ones(3), where=xp.ones(3) > 0)
    with pytest.raises(TypeError, match="memptr"):
        xp.ndarray(3, memptr=1)
    with pytest.raises(NotImplementedError, match="at"):
        xp.exp.at(xp.ones(3), xp.asarray([0]))


def test_numpys_functions_go_to_the_stand_in_or_nowhere() -> None:
    x = xp.ones((2, 3))
    assert type(np.sum(x)) is xp.ndarray and type(np.concatenate([x, x])) is xp.ndarray
    with pytest.raises(TypeError, match="no implementation"):
        np.percentile(x, 50)


def test_foreign_arrays_are_not_shared() -> None:
    with pytest.raises(BufferError, match="simulated device"):
        xp.from_dlpack(np.ones(3))
    with pytest.raises((BufferError, RuntimeError, ValueError)):
        np.from_dlpack(xp.ones(3))
    with pytest.raises(ValueError, match="Unsupported dtype"):
        xp.asarray(np.array(["a"]))


@pytest.mark.parametrize("kind", [np.longdouble, np.clongdouble, object, "U3", "S2", "M8[s]", "m8[s]", "V4"])
def test_element_types_that_a_gpu_has_not_are_refused_everywhere(kind: object) -> None:
    def view() -> None:
        xp.zeros(24, xp.uint8).view(kind)

    host = np.zeros(2, kind)  # type: ignore[call-overload]
    makers = [lambda: xp.ndarray(2, kind), lambda: xp.empty(2, kind), lambda: xp.zeros(2, kind), view]
    makers += [lambda: xp.asarray(host), lambda: xp.array(host), lambda: xp.ones(2).astype(kind)]
    makers += [
        lambda: xp.zeros_like(xp.ones(2), kind),
        lambda: xp.full(2, 0, kind),
        lambda: xp.asarray([1], kind),
    ]
    for make in makers:
        with pytest.raises((ValueError, TypeError)):
            make()


def test_memory_holds_numbers_in_the_order_of_the_gpu_only() -> None:
    assert xp.asarray(np.array([1.5], ">f4")).dtype == np.dtype("<f4")
    for make in (lambda: xp.zeros(2, ">f4"), lambda: xp.ones(2).astype(">i8"), lambda: xp.empty(2, ">f8")):
        with pytest.raises(ValueError, match="big-endian"):
            make()


def test_a_stretched_view_may_be_written_to_as_cupys_may() -> None:
    x = xp.zeros((2, 1))
    for stretched in (xp.broadcast_to(x, (2, 3)), xp.broadcast_arrays(x, xp.zeros(3))[0]):
        assert stretched.shape == (2, 3) and stretched.strides == (8, 0) and xp.shares_memory(stretched, x)
        stretched[0, 1] += 2
    assert x.tolist() == [[4.0], [0.0]]
