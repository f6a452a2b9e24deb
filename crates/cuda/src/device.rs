//! The GPUs that the driver reports.

use super::check_driver;
use super::error::{Error, ErrorKind};
use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys::{self, CUdevice, CUdevice_attribute, CUuuid_st};
use model::GpuFacts;

/// One GPU, or one MIG instance of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The ordinal among the devices that CUDA_VISIBLE_DEVICES leaves visible.
    pub id: u32,
    /// The CUdevice.
    pub handle: CUdevice,
    /// Name, compute capability and memory.
    pub facts: GpuFacts,
}

impl Device {
    /// The GPU with this ordinal.
    ///
    /// # Errors
    /// There is no driver or no such GPU.
    pub fn open(id: u32) -> Result<Self, Error> {
        let devices = Self::all()?;
        let count = devices.len();
        devices.into_iter().nth(id as usize).ok_or_else(|| {
            let message = format!("the driver knows {count} GPU(s), numbered from 0 (CUDA_VISIBLE_DEVICES counts)");
            Error::new(ErrorKind::NoSuchDevice(id), message)
        })
    }

    /// Every GPU, in the driver's order.
    ///
    /// # Errors
    /// There is no driver, or it can't be initialised.
    pub fn all() -> Result<Vec<Self>, Error> {
        check_driver()?;
        let count = result::device::get_count().map_err(|error| failed("counting GPUs", &error))?;
        (0..count).map(|ordinal| read(ordinal).map_err(|error| failed("asking a GPU for its facts", &error))).collect()
    }
}

impl Device {
    /// The UUID as `nvidia-smi -L` shows it: `GPU-…`, or `MIG-…` for a MIG instance.
    ///
    /// # Errors
    /// The driver call failed.
    pub fn uuid(&self) -> Result<String, Error> {
        let mut uuid = CUuuid_st { bytes: [0; 16] };
        // SAFETY: the call writes 16 bytes; the handle came from the driver.
        let status = unsafe { sys::cuDeviceGetUuid_v2(&mut uuid, self.handle) };
        status.result().map_err(|error| failed("asking a GPU for its UUID", &error))?;
        let kind = if self.facts.name.contains(" MIG ") { "MIG" } else { "GPU" };
        Ok(format_uuid(kind, &uuid.bytes.map(|byte| byte as u8)))
    }
}

/// Formats a UUID as `nvidia-smi` does: the kind, then the form of RFC 9562.
fn format_uuid(kind: &str, bytes: &[u8; 16]) -> String {
    let mut text = kind.to_owned();
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 0 | 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// A device's primary context, current on this thread. Tools use it; elements share a GStreamer context instead.
#[derive(Debug)]
pub struct PrimaryContext(CUdevice);

impl PrimaryContext {
    /// Retains the device's primary context and makes it current.
    ///
    /// # Errors
    /// The device is out of memory, or another process uses it exclusively.
    pub fn enter(device: &Device) -> Result<Self, Error> {
        let enter = || {
            // SAFETY: the handle came from the driver; the context is retained until `self` is dropped.
            unsafe {
                let context = result::primary_ctx::retain(device.handle)?;
                result::ctx::set_current(context)
            }
        };
        enter().map_err(|error| failed("creating the GPU's context", &error))?;
        Ok(Self(device.handle))
    }

    /// The device's free and total memory, in bytes.
    ///
    /// # Errors
    /// The driver call failed.
    pub fn memory(&self) -> Result<(u64, u64), Error> {
        let (free, total) = result::mem_get_info().map_err(|error| failed("asking for free memory", &error))?;
        Ok((free as u64, total as u64))
    }
}

impl Drop for PrimaryContext {
    fn drop(&mut self) {
        // SAFETY: retained once in `enter`; a destructor can't report an error.
        let _ = unsafe { result::primary_ctx::release(self.0) };
    }
}

fn read(ordinal: i32) -> Result<Device, DriverError> {
    let handle = result::device::get(ordinal)?;
    let attribute = |attribute| {
        // SAFETY: `handle` came from the driver.
        let value = unsafe { result::device::get_attribute(handle, attribute) }?;
        Ok(u32::try_from(value).unwrap_or(0))
    };
    let facts = GpuFacts {
        name: result::device::get_name(handle)?,
        compute_capability: (
            attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        ),
        multiprocessors: attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
        // SAFETY: `handle` came from the driver.
        memory: unsafe { result::device::total_mem(handle) }? as u64,
    };
    Ok(Device { id: ordinal as u32, handle, facts })
}

fn failed(what: &str, error: &DriverError) -> Error {
    Error::new(
        ErrorKind::Device,
        format!("{what} failed: {error:?}; `nvidia-smi` says whether driver and GPU are well"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_look_as_nvidia_smi_shows_them() {
        let bytes = [0x8f, 0x3c, 0x0b, 0x1d, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 255];
        assert_eq!(format_uuid("GPU", &bytes), "GPU-8f3c0b1d-0203-0405-0607-08090a0b0cff");
    }

    #[test]
    fn without_a_driver_there_is_an_error_and_no_panic() {
        match Device::open(0) {
            Ok(device) => assert!(device.facts.compute_capability.0 > 0),
            Err(error) => assert!(!matches!(error.kind, ErrorKind::Memory | ErrorKind::Failed), "{error}"),
        }
    }
}
