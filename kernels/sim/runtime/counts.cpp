#include "counts.h"
void start_counting() {}
void count_access(const void*, size_t, bool, bool, bool, const void*) {}
void flush_requests() {}
