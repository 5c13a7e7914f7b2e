// Sums of many numbers in one thread, without losing digits.
//
// Added one after the other, n floats round n times: the error grows with n. Here SHORT_SUM of them are added as
// REALs, and each such part to a double, so that the error stays that of SHORT_SUM additions whatever n is. One
// double addition in SHORT_SUM is cheap even where a GPU does doubles at 1/64 of the rate of floats. (Kahan's
// compensated sum would turn an infinity into NaN.)
#ifndef MINIDL_SUMS_CUH
#define MINIDL_SUMS_CUH

#include "common.cuh"

#define SHORT_SUM 16

struct Sum {
    double total;
    REAL part;
    int terms;
};

__device__ __forceinline__ Sum empty_sum() {
    Sum sum;
    sum.total = 0;
    sum.part = 0;
    sum.terms = 0;
    return sum;
}

__device__ __forceinline__ void add_to(Sum& sum, REAL value) {
    sum.part += value;
    if (++sum.terms == SHORT_SUM) {
        sum.total += sum.part;
        sum.part = 0;
        sum.terms = 0;
    }
}

__device__ __forceinline__ void scale_sum(Sum& sum, REAL factor) {
    sum.total *= factor;
    sum.part *= factor;
}

__device__ __forceinline__ double value_of(const Sum& sum) { return sum.total + sum.part; }

#endif  // MINIDL_SUMS_CUH
