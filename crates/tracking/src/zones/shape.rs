//! An object's place, and where it is relative to polygons and lines. All in heights of the frame.

use super::config::Anchor;
use super::geometry::{Point, Polygon, cross, distance, minus};
use model::Rect;

/// How far behind a border an object must be, as a part of its height.
const MARGIN_OF_OBJECT: f32 = 0.1;

/// Where an object is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Place {
    pub rect: Rect,
    pub feet: Point,
}

impl Place {
    pub fn new(rect: Rect, feet: Option<Point>, aspect: f32) -> Self {
        let rect = rect.scaled(aspect, 1.0);
        let feet = feet.map_or((rect.x + rect.w / 2.0, rect.bottom()), |(x, y)| (x * aspect, y));
        Self { rect, feet }
    }

    pub fn centre(&self) -> Point {
        (self.rect.x + self.rect.w / 2.0, self.rect.y + self.rect.h / 2.0)
    }

    pub fn size(&self) -> f32 {
        self.rect.w.max(self.rect.h)
    }

    pub fn margin(&self, least: f32) -> f32 {
        least.max(MARGIN_OF_OBJECT * self.rect.h)
    }

    /// The point that is followed across lines.
    fn anchor(&self, anchor: Anchor) -> Point {
        match anchor {
            Anchor::Feet => self.feet,
            Anchor::Centre | Anchor::Strict => self.centre(),
        }
    }

    fn corners(&self) -> [Point; 4] {
        let Rect { x, y, .. } = self.rect;
        [(x, y), (self.rect.right(), y), (self.rect.right(), self.rect.bottom()), (x, self.rect.bottom())]
    }

    pub fn is_inside(&self, polygon: &Polygon, anchor: Anchor) -> bool {
        match anchor {
            Anchor::Strict => self.corners().into_iter().all(|corner| polygon.contains(corner)),
            _ => polygon.contains(self.anchor(anchor)),
        }
    }

    /// Whether it is certainly outside.
    pub fn is_beyond(&self, polygon: &Polygon, anchor: Anchor, margin: f32) -> bool {
        match anchor {
            Anchor::Strict => self.corners().into_iter().all(|corner| !polygon.contains(corner)),
            _ => polygon.is_beyond(self.anchor(anchor), margin),
        }
    }
}

/// A line from one point to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    pub from: Point,
    pub to: Point,
}

impl Line {
    /// The distance of a point from the line without end: positive on the right, as seen from `from` towards `to`.
    fn side(&self, point: Point) -> f32 {
        cross(minus(self.to, self.from), minus(point, self.from)) / distance(self.from, self.to)
    }

    pub fn side_of_anchor(&self, place: &Place, anchor: Anchor) -> f32 {
        self.side(place.anchor(anchor))
    }

    /// The side on which an object certainly is; 0 if that isn't certain.
    pub fn certain_side(&self, place: &Place, anchor: Anchor, margin: f32) -> i8 {
        let of = |value: f32| {
            if value > margin {
                1
            } else if value < -margin {
                -1
            } else {
                0
            }
        };
        match anchor {
            Anchor::Strict => {
                let sides = place.corners().map(|corner| self.side(corner));
                if sides.iter().all(|side| *side > 0.0) && of(self.side(place.centre())) == 1 {
                    1
                } else if sides.iter().all(|side| *side < 0.0) && of(self.side(place.centre())) == -1 {
                    -1
                } else {
                    0
                }
            }
            _ => of(self.side_of_anchor(place, anchor)),
        }
    }

    /// Whether a step from one side to the other passes between the line's ends, and which part of the step is before it.
    pub fn passes(&self, old: &Place, new: &Place, anchor: Anchor) -> (bool, f32) {
        let (old, new) = (old.anchor(anchor), new.anchor(anchor));
        let (before, after) = (self.side(old), self.side(new));
        let part = before / (before - after);
        let at = (old.0 + part * (new.0 - old.0), old.1 + part * (new.1 - old.1));
        let (along, offset) = (minus(self.to, self.from), minus(at, self.from));
        let position = (along.0 * offset.0 + along.1 * offset.1) / (along.0 * along.0 + along.1 * along.1);
        ((0.0..=1.0).contains(&position), part)
    }
}
