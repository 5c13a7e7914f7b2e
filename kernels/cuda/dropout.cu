// ---- versions (written by tables.py) ------------------------------------------------------------
// In float and int, on sm_80; in brackets registers on all architectures. For each output
// of a workload (workloads/): bytes that threads load from and store to global memory, bytes of
// the sectors that their warps touch for them, FLOPs of the definition.
// kernel                                   registers  shared occupancy   bytes  sectors  FLOPs
// dropout_mask_v1                         32 (30-64)       0      100%       4        4      0
//     next: a thread gives away all eight numbers of the block that it computes
// dropout_mask_v2                         30 (30-76)       0      100%       4       32      0
//     next: the product with x in the same pass, so that the mask is not read again
// dropout_forward_v3                      32 (32-48)       0      100%      12       96      1
// ---- end of versions ----------------------------------------------------------------------------
// Dropout: the mask from random numbers that are a function of a key and a place, and its product with x.
//
// Philox 4x64-10 (Salmon et al. 2011) makes four 64-bit words of a counter; minidl/random.py has it in full. Words
// are cut into halves, the low one first: a block of the sequence is eight 32-bit numbers. Element i of the mask is
// kept if number 2*first + i of the sequence is at least `threshold`, where the sequence begins with block 1. So
// every thread computes its own numbers, and the mask is the same on every machine.
//
// `skip` is how many 32-bit numbers of the first block come before element 0; c0 ... c3 are the counter of the
// first block, the least significant word first.
#include "common.cuh"

#define NUMBERS_OF_BLOCK 8

// The four words of the block whose number is `step` after (c0, c1, c2, c3).
__device__ __forceinline__ void philox(
    unsigned long long* word, unsigned long long step, unsigned long long c0, unsigned long long c1,
    unsigned long long c2, unsigned long long c3, unsigned long long k0, unsigned long long k1) {
    c0 += step;
    if (c0 < step && ++c1 == 0 && ++c2 == 0) ++c3;  // the carry
    const unsigned long long m0 = 0xD2E7470EE14C6C93ULL, m1 = 0xCA5A826395121157ULL;
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        const unsigned long long high0 = __umul64hi(m0, c0), low0 = m0 * c0;
        const unsigned long long high1 = __umul64hi(m1, c2), low1 = m1 * c2;
        c0 = high1 ^ c1 ^ k0;
        c1 = low1;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += 0x9E3779B97F4A7C15ULL;
        k1 += 0xBB67AE8584CAA73BULL;
    }
    word[0] = c0;
    word[1] = c1;
    word[2] = c2;
    word[3] = c3;
}

// Half `part` of a word: 0 the low, 1 the high one.
__device__ __forceinline__ unsigned half_of(unsigned long long word, int part) {
    return part ? (unsigned)(word >> 32) : (unsigned)word;
}

// Version 1: one thread for each element, which computes the whole block for one of its eight numbers.
// next: a thread gives away all eight numbers of the block that it computes
extern "C" __global__ void __launch_bounds__(256) dropout_mask_v1(
    REAL* __restrict__ mask, REAL scale, unsigned long long threshold, int skip, unsigned long long c0,
    unsigned long long c1, unsigned long long c2, unsigned long long c3, unsigned long long k0,
    unsigned long long k1, INDEX count) {
    for (INDEX i = first_index(); i < count; i += index_step()) {
        unsigned long long word[4];
        const unsigned long long number = (unsigned long long)i + skip;
        philox(word, number / NUMBERS_OF_BLOCK, c0, c1, c2, c3, k0, k1);
        const int place = number % NUMBERS_OF_BLOCK;
        // Chosen with constant places: an array that is indexed by a variable cannot be kept in registers.
        const unsigned long long own = place < 4 ? (place < 2 ? word[0] : word[1]) : (place < 6 ? word[2] : word[3]);
        mask[i] = half_of(own, place % 2) >= threshold ? scale : (REAL)0;
    }
}

// Version 2: one thread for each block, which gives all its eight numbers away: an eighth of the 40 multiplications
// for each element. A thread's elements lie side by side, so that its eight stores fill one sector of memory: in the
// cache, which puts them together. The table counts each store by itself.
// next: the product with x in the same pass, so that the mask is not read again
extern "C" __global__ void __launch_bounds__(256) dropout_mask_v2(
    REAL* __restrict__ mask, REAL scale, unsigned long long threshold, int skip, unsigned long long c0,
    unsigned long long c1, unsigned long long c2, unsigned long long c3, unsigned long long k0,
    unsigned long long k1, INDEX count) {
    const INDEX blocks = (count + skip + NUMBERS_OF_BLOCK - 1) / NUMBERS_OF_BLOCK;
    for (INDEX block = first_index(); block < blocks; block += index_step()) {
        unsigned long long word[4];
        philox(word, block, c0, c1, c2, c3, k0, k1);
#pragma unroll
        for (int k = 0; k < NUMBERS_OF_BLOCK; ++k) {
            const INDEX i = block * NUMBERS_OF_BLOCK + k - skip;
            if (i >= 0 && i < count) mask[i] = half_of(word[k / 2], k % 2) >= threshold ? scale : (REAL)0;
        }
    }
}

// Version 3: the product in the same pass, where the mask has x's shape: the mask is not read again.
extern "C" __global__ void __launch_bounds__(256) dropout_forward_v3(
    const REAL* __restrict__ x, REAL* __restrict__ y, REAL* __restrict__ mask, REAL scale,
    unsigned long long threshold, int skip, unsigned long long c0, unsigned long long c1, unsigned long long c2,
    unsigned long long c3, unsigned long long k0, unsigned long long k1, INDEX count) {
    const INDEX blocks = (count + skip + NUMBERS_OF_BLOCK - 1) / NUMBERS_OF_BLOCK;
    for (INDEX block = first_index(); block < blocks; block += index_step()) {
        unsigned long long word[4];
        philox(word, block, c0, c1, c2, c3, k0, k1);
#pragma unroll
        for (int k = 0; k < NUMBERS_OF_BLOCK; ++k) {
            const INDEX i = block * NUMBERS_OF_BLOCK + k - skip;
            if (i < 0 || i >= count) continue;
            const REAL factor = half_of(word[k / 2], k % 2) >= threshold ? scale : (REAL)0;
            mask[i] = factor;
            y[i] = x[i] * factor;  // a product, not a choice: infinity times 0 is NaN, as in torch
        }
    }
}
