//! The options of `trttrack`.

use super::InferenceOptions;
use crate::meta::{Mirrors, analytics};
use ::tracking::{Algorithm, Appearance, Settings};
use model::head::HeadChoice;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq)]
pub struct TrackingOptions {
    pub algorithm: Algorithm,
    /// Frames.
    pub max_age: u32,
    /// Frames.
    pub min_hits: u32,
    /// 0–1.
    pub iou: f32,
    pub high_confidence: f32,
    pub low_confidence: f32,
    pub class_agnostic: bool,
    /// The model for re-identification; there is none while its `model` is `None`.
    pub reid: InferenceOptions,
    pub reid_max_age: Duration,
    /// The greatest cosine distance of one object's vectors, 0–2.
    pub reid_distance: f32,
    /// Time between two vectors of an object that is followed without doubt.
    pub reid_interval: Duration,
    pub roi_meta: bool,
    pub analytics_meta: bool,
}

impl Default for TrackingOptions {
    fn default() -> Self {
        let Settings {
            algorithm,
            max_age,
            min_hits,
            iou,
            high_confidence,
            low_confidence,
            class_agnostic,
            appearance,
            ..
        } = Settings::default();
        Self {
            algorithm,
            max_age,
            min_hits,
            iou,
            high_confidence,
            low_confidence,
            class_agnostic,
            reid: Self::reid(),
            reid_max_age: appearance.max_age,
            reid_distance: appearance.distance,
            reid_interval: Duration::from_secs(1),
            roi_meta: true,
            analytics_meta: analytics::is_there(),
        }
    }
}

impl TrackingOptions {
    /// How a model for re-identification runs by default.
    pub fn reid() -> InferenceOptions {
        // A frame's crops come at once, and the tracker waits for them.
        InferenceOptions {
            head: HeadChoice::Embedding,
            batch_size: 8,
            max_in_flight: 1,
            ..InferenceOptions::for_classification()
        }
    }

    /// The options of the model for re-identification, if there is one.
    pub fn reid_model(&self) -> Option<&InferenceOptions> {
        self.reid.model.is_some().then_some(&self.reid)
    }

    /// The settings of a tracker for frames at this interval.
    pub fn settings(&self, frame_interval: Duration) -> Settings {
        Settings {
            algorithm: self.algorithm,
            max_age: self.max_age,
            min_hits: self.min_hits,
            iou: self.iou,
            high_confidence: self.high_confidence,
            low_confidence: self.low_confidence,
            class_agnostic: self.class_agnostic,
            frame_interval,
            appearance: Appearance { distance: self.reid_distance, max_age: self.reid_max_age },
        }
    }

    pub fn mirrors(&self) -> Mirrors {
        Mirrors { roi: self.roi_meta, analytics: self.analytics_meta }
    }
}
