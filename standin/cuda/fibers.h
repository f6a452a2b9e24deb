// Running a kernel on the CPU, a fiber a thread, and what its checks find.
#pragma once
#include "cuda_fp16.h"

namespace standin {

// A kernel as the build script lists it.
struct Kernel {
    const char* name;
    size_t args_size;
    void (*run)(const void* args);
};

// Results of a launch, as the driver numbers them.
enum Outcome { ok = 0, illegal_address = 700, misaligned_address = 716, launch_failed = 719 };

// From inside of a thread: ends the launch, and doesn't return.
[[noreturn]] void fail(Outcome outcome, const char* format, ...) __attribute__((format(printf, 2, 3)));

// Data of this side that kernels read, and that is no device memory.
#define STANDIN_OWN __attribute__((section("standin_own")))

// checks.cpp: what is told it about the order of threads.
void checks_begin(const void* ranges, size_t count);
void checks_end();
void checks_block_begins();
void checks_barrier();
void checks_warp_barrier(unsigned warp);
// Before an atomic operation of this thread on four bytes.
void checks_atomic(const void* at);

// The running thread's number in its block, and its stack.
extern unsigned running;
extern const char* stack;
constexpr size_t STACK_BYTES = 64 << 10;

} // namespace standin
