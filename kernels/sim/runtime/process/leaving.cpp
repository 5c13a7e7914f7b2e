// Functions by which a kernel could leave the simulator, or jump about in it. The program's own are found before the C
// library's, so those of a loaded .cu file are these. In a kernel they are a finding; elsewhere they do what they should.
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime.h"

#define LEAVES extern "C" __attribute__((visibility("default"), noinline, noreturn))
#define SAY(...)                                                        \
    char said[64];                                                      \
    snprintf(said, sizeof said, __VA_ARGS__);                           \
    if (runtime.stop_here) runtime.stop_here(said, __builtin_return_address(0))

static void end(int status) {
    for (;;) syscall(SYS_exit_group, status);
}
static void die() {
    signal(SIGABRT, SIG_DFL);
    for (;;) raise(SIGABRT);
}

#define EXITS(NAME)                         \
    LEAVES void NAME(int status) {          \
        SAY(#NAME "(%d) was called", status); \
        end(status);                        \
        __builtin_unreachable();            \
    }
#define ABORTS(NAME, PARAMETERS)            \
    LEAVES void NAME PARAMETERS {           \
        SAY(#NAME "() was called");         \
        die();                              \
        __builtin_unreachable();            \
    }

EXITS(exit)
EXITS(_exit)
EXITS(_Exit)
EXITS(quick_exit)
ABORTS(abort, ())
ABORTS(longjmp, (void*, int))
ABORTS(_longjmp, (void*, int))
ABORTS(siglongjmp, (void*, int))
ABORTS(__longjmp_chk, (void*, int))
ABORTS(pthread_exit, (void*))
