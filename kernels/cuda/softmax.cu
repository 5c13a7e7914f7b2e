// ---- versions (written by tables.py) ------------------------------------------------------------
// In float and int, on sm_80; in brackets registers on all architectures. For each output
// of a workload (workloads/): bytes that threads load from and store to global memory, bytes of
// the sectors that their warps touch for them, FLOPs of the definition.
// kernel                                   registers  shared occupancy   bytes  sectors  FLOPs
// softmax_forward_v1                      32 (32-46)       0      100%      16       16      5
//     next: maximum and sum in one pass: z is read twice instead of three times
// softmax_log_forward_v1                  61 (56-86)       0       50%      16       16  5.125
//     next: the same
// softmax_forward_v2                      24 (24-32)       0      100%      12       12      5
//     next: a warp for each contiguous line, whose lanes read neighbours
// softmax_log_forward_v2                  56 (56-72)       0       50%      12       12  5.125
//     next: the same
// softmax_forward_v3                      24 (24-33)       0      100%      12       12      5
//     next: a block for each line, so that few long lines keep many threads busy
// softmax_log_forward_v3                  30 (28-32)       0      100%      12       12  5.008
//     next: the same
// softmax_forward_v4                      22 (22-24)     128      100%      12       12      5
// softmax_log_forward_v4                  20 (19-24)     128      100%      12       12      5
// softmax_backward_v1                     32 (32-63)       0      100%      20       20      4
//     next: a warp for each contiguous line, whose lanes read neighbours
// softmax_log_backward_v1                 32 (32-64)       0      100%      16       16      4
//     next: the same
// softmax_backward_v2                     55 (43-57)       0       50%      20       20      4
//     next: a block for each line, so that few long lines keep many threads busy
// softmax_log_backward_v2                 34 (34-39)       0       75%      16       16      4
//     next: the same
// softmax_backward_v3                     22 (19-23)     128      100%      20       20      4
// softmax_log_backward_v3                 21 (18-21)     128      100%      16       16      4
// ---- end of versions ----------------------------------------------------------------------------
// Softmax and its logarithm along one axis, and their cotangents.
//
//   softmax      p = e^(z - max z) / sum of e^(z - max z)      dz = p (g - sum of g p)
//   log_softmax  log p = (z - max z) - log of that sum         dz = g - p sum of g
//
// An array (outer, extent, inner) has outer*inner lines along the middle axis, whose elements lie `inner` apart.
// The classes of a pixel are such a line with inner = H*W: there, neighbouring threads have neighbouring pixels,
// and all loads are of whole lines of memory. With inner = 1 a line is contiguous, and it is better shared out.
#include "common.cuh"
#include "sums.cuh"

// The maximum of numbers that come one by one, and the sum of e^(z - maximum).
struct Online {
    REAL largest;
    Sum sum;
};

__device__ __forceinline__ Online empty_online() {
    Online state;
    state.largest = -REAL_INFINITY;
    state.sum = empty_sum();
    return state;
}

// When a new maximum comes, what was added so far is scaled. e^(z - z) is 1, or NaN for an infinity, as it must be;
// -infinity adds nothing (as a first value it would give e^(-inf + inf)).
__device__ __forceinline__ void take(Online& state, REAL z) {
    if (z > state.largest || z != z) {
        scale_sum(state.sum, MATH(exp)(state.largest - z));
        add_to(state.sum, MATH(exp)(z - z));
        state.largest = z;
    } else if (z != -REAL_INFINITY) {
        add_to(state.sum, MATH(exp)(z - state.largest));
    }
}

// p or log p of one element.
__device__ __forceinline__ REAL result_of(REAL z, REAL largest, REAL sum, bool logarithm) {
    return logarithm ? z - largest - MATH(log)(sum) : MATH(exp)(z - largest) / sum;
}

// A line by one thread in three passes: maximum, sum, results.
__device__ __forceinline__ void line_in_three_passes(
    const REAL* z, REAL* p, int extent, INDEX inner, bool logarithm) {
    REAL largest = -REAL_INFINITY;
    for (int k = 0; k < extent; ++k) largest = larger(z[k * inner], largest);
    Sum sum = empty_sum();
    for (int k = 0; k < extent; ++k) add_to(sum, MATH(exp)(z[k * inner] - largest));
    const REAL total = value_of(sum);
    for (int k = 0; k < extent; ++k) p[k * inner] = result_of(z[k * inner], largest, total, logarithm);
}

// The same in two passes: maximum and sum at once.
__device__ __forceinline__ void line_in_two_passes(
    const REAL* z, REAL* p, int extent, INDEX inner, bool logarithm) {
    Online state = empty_online();
    for (int k = 0; k < extent; ++k) take(state, z[k * inner]);
    const REAL total = value_of(state.sum);
    for (int k = 0; k < extent; ++k) p[k * inner] = result_of(z[k * inner], state.largest, total, logarithm);
}

// A contiguous line by a warp: every lane takes each 32nd element, then maxima and sums meet by shuffles. A lane
// without elements has the sum 0 below the maximum -infinity.
__device__ __forceinline__ void line_by_warp(const REAL* z, REAL* p, int extent, bool logarithm) {
    const int lane = threadIdx.x % WARP;
    Online state = empty_online();
    for (int k = lane; k < extent; k += WARP) take(state, z[k]);
    const REAL largest = warp_max(state.largest);
    const REAL total = warp_sum((REAL)value_of(state.sum) * MATH(exp)(state.largest - largest));
    for (int k = lane; k < extent; k += WARP) p[k] = result_of(z[k], largest, total, logarithm);
}

// A contiguous line by a block.
__device__ __forceinline__ void line_by_block(const REAL* z, REAL* p, int extent, bool logarithm, REAL* partial) {
    Online state = empty_online();
    for (int k = threadIdx.x; k < extent; k += blockDim.x) take(state, z[k]);
    const REAL largest = block_max(state.largest, partial);
    const REAL total = block_sum((REAL)value_of(state.sum) * MATH(exp)(state.largest - largest), partial);
    for (int k = threadIdx.x; k < extent; k += blockDim.x) p[k] = result_of(z[k], largest, total, logarithm);
}

// Version 1: one thread for each line, three passes over it.
// next: maximum and sum in one pass: z is read twice instead of three times
extern "C" __global__ void __launch_bounds__(256) softmax_forward_v1(
    const REAL* __restrict__ z, REAL* __restrict__ p, INDEX lines, int extent, INDEX inner) {
    for (INDEX line = first_index(); line < lines; line += index_step()) {
        const INDEX start = line / inner * extent * inner + line % inner;
        line_in_three_passes(z + start, p + start, extent, inner, false);
    }
}
// next: the same
extern "C" __global__ void __launch_bounds__(256, 2) softmax_log_forward_v1(
    const REAL* __restrict__ z, REAL* __restrict__ p, INDEX lines, int extent, INDEX inner) {
    for (INDEX line = first_index(); line < lines; line += index_step()) {
        const INDEX start = line / inner * extent * inner + line % inner;
        line_in_three_passes(z + start, p + start, extent, inner, true);
    }
}

// Version 2: maximum and sum in one pass ("online", Milakov and Gimelshein 2018), so that z is read twice instead
// of three times. It pays for that with one exponential for each new maximum.
// next: a warp for each contiguous line, whose lanes read neighbours
extern "C" __global__ void __launch_bounds__(256, 2) softmax_forward_v2(
    const REAL* __restrict__ z, REAL* __restrict__ p, INDEX lines, int extent, INDEX inner) {
    for (INDEX line = first_index(); line < lines; line += index_step()) {
        const INDEX start = line / inner * extent * inner + line % inner;
        line_in_two_passes(z + start, p + start, extent, inner, false);
    }
}
// next: the same
extern "C" __global__ void __launch_bounds__(256, 2) softmax_log_forward_v2(
    const REAL* __restrict__ z, REAL* __restrict__ p, INDEX lines, int extent, INDEX inner) {
    for (INDEX line = first_index(); line < lines; line += index_step()) {
        const INDEX start = line / inner * extent * inner + line % inner;
        line_in_two_passes(z + start, p + start, extent, inner, true);
    }
}

// Version 3, for contiguous lines: a warp for each. In versions 1 and 2 the 32 threads of a warp would read 32
// lines at places `extent` apart, a line of memory for each number; here they read neighbours.
// next: a block for each line, so that few long lines keep many threads busy
extern "C" __global__ void __launch_bounds__(256, 2) softmax_forward_v3(
    const REAL* __restrict__ z, REAL* __restrict__ p, INDEX lines, int extent) {
    for (INDEX line = first_index() / WARP; line < lines; line += index_step() / WARP)
        line_by_warp(z + line * extent, p + line * extent, extent, false);
}
// next: the same
extern "C" __global__ void __launch_bounds__(256, 2) softmax_log_forward_v3(
    const REAL* __restrict__ z, REAL* __restrict__ p, INDEX lines, int extent) {
    for (INDEX line = first_index() / WARP; line < lines; line += index_step() / WARP)
        line_by_warp(z + line * extent, p + line * extent, extent, true);
}

// Version 4, for contiguous lines of thousands: a block for each, so that few lines keep many threads busy.
extern "C" __global__ void __launch_bounds__(256) softmax_forward_v4(
    const REAL* __restrict__ z, REAL* __restrict__ p, INDEX lines, int extent) {
    __shared__ REAL partial[WARP];
    for (INDEX line = blockIdx.x; line < lines; line += gridDim.x)
        line_by_block(z + line * extent, p + line * extent, extent, false, partial);
}
extern "C" __global__ void __launch_bounds__(256) softmax_log_forward_v4(
    const REAL* __restrict__ z, REAL* __restrict__ p, INDEX lines, int extent) {
    __shared__ REAL partial[WARP];
    for (INDEX line = blockIdx.x; line < lines; line += gridDim.x)
        line_by_block(z + line * extent, p + line * extent, extent, true, partial);
}

// ---------------------------------------------------------------------------------------------------------------
// Backward: p is what the forward gave
// ---------------------------------------------------------------------------------------------------------------
__device__ __forceinline__ REAL summand(REAL g, REAL p, bool logarithm) { return logarithm ? g : g * p; }
__device__ __forceinline__ REAL cotangent(REAL g, REAL p, REAL sum, bool logarithm) {
    return logarithm ? g - MATH(exp)(p) * sum : p * (g - sum);
}

__device__ __forceinline__ void line_backward(
    const REAL* g, const REAL* p, REAL* dz, int extent, INDEX inner, bool logarithm) {
    Sum sum = empty_sum();
    for (int k = 0; k < extent; ++k) add_to(sum, summand(g[k * inner], p[k * inner], logarithm));
    const REAL total = value_of(sum);
    for (int k = 0; k < extent; ++k) dz[k * inner] = cotangent(g[k * inner], p[k * inner], total, logarithm);
}

__device__ __forceinline__ void line_backward_by_warp(
    const REAL* g, const REAL* p, REAL* dz, int extent, bool logarithm) {
    Sum sum = empty_sum();
    for (int k = threadIdx.x % WARP; k < extent; k += WARP) add_to(sum, summand(g[k], p[k], logarithm));
    const REAL total = warp_sum((REAL)value_of(sum));
    for (int k = threadIdx.x % WARP; k < extent; k += WARP) dz[k] = cotangent(g[k], p[k], total, logarithm);
}

__device__ __forceinline__ void line_backward_by_block(
    const REAL* g, const REAL* p, REAL* dz, int extent, bool logarithm, REAL* partial) {
    Sum sum = empty_sum();
    for (int k = threadIdx.x; k < extent; k += blockDim.x) add_to(sum, summand(g[k], p[k], logarithm));
    const REAL total = block_sum((REAL)value_of(sum), partial);
    for (int k = threadIdx.x; k < extent; k += blockDim.x) dz[k] = cotangent(g[k], p[k], total, logarithm);
}

// Version 1: one thread for each line.
// next: a warp for each contiguous line, whose lanes read neighbours
extern "C" __global__ void __launch_bounds__(256) softmax_backward_v1(
    const REAL* __restrict__ g, const REAL* __restrict__ p, REAL* __restrict__ dz, INDEX lines, int extent,
    INDEX inner) {
    for (INDEX line = first_index(); line < lines; line += index_step()) {
        const INDEX start = line / inner * extent * inner + line % inner;
        line_backward(g + start, p + start, dz + start, extent, inner, false);
    }
}
// next: the same
extern "C" __global__ void __launch_bounds__(256, 2) softmax_log_backward_v1(
    const REAL* __restrict__ g, const REAL* __restrict__ p, REAL* __restrict__ dz, INDEX lines, int extent,
    INDEX inner) {
    for (INDEX line = first_index(); line < lines; line += index_step()) {
        const INDEX start = line / inner * extent * inner + line % inner;
        line_backward(g + start, p + start, dz + start, extent, inner, true);
    }
}

// Version 2, for contiguous lines: a warp for each, which reads neighbours.
// next: a block for each line, so that few long lines keep many threads busy
extern "C" __global__ void __launch_bounds__(256, 2) softmax_backward_v2(
    const REAL* __restrict__ g, const REAL* __restrict__ p, REAL* __restrict__ dz, INDEX lines, int extent) {
    for (INDEX line = first_index() / WARP; line < lines; line += index_step() / WARP)
        line_backward_by_warp(g + line * extent, p + line * extent, dz + line * extent, extent, false);
}
// next: the same
extern "C" __global__ void __launch_bounds__(256, 2) softmax_log_backward_v2(
    const REAL* __restrict__ g, const REAL* __restrict__ p, REAL* __restrict__ dz, INDEX lines, int extent) {
    for (INDEX line = first_index() / WARP; line < lines; line += index_step() / WARP)
        line_backward_by_warp(g + line * extent, p + line * extent, dz + line * extent, extent, true);
}

// Version 3, for contiguous lines of thousands: a block for each.
extern "C" __global__ void __launch_bounds__(256) softmax_backward_v3(
    const REAL* __restrict__ g, const REAL* __restrict__ p, REAL* __restrict__ dz, INDEX lines, int extent) {
    __shared__ REAL partial[WARP];
    for (INDEX line = blockIdx.x; line < lines; line += gridDim.x)
        line_backward_by_block(g + line * extent, p + line * extent, dz + line * extent, extent, false, partial);
}
extern "C" __global__ void __launch_bounds__(256) softmax_log_backward_v3(
    const REAL* __restrict__ g, const REAL* __restrict__ p, REAL* __restrict__ dz, INDEX lines, int extent) {
    __shared__ REAL partial[WARP];
    for (INDEX line = blockIdx.x; line < lines; line += gridDim.x)
        line_backward_by_block(g + line * extent, p + line * extent, dz + line * extent, extent, true, partial);
}
