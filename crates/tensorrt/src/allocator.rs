//! An `IGpuAllocator` that counts and limits the device memory TensorRT allocates.

use super::callback::{API_LANGUAGE_CPP, InterfaceInfo, Vtable, destroy, guard};
use super::error::Error;
use super::slots;
use super::version::Group;
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::ffi::c_void;
use std::fmt;
use std::ptr::NonNull;
use std::sync::LazyLock;

/// A source of device memory. Its methods are called with the CUDA context in which TensorRT is used current.
pub trait DeviceMemory: Send + Sync {
    /// Allocates `size` bytes, aligned to `alignment` (a power of two); `None` when the device is out of memory.
    fn allocate(&self, size: u64, alignment: u64) -> Option<NonNull<c_void>>;

    /// Frees a block that [`Self::allocate`] returned; may wait for the device. Returns whether it succeeded.
    fn free(&self, memory: NonNull<c_void>) -> bool;
}

/// Counts what one user of TensorRT allocates, and refuses allocations beyond a limit.
#[repr(C)]
pub struct GpuAllocator {
    /// The first field, because TensorRT finds the vtable at the object's start.
    vtable: &'static Vtable,
    memory: Box<dyn DeviceMemory>,
    who: String,
    limit: Option<u64>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    blocks: HashMap<usize, u64>,
    usage: Usage,
    refused: Option<Refusal>,
}

/// Bytes of device memory.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Bytes currently allocated.
    pub in_use: u64,
    /// Peak of the allocated bytes.
    pub peak: u64,
}

#[derive(Debug, Clone, Copy)]
struct Refusal {
    asked: u64,
    in_use: u64,
}

static VTABLES: LazyLock<[Vtable; 4]> = LazyLock::new(|| {
    Vtable::lay_out_all(&[
        (slots::gpu_allocator::API_LANGUAGE, api_language as _),
        (slots::gpu_allocator::INTERFACE_INFO, interface_info as _),
        (slots::gpu_allocator::DESTROY, destroy as _),
        (slots::gpu_allocator::DELETE, destroy as _),
        (slots::gpu_allocator::ALLOCATE, allocate as _),
        (slots::gpu_allocator::FREE, free as _),
        (slots::gpu_allocator::REALLOCATE, reallocate as _),
        (slots::gpu_allocator::DEALLOCATE, deallocate as _),
        (slots::gpu_allocator::ALLOCATE_ASYNC, allocate_async as _),
        (slots::gpu_allocator::DEALLOCATE_ASYNC, deallocate_async as _),
    ])
});

impl GpuAllocator {
    /// `who` is the user's name in errors; `limit` is in bytes.
    pub fn new(group: Group, memory: Box<dyn DeviceMemory>, who: impl Into<String>, limit: Option<u64>) -> Self {
        let vtable = Vtable::of(&VTABLES, group);
        Self { vtable, memory, who: who.into(), limit, state: Mutex::default() }
    }

    /// The current and the peak usage.
    pub fn usage(&self) -> Usage {
        self.state().usage
    }

    /// The first refusal since the last call, as the error that it causes.
    pub fn take_refusal(&self) -> Option<Error> {
        let Refusal { asked, in_use } = self.state().refused.take()?;
        Some(Error::OutOfMemory { who: self.who.clone(), asked, in_use, limit: self.limit })
    }

    /// The pointer that TensorRT takes.
    pub(super) fn raw(&self) -> *mut c_void {
        (&raw const *self).cast_mut().cast()
    }

    /// Allocates a block for our own use, under the same limit.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]
    pub fn allocate(&self, size: u64, alignment: u64) -> Result<NonNull<c_void>, Error> {
        let mut state = self.state();
        let in_use = state.usage.in_use;
        let wanted = in_use.saturating_add(size);
        let memory =
            if self.limit.is_some_and(|limit| wanted > limit) { None } else { self.memory.allocate(size, alignment) };
        let Some(memory) = memory else {
            state.refused.get_or_insert(Refusal { asked: size, in_use });
            return Err(Error::OutOfMemory { who: self.who.clone(), asked: size, in_use, limit: self.limit });
        };
        state.blocks.insert(memory.addr().get(), size);
        state.usage = Usage { in_use: wanted, peak: state.usage.peak.max(wanted) };
        Ok(memory)
    }

    /// Frees a block of [`Self::allocate`]. Returns `false` if it isn't one, or the device can't free it.
    pub fn free(&self, memory: NonNull<c_void>) -> bool {
        let mut state = self.state();
        let Some(size) = state.blocks.remove(&memory.addr().get()) else { return false };
        state.usage.in_use -= size;
        drop(state);
        self.memory.free(memory)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl fmt::Debug for GpuAllocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GpuAllocator").field("who", &self.who).field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// # Safety
/// `this` is [`GpuAllocator::raw`] of a live allocator.
unsafe fn allocator<'a>(this: *mut c_void) -> &'a GpuAllocator {
    // SAFETY: the caller guarantees it.
    unsafe { &*this.cast() }
}

unsafe extern "C" fn allocate(this: *mut c_void, size: u64, alignment: u64, _flags: u32) -> *mut c_void {
    guard(std::ptr::null_mut(), || {
        // TensorRT also requests 0 bytes and accepts null for them.
        if size == 0 {
            return std::ptr::null_mut();
        }
        // SAFETY: TensorRT passes the allocator that it was given, which the runtime or builder keeps alive.
        let allocated = unsafe { allocator(this) }.allocate(size, alignment);
        allocated.map_or(std::ptr::null_mut(), NonNull::as_ptr)
    })
}

unsafe extern "C" fn deallocate(this: *mut c_void, memory: *mut c_void) -> bool {
    guard(false, || match NonNull::new(memory) {
        // SAFETY: as in `allocate`.
        Some(memory) => unsafe { allocator(this) }.free(memory),
        None => true,
    })
}

/// The name of the same method in TensorRT 8.
unsafe extern "C" fn free(this: *mut c_void, memory: *mut c_void) {
    // SAFETY: the contract is the same.
    unsafe { deallocate(this, memory) };
}

/// Optional in TensorRT: null means that the block wasn't reallocated.
unsafe extern "C" fn reallocate(_this: *mut c_void, _memory: *mut c_void, _alignment: u64, _size: u64) -> *mut c_void {
    std::ptr::null_mut()
}

/// A synchronous allocation is valid on every stream.
unsafe extern "C" fn allocate_async(
    this: *mut c_void,
    size: u64,
    alignment: u64,
    flags: u32,
    _stream: *mut c_void,
) -> *mut c_void {
    // SAFETY: the contract is the same.
    unsafe { allocate(this, size, alignment, flags) }
}

/// [`DeviceMemory::free`] waits for the device, and therefore for the stream.
unsafe extern "C" fn deallocate_async(this: *mut c_void, memory: *mut c_void, _stream: *mut c_void) -> bool {
    // SAFETY: the contract is the same.
    unsafe { deallocate(this, memory) }
}

extern "C" fn api_language(_this: *const c_void) -> i32 {
    API_LANGUAGE_CPP
}

extern "C" fn interface_info(_this: *const c_void) -> InterfaceInfo {
    InterfaceInfo { kind: c"IGpuAllocator".as_ptr(), major: 1, minor: 0 }
}
