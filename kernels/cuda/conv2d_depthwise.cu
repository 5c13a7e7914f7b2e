// ---- versions (written by tables.py) ------------------------------------------------------------
// In float and int, on sm_80; in brackets registers on all architectures. For each output
// of a workload (workloads/): bytes that threads load from and store to global memory, bytes of
// the sectors that their warps touch for them, FLOPs of the definition.
// kernel                                   registers  shared occupancy   bytes  sectors  FLOPs
// depthwise_forward_v1                    27 (27-32)       0      100%   73.06     51.5     18
// depthwise_backward_data_v1              48 (40-64)       0       62%   70.12    53.19     18
// depthwise_backward_weight_v1            25 (25-28)     128      100%    1968     2037    512
// ---- end of versions ----------------------------------------------------------------------------
// Depthwise convolution: as many groups as channels, so that every filter sees one channel.
//
//     y[n,k,i,j] = bias[k] + sum over u, v of  weight[k,u,v] * x[n, k/m, i*sh + u*dh - ph, j*sw + v*dw - pw]
//
// with m = k/c filters for each channel. There are kh*kw multiply-adds for each output and no channel to sum over, so memory
// is the limit, and tiles of a product of matrices would be empty. A block is 256 pixels of one plane: the plane's
// taps and divisions are the same for all of its threads. The grid is (blocks of pixels, planes), looped over.
#include "common.cuh"

// One thread for each output of a plane; the windows of a warp overlap, their pixels come from the first-level cache.
extern "C" __global__ void __launch_bounds__(256) depthwise_forward_v1(
    const REAL* __restrict__ x, const REAL* __restrict__ weight, const REAL* __restrict__ bias /* or null */,
    REAL* __restrict__ y, INDEX planes, int c, int h, int w, int k, int kh, int kw, int oh, int ow, int sh, int sw, int ph,
    int pw, int dh, int dw, int relu)
{
    for (INDEX plane = blockIdx.y; plane < planes; plane += gridDim.y) {
        const int filter = (int)(plane % k);
        const REAL* from = x + (plane / k * c + filter / (k / c)) * h * w;
        const REAL* taps = weight + filter * kh * kw;
        const REAL shift = bias ? bias[filter] : (REAL)0;
        for (int p = blockIdx.x * blockDim.x + threadIdx.x; p < oh * ow; p += gridDim.x * blockDim.x) {
            const int top = p / ow * sh - ph, left = p % ow * sw - pw;
            REAL sum = shift;
            for (int u = 0; u < kh; ++u)
#pragma unroll 1  // windows are three wide or so: copies of the body for four would cost registers for nothing
                for (int v = 0; v < kw; ++v) {
                    const int row = top + u * dh, column = left + v * dw;
                    const bool there = inside(row, h) && inside(column, w);
                    sum += (there ? from[row * w + column] : (REAL)0) * taps[u * kw + v];
                }
            y[plane * oh * ow + p] = relu ? larger(sum, (REAL)0) : sum;
        }
    }
}

// The gradient of x: each pixel gathers from the outputs that read it, of the m filters of its channel.
extern "C" __global__ void __launch_bounds__(256) depthwise_backward_data_v1(
    const REAL* __restrict__ g, const REAL* __restrict__ weight, REAL* __restrict__ dx, INDEX planes, int c, int h, int w,
    int k, int kh, int kw, int oh, int ow, int sh, int sw, int ph, int pw, int dh, int dw)
{
    const int multiple = k / c;
    for (INDEX plane = blockIdx.y; plane < planes; plane += gridDim.y) {
        const int first = (int)(plane % c) * multiple;
        const REAL* from = g + (plane / c * k + first) * oh * ow;
        for (int p = blockIdx.x * blockDim.x + threadIdx.x; p < h * w; p += gridDim.x * blockDim.x) {
            REAL sum = 0;
            for (int u = 0; u < kh; ++u) {
                const int down = p / w + ph - u * dh, i = down / sh;
                if (down < 0 || i >= oh || i * sh != down) continue;
                for (int v = 0; v < kw; ++v) {
                    const int right = p % w + pw - v * dw, j = right / sw;
                    if (right < 0 || j >= ow || j * sw != right) continue;
                    for (int f = 0; f < multiple; ++f)
                        sum += from[((INDEX)f * oh + i) * ow + j] * weight[((first + f) * kh + u) * kw + v];
                }
            }
            dx[plane * h * w + p] = sum;
        }
    }
}

// The gradient of the weight: one block for each filter and tap (blockIdx.x = filter*kh*kw + tap) adds up over images and
// pixels, row by row of the images' planes. Blocks of the same filter run together and find g and x in the cache.
extern "C" __global__ void __launch_bounds__(256) depthwise_backward_weight_v1(
    const REAL* __restrict__ g, const REAL* __restrict__ x, REAL* __restrict__ gradient, int n, int c, int h, int w, int k,
    int kh, int kw, int oh, int ow, int sh, int sw, int ph, int pw, int dh, int dw)
{
    __shared__ REAL partial[WARP];
    const int filter = blockIdx.x / (kh * kw), u = blockIdx.x / kw % kh, v = blockIdx.x % kw;
    REAL sum = 0;
    for (int image = 0; image < n; ++image) {
        const REAL* of_g = g + ((INDEX)image * k + filter) * oh * ow;
        const REAL* of_x = x + ((INDEX)image * c + filter / (k / c)) * h * w;
        for (int p = threadIdx.x; p < oh * ow; p += blockDim.x) {
            const int row = p / ow * sh + u * dh - ph, column = p % ow * sw + v * dw - pw;
            sum += of_g[p] * (inside(row, h) && inside(column, w) ? of_x[row * w + column] : (REAL)0);
        }
    }
    sum = block_sum(sum, partial);
    if (threadIdx.x == 0) gradient[blockIdx.x] = sum;
}
