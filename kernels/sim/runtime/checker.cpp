// Each few bytes of memory that a kernel may touch have a cell, which remembers who wrote and who read them last. Two
// uses by different threads, one of them a write, are a race unless something orders them: a block barrier, or, in a
// warp, a __syncwarp. Between blocks nothing does but a __threadfence() before an atomic operation whose result the other
// block has seen.
#include "checker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "report.h"
#include "scheduler.h"
#include "shared.h"

using namespace cuda_on_cpu;

namespace {

struct Mark {       // one use
    uint32_t block; // number + 1; 0: none
    uint32_t epoch; // of the block
    uint32_t time;  // of the lane, see warp_time()
    uint32_t pc;
    uint16_t thread;
    uint8_t bytes;  // of the cell: a bit for each
    uint8_t access;
};

// Of writes and reads two are kept: the last, and of the others the one that most is unordered to.
struct Cell {
    Mark writes[2], reads[2];
    uint8_t written;
};

struct Region {
    const Buffer* buffer;
    size_t granule;  // bytes of a cell
    Cell* cells;
};

std::vector<Region> regions;
std::vector<Cell> shared_cells;
const size_t SHARED_GRANULE = 4;

struct Pending {  // a plain read beside atomic writes: right, if a compare-and-swap of the same thread follows
    const Cell* cell;
    Finding finding;
};
std::vector<Pending> pending;

struct Release {
    uint32_t block, epoch, thread;
};
std::unordered_map<const void*, std::vector<Release>> released;  // by address of the atomic operations
std::unordered_map<uint32_t, Release> acquired;                  // by the running block, of other blocks
std::vector<bool> fenced;                                        // threads of the block that executed a fence
uint32_t acquiring_block = NOBODY;

bool is_write(Access a) { return a != Access::READ && a != Access::VOLATILE_READ; }
bool is_atomic(Access a) { return a == Access::ATOMIC || a == Access::COMPARE_AND_SWAP; }
bool is_volatile(Access a) { return a == Access::VOLATILE_READ || a == Access::VOLATILE_WRITE; }

// Atomic operations do not race with each other, nor with a volatile access.
bool compatible(Access a, Access b) {
    return (is_atomic(a) && (is_atomic(b) || is_volatile(b))) || (is_atomic(b) && is_volatile(a));
}

enum Distance { ORDERED, SAME_WARP, SAME_BLOCK, OTHER_BLOCK };

Distance distance(const Mark& m) {
    if (!m.block) return ORDERED;
    if (m.block != running_block() + 1) {
        if (acquired.empty()) return OTHER_BLOCK;
        auto r = acquired.find(m.block - 1);
        bool seen = r != acquired.end() && (m.epoch < r->second.epoch ||
                                            (m.epoch == r->second.epoch && m.thread == r->second.thread));
        return seen ? ORDERED : OTHER_BLOCK;
    }
    uint32_t thread = running_thread();
    if (m.epoch != block_epoch() || m.thread == thread) return ORDERED;
    if (m.thread / WARP_SIZE != thread / WARP_SIZE) return SAME_BLOCK;
    return warp_clock(m.thread % WARP_SIZE) >= m.time ? ORDERED : SAME_WARP;
}

void remember(Mark (&marks)[2], const Mark& mark) {
    bool same = marks[0].thread == mark.thread && marks[0].block == mark.block;
    if (!same && distance(marks[1]) <= distance(marks[0])) marks[1] = marks[0];
    marks[0] = mark;
}

const Mark* conflict(const Mark (&marks)[2], const Mark& mark) {
    for (const Mark& m : marks)
        if ((m.bytes & mark.bytes) && !compatible((Access)m.access, (Access)mark.access) && distance(m) != ORDERED)
            return &m;
    return nullptr;
}

struct Place {  // what an access touches
    int array;
    const char* shared_name;
    int64_t offset;
    size_t bytes, element_bytes, array_bytes;
};

Finding make(FindingKind kind, const Place& place, Access access, const void* pc) {
    Finding f = {};
    f.kind = kind;
    f.array = place.array;
    f.shared_name = place.shared_name;
    f.first = here(nullptr, pc);
    f.first.writes = is_write(access) ? 2 : 1;
    f.first.is_atomic = is_atomic(access);
    f.other.thread = NOBODY;
    f.offset = place.offset;
    f.bytes = (int)place.bytes;
    f.element_bytes = (int)place.element_bytes;
    return f;
}

// "\1" stands for the array's name, which Python knows.
int64_t element(const Place& p) {
    int64_t n = (int64_t)p.element_bytes;
    return p.offset >= 0 ? p.offset / n : -((-p.offset + n - 1) / n);
}

void report_race(Cell& cell, const Place& place, Access access, const Mark& m, const void* pc) {
    static const char* const WHY[] = {"", "no __syncwarp() orders the two lanes",
                                      "no __syncthreads() orders the two threads",
                                      "blocks run in any order, also at once"};
    Finding f = make(RACE, place, access, pc);
    f.other.block = m.block - 1;
    f.other.thread = m.thread;
    f.other.pc = m.pc;
    f.other.writes = is_write((Access)m.access) ? 2 : 1;
    f.other.is_atomic = is_atomic((Access)m.access);
    snprintf(f.text, sizeof f.text, "two threads use \1[%lld] at once, and one writes: %s", (long long)element(place),
             WHY[distance(m)]);
    if (access == Access::READ && is_atomic((Access)m.access)) pending.push_back({&cell, f});
    else report(f);
}

// After a plain read, a compare-and-swap of the same thread makes sure of what was read.
void excuse_reads(Cell& cell) {
    for (size_t i = pending.size(); i-- > 0;) {
        const Party& p = pending[i].finding.first;
        if (pending[i].cell == &cell && p.thread == running_thread() && p.block == running_block())
            pending.erase(pending.begin() + i);
    }
    for (Mark& m : cell.reads)
        if (m.thread == running_thread() && m.block == running_block() + 1) m.access = (uint8_t)Access::ATOMIC;
}

void touch(Cell* cells, size_t granule, const Place& place, Access access, bool must_be_written, const void* pc) {
    bool writes = is_write(access), raced = false, unwritten = false;
    Mark mark = {running_block() + 1, block_epoch(), warp_time(), (uint32_t)image_offset(pc), (uint16_t)running_thread(),
                 0, (uint8_t)access};
    size_t begin = (size_t)place.offset, end = begin + place.bytes;
    for (size_t i = begin / granule; i * granule < end; i++) {
        Cell& cell = cells[i];
        size_t low = std::max(begin, i * granule) - i * granule, high = std::min(end - i * granule, granule);
        mark.bytes = (uint8_t)((1u << high) - (1u << low));
        if (access == Access::COMPARE_AND_SWAP) excuse_reads(cell);
        if (!raced) {
            const Mark* m = conflict(cell.writes, mark);
            if (!m && writes) m = conflict(cell.reads, mark);
            if (m) raced = true, report_race(cell, place, access, *m, pc);
        }
        if (must_be_written && (!writes || is_atomic(access)) && (mark.bytes & ~cell.written)) unwritten = true;
        if (writes) cell.written |= mark.bytes;
        remember(writes ? cell.writes : cell.reads, mark);
    }
    if (unwritten) {
        Finding f = make(UNINITIALISED, place, access, pc);
        snprintf(f.text, sizeof f.text, "\1[%lld] is read before anything was written there", (long long)element(place));
        report(f);
    }
}

[[noreturn]] void out_of_bounds(const Place& place, Access access, const void* pc) {
    Finding f = make(OUT_OF_BOUNDS, place, access, pc);
    snprintf(f.text, sizeof f.text, "\1[%lld] of an array of %zu elements", (long long)element(place),
             place.array_bytes / place.element_bytes);
    report(f);
    end_thread();
}

[[noreturn]] void wild(const void* p, size_t bytes, Access access, const void* pc) {
    const char* a = (const char*)p;
    const Launch& how = launch();
    int nearest = -1;
    size_t least = 16 << 20;  // farther away, the address has nothing to do with the array
    for (int i = 0; i < how.n_buffers; i++) {
        const Buffer& b = how.buffers[i];
        size_t away = a < b.start ? (size_t)(b.start - a) : (size_t)(a - (b.start + b.bytes));
        if (away < least) least = away, nearest = i;
    }
    if (nearest >= 0) {
        const Buffer& b = how.buffers[nearest];
        out_of_bounds({nearest, nullptr, a - b.start, bytes, (size_t)b.element_bytes, b.bytes}, access, pc);
    }
    Finding f = make(OUT_OF_BOUNDS, {NO_ARRAY, nullptr, 0, bytes, 1, 0}, access, pc);
    snprintf(f.text, sizeof f.text, (size_t)p < 4096 ? "a null pointer is followed" : "address %p belongs to no array", p);
    report(f);
    end_thread();
}

void check_shared(const void* p, size_t bytes, Access access, const void* pc) {
    size_t offset = arena_offset(p);
    const SharedArray* a = find_shared(offset, bytes, false);
    if (!a) {
        a = find_shared(offset, bytes, true);
        if (!a) wild(p, bytes, access, pc);
        int64_t from_start = (int64_t)offset - (int64_t)a->offset;
        out_of_bounds({SHARED_ARRAY, a->name, from_start, bytes, a->element_bytes, a->bytes}, access, pc);
    }
    Place place = {SHARED_ARRAY, a->name, (int64_t)(offset - a->offset), bytes, a->element_bytes, a->bytes};
    touch(&shared_cells[a->offset / SHARED_GRANULE], SHARED_GRANULE, place, access, true, pc);
}

// A thread that has fenced makes what came before visible to whoever sees its atomic operation.
void order_blocks(const void* p) {
    if (acquiring_block != running_block()) acquired.clear(), acquiring_block = running_block();
    auto known = released.find(p);
    if (known != released.end())
        for (const Release& r : known->second) acquired[r.block] = r;
    if (!fenced.empty() && fenced[running_thread()])
        released[p].push_back({running_block(), block_epoch(), running_thread()});
}

}  // namespace

void start_checking() {
    const Launch& how = launch();
    for (int i = 0; i < how.n_buffers; i++) {
        const Buffer& b = how.buffers[i];
        int e = b.element_bytes;
        size_t granule = e == 1 || e == 2 || e == 8 ? e : 4;
        regions.push_back({&b, granule, (Cell*)calloc(b.bytes / granule + 2, sizeof(Cell))});
    }
    if (shared_cells.empty()) shared_cells.resize(ARENA_BYTES / SHARED_GRANULE);
    pending.clear();
    released.clear();
    acquired.clear();
    acquiring_block = NOBODY;
}

void stop_checking() {
    for (const Pending& p : pending) report(p.finding);
    for (Region& r : regions) free(r.cells);
    regions.clear();
}

void forget_shared(size_t begin, size_t end) {
    size_t first = begin / SHARED_GRANULE, last = std::min(end / SHARED_GRANULE + 1, shared_cells.size());
    memset((void*)&shared_cells[first], 0, (last - first) * sizeof(Cell));
}

void start_block_checking() { fenced.clear(); }

void check_fence() {
    if (fenced.empty()) fenced.resize(block_threads());
    fenced[running_thread()] = true;
}

uint64_t check_access(const void* p, size_t bytes, Access access, const void* pc) {
    if (in_arena(p)) {
        check_shared(p, bytes, access, pc);
        return arena_offset(p);
    }
    const char* a = (const char*)p;
    for (size_t i = 0; i < regions.size(); i++) {
        const Buffer& b = *regions[i].buffer;
        if (a < b.start || a + bytes > b.start + b.bytes) continue;
        Place place = {(int)i, nullptr, a - b.start, bytes, (size_t)b.element_bytes, b.bytes};
        if (is_write(access) && !b.writable) {
            Finding f = make(READ_ONLY, place, access, pc);
            snprintf(f.text, sizeof f.text, "\1 may only be read");
            report(f);
            end_thread();
        }
        if (is_atomic(access)) order_blocks(p);
        touch(regions[i].cells, regions[i].granule, place, access, b.unset, pc);
        return (uint64_t)(i + 1) << 40 | (uint64_t)place.offset;
    }
    wild(p, bytes, access, pc);
}
