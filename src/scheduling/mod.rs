//! When frames run, in which batches, and which thread does it.

mod batcher;
mod occupancy;
mod pace;
mod spacing;
mod wait;

pub use batcher::{Batcher, Next, StreamId};
pub use occupancy::Occupancy;
pub use pace::Pace;
pub use spacing::Spacing;
pub use wait::Wait;
