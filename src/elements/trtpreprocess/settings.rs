//! The values of the properties.

use crate::backend::{input, open_engine};
use crate::error::{Error, ErrorKind};
use crate::infer::{Backend, ModelSettings};
use gst::glib;
use model::{ElementType, InputSpec, Layout, Normalization, Resize, TensorIds};
use std::path::PathBuf;

/// Order of the tensor's dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstTrtLayout")]
pub enum TensorLayout {
    #[enum_value(name = "[1, 3, height, width]", nick = "nchw")]
    Nchw,
    #[enum_value(name = "[1, height, width, 3]", nick = "nhwc")]
    Nhwc,
}

/// Element type of the tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstTrtTensorType")]
pub enum TensorType {
    #[enum_value(name = "32-bit floating point", nick = "float32")]
    Float32,
    #[enum_value(name = "16-bit floating point", nick = "float16")]
    Float16,
    #[enum_value(name = "8-bit unsigned integers", nick = "uint8")]
    Uint8,
    #[enum_value(name = "32-bit integers", nick = "int32")]
    Int32,
}

/// Range of the tensor's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstTrtNormalization")]
pub enum Range {
    #[enum_value(name = "0–1", nick = "unit")]
    Unit,
    #[enum_value(name = "0–255, as in the pixels", nick = "none")]
    None,
    #[enum_value(name = "Mean 0 and standard deviation 1 over ImageNet", nick = "imagenet")]
    ImageNet,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub backend: Backend,
    pub device_id: u32,
    pub model: Option<PathBuf>,
    /// Pixels; 0: the model's.
    pub width: u32,
    pub height: u32,
    pub layout: TensorLayout,
    pub tensor_type: TensorType,
    pub normalization: Range,
    pub keep_aspect_ratio: bool,
    pub max_in_flight: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            backend: Backend::TensorRt,
            device_id: 0,
            model: None,
            width: 0,
            height: 0,
            layout: TensorLayout::Nchw,
            tensor_type: TensorType::Float32,
            normalization: Range::Unit,
            keep_aspect_ratio: true,
            max_in_flight: 2,
        }
    }
}

/// The id of a tensor that was made for no model.
const IMAGE: &str = "image";
/// Pixel value of the border, as used in the training of YOLO models.
const PAD: u8 = 114;

impl Settings {
    /// The tensor that the properties specify, and its id; `None` if they leave it to the models downstream.
    ///
    /// # Errors
    /// Only one of width and height is set, a size and a model are both set, or the model can't be opened.
    pub fn spec(&self) -> Result<Option<(InputSpec, String)>, Error> {
        let setting = |text: &str| Err(Error::new(ErrorKind::Setting, text));
        match (&self.model, self.width, self.height) {
            (None, 0, 0) => Ok(None),
            (Some(model), 0, 0) => match self.backend {
                Backend::TensorRt => input(model).map(Some),
                Backend::Cpu => {
                    let settings =
                        ModelSettings { backend: self.backend, model: model.clone(), ..ModelSettings::default() };
                    let engine = open_engine(&settings)?;
                    let id = TensorIds::of(engine.info(), &**engine.head()).input;
                    Ok(Some((engine.input().clone(), id)))
                }
            },
            (Some(_), _, _) => setting(
                "the tensor's size comes either from `model` or from `width` and `height`: set only one of them",
            ),
            (None, 0, _) | (None, _, 0) => setting("set both `width` and `height`, or neither"),
            (None, width, height) => Ok(Some((self.image(width, height), IMAGE.to_owned()))),
        }
    }

    /// The tensor of this size.
    fn image(&self, width: u32, height: u32) -> InputSpec {
        InputSpec {
            width,
            height,
            layout: match self.layout {
                TensorLayout::Nchw => Layout::Nchw,
                TensorLayout::Nhwc => Layout::Nhwc,
            },
            element: match self.tensor_type {
                TensorType::Float32 => ElementType::F32,
                TensorType::Float16 => ElementType::F16,
                TensorType::Uint8 => ElementType::U8,
                TensorType::Int32 => ElementType::I32,
            },
            normalization: match self.normalization {
                Range::Unit => Normalization::UNIT,
                Range::None => Normalization::NONE,
                Range::ImageNet => Normalization::IMAGENET,
            },
            bgr: false,
            resize: if self.keep_aspect_ratio { Resize::LETTERBOX } else { Resize::STRETCH },
            pad: PAD,
        }
    }
}
