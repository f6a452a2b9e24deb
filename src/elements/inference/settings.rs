//! What the properties set.

use super::values::{self, Size};
use crate::error::{Error, ErrorKind};
use crate::gst_cuda::SharedContext;
use crate::infer::{Backend, BuildWatch, DeviceContext, ModelSettings, Precision};
use crate::meta::Attach;
use crate::model::head::HeadChoice;
use crate::model::{Labels, Params, Rect, split_labels};
use gst::glib;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where a model looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstTrtInferenceRegion")]
pub enum InferenceRegion {
    #[enum_value(name = "The frame, or the parts of it that `roi` names", nick = "frame")]
    Frame,
    #[enum_value(name = "The boxes of objects found before", nick = "objects")]
    Objects,
}

/// The properties' values.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub model: Option<PathBuf>,
    /// `None`: the element's name.
    pub model_id: Option<String>,
    pub labels: Option<PathBuf>,
    pub head: HeadChoice,
    pub backend: Backend,
    pub device_id: u32,
    pub precision: Precision,
    /// `None`: the user's cache folder.
    pub engine_cache: Option<PathBuf>,
    /// `None`: engines are in the cache alone.
    pub engine_file: Option<PathBuf>,
    /// MiB.
    pub workspace_size: u32,
    pub batch_size: u32,
    pub batch_timeout: Duration,
    pub max_in_flight: u32,
    pub interval: u32,
    pub region: InferenceRegion,
    pub object_classes: Option<String>,
    pub confidence: f32,
    pub class_confidence: Option<String>,
    pub iou: f32,
    pub class_agnostic_nms: bool,
    pub classes: Option<String>,
    pub max_detections: u32,
    pub min_size: Option<String>,
    pub max_size: Option<String>,
    pub roi: Option<String>,
    pub skip_when_busy: bool,
    pub output_tensors: bool,
    pub roi_meta: bool,
    /// MiB; 0: no limit.
    pub gpu_memory_limit: u32,
    pub attach: Attach,
    /// Counts the changes that need the model opened anew.
    pub model_changes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        let params = Params::default();
        Self {
            model: None,
            model_id: None,
            labels: None,
            head: HeadChoice::Auto,
            backend: Backend::TensorRt,
            device_id: 0,
            precision: Precision::Auto,
            engine_cache: None,
            engine_file: None,
            workspace_size: 2048,
            batch_size: 1,
            batch_timeout: Duration::ZERO,
            max_in_flight: 4,
            interval: 0,
            region: InferenceRegion::Frame,
            object_classes: None,
            confidence: params.confidence,
            class_confidence: None,
            iou: params.iou,
            class_agnostic_nms: params.class_agnostic,
            classes: None,
            max_detections: params.max_detections as u32,
            min_size: None,
            max_size: None,
            roi: None,
            skip_when_busy: false,
            output_tensors: params.output_tensors,
            roi_meta: true,
            gpu_memory_limit: 0,
            attach: Attach::Match,
            model_changes: 0,
        }
    }
}

impl Settings {
    /// What decides which service runs the model.
    ///
    /// # Errors
    /// No model is set.
    pub fn model_settings(&self, context: Option<SharedContext>, watch: BuildWatch) -> Result<ModelSettings, Error> {
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
            head: self.head,
            precision: self.precision,
            device_id: self.device_id,
            batch_size: self.batch_size,
            workspace_size: self.workspace_size,
            context: context.map(|shared| Arc::new(shared) as Arc<dyn DeviceContext>),
            engine_cache: self.engine_cache.clone(),
            engine_file: self.engine_file.clone().filter(|_| self.backend == Backend::TensorRt),
            gpu_memory_limit: self.gpu_memory_limit,
            watch,
        })
    }

    /// Takes what decides on the model from `other`.
    pub fn restore_model(&mut self, other: &Self) {
        self.model.clone_from(&other.model);
        self.model_id.clone_from(&other.model_id);
        self.labels.clone_from(&other.labels);
        self.head = other.head;
        self.engine_cache.clone_from(&other.engine_cache);
        self.engine_file.clone_from(&other.engine_file);
        self.precision = other.precision;
        self.workspace_size = other.workspace_size;
        self.batch_size = other.batch_size;
        self.gpu_memory_limit = other.gpu_memory_limit;
    }

    /// What the settings mean for a model with these labels.
    ///
    /// # Errors
    /// Names the property and the value that doesn't fit.
    pub fn resolve(&self, labels: &Labels) -> Result<Resolved, String> {
        let size = |name: &str, text: &Option<String>| match text {
            Some(text) => text.parse::<Size>().map_err(|e| format!("{name}: {e}")),
            None => Ok(Size::default()),
        };
        let (min, max) = (size("min-size", &self.min_size)?, size("max-size", &self.max_size)?);
        let params = Params {
            confidence: self.confidence,
            class_confidence: values::class_values("class-confidence", self.class_confidence.as_deref(), labels)?,
            iou: self.iou,
            class_agnostic: self.class_agnostic_nms,
            classes: values::class_set("classes", self.classes.as_deref(), labels)?,
            max_detections: self.max_detections as usize,
            min_size: (min.width, min.height),
            max_size: (max.width, max.height),
            output_tensors: self.output_tensors,
        };
        let rois = values::rois(self.roi.as_deref().unwrap_or_default()).map_err(|e| format!("roi: {e}"))?;
        let object_classes = split_labels(self.object_classes.as_deref().unwrap_or_default());
        Ok(Resolved {
            params: Arc::new(params),
            interval: self.interval,
            batch_timeout: self.batch_timeout,
            skip_when_busy: self.skip_when_busy,
            attach: self.attach,
            roi_meta: self.roi_meta,
            region: self.region,
            rois,
            object_classes,
        })
    }
}

/// The settings that may change while playing, checked against the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    pub params: Arc<Params>,
    pub interval: u32,
    pub batch_timeout: Duration,
    pub skip_when_busy: bool,
    pub attach: Attach,
    pub roi_meta: bool,
    pub region: InferenceRegion,
    /// Normalised to the frame; none: the whole frame.
    pub rois: Vec<Rect>,
    /// Labels of the objects to look at; none: all.
    pub object_classes: Vec<String>,
}
