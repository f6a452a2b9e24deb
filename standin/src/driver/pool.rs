//! Memory pools: memory that is allocated and freed in a stream's order.

use super::memory::{self, Kind};
use super::registry::Registry;
use super::status::{Status, refuse};
use super::stream::Stream;
use super::work::Work;
use cudarc::driver::sys::CUresult::{CUDA_ERROR_INVALID_VALUE, CUDA_ERROR_NOT_SUPPORTED};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

pub static POOLS: Registry<Pool> = Registry::new("memory pool");

/// A pool. It has no memory: each allocation is a block like any other, so that a use after the freeing shows.
pub struct Pool {
    pub handle: usize,
    /// `CUmemPool_attribute`, and its value.
    attributes: Mutex<BTreeMap<u32, u64>>,
}

/// Whether blocks may be reused: `CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES` and the two after it, 32 bits each.
pub const REUSE: std::ops::RangeInclusive<u32> = 1..=3;
/// `CU_MEMPOOL_ATTR_RELEASE_THRESHOLD`, bytes, 64 bits.
pub const RELEASE_THRESHOLD: u32 = 4;

impl Pool {
    pub fn create() -> Arc<Self> {
        let defaults = REUSE.map(|attribute| (attribute, 1)).chain([(RELEASE_THRESHOLD, 0)]);
        POOLS.add(|handle| Self { handle, attributes: Mutex::new(defaults.collect()) })
    }

    pub fn set(&self, attribute: u32, value: u64) {
        self.attributes.lock().insert(attribute, value);
    }

    pub fn get(&self, attribute: u32) -> Status<u64> {
        self.attributes.lock().get(&attribute).copied().ok_or(CUDA_ERROR_NOT_SUPPORTED)
    }
}

/// Allocates memory that work queued in `stream` from now on may use.
pub fn allocate(stream: &Arc<Stream>, bytes: usize) -> Status<usize> {
    outside_of_a_capture(stream)?;
    memory::allocate(&stream.context, bytes, Kind::Device, false)
}

/// Frees memory once the work that is queued in `stream` is done.
pub fn free(stream: &Arc<Stream>, address: usize) -> Status {
    outside_of_a_capture(stream)?;
    let own = memory::find(address).filter(|block| block.address == address && block.kind == Kind::Device);
    if own.is_none_or(|block| block.context != stream.context.handle) {
        let what = memory::what_is(address);
        return refuse(CUDA_ERROR_INVALID_VALUE, &format!("{address:#x} is freed in a stream, but it is {what}"));
    }
    stream.add(Work::Function(Arc::new(move || memory::free(address, Kind::Device))))
}

/// A graph could contain such calls as nodes, which this driver doesn't have.
fn outside_of_a_capture(stream: &Stream) -> Status {
    if stream.is_capturing() {
        return refuse(CUDA_ERROR_NOT_SUPPORTED, "memory is allocated or freed in a stream that captures");
    }
    Ok(())
}
