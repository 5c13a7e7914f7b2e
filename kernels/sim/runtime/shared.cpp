#include "shared.h"

#include <string.h>
#include <sys/mman.h>

#include <vector>

#include "checker.h"
#include "report.h"
#include "scheduler.h"

using namespace cuda_on_cpu;

static const size_t RED_ZONE = 128;

static char* arena;
static size_t used;
static std::vector<SharedArray> arrays;
static size_t dynamic_bytes;
static char* dynamic_start;

void start_shared(size_t dynamic) {
    if (!arena)
        arena = (char*)mmap(nullptr, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    arrays.clear();
    used = 0;
    dynamic_bytes = dynamic;
    dynamic_start = nullptr;
}

void clear_shared() {
    if (used) memset(arena, 0xFF, used);
    if (checking()) forget_shared(0, used);
}

static char* place(const SharedVariable* variable, const char* name, size_t bytes, size_t element_bytes) {
    size_t offset = (used + 2 * RED_ZONE - 1) / RED_ZONE * RED_ZONE;
    if (offset + bytes + RED_ZONE > ARENA_BYTES) {
        report(STOPPED, nullptr, "more than %zu bytes of shared memory", ARENA_BYTES - 2 * RED_ZONE);
        end_launch();
    }
    memset(arena + used, 0xFF, offset + bytes - used);
    if (checking()) forget_shared(used, offset + bytes);
    used = offset + bytes;
    arrays.push_back({variable, name, offset, bytes, element_bytes});
    return arena + offset;
}

void* cuda_on_cpu_shared(const SharedVariable* variable) {
    for (const SharedArray& a : arrays)
        if (a.variable == variable) return arena + a.offset;
    return place(variable, variable->name, variable->bytes, variable->element_bytes);
}

void* cuda_on_cpu_dynamic_shared() {
    if (!dynamic_start) dynamic_start = place(nullptr, "dynamic shared memory", dynamic_bytes, 4);
    return dynamic_start;
}

bool in_arena(const void* p) { return (size_t)((const char*)p - arena) < ARENA_BYTES; }
size_t arena_offset(const void* p) { return (const char*)p - arena; }

const SharedArray* find_shared(size_t offset, size_t bytes, bool near) {
    for (const SharedArray& a : arrays)
        if (offset >= a.offset && offset + bytes <= a.offset + a.bytes) return &a;
    if (!near) return nullptr;
    const SharedArray* below = nullptr;  // the array that ends before it: most such mistakes run over an end
    for (const SharedArray& a : arrays)
        if (a.offset <= offset && (!below || a.offset > below->offset)) below = &a;
    if (below && offset < below->offset + below->bytes + RED_ZONE / 2) return below;
    for (const SharedArray& a : arrays)
        if (offset < a.offset && offset + RED_ZONE >= a.offset) return &a;
    return below;
}
