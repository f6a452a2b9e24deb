//! The settings of an element, and their resolved form for the open model.

use super::properties::copy_model;
use super::values;
use crate::meta::{Attach, Mirrors, analytics};
use crate::options::{InferenceOptions, InferenceRegion};
use model::{Labels, Params, Rect};
use std::sync::Arc;
use std::time::Duration;

/// The settings as the properties give them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Settings {
    pub options: InferenceOptions,
    /// Counts the changes that require the model to be reopened.
    pub model_changes: u64,
}

impl Settings {
    /// Copies the options that decide which model is opened from `other`.
    pub fn restore_model(&mut self, other: &Self) {
        copy_model(&mut self.options, &other.options);
    }

    /// Resolves the settings for a model with these labels.
    ///
    /// # Errors
    /// Names the property and the value that doesn't fit.
    pub fn resolve(&self, labels: &Labels) -> Result<Resolved, String> {
        let options = &self.options;
        if options.analytics_meta {
            analytics::check().map_err(|error| error.message)?;
        }
        let (min, max) = (options.min_size.checked("min-size")?, options.max_size.checked("max-size")?);
        let class_confidence = options.class_confidence.checked("class-confidence")?;
        let params = Params {
            confidence: options.confidence,
            class_confidence: values::class_values("class-confidence", class_confidence, labels)?,
            iou: options.iou,
            class_agnostic: options.class_agnostic_nms,
            classes: values::class_set("classes", options.classes.checked("classes")?, labels)?,
            max_detections: options.max_detections as usize,
            min_size: (min.width, min.height),
            max_size: (max.width, max.height),
            output_tensors: options.output_tensors,
        };
        Ok(Resolved {
            params: Arc::new(params),
            interval: options.interval,
            batch_timeout: options.batch_timeout,
            skip_when_busy: options.skip_when_busy,
            attach: options.attach,
            mirrors: Mirrors { roi: options.roi_meta, analytics: options.analytics_meta },
            region: options.region,
            rois: options.roi.checked("roi")?.clone(),
            object_classes: options.object_classes.checked("object-classes")?.clone(),
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
    /// The forms in which other programs get the objects.
    pub mirrors: Mirrors,
    pub region: InferenceRegion,
    /// Fractions of the frame; empty: the whole frame.
    pub rois: Vec<Rect>,
    /// Labels of the objects to run on; empty: all.
    pub object_classes: Vec<String>,
}
