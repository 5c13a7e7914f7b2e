// ---- versions (written by tables.py) ------------------------------------------------------------
// In float and int, on sm_80; in brackets registers on all architectures. For each output
// of a workload (workloads/): bytes that threads load from and store to global memory, bytes of
// the sectors that their warps touch for them, FLOPs of the definition.
// kernel                                   registers  shared occupancy   bytes  sectors  FLOPs
// avg_pool2d_forward_v1                   32 (32-39)       0      100%   37.78       44     10
//     next: no divisions to find the window, and no test for each tap
// avg_pool2d_forward_v2                   32 (32-55)       0      100%   37.78       44     10
//     next: pixels that windows share are brought to shared memory once
// avg_pool2d_forward_v3                   48 (45-58)       0       62%     8.5      8.5     10
// avg_pool2d_backward_v1                  25 (25-32)       0      100%   37.78       44     10
//     next: every pixel gathers its shares: no atomics, a fixed order, each pixel written once
// avg_pool2d_backward_v2                  32 (32-43)       0      100%   37.78       44     10
// ---- end of versions ----------------------------------------------------------------------------
// Average pooling: the pixels of each window are summed (padding as zeros) and divided by a given number.
//
//   forward   y[i,j] = (sum over (u,v) of x[i*sh - ph + u, j*sw - pw + v]) / m[i,j]
//   backward  dx[pixel] = sum of g[i,j] / m[i,j] over the windows (i,j) that hold the pixel
//
// Shapes: x and dx (planes, h, w), y and g (planes, oh, ow). m is one number, `all`, or an array (oh, ow).
#include "common.cuh"

#define TILE_ROWS 8
#define TILE_COLUMNS 32

// Version 1: one thread for each window; every tap is tested for lying on the image.
// next: no divisions to find the window, and no test for each tap
extern "C" __global__ void __launch_bounds__(256, 2) avg_pool2d_forward_v1(
    const REAL* __restrict__ x, REAL* __restrict__ y, const REAL* __restrict__ divisor /* or null */, REAL all,
    INDEX count, int h, int w, int oh, int ow, int kh, int kw, int sh, int sw, int ph, int pw) {
    for (INDEX at = first_index(); at < count; at += index_step()) {
        const int j = at % ow, i = at / ow % oh;
        const REAL* plane = x + at / ow / oh * h * w;
        REAL total = 0;
        for (int u = 0; u < kh; ++u) {
            for (int v = 0; v < kw; ++v) {
                const int row = i * sh - ph + u, column = j * sw - pw + v;
                if (inside(row, h) && inside(column, w)) total += plane[(INDEX)row * w + column];
            }
        }
        y[at] = total / (divisor ? divisor[i * ow + j] : all);
    }
}

// Version 2: blocks of rows and columns need no division to know their window, and the part of the window that
// lies on the image is a range that is computed once.
// next: pixels that windows share are brought to shared memory once
extern "C" __global__ void __launch_bounds__(256) avg_pool2d_forward_v2(
    const REAL* __restrict__ x, REAL* __restrict__ y, const REAL* __restrict__ divisor /* or null */, REAL all,
    int planes, int h, int w, int oh, int ow, int kh, int kw, int sh, int sw, int ph, int pw) {
    const int j = blockIdx.x * blockDim.x + threadIdx.x;
    if (j >= ow) return;
    const int left = max(0, j * sw - pw), right = min(w, j * sw - pw + kw);
    for (int plane = blockIdx.z; plane < planes; plane += gridDim.z) {
        for (int i = blockIdx.y * blockDim.y + threadIdx.y; i < oh; i += gridDim.y * blockDim.y) {
            const int top = max(0, i * sh - ph), bottom = min(h, i * sh - ph + kh);
            REAL total = 0;
            for (int row = top; row < bottom; ++row) {
                const REAL* line = x + ((INDEX)plane * h + row) * w;
                for (int column = left; column < right; ++column) total += line[column];
            }
            y[((INDEX)plane * oh + i) * ow + j] = total / (divisor ? divisor[i * ow + j] : all);
        }
    }
}

// Version 3, for windows that overlap: a block brings the pixels under its TILE_ROWS x TILE_COLUMNS windows to
// shared memory once, where versions 1 and 2 read each of them up to kh*kw / (sh*sw) times. One block for each
// tile and plane; `tile` has ((TILE_ROWS - 1) sh + kh) x ((TILE_COLUMNS - 1) sw + kw) pixels.
extern "C" __global__ void __launch_bounds__(256, 2) avg_pool2d_forward_v3(
    const REAL* __restrict__ x, REAL* __restrict__ y, const REAL* __restrict__ divisor /* or null */, REAL all,
    int planes, int h, int w, int oh, int ow, int kh, int kw, int sh, int sw, int ph, int pw) {
    extern __shared__ REAL tile[];
    const int height = (TILE_ROWS - 1) * sh + kh, width = (TILE_COLUMNS - 1) * sw + kw;
    const int top = blockIdx.y * TILE_ROWS * sh - ph, left = blockIdx.x * TILE_COLUMNS * sw - pw;
    const int i = blockIdx.y * TILE_ROWS + threadIdx.y, j = blockIdx.x * TILE_COLUMNS + threadIdx.x;
    for (int plane = blockIdx.z; plane < planes; plane += gridDim.z) {
        for (int r = threadIdx.y; r < height; r += TILE_ROWS) {
            for (int c = threadIdx.x; c < width; c += TILE_COLUMNS) {
                const int row = top + r, column = left + c;
                const bool on_image = inside(row, h) && inside(column, w);
                tile[r * width + c] = on_image ? x[((INDEX)plane * h + row) * w + column] : (REAL)0;
            }
        }
        __syncthreads();
        if (i < oh && j < ow) {
            REAL total = 0;
            for (int u = 0; u < kh; ++u)
                for (int v = 0; v < kw; ++v)
                    total += tile[(threadIdx.y * sh + u) * width + threadIdx.x * sw + v];
            y[((INDEX)plane * oh + i) * ow + j] = total / (divisor ? divisor[i * ow + j] : all);
        }
        __syncthreads();  // the next plane's pixels come to the same place
    }
}

// ---------------------------------------------------------------------------------------------------------------
// Backward
// ---------------------------------------------------------------------------------------------------------------
// Version 1: one thread for each window adds its share to all of its pixels. dx must hold zeros; the additions are
// atomic, and their order, hence the last bits, is not the same in every run.
// next: every pixel gathers its shares: no atomics, a fixed order, each pixel written once
extern "C" __global__ void __launch_bounds__(256) avg_pool2d_backward_v1(
    const REAL* __restrict__ g, REAL* __restrict__ dx, const REAL* __restrict__ divisor /* or null */, REAL all,
    INDEX count, int h, int w, int oh, int ow, int kh, int kw, int sh, int sw, int ph, int pw) {
    for (INDEX at = first_index(); at < count; at += index_step()) {
        const int j = at % ow, i = at / ow % oh;
        REAL* plane = dx + at / ow / oh * h * w;
        const REAL share = g[at] / (divisor ? divisor[i * ow + j] : all);
        for (int u = 0; u < kh; ++u) {
            for (int v = 0; v < kw; ++v) {
                const int row = i * sh - ph + u, column = j * sw - pw + v;
                if (inside(row, h) && inside(column, w)) atomicAdd(&plane[(INDEX)row * w + column], share);
            }
        }
    }
}

// Version 2: one thread for each pixel sums over the windows that hold it, a range in each direction. No atomics,
// no zeros before, each pixel written once, the same bits in every run.
extern "C" __global__ void __launch_bounds__(256, 2) avg_pool2d_backward_v2(
    const REAL* __restrict__ g, REAL* __restrict__ dx, const REAL* __restrict__ divisor /* or null */, REAL all,
    int planes, int h, int w, int oh, int ow, int kh, int kw, int sh, int sw, int ph, int pw) {
    const int column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= w) return;
    // Window j holds the pixel if j*sw <= column + pw <= j*sw + kw - 1.
    const int right = min(ow - 1, (column + pw) / sw), left = max(0, (column + pw - kw + sw) / sw);
    for (int plane = blockIdx.z; plane < planes; plane += gridDim.z) {
        for (int row = blockIdx.y * blockDim.y + threadIdx.y; row < h; row += gridDim.y * blockDim.y) {
            const int bottom = min(oh - 1, (row + ph) / sh), top = max(0, (row + ph - kh + sh) / sh);
            REAL total = 0;
            for (int i = bottom; i >= top; --i)  // from the last one: tap by tap, as the reference adds
                for (int j = right; j >= left; --j)
                    total += g[((INDEX)plane * oh + i) * ow + j] / (divisor ? divisor[i * ow + j] : all);
            dx[((INDEX)plane * h + row) * w + column] = total;
        }
    }
}
