//! Contexts, and each thread's current one.

use super::memory;
use super::registry::Registry;
use super::status::{Fail, Status, log, refuse};
use super::stream::Stream;
use crate::settings::settings;
use cudarc::driver::sys::CUresult::{
    CUDA_ERROR_CONTEXT_IS_DESTROYED, CUDA_ERROR_INVALID_CONTEXT, CUDA_ERROR_NOT_INITIALIZED,
};
use parking_lot::Mutex;
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

pub static CONTEXTS: Registry<Context> = Registry::new("context");
pub static INITIALISED: AtomicBool = AtomicBool::new(false);

pub struct Context {
    pub handle: usize,
    pub device: i32,
    pub flags: u32,
    /// The first sticky error, after which nothing works in this context any more.
    failed: Mutex<Option<Fail>>,
    destroyed: AtomicBool,
    /// The default stream, once it has been used.
    default: Mutex<Option<Arc<Stream>>>,
    /// Streams that were destroyed with work left.
    draining: Mutex<Vec<Weak<Stream>>>,
}

thread_local! {
    static STACK: RefCell<Vec<Arc<Context>>> = const { RefCell::new(Vec::new()) };
}

impl Context {
    pub fn create(device: i32, flags: u32) -> Arc<Self> {
        CONTEXTS.add(|handle| Self {
            handle,
            device,
            flags,
            failed: Mutex::default(),
            destroyed: AtomicBool::new(false),
            default: Mutex::default(),
            draining: Mutex::default(),
        })
    }

    /// The sticky error.
    pub fn failure(&self) -> Option<Fail> {
        *self.failed.lock()
    }

    /// Records a sticky error.
    pub fn fail(&self, error: Fail) {
        self.failed.lock().get_or_insert(error);
    }

    /// Returns an error once the context has failed or been destroyed.
    pub fn usable(&self) -> Status {
        if self.destroyed.load(Ordering::Acquire) {
            return Err(CUDA_ERROR_CONTEXT_IS_DESTROYED);
        }
        self.failure().map_or(Ok(()), Err)
    }

    pub fn default_stream(self: &Arc<Self>) -> Arc<Stream> {
        Arc::clone(self.default.lock().get_or_insert_with(|| Stream::create_default(self)))
    }

    pub fn used_default_stream(&self) -> Option<Arc<Stream>> {
        self.default.lock().clone()
    }

    /// Keeps track of a destroyed stream whose work still uses memory.
    pub fn drain_later(&self, stream: &Arc<Stream>) {
        let mut draining = self.draining.lock();
        draining.retain(|stream| stream.strong_count() > 0);
        draining.push(Arc::downgrade(stream));
    }

    pub fn draining(&self) -> Vec<Arc<Stream>> {
        self.draining.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// Waits until every stream is idle.
    pub fn drain(self: &Arc<Self>) {
        for stream in super::stream::of_context(self) {
            stream.drain();
        }
    }

    /// Destroys it with everything in it.
    pub fn destroy(self: &Arc<Self>) {
        self.drain();
        self.destroyed.store(true, Ordering::Release);
        for stream in super::stream::of_context(self) {
            let _ = stream.destroy();
        }
        *self.default.lock() = None;
        let left = memory::free_all_of(self);
        if left != (0, 0) && settings().trace {
            log(&format!("a context was destroyed with {} blocks of device memory, {} bytes, left", left.0, left.1));
        }
        let _ = CONTEXTS.remove(self.handle);
        STACK.with_borrow_mut(|stack| stack.retain(|context| context.handle != self.handle));
    }
}

/// Checks that `cuInit` was called: nothing works before.
pub fn initialised() -> Status {
    if INITIALISED.load(Ordering::Acquire) {
        Ok(())
    } else {
        refuse(CUDA_ERROR_NOT_INITIALIZED, "the driver is used before cuInit")
    }
}

/// The current context, in whatever state.
pub fn top() -> Option<Arc<Context>> {
    STACK.with_borrow(|stack| stack.last().cloned())
}

/// The current context, if it can be used.
pub fn current() -> Status<Arc<Context>> {
    initialised()?;
    let Some(context) = top() else {
        return refuse(CUDA_ERROR_INVALID_CONTEXT, "a call that needs a current context, on a thread that has none");
    };
    context.usable()?;
    Ok(context)
}

pub fn push(context: Arc<Context>) {
    STACK.with_borrow_mut(|stack| stack.push(context));
}

pub fn pop() -> Status<Arc<Context>> {
    STACK
        .with_borrow_mut(Vec::pop)
        .map_or_else(|| refuse(CUDA_ERROR_INVALID_CONTEXT, "a context is popped on a thread that has none current"), Ok)
}

/// Replaces the top of the stack; `None` only pops it.
pub fn set(context: Option<Arc<Context>>) {
    STACK.with_borrow_mut(|stack| {
        stack.pop();
        stack.extend(context);
    });
}
