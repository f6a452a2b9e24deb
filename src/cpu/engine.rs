//! A model opened by ONNX Runtime.

use super::lane::CpuLane;
use super::{CAT, library, trial};
use crate::error::{Error, ErrorKind};
use crate::infer::{Engine, Lane, ModelSettings, Precision, batch_sizes_between, gst_model_info, image_processor};
use files::foreign_format;
use model::head::{self, ConstantInput, HeadError, Reading, Recognised};
use model::{ElementType, Head, InputSpec, ModelInfo, TensorInfo};
use ort::session::Session;
use ort::value::{Outlet, TensorElementType, ValueType};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tensorrt::Onnx;

/// The facts about a model that the engine and its lanes need.
pub struct Model {
    pub path: PathBuf,
    pub info: ModelInfo,
    pub input: InputSpec,
    /// Index of the image among the inputs.
    pub image: usize,
    /// The other inputs.
    pub constants: Vec<ConstantInput>,
    pub head: Arc<dyn Head>,
    pub reading: Reading,
    /// The shapes of the outputs without the batch dimension, once the model has run.
    pub output_shapes: OnceLock<Vec<Vec<usize>>>,
    /// The number of images that every run must have, or `None` if the model accepts any number.
    pub fixed_batch: Option<usize>,
    pub max_batch: usize,
}

/// A file with a batch of this size is considered corrupt.
const MOST_IMAGES: usize = 4096;

/// One session, which its lanes share.
pub struct CpuEngine {
    description: String,
    model: Arc<Model>,
    session: Arc<Mutex<Session>>,
}

impl CpuEngine {
    /// # Errors
    /// See [`super::open`].
    pub fn open(settings: &ModelSettings) -> Result<Self, Error> {
        let path = settings.model.as_path();
        check_file(path)?;
        let runtime = library::runtime()?;
        let mut session = open_session(runtime, path)?;
        let mut info = model_info(&session).map_err(|reason| model_error(path, &reason))?;
        info.gst_model_info = gst_model_info(path)?;
        info.image_processor = image_processor(path)?;
        check_precision(settings.precision, &info, path)?;
        let recognised = match head::recognise(&info, settings.choice) {
            Err(HeadError::Unknown(_)) if trial::learn_outputs(&mut session, &mut info) => {
                head::recognise(&info, settings.choice)
            }
            recognised => recognised,
        };
        let Recognised { head, input, image, constants, reading } =
            recognised.map_err(|error| model_error(path, &error.to_string()))?;

        let asked = settings.batch_size.max(1) as usize;
        if let Some(empty) = info.inputs.iter().find(|input| input.shape.contains(&0)) {
            let what = format!("input {} has the shape {:?}, which holds no image", empty.name, empty.shape);
            return Err(model_error(path, &what));
        }
        let fixed_batch = fixed_batch(&info, image);
        if let Some(batch @ MOST_IMAGES..) = fixed_batch {
            let name = info.inputs.get(image).map_or("", |input| &input.name);
            let what = format!("input {name} takes batches of {batch} images; fewer than {MOST_IMAGES} are possible");
            return Err(model_error(path, &what));
        }
        let max_batch = fixed_batch.unwrap_or(asked);
        if max_batch != asked {
            gst::info!(CAT, "{}: the model's batch is {max_batch}, batch-size={asked} has no effect", path.display());
        }
        let name = path.file_name().unwrap_or(path.as_os_str()).display();
        let description = format!("{name} on {} (cpu)", runtime.name());
        gst::info!(CAT, "Opened {description}: head {}, batch {max_batch}, {input:?}", head.name());
        Ok(Self {
            description,
            model: Arc::new(Model {
                path: path.into(),
                info,
                input,
                image,
                constants,
                head,
                reading,
                output_shapes: OnceLock::new(),
                fixed_batch,
                max_batch,
            }),
            session: Arc::new(Mutex::new(session)),
        })
    }
}

impl Engine for CpuEngine {
    fn description(&self) -> String {
        self.description.clone()
    }

    fn info(&self) -> &ModelInfo {
        &self.model.info
    }

    fn input(&self) -> &InputSpec {
        &self.model.input
    }

    fn head(&self) -> &Arc<dyn Head> {
        &self.model.head
    }

    fn output_shapes(&self) -> Vec<Vec<usize>> {
        self.model.output_shapes.get().cloned().unwrap_or_else(|| self.model.info.output_shapes())
    }

    fn doubt(&self) -> Option<&str> {
        self.model.reading.doubt()
    }

    fn max_batch(&self) -> usize {
        self.model.max_batch
    }

    /// Returns one lane. Two lanes that share the session, so that one's preprocessing overlaps the other's run, gained
    /// less than the measurement's noise with real models on two cores.
    fn lanes(&self) -> Result<Vec<Box<dyn Lane>>, Error> {
        Ok(vec![Box::new(CpuLane::new(self.model.clone(), self.session.clone()))])
    }

    fn time_alone(&self, least: Duration) -> Result<Vec<(usize, Duration)>, Error> {
        let mut lane = CpuLane::new(self.model.clone(), self.session.clone());
        let sizes = batch_sizes_between(self.model.fixed_batch.unwrap_or(1), self.model.max_batch);
        sizes.into_iter().map(|batch| Ok((batch, lane.time_alone(batch, least)?))).collect()
    }
}

fn open_session(runtime: &library::Runtime, path: &Path) -> Result<Session, Error> {
    let session = Session::builder(&runtime.environment)
        .and_then(|builder| builder.with_log_level(library::log_level()).map_err(Into::into))
        .and_then(|mut builder| builder.commit_from_file(path));
    session.map_err(|error| match looks_like(path) {
        Some(what) => model_error(path, what),
        None => model_error(
            path,
            &format!(
                "ONNX Runtime can't load it{}: {}. Is the file complete? Download or export it again",
                opset(path).map(|opset| format!(" (opset {opset})")).unwrap_or_default(),
                error.message().trim_end_matches('.')
            ),
        ),
    })
}

/// The version of ONNX's operators that a file needs, if it can be read.
fn opset(path: &Path) -> Option<i64> {
    Onnx::open(path).ok()?.opset()
}

/// Checks a file before ONNX Runtime opens it, to give a better error.
fn check_file(path: &Path) -> Result<(), Error> {
    let file_error = |what: &str| Error::new(ErrorKind::File, format!("model {}: {what}", path.display()));
    if path.as_os_str().is_empty() {
        return Err(Error::new(ErrorKind::Setting, "no model: set the property model to an .onnx file"));
    }
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    if matches!(extension.as_str(), "engine" | "plan") {
        return Err(Error::new(
            ErrorKind::Setting,
            format!(
                "model {} is a TensorRT engine, which only backend=tensorrt runs: set that, or set model to the .onnx from which it was built",
                path.display()
            ),
        ));
    }
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => Err(file_error("is a folder, not an .onnx file")),
        Ok(metadata) if !metadata.is_file() => Err(file_error("isn't a file")),
        Ok(metadata) if metadata.len() == 0 => Err(file_error("is empty: download or export it again")),
        Ok(_) => File::open(path).map(|_| ()).map_err(|error| file_error(&format!("can't be read: {error}"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(file_error(
            "no such file. Check the path; `cargo xtask models` fetches the models of the documentation, \
             `yolo export format=onnx model=…` makes one of an Ultralytics model",
        )),
        Err(error) => Err(file_error(&format!("can't be read: {error}"))),
    }
}

/// Says what a file is that isn't ONNX.
fn looks_like(path: &Path) -> Option<&'static str> {
    let mut start = Vec::new();
    File::open(path).ok()?.take(64).read_to_end(&mut start).ok()?;
    foreign_format(&start)
}

pub fn model_error(path: &Path, what: &str) -> Error {
    Error::new(ErrorKind::Model, format!("model {}: {what}", path.display()))
}

fn check_precision(precision: Precision, info: &ModelInfo, path: &Path) -> Result<(), Error> {
    let half = info.inputs.iter().chain(&info.outputs).any(|tensor| tensor.element == ElementType::F16);
    let asked = match precision {
        Precision::Auto => return Ok(()),
        Precision::Fp32 if !half => return Ok(()),
        Precision::Fp32 => "fp32",
        Precision::Fp16 => "fp16",
        Precision::Int8 => "int8",
    };
    Err(Error::new(
        ErrorKind::Setting,
        format!(
            "precision={asked}: with backend=cpu the model file decides ({}). Set precision=auto and give a model in that \
             precision",
            path.display()
        ),
    ))
}

/// The batch dimension of an input, if it isn't dynamic.
pub fn fixed_batch(info: &ModelInfo, input: usize) -> Option<usize> {
    let batch = info.inputs.get(input)?.shape.first()?;
    usize::try_from(*batch).ok().filter(|&batch| batch > 0)
}

fn model_info(session: &Session) -> Result<ModelInfo, String> {
    let tensors = |outlets: &[Outlet]| outlets.iter().map(tensor_info).collect::<Result<Vec<_>, _>>();
    Ok(ModelInfo {
        inputs: tensors(session.inputs())?,
        outputs: tensors(session.outputs())?,
        metadata: metadata(session).map_err(|error| format!("its metadata can't be read: {error}"))?,
        gst_model_info: None,
        image_processor: None,
    })
}

fn metadata(session: &Session) -> ort::Result<BTreeMap<String, String>> {
    let metadata = session.metadata()?;
    let keys = metadata.custom_keys()?;
    Ok(keys.into_iter().filter_map(|key| metadata.custom(&key).map(|value| (key, value))).collect())
}

fn tensor_info(outlet: &Outlet) -> Result<TensorInfo, String> {
    let name = outlet.name().to_owned();
    let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else {
        return Err(format!("{name} isn't a tensor but {}", outlet.dtype()));
    };
    let element = match ty {
        TensorElementType::Float32 => ElementType::F32,
        TensorElementType::Float16 => ElementType::F16,
        TensorElementType::Uint8 => ElementType::U8,
        TensorElementType::Int32 => ElementType::I32,
        TensorElementType::Int64 => ElementType::I64,
        other => return Err(format!("{name} has element type {other}; f32, f16, u8, i32 and i64 are read")),
    };
    Ok(TensorInfo { name, element, shape: shape.to_vec() })
}

#[cfg(test)]
mod tests;
