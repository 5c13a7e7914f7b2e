#include "report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <string>
#include <vector>

#include "scheduler.h"

static std::vector<Finding> findings;
static std::string printed;

// A kernel with a hundred different mistakes has one that matters.
static const size_t MAX_FINDINGS = 100;

// As much as a GPU keeps of what its kernels print.
static const size_t MAX_PRINTED = 1 << 20;

void forget_findings() {
    findings.clear();
    printed.clear();
}

int finding_count() { return (int)findings.size(); }

static bool same_place(const Party& a, const Party& b) {
    return a.pc == b.pc && a.file == b.file && a.line == b.line && (a.thread == NOBODY) == (b.thread == NOBODY);
}

void report(const Finding& f) {
    for (Finding& g : findings) {
        if (g.kind == f.kind && g.array == f.array && g.shared_name == f.shared_name &&
            same_place(g.first, f.first) && same_place(g.other, f.other)) {
            g.count++;
            return;
        }
    }
    if (findings.size() < MAX_FINDINGS) findings.push_back(f);
    findings.back().count += findings.back().count == 0;
}

Party here(const cuda_on_cpu::Site* site, const void* pc) {
    Party party = {};
    party.block = running_block();
    party.thread = running_thread();
    party.pc = pc ? image_offset(pc) : 0;
    party.file = site ? site->file : nullptr;
    party.line = site ? site->line : 0;
    return party;
}

void report(FindingKind kind, const cuda_on_cpu::Site* site, const char* format, ...) {
    Finding f = {};
    f.kind = kind;
    f.array = NO_ARRAY;
    f.first = here(site, nullptr);
    f.other.thread = NOBODY;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(f.text, sizeof f.text, format, arguments);
    va_end(arguments);
    report(f);
}

// ---- for Python

extern "C" const Finding* cuda_on_cpu_findings() { return findings.data(); }
extern "C" int cuda_on_cpu_finding_count() { return finding_count(); }
extern "C" const char* cuda_on_cpu_printed() { return printed.c_str(); }

int cuda_on_cpu_printf(const char* format, ...) {
    if (printed.size() >= MAX_PRINTED) return 0;
    char line[4096];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    printed += line;
    return n;
}
