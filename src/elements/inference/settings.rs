//! The settings of an element, and their resolved form for the open model.

use super::properties::copy_model;
use super::values;
use crate::meta::{Attach, Mirrors, analytics};
use crate::options::{InferenceOptions, InferenceRegion, Size};
use model::head::HeadKind;
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

    /// Resolves the settings for a model of this kind, with these labels.
    ///
    /// # Errors
    /// Names the property and the value that doesn't fit.
    pub fn resolve(&self, kind: HeadKind, labels: &Labels) -> Result<Resolved, String> {
        let options = &self.options;
        if options.analytics_meta {
            analytics::check().map_err(|error| error.message)?;
        }
        let size =
            SizeRange { min: *options.min_size.checked("min-size")?, max: *options.max_size.checked("max-size")? };
        // A classifier finds no boxes: the sizes are those of the objects that it runs on.
        let classifies = matches!(kind, HeadKind::Classification | HeadKind::Embedding);
        let (found_size, object_size) = match classifies {
            true => (SizeRange::default(), size),
            false => (size, SizeRange::default()),
        };
        let class_confidence = options.class_confidence.checked("class-confidence")?;
        let params = Params {
            confidence: options.confidence,
            class_confidence: values::class_values("class-confidence", class_confidence, labels)?,
            iou: options.iou,
            class_agnostic: options.class_agnostic_nms,
            classes: values::class_set("classes", options.classes.checked("classes")?, labels)?,
            max_detections: if classifies { options.top_k } else { options.max_detections } as usize,
            min_size: (found_size.min.width, found_size.min.height),
            max_size: (found_size.max.width, found_size.max.height),
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
            object_size,
            by_object: classifies && options.region == InferenceRegion::Objects,
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
    /// Sizes of the objects to run on.
    pub object_size: SizeRange,
    /// Whether `interval` counts for each object by itself, and results are kept for its track.
    pub by_object: bool,
}

impl Resolved {
    /// Whether the frame with this number is one of those that `interval` leaves.
    pub fn is_at_interval(&self, number: u64) -> bool {
        number.is_multiple_of(u64::from(self.interval) + 1)
    }
}

/// Sizes in frame pixels, limits included; a maximum of 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SizeRange {
    pub min: Size,
    pub max: Size,
}

impl SizeRange {
    /// Whether a rectangle in frame pixels has such a size.
    pub fn has(&self, rect: &Rect) -> bool {
        // A box of n pixels, normalised and scaled back in floating point, can differ from n by a rounding error.
        const SLACK: f32 = 0.01;
        let fits =
            |size: f32, min: u32, max: u32| size + SLACK >= min as f32 && (max == 0 || size - SLACK <= max as f32);
        fits(rect.w, self.min.width, self.max.width) && fits(rect.h, self.min.height, self.max.height)
    }
}
