//! Annotated pictures and videos on disk: the last frame of a camera, one of each class as it appears, MP4 segments.
//!
//! 1. A [`Recorder`] is a pipeline of its own: it draws, encodes and writes. What goes wrong there is told and tried again;
//!    the camera's pipeline never waits for it and never fails with it.
//! 2. [`Recorder::attach`] lets it see the frames that pass a pad; it takes those it needs and has room for.
//! 3. What it leaves on disk is bounded ([`Store`]): the oldest files make room.
//!
//! Frames in GPU memory are downloaded, here and nowhere else, only those that are recorded, and only if pictures or
//! segments are asked for: 3 MB for a frame of 1080p.

mod appearance;
mod gate;
mod recorder;
mod store;

pub use appearance::Appearances;
pub use recorder::{Recorder, Settings};
pub use store::Store;
