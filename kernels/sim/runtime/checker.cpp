#include "checker.h"
void start_checking() {}
void stop_checking() {}
void forget_shared(size_t) {}
void check_access(const void*, size_t, Access, const void*) {}
void check_fence() {}
