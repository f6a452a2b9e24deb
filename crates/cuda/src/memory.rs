//! Device memory, and host memory that the device reads and writes.

use super::context::{Context, Traffic};
use super::error::{Error, ErrorKind};
use super::stream::CudaStream;
use bytemuck::Pod;
use cudarc::driver::{result, sys};
use std::collections::HashMap;
use std::fmt::Debug;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A source of device memory: a context, or a share of it that is counted and limited.
pub trait DeviceAllocator: Debug + Send + Sync {
    /// The context whose memory this is.
    fn context(self: Arc<Self>) -> Arc<Context>;

    /// Allocates `bytes` (at least 1), aligned to 256, and returns the address.
    ///
    /// # Errors
    /// [`ErrorKind::Memory`] when memory runs out.
    fn allocate(&self, bytes: usize) -> Result<u64, Error>;

    /// Frees an address that [`Self::allocate`] returned, even after the context has failed. Waits for work that uses the
    /// memory.
    fn free(&self, address: u64);
}

/// Allocated blocks by address.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    bytes: HashMap<u64, u64>,
    pub total: u64,
}

impl DeviceAllocator for Context {
    fn context(self: Arc<Self>) -> Arc<Context> {
        self
    }

    fn allocate(&self, bytes: usize) -> Result<u64, Error> {
        let _current = self.enter()?;
        // SAFETY: the context is current; nothing reads the block before it is written.
        let address = self.check("cuMemAlloc", unsafe { result::malloc_sync(bytes) })?;
        let mut blocks = self.blocks.lock();
        blocks.bytes.insert(address, bytes as u64);
        blocks.total += bytes as u64;
        Ok(address)
    }

    fn free(&self, address: u64) {
        {
            let mut blocks = self.blocks.lock();
            let Some(bytes) = blocks.bytes.remove(&address) else { return };
            blocks.total -= bytes;
        }
        let Ok(_current) = self.push() else { return };
        // SAFETY: the block is ours and freed once; cuMemFree waits for the device. A destructor can't report an error.
        let _ = unsafe { result::free_sync(address) };
    }
}

/// A block of device memory.
#[derive(Debug)]
pub struct DeviceBuffer {
    allocator: Arc<dyn DeviceAllocator>,
    context: Arc<Context>,
    address: u64,
    bytes: usize,
}

impl DeviceBuffer {
    /// Allocates uninitialised memory of at least one byte, aligned to 256.
    ///
    /// # Errors
    /// [`ErrorKind::Memory`] when memory runs out.
    pub fn new<R: DeviceAllocator + 'static>(allocator: &Arc<R>, bytes: usize) -> Result<Self, Error> {
        let bytes = bytes.max(1);
        let address = allocator.allocate(bytes)?;
        Ok(Self {
            context: Arc::clone(allocator).context(),
            allocator: Arc::clone(allocator) as Arc<dyn DeviceAllocator>,
            address,
            bytes,
        })
    }

    /// The buffer's address on the device.
    #[inline]
    pub fn address(&self) -> u64 {
        self.address
    }

    /// The buffer's size.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The context in which the memory was allocated.
    #[inline]
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Queues setting every byte to `value`.
    ///
    /// # Errors
    /// A device failure.
    pub fn fill(&mut self, value: u8, stream: &CudaStream) -> Result<(), Error> {
        let _current = self.context.enter()?;
        // SAFETY: the buffer has that many bytes, and dropping it waits for the device.
        let result = unsafe { result::memset_d8_async(self.address, value, self.bytes, stream.raw()) };
        self.context.check("cuMemsetD8Async", result)
    }

    /// Copies to the buffer's start and waits for the copy.
    ///
    /// # Errors
    /// The data is larger than the buffer, or the device failed.
    pub fn upload<T: Pod>(&mut self, data: &[T], stream: &CudaStream) -> Result<(), Error> {
        let bytes: &[u8] = bytemuck::cast_slice(data);
        self.fits(bytes.len())?;
        let _current = self.context.enter()?;
        // SAFETY: both sides have that many bytes, and live until the stream is synchronised below.
        let result = unsafe { result::memcpy_htod_async(self.address, bytes, stream.raw()) };
        self.context.check("cuMemcpyHtoDAsync", result)?;
        self.context.count_traffic(Traffic { to_device: bytes.len() as u64, ..Traffic::default() });
        // The source is borrowed only for this call.
        stream.synchronise()
    }

    /// Copies from the buffer's start and waits for the copy.
    ///
    /// # Errors
    /// The data is larger than the buffer, or the device failed.
    pub fn download<T: Pod>(&self, data: &mut [T], stream: &CudaStream) -> Result<(), Error> {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(data);
        self.fits(bytes.len())?;
        let _current = self.context.enter()?;
        // SAFETY: both sides have that many bytes, and live until the stream is synchronised below.
        let result = unsafe { result::memcpy_dtoh_async(bytes, self.address, stream.raw()) };
        self.context.check("cuMemcpyDtoHAsync", result)?;
        self.context.count_traffic(Traffic { to_host: bytes.len() as u64, ..Traffic::default() });
        // The target is borrowed only for this call.
        stream.synchronise()
    }

    /// Queues a copy from the start of mapped memory.
    ///
    /// # Errors
    /// One of the two buffers is too small, or the device failed.
    ///
    /// # Safety
    /// The mapped memory isn't written or freed until the copy has run, and other uses of the target are ordered with
    /// it.
    pub unsafe fn copy_from_mapped(
        &self,
        source: &MappedBuffer,
        bytes: usize,
        stream: &CudaStream,
    ) -> Result<(), Error> {
        self.fits(bytes)?;
        source.range(0, bytes)?;
        let _current = self.context.enter()?;
        let (to, from) = (self.address, source.host.as_ptr().cast_const().cast());
        // SAFETY: both sides have that many bytes; the caller guarantees the source's lifetime.
        let result = unsafe { sys::cuMemcpyHtoDAsync_v2(to, from, bytes, stream.raw()) }.result();
        self.context.check("cuMemcpyHtoDAsync", result)
    }

    fn fits(&self, bytes: usize) -> Result<(), Error> {
        if bytes > self.bytes {
            let message = format!("{bytes} bytes don't fit a device buffer of {}", self.bytes);
            return Err(Error::new(ErrorKind::Failed, message));
        }
        Ok(())
    }
}

impl Drop for DeviceBuffer {
    fn drop(&mut self) {
        self.allocator.free(self.address);
    }
}

/// A table in mapped memory, and the device address it is copied to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Table {
    pub from: u64,
    pub to: u64,
    pub units: u32,
}

impl Table {
    /// Bytes.
    const UNIT: usize = 16;
}

/// Pinned host memory that is mapped into the device's address space; initially zeroed.
///
/// The host's and the device's accesses aren't ordered here: write before a launch, and read after an event recorded
/// behind it.
#[derive(Debug)]
pub struct MappedBuffer {
    context: Arc<Context>,
    host: NonNull<u8>,
    address: u64,
    bytes: usize,
}

// SAFETY: this is plain memory, and `&self` and `&mut self` govern access to it as for any value.
unsafe impl Send for MappedBuffer {}
// SAFETY: as above.
unsafe impl Sync for MappedBuffer {}

impl MappedBuffer {
    /// Allocates zeroed memory of at least one byte.
    ///
    /// # Errors
    /// [`ErrorKind::Memory`] when the host can't pin that many bytes.
    pub fn new(context: &Arc<Context>, bytes: usize) -> Result<Self, Error> {
        let _current = context.enter()?;
        let bytes = bytes.max(1);
        let flags = sys::CU_MEMHOSTALLOC_DEVICEMAP | sys::CU_MEMHOSTALLOC_PORTABLE;
        // SAFETY: the context is current; the memory is zeroed below.
        let host = context.check("cuMemHostAlloc", unsafe { result::malloc_host(bytes, flags) })?;
        let host = NonNull::new(host.cast::<u8>())
            .ok_or_else(|| Error::new(ErrorKind::Memory, format!("cuMemHostAlloc gave nothing for {bytes} bytes")))?;
        let mut buffer = Self { context: context.clone(), host, address: 0, bytes };
        // SAFETY: the memory was just allocated with that many bytes.
        unsafe { host.write_bytes(0, bytes) };
        // SAFETY: the call writes one address; the memory was allocated as mapped.
        let result =
            unsafe { sys::cuMemHostGetDevicePointer_v2(&mut buffer.address, host.as_ptr().cast(), 0) }.result();
        context.check("cuMemHostGetDevicePointer", result)?;
        Ok(buffer)
    }

    /// The buffer's address on the device.
    #[inline]
    pub fn address(&self) -> u64 {
        self.address
    }

    /// The buffer's size.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Describes a copy of the first `bytes`, rounded up to units of 16, to the start of `to`.
    ///
    /// # Errors
    /// One of the two buffers is too small.
    pub(super) fn table(&self, to: &DeviceBuffer, bytes: usize) -> Result<Table, Error> {
        let units = bytes.div_ceil(Table::UNIT);
        self.range(0, units * Table::UNIT)?;
        to.fits(units * Table::UNIT)?;
        Ok(Table { from: self.address, to: to.address, units: units as u32 })
    }

    /// Writes values at a byte offset.
    ///
    /// # Errors
    /// The values don't fit.
    pub fn write<T: Pod>(&mut self, offset: usize, values: &[T]) -> Result<(), Error> {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        self.range(offset, bytes.len())?;
        // SAFETY: the range lies in the buffer, which nothing else borrows.
        unsafe { self.host.add(offset).copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()) };
        Ok(())
    }

    /// Reads values at a byte offset.
    ///
    /// # Errors
    /// The buffer ends before the last value.
    pub fn read<T: Pod>(&self, offset: usize, values: &mut [T]) -> Result<(), Error> {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(values);
        self.range(offset, bytes.len())?;
        // SAFETY: the range lies in the buffer; the target is other memory, borrowed exclusively.
        unsafe { self.host.add(offset).copy_to_nonoverlapping(NonNull::from(&mut *bytes).cast(), bytes.len()) };
        Ok(())
    }

    /// Reads, with acquire ordering, a number at a byte offset that the device may be writing: once the new value is
    /// seen, so is everything the device wrote before it. `None` if the offset is outside the buffer or unaligned.
    #[inline]
    pub fn poll(&self, offset: usize) -> Option<u32> {
        self.range(offset, size_of::<u32>()).ok()?;
        // SAFETY: the range lies in the buffer, and nothing borrows it exclusively while `self` is shared.
        let place = unsafe { self.host.add(offset) }.cast::<AtomicU32>();
        if !place.is_aligned() {
            return None;
        }
        // SAFETY: the pointer is aligned, and valid as long as the buffer is.
        Some(unsafe { place.as_ref() }.load(Ordering::Acquire))
    }

    #[inline]
    fn range(&self, offset: usize, bytes: usize) -> Result<(), Error> {
        if offset.checked_add(bytes).is_none_or(|end| end > self.bytes) {
            let message = format!("{bytes} bytes at {offset} aren't inside a mapped buffer of {}", self.bytes);
            return Err(Error::new(ErrorKind::Failed, message));
        }
        Ok(())
    }
}

impl Drop for MappedBuffer {
    fn drop(&mut self) {
        let Ok(_current) = self.context.push() else { return };
        // SAFETY: the memory is ours and freed once; cuMemFreeHost waits for the device. A destructor can't report an
        // error.
        let _ = unsafe { result::free_host(self.host.as_ptr().cast()) };
    }
}
