//! Rectangles in any direction, and their suppression.
//!
//! Both engines find the same boxes to the last bit. Sine and cosine are computed in double precision and rounded, which hides
//! that a GPU's differ in the last place, and the exponential from operations that every processor rounds alike.

use super::{Params, Rect};
use std::f32::consts::{FRAC_PI_4, LOG2_E, PI};

/// A rectangle in any direction, or the parallelogram that an uneven scale makes of one.
///
/// `corners` are x and y of the corners, clockwise as seen in the picture. From the first to the second runs a side that
/// the model calls the width; in a box that isn't rotated they are the upper left and the upper right corner.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct OrientedBox {
    /// In the unit of the box's use, as for [`Rect`].
    pub corners: [[f32; 2]; 4],
}

impl OrientedBox {
    /// A rectangle that is rotated about its centre by `angle`, in radians, clockwise. The sign of a size doesn't matter.
    /// `None` if a corner isn't finite.
    pub fn new(cx: f32, cy: f32, w: f32, h: f32, angle: f32) -> Option<Self> {
        let (sin, cos) = f64::from(angle).sin_cos();
        let (sin, cos) = (sin as f32, cos as f32);
        let (w, h) = (w.abs() / 2.0, h.abs() / 2.0);
        let (ux, uy, vx, vy) = (w * cos, w * sin, -h * sin, h * cos);
        let corners = [
            [cx - ux - vx, cy - uy - vy],
            [cx + ux - vx, cy + uy - vy],
            [cx + ux + vx, cy + uy + vy],
            [cx - ux + vx, cy - uy + vy],
        ];
        corners.as_flattened().iter().all(|value| value.is_finite()).then_some(Self { corners })
    }

    /// The smallest upright rectangle around it.
    pub fn enclosing(&self) -> Rect {
        let [a, b, c, d] = self.corners;
        let least = |k: usize| a[k].min(b[k]).min(c[k].min(d[k]));
        let most = |k: usize| a[k].max(b[k]).max(c[k].max(d[k]));
        Rect::from_corners(least(0), least(1), most(0), most(1))
    }

    /// Maps the corners by `f`, which must keep parallels parallel. After a reflection they are in another order, so that
    /// they are clockwise again.
    pub fn map(&self, f: impl Fn(f32, f32) -> (f32, f32)) -> Self {
        let [a, b, c, d] = self.corners.map(|[x, y]| f(x, y).into());
        let mapped = Self { corners: [a, b, c, d] };
        let [[ux, uy], [vx, vy]] = mapped.sides();
        if ux * vy < uy * vx { Self { corners: [b, a, d, c] } } else { mapped }
    }

    /// Multiplies x by `sx`, y by `sy`.
    pub fn scaled(&self, sx: f32, sy: f32) -> Self {
        self.map(|x, y| (x * sx, y * sy))
    }

    /// The middle between opposite corners.
    pub fn centre(&self) -> (f32, f32) {
        let [a, _, c, _] = self.corners;
        ((a[0] + c[0]) / 2.0, (a[1] + c[1]) / 2.0)
    }

    /// The lengths of the first side (the width) and of the second.
    pub fn size(&self) -> (f32, f32) {
        let [[ux, uy], [vx, vy]] = self.sides();
        (ux.hypot(uy), vx.hypot(vy))
    }

    /// The angle of the first side, in radians, clockwise from the x axis, within -π/4 to 3π/4: half a turn more is the
    /// same rectangle.
    pub fn angle(&self) -> f32 {
        let [[ux, uy], _] = self.sides();
        let angle = uy.atan2(ux);
        if angle < -FRAC_PI_4 {
            angle + PI
        } else if angle >= 3.0 * FRAC_PI_4 {
            angle - PI
        } else {
            angle
        }
    }

    /// From the first corner to the second, and to the fourth.
    fn sides(&self) -> [[f32; 2]; 2] {
        let [a, b, _, d] = self.corners;
        [[b[0] - a[0], b[1] - a[1]], [d[0] - a[0], d[1] - a[1]]]
    }
}

/// A box as a normal distribution with the variances of the box, for its likeness to others (ProbIoU). Reference:
/// <https://arxiv.org/abs/2106.06072>.
#[derive(Debug, Clone, Copy)]
struct Gaussian {
    class_id: u32,
    x: f32,
    y: f32,
    /// Variance of x, variance of y, and their covariance.
    a: f32,
    b: f32,
    c: f32,
}

/// As in the reference implementation, which adds it to denominators and logarithms.
const EPSILON: f32 = 1e-7;

impl Gaussian {
    fn new(of: &OrientedBox, class_id: u32) -> Self {
        let [[ux, uy], [vx, vy]] = of.sides();
        let (x, y) = of.centre();
        let part = |u: f32, v: f32| (u + v) / 12.0;
        Self { class_id, x, y, a: part(ux * ux, vx * vx), b: part(uy * uy, vy * vy), c: part(ux * uy, vx * vy) }
    }

    /// Whether the likeness of two boxes is above the limit: one minus the Hellinger distance of the distributions, whose
    /// Bhattacharyya distance is `near + ln(shape) / 2`. Follows `batch_probiou` of Ultralytics 8.4.190 step by step.
    fn is_like(&self, other: &Self, limit: &Limit) -> bool {
        let (dx, dy) = (self.x - other.x, self.y - other.y);
        let (a, b, c) = (self.a + other.a, self.b + other.b, self.c + other.c);
        if dx * dx + dy * dy > limit.reach * (a + b) {
            return false;
        }
        let determinant = a * b - c * c;
        let t1 = (a * (dy * dy) + b * (dx * dx)) / (determinant + EPSILON) * 0.25;
        let t2 = c * -dx * dy / (determinant + EPSILON) * 0.5;
        let own = |of: &Self| (of.a * of.b - of.c * of.c).max(0.0);
        let shape = determinant / (4.0 * (own(self) * own(other)).sqrt() + EPSILON) + EPSILON;
        let overlap = decay(t1 + t2) / shape.sqrt();
        let overlap = if overlap > 1.0 - f32::EPSILON { 1.0 - f32::EPSILON } else { overlap };
        1.0 - (1.0 - overlap + EPSILON).sqrt() > limit.iou
    }
}

/// The threshold of likeness, and what follows from it.
struct Limit {
    iou: f32,
    /// No boxes are alike whose centres' squared distance is more than this times the sum of their variances.
    reach: f32,
}

impl Limit {
    /// Two boxes are alike only if `exp(-near)` is above some `least`, and then `near`, which is at least a quarter of the
    /// squared distance per variance, is below `1 / least - 1`, because that is above `-ln(least)`. A hundredth more is for
    /// rounding.
    fn new(iou: f32) -> Self {
        let least = 1.0 - (1.0 - iou) * (1.0 - iou) + EPSILON;
        Self { iou, reach: 4.0 * (1.01 / least - 1.0) }
    }
}

/// For each of the boxes, best first, whether it is kept; at most `max_detections` are.
///
/// A box is dropped if it is like *any* better one of its class, kept or not, as Ultralytics' `fast_nms` does for rotated
/// boxes. Likeness is ProbIoU.
pub(super) fn kept<'a>(boxes: impl Iterator<Item = (&'a OrientedBox, u32)>, params: &Params) -> Vec<bool> {
    let limit = Limit::new(params.iou);
    let mut better: Vec<Gaussian> = Vec::new();
    let mut count = 0;
    let keep = |(oriented, class_id): (&OrientedBox, u32)| {
        if count >= params.max_detections {
            return false;
        }
        let own = Gaussian::new(oriented, if params.class_agnostic { 0 } else { class_id });
        let is_kept = !better.iter().any(|other| other.class_id == own.class_id && other.is_like(&own, &limit));
        better.push(own);
        count += usize::from(is_kept);
        is_kept
    };
    boxes.map(keep).collect()
}

/// e⁻ˣ of a number that isn't negative, by Cephes' polynomial; 0 where it can't matter, and for NaN.
fn decay(x: f32) -> f32 {
    /// ln 2 in two parts, the first of which has zeros at its end.
    const LN_2: (f32, f32) = (0.693_359_4, -2.121_944_4e-4);
    if !(-1.0..=80.0).contains(&x) {
        return 0.0;
    }
    let halvings = (x * LOG2_E).round_ties_even();
    let r = halvings * LN_2.0 - x + halvings * LN_2.1;
    let power = 1.987_569_1e-4;
    let power = power * r + 1.398_2e-3;
    let power = power * r + 8.333_452e-3;
    let power = power * r + 4.166_579_6e-2;
    let power = power * r + 1.666_666_5e-1;
    let power = power * r + 0.5;
    let power = power * (r * r) + r + 1.0;
    power * f32::from_bits(((127 - halvings as i32) as u32) << 23)
}

#[cfg(test)]
mod tests;
