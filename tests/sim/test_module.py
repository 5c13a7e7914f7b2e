"""RawModule and RawKernel: CuPy's signatures, checked arguments, includes, compile errors, cache, fibers."""

import inspect
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from minidl.kernels.sim import CompileError, KernelFault, NoCompiler, SourceError, checked, compiler, modes
from minidl.kernels.sim.module import RawKernel, RawModule

TWICE = 'extern "C" __global__ void twice(const float* x, float* y, int n) {\n' + (
    "  int i = blockIdx.x * blockDim.x + threadIdx.x;\n  if (i < n) y[i] = 2 * x[i];\n}\n"
)
X = np.arange(100, dtype=np.float32)


def twice(**more):
    return RawModule(TWICE, host_arrays=True, **more).get_function("twice")


def test_a_launch():
    y = np.zeros_like(X)
    kernel = twice()
    kernel((4,), (32,), (X, y, np.int32(100)))
    assert np.array_equal(y, 2 * X)
    y[:] = 0
    kernel(4, 32, [X, y, np.int32(50)], shared_mem=0)
    assert np.array_equal(y[:50], 2 * X[:50]) and not y[50:].any()
    assert RawKernel(TWICE, "twice").name == "twice" and kernel.parameters == ("x", "y", "n")


def test_signatures_are_cupys():
    """As CuPy 14.2's documentation gives them; what is ours besides is keyword-only."""
    shared = ["options", "backend", "translate_cucomplex", "enable_cooperative_groups", "jitify"]
    for ours, first in ((RawModule, ["code", "path", "name_expressions"]), (RawKernel, ["code", "name"])):
        parameters = inspect.signature(ours).parameters
        assert set(parameters) - {"file", "host_arrays", "read"} == {*first, *shared}
        assert parameters["file"].kind == parameters["host_arrays"].kind == inspect.Parameter.KEYWORD_ONLY
    call = list(inspect.signature(RawKernel.__call__).parameters)
    assert call[:5] == ["self", "grid", "block", "args", "shared_mem"]


@pytest.mark.parametrize(
    ("args", "error", "said"),
    [
        ((X, X), TypeError, "2 arguments for 3 parameters: x, y, n"),
        ((X, X, 100), TypeError, r"argument 'n': int \(int64\) for a parameter of type int32"),
        ((X, X, np.int64(1)), TypeError, "int64"),
        ((X, X, 1.0), TypeError, "float64"),
        ((X, X, X), TypeError, "ndarray"),
        (
            (X, X.astype(np.float64), np.int32(1)),
            TypeError,
            "'y': an array of float64 for a pointer to float32",
        ),
        ((X, 3, np.int32(1)), TypeError, "Unsupported type"),
        ((X, [1.0], np.int32(1)), TypeError, "Unsupported type"),
    ],
)
def test_wrong_arguments(args, error, said):
    with pytest.raises(error, match=said):
        twice()(1, 32, args)


def test_host_arrays_are_refused_unless_they_are_asked_for():
    with pytest.raises(TypeError, match=r"Unsupported type <class 'numpy.ndarray'>"):
        RawKernel(TWICE, "twice")(1, 32, (X, X, np.int32(1)))


@pytest.mark.parametrize(
    ("grid", "block"),
    [
        (0, 32),
        (1, 0),
        (1, 1025),
        ((1, 65536), 1),
        (1, (1, 1, 65)),
        (1, (33, 32)),
        (-1, 1),
        ((1, 1, 1, 1), 1),
        (1.0, 1),
    ],
)
def test_limits_of_a_launch(grid, block):
    with pytest.raises((TypeError, ValueError), match=r"twice"):
        twice()(grid, block, (X, X.copy(), np.int32(1)))


def test_launch_bounds_and_attributes():
    source = (
        "#define THREADS 64\n"
        'extern "C" __global__ void __launch_bounds__(THREADS, 2) f(float* x)'
        "{ __shared__ float s[THREADS][2]; __shared__ char c; s[threadIdx.x][0] = 1; c = 2; }\n"
        'extern "C" __launch_bounds__(32) __global__ void g() {}'
    )
    module = RawModule(source, host_arrays=True)
    f = module.get_function("f")
    assert f.max_threads_per_block == 64 and f.shared_size_bytes == 513
    assert f.attributes["shared_size_bytes"] == 513 and module.get_function("g").shared_size_bytes == 0
    with pytest.raises(ValueError, match="65 threads in a block; at most 64"):
        f(1, 65, (X.copy(),))
    big = RawKernel('extern "C" __global__ void f() { __shared__ double s[7000]; s[0] = 1; }', "f")
    with pytest.raises(ValueError, match="56000 bytes of static shared memory; a kernel may have 49152"):
        big(1, 1, ())


def test_macros_and_headers(tmp_path):
    (tmp_path / "more.cuh").write_text("#define THREE 3\n")
    (tmp_path / "common.cuh").write_text(
        '#include "more.cuh"\n\n__device__ REAL triple(const REAL* x, int i) {\n  return THREE * x[i];\n}\n'
    )
    source = (
        '#include "common.cuh"\nextern "C" __global__ void f(const REAL* x, REAL* y)'
        "{ int i = threadIdx.x; y[i] = triple(x, i); }"
    )
    options = ("-DREAL=double", "-std=c++17", f"-I{tmp_path}", "--ptxas-options=-v")
    f = RawModule(source, options=options, host_arrays=True).get_function("f")
    y = np.zeros(4)
    f(1, 4, (np.arange(4.0), y))
    assert y.tolist() == [0, 3, 6, 9]
    with checked(), pytest.raises(KernelFault) as caught:
        f(1, 4, (np.arange(3.0), y))
    (finding,) = caught.value.findings
    assert finding.first.file == str(tmp_path / "common.cuh") and finding.first.line == 4
    (tmp_path / "more.cuh").write_text("#define THREE 4\n")  # the cache notices
    RawModule(source, options=options, host_arrays=True).get_function("f")(1, 4, (np.arange(4.0), y))
    assert y.tolist() == [0, 4, 8, 12]


def test_a_path(tmp_path):
    file = tmp_path / "twice.cu"
    file.write_text(TWICE)
    module = RawModule(path=str(file))
    assert list(module.source.kernels) == ["twice"] and module.file == str(file)
    with pytest.raises(TypeError, match="exactly one"):
        RawModule(TWICE, path=str(file))
    with pytest.raises(TypeError, match="exactly one"):
        RawModule()


def test_kernels_that_are_not_there():
    with pytest.raises(ValueError, match=r"kernel.cu has no kernel 'thrice'; it has: twice"):
        RawModule(TWICE).get_function("thrice")
    with pytest.raises(ValueError, match="-foo"):
        RawModule(TWICE, options=("-foo",))
    for refused in ({"name_expressions": ["f<int>"]}, {"enable_cooperative_groups": True}):
        with pytest.raises(NotImplementedError):
            RawModule(TWICE, **refused)
    with pytest.raises(NotImplementedError, match="pass an array"):
        RawModule(TWICE).get_global("x")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("\ntemplate <class T> __global__ void f(T* x) {}", r"a.cu:2: a template cannot be a kernel"),
        ("__global__ void f() {}\n\nint main() { f<<<1, 1>>>(); }", r"a.cu:3: a launch \(<<<...>>>\)"),
        ("__global__ void f() { __shared__ int a = 1; }", r"a.cu:1: __shared__ int a = 1: .*initial value"),
        ("\n\n__shared__ float a[3];", r"a.cu:3: the shared array a stands outside"),
        ("__global__ void f() {", r"a.cu:1: the bracket '{' is never closed"),
        ('__global__ void f() { asm volatile("ret;"); }', r"a.cu:1: .*PTX assembly"),
    ],
)
def test_sources_that_cannot_be_run(source, said):
    with pytest.raises(SourceError, match=said):
        RawModule(source, file="a.cu").compile()


def test_compile_errors_have_the_files_lines():
    source = (
        'extern "C" __global__ void f(float* y) {\n  /* a\n  comment */ __shared__ float a[4],\n'
        "    b[4];\n  y[0] = zero;\n}"
    )
    with pytest.raises(CompileError, match=r"a.cu:5:\d+: error: 'zero' was not declared"):
        RawModule(source, file="a.cu").compile()


@pytest.mark.parametrize("what", ["atomicAdd", "atomicSub"])
def test_atomics_that_cuda_has_not(what):
    with pytest.raises(CompileError, match=f"CUDA has no {what} for this type"):
        RawModule(f'extern "C" __global__ void f(long long* x) {{ {what}(x, 1); }}').compile()


def test_a_fault_is_pickled_and_reads_well():
    with checked(), pytest.raises(KernelFault) as caught:
        twice()(1, 128, (X, np.zeros(3, np.float32), np.int32(4)))
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value) and again.findings == caught.value.findings
    assert str(again).splitlines() == [
        "twice: 1 finding",
        "  out of bounds: y[3] of an array of 3 elements",
        "      write at kernel.cu:3, block (0, 0, 0), thread (3, 0, 0)",
    ]


def test_modes(monkeypatch):
    y = np.zeros(3, np.float32)
    launch = twice(), (1, 4, (X, y, np.int32(4)))
    monkeypatch.setenv("MINIDL_SIM", "check")
    monkeypatch.setenv("MINIDL_SIM_ORDER", "1")
    assert modes.mode() == modes.Mode(check=True, order=1)
    with pytest.raises(KernelFault):
        launch[0](*launch[1])
    with checked(check=False):
        assert not modes.mode().check
    for name, value in (("MINIDL_SIM", "quick"), ("MINIDL_SIM_ORDER", "-1")):
        with monkeypatch.context() as m:
            m.setenv(name, value)
            with pytest.raises(ValueError, match=f"{name}: '{value}'"):
                modes.mode()
    with pytest.raises(ValueError, match="order=-1"), checked(-1):
        pass


def test_counts():
    y = np.zeros(64, np.float32)
    source = (
        'extern "C" __global__ void f(const float* x, float* y) {\n'
        "__shared__ float s[64]; s[2 * threadIdx.x] = x[2 * threadIdx.x];\n"
        "__syncthreads();\ny[threadIdx.x] = s[0]; }"
    )
    f = RawKernel(source, "f", host_arrays=True)
    with checked(count=True) as launches:
        f(1, 32, (X, y))
    (counts,) = launches
    rows = {(c.line, c.memory, c.action): c for c in counts.lines}
    load, store = rows[2, "global", "load"], rows[2, "shared", "store"]
    # 32 lanes, 8 bytes apart: 8 sectors where 4 would do; each bank that is hit is hit twice
    assert (load.accesses, load.requests, load.pieces, load.least, load.bytes) == (32, 1, 8, 4, 128)
    assert (store.pieces, store.least, store.worst, store.efficiency) == (2, 1, 2, 0.5)
    assert rows[4, "shared", "load"].pieces == 1 and rows[4, "global", "store"].efficiency == 1
    assert counts.barriers == 1 and counts.bank_conflicts == 1 and counts.total("global") == 256
    assert counts.total("shared", "store") == 128


def test_arrays_reached_through_a_table():
    source = (
        'extern "C" __global__ void f(const long long* table, int k) { ((float*)table[threadIdx.x])[k] = 5; }'
    )
    f = RawKernel(source, "f", host_arrays=True)
    a, b = np.zeros(3, np.float32), np.zeros(2, np.float32)
    table = np.array([a.ctypes.data, b.ctypes.data])
    with checked():
        f(1, 2, (table, np.int32(1)), through=(a, b))
        assert a.tolist() == [0, 5, 0] and b.tolist() == [0, 5]
        with pytest.raises(KernelFault, match=r"through\[1\]\[2\] of an array of 2"):
            f(1, 2, (table, np.int32(2)), through=(a, b))
        with pytest.raises(KernelFault, match="out of bounds"):
            f(1, 2, (table, np.int32(0)))


# ---------------------------------------------------------------------------------------------
# Compiler and cache
# ---------------------------------------------------------------------------------------------
PROGRAM = """
import numpy as np
from minidl.kernels.sim import checked
from minidl.kernels.sim.module import RawKernel
source = 'extern "C" __global__ void f(int* y) { __shared__ int s[96]; int i = threadIdx.x; s[i] = i;' \\
         '__syncthreads(); y[i] = s[95 - i] + __shfl_xor_sync(~0u, i, 1); if (i > 90) return;' \\
         'for (int k = 0; k < 9; k++) __syncwarp(~0u); }'
for check in (False, True):
    y = np.zeros(96, np.int32)
    with checked(check=check):
        RawKernel(source, "f", host_arrays=True)(1, 96, (y,))
    print(y.tolist() == [95 - i + (i ^ 1) for i in range(96)])
"""


def program(tmp_path: Path, **environment: str) -> subprocess.Popen[str]:
    root = Path(__file__).resolve().parents[2]
    env = {**os.environ, "MINIDL_SIM_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(root), **environment}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_several_processes_fill_the_cache_at_once(tmp_path):
    started = [program(tmp_path) for _ in range(3)]
    for process in started:
        out, err = process.communicate(timeout=120)
        assert (out, err) == ("True\nTrue\n", "")
    kept = sorted(path.name.split("-")[0] for path in (tmp_path / "cache").iterdir())
    assert kept == ["cuda_on_cpu", "kernels", "kernels"]  # and nothing half written


def test_the_portable_fibers_do_the_same(tmp_path):
    out, err = program(tmp_path, MINIDL_SIM_FIBERS="ucontext").communicate(timeout=120)
    assert (out, err) == ("True\nTrue\n", "")


def test_a_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / "cache").write_text("a file")
    out, err = program(tmp_path).communicate(timeout=120)
    assert out == "True\nTrue\n" and err.count("\n") == 1 and "cache: is no folder" in err


def test_damaged_code_is_compiled_anew_and_code_that_others_may_change_is_not_loaded(tmp_path):
    program(tmp_path).communicate(timeout=120)
    kept = sorted((tmp_path / "cache").iterdir())
    os.truncate(kept[0], 1000)
    kept[1].write_bytes(b"")
    kept[2].chmod(0o666)
    for said in ("files there are damaged", ""):  # the second time all is well again
        out, err = program(tmp_path).communicate(timeout=120)
        assert out == "True\nTrue\n" and err.count("\n") == bool(said) and said in err
    assert sorted((tmp_path / "cache").iterdir()) == kept


def test_no_compiler_is_one_clear_line(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("MINIDL_CXX", raising=False)
    compiler.compiler.cache_clear()
    try:
        with pytest.raises(NoCompiler, match=r"^there is no g\+\+.*apt install g\+\+"):
            compiler.compiler()
        monkeypatch.setenv("MINIDL_CXX", "mycc")
        with pytest.raises(NoCompiler, match="MINIDL_CXX=mycc is no program"):
            compiler.compiler()
    finally:
        monkeypatch.undo()
        compiler.compiler.cache_clear()


def test_threads_of_python_take_turns():
    failed = []

    def work(seed):
        x = np.full(100, seed, np.float32)
        for _ in range(20):
            y = np.zeros(100, np.float32)
            kernel(4, 32, (x, y, np.int32(100)))
            if not (y == 2 * seed).all():
                failed.append(seed)

    kernel = twice()
    started = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    assert not failed
