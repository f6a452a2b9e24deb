//! A model's description, read from its loaded engine.

use super::chain::ChainOutput;
use crate::error::{Error, ErrorKind};
use crate::infer::gst_model_info;
use model::head::{self, DecodePlan, ModelChoice, Reading, Recognised};
use model::{ElementType, Head, InputSpec, ModelInfo, TensorInfo};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tensorrt::{self, DataType, Engine, EngineTensor, Selector, Shape};

/// The facts about a model that its lanes need.
#[derive(Debug)]
pub struct GpuModel {
    pub path: PathBuf,
    pub info: ModelInfo,
    pub input: InputSpec,
    pub input_name: CString,
    pub head: Arc<dyn Head>,
    pub plan: DecodePlan,
    pub reading: Reading,
    /// Outputs in the engine's order, with the names that metadata uses.
    pub outputs: Vec<(Arc<str>, ChainOutput)>,
    /// Minimum and maximum batch size; equal if it is fixed.
    pub batch: (usize, usize),
    /// Whether the batch size is dynamic.
    pub dynamic: bool,
    /// The input's shape for one image, with the batch as the first dimension.
    shape: Shape,
}

impl GpuModel {
    /// Reads an engine of the model `path` for this head; `metadata` is that of the ONNX file. Creates an execution
    /// context temporarily.
    ///
    /// # Errors
    /// The model has other inputs than one image, tensors that the kernels can't read or an unknown head.
    pub fn read(
        engine: &Arc<Engine>,
        metadata: BTreeMap<String, String>,
        path: &Path,
        choice: ModelChoice,
    ) -> Result<Self, Error> {
        let bad = |what: String| Error::new(ErrorKind::Model, format!("model {}: {what}", path.display()));
        let inputs: Vec<_> = engine.tensors().iter().filter(|tensor| tensor.input).collect();
        let [input] = inputs[..] else {
            return Err(bad(no_single_input(engine, metadata, choice)));
        };
        let (shape, batch) = image_shape(engine, input)?;
        let dynamic = input.shape.first().is_some_and(|&size| size < 0);
        let outputs = outputs(engine, input, &shape, batch.1).map_err(bad)?;

        let batch_size = if dynamic { -1 } else { batch.1 as i64 };
        let with_batch = |rest: &mut dyn Iterator<Item = i64>| std::iter::once(batch_size).chain(rest).collect();
        let info = ModelInfo {
            inputs: vec![TensorInfo {
                name: input.display_name().into_owned(),
                element: element(input).map_err(bad)?,
                shape: with_batch(&mut shape.iter().skip(1).copied()),
            }],
            outputs: outputs
                .iter()
                .map(|(name, output)| TensorInfo {
                    name: name.to_string(),
                    element: output.element,
                    shape: with_batch(&mut output.shape.iter().map(|&size| size as i64)),
                })
                .collect(),
            metadata,
            gst_model_info: gst_model_info(path)?,
        };
        let recognised = head::recognise(&info, choice).map_err(|error| bad(error.to_string()))?;
        let plan = decoded_here(&recognised).map_err(bad)?;
        let Recognised { head, input: spec, reading, .. } = recognised;
        let (path, input_name) = (path.into(), input.name.clone());
        Ok(Self { path, info, input: spec, input_name, head, plan, reading, outputs, batch, dynamic, shape })
    }

    /// An error about the model.
    pub fn error(&self, what: &str) -> Error {
        Error::new(ErrorKind::Model, format!("model {}: {what}", self.path.display()))
    }

    /// The input's shape for a batch of `batch` images.
    pub fn shape(&self, batch: usize) -> Shape {
        let mut shape = self.shape.clone();
        if let Some(first) = shape.first_mut() {
            *first = batch as i64;
        }
        shape
    }
}

/// The layout of the outputs, if this engine can make the model's inputs and decode its outputs.
///
/// # Errors
/// Says what no kernel does yet.
pub fn decoded_here(recognised: &Recognised) -> Result<DecodePlan, String> {
    let Recognised { head, input, constants, .. } = recognised;
    if !constants.is_empty() {
        return Err("it has inputs besides the image, which backend=tensorrt can't feed: set backend=cpu".into());
    }
    let plan = head.plan().filter(cuda::decodes);
    let plan = plan.ok_or_else(|| format!("no kernel decodes head {}: set backend=cpu", head.name()))?;
    if input.resize.antialias {
        return Err("no kernel resizes with antialiasing, as its input is made: set backend=cpu".into());
    }
    Ok(plan)
}

/// The error for a model that doesn't have exactly one input: the one that recognising its head gives, if any.
fn no_single_input(engine: &Engine, metadata: BTreeMap<String, String>, choice: ModelChoice) -> String {
    let tensors = |input: bool| -> Result<Vec<TensorInfo>, String> {
        let tensors = engine.tensors().iter().filter(|tensor| tensor.input == input);
        let info = |tensor: &EngineTensor| {
            let (name, shape) = (tensor.display_name().into_owned(), tensor.shape.to_vec());
            Ok(TensorInfo { name, element: element(tensor)?, shape })
        };
        tensors.map(info).collect()
    };
    let recognised = || -> Result<(), String> {
        let info = ModelInfo { inputs: tensors(true)?, outputs: tensors(false)?, metadata, gst_model_info: None };
        let recognised = head::recognise(&info, choice).map_err(|error| error.to_string())?;
        decoded_here(&recognised).map(drop)
    };
    recognised().err().unwrap_or_else(|| "it doesn't have one image as its only input".into())
}

/// The input's shape for the largest batch, and the minimum and maximum batch size. Dynamic heights and widths take the
/// values that the engine was tuned for.
fn image_shape(engine: &Engine, input: &EngineTensor) -> Result<(Shape, (usize, usize)), Error> {
    if input.shape.iter().all(|&size| size >= 0) {
        let batch = input.shape.first().map_or(1, |&size| usize::try_from(size).unwrap_or(1));
        return Ok((input.shape.clone(), (batch, batch)));
    }
    let of = |selector| engine.profile_shape(&input.name, 0, selector);
    let (min, opt, max) = (of(Selector::Min)?, of(Selector::Opt)?, of(Selector::Max)?);
    let first = |shape: &Shape| shape.first().map_or(1, |&size| usize::try_from(size).unwrap_or(1).max(1));
    let shape = max.iter().zip(&opt).enumerate().map(|(axis, (max, opt))| if axis == 0 { *max } else { *opt });
    Ok((shape.collect(), (first(&min), first(&max))))
}

/// All outputs, whose shapes must be determined by the input's.
fn outputs(
    engine: &Arc<Engine>,
    input: &EngineTensor,
    shape: &Shape,
    batch: usize,
) -> Result<Vec<(Arc<str>, ChainOutput)>, String> {
    let text = |error: tensorrt::Error| Error::from(error).message;
    let mut context = engine.create_context().map_err(text)?;
    context.set_input_shape(&input.name, shape).map_err(text)?;
    context.check_shapes().map_err(text)?;
    let outputs = engine.tensors().iter().filter(|tensor| !tensor.input);
    outputs
        .map(|tensor| {
            let (name, found) = (tensor.display_name(), context.shape(&tensor.name).map_err(text)?);
            let (first, rest) = found.split_first().ok_or_else(|| format!("output {name} is a scalar: export the model with the batch as its first dimension"))?;
            if usize::try_from(*first) != Ok(batch) {
                return Err(format!(
                    "output {name} has the shape {found:?} where its first dimension should be the batch, {batch}: export \
                     the model with the batch as the first dimension of every output"
                ));
            }
            let sizes = rest.iter().map(|&size| usize::try_from(size));
            let shape = sizes.collect::<Result<Vec<_>, _>>().map_err(|_| {
                format!(
                    "output {name} has the shape {found:?}, which depends on what is in the picture: export the model \
                     without its own suppression (nms=False)"
                )
            })?;
            let output = ChainOutput { name: tensor.name.clone(), element: element(tensor)?, shape };
            Ok((Arc::from(name.as_ref()), output))
        })
        .collect()
}

/// # Errors
/// The kernels don't read this type or layout.
fn element(tensor: &EngineTensor) -> Result<ElementType, String> {
    let name = tensor.display_name();
    if !tensor.linear {
        return Err(format!("tensor {name} isn't laid out row by row: build its engine without other I/O formats"));
    }
    Ok(match tensor.data_type {
        DataType::Float => ElementType::F32,
        DataType::Half => ElementType::F16,
        DataType::Uint8 => ElementType::U8,
        DataType::Int32 => ElementType::I32,
        DataType::Int64 => ElementType::I64,
        other => return Err(format!("tensor {name} has element type {other:?}; f32, f16, u8, i32 and i64 are read")),
    })
}
