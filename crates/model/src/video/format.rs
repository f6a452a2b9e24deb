//! Pixel formats: the CPU engine and the kernels each support some.

/// Pixel formats that the CPU engine reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HostFormat {
    /// 4:2:0 in two planes: Y, and U with V.
    Nv12,
    /// 4:2:0 in three planes: Y, U, V.
    I420,
    /// Three bytes per pixel: red, green, blue.
    Rgb,
    /// Three bytes per pixel: blue, green, red.
    Bgr,
    /// RGBA and RGBx: the fourth byte is ignored.
    Rgba,
    /// BGRA and BGRx.
    Bgra,
}

impl HostFormat {
    /// True for formats with luma and chroma.
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

    /// Bytes per row of a plane.
    pub fn row_bytes(self, plane: usize, width: usize) -> usize {
        match (self, plane) {
            (Self::Nv12, 1) => 2 * width.div_ceil(2),
            (Self::I420, 1..) => width.div_ceil(2),
            (Self::Nv12 | Self::I420, _) => width,
            (Self::Rgb | Self::Bgr, _) => 3 * width,
            (Self::Rgba | Self::Bgra, _) => 4 * width,
        }
    }
}

/// Pixel formats that the kernels read, numbered as in preprocess.cu.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum DeviceFormat {
    /// 4:2:0 in two planes: Y, and U with V.
    Nv12 = 0,
    /// Like NV12, with 10 bits in the upper bits of 16, little endian.
    P010 = 1,
    /// 4:2:0 in three planes: Y, U, V.
    I420 = 2,
    /// RGBA and RGBx: the fourth byte is ignored.
    Rgba = 3,
    /// BGRA and BGRx.
    Bgra = 4,
}
