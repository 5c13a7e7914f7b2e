// Mathematical functions that CUDA has and <math.h> has not. All others are the C library's, whose last bits differ
// from the GPU's.
#pragma once

#define CUDA_PI 3.14159265358979323846

inline float rsqrtf(float x) { return 1.f / sqrtf(x); }
inline double rsqrt(double x) { return 1. / sqrt(x); }
inline float rsqrt(float x) { return rsqrtf(x); }
inline float rcbrtf(float x) { return 1.f / cbrtf(x); }
inline double rcbrt(double x) { return 1. / cbrt(x); }
inline float fdividef(float a, float b) { return a / b; }
inline float rhypotf(float a, float b) { return 1.f / hypotf(a, b); }
inline double rhypot(double a, double b) { return 1. / hypot(a, b); }
inline float norm3df(float a, float b, float c) { return sqrtf(a * a + b * b + c * c); }
inline double norm3d(double a, double b, double c) { return sqrt(a * a + b * b + c * c); }

// Of x = n + r only r matters, and the remainder is exact.
inline double sinpi(double x) { return sin(CUDA_PI * remainder(x, 2.)); }
inline double cospi(double x) { return cos(CUDA_PI * remainder(x, 2.)); }
inline float sinpif(float x) { return (float)sinpi((double)x); }
inline float cospif(float x) { return (float)cospi((double)x); }
inline void sincospif(float x, float* s, float* c) { *s = sinpif(x), *c = cospif(x); }
inline void sincospi(double x, double* s, double* c) { *s = sinpi(x), *c = cospi(x); }

inline double normcdf(double x) { return 0.5 * erfc(-x * 0.70710678118654752440); }
inline float normcdff(float x) { return (float)normcdf((double)x); }

// Solved by Newton's method from the tail's asymptotic value, in double.
inline double erfinv(double y) {
    if (!(fabs(y) < 1)) return fabs(y) == 1 ? y * HUGE_VAL : (y - y) / (y - y);
    double t = log1p(-y * y), u = t / 2 + 2 / (CUDA_PI * 0.147);
    double x = copysign(sqrt(sqrt(u * u - t / 0.147) - u), y);
    for (int i = 0; i < 3; i++) x -= (erf(x) - y) / (2 / sqrt(CUDA_PI) * exp(-x * x));
    return x;
}
inline float erfinvf(float y) { return (float)erfinv((double)y); }

// min and max of two floats are fminf and fmaxf: a NaN gives way to a number. Two integers are converted as in `a < b`.
template <class A, class B> inline auto min(A a, B b) {
    using T = std::common_type_t<A, B>;
    if constexpr (std::is_same_v<T, float>) return fminf(a, b);
    else if constexpr (std::is_same_v<T, double>) return fmin((double)a, (double)b);
    else return (T)b < (T)a ? (T)b : (T)a;
}
template <class A, class B> inline auto max(A a, B b) {
    using T = std::common_type_t<A, B>;
    if constexpr (std::is_same_v<T, float>) return fmaxf(a, b);
    else if constexpr (std::is_same_v<T, double>) return fmax((double)a, (double)b);
    else return (T)a < (T)b ? (T)b : (T)a;
}
inline int umin(unsigned a, unsigned b) { return a < b ? a : b; }
inline int umax(unsigned a, unsigned b) { return a < b ? b : a; }
