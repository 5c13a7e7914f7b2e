#include "scheduler.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "checker.h"
#include "counts.h"
#include "faults.h"
#include "report.h"
#include "shared.h"
#include "threads.h"

using namespace scheduling;

Running cuda_on_cpu_running;

namespace scheduling {

std::vector<Thread> threads;
std::vector<Warp> warps;
Thread* current;
uint32_t epoch;
uint32_t at_barrier, ended, failed;

}  // namespace scheduling

namespace {

// ---- the launch under way

const Launch* how;
Image image;
void (*body)(void*);
void* arguments;
double deadline;

std::vector<uint32_t> turns;   // order in which threads take their turns
uint32_t next_unstarted;       // in turns
fibers::Context scheduler_context;

uint32_t block_number;
bool given_up;                 // the launch is to end
int ended_launches;
uint64_t random_state;

uint64_t random_number() {  // xorshift64*
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 0x2545F4914F6CDD1Dull;
}

void put_in_order(std::vector<uint32_t>& numbers) {
    std::iota(numbers.begin(), numbers.end(), 0u);
    if (how->order == 1) std::reverse(numbers.begin(), numbers.end());
    if (how->order >= 2)
        for (size_t i = numbers.size(); i > 1; i--) std::swap(numbers[i - 1], numbers[random_number() % i]);
}

double now() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}


// ---- switching

void become(Thread* t) {
    current = t;
    cuda_on_cpu_running.thread = t->index;
}

void thread_ended(State state) {
    Thread* t = current;
    t->state = state;
    ended++;
    failed += state == State::FAILED;
    unsigned lane = number(t) % WARP_SIZE;
    Warp& w = warp_of(t);
    w.present &= ~(1u << lane);
    if (state == State::ENDED) w.returned |= 1u << lane;
    for (unsigned i = 0; i < WARP_SIZE; i++)  // others may have waited for this lane only
        if (w.present >> i & 1) {
            Thread& other = lane_of(t, i);
            if (other.state == State::AT_COLLECTIVE && (other.mask >> lane & 1))
                complete_collective(&other, other.mask);
        }
}

Thread* next_to_start() {
    while (next_unstarted < turns.size() && !given_up) {
        Thread* t = &threads[turns[next_unstarted++]];
        if (t->state == State::UNSTARTED) return t;
    }
    return nullptr;
}

// The first code on a stack: run threads, one after another. Each time a thread must wait, the stack remains its own
// and the scheduler takes another; threads that never wait need but one.
void worker() {
    Thread* t = current;
    for (;;) {
        t->state = State::READY;
        body(arguments);
        thread_ended(State::ENDED);
        Thread* next = next_to_start();
        if (!next) break;
        next->stack = t->stack;
        t->stack = nullptr;
        become(t = next);
    }
    fibers::switch_to(t->context, scheduler_context);
    abort();  // nobody resumes an ended thread
}

void resume(Thread* t) {
    become(t);
    if (t->state == State::UNSTARTED) {
        t->stack = fibers::take_stack();
        fibers::prepare(t->context, t->stack, worker);
    }
    fibers::switch_to(scheduler_context, t->context);
    t = current;  // a worker may have gone on to other threads
    if (t->state == State::ENDED || t->state == State::FAILED) {
        fibers::give_back_stack(t->stack);
        t->stack = nullptr;
    }
    current = nullptr;
}

// ---- blocks

void start_block(uint32_t block) {
    block_number = block;
    epoch = 1;
    at_barrier = ended = failed = 0;
    next_unstarted = 0;
    const unsigned* g = how->grid;
    cuda_on_cpu_running.block = {block % g[0], block / g[0] % g[1], block / g[0] / g[1]};
    for (Thread& t : threads) t.state = State::UNSTARTED;
    for (size_t w = 0; w < warps.size(); w++) {
        size_t lanes = std::min<size_t>(WARP_SIZE, threads.size() - w * WARP_SIZE);
        warps[w].present = (unsigned)((1ull << lanes) - 1);
        warps[w].returned = 0;
        for (Result& r : warps[w].results) r.unread = 0;
        if (!how->check) continue;
        memset(warps[w].clock, 0, sizeof warps[w].clock);
        for (int l = 0; l < WARP_SIZE; l++) warps[w].clock[l][l] = 1;
    }
    clear_shared();
    if (how->check) start_block_checking();
}

void run_block() {
    while (Thread* t = next_to_start()) resume(t);
    while (!given_up && ended < threads.size()) {
        if (how->order >= 2) put_in_order(turns);
        bool ran = false;
        for (uint32_t i : turns) {
            if (threads[i].state != State::READY) continue;
            resume(&threads[i]);
            ran = true;
            if (given_up) break;
        }
        if (ran || given_up) continue;
        if (at_barrier + ended < threads.size()) {
            report_stuck_warp();
            given_up = true;
        } else if (at_barrier) {
            pass_barrier();
        }
    }
    for (Thread& t : threads) {  // what is left of a launch that was given up
        if (t.stack) fibers::give_back_stack(t.stack);
        t.stack = nullptr;
    }
}

}  // namespace

void scheduling::leave(State state) {
    Thread* t = current;
    t->state = state;
    fibers::switch_to(t->context, scheduler_context);
}

// ---- what the other parts ask

const Launch& launch() { return *how; }
int launches_ended() { return ended_launches; }
bool checking() { return how->check; }
bool counting() { return how->count; }
uint32_t running_block() { return block_number; }
uint32_t running_thread() { return current ? number(current) : NOBODY; }
uint32_t block_threads() { return (uint32_t)threads.size(); }
uint32_t block_epoch() { return epoch; }
uint32_t warp_time() { return warp_clock(number(current) % WARP_SIZE); }
uint32_t warp_clock(unsigned lane) { return warp_of(current).clock[number(current) % WARP_SIZE][lane]; }
uint64_t image_offset(const void* pc) { return (const char*)pc - image.start; }
bool in_image(const void* p) { return (const char*)p >= image.start && (const char*)p < image.end; }
bool in_results(const void* p) { return (size_t)((const char*)p - (const char*)warps.data()) < warps.size() * sizeof(Warp); }
bool in_own_stack(const void* p) { return current && fibers::in_stack(current->stack, p); }

void end_thread() {
    thread_ended(State::FAILED);
    fibers::switch_to(current->context, scheduler_context);
    abort();
}

void end_launch() {
    given_up = true;
    end_thread();
}

void check_time() {
    if (!deadline || now() < deadline) return;
    report(STUCK, nullptr, "the launch took longer than %g s and was ended", how->time_limit);
    end_launch();
}

// ---- what kernels call

void cuda_on_cpu_stop(const char* what, const Site* site) {
    report(STOPPED, site, "%s", what);
    end_launch();
}

int cuda_on_cpu_run(void (*kernel)(void*), void* kernel_arguments, const Launch* launch, const Image* where) {
    how = launch;
    image = *where;
    body = kernel;
    arguments = kernel_arguments;
    given_up = false;
    random_state = how->order * 0x9E3779B97F4A7C15ull + 1;
    deadline = how->time_limit > 0 ? now() + how->time_limit : 0;
    forget_findings();
    uint32_t block_size = how->block[0] * how->block[1] * how->block[2];
    size_t grid_size = (size_t)how->grid[0] * how->grid[1] * how->grid[2];
    threads.assign(block_size, Thread());
    const unsigned* b = how->block;
    for (uint32_t i = 0; i < block_size; i++) threads[i].index = {i % b[0], i / b[0] % b[1], i / b[0] / b[1]};
    warps.resize((block_size + WARP_SIZE - 1) / WARP_SIZE);
    turns.resize(block_size);
    cuda_on_cpu_running.block_dim = dim3(how->block[0], how->block[1], how->block[2]);
    cuda_on_cpu_running.grid_dim = dim3(how->grid[0], how->grid[1], how->grid[2]);
    std::vector<uint32_t> blocks(how->order ? grid_size : 0);
    if (how->order) put_in_order(blocks);
    put_in_order(turns);
    start_shared(how->dynamic_shared);
    if (how->check) start_checking();
    if (how->count) start_counting();
    catch_faults();
    for (size_t i = 0; i < grid_size && !given_up; i++) {
        start_block(how->order ? blocks[i] : (uint32_t)i);
        run_block();
        if (how->count) flush_requests();
    }
    release_faults();
    current = nullptr;
    if (how->check) stop_checking();
    ended_launches++;
    return finding_count();
}
