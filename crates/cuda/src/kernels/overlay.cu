// Draws a list of shapes into a frame in place, pixel for pixel as src/draw/ does on a frame in host memory.
//
// A block has a tile of 32 × 32 pixels, a thread the 2 × 2 pixels of one chroma cell, which it keeps in registers while
// it draws the tile's shapes in order.
#include "common.cuh"

#define FILL 0
#define MASK 1
#define LINE 2
#define CELLS 3

#define SIDE 16
#define TILE (2 * SIDE)
#define THREADS (SIDE * SIDE)

// A line's ends, direction and length, and the distance at which coverage ends.
struct Line {
    float from_x, from_y, to_x, to_y;
    float ux, uy, length, reach;
};
CHECK_SIZE(Line, 32);
CHECK_OFFSET(Line, length, 24);

// The position of pixel 0 among the centres of cells, and cells per pixel, times 2^32.
struct CellAxes {
    long long x, x_step, y, y_step;
};
CHECK_SIZE(CellAxes, 32);

struct Shape {
    // Bounds in whole pixels, right and bottom exclusive; they may lie outside the frame.
    int left, top, right, bottom;
    u32 kind;
    // Y, Cb and Cr, or the four bytes of a pixel, lowest byte first.
    u32 ink;
    // MASK: offset of its coverage in the atlas, row by row without gaps. CELLS: offset of their bits, likewise.
    u32 mask;
    // CELLS: columns (12 bits), rows (12 bits), opacity (8 bits).
    u32 cells;
    union {
        Line line;
        CellAxes axes;
    };
};
CHECK_SIZE(Shape, 64);
CHECK_OFFSET(Shape, kind, 16);
CHECK_OFFSET(Shape, line, 32);

struct OverlayArgs {
    u64 shapes;
    u64 atlas;
    u64 cells;
    // NV12: Y, UV; packed: one plane with four bytes per pixel.
    u64 planes[2];
    u32 pitches[2];
    u32 count;
    u32 packed;
    int width, height;
};
CHECK_SIZE(OverlayArgs, 64);
CHECK_OFFSET(OverlayArgs, pitches, 40);

// Blends: `old` for a coverage of 0, `ink` for 255, rounded in between.
__device__ __forceinline__ u32 mix(u32 old, u32 ink, u32 coverage)
{
    u32 v = old * (255 - coverage) + ink * coverage + 128;
    return (v + (v >> 8)) >> 8;
}

// One byte of a value.
__device__ __forceinline__ u32 byte(u32 value, u32 index)
{
    return (value >> (8 * index)) & 255;
}

// The columns that the CPU considers for the rows `y` and `y + 1`: reach_of_rows() in src/draw/shape.rs.
__device__ __forceinline__ void columns_of(const Line& s, int y, int width, int& left, int& right)
{
    float upper = float(y) - s.reach, lower = float(y) + 2.0f + s.reach;
    float dy = s.to_y - s.from_y, a = s.from_x, b = s.to_x;
    if (dy != 0.0f) {
        float ta = fminf(fmaxf((upper - s.from_y) / dy, 0.0f), 1.0f), tb = fminf(fmaxf((lower - s.from_y) / dy, 0.0f), 1.0f);
        a = s.from_x + ta * (s.to_x - s.from_x);
        b = s.from_x + tb * (s.to_x - s.from_x);
    }
    left = max(__float2int_rd(fminf(a, b) - s.reach), 0);
    right = min(__float2int_ru(fmaxf(a, b) + s.reach), width);
}

// Equals Segment::cover() in src/draw/shape.rs.
__device__ __forceinline__ u32 line_coverage(const Line& s, int left, int x, int y)
{
    float px = float(left) + 0.5f - s.from_x, py = float(y) + 0.5f - s.from_y, i = float(x - left);
    float along = px * s.ux + py * s.uy + i * s.ux, across = py * s.ux - px * s.uy - i * s.uy;
    float beyond = along - fminf(fmaxf(along, 0.0f), s.length);
    float distance = sqrtf(beyond * beyond + across * across);
    return u32(__float_as_uint(fminf(fmaxf(s.reach - distance, 0.0f), 1.0f) * 255.0f + 8388608.0f) & 255);
}

// The two cells around a pixel, of `count`, and the weight of the second of 256: Axis::at() in crates/model/src/mask/scaled.rs.
__device__ __forceinline__ void cells_at(long long start, long long step, int pixel, int count, int& first, int& second,
                                         u32& weight)
{
    long long position = start + step * pixel;
    long long cell = position >> 32;
    long long last = count - 1;
    first = int(cell < 0 ? 0 : cell > last ? last : cell);
    second = int(cell + 1 < 0 ? 0 : cell + 1 > last ? last : cell + 1);
    weight = u32(position >> 24) & 255;
}

// Whether a pixel belongs to the object: Scaled::row() in crates/model/src/mask/scaled.rs.
__device__ __forceinline__ u32 cells_coverage(const OverlayArgs& args, const Shape& s, int x, int y)
{
    int columns = s.cells & 4095, rows = (s.cells >> 12) & 4095;
    int left, right, upper, lower;
    u32 across, down;
    cells_at(s.axes.x, s.axes.x_step, x, columns, left, right, across);
    cells_at(s.axes.y, s.axes.y_step, y, rows, upper, lower, down);
    const u8* bits = reinterpret_cast<const u8*>(args.cells) + s.mask;
    auto cell = [&](int column, int row) -> u32 {
        u32 bit = u32(row) * u32(columns) + u32(column);
        return (__ldg(bits + bit / 8) >> (bit % 8)) & 1;
    };
    u32 at_left = (256 - down) * cell(left, upper) + down * cell(left, lower);
    u32 at_right = (256 - down) * cell(right, upper) + down * cell(right, lower);
    return 2 * ((256 - across) * at_left + across * at_right) >= 256 * 256 ? s.cells >> 24 : 0;
}

// The coverage of the four pixels from (x, y) on, 0–255 each.
__device__ __forceinline__ void coverage_of(const OverlayArgs& args, const Shape& s, int x, int y, u32 (&coverage)[4])
{
    int left = s.left, right = s.right, top = s.top, bottom = s.bottom;
    if (s.kind == LINE) {
        columns_of(s.line, y, args.width, left, right);
        // Pixels outside these rows are too far from the line anyway.
        top = y;
        bottom = y + 2;
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
        int px = x + i % 2, py = y + i / 2;
        coverage[i] = 0;
        if (px < left || px >= right || py < top || py >= bottom)
            continue;
        if (s.kind == FILL)
            coverage[i] = 255;
        else if (s.kind == LINE)
            coverage[i] = line_coverage(s.line, left, px, py);
        else if (s.kind == CELLS)
            coverage[i] = cells_coverage(args, s, px, py);
        else
            coverage[i] = __ldg(reinterpret_cast<const u8*>(args.atlas) + s.mask + u32(py - top) * u32(right - left) +
                                u32(px - left));
    }
}

// The frame's pixels of one thread: four luma samples and a pair of chroma, or four packed pixels.
struct Cell {
    u32 pixels[4];
    u32 chroma[2];
    bool changed;
};

__device__ __forceinline__ u8* pixel_at(const OverlayArgs& args, int x, int y)
{
    return reinterpret_cast<u8*>(args.planes[0]) + u64(y) * args.pitches[0] + u64(x) * (args.packed ? 4 : 1);
}

__device__ __forceinline__ u8* chroma_at(const OverlayArgs& args, int x, int y)
{
    return reinterpret_cast<u8*>(args.planes[1]) + u64(y / 2) * args.pitches[1] + x;
}

__device__ void read(const OverlayArgs& args, int x, int y, Cell& cell)
{
#pragma unroll
    for (int i = 0; i < 4; i++) {
        int px = x + i % 2, py = y + i / 2;
        if (px >= args.width || py >= args.height)
            continue;
        const u8* at = pixel_at(args, px, py);
        cell.pixels[i] = args.packed ? *reinterpret_cast<const u32*>(at) : *at;
    }
    if (!args.packed) {
        cell.chroma[0] = chroma_at(args, x, y)[0];
        cell.chroma[1] = chroma_at(args, x, y)[1];
    }
}

__device__ void write(const OverlayArgs& args, int x, int y, const Cell& cell)
{
#pragma unroll
    for (int i = 0; i < 4; i++) {
        int px = x + i % 2, py = y + i / 2;
        if (px >= args.width || py >= args.height)
            continue;
        u8* at = pixel_at(args, px, py);
        if (args.packed)
            *reinterpret_cast<u32*>(at) = cell.pixels[i];
        else
            *at = u8(cell.pixels[i]);
    }
    if (!args.packed) {
        chroma_at(args, x, y)[0] = u8(cell.chroma[0]);
        chroma_at(args, x, y)[1] = u8(cell.chroma[1]);
    }
}

__device__ __forceinline__ void paint(const OverlayArgs& args, const Shape& s, int x, int y, Cell& cell)
{
    u32 coverage[4];
    coverage_of(args, s, x, y, coverage);
    u32 sum = 0, there = 0;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        bool inside = x + i % 2 < args.width && y + i / 2 < args.height;
        there += inside;
        if (!inside || coverage[i] == 0)
            continue;
        sum += coverage[i];
        if (args.packed) {
            u32 mixed = 0;
#pragma unroll
            for (u32 part = 0; part < 4; part++)
                mixed |= mix(byte(cell.pixels[i], part), byte(s.ink, part), coverage[i]) << (8 * part);
            cell.pixels[i] = mixed;
        } else {
            cell.pixels[i] = mix(cell.pixels[i], byte(s.ink, 0), coverage[i]);
        }
    }
    if (sum == 0)
        return;
    cell.changed = true;
    // A cell's chroma is blended by the coverage of its pixels.
    cell.chroma[0] = mix(cell.chroma[0], byte(s.ink, 1), sum / there);
    cell.chroma[1] = mix(cell.chroma[1], byte(s.ink, 2), sum / there);
}

// Grid: tiles across, tiles down; block: THREADS.
extern "C" __global__ void __launch_bounds__(THREADS) overlay(const OverlayArgs args)
{
    __shared__ u32 hits[THREADS];
    __shared__ u32 masks[THREADS / WARP];

    u32 thread = threadIdx.x, warp = thread / WARP, lane = thread % WARP;
    int tile_x = blockIdx.x * TILE, tile_y = blockIdx.y * TILE;
    int x = tile_x + 2 * int(thread % SIDE), y = tile_y + 2 * int(thread / SIDE);
    bool inside = x < args.width && y < args.height;
    const Shape* shapes = reinterpret_cast<const Shape*>(args.shapes);
    Cell cell = {{0, 0, 0, 0}, {0, 0}, false};
    bool read_yet = false;
    for (u32 first = 0; first < args.count; first += THREADS) {
        // Each thread tests one shape; those that overlap the tile are listed in order.
        bool meets = false;
        if (first + thread < args.count) {
            const Shape& s = shapes[first + thread];
            meets = s.left < tile_x + TILE && s.right > tile_x && s.top < tile_y + TILE && s.bottom > tile_y;
        }
        u32 mask = __ballot_sync(ALL_LANES, meets);
        if (lane == 0)
            masks[warp] = mask;
        __syncthreads();
        u32 before = 0, all = 0;
        for (u32 w = 0; w < THREADS / WARP; w++) {
            u32 bits = __popc(masks[w]);
            before += w < warp ? bits : 0;
            all += bits;
        }
        if (meets)
            hits[before + __popc(mask & ((1u << lane) - 1))] = first + thread;
        __syncthreads();
        if (all != 0 && inside) {
            if (!read_yet)
                read(args, x, y, cell);
            read_yet = true;
            for (u32 i = 0; i < all; i++)
                paint(args, shapes[hits[i]], x, y, cell);
        }
        // Wait until every thread has finished with the list.
        __syncthreads();
    }
    if (cell.changed)
        write(args, x, y, cell);
}
