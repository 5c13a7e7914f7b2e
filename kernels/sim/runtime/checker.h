// Check mode: every access of the kernel to memory, against what it may touch and what others touched before.
#pragma once
#include "interface.h"

void start_checking();
void stop_checking();
void start_block_checking();
void forget_shared(size_t begin, size_t end);  // these bytes of shared memory count as unwritten

// A read, write or atomic operation of the running thread. Returns if it may happen, else ends the thread. The result is
// the address as on a device, where arrays begin at multiples of 256 bytes.
enum class Access { READ, WRITE, VOLATILE_READ, VOLATILE_WRITE, ATOMIC, COMPARE_AND_SWAP };
uint64_t check_access(const void* p, size_t bytes, Access access, const void* pc);

// The running thread has executed a __threadfence().
void check_fence();
