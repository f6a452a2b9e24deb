//! The options of elements: one type each, filled from properties and from the configuration alike.

mod inference;
mod tracking;
mod written;
mod zones;

pub use self::tracking::TrackingOptions;
pub use inference::{InferenceOptions, InferenceRegion};
pub use written::{Size, TextForm, Written};
pub use zones::ZonesOptions;
