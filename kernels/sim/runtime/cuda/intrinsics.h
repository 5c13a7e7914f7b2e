// Intrinsics: __fmul_rn, __popc, __ldg, ... The fast ones (__expf) are the accurate functions; the GPU's own rounding of
// them is not modelled. _rn versions are rounded by themselves: the compiler may not make one FMA of two of them.
#pragma once

namespace cuda_on_cpu {
template <class T> inline __attribute__((always_inline)) T rounded(T value) {
    __asm__("" : "+m"(value));  // "something happens to value here"
    return value;
}
template <class To, class From> inline To bits(From value) {
    static_assert(sizeof(To) == sizeof(From));
    To result;
    __builtin_memcpy(&result, &value, sizeof result);
    return result;
}
// From a floating-point number to an integer the GPU saturates, and a NaN becomes 0; C++ leaves both undefined.
template <class To> inline To saturated(double value) {
    constexpr bool is_signed = std::is_signed_v<To>;
    constexpr int width = 8 * sizeof(To) - is_signed;
    const double end = __builtin_ldexp(1., width);
    if (value != value) return 0;
    if (value >= end) return (To)(~0ull >> (64 - width));
    if (value < (is_signed ? -end : 0.)) return is_signed ? (To)(1ull << width) : 0;
    return (To)value;
}
}  // namespace cuda_on_cpu

// ---- single steps of arithmetic
inline float __fadd_rn(float a, float b) { return cuda_on_cpu::rounded(a + b); }
inline float __fsub_rn(float a, float b) { return cuda_on_cpu::rounded(a - b); }
inline float __fmul_rn(float a, float b) { return cuda_on_cpu::rounded(a * b); }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __frcp_rn(float a) { return 1.f / a; }
inline float __fsqrt_rn(float a) { return sqrtf(a); }
inline float __frsqrt_rn(float a) { return (float)(1. / sqrt((double)a)); }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __dadd_rn(double a, double b) { return cuda_on_cpu::rounded(a + b); }
inline double __dsub_rn(double a, double b) { return cuda_on_cpu::rounded(a - b); }
inline double __dmul_rn(double a, double b) { return cuda_on_cpu::rounded(a * b); }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __drcp_rn(double a) { return 1. / a; }
inline double __dsqrt_rn(double a) { return sqrt(a); }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }

// ---- fast and less accurate on a GPU
inline float __expf(float x) { return expf(x); }
inline float __exp10f(float x) { return powf(10.f, x); }
inline float __logf(float x) { return logf(x); }
inline float __log2f(float x) { return log2f(x); }
inline float __log10f(float x) { return log10f(x); }
inline float __sinf(float x) { return sinf(x); }
inline float __cosf(float x) { return cosf(x); }
inline float __tanf(float x) { return tanf(x); }
inline void __sincosf(float x, float* s, float* c) { *s = sinf(x), *c = cosf(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1) : 0; }  // NaN: 0

// ---- bits
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll(x) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __brev(unsigned x) {
    unsigned result = 0;
    for (int i = 0; i < 32; i++) result |= (x >> i & 1u) << (31 - i);
    return result;
}
inline unsigned long long __brevll(unsigned long long x) {
    return (unsigned long long)__brev((unsigned)x) << 32 | __brev((unsigned)(x >> 32));
}
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned s) {
    unsigned long long both = (unsigned long long)b << 32 | a;
    unsigned result = 0;
    for (int i = 0; i < 4; i++) result |= (unsigned)(both >> 8 * (s >> 4 * i & 7) & 255u) << 8 * i;
    return result;
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned n) {
    return (unsigned)((((unsigned long long)high << 32 | low) << (n & 31)) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned n) {
    return (unsigned)(((unsigned long long)high << 32 | low) >> (n & 31));
}

// ---- integers
inline int __mul24(int a, int b) { return (a << 8 >> 8) * (b << 8 >> 8); }
inline unsigned __umul24(unsigned a, unsigned b) { return (a & 0xffffffu) * (b & 0xffffffu); }
inline int __mulhi(int a, int b) { return (int)((long long)a * b >> 32); }
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((unsigned long long)a * b >> 32); }
inline long long __mul64hi(long long a, long long b) { return (long long)((__int128)a * b >> 64); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
inline unsigned __sad(int a, int b, unsigned c) { return (a < b ? (unsigned)b - a : (unsigned)a - b) + c; }
inline int __hadd(int a, int b) { return (int)(((long long)a + b) >> 1); }
inline int __rhadd(int a, int b) { return (int)(((long long)a + b + 1) >> 1); }

// ---- conversions: rn to the nearest (even), rz towards zero, ru up, rd down
#define CUDA_CONVERSIONS(FROM, T, NAME, TO)                                                                 \
    inline TO __##FROM##2##NAME##_rn(T x) { return cuda_on_cpu::saturated<TO>(nearbyint((double)x)); }      \
    inline TO __##FROM##2##NAME##_rz(T x) { return cuda_on_cpu::saturated<TO>(trunc((double)x)); }          \
    inline TO __##FROM##2##NAME##_ru(T x) { return cuda_on_cpu::saturated<TO>(ceil((double)x)); }           \
    inline TO __##FROM##2##NAME##_rd(T x) { return cuda_on_cpu::saturated<TO>(floor((double)x)); }
CUDA_CONVERSIONS(float, float, int, int)
CUDA_CONVERSIONS(float, float, uint, unsigned)
CUDA_CONVERSIONS(float, float, ll, long long)
CUDA_CONVERSIONS(float, float, ull, unsigned long long)
CUDA_CONVERSIONS(double, double, int, int)
CUDA_CONVERSIONS(double, double, uint, unsigned)
CUDA_CONVERSIONS(double, double, ll, long long)
CUDA_CONVERSIONS(double, double, ull, unsigned long long)
inline float __int2float_rn(int x) { return (float)x; }
inline float __uint2float_rn(unsigned x) { return (float)x; }
inline float __ll2float_rn(long long x) { return (float)x; }
inline float __ull2float_rn(unsigned long long x) { return (float)x; }
inline double __int2double_rn(int x) { return x; }
inline double __uint2double_rn(unsigned x) { return x; }
inline double __ll2double_rn(long long x) { return (double)x; }
inline double __ull2double_rn(unsigned long long x) { return (double)x; }
inline float __double2float_rn(double x) { return (float)x; }

// ---- the same bits as another type
inline float __int_as_float(int x) { return cuda_on_cpu::bits<float>(x); }
inline int __float_as_int(float x) { return cuda_on_cpu::bits<int>(x); }
inline float __uint_as_float(unsigned x) { return cuda_on_cpu::bits<float>(x); }
inline unsigned __float_as_uint(float x) { return cuda_on_cpu::bits<unsigned>(x); }
inline double __longlong_as_double(long long x) { return cuda_on_cpu::bits<double>(x); }
inline long long __double_as_longlong(double x) { return cuda_on_cpu::bits<long long>(x); }
inline int __double2hiint(double x) { return (int)(__double_as_longlong(x) >> 32); }
inline int __double2loint(double x) { return (int)__double_as_longlong(x); }
inline double __hiloint2double(int high, int low) {
    return __longlong_as_double((long long)high << 32 | (unsigned)low);
}

// ---- loads and stores with cache hints, which change nothing here
template <class T> inline __attribute__((always_inline)) T __ldg(const T* p) { return *p; }
template <class T> inline __attribute__((always_inline)) T __ldcg(const T* p) { return *p; }
template <class T> inline __attribute__((always_inline)) T __ldca(const T* p) { return *p; }
template <class T> inline __attribute__((always_inline)) T __ldcs(const T* p) { return *p; }
template <class T> inline __attribute__((always_inline)) void __stcg(T* p, T v) { *p = v; }
template <class T> inline __attribute__((always_inline)) void __stcs(T* p, T v) { *p = v; }
template <class T> inline __attribute__((always_inline)) void __stwt(T* p, T v) { *p = v; }

inline long long clock64() { return 0; }  // no time passes: speed is not modelled
inline int clock() { return 0; }
inline void __nanosleep(unsigned) {}

#ifdef CUDA_ON_CPU_CHECK
// The compiler's checks do not see into the C library.
CUDA_UNCHECKED inline void* cuda_on_cpu_memcpy(void* to, const void* from, size_t n) {
    cuda_on_cpu_range(from, n, 0, CUDA_CALLER);
    cuda_on_cpu_range(to, n, 1, CUDA_CALLER);
    return __builtin_memcpy(to, from, n);
}
CUDA_UNCHECKED inline void* cuda_on_cpu_memset(void* to, int value, size_t n) {
    cuda_on_cpu_range(to, n, 1, CUDA_CALLER);
    return __builtin_memset(to, value, n);
}
#define memcpy cuda_on_cpu_memcpy
#define memset cuda_on_cpu_memset
#endif
