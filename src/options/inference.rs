//! The options of `trtdetect`, `trtpose` and `trtclassify`.

use super::written::{Size, Written};
use crate::error::{Error, ErrorKind};
use crate::infer::{Backend, BuildWatch, DeviceContext, ModelSettings, Precision};
use crate::meta::{self, Attach};
use gst::glib;
use model::head::{ColorChoice, HeadChoice, ModelChoice, NormalizationChoice, ResizeChoice};
use model::{Params, Rect};
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The part of a frame that a model runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, glib::Enum, Deserialize, JsonSchema)]
#[enum_type(name = "GstTrtInferenceRegion")]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "LookAt")]
pub enum InferenceRegion {
    #[enum_value(name = "The frame, or the parts of it in `roi`", nick = "frame")]
    Frame,
    #[enum_value(name = "The boxes of objects detected upstream", nick = "objects")]
    Objects,
}

/// The model, and how to run it.
#[derive(Debug, Clone, PartialEq)]
pub struct InferenceOptions {
    pub model: Option<PathBuf>,
    /// `None`: the element's name.
    pub model_id: Option<String>,
    pub labels: Option<PathBuf>,
    pub head: HeadChoice,
    /// How pixel values become the input's.
    pub normalization: Written<NormalizationChoice>,
    /// How frames are fitted into the input.
    pub resize: ResizeChoice,
    /// The order of the input's channels.
    pub color: ColorChoice,
    pub backend: Backend,
    pub device_id: u32,
    pub precision: Precision,
    /// `None`: the user's cache folder.
    pub engine_cache: Option<PathBuf>,
    /// Where the engine of an `.onnx` is kept; `None`: only in the cache.
    pub engine_file: Option<PathBuf>,
    /// MiB.
    pub workspace_size: u32,
    /// Maximum images per batch.
    pub batch_size: u32,
    /// How long a frame waits for expected frames of other streams.
    pub batch_timeout: Duration,
    pub max_in_flight: u32,
    /// Frames passed on without inference after each inferred frame.
    pub interval: u32,
    pub region: InferenceRegion,
    /// With [`InferenceRegion::Objects`]: labels of the objects to run on; empty: all.
    pub object_classes: Written<Vec<String>>,
    /// 0–1.
    pub confidence: f32,
    /// By label or number, 0–1.
    pub class_confidence: Written<Vec<(String, f32)>>,
    /// 0–1.
    pub iou: f32,
    pub class_agnostic_nms: bool,
    /// By label or number; empty: all.
    pub classes: Written<Vec<String>>,
    pub max_detections: u32,
    /// Minimum and maximum size of a box, in frame pixels.
    pub min_size: Written<Size>,
    pub max_size: Written<Size>,
    /// Parts of the frame, as fractions of it; empty: the whole frame.
    pub roi: Written<Vec<Rect>>,
    /// Whether a frame may pass without inference while the engine is behind.
    pub skip_when_busy: bool,
    pub output_tensors: bool,
    pub roi_meta: bool,
    pub analytics_meta: bool,
    /// MiB; 0: no limit.
    pub gpu_memory_limit: u32,
    /// Only for poses.
    pub attach: Attach,
    /// Only for classification: the most classes of an object.
    pub top_k: u32,
}

impl Default for InferenceOptions {
    fn default() -> Self {
        let (params, model) = (Params::default(), ModelSettings::default());
        Self {
            model: None,
            model_id: None,
            labels: None,
            head: model.choice.head,
            normalization: Written::default(),
            resize: model.choice.resize,
            color: model.choice.color,
            backend: model.backend,
            device_id: model.device_id,
            precision: model.precision,
            engine_cache: None,
            engine_file: None,
            workspace_size: model.workspace_size,
            batch_size: model.batch_size,
            batch_timeout: Duration::ZERO,
            max_in_flight: 4,
            interval: 0,
            region: InferenceRegion::Frame,
            object_classes: Written::default(),
            confidence: params.confidence,
            class_confidence: Written::default(),
            iou: params.iou,
            class_agnostic_nms: params.class_agnostic,
            classes: Written::default(),
            max_detections: params.max_detections as u32,
            min_size: Written::default(),
            max_size: Written::default(),
            roi: Written::default(),
            skip_when_busy: false,
            output_tensors: params.output_tensors,
            roi_meta: true,
            analytics_meta: meta::analytics::is_there(),
            gpu_memory_limit: model.gpu_memory_limit,
            attach: Attach::Match,
            top_k: 1,
        }
    }
}

impl InferenceOptions {
    /// The defaults of `trtclassify`.
    pub fn for_classification() -> Self {
        Self { region: InferenceRegion::Objects, ..Self::default() }
    }

    /// What the user says about the model.
    ///
    /// # Errors
    /// The text of `normalization` is invalid.
    pub fn choice(&self) -> Result<ModelChoice, Error> {
        let normalization = self.normalization.checked("normalization");
        let normalization = *normalization.map_err(|text| Error::new(ErrorKind::Setting, text))?;
        Ok(ModelChoice { head: self.head, normalization, resize: self.resize, color: self.color })
    }

    /// The settings that decide which service runs the model.
    ///
    /// # Errors
    /// No model is set, or the text of `normalization` is invalid.
    pub fn model_settings(
        &self,
        context: Option<Arc<dyn DeviceContext>>,
        watch: BuildWatch,
    ) -> Result<ModelSettings, Error> {
        let none = || {
            let files = match self.backend {
                Backend::TensorRt => "an .onnx, .engine or .plan file",
                Backend::Cpu => "an .onnx file",
            };
            Error::new(ErrorKind::Setting, format!("no model: set the `model` property to {files}"))
        };
        Ok(ModelSettings {
            backend: self.backend,
            model: self.model.clone().ok_or_else(none)?,
            choice: self.choice()?,
            precision: self.precision,
            device_id: self.device_id,
            batch_size: self.batch_size,
            workspace_size: self.workspace_size,
            context,
            engine_cache: self.engine_cache.clone(),
            engine_file: self.engine_file.clone().filter(|_| self.backend == Backend::TensorRt),
            gpu_memory_limit: self.gpu_memory_limit,
            watch,
        })
    }
}
