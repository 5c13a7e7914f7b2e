// ---- versions (written by tables.py) ------------------------------------------------------------
// In float and int, on sm_80; in brackets registers on all architectures. For each output
// of a workload (workloads.py): bytes that threads load from and store to global memory, bytes of
// the sectors that their warps touch for them, FLOPs.
// kernel                                   registers  shared occupancy   bytes  sectors  FLOPs
// sgd_step_v1                             28 (22-32)       0      100%
// sgd_step_v2                             32 (28-40)       0      100%
// sgd_step_v3                             32 (32-46)       0      100%
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

// Version 1: a launch for each parameter.
// next: one launch for all parameters, which finds them through a table
extern "C" __global__ void __launch_bounds__(256) sgd_step_v1(
    REAL* __restrict__ w, const REAL* __restrict__ g, REAL* __restrict__ u /* or null */, REAL lr, REAL momentum,
    REAL fresh, REAL weight_decay, bool first, bool nesterov, INDEX count) {
    const Sgd s = {lr, momentum, fresh, weight_decay, u != 0, first, nesterov};
    for (INDEX i = first_index(); i < count; i += index_step()) {
        REAL velocity = u && !first ? u[i] : (REAL)0;
        sgd(w[i], g[i], velocity, s);
        if (u) u[i] = velocity;
    }
}

// Version 2: one launch for all parameters, through a table: row p has the addresses of its w, g and u (0: none),
// its number of elements, and whether u has no value yet. Block b does piece_of[b] of parameter_of[b].
// next: 128-bit loads and stores
extern "C" __global__ void __launch_bounds__(256) sgd_step_v2(
    const long long* __restrict__ table, const int* __restrict__ parameter_of, const int* __restrict__ piece_of,
    REAL lr, REAL momentum, REAL fresh, REAL weight_decay, bool nesterov, int piece) {
    const long long* row = table + parameter_of[blockIdx.x] * 5;
    REAL* w = reinterpret_cast<REAL*>(row[0]);
    const REAL* g = reinterpret_cast<const REAL*>(row[1]);
    REAL* u = reinterpret_cast<REAL*>(row[2]);
    const bool first = row[4] != 0;
    const Sgd s = {lr, momentum, fresh, weight_decay, u != 0, first, nesterov};
    const long long begin = (long long)piece_of[blockIdx.x] * piece, end = min(row[3], begin + piece);
    for (long long i = begin + threadIdx.x; i < end; i += blockDim.x) {
        REAL velocity = u && !first ? u[i] : (REAL)0;
        sgd(w[i], g[i], velocity, s);
        if (u) u[i] = velocity;
    }
}

// Version 3: 128 bits with each load and store. All addresses must be multiples of 16 bytes, and `piece` one of
// VECTOR_WIDTH; the elements after a parameter's last whole vector go one by one.
extern "C" __global__ void __launch_bounds__(256) sgd_step_v3(
    const long long* __restrict__ table, const int* __restrict__ parameter_of, const int* __restrict__ piece_of,
    REAL lr, REAL momentum, REAL fresh, REAL weight_decay, bool nesterov, int piece) {
    const long long* row = table + parameter_of[blockIdx.x] * 5;
    REAL* w = reinterpret_cast<REAL*>(row[0]);
    const REAL* g = reinterpret_cast<const REAL*>(row[1]);
    REAL* u = reinterpret_cast<REAL*>(row[2]);
    const bool first = row[4] != 0;
    const Sgd s = {lr, momentum, fresh, weight_decay, u != 0, first, nesterov};
    const long long begin = (long long)piece_of[blockIdx.x] * piece, end = min(row[3], begin + piece);
    const long long whole = end - end % VECTOR_WIDTH;
    for (long long i = begin + threadIdx.x * VECTOR_WIDTH; i < whole; i += blockDim.x * VECTOR_WIDTH) {
        REAL ws[VECTOR_WIDTH], gs[VECTOR_WIDTH], us[VECTOR_WIDTH] = {0};
        load_vector(ws, w + i);
        load_vector(gs, g + i);
        if (u && !first) load_vector(us, u + i);
#pragma unroll
        for (int k = 0; k < VECTOR_WIDTH; ++k) sgd(ws[k], gs[k], us[k], s);
        store_vector(w + i, ws);
        if (u) store_vector(u + i, us);
    }
    for (long long i = whole + threadIdx.x; i < end; i += blockDim.x) {
        REAL velocity = u && !first ? u[i] : (REAL)0;
        sgd(w[i], g[i], velocity, s);
        if (u) u[i] = velocity;
    }
}
