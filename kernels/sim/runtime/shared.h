// A block's shared memory: an arena in which each variable gets its place when a launch first meets it, with red zones in
// between. Every block finds it filled with NaNs (0xFF bytes).
#pragma once
#include "interface.h"

struct SharedArray {
    const cuda_on_cpu::SharedVariable* variable;  // null: the dynamic array
    const char* name;
    size_t offset, bytes, element_bytes;
};

void start_shared(size_t dynamic_bytes);
void clear_shared();

bool in_arena(const void* p);
size_t arena_offset(const void* p);
constexpr size_t ARENA_BYTES = 512 << 10;

// The array that an offset lies in, or, with `near`, whose red zone it lies in. Null: none.
const SharedArray* find_shared(size_t offset, size_t bytes, bool near);
