//! Decides when frames run, in which batches, and on which threads. docs/scheduling.md explains the rules.
//!
//! Everything here is pure: time is passed in, and nothing locks, waits or starts a thread. Callers ask:
//!
//! 1. [`Pace`] tells an element whether the thread that brings a frame runs it; [`resumes_at`] when upstream goes on after it
//!    had to wait; [`is_busy`] whether a frame is left out.
//! 2. [`Scheduler`] tells a service's threads what to run next, how long to sleep, and whom to wake.
//! 3. [`CompletionWait`] tells a lane when to look whether its batch is done.
//! 4. [`RecentMax`] is how long such work takes, outliers of late included.
//! 5. [`StartStagger`] and [`CatchUp`] govern the start of cameras.

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
