//! Streams and events.

use super::context::Context;
use super::error::{Error, ErrorKind};
use super::graph::CapturedGraph;
use cudarc::driver::result::{self, stream::StreamKind};
use cudarc::driver::sys::{self, CUevent, CUevent_flags, CUevent_wait_flags, CUstream, CUstreamCaptureMode};
use std::any::Any;
use std::sync::Arc;

/// A queue of work on the device. One that this crate creates doesn't synchronise with other streams.
#[derive(Debug)]
pub struct CudaStream {
    context: Arc<Context>,
    handle: CUstream,
    /// What keeps alive a stream that other code created; `None`: this owns the stream.
    owner: Option<Box<dyn Any + Send + Sync>>,
}

// SAFETY: several threads may use a CUstream at the same time.
unsafe impl Send for CudaStream {}
// SAFETY: as above.
unsafe impl Sync for CudaStream {}

impl CudaStream {
    /// Creates a stream.
    ///
    /// # Errors
    /// The device is out of memory or failed.
    pub fn new(context: &Arc<Context>) -> Result<Self, Error> {
        let _current = context.enter()?;
        let handle = context.check("cuStreamCreate", result::stream::create(StreamKind::NonBlocking))?;
        Ok(Self { context: context.clone(), handle, owner: None })
    }

    /// Wraps a stream that other code created, for example GStreamer.
    ///
    /// # Safety
    /// `handle` is a CUstream of this context that lives at least as long as `owner`.
    pub unsafe fn shared(
        context: &Arc<Context>,
        handle: *mut std::ffi::c_void,
        owner: Box<dyn Any + Send + Sync>,
    ) -> Self {
        Self { context: context.clone(), handle: handle.cast(), owner: Some(owner) }
    }

    /// The context in which the stream was created.
    #[inline]
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// The CUstream, for TensorRT.
    #[inline]
    pub fn handle(&self) -> *mut std::ffi::c_void {
        self.handle.cast()
    }

    pub(super) fn raw(&self) -> CUstream {
        self.handle
    }

    /// Makes work that is queued after this call wait for `event`.
    ///
    /// # Errors
    /// A device failure.
    pub fn wait(&self, event: &Event) -> Result<(), Error> {
        let _current = self.context.enter()?;
        let flags = CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
        // SAFETY: both handles live; the context is current.
        let result = unsafe { result::stream::wait_event(self.handle, event.handle, flags) };
        self.context.check("cuStreamWaitEvent", result)
    }

    /// Blocks until all queued work has run.
    ///
    /// # Errors
    /// Work on the device failed.
    pub fn synchronise(&self) -> Result<(), Error> {
        let _current = self.context.enter()?;
        // SAFETY: the handle lives; the context is current.
        self.context.check("cuStreamSynchronize", unsafe { result::stream::synchronize(self.handle) })
    }

    /// Captures what `work` queues on this stream as a graph instead of running it. Other threads may use CUDA
    /// meanwhile.
    ///
    /// # Errors
    /// `work` failed, or queued something that can't be captured.
    pub fn capture<E: From<Error>>(&self, work: impl FnOnce() -> Result<(), E>) -> Result<CapturedGraph, E> {
        let _current = self.context.enter()?;
        let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the handle lives; the context is current.
        self.context.check("cuStreamBeginCapture", unsafe { result::stream::begin_capture(self.handle, mode) })?;
        let outcome = work();
        // A capture must be ended even if the work failed, or the stream stays in capture mode.
        // SAFETY: the capture was begun on this thread.
        let ended = unsafe { result::stream::end_capture(self.handle) };
        let captured = ended.map(|graph| (!graph.is_null()).then(|| CapturedGraph::new(&self.context, graph)));
        outcome?;
        self.context
            .check("cuStreamEndCapture", captured)?
            .ok_or_else(|| Error::new(ErrorKind::Failed, "cuStreamEndCapture returned no graph").into())
    }
}

impl Drop for CudaStream {
    fn drop(&mut self) {
        if self.owner.is_some() {
            return;
        }
        let Ok(_current) = self.context.push() else { return };
        // SAFETY: we own the stream and destroy it once; queued work still runs. A destructor can't report an error.
        let _ = unsafe { result::stream::destroy(self.handle) };
    }
}

/// A point in a stream that threads and other streams can wait for.
#[derive(Debug)]
pub struct Event {
    context: Arc<Context>,
    handle: CUevent,
}

// SAFETY: several threads may use a CUevent at the same time.
unsafe impl Send for Event {}
// SAFETY: as above.
unsafe impl Sync for Event {}

impl Event {
    /// Creates an event; waiting for it blocks the thread instead of spinning.
    ///
    /// # Errors
    /// The device failed.
    pub fn new(context: &Arc<Context>) -> Result<Self, Error> {
        let flags = CUevent_flags::CU_EVENT_BLOCKING_SYNC as u32 | CUevent_flags::CU_EVENT_DISABLE_TIMING as u32;
        Self::with_flags(context, flags)
    }

    /// Like [`Self::new`], but the event also records the time, for measurements.
    ///
    /// # Errors
    /// The device failed.
    pub fn timed(context: &Arc<Context>) -> Result<Self, Error> {
        Self::with_flags(context, CUevent_flags::CU_EVENT_BLOCKING_SYNC as u32)
    }

    fn with_flags(context: &Arc<Context>, flags: u32) -> Result<Self, Error> {
        let _current = context.enter()?;
        let mut handle: CUevent = std::ptr::null_mut();
        // SAFETY: the call writes one handle; the context is current.
        context.check("cuEventCreate", unsafe { sys::cuEventCreate(&mut handle, flags) }.result())?;
        Ok(Self { context: context.clone(), handle })
    }

    /// Records the event behind the work now queued on a stream of its context.
    ///
    /// # Errors
    /// A device failure.
    pub fn record(&self, stream: &CudaStream) -> Result<(), Error> {
        // SAFETY: `stream` owns a live handle.
        unsafe { self.record_on(stream.handle.cast()) }
    }

    /// Like [`Self::record`], on a stream that isn't a [`CudaStream`].
    ///
    /// # Errors
    /// A device failure.
    ///
    /// # Safety
    /// `stream` is a CUstream of this event's context, or null for the default stream.
    pub unsafe fn record_on(&self, stream: *mut std::ffi::c_void) -> Result<(), Error> {
        let _current = self.context.enter()?;
        // SAFETY: the event lives, the caller vouches for the stream; the context is current.
        self.context.check("cuEventRecord", unsafe { result::event::record(self.handle, stream.cast()) })
    }

    /// Blocks until the event has completed.
    ///
    /// # Errors
    /// Work before the event failed.
    pub fn synchronise(&self) -> Result<(), Error> {
        let _current = self.context.enter()?;
        // SAFETY: the event lives; the context is current.
        self.context.check("cuEventSynchronize", unsafe { result::event::synchronize(self.handle) })
    }

    /// Whether the event has completed.
    ///
    /// # Errors
    /// Work before the event failed.
    pub fn is_reached(&self) -> Result<bool, Error> {
        let _current = self.context.enter()?;
        // SAFETY: the event lives; the context is current.
        self.context.check_done("cuEventQuery", unsafe { result::event::query(self.handle) })
    }

    /// Milliseconds from `earlier` to this event; both must be [timed](Self::timed) and have completed.
    ///
    /// # Errors
    /// One of the events isn't timed, or hasn't completed.
    pub fn milliseconds_since(&self, earlier: &Event) -> Result<f32, Error> {
        let _current = self.context.enter()?;
        // SAFETY: both events live; the context is current.
        self.context.check("cuEventElapsedTime", unsafe { result::event::elapsed(earlier.handle, self.handle) })
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        let Ok(_current) = self.context.push() else { return };
        // SAFETY: we own the event and destroy it once. A destructor can't report an error.
        let _ = unsafe { result::event::destroy(self.handle) };
    }
}
