// Kernels that replace copies and fills in a graph: a graph of kernels alone costs the host much less per launch.
#include "common.cuh"

#define TABLES 2

// Tables in mapped host memory and their device addresses, all aligned to 16 bytes.
struct StageArgs {
    u64 from[TABLES];
    u64 to[TABLES];
    // Sizes in units of 16 bytes.
    u32 units[TABLES];
};
CHECK_SIZE(StageArgs, 40);
CHECK_OFFSET(StageArgs, units, 32);

extern "C" __global__ void stage(StageArgs args)
{
    u32 at = blockIdx.x * blockDim.x + threadIdx.x;
    for (u32 table = 0; table < TABLES; ++table) {
        if (at < args.units[table]) {
            reinterpret_cast<uint4*>(args.to[table])[at] = reinterpret_cast<const uint4*>(args.from[table])[at];
        }
    }
}

// `rows` rows of `width` elements of 1, 2, 4 or 16 bytes (four copies of the value), with `pitch` bytes from row to
// row.
struct FillArgs {
    u64 to;
    u64 pitch;
    u64 width;
    u64 rows;
    u32 value;
    u32 element;
};
CHECK_SIZE(FillArgs, 40);
CHECK_OFFSET(FillArgs, value, 32);

template <typename T> __device__ __forceinline__ void fill_rows(const FillArgs& args, T value)
{
    for (u64 row = blockIdx.y; row < args.rows; row += gridDim.y) {
        T* to = reinterpret_cast<T*>(args.to + row * args.pitch);
        for (u64 at = u64(blockIdx.x) * blockDim.x + threadIdx.x; at < args.width; at += u64(gridDim.x) * blockDim.x) {
            to[at] = value;
        }
    }
}

extern "C" __global__ void fill(FillArgs args)
{
    if (args.element == 1) {
        fill_rows<u8>(args, u8(args.value));
    } else if (args.element == 2) {
        fill_rows<u16>(args, u16(args.value));
    } else if (args.element == 4) {
        fill_rows<u32>(args, args.value);
    } else {
        fill_rows<uint4>(args, uint4{args.value, args.value, args.value, args.value});
    }
}
