//! Boxes, keypoints and detections.

use super::{Mask, OrientedBox};

/// An axis-aligned rectangle: left, top, width, height. The unit depends on the use: network pixels, frame pixels, or
/// 0–1.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rect {
    /// Horizontal position.
    pub x: f32,
    /// Vertical position.
    pub y: f32,
    /// Width.
    pub w: f32,
    /// Height.
    pub h: f32,
}

impl Rect {
    /// The whole of a normalised area.
    pub const UNIT: Self = Self::new(0.0, 0.0, 1.0, 1.0);

    /// A rectangle given by its top left corner and size.
    pub const fn new(x: f32, y: f32, w: f32, h: f32) -> Self {
        Self { x, y, w, h }
    }

    /// A part of a frame, as fractions of it; `None` if it isn't inside or is empty. There is a tolerance, because
    /// decimal fractions that add up to 1 may be slightly more in binary.
    pub fn part_of_frame(x: f32, y: f32, w: f32, h: f32) -> Option<Self> {
        const WHOLE: f32 = 1.0001;
        let inside = x >= 0.0 && y >= 0.0 && w > 0.0 && h > 0.0 && x + w <= WHOLE && y + h <= WHOLE;
        inside.then_some(Self::new(x, y, w, h))
    }

    /// A rectangle given by its top left and bottom right corners.
    pub fn from_corners(x1: f32, y1: f32, x2: f32, y2: f32) -> Self {
        Self::new(x1, y1, x2 - x1, y2 - y1)
    }

    /// A rectangle given by its centre and size.
    pub fn from_centre(cx: f32, cy: f32, w: f32, h: f32) -> Self {
        Self::new(cx - w / 2.0, cy - h / 2.0, w, h)
    }

    /// The right edge.
    pub fn right(&self) -> f32 {
        self.x + self.w
    }

    /// The bottom edge.
    pub fn bottom(&self) -> f32 {
        self.y + self.h
    }

    /// Width times height.
    pub fn area(&self) -> f32 {
        self.w.max(0.0) * self.h.max(0.0)
    }

    /// The part of `self` inside `other`; of zero size if they don't overlap.
    pub fn intersection(&self, other: &Self) -> Self {
        let (x1, y1) = (self.x.max(other.x), self.y.max(other.y));
        let (x2, y2) = (self.right().min(other.right()), self.bottom().min(other.bottom()));
        Self::new(x1, y1, (x2 - x1).max(0.0), (y2 - y1).max(0.0))
    }

    /// Intersection over union, 0–1.
    pub fn iou(&self, other: &Self) -> f32 {
        let shared = self.intersection(other).area();
        let union = self.area() + other.area() - shared;
        if union > 0.0 { shared / union } else { 0.0 }
    }

    /// Multiplies x and width by `sx`, y and height by `sy`.
    pub fn scaled(&self, sx: f32, sy: f32) -> Self {
        Self::new(self.x * sx, self.y * sy, self.w * sx, self.h * sy)
    }
}

/// A body joint or other landmark; its index in the list determines its name, see [`super::KeypointLayout`].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Keypoint {
    /// Horizontal position.
    pub x: f32,
    /// Vertical position.
    pub y: f32,
    /// 0–1.
    pub confidence: f32,
}

/// One object that a head found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Detection {
    /// The bounding box; of an oriented box the upright one around it.
    pub rect: Rect,
    /// Only of models whose boxes have a direction.
    pub oriented: Option<OrientedBox>,
    /// The class, counted from 0.
    pub class_id: u32,
    /// 0–1.
    pub confidence: f32,
    /// Empty for models without keypoints.
    pub keypoints: Vec<Keypoint>,
    /// The object's shape within its box; `None` for models without masks.
    pub mask: Option<Mask>,
    /// The anchor, row or query of the head's outputs that the object was read from, by which [`MaskPlan`] finds its mask; 0
    /// with heads that have no masks.
    ///
    /// [`MaskPlan`]: super::head::MaskPlan
    pub row: u32,
    /// The vector of an embedding model, of length 1; empty for other models.
    pub embedding: Vec<f32>,
}

impl Detection {
    /// Maps the boxes' corners, every keypoint and the mask's area by `f`, which must keep axes and their directions (scale and
    /// shift only).
    pub fn map_points(&mut self, f: impl Fn(f32, f32) -> (f32, f32)) {
        let corners = |rect: &Rect| {
            let ((x1, y1), (x2, y2)) = (f(rect.x, rect.y), f(rect.right(), rect.bottom()));
            Rect::from_corners(x1, y1, x2, y2)
        };
        self.rect = corners(&self.rect);
        self.oriented = self.oriented.map(|oriented| oriented.map(&f));
        self.mask = self.mask.as_ref().and_then(|mask| mask.moved(corners(&mask.area())));
        for k in &mut self.keypoints {
            (k.x, k.y) = f(k.x, k.y);
        }
    }
}
