//! The keys of the file: those of the guide, and additional ones. The JSON Schema is made from these types, and
//! `docs/configuration.md` explains each key.

use super::codec::Codec;
use super::delivery::{Format, SaslMechanism};
use super::plan::{ClipDirection, ClipEvent, Content, LogLevel, MaskFormat, Priority, Transport};
use crate::options::InferenceRegion;
use ::tracking::Algorithm;
use ::tracking::zones::Anchor;
use merge::Merge;
use model::head::{ColorChoice, HeadChoice, ResizeChoice};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Configuration of gst-trt: what runs, where, on which cameras. docs/configuration.md explains each key.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(title = "config.json of gst-trt")]
pub struct File {
    /// For editors.
    #[serde(rename = "$schema")]
    pub schema: Option<String>,
    /// How frames are processed.
    pub processing: Processing,
    /// The models that run on frames.
    pub models: Models,
    /// Where frames come from.
    pub cameras: Cameras,
    /// Where results go.
    pub outputs: Outputs,
    /// What the program reports about itself.
    pub monitoring: Monitoring,
}

/// How frames are processed.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "SCREAMING_SNAKE_CASE")]
pub struct Processing {
    /// Frames stay in GPU memory from decoder to result. Unset: true, unless ENABLE_DECOUPLED_PIPELINE or
    /// ENABLE_MULTIPROCESSING is true.
    pub use_unified_gpu_pipeline: Option<bool>,
    /// The legacy pipeline: here the pipeline on the CPU. Excludes USE_UNIFIED_GPU_PIPELINE.
    pub enable_decoupled_pipeline: bool,
    /// One process serves all cameras. Excludes USE_UNIFIED_GPU_PIPELINE; without that it changes nothing.
    pub enable_multiprocessing: bool,
    /// Decode with the GPU's video decoder.
    pub enable_nvdec: bool,
    /// There is no fallback: a camera that NVDEC can't decode is an error.
    pub nvdec_fallback_to_cpu: bool,
    /// Scale, convert and normalise on the GPU.
    pub enable_gpu_preprocessing: bool,
    /// No step of a frame's processing may run on the CPU. Unset: as USE_UNIFIED_GPU_PIPELINE.
    pub force_gpu_only: Option<bool>,
    /// Decoded frames that may wait between a camera's decoder and its first model.
    #[schemars(range(min = 1, max = 1000))]
    pub max_queue_size: u32,
    /// Surfaces of a decoder that may be in use at once, besides those that it needs itself.
    #[schemars(range(min = 1, max = 32))]
    pub nvdec_buffer_size: u32,
    /// Most images in a batch, from all cameras.
    #[schemars(range(min = 1, max = 256))]
    pub gpu_batch_size: u32,
    /// Most cameras at once. Unset: as many as there are.
    #[schemars(range(min = 1, max = 4096))]
    pub unified_pipeline_threads: Option<u32>,
    /// Longest time in ms that a frame waits for other cameras' frames that are due.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub pipeline_queue_timeout_ms: f64,
    /// GPU memory in MiB for decoded frames that wait, over all cameras of a GPU. Unset: what MAX_QUEUE_SIZE allows.
    #[schemars(range(min = 1, max = 1048576))]
    pub gpu_memory_pool_size_mb: Option<u32>,
    /// Has no effect: frames come from pools of equal buffers, which never fragment.
    #[schemars(range(min = 0, max = 4294967295u32))]
    pub gpu_memory_defrag_interval: Option<u32>,
    /// Whether GPU_MEMORY_POOL_SIZE_MB applies.
    pub enable_memory_pooling: bool,
    /// Pin each camera's threads to a core.
    pub use_thread_affinity: bool,
    /// The priority of every streaming thread but the decoder's.
    pub thread_priority: Priority,
    /// The priority of the threads that drive decoders.
    pub decoder_thread_priority: Priority,
    /// Ids of objects, which stay from frame to frame.
    pub tracker: Tracker,
    /// How objects in zones and on lines are counted.
    pub counting: Counting,
}

impl Default for Processing {
    fn default() -> Self {
        Self {
            use_unified_gpu_pipeline: None,
            enable_decoupled_pipeline: false,
            enable_multiprocessing: false,
            enable_nvdec: true,
            nvdec_fallback_to_cpu: false,
            enable_gpu_preprocessing: true,
            force_gpu_only: None,
            max_queue_size: 20,
            nvdec_buffer_size: 5,
            gpu_batch_size: 2,
            unified_pipeline_threads: None,
            pipeline_queue_timeout_ms: 5.0,
            gpu_memory_pool_size_mb: None,
            gpu_memory_defrag_interval: None,
            enable_memory_pooling: true,
            use_thread_affinity: false,
            thread_priority: Priority::Normal,
            decoder_thread_priority: Priority::Normal,
            tracker: Tracker::default(),
            counting: Counting::default(),
        }
    }
}

/// Ids of objects, which stay from frame to frame. In a camera: what differs from `processing`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema, Merge)]
#[serde(default, rename_all = "SCREAMING_SNAKE_CASE")]
#[merge(strategy = merge::option::overwrite_none)]
pub struct Tracker {
    /// Whether there are ids. Unset: true if another key here is set, or the camera has zones or lines.
    pub enabled: Option<bool>,
    /// Unset: bytetrack.
    pub algorithm: Option<Algorithm>,
    /// For how many frames an object's track goes on without it being found. Unset: 30.
    #[schemars(range(min = 0, max = 100000))]
    pub max_age: Option<u32>,
    /// In how many frames in a row an object must be found before it counts. Unset: 2.
    #[schemars(range(min = 1, max = 1000))]
    pub min_hits: Option<u32>,
    /// Least intersection over union of an object and the box where it is expected. Unset: 0.2.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub iou: Option<f32>,
    /// Objects of at least this confidence are assigned to tracks first, and start tracks. Unset: 0.5.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub high_confidence: Option<f32>,
    /// Objects below this confidence get no track; CONFIDENCE of the model must be as low. Unset: 0.1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub low_confidence: Option<f32>,
    /// Let an object continue the track of another class. Unset: false.
    pub class_agnostic: Option<bool>,
    /// The ONNX file of a model for re-identification, by which objects that come back get their ids again. Unset: none.
    pub reid: Option<String>,
    /// Its engine. Unset: models/engines/NAME_fp16.engine.
    pub reid_engine: Option<String>,
    /// For how many seconds after it was last seen an object is recognised by its looks. Unset: 60.
    #[schemars(range(min = 0.0, max = 1000000.0))]
    pub reid_max_age_s: Option<f64>,
    /// Greatest cosine distance of what one object looks like. Unset: 0.25.
    #[schemars(range(min = 0.0, max = 2.0))]
    pub reid_distance: Option<f32>,
}

impl Tracker {
    /// Returns these settings, with unset ones taken from `base`.
    pub fn over(&self, base: &Self) -> Self {
        let (mut own, mut base) = (self.clone(), base.clone());
        if own.reid.is_some() {
            // It belongs to its ONNX.
            base.reid_engine = None;
        }
        own.merge(base);
        own
    }
}

/// How objects in zones and on lines are counted. In a camera: what differs from `processing`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema, Merge)]
#[serde(default, rename_all = "SCREAMING_SNAKE_CASE")]
#[merge(strategy = merge::option::overwrite_none)]
pub struct Counting {
    /// An object that gets another id within this many seconds after it was last seen is the same. Unset: 1.
    #[schemars(range(min = 0.0, max = 3600.0))]
    pub merge_s: Option<f64>,
    /// For how many seconds an object must be on the other side of a border before it counts. Unset: 0.1.
    #[schemars(range(min = 0.0, max = 3600.0))]
    pub settle_s: Option<f64>,
    /// How far behind a border an object must be, as a part of the frame's height. Unset: 0.02.
    #[schemars(range(min = 0.0, max = 0.5))]
    pub margin: Option<f32>,
    /// File in which totals are kept over a restart; {camera} is the camera's name. Unset: none.
    pub state_file: Option<String>,
}

impl Counting {
    /// Returns these settings, with unset ones taken from `base`.
    pub fn over(&self, base: &Self) -> Self {
        let mut own = self.clone();
        own.merge(base.clone());
        own
    }
}

/// The models that run on frames.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "SCREAMING_SNAKE_CASE")]
pub struct Models {
    /// Models run on TensorRT.
    pub enable_tensorrt: bool,
    /// Engines are built in FP16; false: FP32.
    pub tensorrt_fp16: bool,
    /// Scratch memory in GB that a layer may use while an engine is built.
    #[schemars(range(min = 0.001, max = 1024.0))]
    pub tensorrt_workspace_size: f64,
    /// No model may run on the CPU. Unset: as USE_UNIFIED_GPU_PIPELINE. Without that it changes nothing.
    pub force_gpu_only: Option<bool>,
    /// TensorRT's library or its folder. Unset: found as the elements find it.
    pub tensorrt_library: Option<String>,
    /// Folder of built engines that no ENGINE names. Unset: gst-tensorrt in the user's cache folder.
    pub engine_cache: Option<String>,
    /// Object detection, for every camera.
    pub detection: Model,
    /// Human pose, for every camera.
    pub pose: Model,
    /// Classes of the objects that detection and pose find, for every camera. It runs if it has an ONNX.
    pub classification: Model,
}

impl Default for Models {
    fn default() -> Self {
        Self {
            enable_tensorrt: true,
            tensorrt_fp16: true,
            tensorrt_workspace_size: 2.0,
            force_gpu_only: None,
            tensorrt_library: None,
            engine_cache: None,
            detection: Model::default(),
            pose: Model::default(),
            classification: Model::default(),
        }
    }
}

/// A model and its settings. In a camera: what differs from `models`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema, Merge)]
#[serde(default, rename_all = "SCREAMING_SNAKE_CASE")]
#[merge(strategy = merge::option::overwrite_none)]
pub struct Model {
    /// Whether it runs. Unset: true; classification: whether it has an ONNX.
    pub enabled: Option<bool>,
    /// The ONNX file. Unset: models/yolo12m.onnx, for pose models/yolo11m-pose.onnx; classification needs one.
    pub onnx: Option<String>,
    /// The engine that `gst-trt build` makes of it. Unset: models/engines/detection_fp16.engine and pose_fp16.engine for
    /// the ONNX files above, models/engines/NAME_fp16.engine for others.
    pub engine: Option<String>,
    /// File with one class name a line. Unset: the model's own names.
    pub labels: Option<String>,
    /// How the model's outputs are read, for a model whose file doesn't say so. Unset: auto.
    pub head: Option<HeadChoice>,
    /// How pixel values become the model's input: auto, unit (0 to 1), none (0 to 255), imagenet, or means and standard
    /// deviations of 0 to 255, "123.675,116.28,103.53/58.395,57.12,57.375". Unset: auto, as the head's family does.
    pub normalization: Option<String>,
    /// How frames are fitted into the model's input. Unset: auto, as the head's family does.
    pub resize: Option<ResizeChoice>,
    /// Order of the channels of the model's input. Unset: auto, as the head's family has them.
    pub color: Option<ColorChoice>,
    /// Least confidence of an object. Unset: 0.25.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub confidence: Option<f32>,
    /// Least confidence of single classes, by label or number.
    pub class_confidence: Option<BTreeMap<String, Fraction>>,
    /// Boxes of a class with more intersection over union are one object. Unset: 0.45.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub iou: Option<f32>,
    /// Only these classes, by label or number. Unset: all.
    pub classes: Option<Vec<String>>,
    /// Only these parts of the frame: left, top, width, height as fractions of it. Unset: all of it.
    pub regions: Option<Vec<[f32; 4]>>,
    /// Frames passed on without inference after each inferred one. Unset: 0.
    #[schemars(range(min = 0, max = 1000000))]
    pub interval: Option<u32>,
    /// Most objects of a frame. Unset: 300.
    #[schemars(range(min = 1, max = 100000))]
    pub max_detections: Option<u32>,
    /// Least width and height of a box in pixels. Unset: [0, 0].
    pub min_size: Option<[u32; 2]>,
    /// Greatest width and height of a box in pixels, 0 for no limit. Unset: [0, 0].
    pub max_size: Option<[u32; 2]>,
    /// frame, or objects: the boxes that detection found (top-down pose). Unset: frame; classification: objects.
    pub look_at: Option<InferenceRegion>,
    /// With LOOK_AT objects: only these, by label. Unset: all.
    pub object_classes: Option<Vec<String>>,
    /// Pass a frame on without inference while the engine is behind. Unset: false.
    pub skip_when_busy: Option<bool>,
    /// Only for classification: most classes of an object, or of a frame. Unset: 1.
    #[schemars(range(min = 1, max = 1000))]
    pub top_k: Option<u32>,
}

impl Model {
    /// Returns these settings, with unset ones taken from `base`.
    pub fn over(&self, base: &Self) -> Self {
        let (mut own, mut base) = (self.clone(), base.clone());
        if own.onnx.is_some() {
            // These belong to their ONNX: another ONNX doesn't inherit them.
            (base.engine, base.head) = (None, None);
            (base.normalization, base.resize, base.color) = (None, None, None);
        }
        own.merge(base);
        own
    }
}

/// From 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
pub struct Fraction(#[schemars(range(min = 0.0, max = 1.0))] pub f32);

/// Where frames come from.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "SCREAMING_SNAKE_CASE")]
pub struct Cameras {
    /// The cameras: an address each, or an object with more.
    pub rtsp_streams: Vec<Stream>,
    /// How RTSP cameras send.
    pub transport: Transport,
    /// Depth in ms of an RTSP camera's jitter buffer.
    #[schemars(range(min = 0, max = 60000))]
    pub latency_ms: u32,
    /// Seconds without a frame after which a camera is reconnected.
    #[schemars(range(min = 0.1, max = 3600.0))]
    pub stall_timeout_s: f64,
    /// Longest wait in seconds before a camera is retried; the first is half a second.
    #[schemars(range(min = 0.5, max = 3600.0))]
    pub reconnect_max_s: f64,
}

impl Default for Cameras {
    fn default() -> Self {
        Self {
            rtsp_streams: Vec::new(),
            transport: Transport::Tcp,
            latency_ms: 200,
            stall_timeout_s: 5.0,
            reconnect_max_s: 5.0,
        }
    }
}

/// An address, or a camera with more settings.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Stream {
    Url(String),
    Camera(Box<Camera>),
}

impl Stream {
    pub fn camera(&self) -> Camera {
        match self {
            Self::Url(url) => Camera { url: Some(url.clone()), ..Camera::default() },
            Self::Camera(camera) => Camera::clone(camera),
        }
    }
}

/// A camera.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "SCREAMING_SNAKE_CASE")]
pub struct Camera {
    /// rtsp://, rtsps://, file:// (or a path), or test:PATTERN for a picture made here. ${NAME} is taken from the
    /// environment.
    pub url: Option<String>,
    /// Unique. Unset: derived from the address.
    pub name: Option<String>,
    /// Unset: as in `cameras`.
    pub transport: Option<Transport>,
    /// Unset: as in `cameras`.
    #[schemars(range(min = 0, max = 60000))]
    pub latency_ms: Option<u32>,
    /// What the stream is, for checks without asking the camera.
    pub codec: Option<Codec>,
    /// Pixels. What the stream is, for checks without asking the camera; with test: what is made.
    #[schemars(range(min = 16, max = 16384))]
    pub width: Option<u32>,
    /// Pixels, as WIDTH.
    #[schemars(range(min = 16, max = 16384))]
    pub height: Option<u32>,
    /// Frames per second, as WIDTH.
    #[schemars(range(min = 0.1, max = 1000.0))]
    pub fps: Option<f64>,
    /// Number after CUDA_VISIBLE_DEVICES, UUID, or auto: the GPU with the fewest cameras. Unset: auto.
    pub gpu: Option<Gpu>,
    /// Restart a file from the beginning at its end. Unset: true.
    pub r#loop: Option<bool>,
    /// What differs from `models`.
    pub detection: Model,
    /// What differs from `models`.
    pub pose: Model,
    /// What differs from `models`.
    pub classification: Model,
    /// What differs from `processing`.
    pub tracker: Tracker,
    /// What differs from `processing`.
    pub counting: Counting,
    /// Areas of the picture in which objects are counted. They can change while the camera runs.
    pub zones: Option<Vec<Zone>>,
    /// Lines that objects cross. They can change while the camera runs.
    pub lines: Option<Vec<Line>>,
    /// File with zones and lines as the property zones-file of trtzones takes it, instead of ZONES and LINES.
    pub zones_file: Option<String>,
    /// What differs from `outputs`.
    pub outputs: Outputs,
}

/// An area of the picture, in fractions of it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "SCREAMING_SNAKE_CASE")]
pub struct Zone {
    /// No other zone or line of the camera has it.
    pub name: Option<String>,
    /// Its corners in order, [x, y] each, from the top left corner of the frame; at least 3.
    pub polygon: Option<Vec<[f32; 2]>>,
    /// Which part of an object is inside. Unset: feet.
    pub anchor: Option<Anchor>,
    /// Labels that count. Unset: all.
    pub classes: Vec<String>,
    /// Labels that mustn't enter.
    pub forbidden: Vec<String>,
    /// When there are too many objects. Unset: never.
    pub crowding: Option<Crowding>,
    /// An object that stays for more seconds loiters. Unset: none does.
    #[schemars(range(min = 0.0, max = 1000000.0))]
    pub loitering_s: Option<f64>,
}

/// When there are too many objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "SCREAMING_SNAKE_CASE")]
pub struct Crowding {
    /// The greatest number of objects that isn't a crowd.
    #[schemars(range(min = 0, max = 1000000))]
    pub more_than: u32,
    /// For how many seconds there must be more.
    #[schemars(range(min = 0.0, max = 1000000.0))]
    pub for_s: f64,
}

/// A line that objects cross, in fractions of the picture.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "SCREAMING_SNAKE_CASE")]
pub struct Line {
    /// No other zone or line of the camera has it.
    pub name: Option<String>,
    /// One end, [x, y]. Seen from here towards the other, objects that cross from left to right go in.
    pub from: Option<[f32; 2]>,
    /// The other end.
    pub to: Option<[f32; 2]>,
    /// Which part of an object crosses. Unset: feet.
    pub anchor: Option<Anchor>,
    /// Labels that count. Unset: all.
    pub classes: Vec<String>,
}

/// A number, a UUID, or auto.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Gpu {
    Index(#[schemars(range(min = 0, max = 255))] u32),
    Name(String),
}

/// Where results go. In a camera: what differs from `outputs`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema, Merge)]
#[serde(default, rename_all = "SCREAMING_SNAKE_CASE")]
pub struct Outputs {
    /// JSON Lines: - (standard output), a path, or tcp://HOST:PORT; one or a list. {camera} is the camera's name. Unset: -
    /// while there is no other output.
    #[merge(strategy = merge::option::overwrite_none)]
    pub json_lines: Option<OneOrMore>,
    /// What lines and messages are of: frames with their objects, events in zones and on lines, or both. Unset: objects.
    #[merge(strategy = merge::option::overwrite_none)]
    pub content: Option<Content>,
    /// How the masks of objects are written in lines and messages. Unset: rle.
    #[merge(strategy = merge::option::overwrite_none)]
    pub mask_format: Option<MaskFormat>,
    /// How frames are written in lines and messages; events are always JSON. Unset: json.
    #[merge(strategy = merge::option::overwrite_none)]
    pub format: Option<Format>,
    /// An MQTT broker.
    pub mqtt: Mqtt,
    /// A Kafka cluster.
    pub kafka: Kafka,
    /// A Redis server.
    pub redis: Redis,
    /// JPEGs of annotated frames.
    pub pictures: Pictures,
    /// MP4 files of annotated frames.
    pub segments: Segments,
    /// MP4 files of what a camera has sent around events.
    pub clips: Clips,
}

impl Outputs {
    /// Returns these settings, with unset ones taken from `base`.
    pub fn over(&self, base: &Self) -> Self {
        let mut own = self.clone();
        own.merge(base.clone());
        own
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::More(texts) => texts,
        }
    }
}

/// Messages to an MQTT broker.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema, Merge)]
#[serde(default, rename_all = "SCREAMING_SNAKE_CASE")]
#[merge(strategy = merge::option::overwrite_none)]
pub struct Mqtt {
    /// Unset: true if there is a URL.
    pub enabled: Option<bool>,
    /// mqtt://HOST:PORT, or mqtts:// for TLS.
    pub url: Option<String>,
    /// {camera} is the camera's name. Unset: gst-trt/{camera}/objects.
    pub topic: Option<String>,
    /// What the messages are of. Unset: as CONTENT of the outputs.
    pub content: Option<Content>,
    /// How frames are written. Unset: as FORMAT of the outputs.
    pub format: Option<Format>,
    /// Of events; totals of zones and lines are retained below it. {camera} is the camera's name. Unset: gst-trt/{camera}/events.
    pub events_topic: Option<String>,
    /// 0, 1 or 2. Unset: 1.
    #[schemars(range(min = 0, max = 2))]
    pub qos: Option<u8>,
    /// The broker keeps the last message of each camera's frames. Unset: false.
    pub retain: Option<bool>,
    /// Unset: made of the program's name, the machine's and the process id.
    pub client_id: Option<String>,
    /// Name of the environment variable with the user name. Unset: MQTT_USERNAME, where it is set.
    pub username_env: Option<String>,
    /// Name of the environment variable with the password. Unset: MQTT_PASSWORD, where it is set.
    pub password_env: Option<String>,
    /// PEM file of the authorities to trust. Unset: the system's.
    pub ca_file: Option<String>,
    /// PEM file of this client's certificate.
    pub cert_file: Option<String>,
    /// PEM file of its key.
    pub key_file: Option<String>,
    /// online and offline go here, offline also as last will. Unset: gst-trt/status.
    pub status_topic: Option<String>,
    /// Seconds. Unset: 30.
    #[schemars(range(min = 5, max = 3600))]
    pub keep_alive_s: Option<u32>,
    /// Messages kept while the broker is unavailable; the oldest are dropped first. Unset: 1000.
    #[schemars(range(min = 0, max = 1000000))]
    pub offline_queue: Option<u32>,
}

/// Messages to a Kafka cluster, whose key is the camera's name.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema, Merge)]
#[serde(default, rename_all = "SCREAMING_SNAKE_CASE")]
#[merge(strategy = merge::option::overwrite_none)]
pub struct Kafka {
    /// Unset: true if there is a URL.
    pub enabled: Option<bool>,
    /// kafka://HOST:PORT, or kafkas:// for TLS; several brokers with commas between.
    pub url: Option<String>,
    /// One for all cameras. Unset: gst-trt.objects.
    pub topic: Option<String>,
    /// Of events and totals. Unset: gst-trt.events.
    pub events_topic: Option<String>,
    /// What the messages are of. Unset: as CONTENT of the outputs.
    pub content: Option<Content>,
    /// How frames are written. Unset: as FORMAT of the outputs.
    pub format: Option<Format>,
    /// How user name and password are proved. Unset: plain.
    pub sasl_mechanism: Option<SaslMechanism>,
    /// Name of the environment variable with the user name. Unset: KAFKA_USERNAME, where it is set.
    pub username_env: Option<String>,
    /// Name of the environment variable with the password. Unset: KAFKA_PASSWORD, where it is set.
    pub password_env: Option<String>,
    /// PEM file of the authorities to trust. Unset: the system's.
    pub ca_file: Option<String>,
    /// PEM file of this client's certificate.
    pub cert_file: Option<String>,
    /// PEM file of its key.
    pub key_file: Option<String>,
    /// Lines of a camera kept while the brokers are unavailable; the oldest are dropped first. Unset: 1000.
    #[schemars(range(min = 1, max = 1000000))]
    pub offline_queue: Option<u32>,
}

/// Entries added to Redis Streams.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema, Merge)]
#[serde(default, rename_all = "SCREAMING_SNAKE_CASE")]
#[merge(strategy = merge::option::overwrite_none)]
pub struct Redis {
    /// Unset: true if there is a URL.
    pub enabled: Option<bool>,
    /// redis://HOST:PORT, or rediss:// for TLS.
    pub url: Option<String>,
    /// {camera} is the camera's name. Unset: gst-trt:{camera}:objects.
    pub stream: Option<String>,
    /// Of events and totals. {camera} is the camera's name. Unset: gst-trt:{camera}:events.
    pub events_stream: Option<String>,
    /// What the entries are of. Unset: as CONTENT of the outputs.
    pub content: Option<Content>,
    /// How frames are written. Unset: as FORMAT of the outputs.
    pub format: Option<Format>,
    /// About how many entries a stream keeps. Unset: 100000.
    #[schemars(range(min = 1, max = 1000000000))]
    pub max_length: Option<u32>,
    /// Name of the environment variable with the user name. Unset: REDIS_USERNAME, where it is set.
    pub username_env: Option<String>,
    /// Name of the environment variable with the password. Unset: REDIS_PASSWORD, where it is set.
    pub password_env: Option<String>,
    /// PEM file of the authorities to trust. Unset: the system's.
    pub ca_file: Option<String>,
    /// PEM file of this client's certificate.
    pub cert_file: Option<String>,
    /// PEM file of its key.
    pub key_file: Option<String>,
    /// Lines of a camera kept while the server is unavailable; the oldest are dropped first. Unset: 1000.
    #[schemars(range(min = 1, max = 1000000))]
    pub offline_queue: Option<u32>,
}

/// JPEGs of annotated frames: the last of each camera, and one when a class appears.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema, Merge)]
#[serde(default, rename_all = "SCREAMING_SNAKE_CASE")]
#[merge(strategy = merge::option::overwrite_none)]
pub struct Pictures {
    /// Unset: true if there is a FOLDER.
    pub enabled: Option<bool>,
    /// The last frame is CAMERA.jpg in it, appearances are in its folder CAMERA.
    pub folder: Option<String>,
    /// Seconds between two pictures of the last frame. Unset: 1.
    #[schemars(range(min = 0.1, max = 86400.0))]
    pub interval_s: Option<f64>,
    /// Labels whose appearance is kept. Unset: none.
    pub classes: Option<Vec<String>>,
    /// A class has appeared when it was absent for this many seconds. Unset: 10.
    #[schemars(range(min = 0.1, max = 86400.0))]
    pub absence_s: Option<f64>,
    /// 1 to 100. Unset: 85.
    #[schemars(range(min = 1, max = 100))]
    pub quality: Option<u8>,
    /// MiB of a camera's pictures; the oldest are removed first. Unset: 1024.
    #[schemars(range(min = 1, max = 1073741824))]
    pub max_mb: Option<u32>,
}

/// MP4 files of annotated frames.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema, Merge)]
#[serde(default, rename_all = "SCREAMING_SNAKE_CASE")]
#[merge(strategy = merge::option::overwrite_none)]
pub struct Segments {
    /// Unset: true if there is a FOLDER.
    pub enabled: Option<bool>,
    /// Files are in its folder CAMERA.
    pub folder: Option<String>,
    /// Length of a file. Unset: 60.
    #[schemars(range(min = 1, max = 86400))]
    pub seconds: Option<u32>,
    /// kbit/s. Unset: 4000.
    #[schemars(range(min = 50, max = 200000))]
    pub bitrate_kbps: Option<u32>,
    /// MiB of a camera's files; the oldest are removed first. Unset: 10240.
    #[schemars(range(min = 1, max = 1073741824))]
    pub max_mb: Option<u32>,
}

/// MP4 files of what a camera has sent around events, not decoded and encoded again, each with a JSON file beside it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema, Merge)]
#[serde(default, rename_all = "SCREAMING_SNAKE_CASE")]
#[merge(strategy = merge::option::overwrite_none)]
pub struct Clips {
    /// Unset: true if there is a FOLDER.
    pub enabled: Option<bool>,
    /// Files are in its folder CAMERA.
    pub folder: Option<String>,
    /// Seconds before the event. Unset: 5.
    #[schemars(range(min = 0.0, max = 600.0))]
    pub before_s: Option<f64>,
    /// Seconds after the event. Unset: 10.
    #[schemars(range(min = 0.1, max = 3600.0))]
    pub after_s: Option<f64>,
    /// Greatest length of a clip that further events prolong, seconds. Unset: 120.
    #[schemars(range(min = 1.0, max = 86400.0))]
    pub max_s: Option<f64>,
    /// The events that start a clip or prolong it. Unset: all; []: none, for clips on command alone.
    pub rules: Option<Vec<ClipRule>>,
    /// MQTT topic whose messages start a clip; it needs MQTT. {camera} is the camera's name. Unset: none.
    pub command_topic: Option<String>,
    /// Most memory for what a camera has sent, MiB. Unset: 64.
    #[schemars(range(min = 1, max = 65536))]
    pub buffer_mb: Option<u32>,
    /// MiB of a camera's clips; the oldest are removed first. Unset: 10240.
    #[schemars(range(min = 1, max = 1073741824))]
    pub max_mb: Option<u32>,
    /// Most clips of a camera. Unset: no limit.
    #[schemars(range(min = 1, max = 1000000000))]
    pub max_files: Option<u32>,
    /// Days after which clips are removed. Unset: no limit.
    #[schemars(range(min = 0.01, max = 36500.0))]
    pub max_days: Option<f64>,
}

/// Which events start a clip: those that fit all of its keys.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "SCREAMING_SNAKE_CASE")]
pub struct ClipRule {
    /// Part of the names of its files. Unset: event.
    pub name: Option<String>,
    /// Names of zones. Unset, and LINES too: events of all zones and lines.
    pub zones: Option<Vec<String>>,
    /// Names of lines.
    pub lines: Option<Vec<String>>,
    /// Kinds of events. Unset: all.
    pub events: Option<Vec<ClipEvent>>,
    /// Crossings in this direction. Unset: both.
    pub direction: Option<ClipDirection>,
    /// Labels of the objects. Unset: all, and events without an object.
    pub classes: Option<Vec<String>>,
}

/// What is told of the program itself.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "SCREAMING_SNAKE_CASE")]
pub struct Monitoring {
    /// Address where Prometheus may ask, for example 127.0.0.1:9464. Unset: nowhere.
    pub metrics: Option<String>,
    /// Seconds between two rows of `monitor`.
    #[schemars(range(min = 0.1, max = 3600.0))]
    pub interval_s: f64,
    /// CPU of the machine in percent above which `monitor` warns.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub cpu_warning_percent: f64,
    /// Can also be set by the environment variable LOG_LEVEL.
    pub log_level: LogLevel,
}

impl Default for Monitoring {
    fn default() -> Self {
        Self { metrics: None, interval_s: 1.0, cpu_warning_percent: 15.0, log_level: LogLevel::Warning }
    }
}
