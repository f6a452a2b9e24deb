//! Points, polygons and lines, in heights of the frame: both directions have the same scale.

/// x to the right, y downwards.
pub type Point = (f32, f32);

pub fn minus(a: Point, b: Point) -> Point {
    (a.0 - b.0, a.1 - b.1)
}

pub fn cross(a: Point, b: Point) -> f32 {
    a.0 * b.1 - a.1 * b.0
}

pub fn distance(a: Point, b: Point) -> f32 {
    (a.0 - b.0).hypot(a.1 - b.1)
}

fn squared_distance_to_segment(point: Point, from: Point, to: Point) -> f32 {
    let (along, offset) = (minus(to, from), minus(point, from));
    let length = along.0 * along.0 + along.1 * along.1;
    let part = ((along.0 * offset.0 + along.1 * offset.1) / length).clamp(0.0, 1.0);
    let (x, y) = (offset.0 - part * along.0, offset.1 - part * along.1);
    x * x + y * y
}

/// Whether two segments have a point in common.
pub fn segments_meet(a: [Point; 2], b: [Point; 2]) -> bool {
    let side = |[from, to]: [Point; 2], point| cross(minus(to, from), minus(point, from));
    let (a0, a1) = (side(b, a[0]), side(b, a[1]));
    let (b0, b1) = (side(a, b[0]), side(a, b[1]));
    if a0 * a1 < 0.0 && b0 * b1 < 0.0 {
        return true;
    }
    let within = |[from, to]: [Point; 2], point: Point| {
        let between = |a: f32, b: f32, value: f32| value >= a.min(b) && value <= a.max(b);
        between(from.0, to.0, point.0) && between(from.1, to.1, point.1)
    };
    (a0 == 0.0 && within(b, a[0]))
        || (a1 == 0.0 && within(b, a[1]))
        || (b0 == 0.0 && within(a, b[0]))
        || (b1 == 0.0 && within(a, b[1]))
}

/// A simple polygon.
#[derive(Debug, Clone, PartialEq)]
pub struct Polygon {
    points: Vec<Point>,
    least: Point,
    greatest: Point,
}

impl Polygon {
    pub fn new(points: Vec<Point>) -> Self {
        let fold = |pick: fn(f32, f32) -> f32, start: f32| {
            points.iter().fold((start, start), |(x, y), point| (pick(x, point.0), pick(y, point.1)))
        };
        let (least, greatest) = (fold(f32::min, f32::INFINITY), fold(f32::max, f32::NEG_INFINITY));
        Self { points, least, greatest }
    }

    fn edges(&self) -> impl Iterator<Item = (Point, Point)> {
        let previous = self.points.last().into_iter().chain(&self.points);
        previous.copied().zip(self.points.iter().copied())
    }

    fn is_in_bounds(&self, (x, y): Point, margin: f32) -> bool {
        x >= self.least.0 - margin
            && x <= self.greatest.0 + margin
            && y >= self.least.1 - margin
            && y <= self.greatest.1 + margin
    }

    pub fn contains(&self, point: Point) -> bool {
        if !self.is_in_bounds(point, 0.0) {
            return false;
        }
        let mut inside = false;
        for (from, to) in self.edges() {
            if (from.1 > point.1) != (to.1 > point.1) {
                let x = from.0 + (point.1 - from.1) / (to.1 - from.1) * (to.0 - from.0);
                inside ^= point.0 < x;
            }
        }
        inside
    }

    /// Whether the point is outside by more than `margin`.
    pub fn is_beyond(&self, point: Point, margin: f32) -> bool {
        if !self.is_in_bounds(point, margin) {
            return true;
        }
        let margin = margin * margin;
        !self.contains(point) && self.edges().all(|(from, to)| squared_distance_to_segment(point, from, to) > margin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_concave_polygon_knows_what_is_inside() {
        // An L.
        let polygon = Polygon::new(vec![(0.0, 0.0), (0.2, 0.0), (0.2, 0.6), (0.8, 0.6), (0.8, 0.9), (0.0, 0.9)]);
        for inside in [(0.1, 0.1), (0.1, 0.8), (0.7, 0.7)] {
            assert!(polygon.contains(inside) && !polygon.is_beyond(inside, 0.0), "{inside:?}");
        }
        for outside in [(0.5, 0.3), (0.9, 0.7), (0.1, 0.95), (-0.1, 0.5)] {
            assert!(!polygon.contains(outside) && polygon.is_beyond(outside, 0.01), "{outside:?}");
        }
        assert!(!polygon.is_beyond((0.25, 0.3), 0.06) && polygon.is_beyond((0.25, 0.3), 0.04));
    }

    #[test]
    fn segments_meet_where_they_cross_or_touch() {
        let across = [(0.0, 0.0), (1.0, 1.0)];
        assert!(segments_meet(across, [(0.0, 1.0), (1.0, 0.0)]));
        assert!(segments_meet(across, [(0.5, 0.5), (1.0, 0.0)]));
        assert!(!segments_meet(across, [(0.6, 0.5), (1.0, 0.0)]));
        assert!(!segments_meet(across, [(2.0, 2.0), (3.0, 3.0)]));
    }
}
