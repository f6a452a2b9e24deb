// From the maps of one person's keypoints to the keypoints, and from these to the person.
//
// The arithmetic is that of crates/model/src/head/{simcc,heatmap,top_down}.rs, operation by operation; logarithms are taken
// in double and rounded.
#include "common.cuh"

// What the keypoints are read from: a row for each axis, or a map whose peak is refined.
#define AXES 0
#define QUARTER 1
#define DARK 2
#define DARK_UDP 3

struct PeaksArgs {
    // Where x, y and confidence of each keypoint are written, in network pixels: 3 floats per keypoint of each slot.
    u64 points;
    // The rows along x and y, `places` of them for each keypoint; or the maps, and 0.
    u64 x, y;
    // Elements from one slot to the next.
    u64 x_slot, y_slot;
    // Places along both axes.
    u32 columns, rows;
    u32 keypoints;
    u32 maps;
    u32 half;
    // Network pixels per place.
    float x_unit, y_unit;
    u32 reserved;
};
CHECK_SIZE(PeaksArgs, 72);
CHECK_OFFSET(PeaksArgs, columns, 40);
CHECK_OFFSET(PeaksArgs, x_unit, 60);

#define THREADS 128

// A place and its value; the first of equal values wins, and values that aren't numbers never do.
struct Peak {
    float value;
    u32 place;
};

__device__ __forceinline__ Peak greater(Peak a, Peak b)
{
    return b.value > a.value || (b.value == a.value && b.place < a.place) ? b : a;
}

// The greatest of `count` values, in every thread of the block.
template <typename T> __device__ Peak greatest(const T* values, u32 count, Peak* shared)
{
    u32 thread = threadIdx.x;
    Peak best = {-__int_as_float(0x7f800000), 0};
    for (u32 i = thread; i < count; i += THREADS) {
        float value = load(values + i);
        if (value > best.value)
            best = {value, i};
    }
#pragma unroll
    for (u32 other = WARP / 2; other > 0; other /= 2) {
        Peak theirs = {__shfl_xor_sync(ALL_LANES, best.value, other), __shfl_xor_sync(ALL_LANES, best.place, other)};
        best = greater(best, theirs);
    }
    // The values of an earlier call may still be read.
    __syncthreads();
    if (thread % WARP == 0)
        shared[thread / WARP] = best;
    __syncthreads();
    best = shared[0];
#pragma unroll
    for (u32 warp = 1; warp < THREADS / WARP; warp++)
        best = greater(best, shared[warp]);
    return best;
}

// OpenCV's Gaussian kernel of 11 values, by the distance from its middle; the deviation is 2.
#define REACH 5

__device__ __forceinline__ float gaussian(int distance)
{
    switch (distance < 0 ? -distance : distance) {
    case 0: return 0.20056541f;
    case 1: return 0.17699836f;
    case 2: return 0.12164907f;
    case 3: return 0.06511406f;
    case 4: return 0.027143577f;
    default: return 0.008812229f;
    }
}

// The place that stands for `at`, mirrored at the outermost one.
__device__ __forceinline__ int reflected(int at, int size)
{
    int period = max(2 * (size - 1), 1);
    at = (at % period + period) % period;
    return min(min(at, period - at), size - 1);
}

// The blurred map at a place; outside it values are mirrored, or 0.
template <typename T> __device__ float blurred(const T* map, int columns, int rows, int x, int y, bool mirrored)
{
    float sum = 0.0f;
    for (int dy = -REACH; dy <= REACH; dy++) {
        int line = y + dy;
        if (line < 0 || line >= rows) {
            if (!mirrored)
                continue;
            line = reflected(line, rows);
        }
        float row = 0.0f;
        for (int dx = -REACH; dx <= REACH; dx++) {
            int column = x + dx;
            if (column < 0 || column >= columns) {
                if (!mirrored)
                    continue;
                column = reflected(column, columns);
            }
            row += gaussian(dx) * load(map + line * columns + column);
        }
        sum += gaussian(dy) * row;
    }
    return sum;
}

// The places around a peak whose logarithms give its slope and curvature: the middle, right, left, lower, upper, lower right,
// upper left; DARK also needs the other two corners (upper right first) and the places two further. Each has four bits, from the
// lowest on, for its distance plus 2.
#define AROUND 13
#define AROUND_X 0x2204131322132ull
#define AROUND_Y 0x0422311313222ull

__device__ __forceinline__ int around(u64 distances, u32 place)
{
    return int((distances >> (4 * place)) & 15) - 2;
}

struct Offset {
    double x, y;
};

// The step to the extremum of a parabola with this slope and these second derivatives.
__device__ __forceinline__ Offset newton_step(double dx, double dy, double xx, double xy, double yy)
{
    double determinant = xx * yy - xy * xy;
    if (determinant == 0.0)
        return {0.0, 0.0};
    return {-(yy * dx - xy * dy) / determinant, -(xx * dy - xy * dx) / determinant};
}

// How far the peak is from the greatest value, which is at `x`, `y`; for thread 0.
template <typename T> __device__ Offset refine(const PeaksArgs& args, const T* map, int x, int y, double* logs)
{
    int columns = args.columns, rows = args.rows;
    Offset none = {0.0, 0.0};
    if (args.maps == QUARTER) {
        if (threadIdx.x != 0)
            return none;
        const T* at = map + y * columns + x;
        if (1 < x && x < columns - 1 && 0 < y) {
            float before = load(at - 1), after = load(at + 1);
            none.x = after > before ? 0.25 : after < before ? -0.25 : 0.0;
        }
        if (1 < y && y < rows - 1 && 0 < x) {
            float before = load(at - columns), after = load(at + columns);
            none.y = after > before ? 0.25 : after < before ? -0.25 : 0.0;
        }
        return none;
    }
    bool udp = args.maps == DARK_UDP;
    bool near_edge = !(1 < x && x < columns - 2 && 1 < y && y < rows - 2);
    if (!udp && near_edge)
        return none;
    u32 thread = threadIdx.x;
    if (thread < AROUND) {
        int column = x + around(AROUND_X, thread), row = y + around(AROUND_Y, thread);
        if (udp) {
            column = min(max(column, 0), columns - 1);
            row = min(max(row, 0), rows - 1);
        }
        float value = blurred(map, columns, rows, column, row, udp);
        value = udp ? fminf(fmaxf(value, 1e-3f), 50.0f) : fmaxf(value, 1e-10f);
        logs[thread] = double(float(log(double(value))));
    }
    __syncthreads();
    if (thread != 0)
        return none;
    double middle = logs[0], right = logs[1], left = logs[2], lower = logs[3], upper = logs[4];
    double dx = 0.5 * (right - left), dy = 0.5 * (lower - upper);
    if (!udp) {
        double xx = 0.25 * (logs[9] - 2.0 * middle + logs[10]);
        double xy = 0.25 * (logs[5] - logs[7] - logs[8] + logs[6]);
        double yy = 0.25 * (logs[11] - 2.0 * middle + logs[12]);
        return newton_step(dx, dy, xx, xy, yy);
    }
    // That of float, as in the published code.
    const double epsilon = 1.1920928955078125e-7;
    double xx = right - 2.0 * middle + left + epsilon;
    double xy = 0.5 * (logs[5] - right - lower + middle + middle - left - upper + logs[6]);
    double yy = lower - 2.0 * middle + upper + epsilon;
    return newton_step(dx, dy, xx, xy, yy);
}

// A keypoint without a value above 0 is at place -1, -1.
__device__ __forceinline__ void store(const PeaksArgs& args, u32 slot, u32 keypoint, float x, float y, float value)
{
    bool seen = value > 0.0f;
    x = (seen ? x : -1.0f) * args.x_unit;
    y = (seen ? y : -1.0f) * args.y_unit;
    if (!finite(x) || !finite(y) || !finite(value))
        x = y = value = 0.0f;
    float* point = reinterpret_cast<float*>(args.points) + 3 * (u64(slot) * args.keypoints + keypoint);
    point[0] = x;
    point[1] = y;
    point[2] = fminf(fmaxf(value, 0.0f), 1.0f);
}

template <typename T> __device__ __forceinline__ void peaks(const PeaksArgs& args, Peak* shared, double* logs)
{
    u32 keypoint = blockIdx.x, slot = blockIdx.y;
    const T* first = reinterpret_cast<const T*>(args.x) + slot * args.x_slot;
    if (args.maps == AXES) {
        const T* second = reinterpret_cast<const T*>(args.y) + slot * args.y_slot;
        Peak x = greatest(first + u64(keypoint) * args.columns, args.columns, shared);
        Peak y = greatest(second + u64(keypoint) * args.rows, args.rows, shared);
        if (threadIdx.x == 0)
            store(args, slot, keypoint, float(x.place), float(y.place), y.value < x.value ? y.value : x.value);
        return;
    }
    u32 pixels = args.columns * args.rows;
    const T* map = first + u64(keypoint) * pixels;
    Peak peak = greatest(map, pixels, shared);
    u32 x = peak.place % args.columns, y = peak.place / args.columns;
    Offset offset = {0.0, 0.0};
    if (peak.value > 0.0f)
        offset = refine(args, map, int(x), int(y), logs);
    if (threadIdx.x == 0)
        store(args, slot, keypoint, float(double(x) + offset.x), float(double(y) + offset.y), peak.value);
}

// Grid: keypoints, slots; block: THREADS.
extern "C" __global__ void __launch_bounds__(THREADS) decode_peaks(const PeaksArgs args)
{
    __shared__ Peak shared[THREADS / WARP];
    __shared__ double logs[AROUND];
    if (args.half)
        peaks<__half>(args, shared, logs);
    else
        peaks<float>(args, shared, logs);
}

// The person that keypoints written by `decode_peaks` belong to.
struct PersonArgs {
    Candidates out;
    u64 points;
    u32 keypoints;
    u32 reserved;
};
CHECK_SIZE(PersonArgs, 64);

// Grid: 1, slots; block: THREADS.
extern "C" __global__ void __launch_bounds__(THREADS) decode_person(const PersonArgs args)
{
    __shared__ float values[3 * THREADS];
    u32 slot = blockIdx.y, count = 3 * args.keypoints;
    const float* points = reinterpret_cast<const float*>(args.points) + u64(slot) * count;
    Person person = no_person();
    for (u32 first = 0; first < count; first += 3 * THREADS) {
        u32 part = min(count - first, u32(3 * THREADS));
        for (u32 i = threadIdx.x; i < part; i += THREADS)
            values[i] = points[first + i];
        __syncthreads();
        // In order, because the sum depends on it.
        if (threadIdx.x == 0)
            for (u32 i = 0; i < part; i += 3)
                add(person, values[i], values[i + 1], values[i + 2]);
        __syncthreads();
    }
    if (threadIdx.x == 0)
        append_person(args.out, slot, person, args.keypoints);
}
