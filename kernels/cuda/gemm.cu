// ---- versions (written by tables.py) ------------------------------------------------------------
// In float and int, on sm_80; in brackets registers on all architectures. For each output
// of a workload (workloads/): bytes that threads load from and store to global memory, bytes of
// the sectors that their warps touch for them, FLOPs of the definition.
// kernel                                   registers  shared occupancy   bytes  sectors  FLOPs
// gemm_v1                                 32 (32-64)       0      100%     260      560     64
//     next: neighbouring threads take neighbouring columns, so that a warp's loads of B fall together
// gemm_v2                                 32 (32-64)       0      100%     260      132     64
//     next: a tile of A and B is read once for 16 x 16 threads and kept in shared memory
// gemm_v3                                 46 (46-50)    2048       62%      20       20     64
//     next: each thread computes 4 x 4 elements, so that 8 loads from shared memory feed 16 multiply-adds instead of 1
// gemm_v4                                 48 (48-64)    8448       62%       8        8     64
//     next: 8 x 8 elements and 128-bit loads (64 multiply-adds for 4 load instructions), and the next tile is on its way while this one is used
// gemm_v5                              155 (145-189)   16896       12%       6        6     64
// ---- end of versions ----------------------------------------------------------------------------
// Products of matrices, C = A B, in batches: what convolutions by im2col and by Winograd's algorithm are made of.
//
// All versions take the same arguments. Matrix z of the result, z = share * groups + group, is
//
//     C_z = bias + sum over the images of the share of A(image, group) B(image, group)
//
// with `images_per_share` images for each share (the last one may have fewer). So one kernel does
//   - one product for each image and group            images_per_share = 1
//   - a sum of products over images, in a few shares   (the gradient of a convolution's weight)
// A(image, group) begins at a + image * a_image + group * a_group, and its element (row, column) lies row * a_row +
// column * a_column further on; any of these may be 0 (a matrix that all images share) and rows and columns may
// be exchanged (a transpose). The same holds for B. C_z is m x n, contiguous. bias has one number for each group
// and row.
//
// The grid is one-dimensional, whatever the batch: tiles down the rows first, so that blocks that run at the same
// time read the same columns of B, which in a convolution are the larger matrix, from the second-level cache.
#include "common.cuh"
#include "gemm_tile.cuh"

// Which tile of which product a block computes.
struct Tile {
    int row, column;  // the first of each
    INDEX z;          // which product
};

__device__ __forceinline__ Tile tile_of_block(int m, int n, int rows, int columns) {
    const int tiles_down = (m + rows - 1) / rows, tiles_across = (n + columns - 1) / columns;
    Tile tile;
    tile.row = (int)(blockIdx.x % tiles_down) * rows;
    tile.column = (int)(blockIdx.x / tiles_down % tiles_across) * columns;
    tile.z = blockIdx.x / tiles_down / tiles_across;
    return tile;
}

// v1, naive: one thread for each element of C, which reads a row of A and a column of B.
// The 32 threads of a warp hold 16 rows and two columns: each load of A touches 16 places far apart, of which a memory
// transaction brings 32 bytes each and 28 are thrown away. Two loads for one multiply-add.
// next: neighbouring threads take neighbouring columns, so that a warp's loads of B fall together
extern "C" __global__ void __launch_bounds__(256) gemm_v1(
    const REAL* __restrict__ a, const REAL* __restrict__ b, const REAL* __restrict__ bias /* or null */,
    REAL* __restrict__ c, int m, int n, int k, INDEX a_row, INDEX a_column, INDEX a_image, INDEX a_group,
    INDEX b_row, INDEX b_column, INDEX b_image, INDEX b_group, int images, int groups, int images_per_share)
{
    const Tile tile = tile_of_block(m, n, 16, 16);
    const int row = tile.row + threadIdx.x % 16, column = tile.column + threadIdx.x / 16;
    if (row >= m || column >= n) return;
    const int group = (int)(tile.z % groups);
    const int first = (int)(tile.z / groups) * images_per_share, last = min(first + images_per_share, images);
    REAL sum = bias ? bias[group * m + row] : (REAL)0;
    for (int image = first; image < last; ++image) {
        const REAL* from_a = a + image * a_image + group * a_group + row * a_row;
        const REAL* from_b = b + image * b_image + group * b_group + column * b_column;
        for (int i = 0; i < k; ++i) sum += from_a[i * a_column] * from_b[i * b_row];
    }
    c[(tile.z * m + row) * n + column] = sum;
}

// v2, coalesced: the same, but a warp holds 16 neighbouring columns of two rows. Its loads of B and its stores of C
// fall into two stretches of 64 bytes, its loads of A are the same two words for 16 threads each.
// next: a tile of A and B is read once for 16 x 16 threads and kept in shared memory
extern "C" __global__ void __launch_bounds__(256) gemm_v2(
    const REAL* __restrict__ a, const REAL* __restrict__ b, const REAL* __restrict__ bias /* or null */,
    REAL* __restrict__ c, int m, int n, int k, INDEX a_row, INDEX a_column, INDEX a_image, INDEX a_group,
    INDEX b_row, INDEX b_column, INDEX b_image, INDEX b_group, int images, int groups, int images_per_share)
{
    const Tile tile = tile_of_block(m, n, 16, 16);
    const int row = tile.row + threadIdx.x / 16, column = tile.column + threadIdx.x % 16;
    if (row >= m || column >= n) return;
    const int group = (int)(tile.z % groups);
    const int first = (int)(tile.z / groups) * images_per_share, last = min(first + images_per_share, images);
    REAL sum = bias ? bias[group * m + row] : (REAL)0;
    for (int image = first; image < last; ++image) {
        const REAL* from_a = a + image * a_image + group * a_group + row * a_row;
        const REAL* from_b = b + image * b_image + group * b_group + column * b_column;
        for (int i = 0; i < k; ++i) sum += from_a[i * a_column] * from_b[i * b_row];
    }
    c[(tile.z * m + row) * n + column] = sum;
}

#define SIDE 16

// v3, shared-memory tiles: the block walks along k in steps of 16. Of each step, every thread loads one element of A
// and one of B into shared memory, where all 16 threads of its row and of its column find them: a sixteenth of
// v2's traffic. What lies beyond the matrices is stored as 0, so that the sums need no condition.
// Reading: the threads of a warp share two rows of A (the same word goes to 16 of them at once) and hold 16
// neighbours of B: no bank conflicts.
// next: each thread computes 4 x 4 elements, so that 8 loads from shared memory feed 16 multiply-adds instead of 1
extern "C" __global__ void __launch_bounds__(256, 5) gemm_v3(
    const REAL* __restrict__ a, const REAL* __restrict__ b, const REAL* __restrict__ bias /* or null */,
    REAL* __restrict__ c, int m, int n, int k, INDEX a_row, INDEX a_column, INDEX a_image, INDEX a_group,
    INDEX b_row, INDEX b_column, INDEX b_image, INDEX b_group, int images, int groups, int images_per_share)
{
    __shared__ REAL tile_a[SIDE][SIDE];
    __shared__ REAL tile_b[SIDE][SIDE];
    const Tile tile = tile_of_block(m, n, SIDE, SIDE);
    const int down = threadIdx.x / SIDE, across = threadIdx.x % SIDE;
    const int row = tile.row + down, column = tile.column + across;
    const int group = (int)(tile.z % groups);
    const int first = (int)(tile.z / groups) * images_per_share, last = min(first + images_per_share, images);
    REAL sum = bias && row < m ? bias[group * m + row] : (REAL)0;
    for (int image = first; image < last; ++image) {
        const REAL* from_a = a + image * a_image + group * a_group;
        const REAL* from_b = b + image * b_image + group * b_group;
        for (int k0 = 0; k0 < k; k0 += SIDE) {
            tile_a[down][across] =
                row < m && k0 + across < k ? from_a[row * a_row + (k0 + across) * a_column] : (REAL)0;
            tile_b[down][across] =
                column < n && k0 + down < k ? from_b[(k0 + down) * b_row + column * b_column] : (REAL)0;
            __syncthreads();  // the tiles are complete
#pragma unroll
            for (int i = 0; i < SIDE; ++i) sum += tile_a[down][i] * tile_b[i][across];
            __syncthreads();  // nobody reads them any more
        }
    }
    if (row < m && column < n) c[(tile.z * m + row) * n + column] = sum;
}

#define V4_TILE 64
#define V4_DEPTH 16

// v4, register tiles: 64 x 64 elements for 256 threads, 4 x 4 for each. A step of k reads 4 numbers of A and 4 of B
// into registers, which 16 multiply-adds use. A thread's rows and columns lie 16 apart, so that its neighbours'
// loads are neighbours, too.
// A is turned on its way into shared memory (k first): then both tiles are read along their rows. The row of a tile
// is two numbers longer than it must be, else a warp that stores 16 rows of two columns would hit two banks 16 times.
// next: 8 x 8 elements and 128-bit loads (64 multiply-adds for 4 load instructions), and the next tile is on its way
// while this one is used
extern "C" __global__ void __launch_bounds__(256) gemm_v4(
    const REAL* __restrict__ a, const REAL* __restrict__ b, const REAL* __restrict__ bias /* or null */,
    REAL* __restrict__ c, int m, int n, int k, INDEX a_row, INDEX a_column, INDEX a_image, INDEX a_group,
    INDEX b_row, INDEX b_column, INDEX b_image, INDEX b_group, int images, int groups, int images_per_share)
{
    __shared__ REAL tile_a[V4_DEPTH][V4_TILE + 2];
    __shared__ REAL tile_b[V4_DEPTH][V4_TILE + 2];
    const Tile tile = tile_of_block(m, n, V4_TILE, V4_TILE);
    const int down = threadIdx.x / 16, across = threadIdx.x % 16;
    const int group = (int)(tile.z % groups);
    const int first = (int)(tile.z / groups) * images_per_share, last = min(first + images_per_share, images);
    REAL sum[4][4] = {};
    for (int image = first; image < last; ++image) {
        const REAL* from_a = a + image * a_image + group * a_group;
        const REAL* from_b = b + image * b_image + group * b_group;
        for (int k0 = 0; k0 < k; k0 += V4_DEPTH) {
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                // neighbouring threads follow the direction in which the matrix is contiguous
                const int e = threadIdx.x + i * 256;
                const int depth_a = a_column == 1 ? e % V4_DEPTH : e / V4_TILE;
                const int row = a_column == 1 ? e / V4_DEPTH : e % V4_TILE;
                const bool has_a = tile.row + row < m && k0 + depth_a < k;
                tile_a[depth_a][row] =
                    has_a ? from_a[(tile.row + row) * a_row + (k0 + depth_a) * a_column] : (REAL)0;
                const int depth_b = b_column == 1 ? e / V4_TILE : e % V4_DEPTH;
                const int column = b_column == 1 ? e % V4_TILE : e / V4_DEPTH;
                const bool has_b = tile.column + column < n && k0 + depth_b < k;
                tile_b[depth_b][column] =
                    has_b ? from_b[(k0 + depth_b) * b_row + (tile.column + column) * b_column] : (REAL)0;
            }
            __syncthreads();
#pragma unroll
            for (int depth = 0; depth < V4_DEPTH; ++depth) {
                REAL part_a[4], part_b[4];
#pragma unroll
                for (int i = 0; i < 4; ++i) part_a[i] = tile_a[depth][down + 16 * i];
#pragma unroll
                for (int j = 0; j < 4; ++j) part_b[j] = tile_b[depth][across + 16 * j];
#pragma unroll
                for (int i = 0; i < 4; ++i)
#pragma unroll
                    for (int j = 0; j < 4; ++j) sum[i][j] += part_a[i] * part_b[j];
            }
            __syncthreads();
        }
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const int row = tile.row + down + 16 * i;
        if (row >= m) continue;
        const REAL shift = bias ? bias[group * m + row] : (REAL)0;
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            const int column = tile.column + across + 16 * j;
            if (column < n) c[(tile.z * m + row) * n + column] = sum[i][j] + shift;
        }
    }
}

// v5, larger register tiles, 128-bit loads, double buffering: for each step of k a thread loads four vectors from
// shared memory and does 64 multiply-adds. There are two tiles of each matrix: while one is used, the elements of
// the next are on their way from global memory into registers, and go to the other tile afterwards. So their
// latency is hidden, and one barrier for each tile does for both.
extern "C" __global__ void __launch_bounds__(256, 1) gemm_v5(
    const REAL* __restrict__ a, const REAL* __restrict__ b, const REAL* __restrict__ bias /* or null */,
    REAL* __restrict__ c, int m, int n, int k, INDEX a_row, INDEX a_column, INDEX a_image, INDEX a_group,
    INDEX b_row, INDEX b_column, INDEX b_image, INDEX b_group, int images, int groups, int images_per_share)
{
    __shared__ __align__(16) REAL tiles_a[2][DEPTH][PADDED];
    __shared__ __align__(16) REAL tiles_b[2][DEPTH][PADDED];
    const Tile tile = tile_of_block(m, n, TILE, TILE);
    const int down = threadIdx.x / 16 * VECTOR_WIDTH, across = threadIdx.x % 16 * VECTOR_WIDTH;
    const int group = (int)(tile.z % groups);
    const int first = (int)(tile.z / groups) * images_per_share, last = min(first + images_per_share, images);
    const int all = (k + DEPTH - 1) / DEPTH * (last - first);
    const Share share_a = share_of(a_row, a_column), share_b = share_of(b_column, b_row);
    a += first * a_image + group * a_group + tile.row * a_row;
    b += first * b_image + group * b_group + tile.column * b_column;
    REAL sum[WIDTH][WIDTH] = {};
    REAL next_a[LOADS], next_b[LOADS];
    fetch(next_a, a, share_a, m - tile.row, k);
    fetch(next_b, b, share_b, n - tile.column, k);
    keep(&tiles_a[0][0][0], next_a, share_a);
    keep(&tiles_b[0][0][0], next_b, share_b);
    __syncthreads();
    int depth = 0;  // where in k the present tile begins
    for (int step = 0; step < all; ++step) {
        const int present = step & 1, next = 1 - present;
        if (step + 1 < all) {
            depth += DEPTH;
            if (depth >= k) {  // on to the next image
                depth = 0;
                a += a_image;
                b += b_image;
            }
            fetch(next_a, a + depth * a_column, share_a, m - tile.row, k - depth);
            fetch(next_b, b + depth * b_row, share_b, n - tile.column, k - depth);
        }
        multiply_tiles(sum, tiles_a[present], tiles_b[present], down, across);
        if (step + 1 < all) {
            keep(&tiles_a[next][0][0], next_a, share_a);
            keep(&tiles_b[next][0][0], next_b, share_b);
        }
        __syncthreads();  // the next tile is complete, and nobody reads this one any more
    }
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) {
        const int row = tile.row + down + row_of(i);
        if (row >= m) continue;
        const REAL shift = bias ? bias[group * m + row] : (REAL)0;
#pragma unroll
        for (int j = 0; j < WIDTH; ++j) sum[i][j] += shift;
        store_row(c + (tile.z * m + row) * n, sum[i], tile.column + across, n);
    }
}
