// From frames to a model's input: letterbox, colour and normalisation of a whole batch in one launch.
//
// The arithmetic is that of the CPU engine (src/cpu/preprocess.rs), operation by operation: each source pixel that is
// read becomes 8-bit RGB, chroma applies to its whole 2×2 block, and sampling is bilinear with half-pixel centres and
// repeated edges. A block produces a tile of 128 columns and 8 × `rows` lines, a thread four columns of each line.
#include "common.cuh"

#define NV12 0
#define P010 1
#define I420 2
#define RGBA 3
#define BGRA 4
#define TENSOR 5

#define ELEMENT_F32 0
#define ELEMENT_F16 1
#define ELEMENT_U8 2
#define ELEMENT_I32 3
#define ELEMENT_I64 4

#define TILE_COLUMNS 128
#define TILE_LINES 8
#define MOST_ROWS 4
// Blocks per multiprocessor. The number limits the registers per thread, so that enough loads are in flight to hide the
// memory's latency.
#define BLOCKS_RESIDENT 4

// One slot's frame, copied to device memory before each launch. One warp reads it with a single access.
struct Source {
    u64 planes[3];
    u32 pitches[3];
    u16 format;
    // Whether every target pixel along the axis coincides with a source pixel.
    u8 x_exact, y_exact;
    // The picture's position in the tensor, in pixels.
    u32 left, top, width, height;
    // Start of the region, source pixels per target pixel, and the first and last source pixel that may be read.
    double x_start, x_scale;
    u32 x_low, x_high;
    double y_start, y_scale;
    u32 y_low, y_high;
    float luma_offset, luma_scale, red_cr, green_cb, green_cr, blue_cb;
};
CHECK_SIZE(Source, 128);
CHECK_OFFSET(Source, pitches, 24);
CHECK_OFFSET(Source, format, 36);
CHECK_OFFSET(Source, x_exact, 38);
CHECK_OFFSET(Source, x_start, 56);
CHECK_OFFSET(Source, y_start, 80);
CHECK_OFFSET(Source, luma_offset, 104);

struct PreprocessArgs {
    u64 sources;
    // Address of the chain's counters, one u32 per slot, which the kernel resets; 0 for none.
    u64 counts;
    u64 tensor;
    u32 width, height;
    u32 element;
    u32 nhwc;
    u32 bgr;
    u32 rows;
    // The border's value, 0–255.
    float pad;
    // These are in the tensor's channel order.
    float mean[3];
    float scale[3];
    u32 reserved;
};
CHECK_SIZE(PreprocessArgs, 80);
CHECK_OFFSET(PreprocessArgs, width, 24);
CHECK_OFFSET(PreprocessArgs, mean, 52);

// The source pixels of a target pixel along one axis: `first`, and the one `step` (0 or 1) further with weight
// `weight`.
struct Tap {
    u32 first;
    u32 step;
    float weight;
    // 0 in the border.
    u32 inside;
};

// Like Taps::update in src/cpu/resample.rs.
__device__ __forceinline__ Tap tap(u32 at, u32 border, u32 size, double start, double scale, u32 low, u32 high,
                                   bool exact)
{
    Tap tap = {low, 0, 0.0f, at >= border && at - border < size};
    if (tap.inside) {
        double position = start + (double(at - border) + 0.5) * scale - 0.5;
        position = fmin(fmax(position, double(low)), double(high));
        // The last pixel is expressed as the one before it with all weight on the next.
        double first = fmin(floor(position), exact ? double(high) : double(high) - 1.0);
        tap.first = u32(first);
        tap.step = !exact;
        tap.weight = float(position - first);
    }
    return tap;
}

struct Rgb {
    float r, g, b;
};

__device__ __forceinline__ float level(float value)
{
    return rintf(fminf(fmaxf(value, 0.0f), 255.0f));
}

__device__ __forceinline__ Rgb convert(const Source& s, float y, float cb, float cr)
{
    float luma = (y - s.luma_offset) * s.luma_scale;
    cb -= 128.0f;
    cr -= 128.0f;
    return {level(luma + s.red_cr * cr), level(luma + s.green_cb * cb + s.green_cr * cr), level(luma + s.blue_cb * cb)};
}

template <u32 FORMAT> __device__ __forceinline__ Rgb pixel(const Source& s, u32 x, u32 y)
{
    const u8* row = reinterpret_cast<const u8*>(s.planes[0]) + u64(y) * s.pitches[0];
    if (FORMAT == RGBA || FORMAT == BGRA) {
        uchar4 p = __ldg(reinterpret_cast<const uchar4*>(row) + x);
        return FORMAT == RGBA ? Rgb{float(p.x), float(p.y), float(p.z)} : Rgb{float(p.z), float(p.y), float(p.x)};
    }
    const u8* chroma = reinterpret_cast<const u8*>(s.planes[1]) + u64(y / 2) * s.pitches[1];
    if (FORMAT == NV12) {
        uchar2 c = __ldg(reinterpret_cast<const uchar2*>(chroma) + x / 2);
        return convert(s, float(__ldg(row + x)), float(c.x), float(c.y));
    }
    if (FORMAT == P010) {
        // Ten bits in the upper bits of sixteen; a quarter of the value is on the 8-bit scale.
        ushort2 c = __ldg(reinterpret_cast<const ushort2*>(chroma) + x / 2);
        u16 l = __ldg(reinterpret_cast<const u16*>(row) + x);
        return convert(s, float(l >> 6) * 0.25f, float(c.x >> 6) * 0.25f, float(c.y >> 6) * 0.25f);
    }
    const u8* second = reinterpret_cast<const u8*>(s.planes[2]) + u64(y / 2) * s.pitches[2];
    return convert(s, float(__ldg(row + x)), float(__ldg(chroma + x / 2)), float(__ldg(second + x / 2)));
}

// Four pixels of a source line, by channel.
struct Quad {
    float v[3][4];
};

__device__ __forceinline__ Rgb mix(Rgb a, Rgb b, float weight)
{
    return {a.r + (b.r - a.r) * weight, a.g + (b.g - a.g) * weight, a.b + (b.b - a.b) * weight};
}

__device__ __forceinline__ void put(Quad& quad, int i, Rgb p)
{
    quad.v[0][i] = p.r;
    quad.v[1][i] = p.g;
    quad.v[2][i] = p.b;
}

template <u32 FORMAT>
__device__ __forceinline__ Quad sample(const Source& s, const Tap& row, const Tap* columns, bool blend)
{
    Quad quad;
    // All four pixels coincide with source pixels.
    if (!blend && row.weight == 0.0f) {
#pragma unroll
        for (int i = 0; i < 4; i++)
            put(quad, i, pixel<FORMAT>(s, columns[i].first, row.first));
        return quad;
    }
    // A weight of 0 doesn't change the value.
    u32 next = row.first + row.step;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        Tap tap = columns[i];
        u32 right = tap.first + tap.step;
        Rgb upper = mix(pixel<FORMAT>(s, tap.first, row.first), pixel<FORMAT>(s, right, row.first), tap.weight);
        Rgb lower = mix(pixel<FORMAT>(s, tap.first, next), pixel<FORMAT>(s, right, next), tap.weight);
        put(quad, i, mix(upper, lower, row.weight));
    }
    return quad;
}

template <typename T> __device__ __forceinline__ T element(float value);

template <> __device__ __forceinline__ float element<float>(float value)
{
    return value;
}

template <> __device__ __forceinline__ __half element<__half>(float value)
{
    return __float2half_rn(value);
}

template <> __device__ __forceinline__ u8 element<u8>(float value)
{
    return u8(fminf(fmaxf(rintf(value), 0.0f), 255.0f));
}

template <> __device__ __forceinline__ int element<int>(float value)
{
    return __float2int_rn(value);
}

template <> __device__ __forceinline__ long long element<long long>(float value)
{
    return __float2ll_rn(value);
}

template <typename T> struct alignas(sizeof(T) > 4 ? 16 : 4 * sizeof(T)) Four {
    T v[4];
};

// Writes four pixels of the tensor's line `y` from column `x` on, except those beyond its width.
template <typename T>
__device__ __forceinline__ void store(const PreprocessArgs& args, u32 slot, u32 x, u32 y, const Quad& quad)
{
    // An image has fewer than 2³² elements, but a batch may have more.
    u32 plane = args.width * args.height;
    T* image = reinterpret_cast<T*>(args.tensor) + slot * 3 * u64(plane);
    u32 pixel = y * args.width + x;
    T values[3][4];
#pragma unroll
    for (int c = 0; c < 3; c++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            values[c][i] = element<T>(quad.v[c][i]);
    // Every image and line begins at a multiple of four pixels.
    bool whole = args.width % 4 == 0;
    if (args.nhwc) {
        if (whole) {
#pragma unroll
            for (int part = 0; part < 3; part++) {
                Four<T> four;
#pragma unroll
                for (int i = 0; i < 4; i++)
                    four.v[i] = values[(4 * part + i) % 3][(4 * part + i) / 3];
                reinterpret_cast<Four<T>*>(image + 3 * pixel)[part] = four;
            }
            return;
        }
        for (u32 i = 0; i < 4 && x + i < args.width; i++)
            for (int c = 0; c < 3; c++)
                image[3 * (pixel + i) + c] = element<T>(quad.v[c][i]);
        return;
    }
#pragma unroll
    for (int c = 0; c < 3; c++) {
        T* at = image + c * plane + pixel;
        if (whole) {
            Four<T> four;
#pragma unroll
            for (int i = 0; i < 4; i++)
                four.v[i] = values[c][i];
            *reinterpret_cast<Four<T>*>(at) = four;
        } else {
#pragma unroll
            for (int i = 0; i < 4; i++)
                if (x + i < args.width)
                    at[i] = values[c][i];
        }
    }
}

__device__ __forceinline__ u32 size_of(u32 element)
{
    switch (element) {
    case ELEMENT_U8: return 1;
    case ELEMENT_F16: return 2;
    case ELEMENT_I64: return 8;
    default: return 4;
    }
}

// A slot whose tensor already exists; the blocks share the copy.
__device__ void copy_tensor(const PreprocessArgs& args, const Source& s, u32 slot, u32 thread)
{
    u64 bytes = 3 * u64(args.width) * args.height * size_of(args.element);
    u64 from = s.planes[0], to = args.tensor + slot * bytes;
    u64 first = (u64(blockIdx.y) * gridDim.x + blockIdx.x) * (WARP * TILE_LINES) + thread;
    u64 threads = u64(gridDim.x) * gridDim.y * (WARP * TILE_LINES);
    u64 wide = 0;
    if ((from | to) % 16 == 0) {
        wide = bytes / 16;
        for (u64 i = first; i < wide; i += threads)
            reinterpret_cast<uint4*>(to)[i] = __ldg(reinterpret_cast<const uint4*>(from) + i);
    }
    for (u64 i = wide * 16 + first; i < bytes; i += threads)
        reinterpret_cast<u8*>(to)[i] = __ldg(reinterpret_cast<const u8*>(from) + i);
}

extern "C" __global__ void __launch_bounds__(WARP* TILE_LINES, BLOCKS_RESIDENT) preprocess(const PreprocessArgs args)
{
    __shared__ Source source;
    __shared__ Tap columns[TILE_COLUMNS];
    __shared__ Tap lines[TILE_LINES * MOST_ROWS];

    u32 slot = blockIdx.z, thread = threadIdx.y * WARP + threadIdx.x;
    if (thread < sizeof(Source) / 4)
        reinterpret_cast<u32*>(&source)[thread] =
            __ldg(reinterpret_cast<const u32*>(args.sources + slot * sizeof(Source)) + thread);
    if (blockIdx.x == 0 && blockIdx.y == 0 && args.counts != 0 && thread == 0)
        reinterpret_cast<u32*>(args.counts)[slot] = 0;
    __syncthreads();
    const Source& s = source;
    if (s.format == TENSOR) {
        copy_tensor(args, s, slot, thread);
        return;
    }

    u32 first_line = blockIdx.y * TILE_LINES * args.rows;
    if (thread < TILE_COLUMNS)
        columns[thread] = tap(blockIdx.x * TILE_COLUMNS + thread, s.left, s.width, s.x_start, s.x_scale, s.x_low,
                              s.x_high, s.x_exact);
    else if (thread - TILE_COLUMNS < TILE_LINES * args.rows)
        lines[thread - TILE_COLUMNS] = tap(first_line + thread - TILE_COLUMNS, s.top, s.height, s.y_start, s.y_scale,
                                           s.y_low, s.y_high, s.y_exact);
    __syncthreads();

    u32 x = blockIdx.x * TILE_COLUMNS + 4 * threadIdx.x;
    if (x >= args.width)
        return;
    // Stays in shared memory, because registers are scarcer.
    const Tap* own = columns + 4 * threadIdx.x;
    bool blend = false, inside = false, border = false;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        blend = blend || own[i].weight != 0.0f;
        inside = inside || own[i].inside;
        border = border || !own[i].inside;
    }
    for (u32 row = 0; row < args.rows; row++) {
        u32 place = row * TILE_LINES + threadIdx.y, y = first_line + place;
        if (y >= args.height)
            return;
        Tap line = lines[place];
        Quad quad;
        if (line.inside && inside) {
            switch (s.format) {
            case NV12: quad = sample<NV12>(s, line, own, blend); break;
            case P010: quad = sample<P010>(s, line, own, blend); break;
            case I420: quad = sample<I420>(s, line, own, blend); break;
            case RGBA: quad = sample<RGBA>(s, line, own, blend); break;
            default: quad = sample<BGRA>(s, line, own, blend); break;
            }
        }
        bool outside = !(line.inside && inside);
        if (args.bgr) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                float red = quad.v[0][i];
                quad.v[0][i] = quad.v[2][i];
                quad.v[2][i] = red;
            }
        }
#pragma unroll
        for (int c = 0; c < 3; c++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                float value = outside || (border && !own[i].inside) ? args.pad : quad.v[c][i];
                quad.v[c][i] = (value - args.mean[c]) * args.scale[c];
            }
        switch (args.element) {
        case ELEMENT_F32: store<float>(args, slot, x, y, quad); break;
        case ELEMENT_F16: store<__half>(args, slot, x, y, quad); break;
        case ELEMENT_U8: store<u8>(args, slot, x, y, quad); break;
        case ELEMENT_I32: store<int>(args, slot, x, y, quad); break;
        default: store<long long>(args, slot, x, y, quad); break;
        }
    }
}
