// float4, int2 and so on, with CUDA's alignments: a vector of four floats must lie at a multiple of 16 bytes.
#pragma once

#define CUDA_VECTORS(T, NAME, ALIGN2, ALIGN4)                                                   \
    struct NAME##1 {                                                                            \
        T x;                                                                                    \
    };                                                                                          \
    struct __attribute__((aligned(ALIGN2))) NAME##2 {                                           \
        T x, y;                                                                                 \
    };                                                                                          \
    struct __attribute__((aligned(ALIGN4))) NAME##4 {                                           \
        T x, y, z, w;                                                                           \
    };                                                                                          \
    inline NAME##1 make_##NAME##1(T x) { return {x}; }                                          \
    inline NAME##2 make_##NAME##2(T x, T y) { return {x, y}; }                                  \
    inline NAME##4 make_##NAME##4(T x, T y, T z, T w) { return {x, y, z, w}; }

#define CUDA_VECTOR3(T, NAME) \
    struct NAME##3 {          \
        T x, y, z;            \
    };

#define CUDA_MAKE3(T, NAME) \
    inline NAME##3 make_##NAME##3(T x, T y, T z) { return {x, y, z}; }

CUDA_VECTORS(signed char, char, 2, 4)
CUDA_VECTORS(unsigned char, uchar, 2, 4)
CUDA_VECTORS(short, short, 4, 8)
CUDA_VECTORS(unsigned short, ushort, 4, 8)
CUDA_VECTORS(int, int, 8, 16)
CUDA_VECTORS(unsigned, uint, 8, 16)
CUDA_VECTORS(long long, longlong, 16, 16)
CUDA_VECTORS(unsigned long long, ulonglong, 16, 16)
CUDA_VECTORS(float, float, 8, 16)
CUDA_VECTORS(double, double, 16, 16)

CUDA_VECTOR3(signed char, char)
CUDA_VECTOR3(unsigned char, uchar)
CUDA_VECTOR3(short, short)
CUDA_VECTOR3(unsigned short, ushort)
CUDA_VECTOR3(int, int)  // uint3 is in interface.h
CUDA_VECTOR3(long long, longlong)
CUDA_VECTOR3(unsigned long long, ulonglong)
CUDA_VECTOR3(float, float)
CUDA_VECTOR3(double, double)
CUDA_MAKE3(signed char, char)
CUDA_MAKE3(unsigned char, uchar)
CUDA_MAKE3(short, short)
CUDA_MAKE3(unsigned short, ushort)
CUDA_MAKE3(int, int)
CUDA_MAKE3(unsigned, uint)
CUDA_MAKE3(long long, longlong)
CUDA_MAKE3(unsigned long long, ulonglong)
CUDA_MAKE3(float, float)
CUDA_MAKE3(double, double)
