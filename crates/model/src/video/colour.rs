//! Colour coding of Y'CbCr pictures.

/// The matrix from Y'CbCr to R'G'B'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Matrix {
    /// ITU-R BT.601.
    Bt601,
    /// ITU-R BT.709.
    Bt709,
    /// ITU-R BT.2020, non-constant luminance.
    Bt2020,
    /// The FCC's matrix of 1953.
    Fcc,
    /// SMPTE 240M.
    Smpte240m,
}

impl Matrix {
    /// The weights of red and blue in luma.
    pub fn red_and_blue(self) -> (f32, f32) {
        match self {
            Self::Bt601 => (0.299, 0.114),
            Self::Bt709 => (0.2126, 0.0722),
            Self::Bt2020 => (0.2627, 0.0593),
            Self::Fcc => (0.30, 0.11),
            Self::Smpte240m => (0.212, 0.087),
        }
    }
}

/// The colour coding of a Y'CbCr picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Colorimetry {
    /// The matrix between Y'CbCr and R'G'B'.
    pub matrix: Matrix,
    /// 0–255 instead of 16–235 (luma) and 16–240 (chroma).
    pub full_range: bool,
}

/// From Y'CbCr bytes to R'G'B' 0–255: `luma = (Y - luma_offset) · luma_scale`, then chroma around 128 is added.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conversion {
    /// Subtracted from luma.
    pub luma_offset: f32,
    /// Factor applied to luma after the subtraction.
    pub luma_scale: f32,
    /// The factors of Cr in red, Cb and Cr in green, and Cb in blue.
    pub red_cr: f32,
    /// The factor of Cb in green.
    pub green_cb: f32,
    /// The factor of Cr in green.
    pub green_cr: f32,
    /// The factor of Cb in blue.
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
