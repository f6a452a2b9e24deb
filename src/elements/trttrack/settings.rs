//! The values of the properties.

use crate::meta::{Mirrors, analytics};
use gst::glib;
use std::time::Duration;
use tracking::Settings;

/// The tracking algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstTrtTrackAlgorithm")]
pub enum Algorithm {
    #[enum_value(name = "ByteTrack: objects of low confidence continue tracks, but start none", nick = "bytetrack")]
    ByteTrack,
    #[enum_value(name = "OC-SORT: motion is corrected by what is found after a gap", nick = "oc-sort")]
    OcSort,
    #[enum_value(name = "BoT-SORT, without camera motion compensation", nick = "bot-sort")]
    BotSort,
}

impl From<Algorithm> for tracking::Algorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::ByteTrack => Self::ByteTrack,
            Algorithm::OcSort => Self::OcSort,
            Algorithm::BotSort => Self::BotSort,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Options {
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
    pub roi_meta: bool,
    pub analytics_meta: bool,
}

impl Default for Options {
    fn default() -> Self {
        let Settings { max_age, min_hits, iou, high_confidence, low_confidence, class_agnostic, .. } =
            Settings::default();
        Self {
            algorithm: Algorithm::ByteTrack,
            max_age,
            min_hits,
            iou,
            high_confidence,
            low_confidence,
            class_agnostic,
            roi_meta: true,
            analytics_meta: analytics::is_there(),
        }
    }
}

impl Options {
    /// The settings of a tracker for frames at this interval.
    pub fn settings(&self, frame_interval: Duration) -> Settings {
        Settings {
            algorithm: self.algorithm.into(),
            max_age: self.max_age,
            min_hits: self.min_hits,
            iou: self.iou,
            high_confidence: self.high_confidence,
            low_confidence: self.low_confidence,
            class_agnostic: self.class_agnostic,
            frame_interval,
            ..Settings::default()
        }
    }

    pub fn mirrors(&self) -> Mirrors {
        Mirrors { roi: self.roi_meta, analytics: self.analytics_meta }
    }
}
