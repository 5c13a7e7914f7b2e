"""What is said where there is no GPU, or one on which no kernel would run: the stand-in plays CuPy."""

import sys
import types
from typing import Any

import pytest

import minidl.kernels.sim.cupy as simulated
from minidl.kernels.cuda.device import cuda_problem
from oracles.devices import compiler_or_skip

problem = cuda_problem.__wrapped__  # asked anew, not what this process found out before


class Libraries(types.ModuleType):
    """CuPy over the stand-in, in which one thing is broken."""

    def __init__(self, **broken: Any) -> None:
        super().__init__("cupy")
        self.__spec__ = simulated.__spec__
        self.__dict__.update(broken)

    def __getattr__(self, name: str) -> Any:
        return getattr(simulated, name)


def fails(*args: object, **kwargs: object) -> Any:
    raise OSError("libnvrtc.so.12: cannot open shared object file\nand more lines")


def use(monkeypatch: pytest.MonkeyPatch, **broken: Any) -> str:
    monkeypatch.setitem(sys.modules, "cupy", Libraries(**broken))
    return problem()


def test_a_gpu_on_which_a_kernel_runs_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    compiler_or_skip()
    assert use(monkeypatch) == ""


def test_a_gpu_without_nvidias_compiler_is_none_and_the_remedy_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = use(monkeypatch, RawModule=fails)
    assert said.startswith(
        "cuda: there is a GPU, but no kernel runs on it (libnvrtc.so.12: cannot open shared object file);"
    )
    assert "minidl[cuda12x]" in said and "\n" not in said


def test_a_gpu_without_cublas_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    compiler_or_skip()
    assert "libnvrtc" in use(monkeypatch, ones=fails)


def test_a_gpu_whose_kernels_write_nothing_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    class Idle:
        def __init__(self, **options: object) -> None:
            pass

        def get_function(self, name: str) -> Any:
            return lambda grid, block, arguments: None

    said = use(monkeypatch, RawModule=Idle)
    assert "a kernel gave" in said and "[1, 2] is right" in said


def test_a_driver_that_is_lacking_is_named_first(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = types.SimpleNamespace(runtime=types.SimpleNamespace(getDeviceCount=fails))
    assert use(monkeypatch, cuda=cuda).startswith("cuda: no usable GPU (libnvrtc.so.12: cannot")
    none = types.SimpleNamespace(runtime=types.SimpleNamespace(getDeviceCount=lambda: 0))
    assert use(monkeypatch, cuda=none) == "cuda: no GPU was found; use the device cpu or cuda_sim"
