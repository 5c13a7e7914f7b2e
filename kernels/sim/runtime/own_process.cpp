// What only a process of the simulator's own may do (process/runner.cpp): have a timer and answer for system calls that it
// has given up. In a Python process both belong to others.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>

#include "faults.h"
#include "report.h"
#include "scheduler.h"

static double limit;
static bool over;   // the time is, and that was said
static int delays;

static Finding at(FindingKind kind, const void* pc) {
    Finding f = {};
    f.kind = kind;
    f.array = NO_ARRAY;
    const char* inside = in_image(pc) ? (const char*)pc : nullptr;
    f.first = here(nullptr, inside);
    f.other.thread = NOBODY;
    return f;
}

// A loop without accesses to memory is ended here. Elsewhere than in the kernel's own code (in the runtime, in a function
// of the C library, which may hold a lock) it is better to come back a little later, and a few times.
static void on_alarm(int, siginfo_t*, void* context) {
    const char* pc = (const char*)program_counter(context);
    if (over) return;
    if (running_thread() == NOBODY) {  // not in a kernel: the next one ends the process
        if (++delays > 10) signal(SIGALRM, SIG_DFL);
        return;
    }
    if (!in_image(pc) && ++delays < 10) return;
    over = true;
    Finding f = at(STUCK, pc + 1);
    snprintf(f.text, sizeof f.text, "the launch took longer than %g s and was ended", limit);
    report(f);
    end_launch();
}

static const char* name_of(int call) {
    static const struct {
        int number;
        const char* name;
    } KNOWN[] = {
        {SYS_openat, "a file opened for writing"}, {SYS_socket, "socket"}, {SYS_clone, "a new process or thread"},
        {SYS_execve, "exec"}, {SYS_kill, "a signal to another process"}, {SYS_tgkill, "a signal to another process"},
#ifdef SYS_fork
        {SYS_open, "a file opened for writing"}, {SYS_fork, "a new process"}, {SYS_vfork, "a new process"},
#endif
#ifdef SYS_clone3
        {SYS_clone3, "a new process or thread"},
#endif
    };
    for (const auto& k : KNOWN)
        if (k.number == call) return k.name;
    return "one that computing does not need";
}

static void on_system_call(int, siginfo_t* info, void* context) {
    if (running_thread() != NOBODY) {
        Finding f = at(STOPPED, nullptr);
        snprintf(f.text, sizeof f.text, "system call %d was refused: %s", info->si_syscall, name_of(info->si_syscall));
        report(f);
        end_launch();
    }
    // A constructor is told that it may not. (Where the registers are not known it is told that it could.)
#if defined(__x86_64__)
    ((ucontext_t*)context)->uc_mcontext.gregs[REG_RAX] = -EPERM;
#elif defined(__aarch64__)
    ((ucontext_t*)context)->uc_mcontext.regs[0] = (unsigned long long)-EPERM;
#endif
}

static void handle(int number, void (*handler)(int, siginfo_t*, void*)) {
    struct sigaction action = {};
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTART;
    sigaction(number, &action, nullptr);
}

// The time begins.
extern "C" void cuda_on_cpu_own_process(double seconds) {
    limit = seconds;
    handle(SIGSYS, on_system_call);
    if (seconds <= 0) return;
    handle(SIGALRM, on_alarm);
    itimerval timer = {};
    timer.it_value.tv_sec = (time_t)seconds;
    timer.it_value.tv_usec = (suseconds_t)((seconds - (double)timer.it_value.tv_sec) * 1e6) + 1;
    timer.it_interval.tv_usec = 100000;
    setitimer(ITIMER_REAL, &timer, nullptr);
}

// Launches that have ended: a file may have what it takes for a launcher.
extern "C" int cuda_on_cpu_launches() { return launches_ended(); }

extern "C" void cuda_on_cpu_stop_here(const char* what, const void* pc) {
    if (running_thread() == NOBODY) return;
    Finding f = at(STOPPED, pc);
    snprintf(f.text, sizeof f.text, "%s", what);
    report(f);
    end_launch();
}
