// ---- versions (written by tables.py) ------------------------------------------------------------
// In float and int, on sm_80; in brackets registers on all architectures. For each output
// of a workload (workloads/): bytes that threads load from and store to global memory, bytes of
// the sectors that their warps touch for them, FLOPs of the definition.
// kernel                                   registers  shared occupancy   bytes  sectors  FLOPs
// sgd_step_v1                             24 (22-32)       0      100%      20       20      7
//     next: one launch for all parameters, which finds them through a table
// sgd_step_v2                             31 (28-40)       0      100%    24.8     20.7      7
//     next: 128-bit loads and stores
// sgd_step_v3                             32 (32-46)       0      100%    24.8     20.7      7
// ---- end of versions ----------------------------------------------------------------------------
// One step of stochastic gradient descent.
//
//   g += weight_decay * w
//   u = momentum * u + (1 - dampening) * g            the velocity; its first value is g
//   w -= lr * d,   d = u, with nesterov g + momentum * u, without momentum g
//
// Memory counts, and, with a hundred parameters of which most are small, the time that a launch takes.
#include "common.cuh"

struct Sgd {
    REAL lr, momentum, fresh, weight_decay;  // fresh = 1 - dampening
    bool has_velocity, first, nesterov;
};

__device__ __forceinline__ void sgd(REAL& w, REAL g, REAL& u, const Sgd& s) {
    g += s.weight_decay * w;
    if (s.has_velocity) {
        u = s.first ? g : s.momentum * u + s.fresh * g;
        g = s.nesterov ? g + s.momentum * u : u;
    }
    w -= s.lr * g;
}

// The same for one element in memory, whose velocity may not exist, or not yet have a value.
__device__ __forceinline__ void sgd_at(REAL* w, const REAL* g, REAL* u, const Sgd& s) {
    REAL velocity = s.has_velocity && !s.first ? *u : (REAL)0;
    sgd(*w, *g, velocity, s);
    if (s.has_velocity) *u = velocity;
}

// Version 1: a launch for each parameter.
// next: one launch for all parameters, which finds them through a table
extern "C" __global__ void __launch_bounds__(256) sgd_step_v1(
    REAL* __restrict__ w, const REAL* __restrict__ g, REAL* __restrict__ u /* or null */, REAL lr, REAL momentum,
    REAL fresh, REAL weight_decay, bool first, bool nesterov, INDEX count) {
    const Sgd s = {lr, momentum, fresh, weight_decay, u != 0, first, nesterov};
    for (INDEX i = first_index(); i < count; i += index_step()) sgd_at(w + i, g + i, u + i, s);
}

// Elements [begin, end) of one parameter.
struct Piece {
    REAL* w;
    const REAL* g;
    REAL* u;
    long long begin, end;
};

// Piece `number` of a parameter, of `length` elements; its row of the table has the addresses of w, g and u (0: none), the
// number of elements, and whether u has no value yet.
__device__ __forceinline__ Piece piece_at(const long long* row, int number, int length) {
    Piece p;
    p.w = reinterpret_cast<REAL*>(row[0]);
    p.g = reinterpret_cast<const REAL*>(row[1]);
    p.u = reinterpret_cast<REAL*>(row[2]);
    p.begin = (long long)number * length;
    p.end = min(row[3], p.begin + length);
    return p;
}

// Version 2: one launch for all parameters, each of which is a row of a table. Block b does piece_of[b] of
// parameter_of[b].
// next: 128-bit loads and stores
extern "C" __global__ void __launch_bounds__(256) sgd_step_v2(
    const long long* __restrict__ table, const int* __restrict__ parameter_of, const int* __restrict__ piece_of,
    REAL lr, REAL momentum, REAL fresh, REAL weight_decay, bool nesterov, int piece) {
    const long long* row = table + parameter_of[blockIdx.x] * 5;
    const Piece p = piece_at(row, piece_of[blockIdx.x], piece);
    const Sgd s = {lr, momentum, fresh, weight_decay, p.u != 0, row[4] != 0, nesterov};
    for (long long i = p.begin + threadIdx.x; i < p.end; i += blockDim.x) sgd_at(p.w + i, p.g + i, p.u + i, s);
}

// Version 3: 128 bits with each load and store. All addresses must be multiples of 16 bytes, and `piece` one of
// VECTOR_WIDTH; the elements after a parameter's last whole vector go one by one.
extern "C" __global__ void __launch_bounds__(256) sgd_step_v3(
    const long long* __restrict__ table, const int* __restrict__ parameter_of, const int* __restrict__ piece_of,
    REAL lr, REAL momentum, REAL fresh, REAL weight_decay, bool nesterov, int piece) {
    const long long* row = table + parameter_of[blockIdx.x] * 5;
    const Piece p = piece_at(row, piece_of[blockIdx.x], piece);
    const Sgd s = {lr, momentum, fresh, weight_decay, p.u != 0, row[4] != 0, nesterov};
    const long long whole = p.end - p.end % VECTOR_WIDTH;
    for (long long i = p.begin + threadIdx.x * VECTOR_WIDTH; i < whole; i += blockDim.x * VECTOR_WIDTH) {
        REAL ws[VECTOR_WIDTH], gs[VECTOR_WIDTH], us[VECTOR_WIDTH] = {0};
        load_vector(ws, p.w + i);
        load_vector(gs, p.g + i);
        if (s.has_velocity && !s.first) load_vector(us, p.u + i);
#pragma unroll
        for (int k = 0; k < VECTOR_WIDTH; ++k) sgd(ws[k], gs[k], us[k], s);
        store_vector(p.w + i, ws);
        if (s.has_velocity) store_vector(p.u + i, us);
    }
    for (long long i = whole + threadIdx.x; i < p.end; i += blockDim.x) sgd_at(p.w + i, p.g + i, p.u + i, s);
}
