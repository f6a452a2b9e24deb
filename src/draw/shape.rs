//! Rectangles, lines, discs and the masks of objects.

use super::{Area, Canvas, Mask};
use model::mask::Scaled;

/// A point in pixels; pixel centres are at halves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    pub x: f32,
    pub y: f32,
}

/// Draws a rectangle's border of `width` pixels, inside the rectangle.
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

/// Draws lines with smooth edges, and masks of objects.
#[derive(Debug, Default)]
pub struct Pen {
    coverage: Vec<u8>,
}

impl Pen {
    /// Draws a line with round ends, `radius` pixels to both sides. Coordinates that aren't finite draw nothing.
    pub fn line<C: Canvas>(&mut self, canvas: &mut C, from: Point, to: Point, radius: f32, ink: C::Ink) {
        if ![from.x, from.y, to.x, to.y, radius].iter().all(|v| v.is_finite()) {
            return;
        }
        if canvas.line(from, to, radius, ink) {
            return;
        }
        let frame = canvas.area();
        let segment = Segment::new(from, to);
        // Half a pixel more, where the coverage fades out.
        let reach = radius + 0.5;
        let top = ((from.y.min(to.y) - reach).floor() as i32).max(frame.top);
        let bottom = ((from.y.max(to.y) + reach).ceil() as i32).min(frame.bottom);
        // Two rows at a time, so that a chroma cell is blended once.
        let mut y = top & !1;
        while y < bottom {
            let (left, right) = reach_of_rows(from, to, reach, y);
            let (left, right) = (left.max(frame.left), right.min(frame.right));
            if left < right {
                let width = (right - left) as usize;
                // The next two rows overwrite every pixel.
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

    /// Draws a filled circle.
    pub fn disc<C: Canvas>(&mut self, canvas: &mut C, centre: Point, radius: f32, ink: C::Ink) {
        self.line(canvas, centre, centre, radius, ink);
    }

    /// Blends `ink` by `opacity`, 0–255, into the pixels of an object's mask.
    pub fn cells<C: Canvas>(&mut self, canvas: &mut C, cells: &Scaled<'_>, opacity: u8, ink: C::Ink) {
        if cells.is_empty() || opacity == 0 || canvas.cells(cells, opacity, ink) {
            return;
        }
        let (rows, width) = (cells.rows.clone(), cells.columns.len());
        // Two rows at a time, so that a chroma cell is blended once.
        for top in (rows.start & !1..rows.end).step_by(2) {
            self.coverage.clear();
            for row in [top, top + 1] {
                let end = self.coverage.len() + width;
                if rows.contains(&row) {
                    self.coverage.extend(cells.row(row).map(|inside| if inside { opacity } else { 0 }));
                }
                self.coverage.resize(end, 0);
            }
            let (left, top) = (cells.columns.start as i32, top as i32);
            canvas.blend(Mask { left, top, width, coverage: &self.coverage }, ink);
        }
    }
}

/// The columns that may be within `reach` of the line in rows `y` and `y + 1`: those of the line's part within `reach`
/// of these rows, extended by `reach` to both sides.
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

/// A line in its coordinate system: along it, and across.
struct Segment {
    from: Point,
    length: f32,
    /// A unit vector; for a point, any direction.
    direction: Point,
}

impl Segment {
    fn new(from: Point, to: Point) -> Self {
        let (dx, dy) = (to.x - from.x, to.y - from.y);
        let length = dx.hypot(dy);
        let direction = if length > 0.0 { Point { x: dx / length, y: dy / length } } else { Point { x: 1.0, y: 0.0 } };
        Self { from, length, direction }
    }

    /// The coverage of a row of pixels whose first centre is `first`: complete up to half a pixel inside `reach`.
    fn cover(&self, first: Point, reach: f32, coverage: &mut [u8]) {
        let (px, py) = (first.x - self.from.x, first.y - self.from.y);
        let Point { x: ux, y: uy } = self.direction;
        let (along, across) = (px * ux + py * uy, py * ux - px * uy);
        for (i, pixel) in coverage.iter_mut().enumerate() {
            let i = i as i32 as f32;
            let (along, across) = (along + i * ux, across - i * uy);
            let beyond = along - along.max(0.0).min(self.length);
            let distance = (beyond * beyond + across * across).sqrt();
            // Adding 2²³ puts a value of 0–255, rounded, in the low byte. `as u8` would check the range of each value,
            // which is three times as slow.
            *pixel = ((reach - distance).clamp(0.0, 1.0) * 255.0 + 8_388_608.0).to_bits() as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Mask, Packed, Plane, Rgb};
    use super::*;
    use model::Rect;

    const SIZE: usize = 64;

    /// The coverage of each pixel by what `draw` paints, in white on black.
    fn painted(draw: impl FnOnce(&mut Packed<'_, 3>, [u8; 3])) -> Vec<f32> {
        let mut data = vec![0; SIZE * SIZE * 3];
        let mut canvas = Packed::new(Plane::new(&mut data, SIZE * 3, SIZE, SIZE), false);
        let ink = canvas.ink(Rgb::WHITE);
        draw(&mut canvas, ink);
        data.chunks_exact(3).map(|p| f32::from(p[0]) / 255.0).collect()
    }

    fn point(x: f32, y: f32) -> Point {
        Point { x, y }
    }

    #[test]
    fn lines_cover_their_area_in_every_direction() {
        let radius = 3.0;
        for (from, to) in [
            (point(10.0, 32.0), point(50.0, 32.0)),
            (point(32.3, 50.7), point(32.3, 10.7)),
            (point(12.0, 14.0), point(51.0, 40.0)),
            (point(50.2, 12.9), point(13.1, 48.0)),
            (point(30.0, 30.0), point(30.0, 30.0)),
        ] {
            let area: f32 = painted(|canvas, ink| Pen::default().line(canvas, from, to, radius, ink)).iter().sum();
            let length = (to.x - from.x).hypot(to.y - from.y);
            let exact = 2.0 * radius * length + std::f32::consts::PI * radius * radius;
            assert!((area - exact).abs() < 0.01 * exact + 0.5, "{from:?} {to:?}: {area} instead of {exact}");
        }
    }

    #[test]
    fn line_is_where_it_should_be() {
        let (from, to) = (point(12.0, 14.0), point(51.0, 40.0));
        let cover = painted(|canvas, ink| Pen::default().line(canvas, from, to, 3.0, ink));
        for (i, coverage) in cover.iter().enumerate() {
            let p = point((i % SIZE) as f32 + 0.5, (i / SIZE) as f32 + 0.5);
            // The distance, found by sampling points of the line.
            let distance = (0..=2000).fold(f32::MAX, |least, step| {
                let t = step as f32 / 2000.0;
                least.min((p.x - from.x - t * (to.x - from.x)).hypot(p.y - from.y - t * (to.y - from.y)))
            });
            assert!((coverage - (3.5 - distance).clamp(0.0, 1.0)).abs() < 0.02, "{p:?}: {coverage}, {distance}");
        }
    }

    #[test]
    fn lines_without_place_draw_nothing() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for line in [[bad, 1.0, 2.0, 3.0], [1.0, bad, 2.0, 3.0], [1.0, 2.0, bad, 3.0], [1.0, 2.0, 3.0, bad]] {
                let [a, b, c, d] = line;
                let cover = painted(|canvas, ink| Pen::default().line(canvas, point(a, b), point(c, d), 2.0, ink));
                assert!(cover.iter().all(|&c| c == 0.0));
            }
        }
        let far = painted(|canvas, ink| {
            Pen::default().line(canvas, point(-1e30, -1e30), point(-1e29, -1e30), 2.0, ink);
            Pen::default().disc(canvas, point(3e9, 3.0), 2.0, ink);
        });
        assert!(far.iter().all(|&c| c == 0.0));
    }

    #[test]
    fn cells_are_blended_by_their_opacity() {
        let size = SIZE as f32;
        let area = Rect::new(5.0 / size, 7.0 / size, 21.0 / size, 13.0 / size);
        let object = model::Mask::new(area, 4, 3, [0b1001_0110_1101]).unwrap();
        let part = Rect { w: area.w - 3.0 / size, ..area };
        let scaled = object.in_frame(&part, (SIZE as u32, SIZE as u32));
        let cover = painted(|canvas, ink| Pen::default().cells(canvas, &scaled, 51, ink));
        for (i, &coverage) in cover.iter().enumerate() {
            let (x, y) = ((i % SIZE) as u32, (i / SIZE) as u32);
            let within = scaled.rows.contains(&y) && scaled.columns.contains(&x);
            let inside = within && scaled.row(y).nth((x - scaled.columns.start) as usize) == Some(true);
            assert!((coverage - if inside { 0.2 } else { 0.0 }).abs() < 0.005, "{x} {y}: {coverage}");
        }
        let nothing = painted(|canvas, ink| Pen::default().cells(canvas, &scaled, 0, ink));
        assert!(nothing.iter().all(|&coverage| coverage == 0.0));
    }

    #[test]
    fn outline_is_inside_its_area() {
        let area = Area::new(5, 7, 30, 20);
        let cover = painted(|canvas, ink| outline(canvas, area, 3, ink));
        for (i, &coverage) in cover.iter().enumerate() {
            let (x, y) = ((i % SIZE) as i32, (i / SIZE) as i32);
            let within = |d: i32| x >= 5 + d && x < 30 - d && y >= 7 + d && y < 20 - d;
            assert_eq!(coverage == 1.0, within(0) && !within(3), "{x} {y}");
        }
        // Wider than the area: all of it is filled.
        let cover = painted(|canvas, ink| outline(canvas, Area::new(0, 0, 5, 5), 3, ink));
        assert_eq!(cover.iter().sum::<f32>(), 25.0);
    }

    #[test]
    fn mask_rows_outside_are_empty() {
        let mask = Mask { left: 0, top: -2, width: 2, coverage: &[1, 2, 3, 4, 5, 6] };
        assert_eq!((mask.row(-2), mask.row(0)), ([1, 2].as_slice(), [5, 6].as_slice()));
        assert!(mask.row(1).is_empty() && mask.row(-3).is_empty() && mask.row(i32::MAX).is_empty());
    }
}
