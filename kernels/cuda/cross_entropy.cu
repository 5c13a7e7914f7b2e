// ---- versions (written by tables.py) ------------------------------------------------------------
// In float and int, on sm_80; in brackets registers on all architectures. For each output
// of a workload (workloads/): bytes that threads load from and store to global memory, bytes of
// the sectors that their warps touch for them, FLOPs of the definition.
// kernel                                   registers  shared occupancy   bytes  sectors  FLOPs
// cross_entropy_forward_v1                48 (45-64)       0       62%    22.5    21.25  7.375
//     next: maximum and sum in one pass: the logits are read twice instead of three times
// cross_entropy_forward_v2                46 (46-56)       0       62%    18.5    17.25  7.375
//     next: where a sample has one label, a warp shares its logits and reads neighbours
// cross_entropy_forward_v3                40 (40-49)       0       75%   23.06       21  7.023
// cross_entropy_backward_v1               32 (24-40)       0      100%      12       12      1
//     next: a thread keeps the cotangent of its pixel for all classes
// cross_entropy_backward_v2               32 (32-64)       0      100%     8.5      8.5      1
// ---- end of versions ----------------------------------------------------------------------------
// Softmax cross-entropy of every pixel from its logits, and its slope, in one kernel.
//
//   log p_c = (z_c - max z) - log of the sum of e^(z - max z)
//   t_c     = (1 - s) w[y] [c = y] + s/C w_c               the target: class weights w, smoothing s, label y
//   loss    = -sum of t_c log p_c                          slope  dloss/dz_c = p_c (sum of t) - t_c
//
// Logits and slope are (n, classes, m), labels, valid and losses (n, m): a pixel's logits lie m apart, and
// neighbouring threads have neighbouring pixels. Where valid is 0, loss and slope are 0, whatever the logits are.
#include "common.cuh"
#include "sums.cuh"

// What a pixel's loss and slope need beside its logits.
struct Pixel {
    int own;            // its class
    REAL weight;        // that of its class
    REAL smoothing;
    REAL of_weights;    // sum of all class weights
};

__device__ __forceinline__ Pixel pixel_of(int own, REAL weight, REAL smoothing, REAL of_weights) {
    Pixel pixel;
    pixel.own = own;
    pixel.weight = weight;
    pixel.smoothing = smoothing;
    pixel.of_weights = of_weights;
    return pixel;
}

// Slope of class c from its log p.
__device__ __forceinline__ REAL slope_of(const Pixel& pixel, int c, int classes, REAL log_p, REAL class_weight) {
    const REAL kept = pixel.weight * ((REAL)1 - pixel.smoothing), share = pixel.smoothing / classes;
    REAL slope = MATH(exp)(log_p) * (pixel.smoothing > 0 ? kept + share * pixel.of_weights : kept);
    if (pixel.smoothing > 0) slope -= share * class_weight;
    return c == pixel.own ? slope - kept : slope;
}

// The loss from the own class's log p, and the sum of w_c log p_c.
__device__ __forceinline__ REAL loss_of(const Pixel& pixel, int classes, REAL own_log_p, REAL everywhere) {
    const REAL loss = -own_log_p * pixel.weight;
    if (!(pixel.smoothing > 0)) return loss;
    return loss * ((REAL)1 - pixel.smoothing) - everywhere * (pixel.smoothing / classes);
}

// The second half of a pixel, by one thread: slopes of all classes, then the loss.
__device__ __forceinline__ REAL finish_pixel(
    const Pixel& pixel, const REAL* z, REAL* slope, const REAL* class_weights, int classes, INDEX m, REAL largest,
    REAL log_sum) {
    Sum everywhere = empty_sum();
    if (slope || pixel.smoothing > 0) {
        for (int c = 0; c < classes; ++c) {
            const REAL log_p = z[c * m] - largest - log_sum;
            if (pixel.smoothing > 0) add_to(everywhere, log_p * class_weights[c]);
            if (slope) slope[c * m] = slope_of(pixel, c, classes, log_p, class_weights[c]);
        }
    }
    return loss_of(pixel, classes, z[pixel.own * m] - largest - log_sum, value_of(everywhere));
}

__device__ __forceinline__ REAL ignore_pixel(REAL* slope, int classes, INDEX m) {
    if (slope)
        for (int c = 0; c < classes; ++c) slope[c * m] = 0;
    return 0;
}

// Version 1: one thread for each pixel, three passes over its logits: maximum, sum, slopes.
// next: maximum and sum in one pass: the logits are read twice instead of three times
extern "C" __global__ void __launch_bounds__(256, 2) cross_entropy_forward_v1(
    const REAL* __restrict__ z, const long long* __restrict__ labels, const bool* __restrict__ valid /* or null */,
    const REAL* __restrict__ class_weights, REAL* __restrict__ losses, REAL* __restrict__ slopes /* or null */,
    REAL smoothing, REAL of_weights, INDEX pixels, int classes, INDEX m) {
    for (INDEX at = first_index(); at < pixels; at += index_step()) {
        const INDEX start = at / m * classes * m + at % m;
        REAL* slope = slopes ? slopes + start : (REAL*)0;
        if (valid && !valid[at]) {
            losses[at] = ignore_pixel(slope, classes, m);
            continue;
        }
        REAL largest = -REAL_INFINITY;
        for (int c = 0; c < classes; ++c) largest = larger(z[start + c * m], largest);
        Sum sum = empty_sum();
        for (int c = 0; c < classes; ++c) add_to(sum, MATH(exp)(z[start + c * m] - largest));
        const Pixel pixel = pixel_of(labels[at], class_weights[labels[at]], smoothing, of_weights);
        losses[at] = finish_pixel(
            pixel, z + start, slope, class_weights, classes, m, largest, MATH(log)((REAL)value_of(sum)));
    }
}

// Version 2: maximum and sum in one pass, as softmax.cu's version 2 tells; the logits are read twice instead of
// three times, and they are all of the traffic but for the slopes.
// next: where a sample has one label, a warp shares its logits and reads neighbours
extern "C" __global__ void __launch_bounds__(256, 2) cross_entropy_forward_v2(
    const REAL* __restrict__ z, const long long* __restrict__ labels, const bool* __restrict__ valid /* or null */,
    const REAL* __restrict__ class_weights, REAL* __restrict__ losses, REAL* __restrict__ slopes /* or null */,
    REAL smoothing, REAL of_weights, INDEX pixels, int classes, INDEX m) {
    for (INDEX at = first_index(); at < pixels; at += index_step()) {
        const INDEX start = at / m * classes * m + at % m;
        REAL* slope = slopes ? slopes + start : (REAL*)0;
        if (valid && !valid[at]) {
            losses[at] = ignore_pixel(slope, classes, m);
            continue;
        }
        REAL largest = -REAL_INFINITY;
        Sum sum = empty_sum();
        for (int c = 0; c < classes; ++c) {
            const REAL value = z[start + c * m];
            if (value > largest || value != value) {
                scale_sum(sum, MATH(exp)(largest - value));
                add_to(sum, MATH(exp)(value - value));  // 1, or NaN for an infinity
                largest = value;
            } else if (value != -REAL_INFINITY) {
                add_to(sum, MATH(exp)(value - largest));
            }
        }
        const Pixel pixel = pixel_of(labels[at], class_weights[labels[at]], smoothing, of_weights);
        losses[at] = finish_pixel(
            pixel, z + start, slope, class_weights, classes, m, largest, MATH(log)((REAL)value_of(sum)));
    }
}

// Version 3, for m = 1 (a label for a whole picture): the logits of a sample are contiguous, and a warp takes them
// together, neighbours by neighbours. Maximum and sums go from lane to lane by shuffles.
extern "C" __global__ void __launch_bounds__(256) cross_entropy_forward_v3(
    const REAL* __restrict__ z, const long long* __restrict__ labels, const bool* __restrict__ valid /* or null */,
    const REAL* __restrict__ class_weights, REAL* __restrict__ losses, REAL* __restrict__ slopes /* or null */,
    REAL smoothing, REAL of_weights, INDEX pixels, int classes) {
    const int lane = threadIdx.x % WARP;
    for (INDEX at = first_index() / WARP; at < pixels; at += index_step() / WARP) {
        const REAL* own_z = z + at * classes;
        const bool counts = !valid || valid[at];  // the same in all lanes
        REAL largest = -REAL_INFINITY;
        for (int c = lane; c < classes; c += WARP) largest = larger(own_z[c], largest);
        largest = warp_max(largest);
        Sum sum = empty_sum();
        for (int c = lane; c < classes; c += WARP) add_to(sum, MATH(exp)(own_z[c] - largest));
        const REAL log_sum = MATH(log)(warp_sum((REAL)value_of(sum)));
        const int own = counts ? labels[at] : 0;
        const Pixel pixel = pixel_of(own, class_weights[own], smoothing, of_weights);
        Sum everywhere = empty_sum();
        for (int c = lane; c < classes; c += WARP) {
            const REAL log_p = own_z[c] - largest - log_sum;
            add_to(everywhere, log_p * class_weights[c]);
            if (slopes)
                slopes[at * classes + c] = counts ? slope_of(pixel, c, classes, log_p, class_weights[c]) : (REAL)0;
        }
        const REAL total = warp_sum((REAL)value_of(everywhere));
        if (lane == 0)
            losses[at] = counts ? loss_of(pixel, classes, own_z[own] - largest - log_sum, total) : (REAL)0;
    }
}

// ---------------------------------------------------------------------------------------------------------------
// Backward: the slopes are there, they are scaled by the losses' cotangents
// ---------------------------------------------------------------------------------------------------------------
// Version 1: one thread for each logit. Each cotangent is read once for every class.
// next: a thread keeps the cotangent of its pixel for all classes
extern "C" __global__ void __launch_bounds__(256, 2) cross_entropy_backward_v1(
    const REAL* __restrict__ g, const REAL* __restrict__ slopes, const bool* __restrict__ valid /* or null */,
    REAL* __restrict__ dz, INDEX count, int classes, INDEX m) {
    for (INDEX at = first_index(); at < count; at += index_step()) {
        const INDEX pixel = at / m / classes * m + at % m;
        dz[at] = !valid || valid[pixel] ? slopes[at] * g[pixel] : (REAL)0;
    }
}

// Version 2: one thread for each pixel, which keeps its cotangent in a register for all classes.
extern "C" __global__ void __launch_bounds__(256) cross_entropy_backward_v2(
    const REAL* __restrict__ g, const REAL* __restrict__ slopes, const bool* __restrict__ valid /* or null */,
    REAL* __restrict__ dz, INDEX pixels, int classes, INDEX m) {
    for (INDEX at = first_index(); at < pixels; at += index_step()) {
        const INDEX start = at / m * classes * m + at % m;
        const bool counts = !valid || valid[at];
        const REAL own = g[at];
        for (int c = 0; c < classes; ++c) dz[start + c * m] = counts ? slopes[start + c * m] * own : (REAL)0;
    }
}
