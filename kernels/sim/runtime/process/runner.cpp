// A process that loads one compiled .cu file and describes or runs a kernel of it. Python (../../confined.py) writes a request to
// its standard input and reads the reply from its standard output; arrays lie in memory that both see.
//
// A constructor of a global object runs as soon as the file is loaded, so everything is given up before: see confine.cpp.
// The reply begins and ends with a number that only the request has, and is the last thing that happens: code that ends the
// process, or writes into every open file, has not replied.
#include <dlfcn.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <new>
#include <string>
#include <vector>

#include "confine.h"
#include "runtime.h"

using namespace cuda_on_cpu;

Runtime runtime;

namespace {

enum Status : uint32_t { DESCRIBED, RAN, CANNOT_LOAD, NO_MEMORY };

std::string token;
int replies = -1;
uint32_t confined;  // 2: wholly; 1: at least without a network; 0: this system lets nothing be given up

[[noreturn]] void die(const char* why) {
    fprintf(stderr, "minidl: %s\n", why);
    syscall(SYS_exit_group, 3);
    __builtin_unreachable();
}

// ---- the request

struct Reader {
    std::string data;
    size_t at = 0;

    template <class T> T number() {
        T value;
        if (at + sizeof value > data.size()) die("the request ends too early");
        memcpy(&value, &data[at], sizeof value);
        at += sizeof value;
        return value;
    }
    std::string text() {
        size_t n = number<uint64_t>();
        if (n > data.size() - at) die("the request ends too early");
        at += n;
        return data.substr(at - n, n);
    }
};

std::string read_all(int file) {
    std::string data;
    char piece[65536];
    for (ssize_t n; (n = read(file, piece, sizeof piece)) > 0;) data.append(piece, (size_t)n);
    return data;
}

// ---- the reply

struct Writer {
    std::string data = token;

    template <class T> void number(T value) { data.append((const char*)&value, sizeof value); }
    void text(const char* bytes, size_t n) {
        number<uint64_t>(n);
        if (n) data.append(bytes, n);
    }
    void text(const char* s) { text(s ? s : "", s ? strlen(s) : 0); }
    void text_if(const char* s, bool set) { text(set ? s : nullptr); }
};

[[noreturn]] void send(const char* bytes, size_t n) {
    while (n) {
        ssize_t done = write(replies, bytes, n);
        if (done <= 0) break;
        bytes += done, n -= (size_t)done;
    }
    syscall(SYS_exit_group, n ? 4 : 0);
    __builtin_unreachable();
}

[[noreturn]] void send(Writer& reply) {
    reply.data += token;
    send(reply.data.data(), reply.data.size());
}

// What `new` calls when there is nothing left; nothing here may ask for more.
[[noreturn]] void no_memory() {
    char reply[64];
    size_t n = token.size();
    memcpy(reply, token.data(), n);
    const uint32_t status = NO_MEMORY;
    memcpy(reply + n, &status, sizeof status);
    memcpy(reply + n + sizeof status, token.data(), n);
    send(reply, 2 * n + sizeof status);
}

// ---- loading

template <class F> void find(F& function, void* library, const std::string& name) {
    function = (F)dlsym(library, name.c_str());
    if (!function) die(("there is no " + name).c_str());
}

void* load(const std::string& path, int how) {
    void* library = dlopen(path.c_str(), RTLD_NOW | how);
    if (library) return library;
    Writer reply;
    reply.number<uint32_t>(CANNOT_LOAD);
    reply.text(dlerror());
    send(reply);
}

void load_runtime(const std::string& path) {
    void* library = load(path, RTLD_GLOBAL);  // the .cu file's library looks for it by its name
    find(runtime.findings, library, "cuda_on_cpu_findings");
    find(runtime.finding_count, library, "cuda_on_cpu_finding_count");
    find(runtime.launches, library, "cuda_on_cpu_launches");
    find(runtime.printed, library, "cuda_on_cpu_printed");
    find(runtime.counts, library, "cuda_on_cpu_counts");
    find(runtime.stop_here, library, "cuda_on_cpu_stop_here");
    find(runtime.own_process, library, "cuda_on_cpu_own_process");
}

// ---- the two things that can be asked for

[[noreturn]] void describe(void* library, const std::string& kernel) {
    const char* (*signature)();
    int (*bounds)();
    const SharedVariable *(*first)(), *(*last)();
    find(signature, library, "cuda_signature_" + kernel);
    find(bounds, library, "cuda_bounds_" + kernel);
    find(first, library, "cuda_shared_begin");
    find(last, library, "cuda_shared_end");
    uint64_t shared = 0;
    for (const SharedVariable* v = first(); v && v < last(); v++)
        if (kernel == v->function) shared += v->bytes;
    Writer reply;
    reply.number<uint32_t>(DESCRIBED);
    reply.number<uint32_t>(confined);
    reply.text(signature());
    reply.number<int32_t>(bounds());
    reply.number<uint64_t>(shared);
    send(reply);
}

struct Arguments {
    std::vector<uint64_t> values;
    std::vector<void*> table;
    std::vector<Buffer> buffers;
};

Arguments read_arguments(Reader& request) {
    size_t bytes = request.number<uint64_t>();
    int file = request.number<int32_t>();
    char* memory = (char*)mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED) no_memory();
    close(file);
    Arguments a;
    for (uint32_t n = request.number<uint32_t>(); n; n--) {
        bool in_memory = request.number<uint32_t>();
        uint64_t value = request.number<uint64_t>();
        a.values.push_back(in_memory ? (uint64_t)(memory + value) : value);
    }
    for (uint64_t& value : a.values) a.table.push_back(&value);
    a.table.push_back(nullptr);
    for (uint32_t n = request.number<uint32_t>(); n; n--) {
        Buffer b = {};
        b.start = memory + request.number<uint64_t>();
        b.bytes = request.number<uint64_t>();
        b.element_bytes = request.number<int32_t>();
        b.writable = request.number<int32_t>();
        b.unset = request.number<int32_t>();
        a.buffers.push_back(b);
    }
    return a;
}

Launch read_launch(Reader& request, double seconds) {
    Launch how = {};
    for (unsigned& extent : how.grid) extent = request.number<uint32_t>();
    for (unsigned& extent : how.block) extent = request.number<uint32_t>();
    how.dynamic_shared = request.number<uint64_t>();
    how.order = request.number<uint64_t>();
    how.check = 1;
    how.count = request.number<int32_t>();
    how.time_limit = seconds;
    return how;
}

[[noreturn]] void run(void* library, const std::string& kernel, Arguments& a, Launch& how) {
    int (*launch)(void**, const Launch*);
    find(launch, library, "cuda_launch_" + kernel);
    how.buffers = a.buffers.data();
    how.n_buffers = (int)a.buffers.size();
    launch(a.table.data(), &how);
    signal(SIGALRM, SIG_IGN);
    if (runtime.launches() != 1) die("the kernel was not launched");
    const int n = runtime.finding_count();
    Writer reply;
    reply.number<uint32_t>(RAN);
    reply.text(runtime.printed());
    reply.number<uint32_t>((uint32_t)n);
    for (const Finding *f = runtime.findings(), *end = f + n; f < end; f++) {
        reply.text((const char*)f, sizeof *f);
        reply.text(f->shared_name);
        reply.text_if(f->first.file, !f->first.pc);
        reply.text_if(f->other.file, f->other.thread != NOBODY && !f->other.pc);
    }
    uint64_t rows = 0, barriers = 0;
    const CountRow* counts = how.count ? runtime.counts(&rows, &barriers) : nullptr;
    reply.number(barriers);
    reply.text((const char*)counts, rows * sizeof *counts);
    send(reply);
}

}  // namespace

int main(int, char**) {
    Reader request{read_all(0)};
    token = request.text();
    if (token.size() > 24) die("a wrong request");
    replies = fcntl(1, F_DUPFD_CLOEXEC, 10);
    int nothing = open("/dev/null", O_RDWR);
    if (replies < 0 || nothing < 0) die("no files can be opened");
    for (int file : {0, 1, 2}) dup2(nothing, file);

    int parent = request.number<int32_t>();
    Limits limits;
    limits.memory = request.number<uint64_t>();
    limits.cpu_seconds = request.number<uint64_t>();
    double seconds = request.number<double>();
    std::string runtime_path = request.text(), path = request.text(), kernel = request.text();
    bool runs = request.number<int32_t>();
    limit(limits, parent);
    std::set_new_handler(no_memory);
    Arguments arguments;
    Launch how = {};
    if (runs) {
        how = read_launch(request, seconds);
        arguments = read_arguments(request);
    }
    request.data.clear();
    load_runtime(runtime_path);
    runtime.own_process(seconds);
    confined = allow_computing_only() ? 2 : unshare(CLONE_NEWNET) ? 0 : 1;
    void* library = load(path, RTLD_LOCAL);
    if (runs) run(library, kernel, arguments, how);
    describe(library, kernel);
}
