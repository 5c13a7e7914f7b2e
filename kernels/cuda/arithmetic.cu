// ---- versions (written by tables.py) ------------------------------------------------------------
// In float and int, on sm_80; in brackets registers on all architectures. For each output
// of a workload (workloads/): bytes that threads load from and store to global memory, bytes of
// the sectors that their warps touch for them, FLOPs of the definition.
// kernel                                   registers  shared occupancy   bytes  sectors  FLOPs
// arithmetic_add_v1                       28 (26-30)       0      100%      12       12      1
//     next: 128-bit loads and stores, a quarter as many instructions for the same bytes
// arithmetic_add_v2                       32 (32-42)       0      100%      12       12      1
// ---- end of versions ----------------------------------------------------------------------------
// Sums of two arrays of one shape: residual connections, and cotangents that meet. Twelve bytes are moved for each
// addition of two floats: memory is all that counts.
#include "common.cuh"

// Version 1: one thread for each element.
// next: 128-bit loads and stores, a quarter as many instructions for the same bytes
extern "C" __global__ void __launch_bounds__(256) arithmetic_add_v1(
    const REAL* __restrict__ x, const REAL* __restrict__ y, REAL* __restrict__ sum, INDEX count) {
    for (INDEX i = first_index(); i < count; i += index_step()) sum[i] = x[i] + y[i];
}

// Version 2: 128 bits with each load and store, a quarter (of doubles half) as many instructions for the same
// bytes. The last count % VECTOR_WIDTH elements go one by one.
extern "C" __global__ void __launch_bounds__(256) arithmetic_add_v2(
    const VECTOR* __restrict__ x, const VECTOR* __restrict__ y, VECTOR* __restrict__ sum, INDEX count) {
    const REAL* left = reinterpret_cast<const REAL*>(x);
    const REAL* right = reinterpret_cast<const REAL*>(y);
    REAL* to = reinterpret_cast<REAL*>(sum);
    for (INDEX i = first_index(); i < count / VECTOR_WIDTH; i += index_step()) {
        REAL a[VECTOR_WIDTH], b[VECTOR_WIDTH];
        load_vector(a, left + i * VECTOR_WIDTH);
        load_vector(b, right + i * VECTOR_WIDTH);
#pragma unroll
        for (int k = 0; k < VECTOR_WIDTH; ++k) a[k] += b[k];
        store_vector(to + i * VECTOR_WIDTH, a);
    }
    const INDEX rest = count - count % VECTOR_WIDTH + first_index();
    if (rest < count) to[rest] = left[rest] + right[rest];
}
