//! Measures how far an engine agrees with its FP32 model on a clip or pictures, and finds what has to stay FP32.
//!
//! The model runs on ONNX Runtime, the engine on the GPU. Without a GPU, the model converted to FP16 stands for the
//! engine: ONNX Runtime runs it with every value rounded to FP16. What agrees is defined in [`model::agreement`].

mod comparison;
mod frames;
mod runner;

pub use comparison::Comparison;
pub use frames::Frames;

use crate::error::{Error, ErrorKind};
use crate::gst_cuda::SharedContext;
use crate::infer::{
    Backend, DeviceContext, IMAGE_PROCESSOR, MODEL_INFO, ModelSettings, gst_model_info_file, image_processor_file,
};
use crate::{cpu, gpu};
use model::head::ModelChoice;
use model::{Detection, Labels, TensorInfo};
use runner::Runner;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tensorrt::Onnx;

/// What is verified, and how.
#[derive(Debug, Clone)]
pub struct Request {
    /// The ONNX file.
    pub model: PathBuf,
    /// What the user says about it.
    pub choice: ModelChoice,
    /// The clip or folder.
    pub source: PathBuf,
    /// The most frames, spread over the source.
    pub frames: usize,
    /// The confidence from which objects are asked for.
    pub confidence: f32,
    /// The share of objects that must agree.
    pub required: f64,
    /// Set to stop.
    pub cancel: Arc<AtomicBool>,
}

/// The FP32 model's objects on the frames of a source.
pub struct Reference {
    request: Request,
    frames: Frames,
    found: Vec<Seen>,
    labels: Labels,
    /// The model's outputs, as ONNX Runtime infers them.
    outputs: Vec<TensorInfo>,
}

/// A frame, and what was found on it.
struct Seen {
    name: String,
    /// Width and height in pixels of the network's input.
    scale: (f32, f32),
    detections: Vec<Detection>,
}

impl Reference {
    /// Runs the FP32 model.
    ///
    /// # Errors
    /// The source or the model can't be opened, ONNX Runtime is missing, no frame has an object, or it was cancelled.
    pub fn new(request: Request) -> Result<Self, Error> {
        let frames = Frames::open(&request.source, request.frames)?;
        let mut runner = Runner::new(cpu::open(&settings(&request, Backend::Cpu))?, None, request.confidence)?;
        runner.examine()?;
        let (labels, outputs) = (runner.labels(), runner.outputs());
        let mut found = Vec::new();
        frames.read(&request.cancel, |name, frame| {
            let (scale, detections) = (runner.scale(&frame), runner.run(frame)?);
            found.push(Seen { name, scale, detections });
            Ok(())
        })?;
        let least = request.confidence + model::agreement::MARGIN;
        if !found.iter().flat_map(|seen| &seen.detections).any(|object| object.confidence >= least) {
            let text = format!(
                "the FP32 model finds no object with a confidence of {least:.2} on {} frame(s) of {}, so there is nothing to \
                 compare: use frames that show what {} detects, or a lower --confidence than {}",
                found.len(),
                request.source.display(),
                request.model.display(),
                request.confidence
            );
            return Err(Error::new(ErrorKind::Setting, text));
        }
        Ok(Self { request, frames, found, labels, outputs })
    }

    /// Compares the engine in a file, on the GPU of this context. The files that are beside the model count, wherever the
    /// engine is.
    ///
    /// # Errors
    /// The engine can't be loaded, the device failed, or it was cancelled.
    pub fn compare_engine(&self, engine: &Path, shared: &SharedContext) -> Result<Comparison, Error> {
        let context = Some(Arc::new(shared.clone()) as Arc<dyn DeviceContext>);
        let device_id = shared.context().device();
        let of_model = settings(&self.request, Backend::TensorRt);
        let folder = tempfile::tempdir().map_err(temporary)?;
        let linked = folder.path().join(engine.file_name().unwrap_or_default());
        let model = match copy_side_files(&self.request.model, &linked).map_err(temporary)? {
            true => {
                // The engine, and its record.
                for extension in [engine.extension().unwrap_or_default(), OsStr::new("json")] {
                    let file = std::path::absolute(engine.with_extension(extension)).map_err(temporary)?;
                    std::os::unix::fs::symlink(file, linked.with_extension(extension)).map_err(temporary)?;
                }
                linked
            }
            false => engine.into(),
        };
        let opened = gpu::open(&ModelSettings { model, context, device_id, ..of_model })?;
        self.compare(Runner::new(opened, Some(shared), self.request.confidence)?)
    }

    /// Compares the model converted to FP16, with these nodes in FP32, on the CPU.
    ///
    /// # Errors
    /// The model can't be converted, or it was cancelled.
    pub fn compare_simulated(&self, onnx: &Onnx, fp32: &BTreeSet<String>) -> Result<Comparison, Error> {
        let folder = tempfile::tempdir().map_err(temporary)?;
        let file = folder.path().join("fp16.onnx");
        std::fs::write(&file, onnx.simulated_fp16(fp32, &self.outputs)?).map_err(temporary)?;
        copy_side_files(&self.request.model, &file).map_err(temporary)?;
        let opened = cpu::open(&ModelSettings { model: file, ..settings(&self.request, Backend::Cpu) })?;
        self.compare(Runner::new(opened, None, self.request.confidence)?)
    }

    fn compare(&self, mut runner: Runner) -> Result<Comparison, Error> {
        let mut comparison = Comparison::new(&self.request, self.labels.clone());
        let mut seen = self.found.iter();
        let changed = || Error::new(ErrorKind::File, format!("{} has changed", self.request.source.display()));
        self.frames.read(&self.request.cancel, |name, frame| {
            let reference = seen.next().filter(|seen| seen.name == name).ok_or_else(changed)?;
            match runner.run(frame) {
                Ok(found) => comparison.add(reference, &found, None),
                // Outputs that aren't numbers: nothing of the frame agrees.
                Err(error) if error.kind == ErrorKind::Model => comparison.add(reference, &[], Some(&error)),
                Err(error) => return Err(error),
            }
            Ok(())
        })?;
        Ok(comparison)
    }

    /// Finds nodes that have to stay FP32, besides those that do by default. `agreement` gives that of an engine with a
    /// set of them, and is called about 2 · log2(nodes) times for each part that FP16 can't hold; `progress` is told of
    /// each trial.
    ///
    /// # Errors
    /// Those of `agreement`; the model agrees with no set of nodes.
    pub fn mixed(
        &self,
        onnx: &Onnx,
        mut agreement: impl FnMut(&BTreeSet<String>) -> Result<f64, Error>,
        mut progress: impl FnMut(&str),
    ) -> Result<Vec<tensorrt::OnnxNode>, Error> {
        let fp32 = onnx.fp32_nodes()?;
        let nodes: Vec<_> = onnx.fp16_nodes()?.into_iter().filter(|node| !fp32.contains(&node.output)).collect();
        let mut trials = 0;
        let found = tensorrt::smallest_passing(nodes.len(), |set| {
            let names = set.iter().filter_map(|index| nodes.get(*index)).map(|node| node.output.clone()).collect();
            let share = agreement(&names)?;
            trials += 1;
            let percent = 100.0 * share;
            progress(&format!("trial {trials}: {} of {} nodes in FP32, {percent:.1} % agree", set.len(), nodes.len()));
            Ok::<_, Error>(share >= self.request.required)
        })?;
        match found {
            Some(set) => Ok(set.into_iter().filter_map(|index| nodes.get(index).cloned()).collect()),
            None => Err(Error::new(
                ErrorKind::Model,
                format!(
                    "{}: with all of its nodes in FP32 it doesn't agree either, so it isn't FP16: {}",
                    self.request.model.display(),
                    "compare an engine of --precision fp32, and see the worst frames"
                ),
            )),
        }
    }
}

fn settings(request: &Request, backend: Backend) -> ModelSettings {
    ModelSettings { backend, model: request.model.clone(), choice: request.choice, ..ModelSettings::default() }
}

/// Copies the files beside a model that say what its tensors mean, so that they are beside `to`. Returns whether there are
/// any.
fn copy_side_files(model: &Path, to: &Path) -> std::io::Result<bool> {
    let files = [
        (gst_model_info_file(model), to.with_added_extension(MODEL_INFO)),
        (image_processor_file(model), to.with_file_name(IMAGE_PROCESSOR)),
    ];
    let mut any = false;
    for (file, copy) in files {
        if let Some(file) = file {
            std::fs::copy(file, copy)?;
            any = true;
        }
    }
    Ok(any)
}

fn temporary(error: std::io::Error) -> Error {
    Error::new(ErrorKind::File, format!("a temporary file: {error}"))
}

fn check_cancel(cancel: &AtomicBool) -> Result<(), Error> {
    if cancel.load(Ordering::Relaxed) {
        return Err(Error::new(ErrorKind::Failed, "verifying was cancelled"));
    }
    Ok(())
}
