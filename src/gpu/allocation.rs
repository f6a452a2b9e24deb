//! Device memory for TensorRT.

use cuda::{Context, DeviceAllocator};
use cudarc::driver::{result, sys};
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::Arc;
use tensorrt::DeviceMemory;

/// Allocates in one CUDA context whichever context is current on the calling thread: TensorRT's builder allocates on
/// its own threads.
#[derive(Debug, Clone, Copy)]
pub struct CudaMemory {
    context: sys::CUcontext,
}

// SAFETY: any thread may use a context's handle.
unsafe impl Send for CudaMemory {}
// SAFETY: as above; the handle is never changed.
unsafe impl Sync for CudaMemory {}

impl CudaMemory {
    /// For the context that is current on this thread, which must outlive all allocations.
    pub fn current() -> Option<Self> {
        result::ctx::get_current().ok().flatten().map(|context| Self { context })
    }

    fn within<T>(self, work: impl FnOnce() -> Option<T>) -> Option<T> {
        // SAFETY: the context lives as long as its memory is used.
        unsafe { sys::cuCtxPushCurrent_v2(self.context) }.result().ok()?;
        let done = work();
        let mut popped = std::ptr::null_mut();
        // SAFETY: pops what was pushed above.
        let _ = unsafe { sys::cuCtxPopCurrent_v2(&mut popped) };
        done
    }
}

impl DeviceMemory for CudaMemory {
    fn allocate(&self, size: u64, alignment: u64) -> Option<NonNull<c_void>> {
        self.within(|| {
            // SAFETY: any size is allowed; the address is used on the device only.
            let memory = unsafe { result::malloc_sync(usize::try_from(size).ok()?) }.ok()?;
            if !memory.is_multiple_of(alignment.max(1)) {
                // SAFETY: nothing uses the block yet.
                let _ = unsafe { result::free_sync(memory) };
                return None;
            }
            NonNull::new(memory as *mut c_void)
        })
    }

    fn free(&self, memory: NonNull<c_void>) -> bool {
        // SAFETY: `GpuAllocator` passes each block of `allocate` once. cuMemFree waits for the work that uses it.
        self.within(|| unsafe { result::free_sync(memory.as_ptr() as u64) }.ok()).is_some()
    }
}

/// Allocates in one of our contexts on any thread. The context counts the allocations and records device failures.
#[derive(Debug)]
pub struct ContextMemory(pub Arc<Context>);

impl DeviceMemory for ContextMemory {
    fn allocate(&self, size: u64, alignment: u64) -> Option<NonNull<c_void>> {
        let address = self.0.allocate(usize::try_from(size).ok()?).ok()?;
        if !address.is_multiple_of(alignment.max(1)) {
            self.0.free(address);
            return None;
        }
        NonNull::new(address as *mut c_void)
    }

    fn free(&self, memory: NonNull<c_void>) -> bool {
        self.0.free(memory.as_ptr() as u64);
        true
    }
}
