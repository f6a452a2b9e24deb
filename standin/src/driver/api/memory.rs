//! Memory.

use super::super::capture::refuse_unsafe;
use super::super::context::current;
use super::super::memory::{self, ALIGNMENT, Kind};
use super::super::status::refuse;
use super::super::stream::of_context;
use super::{driver, put, unsupported};
use cudarc::driver::sys::CUresult::{CUDA_ERROR_INVALID_VALUE, CUDA_ERROR_NOT_SUPPORTED};
use std::ffi::{c_int, c_uint};

/// `CU_MEMHOSTALLOC_PORTABLE`
const PORTABLE: c_uint = 1;

driver! {
    fn cuMemAlloc_v2(out: *mut usize, bytes: usize) {
        refuse_unsafe("cuMemAlloc")?;
        put(out, memory::allocate(&*current()?, bytes, Kind::Device, false)?)
    }

    fn cuMemAllocPitch_v2(out: *mut usize, pitch: *mut usize, width: usize, height: usize, element: c_uint) {
        refuse_unsafe("cuMemAllocPitch")?;
        if ![4, 8, 16].contains(&element) || width == 0 || height == 0 {
            return Err(CUDA_ERROR_INVALID_VALUE);
        }
        let line = width.next_multiple_of(ALIGNMENT);
        let bytes = line.checked_mul(height).ok_or(CUDA_ERROR_INVALID_VALUE)?;
        put(out, memory::allocate(&*current()?, bytes, Kind::Device, false)?)?;
        put(pitch, line)
    }

    fn cuMemFree_v2(address: usize) {
        refuse_unsafe("cuMemFree")?;
        let context = current()?;
        if address == 0 {
            return Ok(());
        }
        if let Some(block) = memory::find(address).filter(|block| block.context != context.handle) {
            return refuse(CUDA_ERROR_INVALID_VALUE, &format!("{:#x} is freed in a context other than its own", block.address));
        }
        // Work that uses it finishes first.
        of_context(&context).iter().for_each(|stream| stream.drain());
        context.usable()?;
        memory::free(address, Kind::Device)
    }

    fn cuMemHostAlloc(out: *mut usize, bytes: usize, flags: c_uint) {
        refuse_unsafe("cuMemHostAlloc")?;
        put(out, memory::allocate(&*current()?, bytes, Kind::Pinned, flags & PORTABLE != 0)?)
    }

    fn cuMemAllocHost_v2(out: *mut usize, bytes: usize) {
        refuse_unsafe("cuMemAllocHost")?;
        put(out, memory::allocate(&*current()?, bytes, Kind::Pinned, false)?)
    }

    fn cuMemFreeHost(address: usize) {
        refuse_unsafe("cuMemFreeHost")?;
        let context = current()?;
        of_context(&context).iter().for_each(|stream| stream.drain());
        context.usable()?;
        memory::free(address, Kind::Pinned)
    }

    fn cuMemHostGetDevicePointer_v2(out: *mut usize, host: usize, _flags: c_uint) {
        let context = current()?;
        match memory::check_range(&context, host, 1) {
            Ok(block) if block.kind == Kind::Pinned => put(out, host),
            _ => refuse(CUDA_ERROR_INVALID_VALUE, &format!("{host:#x} is not pinned memory of this context")),
        }
    }

    fn cuMemHostGetFlags(out: *mut c_uint, host: usize) {
        let context = current()?;
        let block = memory::check_range(&context, host, 1).map_err(|_| CUDA_ERROR_INVALID_VALUE)?;
        // CU_MEMHOSTALLOC_DEVICEMAP
        put(out, 2 | c_uint::from(block.portable))
    }

    fn cuMemGetAddressRange_v2(base: *mut usize, size: *mut usize, address: usize) {
        current()?;
        let block = memory::find(address).ok_or(CUDA_ERROR_INVALID_VALUE)?;
        put(base, block.address)?;
        put(size, block.size)
    }

    fn cuPointerGetAttribute(out: *mut u64, attribute: c_int, address: usize) {
        current()?;
        let block = memory::find(address).ok_or(CUDA_ERROR_INVALID_VALUE)?;
        match attribute {
            // CU_POINTER_ATTRIBUTE_CONTEXT, _DEVICE_POINTER, _HOST_POINTER
            1 => put(out, block.context as u64),
            3 => put(out, address as u64),
            4 if block.kind == Kind::Pinned => put(out, address as u64),
            // CU_POINTER_ATTRIBUTE_MEMORY_TYPE, of 32 bits: host or device.
            2 => put(out.cast::<u32>(), if block.kind == Kind::Device { 2 } else { 1 }),
            _ => Err(CUDA_ERROR_NOT_SUPPORTED),
        }
    }
}

unsupported! {
    cuMemHostRegister_v2 cuMemHostUnregister cuMemAllocManaged
}
