//! Decides when frames run, in which batches, and on which threads. docs/scheduling.md explains the rules.
//!
//! Everything here is pure: time is passed in, and nothing locks, waits or starts a thread.
//!
//! 1. An element asks [`Pace`] whether the upstream thread runs a frame itself, [`resumes_at`] when a waiting upstream thread
//!    resumes, and [`is_busy`] whether to skip a frame.
//! 2. A service's thread asks [`Scheduler`] what to run next, how long to sleep, and which thread to wake.
//! 3. A lane asks [`CompletionWait`] when to check whether its batch is done.
//! 4. All of them ask [`RecentMax`] how long such work takes, including recent outliers.
//! 5. A starting camera asks [`StartStagger`] when to open its source, and [`CatchUp`] when its start is over.

mod batcher;
mod catch_up;
mod completion;
mod occupancy;
mod pace;
mod queue_limit;
mod recent_max;
mod scheduler;
#[cfg(test)]
mod simulation;
mod start_stagger;
#[cfg(test)]
mod tests;

pub use batcher::StreamId;
pub use catch_up::{CatchUp, Queued};
pub use completion::CompletionWait;
pub use pace::Pace;
pub use queue_limit::{is_busy, resumes_at};
pub use recent_max::RecentMax;
pub use scheduler::{Scheduler, Sleep};
pub use start_stagger::StartStagger;
