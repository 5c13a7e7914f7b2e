// ---- versions (written by tables.py) ------------------------------------------------------------
// In float and int, on sm_80; in brackets registers on all architectures. For each output
// of a workload (workloads/): bytes that threads load from and store to global memory, bytes of
// the sectors that their warps touch for them, FLOPs of the definition.
// kernel                                   registers  shared occupancy   bytes  sectors  FLOPs
// normalize_statistics_v1                 31 (31-48)       0      100%   8.008    64.01      4
//     next: a block for each group, whose threads read neighbours
// normalize_statistics_v2                 23 (23-29)     128      100%   8.008    8.062      4
//     next: one pass instead of two, and several blocks for each group
// normalize_moments_v3                    30 (30-38)       0      100%   4.094     4.75      4
// normalize_statistics_v3                 30 (30-38)       0      100%  0.1016   0.3438 0.0781
// normalize_apply_v1                      32 (32-45)       0      100%      24       12      4
//     next: a block stays in one plane: its channel and group are found once
// normalize_apply_v2                      32 (32-40)       0      100%      24       12      4
// normalize_means_v1                      40 (40-54)       0       75%   20.01    76.01      6
//     next: a block for each group, whose threads read neighbours
// normalize_means_v2                      32 (32-40)     128      100%   20.01    11.06      6
// normalize_parameters_v1                 32 (32-40)     128      100%   16.01    10.06      5
//     next: where a plane is one number, neighbouring threads take neighbouring channels
// normalize_parameters_v2                 31 (31-40)    2112      100%   16.12    10.12      5
// normalize_input_v1                      38 (35-47)       0       75%      36       18      7
//     next: a block stays in one plane: its channel and group are found once
// normalize_input_v2                      32 (29-41)       0      100%      32       17      7
// ---- end of versions ----------------------------------------------------------------------------
// Standardising groups of values: batch, layer, instance and group normalisation, forward and backward.
//
//   forward   y = weight * xhat + bias,  xhat = (x - mean) * s,  s = 1 / sqrt(variance + eps)
//   backward  h = weight * g,  dx = s (h - mean(h) - xhat * mean(h * xhat)),  dweight = sum g xhat,  dbias = sum g
//
// x is (n, c, m), weight and bias belong to the c channels. Statistics are taken over `groups` groups. A group has
// `runs` runs of `length` contiguous numbers: run r of group b begins at (r * groups + b) * length. So are batch
// statistics seen (a run for each image: groups = c, length = m), and those of one image (one run: groups =
// n * G, length = c / G * m). Two passes: mean of squares minus square of mean would cancel.
#include "common.cuh"
#include "sums.cuh"

// Number k of group b's runs * length numbers.
__device__ __forceinline__ INDEX place_in_group(INDEX k, INDEX b, INDEX groups, INDEX length) {
    return (k / length * groups + b) * length + k % length;
}

// The channel, and the group, that the number at `at` belongs to.
__device__ __forceinline__ int channel_at(INDEX at, int c, INDEX m) { return at / m % c; }
__device__ __forceinline__ INDEX group_at(INDEX at, INDEX groups, INDEX length) { return at / length % groups; }

// ---------------------------------------------------------------------------------------------------------------
// Statistics
// ---------------------------------------------------------------------------------------------------------------
// Version 1: one thread for each group, two passes. 64 channels keep 64 threads busy, each of which reads a line
// of memory for every number.
// next: a block for each group, whose threads read neighbours
extern "C" __global__ void __launch_bounds__(256, 2) normalize_statistics_v1(
    const REAL* __restrict__ x, REAL* __restrict__ mean, REAL* __restrict__ variance, INDEX runs, INDEX groups,
    INDEX length) {
    for (INDEX b = first_index(); b < groups; b += index_step()) {
        Sum sum = empty_sum();
        for (INDEX k = 0; k < runs * length; ++k) add_to(sum, x[place_in_group(k, b, groups, length)]);
        const REAL centre = value_of(sum) / (runs * length);
        Sum squares = empty_sum();
        for (INDEX k = 0; k < runs * length; ++k) {
            const REAL distance = x[place_in_group(k, b, groups, length)] - centre;
            add_to(squares, distance * distance);
        }
        mean[b] = centre;
        variance[b] = value_of(squares) / (runs * length);
    }
}

// Version 2: a block for each group. Its threads read neighbours, and their sums meet by shuffles and through
// shared memory.
// next: one pass instead of two, and several blocks for each group
extern "C" __global__ void __launch_bounds__(256) normalize_statistics_v2(
    const REAL* __restrict__ x, REAL* __restrict__ mean, REAL* __restrict__ variance, INDEX runs, INDEX groups,
    INDEX length) {
    __shared__ REAL partial[WARP];
    for (INDEX b = blockIdx.x; b < groups; b += gridDim.x) {
        Sum sum = empty_sum();
        for (INDEX k = threadIdx.x; k < runs * length; k += blockDim.x)
            add_to(sum, x[place_in_group(k, b, groups, length)]);
        const REAL centre = block_sum((REAL)value_of(sum), partial) / (runs * length);
        Sum squares = empty_sum();
        for (INDEX k = threadIdx.x; k < runs * length; k += blockDim.x) {
            const REAL distance = x[place_in_group(k, b, groups, length)] - centre;
            add_to(squares, distance * distance);
        }
        const REAL spread = block_sum((REAL)value_of(squares), partial) / (runs * length);
        if (threadIdx.x == 0) {
            mean[b] = centre;
            variance[b] = spread;
        }
    }
}

// Count, mean, and sum of squared distances from it, of some numbers.
struct Moments {
    REAL count, mean, squares;
};

// Those of two sets together (Chan, Golub and LeVeque 1979). Where a mean is infinite, or the distance too large for
// a REAL, the means are weighted instead: infinity stays what it is, as in a sum.
__device__ __forceinline__ Moments together(const Moments& a, const Moments& b) {
    if (a.count == 0) return b;
    if (b.count == 0) return a;
    Moments both;
    both.count = a.count + b.count;
    const REAL distance = b.mean - a.mean, share = b.count / both.count;
    both.mean = is_finite(distance) ? a.mean + distance * share : a.mean * (a.count / both.count) + b.mean * share;
    both.squares = a.squares + b.squares + distance * distance * a.count * share;
    return both;
}

__device__ __forceinline__ Moments warp_together(Moments own) {
#pragma unroll
    for (int distance = WARP / 2; distance > 0; distance >>= 1) {
        Moments other;
        other.count = __shfl_down_sync(ALL_LANES, own.count, distance);
        other.mean = __shfl_down_sync(ALL_LANES, own.mean, distance);
        other.squares = __shfl_down_sync(ALL_LANES, own.squares, distance);
        own = together(own, other);
    }
    return own;  // in lane 0: those of the whole warp
}

// Version 3, first half: each group is cut into gridDim.y pieces, so that few groups keep the whole GPU busy, and
// Welford's method takes mean and variance in one pass: x is read once instead of twice. Each warp leaves the
// moments of what it saw in `pieces` (groups, gridDim.y * warps, 3).
extern "C" __global__ void __launch_bounds__(256, 2) normalize_moments_v3(
    const REAL* __restrict__ x, REAL* __restrict__ pieces, INDEX runs, INDEX groups, INDEX length) {
    const int warps = blockDim.x / WARP, warp = threadIdx.x / WARP;
    const INDEX step = (INDEX)gridDim.y * blockDim.x;
    for (INDEX b = blockIdx.x; b < groups; b += gridDim.x) {
        Moments own;
        own.count = own.mean = own.squares = 0;
        for (INDEX k = (INDEX)blockIdx.y * blockDim.x + threadIdx.x; k < runs * length; k += step) {
            Moments one;  // of a single number: `together` is Welford's step then
            one.count = 1;
            one.mean = x[place_in_group(k, b, groups, length)];
            one.squares = one.mean - one.mean;  // 0, or NaN of an infinity
            own = together(own, one);
        }
        own = warp_together(own);
        if (threadIdx.x % WARP == 0) {
            REAL* piece = pieces + ((b * gridDim.y + blockIdx.y) * warps + warp) * 3;
            piece[0] = own.count;
            piece[1] = own.mean;
            piece[2] = own.squares;
        }
    }
}

// Version 3, second half: a warp puts the pieces of a group together, in the same order in every run.
extern "C" __global__ void __launch_bounds__(256, 2) normalize_statistics_v3(
    const REAL* __restrict__ pieces, REAL* __restrict__ mean, REAL* __restrict__ variance, INDEX groups, int each) {
    for (INDEX b = first_index() / WARP; b < groups; b += index_step() / WARP) {
        Moments own;
        own.count = own.mean = own.squares = 0;
        for (int k = threadIdx.x % WARP; k < each; k += WARP) {
            Moments other;
            other.count = pieces[(b * each + k) * 3];
            other.mean = pieces[(b * each + k) * 3 + 1];
            other.squares = pieces[(b * each + k) * 3 + 2];
            own = together(own, other);
        }
        own = warp_together(own);
        if (threadIdx.x % WARP == 0) {
            mean[b] = own.mean;
            variance[b] = own.squares / own.count;
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------
// y = weight * xhat + bias, with statistics of any origin
// ---------------------------------------------------------------------------------------------------------------
// Version 1: one thread for each number, which looks up its channel and its group.
// next: a block stays in one plane: its channel and group are found once
extern "C" __global__ void __launch_bounds__(256) normalize_apply_v1(
    const REAL* __restrict__ x, REAL* __restrict__ y, const REAL* __restrict__ weight /* or null */,
    const REAL* __restrict__ bias /* or null */, const REAL* __restrict__ mean, const REAL* __restrict__ inv_std,
    INDEX count, int c, INDEX m, INDEX groups, INDEX length) {
    for (INDEX at = first_index(); at < count; at += index_step()) {
        const INDEX b = group_at(at, groups, length);
        const int channel = channel_at(at, c, m);
        REAL value = (x[at] - mean[b]) * inv_std[b];
        if (weight) value *= weight[channel];
        if (bias) value += bias[channel];
        y[at] = value;
    }
}

// Version 2: a block works on one plane (n, c), all of whose numbers share channel and group. What belongs to them
// is read once, and no division is left for each number.
extern "C" __global__ void __launch_bounds__(256) normalize_apply_v2(
    const REAL* __restrict__ x, REAL* __restrict__ y, const REAL* __restrict__ weight /* or null */,
    const REAL* __restrict__ bias /* or null */, const REAL* __restrict__ mean, const REAL* __restrict__ inv_std,
    INDEX planes, int c, INDEX m, INDEX groups, INDEX length) {
    for (INDEX plane = blockIdx.y; plane < planes; plane += gridDim.y) {
        const INDEX b = group_at(plane * m, groups, length);
        const REAL centre = mean[b], scale = inv_std[b];
        const REAL stretch = weight ? weight[plane % c] : (REAL)1, shift = bias ? bias[plane % c] : (REAL)0;
        for (INDEX k = first_index(); k < m; k += index_step())
            y[plane * m + k] = (x[plane * m + k] - centre) * scale * stretch + shift;
    }
}

// ---------------------------------------------------------------------------------------------------------------
// Backward
// ---------------------------------------------------------------------------------------------------------------
// The means of h and h * xhat over each group. Version 1: one thread for each group.
// next: a block for each group, whose threads read neighbours
extern "C" __global__ void __launch_bounds__(256, 2) normalize_means_v1(
    const REAL* __restrict__ g, const REAL* __restrict__ x, const REAL* __restrict__ weight /* or null */,
    const REAL* __restrict__ mean, const REAL* __restrict__ inv_std, REAL* __restrict__ mean_h,
    REAL* __restrict__ mean_hx, int c, INDEX m, INDEX runs, INDEX groups, INDEX length) {
    for (INDEX b = first_index(); b < groups; b += index_step()) {
        Sum of_h = empty_sum(), of_hx = empty_sum();
        for (INDEX k = 0; k < runs * length; ++k) {
            const INDEX at = place_in_group(k, b, groups, length);
            const REAL h = weight ? g[at] * weight[channel_at(at, c, m)] : g[at];
            add_to(of_h, h);
            add_to(of_hx, h * ((x[at] - mean[b]) * inv_std[b]));
        }
        mean_h[b] = value_of(of_h) / (runs * length);
        mean_hx[b] = value_of(of_hx) / (runs * length);
    }
}

// Version 2: a block for each group.
extern "C" __global__ void __launch_bounds__(256, 2) normalize_means_v2(
    const REAL* __restrict__ g, const REAL* __restrict__ x, const REAL* __restrict__ weight /* or null */,
    const REAL* __restrict__ mean, const REAL* __restrict__ inv_std, REAL* __restrict__ mean_h,
    REAL* __restrict__ mean_hx, int c, INDEX m, INDEX runs, INDEX groups, INDEX length) {
    __shared__ REAL partial[WARP];
    for (INDEX b = blockIdx.x; b < groups; b += gridDim.x) {
        Sum of_h = empty_sum(), of_hx = empty_sum();
        for (INDEX k = threadIdx.x; k < runs * length; k += blockDim.x) {
            const INDEX at = place_in_group(k, b, groups, length);
            const REAL h = weight ? g[at] * weight[channel_at(at, c, m)] : g[at];
            add_to(of_h, h);
            add_to(of_hx, h * ((x[at] - mean[b]) * inv_std[b]));
        }
        const REAL sum_h = block_sum((REAL)value_of(of_h), partial);
        const REAL sum_hx = block_sum((REAL)value_of(of_hx), partial);
        if (threadIdx.x == 0) {
            mean_h[b] = sum_h / (runs * length);
            mean_hx[b] = sum_hx / (runs * length);
        }
    }
}

// The sums of g * xhat and g over each channel: cotangents of weight and bias, those that are not null.
// Version 1: a block for each channel, whose threads read neighbours of a plane, m at a time.
// next: where a plane is one number, neighbouring threads take neighbouring channels
extern "C" __global__ void __launch_bounds__(256, 2) normalize_parameters_v1(
    const REAL* __restrict__ g, const REAL* __restrict__ x, const REAL* __restrict__ mean,
    const REAL* __restrict__ inv_std, REAL* __restrict__ dweight /* or null */,
    REAL* __restrict__ dbias /* or null */, INDEX n, int c, INDEX m, INDEX groups, INDEX length) {
    __shared__ REAL partial[WARP];
    for (int channel = blockIdx.x; channel < c; channel += gridDim.x) {
        Sum of_g = empty_sum(), of_gx = empty_sum();
        for (INDEX k = threadIdx.x; k < n * m; k += blockDim.x) {
            const INDEX at = place_in_group(k, channel, c, m);
            const INDEX b = group_at(at, groups, length);
            add_to(of_g, g[at]);
            if (dweight) add_to(of_gx, g[at] * ((x[at] - mean[b]) * inv_std[b]));
        }
        const REAL sum_g = block_sum((REAL)value_of(of_g), partial);
        const REAL sum_gx = block_sum((REAL)value_of(of_gx), partial);
        if (threadIdx.x == 0 && dweight) dweight[channel] = sum_gx;
        if (threadIdx.x == 0 && dbias) dbias[channel] = sum_g;
    }
}

// Version 2, for m = 1 (layer normalisation): a channel's numbers lie c apart, and a block of version 1 would read
// a line of memory for each. Here the 32 threads of a row of the block have neighbouring channels, its 8 rows
// every 8th sample; the rows' sums meet in shared memory (33 columns: 32 would put a column into one bank).
#define SAMPLE_ROWS 8
extern "C" __global__ void __launch_bounds__(256) normalize_parameters_v2(
    const REAL* __restrict__ g, const REAL* __restrict__ x, const REAL* __restrict__ mean,
    const REAL* __restrict__ inv_std, REAL* __restrict__ dweight /* or null */,
    REAL* __restrict__ dbias /* or null */, INDEX n, int c, INDEX groups, INDEX length) {
    __shared__ REAL rows_g[SAMPLE_ROWS][WARP + 1];
    __shared__ REAL rows_gx[SAMPLE_ROWS][WARP + 1];
    const int channel = blockIdx.x * WARP + threadIdx.x;
    Sum of_g = empty_sum(), of_gx = empty_sum();
    for (INDEX sample = threadIdx.y; channel < c && sample < n; sample += SAMPLE_ROWS) {
        const INDEX at = sample * c + channel;
        const INDEX b = group_at(at, groups, length);
        add_to(of_g, g[at]);
        if (dweight) add_to(of_gx, g[at] * ((x[at] - mean[b]) * inv_std[b]));
    }
    rows_g[threadIdx.y][threadIdx.x] = value_of(of_g);
    rows_gx[threadIdx.y][threadIdx.x] = value_of(of_gx);
    __syncthreads();
    if (threadIdx.y != 0 || channel >= c) return;
    REAL sum_g = 0, sum_gx = 0;
    for (int row = 0; row < SAMPLE_ROWS; ++row) {
        sum_g += rows_g[row][threadIdx.x];
        sum_gx += rows_gx[row][threadIdx.x];
    }
    if (dweight) dweight[channel] = sum_gx;
    if (dbias) dbias[channel] = sum_g;
}

// dx. Where the statistics were given, and did not move with x, mean_h and mean_hx are null.
// Version 1: one thread for each number.
// next: a block stays in one plane: its channel and group are found once
extern "C" __global__ void __launch_bounds__(256, 2) normalize_input_v1(
    const REAL* __restrict__ g, const REAL* __restrict__ x, const REAL* __restrict__ weight /* or null */,
    const REAL* __restrict__ mean, const REAL* __restrict__ inv_std, const REAL* __restrict__ mean_h /* or null */,
    const REAL* __restrict__ mean_hx /* or null */, REAL* __restrict__ dx, INDEX count, int c, INDEX m,
    INDEX groups, INDEX length) {
    for (INDEX at = first_index(); at < count; at += index_step()) {
        const INDEX b = group_at(at, groups, length);
        REAL h = weight ? g[at] * weight[channel_at(at, c, m)] : g[at];
        if (mean_h) h -= mean_h[b] + (x[at] - mean[b]) * inv_std[b] * mean_hx[b];
        dx[at] = h * inv_std[b];
    }
}

// Version 2: a block works on one plane, whose numbers share channel and group.
extern "C" __global__ void __launch_bounds__(256) normalize_input_v2(
    const REAL* __restrict__ g, const REAL* __restrict__ x, const REAL* __restrict__ weight /* or null */,
    const REAL* __restrict__ mean, const REAL* __restrict__ inv_std, const REAL* __restrict__ mean_h /* or null */,
    const REAL* __restrict__ mean_hx /* or null */, REAL* __restrict__ dx, INDEX planes, int c, INDEX m,
    INDEX groups, INDEX length) {
    for (INDEX plane = blockIdx.y; plane < planes; plane += gridDim.y) {
        const INDEX b = group_at(plane * m, groups, length);
        const REAL centre = mean[b], scale = inv_std[b], stretch = weight ? weight[plane % c] : (REAL)1;
        const REAL common = mean_h ? mean_h[b] : (REAL)0, tilt = mean_h ? mean_hx[b] : (REAL)0;
        for (INDEX k = first_index(); k < m; k += index_step()) {
            REAL h = g[plane * m + k] * stretch;
            if (mean_h) h -= common + (x[plane * m + k] - centre) * scale * tilt;
            dx[plane * m + k] = h * scale;
        }
    }
}
