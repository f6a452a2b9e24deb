// A kernel for the stand-in's own tests: each mode does one thing that a kernel may not do, or that it may.
#include <cuda_fp16.h>

struct ProbeArgs {
    // `count` elements of type unsigned.
    unsigned long long memory;
    unsigned count;
    unsigned mode;
};

enum Mode {
    // Each thread of all blocks adds its index to its own element.
    ADD = 0,
    // Reads a neighbour's shared memory, after a barrier and without one.
    NEIGHBOUR = 1,
    NEIGHBOUR_RACE = 2,
    // Overwrites data that other threads read, without a barrier in between.
    OVERWRITE_RACE = 3,
    // Within a warp: ordered by __syncwarp, and only by a vote, which orders nothing.
    WARP = 4,
    WARP_RACE = 5,
    BEYOND = 6,
    MISALIGNED = 7,
    UNWRITTEN = 8,
    // Half of the threads wait at a barrier, the others in a warp operation of all lanes.
    DEADLOCK = 9,
    WRONG_MASK = 10,
    // Atomic operations of all threads on one shared counter, followed by a plain read after a barrier, and without one.
    COUNT = 11,
    COUNT_RACE = 12,
};

extern "C" __global__ void standin_probe(const ProbeArgs args)
{
    __shared__ unsigned values[256];
    __shared__ unsigned counter;

    unsigned thread = threadIdx.x, index = blockIdx.x * blockDim.x + thread;
    unsigned* memory = reinterpret_cast<unsigned*>(args.memory);
    unsigned own = memory[index % args.count];
    switch (args.mode) {
    case ADD:
        memory[index] = own + index;
        break;
    case NEIGHBOUR:
        values[thread] = own;
        __syncthreads();
        memory[index] = values[thread ^ 33];
        break;
    case NEIGHBOUR_RACE:
        values[thread] = own;
        memory[index] = values[thread ^ 33];
        break;
    case OVERWRITE_RACE:
        values[thread] = own;
        __syncthreads();
        own = values[thread ^ 33];
        values[thread] = own;
        memory[index] = own;
        break;
    case WARP:
        values[thread] = own;
        __syncwarp();
        memory[index] = values[thread ^ 1];
        break;
    case WARP_RACE:
        values[thread] = own;
        __ballot_sync(0xffffffffu, true);
        memory[index] = values[thread ^ 1];
        break;
    case BEYOND:
        memory[args.count + index] = own;
        break;
    case MISALIGNED:
        *reinterpret_cast<unsigned*>(args.memory + 2) = own;
        break;
    case UNWRITTEN:
        memory[index] = values[thread];
        break;
    case DEADLOCK:
        if (thread % 32 < 16)
            __syncthreads();
        else
            __syncwarp();
        break;
    case WRONG_MASK:
        memory[index] = __shfl_xor_sync(0x0000ffffu, own, 1);
        break;
    case COUNT:
    case COUNT_RACE:
        if (thread == 0)
            counter = 0;
        __syncthreads();
        atomicAdd(&counter, 1u);
        if (args.mode == COUNT)
            __syncthreads();
        memory[index] = counter;
        break;
    }
}
