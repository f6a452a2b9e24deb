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
    /// Mean 0 and standard deviation 1 over ImageNet, with torchvision's constants, for channels in RGB order.
    pub const IMAGENET: Self =
        Self { mean: [123.675, 116.28, 103.53], scale: [1.0 / 58.395, 1.0 / 57.12, 1.0 / 57.375] };

    /// The same values for the opposite order of channels.
    pub fn reversed(self) -> Self {
        let Self { mean: [a, b, c], scale: [d, e, f] } = self;
        Self { mean: [c, b, a], scale: [f, e, d] }
    }
}

/// The place of a frame in an input with another aspect ratio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fit {
    /// The frame is stretched over the whole input.
    Stretched,
    /// The frame keeps its aspect ratio and lies in the middle.
    Centred,
    /// The frame keeps its aspect ratio and lies at the top left.
    TopLeft,
    /// The frame keeps its aspect ratio and covers the input: its middle is used, like torchvision's `Resize(N)` followed by
    /// `CenterCrop(N)`.
    Cropped,
    /// The middle 7/8 of what [`Self::Cropped`] uses, like torchvision's `Resize(256)` followed by `CenterCrop(224)`.
    CroppedInside,
    /// The region is extended around its centre to the input's aspect ratio and covers the whole input. It may reach beyond
    /// the frame; what lies outside is border. Top-down pose models crop persons so.
    Extended,
}

/// Which points of a region and of its resized picture coincide; the names are those of ONNX's operator Resize. Pixels are
/// counted from 0, region and picture in source and target pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Alignment {
    /// Their edges: pixel `i` of `n` shows the region's part `(i + 1/2) / n`.
    HalfPixel,
    /// The start of the region and the first pixel's centre: pixel `i` of `n` shows the source's pixel that many `n`ths of
    /// the region from its start, as in `get_warp_matrix` of mmpose.
    Asymmetric,
    /// The ends of the region and the centres of the first and the last pixel, as in unbiased data processing (UDP, arXiv
    /// 1911.07524).
    AlignCorners,
}

/// How values between the pixels of a frame are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interpolation {
    /// Bilinear: between the nearest pixels, two of each axis, like OpenCV's `INTER_LINEAR`.
    Linear,
    /// The same, but a frame that gets smaller is filtered by a triangle as wide as its steps, like PIL's bilinear `resize`.
    Antialiased,
    /// Cubic convolution of the nearest pixels, four of each axis, limited to 0–255, like OpenCV's `INTER_CUBIC`.
    Cubic,
}

/// How a frame is resized to an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Resize {
    /// The place of the frame.
    pub fit: Fit,
    /// Whether the size of a frame that keeps its aspect ratio is rounded down, like Python's `int`, instead of to the
    /// nearest integer.
    pub round_down: bool,
    /// How values between pixels are computed.
    pub interpolation: Interpolation,
    /// Which points of the region and of the resized picture coincide.
    pub alignment: Alignment,
}

impl Resize {
    /// Ultralytics' letterbox.
    pub const LETTERBOX: Self = Self {
        fit: Fit::Centred,
        round_down: false,
        interpolation: Interpolation::Linear,
        alignment: Alignment::HalfPixel,
    };
    /// Stretched, without antialiasing.
    pub const STRETCH: Self = Self { fit: Fit::Stretched, ..Self::LETTERBOX };
    /// At the top left, as YOLOX is trained.
    pub const TOP_LEFT: Self = Self { fit: Fit::TopLeft, round_down: true, ..Self::LETTERBOX };
    /// A region of the input's aspect ratio, as mmpose's top-down models are trained.
    pub const EXTENDED: Self = Self { fit: Fit::Extended, alignment: Alignment::Asymmetric, ..Self::LETTERBOX };
    /// The same with unbiased data processing.
    pub const EXTENDED_UDP: Self = Self { alignment: Alignment::AlignCorners, ..Self::EXTENDED };
    /// The middle of the frame, as classifiers are evaluated.
    pub const CROP: Self = Self { fit: Fit::Cropped, round_down: true, ..Self::LETTERBOX };
    /// 7/8 of it, as torchvision's classifiers are evaluated.
    pub const CROP_INSIDE: Self = Self { fit: Fit::CroppedInside, ..Self::CROP };

    /// The same with antialiasing.
    pub const fn antialiased(self) -> Self {
        Self { interpolation: Interpolation::Antialiased, ..self }
    }

    /// The same with cubic convolution.
    pub const fn cubic(self) -> Self {
        Self { interpolation: Interpolation::Cubic, ..self }
    }
}

impl std::fmt::Display for Resize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.fit {
            Fit::Stretched => "stretched",
            Fit::Centred => "letterboxed",
            Fit::TopLeft => "letterboxed at the top left",
            Fit::Cropped => "cropped to the middle",
            Fit::CroppedInside => "cropped to the middle 7/8",
            Fit::Extended if self.alignment == Alignment::AlignCorners => "a region of its aspect ratio (UDP)",
            Fit::Extended => "a region of its aspect ratio",
        })?;
        f.write_str(match self.interpolation {
            Interpolation::Linear => "",
            Interpolation::Antialiased => ", antialiased",
            Interpolation::Cubic => ", cubic",
        })
    }
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
    /// How a frame is resized.
    pub resize: Resize,
    /// Pixel value 0–255 of the letterbox's border, before normalisation.
    pub pad: u8,
}

impl std::fmt::Display for InputSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { width, height, layout, element, normalization, bgr, resize, pad } = self;
        let order = if *bgr { "BGR" } else { "RGB" };
        write!(f, "{width}x{height} {order} {element:?} {layout:?} {resize}, border {pad}, ")?;
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
    /// The text of Hugging Face's `preprocessor_config.json`, if there is such a file beside the model.
    pub image_processor: Option<String>,
}

impl ModelInfo {
    /// The image among the inputs, and its index: the first of four dimensions, as the others hold a few values each.
    pub fn image_input(&self) -> Option<(usize, &TensorInfo)> {
        self.inputs
            .iter()
            .enumerate()
            .find(|(_, input)| input.shape.len() == 4)
            .or_else(|| self.inputs.iter().enumerate().next())
    }

    /// The declared shapes of the outputs without the batch dimension; a dynamic dimension is 0.
    pub fn output_shapes(&self) -> Vec<Vec<usize>> {
        let size = |&dim: &i64| usize::try_from(dim).unwrap_or(0);
        self.outputs.iter().map(|output| output.shape.iter().skip(1).map(size).collect()).collect()
    }
}
