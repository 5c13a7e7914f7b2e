// ---- versions (written by tables.py) ------------------------------------------------------------
// In float and int, on sm_80; in brackets registers on all architectures. For each output
// of a workload (workloads/): bytes that threads load from and store to global memory, bytes of
// the sectors that their warps touch for them, FLOPs of the definition.
// kernel                                   registers  shared occupancy   bytes  sectors  FLOPs
// max_pool2d_forward_v1                   31 (31-40)       0      100%      21       37      4
//     next: no divisions to find the window, and no test for each tap
// max_pool2d_forward_v2                   48 (48-62)       0       62%      21       38      4
//     next: 2x2 windows side by side: 128-bit loads, and no loop is left
// max_pool2d_forward_v2_wide              48 (48-62)       0       62%    1089     1945    289
// max_pool2d_forward_v3                   22 (22-26)       0      100%      21       28      4
// max_pool2d_backward_v1                  20 (20-40)       0      100%     2.5     5.25   0.25
//     next: every pixel asks its windows whether it won: no atomics, a fixed order, each pixel written once
// max_pool2d_backward_v2                  32 (30-34)       0      100%       6    6.992   0.25
//     next: windows side by side: one test for each pixel instead of kh*kw
// max_pool2d_backward_v2_wide             32 (30-34)       0      100%   80.28    103.2 0.0703
// max_pool2d_backward_v3                  22 (22-28)       0      100%       6    6.992   0.25
// ---- end of versions ----------------------------------------------------------------------------
// Max pooling: the largest value of each window and its tap u*kw + v; in the backward, each cotangent goes to the
// pixel that won its window.
//
//   forward   y[i,j] = max over (u,v) of x[i*sh - ph + u*dh, j*sw - pw + v*dw],  tap[i,j] = the winner's u*kw + v
//   backward  dx[pixel] = sum of g[i,j] over the windows (i,j) that the pixel won
//
// The first tap in row-major order wins a tie, a NaN wins over everything (the last of several), padding never
// wins. Shapes: x and dx (planes, h, w); best, tap and g (planes, oh, ow). Taps are bytes, and integers ("wide")
// where a window has more than 256. The operation does no arithmetic: all that counts is bytes moved, which are
// counted here for 2x2 windows and floats: 16 in and 5 out for each output.
#include "common.cuh"

// The taps [first, last) of a window starting at `start` that lie on an axis of `size` pixels.
__device__ __forceinline__ int first_tap(int start, int dilation) { return start >= 0 ? 0 : (dilation - 1 - start) / dilation; }
__device__ __forceinline__ int last_tap(int start, int size, int kernel, int dilation) {
    return min(kernel, (size - start + dilation - 1) / dilation);
}

__device__ __forceinline__ bool wins(REAL value, REAL best) { return value > best || value != value; }

// The window at output (i, j) of the plane that x points to: its taps that lie inside, without a test for each.
__device__ __forceinline__ int largest_in_window(
    const REAL* __restrict__ x, REAL* best, int i, int j, int h, int w, int kh, int kw, int sh, int sw, int ph,
    int pw, int dh, int dw) {
    const int top = i * sh - ph, left = j * sw - pw;
    const int u_first = first_tap(top, dh), u_last = last_tap(top, h, kh, dh);
    const int v_first = first_tap(left, dw), v_last = last_tap(left, w, kw, dw);
    REAL largest = -REAL_INFINITY;
    int number = u_first * kw + v_first;  // wins where nothing is larger than -infinity
    for (int u = u_first; u < u_last; ++u) {
        const REAL* row = x + (INDEX)(top + u * dh) * w + left;
        for (int v = v_first; v < v_last; ++v) {
            const REAL value = row[v * dw];
            if (wins(value, largest)) {
                largest = value;
                number = u * kw + v;
            }
        }
    }
    *best = largest;
    return number;
}

// Version 1: one thread for each window, in row-major order, so that the 32 threads of a warp read and write
// neighbouring places. Every tap is tested for lying on the image.
// next: no divisions to find the window, and no test for each tap
extern "C" __global__ void __launch_bounds__(256) max_pool2d_forward_v1(
    const REAL* __restrict__ x, REAL* __restrict__ best, unsigned char* __restrict__ tap, INDEX count, int h,
    int w, int oh, int ow, int kh, int kw, int sh, int sw, int ph, int pw, int dh, int dw) {
    for (INDEX at = first_index(); at < count; at += index_step()) {
        const int j = at % ow, i = at / ow % oh;
        const REAL* plane = x + at / ow / oh * h * w;
        REAL largest = -REAL_INFINITY;
        int number = -1;
        for (int u = 0; u < kh; ++u) {
            for (int v = 0; v < kw; ++v) {
                const int row = i * sh - ph + u * dh, column = j * sw - pw + v * dw;
                if (!inside(row, h) || !inside(column, w)) continue;
                const REAL value = plane[(INDEX)row * w + column];
                if (number < 0 || wins(value, largest)) {
                    largest = value;
                    number = u * kw + v;
                }
            }
        }
        best[at] = largest;
        tap[at] = number;
    }
}

// Version 2: three-dimensional blocks and grids give i, j and the plane without a division (a dozen instructions
// and more each), and the taps that lie inside are a range that is computed once instead of a test for each.
// next: 2x2 windows side by side: 128-bit loads, and no loop is left
extern "C" __global__ void __launch_bounds__(256, 2) max_pool2d_forward_v2(
    const REAL* __restrict__ x, REAL* __restrict__ best, unsigned char* __restrict__ tap, int planes, int h,
    int w, int oh, int ow, int kh, int kw, int sh, int sw, int ph, int pw, int dh, int dw) {
    const int j = blockIdx.x * blockDim.x + threadIdx.x;
    if (j >= ow) return;
    for (int plane = blockIdx.z; plane < planes; plane += gridDim.z) {
        for (int i = blockIdx.y * blockDim.y + threadIdx.y; i < oh; i += gridDim.y * blockDim.y) {
            const INDEX at = ((INDEX)plane * oh + i) * ow + j;
            tap[at] = largest_in_window(
                x + (INDEX)plane * h * w, best + at, i, j, h, w, kh, kw, sh, sw, ph, pw, dh, dw);
        }
    }
}

// Version 2 for windows of more than 256 taps: their numbers do not fit a byte.
extern "C" __global__ void __launch_bounds__(256, 2) max_pool2d_forward_v2_wide(
    const REAL* __restrict__ x, REAL* __restrict__ best, int* __restrict__ tap, int planes, int h, int w, int oh,
    int ow, int kh, int kw, int sh, int sw, int ph, int pw, int dh, int dw) {
    const int j = blockIdx.x * blockDim.x + threadIdx.x;
    if (j >= ow) return;
    for (int plane = blockIdx.z; plane < planes; plane += gridDim.z) {
        for (int i = blockIdx.y * blockDim.y + threadIdx.y; i < oh; i += gridDim.y * blockDim.y) {
            const INDEX at = ((INDEX)plane * oh + i) * ow + j;
            tap[at] = largest_in_window(
                x + (INDEX)plane * h * w, best + at, i, j, h, w, kh, kw, sh, sw, ph, pw, dh, dw);
        }
    }
}

// Version 3, for 2x2 windows side by side and rows of whole vectors: two 128-bit loads bring both rows of
// VECTOR_WIDTH / 2 windows, a quarter (of doubles: half) as many load instructions, and no loop is left.
extern "C" __global__ void __launch_bounds__(256) max_pool2d_forward_v3(
    const REAL* __restrict__ x, REAL* __restrict__ best, unsigned char* __restrict__ tap, int planes, int h,
    int w, int oh, int ow) {
    const int first = (blockIdx.x * blockDim.x + threadIdx.x) * (VECTOR_WIDTH / 2);
    if (first >= ow) return;
    for (int plane = blockIdx.z; plane < planes; plane += gridDim.z) {
        for (int i = blockIdx.y * blockDim.y + threadIdx.y; i < oh; i += gridDim.y * blockDim.y) {
            const REAL* corner = x + ((INDEX)plane * h + 2 * i) * w + 2 * first;
            REAL upper[VECTOR_WIDTH], lower[VECTOR_WIDTH];
            load_vector(upper, corner);
            load_vector(lower, corner + w);
            const INDEX at = ((INDEX)plane * oh + i) * ow + first;
#pragma unroll
            for (int k = 0; k < VECTOR_WIDTH / 2; ++k) {
                REAL largest = upper[2 * k];
                int number = 0;
                if (wins(upper[2 * k + 1], largest)) largest = upper[2 * k + 1], number = 1;
                if (wins(lower[2 * k], largest)) largest = lower[2 * k], number = 2;
                if (wins(lower[2 * k + 1], largest)) largest = lower[2 * k + 1], number = 3;
                best[at + k] = largest;
                tap[at + k] = number;
            }
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------
// Backward
// ---------------------------------------------------------------------------------------------------------------
// Version 1: one thread for each window adds its cotangent to the pixel that won. dx must hold zeros (one more
// trip through memory). Where windows overlap two threads may add to one pixel, so the addition is atomic, and its
// order, hence the last bit of the sum, is not the same in every run.
// next: every pixel asks its windows whether it won: no atomics, a fixed order, each pixel written once
extern "C" __global__ void __launch_bounds__(256) max_pool2d_backward_v1(
    const REAL* __restrict__ g, const unsigned char* __restrict__ tap, REAL* __restrict__ dx, INDEX count, int h,
    int w, int oh, int ow, int kh, int kw, int sh, int sw, int ph, int pw, int dh, int dw) {
    for (INDEX at = first_index(); at < count; at += index_step()) {
        const int j = at % ow, i = at / ow % oh;
        const int u = tap[at] / kw, v = tap[at] % kw;
        const INDEX row = at / ow / oh * h + (i * sh - ph + u * dh);
        atomicAdd(&dx[row * w + (j * sw - pw + v * dw)], g[at]);
    }
}

// The sum for one pixel: of the windows whose tap (u, v) lies there, those that it won, tap by tap.
template <typename TAP>
__device__ __forceinline__ REAL sum_of_won(
    const REAL* __restrict__ g, const TAP* __restrict__ tap, int row, int column, int oh, int ow, int kh, int kw,
    int sh, int sw, int ph, int pw, int dh, int dw) {
    REAL total = 0;
    for (int u = 0; u < kh; ++u) {
        const int above = row + ph - u * dh;  // sh times the window's row, if there is one
        if (above < 0 || above % sh != 0 || above / sh >= oh) continue;
        for (int v = 0; v < kw; ++v) {
            const int before = column + pw - v * dw;
            if (before < 0 || before % sw != 0 || before / sw >= ow) continue;
            const INDEX at = (INDEX)(above / sh) * ow + before / sw;
            if (tap[at] == u * kw + v) total += g[at];
        }
    }
    return total;
}

// Version 2: one thread for each pixel asks the windows that hold it whether it won. Nothing is added to memory:
// no atomics, no zeros before, each pixel written once, the sum in a fixed order.
// next: windows side by side: one test for each pixel instead of kh*kw
extern "C" __global__ void __launch_bounds__(256) max_pool2d_backward_v2(
    const REAL* __restrict__ g, const unsigned char* __restrict__ tap, REAL* __restrict__ dx, int planes, int h,
    int w, int oh, int ow, int kh, int kw, int sh, int sw, int ph, int pw, int dh, int dw) {
    const int column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= w) return;
    for (int plane = blockIdx.z; plane < planes; plane += gridDim.z) {
        const INDEX windows = (INDEX)plane * oh * ow;
        for (int row = blockIdx.y * blockDim.y + threadIdx.y; row < h; row += gridDim.y * blockDim.y)
            dx[((INDEX)plane * h + row) * w + column] = sum_of_won(
                g + windows, tap + windows, row, column, oh, ow, kh, kw, sh, sw, ph, pw, dh, dw);
    }
}

// Version 2 for windows of more than 256 taps.
extern "C" __global__ void __launch_bounds__(256) max_pool2d_backward_v2_wide(
    const REAL* __restrict__ g, const int* __restrict__ tap, REAL* __restrict__ dx, int planes, int h, int w,
    int oh, int ow, int kh, int kw, int sh, int sw, int ph, int pw, int dh, int dw) {
    const int column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= w) return;
    for (int plane = blockIdx.z; plane < planes; plane += gridDim.z) {
        const INDEX windows = (INDEX)plane * oh * ow;
        for (int row = blockIdx.y * blockDim.y + threadIdx.y; row < h; row += gridDim.y * blockDim.y)
            dx[((INDEX)plane * h + row) * w + column] = sum_of_won(
                g + windows, tap + windows, row, column, oh, ow, kh, kw, sh, sw, ph, pw, dh, dw);
    }
}

// Version 3, for windows side by side (stride = kernel, no dilation): a pixel lies in one window at most, which a
// division finds. kh*kw tests become one.
extern "C" __global__ void __launch_bounds__(256) max_pool2d_backward_v3(
    const REAL* __restrict__ g, const unsigned char* __restrict__ tap, REAL* __restrict__ dx, int planes, int h,
    int w, int oh, int ow, int kh, int kw, int ph, int pw) {
    const int column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= w) return;
    const int j = (column + pw) / kw, v = (column + pw) % kw;
    for (int plane = blockIdx.z; plane < planes; plane += gridDim.z) {
        for (int row = blockIdx.y * blockDim.y + threadIdx.y; row < h; row += gridDim.y * blockDim.y) {
            const int i = (row + ph) / kh, u = (row + ph) % kh;
            REAL own = 0;
            if (i < oh && j < ow) {
                const INDEX at = ((INDEX)plane * oh + i) * ow + j;
                if (tap[at] == u * kw + v) own += g[at];
            }
            dx[((INDEX)plane * h + row) * w + column] = own;
        }
    }
}
