//! The CUDA driver.

mod api;
mod capture;
mod context;
mod event;
mod faults;
mod graph;
mod kernel;
mod memory;
mod pool;
mod registry;
mod status;
mod stream;
mod work;

use cudarc::driver::sys::CUresult;
use std::sync::Arc;

pub use api::{compute_capability, fill};
pub use context::{Context, current};
pub use faults::injected;
pub use memory::check_range;
pub use status::{Status, log, refuse};
pub use stream::{Stream, by_handle as stream};
pub use work::Work;

/// Number of streams, events, graphs, modules, memory blocks and pools in all contexts, for leak tests.
#[unsafe(no_mangle)]
pub extern "C" fn standin_objects() -> usize {
    let graphs = graph::CAPTURED_GRAPHS.count() + graph::NODES.count() + graph::GRAPHS.count();
    let code = kernel::MODULES.count() + kernel::FUNCTIONS.count();
    stream::STREAMS.count() + event::EVENTS.count() + graphs + code + memory::count() + pool::POOLS.count()
}

/// Device memory of the current context, for TensorRT's own use.
pub fn allocate(bytes: usize) -> Status<usize> {
    memory::allocate(&*current()?, bytes, memory::Kind::Device, false)
}

/// Frees memory of [`allocate`], once nothing uses it.
pub fn free(address: usize) -> Status {
    current()?.drain();
    memory::free(address, memory::Kind::Device)
}

/// An error as a failing kernel causes it.
pub fn failed<T>(why: &str) -> Status<T> {
    refuse(CUresult::CUDA_ERROR_LAUNCH_FAILED, why)
}

/// Queues work for TensorRT.
pub fn enqueue(stream: &Arc<Stream>, function: impl Fn() -> Status + Send + Sync + 'static) -> Status {
    stream.add(Work::Function(Arc::new(function)))
}
