//! Annotated pictures and videos on disk: the last frame of a camera, one of each class as it appears, MP4 segments.
//!
//! 1. [`Recorder::attach`] lets a recorder see the frames that pass a pad. The camera's pipeline never waits for it and never
//!    fails with it.
//! 2. Pictures and videos have a track each: frames wait in a short queue, a thread takes them through a pipeline of its
//!    own, which draws, encodes and writes. Frames of another size or format get another pipeline, and so another file.
//!    What goes wrong in one track is told and tried again there.
//! 3. A class that appears has precedence over other pictures. Its appearance counts when the picture is written: until then
//!    the next frame with it is taken, and if it goes away before, that is told and counted.
//! 4. What is left on disk is bounded ([`Store`]): the oldest files make room.
//!
//! Frames in GPU memory are downloaded, here and nowhere else, only those that are recorded, and only if pictures or
//! segments are asked for: 3 MB for a frame of 1080p.

mod appearance;
mod clock;
mod gate;
mod output_thread;
mod pictures;
mod queue;
mod recorder;
mod session;
mod store;
mod videos;

pub use appearance::Appearances;
pub use recorder::{Counts, Recorder, Settings};
pub use store::Store;

use std::sync::LazyLock;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("trtrecord", gst::DebugColorFlags::empty(), Some("Pictures and videos of gst-trt run"))
});
