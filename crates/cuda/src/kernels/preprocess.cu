// From frames to a model's input: letterbox, colour and normalisation of a whole batch in one launch, or in two with a
// filter.
//
// The arithmetic is that of the CPU engine (src/cpu/preprocess.rs), operation by operation: each source pixel that is
// read becomes 8-bit RGB, chroma applies to its whole 2×2 block, and sampling is bilinear with half-pixel centres and
// repeated edges. A block produces a tile of 128 columns and 8 × `rows` lines, a thread four columns of each line.
//
// With a filter, antialiasing's triangle or a cubic convolution (src/cpu/filtered.rs), `filter_spans` computes the weights of each target column and line, and
// `preprocess_filtered` produces tiles of 128 columns and 8 lines, a thread one column of each line: it reads each source
// row of its tile once.
#include "common.cuh"

#define NV12 0
#define P010 1
#define I420 2
#define RGBA 3
#define BGRA 4
#define TENSOR 5

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
    u8 format;
    // Whether the region shows all that it covers of the frame, and border beyond it, instead of nothing but itself.
    u8 extended;
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
CHECK_OFFSET(Source, extended, 37);
CHECK_OFFSET(Source, x_exact, 38);
CHECK_OFFSET(Source, x_start, 56);
CHECK_OFFSET(Source, y_start, 80);
CHECK_OFFSET(Source, luma_offset, 104);

struct PreprocessArgs {
    u64 sources;
    // Address of the chain's counters, one u32 per slot, which the kernel resets; 0 for none.
    u64 counts;
    u64 tensor;
    // With a filter, address of the spans and weights of the target columns and lines of each slot.
    u64 spans;
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
    // Whether the filter is a cubic convolution instead of antialiasing's triangle.
    u32 cubic;
};
CHECK_SIZE(PreprocessArgs, 88);
CHECK_OFFSET(PreprocessArgs, width, 32);
CHECK_OFFSET(PreprocessArgs, mean, 60);

// The source pixels of a target pixel along one axis: `first`, and the one `step` (0 or 1) further with weight
// `weight`.
struct Tap {
    u32 first;
    u32 step;
    float weight;
    // The share of the target pixel that the picture covers; 0 in the border.
    float cover;
};

// Like Taps::update in src/cpu/resample.rs.
__device__ __forceinline__ Tap tap(u32 at, u32 border, u32 size, double start, double scale, u32 low, u32 high,
                                   bool exact, bool extended)
{
    Tap tap = {low, 0, 0.0f, at >= border && at - border < size ? 1.0f : 0.0f};
    if (tap.cover != 0.0f) {
        double position = start + (double(at - border) + 0.5) * scale - 0.5;
        if (extended)
            tap.cover = float(fmin(fmax(fmin(1.0 + position, double(high) + 1.0 - position), 0.0), 1.0));
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
    u64 block = blockDim.x * blockDim.y;
    u64 first = (u64(blockIdx.y) * gridDim.x + blockIdx.x) * block + thread;
    u64 threads = u64(gridDim.x) * gridDim.y * block;
    u64 wide = 0;
    if ((from | to) % 16 == 0) {
        wide = bytes / 16;
        for (u64 i = first; i < wide; i += threads)
            reinterpret_cast<uint4*>(to)[i] = __ldg(reinterpret_cast<const uint4*>(from) + i);
    }
    for (u64 i = wide * 16 + first; i < bytes; i += threads)
        reinterpret_cast<u8*>(to)[i] = __ldg(reinterpret_cast<const u8*>(from) + i);
}

// Copies the slot's source to shared memory, and resets the slot's counter once per launch.
__device__ __forceinline__ void begin(const PreprocessArgs& args, Source& source, u32 slot, u32 thread)
{
    if (thread < sizeof(Source) / 4)
        reinterpret_cast<u32*>(&source)[thread] =
            __ldg(reinterpret_cast<const u32*>(args.sources + slot * sizeof(Source)) + thread);
    if (blockIdx.x == 0 && blockIdx.y == 0 && args.counts != 0 && thread == 0)
        reinterpret_cast<u32*>(args.counts)[slot] = 0;
    __syncthreads();
}

extern "C" __global__ void __launch_bounds__(WARP* TILE_LINES, BLOCKS_RESIDENT) preprocess(const PreprocessArgs args)
{
    __shared__ Source source;
    __shared__ Tap columns[TILE_COLUMNS];
    __shared__ Tap lines[TILE_LINES * MOST_ROWS];

    u32 slot = blockIdx.z, thread = threadIdx.y * WARP + threadIdx.x;
    begin(args, source, slot, thread);
    const Source& s = source;
    if (s.format == TENSOR) {
        copy_tensor(args, s, slot, thread);
        return;
    }

    u32 first_line = blockIdx.y * TILE_LINES * args.rows;
    if (thread < TILE_COLUMNS)
        columns[thread] = tap(blockIdx.x * TILE_COLUMNS + thread, s.left, s.width, s.x_start, s.x_scale, s.x_low,
                              s.x_high, s.x_exact, s.extended);
    else if (thread - TILE_COLUMNS < TILE_LINES * args.rows)
        lines[thread - TILE_COLUMNS] = tap(first_line + thread - TILE_COLUMNS, s.top, s.height, s.y_start, s.y_scale,
                                           s.y_low, s.y_high, s.y_exact, s.extended);
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
        inside = inside || own[i].cover != 0.0f;
        border = border || own[i].cover == 0.0f;
    }
    for (u32 row = 0; row < args.rows; row++) {
        u32 place = row * TILE_LINES + threadIdx.y, y = first_line + place;
        if (y >= args.height)
            return;
        Tap line = lines[place];
        Quad quad;
        if (line.cover != 0.0f && inside) {
            switch (s.format) {
            case NV12: quad = sample<NV12>(s, line, own, blend); break;
            case P010: quad = sample<P010>(s, line, own, blend); break;
            case I420: quad = sample<I420>(s, line, own, blend); break;
            case RGBA: quad = sample<RGBA>(s, line, own, blend); break;
            default: quad = sample<BGRA>(s, line, own, blend); break;
            }
        }
        bool outside = !(line.cover != 0.0f && inside);
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
                float value = outside || (border && own[i].cover == 0.0f) ? args.pad : quad.v[c][i];
                quad.v[c][i] = (value - args.mean[c]) * args.scale[c];
            }
        if (s.extended && !outside) {
#pragma unroll
            for (int c = 0; c < 3; c++)
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    float cover = own[i].cover * line.cover, edge = (args.pad - args.mean[c]) * args.scale[c];
                    if (cover < 1.0f)
                        quad.v[c][i] = edge + (quad.v[c][i] - edge) * cover;
                }
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

// The source pixels of a target column or line with a filter: from `first` up to, but excluding, `last`; none in the
// border. The rest is of antialiasing alone.
struct Span {
    u32 first, last;
    double centre;
    // The triangle's half width, in source pixels.
    double support;
    // Of all weights before they are divided by it.
    double sum;
};
CHECK_SIZE(Span, 32);

// Weights per span that are stored; those of longer spans, of pictures that become more than 15 times smaller, are computed
// where they are used.
#define STORED_WEIGHTS 32

__device__ __forceinline__ double triangle(const Span& span, u32 pixel)
{
    return fmax(1.0 - fabs((double(pixel) + 0.5 - span.centre) / span.support), 0.0);
}

__device__ __forceinline__ float weight_of(const Span& span, u32 pixel)
{
    // Where a degenerate region leaves no weight, one pixel stands for all.
    return span.sum > 0.0 ? float(triangle(span, pixel) / span.sum) : float(pixel == span.first);
}

// Like Filter::triangle in src/cpu/filtered.rs.
__device__ __forceinline__ Span span_of(u32 at, u32 border, u32 size, double start, double scale, u32 low, u32 high)
{
    Span span = {low, low, 0.0, 1.0, 0.0};
    if (at < border || at - border >= size)
        return span;
    span.support = fmax(scale, 1.0);
    span.centre = start + (double(at - border) + 0.5) * scale;
    double least = double(low), most = double(high) + 1.0;
    span.first = min(u32(fmin(fmax(floor(span.centre - span.support + 0.5), least), most)), high);
    span.last = max(u32(fmin(fmax(floor(span.centre + span.support + 0.5), least), most)), span.first + 1);
    for (u32 pixel = span.first; pixel < span.last; pixel++)
        span.sum += triangle(span, pixel);
    return span;
}

#define CUBIC_TAPS 4
// The slope of OpenCV's cubic convolution one pixel away.
#define SLOPE (-0.75)

__device__ __forceinline__ double cubic_near(double x)
{
    return ((SLOPE + 2.0) * x - (SLOPE + 3.0)) * x * x + 1.0;
}

// The four nearest pixels and their weights, those of pixels beyond an edge added to the edge's. Like Filter::convolution in
// src/cpu/filtered.rs.
__device__ __forceinline__ Span cubic_span(u32 at, u32 border, u32 size, double start, double scale, u32 low, u32 high,
                                           float (&weights)[CUBIC_TAPS])
{
    Span span = {low, low, 0.0, 1.0, 0.0};
    if (at < border || at - border >= size)
        return span;
    double centre = start + (double(at - border) + 0.5) * scale;
    double whole = floor(centre - 0.5), x = centre - 0.5 - whole;
    double of_tap[CUBIC_TAPS];
    of_tap[0] = ((SLOPE * (x + 1.0) - 5.0 * SLOPE) * (x + 1.0) + 8.0 * SLOPE) * (x + 1.0) - 4.0 * SLOPE;
    of_tap[1] = cubic_near(x);
    of_tap[2] = cubic_near(1.0 - x);
    of_tap[3] = 1.0 - of_tap[0] - of_tap[1] - of_tap[2];
    u32 pixels[CUBIC_TAPS];
#pragma unroll
    for (u32 tap = 0; tap < CUBIC_TAPS; tap++)
        pixels[tap] = u32(fmin(fmax(whole + double(tap) - 1.0, double(low)), double(high)));
    span.first = pixels[0];
    span.last = pixels[CUBIC_TAPS - 1] + 1;
#pragma unroll
    for (u32 place = 0; place < CUBIC_TAPS; place++) {
        double sum = 0.0;
#pragma unroll
        for (u32 tap = 0; tap < CUBIC_TAPS; tap++)
            if (pixels[tap] == span.first + place)
                sum += of_tap[tap];
        weights[place] = float(sum);
    }
    return span;
}

// One slot's spans, those of the columns before those of the lines; behind them their weights, by tap.
struct Spans {
    Span* spans;
    float* weights;
    u32 count;
};

__device__ __forceinline__ Spans spans_of(const PreprocessArgs& args, u32 slot)
{
    u32 count = args.width + args.height;
    u64 bytes = u64(count) * (sizeof(Span) + STORED_WEIGHTS * sizeof(float));
    Span* spans = reinterpret_cast<Span*>(args.spans + slot * bytes);
    return {spans, reinterpret_cast<float*>(spans + count), count};
}

// Grid: columns and lines / 128, slots; block: 128.
extern "C" __global__ void __launch_bounds__(128) filter_spans(const PreprocessArgs args)
{
    u32 slot = blockIdx.y, at = blockIdx.x * 128 + threadIdx.x;
    Spans all = spans_of(args, slot);
    if (at >= all.count)
        return;
    const Source& s = reinterpret_cast<const Source*>(args.sources)[slot];
    bool column = at < args.width;
    if (args.cubic) {
        float weights[CUBIC_TAPS];
        Span span = column ? cubic_span(at, s.left, s.width, s.x_start, s.x_scale, s.x_low, s.x_high, weights)
                           : cubic_span(at - args.width, s.top, s.height, s.y_start, s.y_scale, s.y_low, s.y_high, weights);
        all.spans[at] = span;
#pragma unroll
        for (u32 tap = 0; tap < CUBIC_TAPS; tap++)
            if (tap < span.last - span.first)
                all.weights[tap * all.count + at] = weights[tap];
        return;
    }
    Span span = column ? span_of(at, s.left, s.width, s.x_start, s.x_scale, s.x_low, s.x_high)
                       : span_of(at - args.width, s.top, s.height, s.y_start, s.y_scale, s.y_low, s.y_high);
    all.spans[at] = span;
    u32 stored = min(span.last - span.first, u32(STORED_WEIGHTS));
    for (u32 tap = 0; tap < stored; tap++)
        all.weights[tap * all.count + at] = weight_of(span, span.first + tap);
}

#define FILTER_LINES 8

// One column of FILTER_LINES lines, before normalisation.
struct Column {
    Rgb v[FILTER_LINES];
};

template <u32 FORMAT>
__device__ __forceinline__ Column filtered(const Source& s, const Span& column, const float* weights, const Span* lines,
                                           const float (*line_weights)[STORED_WEIGHTS])
{
    Column sums;
    u32 top = 0xffffffffu, bottom = 0;
#pragma unroll
    for (u32 l = 0; l < FILTER_LINES; l++) {
        sums.v[l] = {0.0f, 0.0f, 0.0f};
        if (lines[l].last > lines[l].first) {
            top = min(top, lines[l].first);
            bottom = max(bottom, lines[l].last);
        }
    }
    for (u32 y = top; y < bottom; y++) {
        Rgb row = {0.0f, 0.0f, 0.0f};
        for (u32 x = column.first; x < column.last; x++) {
            u32 tap = x - column.first;
            float weight = tap < STORED_WEIGHTS ? weights[tap * TILE_COLUMNS] : weight_of(column, x);
            Rgb p = pixel<FORMAT>(s, x, y);
            row.r += p.r * weight;
            row.g += p.g * weight;
            row.b += p.b * weight;
        }
#pragma unroll
        for (u32 l = 0; l < FILTER_LINES; l++) {
            if (y < lines[l].first || y >= lines[l].last)
                continue;
            u32 tap = y - lines[l].first;
            float weight = tap < STORED_WEIGHTS ? line_weights[l][tap] : weight_of(lines[l], y);
            sums.v[l].r += row.r * weight;
            sums.v[l].g += row.g * weight;
            sums.v[l].b += row.b * weight;
        }
    }
    return sums;
}

template <typename T>
__device__ __forceinline__ void store_pixel(const PreprocessArgs& args, u32 slot, u32 x, u32 y, const float* value)
{
    u32 plane = args.width * args.height, at = y * args.width + x;
    T* image = reinterpret_cast<T*>(args.tensor) + slot * 3 * u64(plane);
#pragma unroll
    for (u32 c = 0; c < 3; c++)
        image[args.nhwc ? 3 * at + c : c * plane + at] = element<T>(value[c]);
}

// Grid: columns / 128, lines / FILTER_LINES, slots; block: 128.
extern "C" __global__ void __launch_bounds__(TILE_COLUMNS) preprocess_filtered(const PreprocessArgs args)
{
    __shared__ Source source;
    __shared__ float weights[STORED_WEIGHTS][TILE_COLUMNS];
    __shared__ Span lines[FILTER_LINES];
    __shared__ float line_weights[FILTER_LINES][STORED_WEIGHTS];

    u32 slot = blockIdx.z, thread = threadIdx.x;
    begin(args, source, slot, thread);
    const Source& s = source;
    if (s.format == TENSOR) {
        copy_tensor(args, s, slot, thread);
        return;
    }
    Spans all = spans_of(args, slot);
    u32 x = blockIdx.x * TILE_COLUMNS + thread, first_line = blockIdx.y * FILTER_LINES;
    Span column = {0, 0, 0.0, 1.0, 0.0};
    if (x < args.width) {
        column = all.spans[x];
        u32 stored = min(column.last - column.first, u32(STORED_WEIGHTS));
        for (u32 tap = 0; tap < stored; tap++)
            weights[tap][thread] = all.weights[tap * all.count + x];
    }
    for (u32 i = thread; i < FILTER_LINES * STORED_WEIGHTS; i += TILE_COLUMNS) {
        u32 l = i / STORED_WEIGHTS, tap = i % STORED_WEIGHTS, y = first_line + l;
        Span line = {0, 0, 0.0, 1.0, 0.0};
        if (y < args.height)
            line = all.spans[args.width + y];
        if (tap == 0)
            lines[l] = line;
        if (tap < line.last - line.first)
            line_weights[l][tap] = all.weights[tap * all.count + args.width + y];
    }
    __syncthreads();
    if (x >= args.width)
        return;
    bool inside = column.last > column.first;
    Column sums;
    if (inside) {
        const float* own = &weights[0][thread];
        switch (s.format) {
        case NV12: sums = filtered<NV12>(s, column, own, lines, line_weights); break;
        case P010: sums = filtered<P010>(s, column, own, lines, line_weights); break;
        case I420: sums = filtered<I420>(s, column, own, lines, line_weights); break;
        case RGBA: sums = filtered<RGBA>(s, column, own, lines, line_weights); break;
        default: sums = filtered<BGRA>(s, column, own, lines, line_weights); break;
        }
    }
#pragma unroll
    for (u32 l = 0; l < FILTER_LINES; l++) {
        u32 y = first_line + l;
        if (y >= args.height)
            return;
        float value[3] = {args.pad, args.pad, args.pad};
        if (inside && lines[l].last > lines[l].first) {
            value[0] = args.bgr ? sums.v[l].b : sums.v[l].r;
            value[1] = sums.v[l].g;
            value[2] = args.bgr ? sums.v[l].r : sums.v[l].b;
            // The convolution has negative weights, and pixels are rounded to their range.
            if (args.cubic) {
#pragma unroll
                for (u32 c = 0; c < 3; c++)
                    value[c] = fminf(fmaxf(value[c], 0.0f), 255.0f);
            }
        }
#pragma unroll
        for (u32 c = 0; c < 3; c++)
            value[c] = (value[c] - args.mean[c]) * args.scale[c];
        switch (args.element) {
        case ELEMENT_F32: store_pixel<float>(args, slot, x, y, value); break;
        case ELEMENT_F16: store_pixel<__half>(args, slot, x, y, value); break;
        case ELEMENT_U8: store_pixel<u8>(args, slot, x, y, value); break;
        case ELEMENT_I32: store_pixel<int>(args, slot, x, y, value); break;
        default: store_pixel<long long>(args, slot, x, y, value); break;
        }
    }
}
