// How much memory a kernel moves and how well: for each place of the source the accesses, put together to what the
// hardware sees, one request of a whole warp.
#pragma once
#include "interface.h"

// Also in ../counts.py. One for each place in the code.
struct CountRow {
    uint64_t pc;
    int shared, writes, atomic, bytes;  // bytes: of one lane's access
    uint64_t accesses;                  // of single lanes
    uint64_t requests;                  // of warps
    uint64_t pieces;                    // global: 32-byte sectors touched; shared: passes through the banks
    uint64_t least_pieces;              // were all of it side by side, or free of conflicts
    uint64_t worst;                     // most pieces of one request
};

void start_counting();

// A lane's access. Requests of a warp are put together in flush_requests(), at each block barrier.
void count_access(uint64_t address, size_t bytes, bool writes, bool atomic, bool shared, const void* pc);
void count_barrier();
void flush_requests();
