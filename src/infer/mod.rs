//! Running models for elements: engines behind one trait, and the service that batches across streams.
//!
//! 1. [`open`] gives the [`Service`] for a model; elements that want the same one share it.
//! 2. [`Service::stream`] is an element's place in it; [`Stream::submit`] takes a frame and gives a [`Ticket`].
//! 3. The service's lanes take what waits, earliest deadline first, as batches, whatever stream it comes from.

mod backend;
mod engine;
mod error;
mod labels;
mod registry;
mod service;
mod stats;
#[cfg(test)]
mod tests;
mod ticket;

pub use backend::{check_backend, needs_build, open_engine, prepare};
pub use engine::{
    Backend, BuildWatch, DeviceUsage, Engine, Frame, Lane, ModelSettings, OnNote, OnProgress, Output, Precision,
    RawTensor, Slot, Tensor, TensorData, nothing_to_run,
};
pub use error::{Error, ErrorKind, GPU_MEMORY_REMEDIES};
pub use labels::{labels, labels_error};
#[cfg(test)]
pub(crate) use registry::testing;
pub use registry::{content, open};
pub use service::{Request, Service, Stream};
pub use stats::{Latencies, Percentiles, ServiceStats, nanoseconds};
pub use ticket::{Finished, Notify, Ran, Ticket};
