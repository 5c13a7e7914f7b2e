// A fiber: a stack of its own and a place to go on. Switching is an ordinary call that returns later.
//
// On x86-64 a switch is twelve instructions; elsewhere (or with -DCUDA_ON_CPU_UCONTEXT) it is POSIX's swapcontext,
// which also saves the signal mask, by a system call, and is some twenty times slower.
#pragma once
#include <stddef.h>

#if defined(__x86_64__) && !defined(CUDA_ON_CPU_UCONTEXT)
#define CUDA_ON_CPU_ASSEMBLY 1
#else
#include <ucontext.h>
#endif

namespace fibers {

constexpr size_t STACK_BYTES = 256 << 10;
constexpr size_t GUARD_BYTES = 64 << 10;  // below each stack: touching it is a fault, not another thread's data

// A place to go on: a saved stack pointer, or what getcontext saves.
struct Context {
#ifdef CUDA_ON_CPU_ASSEMBLY
    void* stack_pointer;
#else
    ucontext_t state;
#endif
};

// Leave the running code, saving where it is, and go on at another place.
void switch_to(Context& save, Context& next);

// Make `context` begin at entry() on the stack whose lowest address is given. entry must not return.
void prepare(Context& context, char* stack, void (*entry)());

// Stacks, made when first needed and used again. Their lowest addresses are given out.
char* take_stack();
void give_back_stack(char* stack);

// Whether an address lies in the guard below a stack, and whether in the stack.
bool in_guard(const void* address);
inline bool in_stack(const char* stack, const void* address) {
    return (size_t)((const char*)address - stack) < STACK_BYTES;
}

}  // namespace fibers
