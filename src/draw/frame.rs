//! Canvases for the layouts of frames: packed RGB, and Y'CbCr with subsampled chroma (4:2:0).

use super::plane::Plane;
use super::{Area, Canvas, Mask, Rgb};
use model::video::Colorimetry;

/// Red, green and blue in one plane, `N` = 3 or 4 bytes per pixel. A fourth byte is alpha or unused; drawn pixels are
/// opaque.
#[derive(Debug)]
pub struct Packed<'a, const N: usize> {
    plane: Plane<'a, N>,
    /// True if blue comes first in memory.
    bgr: bool,
}

impl<'a, const N: usize> Packed<'a, N> {
    pub fn new(plane: Plane<'a, N>, bgr: bool) -> Self {
        const { assert!(N == 3 || N == 4) }
        Self { plane, bgr }
    }
}

impl<const N: usize> Canvas for Packed<'_, N> {
    type Ink = [u8; N];

    fn area(&self) -> Area {
        area_of(&self.plane)
    }

    fn ink(&self, Rgb { r, g, b }: Rgb) -> [u8; N] {
        let order = if self.bgr { [b, g, r, 255] } else { [r, g, b, 255] };
        std::array::from_fn(|i| order.get(i).copied().unwrap_or_default())
    }

    fn fill(&mut self, area: Area, ink: [u8; N]) {
        let area = area.intersection(&self.area());
        for y in area.top..area.bottom {
            self.plane.fill_row(y, area.left, area.right, ink);
        }
    }

    fn blend(&mut self, mask: Mask<'_>, ink: [u8; N]) {
        let area = self.area();
        for y in mask.top.max(area.top)..mask.bottom().min(area.bottom) {
            self.plane.blend_row(y, mask.left, mask.row(y).iter().copied(), ink);
        }
    }
}

/// The chroma of a 4:2:0 frame: one sample of Cb and Cr per cell of 2 × 2 pixels.
pub trait Chroma {
    /// Blends Cb and Cr into row `y` of cells from `left` on, by a coverage of 0–255 for each.
    fn blend_row(&mut self, y: i32, left: i32, coverage: impl Iterator<Item = u8> + Clone, ink: [u8; 2]);
}

/// Cb and Cr interleaved in one plane: NV12.
impl Chroma for Plane<'_, 2> {
    fn blend_row(&mut self, y: i32, left: i32, coverage: impl Iterator<Item = u8> + Clone, ink: [u8; 2]) {
        Plane::blend_row(self, y, left, coverage, ink);
    }
}

/// A plane of Cb and a plane of Cr: I420.
impl Chroma for [Plane<'_, 1>; 2] {
    fn blend_row(&mut self, y: i32, left: i32, coverage: impl Iterator<Item = u8> + Clone, ink: [u8; 2]) {
        for (plane, sample) in self.iter_mut().zip(ink) {
            plane.blend_row(y, left, coverage.clone(), [sample]);
        }
    }
}

/// Y'CbCr 4:2:0. A cell's chroma is blended by the covered part of its pixels, so that edges are exact to the pixel.
#[derive(Debug)]
pub struct Planar<'a, C> {
    luma: Plane<'a, 1>,
    /// Odd sizes are rounded up: `(width + 1) / 2` cells per row.
    chroma: C,
    colorimetry: Colorimetry,
}

impl<'a, C: Chroma> Planar<'a, C> {
    pub fn new(luma: Plane<'a, 1>, chroma: C, colorimetry: Colorimetry) -> Self {
        Self { luma, chroma, colorimetry }
    }
}

impl<C: Chroma> Canvas for Planar<'_, C> {
    type Ink = [u8; 3];

    fn area(&self) -> Area {
        area_of(&self.luma)
    }

    fn ink(&self, colour: Rgb) -> [u8; 3] {
        colour.to_yuv(self.colorimetry)
    }

    fn fill(&mut self, area: Area, [luma, cb, cr]: [u8; 3]) {
        let frame = self.area();
        let area = area.intersection(&frame);
        if area.width() <= 0 || area.height() <= 0 {
            return;
        }
        for y in area.top..area.bottom {
            self.luma.fill_row(y, area.left, area.right, [luma]);
        }
        let (first, end) = (area.left / 2, (area.right + 1) / 2);
        for cell_y in area.top / 2..(area.bottom + 1) / 2 {
            let (rows, all_rows) = covered(cell_y, area.top, area.bottom, frame.bottom);
            let coverage = (first..end).map(|cell_x| {
                let (columns, all_columns) = covered(cell_x, area.left, area.right, frame.right);
                (255 * rows * columns / (all_rows * all_columns)) as u8
            });
            self.chroma.blend_row(cell_y, first, coverage, [cb, cr]);
        }
    }

    fn blend(&mut self, mask: Mask<'_>, [luma, cb, cr]: [u8; 3]) {
        let frame = self.area();
        let (top, bottom) = (mask.top.max(0), mask.bottom().min(frame.bottom));
        let (left, right) = (mask.left.max(0), mask.right().min(frame.right));
        if left >= right || top >= bottom {
            return;
        }
        for y in top..bottom {
            self.luma.blend_row(y, mask.left, mask.row(y).iter().copied(), [luma]);
        }
        let (first, end) = (left / 2, (right + 1) / 2);
        for cell_y in top / 2..(bottom + 1) / 2 {
            let upper = mask.row(2 * cell_y);
            // The last row of cells of an odd height has no lower pixels.
            let has_lower = 2 * cell_y + 1 < frame.bottom;
            let lower = if has_lower { mask.row(2 * cell_y + 1) } else { &[] };
            let coverage = (first..end).map(|cell_x| {
                let x = 2 * cell_x - mask.left;
                if 2 * cell_x + 1 < frame.right {
                    ((pair(upper, x) + pair(lower, x)) / (2 + 2 * u32::from(has_lower))) as u8
                } else {
                    ((at(upper, x) + at(lower, x)) / (1 + u32::from(has_lower))) as u8
                }
            });
            self.chroma.blend_row(cell_y, first, coverage, [cb, cr]);
        }
    }
}

fn area_of<const N: usize>(plane: &Plane<'_, N>) -> Area {
    Area::new(0, 0, plane.width() as i32, plane.height() as i32)
}

/// Of the one or two pixels of cell `cell` inside `0..frame` along one axis: how many are in `start..end`, and how many
/// there are.
fn covered(cell: i32, start: i32, end: i32, frame: i32) -> (i32, i32) {
    let (first, last) = (2 * cell, (2 * cell + 2).min(frame));
    ((last.min(end) - first.max(start)).max(0), (last - first).max(1))
}

/// The sum of a row's coverage at `x` and `x + 1`.
fn pair(row: &[u8], x: i32) -> u32 {
    let both = usize::try_from(x).ok().and_then(|x| row.get(x..)?.first_chunk());
    both.map_or_else(|| at(row, x) + at(row, x + 1), |&[a, b]| u32::from(a) + u32::from(b))
}

/// A row's coverage at `x`; 0 outside.
fn at(row: &[u8], x: i32) -> u32 {
    usize::try_from(x).ok().and_then(|x| row.get(x)).copied().unwrap_or(0).into()
}
