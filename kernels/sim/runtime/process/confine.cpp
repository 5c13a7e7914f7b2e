#include "confine.h"

#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <vector>

#if __has_include(<linux/seccomp.h>) && (defined(__x86_64__) || defined(__aarch64__))
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#define CAN_FILTER 1
#if defined(__x86_64__)
static const uint32_t ARCHITECTURE = AUDIT_ARCH_X86_64;
#else
static const uint32_t ARCHITECTURE = AUDIT_ARCH_AARCH64;
#endif
#endif

// `more`: between the limit that is told by a signal and the one that ends the process.
static void at_most(int what, uint64_t most, uint64_t more = 0) {
    rlimit now;
    if (getrlimit((__rlimit_resource_t)what, &now)) return;
    const bool endless = now.rlim_max == RLIM_INFINITY;
    if (endless || most + more < now.rlim_max) now.rlim_max = most + more;
    now.rlim_cur = most < now.rlim_max ? most : now.rlim_max;
    setrlimit((__rlimit_resource_t)what, &now);
}

void limit(const Limits& limits, int parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    at_most(RLIMIT_AS, limits.memory);
    at_most(RLIMIT_CORE, 0);
    at_most(RLIMIT_FSIZE, 0);
    at_most(RLIMIT_NPROC, 0);  // means nothing to the superuser
    at_most(RLIMIT_NOFILE, 64);
    // Who is deaf to SIGXCPU is ended by the checker's clock, which says why; only without it by the kernel.
    if (limits.cpu_seconds) at_most(RLIMIT_CPU, limits.cpu_seconds, 60);
}

#ifdef CAN_FILTER

// What computing needs, beginning with what the dynamic linker does to load a file.
static const int HARMLESS[] = {
    SYS_read, SYS_pread64, SYS_readv, SYS_write, SYS_writev, SYS_close, SYS_lseek, SYS_fstat, SYS_newfstatat,
    SYS_faccessat, SYS_readlinkat, SYS_getcwd, SYS_getdents64,
    SYS_mmap, SYS_munmap, SYS_mprotect, SYS_mremap, SYS_madvise, SYS_brk, SYS_futex, SYS_sched_yield,
    SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack, SYS_restart_syscall,
    SYS_clock_gettime, SYS_clock_getres, SYS_clock_nanosleep, SYS_nanosleep, SYS_gettimeofday, SYS_getrandom,
    SYS_getpid, SYS_getppid, SYS_gettid, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_getrusage, SYS_times,
    SYS_uname, SYS_sysinfo, SYS_sched_getaffinity, SYS_getcpu, SYS_exit, SYS_exit_group,
#ifdef SYS_stat  // older calls, which not every processor has
    SYS_stat, SYS_lstat, SYS_access, SYS_readlink, SYS_time, SYS_arch_prctl, SYS_pause, SYS_poll, SYS_select,
#endif
};

static const uint32_t NUMBER = offsetof(seccomp_data, nr);
static uint32_t low_half(int argument) {
    return (uint32_t)(offsetof(seccomp_data, args) + 8 * argument +
                      (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0));
}

static std::vector<sock_filter> program;

static void step(uint16_t code, uint32_t k) { program.push_back(BPF_STMT(code, k)); }
static void unless(uint16_t test, uint32_t k, uint8_t skip) {  // go on if the test holds, else past `skip` steps
    program.push_back(BPF_JUMP((uint16_t)(BPF_JMP | test | BPF_K), k, 0, skip));
}
static void load(uint32_t offset) { step(BPF_LD | BPF_W | BPF_ABS, offset); }
static void answer(uint32_t what) { step(BPF_RET | BPF_K, what); }

static void allow(int number) {
    unless(BPF_JEQ, (uint32_t)number, 1);
    answer(SECCOMP_RET_ALLOW);
}

// Allow a call if one of its arguments has none of these bits; or if it is this number.
static void allow_without(int number, int argument, uint32_t bits) {
    unless(BPF_JEQ, (uint32_t)number, 4);
    load(low_half(argument));
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 1, 0));
    answer(SECCOMP_RET_ALLOW);
    load(NUMBER);
}
static void allow_if(int number, int argument, uint32_t value) {
    unless(BPF_JEQ, (uint32_t)number, 4);
    load(low_half(argument));
    unless(BPF_JEQ, value, 1);
    answer(SECCOMP_RET_ALLOW);
    load(NUMBER);
}

bool allow_computing_only() {
    const uint32_t WRITING = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY);
    const uint32_t self = (uint32_t)getpid();
    load(offsetof(seccomp_data, arch));
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0));
    answer(SECCOMP_RET_KILL_PROCESS);
    load(NUMBER);
    for (int number : HARMLESS) allow(number);
    allow_without(SYS_openat, 2, WRITING);
#ifdef SYS_open
    allow_without(SYS_open, 1, WRITING);
#endif
    allow_if(SYS_ioctl, 1, TCGETS);  // whether a file is a terminal
    allow_if(SYS_tgkill, 0, self);   // raise(), abort()
    allow_if(SYS_tkill, 0, self);
    allow_if(SYS_kill, 0, self);
    answer(SECCOMP_RET_TRAP);
    sock_fprog filter = {(unsigned short)program.size(), program.data()};
    return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

#else

bool allow_computing_only() { return false; }

#endif
