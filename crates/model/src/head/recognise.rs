//! From what a model's file says to its head and the meaning of its input.

use super::super::{ElementType, InputSpec, Labels, Layout, ModelInfo, Normalization, TensorInfo};
use super::choice::{HeadChoice, known, names};
use super::families::{Family, by_metadata, by_tensors, candidates};
use super::metadata::{Metadata, Writer};
use super::reading::{Reading, Trust};
use super::{Head, HeadError, movenet, nanodet, ultralytics};
use std::sync::Arc;

/// A head, the input's meaning, and how sure that is.
pub(super) type Found = (Arc<dyn Head>, InputSpec, Trust);

/// What a model's file says of itself.
#[derive(Debug, Clone)]
pub struct Recognised {
    /// What decodes the outputs.
    pub head: Arc<dyn Head>,
    /// What the input is.
    pub input: InputSpec,
    /// What to hold its outputs against, once it runs.
    pub reading: Reading,
}

/// Inputs larger than this on a side are taken for a corrupt file.
const MAX_SIDE: u32 = 8192;

/// Finds the head and the input's meaning from what the model's file says, or what the user says it is.
///
/// Who wrote the file is asked first: another exporter's file of the same shapes means something else. Then what
/// Ultralytics' metadata says; else the output shapes that only one head has. Shapes that several heads have are left for
/// [`Reading::check`] to tell apart by their values.
///
/// # Errors
/// [`HeadError::Unknown`] with the shapes seen and the heads known; a family that no head reads, by its name.
pub fn recognise(model: &ModelInfo, choice: HeadChoice) -> Result<Recognised, HeadError> {
    let metadata = Metadata::parse(&model.metadata)?;
    let mut seen = Seen { model, input: Input::NONE, metadata };
    if let Some(family) = by_metadata(&seen) {
        return Err(seen.not_read(&family));
    }
    seen.input = image_input(&seen)?;
    if let (HeadChoice::Auto, Writer::Other(name)) = (choice, &seen.metadata.writer) {
        return Err(seen.unknown(&format!(
            "the file says that it is of {name}, and not of Ultralytics: what its outputs mean isn't known"
        )));
    }
    let (head, input, trust) = match choice {
        HeadChoice::Auto => {
            let tried = [movenet::recognise, nanodet::recognise, ultralytics::recognise];
            let found = tried.into_iter().find_map(|recognise| recognise(&seen).transpose()).transpose()?;
            found.ok_or_else(|| match by_tensors(&seen) {
                Some(family) => seen.not_read(&family),
                None => seen.unknown("no known head has these outputs"),
            })?
        }
        _ => {
            let nick = choice.nick();
            seen.chosen(choice)?.ok_or_else(|| seen.unknown(&format!("head={nick} doesn't fit the model's outputs")))?
        }
    };
    Ok(Recognised { head, input, reading: Reading { trust, otherwise: seen.otherwise() } })
}

/// All that is known of a model while its head is looked for.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    pub(super) model: &'a ModelInfo,
    pub(super) input: Input,
    pub(super) metadata: Metadata,
}

/// The image input as declared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input {
    /// `None` where the channels' dimension is dynamic too.
    pub(super) layout: Option<Layout>,
    element: ElementType,
    /// `None`: dynamic.
    pub(super) width: Option<u32>,
    pub(super) height: Option<u32>,
}

/// What a family of models does with its input.
#[derive(Debug, Clone, Copy)]
pub(super) struct InputStyle {
    /// `None`: 0–1 for floats, 0–255 for integers.
    pub(super) normalization: Option<Normalization>,
    pub(super) bgr: bool,
    pub(super) keep_aspect_ratio: bool,
    pub(super) pad: u8,
    /// Width and height for a dynamic input whose file names no size.
    pub(super) default_size: Option<(u32, u32)>,
}

impl Input {
    /// Before it's read.
    const NONE: Self = Self { layout: None, element: ElementType::F32, width: None, height: None };
}

impl Seen<'_> {
    /// The head that the user has named; `None` where it doesn't fit.
    fn chosen(&self, choice: HeadChoice) -> Result<Option<Found>, HeadError> {
        match choice {
            HeadChoice::Auto => Ok(None),
            HeadChoice::Nanodet => nanodet::recognise(self),
            HeadChoice::Movenet => movenet::single(self),
            HeadChoice::MovenetMultipose => movenet::multi(self),
            HeadChoice::Yolo => ultralytics::chosen(self, false, false),
            HeadChoice::YoloEndToEnd => ultralytics::chosen(self, true, false),
            HeadChoice::YoloPose => ultralytics::chosen(self, false, true),
            HeadChoice::YoloPoseEndToEnd => ultralytics::chosen(self, true, true),
        }
    }

    /// An output's shape where it has three dimensions; a dynamic one is 0.
    pub(super) fn rows(&self, output: usize) -> Option<[usize; 3]> {
        let shape = &self.model.outputs.get(output)?.shape;
        let shape: [i64; 3] = shape.as_slice().try_into().ok()?;
        Some(shape.map(|n| usize::try_from(n).unwrap_or(0)))
    }

    /// The names that the file gives, else the built-in ones.
    pub(super) fn labels(&self, classes: usize, pose: bool) -> Labels {
        self.metadata.names.clone().unwrap_or_else(|| Labels::built_in(classes, pose))
    }

    /// The input's size: fixed in the file, else `imgsz` of the metadata, else the head's default.
    ///
    /// # Errors
    /// When none of them says it, or it can't be.
    pub(super) fn size(&self, head: &str, default: Option<(u32, u32)>) -> Result<(u32, u32), HeadError> {
        let imgsz = self.metadata.imgsz.map(|(height, width)| (width, height)).or(default);
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
                format!("head {head}: an input of {width}x{height} pixels; 1 to {MAX_SIDE} a side are possible");
            return Err(self.unknown(&message));
        }
        Ok((width, height))
    }

    /// What to make of a frame for this model.
    ///
    /// # Errors
    /// As [`Self::size`], or when the order of the input's dimensions can't be told.
    pub(super) fn spec(&self, head: &str, style: &InputStyle) -> Result<InputSpec, HeadError> {
        let (width, height) = self.size(head, style.default_size)?;
        // Ultralytics exports NCHW only; from anywhere else a guess would be a silent one.
        let layout = self.input.layout.or(self.metadata.is_ultralytics().then_some(Layout::Nchw)).ok_or_else(|| {
            self.unknown(&format!(
                "head {head}: all of the input's dimensions are dynamic, neither the second nor the last is 3"
            ))
        })?;
        let normalization = style.normalization.unwrap_or(match self.input.element {
            ElementType::F32 | ElementType::F16 => Normalization::UNIT,
            ElementType::U8 | ElementType::I32 | ElementType::I64 => Normalization::NONE,
        });
        Ok(InputSpec {
            width,
            height,
            layout,
            element: self.input.element,
            normalization,
            bgr: style.bgr,
            keep_aspect_ratio: style.keep_aspect_ratio,
            pad: style.pad,
        })
    }

    /// The error that says why, what was seen and what there is.
    pub(super) fn unknown(&self, why: &str) -> HeadError {
        HeadError::Unknown(format!("{why}\n{}", self.otherwise()))
    }

    /// The error for a family that no head reads.
    fn not_read(&self, family: &Family) -> HeadError {
        let Family { said, what, why } = family;
        let (is, remedy) = match said {
            true => ("it is", ""),
            false => (
                "it looks like",
                "\nIf it is none, and one of these heads is what it has, name it: head=NAME (HEAD in a config.json)",
            ),
        };
        HeadError::Unknown(format!(
            "{is} {what}, which no head here reads: {why}\n{}\nheads that are read: {}{remedy}",
            self.seen(),
            names()
        ))
    }

    /// What the file says.
    fn seen(&self) -> String {
        let task = self.metadata.task.as_deref().unwrap_or("none");
        let classes = self.metadata.classes().map_or("none".to_owned(), |n| n.to_string());
        let (inputs, outputs) = (list(&self.model.inputs), list(&self.model.outputs));
        format!("input: {inputs}\noutputs: {outputs}\nmetadata: task {task}, class names {classes}")
    }

    /// What the file says, what it may be, and how to say which.
    fn otherwise(&self) -> String {
        let mut text = self.seen();
        let candidates = candidates(self);
        if !candidates.is_empty() {
            text += "\nby its shape alone it could be:";
            text.extend(candidates.iter().map(|candidate| format!("\n  {candidate}")));
        }
        text + "\nknown heads:"
            + &known()
            + "\nExport the model again with its metadata (Ultralytics writes task, names, kpt_shape), or, where one of these \
               heads is what it has, name it: head=NAME (HEAD in a config.json)"
    }
}

/// Cells of the grids that these strides lay over an input.
pub(super) fn grid_cells(width: u32, height: u32, strides: &[u32]) -> usize {
    strides.iter().map(|&s| width.div_ceil(s) as usize * height.div_ceil(s) as usize).sum()
}

/// `images f32 [-1, 3, 640, 640], …`
fn list(tensors: &[TensorInfo]) -> String {
    let one = |t: &TensorInfo| format!("{} {} {:?}", t.name, format!("{:?}", t.element).to_lowercase(), t.shape);
    if tensors.is_empty() { "none".to_owned() } else { tensors.iter().map(one).collect::<Vec<_>>().join(", ") }
}

/// # Errors
/// When the model doesn't take one RGB image.
fn image_input(seen: &Seen<'_>) -> Result<Input, HeadError> {
    let model = seen.model;
    let error = |why: &str| Err(HeadError::Unknown(format!("{why}: {}", list(&model.inputs))));
    let [input] = model.inputs.as_slice() else {
        if let Some(family) = by_tensors(seen) {
            return Err(seen.not_read(&family));
        }
        return Err(HeadError::Unknown(format!(
            "has {} inputs ({}), where one image is read: export the model with the image as its only input, what is the \
             same for every picture becoming a constant in the graph, and without its own postprocessing",
            model.inputs.len(),
            list(&model.inputs)
        )));
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
    // Dynamic is -1; what doesn't fit is refused with the size.
    let side = |n: i64| (n > 0).then(|| u32::try_from(n).unwrap_or(u32::MAX));
    Ok(Input { layout, element: input.element, width: side(width), height: side(height) })
}
