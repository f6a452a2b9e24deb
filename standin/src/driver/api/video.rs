//! The driver's video decoder, which supports no codec: without its library GStreamer's plugin registers no CUDA element.

use super::super::status::log;
use std::ffi::c_int;

/// The beginning of `CUVIDDECODECAPS`: the query, and whether it is supported.
#[repr(C)]
pub struct DecodeCaps {
    asked: [u32; 6],
    supported: u8,
}

/// Reports every codec as unsupported.
///
/// # Safety
/// `caps` is null or points to a `CUVIDDECODECAPS`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuvidGetDecoderCaps(caps: *mut DecodeCaps) -> c_int {
    // SAFETY: the caller's promise.
    if let Some(caps) = unsafe { caps.as_mut() } {
        caps.supported = 0;
    }
    0
}

macro_rules! none {
    ($($name:ident)*) => {
        $(#[unsafe(no_mangle)]
        pub extern "C" fn $name() -> c_int {
            log(concat!(stringify!($name), " isn't supported"));
            // CUDA_ERROR_NOT_SUPPORTED
            801
        })*
    };
}

none! {
    cuvidCtxLockCreate cuvidCtxLockDestroy cuvidCtxLock cuvidCtxUnlock cuvidCreateDecoder cuvidDestroyDecoder
    cuvidDecodePicture cuvidCreateVideoParser cuvidParseVideoData cuvidDestroyVideoParser cuvidMapVideoFrame64
    cuvidUnmapVideoFrame64 cuvidReconfigureDecoder
}
