//! Annotated pictures and videos on disk: the last frame of a camera, one of each class as it appears, MP4 segments.
//!
//! 1. [`Recorder::attach`] gives a recorder the frames that pass a pad. The camera's pipeline never waits for it and
//!    never fails with it.
//! 2. Pictures and videos have an output thread each: frames wait in a short queue, and the thread sends them through
//!    its own pipeline, which draws, encodes and writes. Frames of another size or format get another pipeline, and so
//!    another file. A failure is reported and retried by that thread alone.
//! 3. A class that appears has precedence over other pictures. Its appearance counts when the picture is written: until
//!    then the next frame with it is taken, and if it disappears before, that is reported and counted.
//! 4. The space on disk is bounded ([`Store`]): the oldest files are removed.
//!
//! [`Stills`] makes single pictures for clients, by the same pipeline.
//!
//! Frames in GPU memory are downloaded, here and nowhere else, only those that are recorded or that a client asks for: 3 MB
//! for a frame of 1080p.

mod appearance;
mod clock;
mod failures;
mod gate;
mod mp4;
mod output_thread;
mod pictures;
mod queue;
mod recorder;
mod session;
mod still;
mod store;
mod videos;

pub use appearance::Appearances;
pub use failures::Failures;
pub use mp4::has_frames;
pub use output_thread::Say;
pub use recorder::{Counts, Recorder, Settings, open};
pub use still::{Look, Stills};
pub use store::{Kind, Limits, Store, text as time_text};

use std::sync::LazyLock;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("trtrecord", gst::DebugColorFlags::empty(), Some("Pictures and videos of gst-trt run"))
});
