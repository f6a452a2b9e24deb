//! What elements that run a model are told: one type, filled by properties and by the configuration alike.

mod inference;
mod written;

pub use inference::{InferenceOptions, InferenceRegion};
pub use written::{Size, TextForm, Written};
