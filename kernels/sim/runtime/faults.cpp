#include "faults.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#include "fibers.h"
#include "report.h"
#include "scheduler.h"

static const int SIGNALS[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
static const int N_SIGNALS = sizeof SIGNALS / sizeof SIGNALS[0];
static struct sigaction before[N_SIGNALS];
static stack_t stack_before;
static pthread_t launching;

const void* program_counter(const void* context) {
#if defined(__x86_64__)
    return (const void*)((const ucontext_t*)context)->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (const void*)((const ucontext_t*)context)->uc_mcontext.pc;
#else
    (void)context;
    return nullptr;
#endif
}

static void on_fault(int signal, siginfo_t* info, void* context) {
    if (running_thread() == NOBODY || !pthread_equal(pthread_self(), launching)) {
        for (int i = 0; i < N_SIGNALS; i++)  // not ours: back to where it would have gone, by happening again
            if (SIGNALS[i] == signal) sigaction(signal, &before[i], nullptr);
        return;
    }
    Finding f = {};
    f.kind = CRASH;
    f.array = NO_ARRAY;
    const char* pc = (const char*)program_counter(context);
    f.first = here(nullptr, in_image(pc) ? pc + 1 : nullptr);
    f.other.thread = NOBODY;
    if (signal == SIGFPE)
        snprintf(f.text, sizeof f.text, "an integer was divided by zero (or the least one by -1)");
    else if (signal == SIGILL || signal == SIGTRAP)
        snprintf(f.text, sizeof f.text, "a place that is never to be reached");
    else if (fibers::in_guard(info->si_addr))
        snprintf(f.text, sizeof f.text, "the thread's stack (%zu KiB) is full", fibers::STACK_BYTES >> 10);
    else
        snprintf(f.text, sizeof f.text, "an address that belongs to nothing: %p", info->si_addr);
    report(f);
    // The handler's stack is simply left: once the stack pointer is elsewhere, the system counts it as free.
    end_launch();
}

void catch_faults() {
    static void* stack = malloc(64 << 10);
    launching = pthread_self();
    stack_t alternate = {};
    alternate.ss_sp = stack;
    alternate.ss_size = 64 << 10;
    sigaltstack(&alternate, &stack_before);
    struct sigaction action = {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    for (int i = 0; i < N_SIGNALS; i++) sigaction(SIGNALS[i], &action, &before[i]);
}

void release_faults() {
    for (int i = 0; i < N_SIGNALS; i++) sigaction(SIGNALS[i], &before[i], nullptr);
    sigaltstack(&stack_before, nullptr);
}
