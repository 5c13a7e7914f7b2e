// ---- versions (written by tables.py) ------------------------------------------------------------
// In float and int, on sm_80; in brackets registers on all architectures. For each output
// of a workload (workloads/): bytes that threads load from and store to global memory, bytes of
// the sectors that their warps touch for them, FLOPs of the definition.
// kernel                                   registers  shared occupancy   bytes  sectors  FLOPs
// conv2d_taps                             30 (29-36)       0      100%  0.1406   0.5625      0
// conv2d_flipped                          14 (14-22)       0      100%       9    13.38      0
// conv2d_implicit_v1                      44 (43-48)    2048       62%   110.5       38    144
//     next: 8 x 8 outputs for each thread, 128-bit loads, and the next tile is on its way while this one is used
// conv2d_implicit_v2                   131 (128-167)   16896       12%   50.52     30.6    144
// conv2d_implicit_backward_weight_v1   125 (125-167)    8448       25%   175.6    65.72    512
// ---- end of versions ----------------------------------------------------------------------------
// Convolution as a product of matrices whose columns are never stored (implicit GEMM).
//
//     Y = W X:   W (filters, channels*kh*kw) lies so in memory; X (channels*kh*kw, images*pixels) holds the windows as columns
//
// A tile of X is gathered from the picture on its way into shared memory, so the matrix of columns, kh*kw times the
// picture, is neither written nor read. A row of X is a tap (c, u, v), a column an output pixel; the element is
//
//     x[image, c, i*sh - ph + u*dh, j*sw - pw + v*dw]
//
// The tap's part of that address is looked up in a table, which costs one load where computing it takes two divisions.
// The grid is (tiles, groups).
#include "common.cuh"
#include "gemm_tile.cuh"

// table[tap] = {offset from the window's first pixel, row, column, 0} of tap (c, u, v) of a group.
extern "C" __global__ void __launch_bounds__(256) conv2d_taps(
    int* __restrict__ table, int taps, int h, int w, int kh, int kw, int dh, int dw)
{
    for (int tap = first_index(); tap < taps; tap += index_step()) {
        const int v = tap % kw, u = tap / kw % kh, channel = tap / kw / kh;
        table[4 * tap] = (channel * h + u * dh) * w + v * dw;
        table[4 * tap + 1] = u * dh;
        table[4 * tap + 2] = v * dw;
        table[4 * tap + 3] = 0;
    }
}

// The filters of the adjoint convolution, (c, k/groups, kh, kw): turned by 180 degrees, filters and channels exchanged. Where
// a weight is not finite a flag is raised: zeros around and between the cotangents would become NaN, where the gradient has
// no term, and conv2d_backward_data_v1 then computes the result anew (`only_if`).
extern "C" __global__ void __launch_bounds__(256) conv2d_flipped(
    const REAL* __restrict__ weight, REAL* __restrict__ turned, int* flag, int count, int channels, int filters, int taps)
{
    for (int e = first_index(); e < count; e += index_step()) {
        const int tap = e % taps, filter = e / taps % filters, channel = e / taps / filters % channels;
        const int group = e / taps / filters / channels;
        const REAL value = weight[((INDEX)(group * filters + filter) * channels + channel) * taps + taps - 1 - tap];
        if (!is_finite(value)) atomicMax(flag, 1);
        turned[e] = value;
    }
}

// An output pixel's window: where it begins.
struct Window {
    const REAL* first;  // its pixel at (top, left), which may lie outside
    int top, left;
};

// The window of output pixel `pixel` of all images, in the channels of a group.
__device__ __forceinline__ Window window_at(
    const REAL* x, INDEX pixel, int c, int channels, int group, int h, int w, int oh, int ow, int sh, int sw, int ph, int pw)
{
    const int j = (int)(pixel % ow), i = (int)(pixel / ow % oh);
    const INDEX image = pixel / ow / oh;
    Window at;
    at.top = i * sh - ph;
    at.left = j * sw - pw;
    at.first = x + (image * c + group * channels) * h * w + (INDEX)at.top * w + at.left;
    return at;
}

__device__ __forceinline__ REAL read(const Window& at, int4 tap, int h, int w) {
    return inside(at.top + tap.y, h) && inside(at.left + tap.z, w) ? at.first[tap.x] : (REAL)0;
}

#define SIDE 16

// v1: tiles of 16 x 16, one output for each thread, as gemm_v3.
// next: 8 x 8 outputs for each thread, 128-bit loads, and the next tile is on its way while this one is used
extern "C" __global__ void __launch_bounds__(256, 4) conv2d_implicit_v1(
    const REAL* __restrict__ x, const REAL* __restrict__ weight, const REAL* __restrict__ bias /* or null */,
    const int4* __restrict__ table, REAL* __restrict__ y, int n, int c, int h, int w, int k, int taps, int oh, int ow,
    int sh, int sw, int ph, int pw, int groups, int relu)
{
    __shared__ REAL tile_w[SIDE][SIDE];
    __shared__ REAL tile_x[SIDE][SIDE];
    const int filters = k / groups, group = blockIdx.y, down = threadIdx.x / SIDE, across = threadIdx.x % SIDE;
    const int tiles_down = (filters + SIDE - 1) / SIDE;
    const int row = blockIdx.x % tiles_down * SIDE + down;
    const INDEX pixels = (INDEX)n * oh * ow, pixel = (INDEX)(blockIdx.x / tiles_down) * SIDE + across;
    const Window at = window_at(x, pixel, c, c / groups, group, h, w, oh, ow, sh, sw, ph, pw);
    const REAL* of_filter = weight + (INDEX)(group * filters + row) * taps;
    REAL sum = 0;
    for (int t = 0; t < taps; t += SIDE) {
        tile_w[down][across] = row < filters && t + across < taps ? of_filter[t + across] : (REAL)0;
        tile_x[down][across] = pixel < pixels && t + down < taps ? read(at, table[t + down], h, w) : (REAL)0;
        __syncthreads();
#pragma unroll
        for (int i = 0; i < SIDE; ++i) sum += tile_w[down][i] * tile_x[i][across];
        __syncthreads();
    }
    if (row >= filters || pixel >= pixels) return;
    const int filter = group * filters + row;
    if (bias) sum += bias[filter];
    const INDEX image = pixel / oh / ow, in_image = pixel % ((INDEX)oh * ow);
    y[(image * k + filter) * oh * ow + in_image] = relu ? larger(sum, (REAL)0) : sum;
}

// The thread's elements of the next tile of X: always of the same pixel, THREADS / TILE taps apart.
__device__ __forceinline__ void gather(
    REAL* next, const Window& at, const int4* table, int tap, int taps, bool there, int h, int w)
{
#pragma unroll
    for (int i = 0; i < LOADS; ++i, tap += THREADS / TILE)
        next[i] = there && tap < taps ? read(at, table[tap], h, w) : (REAL)0;
}

// v2: register tiles, 128-bit loads and double buffering, as gemm_v5: 64 multiply-adds for four loads from shared memory.
// A thread gathers for one pixel, whose window it finds once; a warp's 32 pixels are neighbours, so at a stride of 1 the
// gathers are coalesced but for the ends of rows.
extern "C" __global__ void __launch_bounds__(256, 1) conv2d_implicit_v2(
    const REAL* __restrict__ x, const REAL* __restrict__ weight, const REAL* __restrict__ bias /* or null */,
    const int4* __restrict__ table, REAL* __restrict__ y, int n, int c, int h, int w, int k, int taps, int oh, int ow,
    int sh, int sw, int ph, int pw, int groups, int relu)
{
    __shared__ __align__(16) REAL tiles_w[2][DEPTH][PADDED];
    __shared__ __align__(16) REAL tiles_x[2][DEPTH][PADDED];
    const int filters = k / groups, group = blockIdx.y, tiles_down = (filters + TILE - 1) / TILE;
    const int down = threadIdx.x / 16 * VECTOR_WIDTH, across = threadIdx.x % 16 * VECTOR_WIDTH;
    const int row = blockIdx.x % tiles_down * TILE;  // the tile's first filter of the group
    const INDEX pixels = (INDEX)n * oh * ow, column = (INDEX)(blockIdx.x / tiles_down) * TILE;
    const int own = threadIdx.x % TILE, own_tap = threadIdx.x / TILE;
    const bool there = column + own < pixels;
    const Window at = window_at(x, column + own, c, c / groups, group, h, w, oh, ow, sh, sw, ph, pw);
    const Share of_w = share_of(taps, 1), of_x = share_of(1, 0);
    const REAL* from = weight + (INDEX)(group * filters + row) * taps;
    REAL sum[WIDTH][WIDTH] = {};
    REAL next_w[LOADS], next_x[LOADS];
    fetch(next_w, from, of_w, filters - row, taps);
    gather(next_x, at, table, own_tap, taps, there, h, w);
    keep(&tiles_w[0][0][0], next_w, of_w);
    keep(&tiles_x[0][0][0], next_x, of_x);
    __syncthreads();
    int present = 0;
    for (int t = 0; t < taps; t += DEPTH, present ^= 1) {
        const bool more = t + DEPTH < taps;
        if (more) {
            fetch(next_w, from + t + DEPTH, of_w, filters - row, taps - t - DEPTH);
            gather(next_x, at, table, t + DEPTH + own_tap, taps, there, h, w);
        }
        multiply_tiles(sum, tiles_w[present], tiles_x[present], down, across);
        if (more) {
            keep(&tiles_w[present ^ 1][0][0], next_w, of_w);
            keep(&tiles_x[present ^ 1][0][0], next_x, of_x);
        }
        __syncthreads();  // the next tile is complete, and nobody reads this one any more
    }
    const int in_picture = oh * ow;
#pragma unroll
    for (int j = 0; j < WIDTH; ++j) {
        const INDEX pixel = column + across + row_of(j);
        if (pixel >= pixels) continue;
        REAL* to = y + pixel / in_picture * k * in_picture + pixel % in_picture;
#pragma unroll
        for (int i = 0; i < WIDTH; ++i) {
            const int of_group = row + down + row_of(i), filter = group * filters + of_group;
            if (of_group >= filters) continue;
            const REAL value = sum[i][j] + (bias ? bias[filter] : (REAL)0);
            to[(INDEX)filter * in_picture] = relu ? larger(value, (REAL)0) : value;
        }
    }
}

// The gradient of the weight, dW = G Xt: filters by taps, summed over all pixels of all images. That sum is long and the
// matrix small, so the pixels are cut into shares (blockIdx.z), each of which is summed into a matrix of its own;
// the host adds them up in a fixed order. partial is (shares, groups, filters, taps). `only_if`: as in conv2d.cu.
// A thread fetches for one pixel in each step, which it finds once for both matrices; 8 neighbouring pixels are 32 bytes,
// the least that memory gives.
extern "C" __global__ void __launch_bounds__(256, 1) conv2d_implicit_backward_weight_v1(
    const REAL* __restrict__ g, const REAL* __restrict__ x, const int4* __restrict__ table,
    const int* __restrict__ only_if /* or null */, REAL* __restrict__ partial, int n, int c, int h, int w, int k, int taps,
    int oh, int ow, int sh, int sw, int ph, int pw, int groups, INDEX pixels_per_share)
{
    __shared__ __align__(16) REAL tile_g[DEPTH][PADDED];
    __shared__ __align__(16) REAL tile_x[DEPTH][PADDED];
    if (only_if && *only_if == 0) return;
    const int filters = k / groups, group = blockIdx.y, tiles_down = (filters + TILE - 1) / TILE;
    const int down = threadIdx.x / 16 * VECTOR_WIDTH, across = threadIdx.x % 16 * VECTOR_WIDTH;
    const int row = blockIdx.x % tiles_down * TILE, column = blockIdx.x / tiles_down * TILE;
    const INDEX pixels = (INDEX)n * oh * ow, in_picture = (INDEX)oh * ow, first = blockIdx.z * pixels_per_share;
    const INDEX last = first + pixels_per_share < pixels ? first + pixels_per_share : pixels;
    const int own = threadIdx.x / DEPTH, own_depth = threadIdx.x % DEPTH;
    REAL sum[WIDTH][WIDTH] = {};
    for (INDEX p = first; p < last; p += DEPTH) {
        const INDEX pixel = p + own_depth;
        const bool there = pixel < last;
        const Window at = window_at(x, pixel, c, c / groups, group, h, w, oh, ow, sh, sw, ph, pw);
        const REAL* of_pixel = g + (pixel / in_picture * k + group * filters) * in_picture + pixel % in_picture;
#pragma unroll
        for (int i = 0; i < LOADS; ++i) {
            const int along = own + i * (THREADS / DEPTH);
            tile_g[own_depth][along] = there && row + along < filters ? of_pixel[(row + along) * in_picture] : (REAL)0;
            tile_x[own_depth][along] =
                there && column + along < taps ? read(at, table[column + along], h, w) : (REAL)0;
        }
        __syncthreads();
        multiply_tiles(sum, tile_g, tile_x, down, across);
        __syncthreads();
    }
    REAL* to = partial + (INDEX)(blockIdx.z * groups + group) * filters * taps;
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) {
        const int filter = row + down + row_of(i);
        if (filter < filters) store_row(to + (INDEX)filter * taps, sum[i], column + across, taps);
    }
}
