// Where threads wait: warp collectives and block barriers.
#include <string.h>

#include <algorithm>

#include "counts.h"
#include "report.h"
#include "threads.h"

namespace scheduling {

// ---- warp collectives

static const char* const COLLECTIVE_NAMES[] = {"__syncwarp", "a shuffle", "a vote", "a match", "a reduction"};

// A GPU waits for none that has returned, but who names it in a mask expects a value of it.
static void check_returned(Thread* t) {
    unsigned absent = t->mask & warp_of(t).returned;
    if (!absent || t->collective == SYNC_WARP) return;
    Thread* running = current;
    current = t;
    report(WARP_MASK, t->site, "%s with mask 0x%08x names lanes that never come (0x%08x): they have returned",
           COLLECTIVE_NAMES[t->collective], t->mask, absent);
    current = running;
}

// Behind a __syncwarp every lane is behind all that the others did before it.
static void order_lanes(Warp& w, unsigned lanes) {
    uint32_t latest[WARP_SIZE] = {};
    for (unsigned i = 0; i < WARP_SIZE; i++)
        if (lanes >> i & 1)
            for (unsigned j = 0; j < WARP_SIZE; j++) latest[j] = std::max(latest[j], w.clock[i][j]);
    for (unsigned i = 0; i < WARP_SIZE; i++)
        if (lanes >> i & 1) {
            memcpy(w.clock[i], latest, sizeof latest);
            w.clock[i][i]++;
        }
}

void complete_collective(Thread* t, unsigned mask) {
    Warp& w = warp_of(t);
    unsigned lanes = mask & w.present;
    for (unsigned i = 0; i < WARP_SIZE; i++) {
        if (!(lanes >> i & 1)) continue;
        const Thread& other = lane_of(t, i);
        if (other.state != State::AT_COLLECTIVE || other.mask != mask || other.collective != t->collective) return;
    }
    check_returned(t);
    int number = 0;
    while (w.results[number].unread) number++;
    Result& result = w.results[number];
    result.lanes = lanes;
    result.unread = __builtin_popcount(lanes);
    for (unsigned i = 0; i < WARP_SIZE; i++) {
        if (!(lanes >> i & 1)) continue;
        Thread& other = lane_of(t, i);
        result.values[i] = other.value;
        other.result = number;
        other.state = State::READY;
    }
    if (checking() && t->collective == SYNC_WARP) order_lanes(w, lanes);
}

// Lanes that wait in this lane's mask, but for something else, will never meet it.
static void check_masks(const Thread* t) {
    for (unsigned i = 0; i < WARP_SIZE; i++) {
        if (!((t->mask & warp_of(t).present) >> i & 1)) continue;
        const Thread& other = lane_of(t, i);
        if (other.state != State::AT_COLLECTIVE) continue;
        if (other.mask == t->mask && other.collective == t->collective) continue;
        report(WARP_MASK, t->site, "%s with mask 0x%08x waits for lane %u, which is at %s with mask 0x%08x (line %d)",
               COLLECTIVE_NAMES[t->collective], t->mask, i, COLLECTIVE_NAMES[other.collective], other.mask,
               other.site->line);
        return;
    }
}

void report_stuck_warp() {
    for (Thread& t : threads) {
        if (t.state != State::AT_COLLECTIVE) continue;
        current = &t;
        unsigned missing = 0;
        for (unsigned i = 0; i < WARP_SIZE; i++)
            if ((t.mask & warp_of(&t).present) >> i & 1) {
                const Thread& other = lane_of(&t, i);
                if (other.state != State::AT_COLLECTIVE || other.mask != t.mask) missing |= 1u << i;
            }
        report(WARP_MASK, t.site, "%s with mask 0x%08x waits for lanes that never come (0x%08x)",
               COLLECTIVE_NAMES[t.collective], t.mask, missing);
        current = nullptr;
        return;
    }
}

// ---- block barriers

static void release_barrier() {
    uint32_t waiting = 0, votes = 0;
    for (const Thread& t : threads)
        if (t.state == State::AT_BARRIER) waiting++, votes += t.predicate != 0;
    for (Thread& t : threads) {
        if (t.state != State::AT_BARRIER) continue;
        t.answer = t.vote == VOTE_COUNT ? (int)votes : t.vote == VOTE_AND ? votes == waiting : votes > 0;
        t.state = State::READY;
    }
    epoch++;
    at_barrier = 0;
    if (counting()) count_barrier(), flush_requests();
}

// A barrier must be reached by all threads of the block, and be the same for all of them.
static void check_barrier() {
    Thread* first = nullptr;
    for (Thread& t : threads) {
        if (t.state != State::AT_BARRIER) continue;
        if (!first) first = &t;
        if (t.site == first->site) continue;
        current = &t;
        report(DIVERGENT_BARRIER, t.site, "this thread waits at the barrier of line %d, but thread %u at that of line %d",
               t.site->line, number(first), first->site->line);
        break;
    }
    current = first;
    uint32_t gone = ended - failed;
    if (gone) {
        const Thread* absent = nullptr;
        for (const Thread& t : threads)
            if (t.state == State::ENDED) {
                absent = &t;
                break;
            }
        report(DIVERGENT_BARRIER, first->site, "%u of %zu threads reach this barrier; %u have returned (thread %u for one)",
               at_barrier, threads.size(), gone, number(absent));
    }
    current = nullptr;
}

void pass_barrier() {
    check_barrier();
    release_barrier();
}

}  // namespace scheduling

// ---- what kernels call

using namespace scheduling;

int cuda_on_cpu_barrier(Vote vote, int predicate, const Site* site) {
    current->vote = vote;
    current->predicate = predicate;
    current->site = site;
    at_barrier++;
    leave(State::AT_BARRIER);
    return current->answer;
}

Gathered cuda_on_cpu_gather(Collective kind, unsigned mask, uint64_t value, const Site* site) {
    Thread* t = current;
    unsigned lane = number(t) % WARP_SIZE;
    t->site = site;
    t->collective = kind;
    t->mask = mask;
    t->value = value;
    if (!(mask >> lane & 1)) {
        report(WARP_MASK, site, "lane %u calls %s with mask 0x%08x, which leaves it out", lane, COLLECTIVE_NAMES[kind], mask);
        end_thread();
    }
    check_masks(t);
    t->state = State::AT_COLLECTIVE;
    complete_collective(t, mask);
    if (t->state == State::AT_COLLECTIVE) leave(State::AT_COLLECTIVE);
    Result& result = warp_of(t).results[t->result];
    result.unread--;
    return {result.values, result.lanes};
}

void cuda_on_cpu_bad_source_lane(int lane, const Site* site) {
    report(WARP_MASK, site, "a shuffle reads lane %d, which takes no part in it: the value is undefined", lane);
}

// Which lanes happen to run together is up to the hardware; here it is all of the warp.
unsigned cuda_on_cpu_active_lanes() { return warp_of(current).present | warp_of(current).returned; }
