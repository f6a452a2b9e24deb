//! TensorRT without headers or linking: the library is opened at run time, and its C++ objects are called through their
//! vtables, at slots that `slots` lists for each group of releases.
//!
//! - [`Library`] finds and opens it, and knows what it is before the first call.
//! - [`Builder`] and what it makes turn an ONNX model into a plan; [`Runtime`] loads plans and runs them.

mod allocator;
mod builder;
mod cache;
mod callback;
mod content;
mod engine_file;
mod engine_place;
mod error;
mod library;
mod load;
mod loaded_name;
mod logger;
mod memory_map;
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
pub use builder::{Builder, BuilderConfig, Flag, HostMemory, Network, OptimizationProfile};
pub use cache::{
    CONVERTER, CachedEngine, DEFAULT_LIMIT, Difference, EngineCache, EngineRecord, Facts, Listed, write_engine,
    write_record,
};
pub use content::ModelContent;
pub use engine_file::EngineFile;
pub use engine_place::Fit;
pub use error::{EngineFault, Error, ParserError};
pub use library::{LIBRARY_VARIABLE, Library};
pub use load::{Loaded, Loader, is_onnx, source};
pub use onnx::Onnx;
pub use progress::{Cancel, OnNote, OnProgress, ProgressMonitor};
pub use recipe::{BuildControl, BuildSettings, Built, EnginePrecision, HardwareCompatibility, InputProfile, build};
pub use runtime::{Context, Engine, EngineTensor, Runtime};
pub use tensor::{DataType, NetworkTensor, Selector, Shape};
pub use version::{Flavour, Group, Version};

use std::sync::LazyLock;

/// Also where TensorRT's own messages go.
static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("tensorrt", gst::DebugColorFlags::empty(), Some("TensorRT binding, and TensorRT's own log"))
});
