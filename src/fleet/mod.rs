//! Cameras that are shared out over hosts by Kafka. The crate `fleet` decides; this is its network, its clock and its
//! cameras.
//!
//! 1. [`Cluster`] is the way to the brokers: clients, topics, whole topics read at once.
//! 2. [`apply()`], [`remove`], [`release`] and [`drain`] write what an operator wants; [`Overview`] is what there is.
//! 3. [`HostProcess`] is one host: it joins the group, and runs the cameras of its partitions by a
//!    [`Supervisor`](crate::run::Supervisor).
//!
//! Threads: one is the member of the group, one reads claims and settings, librdkafka has its own. All of them tell the main
//! context what happens, where everything is decided.

mod apply;
mod cluster;
mod host;
mod member;
mod notice;
mod overview;
mod probes;
mod reader;
mod status;
mod topics;
mod writer;

pub use apply::{Applied, Removed, apply, drain, release, remove};
pub use cluster::Cluster;
pub use host::{HostOptions, HostProcess, Settings};
pub use overview::{CameraRow, HostRow, Overview};
pub use probes::Probes;
pub use topics::PARTITIONS;

use std::sync::LazyLock;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("trtfleet", gst::DebugColorFlags::empty(), Some("A host of a fleet, and its brokers"))
});
