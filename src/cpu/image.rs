//! A picture in system memory, as the preprocessing reads it.

/// Pixel formats that the CPU engine reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    Nv12,
    I420,
    Rgb,
    Bgr,
    /// RGBA and RGBx: the fourth byte isn't read.
    Rgba,
    /// BGRA and BGRx.
    Bgra,
}

/// The matrix from Y'CbCr to R'G'B'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Matrix {
    Bt601,
    Bt709,
    Bt2020,
}

/// How a Y'CbCr picture codes colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Colorimetry {
    pub matrix: Matrix,
    /// 0–255 instead of 16–235 (luma) and 16–240 (chroma).
    pub full_range: bool,
}

/// A picture's planes, borrowed. Chroma of odd sizes is rounded up: `(width + 1) / 2`.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    pub format: PixelFormat,
    /// Not read for RGB formats.
    pub colorimetry: Colorimetry,
    pub width: usize,
    pub height: usize,
    /// NV12: Y, UV; I420: Y, U, V; packed: one.
    pub planes: [&'a [u8]; 3],
    /// Bytes from one row to the next.
    pub strides: [usize; 3],
}
