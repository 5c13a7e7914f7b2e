#include "checker.h"
#include "scheduler.h"

extern "C" void cuda_on_cpu_atomic(const void* p, size_t bytes, int compares, const void* pc) {}
extern "C" void cuda_on_cpu_range(const void* p, size_t bytes, int writes, const void* pc) {}
extern "C" void cuda_on_cpu_fence() {}
