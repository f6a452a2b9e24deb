//! Running models for elements: engines behind one trait, and the service that batches across streams.

mod engine;
mod error;

pub use engine::{Backend, Engine, Frame, Lane, ModelSettings, Output, Precision, RawTensor, Slot, Tensor};
pub use error::{Error, ErrorKind};
