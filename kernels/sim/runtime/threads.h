// What scheduler.cpp and waiting.cpp share: the threads and warps of the block that runs.
#pragma once
#include <vector>

#include "fibers.h"
#include "scheduler.h"

namespace scheduling {

using namespace cuda_on_cpu;

enum class State : uint8_t { UNSTARTED, READY, AT_BARRIER, AT_COLLECTIVE, ENDED, FAILED };

struct Thread {
    fibers::Context context;
    char* stack = nullptr;
    uint3 index;
    State state = State::UNSTARTED;
    const Site* site = nullptr;  // of the barrier or collective it waits at
    Vote vote = VOTE_NONE;
    int predicate = 0, answer = 0;
    Collective collective = SYNC_WARP;
    unsigned mask = 0;         // of the collective
    uint64_t value = 0;        // that it brought there
    int result = 0;            // which of its warp's results is its
};

struct Result {
    uint64_t values[WARP_SIZE];
    unsigned lanes = 0;
    int unread = 0;
};

struct Warp {
    unsigned present = 0;   // lanes that exist and have not ended
    unsigned returned = 0;  // lanes that have come to the kernel's end
    // A result lives until all its lanes have read it. Each unread one has a lane that waits for it and so is in no
    // other: there are never more than lanes.
    Result results[WARP_SIZE + 1];
    uint32_t clock[WARP_SIZE][WARP_SIZE];
};

extern std::vector<Thread> threads;
extern std::vector<Warp> warps;
extern Thread* current;  // null outside of all threads
extern uint32_t epoch;   // of the block
extern uint32_t at_barrier, ended, failed;  // how many threads

inline uint32_t number(const Thread* t) { return (uint32_t)(t - threads.data()); }
inline Warp& warp_of(const Thread* t) { return warps[number(t) / WARP_SIZE]; }
inline Thread& lane_of(const Thread* t, unsigned lane) {
    return threads[number(t) / WARP_SIZE * WARP_SIZE + lane];
}

// From the running thread to the scheduler; returns when the thread is resumed.
void leave(State state);

// ---- waiting.cpp

// If all lanes of the mask that still exist wait with this very mask, they get their values and may go on.
void complete_collective(Thread* t, unsigned mask);

// No thread can run. Either somebody waits at a collective for lanes that never come: report that. Or all that are left
// wait at a block barrier: report if not all of the block do, or not at the same one, and let them go on.
void report_stuck_warp();
void pass_barrier();

}  // namespace scheduling
