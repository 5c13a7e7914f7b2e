// Gives CUDA C a meaning on the CPU. The compiler is told to read this before the .cu file (-include), which stays as
// it is but for its __shared__ declarations: those are rewritten (see ../source.py) to ask for a place in the block's
// shared memory.
//
// Each CUDA thread is a fiber (fibers.h). Blocks run one after another, and a thread runs until it waits for others,
// so nothing here needs a lock.
#pragma once
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <type_traits>
#include <utility>

#include "interface.h"

// ---- the language

#define __CUDACC_RTC__ 1  // as NVRTC, which CuPy uses
#define __CUDA_ARCH__ 800
#define __MINIDL_SIM__ 1

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __managed__
#define __grid_constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

// A place in the .cu file. The address of a place in the text is the same for every copy that the compiler makes of it.
#define CUDA_SITE                                                         \
    (__extension__({                                                      \
        static const cuda_on_cpu::Site cuda_site = {__FILE__, __LINE__}; \
        &cuda_site;                                                       \
    }))

// Functions that read and write memory on the kernel's behalf tell the checker themselves. In check mode they are real
// calls, so that their return address is a place in the kernel.
#ifdef CUDA_ON_CPU_CHECK
#define CUDA_UNCHECKED __attribute__((noinline, no_sanitize("thread", "undefined")))
#define CUDA_CALLER __builtin_return_address(0)
#else
#define CUDA_UNCHECKED inline __attribute__((always_inline))
#define CUDA_CALLER nullptr
#endif

// ---- built-in variables

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;

#define threadIdx (*(const uint3*)&cuda_on_cpu_running.thread)
#define blockIdx (*(const uint3*)&cuda_on_cpu_running.block)
#define blockDim (*(const dim3*)&cuda_on_cpu_running.block_dim)
#define gridDim (*(const dim3*)&cuda_on_cpu_running.grid_dim)
static constexpr int warpSize = 32;

// ---- barriers and fences

#define __syncthreads() ((void)cuda_on_cpu_barrier(cuda_on_cpu::VOTE_NONE, 0, CUDA_SITE))
#define __syncthreads_count(p) cuda_on_cpu_barrier(cuda_on_cpu::VOTE_COUNT, !!(p), CUDA_SITE)
#define __syncthreads_and(p) cuda_on_cpu_barrier(cuda_on_cpu::VOTE_AND, !!(p), CUDA_SITE)
#define __syncthreads_or(p) cuda_on_cpu_barrier(cuda_on_cpu::VOTE_OR, !!(p), CUDA_SITE)
inline void __threadfence() { cuda_on_cpu_fence(); }
inline void __threadfence_system() { cuda_on_cpu_fence(); }
inline void __threadfence_block() {}

// ---- the host's side of the language is not here, but these two are often left in a kernel

#define printf cuda_on_cpu_printf
#undef assert
#define assert(condition) \
    ((condition) ? (void)0 : cuda_on_cpu_stop("assertion failed: " #condition, CUDA_SITE))
#define __trap() cuda_on_cpu_stop("__trap() was called", CUDA_SITE)
#define __builtin_trap() cuda_on_cpu_stop("__builtin_trap() was called", CUDA_SITE)

#include "cuda/atomics.h"
#include "cuda/intrinsics.h"
#include "cuda/kernel.h"
#include "cuda/math.h"
#include "cuda/vectors.h"
#include "cuda/warps.h"
