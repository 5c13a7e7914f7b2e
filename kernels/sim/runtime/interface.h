// What passes between a compiled .cu file, the runtime and Python: plain C, no ownership.
#pragma once
#include <stddef.h>
#include <stdint.h>

struct uint3 {
    unsigned x, y, z;
};

struct dim3 {
    unsigned x, y, z;
#ifdef __cplusplus
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
    constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
#endif
};

namespace cuda_on_cpu {

// A place in the .cu file. Barriers and collectives carry one, whose address tells them apart.
struct Site {
    const char* file;
    int line;
};

// The built-in variables of the thread that runs now.
struct Running {
    uint3 thread, block;
    dim3 block_dim, grid_dim;
};

// A __shared__ variable: one for each declaration. Aligned to its size, so that those of a file, which the linker puts
// side by side, are an array.
struct alignas(64) SharedVariable {
    const char* function;
    const char* name;
    size_t bytes, element_bytes;
    int line;
};

// Memory that a kernel may touch: an array that was passed to it.
struct Buffer {
    char* start;
    size_t bytes;
    int element_bytes;
    int writable;
    int unset;  // its contents count as never written
};

// One launch, as Python describes it.
struct Launch {
    unsigned grid[3], block[3];
    size_t dynamic_shared;
    uint64_t order;  // of blocks and threads: 0 ascending, 1 descending, n >= 2 shuffled with seed n
    int check, count;
    double time_limit;  // seconds; 0: none
    const Buffer* buffers;
    int n_buffers;
};

// Where the compiled .cu file lies in memory: its own constants are its to read, and code addresses
// are given relative to its start.
struct Image {
    const char *start, *end;
};

// What the lanes of a warp brought to a collective. `lanes` has a bit for each lane that took part.
struct Gathered {
    const uint64_t* values;
    unsigned lanes;
};

enum Collective { SYNC_WARP, SHUFFLE, VOTE, MATCH, REDUCE };
enum Vote { VOTE_NONE, VOTE_COUNT, VOTE_AND, VOTE_OR };

}  // namespace cuda_on_cpu

extern "C" {
// Called by kernels.
extern cuda_on_cpu::Running cuda_on_cpu_running;
int cuda_on_cpu_barrier(cuda_on_cpu::Vote vote, int predicate, const cuda_on_cpu::Site* site);
cuda_on_cpu::Gathered cuda_on_cpu_gather(cuda_on_cpu::Collective kind, unsigned mask, uint64_t value,
                                         const cuda_on_cpu::Site* site);
void cuda_on_cpu_bad_source_lane(int lane, const cuda_on_cpu::Site* site);
unsigned cuda_on_cpu_active_lanes();
void* cuda_on_cpu_shared(const cuda_on_cpu::SharedVariable* variable);
void* cuda_on_cpu_dynamic_shared();
void cuda_on_cpu_fence();
void cuda_on_cpu_atomic(const void* p, size_t bytes, int compares, const void* pc);
void cuda_on_cpu_range(const void* p, size_t bytes, int writes, const void* pc);
void cuda_on_cpu_stop(const char* what, const cuda_on_cpu::Site* site);
int cuda_on_cpu_printf(const char* format, ...) __attribute__((format(printf, 1, 2)));

// Called by a compiled .cu file on behalf of Python: run body(arguments) once for each thread.
int cuda_on_cpu_run(void (*body)(void*), void* arguments, const cuda_on_cpu::Launch* launch,
                    const cuda_on_cpu::Image* image);
}
