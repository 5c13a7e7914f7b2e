"""Every kind of mistake, planted, is found at its line, with threads and array; right code is not accused."""

import re

import numpy as np
import pytest

from minidl.kernels.sim import KernelFault, checked

X = np.arange(96, dtype=np.float32)


def out(n=96):
    return np.zeros(n, np.float32)


def kernel(body, parameters="const float* x, float* y"):
    return f'extern "C" __global__ void k({parameters}) {{\n    int i = threadIdx.x;\n{body}\n}}\n'


def only(found):
    assert len(found) == 1, [str(f) for f in found]
    return found[0]


def test_read_before_the_start(findings):
    f = only(findings(kernel("y[i] = x[i - 1];"), 1, 32, X, out()))
    assert (f.kind, f.array, f.element, f.offset, f.size) == ("out of bounds", "x", -1, -4, 4)
    assert (f.first.file, f.first.line, f.first.thread, f.first.action) == ("test.cu", 3, (0, 0, 0), "read")
    assert f.count == 1 and not f.shared and "x[-1] of an array of 96 elements" in str(f)


def test_write_past_the_end_does_not_happen(findings):
    y = np.zeros(40, np.float32)
    f = only(findings(kernel("y[i] = x[i];"), 1, 64, X, y[:33]))
    assert (f.kind, f.array, f.element, f.first.thread, f.count) == ("out of bounds", "y", 33, (33, 0, 0), 31)
    assert np.array_equal(y, [*range(33), *[0] * 7])


def test_null_pointer(findings):
    f = only(findings(kernel("y[i] = x[i];"), 1, 1, None, out()))
    assert f.kind == "out of bounds" and "null" in f.message


@pytest.mark.parametrize("index", ["i + 1", "31 - i - 32"])
def test_shared_bounds_by_pointer(findings, index):
    body = f"__shared__ float a[32]; float* p = a; p[i] = x[i];\n__syncthreads();\ny[i] = p[{index}];"
    f = findings(kernel(body), 1, 32, X, out())[0]
    assert (f.kind, f.array, f.shared, f.first.line) == ("out of bounds", "a", True, 5)


def test_bounds_of_a_row_and_of_a_local_array(findings):
    row = "__shared__ float a[4][8]; a[i / 8][i % 8] = x[i]; __syncthreads();\ny[i] = a[0][i];"
    f = only(findings(kernel(row), 1, 32, X, out()))
    assert (f.kind, f.first.line, f.first.thread, f.count) == ("out of bounds", 4, (8, 0, 0), 24)
    local = "float a[4]; for (int k = 0; k <= 4; k++)\na[k] = x[k];\ny[i] = a[i & 3];"
    f = only(findings(kernel(local), 1, 2, X, out()))
    assert (
        (f.kind, f.first.line) == ("out of bounds", 4) and "index 4" in f.message and "float [4]" in f.message
    )


def test_race_in_a_warp(findings):
    body = "__shared__ float s[32]; s[i] = 0.f; __syncthreads();\ns[i] = x[i];\ny[i] = s[31 - i];"
    found = findings(kernel(body), 1, 32, X, out())
    assert {f.kind for f in found} == {"race"} and {f.array for f in found} == {"s"}
    lines = {(f.first.line, f.other.line) for f in found}
    assert lines == {(4, 5), (5, 4)}
    f = found[0]
    assert f.first.action != f.other.action and f.first.thread[0] + f.other.thread[0] == 31
    assert "__syncwarp" in f.message


def test_race_in_a_warp_behind_a_syncwarp(findings):
    body = (
        "__shared__ float s[32]; s[i] = 0.f; __syncthreads(); __syncwarp();\ns[i] = x[i];\ny[i] = s[31 - i];"
    )
    assert {f.kind for f in findings(kernel(body), 1, 32, X, out())} == {"race"}


def test_race_between_warps(findings):
    body = "__shared__ float s[64]; s[i] = x[i]; __syncwarp();\ny[i] = s[63 - i];"
    found = findings(kernel(body), 1, 64, X, out())
    f = next(f for f in found if f.kind == "race")
    assert f.first.thread[0] // 32 != f.other.thread[0] // 32 and "__syncthreads" in f.message


def test_race_between_blocks(findings):
    f = only(findings(kernel("y[i] = blockIdx.x;", "float* y"), 3, 8, out()))
    assert (f.kind, f.array, f.first.block, f.other.block) == ("race", "y", (1, 0, 0), (0, 0, 0))
    assert f.first.thread == f.other.thread == (0, 0, 0)


@pytest.mark.parametrize("order", [0, 1, 2, 7])
def test_a_race_is_seen_in_every_order(findings, order):
    body = "__shared__ float s[64]; s[i] = x[i];\ny[i] = s[63 - i];"
    assert "race" in {f.kind for f in findings(kernel(body), 1, 64, X, out(), order=order)}


def test_atomic_beside_a_plain_write(findings):
    found = findings(kernel("atomicAdd(y, 1.f);\nif (i == 3) y[0] = 0.f;", "float* y"), 1, 64, out())
    assert {f.kind for f in found} == {"race"}
    assert {p.action for f in found for p in (f.first, f.other)} == {"atomic", "write"}


def test_unwritten_shared_memory(findings):
    body = "__shared__ float s[64]; if (i < 32) s[i] = 1.f;\n__syncthreads();\ny[i] = s[i];"
    f = only(findings(kernel(body, "float* y"), 1, 64, out()))
    assert (f.kind, f.array, f.element, f.first.line, f.count) == ("uninitialised read", "s", 32, 5, 32)


def test_what_another_block_wrote_is_unwritten(findings):
    body = "__shared__ float s[8]; if (blockIdx.x == 0) s[i] = 1.f;\ny[8 * blockIdx.x + i] = s[i];"
    f = only(findings(kernel(body, "float* y"), 2, 8, out()))
    assert (f.kind, f.first.block) == ("uninitialised read", (1, 0, 0))


def test_unset_global_memory(findings):
    source = kernel("y[i] += x[i];")
    assert not findings(source, 1, 8, X, out())
    f = only(findings(source, 1, 8, X, out(), unset=("y",)))
    assert (f.kind, f.array, f.count) == ("uninitialised read", "y", 8)
    assert not findings(kernel("y[i] = x[i]; y[i] += 1;"), 1, 8, X, out(), unset=("y",))


@pytest.mark.parametrize("mode", ["fast", "check"])
def test_two_barriers_for_one(launch, mode):
    body = "if (i < 32)\n__syncthreads();\nelse\n__syncthreads();\ny[i] = i;"
    with checked(check=mode == "check"), pytest.raises(KernelFault) as caught:
        launch(kernel(body, "float* y"), 1, 64, out())
    f = only(caught.value.findings)
    assert f.kind == "divergent barrier" and {f.first.line} <= {4, 6} and "line 4" in f.message


@pytest.mark.parametrize("order", [0, 1, 5])
def test_barrier_after_an_early_return(findings, order):
    body = "if (i >= 40) return;\n__syncthreads();\ny[i] = i;"
    f = only(findings(kernel(body, "float* y"), 1, 64, out(), order=order))
    assert f.kind == "divergent barrier" and f.first.line == 4 and "40 of 64" in f.message


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("if (i < 16) y[i] = __shfl_xor_sync(~0u, x[i], 1);", "never come"),
        ("if (i < 16) y[i] = __shfl_down_sync(0xffffu, x[i], 8);", "takes no part"),
        ("if (i < 16) y[i] = __shfl_sync(0xffff0000u, x[i], 1);", "leaves it out"),
        ("y[i] = __shfl_sync(i < 16 ? 0xffffu : ~0u, x[i], 0);", "waits for lane|never come"),
        ("if (i < 16) __syncwarp(); else y[i] = __any_sync(~0u, i);", "waits for lane"),
    ],
)
@pytest.mark.parametrize("order", [0, 1])
def test_wrong_masks(findings, call, said, order):
    found = findings(kernel(call), 1, 32, X, out(), order=order)
    assert {f.kind for f in found} == {"warp mask"} and any(re.search(said, f.message) for f in found)
    assert {f.first.line for f in found} == {3}


@pytest.mark.parametrize("use", ["y[i] = v.x;", "y[i] = v.x + v.y + v.z + v.w;"])
def test_misaligned_vector(findings, use):
    body = f"float4 v = *(const float4*)(x + i);\n{use}"
    f = only(findings(kernel(body), 1, 8, X, out()))
    aligned = X.ctypes.data % 16 // 4
    assert f.kind == "misaligned access" and f.first.line == 3 and "float4" in f.message
    assert f.count == sum((aligned + i) % 4 != 0 for i in range(8))


def test_write_to_an_array_that_may_only_be_read(findings):
    x = X.copy()
    x.setflags(write=False)
    f = only(findings(kernel("((float*)x)[i] = 1; y[i] = 0;"), 1, 1, x, out()))
    assert (f.kind, f.array) == ("write to read-only memory", "x")


@pytest.mark.parametrize("mode", ["fast", "check"])
def test_assertion(launch, mode):
    with (
        checked(check=mode == "check"),
        pytest.raises(KernelFault, match=r"i < 5.*\n.*test.cu:4, .*thread \(5"),
    ):
        launch(kernel("\nassert(i < 5);", ""), 1, 8)


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("y[i] = 7 / (n - 5)", "by zero"),
        ("y[i] = n * 1000000000", "product overflows"),
        ("y[i] = 2147483647 + n", "sum overflows"),
        ("y[i] = 1 << (n + 27)", "shift"),
    ],
)
def test_undefined_arithmetic(findings, step, said):
    f = findings(kernel(step + ";", "int* y, int n"), 1, 1, np.zeros(1, np.int32), np.int32(5))[0]
    assert f.kind == "undefined arithmetic" and said in f.message and f.first.line == 3


@pytest.mark.parametrize("mode", ["fast", "check"])
def test_endless_recursion_is_no_crash(launch, mode):
    source = (
        "__device__ __noinline__ int deep(volatile int* p) { volatile int a[64]; a[0] = *p;\n"
        "  return deep(p) + a[0]; }\n" + kernel("y[0] = deep(y);", "int* y")
    )
    with checked(check=mode == "check"), pytest.raises(KernelFault, match="stack"):
        launch(source, 1, 1, np.zeros(1, np.int32))


def test_a_fault_in_fast_mode_is_no_crash(launch):
    with pytest.raises(KernelFault, match="belongs to nothing"):
        launch(kernel("y[(long long)i - (1ll << 45)] = 0;", "float* y"), 1, 1, out())
    with pytest.raises(KernelFault, match="divided by zero"):
        launch(kernel("y[i] = 7 / n;", "int* y, int n"), 1, 1, np.zeros(1, np.int32), np.int32(0))


def test_an_endless_loop_ends(launch):
    body = "while (atomicAdd(y, 0) == 0) {}"
    for check in (True, False):
        with checked(time_limit=0.3, check=check), pytest.raises(KernelFault, match=r"longer than 0\.3 s"):
            launch(kernel(body, "int* y"), 1, 1, np.zeros(1, np.int32))


CORRECT = {
    "neighbours after a barrier": "__shared__ float s[64]; s[i] = x[i]; __syncthreads(); y[i] = s[63 - i];",
    "neighbours in a warp after __syncwarp": (
        "__shared__ float s[64]; s[i] = x[i]; __syncwarp(); y[i] = s[i ^ 31]; __syncwarp(); s[i] = 0;"
    ),
    "a warp's reduction in shared memory": (
        "__shared__ float s[64]; s[i] = x[i]; __syncwarp();"
        "for (int h = 16; h; h /= 2) { float v = (i & 31) < h ? s[i + h] : 0; __syncwarp(); s[i] += v;"
        "__syncwarp(); } y[i] = s[i & 32];"
    ),
    "a block's reduction": (
        "__shared__ float s[64]; s[i] = x[i]; __syncthreads();"
        "for (int h = 32; h; h /= 2) { if (i < h) s[i] += s[i + h]; __syncthreads(); } y[i] = s[0];"
    ),
    "double buffering": (
        "__shared__ float s[2][64]; s[0][i] = x[i]; __syncthreads();"
        "for (int k = 0; k < 4; k++) { s[(k + 1) & 1][i] = s[k & 1][63 - i] + 1; __syncthreads(); }"
        "y[i] = s[0][i];"
    ),
    "atomics of all threads": "atomicAdd(y, x[i]); atomicMax((int*)y + 1, i); atomicAdd(y + 2, 1.f);",
    "shuffles in half a warp": "if ((i & 31) < 16) y[i] = __shfl_xor_sync(0xffffu, x[i], 1);",
    "two halves apart": "unsigned m = (i & 31) < 16 ? 0xffffu : 0xffff0000u;\n"
    "for (int k = 0; k < 1 + (i & 31) / 16; k++) y[i] += __shfl_xor_sync(m, x[i], 1);",
    "a compare-and-swap loop": (
        "int* p = (int*)y; int old = *p, seen;"
        "do { seen = old; old = atomicCAS(p, seen, seen + i); } while (seen != old);"
    ),
    "a whole warp that leaves": "if (i >= 32) return; float v = x[i];"
    "for (int o = 16; o; o /= 2) v += __shfl_down_sync(~0u, v, o); if (i == 0) y[0] = v;",
    "votes of the block": (
        "y[i] = __syncthreads_count(i & 1) + __syncthreads_or(i == 5) + __syncthreads_and(1);"
    ),
    "a write that all agree to leave to one": "if (i == 0) y[0] = 1; __syncthreads(); y[i + 1] = y[0];",
}


@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("name", CORRECT)
def test_right_code_is_not_accused(findings, name, order):
    assert not findings(kernel(CORRECT[name]), 1, 64, X, out(), order=order)


LAST_BLOCK = """
__device__ unsigned done;
extern "C" __global__ void k(const float* x, float* part, unsigned* count, float* y) {
    __shared__ bool last;
    part[blockIdx.x] = x[blockIdx.x] + x[blockIdx.x + 4];
    FENCE
    last = atomicAdd(count, 1u) == gridDim.x - 1;
    if (last) { float sum = 0; for (int b = 0; b < gridDim.x; b++) sum += part[b]; y[0] = sum; }
}
"""


@pytest.mark.parametrize("order", [0, 1, 2])
def test_the_last_block_may_read_the_others(findings, order):
    """A fence before an atomic operation orders blocks; without the fence it is a race."""
    for fence in ("__threadfence();", ""):
        y, args = out(1), (X, out(4), np.zeros(1, np.uint32))
        found = findings(LAST_BLOCK.replace("FENCE", fence), 4, 1, *args, y, order=order)
        assert y[0] == X[:8].sum()
        assert {f.kind for f in found} == (set() if fence else {"race"})
