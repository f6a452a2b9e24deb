//! Rectangles, lines and discs.

use super::{Area, Canvas, Mask};

/// A point in pixels; pixel centres are at halves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    pub x: f32,
    pub y: f32,
}

/// A rectangle's border of `width` pixels, inside of it.
pub fn outline<C: Canvas>(canvas: &mut C, area: Area, width: i32, ink: C::Ink) {
    let Area { left, top, right, bottom } = area;
    let (inner_top, inner_bottom) = ((top + width).min(bottom), (bottom - width).max(top));
    if inner_top >= inner_bottom || left + width >= right - width {
        canvas.fill(area, ink);
        return;
    }
    canvas.fill(Area::new(left, top, right, inner_top), ink);
    canvas.fill(Area::new(left, inner_bottom, right, bottom), ink);
    canvas.fill(Area::new(left, inner_top, left + width, inner_bottom), ink);
    canvas.fill(Area::new(right - width, inner_top, right, inner_bottom), ink);
}

/// Draws lines with smooth edges.
#[derive(Debug, Default)]
pub struct Pen {
    coverage: Vec<u8>,
}

impl Pen {
    /// A line with round ends, `radius` pixels to both sides; nothing for coordinates that aren't numbers.
    pub fn line<C: Canvas>(&mut self, canvas: &mut C, from: Point, to: Point, radius: f32, ink: C::Ink) {
        if ![from.x, from.y, to.x, to.y, radius].iter().all(|v| v.is_finite()) {
            return;
        }
        let frame = canvas.area();
        let segment = Segment::new(from, to);
        // Half a pixel more: where coverage fades out.
        let reach = radius + 0.5;
        let top = ((from.y.min(to.y) - reach).floor() as i32).max(frame.top);
        let bottom = ((from.y.max(to.y) + reach).ceil() as i32).min(frame.bottom);
        // Two rows at a time, so that a chroma cell is mixed once.
        let mut y = top & !1;
        while y < bottom {
            let (left, right) = reach_of_rows(from, to, reach, y);
            let (left, right) = (left.max(frame.left), right.min(frame.right));
            if left < right {
                let width = (right - left) as usize;
                // Each pixel of the next two rows is written below.
                self.coverage.resize(2 * width, 0);
                for (row, line) in self.coverage.chunks_exact_mut(width).enumerate() {
                    let first = Point { x: left as f32 + 0.5, y: (y + row as i32) as f32 + 0.5 };
                    segment.cover(first, reach, line);
                }
                canvas.blend(Mask { left, top: y, width, coverage: &self.coverage }, ink);
            }
            y += 2;
        }
    }

    /// A filled circle.
    pub fn disc<C: Canvas>(&mut self, canvas: &mut C, centre: Point, radius: f32, ink: C::Ink) {
        self.line(canvas, centre, centre, radius, ink);
    }
}

/// Columns that can be within `reach` of the line in rows `y` and `y + 1`: those of the line's part that is within
/// `reach` of these rows, and `reach` to both sides.
fn reach_of_rows(from: Point, to: Point, reach: f32, y: i32) -> (i32, i32) {
    let (upper, lower) = (y as f32 - reach, y as f32 + 2.0 + reach);
    let dy = to.y - from.y;
    let x_at = |line: f32| {
        let t = if dy == 0.0 { 0.0 } else { ((line - from.y) / dy).clamp(0.0, 1.0) };
        from.x + t * (to.x - from.x)
    };
    let (a, b) = if dy == 0.0 { (from.x, to.x) } else { (x_at(upper), x_at(lower)) };
    ((a.min(b) - reach).floor() as i32, (a.max(b) + reach).ceil() as i32)
}

/// A line in its own coordinates: along it, and across.
struct Segment {
    from: Point,
    length: f32,
    /// Of length 1; any direction for a point.
    direction: Point,
}

impl Segment {
    fn new(from: Point, to: Point) -> Self {
        let (dx, dy) = (to.x - from.x, to.y - from.y);
        let length = dx.hypot(dy);
        let direction = if length > 0.0 { Point { x: dx / length, y: dy / length } } else { Point { x: 1.0, y: 0.0 } };
        Self { from, length, direction }
    }

    /// Coverage of a row of pixels, of which the first's centre is `first`: whole up to half a pixel inside `reach`.
    fn cover(&self, first: Point, reach: f32, coverage: &mut [u8]) {
        let (px, py) = (first.x - self.from.x, first.y - self.from.y);
        let Point { x: ux, y: uy } = self.direction;
        let (along, across) = (px * ux + py * uy, py * ux - px * uy);
        for (i, pixel) in coverage.iter_mut().enumerate() {
            let i = i as i32 as f32;
            let (along, across) = (along + i * ux, across - i * uy);
            let beyond = along - along.max(0.0).min(self.length);
            let distance = (beyond * beyond + across * across).sqrt();
            // 2²³ more puts a value of 0–255, rounded, in the low byte. `as u8` would look for values out of range one
            // by one: three times as slow.
            *pixel = ((reach - distance).max(0.0).min(1.0) * 255.0 + 8_388_608.0).to_bits() as u8;
        }
    }
}
