// Runs a kernel on the CPU, one fiber per thread, and reports what the checks find.
#pragma once
#include "cuda_fp16.h"

namespace standin {

// A kernel in the build script's table.
struct Kernel {
    const char* name;
    size_t args_size;
    void (*run)(const void* args);
};

// Results of a launch, with the driver's numbers.
enum Outcome { ok = 0, illegal_address = 700, misaligned_address = 716, launch_failed = 719 };

// Called inside a thread: ends the launch, and doesn't return.
[[noreturn]] void fail(Outcome outcome, const char* format, ...) __attribute__((format(printf, 2, 3)));

// Data of the stand-in that kernels read although it isn't device memory.
#define STANDIN_OWN __attribute__((section("standin_own")))

// checks.cpp: notifications about the order of threads.
void checks_begin(const void* ranges, size_t count);
void checks_end();
void checks_block_begins();
void checks_barrier();
void checks_warp_barrier(unsigned warp);
// Before an atomic operation of the current thread on four bytes.
void checks_atomic(const void* at);

// The running thread's number in its block, and its stack.
extern unsigned running;
extern const char* stack;
constexpr size_t STACK_BYTES = 64 << 10;

} // namespace standin
