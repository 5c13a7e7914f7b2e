// ---- versions (written by tables.py) ------------------------------------------------------------
// In float and int, on sm_80; in brackets registers on all architectures. For each output
// of a workload (workloads/): bytes that threads load from and store to global memory, bytes of
// the sectors that their warps touch for them, FLOPs of the definition.
// kernel                                   registers  shared occupancy   bytes  sectors  FLOPs
// reductions_sum_v1                       28 (25-38)       0      100%    8196 6.554e+04   2048
//     next: a block for each sum, whose threads read neighbours (rows and columns apart)
// reductions_rows_v2                      23 (22-24)    1024      100%    8196     8224   2048
//     next: sums meet by shuffles: two barriers instead of ten, and four loads on their way at a time
// reductions_rows_v3                      29 (28-33)     128      100%    8196     8224   2048
// reductions_columns_v2                   32 (30-34)    1024      100%    1028     1028    256
// ---- end of versions ----------------------------------------------------------------------------
// Sums over a run of axes: an array (a, r, b) becomes (a, b).
//
// One number in for each addition: only memory counts, and that all of its threads and of its width are busy. Sums
// are as accurate as pairwise ones (sums.cuh), and in a fixed order: no atomics, the same bits in every run.
#include "common.cuh"
#include "sums.cuh"

// Version 1: one thread for each sum. Where b = 1 the threads of a warp read places r apart, and a sum of
// everything is the work of a single thread.
// next: a block for each sum, whose threads read neighbours (rows and columns apart)
extern "C" __global__ void __launch_bounds__(256) reductions_sum_v1(
    const REAL* __restrict__ x, REAL* __restrict__ y, INDEX outputs, INDEX r, INDEX b) {
    for (INDEX at = first_index(); at < outputs; at += index_step()) {
        const REAL* column = x + at / b * r * b + at % b;
        Sum sum = empty_sum();
        for (INDEX k = 0; k < r; ++k) add_to(sum, column[k * b]);
        y[at] = value_of(sum);
    }
}

// Version 2, b = 1: a block for each row, or, where rows are few and long, for each piece of a row; the pieces'
// sums are summed by a second launch. Threads read neighbours; then halves are added to halves in shared memory,
// a barrier at each of the eight steps.
// next: sums meet by shuffles: two barriers instead of ten, and four loads on their way at a time
extern "C" __global__ void __launch_bounds__(256) reductions_rows_v2(
    const REAL* __restrict__ x, REAL* __restrict__ y, INDEX rows, INDEX r, INDEX piece) {
    __shared__ REAL partial[256];
    const INDEX pieces = (r + piece - 1) / piece;
    for (INDEX at = blockIdx.x; at < rows * pieces; at += gridDim.x) {
        const INDEX begin = at % pieces * piece, end = min(r, begin + piece);
        const REAL* row = x + at / pieces * r;
        Sum sum = empty_sum();
        for (INDEX k = begin + threadIdx.x; k < end; k += blockDim.x) add_to(sum, row[k]);
        partial[threadIdx.x] = value_of(sum);
        __syncthreads();
        for (int half = blockDim.x / 2; half > 0; half /= 2) {
            if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
            __syncthreads();
        }
        if (threadIdx.x == 0) y[at] = partial[0];
        __syncthreads();  // the next row's sums come to the same place
    }
}

// Version 3, b = 1: the sums meet by shuffles, from register to register, and only one number of each warp goes
// through shared memory: two barriers instead of ten. Each thread has four numbers on their way at a time.
extern "C" __global__ void __launch_bounds__(256) reductions_rows_v3(
    const REAL* __restrict__ x, REAL* __restrict__ y, INDEX rows, INDEX r, INDEX piece) {
    __shared__ REAL partial[WARP];
    const INDEX pieces = (r + piece - 1) / piece;
    for (INDEX at = blockIdx.x; at < rows * pieces; at += gridDim.x) {
        const INDEX begin = at % pieces * piece, end = min(r, begin + piece);
        const REAL* row = x + at / pieces * r;
        Sum sum = empty_sum();
        INDEX k = begin + threadIdx.x;
        for (; k + 3 * (INDEX)blockDim.x < end; k += 4 * (INDEX)blockDim.x) {
            const REAL first = row[k], second = row[k + blockDim.x];
            const REAL third = row[k + 2 * blockDim.x], fourth = row[k + 3 * blockDim.x];
            add_to(sum, (first + second) + (third + fourth));
        }
        for (; k < end; k += blockDim.x) add_to(sum, row[k]);
        const REAL total = block_sum((REAL)value_of(sum), partial);
        if (threadIdx.x == 0) y[at] = total;
    }
}

// Version 2, b > 1: the 32 threads of a block's row have neighbouring columns, so that loads are of whole lines;
// its 8 rows take every 8th element of their columns, of one piece of r. The rows' sums meet in shared memory.
// y is (a, pieces, b): a second launch sums over the pieces.
#define COLUMN_ROWS 8
extern "C" __global__ void __launch_bounds__(256) reductions_columns_v2(
    const REAL* __restrict__ x, REAL* __restrict__ y, INDEX a, INDEX r, INDEX b, INDEX piece) {
    __shared__ REAL partial[COLUMN_ROWS][WARP];
    const INDEX pieces = (r + piece - 1) / piece, column = (INDEX)blockIdx.x * WARP + threadIdx.x;
    for (INDEX at = blockIdx.y; at < a * pieces; at += gridDim.y) {
        const INDEX begin = at % pieces * piece, end = min(r, begin + piece);
        const REAL* slab = x + at / pieces * r * b;
        Sum sum = empty_sum();
        for (INDEX k = begin + threadIdx.y; column < b && k < end; k += COLUMN_ROWS)
            add_to(sum, slab[k * b + column]);
        partial[threadIdx.y][threadIdx.x] = value_of(sum);
        __syncthreads();
        if (threadIdx.y == 0 && column < b) {
            REAL total = 0;
            for (int row = 0; row < COLUMN_ROWS; ++row) total += partial[row][threadIdx.x];
            y[at * b + column] = total;
        }
        __syncthreads();
    }
}
