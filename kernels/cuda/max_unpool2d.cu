// ---- versions (written by tables.py) ------------------------------------------------------------
// In float and int, on sm_80; in brackets registers on all architectures. For each output
// of a workload (workloads/): bytes that threads load from and store to global memory, bytes of
// the sectors that their warps touch for them, FLOPs of the definition.
// kernel                                   registers  shared occupancy   bytes  sectors  FLOPs
// max_unpool2d_put_v1                     30 (30-38)       0      100%       4      9.5      0
//     next: pixels that are named twice get the last value, in every run
// max_unpool2d_last                       15 (14-31)       0      100%       3      8.5      0
// max_unpool2d_put_v2                     24 (19-26)       0      100%       9    14.37      0
// max_unpool2d_stayed                     28 (28-31)       0      100%      13       35      0
// max_unpool2d_gather                     28 (26-32)       0      100%      16       38      0
// max_unpool2d_scatter                    17 (17-40)       0      100%       5    10.27   0.25
// ---- end of versions ----------------------------------------------------------------------------
// Max unpooling and what derivatives of pooling are made of: reading planes at given pixels, and writing to them.
//
//   put       y[p, index[p,k]] = x[p,k], zeros elsewhere; where a pixel is named twice the last value stays
//   stayed    whether x[p,k] is the value that stayed
//   gather    y[p,k] = x[p, index[p,k]]
//   scatter   y[p, index[p,k]] += x[p,k]
//
// p is a plane, one (n, c); planes have `pixels` pixels, and `places` numbers are read from or written to each.
#include "common.cuh"

// Version 1: each value is stored at its pixel. y must hold zeros before. Right where no pixel is named twice, as
// after pooling with windows side by side; where one is, two threads write to one place and nobody knows who wins.
// next: pixels that are named twice get the last value, in every run
extern "C" __global__ void __launch_bounds__(256) max_unpool2d_put_v1(
    const REAL* __restrict__ x, const long long* __restrict__ index, REAL* __restrict__ y, INDEX count,
    INDEX places, INDEX pixels) {
    for (INDEX at = first_index(); at < count; at += index_step())
        y[at / places * pixels + (INDEX)index[at]] = x[at];
}

// Version 2, first half: the last one that names a pixel. last[pixel] becomes the largest 1 + k that names it; it
// must hold zeros before. The maximum does not depend on the order, and integer atomics are done by the cache.
extern "C" __global__ void __launch_bounds__(256) max_unpool2d_last(
    const long long* __restrict__ index, int* __restrict__ last, INDEX count, INDEX places, INDEX pixels) {
    for (INDEX at = first_index(); at < count; at += index_step())
        atomicMax(&last[at / places * pixels + (INDEX)index[at]], (int)(at % places + 1));
}

// Version 2, second half: each pixel fetches its value, or 0. Every pixel is written once, in order, with no zeros
// before, and the result is the same in every run.
extern "C" __global__ void __launch_bounds__(256) max_unpool2d_put_v2(
    const REAL* __restrict__ x, const int* __restrict__ last, REAL* __restrict__ y, INDEX count, INDEX places,
    INDEX pixels) {
    for (INDEX at = first_index(); at < count; at += index_step()) {
        const int winner = last[at];
        y[at] = winner ? x[at / pixels * places + winner - 1] : (REAL)0;
    }
}

// 1 where the value that names a pixel is the last one to do so, else 0.
extern "C" __global__ void __launch_bounds__(256) max_unpool2d_stayed(
    const long long* __restrict__ index, const int* __restrict__ last, bool* __restrict__ stayed, INDEX count,
    INDEX places, INDEX pixels) {
    for (INDEX at = first_index(); at < count; at += index_step())
        stayed[at] = last[at / places * pixels + (INDEX)index[at]] == at % places + 1;
}

// Reads wander over one plane, which lies in the cache; writes go to neighbouring places.
extern "C" __global__ void __launch_bounds__(256) max_unpool2d_gather(
    const REAL* __restrict__ x, const long long* __restrict__ index, REAL* __restrict__ y, INDEX count,
    INDEX places, INDEX pixels) {
    for (INDEX at = first_index(); at < count; at += index_step())
        y[at] = x[at / places * pixels + (INDEX)index[at]];
}

// A pixel may be named by any number of values, so the additions are atomic, and in double: in whatever order they
// are done, floats come out the same but for rare ties of rounding. total must hold zeros.
extern "C" __global__ void __launch_bounds__(256) max_unpool2d_scatter(
    const REAL* __restrict__ x, const long long* __restrict__ index, double* __restrict__ total, INDEX count,
    INDEX places, INDEX pixels) {
    for (INDEX at = first_index(); at < count; at += index_step())
        atomicAdd(&total[at / places * pixels + (INDEX)index[at]], (double)x[at]);
}
