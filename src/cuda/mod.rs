//! The CUDA driver, opened at run time.

mod device;
mod memory;
mod nvdec;

pub use device::{Device, PrimaryContext, driver_version};
pub use memory::CudaMemory;
pub use nvdec::{CodecCaps, codecs};

use crate::infer::{Error, ErrorKind};

/// Whether the machine has an NVIDIA driver.
///
/// # Errors
/// [`ErrorKind::Library`] with the remedy.
pub fn check_driver() -> Result<(), Error> {
    // SAFETY: loading the driver's library runs only its initialisers, which have no preconditions.
    match unsafe { libloading::Library::new("libcuda.so.1") } {
        Ok(library) => {
            // Unloading the driver isn't supported.
            std::mem::forget(library);
            Ok(())
        }
        Err(_) => Err(Error::new(
            ErrorKind::Library,
            "backend=tensorrt needs an NVIDIA GPU and its driver, and libcuda.so.1 isn't there. \
                 Install the NVIDIA driver (520 or later), or set backend=cpu to run on the CPU"
                .to_string(),
        )),
    }
}
