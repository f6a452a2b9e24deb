//! The driver's results and their descriptions.

use cudarc::driver::sys::CUresult;
use std::ffi::CStr;

/// An error of the driver.
pub type Fail = CUresult;
pub type Status<T = ()> = Result<T, Fail>;

/// Explains on stderr what an error number alone doesn't tell.
pub fn log(message: &str) {
    eprintln!("stand-in GPU: {message}");
}

/// Logs the reason, and returns the error.
pub fn refuse<T>(code: Fail, why: &str) -> Status<T> {
    log(why);
    Err(code)
}

/// The error for a number from outside the Rust code.
pub fn from_number(number: u32) -> Fail {
    TABLE.iter().find(|(code, ..)| *code as u32 == number).map_or(CUresult::CUDA_ERROR_UNKNOWN, |(code, ..)| *code)
}

/// Name and description of a result; `None` for unknown numbers.
pub fn description(number: u32) -> Option<(&'static CStr, &'static CStr)> {
    TABLE.iter().find(|(code, ..)| *code as u32 == number).map(|(_, name, words)| (*name, *words))
}

macro_rules! table {
    ($($code:ident $words:literal)*) => {
        const TABLE: &[(Fail, &CStr, &CStr)] = &[$((
            CUresult::$code,
            match CStr::from_bytes_with_nul(concat!(stringify!($code), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => panic!(),
            },
            $words,
        )),*];
    };
}

table! {
    CUDA_SUCCESS c"no error"
    CUDA_ERROR_INVALID_VALUE c"invalid argument"
    CUDA_ERROR_OUT_OF_MEMORY c"out of memory"
    CUDA_ERROR_NOT_INITIALIZED c"initialization error"
    CUDA_ERROR_DEINITIALIZED c"driver shutting down"
    CUDA_ERROR_NO_DEVICE c"no CUDA-capable device is detected"
    CUDA_ERROR_INVALID_DEVICE c"invalid device ordinal"
    CUDA_ERROR_INVALID_IMAGE c"device kernel image is invalid"
    CUDA_ERROR_INVALID_CONTEXT c"invalid device context"
    CUDA_ERROR_ECC_UNCORRECTABLE c"uncorrectable ECC error encountered"
    CUDA_ERROR_INVALID_PTX c"a PTX JIT compilation failed"
    CUDA_ERROR_UNSUPPORTED_PTX_VERSION c"the provided PTX was compiled with an unsupported toolchain."
    CUDA_ERROR_INVALID_HANDLE c"invalid resource handle"
    CUDA_ERROR_NOT_FOUND c"named symbol not found"
    CUDA_ERROR_NOT_READY c"device not ready"
    CUDA_ERROR_ILLEGAL_ADDRESS c"an illegal memory access was encountered"
    CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES c"too many resources requested for launch"
    CUDA_ERROR_LAUNCH_TIMEOUT c"the launch timed out and was terminated"
    CUDA_ERROR_CONTEXT_IS_DESTROYED c"context is destroyed"
    CUDA_ERROR_ASSERT c"device-side assert triggered"
    CUDA_ERROR_ILLEGAL_INSTRUCTION c"an illegal instruction was encountered"
    CUDA_ERROR_MISALIGNED_ADDRESS c"misaligned address"
    CUDA_ERROR_LAUNCH_FAILED c"unspecified launch failure"
    CUDA_ERROR_NOT_SUPPORTED c"operation not supported"
    CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED c"operation not permitted when stream is capturing"
    CUDA_ERROR_STREAM_CAPTURE_INVALIDATED c"operation failed due to a previous error during capture"
    CUDA_ERROR_STREAM_CAPTURE_MERGE c"operation would result in a merge of separate capture sequences"
    CUDA_ERROR_STREAM_CAPTURE_UNMATCHED c"capture was not ended in the same stream as it began"
    CUDA_ERROR_STREAM_CAPTURE_UNJOINED c"capturing stream has unjoined work"
    CUDA_ERROR_STREAM_CAPTURE_ISOLATION c"dependency created on uncaptured work in another stream"
    CUDA_ERROR_STREAM_CAPTURE_IMPLICIT c"operation would make the legacy stream depend on a capturing blocking stream"
    CUDA_ERROR_CAPTURED_EVENT c"operation not permitted on an event last recorded in a capturing stream"
    CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD c"attempt to terminate a thread-local capture sequence from another thread"
    CUDA_ERROR_UNKNOWN c"unknown error"
}
