"""CUDA's language and functions: what kernels compute, against NumPy. In fast and in check mode."""

import math

import numpy as np
import pytest

from minidl.kernels.sim import checked
from minidl.kernels.sim.module import RawModule

pytestmark = pytest.mark.usefixtures("both_modes")
RNG = np.random.default_rng(3)
X = RNG.standard_normal(64).astype(np.float32)
LANES = np.arange(64)


def run(body, y, *args, parameters="const float* x, float* y", block=64, grid=1, before="", **more):
    source = f'{before}\nextern "C" __global__ void k({parameters}) {{ int i = threadIdx.x;\n{body} }}'
    module = RawModule(source, host_arrays=True)
    module.get_function("k")(grid, block, (*args, y), **more)
    return y


def floats(n=64):
    return np.zeros(n, np.float32)


def ints(n=64, dtype=np.int32):
    return np.zeros(n, dtype)


def test_three_dimensions():
    body = (
        "int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);"
        "int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);"
        "y[block * 24 + thread] = 1000000 * blockIdx.z + 100000 * blockIdx.y + 10000 * blockIdx.x"
        " + 100 * threadIdx.z + 10 * threadIdx.y + threadIdx.x;"
    )
    y = run(body, ints(24 * 30), parameters="int* y", grid=(5, 3, 2), block=(4, 3, 2)).reshape(
        2, 3, 5, 2, 3, 4
    )
    b, g, t = np.indices((2, 3, 5)), np.indices((2, 3, 4)), (10000, 100000, 1000000)
    blocks = b[0] * t[2] + b[1] * t[1] + b[2] * t[0]
    threads = g[0] * 100 + g[1] * 10 + g[2]
    assert np.array_equal(y, blocks[..., None, None, None] + threads)


MATH = {
    "rsqrtf(v)": lambda v: 1 / np.sqrt(v),
    "rcbrtf(v)": lambda v: 1 / np.cbrt(v),
    "erff(v)": lambda v: np.array([math.erf(t) for t in v]),
    "erfcf(v)": lambda v: np.array([math.erfc(t) for t in v]),
    "erfinvf(v / 4)": lambda v: None,
    "normcdff(v)": lambda v: np.array([0.5 * math.erfc(-t / math.sqrt(2)) for t in v]),
    "expm1f(v) + log1pf(v)": lambda v: np.expm1(v) + np.log1p(v),
    "__expf(v) + __logf(v) + __sinf(v) + __powf(v, 1.5f)": lambda v: (
        np.exp(v) + np.log(v) + np.sin(v) + v**1.5
    ),
    "sinpif(v) + cospif(v)": lambda v: np.sin(np.pi * v) + np.cos(np.pi * v),
    "__fadd_rn(v, 1) * __frcp_rn(v) + __fsqrt_rn(v) + __fmaf_rn(v, v, 1)": lambda v: (
        (v + 1) / v + np.sqrt(v) + v * v + 1
    ),
    "fdividef(v, 3) + __fdiv_rn(v, 3) + __saturatef(v - 1)": lambda v: 2 * v / 3 + np.clip(v - 1, 0, 1),
    "tanhf(v) + fmaxf(v, 1) + min(v, 2.f) + fabsf(-v)": lambda v: (
        np.tanh(v) + np.maximum(v, 1) + np.minimum(v, 2) + v
    ),
    "hypotf(v, 2) + norm3df(v, 1, 2) + ldexpf(v, 2)": lambda v: np.hypot(v, 2) + np.sqrt(v * v + 5) + 4 * v,
}


@pytest.mark.parametrize("expression", MATH)
def test_mathematics(expression):
    v = np.abs(X) + np.float32(0.1)
    y = run(f"float v = x[i]; y[i] = {expression};", floats(), v)
    v = v.astype(np.float64)
    if expression.startswith("erfinv"):  # its definition
        assert np.allclose([math.erf(t) for t in y], v / 4, rtol=1e-6)
    else:
        assert np.allclose(y, MATH[expression](v), rtol=16 * np.finfo(np.float32).eps)


def test_doubles():
    x = X.astype(np.float64)
    body = "y[i] = exp(x[i]) + rsqrt(1 + x[i] * x[i]) + __dadd_rn(x[i], 1) + erf(x[i]) + fma(x[i], x[i], 1.);"
    y = run(body, np.zeros(64), x, parameters="const double* x, double* y")
    want = np.exp(x) + 1 / np.sqrt(1 + x * x) + x + 1 + [math.erf(t) for t in x] + x * x + 1
    assert np.allclose(y, want, rtol=1e-14)


def test_nans_and_infinities():
    x = np.array([np.nan, np.inf, -np.inf, 0, -0.0, 1e-42], np.float32)
    body = (
        "float v = x[i]; y[i] = isnan(v) + 2 * isinf(v) + 4 * isfinite(v) + 8 * signbit(v);"
        "y[i + 8] = max(v, 1.f); y[i + 16] = v + __int_as_float(0x7fc00000); y[i + 24] = v * 2.f;"
    )
    y = run(body, floats(32), x, block=6)
    assert y[:6].tolist() in ([1, 2, 10, 4, 12, 4], [9, 2, 10, 4, 12, 4])
    assert y[8:14].tolist() == [1, np.inf, 1, 1, 1, 1] and np.isnan(y[16:22]).all()
    assert np.array_equal(y[24:30], x * 2, equal_nan=True)


def test_rounded_steps_are_not_fused():
    """a*b + c in one FMA has another result than with the product rounded."""
    a = np.float32(1 + 2**-12)
    body = (
        "y[0] = x[0] * x[0] - 1.f; y[1] = __fadd_rn(__fmul_rn(x[1], x[1]), -1.f);"
        "y[2] = fmaf(x[2], x[2], -1.f);"
    )
    y = run(body, floats(3), np.array([a] * 3), block=1)
    fused = np.float32(float(a) * float(a) - 1)
    assert y[0] == y[2] == fused and y[1] == a * a - np.float32(1) != fused


def test_conversions_saturate():
    x = np.array([1.5, 2.5, -1.5, 3e9, -3e9, np.nan, 1e20, -0.5], np.float32)
    body = (
        "y[i] = __float2int_rn(x[i]); y[i + 8] = __float2int_rz(x[i]); y[i + 16] = __float2int_ru(x[i]);"
        "y[i + 24] = __float2int_rd(x[i]); y[i + 32] = (int)__float2uint_rn(x[i]);"
    )
    y = run(body, ints(40), x, block=8, parameters="const float* x, int* y").reshape(5, 8).tolist()
    top, low = 2**31 - 1, -(2**31)
    assert y[0] == [2, 2, -2, top, low, 0, top, 0] and y[1] == [1, 2, -1, top, low, 0, top, 0]
    assert y[2] == [2, 3, -1, top, low, 0, top, 0] and y[3] == [1, 2, -2, top, low, 0, top, -1]
    assert y[4] == [2, 2, 0, 3000000000 - 2**32, 0, 0, -1, 0]


def test_bits_and_integers():
    body = (
        "unsigned v = (unsigned)i * 2654435761u; y[8 * i] = __popc(v); y[8 * i + 1] = __clz(v);"
        "y[8 * i + 2] = __ffs(v);"
        "y[8 * i + 3] = (int)__brev(v); y[8 * i + 4] = (int)__umulhi(v, v); y[8 * i + 5] = __mul24(i, i);"
        "y[8 * i + 6] = (int)__byte_perm(v, 0, 0x0123);"
        "y[8 * i + 7] = (int)(__umul64hi((unsigned long long)v << 32, v));"
    )
    y = run(body, ints(512), parameters="int* y").view(np.uint32).reshape(64, 8)
    for i, row in enumerate(y.tolist()):
        v = i * 2654435761 % 2**32
        assert row[:3] == [v.bit_count(), 32 - v.bit_length(), (v & -v).bit_length()]
        assert row[3] == int(f"{v:032b}"[::-1], 2) and row[4] == v * v >> 32 and row[5] == i * i
        assert row[6] == int.from_bytes(v.to_bytes(4, "little"), "big") and row[7] == (v << 32) * v >> 64


ATOMICS = {  # of 64 threads on 7: what is left
    "atomicAdd(y, i)": 7 + 2016,
    "atomicSub(y, i)": 7 - 2016,
    "atomicMin(y, i - 3)": -3,
    "atomicMax(y, i)": 63,
    "atomicAnd(y, ~(1 << (i % 2)))": 4,
    "atomicOr(y, 1 << (i % 6))": 63,
    "atomicXor(y, i == 9 ? 8 : 0)": 15,
    "atomicCAS(y, i + 7, i + 8)": None,
    "atomicExch(y, 99)": 99,
    "atomicInc((unsigned*)y, 9u)": (7 + 64) % 10,
    "atomicDec((unsigned*)y, 9u)": (7 - 64) % 10,
    "atomicAdd_block(y, 1)": 71,
}


@pytest.mark.parametrize("call", ATOMICS)
def test_atomics(call):
    y = np.array([7], np.int32)
    run(f"{call};", y, parameters="int* y")
    assert y[0] == ATOMICS[call] or (ATOMICS[call] is None and y[0] == 71)


@pytest.mark.parametrize(
    ("ctype", "dtype"), [("float", "f4"), ("double", "f8"), ("unsigned", "u4"), ("unsigned long long", "u8")]
)
def test_atomic_sums_of_each_type(ctype, dtype):
    y = np.zeros(2, dtype)
    body = f"{ctype} old = atomicAdd(y, i); atomicMax((int*)(y + 1), (int)(old == ({ctype})2016));"
    run(body, y, parameters=f"{ctype}* y")
    assert y[0] == 2016


def test_shuffles():
    body = (
        "int v = 100 * (i / 32) + i % 32; y[i] = __shfl_sync(~0u, v, 5);"
        "y[64 + i] = __shfl_xor_sync(~0u, v, 3);"
        "y[128 + i] = __shfl_down_sync(~0u, v, 2); y[192 + i] = __shfl_up_sync(~0u, v, 2, 8);"
        "y[256 + i] = __shfl_sync(~0u, v, 3, 16); y[320 + i] = (int)__shfl_xor_sync(~0u, (double)v, 1);"
    )
    y = run(body, ints(384), parameters="int* y").reshape(6, 64)
    w, lane = 100 * (LANES // 32), LANES % 32
    assert np.array_equal(y[0], w + 5) and np.array_equal(y[1], w + (lane ^ 3))
    assert np.array_equal(y[2], w + np.where(lane + 2 < 32, lane + 2, lane))
    assert np.array_equal(y[3], w + np.where(lane % 8 >= 2, lane - 2, lane))
    assert np.array_equal(y[4], w + lane // 16 * 16 + 3) and np.array_equal(y[5], w + (lane ^ 1))


def test_votes_matches_and_reductions():
    body = (
        "y[i] = __ballot_sync(~0u, i % 3 == 0);"
        "y[64 + i] = __any_sync(~0u, i == 40) + 2 * __all_sync(~0u, i < 32);"
        "y[128 + i] = __match_any_sync(~0u, i % 4); y[192 + i] = __reduce_add_sync(~0u, (unsigned)i);"
        "y[256 + i] = __reduce_max_sync(~0u, i); y[320 + i] = __reduce_xor_sync(~0u, (unsigned)i * 7);"
        "int same; y[384 + i] = __match_all_sync(~0u, i / 32, &same) + same; y[448 + i] = __activemask();"
    )
    y = run(body, ints(512, np.uint32), parameters="unsigned* y").reshape(8, 2, 32)
    thirds = [sum(1 << n for n in range(32) if (32 * w + n) % 3 == 0) for w in range(2)]
    assert (y[0] == np.array(thirds)[:, None]).all() and y[1].tolist() == [[2] * 32, [1] * 32]
    assert y[2, 0].tolist() == [sum(1 << m for m in range(32) if m % 4 == n % 4) for n in range(32)]
    assert y[3, :, 0].tolist() == [496, 1520] and y[4, :, 9].tolist() == [31, 63]
    assert (
        y[5, 1, 0] == np.bitwise_xor.reduce(np.arange(32, 64) * 7)
        and (y[6] == 0).all()
        and (y[7] == 2**32 - 1).all()
    )


def test_a_partial_last_warp():
    """48 threads: the second warp has 16 lanes, and nobody waits for the others."""
    y = run(
        "y[i] = __popc(__ballot_sync(~0u, 1)); __syncwarp(); __syncthreads();",
        ints(48),
        parameters="int* y",
        block=48,
    )
    assert y.tolist() == [32] * 32 + [16] * 16


def test_vectors():
    x = RNG.standard_normal((16, 4)).astype(np.float32)
    y = run(
        "float4 v = x[i]; y[i] = make_float4(v.w, v.z, v.y, v.x);",
        floats(64).reshape(16, 4),
        x,
        block=16,
        parameters="const float4* x, float4* y",
    )
    assert np.array_equal(y, x[:, ::-1])
    body = (
        "int2 a = make_int2(i, -i); uchar4 c; c.x = i; c.w = 7; y[2 * i] = a.y; y[2 * i + 1] = c.x + c.w + 4;"
    )
    y = run(body, ints(32), block=16, parameters="int* y").reshape(16, 2)
    assert y.tolist() == [[-i, i + 11] for i in range(16)]


def test_shared_memory_declarations():
    body = (
        "__shared__ float a[4][16], b[64]; __shared__ __align__(16) double c[2];\n"
        "__shared__ volatile int\n  d;\n"
        "extern __shared__ float e[];"
        "a[i / 16][i % 16] = i; b[i] = 2 * i; if (i < 2) c[i] = i; if (i == 9) d = 100; e[i] = -i;"
        "__syncthreads();"
        "int j = 63 - i; y[i] = a[j / 16][j % 16] + b[j] + (float)c[1] + d + e[j];"
    )
    y = run(body, floats(), parameters="float* y", shared_mem=256)
    assert np.array_equal(y, 2 * (63 - LANES) + 101)


def test_dynamic_shared_memory_outside_of_the_kernel():
    y = run(
        "s[i] = i; __syncthreads(); y[i] = s[63 - i] + first(s);",
        floats(),
        parameters="float* y",
        shared_mem=256,
        before="extern __shared__ float s[];\n__device__ float first(float* p) { return p[0]; }",
    )
    assert np.array_equal(y, 63 - LANES)


def test_functions_templates_and_constants():
    before = (
        "__constant__ float table[4] = {1, 2, 3, 4};\n"
        "template <int N> __device__ __forceinline__ float power(float v) { float r = 1;\n"
        "#pragma unroll\n  for (int k = 0; k < N; k++) r *= v; return r; }\n"
        "struct Pair { float a, b; };\n"
        "__device__ Pair swap(const Pair& p) { Pair q = {p.b, p.a}; return q; }"
    )
    y = run(
        "Pair p = swap({x[i], 1}); y[i] = power<3>(p.b) * table[i & 3] + p.a;", floats(), X, before=before
    )
    assert np.allclose(y, X**3 * np.tile([1, 2, 3, 4], 16) + 1, rtol=1e-5, atol=1e-6)


def test_memcpy_and_local_arrays():
    y = run(
        "float a[8]; memcpy(a, x + 8 * i, sizeof a); memset(a, 0, 4); float s = 0;"
        "for (int k = 0; k < 8; k++) s += a[k]; y[i] = s;",
        floats(8),
        X,
        block=8,
    )
    assert np.allclose(y, X.reshape(8, 8)[:, 1:].sum(1), rtol=1e-5, atol=1e-6)


def test_printf(capsys):
    run('if (i == 3) printf("thread %d of %s\\n", i, "four");', ints(), parameters="int* y", block=4)
    assert capsys.readouterr().out == "thread 3 of four\n"


@pytest.mark.parametrize("order", [0, 1, 2, 9])
def test_any_order_gives_the_same(both_modes, order):
    body = (
        "__shared__ float s[64]; x += 64 * blockIdx.x; y += 64 * blockIdx.x;"
        "s[i] = x[i]; __syncthreads(); y[i] = s[63 - i];"
    )
    x = RNG.standard_normal((5, 64)).astype(np.float32)
    with checked(order, check=both_modes == "check"):
        y = run(body, floats(320), x, grid=5)
    assert np.array_equal(y.reshape(5, 64), x[:, ::-1])


def test_a_full_block_many_blocks():
    y = run(
        "__shared__ int s; if (i == 0) s = 0; __syncthreads(); atomicAdd(&s, i); __syncthreads();"
        "if (i == 0) y[blockIdx.x] = s;",
        ints(20),
        parameters="int* y",
        block=1024,
        grid=20,
    )
    assert (y == 1023 * 512).all()
