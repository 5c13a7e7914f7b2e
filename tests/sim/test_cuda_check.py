"""``minidl cuda-check`` and the pytest fixture: good input, bad input, exit codes."""

import os
import subprocess
import sys

import numpy as np
import pytest

from minidl.cli import main

SCALE = """\
#ifndef FACTOR
#define FACTOR 2
#endif
extern "C" __global__ void scale(const float* x, float* y, int n, float s, bool b) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = FACTOR * s * x[i] + b;
}
"""
TWO = (
    'extern "C" __global__ void a() {}\n'
    'extern "C" __global__ void b(unsigned char* m, long long* k) { m[0] = k[0]; }\n'
)


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scale.cu").write_text(SCALE)
    (tmp_path / "two.cu").write_text(TWO)

    def run(*arguments):
        capsys.readouterr()
        code = main(["cuda-check", *map(str, arguments)])
        said = capsys.readouterr()
        noted = [line for line in said.err.splitlines(keepends=True) if line.startswith("note: the code of ")]
        assert len(noted) <= 1 and (code == 2 or noted)
        return code, said.out, said.err.replace("".join(noted), "")

    return run


def test_defaults_run_at_once(call):
    code, out, err = call("scale.cu")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == (
        "scale: grid 4, block 256, x = float32[1024], y = float32[1024], n = 1024, s = 1.0, b = True"
    )
    assert lines[1] == "scale: no findings" and "coalesced" not in out
    assert lines[2] == "global memory: 8192 bytes, 256 sectors, 256 would do"
    assert lines[-1] == "block barriers passed: 0" and len([line for line in lines if " 6 " in line]) == 2


def test_arguments_and_results(call, tmp_path):
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.save("x.npy", x)
    given = ["--arg", "x=x.npy", "--arg", "y=float32:12:unset", "--arg", "n=int32:12", "--arg", "s=0.5"]
    code, out, err = call(
        "scale.cu",
        *given,
        "--arg",
        "b=0",
        "-D",
        "FACTOR=10",
        "--save",
        "y=y.npy",
        "--no-counts",
        "--order",
        1,
        "--order",
        5,
    )
    assert (code, err) == (0, "") and "memory" not in out and out.endswith("y.npy has y\n")
    assert np.array_equal(np.load("y.npy"), 5 * x.ravel())
    assert "grid 1, block 256, x = float32[3x4]" in out


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        ("float32:5:zeros", 0),
        ("float32:5:ones", 1),
        ("float32:5:arange", np.arange(5)),
        ("float32:5:-2.5", -2.5),
    ],
)
def test_fills(call, spec, values):
    code, _, err = call("scale.cu", "--arg", f"x={spec}", "--arg", "n=5", "--arg", "b=0", "--save", "y=y.npy")
    assert (code, err) == (0, "") and np.array_equal(np.load("y.npy")[:5], 2 * np.broadcast_to(values, 5))


def test_random_is_by_seed(call):
    kept = []
    for seed in (1, 1, 2):
        assert call("scale.cu", "--seed", seed, "--save", "y=y.npy", "--overwrite")[0] == 0
        kept.append(np.load("y.npy"))
    assert np.array_equal(kept[0], kept[1]) and not np.array_equal(kept[0], kept[2])


def test_findings_are_exit_code_1(call):
    code, out, err = call("scale.cu", "--arg", "x=float32:1000:random", "--block", 128, "--grid", "8")
    assert (code, err) == (1, "")
    assert "out of bounds: x[1000] of an array of 1000 elements" in out
    assert "read at scale.cu:6, block (7, 0, 0), thread (104, 0, 0)" in out and "and 23 more" in out
    code, out, _ = call("scale.cu", "--arg", "x=float32:5:unset", "--arg", "n=5")
    assert code == 1 and "uninitialised read: x[0]" in out
    code, out, _ = call("scale.cu", "--arg", "y=null")
    assert code == 1 and "a null pointer" in out


def test_an_index_that_misses_its_array_by_far_is_not_taken_for_another_array(call, tmp_path):
    (tmp_path / "far.cu").write_text(
        'extern "C" __global__ void far(const float* a, const float* b, float* c) {\n'
        "    int i = threadIdx.x;\n"
        "    c[i] = a[i + 900] + b[i];\n"
        "}\n"
    )
    arrays = [f"{name}=float32:64" for name in "abc"]
    code, out, _ = call("far.cu", *(x for a in arrays for x in ("--arg", a)), "--grid", "1", "--block", "64")
    found = [
        line for line in out.splitlines() if line.startswith("  ") and ":" in line and "access" not in line
    ]
    assert code == 1 and found[0] == "  out of bounds: a[900] of an array of 64 elements"
    assert not [line for line in found if "race" in line or "b[" in line or "c[" in line]


def test_one_array_for_two_parameters_is_one_array(tmp_path):
    from minidl.kernels.sim.checking import check_kernel, the_kernel

    kernel = the_kernel(
        'extern "C" __global__ void twice(const float* x, float* y) { y[threadIdx.x] = 2 * x[threadIdx.x]; }',
        None,
    )
    array = np.arange(8, dtype=np.float32)
    assert not check_kernel(kernel, (1,), (8,), (array, array), orders=(0, 1)).findings
    assert array.tolist() == [0, 2, 4, 6, 8, 10, 12, 14]


def test_arrays_that_overlap_still_do(tmp_path):
    from minidl.kernels.sim.checking import check_kernel, the_kernel

    kernel = the_kernel(
        'extern "C" __global__ void shift(const float* x, float* y) { y[threadIdx.x] = x[threadIdx.x]; }',
        None,
    )
    whole = np.arange(8, dtype=np.float32)
    found = check_kernel(kernel, (1,), (4,), (whole[:4], whole[1:5])).findings
    assert [f.kind for f in found] == ["race"]  # thread 0 writes what thread 1 reads


def test_a_kernel_of_several(call):
    code, out, _ = call("two.cu", "--kernel", "b", "--grid", "2x1", "--block", "1x1x1")
    assert code == 1 and "race" in out and "m = uint8[1024], k = int64[1024]" in out
    assert call("two.cu", "--kernel", "a")[1].startswith("a: grid 1, block 256, no arguments\na: no findings")


BAD = {
    "absent.cu": "absent.cu: no such file",
    "two.cu": "two.cu: it has a, b: name one",
    "two.cu --kernel c": "two.cu has no kernel 'c'; it has: a, b",
    "scale.cu --arg z=1": "--arg z=1: no parameter is called z; they are x, y, n, s, b",
    "scale.cu --arg n": "--arg n: write NAME=VALUE",
    "scale.cu --arg n=1 --arg n=2": "n is given twice",
    "scale.cu --arg n=1.5": "the parameter is a number of int32",
    "scale.cu --arg n=float32:1": "the parameter is a number of int32",
    "scale.cu --arg n=3000000000": "does not fit into int32",
    "scale.cu --arg b=2": "a bool; give 0 or 1",
    "scale.cu --arg s=null": "a number of float32",
    "scale.cu --arg x=3": "an array; write FILE.npy, null or DTYPE:SHAPE[:FILL]",
    "scale.cu --arg x=real:3": "real is no dtype",
    "scale.cu --arg x=complex64:3": "complex64 is no number",
    "scale.cu --arg x=float32:3:many": "fill many; give random, zeros",
    "scale.cu --arg x=float32:100000x100000": "more than 2 GiB",
    "scale.cu --arg x=float64:3": "argument 'x': an array of float64 for a pointer to float32",
    "scale.cu --arg x=gone.npy": "gone.npy: no such file",
    "scale.cu --arg x=bad.npy": "not a .npy file",
    "scale.cu --grid 1x": "--grid 1x: write one to three numbers",
    "scale.cu --block 2048": "block (2048, 1, 1): each extent must be from 1 to (1024, 1024, 64)",
    "scale.cu --grid 0": "--grid 0: each number must be at least 1",
    "scale.cu --save n=n.npy": "no parameter is called n; they are x, y",
    "scale.cu --save y=y.txt": "give the path of a .npy file",
    "scale.cu --save y=no/y.npy": "in a folder that is there",
    "scale.cu -D FACTOR=what": "the compiler refuses <command-line>: error: 'what' was not declared",
    "wrong.cu": "the compiler refuses wrong.cu:2:3: error: 'y' was not declared",
    "host.cu": "host.cu:2: a launch (<<<...>>>)",
    "binary.cu": "binary.cu: not text in UTF-8",
    "empty.cu": "empty.cu: it has no __global__ function",
    "scale.cu --order -1": "--order",
    "scale.cu --time-limit soon": "--time-limit",
}


@pytest.mark.parametrize("line", BAD)
def test_bad_input_is_one_line_and_exit_code_2(call, line, tmp_path):
    (tmp_path / "host.cu").write_text("__global__ void f() {}\nint main() { f<<<1, 1>>>(); }\n")
    (tmp_path / "binary.cu").write_bytes(b"\x80\x81")
    (tmp_path / "wrong.cu").write_text("__global__ void f() {\n  y[0] = 1;\n}\n")
    (tmp_path / "empty.cu").write_text("// nothing\n")
    (tmp_path / "bad.npy").write_text("no array")
    code, _, err = call(*line.split())
    assert code == 2 and err.startswith("minidl: error: ") and err.count("\n") == 1, err
    assert BAD[line] in err and "Traceback" not in err


def test_no_compiler(call, monkeypatch):
    from minidl.kernels.sim import compiler

    monkeypatch.setenv("MINIDL_CXX", "no-such-compiler")
    compiler.compiler.cache_clear()
    compiler._identity.cache_clear()
    try:
        code, _, err = call("scale.cu")
        assert code == 2 and err.count("\n") == 1 and "MINIDL_CXX=no-such-compiler is no program" in err
    finally:
        compiler.compiler.cache_clear()
        compiler._identity.cache_clear()


TESTS = """
import numpy as np

def test_right(cuda_check):
    x, y = np.arange(100, dtype=np.float32), np.zeros(100, np.float32)
    counts = cuda_check("scale.cu", x, y, 100, 1.5, False, grid=4, block=32, options=("-DFACTOR=4",))
    assert np.array_equal(y, 6 * x) and counts.total("global", "load") == 400

def test_wrong(cuda_check):
    x, y = np.zeros(100, np.float32), np.zeros(99, np.float32)
    cuda_check("scale.cu", x, y, 100, 1.5, False, grid=4, block=32)

def test_text(cuda_check):
    y = np.zeros(3, np.int32)
    cuda_check('extern "C" __global__ void f(int* y) { y[threadIdx.x] = 7; }', y, grid=1, block=3)
    assert y.tolist() == [7, 7, 7]
"""


def test_the_fixture(tmp_path, root):
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["minidl.testing.cuda"]\n')
    (tmp_path / "scale.cu").write_text(SCALE)
    (tmp_path / "test_scale.py").write_text(TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", "."],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root), "MINIDL_CI": ""},
        capture_output=True,
        text=True,
    )
    assert "1 failed, 2 passed" in done.stdout, done.stdout + done.stderr
    assert "out of bounds: y[99] of an array of 99 elements" in done.stdout
    assert "scale.cu:6, block (3, 0, 0), thread (3, 0, 0)" in done.stdout
