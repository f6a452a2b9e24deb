//! Runs models for elements: engines behind one trait, and the service that batches across streams.
//!
//! 1. [`open`](crate::backend::open) returns the [`Service`] for a model, which all elements with equal settings share.
//! 2. [`Service::stream`] registers an element's stream; [`ServiceStream::submit`] takes a frame and returns a
//!    [`Ticket`].
//! 3. The service's lanes run the queued images in batches, earliest deadline first, whichever stream they come from.

mod batch_sizes;
mod engine;
mod gst_model_info;
mod image_processor;
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
pub use gst_model_info::{MODEL_INFO, gst_model_info, gst_model_info_error, gst_model_info_file};
pub use image_processor::{IMAGE_PROCESSOR, image_processor, image_processor_error, image_processor_file};
pub use labels::{labels, labels_error};
pub use service::{Request, Service, ServiceStream};
pub use stats::{Latencies, Percentiles, ServiceStats, nanoseconds};
pub use ticket::{Finished, Notify, Ran, Ticket};
