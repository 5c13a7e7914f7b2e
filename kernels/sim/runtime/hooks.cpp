// What the sanitizers' calls in the kernel's code arrive at. g++ -fsanitize=thread puts __tsan_read4(p) and the like before
// each access to memory, -fsanitize=bounds and others call __ubsan_handle_... where a step goes wrong. The sanitizers' own
// libraries are not linked; these functions are.
#include <stdio.h>
#include <string.h>

#include "checker.h"
#include "counts.h"
#include "report.h"
#include "scheduler.h"
#include "shared.h"

using namespace cuda_on_cpu;

static uint32_t accesses;

static inline void on_access(const void* p, size_t bytes, Access access, const void* pc) {
    if (running_thread() == NOBODY || in_own_stack(p) || !bytes) return;
    if ((size_t)((const char*)p - (const char*)&cuda_on_cpu_running) < sizeof(Running)) return;  // threadIdx, ...
    if (in_image(p) || in_results(p)) return;  // the kernel's own constants; what a collective gathered
    if ((++accesses & 0xffff) == 0) check_time();
    uint64_t address = check_access(p, bytes, access, pc);
    if (!counting()) return;
    bool atomic = access == Access::ATOMIC || access == Access::COMPARE_AND_SWAP;
    bool writes = access == Access::WRITE || access == Access::VOLATILE_WRITE;
    count_access(address, bytes, writes, atomic, in_arena(p), pc);
}

#define PC __builtin_return_address(0)
#define HOOKS(N)                                                                                              \
    void __tsan_read##N(void* p) { on_access(p, N, Access::READ, PC); }                                       \
    void __tsan_write##N(void* p) { on_access(p, N, Access::WRITE, PC); }                                     \
    void __tsan_unaligned_read##N(void* p) { on_access(p, N, Access::READ, PC); }                             \
    void __tsan_unaligned_write##N(void* p) { on_access(p, N, Access::WRITE, PC); }                           \
    void __tsan_volatile_read##N(void* p) { on_access(p, N, Access::VOLATILE_READ, PC); }                     \
    void __tsan_volatile_write##N(void* p) { on_access(p, N, Access::VOLATILE_WRITE, PC); }                   \
    void __tsan_unaligned_volatile_read##N(void* p) { on_access(p, N, Access::VOLATILE_READ, PC); }           \
    void __tsan_unaligned_volatile_write##N(void* p) { on_access(p, N, Access::VOLATILE_WRITE, PC); }

extern "C" {
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)
void __tsan_read_range(void* p, size_t n) { on_access(p, n, Access::READ, PC); }
void __tsan_write_range(void* p, size_t n) { on_access(p, n, Access::WRITE, PC); }
void __tsan_vptr_update(void**, void*) {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_init() {}

void cuda_on_cpu_atomic(const void* p, size_t bytes, int compares, const void* pc) {
    if (!pc) {  // fast mode
        if ((++accesses & 0xffff) == 0) check_time();
        return;
    }
    if ((size_t)p % bytes) {
        Finding f = {};
        f.kind = MISALIGNED;
        f.array = NO_ARRAY;
        f.first = here(nullptr, pc);
        f.other.thread = NOBODY;
        snprintf(f.text, sizeof f.text, "an atomic operation on %zu bytes at an address that is no multiple of that", bytes);
        report(f);
        end_thread();
    }
    on_access(p, bytes, compares ? Access::COMPARE_AND_SWAP : Access::ATOMIC, pc);
}
void cuda_on_cpu_range(const void* p, size_t bytes, int writes, const void* pc) {
    on_access(p, bytes, writes ? Access::WRITE : Access::READ, pc);
}
void cuda_on_cpu_fence() {
    if (checking()) check_fence();
}

// ---- undefined behaviour: what g++ says of the place and the type

struct Location {
    const char* file;
    uint32_t line, column;
};
struct Type {
    uint16_t kind, info;
    char name[1];  // and more; in quotes
};
struct Step {
    Location location;
    const Type *first, *second;
};
struct Mismatch {
    Location location;
    const Type* type;
    unsigned char log_alignment, access;
};

static Finding at(FindingKind kind, const Location& l) {
    Site site = {l.file, (int)l.line};
    Finding f = {};
    f.kind = kind;
    f.array = NO_ARRAY;
    f.first = here(&site, nullptr);
    f.other.thread = NOBODY;
    return f;
}

void __ubsan_handle_type_mismatch_v1(const Mismatch* m, void* p) {
    size_t alignment = (size_t)1 << m->log_alignment;
    if ((size_t)p < 4096) return;  // a null pointer: the access itself is reported
    Finding f = at(MISALIGNED, m->location);
    snprintf(f.text, sizeof f.text, "%s must lie at a multiple of %zu bytes, and this address is %zu past one",
             m->type->name, alignment, (size_t)p % alignment);
    report(f);
    end_thread();
}
void __ubsan_handle_out_of_bounds(const Step* s, void* index) {
    Finding f = at(OUT_OF_BOUNDS, s->location);
    bool is_signed = s->second->info & 1;
    long long i = (long long)index;
    if (is_signed && (s->second->info >> 1) == 5) i = (int)i;
    snprintf(f.text, sizeof f.text, "index %lld of an array of type %s", i, s->first->name);
    report(f);
    end_thread();
}
void __ubsan_handle_shift_out_of_bounds(const Step* s, void*, void*) {
    Finding f = at(UNDEFINED, s->location);
    snprintf(f.text, sizeof f.text, "a shift of %s by less than 0 or by all its bits or more, or out of a signed one",
             s->first->name);
    report(f);
}
void __ubsan_handle_divrem_overflow(const Step* s, void*, void* divisor) {
    Finding f = at(UNDEFINED, s->location);
    snprintf(f.text, sizeof f.text, divisor ? "a division overflows %s" : "a division of %s by zero", s->first->name);
    report(f);
    end_thread();
}
static void overflow(const Step* s, const char* what) {
    Finding f = at(UNDEFINED, s->location);
    snprintf(f.text, sizeof f.text, "%s overflows %s", what, s->first->name);
    report(f);
}
void __ubsan_handle_add_overflow(const Step* s, void*, void*) { overflow(s, "a sum"); }
void __ubsan_handle_sub_overflow(const Step* s, void*, void*) { overflow(s, "a difference"); }
void __ubsan_handle_mul_overflow(const Step* s, void*, void*) { overflow(s, "a product"); }
void __ubsan_handle_negate_overflow(const Step* s, void*) { overflow(s, "a change of sign"); }
}
