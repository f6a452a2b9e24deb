//! A picture in system memory, the input of preprocessing.

use model::video::{Colorimetry, HostFormat};

/// A picture's planes, borrowed. Chroma planes of odd sizes are rounded up: `(width + 1) / 2`.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    pub format: HostFormat,
    /// Ignored for RGB formats.
    pub colorimetry: Colorimetry,
    pub width: usize,
    pub height: usize,
    /// NV12: Y, UV; I420: Y, U, V; packed formats: one plane.
    pub planes: [&'a [u8]; 3],
    /// Bytes from one row to the next.
    pub strides: [usize; 3],
}

impl<'a> Image<'a> {
    /// The bytes of row `y` of a plane without padding, or `None` if the plane is too short.
    pub fn row(&self, plane: usize, y: usize) -> Option<&'a [u8]> {
        let start = y.checked_mul(*self.strides.get(plane)?)?;
        let end = start.checked_add(self.format.row_bytes(plane, self.width))?;
        self.planes.get(plane)?.get(start..end)
    }

    /// Whether every plane contains all its rows.
    pub fn is_complete(&self) -> bool {
        self.height == 0
            || (0..self.format.planes())
                .all(|plane| self.row(plane, self.format.plane_rows(plane, self.height) - 1).is_some())
    }
}
