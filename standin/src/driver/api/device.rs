//! The driver itself, its devices and its error strings.

use super::super::context::{INITIALISED, initialised};
use super::super::memory::{ALIGNMENT, in_use};
use super::super::status::{Status, description};
use super::{driver, put, unsupported};
use crate::settings::settings;
use cudarc::driver::sys::CUdevice_attribute as Attribute;
use cudarc::driver::sys::CUresult::{CUDA_ERROR_INVALID_DEVICE, CUDA_ERROR_INVALID_VALUE, CUDA_ERROR_NO_DEVICE};
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::sync::atomic::Ordering;

/// CUDA 12.4.
const DRIVER_VERSION: c_int = 12_040;

/// Number of devices that CUDA_VISIBLE_DEVICES leaves: it is read up to the first entry that isn't a valid number.
fn devices() -> c_int {
    let all = settings().devices;
    match std::env::var("CUDA_VISIBLE_DEVICES") {
        Ok(list) => {
            let numbers = list.split(',').map_while(|part| part.trim().parse::<c_int>().ok());
            numbers.take_while(|number| (0..all).contains(number)).count() as c_int
        }
        Err(_) => all,
    }
}

pub fn check_device(device: c_int) -> Status {
    initialised()?;
    if (0..devices()).contains(&device) { Ok(()) } else { Err(CUDA_ERROR_INVALID_DEVICE) }
}

/// The attributes of an RTX 30 GPU, but with a small number of multiprocessors.
fn attribute(number: u32) -> c_int {
    const ATTRIBUTES: &[(Attribute, c_int)] = &[
        (Attribute::CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 1024),
        (Attribute::CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X, 1024),
        (Attribute::CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y, 1024),
        (Attribute::CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z, 64),
        (Attribute::CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X, i32::MAX),
        (Attribute::CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y, 65_535),
        (Attribute::CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z, 65_535),
        (Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, 49_152),
        (Attribute::CU_DEVICE_ATTRIBUTE_WARP_SIZE, 32),
        (Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 16),
        (Attribute::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, 4 << 20),
        (Attribute::CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT, ALIGNMENT as c_int),
        (Attribute::CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, 1),
        (Attribute::CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY, 1),
        (Attribute::CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS, 1),
        (Attribute::CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT, 2),
        (Attribute::CU_DEVICE_ATTRIBUTE_CLOCK_RATE, 1_000_000),
        (Attribute::CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE, 1_000_000),
        (Attribute::CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH, 128),
        (Attribute::CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR, 1536),
        (Attribute::CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED, 1),
        (Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 8),
        (Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 6),
    ];
    ATTRIBUTES.iter().find(|(attribute, _)| *attribute as u32 == number).map_or(0, |(_, value)| *value)
}

/// Major and minor version, for every device.
pub fn compute_capability() -> (c_int, c_int) {
    let of = |number: Attribute| attribute(number as u32);
    (
        of(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR),
        of(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR),
    )
}

/// Copies a text with its terminating zero, truncated to `room` bytes.
unsafe fn put_text(out: *mut c_char, room: c_int, text: &str) -> Status {
    let Some(most) = usize::try_from(room).ok().filter(|room| *room > 0 && !out.is_null()) else {
        return Err(CUDA_ERROR_INVALID_VALUE);
    };
    let length = text.len().min(most - 1);
    // SAFETY: by contract the caller's buffer has that size.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr(), out.cast(), length);
        out.add(length).write(0);
    }
    Ok(())
}

driver! {
    fn cuInit(_flags: c_uint) {
        if devices() == 0 {
            return Err(CUDA_ERROR_NO_DEVICE);
        }
        INITIALISED.store(true, Ordering::Release);
        Ok(())
    }

    fn cuDriverGetVersion(version: *mut c_int) {
        put(version, DRIVER_VERSION)
    }

    fn cuGetErrorString(error: c_uint, text: *mut *const c_char) {
        let known = description(error);
        put(text, known.map_or(std::ptr::null(), |(_, words)| words.as_ptr()))?;
        known.map(drop).ok_or(CUDA_ERROR_INVALID_VALUE)
    }

    fn cuGetErrorName(error: c_uint, text: *mut *const c_char) {
        let known = description(error);
        put(text, known.map_or(std::ptr::null(), |(name, _)| name.as_ptr()))?;
        known.map(drop).ok_or(CUDA_ERROR_INVALID_VALUE)
    }

    fn cuDeviceGetCount(count: *mut c_int) {
        initialised()?;
        put(count, devices())
    }

    fn cuDeviceGet(device: *mut c_int, ordinal: c_int) {
        check_device(ordinal)?;
        put(device, ordinal)
    }

    fn cuDeviceGetName(name: *mut c_char, room: c_int, device: c_int) {
        check_device(device)?;
        put_text(name, room, &settings().name)
    }

    fn cuDeviceGetAttribute(value: *mut c_int, number: c_uint, device: c_int) {
        check_device(device)?;
        put(value, attribute(number))
    }

    fn cuDeviceTotalMem_v2(bytes: *mut usize, device: c_int) {
        check_device(device)?;
        put(bytes, settings().memory as usize)
    }

    fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) {
        super::super::context::current()?;
        put(free, (settings().memory - in_use()) as usize)?;
        put(total, settings().memory as usize)
    }

    fn cuDeviceGetUuid(uuid: *mut [u8; 16], device: c_int) {
        check_device(device)?;
        put(uuid, [device as u8; 16])
    }

    fn cuDeviceGetUuid_v2(uuid: *mut [u8; 16], device: c_int) {
        check_device(device)?;
        put(uuid, [device as u8; 16])
    }

    fn cuDeviceGetPCIBusId(out: *mut c_char, room: c_int, device: c_int) {
        check_device(device)?;
        put_text(out, room, &format!("0000:{:02x}:00.0", device + 1))
    }

    fn cuDeviceCanAccessPeer(can: *mut c_int, device: c_int, peer: c_int) {
        check_device(device)?;
        check_device(peer)?;
        put(can, 0)
    }

    fn cuGetExportTable(table: *mut *const c_void, _id: *const c_void) {
        put(table, std::ptr::null())?;
        Err(CUDA_ERROR_INVALID_VALUE)
    }
}

unsupported! {
    cuCtxEnablePeerAccess cuCtxDisablePeerAccess
}
