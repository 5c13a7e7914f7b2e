// ---- versions (written by tables.py) ------------------------------------------------------------
// In float and int, on sm_80; in brackets registers on all architectures. For each output
// of a workload (workloads/): bytes that threads load from and store to global memory, bytes of
// the sectors that their warps touch for them, FLOPs of the definition.
// kernel                                   registers  shared occupancy   bytes  sectors  FLOPs
// adam_step_v1                            28 (26-32)       0      100%      32       32     16
//     next: one launch for all parameters, which finds them through a table
// adam_step_v2                            36 (32-40)       0       75%    45.6     40.9     16
//     next: 128-bit loads and stores
// adam_step_v3                            56 (56-64)       0       50%    33.6     28.9     16
// ---- end of versions ----------------------------------------------------------------------------
// One step of Adam or AdamW.
//
//   w *= shrink,  g += added * w                      weight decay: decoupled, or added to the gradient
//   m += (1 - beta1) (g - m),  v = beta2 v + (1 - beta2) g^2
//   w -= rate * m / (sqrt(v) / root + eps)            rate = lr / (1 - beta1^t),  root = sqrt(1 - beta2^t)
//
// 7 numbers are moved for some 15 operations: memory counts, and, with a hundred parameters of which most are
// small, the time that a launch takes, a few microseconds.
#include "common.cuh"

struct Adam {
    REAL new1, old2, new2, root, eps, rate, shrink, added;
};

__device__ __forceinline__ void adam(REAL& w, REAL g, REAL& m, REAL& v, const Adam& a) {
    w *= a.shrink;
    g += a.added * w;
    m += a.new1 * (g - m);
    v = a.old2 * v + a.new2 * (g * g);
    w -= a.rate * (m / (MATH(sqrt)(v) / a.root + a.eps));
}

__device__ __forceinline__ Adam adam_of(
    REAL new1, REAL old2, REAL new2, REAL root, REAL eps, REAL rate, REAL shrink, REAL added) {
    Adam a;
    a.new1 = new1;
    a.old2 = old2;
    a.new2 = new2;
    a.root = root;
    a.eps = eps;
    a.rate = rate;
    a.shrink = shrink;
    a.added = added;
    return a;
}

// Version 1: a launch for each parameter.
// next: one launch for all parameters, which finds them through a table
extern "C" __global__ void __launch_bounds__(256) adam_step_v1(
    REAL* __restrict__ w, const REAL* __restrict__ g, REAL* __restrict__ m, REAL* __restrict__ v, REAL new1,
    REAL old2, REAL new2, REAL root, REAL eps, REAL rate, REAL shrink, REAL added, INDEX count) {
    const Adam a = adam_of(new1, old2, new2, root, eps, rate, shrink, added);
    for (INDEX i = first_index(); i < count; i += index_step()) adam(w[i], g[i], m[i], v[i], a);
}

// Elements [begin, end) of one parameter.
struct Piece {
    REAL* w;
    const REAL* g;
    REAL *m, *v;
    long long begin, end;
};

// Piece `number` of a parameter, of `length` elements; its row of the table has the addresses of w, g, m, v and the number
// of elements.
__device__ __forceinline__ Piece piece_at(const long long* row, int number, int length) {
    Piece p;
    p.w = reinterpret_cast<REAL*>(row[0]);
    p.g = reinterpret_cast<const REAL*>(row[1]);
    p.m = reinterpret_cast<REAL*>(row[2]);
    p.v = reinterpret_cast<REAL*>(row[3]);
    p.begin = (long long)number * length;
    p.end = min(row[4], p.begin + length);
    return p;
}

// Version 2: one launch for all parameters. Row i of `table` tells where parameter i lies, row i of `numbers` what
// depends on its step, root and rate. Every parameter is cut into pieces of `piece` elements, and block b does
// piece_of[b] of parameter parameter_of[b].
// next: 128-bit loads and stores
extern "C" __global__ void __launch_bounds__(256) adam_step_v2(
    const long long* __restrict__ table, const REAL* __restrict__ numbers, const int* __restrict__ parameter_of,
    const int* __restrict__ piece_of, REAL new1, REAL old2, REAL new2, REAL eps, REAL shrink, REAL added,
    int piece) {
    const REAL* own = numbers + parameter_of[blockIdx.x] * 2;
    const Adam a = adam_of(new1, old2, new2, own[0], eps, own[1], shrink, added);
    const Piece p = piece_at(table + parameter_of[blockIdx.x] * 5, piece_of[blockIdx.x], piece);
    for (long long i = p.begin + threadIdx.x; i < p.end; i += blockDim.x) adam(p.w[i], p.g[i], p.m[i], p.v[i], a);
}

// Version 3: 128 bits with each load and store. All addresses must be multiples of 16 bytes, and `piece` one of
// VECTOR_WIDTH; the elements after a parameter's last whole vector go one by one.
extern "C" __global__ void __launch_bounds__(256, 2) adam_step_v3(
    const long long* __restrict__ table, const REAL* __restrict__ numbers, const int* __restrict__ parameter_of,
    const int* __restrict__ piece_of, REAL new1, REAL old2, REAL new2, REAL eps, REAL shrink, REAL added,
    int piece) {
    const REAL* own = numbers + parameter_of[blockIdx.x] * 2;
    const Adam a = adam_of(new1, old2, new2, own[0], eps, own[1], shrink, added);
    const Piece p = piece_at(table + parameter_of[blockIdx.x] * 5, piece_of[blockIdx.x], piece);
    const long long whole = p.end - p.end % VECTOR_WIDTH;
    for (long long i = p.begin + threadIdx.x * VECTOR_WIDTH; i < whole; i += blockDim.x * VECTOR_WIDTH) {
        REAL ws[VECTOR_WIDTH], gs[VECTOR_WIDTH], ms[VECTOR_WIDTH], vs[VECTOR_WIDTH];
        load_vector(ws, p.w + i);
        load_vector(gs, p.g + i);
        load_vector(ms, p.m + i);
        load_vector(vs, p.v + i);
#pragma unroll
        for (int k = 0; k < VECTOR_WIDTH; ++k) adam(ws[k], gs[k], ms[k], vs[k], a);
        store_vector(p.w + i, ws);
        store_vector(p.m + i, ms);
        store_vector(p.v + i, vs);
    }
    for (long long i = whole + threadIdx.x; i < p.end; i += blockDim.x) adam(p.w[i], p.g[i], p.m[i], p.v[i], a);
}
