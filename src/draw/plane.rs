//! One plane of a frame: rows of samples of `N` bytes.

/// A plane in memory. Samples outside it, or beyond the end of its data, are ignored.
#[derive(Debug)]
pub struct Plane<'a, const N: usize> {
    data: &'a mut [u8],
    /// Bytes from one row to the next.
    stride: usize,
    /// Samples per row.
    width: usize,
    height: usize,
}

impl<'a, const N: usize> Plane<'a, N> {
    pub fn new(data: &'a mut [u8], stride: usize, width: usize, height: usize) -> Self {
        Self { data, stride, width, height }
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub fn height(&self) -> usize {
        self.height
    }

    fn row_mut(&mut self, y: i32) -> &mut [[u8; N]] {
        let row = usize::try_from(y)
            .ok()
            .filter(|&y| y < self.height)
            .and_then(|y| self.data.get_mut(y.checked_mul(self.stride)?..)?.get_mut(..self.width * N));
        row.map(|row| row.as_chunks_mut().0).unwrap_or_default()
    }

    /// Sets the samples `left..right` of row `y`.
    pub fn fill_row(&mut self, y: i32, left: i32, right: i32, sample: [u8; N]) {
        let (left, right) = (left.max(0) as usize, right.max(0) as usize);
        let row = self.row_mut(y);
        let right = right.min(row.len());
        if let Some(row) = row.get_mut(left..right) {
            row.fill(sample);
        }
    }

    /// Blends `sample` into row `y` from `left` on, by a coverage of 0–255 for each.
    pub fn blend_row(&mut self, y: i32, left: i32, mut coverage: impl Iterator<Item = u8>, sample: [u8; N]) {
        if left < 0 {
            let _ = coverage.nth((left.unsigned_abs() - 1) as usize);
        }
        let row = self.row_mut(y).get_mut(left.max(0) as usize..).unwrap_or_default();
        for (pixel, coverage) in row.iter_mut().zip(coverage) {
            match coverage {
                0 => {}
                255 => *pixel = sample,
                _ => {
                    for (old, new) in pixel.iter_mut().zip(sample) {
                        *old = mix(*old, new, coverage);
                    }
                }
            }
        }
    }
}

/// `old` at a coverage of 0, `new` at 255, and a rounded mix between.
fn mix(old: u8, new: u8, coverage: u8) -> u8 {
    let coverage = u32::from(coverage);
    // v / 255, rounded, for v up to 255²: Jim Blinn's division.
    let v = u32::from(old) * (255 - coverage) + u32::from(new) * coverage + 128;
    ((v + (v >> 8)) >> 8) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mix_is_exact() {
        for old in 0..=255u8 {
            for new in [0, 1, 77, 128, 254, 255u8] {
                for coverage in 0..=255u8 {
                    let c = f64::from(coverage) / 255.0;
                    let exact = (f64::from(old) * (1.0 - c) + f64::from(new) * c).round();
                    assert_eq!(f64::from(mix(old, new, coverage)), exact, "{old} {new} {coverage}");
                }
            }
        }
    }

    #[test]
    fn rows_are_clipped() {
        let mut data = [0u8; 3 * 8];
        let mut plane = Plane::<2>::new(&mut data, 8, 3, 3);
        plane.fill_row(0, -5, 1, [1, 2]);
        plane.fill_row(1, 2, 900, [1, 2]);
        plane.fill_row(-1, 0, 3, [9, 9]);
        plane.fill_row(3, 0, 3, [9, 9]);
        plane.fill_row(0, 3, 2, [9, 9]);
        plane.blend_row(2, -2, [255, 255, 255, 0, 128, 255].into_iter(), [100, 200]);
        plane.blend_row(2, 70, [255].into_iter(), [9, 9]);
        assert_eq!(data[..8], [1, 2, 0, 0, 0, 0, 0, 0]);
        assert_eq!(data[8..16], [0, 0, 0, 0, 1, 2, 0, 0]);
        assert_eq!(data[16..], [100, 200, 0, 0, 50, 100, 0, 0]);
    }

    #[test]
    fn short_data_is_left_alone() {
        let mut data = [7u8; 5];
        let mut plane = Plane::<3>::new(&mut data, 6, 2, 100);
        plane.fill_row(0, 0, 2, [1, 1, 1]);
        plane.fill_row(99, 0, 2, [1, 1, 1]);
        assert_eq!(data, [7; 5]);
    }
}
