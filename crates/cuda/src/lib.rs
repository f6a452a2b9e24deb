//! CUDA for video analysis: contexts, memory, streams and captured graphs, and the kernels that run before and after a
//! detection or pose model.
//!
//! The driver's library is opened at run time. A program that uses this crate builds and starts on machines without a
//! GPU. Neither a CUDA toolkit nor a compiler is needed: the kernels are PTX in the crate, which the driver compiles.
//!
//! A program uses the crate in this order, as `examples/boxes.rs` shows:
//!
//! 1. [`check_driver`] initialises the driver, and its [`Error`] names the remedy; [`Context::create`] does this too.
//!    [`Device`] lists the GPUs, [`codecs`] the abilities of their video decoders.
//! 2. [`Context::create`] makes a context of our own, or [`Context::shared`] wraps one that another library made, for
//!    example GStreamer. [`Context::watch`] reports the failure of a device.
//! 3. [`CudaStream`] and [`Event`] order work on the device. [`DeviceBuffer`] is memory on the device, and
//!    [`MappedBuffer`] is memory of the host that the device reads and writes.
//! 4. [`Kernels::of`] loads the kernels. [`Preprocessor`] makes a batch's input tensor from frames on the device
//!    ([`DevicePicture`], [`SlotSource`]).
//! 5. The model runs on the same stream: TensorRT takes the plain pointers of [`CudaStream::handle`] and
//!    [`DeviceBuffer::address`].
//! 6. [`Postprocessor`] turns the model's outputs ([`DeviceOutput`]) into a [`SlotResult`] for each slot: it decodes,
//!    filters, suppresses and maps to the frame.
//! 7. [`CudaStream::capture`] records steps 4 to 6 as a [`Graph`]. Pre- and postprocessing read what changes between
//!    batches from mapped memory, so that one graph serves every batch of its size.
//!
//! [`copy_picture`] and [`Kernels::overlay`] copy frames and draw into them. docs/gpu-kernels.md of the repository
//! describes the kernels' tables and their limits.

#![warn(missing_docs)]

mod context;
mod copy;
mod device;
mod driver;
mod error;
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
pub use error::{Error, ErrorKind, OnFailure};
pub use graph::{CapturedGraph, Graph};
pub use kernels::Kernels;
pub use layout::{CellAxes, Line, MAX_CANDIDATES, OverlayArgs, Shape, SlotSource};
pub use memory::{DeviceAllocator, DeviceBuffer, MappedBuffer};
pub use nvdec::{CodecCaps, codecs};
pub use postprocess::{DeviceOutput, Postprocessor, SlotResult, SlotSettings};
pub use preprocess::{DevicePicture, Preprocessor};
pub use stream::{CudaStream, Event};
