//! What a backend has to offer: an opened model, and lanes that run batches of it.

use crate::error::{Error, ErrorKind, OnFailure};
use gst::glib;
use model::head::HeadChoice;
use model::{Detection, Head, InputSpec, ModelInfo, Params, Rect};
use std::any::Any;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tensorrt::{OnNote, OnProgress};

/// Where models run. Never chosen for the user: no fallback from one to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, glib::Enum)]
#[enum_type(name = "GstTrtBackend")]
pub enum Backend {
    /// On the GPU; frames in CUDA memory.
    #[enum_value(name = "TensorRT on the GPU, frames in memory:CUDAMemory", nick = "tensorrt")]
    TensorRt,
    /// ONNX Runtime on the CPU; frames in system memory.
    #[enum_value(name = "ONNX Runtime on the CPU, frames in system memory", nick = "cpu")]
    Cpu,
}

/// Arithmetic of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, glib::Enum)]
#[enum_type(name = "GstTrtPrecision")]
pub enum Precision {
    /// FP16 on TensorRT, the model's own on the CPU.
    #[enum_value(name = "FP16 with TensorRT, the model's own on the CPU", nick = "auto")]
    Auto,
    #[enum_value(name = "32-bit floating point", nick = "fp32")]
    Fp32,
    #[enum_value(name = "16-bit floating point", nick = "fp16")]
    Fp16,
    #[enum_value(name = "8-bit integers, from a model with Q/DQ nodes", nick = "int8")]
    Int8,
}

/// The context of a device that frames are in. A backend finds its own type in it.
pub trait DeviceContext: Any + fmt::Debug + Send + Sync {
    /// Differs from that of every other context that lives.
    fn id(&self) -> usize;
}

/// Everything that decides what engine is made, and where: elements with the same share one service. What only the GPU
/// needs comes last.
#[derive(Debug, Clone)]
pub struct ModelSettings {
    pub backend: Backend,
    pub model: PathBuf,
    /// How its outputs are read.
    pub head: HeadChoice,
    pub precision: Precision,
    pub device_id: u32,
    /// Most images a batch.
    pub batch_size: u32,
    /// MiB.
    pub workspace_size: u32,
    /// The CUDA context that the frames are in.
    pub context: Option<Arc<dyn DeviceContext>>,
    /// Folder for built engines; `None`: the user's cache folder.
    pub engine_cache: Option<PathBuf>,
    /// Where the engine of an `.onnx` is kept, and used as long as it fits; `None`: in the cache alone. Not part of what is
    /// shared: it follows from the rest.
    pub engine_file: Option<PathBuf>,
    /// Most device memory that the service takes, MiB; 0: no limit.
    pub gpu_memory_limit: u32,
    /// Who watches if an engine has to be built. Not part of what is shared.
    pub watch: BuildWatch,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            backend: Backend::TensorRt,
            model: PathBuf::new(),
            head: HeadChoice::Auto,
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

/// Follows an engine's building, and stops it.
#[derive(Clone, Default)]
pub struct BuildWatch {
    /// Set to `true` from any thread: the build ends at its next step.
    pub cancel: Arc<AtomicBool>,
    pub on_progress: Option<OnProgress>,
    /// Told why an engine that is there isn't taken.
    pub on_note: Option<OnNote>,
}

impl fmt::Debug for BuildWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuildWatch").field("cancel", &self.cancel).finish_non_exhaustive()
    }
}

/// A frame that waits for inference: the buffer, and what its caps say.
#[derive(Debug, Clone)]
pub struct Frame {
    pub buffer: gst::Buffer,
    pub info: gst_video::VideoInfo,
}

/// A model's input made ahead of it by `trtpreprocess`.
#[derive(Debug)]
pub struct Tensor {
    pub spec: InputSpec,
    /// The part of the frame that it shows, frame pixels.
    pub region: Rect,
    pub data: TensorData,
}

/// One image in its spec's layout and element type.
#[derive(Debug)]
pub enum TensorData {
    Host(Vec<u8>),
    /// In a device's memory, as the backend that made it keeps it there.
    Device(Box<dyn Any + Send + Sync>),
}

impl TensorData {
    /// The bytes; `None` if they aren't in the host's memory.
    pub fn host(&self) -> Option<&[u8]> {
        match self {
            Self::Host(bytes) => Some(bytes),
            Self::Device(_) => None,
        }
    }
}

/// A model's output as it came, for one image.
#[derive(Debug, Clone)]
pub struct RawTensor {
    pub name: Arc<str>,
    pub shape: Vec<usize>,
    pub data: Vec<f32>,
}

/// What a lane found in one slot.
#[derive(Debug, Default)]
pub struct Output {
    /// Candidates that passed the thresholds, before suppression.
    pub candidates: u32,
    /// Normalised to the frame: 0–1 over its width and height.
    pub detections: Vec<Detection>,
    /// With [`Params::output_tensors`].
    pub tensors: Vec<RawTensor>,
    /// This image couldn't be made, for example of a damaged frame. The batch's others are valid.
    pub error: Option<Error>,
}

/// What a service's engine takes of its device, and what went over the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeviceUsage {
    /// Device memory of this service now, and at most so far; bytes.
    pub memory: u64,
    pub memory_peak: u64,
    /// Device memory that this process took for all services, tensors and drawing.
    pub memory_ours: u64,
    /// What else is in use on the device: driver, graphs, decoders, other programs.
    pub memory_beside: u64,
    /// Bytes from host to device and back since the service was opened.
    pub to_device: u64,
    pub to_host: u64,
    /// Captured graphs; 0 where a model runs without.
    pub graphs: u32,
    /// Candidates beyond what suppression looks at.
    pub candidates_cut: u64,
}

/// One image of a batch: a region of a frame to look at.
#[derive(Debug)]
pub struct Slot {
    pub frame: Arc<Frame>,
    /// Frame pixels, inside the frame.
    pub region: Rect,
    /// An input made upstream for this frame; used if spec and region are the ones needed, else the lane makes its own.
    pub tensor: Option<Arc<Tensor>>,
    pub params: Arc<Params>,
    pub output: Output,
}

/// The error of a batch in which no slot has an image: there is nothing to run.
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
    /// Why the head isn't certain, and what else the model may be; `None` where its file says it.
    fn doubt(&self) -> Option<&str> {
        None
    }
    /// Most slots that a lane takes at once.
    fn max_batch(&self) -> usize;
    /// Batch sizes that run with no slot empty, the least first; the last one is [`Self::max_batch`].
    fn batch_sizes(&self) -> Vec<usize> {
        (1..=self.max_batch()).collect()
    }
    /// Makes the lanes, which share a device; called once. Each lane runs on a thread of its own.
    ///
    /// # Errors
    /// When the device has no room for them.
    fn lanes(&self) -> Result<Vec<Box<dyn Lane>>, Error>;

    /// Has `failed` told once if the device fails, also while no lane runs.
    fn watch(&self, _failed: &Arc<OnFailure>) {}

    /// What it takes of its device; `None` without one.
    fn usage(&self) -> Option<DeviceUsage> {
        None
    }

    /// For measurements: how long the model alone takes for each batch size that is made ready, its runs back to back
    /// for at least this time, with neither frames nor decoding.
    ///
    /// # Errors
    /// When the device has no room or fails, or the engine can't be run alone.
    fn time_alone(&self, _least: Duration) -> Result<Vec<(usize, Duration)>, Error> {
        Err(Error::new(ErrorKind::Failed, format!("{} can't be run alone", self.description())))
    }
}

/// One batch at a time.
pub trait Lane: Send {
    /// Runs a full batch on an empty image.
    ///
    /// # Errors
    /// As [`Self::run`].
    fn warm_up(&mut self) -> Result<(), Error>;

    /// Warms up, and holds the outputs against what the head takes them for.
    ///
    /// # Errors
    /// As [`Self::run`]; [`ErrorKind::Model`] where they show that it has another head.
    fn examine(&mut self) -> Result<(), Error> {
        self.warm_up()
    }

    /// Fills each slot's output. `slots` has 1 to [`Engine::max_batch`] entries.
    ///
    /// # Errors
    /// The whole batch failed; nothing of it is valid.
    fn run(&mut self, slots: &mut [Slot]) -> Result<(), Error>;
}
