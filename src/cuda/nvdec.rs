//! What the GPU's video decoder can do, asked of the driver.

use crate::infer::{Error, ErrorKind};
use std::ffi::c_int;

/// One codec, 8 bit, 4:2:0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodecCaps {
    pub codec: &'static str,
    pub max_width: u32,
    pub max_height: u32,
    /// Decoders that work side by side.
    pub engines: u32,
}

/// Name and number in `cudaVideoCodec`.
const CODECS: [(&str, i32); 6] = [("H.264", 4), ("HEVC", 8), ("AV1", 11), ("VP9", 10), ("VP8", 9), ("JPEG", 5)];

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

/// Codecs that the GPU of the current CUDA context decodes.
///
/// # Errors
/// The driver's decoder library is missing, or doesn't answer.
pub fn codecs() -> Result<Vec<CodecCaps>, Error> {
    let missing = |error: libloading::Error| {
        let message =
            format!("NVDEC initialization failed: {error}; install the driver's decoder (apt: libnvidia-decode)");
        Error::new(ErrorKind::Library, message)
    };
    // SAFETY: the driver's own library; its initialisers have no preconditions.
    let library = unsafe { libloading::Library::new("libnvcuvid.so.1") }.map_err(missing)?;
    type GetCaps = unsafe extern "C" fn(*mut DecodeCaps) -> c_int;
    // SAFETY: the function's signature in nvcuvid's public header.
    let get_caps = *unsafe { library.get::<GetCaps>(b"cuvidGetDecoderCaps\0") }.map_err(missing)?;
    // Unloading the driver isn't supported.
    std::mem::forget(library);
    let mut found = Vec::new();
    for (codec, number) in CODECS {
        let mut caps = DecodeCaps { codec: number, chroma: CHROMA_420, ..DecodeCaps::default() };
        // SAFETY: the driver fills the structure.
        let status = unsafe { get_caps(&mut caps) };
        if status != 0 {
            let message = format!("NVDEC initialization failed: the driver answers {status} when asked for {codec}");
            return Err(Error::new(ErrorKind::Device, message));
        }
        if caps.supported != 0 {
            let (max_width, max_height, engines) = (caps.max_width, caps.max_height, u32::from(caps.engines));
            found.push(CodecCaps { codec, max_width, max_height, engines });
        }
    }
    Ok(found)
}
