// How Python sees and starts a kernel. CUDA_KERNEL(name, bounds) follows the .cu file's text once for each kernel.
#pragma once

namespace cuda_on_cpu {

// A type as one letter, as in NumPy: P pointer, v void, S something else (a struct).
template <class T> constexpr char letter() {
    using U = std::remove_cv_t<T>;
    if constexpr (std::is_pointer_v<U>) return 'P';
    else if constexpr (std::is_void_v<U>) return 'v';
    else if constexpr (std::is_same_v<U, float>) return 'f';
    else if constexpr (std::is_same_v<U, double>) return 'd';
    else if constexpr (std::is_same_v<U, bool>) return '?';
    else if constexpr (!std::is_integral_v<U>) return 'S';
    else {
        constexpr const char* letters = std::is_signed_v<U> ? "bhiq" : "BHIQ";
        return letters[sizeof(U) == 1 ? 0 : sizeof(U) == 2 ? 1 : sizeof(U) == 4 ? 2 : 3];
    }
}

// float4 and the like: letter of their elements.
template <class T, class = void> struct Element {
    static constexpr char value = letter<T>();
};
template <class T> struct Element<T, std::void_t<decltype(std::declval<std::remove_cv_t<T>&>().x)>> {
    static constexpr char value = letter<decltype(std::remove_cv_t<T>::x)>();
};

// A parameter as three letters: its type, that of what it points to, and whether that is const (r) or not (w).
template <class T> constexpr char pointee() {
    if constexpr (std::is_pointer_v<T>) {
        using E = std::remove_pointer_t<T>;
        if constexpr (std::is_class_v<E>) return Element<E>::value;
        else return letter<E>();
    } else return '-';
}
template <class T> constexpr char access() {
    if constexpr (std::is_pointer_v<T>) return std::is_const_v<std::remove_pointer_t<T>> ? 'r' : 'w';
    else return '-';
}
template <class T> constexpr int alignment() {
    if constexpr (std::is_pointer_v<T>) {
        using E = std::remove_pointer_t<T>;
        if constexpr (std::is_void_v<E>) return 1;
        else return alignof(E);
    } else return alignof(T);
}
template <class... A> const char* signature(void (*)(A...)) {
    static const char text[] = {letter<A>()..., ' ', pointee<std::remove_cv_t<A>>()..., ' ',
                                access<std::remove_cv_t<A>>()..., '\0'};
    return text;
}

// arguments[i] points at the i-th argument, as in cuLaunchKernel.
template <class... A> struct Call {
    void (*kernel)(A...);
    void** arguments;

    template <size_t... I> inline __attribute__((always_inline)) void unpack(std::index_sequence<I...>) {
        kernel(*(std::remove_cv_t<A>*)arguments[I]...);
    }
    __attribute__((no_sanitize("thread", "undefined"))) static void body(void* call) {
        ((Call*)call)->unpack(std::index_sequence_for<A...>{});
    }
};

extern "C" const char __ehdr_start[] __attribute__((visibility("hidden")));
extern "C" const char _end[] __attribute__((visibility("hidden")));

template <class... A>
__attribute__((no_sanitize("thread", "undefined"))) int launch(void (*kernel)(A...), void** arguments,
                                                               const Launch* how) {
    Call<A...> call{kernel, arguments};
    Image image{__ehdr_start, _end};
    return cuda_on_cpu_run(&Call<A...>::body, &call, how, &image);
}

constexpr int first_of(int first = 1024, ...) { return first; }

}  // namespace cuda_on_cpu

#define CUDA_KERNEL(NAME, ...)                                                                         \
    extern "C" __attribute__((visibility("default"))) const char* cuda_signature_##NAME() {            \
        return cuda_on_cpu::signature(&::NAME);                                                        \
    }                                                                                                  \
    extern "C" __attribute__((visibility("default"))) int cuda_bounds_##NAME() {                       \
        return cuda_on_cpu::first_of(__VA_ARGS__);                                                     \
    }                                                                                                  \
    extern "C" __attribute__((visibility("default"))) int cuda_launch_##NAME(                          \
        void** arguments, const cuda_on_cpu::Launch* how) {                                            \
        return cuda_on_cpu::launch(&::NAME, arguments, how);                                           \
    }

// The __shared__ variables of all kernels, in a section of their own: (first, last + 1).
extern "C" const cuda_on_cpu::SharedVariable __start_cuda_shared[] __attribute__((weak, visibility("hidden")));
extern "C" const cuda_on_cpu::SharedVariable __stop_cuda_shared[] __attribute__((weak, visibility("hidden")));
#define CUDA_SHARED_TABLE                                                                                      \
    extern "C" __attribute__((visibility("default"))) const cuda_on_cpu::SharedVariable* cuda_shared_begin() { \
        return __start_cuda_shared;                                                                            \
    }                                                                                                          \
    extern "C" __attribute__((visibility("default"))) const cuda_on_cpu::SharedVariable* cuda_shared_end() {   \
        return __stop_cuda_shared;                                                                             \
    }
