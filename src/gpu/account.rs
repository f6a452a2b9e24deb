//! Accounting for a service's share of the device's memory.

use super::allocation::ContextMemory;
use crate::error::Error;
use cuda::{Context, DeviceAllocator};
use std::ptr::NonNull;
use std::sync::Arc;
use tensorrt::{GpuAllocator, Library, Usage};

/// Counts one service's device memory (weights, scratch memory, tables, inputs and outputs) under one limit.
#[derive(Debug)]
pub struct MemoryAccount {
    context: Arc<Context>,
    allocator: Arc<GpuAllocator>,
}

impl MemoryAccount {
    /// `who` is the service's name in errors; `limit` is in MiB, and 0 means no limit.
    pub fn new(context: &Arc<Context>, library: &Library, who: &str, limit: u32) -> Arc<Self> {
        let limit = (limit > 0).then_some(u64::from(limit) << 20);
        let allocator = GpuAllocator::new(library.group(), Box::new(ContextMemory(Arc::clone(context))), who, limit);
        Arc::new(Self { context: Arc::clone(context), allocator: Arc::new(allocator) })
    }

    /// The allocator that TensorRT uses.
    pub fn allocator(&self) -> &Arc<GpuAllocator> {
        &self.allocator
    }

    pub fn usage(&self) -> Usage {
        self.allocator.usage()
    }

    /// The root cause of an error: after a device failure every call fails, so the failure itself is reported.
    pub fn cause(&self, error: impl Into<Error>) -> Error {
        self.context.failure().map_or_else(|| error.into(), |failure| failure.clone().into())
    }
}

impl DeviceAllocator for MemoryAccount {
    fn context(self: Arc<Self>) -> Arc<Context> {
        Arc::clone(&self.context)
    }

    fn allocate(&self, bytes: usize) -> Result<u64, cuda::Error> {
        let taken = self.allocator.allocate(bytes as u64, 256).map_err(|error| {
            // This refusal was for our own buffer; it must not be taken for the cause of TensorRT's next error.
            self.allocator.take_refusal();
            let refused = || cuda::Error::new(cuda::ErrorKind::Memory, error.to_string()).caused_by(error);
            self.context.failure().cloned().unwrap_or_else(refused)
        });
        Ok(taken?.as_ptr() as u64)
    }

    fn free(&self, address: u64) {
        if let Some(memory) = NonNull::new(address as *mut _) {
            self.allocator.free(memory);
        }
    }
}
