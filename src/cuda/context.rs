//! CUDA contexts, and which one is current.

use super::driver::{check, check_driver, is_sticky};
use super::kernels::Code;
use super::memory::Blocks;
use crate::error::{Error, ErrorKind, OnFailure};
use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys::{self, CUcontext, CUctx_flags, CUdevice, CUdevice_attribute, CUresult};
use parking_lot::Mutex;
use std::any::Any;
use std::ffi::c_int;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

/// Where device memory, streams, modules and graphs live. What is made in a context holds it, so it goes last.
pub struct Context {
    handle: CUcontext,
    device: CUdevice,
    owner: Owner,
    /// The first error after which nothing works in it any more.
    failed: OnceLock<Error>,
    watchers: Mutex<Vec<Weak<OnFailure>>>,
    /// Device memory that this process took in it through [`super::DeviceBuffer`] and TensorRT's allocator.
    pub(super) blocks: Mutex<Blocks>,
    /// The kernels, once somebody has wanted them.
    pub(super) code: Mutex<Option<Code>>,
    to_device: AtomicU64,
    to_host: AtomicU64,
}

/// Bytes that this crate has copied between host and device in a context, since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    pub to_device: u64,
    pub to_host: u64,
}

enum Owner {
    Ours,
    /// Somebody else's context, which lives while this does.
    Other(#[expect(dead_code, reason = "held for its drop")] Box<dyn Any + Send + Sync>),
}

// SAFETY: a CUcontext and the modules in it may be used from every thread, by several at once.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("handle", &self.handle).field("device", &self.device).finish_non_exhaustive()
    }
}

impl Context {
    /// A new context on a device, numbered as CUDA_VISIBLE_DEVICES leaves them. Waiting in it blocks instead of spinning.
    ///
    /// # Errors
    /// No driver, no such device, no memory.
    pub fn create(ordinal: u32) -> Result<Arc<Self>, Error> {
        check_driver()?;
        let count = check("cuDeviceGetCount", result::device::get_count())?;
        let wanted = c_int::try_from(ordinal).ok().filter(|&ordinal| ordinal < count).ok_or_else(|| {
            let visible =
                std::env::var("CUDA_VISIBLE_DEVICES").map_or("unset".to_owned(), |list| format!("\"{list}\""));
            Error::new(
                ErrorKind::Device,
                format!(
                    "device-id={ordinal}: there are {count} GPUs, numbered from 0 (CUDA_VISIBLE_DEVICES is {visible})"
                ),
            )
        })?;
        let device = check("cuDeviceGet", result::device::get(wanted))?;
        let mut handle: CUcontext = std::ptr::null_mut();
        let flags = CUctx_flags::CU_CTX_SCHED_BLOCKING_SYNC as u32;
        // SAFETY: writes one handle; the new context becomes current on this thread.
        check("cuCtxCreate", unsafe { sys::cuCtxCreate_v2(&mut handle, flags, device) }.result())?;
        let context = Self::new(handle, device, Owner::Ours);
        pop();
        Ok(Arc::new(context))
    }

    /// A context that somebody else made, for example GStreamer's.
    ///
    /// # Errors
    /// When the driver doesn't know it.
    ///
    /// # Safety
    /// `handle` is a CUcontext that lives at least as long as `owner`.
    pub unsafe fn shared(handle: *mut std::ffi::c_void, owner: Box<dyn Any + Send + Sync>) -> Result<Arc<Self>, Error> {
        check_driver()?;
        let mut context = Self::new(handle.cast(), 0, Owner::Other(owner));
        let mut device: CUdevice = 0;
        {
            let _current = context.enter()?;
            // SAFETY: writes one integer; a context is current.
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
            code: Mutex::default(),
            to_device: AtomicU64::new(0),
            to_host: AtomicU64::new(0),
        }
    }

    /// The CUcontext.
    pub fn handle(&self) -> *mut std::ffi::c_void {
        self.handle.cast()
    }

    /// The device's number, after CUDA_VISIBLE_DEVICES.
    pub fn device(&self) -> u32 {
        u32::try_from(self.device).unwrap_or(0)
    }

    /// Makes it the thread's current context until the guard goes.
    ///
    /// # Errors
    /// The first cause, once the context failed.
    pub fn enter(&self) -> Result<Current<'_>, Error> {
        if let Some(error) = self.failed.get() {
            return Err(error.clone());
        }
        self.push()
    }

    /// As [`Self::enter`], also after a failure: what is there has to be given back.
    pub(super) fn push(&self) -> Result<Current<'_>, Error> {
        // SAFETY: the handle is valid while `self` is.
        self.check("cuCtxPushCurrent", unsafe { sys::cuCtxPushCurrent_v2(self.handle) }.result())?;
        Ok(Current { context: self, thread_bound: PhantomData })
    }

    /// The result of a call of the driver in this context; one that it can't recover from is kept.
    pub(super) fn check<T>(&self, what: &str, result: Result<T, DriverError>) -> Result<T, Error> {
        let is_lost = result.as_ref().is_err_and(|error| is_sticky(error.0));
        check(what, result).map_err(|error| if is_lost { self.fail(error) } else { error })
    }

    /// As [`Self::check`], of a question whether something is done.
    pub(super) fn check_done(&self, what: &str, result: Result<(), DriverError>) -> Result<bool, Error> {
        match result {
            Err(DriverError(CUresult::CUDA_ERROR_NOT_READY)) => Ok(false),
            result => self.check(what, result).map(|()| true),
        }
    }

    /// Keeps the first cause and tells those who watch; gives it back.
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

    /// Has `watcher` told of the context's failure, for as long as it lives; at once if it failed already.
    pub fn watch(&self, watcher: &Arc<OnFailure>) {
        let mut watchers = self.watchers.lock();
        // Else they'd be more with every model that is opened.
        watchers.retain(|watcher| watcher.strong_count() > 0);
        watchers.push(Arc::downgrade(watcher));
        drop(watchers);
        // It may have failed just before.
        if let Some(cause) = self.failed.get() {
            watcher(cause);
        }
    }

    /// Why nothing works in it any more.
    pub fn failure(&self) -> Option<&Error> {
        self.failed.get()
    }

    /// What was copied so far.
    pub fn traffic(&self) -> Traffic {
        let (to_device, to_host) = (&self.to_device, &self.to_host);
        Traffic { to_device: to_device.load(Ordering::Relaxed), to_host: to_host.load(Ordering::Relaxed) }
    }

    /// Adds what was copied. [`super::DeviceBuffer`]'s upload and download do so themselves; what a graph copies at each
    /// launch, and what kernels write to mapped memory, is counted by those who launch them.
    pub fn count_traffic(&self, bytes: Traffic) {
        self.to_device.fetch_add(bytes.to_device, Ordering::Relaxed);
        self.to_host.fetch_add(bytes.to_host, Ordering::Relaxed);
    }

    /// For code that isn't ours and runs in this context (TensorRT): what it left behind.
    ///
    /// # Errors
    /// A device failure.
    pub fn synchronise(&self) -> Result<(), Error> {
        let _current = self.enter()?;
        self.check("cuCtxSynchronize", result::ctx::synchronize())
    }

    /// Device memory that this process took in it through this crate, bytes.
    pub fn taken(&self) -> u64 {
        self.blocks.lock().total
    }

    /// Free and all memory of the device, bytes.
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
        // SAFETY: the device is the driver's.
        let value = unsafe { result::device::get_attribute(self.device, attribute) };
        let value = self.check("cuDeviceGetAttribute", value)?;
        Ok(u32::try_from(value).unwrap_or(0))
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if let Some(code) = self.code.lock().take() {
            match self.push() {
                Ok(_current) => drop(code),
                // Without its context it stays: it would be taken out of another one.
                Err(_) => std::mem::forget(code),
            }
        }
        if matches!(self.owner, Owner::Ours) {
            // SAFETY: ours, and nothing that was made in it is left: all of it held `self`. There is nobody to tell of an
            // error.
            let _ = unsafe { sys::cuCtxDestroy_v2(self.handle) };
        }
    }
}

/// Something of a library that wants its context current when it goes.
#[derive(Debug)]
pub struct Within<T> {
    value: ManuallyDrop<T>,
    context: Arc<Context>,
}

impl<T> Within<T> {
    pub fn new(context: &Arc<Context>, value: T) -> Self {
        Self { value: ManuallyDrop::new(value), context: Arc::clone(context) }
    }
}

impl<T> std::ops::Deref for Within<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> std::ops::DerefMut for Within<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T> Drop for Within<T> {
    fn drop(&mut self) {
        // Without its context it stays: it would be taken out of another one.
        let Ok(_current) = self.context.push() else { return };
        // SAFETY: dropped once, and not used after this.
        unsafe { ManuallyDrop::drop(&mut self.value) };
    }
}

/// While it lives, its context is the thread's current one.
pub struct Current<'a> {
    #[expect(dead_code, reason = "keeps the context borrowed")]
    context: &'a Context,
    /// Being current is a thread's matter: not Send.
    thread_bound: PhantomData<*const ()>,
}

impl Drop for Current<'_> {
    fn drop(&mut self) {
        pop();
    }
}

fn pop() {
    let mut popped: CUcontext = std::ptr::null_mut();
    // SAFETY: writes one handle; what was pushed here is on top, as guards go in reverse order. There is nobody to tell
    // of an error.
    let _ = unsafe { sys::cuCtxPopCurrent_v2(&mut popped) };
}
