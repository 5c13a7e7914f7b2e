// Blocks, threads, barriers and warp collectives: who runs, who waits for whom.
//
// One block at a time. A thread runs until it must wait for others; then the next one does. So threads are switched only
// where CUDA synchronises, and what a kernel computes depends on nothing but the order that the launch names.
#pragma once
#include "interface.h"

constexpr int WARP_SIZE = 32;
constexpr uint32_t MAX_THREADS = 1024;

// The launch under way.
const cuda_on_cpu::Launch& launch();
int launches_ended();  // since the runtime was loaded
bool checking();
bool counting();

// Numbers of what runs; NOBODY outside of all threads.
uint32_t running_block();
uint32_t running_thread();
uint32_t block_threads();

// How many block barriers the block has passed, from 1.
uint32_t block_epoch();

// __syncwarp orders lanes of a warp. Each lane keeps a clock of all: warp_clock(lane) is the latest time of that lane
// which the running thread is ordered behind; its own time is warp_time().
uint32_t warp_time();
uint32_t warp_clock(unsigned lane);

uint64_t image_offset(const void* pc);
bool in_image(const void* p);
bool in_own_stack(const void* p);
bool in_results(const void* p);  // of a warp collective

// End the running thread here, for good (a fault), or the whole launch.
[[noreturn]] void end_thread();
[[noreturn]] void end_launch();

// Called now and then by what a kernel may do for ever: ends the launch when its time is up.
void check_time();
