//! CUDA: the driver, loaded at run time, and the kernels that run before and after a model.
//!
//! 1. [`check_driver`] initialises the driver; nothing else here may run before it has succeeded once.
//! 2. [`Context`] owns memory, streams and kernels; it is our own, or one that GStreamer's elements share.
//! 3. [`Preprocessor`] makes a batch's input tensor from frames on the device; [`Postprocessor`] turns the model's
//!    outputs into results. Both read what changes between batches from mapped memory, so that one captured
//!    [`Graph`] serves every batch of its size.
//!
//! docs/gpu-kernels.md describes the tables and their limits.

mod context;
mod copy;
mod device;
mod driver;
mod graph;
mod kernels;
mod layout;
mod memory;
mod nvdec;
mod postprocess;
mod preprocess;
mod stream;

pub use context::{Context, ContextBound, Current, Traffic};
pub use copy::copy_picture;
pub use device::{Device, PrimaryContext};
pub use driver::{check_driver, driver_version};
pub use graph::{CapturedGraph, Graph};
pub use kernels::Kernels;
pub use layout::{MAX_CANDIDATES, OverlayArgs, Shape, SlotSource};
pub use memory::{DeviceAllocator, DeviceBuffer, MappedBuffer};
pub use nvdec::{CodecCaps, codecs};
pub use postprocess::{DeviceOutput, Postprocessor, SlotResult, SlotSettings};
pub use preprocess::{DevicePicture, Preprocessor};
pub use stream::{CudaStream, Event};
