//! What a `config.json` means: everything checked, defaults filled in, overrides applied, units converted. What
//! `gst-trt run` builds pipelines from; it never looks at the file's keys.
//!
//! Two plans compare by value, so that a changed file says which cameras changed.

use super::codec::Codec;
use super::secret::{Secret, SecretUrl};
use crate::gpu;
use crate::infer::{Backend, ModelSettings};
use crate::options::InferenceOptions;
use gst::glib;
use model::GpuFacts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tensorrt::BuildSettings;

/// A whole `config.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub pipeline: Pipeline,
    /// In the file's order; names are unique.
    pub cameras: Vec<Camera>,
    /// Most cameras at once (`UNIFIED_PIPELINE_THREADS`): at least as many as there are; unset, and on the CPU,
    /// `usize::MAX`.
    pub max_cameras: usize,
    /// Most decoded frames that wait between a camera's decoder and its first model (`MAX_QUEUE_SIZE`).
    pub queue_size: u32,
    /// Surfaces that a decoder may have out at once beside those it needs itself (`NVDEC_BUFFER_SIZE`).
    pub decoder_surfaces: u32,
    pub decoder: Decoder,
    /// Most GPU memory for decoded frames that wait, in bytes, over all cameras of a GPU
    /// (`GPU_MEMORY_POOL_SIZE_MB` while `ENABLE_MEMORY_POOLING`). `None`: what `queue_size` allows.
    pub frame_memory: Option<u64>,
    pub threads: Threads,
    pub reconnect: Reconnect,
    /// TensorRT's library or its folder; `None`: found as the elements find it.
    pub tensorrt_library: Option<PathBuf>,
    /// Folder of the engine cache; `None`: the user's.
    pub engine_cache: Option<PathBuf>,
    pub monitoring: Monitoring,
}

/// Which kind of pipeline every camera gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pipeline {
    /// Frames stay in GPU memory: `backend=tensorrt`.
    UnifiedGpu,
    /// The rollback: software decoder, `backend=cpu`.
    Cpu,
}

impl Pipeline {
    pub fn backend(self) -> Backend {
        match self {
            Self::UnifiedGpu => Backend::TensorRt,
            Self::Cpu => Backend::Cpu,
        }
    }
}

/// Where video is decoded. Never changed while running: no fallback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoder {
    /// `nvh264dec` and its kin, into GPU memory.
    Nvdec,
    /// `avdec_h264` and its kin; before GPU models the frames go through `cudaupload`.
    Software,
}

/// What threads of a camera are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threads {
    /// Pin each camera's threads to a core of its own, round robin (`USE_THREAD_AFFINITY`).
    pub affinity: bool,
    /// Of every streaming thread but the decoder's (`THREAD_PRIORITY`).
    pub priority: Priority,
    /// Of the thread that drives the decoder (`DECODER_THREAD_PRIORITY`).
    pub decoder_priority: Priority,
}

/// LOW: nice 10. HIGH: nice -10. REALTIME: SCHED_RR 10.
// Of a thread. Where the system doesn't permit it: a warning, and `Normal`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Priority {
    Low,
    Normal,
    High,
    Realtime,
}

impl Priority {
    /// Under the ordinary scheduler.
    pub fn nice(self) -> i32 {
        match self {
            Self::Low => 10,
            Self::Normal | Self::Realtime => 0,
            Self::High => -10,
        }
    }

    /// Under `SCHED_RR`, 1 to 99; `None`: the ordinary scheduler. Low, so that the system's own threads go first.
    pub fn realtime(self) -> Option<i32> {
        (self == Self::Realtime).then_some(10)
    }
}

/// How a camera that has gone comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconnect {
    /// The first wait; doubled after each failure, with jitter.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
    /// Without a frame for this long, a camera counts as gone.
    pub stall: Duration,
}

/// One camera, with all that it doesn't share.
#[derive(Debug, Clone, PartialEq)]
pub struct Camera {
    /// Unique; of letters, digits, `-`, `_` and `.`, so that it may be part of file names and topics.
    pub name: String,
    pub source: Source,
    /// What the file says of the stream; the stream itself is believed more.
    pub hint: Hint,
    pub gpu: Gpu,
    /// `trtdetect`; `None`: without.
    pub detection: Option<Model>,
    /// `trtpose`, after detection; `None`: without.
    pub pose: Option<Model>,
    pub outputs: Outputs,
}

impl Camera {
    /// Its models, in the order in which they run.
    pub fn models(&self) -> impl Iterator<Item = &Model> {
        self.detection.iter().chain(&self.pose)
    }
}

/// Where a camera's pictures come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    Rtsp {
        /// `rtsp://` or `rtsps://`.
        url: SecretUrl,
        transport: Transport,
        /// The jitter buffer's depth.
        latency: Duration,
    },
    File {
        path: PathBuf,
        /// From the beginning again at its end.
        looping: bool,
    },
    /// `videotestsrc`, live, for trials.
    Test {
        /// A nick of its property `pattern`.
        pattern: String,
        size: (u32, u32),
        framerate: f64,
    },
}

impl Source {
    /// For people: the address without its secrets.
    pub fn label(&self) -> String {
        match self {
            Self::Rtsp { url, .. } => url.to_string(),
            Self::File { path, .. } => path.display().to_string(),
            Self::Test { pattern, .. } => format!("test:{pattern}"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    Tcp,
    Udp,
}

impl Transport {
    /// As `rtspsrc` takes it for its property `protocols`.
    pub fn nick(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// What the file says of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Hint {
    pub codec: Option<Codec>,
    /// Width and height, pixels.
    pub size: Option<(u32, u32)>,
    /// Frames per second.
    pub framerate: Option<f64>,
}

/// Which GPU a camera's pictures are decoded and looked at on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Gpu {
    /// The one with the fewest cameras.
    Auto,
    /// After CUDA_VISIBLE_DEVICES.
    Index(u32),
    /// As `nvidia-smi -L` shows it: `GPU-…` or `MIG-…`; its beginning will do.
    Uuid(String),
}

/// A model of a camera.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// `model-id`: `detection` or `pose`.
    pub id: &'static str,
    pub onnx: PathBuf,
    /// Where its engine is kept.
    pub engine: PathBuf,
    /// What is asked of it, whichever pipeline runs it: see [`Self::options_in`].
    pub options: InferenceOptions,
}

impl Model {
    /// How its engine is built.
    pub fn build_settings(&self, gpu: Option<&GpuFacts>) -> BuildSettings {
        let InferenceOptions { precision, batch_size, workspace_size, .. } = self.options;
        gpu::build_settings(&ModelSettings { precision, batch_size, workspace_size, ..ModelSettings::default() }, gpu)
    }

    /// What its element is told. `device` is the camera's GPU.
    pub fn options_in(&self, plan: &Plan, device: u32) -> InferenceOptions {
        let options = InferenceOptions {
            backend: plan.pipeline.backend(),
            model: Some(self.onnx.clone()),
            model_id: Some(self.id.to_owned()),
            ..self.options.clone()
        };
        match plan.pipeline {
            Pipeline::UnifiedGpu => InferenceOptions {
                engine_file: Some(self.engine.clone()),
                device_id: device,
                engine_cache: plan.engine_cache.clone(),
                ..options
            },
            Pipeline::Cpu => {
                let InferenceOptions { precision, workspace_size, .. } = InferenceOptions::default();
                InferenceOptions { precision, workspace_size, ..options }
            }
        }
    }
}

/// Where a camera's results go. Cameras whose targets are equal share them: one file, one connection.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outputs {
    /// JSON Lines.
    pub lines: Vec<LinesTarget>,
    pub mqtt: Option<Mqtt>,
    pub pictures: Option<Pictures>,
    pub segments: Option<Segments>,
}

impl Outputs {
    /// Whether frames have to be drawn on.
    pub fn need_drawing(&self) -> bool {
        self.pictures.is_some() || self.segments.is_some()
    }
}

/// Where JSON Lines go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LinesTarget {
    Stdout,
    /// Added to, never emptied. `{camera}` is filled in.
    File(PathBuf),
    /// This program connects.
    Tcp {
        host: String,
        port: u16,
    },
}

/// A broker, and what is said to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mqtt {
    pub broker: Broker,
    /// Of this camera; `{camera}` is filled in.
    pub topic: String,
    pub qos: Qos,
    pub retain: bool,
}

/// What cameras of one connection have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Broker {
    pub host: String,
    pub port: u16,
    /// `None`: unencrypted.
    pub tls: Option<Tls>,
    pub username: Option<String>,
    pub password: Option<Secret>,
    /// `None`: made of the program's name, the machine's and the process id.
    pub client_id: Option<String>,
    /// `online` (retained) after connecting, `offline` at the end and as last will.
    pub status_topic: String,
    pub keep_alive: Duration,
    /// Most messages kept while the broker is away; the oldest go first.
    pub offline_queue: usize,
}

/// Files in PEM.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Tls {
    /// Authorities to trust; `None`: the system's.
    pub ca: Option<PathBuf>,
    /// This client's certificate and key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// How sure the delivery to an MQTT broker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, glib::Enum)]
#[enum_type(name = "GstTrtPublishQos")]
#[repr(i32)]
pub enum Qos {
    /// Sent once and forgotten.
    #[enum_value(name = "At most once (0): sent and forgotten", nick = "at-most-once")]
    AtMostOnce = 0,
    /// Sent again, on the next connection if need be, until the broker has confirmed it; it can arrive twice.
    #[default]
    #[enum_value(name = "At least once (1): sent until the broker has confirmed it", nick = "at-least-once")]
    AtLeastOnce = 1,
    /// By the protocol's longer handshake once on a connection; after a reconnect it can arrive twice.
    #[enum_value(name = "Exactly once (2): once on a connection, by a longer handshake", nick = "exactly-once")]
    ExactlyOnce = 2,
}

/// JPEGs: the last annotated frame of the camera (`CAMERA.jpg`), and one when a class appears
/// (`CAMERA/TIME-CLASS.jpg`).
#[derive(Debug, Clone, PartialEq)]
pub struct Pictures {
    pub folder: PathBuf,
    /// Time between two of the last frame's.
    pub every: Duration,
    /// Labels whose appearance is kept; none: no such pictures.
    pub classes: Vec<String>,
    /// A class has appeared when it wasn't there for this long.
    pub absence: Duration,
    /// 1–100
    pub quality: u8,
    /// Bytes of a camera's pictures; the oldest go first.
    pub limit: u64,
}

/// Annotated MP4 files (`CAMERA/TIME.mp4`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segments {
    pub folder: PathBuf,
    pub length: Duration,
    /// kbit/s
    pub bitrate: u32,
    /// Bytes of a camera's segments; the oldest go first.
    pub limit: u64,
}

/// What is told of the program itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Monitoring {
    /// Where Prometheus may ask; `None`: nowhere.
    pub metrics: Option<SocketAddr>,
    /// Time between two rows of `monitor`.
    pub every: Duration,
    /// Above this much CPU of the machine, percent, `monitor` warns.
    pub cpu_warning: f64,
    pub log_level: LogLevel,
}

/// Python's names are taken too: CRITICAL is ERROR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LogLevel {
    Critical,
    Error,
    Warning,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    /// GStreamer's, for this plugin's debug categories.
    pub fn gst(self) -> gst::DebugLevel {
        match self {
            Self::Critical | Self::Error => gst::DebugLevel::Error,
            Self::Warning => gst::DebugLevel::Warning,
            Self::Info => gst::DebugLevel::Info,
            Self::Debug => gst::DebugLevel::Debug,
            Self::Trace => gst::DebugLevel::Trace,
        }
    }
}
