//! Device memory for engines and contexts: from the application's `IGpuAllocator`, or from the driver.

use super::logger;
use super::object::method;
use std::ffi::c_void;
use std::sync::Arc;

/// The source of memory; `None`: the driver.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allocator(Option<usize>);

const CLASS: &str = "IGpuAllocator";
const ALIGNMENT: u64 = 256;

impl Allocator {
    pub fn new(raw: *mut c_void) -> Self {
        Self((!raw.is_null()).then_some(raw.addr()))
    }

    /// Allocates memory that is freed on drop; on failure logs what TensorRT logs.
    pub fn take(self, bytes: u64) -> Option<Arc<DeviceMemory>> {
        let address = match self.0 {
            // SAFETY: the application keeps its allocator alive; the signature is the header's.
            Some(raw) => unsafe {
                let allocate: unsafe extern "C" fn(usize, u64, u64, u32) -> usize = method(raw, CLASS, "allocate");
                allocate(raw, bytes, ALIGNMENT, 0)
            },
            None => crate::driver::allocate(bytes as usize).unwrap_or(0),
        };
        if address == 0 {
            logger::error(&format!(
                "[defaultAllocator.cpp::allocate::31] Error Code 1: Cuda Runtime (out of memory): requested {bytes} bytes"
            ));
            return None;
        }
        assert!(address.is_multiple_of(ALIGNMENT as usize), "the allocator gave memory at {address:#x}");
        Some(Arc::new(DeviceMemory { allocator: self, address, bytes }))
    }
}

#[derive(Debug)]
pub struct DeviceMemory {
    allocator: Allocator,
    pub address: usize,
    pub bytes: u64,
}

impl Drop for DeviceMemory {
    fn drop(&mut self) {
        let freed = match self.allocator.0 {
            // SAFETY: as in `take`; the memory came from it and is freed once.
            Some(raw) => unsafe {
                let deallocate: unsafe extern "C" fn(usize, usize) -> bool = method(raw, CLASS, "deallocate");
                deallocate(raw, self.address)
            },
            None => crate::driver::free(self.address).is_ok(),
        };
        if !freed {
            logger::error(&format!("{} bytes of device memory can't be freed", self.bytes));
        }
    }
}
