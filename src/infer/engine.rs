//! The interface of a backend: an opened model, and lanes that run batches of it.

use crate::error::{Error, ErrorKind, OnFailure};
use gst::glib;
use model::head::ModelChoice;
use model::{Detection, Head, InputSpec, ModelInfo, Params, Rect};
use std::any::Any;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tensorrt::{OnNote, OnProgress};

/// Where models run. The user chooses it; there is no fallback from one to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, glib::Enum)]
#[enum_type(name = "GstTrtBackend")]
pub enum Backend {
    /// On the GPU, with frames in CUDA memory.
    #[enum_value(name = "TensorRT on the GPU, frames in memory:CUDAMemory", nick = "tensorrt")]
    TensorRt,
    /// ONNX Runtime on the CPU, with frames in system memory.
    #[enum_value(name = "ONNX Runtime on the CPU, frames in system memory", nick = "cpu")]
    Cpu,
}

/// The arithmetic precision of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, glib::Enum)]
#[enum_type(name = "GstTrtPrecision")]
pub enum Precision {
    /// FP16 with TensorRT, the model's own precision on the CPU.
    #[enum_value(name = "FP16 with TensorRT, the model's own precision on the CPU", nick = "auto")]
    Auto,
    #[enum_value(name = "32-bit floating point", nick = "fp32")]
    Fp32,
    #[enum_value(name = "16-bit floating point", nick = "fp16")]
    Fp16,
    #[enum_value(name = "8-bit integers, for a model with Q/DQ nodes", nick = "int8")]
    Int8,
}

/// The device context that frames are in. A backend downcasts it to its type.
pub trait DeviceContext: Any + fmt::Debug + Send + Sync {
    /// Unique among all live contexts.
    fn id(&self) -> usize;
}

/// Everything that decides which engine is made, and where. Elements with equal settings share one service. The
/// settings that only the GPU needs come last.
#[derive(Debug, Clone)]
pub struct ModelSettings {
    pub backend: Backend,
    pub model: PathBuf,
    /// What the user says about its outputs and its input.
    pub choice: ModelChoice,
    pub precision: Precision,
    pub device_id: u32,
    /// Maximum images per batch.
    pub batch_size: u32,
    /// MiB.
    pub workspace_size: u32,
    /// The CUDA context that the frames are in.
    pub context: Option<Arc<dyn DeviceContext>>,
    /// Folder for built engines; `None`: the default in the user's cache folder.
    pub engine_cache: Option<PathBuf>,
    /// Where the engine of an `.onnx` is kept, and reused while it fits; `None`: only in the cache. Not compared for
    /// sharing, because it follows from the other settings.
    pub engine_file: Option<PathBuf>,
    /// Maximum device memory of the service, MiB; 0: no limit.
    pub gpu_memory_limit: u32,
    /// Callbacks for building an engine. Not compared for sharing.
    pub watch: BuildWatch,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            backend: Backend::TensorRt,
            model: PathBuf::new(),
            choice: ModelChoice::default(),
            precision: Precision::Auto,
            device_id: 0,
            batch_size: 1,
            workspace_size: 2048,
            context: None,
            engine_cache: None,
            engine_file: None,
            gpu_memory_limit: 0,
            watch: BuildWatch::default(),
        }
    }
}

/// Reports the progress of building an engine, and cancels it.
#[derive(Clone, Default)]
pub struct BuildWatch {
    /// Set to `true` from any thread; the build ends at its next step.
    pub cancel: Arc<AtomicBool>,
    pub on_progress: Option<OnProgress>,
    /// Called with the reason why an existing engine isn't used.
    pub on_note: Option<OnNote>,
}

impl fmt::Debug for BuildWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuildWatch").field("cancel", &self.cancel).finish_non_exhaustive()
    }
}

/// A frame to infer: the buffer, and the format from its caps.
#[derive(Debug, Clone)]
pub struct Frame {
    pub buffer: gst::Buffer,
    pub info: gst_video::VideoInfo,
}

/// A model's input that `trtpreprocess` made upstream.
#[derive(Debug)]
pub struct Tensor {
    pub spec: InputSpec,
    /// The part of the frame that it shows, in frame pixels.
    pub region: Rect,
    pub data: TensorData,
}

/// One image in the layout and element type of its specification.
#[derive(Debug)]
pub enum TensorData {
    Host(Vec<u8>),
    /// In device memory; the type belongs to the backend that made it.
    Device(Box<dyn Any + Send + Sync>),
}

impl TensorData {
    /// The bytes; `None` if they aren't in host memory.
    pub fn host(&self) -> Option<&[u8]> {
        match self {
            Self::Host(bytes) => Some(bytes),
            Self::Device(_) => None,
        }
    }
}

/// A model's undecoded output for one image.
#[derive(Debug, Clone)]
pub struct RawTensor {
    pub name: Arc<str>,
    pub shape: Vec<usize>,
    pub data: Vec<f32>,
}

/// The result of one slot.
#[derive(Debug, Default)]
pub struct Output {
    /// Candidates that passed the thresholds, before suppression.
    pub candidates: u32,
    /// Normalised to the frame: 0–1 over its width and height.
    pub detections: Vec<Detection>,
    /// Filled if [`Params::output_tensors`] is set.
    pub tensors: Vec<RawTensor>,
    /// Set if this image couldn't be made, for example from a damaged frame. The rest of the batch is valid.
    pub error: Option<Error>,
}

/// The device memory of a service's engine, and its transfers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeviceUsage {
    /// Device memory of this service, now and at its peak; bytes.
    pub memory: u64,
    pub memory_peak: u64,
    /// Device memory that this process allocated for all services, tensors and drawing.
    pub memory_ours: u64,
    /// Other memory in use on the device: by the driver, graphs, decoders and other programs.
    pub memory_beside: u64,
    /// Bytes copied from host to device and back since the service was opened.
    pub to_device: u64,
    pub to_host: u64,
    /// The number of captured graphs; 0 if the model runs without graphs.
    pub graphs: u32,
    /// The number of candidates dropped because suppression takes no more.
    pub candidates_cut: u64,
}

/// One image of a batch: a region of a frame.
#[derive(Debug)]
pub struct Slot {
    pub frame: Arc<Frame>,
    /// In frame pixels, inside the frame.
    pub region: Rect,
    /// An input made upstream for this frame. It is used if its specification and region match; otherwise the lane
    /// makes its input.
    pub tensor: Option<Arc<Tensor>>,
    pub params: Arc<Params>,
    pub output: Output,
}

/// The error of a batch without a single usable image, which can't run.
pub fn nothing_to_run(slots: &[Slot]) -> Option<Error> {
    let first = slots.first()?.output.error.clone()?;
    slots.iter().all(|slot| slot.output.error.is_some()).then_some(first)
}

/// A model that a backend has opened.
pub trait Engine: Send + Sync {
    /// For logs and `stats`, for example `yolov12n.onnx on ONNX Runtime 1.23 (cpu)`.
    fn description(&self) -> String;
    fn info(&self) -> &ModelInfo;
    fn input(&self) -> &InputSpec;
    fn head(&self) -> &Arc<dyn Head>;
    /// The shapes of the outputs without the batch dimension; a dimension that isn't known is 0.
    fn output_shapes(&self) -> Vec<Vec<usize>> {
        self.info().output_shapes()
    }
    /// Why the head isn't certain, and what else the model may be; `None` if its file names the head.
    fn doubt(&self) -> Option<&str> {
        None
    }
    /// Maximum slots per batch.
    fn max_batch(&self) -> usize;
    /// The batch sizes that run without empty slots, in ascending order; the last one is [`Self::max_batch`].
    fn batch_sizes(&self) -> Vec<usize> {
        (1..=self.max_batch()).collect()
    }
    /// Creates the lanes, which share a device; called once. Each lane runs one batch at a time.
    ///
    /// # Errors
    /// The device has too little memory for them.
    fn lanes(&self) -> Result<Vec<Box<dyn Lane>>, Error>;

    /// Registers `failed`, which is called once if the device fails, even while no lane runs.
    fn watch(&self, _failed: &Arc<OnFailure>) {}

    /// The use of the device; `None` without one.
    fn usage(&self) -> Option<DeviceUsage> {
        None
    }

    /// For measurements: the time of the model alone, without frames and decoding, for each prepared batch size. Runs
    /// back to back for at least this time each.
    ///
    /// # Errors
    /// The device has too little memory or fails, or the engine can't run alone.
    fn time_alone(&self, _least: Duration) -> Result<Vec<(usize, Duration)>, Error> {
        Err(Error::new(ErrorKind::Failed, format!("{} can't be run alone", self.description())))
    }
}

/// Runs one batch at a time.
pub trait Lane: Send {
    /// Runs a full batch of an empty image.
    ///
    /// # Errors
    /// As [`Self::run`].
    fn warm_up(&mut self) -> Result<(), Error>;

    /// Warms up, and checks that the outputs fit the head.
    ///
    /// # Errors
    /// As [`Self::run`]; [`ErrorKind::Model`] if the outputs belong to another head.
    fn examine(&mut self) -> Result<(), Error> {
        self.warm_up()
    }

    /// Fills each slot's output. `slots` has 1 to [`Engine::max_batch`] entries.
    ///
    /// # Errors
    /// The whole batch failed; none of its outputs is valid.
    fn run(&mut self, slots: &mut [Slot]) -> Result<(), Error>;
}
