//! Memory of GPU and host over many starts with `backend=tensorrt`. Takes minutes on a machine with a GPU:
//!
//!     cargo test --release --test soak_gpu -- --ignored --nocapture --test-threads 1
//!
//! `SOAK_STARTS` changes the number of starts (1000). `SOAK_MODELS=DETECTOR,POSE` names the pair that is started 30 times.
//! `SOAK_ELEMENTS` replaces the small pair, to find out what grows: `trtoverlay` alone, for example, or nothing. Every test
//! run makes a few starts on the stand-in.

mod common;

use common::find::{skip, test_model};
use common::process;
use common::running::Running;
use common::standin;
use cuda::{self, Kernels};
use gsttensorrt::backend;
use gsttensorrt::gst_cuda::SharedContext;
use gsttensorrt::infer::{Backend, DeviceContext, ModelSettings};
use std::path::Path;
use std::sync::Arc;

const MIB: f64 = 1024.0 * 1024.0;
/// Tolerance of memory between an early start and the last one.
const LIMIT: f64 = 2.0;
/// Objects that exist on the stand-in as long as a context: the modules with its kernels, and their functions.
const KERNELS: usize = 10 + 19;
/// Minimum number of starts for judging host memory.
const LEAST_STARTS: usize = 200;

/// Memory in use, MiB.
#[derive(Debug, Clone, Copy)]
struct Use {
    gpu: f64,
    host: f64,
    /// The part of `host` that isn't file-backed: a library's pages are read when they are first used.
    anonymous: f64,
    /// The part of `gpu` that this crate and TensorRT have allocated and not freed.
    taken: f64,
    /// Allocated and not freed. Growth of `anonymous` beyond that is fragmentation, which is reused.
    allocated: f64,
}

impl Use {
    /// Memory of the whole device, so nothing else may run on it; creates a context if none exists.
    fn now() -> Self {
        let shared = SharedContext::own(0).unwrap();
        let (free, total) = shared.context().memory().unwrap();
        // Memory that was freed but kept by the allocator says nothing about leaks.
        // SAFETY: no preconditions.
        unsafe { libc::malloc_trim(0) };
        // SAFETY: no preconditions.
        let allocator = unsafe { libc::mallinfo2() };
        Self {
            gpu: (total - free) as f64 / MIB,
            taken: shared.context().taken() as f64 / MIB,
            host: process::resident() as f64 / MIB,
            anonymous: process::anonymous() as f64 / MIB,
            allocated: (allocator.uordblks + allocator.hblkhd) as f64 / MIB,
        }
    }
}

/// A pair of models, and other elements.
fn pair(detector: &Path, pose: &Path) -> String {
    format!(
        "trtdetect model={} batch-size=4 ! trtpose model={} ! trtoverlay ! trtpublish location=/dev/null",
        detector.display(),
        pose.display()
    )
}

fn small_pair() -> String {
    std::env::var("SOAK_ELEMENTS").unwrap_or_else(|_| pair(&test_model("yolo"), &test_model("yolo-pose")))
}

/// Repeatedly from NULL to the end of three frames and back.
fn starts(count: usize, elements: &str, what: &str, stay: usize) {
    let elements = if elements.is_empty() { "identity" } else { elements };
    let launch = format!(
        "videotestsrc num-buffers=3 pattern=smpte ! video/x-raw,format=NV12,width=640,height=360 ! cudaupload \
         ! video/x-raw(memory:CUDAMemory) ! {elements} ! fakesink sync=false"
    );
    stays_flat(count, &format!("starts of {what}"), stay, || Running::playing(&launch).wait_for_end());
}

/// Repeats an action, which must not take more memory after the first runs. `stay` objects remain on the stand-in.
fn stays_flat(count: usize, what: &str, stay: usize, act: impl Fn()) {
    // Caches and pools have been filled by then.
    let early_at = (count / 3).clamp(1, 50);
    let mut early = None;
    for n in 1..=count {
        act();
        if n == early_at {
            early = Some(Use::now());
        }
        if n.is_multiple_of((count / 10).max(1)) {
            let Use { gpu, taken, host, anonymous, allocated } = Use::now();
            println!(
                "  {n}: GPU {gpu:.1} MiB, of it taken {taken:.3}; host {host:.1}, of it anonymous {anonymous:.1}; allocated \
                 {allocated:.2}"
            );
        }
    }
    let (early, last) = (early.expect("more starts than the early one"), Use::now());
    println!(
        "{what}: {count}; GPU {:.1} MiB after {early_at}, {:.1} after the last; host {:.1} and {:.1}",
        early.gpu, last.gpu, early.host, last.host
    );
    if let Some(objects) = standin::objects() {
        assert_eq!(objects, stay, "undestroyed streams, events, graphs, modules and memory blocks");
    }
    let (gpu, host) = (last.gpu - early.gpu, last.host - early.host);
    assert!(gpu < LIMIT, "grows by {gpu:.1} MiB on the GPU");
    // The allocator's own variation exceeds the limit after few starts.
    assert!(host < LIMIT || count < LEAST_STARTS, "grows by {host:.1} MiB on the host");
}

fn ready() -> bool {
    // Threads start and end here, each with an arena that keeps pages: a single arena shows more.
    // SAFETY: no preconditions.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    gst::init().unwrap();
    gsttensorrt::plugin_register_static().unwrap();
    if let Err(error) = cuda::check_driver() {
        skip("a GPU", &error.message);
        return false;
    }
    true
}

fn asked_for() -> usize {
    std::env::var("SOAK_STARTS").map_or(1000, |text| text.parse().expect("SOAK_STARTS is a number"))
}

#[test]
fn memory_stays_flat_on_the_standin() {
    for what in ["kernels", "engines", "services", "a_small_model", "new_contexts"] {
        standin::run_ignored(&format!("memory_stays_flat_with_{what}"), &[("SOAK_STARTS", "9")]);
    }
}

/// Kernel modules alone: a driver doesn't free everything that it allocated for unloaded modules.
#[test]
#[ignore = "needs a GPU"]
fn memory_stays_flat_with_kernels() {
    if !ready() {
        return;
    }
    let shared = SharedContext::own(0).unwrap();
    stays_flat(asked_for(), "loads of the kernels", KERNELS, || drop(Kernels::of(shared.context()).unwrap()));
}

/// A model without a pipeline: its engine alone.
#[test]
#[ignore = "a minute; needs a GPU"]
fn memory_stays_flat_with_engines() {
    if ready() {
        let settings = model();
        stays_flat(asked_for(), "opened engines", KERNELS, || drop(backend::open_engine(&settings).unwrap()));
    }
}

/// The same with lanes and their graphs.
#[test]
#[ignore = "a minute; needs a GPU"]
fn memory_stays_flat_with_services() {
    if ready() {
        let settings = model();
        stays_flat(asked_for(), "opened models", KERNELS, || drop(backend::open(&settings).unwrap()));
    }
}

/// In a context that lives as long as these settings.
fn model() -> ModelSettings {
    let context: Option<Arc<dyn DeviceContext>> = Some(Arc::new(SharedContext::own(0).unwrap()));
    ModelSettings { backend: Backend::TensorRt, model: test_model("yolo"), context, ..ModelSettings::default() }
}

/// The context lives from start to start.
#[test]
#[ignore = "minutes; needs a GPU"]
fn memory_stays_flat_with_a_small_model() {
    if !ready() {
        return;
    }
    let _context = SharedContext::own(0).unwrap();
    starts(asked_for(), &small_pair(), "a small pair", KERNELS);
}

/// The context is destroyed with each pipeline, and created again with the next.
#[test]
#[ignore = "minutes; needs a GPU"]
fn memory_stays_flat_with_new_contexts() {
    if !ready() {
        return;
    }
    starts(asked_for().div_ceil(10), &small_pair(), "a small pair with its context", 0);
}

#[test]
#[ignore = "minutes; needs a GPU and a pair of models"]
fn memory_stays_flat_with_a_large_pair() {
    let Some(models) = std::env::var_os("SOAK_MODELS") else {
        return skip("SOAK_MODELS", "set it to DETECTOR,POSE, two model files");
    };
    if !ready() {
        return;
    }
    let models = models.into_string().expect("paths in UTF-8");
    let (detector, pose) = models.split_once(',').expect("DETECTOR,POSE");
    starts(30, &pair(Path::new(detector), Path::new(pose)), "the pair", 0);
}
