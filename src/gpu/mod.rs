//! The GPU engine: TensorRT with kernels before and after it, behind the traits that the service uses.
//!
//! 1. [`check`] checks that the driver and TensorRT are installed.
//! 2. [`open`] loads a model's engine through the cache ([`needs_build`] tells whether it has to be built first) and
//!    recognises its head.
//! 3. Each of its lanes has a [`Chain`], with a graph for each of the engine's
//!    [batch sizes](crate::infer::batch_sizes_between).
//!
//! docs/gpu-engine.md describes the order of the steps and the counters.

mod account;
mod allocation;
mod chain;
mod drawing;
mod engine;
mod lane;
mod model;
mod network;
mod open;
mod overlay;
mod tensors;
mod values;
mod wait;

pub use allocation::CudaMemory;
pub use chain::{Chain, ChainConstant, ChainOutput, ChainSpec};
pub use drawing::{DevicePainter, Drawing};
pub use model::decoded_here;
pub use open::{build_settings, check, keep_engine_file, needs_build, open};
pub use overlay::{DisplayList, Painter};
pub use tensors::{DeviceTensors, ReadyTensor};
pub use wait::wait_until;

use std::sync::LazyLock;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("trtgpu", gst::DebugColorFlags::empty(), Some("GPU engine of the tensorrt plugin"))
});
