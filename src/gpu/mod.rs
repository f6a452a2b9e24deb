//! The GPU engine: TensorRT between the kernels, behind the traits that the service knows.
//!
//! 1. [`check`] says whether driver and TensorRT are there.
//! 2. [`open`] loads a model's engine (through the cache; [`needs_build`] says whether that means building it) and
//!    recognises its head.
//! 3. Its lanes hold a [`Chain`] each, with a graph for every batch size of the [`batch_sizes_between`](crate::infer::batch_sizes_between).
//!
//! docs/gpu-engine.md describes what happens when, and what is counted where.

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
mod wait;

pub use allocation::CudaMemory;
pub use chain::{Chain, ChainOutput, ChainSpec};
pub use drawing::{DevicePainter, Drawing};
pub use open::{build_settings, check, keep_engine_file, needs_build, open};
pub use overlay::{DisplayList, Painter};
pub use tensors::{DeviceTensors, ReadyTensor};
pub use wait::wait_until;

use std::sync::LazyLock;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("trtgpu", gst::DebugColorFlags::empty(), Some("GPU engine of the tensorrt plugin"))
});
