// While a launch runs, a fault of its code (an address that is not mapped, a division by zero, a stack that runs over
// its guard) ends the launch with a finding instead of the process.
#pragma once

void catch_faults();
void release_faults();

// Where the code was that a signal has interrupted; `context` is the third argument of its handler.
const void* program_counter(const void* context);
