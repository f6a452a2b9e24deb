//! Letterbox geometry.

use super::{InputSpec, Rect};

/// Where a region of a frame lies in a network's input, and the exact inverse.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Letterbox {
    /// The frame's region, in frame pixels.
    pub region: Rect,
    /// Left and top border in the input, pixels.
    pub left: u32,
    pub top: u32,
    /// Size of the resized picture in the input, pixels.
    pub width: u32,
    pub height: u32,
}

impl Letterbox {
    pub fn new(region: Rect, spec: &InputSpec) -> Self {
        let _ = spec;
        Self { region, left: 0, top: 0, width: 0, height: 0 }
    }

    /// From network pixels to frame pixels.
    pub fn to_frame(&self, x: f32, y: f32) -> (f32, f32) {
        (x, y)
    }
}
