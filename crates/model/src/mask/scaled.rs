//! Masks over the pixels of a frame.

use super::super::Rect;
use super::Mask;
use std::ops::Range;

/// A mask scaled up to the pixels of a frame.
///
/// A pixel belongs to the object if its centre lies in the box, and if the cells around its centre, taken as 0 and 1 and
/// interpolated bilinearly between their centres, give at least one half. Beyond the centres of the outermost cells these
/// count. The weights are integers, so that drawing on a GPU gives the same pixels.
#[derive(Debug, Clone)]
pub struct Scaled<'a> {
    mask: &'a Mask,
    /// The pixels of the box, columns and rows of the frame.
    pub columns: Range<u32>,
    /// The rows.
    pub rows: Range<u32>,
    /// The cells under the frame's columns, and under its rows.
    pub across: Axis,
    /// Likewise for rows.
    pub down: Axis,
    frame: (u32, u32),
}

/// The position of a frame's pixels among the cells of a mask, along one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axis {
    /// The centre of the frame's first pixel, in cells from the centre of the first cell, times 2³².
    pub start: i64,
    /// Cells per pixel, times 2³².
    pub step: i64,
    /// Number of cells.
    pub cells: u32,
}

/// One, as a position.
const ONE: f64 = (1_u64 << 32) as f64;
/// A sum of weights: 256 along each axis.
const WHOLE: u32 = 256 * 256;

impl Axis {
    fn new(start: f32, size: f32, cells: u32, pixels: u32) -> Self {
        /// No sum of a start and a frame's steps overflows.
        const MOST: i64 = 1 << 46;
        let per_frame = f64::from(cells) / f64::from(size);
        let step = per_frame / f64::from(pixels.max(1));
        let fixed = |value: f64| ((value * ONE).round() as i64).clamp(-MOST, MOST);
        Self { start: fixed(step / 2.0 - f64::from(start) * per_frame - 0.5), step: fixed(step), cells }
    }

    /// The two cells around a pixel's centre, and the weight of the second, 0–255 of 256.
    fn at(&self, pixel: u32) -> (u32, u32, u32) {
        let position = self.start + self.step * i64::from(pixel);
        let cell = position >> 32;
        let last = i64::from(self.cells) - 1;
        let clamped = |cell: i64| cell.clamp(0, last) as u32;
        (clamped(cell), clamped(cell + 1), ((position >> 24) & 255) as u32)
    }
}

impl<'a> Scaled<'a> {
    pub(super) fn new(mask: &'a Mask, part: &Rect, frame: (u32, u32)) -> Self {
        let area = mask.area();
        // Conversions saturate, and NaN becomes 0.
        let first = |edge: f32, pixels: u32| ((edge * pixels as f32 - 0.5).ceil() as u32).min(pixels);
        Self {
            mask,
            columns: first(part.x, frame.0)..first(part.right(), frame.0),
            rows: first(part.y, frame.1)..first(part.bottom(), frame.1),
            across: Axis::new(area.x, area.w, mask.columns(), frame.0),
            down: Axis::new(area.y, area.h, mask.rows(), frame.1),
            frame,
        }
    }

    /// The mask itself.
    pub fn mask(&self) -> &'a Mask {
        self.mask
    }

    /// The frame's width and height, pixels.
    pub fn frame(&self) -> (u32, u32) {
        self.frame
    }

    /// True if the box has no pixel.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty() || self.rows.is_empty()
    }

    /// Whether each pixel of the box in this row of the frame belongs to the object, from left to right.
    pub fn row(&self, row: u32) -> impl Iterator<Item = bool> {
        let mask = self.mask;
        line(&self.across, self.columns.clone(), self.down.at(row), |along, across| mask.is_set(along, across))
    }

    /// Whether each pixel of the box in this column of the frame belongs to the object, from top to bottom.
    pub fn column(&self, column: u32) -> impl Iterator<Item = bool> {
        let mask = self.mask;
        line(&self.down, self.rows.clone(), self.across.at(column), |along, across| mask.is_set(across, along))
    }
}

/// One line of pixels, `crossing` two lines of cells. `is_set(along, across)` is a cell.
fn line(
    along: &Axis,
    pixels: Range<u32>,
    (first, second, weight): (u32, u32, u32),
    is_set: impl Fn(u32, u32) -> bool,
) -> impl Iterator<Item = bool> {
    let cell = |at: u32, across: u32| u32::from(is_set(at, across));
    let cells: Vec<u32> =
        (0..along.cells).map(|at| (256 - weight) * cell(at, first) + weight * cell(at, second)).collect();
    let along = *along;
    pixels.map(move |pixel| {
        let (first, second, weight) = along.at(pixel);
        let value = |cell: u32| cells.get(cell as usize).copied().unwrap_or(0);
        2 * ((256 - weight) * value(first) + weight * value(second)) >= WHOLE
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mask(area: Rect, rows: &[&str]) -> Mask {
        let set = |column: u32, row: u32| rows[row as usize].as_bytes()[column as usize] == b'#';
        Mask::from_cells(area, rows[0].len() as u32, rows.len() as u32, set).unwrap()
    }

    fn text(scaled: &Scaled<'_>) -> Vec<String> {
        let row = |row| scaled.row(row).map(|set| if set { '#' } else { '.' }).collect();
        scaled.rows.clone().map(row).collect()
    }

    #[test]
    fn cells_become_pixels_with_corners_cut() {
        let mask = mask(Rect::UNIT, &["#...", "....", "..##", "..##"]);
        let scaled = mask.in_frame(&Rect::UNIT, (16, 16));
        let expected = [
            "####............",
            "####............",
            "####............",
            "###.............",
            "................",
            "................",
            "................",
            "................",
            ".........#######",
            "........########",
            "........########",
            "........########",
            "........########",
            "........########",
            "........########",
            "........########",
        ];
        assert_eq!(text(&scaled), expected);
    }

    #[test]
    fn only_pixels_whose_centre_is_in_the_box_belong_to_it() {
        let mask = mask(Rect::new(0.25, 0.25, 0.5, 0.5), &["##", "##"]);
        let scaled = mask.in_frame(&Rect::new(0.3, 0.36, 0.2, 0.3), (10, 10));
        assert_eq!((scaled.columns.clone(), scaled.rows.clone()), (3..5, 4..7));
        assert_eq!(text(&scaled), ["##", "##", "##"]);
        for part in [Rect::new(0.31, 0.0, 0.01, 1.0), Rect::new(2.0, 0.0, 1.0, 1.0), Rect::new(f32::NAN, 0.0, 1.0, 1.0)]
        {
            assert!(mask.in_frame(&part, (10, 10)).is_empty(), "{part:?}");
        }
    }

    #[test]
    fn a_grid_of_the_frame_s_own_size_is_itself() {
        let mask = mask(Rect::UNIT, &["#.#.", ".##.", "#..#"]);
        assert_eq!(text(&mask.in_frame(&Rect::UNIT, (4, 3))), ["#.#.", ".##.", "#..#"]);
    }

    proptest! {
        /// Rows and columns are the same pixels, those of bilinear interpolation in floating point.
        #[test]
        fn rows_and_columns_agree_with_the_definition(
            (columns, rows) in (1_u32..9, 1_u32..9),
            bits in prop::collection::vec(any::<u32>(), 2..3),
            (x, y, w, h) in (-0.5_f32..0.9, -0.5_f32..0.9, 0.05_f32..1.0, 0.05_f32..1.0),
            frame in (1_u32..80, 1_u32..80),
        ) {
            let mask = Mask::new(Rect::new(x, y, w, h), columns, rows, bits).unwrap();
            let part = mask.area().intersection(&Rect::UNIT);
            let scaled = mask.in_frame(&part, frame);
            for row in scaled.rows.clone() {
                let line: Vec<bool> = scaled.row(row).collect();
                prop_assert_eq!(line.len(), scaled.columns.len());
                for (column, set) in scaled.columns.clone().zip(line) {
                    prop_assert_eq!(scaled.column(column).nth((row - scaled.rows.start) as usize), Some(set));
                    let at = |pixel: u32, pixels: u32, start: f32, size: f32, cells: u32| {
                        let cell = ((f64::from(pixel) + 0.5) / f64::from(pixels) - f64::from(start))
                            / f64::from(size) * f64::from(cells) - 0.5;
                        cell.clamp(0.0, f64::from(cells - 1))
                    };
                    let (u, v) = (at(column, frame.0, x, w, columns), at(row, frame.1, y, h, rows));
                    let cell = |dx: u32, dy: u32| {
                        let set = mask.is_set((u as u32 + dx).min(columns - 1), (v as u32 + dy).min(rows - 1));
                        f64::from(u8::from(set))
                    };
                    let (fx, fy) = (u.fract(), v.fract());
                    let value = (1.0 - fy) * ((1.0 - fx) * cell(0, 0) + fx * cell(1, 0))
                        + fy * ((1.0 - fx) * cell(0, 1) + fx * cell(1, 1));
                    // Weights have eight bits.
                    prop_assert!((value - 0.5).abs() < 0.01 || set == (value >= 0.5), "{} {}", value, set);
                }
            }
        }

        #[test]
        fn odd_places_do_not_panic(values in prop::collection::vec(any::<f32>(), 8), frame in (0_u32..40, 0_u32..40)) {
            let area = Rect::new(values[0], values[1], values[2], values[3]);
            let part = Rect::new(values[4], values[5], values[6], values[7]);
            if let Some(mask) = Mask::new(area, 3, 3, [7]) {
                let scaled = mask.in_frame(&part, frame);
                let pixels = scaled.rows.clone().map(|row| scaled.row(row).count()).sum::<usize>();
                prop_assert_eq!(pixels, scaled.rows.len() * scaled.columns.len());
            }
        }
    }
}
