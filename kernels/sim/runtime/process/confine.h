// What a process gives up before it loads code that it knows nothing of. There is no way back.
#pragma once
#include <stdint.h>

struct Limits {
    uint64_t memory;       // bytes of address space
    uint64_t cpu_seconds;  // 0: any number
};

// Limits for this process, and death with its parent (which may have died already: then at once).
void limit(const Limits& limits, int parent);

// From here on only the system calls that computing needs: no process, thread, program or connection is made, nothing is
// opened for writing, no other process is sent a signal. Others are SIGSYS, see ../faults.cpp. False: the system cannot
// do this.
bool allow_computing_only();
