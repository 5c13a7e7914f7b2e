// ---- versions (written by tables.py) ------------------------------------------------------------
// In float and int, on sm_80; in brackets registers on all architectures. For each output
// of a workload (workloads/): bytes that threads load from and store to global memory, bytes of
// the sectors that their warps touch for them, FLOPs of the definition.
// kernel                                   registers  shared occupancy   bytes  sectors  FLOPs
// im2col_v1                               26 (26-34)       0      100%   7.674    7.833      0
//     next: one division for each row instead of four for each element
// im2col_v2                               40 (32-44)       0       75%   7.674    7.833      0
// col2im_v1                               19 (19-34)       0      100%   66.12       69      9
//     next: every pixel gathers what belongs to it, so nothing is shared and the order is fixed
// col2im_v2                               37 (32-40)       0       75%   37.06     57.5      9
// ---- end of versions ----------------------------------------------------------------------------
// Windows as columns of a matrix (im2col), and the adjoint that adds them back (col2im).
//
//     col[n, c, u, v, i, j] = x[n, c, i*sh + u*dh - ph, j*sw + v*dw - pw]        0 outside of x
//
// `planes` is n*c; x is (planes, h, w), col (planes, kh, kw, oh, ow), both contiguous.
#include "common.cuh"

// The tap and the output row that row `r` of col's rows (n, c, u, v, i) belongs to.
struct Row {
    INDEX plane;
    int u, v, i;
};

__device__ __forceinline__ Row row_of_col(INDEX r, int kh, int kw, int oh) {
    Row row;
    row.i = (int)(r % oh);
    row.v = (int)(r / oh % kw);
    row.u = (int)(r / oh / kw % kh);
    row.plane = r / oh / kw / kh;
    return row;
}

// im2col v1: one thread for each element of col. A warp writes neighbours, and at a stride of 1 also reads neighbours:
// both coalesced. The four divisions that find the element cost more than its load.
// next: one division for each row instead of four for each element
extern "C" __global__ void __launch_bounds__(256) im2col_v1(
    const REAL* __restrict__ x, REAL* __restrict__ col, INDEX count, int h, int w, int kh, int kw, int oh, int ow,
    int sh, int sw, int ph, int pw, int dh, int dw)
{
    for (INDEX e = first_index(); e < count; e += index_step()) {
        const Row at = row_of_col(e / ow, kh, kw, oh);
        const int row = at.i * sh + at.u * dh - ph, column = (int)(e % ow) * sw + at.v * dw - pw;
        col[e] = inside(row, h) && inside(column, w) ? x[(at.plane * h + row) * w + column] : (REAL)0;
    }
}

// im2col v2: one warp for each row of windows (all j of one n, c, u, v, i), which is found once; its lanes then step
// along the row.
extern "C" __global__ void __launch_bounds__(256) im2col_v2(
    const REAL* __restrict__ x, REAL* __restrict__ col, INDEX count, int h, int w, int kh, int kw, int oh, int ow,
    int sh, int sw, int ph, int pw, int dh, int dw)
{
    const INDEX rows = count / ow;
    for (INDEX r = first_index() / WARP; r < rows; r += index_step() / WARP) {
        const Row at = row_of_col(r, kh, kw, oh);
        const int row = at.i * sh + at.u * dh - ph, left = at.v * dw - pw;
        const REAL* from = x + (at.plane * h + row) * w + left;
        for (int j = threadIdx.x % WARP; j < ow; j += WARP)
            col[r * ow + j] = inside(row, h) && inside(left + j * sw, w) ? from[j * sw] : (REAL)0;
    }
}

// col2im v1, scattering: one thread for each element of col, which it adds to its pixel. Windows that overlap add to the
// same pixel at the same time, so the additions must be atomic; x must be 0 before. Their order changes from run
// to run, and with it the rounding.
// next: every pixel gathers what belongs to it, so nothing is shared and the order is fixed
extern "C" __global__ void __launch_bounds__(256) col2im_v1(
    const REAL* __restrict__ col, REAL* __restrict__ x, INDEX count, int h, int w, int kh, int kw, int oh, int ow,
    int sh, int sw, int ph, int pw, int dh, int dw)
{
    for (INDEX e = first_index(); e < count; e += index_step()) {
        const Row at = row_of_col(e / ow, kh, kw, oh);
        const int row = at.i * sh + at.u * dh - ph, column = (int)(e % ow) * sw + at.v * dw - pw;
        if (inside(row, h) && inside(column, w)) atomicAdd(&x[(at.plane * h + row) * w + column], col[e]);
    }
}

// col2im v2, gathering: one thread for each pixel, which looks for the windows that hold it. Of tap u it is the window
// i with i*sh + u*dh - ph = row, if that is a whole number between 0 and oh - 1. No atomics, no zeroing before, each
// element of col is read once, and neighbouring pixels read neighbouring elements (at a stride of 1).
// `count` here is the number of pixels.
extern "C" __global__ void __launch_bounds__(256) col2im_v2(
    const REAL* __restrict__ col, REAL* __restrict__ x, INDEX count, int h, int w, int kh, int kw, int oh, int ow,
    int sh, int sw, int ph, int pw, int dh, int dw)
{
    for (INDEX e = first_index(); e < count; e += index_step()) {
        const int column = (int)(e % w), row = (int)(e / w % h);
        const INDEX plane = e / w / h;
        REAL sum = 0;
        for (int u = 0; u < kh; ++u) {
            const int down = row + ph - u * dh, i = down / sh;
            if (down < 0 || i >= oh || i * sh != down) continue;
            for (int v = 0; v < kw; ++v) {
                const int right = column + pw - v * dw, j = right / sw;
                if (right < 0 || j >= ow || j * sw != right) continue;
                sum += col[(((plane * kh + u) * kw + v) * oh + i) * ow + j];
            }
        }
        x[e] = sum;
    }
}
