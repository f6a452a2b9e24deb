//! Building a plan from an ONNX file: the settings and their order, for every group of releases.

use super::allocator::GpuAllocator;
use super::builder::{Builder, BuilderConfig, Flag};
use super::error::Error;
use super::library::Library;
use super::logger;
use super::onnx::Onnx;
use super::progress::OnNote;
use super::progress::{Cancel, OnProgress, ProgressMonitor};
use super::tensor::{NetworkTensor, Shape};
use super::version::Group;
use crate::log::{Level, say};
use model::GpuFacts;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The precision of an engine's arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EnginePrecision {
    /// 32-bit floating point.
    Fp32,
    /// 16-bit floating point.
    Fp16,
    /// Requires quantize and dequantize nodes in the ONNX file; the rest is FP16.
    Int8,
}

/// The GPUs on which an engine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HardwareCompatibility {
    /// Only the kind on which it was built; the fastest choice.
    None,
    /// Ampere and later.
    AmperePlus,
}

/// The settings of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildSettings {
    /// The precision of the arithmetic.
    pub precision: EnginePrecision,
    /// The most images per batch, if the model's batch is dynamic.
    pub batch_size: u32,
    /// The maximum device memory of a layer while it runs, in MiB.
    pub workspace: u32,
    /// 0 (fastest build) to 5 (fastest engine).
    pub optimization_level: u8,
    /// Height and width in pixels for a model with a dynamic size; the default is the size in its metadata.
    pub size: Option<(u32, u32)>,
    /// The other GPUs on which the engine runs.
    pub hardware_compatibility: HardwareCompatibility,
    /// FP32 layers may round to TF32.
    pub tf32: bool,
    /// 10 only: take each tensor's type from the ONNX model, which is converted to FP16 first, as 11 and RTX always do.
    pub strongly_typed: bool,
    /// Bits of `TacticSources`; `None`: TensorRT's default.
    pub tactic_sources: Option<u32>,
    /// Number of timed runs of each kernel; `None`: TensorRT's default.
    pub timing_iterations: Option<u8>,
    /// The major and minor compute capability of the GPU to build for. RTX then needs no GPU.
    pub compute_capability: Option<(u32, u32)>,
    /// Nodes that stay FP32 in an FP16 engine, besides [`Onnx::fp32_nodes`]: the names of their first outputs.
    pub fp32_nodes: BTreeSet<String>,
}

impl Default for BuildSettings {
    fn default() -> Self {
        Self {
            precision: EnginePrecision::Fp16,
            batch_size: 1,
            workspace: 2048,
            optimization_level: 2,
            size: None,
            hardware_compatibility: HardwareCompatibility::None,
            tf32: true,
            strongly_typed: false,
            tactic_sources: None,
            timing_iterations: None,
            compute_capability: None,
            fp32_nodes: BTreeSet::new(),
        }
    }
}

impl BuildSettings {
    /// The defaults for the kind of GPU on which the engine is to run. Elements and `gst-trt build` share them, so that
    /// they find each other's engines in the cache.
    pub fn for_gpu(gpu: Option<&GpuFacts>) -> Self {
        Self { compute_capability: gpu.map(|gpu| gpu.compute_capability), ..Self::default() }
    }
}

/// The callbacks and the cancel flag of a build.
#[derive(Clone, Default)]
pub struct BuildControl {
    /// Set to stop the build: at its next step from TensorRT 10 on, only before it starts in 8.
    pub cancel: Cancel,
    /// Receives the build's progress.
    pub on_progress: Option<OnProgress>,
    /// Receives messages for the user.
    pub on_note: Option<OnNote>,
    /// The allocator of the builder's device memory; `None`: TensorRT allocates from the driver.
    pub allocator: Option<Arc<GpuAllocator>>,
}

impl BuildControl {
    pub(super) fn note(&self, text: &str) {
        say(Level::Info, format_args!("{text}"));
        if let Some(on_note) = &self.on_note {
            on_note(text);
        }
    }
}

/// A timing cache of earlier builds.
#[derive(Debug, Clone)]
pub struct Timings {
    /// Where it is from.
    pub file: PathBuf,
    /// Its serialised form.
    pub bytes: Vec<u8>,
}

/// The result of a build.
#[derive(Debug)]
pub struct Built {
    /// The engine's serialised form.
    pub plan: Vec<u8>,
    /// The timing cache, from which the next build can start.
    pub timings: Vec<u8>,
    /// The range of shapes of each input.
    pub profile: Vec<InputProfile>,
}

/// The minimum, optimum and maximum shape of one input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputProfile {
    /// The input's name.
    pub name: String,
    /// The minimum shape.
    pub min: Shape,
    /// The shape for which the engine is tuned.
    pub opt: Shape,
    /// The maximum shape.
    pub max: Shape,
}

/// Builds an engine. `timings` are those of earlier builds, of any models: kernels that are in one of them aren't timed again.
///
/// # Errors
/// The parser failed, a setting doesn't fit the model, memory ran out, the build was cancelled, or TensorRT failed.
pub fn build(
    library: &'static Library,
    onnx: &Onnx,
    settings: &BuildSettings,
    timings: &[Timings],
    control: &BuildControl,
) -> Result<Built, Error> {
    let stop = || if control.cancel.load(Ordering::Relaxed) { Err(cancelled(onnx)) } else { Ok(()) };
    stop()?;
    if settings.precision == EnginePrecision::Int8 && !onnx.is_quantised() {
        return Err(Error::Model {
            model: onnx.path().into(),
            reason: "precision=int8 takes the scales from the model, and it has no QuantizeLinear or DequantizeLinear nodes: \
                     quantise it first (for example with TensorRT Model Optimizer, `python -m modelopt.onnx.quantization`), \
                     or set precision=fp16"
                .into(),
        });
    }
    let on_progress = control.on_progress.clone().unwrap_or_else(|| Arc::new(|_, _| {}));
    on_progress("reading the model", 0.0);
    let builder = library.builder(settings.compute_capability, control.allocator.clone())?;
    let arithmetic = Arithmetic::new(library, onnx, settings, control)?;
    let mut network = builder.network(matches!(arithmetic, Arithmetic::Types(_)))?;
    match &arithmetic {
        Arithmetic::Types(Some(fp32)) => network.parse(&onnx.to_fp16(fp32)?, onnx.path())?,
        Arithmetic::Types(None) | Arithmetic::Flags { .. } => network.parse(onnx.bytes(), onnx.path())?,
    }
    stop()?;

    let mut config = builder.config()?;
    configure(library, &mut config, settings, &arithmetic)?;
    let mut known = config.timing_cache(&[])?;
    for Timings { file, bytes } in timings {
        if let Err(error) = config.timing_cache(bytes).and_then(|more| known.combine(&more)) {
            // Missing timings only cost time.
            let file = file.display();
            say(
                Level::Warning,
                format_args!("{file} can't be used, so this build may take longer: {error}; delete it"),
            );
        }
    }
    config.set_timing_cache(known)?;
    let inputs = network.inputs()?;
    let profile = profile(&inputs, settings, onnx)?;
    // Models with static shapes need no profile.
    if inputs.iter().any(|input| input.shape.iter().any(|size| *size < 0)) {
        add_profile(&builder, &mut config, &profile)?;
    }
    if library.group() != Group::V8 {
        let monitor = ProgressMonitor::new(library.group(), control.cancel.clone(), Arc::clone(&on_progress));
        config.set_progress_monitor(monitor)?;
    }
    let built = logger::cancellable(&control.cancel, || builder.build(&network, &config));
    let plan = built.map_err(|error| stop().err().unwrap_or(error))?;
    stop()?;
    on_progress("built", 1.0);
    Ok(Built { plan: plan.to_vec(), timings: config.timings()?.unwrap_or_default(), profile })
}

/// How a build gets its precision.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Arithmetic {
    /// By the builder's flags; the network is weakly typed.
    Flags { fp16: bool, int8: bool },
    /// By the types in the model; it is converted to FP16 first, except for these nodes.
    Types(Option<BTreeSet<String>>),
}

impl Arithmetic {
    fn new(library: &Library, onnx: &Onnx, settings: &BuildSettings, control: &BuildControl) -> Result<Self, Error> {
        let typed = match library.group() {
            Group::V8 => false,
            Group::V10 => settings.strongly_typed,
            Group::V11 | Group::Rtx1 => true,
        };
        let int8 = settings.precision == EnginePrecision::Int8;
        if settings.precision == EnginePrecision::Fp32 {
            return Ok(if typed { Self::Types(None) } else { Self::Flags { fp16: false, int8 } });
        }
        let fp32 = &onnx.fp32_nodes()? | &settings.fp32_nodes;
        if typed || fp32.is_empty() {
            return Ok(if typed { Self::Types(Some(fp32)) } else { Self::Flags { fp16: true, int8 } });
        }
        if library.group() == Group::V8 {
            control.note(&format!(
                "{}: {} of its nodes mustn't be FP16 (attention, normalisation, reference points, or those that its .fp32 \
                 file lists), which {} can't be told of single nodes, so nothing is; TensorRT 10 and later build the rest \
                 in FP16",
                onnx.path().display(),
                fp32.len(),
                library.version()
            ));
            return Ok(Self::Flags { fp16: false, int8 });
        }
        // The flags leave it to TensorRT what is FP16.
        Ok(Self::Types(Some(fp32)))
    }
}

fn cancelled(onnx: &Onnx) -> Error {
    Error::Cancelled { model: onnx.path().into() }
}

fn configure(
    library: &Library,
    config: &mut BuilderConfig,
    settings: &BuildSettings,
    arithmetic: &Arithmetic,
) -> Result<(), Error> {
    let group = library.group();
    config.set_workspace(settings.workspace as usize * 1024 * 1024)?;
    config.set_optimization_level(i32::from(settings.optimization_level))?;
    config.share_profiles()?;
    config.set_flag(Flag::Tf32, settings.tf32)?;
    if let Arithmetic::Flags { fp16, int8 } = *arithmetic {
        config.set_flag(Flag::Fp16, fp16)?;
        config.set_flag(Flag::Int8, int8)?;
    }
    if settings.hardware_compatibility == HardwareCompatibility::AmperePlus {
        config.set_hardware_compatibility(1)?;
    }
    if let Some(sources) = settings.tactic_sources {
        config.set_tactic_sources(sources)?;
    }
    if let Some(iterations) = settings.timing_iterations {
        config.set_timing_iterations(i32::from(iterations))?;
    }
    if let (Group::Rtx1, Some((major, minor))) = (group, settings.compute_capability) {
        config.set_compute_capabilities(&[(major * 10 + minor) as i32])?;
    }
    Ok(())
}

/// One profile for all inputs.
fn add_profile(builder: &Builder, config: &mut BuilderConfig, inputs: &[InputProfile]) -> Result<(), Error> {
    let mut profile = builder.optimization_profile()?;
    for input in inputs {
        profile.set_shapes(&input.name, &input.min, &input.opt, &input.max)?;
    }
    config.add_profile(&profile)
}

/// The shapes for which an engine is built: batches of 1 (minimum), half of `batch_size` (optimum) and `batch_size`
/// (maximum), with a fixed image size.
///
/// # Errors
/// Nothing determines the size of a dynamic dimension.
pub fn profile(inputs: &[NetworkTensor], settings: &BuildSettings, onnx: &Onnx) -> Result<Vec<InputProfile>, Error> {
    inputs
        .iter()
        .map(|input| {
            let name = input.name.clone();
            let shape = image_shape(input, settings, onnx)?;
            let with_batch = |batch: u32| {
                let dims = shape.iter().enumerate();
                dims.map(|(axis, size)| if axis == 0 && *size < 0 { i64::from(batch) } else { *size }).collect()
            };
            let most = settings.batch_size.max(1);
            Ok(InputProfile { name, min: with_batch(1), opt: with_batch((most / 2).max(1)), max: with_batch(most) })
        })
        .collect()
}

/// The input's shape, in which the batch may still be -1.
fn image_shape(input: &NetworkTensor, settings: &BuildSettings, onnx: &Onnx) -> Result<Shape, Error> {
    let mut shape = input.shape.clone();
    let Some(rest) = shape.get_mut(1..).filter(|rest| rest.iter().any(|size| *size < 0)) else {
        return Ok(shape);
    };
    let unknown = |remedy: &str| {
        let reason = format!("input {} has the shape {:?}: {remedy}", input.name, input.shape);
        Error::Model { model: onnx.path().into(), reason }
    };
    let (height, width) = match rest {
        [3, height, width] | [height, width, 3] => (height, width),
        _ => return Err(unknown("only batch, height and width of an image may be dynamic; export it with fixed ones")),
    };
    let (h, w) = settings.size.or_else(|| onnx.image_size()).ok_or_else(|| unknown("say its size (--size)"))?;
    for (dimension, size) in [(height, h), (width, w)] {
        if *dimension < 0 {
            *dimension = i64::from(size);
        }
    }
    Ok(shape)
}

#[cfg(test)]
mod tests {
    use super::super::onnx::tests::model_with_metadata;
    use super::super::tensor::DataType;
    use super::*;

    fn profile_of(
        shape: &[i64],
        batch_size: u32,
        size: Option<(u32, u32)>,
        imgsz: Option<&str>,
    ) -> Result<InputProfile, Error> {
        let input = NetworkTensor { name: "images".into(), data_type: DataType::Float, shape: shape.into() };
        let onnx = model_with_metadata(imgsz.map(|value| ("imgsz", value)));
        let settings = BuildSettings { batch_size, size, ..BuildSettings::default() };
        profile(&[input], &settings, &onnx).map(|mut inputs| inputs.remove(0))
    }

    fn shapes(profile: InputProfile) -> [Shape; 3] {
        [profile.min, profile.opt, profile.max]
    }

    #[test]
    fn dynamic_batch_goes_from_one_over_half_to_all() {
        let dynamic = |batch| shapes(profile_of(&[-1, 3, 640, 640], batch, None, None).unwrap()).map(|shape| shape[0]);
        assert_eq!(dynamic(16), [1, 8, 16]);
        assert_eq!(dynamic(3), [1, 1, 3]);
        assert_eq!(dynamic(1), [1, 1, 1]);
        assert_eq!(dynamic(0), [1, 1, 1]);
    }

    #[test]
    fn static_batch_stays() {
        let [min, opt, max] = shapes(profile_of(&[4, 3, 64, 64], 16, Some((640, 640)), None).unwrap());
        assert_eq!([min, opt, max], [[4, 3, 64, 64]; 3].map(Vec::from));
    }

    #[test]
    fn dynamic_size_is_the_settings_or_the_models() {
        let max = |shape: &[i64], size, imgsz| profile_of(shape, 2, size, imgsz).unwrap().max;
        assert_eq!(max(&[-1, 3, -1, -1], Some((480, 640)), None), [2, 3, 480, 640]);
        assert_eq!(max(&[-1, -1, -1, 3], Some((480, 640)), None), [2, 480, 640, 3]);
        assert_eq!(max(&[1, 3, -1, 320], None, Some("[256, 320]")), [1, 3, 256, 320]);
        assert_eq!(max(&[1, 3, -1, -1], Some((64, 96)), Some("[256, 320]")), [1, 3, 64, 96]);
    }

    #[test]
    fn dynamic_dimensions_that_nothing_sizes_are_refused() {
        let error = profile_of(&[1, 3, -1, -1], 1, None, None).unwrap_err().to_string();
        assert!(error.contains("images") && error.contains("--size"), "{error}");
        let error = profile_of(&[1, -1], 1, Some((64, 64)), None).unwrap_err().to_string();
        assert!(error.contains("[1, -1]"), "{error}");
    }
}
