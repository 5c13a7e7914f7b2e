#include "fibers.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <vector>

namespace fibers {

#ifdef CUDA_ON_CPU_ASSEMBLY

extern "C" void cuda_on_cpu_switch(void** save, void* next);

// By the ABI a called function must keep six registers (and the stack pointer): they are all that a switch saves.
__asm__(
    ".text\n"
    ".globl cuda_on_cpu_switch\n"
    ".hidden cuda_on_cpu_switch\n"
    ".type cuda_on_cpu_switch,@function\n"
    "cuda_on_cpu_switch:\n"
    "    pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n"
    "    movq %rsp, (%rdi)\n"
    "    movq %rsi, %rsp\n"
    "    popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp\n"
    "    ret\n");

void switch_to(Context& save, Context& next) { cuda_on_cpu_switch(&save.stack_pointer, next.stack_pointer); }

void prepare(Context& context, char* stack, void (*entry)()) {
    // The first switch pops six registers and "returns" to entry, which must find the stack pointer as after a
    // call: 8 more than a multiple of 16.
    void** top = (void**)(stack + STACK_BYTES) - 3;
    *top = nullptr;
    *--top = (void*)entry;
    top -= 6;
    memset(top, 0, 6 * sizeof(void*));
    context.stack_pointer = top;
}

#else

void switch_to(Context& save, Context& next) { swapcontext(&save.state, &next.state); }

void prepare(Context& context, char* stack, void (*entry)()) {
    getcontext(&context.state);
    context.state.uc_stack.ss_sp = stack;
    context.state.uc_stack.ss_size = STACK_BYTES;
    context.state.uc_link = nullptr;
    makecontext(&context.state, entry, 0);
}

#endif

// One reservation for as many stacks as a block has threads. Memory is used where a stack has been touched.
static constexpr size_t MAX_STACKS = 1024 + 1, PITCH = GUARD_BYTES + STACK_BYTES;
static char* pool;
static size_t made;
static std::vector<char*> unused;

char* take_stack() {
    if (!unused.empty()) {
        char* stack = unused.back();
        unused.pop_back();
        return stack;
    }
    if (!pool) {  // no access: what is not made into a stack below stays a guard
        pool = (char*)mmap(nullptr, MAX_STACKS * PITCH, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (pool == MAP_FAILED) {
            perror("minidl.kernels.sim: no address space for the stacks of a block");
            abort();
        }
    }
    char* stack = pool + made++ * PITCH + GUARD_BYTES;
    if (made > MAX_STACKS || mprotect(stack, STACK_BYTES, PROT_READ | PROT_WRITE)) {
        perror("minidl.kernels.sim: no memory for the stacks of a block");
        abort();
    }
    return stack;
}

void give_back_stack(char* stack) { unused.push_back(stack); }

bool in_guard(const void* address) {
    size_t offset = (const char*)address - pool;
    return pool && offset < made * PITCH && offset % PITCH < GUARD_BYTES;
}

}  // namespace fibers
