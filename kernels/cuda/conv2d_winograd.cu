// ---- versions (written by tables.py) ------------------------------------------------------------
// In float and int, on sm_80; in brackets registers on all architectures. For each output
// of a workload (workloads/): bytes that threads load from and store to global memory, bytes of
// the sectors that their warps touch for them, FLOPs of the definition.
// kernel                                   registers  shared occupancy   bytes  sectors  FLOPs
// winograd_filters_v1                     32 (32-64)       0      100%   5.625     13.5  7.875
// winograd_tiles_v1                       78 (56-80)       0       38%   4.141    12.88   8.25
// winograd_cotangents_v1                  32 (32-64)       0      100%   46.22    88.89     80
// winograd_weights_v1                     40 (32-61)       0       75%      20       48     28
// winograd_outputs_v1                     48 (48-64)       0       62%      13       25   22.5
// ---- end of versions ----------------------------------------------------------------------------
// Winograd's algorithm F(4x4, 3x3): 36 multiplications for 16 outputs of a 3x3 filter instead of 144 (Lavin and Gray 2015).
//
//     Y = At [(G W Gt) * (Bt X B)] A        for tiles X of 6x6 pixels, Y of 4x4 outputs; * elementwise, summed over channels
//
// Four steps: the filters (v1 below), the tiles of the picture, 36 products of matrices (gemm.cu: filters by channels times
// channels by tiles, one for each of the 36 places), and the outputs. The matrices are derived in
// kernels/cpu/cook_toom.py, from which winograd_matrices.cuh is written.
//
// The gradient of the weight turns this around, with the same tiles X and 4x4 cotangents T; * summed over tiles:
//
//     dW = Gt [(Bt X B) * (A T At)] G
//
// What is not finite would spread over its whole tile, where the definition puts it into some outputs only. So the steps
// that read what is given raise a flag if they see any, and another algorithm then computes the result anew (`only_if`).
#include "common.cuh"
#include "winograd_matrices.cuh"

#define OUTPUTS 4  // of a tile, each way
#define INPUTS 6

// u[place, filter, channel] = (G W Gt)[place]; weight is (k, channels, 3, 3). One thread for each pair.
extern "C" __global__ void __launch_bounds__(256) winograd_filters_v1(
    const REAL* __restrict__ weight, REAL* __restrict__ u, int* flag, int count)
{
    const REAL matrix[INPUTS][3] = WINOGRAD_G;
    for (int e = first_index(); e < count; e += index_step()) {
        const REAL* taps = weight + (INDEX)e * 9;
        REAL half[INPUTS][3];  // G W
        bool finite = true;
#pragma unroll
        for (int column = 0; column < 3; ++column) {
            const REAL a = taps[column], b = taps[3 + column], c = taps[6 + column];
            finite = finite && is_finite(a) && is_finite(b) && is_finite(c);
#pragma unroll
            for (int i = 0; i < INPUTS; ++i) half[i][column] = matrix[i][0] * a + matrix[i][1] * b + matrix[i][2] * c;
        }
        if (!finite) atomicMax(flag, 1);
#pragma unroll
        for (int i = 0; i < INPUTS; ++i)
#pragma unroll
            for (int j = 0; j < INPUTS; ++j)
                u[(INDEX)(i * INPUTS + j) * count + e] =
                    half[i][0] * matrix[j][0] + half[i][1] * matrix[j][1] + half[i][2] * matrix[j][2];
    }
}

// v[place, channel, tile] = (Bt X B)[place]. One thread for each channel and tile; neighbouring threads have neighbouring
// tiles, so that each of the 36 stores of a warp is 128 bytes in a row. `tiles` = n * down * across.
extern "C" __global__ void __launch_bounds__(128) winograd_tiles_v1(
    const REAL* __restrict__ x, REAL* __restrict__ v, int* flag, INDEX count, INDEX tiles, int c, int h, int w, int down,
    int across, int ph, int pw)
{
    const REAL matrix[INPUTS][INPUTS] = WINOGRAD_BT;
    for (INDEX e = first_index(); e < count; e += index_step()) {
        const INDEX tile = e % tiles, image = tile / across / down;
        const int channel = (int)(e / tiles);
        const int top = (int)(tile / across % down) * OUTPUTS - ph, left = (int)(tile % across) * OUTPUTS - pw;
        const REAL* plane = x + (image * c + channel) * h * w;
        REAL half[INPUTS][INPUTS] = {};  // Bt X, row after row of X
        bool finite = true;
#pragma unroll
        for (int row = 0; row < INPUTS; ++row)
#pragma unroll
            for (int column = 0; column < INPUTS; ++column) {
                const bool there = inside(top + row, h) && inside(left + column, w);
                const REAL pixel = there ? plane[(INDEX)(top + row) * w + left + column] : (REAL)0;
                finite = finite && is_finite(pixel);
#pragma unroll
                for (int i = 0; i < INPUTS; ++i)
                    if (matrix[i][row] != 0) half[i][column] += matrix[i][row] * pixel;
            }
        if (!finite) atomicMax(flag, 1);
#pragma unroll
        for (int i = 0; i < INPUTS; ++i)
#pragma unroll
            for (int j = 0; j < INPUTS; ++j) {
                REAL sum = 0;
#pragma unroll
                for (int column = 0; column < INPUTS; ++column)
                    if (matrix[j][column] != 0) sum += half[i][column] * matrix[j][column];
                v[(INDEX)(i * INPUTS + j) * count + e] = sum;
            }
    }
}

// t[place, filter, tile] = (A T At)[place] of the cotangents g (n, k, oh, ow): zeros beyond the picture. One thread for each
// filter and tile, as above.
extern "C" __global__ void __launch_bounds__(128) winograd_cotangents_v1(
    const REAL* __restrict__ g, REAL* __restrict__ t, int* flag, INDEX count, INDEX tiles, int k, int oh, int ow, int down,
    int across)
{
    const REAL matrix[OUTPUTS][INPUTS] = WINOGRAD_AT;
    for (INDEX e = first_index(); e < count; e += index_step()) {
        const INDEX tile = e % tiles, image = tile / across / down;
        const int top = (int)(tile / across % down) * OUTPUTS, left = (int)(tile % across) * OUTPUTS;
        const REAL* plane = g + (image * k + e / tiles) * oh * ow;
        REAL half[INPUTS][OUTPUTS] = {};  // A T, row after row of T
        bool finite = true;
#pragma unroll
        for (int row = 0; row < OUTPUTS; ++row)
#pragma unroll
            for (int column = 0; column < OUTPUTS; ++column) {
                const bool there = top + row < oh && left + column < ow;
                const REAL value = there ? plane[(INDEX)(top + row) * ow + left + column] : (REAL)0;
                finite = finite && is_finite(value);
#pragma unroll
                for (int i = 0; i < INPUTS; ++i)
                    if (matrix[row][i] != 0) half[i][column] += matrix[row][i] * value;
            }
        if (!finite) atomicMax(flag, 1);
#pragma unroll
        for (int i = 0; i < INPUTS; ++i)
#pragma unroll
            for (int j = 0; j < INPUTS; ++j) {
                REAL sum = 0;
#pragma unroll
                for (int column = 0; column < OUTPUTS; ++column)
                    if (matrix[column][j] != 0) sum += half[i][column] * matrix[column][j];
                t[(INDEX)(i * INPUTS + j) * count + e] = sum;
            }
    }
}

// dw = Gt M G from the products m[place, filter, channel]; dw is (k, channels, 3, 3). One thread for each pair.
extern "C" __global__ void __launch_bounds__(256) winograd_weights_v1(
    const REAL* __restrict__ m, REAL* __restrict__ dw, int count)
{
    const REAL matrix[INPUTS][3] = WINOGRAD_G;
    for (int e = first_index(); e < count; e += index_step()) {
        REAL half[3][INPUTS] = {};  // Gt M
#pragma unroll
        for (int row = 0; row < INPUTS; ++row)
#pragma unroll
            for (int column = 0; column < INPUTS; ++column) {
                const REAL value = m[(INDEX)(row * INPUTS + column) * count + e];
#pragma unroll
                for (int i = 0; i < 3; ++i) half[i][column] += matrix[row][i] * value;
            }
#pragma unroll
        for (int i = 0; i < 3; ++i)
#pragma unroll
            for (int j = 0; j < 3; ++j) {
                REAL sum = 0;
#pragma unroll
                for (int column = 0; column < INPUTS; ++column) sum += half[i][column] * matrix[column][j];
                dw[(INDEX)e * 9 + i * 3 + j] = sum;
            }
    }
}

// y = At M A + bias from the products m[place, filter, tile]. One thread for each filter and tile.
extern "C" __global__ void __launch_bounds__(128) winograd_outputs_v1(
    const REAL* __restrict__ m, const REAL* __restrict__ bias /* or null */, REAL* __restrict__ y, INDEX count, INDEX tiles,
    int k, int oh, int ow, int down, int across, int relu)
{
    const REAL matrix[OUTPUTS][INPUTS] = WINOGRAD_AT;
    for (INDEX e = first_index(); e < count; e += index_step()) {
        const INDEX tile = e % tiles, image = tile / across / down;
        const int filter = (int)(e / tiles);
        const int top = (int)(tile / across % down) * OUTPUTS, left = (int)(tile % across) * OUTPUTS;
        REAL half[OUTPUTS][INPUTS] = {};  // At M
#pragma unroll
        for (int row = 0; row < INPUTS; ++row)
#pragma unroll
            for (int column = 0; column < INPUTS; ++column) {
                const REAL value = m[(INDEX)(row * INPUTS + column) * count + e];
#pragma unroll
                for (int i = 0; i < OUTPUTS; ++i)
                    if (matrix[i][row] != 0) half[i][column] += matrix[i][row] * value;
            }
        const REAL shift = bias ? bias[filter] : (REAL)0;
        REAL* plane = y + (image * k + filter) * oh * ow;
#pragma unroll
        for (int i = 0; i < OUTPUTS; ++i)
#pragma unroll
            for (int j = 0; j < OUTPUTS; ++j) {
                if (top + i >= oh || left + j >= ow) continue;
                REAL sum = shift;
#pragma unroll
                for (int column = 0; column < INPUTS; ++column)
                    if (matrix[j][column] != 0) sum += half[i][column] * matrix[j][column];
                plane[(INDEX)(top + i) * ow + left + j] = relu ? larger(sum, (REAL)0) : sum;
            }
    }
}
