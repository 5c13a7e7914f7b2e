// ---- versions (written by tables.py) ------------------------------------------------------------
// In float and int, on sm_80; in brackets registers on all architectures. For each output
// of a workload (workloads/): bytes that threads load from and store to global memory, bytes of
// the sectors that their warps touch for them, FLOPs of the definition.
// kernel                                   registers  shared occupancy   bytes  sectors  FLOPs
// conv2d_forward_v1                       28 (28-34)       0      100%   556.5      505    144
//     next: a thread computes 4 filters for its pixel, so that one load of x serves 4 multiply-adds
// conv2d_forward_v2                       46 (44-48)       0       62%   358.1    183.2    144
// conv2d_backward_data_v1                 64 (64-64)       0       50%    2120     1578    576
// conv2d_backward_weight_v1               20 (20-30)     128      100%    1968     2037    512
// conv2d_backward_bias_v1                 13 (12-14)     128      100%    1028     1056    256
// ---- end of versions ----------------------------------------------------------------------------
// Convolution straight from its definition (equations E1 and E11), and the gradient of the bias.
//
//     y[n,k,i,j] = bias[k] + sum over c, u, v of  weight[k,c,u,v] * x[n, g*C/G + c, i*sh + u*dh - ph, j*sw + v*dw - pw]
//
// with filter k in group g = k / (K/G), and x = 0 outside (which is multiplied, not left out: an infinite weight gives NaN
// there, as the definition has it). x is (n, c, h, w), y (n, k, oh, ow), weight (k, c/groups, kh,
// kw), all contiguous. These kernels do any convolution, and for few channels or pixels they are the quickest to
// start; the fast ones for large problems are in conv2d_implicit.cu and conv2d_winograd.cu.
#include "common.cuh"

//
// `only_if`: a kernel does nothing where this number is 0. So it is launched behind a quicker algorithm that is right for
// finite numbers only, and computes the result anew where others were seen (conv2d_winograd.py, conv2d_implicit.py).

// v1: one thread for each output. A warp's threads are neighbours in a row, so their loads of x are neighbours, too, and
// the weight is the same word for all of them. Two loads for each multiply-add.
// next: a thread computes 4 filters for its pixel, so that one load of x serves 4 multiply-adds
extern "C" __global__ void __launch_bounds__(256, 2) conv2d_forward_v1(
    const REAL* __restrict__ x, const REAL* __restrict__ weight, const REAL* __restrict__ bias /* or null */,
    const int* __restrict__ only_if /* or null */, REAL* __restrict__ y, INDEX count, int c, int h, int w, int k,
    int kh, int kw, int oh, int ow, int sh, int sw, int ph, int pw, int dh, int dw, int groups, int relu)
{
    if (only_if && *only_if == 0) return;
    const int channels = c / groups, filters = k / groups;
    for (INDEX e = first_index(); e < count; e += index_step()) {
        const int j = (int)(e % ow), i = (int)(e / ow % oh), filter = (int)(e / ow / oh % k);
        const INDEX image = e / ow / oh / k;
        const REAL* planes = x + (image * c + filter / filters * channels) * h * w;
        const REAL* taps = weight + (INDEX)filter * channels * kh * kw;
        REAL sum = bias ? bias[filter] : (REAL)0;
        for (int channel = 0; channel < channels; ++channel)
            for (int u = 0; u < kh; ++u) {
                const int row = i * sh + u * dh - ph;
#pragma unroll 1  // windows are three wide or so: copies of the body for four would cost registers for nothing
                for (int v = 0; v < kw; ++v) {
                    const int column = j * sw + v * dw - pw;
                    const bool there = inside(row, h) && inside(column, w);
                    const REAL pixel = there ? planes[((INDEX)channel * h + row) * w + column] : (REAL)0;
                    sum += pixel * taps[(channel * kh + u) * kw + v];
                }
            }
        y[e] = relu ? larger(sum, (REAL)0) : sum;
    }
}

#define FILTERS 4

// v2: a thread computes the same pixel of 4 filters of its group. x is read a quarter as often; the weights are the same
// words for all threads of a warp, which come from the first-level cache.
// `count` is the number of (image, group, four filters, pixel).
extern "C" __global__ void __launch_bounds__(256) conv2d_forward_v2(
    const REAL* __restrict__ x, const REAL* __restrict__ weight, const REAL* __restrict__ bias /* or null */,
    const int* __restrict__ only_if /* or null */, REAL* __restrict__ y, INDEX count, int c, int h, int w, int k,
    int kh, int kw, int oh, int ow, int sh, int sw, int ph, int pw, int dh, int dw, int groups, int relu)
{
    if (only_if && *only_if == 0) return;
    const int channels = c / groups, filters = k / groups, fours = (filters + FILTERS - 1) / FILTERS;
    const int taps = channels * kh * kw;
    for (INDEX e = first_index(); e < count; e += index_step()) {
        const int j = (int)(e % ow), i = (int)(e / ow % oh), four = (int)(e / ow / oh % (fours * groups));
        const int group = four / fours, first = four % fours * FILTERS;
        const INDEX image = e / ow / oh / (fours * groups);
        const REAL* planes = x + (image * c + group * channels) * h * w;
        const REAL* from = weight + (INDEX)(group * filters + first) * taps;
        REAL sum[FILTERS] = {};
        for (int channel = 0; channel < channels; ++channel)
            for (int u = 0; u < kh; ++u) {
                const int row = i * sh + u * dh - ph;
#pragma unroll 1  // windows are three wide or so: copies of the body for four would cost registers for nothing
                for (int v = 0; v < kw; ++v) {
                    const int column = j * sw + v * dw - pw;
                    const bool there = inside(row, h) && inside(column, w);
                    const REAL pixel = there ? planes[((INDEX)channel * h + row) * w + column] : (REAL)0;
                    const int tap = (channel * kh + u) * kw + v;
#pragma unroll
                    for (int f = 0; f < FILTERS; ++f)
                        if (first + f < filters) sum[f] += pixel * from[f * taps + tap];
                }
            }
#pragma unroll
        for (int f = 0; f < FILTERS; ++f) {
            if (first + f >= filters) break;
            const int filter = group * filters + first + f;
            const REAL value = sum[f] + (bias ? bias[filter] : (REAL)0);
            y[((image * k + filter) * oh + i) * ow + j] = relu ? larger(value, (REAL)0) : value;
        }
    }
}

// The gradient of x: one thread for each pixel gathers, over the filters of its group and the taps, the outputs that read
// it: of tap u the output i with i*sh + u*dh - ph = row, if there is one. No atomics, a fixed order.
extern "C" __global__ void __launch_bounds__(256, 4) conv2d_backward_data_v1(
    const REAL* __restrict__ g, const REAL* __restrict__ weight, const int* __restrict__ only_if /* or null */,
    REAL* __restrict__ dx, INDEX count, int c, int h, int w, int k, int kh, int kw, int oh, int ow, int sh, int sw,
    int ph, int pw, int dh, int dw, int groups)
{
    if (only_if && *only_if == 0) return;
    const int channels = c / groups, filters = k / groups;
    for (INDEX e = first_index(); e < count; e += index_step()) {
        const int column = (int)(e % w), row = (int)(e / w % h), channel = (int)(e / w / h % c);
        const INDEX image = e / w / h / c;
        const int group = channel / channels;
        REAL sum = 0;
        for (int u = 0; u < kh; ++u) {
            const int down = row + ph - u * dh, i = down / sh;
            if (down < 0 || i >= oh || i * sh != down) continue;
            for (int v = 0; v < kw; ++v) {
                const int right = column + pw - v * dw, j = right / sw;
                if (right < 0 || j >= ow || j * sw != right) continue;
                for (int f = group * filters; f < (group + 1) * filters; ++f)
                    sum += g[((image * k + f) * oh + i) * ow + j] *
                           weight[(((INDEX)f * channels + channel % channels) * kh + u) * kw + v];
            }
        }
        dx[e] = sum;
    }
}

// The gradient of the weight: one block for each of its elements adds up g * x over all images and outputs, then over its
// threads in a fixed order. x and g are read once for each tap, filter or channel: slow for many of them.
extern "C" __global__ void __launch_bounds__(256) conv2d_backward_weight_v1(
    const REAL* __restrict__ g, const REAL* __restrict__ x, REAL* __restrict__ gradient, int n, int c, int h, int w,
    int k, int kh, int kw, int oh, int ow, int sh, int sw, int ph, int pw, int dh, int dw, int groups)
{
    __shared__ REAL partial[WARP];
    const int v = blockIdx.x % kw, u = blockIdx.x / kw % kh, channels = c / groups;
    const int channel = blockIdx.x / (kw * kh) % channels, filter = blockIdx.x / (kw * kh) / channels;
    const int source = filter / (k / groups) * channels + channel;
    REAL sum = 0;
    for (INDEX e = threadIdx.x; e < (INDEX)n * oh * ow; e += blockDim.x) {
        const int j = (int)(e % ow), i = (int)(e / ow % oh);
        const INDEX image = e / ow / oh;
        const int row = i * sh + u * dh - ph, column = j * sw + v * dw - pw;
        const bool there = inside(row, h) && inside(column, w);
        const REAL pixel = there ? x[((image * c + source) * h + row) * w + column] : (REAL)0;
        sum += g[((image * k + filter) * oh + i) * ow + j] * pixel;
    }
    sum = block_sum(sum, partial);
    if (threadIdx.x == 0) gradient[blockIdx.x] = sum;
}

// The gradient of the bias: one block for each filter adds up its planes of g, (n, k, pixels).
extern "C" __global__ void __launch_bounds__(256) conv2d_backward_bias_v1(
    const REAL* __restrict__ g, REAL* __restrict__ db, int n, int k, int pixels)
{
    __shared__ REAL partial[WARP];
    REAL sum = 0;
    for (int image = 0; image < n; ++image) {  // a sum for each image first: shorter sums, smaller errors
        const REAL* plane = g + ((INDEX)image * k + blockIdx.x) * pixels;
        REAL of_image = 0;
        for (int p = threadIdx.x; p < pixels; p += blockDim.x) of_image += plane[p];
        sum += of_image;
    }
    sum = block_sum(sum, partial);
    if (threadIdx.x == 0) db[blockIdx.x] = sum;
}
