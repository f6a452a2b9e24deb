//! The options of elements that run a model: one type, filled from properties and from the configuration alike.

mod inference;
mod written;

pub use inference::{InferenceOptions, InferenceRegion};
pub use written::{Size, TextForm, Written};
