//! TensorRT 8.5 to 11 and TensorRT for RTX from Rust, without headers and without linking: the library is loaded at run
//! time, and its C++ objects are called through their vtables, whose slots `slots` lists for each group of releases. A
//! program that uses this crate builds and starts on machines without TensorRT and without a GPU.
//!
//! A program uses the crate in this order, as `examples/engine.rs` shows:
//!
//! 1. [`log::listen`] receives the messages of this crate and TensorRT's own; without a listener they are dropped.
//! 2. [`Library::open`] finds TensorRT and determines its version. Without TensorRT it is an error that says where the
//!    library was looked for and how to install it.
//! 3. [`Onnx::open`] reads a model and its external weights; [`Onnx::info`] lists its inputs and outputs.
//! 4. Get an engine, in one of three ways. [`build`] builds one according to [`BuildSettings`]: FP32, FP16 (the model is
//!    converted if TensorRT is strongly typed), or INT8 for a model with Q/DQ nodes (quantise and dequantise).
//!    [`EngineCache::get_or_build`] keeps engines by the content of their models, so that each is built once per machine.
//!    [`Loader`] does either, depending on whether it is given an ONNX file or an engine. [`BuildControl`] reports a
//!    build's progress and cancels it.
//! 5. [`Library::runtime`] creates a [`Runtime`], and [`Runtime::deserialize`] loads the engine. [`Engine::tensors`]
//!    lists its inputs and outputs.
//! 6. [`Engine::create_context`] creates a [`Context`]: set shapes and device addresses, then call
//!    [`Context::enqueue`] with a CUDA stream, and synchronise that stream before reading. Memory and streams come from
//!    any CUDA crate and are passed as plain pointers; from step 4 on a CUDA context must be current.
//!
//! [`GpuAllocator`] counts and limits the device memory that TensorRT allocates through a
//! [`DeviceMemory`] that the program implements.

#![warn(missing_docs)]

mod allocator;
mod builder;
mod cache;
mod callback;
mod content;
mod engine_file;
mod engine_place;
mod error;
mod executable_stack;
mod library;
mod load;
mod loaded_name;
pub mod log;
mod logger;
mod memory_map;
mod mixed;
#[cfg(test)]
mod mock;
mod object;
mod onnx;
mod parser;
mod progress;
mod recipe;
mod runtime;
mod slots;
mod tensor;
#[cfg(test)]
mod tests;
mod version;

pub use allocator::{DeviceMemory, GpuAllocator, Usage};
pub use builder::{Builder, BuilderConfig, Flag, HostMemory, Network, OptimizationProfile, TimingCache};
pub use cache::{
    CONVERTER, CachedEngine, ClassAgreement, DEFAULT_LIMIT, Difference, EngineCache, EngineRecord, Facts, Listed,
    Verification, write_engine, write_record,
};
pub use content::ModelContent;
pub use engine_file::EngineFile;
pub use engine_place::EngineFit;
pub use error::{EngineFault, Error, ParserError};
pub use executable_stack::executable_stack_refusal;
pub use library::{LIBRARY_VARIABLE, Library};
pub use load::{Loaded, Loader, is_onnx, source};
pub use mixed::smallest_passing;
pub use onnx::{Onnx, OnnxNode, fp32_list, write_fp32_list};
pub use progress::{Cancel, OnNote, OnProgress, ProgressMonitor};
pub use recipe::{
    BuildControl, BuildSettings, Built, EnginePrecision, HardwareCompatibility, InputProfile, Timings, build,
};
pub use runtime::{Context, Engine, EngineTensor, Runtime};
pub use tensor::{DataType, NetworkTensor, Selector, Shape};
pub use version::{Flavour, Group, Version};
