//! Clips: MP4 files of what a camera has sent around events, not decoded and encoded again.
//!
//! 1. [`Clips::tap`] copies the coded pictures that pass a pad into a ring: the last seconds, from a key frame
//!    on, in bounded memory.
//! 2. [`Clips::watch`] looks for events in the records of frames that pass another pad. One that fits a rule opens an
//!    incident or prolongs the open one, and gets the name of its file. [`Clips::command`] does the same on request.
//! 3. The writer, a thread for each camera, copies the pictures of an incident from the ring into a file: nothing that it
//!    waits for can hold the camera up. A JSON file beside the video has the events and the boxes of the tracks.
//! 4. The space on disk is bounded ([`Store`](crate::record::Store)): the oldest files are removed.
//!
//! All times are nanoseconds on the clock of the frames' presentation timestamps.

mod document;
mod file;
mod incident;
mod recorder;
mod ring;
mod rules;
mod tracks;
mod unit;
mod writer;

pub use file::{MEDIA, Medium, elements};
pub use recorder::{Clips, Settings};

use std::sync::LazyLock;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("trtclips", gst::DebugColorFlags::empty(), Some("Clips of events of gst-trt run"))
});
