// Warp collectives: shuffles, votes, matches and reductions. All of them are one gathering of values (scheduler.cpp),
// after which each lane works out its own answer.
#pragma once

namespace cuda_on_cpu {

inline unsigned lane() {
    const Running& r = cuda_on_cpu_running;
    return (r.thread.x + r.block_dim.x * (r.thread.y + r.block_dim.y * r.thread.z)) & 31;
}

template <class T> inline uint64_t to_bits(T value) {
    static_assert(sizeof(T) <= 8, "a warp collective moves values of at most 8 bytes");
    uint64_t bits = 0;
    __builtin_memcpy(&bits, &value, sizeof value);
    return bits;
}

template <class T> inline T from_bits(uint64_t bits) {
    T value;
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
}

// The value that lane `source` brought; where it brought none, the value is undefined: a NaN.
template <class T> T fetch(unsigned mask, T value, int source, const Site* site) {
    Gathered all = cuda_on_cpu_gather(SHUFFLE, mask, to_bits(value), site);
    if (all.lanes >> source & 1) return from_bits<T>(all.values[source]);
    cuda_on_cpu_bad_source_lane(source, site);
    return from_bits<T>(0x7ff8dead7fc0deadull);
}

// `width` (a power of two) splits the warp into groups; a lane outside the own group means the own value.
template <class T> T shuffle(const Site* site, unsigned mask, T value, int source, int width = 32) {
    return fetch(mask, value, (lane() & ~(width - 1)) + (source & (width - 1)), site);
}
template <class T> T shuffle_xor(const Site* site, unsigned mask, T value, int other, int width = 32) {
    int own = lane(), source = own ^ other, end = (own & ~(width - 1)) + width;
    return fetch(mask, value, source < end ? source : own, site);
}
template <class T> T shuffle_down(const Site* site, unsigned mask, T value, unsigned delta, int width = 32) {
    int own = lane(), source = own + (int)delta, end = (own & ~(width - 1)) + width;
    return fetch(mask, value, delta < 32 && source < end ? source : own, site);
}
template <class T> T shuffle_up(const Site* site, unsigned mask, T value, unsigned delta, int width = 32) {
    int own = lane(), source = own - (int)delta, begin = own & ~(width - 1);
    return fetch(mask, value, delta < 32 && source >= begin ? source : own, site);
}

inline unsigned ballot(const Site* site, unsigned mask, bool predicate) {
    Gathered all = cuda_on_cpu_gather(VOTE, mask, predicate, site);
    unsigned answer = 0;
    for (int i = 0; i < 32; i++)
        if (all.lanes >> i & 1) answer |= (unsigned)all.values[i] << i;
    return answer;
}
inline int all_of(const Site* site, unsigned mask, bool predicate) {
    Gathered all = cuda_on_cpu_gather(VOTE, mask, predicate, site);
    for (int i = 0; i < 32; i++)
        if ((all.lanes >> i & 1) && !all.values[i]) return 0;
    return 1;
}

template <class T> unsigned match_any(const Site* site, unsigned mask, T value) {
    Gathered all = cuda_on_cpu_gather(MATCH, mask, to_bits(value), site);
    unsigned answer = 0;
    for (int i = 0; i < 32; i++)
        if ((all.lanes >> i & 1) && all.values[i] == to_bits(value)) answer |= 1u << i;
    return answer;
}
template <class T> unsigned match_all(const Site* site, unsigned mask, T value, int* equal) {
    unsigned answer = match_any(site, mask, value);
    *equal = answer == mask;
    return *equal ? mask : 0;
}

template <class T, class F> T reduce(const Site* site, unsigned mask, T value, F combine) {
    static_assert(std::is_same_v<T, int> || std::is_same_v<T, unsigned>, "__reduce_*_sync takes int or unsigned");
    Gathered all = cuda_on_cpu_gather(REDUCE, mask, to_bits(value), site);
    bool first = true;
    T answer = value;
    for (int i = 0; i < 32; i++) {
        if (!(all.lanes >> i & 1)) continue;
        T next = from_bits<T>(all.values[i]);
        answer = first ? next : combine(answer, next);
        first = false;
    }
    return answer;
}

inline void sync_warp(const Site* site, unsigned mask = 0xffffffffu) {
    cuda_on_cpu_gather(SYNC_WARP, mask, 0, site);
}

}  // namespace cuda_on_cpu

#define __shfl_sync(...) cuda_on_cpu::shuffle(CUDA_SITE, __VA_ARGS__)
#define __shfl_xor_sync(...) cuda_on_cpu::shuffle_xor(CUDA_SITE, __VA_ARGS__)
#define __shfl_down_sync(...) cuda_on_cpu::shuffle_down(CUDA_SITE, __VA_ARGS__)
#define __shfl_up_sync(...) cuda_on_cpu::shuffle_up(CUDA_SITE, __VA_ARGS__)
#define __ballot_sync(mask, p) cuda_on_cpu::ballot(CUDA_SITE, (mask), !!(p))
#define __any_sync(mask, p) ((int)(cuda_on_cpu::ballot(CUDA_SITE, (mask), !!(p)) != 0))
#define __all_sync(mask, p) cuda_on_cpu::all_of(CUDA_SITE, (mask), !!(p))
#define __match_any_sync(mask, value) cuda_on_cpu::match_any(CUDA_SITE, (mask), (value))
#define __match_all_sync(mask, value, equal) cuda_on_cpu::match_all(CUDA_SITE, (mask), (value), (equal))
#define CUDA_REDUCE(mask, value, expression) \
    cuda_on_cpu::reduce(CUDA_SITE, (mask), (value), [](auto a, auto b) -> decltype(a) { return expression; })
#define __reduce_add_sync(mask, value) CUDA_REDUCE(mask, value, a + b)
#define __reduce_min_sync(mask, value) CUDA_REDUCE(mask, value, b < a ? b : a)
#define __reduce_max_sync(mask, value) CUDA_REDUCE(mask, value, a < b ? b : a)
#define __reduce_and_sync(mask, value) CUDA_REDUCE(mask, value, a & b)
#define __reduce_or_sync(mask, value) CUDA_REDUCE(mask, value, a | b)
#define __reduce_xor_sync(mask, value) CUDA_REDUCE(mask, value, a ^ b)
#define __syncwarp(...) cuda_on_cpu::sync_warp(CUDA_SITE, ##__VA_ARGS__)
#define __activemask() cuda_on_cpu_active_lanes()
