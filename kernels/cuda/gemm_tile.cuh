// Register tiles: the inner part of the fastest products, which gemm.cu and conv2d_implicit.cu share.
//
// A block computes a square tile of TILE x TILE elements of a product C = A B, walking along k in steps of DEPTH. For each
// step it needs DEPTH x TILE elements of A and as many of B, which lie in shared memory with k first.
#ifndef MINIDL_GEMM_TILE_CUH
#define MINIDL_GEMM_TILE_CUH
#include "common.cuh"

#define THREADS 256

// 256 threads, each with two vectors of rows and two of columns: in float 8 x 8 elements of a tile of 128 x 128, in
// double 4 x 4 of 64 x 64. Then a thread also loads as many elements of each tile as a vector has.
#define WIDTH (2 * VECTOR_WIDTH)
#define TILE (16 * WIDTH)
#define HALF (TILE / 2)
#define DEPTH 8
#define LOADS (TILE * DEPTH / THREADS)
#define PADDED (TILE + 4)  // keeps 16-byte alignment and spreads the stores of a column over all banks

// The elements of a tile that one thread brings: LOADS of them, equal steps apart. `along` is a row of A or a
// column of B, `depth` the position in k. Neighbouring threads follow the direction in which the matrix is contiguous:
// eight of them along k and then on to the next row, or 128 of them along the rows.
struct Share {
    int along, depth;            // of the first element, within the tile
    int along_step, depth_step;  // to the next one, of which either is 0
    INDEX from, from_step;       // in global memory
    int to, to_step;             // in shared memory
};

__device__ __forceinline__ Share share_of(INDEX along_stride, INDEX depth_stride) {
    const bool by_depth = depth_stride == 1;
    Share s;
    s.along = by_depth ? threadIdx.x / DEPTH : threadIdx.x % TILE;
    s.depth = by_depth ? threadIdx.x % DEPTH : threadIdx.x / TILE;
    s.along_step = by_depth ? THREADS / DEPTH : 0;
    s.depth_step = by_depth ? 0 : THREADS / TILE;
    s.from = s.along * along_stride + s.depth * depth_stride;
    s.from_step = s.along_step * along_stride + s.depth_step * depth_stride;
    s.to = s.depth * PADDED + s.along;
    s.to_step = s.depth_step * PADDED + s.along_step;
    return s;
}

// From global memory into registers; 0 beyond the `length` rows (or columns) and the `rest` of k that there are.
__device__ __forceinline__ void fetch(REAL* next, const REAL* tile, const Share& s, int length, int rest) {
#pragma unroll
    for (int i = 0; i < LOADS; ++i) {
        const bool there = s.along + i * s.along_step < length && s.depth + i * s.depth_step < rest;
        next[i] = there ? tile[s.from + i * s.from_step] : (REAL)0;
    }
}

// From registers to where they belong in shared memory.
__device__ __forceinline__ void keep(REAL* tile, const REAL* next, const Share& s) {
#pragma unroll
    for (int i = 0; i < LOADS; ++i) tile[s.to + i * s.to_step] = next[i];
}

// One tile's multiply-adds. The two vectors of a thread lie half a tile apart: the eight threads whose 128-bit loads
// go together then read 128 bytes in a row, which are all banks once.
__device__ __forceinline__ void multiply_tiles(
    REAL (*sum)[WIDTH], REAL (*tile_a)[PADDED], REAL (*tile_b)[PADDED], int down, int across)
{
#pragma unroll
    for (int depth = 0; depth < DEPTH; ++depth) {
        REAL part_a[WIDTH], part_b[WIDTH];
        load_vector(part_a, &tile_a[depth][down]);
        load_vector(part_a + VECTOR_WIDTH, &tile_a[depth][HALF + down]);
        load_vector(part_b, &tile_b[depth][across]);
        load_vector(part_b + VECTOR_WIDTH, &tile_b[depth][HALF + across]);
#pragma unroll
        for (int i = 0; i < WIDTH; ++i)
#pragma unroll
            for (int j = 0; j < WIDTH; ++j) sum[i][j] += part_a[i] * part_b[j];
    }
}

// Which row of the tile, counted from the thread's first, its i-th one is; the columns alike.
__device__ __forceinline__ int row_of(int i) { return (i / VECTOR_WIDTH) * HALF + i % VECTOR_WIDTH; }

// A thread's part of one row of C: two vectors, the first at `column`. Where the length of the rows is a multiple of a
// vector's, a vector lies inside or outside as a whole, and begins at a multiple of 16 bytes.
__device__ __forceinline__ void store_row(REAL* row, const REAL* sum, int column, int length) {
#pragma unroll
    for (int half = 0; half < 2; ++half, column += HALF, sum += VECTOR_WIDTH) {
        if (length % VECTOR_WIDTH == 0) {
            if (column < length) store_vector(row + column, sum);
        } else {
#pragma unroll
            for (int j = 0; j < VECTOR_WIDTH; ++j)
                if (column + j < length) row[column + j] = sum[j];
        }
    }
}

#endif  // MINIDL_GEMM_TILE_CUH
