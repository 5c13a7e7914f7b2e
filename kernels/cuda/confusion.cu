// ---- versions (written by tables.py) ------------------------------------------------------------
// In float and int, on sm_80; in brackets registers on all architectures. For each output
// of a workload (workloads/): bytes that threads load from and store to global memory, bytes of
// the sectors that their warps touch for them, FLOPs of the definition.
// kernel                                   registers  shared occupancy   bytes  sectors  FLOPs
// confusion_v1                            12 (12-22)       0      100%      24    29.92      0
//     next: a block counts in shared memory, where fewer threads queue, and adds to the matrix once
// confusion_v2                            16 (16-24)       0      100%   17.95       18      0
// ---- end of versions ----------------------------------------------------------------------------
// The confusion matrix: matrix[i, j] = number of pixels of true class i that were predicted as class j.
//
// `truth` and `prediction` are class ids; pixels whose truth is `ignored` are left out (a number that is no class
// id where none is). Ids outside 0 ... classes - 1 are counted in `outside` (of the truth, of the prediction), not
// in the matrix. All are integers: the order of atomic additions changes nothing.
#include "common.cuh"

// Version 1: one thread for each pixel, one atomic addition to memory. Of ten thousand pixels at work at a time
// most belong to few pairs of classes, and queue for the same places.
// next: a block counts in shared memory, where fewer threads queue, and adds to the matrix once
extern "C" __global__ void __launch_bounds__(256) confusion_v1(
    const long long* __restrict__ truth, const long long* __restrict__ prediction,
    unsigned long long* __restrict__ matrix, unsigned long long* __restrict__ outside, INDEX count,
    long long classes, long long ignored) {
    for (INDEX at = first_index(); at < count; at += index_step()) {
        const long long i = truth[at], j = prediction[at];
        if (i == ignored) continue;
        const bool wrong_truth = i < 0 || i >= classes, wrong_prediction = j < 0 || j >= classes;
        if (wrong_truth) atomicAdd(&outside[0], 1ULL);
        if (wrong_prediction) atomicAdd(&outside[1], 1ULL);
        if (!wrong_truth && !wrong_prediction) atomicAdd(&matrix[i * classes + j], 1ULL);
    }
}

// Version 2: each block counts in shared memory, where an addition takes a tenth of the time and only 256 threads
// queue, and adds its counts to the matrix once. `counts` has classes * classes + 2 places. A block has at most
// 2^31 - 1 pixels.
extern "C" __global__ void __launch_bounds__(256) confusion_v2(
    const long long* __restrict__ truth, const long long* __restrict__ prediction,
    unsigned long long* __restrict__ matrix, unsigned long long* __restrict__ outside, INDEX count,
    long long classes, long long ignored) {
    extern __shared__ int counts[];
    const int pairs = (int)(classes * classes);
    for (int k = threadIdx.x; k < pairs + 2; k += blockDim.x) counts[k] = 0;
    __syncthreads();
    for (INDEX at = first_index(); at < count; at += index_step()) {
        const long long i = truth[at], j = prediction[at];
        if (i == ignored) continue;
        const bool wrong_truth = i < 0 || i >= classes, wrong_prediction = j < 0 || j >= classes;
        if (wrong_truth) atomicAdd(&counts[pairs], 1);
        if (wrong_prediction) atomicAdd(&counts[pairs + 1], 1);
        if (!wrong_truth && !wrong_prediction) atomicAdd(&counts[i * classes + j], 1);
    }
    __syncthreads();
    for (int k = threadIdx.x; k < pairs + 2; k += blockDim.x)
        if (counts[k]) atomicAdd(k < pairs ? &matrix[k] : &outside[k - pairs], (unsigned long long)counts[k]);
}
