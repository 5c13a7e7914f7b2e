// ---- versions (written by tables.py) ------------------------------------------------------------
// In float and int, on sm_80; in brackets registers on all architectures. For each output
// of a workload (workloads/): bytes that threads load from and store to global memory, bytes of
// the sectors that their warps touch for them, FLOPs of the definition.
// kernel                                   registers  shared occupancy   bytes  sectors  FLOPs
// activations_relu_v1                     28 (22-32)       0      100%       8        8      1
//     next: 128-bit loads and stores, a quarter as many instructions for the same bytes
// activations_relu_backward_v1            27 (26-31)       0      100%      12       12      1
//     next: 128-bit loads and stores here, too
// activations_relu_v2                     32 (32-38)       0      100%       8        8      1
// activations_relu_backward_v2            32 (32-48)       0      100%      12       12      1
// activations_bias_relu_v1                28 (28-35)       0      100%      12        9      2
//     next: blocks that stay in one plane, so that no element needs a division, and 128 bits at a time
// activations_bias_relu_v2                40 (32-46)       0       75%      12        9      2
// activations_leaky_relu_v1               22 (16-26)       0      100%       8        8      2
// activations_leaky_relu_backward_v1      25 (16-30)       0      100%      12    15.95      2
// activations_hardswish_v1                21 (21-28)       0      100%       8        8      5
// activations_hardswish_backward_v1       26 (16-32)       0      100%      12    12.02      5
// activations_sigmoid_v1                  20 (20-24)       0      100%       8        8      4
// activations_sigmoid_backward_v1         26 (26-32)       0      100%      12       12      3
// activations_tanh_v1                     28 (28-34)       0      100%       8        8      1
// activations_tanh_backward_v1            26 (26-32)       0      100%      12       12      3
// activations_silu_v1                     21 (21-25)       0      100%       8        8      5
// activations_silu_backward_v1            23 (23-29)       0      100%      12       12      9
// activations_elu_v1                      19 (18-21)       0      100%       8        8      3
// activations_elu_backward_v1             26 (18-32)       0      100%      12    15.95      4
// activations_softplus_v1                 19 (18-24)       0      100%       8        8      7
// activations_softplus_backward_v1        23 (20-28)       0      100%      12       12      7
// activations_gelu_v1                     26 (20-28)       0      100%       8        8      4
// activations_gelu_backward_v1            30 (26-32)       0      100%      12       12     10
// activations_gelu_tanh_v1                28 (17-32)       0      100%       8        8      9
// activations_gelu_tanh_backward_v1       21 (19-24)       0      100%      12       12     19
// ---- end of versions ----------------------------------------------------------------------------
// Activations, element by element, and what their cotangents become; a bias and a ReLU in one pass.
//
// Notation: x is the pre-activation, y the activation, g the cotangent of y; each backward gives that of x. Where
// the slope is cheaper from the output, the backward takes y. Nearly all of these kernels are bound by memory: a
// number in and a number out take longer than the arithmetic between. Every kernel is version 1, one thread for
// each element, neighbours beside neighbours; of the ReLUs, which every network is full of, there is a version 2
// with 128-bit loads and stores.
#include "common.cuh"

// Of the tanh form of GELU: sqrt(2/pi), and the cubic term's weight.
#define GELU_SCALE ((REAL)0.79788456080286535588)
#define GELU_CUBIC ((REAL)0.044715)
// Beyond, its tanh t is -1 or 1 and x is not squared: x^2 may be infinite, and infinity times 1 - t^2 = 0 is NaN.
#define GELU_BEYOND ((REAL)10)
#define SQRT_HALF ((REAL)0.70710678118654752440)
#define NORMAL_DENSITY_AT_0 ((REAL)0.39894228040143267794)

// ---------------------------------------------------------------------------------------------------------------
// What is computed for one element
// ---------------------------------------------------------------------------------------------------------------
// NaN stays NaN: no comparison holds for it.
__device__ __forceinline__ REAL relu_of(REAL x) { return x <= 0 ? (REAL)0 : x; }

// g where y > 0 or y is NaN, as torch has it.
__device__ __forceinline__ REAL relu_slope(REAL g, REAL y) { return y <= 0 ? (REAL)0 : g; }

// e^-|x| never overflows: 1/(1+e^-x) for x >= 0, and e^x/(1+e^x) for x < 0.
__device__ __forceinline__ REAL sigmoid_of(REAL x) {
    const REAL small = MATH(exp)(-MATH(fabs)(x));
    return (x >= 0 ? (REAL)1 : small) / ((REAL)1 + small);
}

// log(1 + e^z) without overflow; for infinities and NaN as the exact function.
__device__ __forceinline__ REAL log_one_plus_exp(REAL z) {
    return (z > 0 ? z : (REAL)0) + MATH(log1p)(MATH(exp)(-MATH(fabs)(z)));
}

// The normal distribution's cumulative function. By erfc, since 1 + erf loses all digits far below 0.
__device__ __forceinline__ REAL cumulative(REAL x) { return (REAL)0.5 * MATH(erfc)(-x * SQRT_HALF); }
__device__ __forceinline__ REAL density(REAL x) { return NORMAL_DENSITY_AT_0 * MATH(exp)((REAL)-0.5 * x * x); }

__device__ __forceinline__ REAL squashed(REAL x) { return MATH(tanh)((x + GELU_CUBIC * x * x * x) * GELU_SCALE); }

// ---------------------------------------------------------------------------------------------------------------
// ReLU
// ---------------------------------------------------------------------------------------------------------------
// max(0, x).
// next: 128-bit loads and stores, a quarter as many instructions for the same bytes
extern "C" __global__ void __launch_bounds__(256) activations_relu_v1(
    const REAL* __restrict__ x, REAL* __restrict__ y, INDEX count) {
    for (INDEX i = first_index(); i < count; i += index_step()) {
        y[i] = relu_of(x[i]);
    }
}

// g where y > 0, else 0.
// next: 128-bit loads and stores here, too
extern "C" __global__ void __launch_bounds__(256) activations_relu_backward_v1(
    const REAL* __restrict__ g, const REAL* __restrict__ y, REAL* __restrict__ dx, INDEX count) {
    for (INDEX i = first_index(); i < count; i += index_step()) {
        dx[i] = relu_slope(g[i], y[i]);
    }
}

// Version 2: a thread moves 16 bytes with each load and store, so that there are a quarter as many of them (of
// doubles half), and more bytes are on their way at a time. The last count % VECTOR_WIDTH elements go one by one.
extern "C" __global__ void __launch_bounds__(256) activations_relu_v2(
    const VECTOR* __restrict__ x, VECTOR* __restrict__ y, INDEX count) {
    const REAL* from = reinterpret_cast<const REAL*>(x);
    REAL* to = reinterpret_cast<REAL*>(y);
    for (INDEX i = first_index(); i < count / VECTOR_WIDTH; i += index_step()) {
        REAL values[VECTOR_WIDTH];
        load_vector(values, from + i * VECTOR_WIDTH);
#pragma unroll
        for (int k = 0; k < VECTOR_WIDTH; ++k) values[k] = relu_of(values[k]);
        store_vector(to + i * VECTOR_WIDTH, values);
    }
    const INDEX rest = count - count % VECTOR_WIDTH + first_index();
    if (rest < count) to[rest] = relu_of(from[rest]);
}

extern "C" __global__ void __launch_bounds__(256) activations_relu_backward_v2(
    const VECTOR* __restrict__ g, const VECTOR* __restrict__ y, VECTOR* __restrict__ dx, INDEX count) {
    const REAL* gradient = reinterpret_cast<const REAL*>(g);
    const REAL* output = reinterpret_cast<const REAL*>(y);
    REAL* to = reinterpret_cast<REAL*>(dx);
    for (INDEX i = first_index(); i < count / VECTOR_WIDTH; i += index_step()) {
        REAL values[VECTOR_WIDTH], outputs[VECTOR_WIDTH];
        load_vector(values, gradient + i * VECTOR_WIDTH);
        load_vector(outputs, output + i * VECTOR_WIDTH);
#pragma unroll
        for (int k = 0; k < VECTOR_WIDTH; ++k) values[k] = relu_slope(values[k], outputs[k]);
        store_vector(to + i * VECTOR_WIDTH, values);
    }
    const INDEX rest = count - count % VECTOR_WIDTH + first_index();
    if (rest < count) to[rest] = relu_slope(gradient[rest], output[rest]);
}

// x (planes of m numbers) plus a bias for each channel, then ReLU: one trip through memory instead of two.
// Version 1: a division and a remainder tell each element its channel.
// next: blocks that stay in one plane, so that no element needs a division, and 128 bits at a time
extern "C" __global__ void __launch_bounds__(256) activations_bias_relu_v1(
    const REAL* __restrict__ x, const REAL* __restrict__ bias, REAL* __restrict__ y, INDEX count, int c, INDEX m) {
    for (INDEX i = first_index(); i < count; i += index_step()) y[i] = relu_of(x[i] + bias[i / m % c]);
}

// Version 2: a row of blocks for each plane, which has one channel: no division for each element. 128 bits at a
// time; m must be a multiple of VECTOR_WIDTH, so that every plane begins at a multiple of 16 bytes.
extern "C" __global__ void __launch_bounds__(256) activations_bias_relu_v2(
    const VECTOR* __restrict__ x, const REAL* __restrict__ bias, VECTOR* __restrict__ y, INDEX planes, int c,
    INDEX m) {
    for (INDEX plane = blockIdx.y; plane < planes; plane += gridDim.y) {
        const REAL* from = reinterpret_cast<const REAL*>(x) + plane * m;
        REAL* to = reinterpret_cast<REAL*>(y) + plane * m;
        const REAL shift = bias[plane % c];
        for (INDEX i = first_index(); i < m / VECTOR_WIDTH; i += index_step()) {
            REAL values[VECTOR_WIDTH];
            load_vector(values, from + i * VECTOR_WIDTH);
#pragma unroll
            for (int k = 0; k < VECTOR_WIDTH; ++k) values[k] = relu_of(values[k] + shift);
            store_vector(to + i * VECTOR_WIDTH, values);
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------
// Leaky ReLU and hardswish
// ---------------------------------------------------------------------------------------------------------------
// x where x > 0, else slope * x.
extern "C" __global__ void __launch_bounds__(256) activations_leaky_relu_v1(
    const REAL* __restrict__ x, REAL* __restrict__ y, REAL slope, INDEX count) {
    for (INDEX i = first_index(); i < count; i += index_step()) {
        y[i] = x[i] > 0 ? x[i] : x[i] * slope;
    }
}

// g where x > 0, else slope * g.
extern "C" __global__ void __launch_bounds__(256) activations_leaky_relu_backward_v1(
    const REAL* __restrict__ g, const REAL* __restrict__ x, REAL* __restrict__ dx, REAL slope, INDEX count) {
    for (INDEX i = first_index(); i < count; i += index_step()) {
        dx[i] = x[i] > 0 ? g[i] : g[i] * slope;
    }
}

// x min(max(x + 3, 0), 6) / 6. A NaN passes both comparisons.
extern "C" __global__ void __launch_bounds__(256) activations_hardswish_v1(
    const REAL* __restrict__ x, REAL* __restrict__ y, INDEX count) {
    for (INDEX i = first_index(); i < count; i += index_step()) {
        const REAL shifted = x[i] + 3;
        const REAL clipped = shifted < 0 ? (REAL)0 : shifted > 6 ? (REAL)6 : shifted;
        y[i] = x[i] * (clipped / 6);
    }
}

// 0 for x <= -3, g for x >= 3 (and NaN), g (x/3 + 1/2) between.
extern "C" __global__ void __launch_bounds__(256) activations_hardswish_backward_v1(
    const REAL* __restrict__ g, const REAL* __restrict__ x, REAL* __restrict__ dx, INDEX count) {
    for (INDEX i = first_index(); i < count; i += index_step()) {
        const REAL between = x[i] < 3 ? g[i] * (x[i] / 3 + (REAL)0.5) : g[i];
        dx[i] = x[i] <= -3 ? (REAL)0 : between;
    }
}

// ---------------------------------------------------------------------------------------------------------------
// Sigmoid, tanh, SiLU
// ---------------------------------------------------------------------------------------------------------------
// 1 / (1 + e^-x).
extern "C" __global__ void __launch_bounds__(256) activations_sigmoid_v1(
    const REAL* __restrict__ x, REAL* __restrict__ y, INDEX count) {
    for (INDEX i = first_index(); i < count; i += index_step()) {
        y[i] = sigmoid_of(x[i]);
    }
}

// g y (1 - y).
extern "C" __global__ void __launch_bounds__(256) activations_sigmoid_backward_v1(
    const REAL* __restrict__ g, const REAL* __restrict__ y, REAL* __restrict__ dx, INDEX count) {
    for (INDEX i = first_index(); i < count; i += index_step()) {
        dx[i] = g[i] * y[i] * ((REAL)1 - y[i]);
    }
}

// Hyperbolic tangent.
extern "C" __global__ void __launch_bounds__(256) activations_tanh_v1(
    const REAL* __restrict__ x, REAL* __restrict__ y, INDEX count) {
    for (INDEX i = first_index(); i < count; i += index_step()) {
        y[i] = MATH(tanh)(x[i]);
    }
}

// g (1 - y^2).
extern "C" __global__ void __launch_bounds__(256) activations_tanh_backward_v1(
    const REAL* __restrict__ g, const REAL* __restrict__ y, REAL* __restrict__ dx, INDEX count) {
    for (INDEX i = first_index(); i < count; i += index_step()) {
        dx[i] = g[i] * ((REAL)1 - y[i] * y[i]);
    }
}

// x s with s = 1 / (1 + e^-x).
extern "C" __global__ void __launch_bounds__(256) activations_silu_v1(
    const REAL* __restrict__ x, REAL* __restrict__ y, INDEX count) {
    for (INDEX i = first_index(); i < count; i += index_step()) {
        y[i] = x[i] * sigmoid_of(x[i]);
    }
}

// g s (1 + x (1 - s)).
extern "C" __global__ void __launch_bounds__(256) activations_silu_backward_v1(
    const REAL* __restrict__ g, const REAL* __restrict__ x, REAL* __restrict__ dx, INDEX count) {
    for (INDEX i = first_index(); i < count; i += index_step()) {
        const REAL s = sigmoid_of(x[i]);
        dx[i] = g[i] * (s * ((REAL)1 + x[i] * ((REAL)1 - s)));
    }
}

// ---------------------------------------------------------------------------------------------------------------
// ELU and softplus
// ---------------------------------------------------------------------------------------------------------------
// x where x > 0, else alpha (e^x - 1); expm1 keeps the digits of small x.
extern "C" __global__ void __launch_bounds__(256) activations_elu_v1(
    const REAL* __restrict__ x, REAL* __restrict__ y, REAL alpha, INDEX count) {
    for (INDEX i = first_index(); i < count; i += index_step()) {
        y[i] = x[i] > 0 ? x[i] : alpha * MATH(expm1)(x[i]);
    }
}

// g where x > 0 or x is NaN, else g alpha e^x.
extern "C" __global__ void __launch_bounds__(256) activations_elu_backward_v1(
    const REAL* __restrict__ g, const REAL* __restrict__ x, REAL* __restrict__ dx, REAL alpha, INDEX count) {
    for (INDEX i = first_index(); i < count; i += index_step()) {
        dx[i] = x[i] <= 0 ? g[i] * alpha * MATH(exp)(x[i]) : g[i];
    }
}

// log(1 + e^(beta x)) / beta, x itself where beta x exceeds the threshold.
extern "C" __global__ void __launch_bounds__(256) activations_softplus_v1(
    const REAL* __restrict__ x, REAL* __restrict__ y, REAL beta, REAL threshold, INDEX count) {
    for (INDEX i = first_index(); i < count; i += index_step()) {
        const REAL z = x[i] * beta;
        y[i] = z > threshold ? x[i] : log_one_plus_exp(z) / beta;
    }
}

// g / (1 + e^(-beta x)), g itself where beta x exceeds the threshold.
extern "C" __global__ void __launch_bounds__(256) activations_softplus_backward_v1(
    const REAL* __restrict__ g, const REAL* __restrict__ x, REAL* __restrict__ dx, REAL beta, REAL threshold, INDEX count) {
    for (INDEX i = first_index(); i < count; i += index_step()) {
        const REAL z = x[i] * beta;
        dx[i] = z > threshold ? g[i] : g[i] * sigmoid_of(z);
    }
}

// ---------------------------------------------------------------------------------------------------------------
// GELU, exact and by tanh
// ---------------------------------------------------------------------------------------------------------------
// x times the probability that a normal number is below x.
extern "C" __global__ void __launch_bounds__(256) activations_gelu_v1(
    const REAL* __restrict__ x, REAL* __restrict__ y, INDEX count) {
    for (INDEX i = first_index(); i < count; i += index_step()) {
        y[i] = x[i] * cumulative(x[i]);
    }
}

// g (cumulative + x density).
extern "C" __global__ void __launch_bounds__(256) activations_gelu_backward_v1(
    const REAL* __restrict__ g, const REAL* __restrict__ x, REAL* __restrict__ dx, INDEX count) {
    for (INDEX i = first_index(); i < count; i += index_step()) {
        dx[i] = g[i] * (cumulative(x[i]) + x[i] * density(x[i]));
    }
}

// x (1 + t) / 2 with t = tanh(sqrt(2/pi) (x + 0.044715 x^3)).
extern "C" __global__ void __launch_bounds__(256) activations_gelu_tanh_v1(
    const REAL* __restrict__ x, REAL* __restrict__ y, INDEX count) {
    for (INDEX i = first_index(); i < count; i += index_step()) {
        y[i] = x[i] * ((REAL)0.5 + (REAL)0.5 * squashed(x[i]));
    }
}

// g ((1 + t) / 2 + x (1 - t^2) sqrt(2/pi) (1 + 3 * 0.044715 x^2) / 2).
extern "C" __global__ void __launch_bounds__(256) activations_gelu_tanh_backward_v1(
    const REAL* __restrict__ g, const REAL* __restrict__ x, REAL* __restrict__ dx, INDEX count) {
    for (INDEX i = first_index(); i < count; i += index_step()) {
        const REAL near = x[i] > GELU_BEYOND ? GELU_BEYOND : x[i] < -GELU_BEYOND ? -GELU_BEYOND : x[i];
        const REAL t = squashed(near);
        const REAL inner = ((REAL)1 + 3 * GELU_CUBIC * near * near) * GELU_SCALE;
        dx[i] = g[i] * ((REAL)0.5 + (REAL)0.5 * t + (REAL)0.5 * x[i] * ((REAL)1 - t * t) * inner);
    }
}
