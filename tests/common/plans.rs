//! Engines for tests on a GPU: built once, and kept in `GPU_TEST_OUT` for later runs.

use super::find;
use super::gpu::environment;
use gsttensorrt::gpu::CudaMemory;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tensorrt::{BuildControl, BuildSettings, EnginePrecision, GpuAllocator, Library, Onnx, Timings, build};

/// The settings with which the shared timing caches were made; yolov12n's has level 1.
pub fn settings(model: &str) -> BuildSettings {
    BuildSettings {
        batch_size: 16,
        optimization_level: if model == "yolov12n" { 1 } else { 2 },
        workspace: 2048,
        ..BuildSettings::default()
    }
}

/// FP32 as in ONNX Runtime: TF32 has a mantissa of 10 bits.
pub fn fp32(model: &str) -> BuildSettings {
    BuildSettings { precision: EnginePrecision::Fp32, tf32: false, batch_size: 1, ..settings(model) }
}

/// The TensorRT under test.
pub fn library() -> &'static Library {
    gst::init().unwrap();
    Library::open(None).unwrap()
}

/// Device memory, accounted.
pub fn allocator(library: &Library, who: &str, limit: Option<u64>) -> Arc<GpuAllocator> {
    Arc::new(GpuAllocator::new(library.group(), Box::new(CudaMemory::current().expect("a context")), who, limit))
}

/// Folder for plans and timing caches.
fn out() -> PathBuf {
    environment("GPU_TEST_OUT").unwrap_or_else(std::env::temp_dir)
}

/// A model from `GPU_TEST_MODELS`, else from models/; else skips.
pub fn model(name: &str) -> Option<Onnx> {
    let path =
        environment("GPU_TEST_MODELS").unwrap_or_else(|| find::root().join("models")).join(format!("{name}.onnx"));
    if !path.exists() {
        find::skip(&path.display().to_string(), "GPU_TEST_MODELS");
        return None;
    }
    Some(Onnx::open(&path).unwrap())
}

/// A model's plan from an earlier run; otherwise it is built and kept.
pub fn plan(library: &'static Library, name: &str, label: &str, onnx: &Onnx, settings: &BuildSettings) -> Vec<u8> {
    let file = out().join(format!("{name}-{label}.plan"));
    if let Ok(plan) = std::fs::read(&file) {
        println!("{name} {label}: read {} MiB from {}", plan.len() >> 20, file.display());
        return plan;
    }
    let kept = out().join("timings.cache");
    let files = [Some(kept.clone()), environment("GPU_TEST_TIMINGS")].into_iter().flatten();
    let timings = files.filter_map(|file| Some(Timings { bytes: std::fs::read(&file).ok()?, file }));
    let timings: Vec<_> = timings.collect();
    let memory = allocator(library, "the builder", None);
    let control = BuildControl { allocator: Some(Arc::clone(&memory)), ..BuildControl::default() };
    let start = Instant::now();
    let built = build(library, onnx, settings, &timings, &control).unwrap();
    println!(
        "{name} {label}: built in {:.1} s from {} bytes of timings, plan {:.1} MiB, builder's device memory at most {} MiB",
        start.elapsed().as_secs_f32(),
        timings.iter().map(|known| known.bytes.len()).sum::<usize>(),
        built.plan.len() as f32 / 1048576.0,
        memory.usage().peak >> 20
    );
    std::fs::write(&file, &built.plan).unwrap();
    std::fs::write(&kept, &built.timings).unwrap();
    built.plan
}
