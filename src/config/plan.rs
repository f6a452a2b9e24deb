//! The meaning of a `config.json`: everything checked, defaults filled in, overrides applied, units converted. `gst-trt
//! run` builds pipelines from it, and never uses the file's keys.
//!
//! Plans compare by value, which shows what cameras a changed file changes.

use super::codec::Codec;
use super::delivery::{Format, SaslMechanism};
use super::secret::{Secret, SecretUrl};
use crate::gpu;
use crate::infer::{Backend, ModelSettings};
use crate::options::{InferenceOptions, TrackingOptions, ZonesOptions};
use gst::glib;
use model::GpuFacts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tensorrt::BuildSettings;
use tracking::zones::ZonesConfig;

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
    /// Surfaces of a decoder that may be in use at once, besides those that it needs itself (`NVDEC_BUFFER_SIZE`).
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

/// Where video is decoded. This never changes while running: there is no fallback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoder {
    /// `nvh264dec` and similar elements, into GPU memory.
    Nvdec,
    /// `avdec_h264` and similar elements; before GPU models the frames go through `cudaupload`.
    Software,
}

/// The scheduling of a camera's threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threads {
    /// Pin each camera's threads to a core, round robin (`USE_THREAD_AFFINITY`).
    pub affinity: bool,
    /// The priority of every streaming thread but the decoder's (`THREAD_PRIORITY`).
    pub priority: Priority,
    /// The priority of the thread that drives the decoder (`DECODER_THREAD_PRIORITY`).
    pub decoder_priority: Priority,
}

/// LOW: nice 10. HIGH: nice -10. REALTIME: SCHED_RR 10.
// If the system doesn't permit a priority there is a warning, and the thread runs as `Normal`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Priority {
    Low,
    Normal,
    High,
    Realtime,
}

impl Priority {
    /// The nice value under the ordinary scheduler.
    pub fn nice(self) -> i32 {
        match self {
            Self::Low => 10,
            Self::Normal | Self::Realtime => 0,
            Self::High => -10,
        }
    }

    /// The priority under `SCHED_RR`, 1 to 99; `None`: the ordinary scheduler. It's low, so that the system's own
    /// threads take precedence.
    pub fn realtime(self) -> Option<i32> {
        (self == Self::Realtime).then_some(10)
    }
}

/// How a lost camera is reconnected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconnect {
    /// The first delay; it's doubled after each failure, with jitter.
    pub first: Duration,
    /// The longest delay.
    pub longest: Duration,
    /// A camera without a frame for this long counts as lost.
    pub stall: Duration,
}

/// One camera, with everything that it doesn't share.
#[derive(Debug, Clone, PartialEq)]
pub struct Camera {
    /// Unique; of letters, digits, `-`, `_` and `.`, so that it may be part of file names and topics.
    pub name: String,
    pub source: CameraSource,
    /// The file's description of the stream; the stream itself takes precedence.
    pub hint: Hint,
    pub gpu: Gpu,
    /// The model of `trtdetect`; `None`: there is none.
    pub detection: Option<Model>,
    /// The model of `trtpose`, after detection; `None`: there is none.
    pub pose: Option<Model>,
    /// The model of `trtclassify`, after those; `None`: there is none.
    pub classification: Option<Model>,
    /// The settings of `trttrack`, behind the model that finds objects; `None`: there is none.
    pub tracker: Option<Tracker>,
    /// What `trtzones` watches; `None`: there is none.
    pub zones: Option<Zones>,
    pub outputs: Outputs,
}

impl Camera {
    /// Its models.
    pub fn models(&self) -> impl Iterator<Item = &Model> {
        let reid = self.tracker.iter().filter_map(|tracker| tracker.reid.as_ref());
        self.detection.iter().chain(&self.pose).chain(&self.classification).chain(reid)
    }
}

/// The tracker of a camera.
#[derive(Debug, Clone, PartialEq)]
pub struct Tracker {
    /// Without the model.
    pub options: TrackingOptions,
    /// The model for re-identification; `None`: there is none.
    pub reid: Option<Model>,
}

impl Tracker {
    /// The options of its element. `device` is the camera's GPU.
    pub fn options_in(&self, plan: &Plan, device: u32) -> TrackingOptions {
        let reid = self.reid.as_ref().map_or_else(TrackingOptions::reid, |model| model.options_in(plan, device));
        // Only this plugin's elements are in these pipelines.
        TrackingOptions { reid, roi_meta: false, analytics_meta: false, ..self.options.clone() }
    }
}

/// The zones and lines of a camera.
#[derive(Debug, Clone, PartialEq)]
pub struct Zones {
    pub config: ZonesConfig,
    /// Where totals are kept over a restart.
    pub state_file: Option<PathBuf>,
}

impl Zones {
    /// The options of its element.
    pub fn options(&self) -> ZonesOptions {
        // This fails only for maps whose keys aren't strings.
        let zones = serde_json::to_string(&self.config).unwrap_or_default();
        ZonesOptions { zones: Some(zones), state_file: self.state_file.clone(), ..ZonesOptions::default() }
    }
}

/// Where a camera's pictures come from.
#[derive(Debug, Clone, PartialEq)]
pub enum CameraSource {
    Rtsp {
        /// `rtsp://` or `rtsps://`.
        url: SecretUrl,
        transport: Transport,
        /// The latency of the jitter buffer.
        latency: Duration,
    },
    File {
        path: PathBuf,
        /// Restarts from the beginning at the end.
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

impl CameraSource {
    /// The address without its secrets, for messages.
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
    /// The value of `rtspsrc`'s property `protocols`.
    pub fn nick(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// The file's description of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Hint {
    pub codec: Option<Codec>,
    /// Width and height, pixels.
    pub size: Option<(u32, u32)>,
    /// Frames per second.
    pub framerate: Option<f64>,
}

/// The GPU on which a camera's pictures are decoded and inferred.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Gpu {
    /// The one with the fewest cameras.
    Auto,
    /// The index within CUDA_VISIBLE_DEVICES.
    Index(u32),
    /// The UUID as `nvidia-smi -L` shows it: `GPU-…` or `MIG-…`; a prefix of it is enough.
    Uuid(String),
}

/// A model of a camera.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// `model-id`: `detection`, `pose` or `classification`; that of re-identification is `tracker`. It is also the name of the
    /// element that runs it.
    pub id: &'static str,
    pub onnx: PathBuf,
    /// The path of its engine.
    pub engine: PathBuf,
    /// Its settings, independent of the pipeline that runs it: see [`Self::options_in`].
    pub options: InferenceOptions,
}

impl Model {
    /// The settings with which its engine is built.
    pub fn build_settings(&self, gpu: Option<&GpuFacts>) -> BuildSettings {
        let InferenceOptions { precision, batch_size, workspace_size, .. } = self.options;
        gpu::build_settings(&ModelSettings { precision, batch_size, workspace_size, ..ModelSettings::default() }, gpu)
    }

    /// The options of its element. `device` is the camera's GPU.
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
    pub kafka: Option<Kafka>,
    pub redis: Option<Redis>,
    pub pictures: Option<Pictures>,
    pub segments: Option<Segments>,
    pub clips: Option<Clips>,
    /// Of lines.
    pub content: Content,
    /// Of lines.
    pub format: Format,
    /// In lines and messages.
    pub masks: MaskFormat,
}

impl Outputs {
    /// Whether any output needs annotated frames.
    pub fn need_drawing(&self) -> bool {
        self.pictures.is_some() || self.segments.is_some()
    }
}

/// Where JSON Lines go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LinesTarget {
    Stdout,
    /// The file is appended to, never truncated. `{camera}` is filled in.
    File(PathBuf),
    /// This program connects to the address.
    Tcp {
        host: String,
        port: u16,
    },
}

/// Where a server is, and how to get in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Server {
    /// Host and port of each; MQTT and Redis have one.
    pub hosts: Vec<(String, u16)>,
    /// `None`: unencrypted.
    pub tls: Option<Tls>,
    pub username: Option<String>,
    pub password: Option<Secret>,
    /// Most lines kept while the server is unavailable; the oldest are dropped first.
    pub offline_queue: usize,
}

/// A Kafka cluster, and the messages to it. Their key is the camera's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kafka {
    pub brokers: Server,
    pub mechanism: SaslMechanism,
    pub topic: String,
    pub events_topic: String,
    pub content: Content,
    pub format: Format,
}

/// A Redis server, and the entries that are added to its streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redis {
    pub server: Server,
    /// The stream of this camera; `{camera}` is filled in.
    pub stream: String,
    pub events_stream: String,
    pub content: Content,
    pub format: Format,
    /// About how many entries a stream keeps.
    pub max_length: u32,
}

/// A broker, and the messages to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mqtt {
    pub broker: Broker,
    /// The topics of this camera; `{camera}` is filled in.
    pub topic: String,
    pub events_topic: String,
    pub content: Content,
    pub format: Format,
    pub qos: Qos,
    pub retain: bool,
}

/// The settings that cameras of one connection share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Broker {
    /// It has one host.
    pub server: Server,
    /// `None`: made from the program's name, the machine's and the process id.
    pub client_id: Option<String>,
    /// `online` (retained) after connecting, `offline` at the end and as last will.
    pub status_topic: String,
    pub keep_alive: Duration,
}

impl Broker {
    /// Adds the name of `host` to the client id and the status topic: the hosts of a fleet have one configuration, and a broker
    /// needs to tell its clients apart.
    pub fn of_host(&mut self, host: &str) {
        if let Some(id) = &mut self.client_id {
            *id = format!("{id}-{host}");
        }
        self.status_topic = format!("{}/{host}", self.status_topic);
    }
}

/// Files in PEM.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Tls {
    /// Authorities to trust; `None`: the system's.
    pub ca: Option<PathBuf>,
    /// This client's certificate and key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// How the masks of objects are written in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema, glib::Enum)]
#[serde(rename_all = "kebab-case")]
#[enum_type(name = "GstTrtPublishMaskFormat")]
#[repr(i32)]
pub enum MaskFormat {
    #[default]
    #[enum_value(name = "COCO's compressed run lengths of the frame's pixels", nick = "rle")]
    Rle,
    #[enum_value(name = "Rings of the outline, in pixels", nick = "polygon")]
    Polygon,
    #[enum_value(name = "No masks", nick = "none")]
    None,
}

/// objects: a line for each frame, with its objects. events: one for each event in a zone or on a line, and one with the totals
/// there. both: all of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize, JsonSchema, glib::Enum)]
#[serde(rename_all = "kebab-case")]
#[enum_type(name = "GstTrtPublishContent")]
#[repr(i32)]
pub enum Content {
    #[default]
    #[enum_value(name = "A line for each frame, with its objects", nick = "objects")]
    Objects,
    #[enum_value(name = "A line for each event of trtzones, and one with the totals there", nick = "events")]
    Events,
    #[enum_value(name = "Lines of frames, events and totals", nick = "both")]
    Both,
}

impl Content {
    /// Whether frames have lines.
    pub fn has_objects(self) -> bool {
        self != Self::Events
    }

    /// Whether events and totals have lines.
    pub fn has_events(self) -> bool {
        self != Self::Objects
    }
}

/// The quality of service of the delivery to an MQTT broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, glib::Enum)]
#[enum_type(name = "GstTrtPublishQos")]
#[repr(i32)]
pub enum Qos {
    /// Sent once, without confirmation.
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
    /// Time between two pictures of the last frame.
    pub every: Duration,
    /// Labels whose appearance is kept; none: no such pictures.
    pub classes: Vec<String>,
    /// A class has appeared when it was absent for this long.
    pub absence: Duration,
    /// 1–100
    pub quality: u8,
    /// Bytes of a camera's pictures; the oldest are removed first.
    pub limit: u64,
}

/// Annotated MP4 files (`CAMERA/TIME.mp4`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segments {
    pub folder: PathBuf,
    pub length: Duration,
    /// kbit/s
    pub bitrate: u32,
    /// Bytes of a camera's segments; the oldest are removed first.
    pub limit: u64,
}

/// What a camera has sent around events, as MP4 files (`CAMERA/TIME-RULE.mp4`) with a JSON file beside each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clips {
    pub folder: PathBuf,
    /// From the beginning of a clip to the event, and from the event to its end.
    pub before: Duration,
    pub after: Duration,
    /// The greatest length of a clip that further events prolong.
    pub longest: Duration,
    pub rules: Vec<ClipRule>,
    /// The MQTT topic whose messages start a clip, at the broker of [`Outputs::mqtt`]; `{camera}` is filled in.
    pub command_topic: Option<String>,
    /// The most memory for what a camera has sent, bytes.
    pub memory: u64,
    /// Bytes of a camera's clips; the oldest are removed first.
    pub limit: u64,
    /// The most clips of a camera.
    pub files: Option<u32>,
    /// The longest time for which clips are kept.
    pub age: Option<Duration>,
}

/// Which events start a clip or prolong it: those that fit everything that isn't empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClipRule {
    /// Of letters, digits, `-`, `_` and `.`, so that it may be part of file names.
    pub name: String,
    /// If there are neither zones nor lines, it's about all of them.
    pub zones: Vec<String>,
    pub lines: Vec<String>,
    pub events: Vec<ClipEvent>,
    pub direction: Option<ClipDirection>,
    pub classes: Vec<String>,
}

/// Kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClipEvent {
    Entered,
    Left,
    Loitering,
    Forbidden,
    Crowded,
    Dispersed,
    Crossed,
}

impl ClipEvent {
    /// The name in lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Entered => "entered",
            Self::Left => "left",
            Self::Loitering => "loitering",
            Self::Forbidden => "forbidden",
            Self::Crowded => "crowded",
            Self::Dispersed => "dispersed",
            Self::Crossed => "crossed",
        }
    }
}

/// In which direction a line is crossed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClipDirection {
    In,
    Out,
}

impl ClipDirection {
    /// The name in lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// What the program reports about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Monitoring {
    /// Where Prometheus may ask; `None`: nowhere.
    pub metrics: Option<SocketAddr>,
    /// Time between two rows of `monitor`.
    pub every: Duration,
    /// Above this CPU usage of the machine, percent, `monitor` warns.
    pub cpu_warning: f64,
    pub log_level: LogLevel,
}

/// Python's names are accepted too: CRITICAL is ERROR.
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
    /// GStreamer's level, for this plugin's debug categories.
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
