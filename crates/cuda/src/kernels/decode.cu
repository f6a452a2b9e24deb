// From a model's outputs to candidates: the part of each head in crates/model/src/head/ that reads every anchor.
//
// An anchor's best class is determined before filtering; NaN scores are ignored, and a best score or a box that isn't
// finite drops its anchor. With `multi_label` an anchor is a candidate of each class that passes, of which it is a pair.
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

__device__ __forceinline__ bool passes(const SlotParams* params, float score, u32 class_id)
{
    return score >= params->lowest && finite(score) && score >= threshold_of(params, class_id);
}

// The cells of one stride over the input, row by row.
struct CellLevel {
    // Index of the first anchor; cells per row.
    u32 first, columns;
    // Network pixels per cell.
    float stride;
    u32 reserved;
};
CHECK_SIZE(CellLevel, 16);

#define MOST_LEVELS 4

// Anchors whose boxes, scores and objectness are in any outputs, a row per anchor.
struct DenseArgs {
    Candidates out;
    // F32 or F16. `decode_columns` reads scores whose row_stride is 1, `decode_rows` those whose value_stride is 1.
    Values scores;
    Values boxes;
    // The confidence is the score times this; no data: the score alone.
    Values objectness;
    // If there are any, boxes are relative to their cells: the centre is (value + cell) · stride, the size
    // exp(value) · stride.
    CellLevel levels[MOST_LEVELS];
    u32 level_count;
    Coding coding;
    u32 anchors;
    u32 classes;
    u32 multi_label;
    u32 reserved;
};
CHECK_SIZE(DenseArgs, 240);
CHECK_OFFSET(DenseArgs, scores, 48);
CHECK_OFFSET(DenseArgs, levels, 144);
CHECK_OFFSET(DenseArgs, level_count, 208);
CHECK_OFFSET(DenseArgs, anchors, 224);

__device__ bool dense_box(const DenseArgs& args, u32 slot, u32 anchor, float4& box)
{
    float v[4];
#pragma unroll
    for (u32 i = 0; i < 4; i++)
        v[i] = value_of(args.boxes, slot, anchor, i);
    if (args.level_count != 0) {
        u32 number = 0;
        while (number + 1 < args.level_count && anchor >= args.levels[number + 1].first)
            number++;
        const CellLevel& level = args.levels[number];
        u32 cell = anchor - level.first;
        v[0] = (v[0] + float(cell % level.columns)) * level.stride;
        v[1] = (v[1] + float(cell / level.columns)) * level.stride;
        v[2] = exponential(v[2]) * level.stride;
        v[3] = exponential(v[3]) * level.stride;
    }
    return box_of(args.coding, v[0], v[1], v[2], v[3], box);
}

// Whether a class of an anchor passes; `confidence` is its score, times the objectness.
__device__ __forceinline__ bool dense_passes(const DenseArgs& args, const SlotParams* params, u32 slot, u32 anchor,
                                             float score, u32 class_id, float& confidence)
{
    if (!passes(params, score, class_id))
        return false;
    confidence = score;
    if (args.objectness.data != 0)
        confidence *= value_of(args.objectness, slot, anchor, 0);
    return confidence >= threshold_of(params, class_id);
}

// Adds an anchor with its best class, if it passes.
__device__ __forceinline__ void dense(const DenseArgs& args, u32 slot, u32 anchor, Best best)
{
    float confidence;
    float4 box;
    if (dense_passes(args, params_of(args.out, slot), slot, anchor, best.score, best.class_id, confidence) &&
        dense_box(args, slot, anchor, box))
        append(args.out, slot, anchor, box, best.class_id, confidence);
}

// Adds an anchor with each class that passes among `share`, `share + shares`, …: all shares of an anchor are to be called, by
// any threads. The scores of an anchor are `step` elements apart.
template <typename T>
__device__ __forceinline__ void dense_labels(const DenseArgs& args, u32 slot, u32 anchor, const T* scores, u64 step,
                                             u32 share, u32 shares)
{
    float4 box;
    if (!dense_box(args, slot, anchor, box))
        return;
    if (share == 0)
        store_box(args.out, slot, args.classes, anchor, box);
    const SlotParams* params = params_of(args.out, slot);
    for (u32 c = share; c < args.classes; c += shares) {
        float confidence;
        if (dense_passes(args, params, slot, anchor, load(scores + c * step), c, confidence))
            append_pair(args.out, slot, args.classes, anchor, c, confidence);
    }
}

// Number of threads that share an anchor's classes, which keeps more loads in flight than one thread could.
#define SHARES 8

template <typename T> __device__ __forceinline__ void columns(const DenseArgs& args, Best (*shared)[WARP])
{
    u32 slot = blockIdx.y, anchor = blockIdx.x * WARP + threadIdx.x;
    Best best = nothing();
    const T* scores = reinterpret_cast<const T*>(args.scores.data) + slot * args.scores.slot_stride + anchor;
    u64 n = args.scores.value_stride;
    if (anchor < args.anchors) {
#pragma unroll 10
        for (u32 c = threadIdx.y; c < args.classes; c += SHARES) {
            float score = load(scores + c * n);
            if (score > best.score)
                best = {score, c};
        }
    }
    shared[threadIdx.y][threadIdx.x] = best;
    __syncthreads();
    if ((threadIdx.y != 0 && !args.multi_label) || anchor >= args.anchors)
        return;
#pragma unroll
    for (int share = 0; share < SHARES; share++)
        best = better(best, shared[share][threadIdx.x]);
    if (!args.multi_label)
        dense(args, slot, anchor, best);
    else if (best.score >= params_of(args.out, slot)->lowest)
        dense_labels(args, slot, anchor, scores, n, threadIdx.y, SHARES);
}

// Scores [classes, anchors]. Grid: anchors / 32, slots; block: 32 × SHARES.
extern "C" __global__ void __launch_bounds__(WARP* SHARES) decode_columns(const DenseArgs args)
{
    __shared__ Best shared[SHARES][WARP];
    if (args.scores.element == ELEMENT_F16)
        columns<__half>(args, shared);
    else
        columns<float>(args, shared);
}

// The best class of one row of scores, by all lanes of a warp.
template <typename T> __device__ __forceinline__ Best best_of_row(const T* scores, u32 classes)
{
    Best best = nothing();
    for (u32 c = threadIdx.x; c < classes; c += WARP) {
        float score = load(scores + c);
        if (score > best.score)
            best = {score, c};
    }
#pragma unroll
    for (u32 other = WARP / 2; other > 0; other /= 2) {
        Best theirs = {__shfl_xor_sync(ALL_LANES, best.score, other), __shfl_xor_sync(ALL_LANES, best.class_id, other)};
        best = better(best, theirs);
    }
    return best;
}

template <typename T> __device__ __forceinline__ void rows(const DenseArgs& args, u32 anchor)
{
    u32 slot = blockIdx.y;
    if (anchor >= args.anchors)
        return;
    const T* scores = reinterpret_cast<const T*>(args.scores.data) + slot * args.scores.slot_stride +
                      u64(anchor) * args.scores.row_stride;
    Best best = best_of_row(scores, args.classes);
    if (args.multi_label && best.score >= params_of(args.out, slot)->lowest)
        dense_labels(args, slot, anchor, scores, 1, threadIdx.x, WARP);
    else if (!args.multi_label && threadIdx.x == 0)
        dense(args, slot, anchor, best);
}

// Scores [anchors, channels]. Grid: anchors / SHARES, slots; block: 32 × SHARES, one warp per anchor.
extern "C" __global__ void __launch_bounds__(WARP* SHARES) decode_rows(const DenseArgs args)
{
    u32 anchor = blockIdx.x * SHARES + threadIdx.y;
    if (args.scores.element == ELEMENT_F16)
        rows<__half>(args, anchor);
    else
        rows<float>(args, anchor);
}

// A range of the anchors of tensors [anchors, channels].
struct Level {
    // Addresses of the first anchor's scores and distributions; elements from one slot, and from one anchor, to the
    // next.
    u64 scores, boxes;
    u64 scores_slot, boxes_slot;
    u32 scores_row, boxes_row;
    // Index of the first anchor, and the number of anchors.
    u32 first, anchors;
    // Cells per row, and network pixels per cell.
    u32 columns;
    float stride;
};
CHECK_SIZE(Level, 56);
CHECK_OFFSET(Level, columns, 48);

// Class scores, and a distribution of `bins` values for each side of a box.
struct DistributionsArgs {
    Candidates out;
    Level levels[MOST_LEVELS];
    u32 level_count;
    u32 half;
    u32 classes;
    u32 bins;
    // Position of an anchor's point in its cell; size of the network's input.
    float offset;
    float width, height;
    u32 multi_label;
};
CHECK_SIZE(DistributionsArgs, 304);
CHECK_OFFSET(DistributionsArgs, level_count, 272);

// The mean bin under the bins' softmax; NaN if a bin isn't finite.
template <typename T> __device__ __noinline__ float expectation(const T* bins, u32 count)
{
    float greatest = -__int_as_float(0x7f800000);
    for (u32 i = 0; i < count; i++)
        greatest = fmaxf(greatest, load(bins + i));
    float sum = 0.0f, weighted = 0.0f;
    for (u32 i = 0; i < count; i++) {
        float weight = exponential(load(bins + i) - greatest);
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
__device__ bool distributed_box(const DistributionsArgs& args, const Level& level, u32 anchor, const T* sides, float4& box)
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

template <typename T> __device__ __forceinline__ void distributions(const DistributionsArgs& args, u32 index)
{
    u32 slot = blockIdx.y;
    u32 number = 0;
    while (number + 1 < args.level_count && index >= args.levels[number + 1].first)
        number++;
    const Level& level = args.levels[number];
    u32 anchor = index - level.first;
    if (anchor >= level.anchors)
        return;
    const T* scores = reinterpret_cast<const T*>(level.scores) + slot * level.scores_slot + u64(anchor) * level.scores_row;
    Best best = best_of_row(scores, args.classes);
    const SlotParams* params = params_of(args.out, slot);
    const T* sides = reinterpret_cast<const T*>(level.boxes) + slot * level.boxes_slot + u64(anchor) * level.boxes_row;
    float4 box;
    if (!args.multi_label) {
        if (threadIdx.x == 0 && passes(params, best.score, best.class_id) &&
            distributed_box(args, level, anchor, sides, box))
            append(args.out, slot, index, box, best.class_id, best.score);
        return;
    }
    // The same for all lanes.
    if (!(best.score >= params->lowest))
        return;
    u32 whole = 0;
    if (threadIdx.x == 0 && distributed_box(args, level, anchor, sides, box)) {
        store_box(args.out, slot, args.classes, index, box);
        whole = 1;
    }
    if (!__shfl_sync(ALL_LANES, whole, 0))
        return;
    for (u32 c = threadIdx.x; c < args.classes; c += WARP) {
        float score = load(scores + c);
        if (passes(params, score, c))
            append_pair(args.out, slot, args.classes, index, c, score);
    }
}

// Grid: anchors / SHARES, slots; block: 32 × SHARES, one warp per anchor.
extern "C" __global__ void __launch_bounds__(WARP* SHARES) decode_distributions(const DistributionsArgs args)
{
    u32 index = blockIdx.x * SHARES + threadIdx.y;
    if (args.half)
        distributions<__half>(args, index);
    else
        distributions<float>(args, index);
}

// Final objects, whose boxes, confidences and class numbers are in any outputs, a row per object.
struct ObjectsArgs {
    Candidates out;
    Values boxes;
    Values scores;
    // Of any element type; no data: all are of class 0.
    Values labels;
    Coding coding;
    u32 rows;
};
CHECK_SIZE(ObjectsArgs, 160);
CHECK_OFFSET(ObjectsArgs, coding, 144);

// Grid: rows / 128, slots; block: 128.
extern "C" __global__ void __launch_bounds__(128) decode_objects(const ObjectsArgs args)
{
    u32 slot = blockIdx.y, row = blockIdx.x * 128 + threadIdx.x;
    if (row >= args.rows)
        return;
    float confidence = value_of(args.scores, slot, row, 0);
    float label = args.labels.data != 0 ? value_of(args.labels, slot, row, 0) : 0.0f;
    if (!finite(confidence) || !finite(label) || label < 0.0f)
        return;
    // Rounds halves away from zero; values beyond 32 bits become the greatest number.
    float rounded = roundf(label);
    u32 class_id = rounded >= 4294967296.0f ? 0xffffffffu : u32(rounded);
    if (!(confidence >= threshold_of(params_of(args.out, slot), class_id)))
        return;
    float v[4];
#pragma unroll
    for (u32 i = 0; i < 4; i++)
        v[i] = value_of(args.boxes, slot, row, i);
    float4 box;
    if (box_of(args.coding, v[0], v[1], v[2], v[3], box))
        append(args.out, slot, row, box, class_id, confidence);
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
#define MOST_PERSONS 6

template <typename T> __device__ void one_person(const PersonsArgs& args, const T* at, u32 slot)
{
    Person person = no_person();
    for (u32 k = 0; k < JOINTS; k++) {
        float x = load(at + 3 * k + 1) * args.width, y = load(at + 3 * k) * args.height, score = load(at + 3 * k + 2);
        if (!finite(x) || !finite(y) || !finite(score))
            x = y = score = 0.0f;
        add(person, x, y, score);
    }
    append_person(args.out, slot, person, JOINTS);
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
