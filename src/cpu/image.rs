//! A picture in system memory, as the preprocessing reads it.

use model::video::{Colorimetry, HostFormat};

/// A picture's planes, borrowed. Chroma of odd sizes is rounded up: `(width + 1) / 2`.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    pub format: HostFormat,
    /// Not read for RGB formats.
    pub colorimetry: Colorimetry,
    pub width: usize,
    pub height: usize,
    /// NV12: Y, UV; I420: Y, U, V; packed: one.
    pub planes: [&'a [u8]; 3],
    /// Bytes from one row to the next.
    pub strides: [usize; 3],
}

impl<'a> Image<'a> {
    /// The bytes of row `y` of a plane, without what pads it, or `None` where the plane is too short.
    pub fn row(&self, plane: usize, y: usize) -> Option<&'a [u8]> {
        let start = y.checked_mul(*self.strides.get(plane)?)?;
        let end = start.checked_add(self.format.row_bytes(plane, self.width))?;
        self.planes.get(plane)?.get(start..end)
    }

    /// Whether every plane has all its rows.
    pub fn is_complete(&self) -> bool {
        self.height == 0
            || (0..self.format.planes())
                .all(|plane| self.row(plane, self.format.plane_rows(plane, self.height) - 1).is_some())
    }
}
