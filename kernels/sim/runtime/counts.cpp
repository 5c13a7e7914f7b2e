#include "counts.h"

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "scheduler.h"
#include "shared.h"

namespace {

constexpr int SECTOR = 32, BANKS = 32, BANK_BYTES = 4;

struct Request {  // what the lanes of a warp do at one place, the n-th time
    uint32_t lanes = 0;
    uint64_t address[WARP_SIZE];
};
struct Lanes {
    uint32_t done[WARP_SIZE] = {};
    std::vector<Request> requests;
};

std::vector<CountRow> rows;
std::unordered_map<const void*, uint32_t> row_of;
std::vector<std::vector<Lanes>> by_warp;  // [warp][row]
uint64_t barriers;

size_t distinct(std::vector<uint64_t>& numbers) {
    std::sort(numbers.begin(), numbers.end());
    return std::unique(numbers.begin(), numbers.end()) - numbers.begin();
}

void add_pieces(CountRow& row, uint64_t pieces, uint64_t least) {
    row.requests++;
    row.pieces += pieces;
    row.least_pieces += least;
    row.worst = std::max(row.worst, pieces);
}

void add_global(CountRow& row, const Request& r) {
    std::vector<uint64_t> sectors, bytes;
    for (int i = 0; i < WARP_SIZE; i++) {
        if (!(r.lanes >> i & 1)) continue;
        for (int b = 0; b < row.bytes; b++) bytes.push_back(r.address[i] + b);
        for (uint64_t s = r.address[i] / SECTOR; s <= (r.address[i] + row.bytes - 1) / SECTOR; s++) sectors.push_back(s);
    }
    add_pieces(row, distinct(sectors), (distinct(bytes) + SECTOR - 1) / SECTOR);
}

// A pass serves one word of each bank. Wide accesses are served by halves or quarters of the warp.
void add_shared(CountRow& row, const Request& r) {
    int words = std::max(1, row.bytes / BANK_BYTES), group = std::max(1, WARP_SIZE / words);
    uint64_t passes = 0, least = 0;
    for (int begin = 0; begin < WARP_SIZE; begin += group) {
        std::vector<uint64_t> used;
        for (int i = begin; i < begin + group; i++)
            if (r.lanes >> i & 1)
                for (int w = 0; w < words; w++) used.push_back(r.address[i] / BANK_BYTES + w);
        if (used.empty()) continue;
        used.resize(distinct(used));
        uint64_t in_bank[BANKS] = {}, most = 0;
        for (uint64_t word : used) most = std::max(most, ++in_bank[word % BANKS]);
        passes += most;
        least += (used.size() + BANKS - 1) / BANKS;
    }
    add_pieces(row, passes, least);
}

}  // namespace

void start_counting() {
    rows.clear();
    row_of.clear();
    by_warp.assign((block_threads() + WARP_SIZE - 1) / WARP_SIZE, {});
    barriers = 0;
}

void count_barrier() { barriers++; }

void count_access(uint64_t address, size_t bytes, bool writes, bool atomic, bool shared, const void* pc) {
    auto [entry, is_new] = row_of.try_emplace(pc, (uint32_t)rows.size());
    uint32_t row = entry->second;
    if (is_new) {
        CountRow r = {};
        r.pc = image_offset(pc);
        r.shared = shared, r.writes = writes, r.atomic = atomic, r.bytes = (int)bytes;
        rows.push_back(r);
    }
    rows[row].accesses++;
    uint32_t thread = running_thread();
    std::vector<Lanes>& warp = by_warp[thread / WARP_SIZE];
    if (warp.size() <= row) warp.resize(row + 1);
    Lanes& lanes = warp[row];
    uint32_t lane = thread % WARP_SIZE, n = lanes.done[lane]++;
    if (lanes.requests.size() <= n) lanes.requests.resize(n + 1);
    lanes.requests[n].lanes |= 1u << lane;
    lanes.requests[n].address[lane] = address;
}

void flush_requests() {
    for (std::vector<Lanes>& warp : by_warp)
        for (size_t i = 0; i < warp.size(); i++) {
            for (const Request& r : warp[i].requests) rows[i].shared ? add_shared(rows[i], r) : add_global(rows[i], r);
            warp[i] = Lanes();
        }
}

extern "C" const CountRow* cuda_on_cpu_counts(uint64_t* n, uint64_t* n_barriers) {
    *n = rows.size();
    *n_barriers = barriers;
    return rows.data();
}
