//! Runs cameras: one pipeline each, in one process, with the models shared by all.
//!
//! 1. A [`CameraSetup`] describes a camera's pipeline.
//! 2. A [`Supervisor`] runs any number of them: each starts, fails, recovers and stops without affecting the others.
//!    [`Supervisor::apply`] takes an edited list, [`Supervisor::stop`] finishes the pictures in flight and ends.
//! 3. Each camera has a [`Meter`](crate::monitor::Meter) among [`Meters`], for monitoring, and a [`View`] among [`Views`], for
//!    clients that look at its frames.
//!
//! Nothing polls: the supervisor runs on a GLib main context, and wakes when a pipeline, a timer or a signal has news.
//! Anything that may wait for a network, a model or a disk runs on GStreamer's threads.
//!
//! A camera's pipeline has two parts. The source (connection, parser, a queue, the decoder behind it) is discarded and
//! made again whenever the camera is lost; models and outputs stay meanwhile.

mod analysis;
mod bus;
mod camera;
mod change;
mod channel;
mod commands;
mod frame_intervals;
mod frame_tracker;
mod lifecycle;
mod meters;
mod outputs;
mod plan;
mod recording;
mod setup;
mod source;
mod start_guard;
mod supervisor;
mod threads;
mod view;
mod warm;

pub use crate::backoff::Backoff;
pub use crate::elements::{ElementOptions, ElementSetup};
pub use commands::Commands;
pub use lifecycle::Patience;
pub use meters::Meters;
pub use outputs::check_certificates;
pub use plan::{cameras, patience};
pub use setup::{CameraSetup, Decoder, FileSource, FleetRun, RtspSource, SourceSetup, TestSource, ThreadSetup};
pub use supervisor::{Happened, OnPipeline, Options, Outcome, Supervisor};
pub use view::{SeenEvent, View, ViewedFrame, Views};
pub use warm::Warm;

use std::sync::LazyLock;

/// Whether a running camera needs another pipeline to become `new`.
pub fn needs_restart(old: &CameraSetup, new: &CameraSetup) -> bool {
    change::change(old, new) == change::Change::Restart
}

static CAT: LazyLock<gst::DebugCategory> =
    LazyLock::new(|| gst::DebugCategory::new("trtrun", gst::DebugColorFlags::empty(), Some("Cameras of gst-trt run")));
