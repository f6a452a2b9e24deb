//! What a `config.json` means: everything checked, defaults filled in, overrides applied, units converted. What
//! `gst-trt run` builds pipelines from; it never looks at the file's keys.
//!
//! Two plans compare by value, so that a changed file says which cameras changed.

use super::secret::{Secret, SecretUrl};
use crate::infer::{Backend, Precision};
use crate::model::head::HeadChoice;
use crate::model::{GpuFacts, Rect, join_labels};
use crate::tensorrt::{BuildSettings, EnginePrecision};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

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

/// Of a thread. Where the system doesn't permit it: a warning, and `Normal`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Tcp,
    Udp,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    H264,
    H265,
}

impl Codec {
    /// As [`crate::cuda::CodecCaps`] names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::H264 => "H.264",
            Self::H265 => "HEVC",
        }
    }
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

/// A model of a camera: the settings of its element.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// `model-id`: `detection` or `pose`.
    pub id: &'static str,
    pub onnx: PathBuf,
    /// Where its engine is kept.
    pub engine: PathBuf,
    pub labels: Option<PathBuf>,
    /// How its outputs are read.
    pub head: HeadChoice,
    pub precision: Precision,
    /// MiB (`TENSORRT_WORKSPACE_SIZE` is in GB).
    pub workspace: u32,
    /// Most images a batch (`GPU_BATCH_SIZE`).
    pub batch_size: u32,
    /// How long a frame waits for other cameras' that are due (`PIPELINE_QUEUE_TIMEOUT_MS`).
    pub batch_timeout: Duration,
    /// Frames passed on uninferred after each inferred one.
    pub interval: u32,
    /// Whether a frame may pass uninferred while the engine is behind.
    pub skip_when_busy: bool,
    pub look: Look,
    /// Parts of the frame, as fractions of it; none: all of it.
    pub regions: Vec<Rect>,
    /// 0–1.
    pub confidence: f32,
    /// By label or number, 0–1.
    pub class_confidence: BTreeMap<String, f32>,
    /// 0–1.
    pub iou: f32,
    /// By label or number; none: all.
    pub classes: Vec<String>,
    pub max_detections: u32,
    /// Least and greatest box, width and height in frame pixels; 0: no limit.
    pub min_size: (u32, u32),
    pub max_size: (u32, u32),
}

/// Where a model looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// The frame, or its regions.
    Frame,
    /// Objects that the model before found, of these labels; none: all.
    Objects(Vec<String>),
}

impl Model {
    /// How its engine is built.
    pub fn build_settings(&self, gpu: Option<&GpuFacts>) -> BuildSettings {
        let precision = if self.precision == Precision::Fp32 { EnginePrecision::Fp32 } else { EnginePrecision::Fp16 };
        BuildSettings {
            precision,
            batch_size: self.batch_size,
            workspace: self.workspace,
            ..BuildSettings::for_gpu(gpu)
        }
    }

    /// The element's properties as name and text, for `set_property_from_str`: first those that may only be set before it
    /// starts. `device` is the camera's GPU.
    pub fn properties(&self, plan: &Plan, device: u32) -> Vec<(&'static str, String)> {
        let mut set = vec![
            (
                "backend",
                match plan.pipeline.backend() {
                    Backend::TensorRt => "tensorrt".to_owned(),
                    Backend::Cpu => "cpu".to_owned(),
                },
            ),
            ("model", self.onnx.display().to_string()),
            ("model-id", self.id.to_owned()),
            ("batch-size", self.batch_size.to_string()),
        ];
        if let Some(labels) = &self.labels {
            set.push(("labels", labels.display().to_string()));
        }
        if self.head != HeadChoice::Auto {
            set.push(("head", self.head.nick().to_owned()));
        }
        if plan.pipeline == Pipeline::UnifiedGpu {
            let precision = if self.precision == Precision::Fp32 { "fp32" } else { "fp16" };
            set.push(("engine-file", self.engine.display().to_string()));
            set.push(("device-id", device.to_string()));
            set.push(("precision", precision.to_owned()));
            set.push(("workspace-size", self.workspace.to_string()));
            if let Some(folder) = &plan.engine_cache {
                set.push(("engine-cache", folder.display().to_string()));
            }
        }
        set.extend(self.live_properties());
        set
    }

    /// Those of [`Self::properties`] that may change while playing.
    pub fn live_properties(&self) -> Vec<(&'static str, String)> {
        let size = |(width, height): (u32, u32)| format!("{width}x{height}");
        let class_confidence = self.class_confidence.iter().map(|(k, v)| format!("{k}={v}"));
        let regions: Vec<_> = self.regions.iter().map(|r| format!("{},{},{},{}", r.x, r.y, r.w, r.h)).collect();
        let (look, labels) = match &self.look {
            Look::Frame => ("frame", String::new()),
            Look::Objects(labels) => ("objects", join_labels(labels)),
        };
        vec![
            ("batch-timeout", crate::infer::nanoseconds(self.batch_timeout).to_string()),
            ("interval", self.interval.to_string()),
            ("skip-when-busy", self.skip_when_busy.to_string()),
            ("inference-region", look.to_owned()),
            ("object-classes", labels),
            ("roi", regions.join(";")),
            ("confidence", self.confidence.to_string()),
            ("class-confidence", join_labels(class_confidence)),
            ("iou", self.iou.to_string()),
            ("classes", join_labels(&self.classes)),
            ("max-detections", self.max_detections.to_string()),
            ("min-size", size(self.min_size)),
            ("max-size", size(self.max_size)),
        ]
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Qos {
    AtMostOnce,
    AtLeastOnce,
    ExactlyOnce,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
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
            Self::Error => gst::DebugLevel::Error,
            Self::Warning => gst::DebugLevel::Warning,
            Self::Info => gst::DebugLevel::Info,
            Self::Debug => gst::DebugLevel::Debug,
            Self::Trace => gst::DebugLevel::Trace,
        }
    }
}
