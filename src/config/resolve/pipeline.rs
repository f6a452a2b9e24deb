//! Chooses the pipeline, and checks the rules of `processing`.

use super::super::plan::{Camera, Decoder, Pipeline};
use super::{Context, Purpose};
use std::time::Duration;

pub struct Chosen {
    pub pipeline: Pipeline,
    pub decoder: Decoder,
}

/// Keys without effect on the CPU.
const GPU_KEYS: [&str; 14] = [
    "processing.ENABLE_NVDEC",
    "processing.NVDEC_FALLBACK_TO_CPU",
    "processing.ENABLE_GPU_PREPROCESSING",
    "processing.NVDEC_BUFFER_SIZE",
    "processing.UNIFIED_PIPELINE_THREADS",
    "processing.GPU_MEMORY_POOL_SIZE_MB",
    "processing.GPU_MEMORY_DEFRAG_INTERVAL",
    "processing.ENABLE_MEMORY_POOLING",
    "models.ENABLE_TENSORRT",
    "models.TENSORRT_FP16",
    "models.TENSORRT_WORKSPACE_SIZE",
    "models.FORCE_GPU_ONLY",
    "models.TENSORRT_LIBRARY",
    "models.ENGINE_CACHE",
];

pub fn choose(ctx: &mut Context) -> Chosen {
    let processing = &ctx.file.processing;
    let legacy = processing.enable_decoupled_pipeline || processing.enable_multiprocessing;
    if processing.use_unified_gpu_pipeline.unwrap_or(!legacy) {
        let decoder = if processing.enable_nvdec { Decoder::Nvdec } else { Decoder::Software };
        check_gpu(ctx);
        Chosen { pipeline: Pipeline::UnifiedGpu, decoder }
    } else {
        check_cpu(ctx);
        Chosen { pipeline: Pipeline::Cpu, decoder: Decoder::Software }
    }
}

fn check_gpu(ctx: &mut Context) {
    let (processing, models) = (&ctx.file.processing, &ctx.file.models);
    for (key, value) in [
        ("ENABLE_DECOUPLED_PIPELINE", processing.enable_decoupled_pipeline),
        ("ENABLE_MULTIPROCESSING", processing.enable_multiprocessing),
    ] {
        if value {
            ctx.error(
                &format!("processing.{key}"),
                "USE_UNIFIED_GPU_PIPELINE=true excludes it",
                format!("set {key} to false, or for the legacy pipeline USE_UNIFIED_GPU_PIPELINE to false"),
            );
        }
    }
    let strict = processing.force_gpu_only.unwrap_or(true);
    let strict_models = models.force_gpu_only.unwrap_or(true);
    if !processing.enable_nvdec {
        let key = "processing.ENABLE_NVDEC";
        if strict {
            ctx.error(
                key,
                "FORCE_GPU_ONLY=true needs it to be true",
                "set it to true, or processing.FORCE_GPU_ONLY to false",
            );
        } else {
            ctx.warning(
                key,
                "cameras are decoded on the CPU, and every frame is copied to the GPU",
                "set it to true where the GPU has a decoder",
            );
        }
    }
    if !models.enable_tensorrt {
        let rule = if strict || strict_models {
            "FORCE_GPU_ONLY=true needs it to be true"
        } else {
            "USE_UNIFIED_GPU_PIPELINE=true runs models on TensorRT, and on nothing else"
        };
        ctx.error(
            "models.ENABLE_TENSORRT",
            rule,
            "set it to true, or USE_UNIFIED_GPU_PIPELINE to false to run on the CPU",
        );
    }
    if !processing.enable_gpu_preprocessing {
        let rule = if strict {
            "FORCE_GPU_ONLY=true needs it to be true"
        } else {
            "USE_UNIFIED_GPU_PIPELINE=true prepares frames on the GPU, and nowhere else"
        };
        let remedy = "set it to true, or USE_UNIFIED_GPU_PIPELINE to false to run on the CPU";
        ctx.error("processing.ENABLE_GPU_PREPROCESSING", rule, remedy);
    }
    if processing.nvdec_fallback_to_cpu {
        let key = "processing.NVDEC_FALLBACK_TO_CPU";
        if strict {
            ctx.error(
                key,
                "FORCE_GPU_ONLY=true needs it to be false",
                "set it to false, or processing.FORCE_GPU_ONLY to false",
            );
        } else {
            ctx.warning(
                key,
                "there is no CPU fallback here: a camera that NVDEC can't decode is an error",
                "set it to false; ENABLE_NVDEC=false decodes on the CPU",
            );
        }
    }
    if ctx.is_written("processing.GPU_MEMORY_DEFRAG_INTERVAL") {
        ctx.notice(
            "processing.GPU_MEMORY_DEFRAG_INTERVAL",
            "nothing is defragmented: frames come from pools of equal buffers, which never fragment",
        );
    }
    if !processing.enable_memory_pooling {
        let limit =
            if processing.gpu_memory_pool_size_mb.is_some() { "; GPU_MEMORY_POOL_SIZE_MB doesn't apply" } else { "" };
        let rule = format!("frames come from pools anyway{limit}");
        ctx.notice("processing.ENABLE_MEMORY_POOLING", rule);
    }
}

fn check_cpu(ctx: &mut Context) {
    let processing = &ctx.file.processing;
    if processing.force_gpu_only == Some(true) {
        ctx.error(
            "processing.FORCE_GPU_ONLY",
            "without USE_UNIFIED_GPU_PIPELINE everything runs on the CPU, which this forbids",
            "set processing.FORCE_GPU_ONLY to false, or USE_UNIFIED_GPU_PIPELINE to true",
        );
    }
    if processing.use_unified_gpu_pipeline.is_none() {
        ctx.notice(
            "processing.USE_UNIFIED_GPU_PIPELINE",
            "it isn't set, and a legacy pipeline is enabled: cameras run on the CPU",
        );
    }
    if processing.enable_multiprocessing {
        ctx.notice("processing.ENABLE_MULTIPROCESSING", "one process serves all cameras, with threads for each");
    }
    let written: Vec<&str> = GPU_KEYS.into_iter().filter(|key| ctx.is_written(key)).collect();
    if !written.is_empty() {
        ctx.notice("", format!("the CPU pipeline doesn't use {}", written.join(", ")));
    }
}

/// `UNIFIED_PIPELINE_THREADS`
pub fn max_cameras(ctx: &mut Context, pipeline: Pipeline, cameras: usize) -> usize {
    let key = "processing.UNIFIED_PIPELINE_THREADS";
    match ctx.file.processing.unified_pipeline_threads.map(|threads| threads as usize) {
        Some(threads) if pipeline == Pipeline::UnifiedGpu => {
            if threads < cameras {
                ctx.error(
                    key,
                    format!("it has to be at least the number of cameras, {cameras}"),
                    format!("set it to {cameras}"),
                );
            }
            threads
        }
        // If it's unset there is no limit for added cameras.
        Some(_) | None => usize::MAX,
    }
}

/// Warns about cameras whose frame interval is shorter than the batch timeout.
pub fn check_timing(ctx: &mut Context, cameras: &[Camera]) {
    let timeout = ctx.file.processing.pipeline_queue_timeout_ms;
    let fastest = cameras.iter().filter_map(|camera| camera.hint.framerate).max_by(f64::total_cmp);
    if let Some(fps) = fastest.filter(|fps| timeout > 1000.0 / fps) {
        ctx.warning(
            "processing.PIPELINE_QUEUE_TIMEOUT_MS",
            format!(
                "frames come every {:.1} ms, so that they would wait for each other longer than that",
                1000.0 / fps
            ),
            "5 is the guide's value; 0 never waits",
        );
    }
}

/// `GPU_MEMORY_POOL_SIZE_MB`, in bytes.
pub fn frame_memory(ctx: &mut Context, pipeline: Pipeline, cameras: &[Camera]) -> Option<u64> {
    let processing = &ctx.file.processing;
    let size = u64::from(processing.gpu_memory_pool_size_mb?) << 20;
    if pipeline == Pipeline::Cpu || !processing.enable_memory_pooling {
        return None;
    }
    // One frame in the queue, one with the model.
    let largest = cameras.iter().filter_map(|camera| camera.hint.size).map(|size| 2 * frame_bytes(size)).max();
    if let Some(needed) = largest.filter(|needed| *needed > size) {
        let needed = needed.div_ceil(1 << 20);
        ctx.error(
            "processing.GPU_MEMORY_POOL_SIZE_MB",
            format!("two frames of the largest camera take {needed} MiB"),
            format!("set it to at least {needed} for each camera, or remove it"),
        );
    }
    Some(size)
}

/// Bytes of a frame in NV12.
pub fn frame_bytes((width, height): (u32, u32)) -> u64 {
    u64::from(width) * u64::from(height) * 3 / 2
}

/// `PIPELINE_QUEUE_TIMEOUT_MS`
pub fn batch_timeout(ctx: &Context) -> Duration {
    Duration::from_nanos((ctx.file.processing.pipeline_queue_timeout_ms * 1e6).round() as u64)
}

/// Checks that there are cameras, where they are needed.
pub fn need_cameras(ctx: &mut Context, cameras: usize) {
    let key = "cameras.RTSP_STREAMS";
    let rejected = ctx.written.has_gaps(key) || ctx.written.was_rejected("cameras") || ctx.written.was_rejected("");
    if cameras == 0 && ctx.purpose == Purpose::Run && !rejected {
        ctx.error(key, "there is no camera", "add one: \"cameras\": { \"RTSP_STREAMS\": [\"rtsp://…\"] }");
    }
}
