// ---- versions (written by tables.py) ------------------------------------------------------------
// In float and int, on sm_80; in brackets registers on all architectures. For each output
// of a workload (workloads/): bytes that threads load from and store to global memory, bytes of
// the sectors that their warps touch for them, FLOPs of the definition.
// kernel                                   registers  shared occupancy   bytes  sectors  FLOPs
// interpolate_forward_v1                  64 (40-64)       0       50%      68       38     12
//     next: taps stay in registers for many planes
// interpolate_forward_v2                  57 (57-61)       0       50%      52       34     12
//     next: nearest only: a copy without weights
// interpolate_forward_v3                  14 (14-20)       0      100%      16       11      0
// interpolate_backward_v1                 64 (48-64)       0       50%     320      200     40
//     next: every pixel gathers from the outputs that read it: no atomics, a fixed order
// interpolate_backward_v2                 66 (48-72)       0       38%     268    738.2     40
// ---- end of versions ----------------------------------------------------------------------------
// Resampling: along each axis, output i is a weighted sum of few input pixels, its taps.
//
//   forward   y[i,j] = sum over b of hw[b,j] * (sum over a of vw[a,i] * x[vi[a,i], hi[b,j]])
//   backward  dx[r,c] = sum over i of v * (sum over j of h * g[i,j]), over the outputs that read row r, column c
//
// Nearest has one tap on each axis and no weights, bilinear two, bicubic four. Tables of the taps lie tap by tap:
// index and weight of tap a of output i at a*oh + i. Shapes: x and dx (planes, h, w), y and g (planes, oh, ow).
#include "common.cuh"

#define MOST_TAPS 4

// Version 1: one thread for each output pixel; tables are read again in each plane.
// next: taps stay in registers for many planes
extern "C" __global__ void __launch_bounds__(256, 2) interpolate_forward_v1(
    const REAL* __restrict__ x, REAL* __restrict__ y, const int* __restrict__ v_index,
    const REAL* __restrict__ v_weight /* or null */, const int* __restrict__ h_index,
    const REAL* __restrict__ h_weight /* or null */, int v_taps, int h_taps, INDEX count, int h, int w, int oh,
    int ow) {
    for (INDEX at = first_index(); at < count; at += index_step()) {
        const int j = at % ow, i = at / ow % oh;
        const REAL* plane = x + at / ow / oh * h * w;
        REAL total = 0;
        for (int b = 0; b < h_taps; ++b) {
            const int column = h_index[b * ow + j];
            REAL of_column = 0;
            for (int a = 0; a < v_taps; ++a) {
                const REAL value = plane[(INDEX)v_index[a * oh + i] * w + column];
                of_column += v_weight ? v_weight[a * oh + i] * value : value;
            }
            total += h_weight ? h_weight[b * ow + j] * of_column : of_column;
        }
        y[at] = total;
    }
}

// Version 2: a thread computes one output place of many planes. Its taps are read once and stay in registers, and
// what is left in the loop are the pixels. At most MOST_TAPS taps on each axis: loops of fixed length, so that
// the arrays can be registers.
// next: nearest only: a copy without weights
extern "C" __global__ void __launch_bounds__(256) interpolate_forward_v2(
    const REAL* __restrict__ x, REAL* __restrict__ y, const int* __restrict__ v_index,
    const REAL* __restrict__ v_weight /* or null */, const int* __restrict__ h_index,
    const REAL* __restrict__ h_weight /* or null */, int v_taps, int h_taps, int planes, int h, int w, int oh,
    int ow) {
    const int j = blockIdx.x * blockDim.x + threadIdx.x, i = blockIdx.y * blockDim.y + threadIdx.y;
    if (j >= ow || i >= oh) return;
    int rows[MOST_TAPS], columns[MOST_TAPS];
    REAL vertical[MOST_TAPS], horizontal[MOST_TAPS];
#pragma unroll
    for (int t = 0; t < MOST_TAPS; ++t) {
        rows[t] = t < v_taps ? v_index[t * oh + i] : 0;
        vertical[t] = t < v_taps && v_weight ? v_weight[t * oh + i] : (REAL)1;
        columns[t] = t < h_taps ? h_index[t * ow + j] : 0;
        horizontal[t] = t < h_taps && h_weight ? h_weight[t * ow + j] : (REAL)1;
    }
    for (int plane = blockIdx.z; plane < planes; plane += gridDim.z) {
        const REAL* image = x + (INDEX)plane * h * w;
        REAL total = 0;
#pragma unroll
        for (int b = 0; b < MOST_TAPS; ++b) {
            if (b >= h_taps) break;
            REAL of_column = 0;
#pragma unroll
            for (int a = 0; a < MOST_TAPS; ++a)
                if (a < v_taps) of_column += vertical[a] * image[(INDEX)rows[a] * w + columns[b]];
            total += horizontal[b] * of_column;
        }
        y[((INDEX)plane * oh + i) * ow + j] = total;
    }
}

// Version 3, nearest only: no arithmetic is left, a thread copies one pixel of many planes.
extern "C" __global__ void __launch_bounds__(256) interpolate_forward_v3(
    const REAL* __restrict__ x, REAL* __restrict__ y, const int* __restrict__ v_index,
    const int* __restrict__ h_index, int planes, int h, int w, int oh, int ow) {
    const int j = blockIdx.x * blockDim.x + threadIdx.x, i = blockIdx.y * blockDim.y + threadIdx.y;
    if (j >= ow || i >= oh) return;
    const INDEX pixel = (INDEX)v_index[i] * w + h_index[j];
    for (int plane = blockIdx.z; plane < planes; plane += gridDim.z)
        y[((INDEX)plane * oh + i) * ow + j] = x[(INDEX)plane * h * w + pixel];
}

// ---------------------------------------------------------------------------------------------------------------
// Backward
// ---------------------------------------------------------------------------------------------------------------
// Version 1: one thread for each output adds to the pixels that it read. dx must hold zeros; many outputs read one
// pixel, so the additions are atomic, and their order, hence the last bits, is not the same in every run.
// next: every pixel gathers from the outputs that read it: no atomics, a fixed order
extern "C" __global__ void __launch_bounds__(256, 2) interpolate_backward_v1(
    const REAL* __restrict__ g, REAL* __restrict__ dx, const int* __restrict__ v_index,
    const REAL* __restrict__ v_weight /* or null */, const int* __restrict__ h_index,
    const REAL* __restrict__ h_weight /* or null */, int v_taps, int h_taps, INDEX count, int h, int w, int oh,
    int ow) {
    for (INDEX at = first_index(); at < count; at += index_step()) {
        const int j = at % ow, i = at / ow % oh;
        REAL* plane = dx + at / ow / oh * h * w;
        for (int b = 0; b < h_taps; ++b) {
            const REAL of_column = h_weight ? h_weight[b * ow + j] * g[at] : g[at];
            for (int a = 0; a < v_taps; ++a) {
                const REAL value = v_weight ? v_weight[a * oh + i] * of_column : of_column;
                atomicAdd(&plane[(INDEX)v_index[a * oh + i] * w + h_index[b * ow + j]], value);
            }
        }
    }
}

// Version 2: one thread for each pixel sums over the outputs that read it: the same matrices, transposed, as lists
// (row r is read by the entries v_start[r] ... v_start[r+1] - 1 of v_output and v_weight). Each pixel is written
// once, without atomics and zeros before, and sums in a fixed order.
extern "C" __global__ void __launch_bounds__(256, 2) interpolate_backward_v2(
    const REAL* __restrict__ g, REAL* __restrict__ dx, const int* __restrict__ v_start,
    const int* __restrict__ v_output, const REAL* __restrict__ v_weight /* or null */,
    const int* __restrict__ h_start, const int* __restrict__ h_output,
    const REAL* __restrict__ h_weight /* or null */, INDEX count, int h, int w, int oh, int ow) {
    for (INDEX at = first_index(); at < count; at += index_step()) {
        const int column = at % w, row = at / w % h;
        const REAL* plane = g + at / w / h * oh * ow;
        REAL total = 0;
        for (int a = v_start[row]; a < v_start[row + 1]; ++a) {
            const REAL* line = plane + (INDEX)v_output[a] * ow;
            REAL of_row = 0;
            for (int b = h_start[column]; b < h_start[column + 1]; ++b) {
                const REAL value = line[h_output[b]];
                of_row += h_weight ? h_weight[b] * value : value;
            }
            total += v_weight ? v_weight[a] * of_row : of_row;
        }
        dx[at] = total;
    }
}
