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
    Fcc,
    Smpte240m,
}

impl Matrix {
    /// The weights of red and blue in luma.
    pub(crate) fn red_and_blue(self) -> (f32, f32) {
        match self {
            Self::Bt601 => (0.299, 0.114),
            Self::Bt709 => (0.2126, 0.0722),
            Self::Bt2020 => (0.2627, 0.0593),
            Self::Fcc => (0.30, 0.11),
            Self::Smpte240m => (0.212, 0.087),
        }
    }
}

impl PixelFormat {
    pub fn is_yuv(self) -> bool {
        matches!(self, Self::Nv12 | Self::I420)
    }

    /// Number of planes.
    pub fn planes(self) -> usize {
        match self {
            Self::Nv12 => 2,
            Self::I420 => 3,
            Self::Rgb | Self::Bgr | Self::Rgba | Self::Bgra => 1,
        }
    }

    /// Rows of a plane of a picture of this height; planes after the first are 4:2:0 chroma.
    pub fn plane_rows(self, plane: usize, height: usize) -> usize {
        if plane == 0 { height } else { height.div_ceil(2) }
    }

    /// Bytes of one row of a plane.
    fn row_bytes(self, plane: usize, width: usize) -> usize {
        match (self, plane) {
            (Self::Nv12, 1) => 2 * width.div_ceil(2),
            (Self::I420, 1..) => width.div_ceil(2),
            (Self::Nv12 | Self::I420, _) => width,
            (Self::Rgb | Self::Bgr, _) => 3 * width,
            (Self::Rgba | Self::Bgra, _) => 4 * width,
        }
    }
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

/// From Y'CbCr bytes to R'G'B' 0–255: `luma = (Y - luma_offset) · luma_scale`, then chroma around 128 is added.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conversion {
    pub luma_offset: f32,
    pub luma_scale: f32,
    /// Cr's share in red, Cb's and Cr's in green, Cb's in blue.
    pub red_cr: f32,
    pub green_cb: f32,
    pub green_cr: f32,
    pub blue_cb: f32,
}

impl Conversion {
    /// ITU-R BT.601, BT.709 and BT.2020 (non-constant luminance) have the same form, with their own luma weights.
    pub fn new(colorimetry: Colorimetry) -> Self {
        let (red, blue) = colorimetry.matrix.red_and_blue();
        let green = 1.0 - red - blue;
        let (luma_offset, luma_range, chroma_range) =
            if colorimetry.full_range { (0.0, 255.0, 255.0) } else { (16.0, 219.0, 224.0) };
        let chroma = 255.0 / chroma_range;
        Self {
            luma_offset,
            luma_scale: 255.0 / luma_range,
            red_cr: 2.0 * (1.0 - red) * chroma,
            green_cb: -2.0 * blue * (1.0 - blue) / green * chroma,
            green_cr: -2.0 * red * (1.0 - red) / green * chroma,
            blue_cb: 2.0 * (1.0 - blue) * chroma,
        }
    }
}
