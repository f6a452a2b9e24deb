//! The capabilities of the GPU's video decoder, as the driver reports them.

use super::error::{Error, ErrorKind};
use std::ffi::c_int;

/// The limits for one codec and bit depth, in 4:2:0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodecCaps {
    /// The codec's name, for example `H.264`.
    pub codec: &'static str,
    /// Bits per sample: 8, 10 or 12.
    pub depth: u32,
    /// Smallest width of a picture.
    pub min_width: u32,
    /// Smallest height of a picture.
    pub min_height: u32,
    /// Largest width of a picture.
    pub max_width: u32,
    /// Largest height of a picture.
    pub max_height: u32,
    /// Macroblocks of 16×16 pixels per frame.
    pub max_macroblocks: u32,
    /// Number of decoder engines that work in parallel.
    pub engines: u32,
}

/// Names and their numbers in `cudaVideoCodec`.
const CODECS: [(&str, i32); 6] = [("H.264", 4), ("HEVC", 8), ("AV1", 11), ("VP9", 10), ("VP8", 9), ("JPEG", 5)];

const DEPTHS: [u32; 3] = [8, 10, 12];

/// `cudaVideoChromaFormat_420`
const CHROMA_420: i32 = 1;

/// `CUVIDDECODECAPS`
#[repr(C)]
#[derive(Default)]
struct DecodeCaps {
    codec: i32,
    chroma: i32,
    bit_depth_minus_8: u32,
    reserved: [u32; 3],
    supported: u8,
    engines: u8,
    output_formats: u16,
    max_width: u32,
    max_height: u32,
    max_macroblocks: u32,
    min_width: u16,
    min_height: u16,
    histogram: u8,
    counter_bit_depth: u8,
    max_histogram_bins: u16,
    reserved_end: [u32; 10],
}

impl CodecCaps {
    /// Checks that pictures of this size can be decoded.
    ///
    /// # Errors
    /// Names the limit that the size exceeds.
    pub fn check_size(&self, width: u32, height: u32) -> Result<(), String> {
        let macroblocks = u64::from(width.div_ceil(16)) * u64::from(height.div_ceil(16));
        if width > self.max_width || height > self.max_height {
            Err(format!("{width}×{height} is more than {}×{}", self.max_width, self.max_height))
        } else if width < self.min_width || height < self.min_height {
            Err(format!("{width}×{height} is less than {}×{}", self.min_width, self.min_height))
        } else if macroblocks > u64::from(self.max_macroblocks) {
            Err(format!("{width}×{height} has {macroblocks} macroblocks, more than {}", self.max_macroblocks))
        } else {
            Ok(())
        }
    }
}

/// Lists the codecs that the GPU of the current CUDA context decodes.
///
/// # Errors
/// The driver's decoder library is missing, or a call of it failed.
pub fn codecs() -> Result<Vec<CodecCaps>, Error> {
    let missing = |error: libloading::Error| {
        let message =
            format!("NVDEC initialization failed: {error}; install the driver's decoder (apt: libnvidia-decode)");
        Error::new(ErrorKind::Library, message)
    };
    // SAFETY: this is the driver's library, whose initialisers have no preconditions.
    let library = unsafe { libloading::Library::new("libnvcuvid.so.1") }.map_err(missing)?;
    type GetCaps = unsafe extern "C" fn(*mut DecodeCaps) -> c_int;
    // SAFETY: this is the function's signature in nvcuvid's public header.
    let get_caps = *unsafe { library.get::<GetCaps>(b"cuvidGetDecoderCaps\0") }.map_err(missing)?;
    // Unloading the driver isn't supported.
    std::mem::forget(library);
    let mut found = Vec::new();
    for ((codec, number), depth) in CODECS.into_iter().flat_map(|codec| DEPTHS.map(|depth| (codec, depth))) {
        let bit_depth_minus_8 = depth - 8;
        let mut caps = DecodeCaps { codec: number, chroma: CHROMA_420, bit_depth_minus_8, ..DecodeCaps::default() };
        // SAFETY: the driver fills the structure.
        let status = unsafe { get_caps(&mut caps) };
        if status != 0 {
            let message = format!("NVDEC initialization failed: cuvidGetDecoderCaps returned {status} for {codec}");
            return Err(Error::new(ErrorKind::Device, message));
        }
        if caps.supported != 0 {
            found.push(CodecCaps {
                codec,
                depth,
                min_width: caps.min_width.into(),
                min_height: caps.min_height.into(),
                max_width: caps.max_width,
                max_height: caps.max_height,
                max_macroblocks: caps.max_macroblocks,
                engines: caps.engines.into(),
            });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_limits() {
        let caps = CodecCaps {
            codec: "H.264",
            depth: 8,
            min_width: 48,
            min_height: 16,
            max_width: 4096,
            max_height: 4096,
            max_macroblocks: 65_536 / 2,
            engines: 1,
        };
        assert_eq!(caps.check_size(3840, 2160), Ok(()));
        assert!(caps.check_size(5120, 2880).unwrap_err().contains("more than 4096×4096"));
        assert!(caps.check_size(32, 32).unwrap_err().contains("less than 48×16"));
        assert!(caps.check_size(4096, 4096).unwrap_err().contains("65536 macroblocks"));
    }
}
