// Replaces CUDA's header of half-precision numbers for the kernels: it has all of CUDA that they use, on the CPU.
//
// Functions are static: kernels with and without checks (build.rs) must not share them. A thread of a block is a fiber (fibers.h); barriers and warp operations switch between them.
#pragma once

// Before the macros below, which these headers use as attribute names.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#define __device__
#define __global__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
// All in one section, whose bounds the checks know; one block runs at a time.
#define __shared__ static __attribute__((section("standin_shared")))
// A field's offset, which only CUDA's compiler has as a constant: it is checked when the PTX is compiled.
#define __INTADDR__(address) (StandinOffset())

struct StandinOffset {
    constexpr bool operator==(size_t) const
    {
        return true;
    }
};

struct uint3 {
    unsigned int x, y, z;
};

struct alignas(2) uchar2 {
    unsigned char x, y;
};

struct alignas(4) uchar4 {
    unsigned char x, y, z, w;
};

struct alignas(4) ushort2 {
    unsigned short x, y;
};

struct alignas(16) uint4 {
    unsigned int x, y, z, w;
};

struct alignas(16) float4 {
    float x, y, z, w;
};

static inline float4 make_float4(float x, float y, float z, float w)
{
    return {x, y, z, w};
}

struct __half {
    _Float16 value;
};

static inline float __half2float(__half half)
{
    return float(half.value);
}

static inline __half __float2half_rn(float value)
{
    return {_Float16(value)};
}

// The position of the running thread, and its ways of waiting. Defined in fibers.cpp.
namespace standin {
struct Position {
    uint3 thread, block;
};
extern Position* position;
extern uint3 block_size, grid_size;

enum class Operation { sync, ballot, shuffle, shuffle_xor, shuffle_up };

void barrier();
// A warp operation on 64-bit values: returns this lane's result.
uint64_t warp(Operation operation, unsigned mask, uint64_t value, unsigned argument);
unsigned atomic_add(unsigned* at, unsigned value);
void fence();
} // namespace standin

#define threadIdx (standin::position->thread)
#define blockIdx (standin::position->block)
#define blockDim (standin::block_size)
#define gridDim (standin::grid_size)

static inline void __syncthreads()
{
    standin::barrier();
}

static inline void __syncwarp(unsigned mask = 0xffffffffu)
{
    standin::warp(standin::Operation::sync, mask, 0, 0);
}

static inline unsigned __ballot_sync(unsigned mask, bool predicate)
{
    return unsigned(standin::warp(standin::Operation::ballot, mask, predicate, 0));
}

template <typename T> static inline T standin_shuffle(standin::Operation operation, unsigned mask, T value, unsigned argument)
{
    static_assert(sizeof(T) <= sizeof(uint64_t), "a shuffled value has at most 64 bits");
    uint64_t bits = 0;
    __builtin_memcpy(&bits, &value, sizeof(T));
    bits = standin::warp(operation, mask, bits, argument);
    __builtin_memcpy(&value, &bits, sizeof(T));
    return value;
}

template <typename T> static inline T __shfl_sync(unsigned mask, T value, unsigned lane)
{
    return standin_shuffle(standin::Operation::shuffle, mask, value, lane);
}

template <typename T> static inline T __shfl_xor_sync(unsigned mask, T value, unsigned lanes)
{
    return standin_shuffle(standin::Operation::shuffle_xor, mask, value, lanes);
}

template <typename T> static inline T __shfl_up_sync(unsigned mask, T value, unsigned lanes)
{
    return standin_shuffle(standin::Operation::shuffle_up, mask, value, lanes);
}

static inline void __threadfence_system()
{
    standin::fence();
}

static inline unsigned atomicAdd(unsigned* at, unsigned value)
{
    return standin::atomic_add(at, value);
}

template <typename T> static inline T __ldg(const T* at)
{
    return *at;
}

// The device's is less accurate. A macro, because the C library declares a function of this name.
#define __expf(value) std::exp(float(value))

static inline int __popc(unsigned value)
{
    return __builtin_popcount(value);
}

static inline int __ffs(unsigned value)
{
    return __builtin_ffs(int(value));
}

template <typename To, typename From> static inline To standin_bits(From from)
{
    static_assert(sizeof(To) == sizeof(From), "the same bits");
    To to;
    __builtin_memcpy(&to, &from, sizeof(To));
    return to;
}

static inline unsigned __float_as_uint(float value)
{
    return standin_bits<unsigned>(value);
}

static inline float __uint_as_float(unsigned value)
{
    return standin_bits<float>(value);
}

static inline float __int_as_float(int value)
{
    return standin_bits<float>(value);
}

// CUDA's conversions saturate, and convert NaN to 0.
template <typename T> static inline T standin_saturate(double value)
{
    constexpr double least = -double(uint64_t(1) << (8 * sizeof(T) - 1));
    if (!(value == value))
        return 0;
    if (value <= least)
        return T(uint64_t(1) << (8 * sizeof(T) - 1));
    if (value >= -least)
        return T(~(uint64_t(1) << (8 * sizeof(T) - 1)));
    return T(value);
}

static inline int __float2int_rn(float value)
{
    return standin_saturate<int>(rint(double(value)));
}

static inline int __float2int_rd(float value)
{
    return standin_saturate<int>(floor(double(value)));
}

static inline int __float2int_ru(float value)
{
    return standin_saturate<int>(ceil(double(value)));
}

static inline long long __float2ll_rn(float value)
{
    return standin_saturate<long long>(rint(double(value)));
}

template <typename A, typename B> static inline std::common_type_t<A, B> min(A a, B b)
{
    using T = std::common_type_t<A, B>;
    return T(b) < T(a) ? T(b) : T(a);
}

template <typename A, typename B> static inline std::common_type_t<A, B> max(A a, B b)
{
    using T = std::common_type_t<A, B>;
    return T(a) < T(b) ? T(b) : T(a);
}
