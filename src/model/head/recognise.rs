//! From what a model's file says to its head and the meaning of its input.

use super::super::{ElementType, InputSpec, Labels, Layout, ModelInfo, Normalization, TensorInfo};
use super::metadata::Metadata;
use super::{Head, HeadError, movenet, nanodet, ultralytics};
use std::sync::Arc;

pub(super) type Found = (Arc<dyn Head>, InputSpec);

/// The heads there are, for the error that says none fits.
const KNOWN: &str = "\
  yolo                  [B, 4+nc, N], or [B, N, 4+nc] with metadata `names`  (YOLOv8, 9, 11, 12)
  yolo-end-to-end       [B, M, 6]                                            (YOLOv10, 26, exports with nms=True)
  yolo-pose             [B, 4+nc+K*D, N]                                     (YOLOv8-pose, YOLO11-pose)
  yolo-pose-end-to-end  [B, M, 6+K*D]                                        (YOLO26-pose)
  nanodet               [B, N, nc+4*(reg_max+1)], or [B, n, nc] and [B, n, 4*(reg_max+1)] for each of 3 strides
  movenet               [1, 1, 17, 3], input [1, H, W, 3]
  movenet-multipose     [1, 6, 56], input [1, H, W, 3]";

/// Inputs larger than this on a side are taken for a corrupt file.
const MAX_SIDE: u32 = 8192;

/// Finds the head and the input's meaning from what the model's file says.
///
/// The order is: what Ultralytics' metadata says; else the output shapes that only one head has. A shape that two heads
/// share, without metadata that tells them apart, is an error.
///
/// # Errors
/// [`HeadError::Unknown`] with the shapes seen and the heads known.
pub fn recognise(model: &ModelInfo) -> Result<(Arc<dyn Head>, InputSpec), HeadError> {
    let metadata = Metadata::parse(&model.metadata)?;
    let seen = Seen { model, input: image_input(model)?, metadata };
    for try_head in [movenet::recognise, nanodet::recognise, ultralytics::recognise] {
        if let Some(found) = try_head(&seen)? {
            return Ok(found);
        }
    }
    Err(seen.unknown("no known head has these outputs"))
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

impl Seen<'_> {
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
        let task = self.metadata.task.as_deref().unwrap_or("none");
        let classes = self.metadata.classes().map_or("none".to_owned(), |n| n.to_string());
        HeadError::Unknown(format!(
            "{why}\ninput: {}\noutputs: {}\nmetadata: task {task}, class names {classes}\nknown heads:\n{KNOWN}",
            list(&self.model.inputs),
            list(&self.model.outputs)
        ))
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
fn image_input(model: &ModelInfo) -> Result<Input, HeadError> {
    let error = |why: &str| Err(HeadError::Unknown(format!("{why}: {}", list(&model.inputs))));
    let [input] = model.inputs.as_slice() else {
        return error("the model doesn't have one image as its only input");
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
