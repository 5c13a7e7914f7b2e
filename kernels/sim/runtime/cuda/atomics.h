// Atomic operations. Only one fiber runs at a time, so a plain read and a plain write are atomic; the checker is told
// that they are meant to be. The types are those that CUDA has (it has no atomicAdd for long long, for one).
#pragma once

namespace cuda_on_cpu {

template <class T> struct Same {
    typedef T type;  // a parameter of this type takes what converts to T, and T is deduced from the pointer alone
};
template <class T> using same_t = typename Same<T>::type;
template <class T, class... Ts> constexpr bool one_of = (std::is_same_v<T, Ts> || ...);
typedef unsigned long long ull;

template <class T, class F> CUDA_UNCHECKED T atomic(T* p, F change, bool compares, const void* caller) {
#ifdef CUDA_ON_CPU_CHECK
    cuda_on_cpu_atomic(p, sizeof(T), compares, caller);
#else
    cuda_on_cpu_atomic(p, sizeof(T), compares, nullptr);
#endif
    T before, after;
    __builtin_memcpy(&before, (const void*)p, sizeof(T));
    after = change(before);
    __builtin_memcpy((void*)p, &after, sizeof(T));
    __asm__ volatile("" ::: "memory");  // not moved across other accesses
    return before;
}

}  // namespace cuda_on_cpu

// An atomic operation NAME(T* p, T v) that leaves `expression` of old and v behind, for the types listed.
#define CUDA_ATOMIC(NAME, expression, ...)                                                                    \
    template <class T> CUDA_UNCHECKED T NAME(T* p, cuda_on_cpu::same_t<T> v) {                                \
        static_assert(cuda_on_cpu::one_of<T, __VA_ARGS__>, "CUDA has no " #NAME " for this type");            \
        return cuda_on_cpu::atomic(                                                                           \
            p, [v](T old) -> T { return expression; }, false, CUDA_CALLER);                                   \
    }                                                                                                         \
    template <class T> CUDA_UNCHECKED T NAME##_block(T* p, cuda_on_cpu::same_t<T> v) {                        \
        return cuda_on_cpu::atomic(                                                                           \
            p, [v](T old) -> T { return expression; }, false, CUDA_CALLER);                                   \
    }                                                                                                         \
    template <class T> CUDA_UNCHECKED T NAME##_system(T* p, cuda_on_cpu::same_t<T> v) {                       \
        return cuda_on_cpu::atomic(                                                                           \
            p, [v](T old) -> T { return expression; }, false, CUDA_CALLER);                                   \
    }

CUDA_ATOMIC(atomicAdd, old + v, int, unsigned, cuda_on_cpu::ull, float, double)
CUDA_ATOMIC(atomicSub, old - v, int, unsigned)
CUDA_ATOMIC(atomicMin, v < old ? v : old, int, unsigned, cuda_on_cpu::ull, long long)
CUDA_ATOMIC(atomicMax, old < v ? v : old, int, unsigned, cuda_on_cpu::ull, long long)
CUDA_ATOMIC(atomicAnd, old & v, int, unsigned, cuda_on_cpu::ull)
CUDA_ATOMIC(atomicOr, old | v, int, unsigned, cuda_on_cpu::ull)
CUDA_ATOMIC(atomicXor, old ^ v, int, unsigned, cuda_on_cpu::ull)
CUDA_ATOMIC(atomicExch, (void(old), v), int, unsigned, cuda_on_cpu::ull, float)
CUDA_ATOMIC(atomicInc, old >= v ? 0 : old + 1, unsigned)
CUDA_ATOMIC(atomicDec, old == 0 || old > v ? v : old - 1, unsigned)

template <class T>
CUDA_UNCHECKED T atomicCAS(T* p, cuda_on_cpu::same_t<T> expected, cuda_on_cpu::same_t<T> v) {
    static_assert(cuda_on_cpu::one_of<T, int, unsigned, cuda_on_cpu::ull, unsigned short>,
                  "CUDA has no atomicCAS for this type");
    return cuda_on_cpu::atomic(
        p, [=](T old) -> T { return old == expected ? v : old; }, true, CUDA_CALLER);
}
