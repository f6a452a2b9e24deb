//! Colours: the palette, and the conversion to a frame's format.

use model::video::Colorimetry;

/// An sRGB colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rgb {
    pub r: u8,
    pub g: u8,
    pub b: u8,
}

impl Rgb {
    pub const BLACK: Self = Self::hex(0x000000);
    pub const WHITE: Self = Self::hex(0xFFFFFF);

    /// From `0xRRGGBB`.
    pub const fn hex(rgb: u32) -> Self {
        let [_, r, g, b] = rgb.to_be_bytes();
        Self { r, g, b }
    }

    /// Black or white, whichever is more legible on this colour (contrast ratio of WCAG 2).
    pub fn contrast(self) -> Self {
        let luminance = self.luminance();
        let (on_black, on_white) = ((luminance + 0.05) / 0.05, 1.05 / (luminance + 0.05));
        if on_black > on_white { Self::BLACK } else { Self::WHITE }
    }

    /// Relative luminance of WCAG 2, 0–1.
    fn luminance(self) -> f32 {
        let linear = |c: u8| {
            let c = f32::from(c) / 255.0;
            if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(self.r) + 0.7152 * linear(self.g) + 0.0722 * linear(self.b)
    }

    /// Y', Cb and Cr in 8 bits, as defined by ITU-R BT.601 and its successors.
    pub fn to_yuv(self, colorimetry: Colorimetry) -> [u8; 3] {
        let (kr, kb) = colorimetry.matrix.red_and_blue();
        let [r, g, b] = [self.r, self.g, self.b].map(|c| f32::from(c) / 255.0);
        let y = kr * r + (1.0 - kr - kb) * g + kb * b;
        let (cb, cr) = ((b - y) / (2.0 * (1.0 - kb)), (r - y) / (2.0 * (1.0 - kr)));
        let (black, luma, chroma) = if colorimetry.full_range { (0.0, 255.0, 255.0) } else { (16.0, 219.0, 224.0) };
        [black + luma * y, 128.0 + chroma * cb, 128.0 + chroma * cr].map(|v| v.round() as u8)
    }
}

/// Twenty colours, each pair at least 0.14 apart in OKLab. The first ones, which COCO's most common classes get, differ
/// most from the colours of streets.
const PALETTE: [Rgb; 20] = [
    Rgb::hex(0x00AAFF),
    Rgb::hex(0xFF8800),
    Rgb::hex(0x33CC33),
    Rgb::hex(0xFF66FF),
    Rgb::hex(0x66EEEE),
    Rgb::hex(0xFF0066),
    Rgb::hex(0xDDDD55),
    Rgb::hex(0x9933FF),
    Rgb::hex(0xAA5500),
    Rgb::hex(0x119977),
    Rgb::hex(0xEE88AA),
    Rgb::hex(0x55FF00),
    Rgb::hex(0x3366AA),
    Rgb::hex(0xFFBBFF),
    Rgb::hex(0xAA9900),
    Rgb::hex(0xDD00BB),
    Rgb::hex(0xAA66AA),
    Rgb::hex(0x226622),
    Rgb::hex(0x990077),
    Rgb::hex(0x0000FF),
];

/// The palette's colour for a number; the palette repeats after twenty.
pub fn of_number(number: u32) -> Rgb {
    PALETTE[number as usize % PALETTE.len()]
}

/// The palette's colour for a name, which is always the same.
pub fn of_name(name: &str) -> Rgb {
    // FNV-1a: small, and stable from run to run, unlike the standard library's hasher.
    of_number(name.bytes().fold(0x811C_9DC5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::video::Matrix;

    const SD: Colorimetry = Colorimetry { matrix: Matrix::Bt601, full_range: false };
    const HD: Colorimetry = Colorimetry { matrix: Matrix::Bt709, full_range: false };

    /// The 75 % and 100 % bars of SMPTE's pattern, as published for each standard.
    #[test]
    fn yuv_of_reference_colours() {
        for (rgb, colorimetry, yuv) in [
            (0xFFFFFF, SD, [235, 128, 128]),
            (0x000000, SD, [16, 128, 128]),
            (0xFF0000, SD, [81, 90, 240]),
            (0x00FF00, SD, [145, 54, 34]),
            (0x0000FF, SD, [41, 240, 110]),
            (0xFF0000, HD, [63, 102, 240]),
            (0x00FF00, HD, [173, 42, 26]),
            (0x0000FF, HD, [32, 240, 118]),
            (0xFF0000, Colorimetry { full_range: true, ..SD }, [76, 85, 255]),
            (0xFFFFFF, Colorimetry { matrix: Matrix::Bt2020, full_range: true }, [255, 128, 128]),
        ] {
            assert_eq!(Rgb::hex(rgb).to_yuv(colorimetry), yuv, "{rgb:06X} {colorimetry:?}");
        }
    }

    #[test]
    fn text_reads_on_every_colour() {
        for colour in PALETTE {
            let (a, b) = (colour.luminance(), colour.contrast().luminance());
            let ratio = (a.max(b) + 0.05) / (a.min(b) + 0.05);
            assert!(ratio > 4.5, "{colour:?}: {ratio}");
        }
    }

    #[test]
    fn palette_has_no_colour_twice() {
        for i in 0..20 {
            for j in 0..i {
                assert_ne!(of_number(i), of_number(j));
            }
        }
        assert_eq!(of_number(20), of_number(0));
        assert_eq!(of_name("truck"), of_name("truck"));
    }
}
