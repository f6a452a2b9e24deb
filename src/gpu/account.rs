//! A service's share of the device's memory.

use super::allocation::ContextMemory;
use crate::cuda::{Context, Room};
use crate::error::Error;
use std::ptr::NonNull;
use std::sync::Arc;
use tensorrt::{GpuAllocator, Library, Usage};

/// Weights, what contexts work in, tables, inputs and outputs of one service: counted together, under one limit.
#[derive(Debug)]
pub struct Account {
    context: Arc<Context>,
    allocator: Arc<GpuAllocator>,
}

impl Account {
    /// `who` is named in errors; `limit` in MiB, 0: none.
    pub fn new(context: &Arc<Context>, library: &Library, who: &str, limit: u32) -> Arc<Self> {
        let limit = (limit > 0).then_some(u64::from(limit) << 20);
        let allocator = GpuAllocator::new(library.group(), Box::new(ContextMemory(Arc::clone(context))), who, limit);
        Arc::new(Self { context: Arc::clone(context), allocator: Arc::new(allocator) })
    }

    /// For TensorRT.
    pub fn allocator(&self) -> &Arc<GpuAllocator> {
        &self.allocator
    }

    pub fn usage(&self) -> Usage {
        self.allocator.usage()
    }

    /// The cause of an error: a device that failed says no to everything.
    pub fn cause(&self, error: impl Into<Error>) -> Error {
        self.context.failure().cloned().unwrap_or_else(|| error.into())
    }
}

impl Room for Account {
    fn context(self: Arc<Self>) -> Arc<Context> {
        Arc::clone(&self.context)
    }

    fn take(&self, bytes: usize) -> Result<u64, Error> {
        let taken = self.allocator.allocate(bytes as u64, 256).map_err(|error| {
            // Ours, not what TensorRT's next error is about.
            self.allocator.take_refusal();
            self.cause(error)
        });
        Ok(taken?.as_ptr() as u64)
    }

    fn give_back(&self, address: u64) {
        if let Some(memory) = NonNull::new(address as *mut _) {
            self.allocator.free(memory);
        }
    }
}
