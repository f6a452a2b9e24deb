// From the queries of a DETR that is exported without its postprocessing, a box and a row of logits each, to candidates:
// crates/model/src/head/queries.rs.
#include "common.cuh"

struct QueriesArgs {
    // Across classes, a candidate is a pair of a query and a class.
    Candidates out;
    Values boxes;
    u64 logits;
    // Elements from one slot to the next.
    u64 slot_stride;
    u32 half;
    u32 queries;
    // Logits per query; those of classes come first.
    u32 columns;
    u32 classes;
    Coding coding;
    // 1: scores are the softmax of all of a query's logits, and a query is one object, of its best class. 0: scores are
    // the sigmoids of logits, and a query is an object of each class that passes.
    u32 per_query;
};
CHECK_SIZE(QueriesArgs, 128);
CHECK_OFFSET(QueriesArgs, logits, 80);
CHECK_OFFSET(QueriesArgs, coding, 112);

// Queries per block.
#define QUERIES 8
// More than the error of a score that is computed with the fast exponential.
#define MARGIN 1e-3f

__device__ __forceinline__ bool query_box(const QueriesArgs& args, u32 slot, u32 query, float4& box)
{
    float v[4];
#pragma unroll
    for (u32 i = 0; i < 4; i++)
        v[i] = value_of(args.boxes, slot, query, i);
    return box_of(args.coding, v[0], v[1], v[2], v[3], box);
}

template <typename T> __device__ __forceinline__ void across_classes(const QueriesArgs& args, const T* row, u32 query)
{
    u32 slot = blockIdx.y, lane = threadIdx.x;
    const SlotParams* params = params_of(args.out, slot);
    u64 place = u64(slot) * args.out.capacity;
    bool stored = false;
    for (u32 first = 0; first < args.classes; first += WARP) {
        u32 c = first + lane;
        float confidence = 0.0f;
        bool passes = false;
        if (c < args.classes) {
            float logit = load(row + c);
            // Most logits are far below every threshold, and the exact exponential is expensive. NaN goes on, and passes
            // no threshold.
            if (!(1.0f / (1.0f + __expf(-logit)) + MARGIN < params->lowest)) {
                confidence = 1.0f / (1.0f + exponential(-logit));
                passes = confidence >= threshold_of(params, c);
            }
        }
        u32 passing = __ballot_sync(ALL_LANES, passes);
        if (passing == 0)
            continue;
        if (!stored) {
            float4 box;
            if (!query_box(args, slot, query, box))
                return;
            if (lane == 0)
                store_box(args.out, slot, args.classes, query, box);
            stored = true;
        }
        u32 start = 0;
        if (lane == 0)
            start = atomicAdd(reinterpret_cast<u32*>(args.out.counts) + slot, u32(__popc(passing)));
        u32 at = __shfl_sync(ALL_LANES, start, 0) + __popc(passing & ((1u << lane) - 1));
        if (passes && at < args.out.capacity)
            reinterpret_cast<u64*>(args.out.keys)[place + at] = key_of(confidence, query * args.classes + c);
    }
}

template <typename T> __device__ __forceinline__ void best_class(const QueriesArgs& args, const T* row, u32 query)
{
    u32 slot = blockIdx.y, lane = threadIdx.x;
    const SlotParams* params = params_of(args.out, slot);
    float greatest = -__int_as_float(0x7f800000), best = greatest;
    u32 class_id = 0xffffffffu;
    for (u32 c = lane; c < args.columns; c += WARP) {
        float logit = load(row + c);
        greatest = fmaxf(greatest, logit);
        // Not NaN, of which each lane would keep its own: all lanes go the same way below.
        if (c < args.classes && (logit > best || (class_id == 0xffffffffu && logit == logit))) {
            best = logit;
            class_id = c;
        }
    }
#pragma unroll
    for (u32 other = WARP / 2; other > 0; other /= 2) {
        greatest = fmaxf(greatest, __shfl_xor_sync(ALL_LANES, greatest, other));
        float score = __shfl_xor_sync(ALL_LANES, best, other);
        u32 of = __shfl_xor_sync(ALL_LANES, class_id, other);
        if (score > best || (score == best && of < class_id)) {
            best = score;
            class_id = of;
        }
    }
    // The sum below is at least 1. A logit that is NaN makes it NaN, and the query passes no threshold.
    // The lanes may disagree about such a query, and have to stay together.
    bool hopeless = __expf(best - greatest) + MARGIN < params->lowest;
    if (__ballot_sync(ALL_LANES, hopeless) == ALL_LANES)
        return;
    // In the order of the CPU's sum, which decides its rounding.
    float sum = 0.0f;
    for (u32 first = 0; first < args.columns; first += WARP) {
        u32 count = min(args.columns - first, u32(WARP));
        float weight = lane < count ? exponential(load(row + first + lane) - greatest) : 0.0f;
        for (u32 i = 0; i < count; i++)
            sum += __shfl_sync(ALL_LANES, weight, i);
    }
    float confidence = exponential(best - greatest) / sum;
    float4 box;
    if (lane == 0 && confidence >= threshold_of(params, class_id) && query_box(args, slot, query, box))
        append(args.out, slot, query, box, class_id, confidence);
}

template <typename T> __device__ __forceinline__ void queries(const QueriesArgs& args)
{
    u32 query = blockIdx.x * QUERIES + threadIdx.y;
    if (query >= args.queries)
        return;
    const T* row = reinterpret_cast<const T*>(args.logits) + blockIdx.y * args.slot_stride + u64(query) * args.columns;
    if (args.per_query)
        best_class(args, row, query);
    else
        across_classes(args, row, query);
}

// Grid: queries / QUERIES, slots; block: 32 × QUERIES, one warp per query.
extern "C" __global__ void __launch_bounds__(WARP* QUERIES) decode_queries(const QueriesArgs args)
{
    if (args.half)
        queries<__half>(args);
    else
        queries<float>(args);
}
