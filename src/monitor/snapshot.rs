//! Snapshots of a camera.

use serde::{Deserialize, Serialize};

/// Upper bounds of the latency histogram's buckets, seconds; a last bucket takes longer latencies.
pub const BUCKETS: [f64; 12] = [0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 5.0];

/// What a camera is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CameraState {
    /// Its pipeline is being made, and no frame has come yet.
    #[default]
    Starting,
    /// Frames come.
    Playing,
    /// Connected, but no frame has come for longer than the watchdog allows.
    Stalled,
    /// Lost: waiting for the next attempt, or trying.
    Reconnecting,
    /// The camera refuses the user name and password; it's retried after minutes.
    Refused,
    /// Failed for good: its configuration is wrong, or its model can't be opened.
    Failed,
    /// Stopped on request.
    Stopped,
}

impl CameraState {
    /// Every state, for counters that have one series for each.
    pub const ALL: [Self; 7] =
        [Self::Starting, Self::Playing, Self::Stalled, Self::Reconnecting, Self::Refused, Self::Failed, Self::Stopped];

    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Playing => "playing",
            Self::Stalled => "stalled",
            Self::Reconnecting => "reconnecting",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// The counts of one camera, since the program's start and over all its connections: they never go back.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Camera {
    /// The name in the configuration; unique in the process.
    pub name: String,
    pub state: CameraState,
    /// Why it isn't playing. Without secrets: every user of the monitor sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The host has it and has no room for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unserved: bool,
    /// Frames that came out at the pipeline's end.
    pub frames: u64,
    /// Objects in those frames.
    pub objects: u64,
    /// Frames dropped on the way, by full queues or because the models were busy.
    pub drops: u64,
    /// Lines of JSON that outputs dropped because their reader was behind or away.
    pub lines_dropped: u64,
    /// Connections made after the first one.
    pub reconnects: u64,
    /// The latency from a frame's arrival in the process to the end of the pipeline.
    pub latency: Latency,
    /// Only where clips of events are recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clips: Option<ClipCounts>,
    /// What has been counted in zones and on lines, in the order of the configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<Place>,
}

/// A zone or a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Unique among those of the camera.
    pub name: String,
    #[serde(flatten)]
    pub count: Count,
}

/// What has been counted there, of all classes. Totals begin anew where the zone or line is changed, or the camera's pipeline is
/// made anew without a state file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Count {
    Zone {
        occupancy: u32,
        entered: u64,
        left: u64,
    },
    Line {
        #[serde(rename = "in")]
        inwards: u64,
        #[serde(rename = "out")]
        outwards: u64,
    },
}

/// A camera's clips.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ClipCounts {
    /// What is kept in memory of what the camera has sent: bytes, and seconds.
    pub buffer_bytes: u64,
    pub buffer_s: f64,
    /// Files that were written.
    pub written: u64,
    /// Events and commands whose clip wasn't written, or not to its end.
    pub lost: u64,
}

/// How long frames took.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Latency {
    /// Percentiles of the last 5 to 10 seconds, milliseconds; `None` without a frame in that time.
    pub p50: Option<f64>,
    pub p95: Option<f64>,
    pub p99: Option<f64>,
    /// The sum over all frames since the start, seconds.
    pub sum: f64,
    /// Since the start: how many frames took at most each of [`BUCKETS`] and longer than the bound before; the last
    /// count is for longer latencies.
    pub counts: [u64; BUCKETS.len() + 1],
}

impl Latency {
    /// Frames measured since the start.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}
