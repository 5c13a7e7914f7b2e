"""Which kernel runs: the preference and its scope, falling back, and what a tape node remembers."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import types

import numpy as np
import pytest

import minidl
from minidl import dispatch, ops
from minidl.errors import InputError
from minidl.kernels.reference import max_pool2d as reference

X = np.array([[[[1.0, 3.0], [2.0, 0.0]]]])


@pytest.fixture(autouse=True)
def _own_preference_and_empty_kernel_tables():
    """A preference set as a statement ends with the test; tables made for a test's backend are not kept."""
    token = dispatch._preferred.set(dispatch.REFERENCE)
    dispatch._kernels.cache_clear()
    yield
    dispatch._kernels.cache_clear()
    dispatch._preferred.reset(token)


@pytest.fixture
def fake(monkeypatch):
    """A backend "fake" with max_pool2d alone: the reference kernels, and a record of which were called."""
    package, module = types.ModuleType("fake_kernels"), types.ModuleType("fake_kernels.max_pool2d")
    package.__path__ = []
    module.calls = []

    def recorded(name):
        def kernel(*args, **options):
            module.calls.append(name)
            return getattr(reference, name)(*args, **options)

        return kernel

    module.forward, module.backward = recorded("forward"), recorded("backward")
    monkeypatch.setitem(sys.modules, "fake_kernels", package)
    monkeypatch.setitem(sys.modules, "fake_kernels.max_pool2d", module)
    monkeypatch.setitem(dispatch.HOST_BACKENDS, "fake", "fake_kernels")
    return module


def pool(x=X):
    leaf = minidl.tensor(x, requires_grad=True)
    return leaf, ops.max_pool2d(leaf, 2)


# --- the preference -----------------------------------------------------------------------------------------


@pytest.fixture
def undecided(monkeypatch):
    """As in a fresh process: nobody has chosen, and the default is not known yet."""
    token = dispatch._preferred.set(None)
    monkeypatch.delenv("MINIDL_BACKEND", raising=False)
    dispatch.default_backend.cache_clear()
    yield monkeypatch
    dispatch.default_backend.cache_clear()
    dispatch._preferred.reset(token)


def test_compiled_kernels_are_preferred_until_something_else_is(undecided):
    assert dispatch.backend() == dispatch.default_backend() == "numba"
    assert repr(dispatch.kernels("conv2d", X)) == "<kernels of conv2d in backend 'numba'>"
    with minidl.use("numpy"):
        assert dispatch.backend() == "numpy"


def test_without_numba_the_reference_is_preferred(undecided):
    undecided.setattr("importlib.util.find_spec", lambda name: None if name == "numba" else name)
    assert dispatch.backend() == "numpy"


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_the_environment_decides_for_all_threads(undecided, name):
    undecided.setenv("MINIDL_BACKEND", name)
    seen = []
    worker = threading.Thread(target=lambda: seen.append(dispatch.backend()))
    worker.start()
    worker.join(timeout=10)
    assert seen == [dispatch.backend()] == [name]


def test_an_environment_that_names_no_backend_or_one_that_is_not_there(undecided):
    undecided.setenv("MINIDL_BACKEND", "abacus")
    with pytest.raises(InputError, match=r"MINIDL_BACKEND: there is no backend 'abacus'; .*numpy, numba"):
        dispatch.backend()
    undecided.setenv("MINIDL_BACKEND", "numba")
    undecided.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="MINIDL_BACKEND: numba is not installed"):
        dispatch.backend()


def test_importing_minidl_and_asking_for_the_default_imports_no_numba():
    code = "import sys, minidl; minidl.dispatch.backend(); print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "False", done.stderr


def test_use_as_a_statement_holds_from_there_on():
    minidl.use("numba")
    assert dispatch.backend() == "numba"
    minidl.use("numpy")
    assert dispatch.backend() == "numpy"


def test_use_as_a_block_ends_with_it_and_nests():
    with minidl.use("numba"):
        assert dispatch.backend() == "numba"
        with minidl.use("numpy"):
            assert dispatch.backend() == "numpy"
            with minidl.use("numba"):
                assert dispatch.backend() == "numba"
            assert dispatch.backend() == "numpy"
        assert dispatch.backend() == "numba"
    assert dispatch.backend() == "numpy"


def test_a_block_ends_with_an_exception_too():
    with pytest.raises(ZeroDivisionError), minidl.use("numba"):
        raise ZeroDivisionError
    assert dispatch.backend() == "numpy"


def test_one_use_object_in_two_blocks():
    preference = minidl.use("numba")
    for _ in range(2):
        with preference:
            assert dispatch.backend() == "numba"
    assert dispatch.backend() == "numpy"


def test_a_statement_within_a_block_ends_with_the_block():
    with minidl.use("numba"):
        minidl.use("numpy")
        assert dispatch.backend() == "numpy"
    assert dispatch.backend() == "numpy"


@pytest.mark.parametrize("name", ["abacus", "", "NUMPY"])
def test_an_unknown_backend_is_named_with_the_choices(name):
    with pytest.raises(ValueError, match=f"'{name}'.*numpy, numba"):
        minidl.use(name)
    assert dispatch.backend() == "numpy"


def test_threads_have_their_own_preference():
    seen, barrier = {}, threading.Barrier(2, timeout=10)

    def work(name):
        seen[f"{name} at first"] = dispatch.backend()
        minidl.use(name)
        barrier.wait()  # both have set theirs
        seen[name] = dispatch.backend()

    minidl.use("numba")
    workers = [threading.Thread(target=work, args=(name,)) for name in ("numpy", "numba")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=10)
    assert seen["numpy"] == "numpy" and seen["numba"] == "numba"
    assert dispatch.backend() == "numba"


def test_asynchronous_tasks_have_their_own_preference():
    async def task(name):
        with minidl.use(name):
            await asyncio.sleep(0)  # the other task runs in between
            return dispatch.backend()

    async def both():
        return await asyncio.gather(task("numba"), task("numpy"))

    assert asyncio.run(both()) == ["numba", "numpy"]


# --- finding a kernel ---------------------------------------------------------------------------------------


def test_the_preferred_kernels_run(fake):
    with minidl.use("fake"):
        leaf, y = pool()
        y.backward([[[[5.0]]]])
    assert fake.calls == ["forward", "backward"]
    assert y.item() == 3.0
    np.testing.assert_array_equal(leaf.grad.data[0, 0], [[0, 5], [0, 0]])
    pool()
    assert len(fake.calls) == 2


def test_a_missing_file_falls_back_with_one_warning(fake):
    with minidl.use("fake"):
        with pytest.warns(
            dispatch.KernelFallbackWarning, match=r"avg_pool2d.forward.*'fake'.*'numpy'"
        ) as caught:
            y = ops.avg_pool2d(minidl.tensor(X), 2)
        assert y.item() == 1.5 and len(caught) == 1
        ops.avg_pool2d(minidl.tensor(X), 2)  # warnings are errors here: a second one would raise


def test_a_missing_function_falls_back_with_a_warning_of_its_own(fake):
    del fake.backward
    with minidl.use("fake"):
        leaf, y = pool()
        with pytest.warns(dispatch.KernelFallbackWarning, match=r"max_pool2d.backward"):
            y.backward([[[[5.0]]]])
    np.testing.assert_array_equal(leaf.grad.data[0, 0], [[0, 5], [0, 0]])


def test_the_warning_can_be_made_an_error_by_its_class(fake):
    with minidl.use("fake"), pytest.raises(UserWarning, match="avg_pool2d"):
        ops.avg_pool2d(minidl.tensor(X), 2)


def test_a_kernel_that_nobody_has():
    with pytest.raises(NotImplementedError, match=r"max_pool2d.sideways"):
        _ = dispatch.kernels("max_pool2d", X).sideways
    with pytest.raises(NotImplementedError, match=r"origami.forward"):
        _ = dispatch.kernels("origami", X).forward


def test_a_backends_file_that_cannot_be_imported_is_no_missing_row(monkeypatch, tmp_path):
    """Falling back would hide that what the file needs is not installed."""
    (tmp_path / "broken_kernels").mkdir()
    (tmp_path / "broken_kernels" / "__init__.py").write_text("")
    (tmp_path / "broken_kernels" / "max_pool2d.py").write_text("import a_package_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(dispatch.HOST_BACKENDS, "broken", "broken_kernels")
    with minidl.use("broken"), pytest.raises(ModuleNotFoundError, match="a_package_that_is_not_there"):
        pool()


def test_arrays_of_another_device_are_refused_by_name():
    class DeviceArray:
        pass

    with pytest.raises(NotImplementedError, match=r"conv2d.*DeviceArray"):
        dispatch.kernels("conv2d", DeviceArray())


def test_the_namespace_follows_the_arrays_type(monkeypatch):
    assert dispatch.array_module(X) is np
    assert dispatch.array_module(3.0) is np
    cupy = types.ModuleType("cupy")
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    ndarray = type("ndarray", (), {"__module__": "cupy"})
    assert dispatch.array_module(ndarray()) is cupy


# --- the tape remembers -------------------------------------------------------------------------------------


def test_a_backward_outside_the_block_uses_the_backend_of_its_forward(fake):
    with minidl.use("fake"):
        leaf, y = pool()
    y.backward([[[[5.0]]]])
    assert fake.calls == ["forward", "backward"]
    np.testing.assert_array_equal(leaf.grad.data[0, 0], [[0, 5], [0, 0]])


def test_a_backward_inside_a_block_does_not_use_it_for_a_forward_outside(fake):
    leaf, y = pool()
    with minidl.use("fake"):
        y.backward([[[[5.0]]]])
    assert fake.calls == []
    np.testing.assert_array_equal(leaf.grad.data[0, 0], [[0, 5], [0, 0]])


def test_a_graph_may_mix_backends_and_threads(fake):
    leaf = minidl.tensor(np.arange(16.0).reshape(1, 1, 4, 4), requires_grad=True)
    with minidl.use("fake"):
        inner = ops.max_pool2d(leaf, 2)
    outer = ops.max_pool2d(inner, 2)
    worker = threading.Thread(target=outer.backward, args=([[[[2.0]]]],))
    worker.start()
    worker.join(timeout=10)
    assert fake.calls == ["forward", "backward"]
    assert leaf.grad.data[0, 0, 3, 3] == 2.0 and leaf.grad.data.sum() == 2.0
