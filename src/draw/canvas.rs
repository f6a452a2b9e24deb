//! The surface that shapes are drawn on, and its two operations.

use super::Rgb;
use super::shape::Point;
use model::mask::Scaled;

/// Whole pixels; right and bottom are exclusive. The area is empty if its edges cross.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    pub left: i32,
    pub top: i32,
    pub right: i32,
    pub bottom: i32,
}

impl Area {
    pub const fn new(left: i32, top: i32, right: i32, bottom: i32) -> Self {
        Self { left, top, right, bottom }
    }

    pub fn width(&self) -> i32 {
        self.right - self.left
    }

    pub fn height(&self) -> i32 {
        self.bottom - self.top
    }

    /// True if a pixel is in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        let shared = self.intersection(other);
        shared.width() > 0 && shared.height() > 0
    }

    pub fn intersection(&self, other: &Self) -> Self {
        Self {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.min(other.right),
            bottom: self.bottom.min(other.bottom),
        }
    }
}

/// The coverage of each pixel by a shape.
#[derive(Debug, Clone, Copy)]
pub struct Mask<'a> {
    pub left: i32,
    pub top: i32,
    /// Pixels per row.
    pub width: usize,
    /// Rows without gaps, 0–255.
    pub coverage: &'a [u8],
}

impl<'a> Mask<'a> {
    pub fn right(&self) -> i32 {
        self.left.saturating_add_unsigned(self.width as u32)
    }

    pub fn bottom(&self) -> i32 {
        self.top.saturating_add_unsigned(self.coverage.len().checked_div(self.width).unwrap_or(0) as u32)
    }

    /// The coverage in the picture's row `y`; empty outside the mask.
    pub fn row(&self, y: i32) -> &'a [u8] {
        let start = i64::from(y) - i64::from(self.top);
        usize::try_from(start)
            .ok()
            .and_then(|row| row.checked_mul(self.width))
            .and_then(|start| self.coverage.get(start..)?.get(..self.width))
            .unwrap_or_default()
    }
}

/// A picture to draw on. Pixels outside it are ignored.
pub trait Canvas {
    /// A colour in the picture's format.
    type Ink: Copy;

    /// The whole picture.
    fn area(&self) -> Area;

    fn ink(&self, colour: Rgb) -> Self::Ink;

    /// Paints every pixel of `area`.
    fn fill(&mut self, area: Area, ink: Self::Ink);

    /// Blends `ink` into each pixel by its coverage in `mask`.
    fn blend(&mut self, mask: Mask<'_>, ink: Self::Ink);

    /// Like [`Self::blend`], for a mask that recurs: `key` identifies its coverage and width.
    fn blend_known(&mut self, key: u64, mask: Mask<'_>, ink: Self::Ink) {
        let _ = key;
        self.blend(mask, ink);
    }

    /// Draws a line with round ends directly, `radius` pixels to both sides. Returns false if it must be drawn through
    /// masks.
    fn line(&mut self, from: Point, to: Point, radius: f32, ink: Self::Ink) -> bool {
        let _ = (from, to, radius, ink);
        false
    }

    /// Blends `ink` by `opacity`, 0–255, into the pixels of an object's mask directly. Returns false if it must be drawn
    /// through masks of coverage.
    fn cells(&mut self, cells: &Scaled<'_>, opacity: u8, ink: Self::Ink) -> bool {
        let _ = (cells, opacity, ink);
        false
    }
}
