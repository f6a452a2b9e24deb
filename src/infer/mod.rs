//! Running models for elements: engines behind one trait, and the service that batches across streams.
//!
//! 1. [`open`](crate::backend::open) gives the [`Service`] for a model; elements that want the same one share it.
//! 2. [`Service::stream`] is an element's place in it; [`ServiceStream::submit`] takes a frame and gives a [`Ticket`].
//! 3. The service's lanes take what waits, earliest deadline first, as batches, whatever stream it comes from.

mod batch_sizes;
mod engine;
mod labels;
mod service;
mod stats;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod ticket;

pub use batch_sizes::batch_sizes_between;
pub use engine::{
    Backend, BuildWatch, DeviceContext, DeviceUsage, Engine, Frame, Lane, ModelSettings, Output, Precision, RawTensor,
    Slot, Tensor, TensorData, nothing_to_run,
};
pub use labels::{labels, labels_error};
pub use service::{Request, Service, ServiceStream};
pub use stats::{Latencies, Percentiles, ServiceStats, nanoseconds};
pub use ticket::{Finished, Notify, Ran, Ticket};
