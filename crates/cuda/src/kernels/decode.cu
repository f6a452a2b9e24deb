// From a model's outputs to candidates: the part of each head in crates/model/src/head/ that reads every anchor.
//
// An anchor's best class is determined before filtering; NaN scores are ignored, and a best score or a box that isn't
// finite drops its anchor.
#include "common.cuh"

// A score and its class; the first of equal scores wins.
struct Best {
    float score;
    u32 class_id;
};

__device__ __forceinline__ Best nothing()
{
    return {-__int_as_float(0x7f800000), 0xffffffffu};
}

__device__ __forceinline__ Best better(Best a, Best b)
{
    return b.score > a.score || (b.score == a.score && b.class_id < a.class_id) ? b : a;
}

__device__ __forceinline__ bool passes(const SlotParams* params, Best best)
{
    return best.score >= params->lowest && finite(best.score) && best.score >= threshold_of(params, best.class_id);
}

// Stores left, top, width, height; returns false if a value isn't finite.
__device__ __forceinline__ bool from_centre(float cx, float cy, float w, float h, float4& box)
{
    box = make_float4(cx - w / 2.0f, cy - h / 2.0f, w, h);
    return finite(box.x + w) && finite(box.y + h);
}

// Tensors [channels, anchors]: 4 box values, then the scores, then the head's extra channels.
struct ColumnsArgs {
    Candidates out;
    u64 data;
    // Elements from one slot to the next.
    u64 slot_stride;
    u32 half;
    u32 anchors;
    u32 classes;
    u32 reserved;
};
CHECK_SIZE(ColumnsArgs, 80);
CHECK_OFFSET(ColumnsArgs, half, 64);

// Number of threads that share an anchor's classes, which keeps more loads in flight than one thread could.
#define SHARES 8

template <typename T> __device__ __forceinline__ void columns(const ColumnsArgs& args, Best (*shared)[WARP])
{
    u32 slot = blockIdx.y, anchor = blockIdx.x * WARP + threadIdx.x;
    const T* data = reinterpret_cast<const T*>(args.data) + slot * args.slot_stride;
    u64 n = args.anchors;
    Best best = nothing();
    if (anchor < n) {
        const T* scores = data + 4 * n + anchor;
#pragma unroll 10
        for (u32 c = threadIdx.y; c < args.classes; c += SHARES) {
            float score = load(scores + c * n);
            if (score > best.score)
                best = {score, c};
        }
    }
    shared[threadIdx.y][threadIdx.x] = best;
    __syncthreads();
    if (threadIdx.y != 0 || anchor >= n)
        return;
#pragma unroll
    for (int share = 1; share < SHARES; share++)
        best = better(best, shared[share][threadIdx.x]);
    if (!passes(params_of(args.out, slot), best))
        return;
    const T* at = data + anchor;
    float4 box;
    if (from_centre(load(at), load(at + n), load(at + 2 * n), load(at + 3 * n), box))
        append(args.out, slot, anchor, box, best.class_id, best.score);
}

// Grid: anchors / 32, slots; block: 32 × SHARES.
extern "C" __global__ void __launch_bounds__(WARP* SHARES) decode_columns(const ColumnsArgs args)
{
    __shared__ Best shared[SHARES][WARP];
    if (args.half)
        columns<__half>(args, shared);
    else
        columns<float>(args, shared);
}

// A range of the anchors of a tensor [anchors, channels].
struct Level {
    // Addresses of the first anchor's scores and box; elements from one anchor, and from one slot, to the next.
    u64 scores, boxes;
    u64 scores_slot, boxes_slot;
    u32 scores_row, boxes_row;
    // Index of the first anchor, and the number of anchors.
    u32 first, anchors;
    // NanoDet: cells per row, and network pixels per cell.
    u32 columns;
    float stride;
};
CHECK_SIZE(Level, 56);
CHECK_OFFSET(Level, columns, 48);

struct RowsArgs {
    Candidates out;
    Level levels[4];
    u32 level_count;
    u32 half;
    u32 classes;
    // NanoDet: bins of each side's distribution; 0: boxes are centre and size.
    u32 bins;
    // NanoDet: position of an anchor's point in its cell; size of the network's input.
    float offset;
    float width, height;
    u32 reserved;
};
CHECK_SIZE(RowsArgs, 304);
CHECK_OFFSET(RowsArgs, level_count, 272);

// The mean bin under the bins' softmax; NaN if a bin isn't finite.
template <typename T> __device__ __noinline__ float expectation(const T* bins, u32 count)
{
    float greatest = -__int_as_float(0x7f800000);
    for (u32 i = 0; i < count; i++)
        greatest = fmaxf(greatest, load(bins + i));
    float sum = 0.0f, weighted = 0.0f;
    for (u32 i = 0; i < count; i++) {
        // Computed in double, because that, rounded to float, equals the CPU's exp.
        float weight = float(exp(double(load(bins + i) - greatest)));
        sum += weight;
        weighted += weight * float(i);
    }
    return weighted / sum;
}

__device__ __forceinline__ float clamp(float value, float most)
{
    return fminf(fmaxf(value, 0.0f), most);
}

template <typename T>
__device__ bool nanodet_box(const RowsArgs& args, const Level& level, u32 anchor, const T* sides, float4& box)
{
    float x = (float(anchor % level.columns) + args.offset) * level.stride;
    float y = (float(anchor / level.columns) + args.offset) * level.stride;
    float distance[4];
    bool whole = true;
    for (u32 side = 0; side < 4; side++) {
        distance[side] = expectation(sides + side * args.bins, args.bins) * level.stride;
        whole = whole && finite(distance[side]);
    }
    float left = clamp(x - distance[0], args.width), top = clamp(y - distance[1], args.height);
    float right = clamp(x + distance[2], args.width), bottom = clamp(y + distance[3], args.height);
    box = make_float4(left, top, right - left, bottom - top);
    return whole;
}

template <typename T> __device__ __forceinline__ void rows(const RowsArgs& args, u32 index)
{
    u32 slot = blockIdx.y, lane = threadIdx.x;
    u32 number = 0;
    while (number + 1 < args.level_count && index >= args.levels[number + 1].first)
        number++;
    const Level& level = args.levels[number];
    u32 anchor = index - level.first;
    if (anchor >= level.anchors)
        return;
    const T* scores = reinterpret_cast<const T*>(level.scores) + slot * level.scores_slot + u64(anchor) * level.scores_row;
    Best best = nothing();
    for (u32 c = lane; c < args.classes; c += WARP) {
        float score = load(scores + c);
        if (score > best.score)
            best = {score, c};
    }
#pragma unroll
    for (u32 other = WARP / 2; other > 0; other /= 2) {
        Best theirs = {__shfl_xor_sync(ALL_LANES, best.score, other), __shfl_xor_sync(ALL_LANES, best.class_id, other)};
        best = better(best, theirs);
    }
    if (lane != 0 || !passes(params_of(args.out, slot), best))
        return;
    const T* values = reinterpret_cast<const T*>(level.boxes) + slot * level.boxes_slot + u64(anchor) * level.boxes_row;
    float4 box;
    bool whole = args.bins != 0 ? nanodet_box(args, level, anchor, values, box)
                                : from_centre(load(values), load(values + 1), load(values + 2), load(values + 3), box);
    if (whole)
        append(args.out, slot, index, box, best.class_id, best.score);
}

// Grid: anchors / SHARES, slots; block: 32 × SHARES, one warp per anchor.
extern "C" __global__ void __launch_bounds__(WARP* SHARES) decode_rows(const RowsArgs args)
{
    u32 index = blockIdx.x * SHARES + threadIdx.y;
    if (args.half)
        rows<__half>(args, index);
    else
        rows<float>(args, index);
}

// Tensors [rows, columns] of final objects: x1, y1, x2, y2, confidence, class.
struct ObjectsArgs {
    Candidates out;
    u64 data;
    u64 slot_stride;
    u32 half;
    u32 rows;
    u32 columns;
    u32 reserved;
};
CHECK_SIZE(ObjectsArgs, 80);

template <typename T> __device__ __forceinline__ void objects(const ObjectsArgs& args, u32 row)
{
    u32 slot = blockIdx.y;
    const T* at = reinterpret_cast<const T*>(args.data) + slot * args.slot_stride + u64(row) * args.columns;
    float v[6];
    bool whole = true;
#pragma unroll
    for (int i = 0; i < 6; i++) {
        v[i] = load(at + i);
        whole = whole && finite(v[i]);
    }
    if (!whole || v[5] < 0.0f)
        return;
    // Rounds halves away from zero; values beyond 32 bits become the greatest number.
    float rounded = roundf(v[5]);
    u32 class_id = rounded >= 4294967296.0f ? 0xffffffffu : u32(rounded);
    if (v[4] >= threshold_of(params_of(args.out, slot), class_id))
        append(args.out, slot, row, make_float4(v[0], v[1], v[2] - v[0], v[3] - v[1]), class_id, v[4]);
}

// Grid: rows / 128, slots; block: 128.
extern "C" __global__ void __launch_bounds__(128) decode_objects(const ObjectsArgs args)
{
    u32 row = blockIdx.x * 128 + threadIdx.x;
    if (row >= args.rows)
        return;
    if (args.half)
        objects<__half>(args, row);
    else
        objects<float>(args, row);
}

// MoveNet, 17 keypoints of y, x, score. Multi-pose: 6 persons, each with y1, x1, y2, x2, score after its keypoints;
// single-pose: one person without these.
struct PersonsArgs {
    Candidates out;
    u64 data;
    u64 slot_stride;
    u32 half;
    u32 multi;
    // Size of the network's input, to which coordinates of 0–1 refer.
    float width, height;
};
CHECK_SIZE(PersonsArgs, 80);

#define JOINTS 17
#define PERSON (3 * JOINTS + 5)
// Keypoints with at least this score count for the single-pose model's box.
#define VISIBLE 0.2f
#define MOST_PERSONS 6

template <typename T> __device__ void one_person(const PersonsArgs& args, const T* at, u32 slot)
{
    float sum = 0.0f;
    float x1 = 0.0f, y1 = 0.0f, x2 = 0.0f, y2 = 0.0f;
    bool any = false;
    for (u32 k = 0; k < JOINTS; k++) {
        float x = load(at + 3 * k + 1) * args.width, y = load(at + 3 * k) * args.height, score = load(at + 3 * k + 2);
        if (!finite(x) || !finite(y) || !finite(score))
            x = y = score = 0.0f;
        sum += score;
        if (score >= VISIBLE) {
            x1 = any ? fminf(x1, x) : x;
            y1 = any ? fminf(y1, y) : y;
            x2 = any ? fmaxf(x2, x) : x;
            y2 = any ? fmaxf(y2, y) : y;
            any = true;
        }
    }
    float confidence = sum / float(JOINTS);
    float4 box = make_float4(x1, y1, x2 - x1, y2 - y1);
    bool has_area = fmaxf(box.z, 0.0f) * fmaxf(box.w, 0.0f) > 0.0f;
    if (any && has_area && confidence >= threshold_of(params_of(args.out, slot), 0))
        append(args.out, slot, 0, box, 0, confidence);
}

template <typename T> __device__ void many_persons(const PersonsArgs& args, const T* data, u32 slot, u32 person)
{
    const T* at = data + person * PERSON + 3 * JOINTS;
    float y1 = load(at), x1 = load(at + 1), y2 = load(at + 2), x2 = load(at + 3), confidence = load(at + 4);
    bool whole = finite(x1) && finite(y1) && finite(x2) && finite(y2) && finite(confidence);
    if (!whole || !(confidence >= threshold_of(params_of(args.out, slot), 0)))
        return;
    x1 *= args.width;
    x2 *= args.width;
    y1 *= args.height;
    y2 *= args.height;
    append(args.out, slot, person, make_float4(x1, y1, x2 - x1, y2 - y1), 0, confidence);
}

template <typename T> __device__ __forceinline__ void persons(const PersonsArgs& args)
{
    u32 slot = blockIdx.y;
    const T* data = reinterpret_cast<const T*>(args.data) + slot * args.slot_stride;
    if (args.multi && threadIdx.x < MOST_PERSONS)
        many_persons(args, data, slot, threadIdx.x);
    else if (!args.multi && threadIdx.x == 0)
        one_person(args, data, slot);
}

// Grid: 1, slots; block: 32.
extern "C" __global__ void __launch_bounds__(WARP) decode_persons(const PersonsArgs args)
{
    if (args.half)
        persons<__half>(args);
    else
        persons<float>(args);
}
