//! What was found in a frame, on its buffer.

mod record;

pub use record::{Inference, KeypointSet, ModelRun, Object, Record};
