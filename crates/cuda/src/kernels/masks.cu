// The masks of the objects that the last kernel kept, one bit per cell of the model's grid, as crates/model/src/head/masks.rs
// makes them. Only bits of cells that an object's box touches are calculated, and written into mapped memory.
//
// Grid: parts of a mask, objects, slots. A warp makes a word of 32 cells at a time.
#include "common.cuh"

#define PARTS 16
#define WARPS 4

struct MasksArgs {
    // The objects, as `finish` leaves them on the device: KEPT_STRIDE bytes per slot.
    u64 kept;
    // Addresses in mapped memory, and bytes from one slot to the next: the results, whose flag is set here, and the masks: a
    // MaskHeader for each of `most` objects, then `words` words of bits for each.
    u64 results;
    u64 masks;
    // The grid [planes, rows, columns], and elements from one slot to the next.
    u64 grid;
    u64 grid_slot;
    // Value `k` of row `r`: coefficients[slot · coefficients_slot + r · row_stride + k · value_stride].
    u64 coefficients;
    u64 coefficients_slot;
    u32 row_stride, value_stride;
    // Whether the grid and the coefficients are F16.
    u32 grid_half, coefficients_half;
    // Number of coefficients and planes; 0: plane `r` has the logits of row `r`.
    u32 count;
    u32 columns, rows;
    // Cells per network pixel.
    float x_scale, y_scale;
    u32 results_stride;
    u32 masks_stride;
    u32 most, words;
    u32 reserved;
};
CHECK_SIZE(MasksArgs, 112);
CHECK_OFFSET(MasksArgs, row_stride, 56);
CHECK_OFFSET(MasksArgs, x_scale, 84);
CHECK_OFFSET(MasksArgs, most, 100);

// The cells of a mask, right and bottom exclusive; none if they aren't greater than left and top.
struct MaskHeader {
    u16 left, top, right, bottom;
};
CHECK_SIZE(MaskHeader, 8);

// The flag of a slot's results: `ready` in nms.cu's ResultHeader.
#define READY_AT 12

// A cell's number, rounded already, within the grid. A value that isn't a number is 0, as a conversion in Rust has it.
__device__ __forceinline__ u32 within(float cell, u32 cells)
{
    return u32(fminf(fmaxf(cell, 0.0f), float(cells)));
}

__device__ __forceinline__ float coefficient(const MasksArgs& args, u64 at)
{
    return args.coefficients_half ? load(reinterpret_cast<const __half*>(args.coefficients) + at)
                                  : load(reinterpret_cast<const float*>(args.coefficients) + at);
}

// Products are added in the order of the coefficients, as on the CPU.
template <typename T> __device__ float logit(const MasksArgs& args, u32 slot, u32 row, u32 cell)
{
    u64 plane = u64(args.columns) * args.rows;
    const T* at = reinterpret_cast<const T*>(args.grid) + slot * args.grid_slot + cell;
    if (args.count == 0)
        return load(at + row * plane);
    u64 first = slot * args.coefficients_slot + u64(row) * args.row_stride;
    float sum = 0.0f;
#pragma unroll 8
    for (u32 k = 0; k < args.count; k++)
        sum += coefficient(args, first + u64(k) * args.value_stride) * load(at + k * plane);
    return sum;
}

__device__ void mask_of(const MasksArgs& args, u32 slot, u32 object, const KeptObject& kept)
{
    u32 warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    u32 left = within(floorf(kept.x * args.x_scale), args.columns);
    u32 top = within(floorf(kept.y * args.y_scale), args.rows);
    u32 right = within(ceilf((kept.x + kept.width) * args.x_scale), args.columns);
    u32 bottom = within(ceilf((kept.y + kept.height) * args.y_scale), args.rows);
    u8* masks = reinterpret_cast<u8*>(args.masks) + u64(slot) * args.masks_stride;
    if (blockIdx.x == 0 && threadIdx.x == 0) {
        MaskHeader header = {u16(left), u16(top), u16(right), u16(bottom)};
        reinterpret_cast<MaskHeader*>(masks)[object] = header;
    }
    if (left >= right || top >= bottom)
        return;
    u32* words = reinterpret_cast<u32*>(masks + args.most * sizeof(MaskHeader)) + u64(object) * args.words;
    u32 width = right - left, cells = width * (bottom - top);
    for (u32 word = blockIdx.x * WARPS + warp; word * WARP < cells; word += PARTS * WARPS) {
        u32 index = word * WARP + lane;
        bool set = false;
        if (index < cells) {
            u32 cell = (top + index / width) * args.columns + left + index % width;
            set = (args.grid_half ? logit<__half>(args, slot, kept.row, cell)
                                  : logit<float>(args, slot, kept.row, cell)) > 0.0f;
        }
        u32 bits = __ballot_sync(ALL_LANES, set);
        if (lane == 0)
            words[word] = bits;
    }
}

// Block: WARPS warps.
extern "C" __global__ void __launch_bounds__(WARPS* WARP) masks(const MasksArgs args)
{
    u32 slot = blockIdx.z, first = blockIdx.y;
    u8* slot_kept = reinterpret_cast<u8*>(args.kept) + u64(slot) * KEPT_STRIDE;
    KeptHeader* header = reinterpret_cast<KeptHeader*>(slot_kept);
    const KeptObject* kept = reinterpret_cast<const KeptObject*>(slot_kept + sizeof(KeptHeader));
    u32 objects = min(header->objects, args.most);
    // Without objects one block completes the slot.
    u32 rows = max(min(objects, gridDim.y), 1), parts = objects == 0 ? 1 : PARTS;
    if (first >= rows || blockIdx.x >= parts)
        return;
    for (u32 object = first; object < objects; object += gridDim.y)
        mask_of(args, slot, object, kept[object]);
    __threadfence_system();
    __syncthreads();
    if (threadIdx.x == 0 && atomicAdd(&header->done, 1u) == rows * parts - 1) {
        // All blocks with objects have written theirs, and none reads anything after this.
        __threadfence_system();
        u8* result = reinterpret_cast<u8*>(args.results) + u64(slot) * args.results_stride;
        *reinterpret_cast<volatile u32*>(result + READY_AT) = 1;
    }
}
