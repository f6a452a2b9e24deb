// Definitions shared by all kernels. The structures here and in the kernels match those of layout.rs byte for byte;
// both sides check sizes and offsets at compile time.
#pragma once
#include <cuda_fp16.h>

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define CHECK_SIZE(type, bytes) static_assert(sizeof(type) == (bytes), #type " has another size in layout.rs")
#define CHECK_OFFSET(type, field, bytes) \
    static_assert(__INTADDR__(&((type*)0)->field) == (bytes), #type "." #field " is elsewhere in layout.rs")

#define WARP 32
#define ALL_LANES 0xffffffffu

// Element types of tensors.
#define ELEMENT_F32 0
#define ELEMENT_F16 1
#define ELEMENT_U8 2
#define ELEMENT_I32 3
#define ELEMENT_I64 4

// Thresholds, filters and geometry of one slot; `classes` thresholds follow. The host writes this into mapped memory;
// it is copied to the device before the kernels read it.
struct SlotParams {
    // Frame pixels per network pixel.
    double x_scale, y_scale;
    // Corner of the region in the frame, and of its picture in the network's input, in pixels.
    float x_start, y_start;
    u32 left, top;
    u32 frame_width, frame_height;
    // Limits of a box in frame pixels; a maximum of 0 means no limit.
    u32 min_width, min_height, max_width, max_height;
    float iou;
    u32 class_agnostic;
    u32 max_detections;
    // The lowest of all thresholds.
    float lowest;
    // The threshold of classes that the table doesn't cover.
    float other;
    u32 classes;
};
CHECK_SIZE(SlotParams, 80);
CHECK_OFFSET(SlotParams, x_start, 16);
CHECK_OFFSET(SlotParams, frame_width, 32);
CHECK_OFFSET(SlotParams, iou, 56);
CHECK_OFFSET(SlotParams, classes, 76);

// The threshold of a filtered-out class is infinity.
__device__ __forceinline__ float threshold_of(const SlotParams* params, u32 class_id)
{
    const float* thresholds = reinterpret_cast<const float*>(params + 1);
    return class_id < params->classes ? thresholds[class_id] : params->other;
}

// Where decoding writes the candidates that passed, `capacity` entries per slot: keys in any order, boxes and classes
// by anchor. Candidates that are pairs of a box and a class have an entry for each pair, a box for each
// `capacity / classes` entries, and no stored class.
struct Candidates {
    // One u32 per slot.
    u64 counts;
    // One u64 per entry, see `key_of`.
    u64 keys;
    // One float4 per anchor: left, top, width, height in network pixels.
    u64 boxes;
    // One u32 per anchor.
    u64 classes;
    u64 params;
    // Bytes from one slot's parameters to the next.
    u32 params_stride;
    u32 capacity;
};
CHECK_SIZE(Candidates, 48);
CHECK_OFFSET(Candidates, params_stride, 40);

__device__ __forceinline__ const SlotParams* params_of(const Candidates& candidates, u32 slot)
{
    return reinterpret_cast<const SlotParams*>(candidates.params + u64(slot) * candidates.params_stride);
}

// Keys are ordered by confidence (in the total order of floats), then by descending index; the key of a number is never
// 0.
__device__ __forceinline__ u64 key_of(float confidence, u32 index)
{
    u32 bits = __float_as_uint(confidence);
    u32 ordered = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return (u64(ordered) << 32) | u32(~index);
}

__device__ __forceinline__ float confidence_of(u64 key)
{
    u32 ordered = u32(key >> 32);
    return __uint_as_float(ordered & 0x80000000u ? ordered & 0x7fffffffu : ~ordered);
}

__device__ __forceinline__ u32 index_of(u64 key)
{
    return ~u32(key);
}

// Adds a candidate. The order of the keys depends on timing, but the later sort is deterministic.
__device__ __forceinline__ void append(const Candidates& out, u32 slot, u32 index, float4 box, u32 class_id,
                                       float confidence)
{
    u64 place = u64(slot) * out.capacity;
    u32 at = atomicAdd(reinterpret_cast<u32*>(out.counts) + slot, 1u);
    if (at < out.capacity && index < out.capacity) {
        reinterpret_cast<u64*>(out.keys)[place + at] = key_of(confidence, index);
        reinterpret_cast<float4*>(out.boxes)[place + index] = box;
        reinterpret_cast<u32*>(out.classes)[place + index] = class_id;
    }
}

// Stores the box of a candidate that is pairs of it and a class.
__device__ __forceinline__ void store_box(const Candidates& out, u32 slot, u32 classes, u32 row, float4 box)
{
    reinterpret_cast<float4*>(out.boxes)[u64(slot) * out.capacity / classes + row] = box;
}

// Adds a pair of a box, which `store_box` stores, and a class. The order of the keys depends on timing, but the later sort is
// deterministic.
__device__ __forceinline__ void append_pair(const Candidates& out, u32 slot, u32 classes, u32 row, u32 class_id,
                                            float confidence)
{
    u32 at = atomicAdd(reinterpret_cast<u32*>(out.counts) + slot, 1u);
    if (at < out.capacity)
        reinterpret_cast<u64*>(out.keys)[u64(slot) * out.capacity + at] = key_of(confidence, row * classes + class_id);
}

// The most candidates that `finish` considers, and objects that it keeps.
#define MOST 1024

// What `finish` keeps of a slot on the device, for the kernel that makes masks: a header, then MOST objects.
struct KeptHeader {
    u32 objects;
    // The number of blocks that have made their part of the slot's masks.
    u32 done;
    u32 reserved[2];
};
CHECK_SIZE(KeptHeader, 16);

struct KeptObject {
    // Network pixels.
    float x, y, width, height;
    // The anchor, row or query.
    u32 row;
    u32 reserved[3];
};
CHECK_SIZE(KeptObject, 32);

#define KEPT_STRIDE (sizeof(KeptHeader) + MOST * sizeof(KeptObject))

__device__ __forceinline__ bool finite(float value)
{
    return (__float_as_uint(value) & 0x7f800000u) != 0x7f800000u;
}

__device__ __forceinline__ float load(const float* at)
{
    return __ldg(at);
}

__device__ __forceinline__ float load(const __half* at)
{
    return __half2float(__ldg(at));
}

// Values of an output: value `i` of row `r` is data[slot · slot_stride + r · row_stride + i · value_stride].
struct Values {
    u64 data;
    u64 slot_stride;
    u32 row_stride, value_stride;
    u32 element;
    u32 reserved;
};
CHECK_SIZE(Values, 32);
CHECK_OFFSET(Values, element, 24);

__device__ __forceinline__ float value_of(const Values& values, u32 slot, u32 row, u32 i)
{
    u64 at = slot * values.slot_stride + u64(row) * values.row_stride + u64(i) * values.value_stride;
    switch (values.element) {
    case ELEMENT_F16: return load(reinterpret_cast<const __half*>(values.data) + at);
    case ELEMENT_U8: return float(__ldg(reinterpret_cast<const u8*>(values.data) + at));
    case ELEMENT_I32: return float(__ldg(reinterpret_cast<const int*>(values.data) + at));
    case ELEMENT_I64: return float(__ldg(reinterpret_cast<const long long*>(values.data) + at));
    default: return load(reinterpret_cast<const float*>(values.data) + at);
    }
}

// How the four values of a box become network pixels.
struct Coding {
    // 1: centre and size, 0: corners.
    u32 centre;
    // Network pixels per unit.
    float x_unit, y_unit;
};
CHECK_SIZE(Coding, 12);

// Stores left, top, width, height; returns false if a value isn't finite. Like BoxCoding::rect in
// crates/model/src/head/plan.rs.
__device__ __forceinline__ bool box_of(const Coding& coding, float a, float b, float c, float d, float4& box)
{
    a *= coding.x_unit;
    b *= coding.y_unit;
    c *= coding.x_unit;
    d *= coding.y_unit;
    box = coding.centre ? make_float4(a - c / 2.0f, b - d / 2.0f, c, d) : make_float4(a, b, c - a, d - b);
    return finite(box.x + box.z) && finite(box.y + box.w);
}

// Computed in double and rounded, as crates/model/src/head/exponential.rs does: both round to the same number.
inline __device__ __noinline__ float exponential(float value)
{
    return float(exp(double(value)));
}

// One person, of whom only keypoints are known, like `person` in crates/model/src/head/top_down.rs: the box around those
// with a confidence of at least VISIBLE, and the sum of all confidences.
#define VISIBLE 0.2f

struct Person {
    float x1, y1, x2, y2;
    float sum;
    bool any;
};

__device__ __forceinline__ Person no_person()
{
    return {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, false};
}

__device__ __forceinline__ void add(Person& person, float x, float y, float confidence)
{
    person.sum += confidence;
    if (!(confidence >= VISIBLE))
        return;
    person.x1 = person.any ? fminf(person.x1, x) : x;
    person.y1 = person.any ? fminf(person.y1, y) : y;
    person.x2 = person.any ? fmaxf(person.x2, x) : x;
    person.y2 = person.any ? fmaxf(person.y2, y) : y;
    person.any = true;
}

// Makes a person with `count` keypoints the slot's candidate, if the box has an area.
__device__ __forceinline__ void append_person(const Candidates& out, u32 slot, const Person& person, u32 count)
{
    float confidence = person.sum / float(count);
    float4 box = make_float4(person.x1, person.y1, person.x2 - person.x1, person.y2 - person.y1);
    bool has_area = fmaxf(box.z, 0.0f) * fmaxf(box.w, 0.0f) > 0.0f;
    if (person.any && has_area && confidence >= threshold_of(params_of(out, slot), 0))
        append(out, slot, 0, box, 0, confidence);
}
