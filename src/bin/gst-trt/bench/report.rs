//! The results, in the form of the JSON.

use serde::Serialize;

/// The results of one call.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    pub machine: Machine,
    pub detector: Option<Alone>,
    pub pose: Option<Alone>,
    pub rows: Vec<Row>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<Peer>,
}

/// The machine and the settings of the measurement.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Machine {
    pub backend: String,
    /// The GPU's name, or the processor's with `backend=cpu`.
    pub device: String,
    pub driver: Option<String>,
    pub gstreamer: String,
    pub cores: usize,
    pub clip: String,
    pub latency_clip: String,
    pub seconds: f64,
    /// How long a frame waits for those of other streams.
    pub batch_timeout_ms: f64,
}

/// A model alone, with its runs back to back.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Alone {
    pub engine: String,
    /// Why it couldn't be measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    pub batches: Vec<BatchTime>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BatchTime {
    pub batch: usize,
    pub milliseconds: f64,
    /// R(b)
    pub fps: f64,
}

impl Alone {
    /// The milliseconds of a launch with this many images: that of the smallest batch size that fits them.
    pub fn milliseconds(&self, images: usize) -> Option<f64> {
        self.batches.iter().find(|time| time.batch >= images).map(|time| time.milliseconds)
    }

    /// Frames per second of the largest batch.
    pub fn best(&self) -> Option<BatchTime> {
        self.batches.last().copied()
    }
}

/// What a row runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Decoding alone, in the CUDA context that this plugin's elements share.
    Decode,
    /// Decoding alone, in contexts that GStreamer makes itself.
    DecodeOwnContext,
    Detection,
    DetectionAndPose,
    /// Every anchor passes the threshold.
    WorstCase,
    /// Detection and pose, published as JSON Lines.
    Published,
    /// Detection and pose, with a tracker, eight zones and four lines.
    Tracked,
    /// The same, with as many streams as keep the clip's rate.
    Held,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode alone",
            Self::DecodeOwnContext => "decode alone, GStreamer's contexts",
            Self::Detection => "detection",
            Self::DetectionAndPose => "detection + pose",
            Self::WorstCase => "worst case (confidence 0)",
            Self::Published => "detection + pose, published",
            Self::Tracked => "detection + pose, tracked",
            Self::Held => "cameras held, tracked",
        }
    }

    pub fn infers(self) -> bool {
        !matches!(self, Self::Decode | Self::DecodeOwnContext)
    }

    pub fn has_pose(self) -> bool {
        matches!(self, Self::DetectionAndPose | Self::Published) || self.has_zones()
    }

    pub fn has_zones(self) -> bool {
        matches!(self, Self::Tracked | Self::Held)
    }
}

/// The result of one run.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub kind: Kind,
    pub streams: usize,
    /// Frames come at the clip's own rate, with the streams' phases spread; else as fast as possible.
    pub paced: bool,
    /// Frames that each model skips after one that it looks at.
    pub interval: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    pub frames: u64,
    /// Frames per second over all streams.
    pub fps: f64,
    /// What the clip has, of one stream.
    pub clip_fps: Option<f64>,
    /// The mean number of images per launch of the detector.
    pub batch: f64,
    /// Candidates per frame, over all models.
    pub candidates: f64,
    pub objects: f64,
    /// R: frames per second if the engines ran the same launches back to back.
    pub engine_fps: Option<f64>,
    /// D: decoding the same number of streams alone.
    pub decode_fps: Option<f64>,
    pub own_cpu: Option<OwnCpu>,
    /// CPU time of tracker and zones, microseconds a frame.
    pub tracking_us: Option<f64>,
    /// CPU time of the process, microseconds a frame.
    pub process_cpu_us: f64,
    /// Busy cores per stream.
    pub cores_per_stream: f64,
    /// Bytes per frame that this plugin copied.
    pub to_host: Option<f64>,
    /// Those of them that are bits of masks.
    pub masks: f64,
    pub to_device: Option<f64>,
    pub latency: Option<Latency>,
    /// The process's CPU time over that of decoding alone: the median of the pairs; paced rows of the CPU part.
    pub over_decode: Option<f64>,
    /// The same over decoding alone in contexts that GStreamer makes itself, as pipelines without this plugin do.
    pub over_own_decode: Option<f64>,
    pub verdicts: Vec<Verdict>,
}

impl Row {
    /// What is run, and how.
    pub fn name(&self) -> String {
        let interval = if self.kind == Kind::Held { format!(", interval {}", self.interval) } else { String::new() };
        format!("{}{interval}{}", self.kind.name(), if self.paced { ", paced" } else { "" })
    }
}

/// CPU time of this plugin, microseconds a frame.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct OwnCpu {
    /// The threads that run batches.
    pub lanes_us: f64,
    /// The tasks of our elements' source pads, including everything downstream of them, and the writers of lines.
    pub pads_us: f64,
    /// Our code in the decoders' threads.
    pub decoders_us: f64,
}

impl OwnCpu {
    pub fn total(&self) -> f64 {
        self.lanes_us + self.pads_us + self.decoders_us
    }
}

/// From the detector's sink pad to the last model's source pad, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    /// E: the engines' time for the largest batches launched.
    pub engine: Option<f64>,
}

/// A requirement, and whether it was met.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// `fps ≥ 0.95 · min(R, D)`
    pub requirement: String,
    pub value: f64,
    pub bound: f64,
    pub outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Held,
    Missed,
    /// Fewer than ten objects a frame, so that post-processing cost nothing.
    Void,
}

/// Another system on the same clip, detection and pose.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Peer {
    pub fps: f64,
    /// CPU milliseconds a frame.
    pub cpu_ms: f64,
}
