// How much memory a kernel moves and how well: for each place of the source the accesses, put together to what the
// hardware sees, one request of a whole warp.
#pragma once
#include "interface.h"

void start_counting();

// A lane's access. Requests of a warp are put together in flush_requests(), at each block barrier.
void count_access(uint64_t address, size_t bytes, bool writes, bool atomic, bool shared, const void* pc);
void count_barrier();
void flush_requests();
