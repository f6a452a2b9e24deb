//! Records as JSON Lines: one object a frame, one line each. The format is described in `docs/json.md`.
//!
//! 1. [`Frame`] and a [`Record`](crate::meta::Record) become a line: [`write_line`].
//! 2. A [`Publisher`] takes lines without waiting for the disk or the reader, and writes them on a thread of its own.
//! 3. An [`Output`] is where they go: [`open`] makes it from a location.

mod line;
mod output;
mod publisher;

pub use line::{Frame, write_line};
pub use output::{Output, Written, open};
pub use publisher::{Overflow, Publisher, Refused, Stats};
