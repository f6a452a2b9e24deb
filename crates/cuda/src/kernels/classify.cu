// Classifiers and embeddings: one row of values for the whole picture.
#include "common.cuh"

#define THREADS 256
// More than the error of a confidence that is computed with the fast exponential.
#define MARGIN 1e-3f

// One value per class. A slot's table has one value more than thresholds: 1 if the values are logits, of which the softmax
// is made, 0 if they are confidences. A value that isn't finite is left out.
struct ClassesArgs {
    Candidates out;
    u64 data;
    u32 classes;
    u32 half;
    // Size of the network's input in pixels, which is the box of each class.
    float width, height;
};
CHECK_SIZE(ClassesArgs, 72);

// A vector, which is divided by its length and written behind the slot's header. There is none if that isn't possible, or if
// the slot is empty.
struct EmbeddingArgs {
    u64 params;
    u64 data;
    u64 results;
    u32 params_stride;
    u32 results_stride;
    u32 size;
    u32 half;
};
CHECK_SIZE(EmbeddingArgs, 40);

struct ResultHeader {
    u32 objects, candidates, considered, ready;
};
CHECK_SIZE(ResultHeader, 16);

// The sum of all threads' values, or the greatest of them, in the order of crates/model/src/head/sum.rs.
template <bool GREATEST> __device__ float over_block(float value, float* shared)
{
    u32 thread = threadIdx.x;
    shared[thread] = value;
    __syncthreads();
    for (u32 half = THREADS / 2; half > 0; half /= 2) {
        if (thread < half) {
            float other = shared[thread + half];
            shared[thread] = GREATEST ? fmaxf(shared[thread], other) : shared[thread] + other;
        }
        __syncthreads();
    }
    float all = shared[0];
    __syncthreads();
    return all;
}

template <typename T> __device__ void classes(const ClassesArgs& args, float* shared)
{
    u32 slot = blockIdx.y;
    const T* values = reinterpret_cast<const T*>(args.data) + u64(slot) * args.classes;
    const SlotParams* params = params_of(args.out, slot);
    // An empty slot has no table.
    bool logits = params->classes != 0 && reinterpret_cast<const float*>(params + 1)[args.classes] != 0.0f;
    float greatest = 0.0f, sum = 1.0f;
    if (logits) {
        greatest = __int_as_float(0xff800000);
        for (u32 i = threadIdx.x; i < args.classes; i += THREADS) {
            float value = load(values + i);
            if (finite(value))
                greatest = fmaxf(greatest, value);
        }
        greatest = over_block<true>(greatest, shared);
        sum = 0.0f;
        for (u32 i = threadIdx.x; i < args.classes; i += THREADS) {
            float value = load(values + i);
            if (finite(value))
                sum += exponential(value - greatest);
        }
        sum = over_block<false>(sum, shared);
    }
    float4 box = make_float4(0.0f, 0.0f, args.width, args.height);
    for (u32 i = threadIdx.x; i < args.classes; i += THREADS) {
        float value = load(values + i);
        // Most classes are far below every threshold, and the exact exponential is expensive.
        if (!finite(value) || (logits && __expf(value - greatest) / sum + MARGIN < params->lowest))
            continue;
        float confidence = logits ? exponential(value - greatest) / sum : value;
        if (confidence >= threshold_of(params, i))
            append(args.out, slot, i, box, i, confidence);
    }
}

// Grid: 1, slots; block: THREADS.
extern "C" __global__ void __launch_bounds__(THREADS) decode_classes(const ClassesArgs args)
{
    __shared__ float shared[THREADS];
    if (args.half)
        classes<__half>(args, shared);
    else
        classes<float>(args, shared);
}

template <typename T> __device__ void vector(const EmbeddingArgs& args, float* shared)
{
    u32 slot = blockIdx.y;
    const T* values = reinterpret_cast<const T*>(args.data) + u64(slot) * args.size;
    const SlotParams* params = reinterpret_cast<const SlotParams*>(args.params + u64(slot) * args.params_stride);
    u8* result = reinterpret_cast<u8*>(args.results + u64(slot) * args.results_stride);
    float* out = reinterpret_cast<float*>(result + sizeof(ResultHeader));
    float squares = 0.0f;
    for (u32 i = threadIdx.x; i < args.size; i += THREADS) {
        float value = load(values + i);
        squares += value * value;
    }
    float length = sqrtf(over_block<false>(squares, shared));
    // Only an empty slot lets nothing pass.
    bool valid = finite(length) && length > 0.0f && finite(params->lowest);
    if (valid)
        for (u32 i = threadIdx.x; i < args.size; i += THREADS)
            out[i] = load(values + i) / length;
    __threadfence_system();
    __syncthreads();
    if (threadIdx.x == 0) {
        ResultHeader* header = reinterpret_cast<ResultHeader*>(result);
        header->objects = header->candidates = header->considered = valid;
        // The launch reads and writes nothing after this.
        __threadfence_system();
        *static_cast<volatile u32*>(&header->ready) = 1;
    }
}

// Grid: 1, slots; block: THREADS.
extern "C" __global__ void __launch_bounds__(THREADS) embed(const EmbeddingArgs args)
{
    __shared__ float shared[THREADS];
    if (args.half)
        vector<__half>(args, shared);
    else
        vector<float>(args, shared);
}
