//! The driver's video decoder, which decodes nothing: GStreamer's plugin registers no CUDA element without its library.

use super::super::status::log;
use std::ffi::c_int;

/// The head of `CUVIDDECODECAPS`: what is asked for, and whether it's there.
#[repr(C)]
pub struct DecodeCaps {
    asked: [u32; 6],
    supported: u8,
}

/// Knows no codec.
///
/// # Safety
/// `caps` is null or leads to a `CUVIDDECODECAPS`.
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
    cuvidUnmapVideoFrame64
}
