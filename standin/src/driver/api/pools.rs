//! Memory pools, and memory that is allocated and freed in a stream's order.

use super::super::pool::{self, POOLS, Pool, RELEASE_THRESHOLD, REUSE};
use super::super::stream::by_handle;
use super::device::check_device;
use super::{driver, put};
use cudarc::driver::sys::CUresult::{CUDA_ERROR_INVALID_VALUE, CUDA_ERROR_NOT_SUPPORTED};
use std::ffi::{c_int, c_uint, c_void};

/// The beginning of `CUmemPoolProps`.
#[repr(C)]
pub struct Properties {
    /// `CUmemAllocationType`
    kind: c_uint,
    /// `CUmemAllocationHandleType`
    handles: c_uint,
    /// `CUmemLocation`
    place: c_uint,
    device: c_int,
}

/// `CU_MEM_ALLOCATION_TYPE_PINNED`, the only one.
const PINNED: c_uint = 1;
/// `CU_MEM_LOCATION_TYPE_DEVICE`
const ON_DEVICE: c_uint = 1;

driver! {
    fn cuMemAllocAsync(out: *mut usize, bytes: usize, stream: usize) {
        put(out, pool::allocate(&by_handle(stream)?, bytes)?)
    }

    fn cuMemAllocFromPoolAsync(out: *mut usize, bytes: usize, pool: usize, stream: usize) {
        POOLS.get(pool)?;
        put(out, pool::allocate(&by_handle(stream)?, bytes)?)
    }

    fn cuMemFreeAsync(address: usize, stream: usize) {
        pool::free(&by_handle(stream)?, address)
    }

    fn cuMemPoolCreate(out: *mut usize, properties: *const Properties) {
        let properties = properties.as_ref().ok_or(CUDA_ERROR_INVALID_VALUE)?;
        check_device(properties.device)?;
        if properties.kind != PINNED || properties.place != ON_DEVICE {
            return Err(CUDA_ERROR_INVALID_VALUE);
        }
        if properties.handles != 0 {
            return Err(CUDA_ERROR_NOT_SUPPORTED);
        }
        put(out, Pool::create().handle)
    }

    fn cuMemPoolDestroy(pool: usize) {
        POOLS.remove(pool).map(drop)
    }

    fn cuMemPoolSetAttribute(pool: usize, attribute: c_uint, value: *const c_void) {
        let pool = POOLS.get(pool)?;
        if value.is_null() {
            return Err(CUDA_ERROR_INVALID_VALUE);
        }
        match attribute {
            RELEASE_THRESHOLD => pool.set(attribute, value.cast::<u64>().read_unaligned()),
            _ if REUSE.contains(&attribute) => pool.set(attribute, u64::from(value.cast::<c_uint>().read_unaligned())),
            _ => return Err(CUDA_ERROR_NOT_SUPPORTED),
        }
        Ok(())
    }

    fn cuMemPoolGetAttribute(pool: usize, attribute: c_uint, value: *mut c_void) {
        let found = POOLS.get(pool)?.get(attribute)?;
        if attribute == RELEASE_THRESHOLD { put(value.cast(), found) } else { put(value.cast(), found as c_uint) }
    }
}
