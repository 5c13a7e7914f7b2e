// The runtime's functions as this program finds them: it loads the runtime, it is not linked with it.
#pragma once
#include "../counts.h"
#include "../report.h"

struct Runtime {
    const Finding* (*findings)();
    int (*finding_count)();
    int (*launches)();
    const char* (*printed)();
    const CountRow* (*counts)(uint64_t* n, uint64_t* barriers);
    void (*stop_here)(const char* what, const void* pc);  // returns if no kernel is running
    void (*own_process)(double seconds);
};

extern Runtime runtime;
