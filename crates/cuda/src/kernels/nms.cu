// From candidates to results: the best 1024 are sorted, suppressed, mapped to the frame and written into mapped memory.
// The arithmetic is that of crates/model/src/{nms,oriented,geometry,filter}.rs, operation by operation.
//
// One block per slot, one thread per candidate.
#include "common.cuh"

#define ORIENTED 2
#define WARPS (MOST / WARP)

struct FinishArgs {
    Candidates in;
    // Address in mapped memory; bytes from one slot to the next.
    u64 results;
    u32 results_stride;
    // 0: none; 1: of upright boxes; ORIENTED: of oriented ones, whose corners are the keypoints.
    u32 suppress;
    // Minimum number of objects kept, even if `max_detections` is smaller.
    u32 least;
    // Keypoints per object; values per keypoint: 2 (x, y) or 3 (x, y, confidence).
    u32 keypoints;
    u32 dimensions;
    // Whether y comes before x.
    u32 y_first;
    // Value `i` of keypoint `k` of anchor `a`: data[slot · slot_stride + a · anchor_stride + k · keypoint_stride + i ·
    // value_stride].
    u64 data;
    u64 slot_stride;
    u32 half;
    u32 anchor_stride, keypoint_stride, value_stride;
    // Factors from the output's unit to network pixels.
    float x_unit, y_unit;
    // Not 0: a candidate is a pair of a box and one of that many classes, with the index box · pair_classes + class.
    u32 pair_classes;
    u32 reserved;
    // Not 0: a kernel that makes masks follows and sets the flags; this is where it finds the objects.
    u64 kept;
};
CHECK_SIZE(FinishArgs, 136);
CHECK_OFFSET(FinishArgs, results, 48);
CHECK_OFFSET(FinishArgs, data, 80);
CHECK_OFFSET(FinishArgs, x_unit, 112);

struct ResultHeader {
    u32 objects;
    // Candidates that passed the thresholds, and how many were considered: at most the best 1024.
    u32 candidates, considered;
    // The host sets this to 0 before a launch, and may read the slot's results once it is 1.
    u32 ready;
};
CHECK_SIZE(ResultHeader, 16);
CHECK_OFFSET(ResultHeader, ready, 12);

// One object; coordinates are normalised to the frame.
struct ResultObject {
    float x, y, width, height;
    float confidence;
    u32 class_id;
};
CHECK_SIZE(ResultObject, 24);

// The objects follow the header, and the keypoints (x, y, confidence) follow MOST objects.
#define OBJECTS_AT sizeof(ResultHeader)
#define KEYPOINTS_AT (OBJECTS_AT + MOST * sizeof(ResultObject))

// Selects the keys of the MOST best of `count` > MOST candidates, in any order, by finding the boundary key digit by
// digit from the most significant one.
__device__ void select_best(const u64* all, u32 count, u64* keys)
{
    __shared__ u32 histogram[256];
    __shared__ u32 digit, wanted_below, taken, done;
    u32 thread = threadIdx.x;
    u64 prefix = 0, mask = 0;
    u32 wanted = MOST;
    // Set well before its first use: `taken` and `done` are adjacent, and a read of `done` may load both.
    if (thread == 0)
        taken = 0;
    for (int shift = 56; shift >= 0; shift -= 8) {
        if (thread < 256)
            histogram[thread] = 0;
        __syncthreads();
        for (u32 i = thread; i < count; i += MOST) {
            u64 key = all[i];
            if ((key & mask) == prefix)
                atomicAdd(&histogram[(key >> shift) & 255], 1u);
        }
        __syncthreads();
        if (thread < WARP) {
            // Each lane has eight digits, lane 0 the greatest ones.
            u32 highest = 255 - 8 * thread, own = 0;
            for (u32 i = 0; i < 8; i++)
                own += histogram[highest - i];
            u32 through = own;
            for (u32 step = 1; step < WARP; step *= 2) {
                u32 above = __shfl_up_sync(ALL_LANES, through, step);
                through += thread >= step ? above : 0;
            }
            u32 before = through - own;
            if (before < wanted && wanted <= through) {
                u32 at = highest;
                while (before + histogram[at] < wanted)
                    before += histogram[at--];
                digit = at;
                wanted_below = wanted - before;
                // All keys with this digit are among the best.
                done = histogram[at] == wanted - before;
            }
        }
        __syncthreads();
        prefix |= u64(digit) << shift;
        mask |= u64(255) << shift;
        wanted = wanted_below;
        if (done)
            break;
    }
    __syncthreads();
    for (u32 i = thread; i < count; i += MOST) {
        u64 key = all[i];
        if ((key & mask) >= prefix) {
            u32 at = atomicAdd(&taken, 1u);
            if (at < MOST)
                keys[at] = key;
        }
    }
}

// Sorts in descending order: each thread passes a key and receives the one of its position; `size` is a power of two,
// and keys beyond it are 0. The sort is bitonic; threads exchange keys by shuffling within a warp, otherwise through
// `exchange`, whose halves alternate so that one barrier is enough.
__device__ u64 sort(u64 key, u64 (*exchange)[MOST], u32 size)
{
    u32 i = threadIdx.x, half = 0;
    for (u32 run = 2; run <= size; run *= 2) {
        for (u32 step = run / 2; step > 0; step /= 2) {
            u64 other;
            if (step < WARP) {
                other = __shfl_xor_sync(ALL_LANES, key, step);
            } else {
                exchange[half][i] = key;
                __syncthreads();
                other = exchange[half][i ^ step];
                half ^= 1;
            }
            bool greater = ((i & step) == 0) == ((i & run) == 0);
            key = greater == (key < other) ? other : key;
        }
    }
    return key;
}

// The corners x1, y1, x2, y2.
__device__ __forceinline__ float area(float x1, float y1, float x2, float y2)
{
    return fmaxf(x2 - x1, 0.0f) * fmaxf(y2 - y1, 0.0f);
}

__device__ __forceinline__ bool overlap(float4 kept, float4 with, float iou)
{
    float shared = area(fmaxf(kept.x, with.x), fmaxf(kept.y, with.y), fminf(kept.z, with.z), fminf(kept.w, with.w));
    float all = area(kept.x, kept.y, kept.z, kept.w) + area(with.x, with.y, with.z, with.w) - shared;
    return shared > iou * all;
}

// Greedy suppression, warp by warp of sorted candidates: first within a warp, by masks of overlapping pairs, then
// against all later candidates. `kept` receives one mask per warp; the loop ends after the first `most` kept
// candidates.
__device__ void suppress(const float4* corners, const u32* classes, u32 count, u32 most, float iou, u32* kept)
{
    u32 thread = threadIdx.x, warp = thread / WARP, lane = thread % WARP;
    float4 own = corners[thread];
    u32 own_class = classes[thread];
    bool alive = thread < count;
    u32 overlapping = 0;
    if (alive) {
        for (u32 k = 0; k < lane; k++)
            if (classes[warp * WARP + k] == own_class && overlap(corners[warp * WARP + k], own, iou))
                overlapping |= 1u << k;
    }
    __syncwarp();
    u32 found = 0;
    for (u32 turn = 0; turn * WARP < count && found < most; turn++) {
        if (warp == turn) {
            u32 open = __ballot_sync(ALL_LANES, alive), keep = 0;
            // Every round decides at least the first undecided candidate.
            while (open != 0) {
                bool mine = (open >> lane) & 1;
                u32 beaten = __ballot_sync(ALL_LANES, mine && (overlapping & keep) != 0);
                u32 free = __ballot_sync(ALL_LANES, mine && (overlapping & (keep | open)) == 0);
                keep |= free;
                open &= ~(free | beaten);
            }
            if (lane == 0)
                kept[turn] = keep;
        }
        __syncthreads();
        u32 rivals = kept[turn];
        found += __popc(rivals);
        if (warp > turn && alive) {
            for (; rivals != 0 && alive; rivals &= rivals - 1) {
                u32 k = turn * WARP + __ffs(rivals) - 1;
                alive = !(classes[k] == own_class && overlap(corners[k], own, iou));
            }
        }
    }
    __syncthreads();
}

// A box as a normal distribution, for its likeness to others: centre, variance of x, variance of y, and their covariance.
struct Gaussian {
    float x, y, a, b, c;
};

// Of the corners of a candidate, x and y of each.
__device__ Gaussian gaussian_of(const float* corners)
{
    float ux = corners[2] - corners[0], uy = corners[3] - corners[1];
    float vx = corners[6] - corners[0], vy = corners[7] - corners[1];
    return {(corners[0] + corners[4]) / 2.0f, (corners[1] + corners[5]) / 2.0f, (ux * ux + vx * vx) / 12.0f,
            (uy * uy + vy * vy) / 12.0f, (ux * uy + vx * vy) / 12.0f};
}

// e to the power of -x, as in crates/model/src/oriented.rs.
__device__ float decay(float x)
{
    if (!(x >= -1.0f && x <= 80.0f))
        return 0.0f;
    float halvings = rintf(x * 1.44269504f);
    float r = halvings * 0.6933594f - x + halvings * -2.1219444e-4f;
    float power = 1.9875691e-4f;
    power = power * r + 1.3982e-3f;
    power = power * r + 8.333452e-3f;
    power = power * r + 4.1665796e-2f;
    power = power * r + 1.6666665e-1f;
    power = power * r + 0.5f;
    power = power * (r * r) + r + 1.0f;
    return power * __uint_as_float(u32(127 - int(halvings)) << 23);
}

#define EPSILON 1e-7f

__device__ __forceinline__ float own_determinant(const Gaussian& of)
{
    return fmaxf(of.a * of.b - of.c * of.c, 0.0f);
}

// Whether ProbIoU is above the threshold, like Gaussian::is_like in crates/model/src/oriented.rs.
__device__ bool is_like(const Gaussian& better, const Gaussian& other, float iou, float reach)
{
    float dx = better.x - other.x, dy = better.y - other.y;
    float a = better.a + other.a, b = better.b + other.b, c = better.c + other.c;
    if (dx * dx + dy * dy > reach * (a + b))
        return false;
    float determinant = a * b - c * c;
    float t1 = (a * (dy * dy) + b * (dx * dx)) / (determinant + EPSILON) * 0.25f;
    float t2 = c * -dx * dy / (determinant + EPSILON) * 0.5f;
    float shape = determinant / (4.0f * sqrtf(own_determinant(better) * own_determinant(other)) + EPSILON) + EPSILON;
    float overlap = decay(t1 + t2) / sqrtf(shape);
    const float most = 1.0f - 1.1920929e-7f;
    overlap = overlap > most ? most : overlap;
    return 1.0f - sqrtf(1.0f - overlap + EPSILON) > iou;
}

// Drops each candidate that is like any better one of its class, kept or not. A warp looks at one candidate at a time.
// `corners` has centres and variances, `covariances` the rest; `dropped` is scratch space.
__device__ void suppress_oriented(const float4* corners, const float* covariances, const u32* classes, u32 count, float iou,
                                  u64* dropped, u32* kept)
{
    u32 thread = threadIdx.x, warp = thread / WARP, lane = thread % WARP;
    float least = 1.0f - (1.0f - iou) * (1.0f - iou) + EPSILON, reach = 4.0f * (1.01f / least - 1.0f);
    for (u32 i = warp; i < count; i += WARPS) {
        float4 of = corners[i];
        Gaussian own = {of.x, of.y, of.z, of.w, covariances[i]};
        u32 own_class = classes[i];
        bool drop = false;
        for (u32 first = 0; first < i && !drop; first += WARP) {
            u32 k = first + lane;
            bool like = false;
            if (k < i && classes[k] == own_class) {
                float4 other = corners[k];
                like = is_like({other.x, other.y, other.z, other.w, covariances[k]}, own, iou, reach);
            }
            drop = __ballot_sync(ALL_LANES, like) != 0;
        }
        if (lane == 0)
            dropped[i] = drop;
    }
    __syncthreads();
    u32 mask = __ballot_sync(ALL_LANES, thread < count && dropped[thread] == 0);
    if (lane == 0)
        kept[warp] = mask;
    __syncthreads();
}

// The number of bits set before thread `thread`'s, and in all warps.
__device__ __forceinline__ u32 rank_of(const u32* masks, u32 thread, u32& all)
{
    u32 before = 0, total = 0;
    for (u32 w = 0; w < WARPS; w++) {
        u32 bits = __popc(masks[w]);
        before += w < thread / WARP ? bits : 0;
        total += bits;
    }
    all = total;
    return before + __popc(masks[thread / WARP] & ((1u << (thread % WARP)) - 1));
}

// One axis of Letterbox::to_frame, followed by normalisation.
__device__ __forceinline__ float to_frame(float value, u32 border, double scale, float start, u32 frame)
{
    return float((double(value) - double(border)) * scale + double(start)) / float(frame);
}

__device__ __forceinline__ bool fits(float size, u32 least, u32 greatest)
{
    return size + 0.01f >= float(least) && (greatest == 0 || size - 0.01f <= float(greatest));
}

// Like refine() in crates/model/src/filter.rs; returns false for a dropped box.
__device__ bool refine(const SlotParams& p, float4& r)
{
    if (!finite(r.x + r.z) || !finite(r.y + r.w))
        return false;
    if (r.x < 0.0f || r.y < 0.0f || r.x + r.z > 1.0f || r.y + r.w > 1.0f) {
        float x1 = fmaxf(r.x, 0.0f), y1 = fmaxf(r.y, 0.0f);
        float x2 = fminf(r.x + r.z, 1.0f), y2 = fminf(r.y + r.w, 1.0f);
        r = make_float4(x1, y1, fmaxf(x2 - x1, 0.0f), fmaxf(y2 - y1, 0.0f));
    }
    float width = r.z * float(p.frame_width), height = r.w * float(p.frame_height);
    return fmaxf(r.z, 0.0f) * fmaxf(r.w, 0.0f) > 0.0f && fits(width, p.min_width, p.max_width) &&
           fits(height, p.min_height, p.max_height);
}

// One coordinate or the confidence of a keypoint, in the frame; a keypoint that isn't finite lies at the network's
// origin.
template <typename T> __device__ float keypoint(const FinishArgs& args, const SlotParams& p, u32 anchor, u32 k, u32 part)
{
    const T* at = reinterpret_cast<const T*>(args.data) + blockIdx.x * args.slot_stride +
                  u64(anchor) * args.anchor_stride + u64(k) * args.keypoint_stride;
    float first = load(at), second = load(at + args.value_stride);
    float x = (args.y_first ? second : first) * args.x_unit, y = (args.y_first ? first : second) * args.y_unit;
    float confidence = args.dimensions > 2 ? load(at + 2 * u64(args.value_stride)) : 1.0f;
    if (!finite(x) || !finite(y) || !finite(confidence))
        x = y = confidence = 0.0f;
    if (part == 0)
        return to_frame(x, p.left, p.x_scale, p.x_start, p.frame_width);
    if (part == 1)
        return to_frame(y, p.top, p.y_scale, p.y_start, p.frame_height);
    return confidence;
}

// Grid: slots; block: MOST.
extern "C" __global__ void __launch_bounds__(MOST) finish(const FinishArgs args)
{
    __shared__ u64 keys[2][MOST];
    // x1, y1, x2, y2, or of an oriented box its centre and variances.
    __shared__ float4 corners[MOST];
    __shared__ float covariances[MOST];
    __shared__ u32 classes[MOST];
    __shared__ u32 kept[WARPS], valid[WARPS];
    __shared__ SlotParams params;

    u32 slot = blockIdx.x, thread = threadIdx.x, warp = thread / WARP, lane = thread % WARP;
    const Candidates& in = args.in;
    if (thread < sizeof(SlotParams) / 4)
        reinterpret_cast<u32*>(&params)[thread] = reinterpret_cast<const u32*>(params_of(in, slot))[thread];
    if (thread < WARPS)
        kept[thread] = 0;
    u64 place = u64(slot) * in.capacity;
    const u64* all = reinterpret_cast<const u64*>(in.keys) + place;
    u32 candidates = reinterpret_cast<const u32*>(in.counts)[slot];
    u32 stored = min(candidates, in.capacity), count = min(stored, MOST);
    u64 key = stored <= MOST && thread < count ? all[thread] : 0;
    if (stored > MOST)
        select_best(all, stored, keys[0]);
    __syncthreads();
    if (stored > MOST)
        key = keys[0][thread];
    u32 size = 1;
    while (size < count)
        size *= 2;
    key = sort(key, keys, size);

    u32 index = index_of(key);
    float4 box = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    u32 class_id = 0;
    if (thread < count && args.pair_classes != 0) {
        class_id = index % args.pair_classes;
        index /= args.pair_classes;
        box = reinterpret_cast<const float4*>(in.boxes)[place / args.pair_classes + index];
    } else if (thread < count) {
        box = reinterpret_cast<const float4*>(in.boxes)[place + index];
        class_id = reinterpret_cast<const u32*>(in.classes)[place + index];
    }
    corners[thread] = make_float4(box.x, box.y, box.x + box.z, box.y + box.w);
    if (args.suppress == ORIENTED && thread < count) {
        Gaussian own = gaussian_of(reinterpret_cast<const float*>(args.data) + slot * args.slot_stride +
                                   u64(index) * args.anchor_stride);
        corners[thread] = make_float4(own.x, own.y, own.a, own.b);
        covariances[thread] = own.c;
    }
    classes[thread] = params.class_agnostic ? 0 : class_id;
    __syncthreads();

    u32 most = max(params.max_detections, args.least);
    if (args.suppress == ORIENTED) {
        suppress_oriented(corners, covariances, classes, count, params.iou, keys[0], kept);
    } else if (args.suppress) {
        suppress(corners, classes, count, most, params.iou, kept);
    } else {
        u32 mask = __ballot_sync(ALL_LANES, thread < count);
        if (lane == 0)
            kept[warp] = mask;
        __syncthreads();
    }
    u32 total;
    bool mine = ((kept[warp] >> lane) & 1) && rank_of(kept, thread, total) < most;

    // Maps the box's corners to the frame, like Detection::map_points.
    float4 rect;
    if (mine) {
        float x1 = to_frame(box.x, params.left, params.x_scale, params.x_start, params.frame_width);
        float y1 = to_frame(box.y, params.top, params.y_scale, params.y_start, params.frame_height);
        float x2 = to_frame(box.x + box.z, params.left, params.x_scale, params.x_start, params.frame_width);
        float y2 = to_frame(box.y + box.w, params.top, params.y_scale, params.y_start, params.frame_height);
        rect = make_float4(x1, y1, x2 - x1, y2 - y1);
        mine = refine(params, rect);
    }
    u32 mask = __ballot_sync(ALL_LANES, mine);
    if (lane == 0)
        valid[warp] = mask;
    __syncthreads();
    u32 objects;
    u32 rank = rank_of(valid, thread, objects);
    u8* result = reinterpret_cast<u8*>(args.results + u64(slot) * args.results_stride);
    // The classes aren't needed any more; the memory now holds the objects' anchors.
    u32* anchors = classes;
    if (mine) {
        ResultObject object = {rect.x, rect.y, rect.z, rect.w, confidence_of(key), class_id};
        reinterpret_cast<ResultObject*>(result + OBJECTS_AT)[rank] = object;
        anchors[rank] = index;
        if (args.kept) {
            KeptObject kept_object = {box.x, box.y, box.z, box.w, index, {0, 0, 0}};
            u64 objects_at = args.kept + slot * KEPT_STRIDE + sizeof(KeptHeader);
            reinterpret_cast<KeptObject*>(objects_at)[rank] = kept_object;
        }
    }
    __syncthreads();
    if (args.keypoints != 0) {
        float* out = reinterpret_cast<float*>(result + KEYPOINTS_AT);
        for (u32 i = thread; i < objects * args.keypoints * 3; i += MOST) {
            u32 point = i / 3, anchor = anchors[point / args.keypoints], k = point % args.keypoints;
            out[i] = args.half ? keypoint<__half>(args, params, anchor, k, i % 3)
                               : keypoint<float>(args, params, anchor, k, i % 3);
        }
    }
    __threadfence_system();
    __syncthreads();
    if (thread == 0) {
        ResultHeader* header = reinterpret_cast<ResultHeader*>(result);
        header->objects = objects;
        header->candidates = candidates;
        header->considered = count;
        // Reset for a next launch that isn't preceded by preprocessing.
        reinterpret_cast<u32*>(in.counts)[slot] = 0;
        if (args.kept) {
            KeptHeader kept_header = {objects, 0, {0, 0}};
            *reinterpret_cast<KeptHeader*>(args.kept + slot * KEPT_STRIDE) = kept_header;
            return;
        }
        // The launch reads and writes nothing after this.
        __threadfence_system();
        *static_cast<volatile u32*>(&header->ready) = 1;
    }
}
