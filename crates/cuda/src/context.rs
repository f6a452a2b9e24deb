//! CUDA contexts, and the guards that make one current on a thread.

use super::driver::{check, check_driver, is_sticky};
use super::error::{Error, ErrorKind, OnFailure};
use super::kernels::KernelModules;
use super::memory::Blocks;
use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys::{self, CUcontext, CUctx_flags, CUdevice, CUdevice_attribute, CUresult};
use parking_lot::Mutex;
use std::any::Any;
use std::ffi::c_int;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

/// A CUDA context. Device memory, streams, modules and graphs keep the context in which they were made alive, so it is
/// destroyed last.
pub struct Context {
    handle: CUcontext,
    device: CUdevice,
    owner: Owner,
    /// The first error that left the context unusable.
    failed: OnceLock<Error>,
    watchers: Mutex<Vec<Weak<OnFailure>>>,
    /// Device memory that this process allocated in the context through [`crate::DeviceBuffer`] and TensorRT's allocator.
    pub(super) blocks: Mutex<Blocks>,
    /// The kernels' modules, loaded on first use.
    pub(super) modules: Mutex<Option<KernelModules>>,
    to_device: AtomicU64,
    to_host: AtomicU64,
    masks: AtomicU64,
}

/// Bytes that this crate has copied between host and device in a context since the context was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Bytes from the host to the device.
    pub to_device: u64,
    /// Bytes from the device to the host.
    pub to_host: u64,
    /// Those of them that are bits of objects' masks.
    pub masks: u64,
}

enum Owner {
    Ours,
    /// A context that other code created; holding its owner keeps it alive.
    Other(#[expect(dead_code, reason = "held for its drop")] Box<dyn Any + Send + Sync>),
}

// SAFETY: several threads may use a CUcontext and its modules at the same time.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("handle", &self.handle).field("device", &self.device).finish_non_exhaustive()
    }
}

impl Context {
    /// Creates a context on a device; `ordinal` counts the devices that CUDA_VISIBLE_DEVICES leaves visible.
    /// Synchronising in this context blocks the thread instead of spinning.
    ///
    /// # Errors
    /// There is no driver, no such device or not enough memory.
    pub fn create(ordinal: u32) -> Result<Arc<Self>, Error> {
        check_driver()?;
        let count = check("cuDeviceGetCount", result::device::get_count())?;
        let wanted = c_int::try_from(ordinal).ok().filter(|&ordinal| ordinal < count).ok_or_else(|| {
            let visible =
                std::env::var("CUDA_VISIBLE_DEVICES").map_or("unset".to_owned(), |list| format!("\"{list}\""));
            Error::new(
                ErrorKind::NoSuchDevice(ordinal),
                format!("there are {count} GPUs, numbered from 0 (CUDA_VISIBLE_DEVICES is {visible})"),
            )
        })?;
        let device = check("cuDeviceGet", result::device::get(wanted))?;
        let mut handle: CUcontext = std::ptr::null_mut();
        let flags = CUctx_flags::CU_CTX_SCHED_BLOCKING_SYNC as u32;
        // SAFETY: the call writes one handle; the new context becomes current on this thread.
        check("cuCtxCreate", unsafe { sys::cuCtxCreate_v2(&mut handle, flags, device) }.result())?;
        let context = Self::new(handle, device, Owner::Ours);
        pop();
        Ok(Arc::new(context))
    }

    /// Wraps a context that other code created, for example GStreamer.
    ///
    /// # Errors
    /// The driver doesn't know the context.
    ///
    /// # Safety
    /// `handle` is a CUcontext that lives at least as long as `owner`.
    pub unsafe fn shared(handle: *mut std::ffi::c_void, owner: Box<dyn Any + Send + Sync>) -> Result<Arc<Self>, Error> {
        check_driver()?;
        let mut context = Self::new(handle.cast(), 0, Owner::Other(owner));
        let mut device: CUdevice = 0;
        {
            let _current = context.enter()?;
            // SAFETY: the call writes one integer; a context is current.
            check("cuCtxGetDevice", unsafe { sys::cuCtxGetDevice(&mut device) }.result())?;
        }
        context.device = device;
        Ok(Arc::new(context))
    }

    fn new(handle: CUcontext, device: CUdevice, owner: Owner) -> Self {
        Self {
            handle,
            device,
            owner,
            failed: OnceLock::new(),
            watchers: Mutex::default(),
            blocks: Mutex::default(),
            modules: Mutex::default(),
            to_device: AtomicU64::new(0),
            to_host: AtomicU64::new(0),
            masks: AtomicU64::new(0),
        }
    }

    /// The CUcontext.
    #[inline]
    pub fn handle(&self) -> *mut std::ffi::c_void {
        self.handle.cast()
    }

    /// The device's ordinal among those that CUDA_VISIBLE_DEVICES leaves visible.
    #[inline]
    pub fn device(&self) -> u32 {
        u32::try_from(self.device).unwrap_or(0)
    }

    /// Makes this the thread's current context until the guard is dropped.
    ///
    /// # Errors
    /// The context has failed: the error is the original cause.
    pub fn enter(&self) -> Result<Current<'_>, Error> {
        if let Some(error) = self.failed.get() {
            return Err(error.clone());
        }
        self.push()
    }

    /// Like [`Self::enter`], but works after a failure too, so that destructors can release their resources.
    pub(super) fn push(&self) -> Result<Current<'_>, Error> {
        // SAFETY: the handle is valid while `self` is.
        self.check("cuCtxPushCurrent", unsafe { sys::cuCtxPushCurrent_v2(self.handle) }.result())?;
        Ok(Current { context: self, thread_bound: PhantomData })
    }

    /// Converts the result of a driver call made in this context, and records an error that the context can't recover
    /// from.
    pub(super) fn check<T>(&self, what: &str, result: Result<T, DriverError>) -> Result<T, Error> {
        let is_lost = result.as_ref().is_err_and(|error| is_sticky(error.0));
        check(what, result).map_err(|error| if is_lost { self.fail(error) } else { error })
    }

    /// Like [`Self::check`], for a query whether work has completed: false while it hasn't.
    pub(super) fn check_done(&self, what: &str, result: Result<(), DriverError>) -> Result<bool, Error> {
        match result {
            Err(DriverError(CUresult::CUDA_ERROR_NOT_READY)) => Ok(false),
            result => self.check(what, result).map(|()| true),
        }
    }

    /// Records the first failure, notifies the watchers and returns the cause.
    fn fail(&self, error: Error) -> Error {
        let mut first = false;
        let cause = self.failed.get_or_init(|| {
            first = true;
            error
        });
        if first {
            let watchers = std::mem::take(&mut *self.watchers.lock());
            watchers.iter().filter_map(Weak::upgrade).for_each(|watcher| watcher(cause));
        }
        cause.clone()
    }

    /// Calls `watcher` when the context fails, as long as the watcher lives; calls it at once if the context has failed
    /// already.
    pub fn watch(&self, watcher: &Arc<OnFailure>) {
        let mut watchers = self.watchers.lock();
        // Dropped watchers would otherwise accumulate with every model that is opened.
        watchers.retain(|watcher| watcher.strong_count() > 0);
        watchers.push(Arc::downgrade(watcher));
        drop(watchers);
        // The context may have failed before the watcher was registered.
        if let Some(cause) = self.failed.get() {
            watcher(cause);
        }
    }

    /// The error that left the context unusable.
    #[inline]
    pub fn failure(&self) -> Option<&Error> {
        self.failed.get()
    }

    /// Bytes copied so far.
    #[inline]
    pub fn traffic(&self) -> Traffic {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Traffic { to_device: read(&self.to_device), to_host: read(&self.to_host), masks: read(&self.masks) }
    }

    /// Adds copied bytes to the counters. [`crate::DeviceBuffer`]'s upload and download call this themselves; for the
    /// copies of a graph and for what kernels write to mapped memory, the code that launches them calls it.
    #[inline]
    pub fn count_traffic(&self, bytes: Traffic) {
        self.to_device.fetch_add(bytes.to_device, Ordering::Relaxed);
        self.to_host.fetch_add(bytes.to_host, Ordering::Relaxed);
        self.masks.fetch_add(bytes.masks, Ordering::Relaxed);
    }

    /// Waits for all work in the context, including work that TensorRT queued on streams that we don't know.
    ///
    /// # Errors
    /// A device failure.
    pub fn synchronise(&self) -> Result<(), Error> {
        let _current = self.enter()?;
        self.check("cuCtxSynchronize", result::ctx::synchronize())
    }

    /// Bytes of device memory that this crate has allocated in the context.
    pub fn taken(&self) -> u64 {
        self.blocks.lock().total
    }

    /// The device's free and total memory, in bytes.
    ///
    /// # Errors
    /// A device failure.
    pub fn memory(&self) -> Result<(usize, usize), Error> {
        let _current = self.enter()?;
        self.check("cuMemGetInfo", result::mem_get_info())
    }

    /// The device's name, for example `NVIDIA H200`.
    ///
    /// # Errors
    /// A device failure.
    pub fn device_name(&self) -> Result<String, Error> {
        self.check("cuDeviceGetName", result::device::get_name(self.device))
    }

    /// Major and minor compute capability.
    ///
    /// # Errors
    /// A device failure.
    pub fn compute_capability(&self) -> Result<(u32, u32), Error> {
        use CUdevice_attribute::*;
        let major = self.attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
        Ok((major, self.attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?))
    }

    /// Number of multiprocessors.
    ///
    /// # Errors
    /// A device failure.
    pub fn multiprocessors(&self) -> Result<u32, Error> {
        self.attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)
    }

    fn attribute(&self, attribute: CUdevice_attribute) -> Result<u32, Error> {
        // SAFETY: the handle came from the driver.
        let value = unsafe { result::device::get_attribute(self.device, attribute) };
        let value = self.check("cuDeviceGetAttribute", value)?;
        Ok(u32::try_from(value).unwrap_or(0))
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if let Some(modules) = self.modules.lock().take() {
            match self.push() {
                Ok(_current) => drop(modules),
                // Leak it rather than release it in another context.
                Err(_) => std::mem::forget(modules),
            }
        }
        if matches!(self.owner, Owner::Ours) {
            // SAFETY: we created the context, and everything made in it held `self` and is gone. A destructor can't
            // report an error.
            let _ = unsafe { sys::cuCtxDestroy_v2(self.handle) };
        }
    }
}

/// A value whose destructor needs the CUDA context current.
#[derive(Debug)]
pub struct ContextBound<T> {
    value: ManuallyDrop<T>,
    context: Arc<Context>,
}

impl<T> ContextBound<T> {
    /// Binds a value to the context in which it was made.
    pub fn new(context: &Arc<Context>, value: T) -> Self {
        Self { value: ManuallyDrop::new(value), context: Arc::clone(context) }
    }
}

impl<T> std::ops::Deref for ContextBound<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> std::ops::DerefMut for ContextBound<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T> Drop for ContextBound<T> {
    fn drop(&mut self) {
        // Leak it rather than release it in another context.
        let Ok(_current) = self.context.push() else { return };
        // SAFETY: dropped once, and not used after this.
        unsafe { ManuallyDrop::drop(&mut self.value) };
    }
}

/// Keeps a context current on this thread until it is dropped.
pub struct Current<'a> {
    #[expect(dead_code, reason = "keeps the context borrowed")]
    context: &'a Context,
    /// A current context belongs to one thread, so the guard isn't Send.
    thread_bound: PhantomData<*const ()>,
}

impl Drop for Current<'_> {
    fn drop(&mut self) {
        pop();
    }
}

fn pop() {
    let mut popped: CUcontext = std::ptr::null_mut();
    // SAFETY: the call writes one handle; guards drop in reverse order, so our context is on top of the stack. A
    // destructor can't report an error.
    let _ = unsafe { sys::cuCtxPopCurrent_v2(&mut popped) };
}
