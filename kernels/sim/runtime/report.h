// What is wrong with a kernel: findings, which Python reads when the launch is over (../findings.py).
#pragma once
#include "interface.h"

// Also in findings.py, in the same order.
enum FindingKind {
    OUT_OF_BOUNDS,
    RACE,
    UNINITIALISED,
    DIVERGENT_BARRIER,
    WARP_MASK,
    MISALIGNED,
    READ_ONLY,
    STOPPED,
    UNDEFINED,
    STUCK,
    CRASH,
};

// One of the parties: which thread did what, and where. `pc` is relative to the start of the compiled .cu file and stands
// behind the call; where it is 0, file and line are known.
struct Party {
    uint32_t block, thread;  // numbers, not coordinates: x runs fastest
    uint64_t pc;
    const char* file;
    int line;
    int writes, is_atomic;
};

struct Finding {
    int kind;
    int array;               // number of the buffer; SHARED_ARRAY; NO_ARRAY
    const char* shared_name;
    Party first, other;      // other.thread == NOBODY: there is none
    int64_t offset;          // bytes from the start of the array
    int bytes;               // of the access
    int element_bytes;       // of the array
    uint64_t count;          // how often the same thing was found
    char text[200];
};

constexpr int SHARED_ARRAY = -1, NO_ARRAY = -2;
constexpr uint32_t NOBODY = 0xffffffffu;

void forget_findings();
int finding_count();

// Note a finding. The same kind at the same places and array is counted, not listed again.
void report(const Finding& finding);

// A finding that concerns no memory: the running thread at a place.
void report(FindingKind kind, const cuda_on_cpu::Site* site, const char* format, ...)
    __attribute__((format(printf, 3, 4)));

// The running thread as a party; either place may be null.
Party here(const cuda_on_cpu::Site* site, const void* pc);
