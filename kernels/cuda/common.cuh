// What the kernels of several files share: element and index types, 128-bit vectors, positions in the grid, sums
// over warps and blocks. Plain CUDA C without a header of its own: NVRTC has none.
//
// The loader compiles every file with -DREAL=float or -DREAL=double, and -DINDEX=int or, where an array has 2^31
// elements or more, -DINDEX="long long". A file that is compiled by hand gets the defaults below.
#ifndef MINIDL_COMMON_CUH
#define MINIDL_COMMON_CUH

#ifndef REAL
#define REAL float
#endif
#ifndef INDEX
#define INDEX int
#endif

#define JOIN_EXPANDED(a, b) a##b
#define JOIN(a, b) JOIN_EXPANDED(a, b)  // expands its arguments first, which ## alone does not

// The preprocessor cannot ask for sizeof(REAL), but it can join a name and look that up.
#define BYTES_OF_float 4
#define BYTES_OF_double 8
#define REAL_BYTES JOIN(BYTES_OF_, REAL)

// ---------------------------------------------------------------------------------------------------------------
// Types and constants of either width
// ---------------------------------------------------------------------------------------------------------------
// VECTOR: 128 bits, the widest load and store that a thread can do. Its address must be a multiple of 16 bytes.
// MATH(exp)(x) is expf(x) or exp(x): a double's function called for floats would cost many times as much.
#if REAL_BYTES == 4
#define VECTOR float4
#define VECTOR_WIDTH 4
#define MATH(name) name##f
#define REAL_INFINITY __int_as_float(0x7f800000)
#define REAL_NAN __int_as_float(0x7fc00000)
#else
#define VECTOR double2
#define VECTOR_WIDTH 2
#define MATH(name) name
#define REAL_INFINITY __longlong_as_double(0x7ff0000000000000LL)
#define REAL_NAN __longlong_as_double(0x7ff8000000000000LL)
#endif

#define WARP 32                  // threads that run in step
#define ALL_LANES 0xffffffffu    // the mask of a whole warp

// ---------------------------------------------------------------------------------------------------------------
// Vectors
// ---------------------------------------------------------------------------------------------------------------
// One instruction moves VECTOR_WIDTH neighbours; `to` are registers, so the array must be indexed by constants
// only (in unrolled loops). `from` and `address` must be 16-byte aligned.
__device__ __forceinline__ void load_vector(REAL* to, const REAL* from) {
    const VECTOR v = *reinterpret_cast<const VECTOR*>(from);
    to[0] = v.x;
    to[1] = v.y;
#if VECTOR_WIDTH == 4
    to[2] = v.z;
    to[3] = v.w;
#endif
}

__device__ __forceinline__ void store_vector(REAL* address, const REAL* from) {
    VECTOR v;
    v.x = from[0];
    v.y = from[1];
#if VECTOR_WIDTH == 4
    v.z = from[2];
    v.w = from[3];
#endif
    *reinterpret_cast<VECTOR*>(address) = v;
}

// ---------------------------------------------------------------------------------------------------------------
// Positions
// ---------------------------------------------------------------------------------------------------------------
// A grid-stride loop, for one-dimensional grids:
//     for (INDEX i = first_index(); i < count; i += index_step())
// Any grid covers any count, and neighbouring threads touch neighbouring elements. In 32 bits i + step must not
// overflow either: the launcher takes 64-bit indices a grid's width before 2^31.
__device__ __forceinline__ INDEX first_index() { return (INDEX)blockIdx.x * blockDim.x + threadIdx.x; }
__device__ __forceinline__ INDEX index_step() { return (INDEX)gridDim.x * blockDim.x; }

// Whether 0 <= i < extent, in one comparison: a negative number is a huge unsigned one.
__device__ __forceinline__ bool inside(int i, int extent) { return (unsigned)i < (unsigned)extent; }

// ---------------------------------------------------------------------------------------------------------------
// Sums and maxima over a warp and a block
// ---------------------------------------------------------------------------------------------------------------
// All lanes of the warp must take part; all of them get the result (the butterfly adds in every lane what lies at
// distance 16, 8, 4, 2, 1), in the same order everywhere: the same bits.
__device__ __forceinline__ REAL warp_sum(REAL value) {
#pragma unroll
    for (int distance = WARP / 2; distance > 0; distance >>= 1)
        value += __shfl_xor_sync(ALL_LANES, value, distance);
    return value;
}

__device__ __forceinline__ bool is_finite(REAL value) { return value - value == 0; }

// The larger of two; NaN if one of them is, as in torch (fmax would drop it).
__device__ __forceinline__ REAL larger(REAL a, REAL b) { return (a > b || a != a) ? a : b; }

__device__ __forceinline__ REAL warp_max(REAL value) {
#pragma unroll
    for (int distance = WARP / 2; distance > 0; distance >>= 1)
        value = larger(value, __shfl_xor_sync(ALL_LANES, value, distance));
    return value;
}

// Sum over a one-dimensional block of whole warps; every thread gets it. `partial` is the caller's shared array of
// WARP numbers, free again after the call (the barrier at the end sees to that).
__device__ __forceinline__ REAL block_sum(REAL value, REAL* partial) {
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    value = warp_sum(value);
    if (lane == 0) partial[warp] = value;
    __syncthreads();
    const REAL total = warp_sum(lane < warps ? partial[lane] : (REAL)0);
    __syncthreads();
    return total;
}

// The same for the maximum.
__device__ __forceinline__ REAL block_max(REAL value, REAL* partial) {
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    value = warp_max(value);
    if (lane == 0) partial[warp] = value;
    __syncthreads();
    const REAL largest = warp_max(lane < warps ? partial[lane] : -REAL_INFINITY);
    __syncthreads();
    return largest;
}

#endif  // MINIDL_COMMON_CUH
