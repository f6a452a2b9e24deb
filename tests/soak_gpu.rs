//! Memory of GPU and host over many starts with `backend=tensorrt`. Takes minutes on a machine with a GPU:
//!
//!     cargo test --release --test soak_gpu -- --ignored --nocapture --test-threads 1
//!
//! `SOAK_STARTS` changes how many (1000). `SOAK_MODELS=DETECTOR,POSE` names the pair that is started 30 times.
//! `SOAK_ELEMENTS` is started instead of the small pair, to find what grows: `trtoverlay` alone, for example, or nothing. On the
//! stand-in a few starts are run with every test run.

mod common;

use common::find::{skip, test_model};
use common::process;
use common::running::Running;
use common::standin;
use gsttensorrt::backend;
use gsttensorrt::cuda::{self, Kernels};
use gsttensorrt::gst_cuda::SharedContext;
use gsttensorrt::infer::{Backend, DeviceContext, ModelSettings};
use std::path::Path;
use std::sync::Arc;

const MIB: f64 = 1024.0 * 1024.0;
/// What memory may differ between an early start and the last one.
const LIMIT: f64 = 2.0;
/// What stays on the stand-in while a context does: the modules with its kernels, and functions in them.
const KERNELS: usize = 5 + 9;
/// From so many starts on the host's memory is judged.
const LEAST_STARTS: usize = 200;

/// Memory in use, MiB.
#[derive(Debug, Clone, Copy)]
struct Use {
    gpu: f64,
    host: f64,
    /// Of `host`, what isn't pages of files: a library's pages are read when they are first used.
    anonymous: f64,
    /// Of `gpu`, what this crate and TensorRT have taken and not given back.
    taken: f64,
    /// Allocated and not freed. What `anonymous` grows by beyond that is between such pieces, and used again.
    allocated: f64,
}

impl Use {
    /// Of the whole device, so nothing else may run on it; in a context that this makes where nobody has one.
    fn now() -> Self {
        let shared = SharedContext::own(0).unwrap();
        let (free, total) = shared.context().memory().unwrap();
        // What was given back to the allocator and kept by it says nothing about leaks.
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

/// A pair of models, and what else works on frames.
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

/// From NULL to the end of three frames and back, again and again.
fn starts(count: usize, elements: &str, what: &str, stay: usize) {
    let elements = if elements.is_empty() { "identity" } else { elements };
    let launch = format!(
        "videotestsrc num-buffers=3 pattern=smpte ! video/x-raw,format=NV12,width=640,height=360 ! cudaupload \
         ! video/x-raw(memory:CUDAMemory) ! {elements} ! fakesink sync=false"
    );
    stays_flat(count, &format!("starts of {what}"), stay, || Running::playing(&launch).wait_for_end());
}

/// Does something so many times; after the first of them it takes no more memory. So many objects `stay` on the stand-in.
fn stays_flat(count: usize, what: &str, stay: usize, act: impl Fn()) {
    // Caches and pools are filled by then.
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
        assert_eq!(objects, stay, "streams, events, graphs, modules and blocks of memory that nobody destroyed");
    }
    let (gpu, host) = (last.gpu - early.gpu, last.host - early.host);
    assert!(gpu < LIMIT, "grows by {gpu:.1} MiB on the GPU");
    // The allocator's own ups and downs are larger than the limit after few starts.
    assert!(host < LIMIT || count < LEAST_STARTS, "grows by {host:.1} MiB on the host");
}

fn ready() -> bool {
    // Threads come and go here, each with an arena of its own that keeps pages: one for all tells more.
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

/// Code alone: a driver doesn't give back all that it took for modules that are unloaded.
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

/// The context goes with each pipeline, and is made again with the next.
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
