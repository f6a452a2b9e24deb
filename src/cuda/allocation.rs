//! Device memory for TensorRT.

use crate::tensorrt::DeviceMemory;
use cudarc::driver::result;
use std::ffi::c_void;
use std::ptr::NonNull;

/// Memory of the CUDA context that is current on the calling thread.
#[derive(Debug, Clone, Copy)]
pub struct CudaMemory;

/// cuMemAlloc aligns so, in every release.
const ALIGNMENT: u64 = 256;

impl DeviceMemory for CudaMemory {
    fn allocate(&self, size: u64, alignment: u64) -> Option<NonNull<c_void>> {
        if alignment > ALIGNMENT {
            return None;
        }
        // SAFETY: any size; the address is used on the device only.
        let memory = unsafe { result::malloc_sync(usize::try_from(size).ok()?) }.ok()?;
        NonNull::new(memory as *mut c_void)
    }

    fn free(&self, memory: NonNull<c_void>) -> bool {
        // SAFETY: `GpuAllocator` passes each block of `allocate` once. cuMemFree waits for the work that uses it.
        unsafe { result::free_sync(memory.as_ptr() as u64) }.is_ok()
    }
}
