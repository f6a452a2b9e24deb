//! Copies and fills.

use super::super::capture::refuse_unsafe;
use super::super::context::current;
use super::super::memory::{self, Kind};
use super::super::status::{Status, refuse};
use super::super::stream::by_handle;
use super::super::work::{Copy, Fill, Location, Work};
use super::{driver, unsupported};
use cudarc::driver::sys::CUresult::{
    CUDA_ERROR_INVALID_VALUE, CUDA_ERROR_NOT_SUPPORTED, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
};
use cudarc::driver::sys::{CUDA_MEMCPY2D, CUmemorytype};
use std::ffi::{c_uchar, c_uint, c_ushort, c_void};
use std::sync::Arc;

use Location::{Device, Host};

/// Queues a copy; with `wait`, blocks until it is done.
///
/// # Safety
/// Pageable source and destination are as large as the copy.
unsafe fn copy(mut copy: Copy, stream: usize, wait: bool) -> Status {
    let stream = by_handle(stream)?;
    if copy.width == 0 || copy.height == 0 {
        return Ok(());
    }
    copy.check(&stream.context)?;
    let pageable = |location: &Location| matches!(location, Host(address) if memory::find(*address).is_none());
    let (from, to) = (pageable(&copy.from), pageable(&copy.to));
    if (from || to)
        && !wait
        && let Some(capture) = &stream.state().capture
    {
        capture.invalidate();
        return refuse(
            CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
            "a copy of pageable memory in a capture: it must be pinned",
        );
    }
    if from && let Host(address) = copy.from {
        // The driver stages it before the call returns, so later changes by the caller have no effect.
        let bytes = copy.from_pitch * (copy.height - 1) + copy.width;
        // SAFETY: the caller's promise.
        let staged = unsafe { std::slice::from_raw_parts(address as *const u8, bytes) }.to_vec();
        copy.from = Location::Staged(Arc::new(staged));
    }
    stream.add(Work::Copy(copy))?;
    // For a copy to pageable memory the driver returns only when the data has arrived.
    if wait || to { stream.synchronise() } else { Ok(()) }
}

/// Queues a fill.
pub fn fill(to: usize, pitch: usize, value: &[u8], width: usize, height: usize, stream: usize) -> Status {
    let stream = by_handle(stream)?;
    if !to.is_multiple_of(value.len()) {
        return refuse(
            CUDA_ERROR_INVALID_VALUE,
            "memory is set at an address that isn't a multiple of the value's size",
        );
    }
    let fill = Fill { to, pitch, value: value.to_vec(), width, height };
    fill.check(&stream.context)?;
    stream.add(Work::Fill(fill))
}

/// Converts the driver's own structure.
///
/// # Safety
/// `wanted` is null or points to the structure.
unsafe fn of_structure(wanted: *const CUDA_MEMCPY2D) -> Status<Copy> {
    // SAFETY: the caller's promise.
    let Some(wanted) = (unsafe { wanted.as_ref() }) else { return Err(CUDA_ERROR_INVALID_VALUE) };
    let side = |kind, host: *const c_void, device: u64, (x, y, pitch): (usize, usize, usize)| match kind {
        CUmemorytype::CU_MEMORYTYPE_HOST => Ok(Host(host as usize + y * pitch + x)),
        CUmemorytype::CU_MEMORYTYPE_DEVICE => Ok(Device(device as usize + y * pitch + x)),
        CUmemorytype::CU_MEMORYTYPE_UNIFIED => Ok(any(device as usize + y * pitch + x)),
        CUmemorytype::CU_MEMORYTYPE_ARRAY => refuse(CUDA_ERROR_NOT_SUPPORTED, "arrays aren't supported"),
    };
    let pitch = |given: usize| if given == 0 { wanted.WidthInBytes } else { given };
    let (from_pitch, to_pitch) = (pitch(wanted.srcPitch), pitch(wanted.dstPitch));
    let from = (wanted.srcXInBytes, wanted.srcY, from_pitch);
    let to = (wanted.dstXInBytes, wanted.dstY, to_pitch);
    Ok(Copy {
        from: side(wanted.srcMemoryType, wanted.srcHost, wanted.srcDevice, from)?,
        from_pitch,
        to: side(wanted.dstMemoryType, wanted.dstHost, wanted.dstDevice, to)?,
        to_pitch,
        width: wanted.WidthInBytes,
        height: wanted.Height,
    })
}

/// An address in the unified address space of host and device.
fn any(address: usize) -> Location {
    match memory::find(address) {
        Some(block) if block.kind == Kind::Device => Device(address),
        _ => Host(address),
    }
}

driver! {
    fn cuMemcpyHtoD_v2(to: usize, from: usize, bytes: usize) {
        refuse_unsafe("cuMemcpyHtoD")?;
        copy(Copy::linear(Host(from), Device(to), bytes), 0, true)
    }

    fn cuMemcpyDtoH_v2(to: usize, from: usize, bytes: usize) {
        refuse_unsafe("cuMemcpyDtoH")?;
        copy(Copy::linear(Device(from), Host(to), bytes), 0, true)
    }

    fn cuMemcpyDtoD_v2(to: usize, from: usize, bytes: usize) {
        refuse_unsafe("cuMemcpyDtoD")?;
        copy(Copy::linear(Device(from), Device(to), bytes), 0, false)
    }

    fn cuMemcpy(to: usize, from: usize, bytes: usize) {
        refuse_unsafe("cuMemcpy")?;
        copy(Copy::linear(any(from), any(to), bytes), 0, true)
    }

    fn cuMemcpyHtoDAsync_v2(to: usize, from: usize, bytes: usize, stream: usize) {
        copy(Copy::linear(Host(from), Device(to), bytes), stream, false)
    }

    fn cuMemcpyDtoHAsync_v2(to: usize, from: usize, bytes: usize, stream: usize) {
        copy(Copy::linear(Device(from), Host(to), bytes), stream, false)
    }

    fn cuMemcpyDtoDAsync_v2(to: usize, from: usize, bytes: usize, stream: usize) {
        copy(Copy::linear(Device(from), Device(to), bytes), stream, false)
    }

    fn cuMemcpyAsync(to: usize, from: usize, bytes: usize, stream: usize) {
        copy(Copy::linear(any(from), any(to), bytes), stream, false)
    }

    fn cuMemcpy2D_v2(wanted: *const CUDA_MEMCPY2D) {
        refuse_unsafe("cuMemcpy2D")?;
        copy(of_structure(wanted)?, 0, true)
    }

    fn cuMemcpy2DUnaligned_v2(wanted: *const CUDA_MEMCPY2D) {
        refuse_unsafe("cuMemcpy2DUnaligned")?;
        copy(of_structure(wanted)?, 0, true)
    }

    fn cuMemcpy2DAsync_v2(wanted: *const CUDA_MEMCPY2D, stream: usize) {
        copy(of_structure(wanted)?, stream, false)
    }

    fn cuMemsetD8Async(to: usize, value: c_uchar, count: usize, stream: usize) {
        fill(to, 0, &[value], count, 1, stream)
    }

    fn cuMemsetD16Async(to: usize, value: c_ushort, count: usize, stream: usize) {
        fill(to, 0, &value.to_ne_bytes(), count, 1, stream)
    }

    fn cuMemsetD32Async(to: usize, value: c_uint, count: usize, stream: usize) {
        fill(to, 0, &value.to_ne_bytes(), count, 1, stream)
    }

    fn cuMemsetD2D8Async(to: usize, pitch: usize, value: c_uchar, width: usize, height: usize, stream: usize) {
        fill(to, pitch, &[value], width, height, stream)
    }

    fn cuMemsetD2D16Async(to: usize, pitch: usize, value: c_ushort, width: usize, height: usize, stream: usize) {
        fill(to, pitch, &value.to_ne_bytes(), width, height, stream)
    }

    fn cuMemsetD2D32Async(to: usize, pitch: usize, value: c_uint, width: usize, height: usize, stream: usize) {
        fill(to, pitch, &value.to_ne_bytes(), width, height, stream)
    }

    fn cuMemsetD2D8_v2(to: usize, pitch: usize, value: c_uchar, width: usize, height: usize) {
        refuse_unsafe("cuMemsetD2D8")?;
        fill(to, pitch, &[value], width, height, 0)
    }

    fn cuMemsetD2D16_v2(to: usize, pitch: usize, value: c_ushort, width: usize, height: usize) {
        refuse_unsafe("cuMemsetD2D16")?;
        fill(to, pitch, &value.to_ne_bytes(), width, height, 0)
    }

    fn cuMemsetD2D32_v2(to: usize, pitch: usize, value: c_uint, width: usize, height: usize) {
        refuse_unsafe("cuMemsetD2D32")?;
        fill(to, pitch, &value.to_ne_bytes(), width, height, 0)
    }

    fn cuMemsetD8_v2(to: usize, value: c_uchar, count: usize) {
        refuse_unsafe("cuMemsetD8")?;
        current()?;
        fill(to, 0, &[value], count, 1, 0)
    }

    fn cuMemsetD32_v2(to: usize, value: c_uint, count: usize) {
        refuse_unsafe("cuMemsetD32")?;
        current()?;
        fill(to, 0, &value.to_ne_bytes(), count, 1, 0)
    }
}

unsupported! {
    cuMemcpyPeer cuMemcpyPeerAsync cuMemcpy3D_v2 cuMemcpy3DAsync_v2
}
