//! A model's description, read from its loaded engine.

use super::chain::{ChainConstant, ChainOutput};
use crate::error::{Error, ErrorKind};
use crate::infer::{gst_model_info, image_processor};
use model::head::{self, ConstantInput, DecodePlan, ModelChoice, Reading, Recognised};
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
    /// The inputs besides the image.
    pub constants: Vec<ChainConstant>,
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
    /// The model has inputs whose values aren't known, tensors that the kernels can't read or an unknown head.
    pub fn read(
        engine: &Arc<Engine>,
        metadata: BTreeMap<String, String>,
        path: &Path,
        choice: ModelChoice,
    ) -> Result<Self, Error> {
        let bad = |what: String| Error::new(ErrorKind::Model, format!("model {}: {what}", path.display()));
        let inputs = inputs(engine)?;
        let batch = batch(&inputs);
        let outputs = outputs(engine, &inputs, batch.1).map_err(bad)?;

        let dynamic = inputs.iter().any(|(input, ..)| is_dynamic(input));
        let batch_size = if dynamic { -1 } else { batch.1 as i64 };
        let info = ModelInfo {
            inputs: inputs
                .iter()
                .map(|(input, shape, _)| {
                    let name = input.display_name().into_owned();
                    let mut shape = shape.to_vec();
                    if let Some(first) = shape.first_mut().filter(|_| is_dynamic(input)) {
                        *first = -1;
                    }
                    Ok(TensorInfo { name, element: element(input)?, shape })
                })
                .collect::<Result<_, String>>()
                .map_err(bad)?,
            outputs: outputs
                .iter()
                .map(|(name, output)| TensorInfo {
                    name: name.to_string(),
                    element: output.element,
                    shape: std::iter::once(batch_size).chain(output.shape.iter().map(|&size| size as i64)).collect(),
                })
                .collect(),
            metadata,
            gst_model_info: gst_model_info(path)?,
            image_processor: image_processor(path)?,
        };
        let recognised = head::recognise(&info, choice).map_err(|error| bad(error.to_string()))?;
        let plan = decoded_here(&recognised).map_err(bad)?;
        let Recognised { head, input, image, constants, reading } = recognised;
        let of = |index: usize| inputs.get(index).ok_or_else(|| bad(format!("it has no input {index}")));
        let constant = |constant: ConstantInput| {
            let (tensor, shape, _) = of(constant.index)?;
            let rows =
                (!is_dynamic(tensor)).then(|| shape.first().map_or(1, |&rows| usize::try_from(rows).unwrap_or(1)));
            let element = element(tensor).map_err(bad)?;
            Ok(ChainConstant { name: tensor.name.clone(), element, values: constant.values, rows })
        };
        let constants = constants.into_iter().map(constant).collect::<Result<_, Error>>()?;
        let (tensor, shape, _) = of(image)?;
        let (path, input_name, shape) = (path.into(), tensor.name.clone(), shape.clone());
        Ok(Self { path, info, input, input_name, constants, head, plan, reading, outputs, batch, dynamic, shape })
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

/// The layout of the outputs, if this engine can decode them.
///
/// # Errors
/// No kernel does yet.
pub fn decoded_here(recognised: &Recognised) -> Result<DecodePlan, String> {
    let head = &recognised.head;
    head.plan().ok_or_else(|| format!("no kernel decodes head {}: set backend=cpu", head.name()))
}

/// An input, its shape for the largest batch, and the smallest and largest batch size.
type Input<'a> = (&'a EngineTensor, Shape, (usize, usize));

fn inputs(engine: &Engine) -> Result<Vec<Input<'_>>, Error> {
    let inputs = engine.tensors().iter().filter(|tensor| tensor.input);
    inputs
        .map(|input| {
            let (shape, batch) = largest_shape(engine, input)?;
            Ok((input, shape, batch))
        })
        .collect()
}

/// The batch sizes that the image allows: the only input of four dimensions, or else its model isn't recognised.
fn batch(inputs: &[Input<'_>]) -> (usize, usize) {
    inputs.iter().find(|(_, shape, _)| shape.len() == 4).map_or((1, 1), |&(.., batch)| batch)
}

fn is_dynamic(tensor: &EngineTensor) -> bool {
    tensor.shape.first().is_some_and(|&size| size < 0)
}

/// An input's shape for the largest batch, and the minimum and maximum batch size. Dynamic heights and widths take the
/// values that the engine was tuned for.
fn largest_shape(engine: &Engine, input: &EngineTensor) -> Result<(Shape, (usize, usize)), Error> {
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

/// All outputs, whose shapes must be determined by the inputs'.
fn outputs(engine: &Arc<Engine>, inputs: &[Input<'_>], batch: usize) -> Result<Vec<(Arc<str>, ChainOutput)>, String> {
    let text = |error: tensorrt::Error| Error::from(error).message;
    let mut context = engine.create_context().map_err(text)?;
    for (input, shape, _) in inputs {
        context.set_input_shape(&input.name, shape).map_err(text)?;
    }
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
