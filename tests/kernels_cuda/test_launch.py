"""Mistakes in calls of kernels: each is an error that says what is wrong, before anything runs.

``launched`` notes what gets through to the compiler's side: nothing may.
"""

import weakref
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from minidl.kernels.cuda.errors import LaunchError
from minidl.kernels.cuda.launch import Module
from oracles.devices import KINDS, compiler_or_skip

pytestmark = pytest.mark.parametrize("xp", KINDS, indirect=True)

SOURCE = """
#include "common.cuh"
#define THREADS 64
extern "C" __global__ void __launch_bounds__(THREADS)
scale(const REAL* __restrict__ x, REAL* y, /* or null */ const REAL* bias, REAL factor, int count) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) y[i] = x[i] * factor + (bias ? bias[i] : (REAL)0);
}

extern "C" __global__ void __launch_bounds__(256) total(const REAL* x, REAL* y, INDEX count) {
    extern __shared__ REAL part[];
    part[threadIdx.x] = threadIdx.x < count ? x[threadIdx.x] : (REAL)0;
    __syncthreads();
    if (threadIdx.x == 0) {
        REAL sum = 0;
        for (int i = 0; i < blockDim.x; ++i) sum += part[i];
        y[0] = sum;
    }
}

extern "C" __global__ void kinds(unsigned char small, long long large, bool yes, const float4* fours,
                                 long long* out) {
    out[0] = small;
    out[1] = large + (yes ? (long long)fours[0].w : 0);
}
"""


@pytest.fixture
def module(tmp_path: Path) -> Module:
    file = tmp_path / "planted.cu"
    file.write_text(SOURCE)
    return Module(file)


@pytest.fixture(params=["first", "after launches that fit"])
def launched(
    xp: ModuleType, module: Module, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> list[Any]:
    """What was checked once is not looked at again for a launch that is the same in all that counts: a launch
    that is not must be refused all the same."""
    calls: list[Any] = []

    def compiled(*_: Any) -> Any:
        return lambda *args, **options: calls.append((args, options))

    monkeypatch.setattr(module, "_compiled", compiled)
    if request.param != "first":
        x, y, bias = arrays(xp)
        fours, out = xp.zeros(16, xp.float32), xp.zeros(2, xp.int64)
        for _ in range(2):
            module.launch("scale", 1, 64, x, y, bias, F, 8, like=x)
            module.launch("total", 1, 64, x, y, 8, like=x, shared_bytes=256)
            module.launch("kinds", 1, 1, 255, 2**62, True, fours, out, like=fours)
        assert len(module._plans) == 3
        calls.clear()
    return calls


def arrays(xp: ModuleType) -> tuple[Any, Any, Any]:
    return xp.zeros(8, xp.float32), xp.zeros(8, xp.float32), xp.ones(8, xp.float32)


def refused(call: Any, launched: list[Any], *says: str) -> None:
    with pytest.raises(LaunchError) as error:
        call()
    assert all(text in str(error.value) for text in says), error.value
    assert launched == []


F = np.float32(2)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({0: "float64"}, ("argument 1 'const REAL* x'", "float64")),
        ({1: "int32"}, ("argument 2 'REAL* y'", "wants float32", "int32")),
        ({0: None}, ("argument 1", "None")),
        ({0: "host"}, ("argument 1", "NumPy array", "host")),
        ({1: "view"}, ("argument 2", "not in C order", "ascontiguousarray")),
        ({1: "transposed"}, ("argument 2", "not in C order")),
        ({0: 3.5}, ("argument 1", "wants an array", "float")),
        ({0: [1.0]}, ("argument 1", "wants an array", "list")),
        ({3: 2.0}, ("argument 4 'REAL factor'", "np.float32")),
        ({3: 2}, ("argument 4", "np.float32")),
        ({3: np.float64(2)}, ("argument 4", "float64")),
        ({3: "zero-d"}, ("argument 4", "NumPy scalar")),
        ({4: 8.0}, ("argument 5 'int count'", "integer")),
        ({4: np.float32(8)}, ("argument 5", "integer")),
        ({4: True}, ("argument 5", "integer")),
        ({4: 2**31}, ("argument 5", "2147483648", "int32")),
        ({4: -(2**31) - 1}, ("argument 5", "int32")),
        ({4: None}, ("argument 5", "integer")),
    ],
)
def test_an_argument_that_does_not_fit(
    xp: ModuleType, module: Module, launched: list[Any], change: dict[int, Any], says: tuple[str, ...]
) -> None:
    x, y, bias = arrays(xp)
    args: list[Any] = [x, y, bias, F, 8]
    planted = {
        "float64": lambda: xp.zeros(8, xp.float64),
        "int32": lambda: xp.zeros(8, xp.int32),
        "host": lambda: np.zeros(8, np.float32),
        "view": lambda: xp.zeros(16, xp.float32)[::2],
        "transposed": lambda: xp.zeros((2, 4), xp.float32).T,
        "zero-d": lambda: xp.zeros((), xp.float32),
    }
    for place, value in change.items():
        args[place] = planted[value]() if isinstance(value, str) else value
    # What REAL is follows from the first array: of two that differ, one must be wrong.
    refused(lambda: module.launch("scale", 1, 64, *args, like=y if 0 in change else x), launched, *says[1:])


def test_the_message_names_kernel_and_parameter(xp: ModuleType, module: Module, launched: list[Any]) -> None:
    x, y, _ = arrays(xp)
    with pytest.raises(
        LaunchError, match=r"^scale: argument 2 'REAL\* y' wants float32, got an array of uint8$"
    ):
        module.launch("scale", 1, 64, x, y.astype(xp.uint8), None, F, 8, like=x)
    assert launched == []


@pytest.mark.parametrize("count", [0, 4, 6])
def test_a_wrong_number_of_arguments(xp: ModuleType, module: Module, launched: list[Any], count: int) -> None:
    x, y, bias = arrays(xp)
    args = (x, y, bias, F, 8, 9)[:count]
    refused(
        lambda: module.launch("scale", 1, 64, *args, like=x), launched, f"{count} arguments for 5 parameters"
    )


@pytest.mark.parametrize(
    ("grid", "block", "says"),
    [
        (1, 65, "65 threads in a block; __launch_bounds__ says 64"),
        (1, 2048, "exceeds the limits"),
        (1, (32, 32, 2), "2048 threads"),
        (1, (1, 1, 65), "exceeds the limits"),
        (0, 64, "empty"),
        (1, 0, "empty"),
        (-1, 64, "empty"),
        ((1, 65536), 64, "exceeds the limits"),
        ((1, 1, 65536), 64, "exceeds the limits"),
        (2**31, 64, "exceeds the limits"),
        ((1, 1, 1, 1), 64, "one to three integers"),
        (1.0, 64, "one to three integers"),
        ((1.5,), 64, "one to three integers"),
    ],
)
def test_a_grid_or_block_that_no_gpu_takes(
    xp: ModuleType, module: Module, launched: list[Any], grid: Any, block: Any, says: str
) -> None:
    x, y, bias = arrays(xp)
    refused(lambda: module.launch("scale", grid, block, x, y, bias, F, 8, like=x), launched, says)


@pytest.mark.parametrize(
    ("kernel", "shared_bytes", "says"),
    [
        ("total", 0, "give shared_bytes"),
        ("total", -4, "give shared_bytes"),
        ("total", 48 * 1024 + 4, "at most 49152"),
        ("scale", 256, "has no extern __shared__"),
    ],
)
def test_shared_memory_forgotten_or_not_wanted(
    xp: ModuleType, module: Module, launched: list[Any], kernel: str, shared_bytes: int, says: str
) -> None:
    x, y, bias = arrays(xp)
    args = (x, y, 8) if kernel == "total" else (x, y, bias, F, 8)
    refused(lambda: module.launch(kernel, 1, 64, *args, like=x, shared_bytes=shared_bytes), launched, says)


def test_arrays_of_another_device(xp: ModuleType, module: Module, launched: list[Any]) -> None:
    if xp.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("no GPU beside the first")
    x, _, bias = arrays(xp)
    with xp.cuda.Device(1):
        elsewhere = xp.zeros(8, xp.float32)
    refused(
        lambda: module.launch("scale", 1, 64, x, elsewhere, bias, F, 8, like=x), launched, ":1", "runs on"
    )


def test_a_simulated_array_among_a_gpus_and_the_other_way_round(
    xp: ModuleType, module: Module, launched: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y, bias = arrays(xp)
    module._plans.clear()  # they go by the type of an array, which is not another one's here
    monkeypatch.setattr(
        "minidl.kernels.cuda.arguments.kind_of",
        lambda a: "other" if a is y else "cuda" if a is not None else None,
    )
    refused(lambda: module.launch("scale", 1, 64, x, y, bias, F, 8, like=x), launched, "lives on other")


@pytest.mark.parametrize("like", [None, "host", 3])
def test_like_must_be_on_a_device(xp: ModuleType, module: Module, launched: list[Any], like: Any) -> None:
    x, y, bias = arrays(xp)
    host = np.zeros(8, np.float32) if like == "host" else like
    refused(lambda: module.launch("scale", 1, 64, x, y, bias, F, 8, like=host), launched, "like= must be")


def test_a_kernel_that_is_not_there(xp: ModuleType, module: Module, launched: list[Any]) -> None:
    x = xp.zeros(1, xp.float32)
    refused(lambda: module.launch("scales", 1, 1, like=x), launched, "no kernel 'scales'", "scale, total")


def test_numbers_out_of_range_and_vectors_off_their_address(
    xp: ModuleType, module: Module, launched: list[Any]
) -> None:
    x, out = xp.zeros(16, xp.float32), xp.zeros(2, xp.int64)
    good: tuple[Any, ...] = (255, 2**62, True, x, out)

    def launch(*args: Any) -> None:
        module.launch("kinds", 1, 1, *args, like=x)

    refused(lambda: launch(256, *good[1:]), launched, "256 does not fit into uint8")
    refused(lambda: launch(-1, *good[1:]), launched, "-1 does not fit into uint8")
    refused(lambda: launch(1, 2**63, *good[2:]), launched, "does not fit into int64")
    refused(lambda: launch(*good[:2], 1, *good[3:]), launched, "True or False")
    refused(lambda: launch(*good[:3], x[1:9], out), launched, "no multiple of 16 bytes")
    launch(*good)
    (grid, block, values), _ = launched[0]
    assert (grid, block) == ((1, 1, 1), (1, 1, 1))
    assert [v.dtype for v in values] == [np.uint8, np.int64, np.bool_, np.float32, np.int64]


def test_what_may_differ_without_a_new_plan(xp: ModuleType, module: Module, launched: list[Any]) -> None:
    """Other arrays, other floating-point numbers and counters: the values of this launch are what arrives."""
    fours, out = xp.zeros(16, xp.float32), xp.zeros(2, xp.int64)
    for count in (1, 2**62, -(2**63), np.int64(5)):
        module.launch("kinds", 1, 1, 255, count, True, fours, out, like=fours)
        values = launched[-1][0][2]
        assert values[1] == count and values[1].dtype == np.int64 and values[3] is fours and values[4] is out
    for factor in (0.5, 1.5, np.nan):
        x, y, bias = arrays(xp)
        module.launch("scale", 1, 64, x, y, bias, np.float32(factor), 8, like=x)
        values = launched[-1][0][2]
        assert values[0] is x and values[1] is y and values[2] is bias
        np.testing.assert_array_equal(values[3], np.float32(factor))
    assert len([key for key in module._plans if key[0] == "scale"]) == 1
    assert len([key for key in module._plans if key[0] == "kinds"]) == 2  # int and np.int64
    x, y, _ = arrays(xp)
    module.launch("scale", 1, 64, x, y, None, F, np.int64(7), like=x)
    values = launched[-1][0][2]
    assert values[2] is None and values[4] == 7 and values[4].dtype == np.int32


def test_plans_keep_no_arrays_and_are_not_kept_without_end(
    xp: ModuleType, module: Module, launched: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minidl.kernels.cuda.plans.MOST", 10)
    x, y, bias = arrays(xp)
    for count in range(25):
        module.launch("scale", 1, 64, x, y, bias, F, count, like=x)
    assert 0 < len(module._plans) <= 10
    launched.clear()
    gone = weakref.ref(x)
    del x
    assert gone() is None


def test_index_is_as_wide_as_the_positions(
    xp: ModuleType, module: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y, _ = arrays(xp)
    chosen: list[str] = []

    def compiled(kernel: str, macros: dict[str, str], like: Any) -> Any:
        chosen.append(macros["INDEX"])
        return lambda *args, **options: None

    monkeypatch.setattr(module, "_compiled", compiled)
    for count in (8, 2**31 - 1, 2**31, -(2**31)):
        module.launch("total", 1, 64, x, y, count, like=x, shared_bytes=256)
    # 8 elements and a step of 2^31 - 8 positions: the next one is past 2^31 - 1.
    module.launch("total", (2**31 - 8) // 8, 8, x, y, 8, like=x, shared_bytes=256)
    assert chosen == ["int", "int", "long long", "long long", "long long"]
    # The same grid, and arrays so small that the next position is not.
    few = [a[:4].copy() for a in (x, y)]
    module.launch("total", (2**31 - 8) // 8, 8, *few, 8, like=few[0], shared_bytes=256)
    assert chosen[5:] == ["int"]


def test_it_runs(xp: ModuleType, module: Module) -> None:
    compiler_or_skip()
    for dtype in (np.float32, np.float64):
        x = xp.asarray(np.arange(100), dtype=dtype)
        y, bias = xp.empty_like(x), xp.full(100, 0.5, dtype)
        module.launch("scale", 2, 64, x, y, bias, dtype(3), 100, like=x)
        np.testing.assert_array_equal(xp.asnumpy(y), np.arange(100) * 3 + 0.5)
        module.launch("scale", (2,), (64, 1), x, y, None, dtype(3), np.int16(100), like=y)
        np.testing.assert_array_equal(xp.asnumpy(y), np.arange(100) * 3)
        module.launch("total", 1, 128, x, y, 100, like=x, shared_bytes=128 * y.itemsize)
        assert y[0].item() == 4950


def test_it_runs_on_the_second_device(xp: ModuleType, module: Module) -> None:
    compiler_or_skip()
    if xp.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("no GPU beside the first")
    with xp.cuda.Device(1):
        x, y = xp.ones(8, xp.float32), xp.empty(8, xp.float32)
    module.launch("scale", 1, 64, x, y, None, F, 8, like=x)
    with xp.cuda.Device(1):
        assert xp.asnumpy(y).tolist() == [2.0] * 8


def test_compiled_once_for_each_choice(
    xp: ModuleType, module: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y, bias = arrays(xp)
    made: list[tuple[str, ...]] = []

    class RawModule:
        def __init__(self, *, code: str, options: tuple[str, ...], **extras: Any) -> None:
            made.append(options)

        def get_function(self, name: str) -> Any:
            return lambda *args, **options: None

    monkeypatch.setattr(xp, "RawModule", RawModule, raising=False)
    for _ in range(3):
        module.launch("scale", 1, 64, x, y, bias, F, 8, like=x)
        module.launch("total", 1, 64, x, y, 8, like=x, shared_bytes=256)
    wide = [a.astype(xp.float64) for a in (x, y, bias)]
    module.launch("scale", 1, 64, *wide, np.float64(2), 8, like=wide[0])
    assert [o for options in made for o in options if o.startswith("-DREAL")] == [
        "-DREAL=float",
        "-DREAL=double",
    ]
    assert all("-DINDEX=int" in options and "-std=c++17" in options for options in made)


def test_an_edited_header_changes_the_options(tmp_path: Path, xp: ModuleType) -> None:
    file, header = tmp_path / "a.cu", tmp_path / "a.cuh"
    file.write_text(SOURCE)
    header.write_text("// one\n")
    before = Module(file).options({"REAL": "float", "INDEX": "int"})
    header.write_text("// two\n")
    assert Module(file).options({"REAL": "float", "INDEX": "int"}) != before
