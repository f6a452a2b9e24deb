//! The driver's library, and its errors with their remedies.

use super::error::{Error, ErrorKind};
use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys::{self, CUresult};
use std::ffi::c_int;
use std::sync::OnceLock;

/// The kernels are PTX of CUDA 11.8, which older drivers don't load.
const LEAST_VERSION: (u32, u32) = (11, 8);

/// Initialises the NVIDIA driver, and checks that it is recent enough.
///
/// # Errors
/// [`ErrorKind::NoDriver`], [`ErrorKind::Library`], [`ErrorKind::NoDevice`] or [`ErrorKind::Device`], with the remedy.
pub fn check_driver() -> Result<(), Error> {
    static STARTED: OnceLock<Result<(), Error>> = OnceLock::new();
    STARTED.get_or_init(start).clone()
}

fn start() -> Result<(), Error> {
    // SAFETY: loading the driver's library runs only its initialisers, which have no preconditions.
    if !unsafe { sys::is_culib_present() } {
        return Err(Error::new(
            ErrorKind::NoDriver,
            "libcuda.so.1 isn't there. Install the NVIDIA driver (520 or later)",
        ));
    }
    check("cuInit", result::init())?;
    let version = driver_version()?;
    if version < LEAST_VERSION {
        return Err(Error::new(
            ErrorKind::Library,
            format!(
                "the NVIDIA driver supports CUDA {}.{}, needed is 11.8: install driver 520 or later",
                version.0, version.1
            ),
        ));
    }
    Ok(())
}

/// The newest CUDA version that the driver supports, for example (13, 0).
///
/// # Errors
/// The driver call failed. [`check_driver`] must have succeeded before.
pub fn driver_version() -> Result<(u32, u32), Error> {
    let mut version: c_int = 0;
    // SAFETY: the call writes one integer.
    check("cuDriverGetVersion", unsafe { sys::cuDriverGetVersion(&mut version) }.result())?;
    let version = u32::try_from(version).unwrap_or(0);
    Ok((version / 1000, version % 1000 / 10))
}

/// True for errors that leave a context unusable.
pub(super) fn is_sticky(result: CUresult) -> bool {
    use CUresult::*;
    matches!(
        result,
        CUDA_ERROR_ECC_UNCORRECTABLE
            | CUDA_ERROR_NVLINK_UNCORRECTABLE
            | CUDA_ERROR_ILLEGAL_ADDRESS
            | CUDA_ERROR_LAUNCH_TIMEOUT
            | CUDA_ERROR_CONTEXT_IS_DESTROYED
            | CUDA_ERROR_ASSERT
            | CUDA_ERROR_HARDWARE_STACK_ERROR
            | CUDA_ERROR_ILLEGAL_INSTRUCTION
            | CUDA_ERROR_MISALIGNED_ADDRESS
            | CUDA_ERROR_INVALID_ADDRESS_SPACE
            | CUDA_ERROR_INVALID_PC
            | CUDA_ERROR_LAUNCH_FAILED
            | CUDA_ERROR_EXTERNAL_DEVICE
            | CUDA_ERROR_UNKNOWN
    )
}

/// Turns an error that the driver's function `what` returned into one that names the remedy.
pub(super) fn check<T>(what: &str, result: Result<T, DriverError>) -> Result<T, Error> {
    result.map_err(|error| with_remedy(what, error.0, &describe(error)))
}

/// `words` is the driver's description of the error.
fn with_remedy(what: &str, result: CUresult, words: &str) -> Error {
    use CUresult::*;
    let cause = format!("{what}: {words} ({})", result as u32);
    match result {
        CUDA_ERROR_OUT_OF_MEMORY => Error::new(ErrorKind::Memory, format!("GPU out of memory ({cause})")),
        CUDA_ERROR_NO_DEVICE => Error::new(
            ErrorKind::NoDevice,
            format!("no NVIDIA GPU ({cause}): check `nvidia-smi` and CUDA_VISIBLE_DEVICES"),
        ),
        CUDA_ERROR_UNSUPPORTED_PTX_VERSION => Error::new(
            ErrorKind::Library,
            format!("the NVIDIA driver is too old for the kernels ({cause}): install driver 520 or later"),
        ),
        CUDA_ERROR_NO_BINARY_FOR_GPU | CUDA_ERROR_INVALID_PTX => Error::new(
            ErrorKind::Device,
            format!("the GPU can't run the kernels ({cause}): needed is compute capability 6.0 (Pascal) or later"),
        ),
        result if is_sticky(result) => Error::new(
            ErrorKind::Device,
            format!(
                "the GPU failed ({cause}): nothing can run in this CUDA context any more. Stop the pipeline and start it \
                 again; look for Xid messages in the kernel's log"
            ),
        ),
        _ => Error::new(ErrorKind::Device, format!("CUDA: {cause}")),
    }
}

/// The driver's name and description of an error.
fn describe(error: DriverError) -> String {
    match error.error_string() {
        Ok(text) => text.to_string_lossy().into_owned(),
        Err(_) => format!("{:?}", error.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Context;

    #[test]
    fn out_of_memory_and_a_missing_gpu_have_kinds_of_their_own() {
        let error = with_remedy("cuMemAlloc", CUresult::CUDA_ERROR_OUT_OF_MEMORY, "out of memory");
        assert_eq!(error.kind, ErrorKind::Memory);
        assert_eq!(error.message, "GPU out of memory (cuMemAlloc: out of memory (2))");
        let error = with_remedy("cuInit", CUresult::CUDA_ERROR_NO_DEVICE, "no device");
        assert_eq!(error.kind, ErrorKind::NoDevice);
        assert!(error.message.contains("nvidia-smi"), "{error}");
    }

    #[test]
    fn device_failures_are_sticky_and_settings_are_not() {
        use CUresult::*;
        for result in [CUDA_ERROR_ILLEGAL_ADDRESS, CUDA_ERROR_ECC_UNCORRECTABLE, CUDA_ERROR_LAUNCH_FAILED] {
            assert!(is_sticky(result));
            let error = with_remedy("cuStreamSynchronize", result, "words");
            assert_eq!(error.kind, ErrorKind::Device);
            assert!(error.message.contains("the GPU failed") && error.message.contains("words"), "{error}");
        }
        for result in [CUDA_ERROR_OUT_OF_MEMORY, CUDA_ERROR_INVALID_VALUE, CUDA_ERROR_NOT_READY] {
            assert!(!is_sticky(result));
        }
        let old = with_remedy("cuModuleLoadData", CUDA_ERROR_UNSUPPORTED_PTX_VERSION, "words");
        assert!(old.kind == ErrorKind::Library && old.message.contains("driver 520"), "{old}");
    }

    /// Depending on the machine this is an error with a remedy or a context, but never a panic.
    #[test]
    fn machine_without_gpu_gets_an_error() {
        match Context::create(0) {
            Ok(context) => assert!(context.memory().unwrap().1 > 0),
            Err(error) => {
                use ErrorKind::{Device, Library, NoDevice, NoDriver};
                assert!(matches!(error.kind, NoDriver | Library | NoDevice | Device), "{error}");
                assert!(error.message.contains("driver") || error.message.contains("nvidia-smi"), "{error}");
            }
        }
        let far = Context::create(4000).unwrap_err();
        assert!(far.message.contains("driver") || far.kind == ErrorKind::NoSuchDevice(4000), "{far}");
    }
}
