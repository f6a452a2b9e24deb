//! The outline of a mask as polygons.

use super::super::Rect;
use super::Mask;

impl Mask {
    /// The outline as rings of `x, y, x, y, …` in pixels of a frame of this size, cut to `part`, the object's box, which is
    /// normalised to the frame like the mask's area. Their last point isn't the first again.
    ///
    /// A ring goes midway between the centres of cells inside and outside, and along the box where the object reaches it.
    /// Holes are rings too, so that the rings together are to be filled by the even-odd rule.
    pub fn rings(&self, part: &Rect, frame: (u32, u32)) -> Vec<Vec<f32>> {
        let values: Vec<f64> = (0..self.rows)
            .flat_map(|row| (0..self.columns).map(move |column| f64::from(u8::from(self.is_set(column, row)))))
            .collect();
        // This fails only if the number of values isn't that of cells, and it is.
        let rings = contour::contour_rings(&values, 0.5, self.columns as usize, self.rows as usize).unwrap_or_default();
        let (cell_w, cell_h) = (self.area.w / self.columns as f32, self.area.h / self.rows as f32);
        let place = |(x, y): (f64, f64)| {
            let x = (self.area.x + x as f32 * cell_w).clamp(part.x, part.right().max(part.x));
            let y = (self.area.y + y as f32 * cell_h).clamp(part.y, part.bottom().max(part.y));
            [x * frame.0 as f32, y * frame.1 as f32]
        };
        if ![part.x, part.y, part.right(), part.bottom()].iter().all(|edge| edge.is_finite()) {
            return Vec::new();
        }
        let corners = rings.iter().map(|ring| {
            let points: Vec<(f64, f64)> = ring.iter().map(|point| (point.x, point.y)).collect();
            corners(&points)
        });
        let flat = corners.map(|ring| ring.into_iter().flat_map(place).collect::<Vec<f32>>());
        flat.filter(|ring| ring.len() >= 6).collect()
    }
}

/// The points of a closed ring, whose first point is also its last, at which its direction changes.
fn corners(closed: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let points = closed.split_last().map_or(&[][..], |(_, points)| points);
    let count = points.len();
    let turns = |&index: &usize| {
        let (before, at, after) = (points[(index + count - 1) % count], points[index], points[(index + 1) % count]);
        // Coordinates are multiples of one half, so that this is exact.
        (at.0 - before.0) * (after.1 - at.1) != (at.1 - before.1) * (after.0 - at.0)
    };
    (0..count).filter(turns).map(|index| points[index]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(rows: &[&str]) -> Mask {
        let set = |column: u32, row: u32| rows[row as usize].as_bytes()[column as usize] == b'#';
        Mask::from_cells(Rect::UNIT, rows[0].len() as u32, rows.len() as u32, set).unwrap()
    }

    /// Twice the area, by the even-odd rule for rings that don't cross.
    fn double_area(rings: &[Vec<f32>]) -> f32 {
        let of = |ring: &Vec<f32>| {
            let points = ring.as_chunks::<2>().0;
            let next = points.iter().cycle().skip(1);
            points.iter().zip(next).map(|([ax, ay], [bx, by])| ax * by - ay * bx).sum::<f32>()
        };
        rings.iter().map(of).sum::<f32>().abs()
    }

    #[test]
    fn rings_go_midway_between_cells() {
        let rings = mask(&["....", ".##.", "...."]).rings(&Rect::UNIT, (40, 30));
        assert_eq!(rings.len(), 1);
        let mut points = rings[0].as_chunks::<2>().0.to_vec();
        points.sort_by(|a, b| a.partial_cmp(b).unwrap());
        let expected = [[10.0, 15.0], [15.0, 10.0], [15.0, 20.0], [25.0, 10.0], [25.0, 20.0], [30.0, 15.0]];
        assert_eq!(points, expected);
    }

    #[test]
    fn a_full_mask_is_its_box() {
        let part = Rect::new(0.125, 0.25, 0.5, 0.5);
        let rings = mask(&["###", "###"]).rings(&part, (80, 40));
        assert_eq!(rings.len(), 1);
        assert_eq!(double_area(&rings), 2.0 * 40.0 * 20.0);
        assert!(
            rings[0].as_chunks::<2>().0.iter().all(|&[x, y]| (10.0..=50.0).contains(&x) && (10.0..=30.0).contains(&y))
        );
    }

    #[test]
    fn parts_and_holes_are_rings() {
        let rings = mask(&["#####..#", "#...#..#", "#...#...", "#####..."]).rings(&Rect::UNIT, (80, 40));
        assert_eq!(rings.len(), 3);
        let hole = mask(&["#####", "#...#", "#...#", "#####"]);
        let filled = mask(&["#####", "#####", "#####", "#####"]);
        let (hole, filled) = (hole.rings(&Rect::UNIT, (50, 40)), filled.rings(&Rect::UNIT, (50, 40)));
        assert_eq!((hole.len(), filled.len()), (2, 1));
        // The hole of 3 × 2 cells of 100 pixels, plus its four corners of an eighth each.
        assert_eq!(double_area(&filled) - double_area(&hole), 2.0 * (600.0 + 4.0 * 12.5 - 100.0));
    }

    #[test]
    fn nothing_has_no_rings() {
        assert!(mask(&["..", ".."]).rings(&Rect::UNIT, (8, 8)).is_empty());
        assert!(mask(&["#"]).rings(&Rect::new(f32::NAN, 0.0, 1.0, 1.0), (8, 8)).is_empty());
    }
}
