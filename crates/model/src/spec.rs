//! The tensors that a model's file declares, and the format of its input.

use super::GstModelInfo;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Element type of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ElementType {
    /// 32-bit floating point.
    F32,
    /// 16-bit floating point.
    F16,
    /// Unsigned bytes.
    U8,
    /// 32-bit integers.
    I32,
    /// 64-bit integers.
    I64,
}

impl ElementType {
    /// Bytes per element.
    pub fn size(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::F16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::I64 => 8,
        }
    }
}

/// Order of an image tensor's dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// `[batch, 3, height, width]`
    Nchw,
    /// `[batch, height, width, 3]`
    Nhwc,
}

/// The model's input value = (pixel 0–255 − `mean`) × `scale`, per channel in the model's channel order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalization {
    /// Subtracted from each channel.
    pub mean: [f32; 3],
    /// Factor applied to each channel after the subtraction.
    pub scale: [f32; 3],
}

impl Normalization {
    /// Values stay 0–255.
    pub const NONE: Self = Self { mean: [0.0; 3], scale: [1.0; 3] };
    /// 0–1.
    pub const UNIT: Self = Self { mean: [0.0; 3], scale: [1.0 / 255.0; 3] };
}

/// The image tensor that a model takes, with everything that is needed to make it from a frame.
#[derive(Debug, Clone, PartialEq)]
pub struct InputSpec {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// The order of the dimensions.
    pub layout: Layout,
    /// The type of the elements.
    pub element: ElementType,
    /// The normalisation of pixel values 0–255.
    pub normalization: Normalization,
    /// Whether channels are in BGR instead of RGB order.
    pub bgr: bool,
    /// Whether to letterbox the frame; `false` stretches it over the whole input.
    pub keep_aspect_ratio: bool,
    /// Pixel value 0–255 of the letterbox's border, before normalisation.
    pub pad: u8,
}

impl std::fmt::Display for InputSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { width, height, layout, element, normalization, bgr, keep_aspect_ratio, pad } = self;
        let (order, fit) =
            (if *bgr { "BGR" } else { "RGB" }, if *keep_aspect_ratio { "letterboxed" } else { "stretched" });
        write!(f, "{width}x{height} {order} {element:?} {layout:?} {fit}, border {pad}, ")?;
        match *normalization {
            Normalization::NONE => write!(f, "values 0–255"),
            Normalization::UNIT => write!(f, "values 0–1"),
            Normalization { mean, scale } => write!(f, "(pixel - {mean:?}) * {scale:?}"),
        }
    }
}

impl InputSpec {
    /// Elements per image, 3 · width · height.
    pub fn elements(&self) -> usize {
        3 * self.width as usize * self.height as usize
    }

    /// Bytes per image.
    pub fn bytes(&self) -> usize {
        self.elements() * self.element.size()
    }
}

/// One input or output as the model's file declares it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorInfo {
    /// The tensor's name.
    pub name: String,
    /// The type of the elements.
    pub element: ElementType,
    /// -1: dynamic.
    pub shape: Vec<i64>,
}

/// The tensors and metadata that a model's file declares, independent of the runtime that read them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ModelInfo {
    /// The model's inputs.
    pub inputs: Vec<TensorInfo>,
    /// The model's outputs.
    pub outputs: Vec<TensorInfo>,
    /// ONNX metadata; Ultralytics writes `names`, `task`, `imgsz`, `stride`, `kpt_shape`, `batch`, `end2end`.
    pub metadata: BTreeMap<String, String>,
    /// GStreamer's model info, if there is such a file beside the model.
    pub gst_model_info: Option<GstModelInfo>,
}

impl ModelInfo {
    /// The declared shapes of the outputs without the batch dimension; a dynamic dimension is 0.
    pub fn output_shapes(&self) -> Vec<Vec<usize>> {
        let size = |&dim: &i64| usize::try_from(dim).unwrap_or(0);
        self.outputs.iter().map(|output| output.shape.iter().skip(1).map(size).collect()).collect()
    }
}
