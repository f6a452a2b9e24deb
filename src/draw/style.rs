//! What to draw of a record, and how large.

use gst::glib;
use std::time::Duration;

/// What an object's colour represents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstTrtOverlayColorBy")]
pub enum ColorBy {
    /// Its class, or its label if it has no class id.
    #[enum_value(name = "The object's class", nick = "class")]
    Class,
    /// Its id in the frame, which differs for each object.
    #[enum_value(name = "The object's id in the frame", nick = "id")]
    Id,
    /// The model that found it.
    #[enum_value(name = "The model that found the object", nick = "source")]
    Source,
    /// Its track, which keeps its colour from frame to frame; of an object without a track, its class.
    #[enum_value(name = "The object's track, or its class if it has none", nick = "track")]
    Track,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Style {
    pub boxes: bool,
    pub labels: bool,
    pub confidence: bool,
    pub keypoints: bool,
    pub masks: bool,
    /// Zones and lines, with what was counted.
    pub zones: bool,
    /// How much of a mask's colour is blended into the picture, 0–1.
    pub mask_alpha: f32,
    /// Pixels; 0: 1/360 of the frame's shorter side.
    pub line_width: u32,
    /// Pixels from ascender to descender; 0: 1/42 of the frame's shorter side, at least 12.
    pub font_size: u32,
    /// Keypoints with a lower confidence are omitted, with their limbs; 0–1.
    pub keypoint_confidence: f32,
    pub color_by: ColorBy,
    /// For how long an object's tail shows where it was; zero: no tails.
    pub tail: Duration,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            boxes: true,
            labels: true,
            confidence: true,
            keypoints: true,
            masks: true,
            zones: true,
            mask_alpha: 0.4,
            line_width: 0,
            font_size: 0,
            keypoint_confidence: 0.3,
            color_by: ColorBy::Class,
            tail: Duration::ZERO,
        }
    }
}
