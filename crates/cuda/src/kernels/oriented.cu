// From the outputs of YOLO-OBB to candidates, as crates/model/src/head/yolo_obb.rs does it. nms.cu suppresses them and maps
// their corners to the frame.
#include "common.cuh"

// Centre, size, scores and angle of each anchor, or rows of centre, size, confidence, class and angle.
struct OrientedArgs {
    Candidates out;
    u64 data;
    // Elements from one slot to the next.
    u64 slot_stride;
    // Eight floats per anchor, `capacity` anchors per slot: x and y of the four corners in network pixels.
    u64 corners;
    u32 half;
    u32 anchors;
    // Elements from one value of an anchor, and from one anchor, to the next.
    u32 value_stride, anchor_stride;
    // 0: rows.
    u32 classes;
    u32 reserved;
};
CHECK_SIZE(OrientedArgs, 96);
CHECK_OFFSET(OrientedArgs, corners, 64);
CHECK_OFFSET(OrientedArgs, classes, 88);

// Like OrientedBox::new and OrientedBox::enclosing in crates/model/src/oriented.rs; returns false if a corner isn't finite.
__device__ bool corners_of(float cx, float cy, float w, float h, float angle, float* corners, float4& box)
{
    float sine = float(sin(double(angle))), cosine = float(cos(double(angle)));
    w = fabsf(w) / 2.0f;
    h = fabsf(h) / 2.0f;
    float ux = w * cosine, uy = w * sine, vx = -h * sine, vy = h * cosine;
    float x[4] = {cx - ux - vx, cx + ux - vx, cx + ux + vx, cx - ux + vx};
    float y[4] = {cy - uy - vy, cy + uy - vy, cy + uy + vy, cy - uy + vy};
    bool whole = true;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        whole = whole && finite(x[i]) && finite(y[i]);
        corners[2 * i] = x[i];
        corners[2 * i + 1] = y[i];
    }
    float left = fminf(fminf(x[0], x[1]), fminf(x[2], x[3])), right = fmaxf(fmaxf(x[0], x[1]), fmaxf(x[2], x[3]));
    float top = fminf(fminf(y[0], y[1]), fminf(y[2], y[3])), bottom = fmaxf(fmaxf(y[0], y[1]), fmaxf(y[2], y[3]));
    box = make_float4(left, top, right - left, bottom - top);
    return whole;
}

template <typename T> __device__ __forceinline__ void oriented(const OrientedArgs& args, u32 anchor)
{
    u32 slot = blockIdx.y;
    const SlotParams* params = params_of(args.out, slot);
    const T* at = reinterpret_cast<const T*>(args.data) + slot * args.slot_stride + u64(anchor) * args.anchor_stride;
    u64 step = args.value_stride;
    float confidence;
    u32 class_id = 0, angle_at;
    if (args.classes != 0) {
        // The first of equal scores wins; NaN scores are ignored.
        confidence = -__int_as_float(0x7f800000);
#pragma unroll 5
        for (u32 c = 0; c < args.classes; c++) {
            float score = load(at + (4 + c) * step);
            if (score > confidence) {
                confidence = score;
                class_id = c;
            }
        }
        angle_at = 4 + args.classes;
    } else {
        float number = load(at + 5 * step);
        confidence = load(at + 4 * step);
        if (!finite(number) || number < 0.0f)
            return;
        // Rounds halves away from zero; values beyond 32 bits become the greatest number.
        float rounded = roundf(number);
        class_id = rounded >= 4294967296.0f ? 0xffffffffu : u32(rounded);
        angle_at = 6;
    }
    if (!finite(confidence) || !(confidence >= threshold_of(params, class_id)))
        return;
    float corners[8];
    float4 box;
    if (!corners_of(load(at), load(at + step), load(at + 2 * step), load(at + 3 * step), load(at + angle_at * step), corners,
                    box))
        return;
    float* out = reinterpret_cast<float*>(args.corners) + (u64(slot) * args.out.capacity + anchor) * 8;
#pragma unroll
    for (int i = 0; i < 8; i++)
        out[i] = corners[i];
    append(args.out, slot, anchor, box, class_id, confidence);
}

// Grid: anchors / 128, slots; block: 128.
extern "C" __global__ void __launch_bounds__(128) decode_oriented(const OrientedArgs args)
{
    u32 anchor = blockIdx.x * 128 + threadIdx.x;
    if (anchor >= args.anchors)
        return;
    if (args.half)
        oriented<__half>(args, anchor);
    else
        oriented<float>(args, anchor);
}
