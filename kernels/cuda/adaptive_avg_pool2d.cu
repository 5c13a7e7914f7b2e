// ---- versions (written by tables.py) ------------------------------------------------------------
// In float and int, on sm_80; in brackets registers on all architectures. For each output
// of a workload (workloads/): bytes that threads load from and store to global memory, bytes of
// the sectors that their warps touch for them, FLOPs of the definition.
// kernel                                   registers  shared occupancy   bytes  sectors  FLOPs
// adaptive_avg_pool2d_forward_v1          40 (35-44)       0       75%    2196 1.653e+04    513
//     next: a warp for each output, whose lanes read neighbouring pixels
// adaptive_avg_pool2d_forward_v2          38 (37-40)       0       75%    2564     2208    513
//     next: a block for each output, so that even few outputs keep many threads busy
// adaptive_avg_pool2d_forward_v3          28 (28-32)     128      100%    6148     3104    513
// adaptive_avg_pool2d_backward_v1         29 (24-30)       0      100%   8.414    36.41  1.002
//     next: every pixel gathers its shares: no atomics, a fixed order, each pixel written once
// adaptive_avg_pool2d_backward_v2         38 (37-55)       0       75%      40       19  1.002
// ---- end of versions ----------------------------------------------------------------------------
// Averages over windows that differ in size: output i of an axis looks at the pixels [first[i], last[i]).
//
//   forward   y[i,j] = mean of x over the rows of window i and the columns of window j
//   backward  dx[pixel] = sum of g[i,j] / (pixels of window (i,j)) over the windows that hold the pixel
//
// Shapes: x and dx (planes, h, w), y and g (planes, oh, ow). One output over the whole plane, global average
// pooling, is the hard case: few outputs, each of them a long sum.
#include "common.cuh"
#include "sums.cuh"

// Version 1: one thread for each output. With one output a plane, a GPU of many thousand threads has a few hundred
// at work, whose neighbours read places a plane apart: no two loads of a warp share a line of memory.
// next: a warp for each output, whose lanes read neighbouring pixels
extern "C" __global__ void __launch_bounds__(256, 2) adaptive_avg_pool2d_forward_v1(
    const REAL* __restrict__ x, REAL* __restrict__ y, const int* __restrict__ v_first,
    const int* __restrict__ v_last, const int* __restrict__ h_first, const int* __restrict__ h_last, INDEX count,
    int h, int w, int oh, int ow) {
    for (INDEX at = first_index(); at < count; at += index_step()) {
        const int j = at % ow, i = at / ow % oh;
        const REAL* plane = x + at / ow / oh * h * w;
        Sum sum = empty_sum();
        for (int row = v_first[i]; row < v_last[i]; ++row)
            for (int column = h_first[j]; column < h_last[j]; ++column)
                add_to(sum, plane[(INDEX)row * w + column]);
        y[at] = value_of(sum) / ((double)(v_last[i] - v_first[i]) * (h_last[j] - h_first[j]));
    }
}

// The part of a window's sum that falls to one of `members` threads: pixel number `member`, and every `members`-th
// after it, so that neighbours read neighbouring places.
__device__ __forceinline__ REAL part_of_window(
    const REAL* __restrict__ plane, int top, int left, int height, int width, int w, int member, int members) {
    Sum sum = empty_sum();
    for (int pixel = member; pixel < height * width; pixel += members)
        add_to(sum, plane[(INDEX)(top + pixel / width) * w + left + pixel % width]);
    return value_of(sum);
}

// Version 2: a warp for each output. Its 32 lanes read neighbouring pixels, one line of memory at a time, and add
// up what they found by shuffles, from register to register.
// next: a block for each output, so that even few outputs keep many threads busy
extern "C" __global__ void __launch_bounds__(256, 2) adaptive_avg_pool2d_forward_v2(
    const REAL* __restrict__ x, REAL* __restrict__ y, const int* __restrict__ v_first,
    const int* __restrict__ v_last, const int* __restrict__ h_first, const int* __restrict__ h_last, INDEX count,
    int h, int w, int oh, int ow) {
    for (INDEX at = first_index() / WARP; at < count; at += index_step() / WARP) {
        const int j = at % ow, i = at / ow % oh;
        const int height = v_last[i] - v_first[i], width = h_last[j] - h_first[j];
        const REAL part = part_of_window(
            x + at / ow / oh * h * w, v_first[i], h_first[j], height, width, w, threadIdx.x % WARP, WARP);
        const REAL total = warp_sum(part);
        if (threadIdx.x % WARP == 0) y[at] = total / ((REAL)height * width);
    }
}

// Version 3: a block for each output, for windows of thousands of pixels; its warps' sums meet in shared memory.
extern "C" __global__ void __launch_bounds__(256) adaptive_avg_pool2d_forward_v3(
    const REAL* __restrict__ x, REAL* __restrict__ y, const int* __restrict__ v_first,
    const int* __restrict__ v_last, const int* __restrict__ h_first, const int* __restrict__ h_last, INDEX count,
    int h, int w, int oh, int ow) {
    __shared__ REAL partial[WARP];
    for (INDEX at = blockIdx.x; at < count; at += gridDim.x) {
        const int j = at % ow, i = at / ow % oh;
        const int height = v_last[i] - v_first[i], width = h_last[j] - h_first[j];
        const REAL part = part_of_window(
            x + at / ow / oh * h * w, v_first[i], h_first[j], height, width, w, threadIdx.x, blockDim.x);
        const REAL total = block_sum(part, partial);
        if (threadIdx.x == 0) y[at] = total / ((REAL)height * width);
    }
}

// ---------------------------------------------------------------------------------------------------------------
// Backward
// ---------------------------------------------------------------------------------------------------------------
// Version 1: one thread for each output adds its share to all pixels of its window. dx must hold zeros; windows
// overlap by a pixel where sizes do not divide, so the additions are atomic.
// next: every pixel gathers its shares: no atomics, a fixed order, each pixel written once
extern "C" __global__ void __launch_bounds__(256) adaptive_avg_pool2d_backward_v1(
    const REAL* __restrict__ g, REAL* __restrict__ dx, const int* __restrict__ v_first,
    const int* __restrict__ v_last, const int* __restrict__ h_first, const int* __restrict__ h_last, INDEX count,
    int h, int w, int oh, int ow) {
    for (INDEX at = first_index(); at < count; at += index_step()) {
        const int j = at % ow, i = at / ow % oh;
        REAL* plane = dx + at / ow / oh * h * w;
        const REAL share = g[at] / ((REAL)(v_last[i] - v_first[i]) * (h_last[j] - h_first[j]));
        for (int row = v_first[i]; row < v_last[i]; ++row)
            for (int column = h_first[j]; column < h_last[j]; ++column)
                atomicAdd(&plane[(INDEX)row * w + column], share);
    }
}

// Version 2: one thread for each pixel. The windows that hold row `row` are v_begin[row] ... v_end[row] - 1, and
// likewise for columns. Every pixel is written once, neighbours by neighbours, in a fixed order of summation.
extern "C" __global__ void __launch_bounds__(256, 2) adaptive_avg_pool2d_backward_v2(
    const REAL* __restrict__ g, REAL* __restrict__ dx, const int* __restrict__ v_first,
    const int* __restrict__ v_last, const int* __restrict__ h_first, const int* __restrict__ h_last,
    const int* __restrict__ v_begin, const int* __restrict__ v_end, const int* __restrict__ h_begin,
    const int* __restrict__ h_end, INDEX count, int h, int w, int oh, int ow) {
    for (INDEX at = first_index(); at < count; at += index_step()) {
        const int column = at % w, row = at / w % h;
        const REAL* plane = g + at / w / h * oh * ow;
        REAL total = 0;
        for (int j = h_begin[column]; j < h_end[column]; ++j) {
            REAL of_column = 0;
            for (int i = v_begin[row]; i < v_end[row]; ++i)
                of_column += plane[(INDEX)i * ow + j] / ((REAL)(v_last[i] - v_first[i]) * (h_last[j] - h_first[j]));
            total += of_column;
        }
        dx[at] = total;
    }
}
