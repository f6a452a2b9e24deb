//! Recognition of a model's head and input format from its file.

use super::super::tensor_ids::head_of;
use super::super::{
    ElementType, InputSpec, KeypointLayout, Labels, Layout, ModelInfo, Normalization, Resize, TensorInfo,
};
use super::choice::{HeadChoice, known, names};
use super::families::{Family, by_metadata, by_tensors, candidates};
use super::input_choice::{ModelChoice, NormalizationChoice, ResizeChoice};
use super::metadata::{Metadata, Writer};
use super::reading::{Reading, Trust};
use super::ultralytics::Task;
use super::{
    Head, HeadError, Scale, classifier, corners, detr, embedding, heatmap, libreyolo, movenet, nanodet, rtmo, simcc,
    ultralytics, yolox,
};
use std::sync::Arc;

/// A head, the input's format, and how certain they are.
pub(super) type Found = (Arc<dyn Head>, InputSpec, Trust);

/// The head and input format recognised from a model's file.
#[derive(Debug, Clone)]
pub struct Recognised {
    /// The decoder of the outputs.
    pub head: Arc<dyn Head>,
    /// The format of the image input.
    pub input: InputSpec,
    /// Index of the image among the model's inputs.
    pub image: usize,
    /// The other inputs.
    pub constants: Vec<ConstantInput>,
    /// The check for its outputs, once it runs.
    pub reading: Reading,
}

/// An input besides the image, which has the same values for every image: a row `[batch, values]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ConstantInput {
    /// Index among the model's inputs.
    pub index: usize,
    /// The values for one image.
    pub values: Vec<f32>,
}

/// An input whose values follow from the size of the image input. Boxes come in its pixels then.
#[derive(Debug, Clone, Copy)]
struct SideInput {
    index: usize,
    meaning: Side,
}

#[derive(Debug, Clone, Copy)]
enum Side {
    /// Width and height by which boxes are multiplied.
    TargetSize,
    /// Height and width of the resized picture.
    ImageShape,
    /// Vertical and horizontal scale by which boxes are divided.
    ScaleFactor,
}

/// Sources: `export_onnx.py` of RT-DETR, and `preprocess_op.py` and `export_utils.py` of PaddleDetection.
const SIDES: [(&str, Side); 3] =
    [("orig_target_sizes", Side::TargetSize), ("im_shape", Side::ImageShape), ("scale_factor", Side::ScaleFactor)];

/// Hugging Face's name of the image input.
const PIXEL_VALUES: &str = "pixel_values";

/// A file with an input larger than this on a side is considered corrupt.
const MAX_SIDE: u32 = 8192;

/// Finds the head and the input's format from the model's file, or from the user's choice.
///
/// The exporter decides first, because the same shapes mean something else in another exporter's file. Ultralytics'
/// metadata comes next, and then output shapes that only one head has. Shapes that several heads have are left to
/// [`Reading::examine`], which distinguishes them by their values.
///
/// A model info file beside the model ([`ModelInfo::gst_model_info`]) names the head of a file that Ultralytics didn't write, and
/// the normalisation of the input.
///
/// # Errors
/// [`HeadError::Unknown`] with the model's shapes and the known heads, or with the name of an unsupported family;
/// [`HeadError::GstModelInfo`] if the model info file doesn't fit the model.
pub fn recognise(model: &ModelInfo, choice: impl Into<ModelChoice>) -> Result<Recognised, HeadError> {
    let mut choice = choice.into();
    let metadata = Metadata::parse(&model.metadata)?;
    let mut seen = ModelFacts { model, choice, image: 0, input: Input::NONE, sides: Vec::new(), metadata };
    choice.head = seen.choice_of_gst_model_info(choice.head)?;
    seen.choice = choice;
    (seen.image, seen.sides) = inputs(&seen)?;
    seen.input = image_input(&seen)?;
    let (head, mut input, trust) = match (choice.head, &seen.metadata.writer) {
        (HeadChoice::Auto, Writer::Other(name)) => {
            libreyolo::recognise(&seen)?.ok_or_else(|| match by_metadata(&seen) {
                Some(family) => seen.not_read(&family),
                None => seen.unknown(&format!(
                    "the file was written by {name}, not by Ultralytics, and the meaning of its outputs isn't known"
                )),
            })?
        }
        (HeadChoice::Auto, _) => {
            let tried = [
                movenet::recognise,
                simcc::recognise,
                rtmo::recognise,
                heatmap::recognise,
                detr::recognise,
                corners::recognise,
                nanodet::recognise,
                yolox::recognise,
                classifier::recognise,
                ultralytics::recognise,
            ];
            let found = tried.into_iter().find_map(|recognise| recognise(&seen).transpose()).transpose()?;
            found.ok_or_else(|| match by_tensors(&seen) {
                Some(family) => seen.not_read(&family),
                None => seen.unknown("no known head has these outputs"),
            })?
        }
        _ => {
            let nick = choice.head.nick();
            seen.chosen(choice.head)?
                .ok_or_else(|| seen.unknown(&format!("head={nick} doesn't fit the model's outputs")))?
        }
    };
    if choice.normalization == NormalizationChoice::Auto
        && let Some(info) = &model.gst_model_info
        && let Some(normalization) = info.normalization(model).map_err(HeadError::GstModelInfo)?
    {
        input.normalization = normalization;
    }
    let constants = seen.sides.iter().map(|side| side.values(&input)).collect();
    let reading = Reading { trust, otherwise: seen.otherwise() };
    Ok(Recognised { head, input, image: seen.image, constants, reading })
}

/// Everything known about a model during recognition.
#[derive(Debug)]
pub(super) struct ModelFacts<'a> {
    pub(super) model: &'a ModelInfo,
    choice: ModelChoice,
    /// Index of the image among the inputs.
    pub(super) image: usize,
    pub(super) input: Input,
    sides: Vec<SideInput>,
    pub(super) metadata: Metadata,
}

/// The image input as declared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input {
    /// `None` if the channel dimension is dynamic too.
    pub(super) layout: Option<Layout>,
    element: ElementType,
    /// `None`: dynamic.
    pub(super) width: Option<u32>,
    pub(super) height: Option<u32>,
}

/// The input conventions of a family of models.
#[derive(Debug, Clone, Copy)]
pub(super) struct InputStyle {
    /// `None`: 0–1 for floats, 0–255 for integers.
    pub(super) normalization: Option<Normalization>,
    pub(super) bgr: bool,
    pub(super) resize: Resize,
    pub(super) pad: u8,
    /// Width and height for a dynamic input whose file specifies no size.
    pub(super) default_size: Option<(u32, u32)>,
}

impl Input {
    /// The value before the input has been read.
    const NONE: Self = Self { layout: None, element: ElementType::F32, width: None, height: None };
}

/// The most classes or keypoints: several times what the largest datasets have. A damaged file can have dimensions for which
/// names wouldn't fit into memory.
const MOST: usize = 1 << 17;

impl ModelFacts<'_> {
    /// The head that the model info file beside the model names, unless the user chose one or Ultralytics wrote the file.
    fn choice_of_gst_model_info(&self, choice: HeadChoice) -> Result<HeadChoice, HeadError> {
        let Some(info) = &self.model.gst_model_info else { return Ok(choice) };
        let outputs = info.outputs(self.model).map_err(HeadError::GstModelInfo)?;
        let named = outputs.iter().find_map(|(id, _)| head_of(id));
        Ok(match (choice, named) {
            (HeadChoice::Auto, Some(named)) if !self.metadata.is_ultralytics() => named,
            _ => choice,
        })
    }

    /// The head that the user chose; `None` if it doesn't fit.
    fn chosen(&self, choice: HeadChoice) -> Result<Option<Found>, HeadError> {
        match choice {
            HeadChoice::Auto => Ok(None),
            HeadChoice::Nanodet => nanodet::recognise(self),
            HeadChoice::Movenet => movenet::single(self),
            HeadChoice::MovenetMultipose => movenet::multi(self),
            HeadChoice::Yolo => ultralytics::chosen(self, false, Task::Detect),
            HeadChoice::YoloEndToEnd => ultralytics::chosen(self, true, Task::Detect),
            HeadChoice::YoloPose => ultralytics::chosen(self, false, Task::Pose),
            HeadChoice::YoloPoseEndToEnd => ultralytics::chosen(self, true, Task::Pose),
            HeadChoice::YoloSeg => ultralytics::chosen(self, false, Task::Segment),
            HeadChoice::YoloSegEndToEnd => ultralytics::chosen(self, true, Task::Segment),
            HeadChoice::UltralyticsRtDetr => detr::ultralytics(self, Trust::Plausible),
            HeadChoice::RtDetr | HeadChoice::DFine | HeadChoice::DeimV2 => detr::rt_detr(self, choice),
            HeadChoice::RfDetr => detr::rf_detr(self),
            HeadChoice::DetrSigmoid | HeadChoice::DetrSoftmax => detr::logits(self, choice, None),
            HeadChoice::Yolox | HeadChoice::YoloxDecoded => yolox::yolox(self, choice),
            HeadChoice::Yolov5 => yolox::yolov5(self),
            HeadChoice::PpYoloe => corners::pp_yoloe(self),
            HeadChoice::Picodet => nanodet::picodet(self),
            HeadChoice::DamoYolo => corners::damo_yolo(self),
            HeadChoice::YoloObb => ultralytics::chosen(self, false, Task::Oriented),
            HeadChoice::YoloObbEndToEnd => ultralytics::chosen(self, true, Task::Oriented),
            HeadChoice::ClassificationSoftmax => classifier::chosen(self, Scale::Probabilities),
            HeadChoice::ClassificationLogits => classifier::chosen(self, Scale::Logits),
            HeadChoice::Embedding => embedding::chosen(self),
            HeadChoice::Simcc => simcc::chosen(self),
            HeadChoice::Rtmo => rtmo::chosen(self),
            HeadChoice::Heatmap | HeadChoice::HeatmapDark | HeadChoice::HeatmapUdp => heatmap::chosen(self, choice),
        }
    }

    /// The index of the output with this name.
    pub(super) fn output(&self, name: &str) -> Option<usize> {
        self.model.outputs.iter().position(|output| output.name == name)
    }

    /// The index of the input with this name, if it isn't the image.
    pub(super) fn side_input(&self, name: &str) -> Option<usize> {
        let named = |side: &&SideInput| self.model.inputs.get(side.index).is_some_and(|input| input.name == name);
        self.sides.iter().find(named).map(|side| side.index)
    }

    /// Whether the user has said how pixel values become the input's.
    pub(super) fn normalization_is_chosen(&self) -> bool {
        self.choice.normalization != NormalizationChoice::Auto
    }

    /// Whether the user has said how frames are resized.
    pub(super) fn resize_is_chosen(&self) -> bool {
        self.choice.resize != ResizeChoice::Auto
    }

    /// Whether the user has said both.
    pub(super) fn input_is_chosen(&self) -> bool {
        self.normalization_is_chosen() && self.resize_is_chosen()
    }

    /// An output's shape if it has three dimensions; a dynamic dimension is 0.
    pub(super) fn rows(&self, output: usize) -> Option<[usize; 3]> {
        let shape = &self.model.outputs.get(output)?.shape;
        let shape: [i64; 3] = shape.as_slice().try_into().ok()?;
        Some(shape.map(|n| usize::try_from(n).unwrap_or(0)))
    }

    /// The number of values of the model's only output, if that is one row for each picture, `[B, n]` or `[B, n, 1, 1]`; 0 if
    /// it is dynamic.
    pub(super) fn row(&self) -> Option<usize> {
        let [output] = self.model.outputs.as_slice() else { return None };
        let (&[_, values] | &[_, values, 1, 1]) = output.shape.as_slice() else { return None };
        Some(usize::try_from(values).unwrap_or(0))
    }

    /// The names in the file, or else the built-in ones.
    ///
    /// # Errors
    /// The file has no names, and more classes than any model.
    pub(super) fn labels(&self, classes: usize, pose: bool) -> Result<Labels, HeadError> {
        if let Some(names) = &self.metadata.names {
            return Ok(names.clone());
        }
        self.countable(classes, "classes")?;
        Ok(Labels::built_in(classes, pose))
    }

    /// The names in the file if it has as many, or else those of the layout with this number of keypoints.
    ///
    /// # Errors
    /// No model has that many.
    pub(super) fn keypoint_layout(&self, count: usize) -> Result<Arc<KeypointLayout>, HeadError> {
        self.countable(count, "keypoints")?;
        Ok(match self.metadata.kpt_names.clone().filter(|names| names.len() == count) {
            Some(names) => KeypointLayout::named(names),
            None => KeypointLayout::built_in(count),
        })
    }

    /// Checks a number that the outputs' dimensions give before anything is named for each.
    ///
    /// # Errors
    /// No model has that many.
    pub(super) fn countable(&self, count: usize, what: &str) -> Result<(), HeadError> {
        if count > MOST {
            return Err(self.unknown(&format!("an output with {count} {what}; at most {MOST} are possible")));
        }
        Ok(())
    }

    /// The input's size: fixed in the file, or else `imgsz` from the metadata, or else the head's default.
    ///
    /// # Errors
    /// None of these gives a size, or the size is invalid.
    pub(super) fn size(&self, head: &str, default: Option<(u32, u32)>) -> Result<(u32, u32), HeadError> {
        let said = self.metadata.imgsz.map(|(height, width)| (width, height));
        let differs = |fixed: Option<u32>, said: u32| fixed.is_some_and(|fixed| fixed != said);
        if let Some((w, h)) = said.filter(|(w, h)| differs(self.input.width, *w) || differs(self.input.height, *h))
            && self.choice.head == HeadChoice::Auto
        {
            return Err(self.unknown(&format!(
                "head {head}: the metadata `imgsz` says {h}x{w} (height x width), and the input has another size; export \
                 the model again, or name its head if the input is right: head=NAME (HEAD in a config.json)"
            )));
        }
        let imgsz = said.or(default);
        let width = self.input.width.or(imgsz.map(|size| size.0));
        let height = self.input.height.or(imgsz.map(|size| size.1));
        let (Some(width), Some(height)) = (width, height) else {
            return Err(self.unknown(&format!(
                "head {head}: the input's height or width is dynamic and the file has no metadata `imgsz`; \
                 export the model with a fixed size, or add the metadata `imgsz` = [height, width]"
            )));
        };
        if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
            let message =
                format!("head {head}: an input of {width}x{height} pixels; 1 to {MAX_SIDE} per side are possible");
            return Err(self.unknown(&message));
        }
        Ok((width, height))
    }

    /// The input format of this model.
    ///
    /// # Errors
    /// As for [`Self::size`], or the order of the input's dimensions is unknown.
    pub(super) fn spec(&self, head: &str, style: &InputStyle) -> Result<InputSpec, HeadError> {
        let (width, height) = self.size(head, style.default_size)?;
        // Ultralytics exports only NCHW, and so does Hugging Face; for other files a wrong guess would go unnoticed.
        let named = self.model.inputs.get(self.image).is_some_and(|input| input.name == PIXEL_VALUES);
        let nchw = (named || self.metadata.is_ultralytics()).then_some(Layout::Nchw);
        let layout = self.input.layout.or(nchw).ok_or_else(|| {
            self.unknown(&format!(
                "head {head}: all of the input's dimensions are dynamic, neither the second nor the last is 3"
            ))
        })?;
        let family = match self.input.element {
            ElementType::F32 | ElementType::F16 => style.normalization.unwrap_or(Normalization::UNIT),
            // A model that takes integers normalises them itself.
            ElementType::U8 | ElementType::I32 | ElementType::I64 => Normalization::NONE,
        };
        let (bgr, normalization) = self.choice.values(style.bgr, family);
        Ok(InputSpec {
            width,
            height,
            layout,
            element: self.input.element,
            normalization,
            bgr,
            resize: self.choice.resize.resize().unwrap_or(style.resize),
            pad: style.pad,
        })
    }

    /// The error with the reason, the model's tensors and the known heads.
    pub(super) fn unknown(&self, why: &str) -> HeadError {
        HeadError::Unknown(format!("{why}\n{}", self.otherwise()))
    }

    /// The error for an unsupported family.
    fn not_read(&self, family: &Family) -> HeadError {
        let Family { said, what, why } = family;
        let (is, remedy) = match said {
            true => ("it is", ""),
            false => (
                "it looks like",
                "\nIf it isn't, and one of these heads fits, name it: head=NAME (HEAD in a config.json)",
            ),
        };
        HeadError::Unknown(format!(
            "{is} {what}, which no head here reads: {why}\n{}\nheads that are read: {}{remedy}",
            self.seen(),
            names()
        ))
    }

    /// A description of the file's tensors and metadata.
    fn seen(&self) -> String {
        let task = self.metadata.task.as_deref().unwrap_or("none");
        let classes = self.metadata.classes().map_or("none".to_owned(), |n| n.to_string());
        let (inputs, outputs) = (list(&self.model.inputs), list(&self.model.outputs));
        format!("input: {inputs}\noutputs: {outputs}\nmetadata: task {task}, class names {classes}")
    }

    /// The file's description, its possible meanings, and how to choose one.
    fn otherwise(&self) -> String {
        let mut text = self.seen();
        let candidates = candidates(self);
        if !candidates.is_empty() {
            text += "\nby its shape alone it could be:";
            text.extend(candidates.iter().map(|candidate| format!("\n  {candidate}")));
        }
        text + "\nknown heads:"
            + &known()
            + "\nExport the model again with its metadata (Ultralytics writes task, names, kpt_shape), or, if one of these \
               heads fits, name it: head=NAME (HEAD in a config.json)"
    }
}

/// Number of cells of the grids with these strides over an input.
pub(super) fn grid_cells(width: u32, height: u32, strides: &[u32]) -> usize {
    strides.iter().map(|&s| width.div_ceil(s) as usize * height.div_ceil(s) as usize).sum()
}

/// For example `images f32 [-1, 3, 640, 640], …`.
fn list(tensors: &[TensorInfo]) -> String {
    let one = |t: &TensorInfo| format!("{} {} {:?}", t.name, format!("{:?}", t.element).to_lowercase(), t.shape);
    if tensors.is_empty() { "none".to_owned() } else { tensors.iter().map(one).collect::<Vec<_>>().join(", ") }
}

/// The index of the image among the inputs, and the others, whose values must be known.
///
/// # Errors
/// There is no image, several inputs may be it, or another input isn't known.
fn inputs(seen: &ModelFacts<'_>) -> Result<(usize, Vec<SideInput>), HeadError> {
    let inputs = &seen.model.inputs;
    let mut images = Vec::new();
    let mut sides = Vec::new();
    for (index, input) in inputs.iter().enumerate() {
        match SIDES.iter().find(|(name, _)| *name == input.name) {
            Some(&(_, meaning)) if matches!(*input.shape, [_, 2]) => sides.push(SideInput { index, meaning }),
            Some((name, _)) => {
                return Err(HeadError::Unknown(format!(
                    "its input {name} has the shape {:?}, where [batch, 2] is expected: {}",
                    input.shape,
                    list(inputs)
                )));
            }
            None => images.push(index),
        }
    }
    let [image] = *images else {
        if let Some(family) = by_tensors(seen) {
            return Err(seen.not_read(&family));
        }
        return Err(HeadError::Unknown(format!(
            "has {} inputs ({}), but only one image is supported, and {} beside it: export the model with the image as its \
             only input, values that are the same for every picture as constants in the graph, and without its own \
             postprocessing",
            inputs.len(),
            list(inputs),
            SIDES.map(|(name, _)| name).join(", "),
        )));
    };
    Ok((image, sides))
}

impl SideInput {
    fn values(&self, input: &InputSpec) -> ConstantInput {
        let (width, height) = (input.width as f32, input.height as f32);
        let values = match self.meaning {
            Side::TargetSize => vec![width, height],
            Side::ImageShape => vec![height, width],
            Side::ScaleFactor => vec![1.0, 1.0],
        };
        ConstantInput { index: self.index, values }
    }
}

/// # Errors
/// The input isn't an RGB image.
fn image_input(seen: &ModelFacts<'_>) -> Result<Input, HeadError> {
    let model = seen.model;
    let error = |why: &str| Err(HeadError::Unknown(format!("{why}: {}", list(&model.inputs))));
    let Some(input) = model.inputs.get(seen.image) else {
        return error("the model has no input: export it with the image as its input");
    };
    let &[_, a, b, c] = input.shape.as_slice() else {
        return error("the model's input isn't an image of four dimensions, [batch, 3, h, w] or [batch, h, w, 3]");
    };
    if input.element == ElementType::I64 {
        return error("the model's input has elements of type i64; f32, f16, u8 and i32 are possible");
    }
    let (layout, height, width) = match (a, c) {
        (3, _) => (Some(Layout::Nchw), b, c),
        (_, 3) => (Some(Layout::Nhwc), a, b),
        (..=0, ..=0) => (None, 0, 0),
        _ => return error("the model's input doesn't have three channels, as the second or the last dimension"),
    };
    // A dynamic side is -1; a side that doesn't fit is rejected later by the size check.
    let side = |n: i64| (n > 0).then(|| u32::try_from(n).unwrap_or(u32::MAX));
    Ok(Input { layout, element: input.element, width: side(width), height: side(height) })
}
