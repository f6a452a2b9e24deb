//! Masks: which part of an object's box is the object.

mod contour;
mod rle;
mod scaled;

pub use rle::Rle;
pub use scaled::{Axis, Scaled};

use super::Rect;
use std::fmt;
use std::sync::Arc;

/// The shape of an object, as one bit per cell of a grid over its box.
///
/// The grid is that of the model's masks or prototypes, a quarter of the network's input for most models, cut to the cells
/// that the box touches. A bit is 1 where the model's logit is above 0, which is a probability above one half.
///
/// [`Self::in_frame`] scales a mask up to the pixels of a frame.
#[derive(Clone, PartialEq)]
pub struct Mask {
    area: Rect,
    columns: u32,
    rows: u32,
    /// Bit `row · columns + column`, the lowest bit of each word first. Shared, because frames and records are copied.
    bits: Arc<[u32]>,
}

impl Mask {
    /// The most columns or rows: those of an input of 8192 pixels, twice.
    pub const MAX_SIDE: u32 = 4095;

    /// A mask of `columns` × `rows` cells that fill `area`, which has the unit of the object's box. Bit `row · columns +
    /// column` is in word `bit / 32`, the lowest bit first; bits beyond the last cell are ignored.
    ///
    /// `None` if a side has no cells or more than [`Self::MAX_SIDE`], if there are too few bits, or if the area is empty or
    /// not finite.
    pub fn new(area: Rect, columns: u32, rows: u32, bits: impl Into<Arc<[u32]>>) -> Option<Self> {
        let bits = bits.into();
        let sides = 1..=Self::MAX_SIDE;
        let fits = sides.contains(&columns) && sides.contains(&rows) && bits.len() >= Self::words(columns, rows);
        (fits && is_area(&area)).then_some(Self { area, columns, rows, bits })
    }

    /// A mask whose bit for `(column, row)` is `is_set(column, row)`.
    ///
    /// `None` as for [`Self::new`].
    pub fn from_cells(area: Rect, columns: u32, rows: u32, is_set: impl Fn(u32, u32) -> bool) -> Option<Self> {
        let sides = 1..=Self::MAX_SIDE;
        if !sides.contains(&columns) || !sides.contains(&rows) {
            return None;
        }
        let mut bits = vec![0; Self::words(columns, rows)];
        let cells = (0..rows).flat_map(|row| (0..columns).map(move |column| (column, row)));
        for (index, (column, row)) in cells.enumerate() {
            if let (true, Some(word)) = (is_set(column, row), bits.get_mut(index / 32)) {
                *word |= 1 << (index % 32);
            }
        }
        Self::new(area, columns, rows, bits)
    }

    /// The number of words with the bits of this many cells.
    pub const fn words(columns: u32, rows: u32) -> usize {
        (columns as usize * rows as usize).div_ceil(32)
    }

    /// Where the cells are, in the unit of the object's box. The box's edges cut through the outermost ones.
    pub fn area(&self) -> Rect {
        self.area
    }

    /// Cells per row.
    pub fn columns(&self) -> u32 {
        self.columns
    }

    /// Cells per column.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// The bits, as [`Self::new`] describes them.
    pub fn bits(&self) -> &[u32] {
        self.bits.get(..Self::words(self.columns, self.rows)).unwrap_or_default()
    }

    /// Whether a cell belongs to the object; false for cells outside the grid.
    pub fn is_set(&self, column: u32, row: u32) -> bool {
        let index = row as usize * self.columns as usize + column as usize;
        column < self.columns
            && row < self.rows
            && self.bits.get(index / 32).is_some_and(|word| (word >> (index % 32)) & 1 == 1)
    }

    /// The same cells in another area; `None` if that is empty or not finite.
    pub fn moved(&self, area: Rect) -> Option<Self> {
        is_area(&area).then(|| Self { area, ..self.clone() })
    }

    /// The cells after the axes of the picture were exchanged, and then reflected, within the same area.
    pub fn turned(&self, exchanged: bool, flipped_x: bool, flipped_y: bool) -> Option<Self> {
        let (columns, rows) = if exchanged { (self.rows, self.columns) } else { (self.columns, self.rows) };
        Self::from_cells(self.area, columns, rows, |column, row| {
            let column = if flipped_x { columns - 1 - column } else { column };
            let row = if flipped_y { rows - 1 - row } else { row };
            if exchanged { self.is_set(row, column) } else { self.is_set(column, row) }
        })
    }

    /// The cells that a part of the area touches; `None` if there are none.
    pub fn cropped(&self, part: &Rect) -> Option<Self> {
        let (left, right) = touched(part.x, part.right(), self.area.x, self.area.w, self.columns)?;
        let (top, bottom) = touched(part.y, part.bottom(), self.area.y, self.area.h, self.rows)?;
        if (left, top, right, bottom) == (0, 0, self.columns, self.rows) {
            return Some(self.clone());
        }
        let (cell_w, cell_h) = (self.area.w / self.columns as f32, self.area.h / self.rows as f32);
        let area = Rect::from_corners(
            self.area.x + left as f32 * cell_w,
            self.area.y + top as f32 * cell_h,
            self.area.x + right as f32 * cell_w,
            self.area.y + bottom as f32 * cell_h,
        );
        Self::from_cells(area, right - left, bottom - top, |column, row| self.is_set(left + column, top + row))
    }

    /// The mask over the pixels of a frame of this size, of which `part` is shown: the object's box. Area and part are
    /// normalised to the frame, 0–1.
    pub fn in_frame(&self, part: &Rect, frame: (u32, u32)) -> Scaled<'_> {
        Scaled::new(self, part, frame)
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set: u32 = self.bits().iter().map(|word| word.count_ones()).sum();
        write!(f, "Mask({}x{} cells at {:?}, {set} set)", self.columns, self.rows, self.area)
    }
}

fn is_area(area: &Rect) -> bool {
    let edges = [area.x, area.y, area.right(), area.bottom()];
    area.w > 0.0 && area.h > 0.0 && edges.iter().all(|edge| edge.is_finite())
}

/// The cells, first and end, that the range from `from` to `to` touches, of `count` cells over `start` and `size`.
fn touched(from: f32, to: f32, start: f32, size: f32, count: u32) -> Option<(u32, u32)> {
    /// Edges that are equal but for rounding touch no further cell.
    const SLACK: f32 = 1e-3;
    let cell = |at: f32| (at - start) / size * count as f32;
    // Conversions saturate.
    let (first, end) = ((cell(from) + SLACK).floor() as u32, ((cell(to) - SLACK).ceil() as u32).min(count));
    (first < end).then_some((first, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three columns, two rows: `#.#` over `.##`.
    fn sample() -> Mask {
        Mask::new(Rect::new(0.25, 0.5, 0.375, 0.25), 3, 2, [0b11_0101]).unwrap()
    }

    fn text(mask: &Mask) -> Vec<String> {
        let cell = |column, row| if mask.is_set(column, row) { '#' } else { '.' };
        (0..mask.rows()).map(|row| (0..mask.columns()).map(|column| cell(column, row)).collect()).collect()
    }

    #[test]
    fn bits_are_rows_of_cells() {
        assert_eq!(text(&sample()), ["#.#", ".##"]);
        assert!(!sample().is_set(3, 0) && !sample().is_set(0, 2));
        let wide = Mask::from_cells(Rect::UNIT, 33, 2, |column, row| column == 32 && row == 1).unwrap();
        assert_eq!(wide.bits(), [0, 0, 0b10]);
        assert!(format!("{:?}", sample()).contains("4 set"));
    }

    #[test]
    fn what_is_no_mask_is_refused() {
        let new = |area, columns, rows, words: usize| Mask::new(area, columns, rows, vec![0; words]);
        assert!(new(Rect::UNIT, 8, 4, 1).is_some());
        for (area, columns, rows, words) in [
            (Rect::UNIT, 8, 5, 1),
            (Rect::UNIT, 0, 5, 1),
            (Rect::UNIT, 4096, 1, 200),
            (Rect::new(0.0, 0.0, 0.0, 1.0), 8, 4, 1),
            (Rect::new(0.0, f32::NAN, 1.0, 1.0), 8, 4, 1),
            (Rect::new(0.0, 0.0, f32::INFINITY, 1.0), 8, 4, 1),
        ] {
            assert!(new(area, columns, rows, words).is_none(), "{area:?} {columns} {rows} {words}");
        }
    }

    /// As `videoflip` does: the axes are exchanged before they are reflected.
    #[test]
    fn turned_cells_are_where_their_points_are() {
        let turned = |exchanged, x, y| text(&sample().turned(exchanged, x, y).unwrap());
        assert_eq!(turned(false, false, false), ["#.#", ".##"]);
        assert_eq!(turned(false, true, false), ["#.#", "##."]);
        assert_eq!(turned(false, false, true), [".##", "#.#"]);
        assert_eq!(turned(true, false, false), ["#.", ".#", "##"]);
        assert_eq!(turned(true, true, false), [".#", "#.", "##"]);
        assert_eq!(turned(true, false, true), ["##", ".#", "#."]);
    }

    #[test]
    fn a_crop_keeps_the_cells_that_it_touches() {
        let part = |x: f32, y: f32, w: f32, h: f32| sample().cropped(&Rect::new(x, y, w, h));
        let right = part(0.4, 0.5, 0.5, 0.1).unwrap();
        assert_eq!((text(&right), right.area()), (vec![".#".into()], Rect::new(0.375, 0.5, 0.25, 0.125)));
        assert_eq!(part(0.25, 0.5, 0.375, 0.25), Some(sample()), "the whole");
        assert_eq!(text(&part(0.375, 0.5, 0.125, 0.125).unwrap()), ["."], "an edge is no contact");
        assert!(part(0.0, 0.0, 0.25, 1.0).is_none() && part(0.7, 0.5, 0.2, 0.2).is_none());
        assert!(part(f32::NAN, 0.0, 1.0, 1.0).is_none());
    }

    #[test]
    fn a_moved_mask_has_the_same_cells() {
        let moved = sample().moved(Rect::new(2.0, 3.0, 4.0, 5.0)).unwrap();
        assert_eq!((text(&moved), moved.area()), (text(&sample()), Rect::new(2.0, 3.0, 4.0, 5.0)));
        assert!(sample().moved(Rect::new(0.0, 0.0, -1.0, 1.0)).is_none());
    }
}
