//! Streams and captures.

use super::super::capture::{self, Mode};
use super::super::context::{current, initialised};
use super::super::event::EVENTS;
use super::super::graph::CapturedGraph;
use super::super::stream::{Stream, any_by_handle, by_handle};
use super::super::work::Work;
use super::{driver, put, unsupported};
use cudarc::driver::sys::CUresult::{CUDA_ERROR_INVALID_VALUE, CUDA_ERROR_NOT_READY};
use std::ffi::{c_int, c_uint, c_ulonglong, c_void};
use std::sync::Arc;

/// `CU_STREAM_NON_BLOCKING`
const NON_BLOCKING: c_uint = 1;
/// `CU_EVENT_WAIT_EXTERNAL`
const EXTERNAL: c_uint = 1;

/// A pointer that is only passed from the caller to its function.
struct Data(*mut c_void);

// SAFETY: the caller of the driver permits the function to run on another thread.
unsafe impl Send for Data {}
// SAFETY: as above.
unsafe impl Sync for Data {}

impl Data {
    fn get(&self) -> *mut c_void {
        self.0
    }
}

driver! {
    fn cuStreamCreate(out: *mut usize, flags: c_uint) {
        if flags > NON_BLOCKING {
            return Err(CUDA_ERROR_INVALID_VALUE);
        }
        put(out, Stream::create(&current()?, flags & NON_BLOCKING == 0).handle)
    }

    fn cuStreamCreateWithPriority(out: *mut usize, flags: c_uint, _priority: c_int) {
        put(out, Stream::create(&current()?, flags & NON_BLOCKING == 0).handle)
    }

    fn cuStreamDestroy_v2(stream: usize) {
        initialised()?;
        any_by_handle(stream)?.destroy()
    }

    /// GStreamer looks it up under this name.
    fn cuStreamDestroy(stream: usize) {
        initialised()?;
        any_by_handle(stream)?.destroy()
    }

    fn cuStreamSynchronize(stream: usize) {
        any_by_handle(stream)?.synchronise()
    }

    fn cuStreamQuery(stream: usize) {
        if any_by_handle(stream)?.is_idle()? { Ok(()) } else { Err(CUDA_ERROR_NOT_READY) }
    }

    fn cuStreamGetCtx(stream: usize, out: *mut usize) {
        put(out, any_by_handle(stream)?.context.handle)
    }

    fn cuStreamWaitEvent(stream: usize, event: usize, flags: c_uint) {
        current()?;
        let stream = any_by_handle(stream)?;
        EVENTS.get(event)?.hold(&stream, flags & EXTERNAL != 0)
    }

    fn cuLaunchHostFunc(stream: usize, function: Option<unsafe extern "C" fn(*mut c_void)>, data: *mut c_void) {
        let function = function.ok_or(CUDA_ERROR_INVALID_VALUE)?;
        let data = Data(data);
        by_handle(stream)?.add(Work::Function(Arc::new(move || {
            function(data.get());
            Ok(())
        })))
    }

    fn cuStreamBeginCapture_v2(stream: usize, mode: c_uint) {
        let mode = match mode {
            0 => Mode::Global,
            1 => Mode::ThreadLocal,
            2 => Mode::Relaxed,
            _ => return Err(CUDA_ERROR_INVALID_VALUE),
        };
        capture::begin(&by_handle(stream)?, mode)
    }

    fn cuStreamEndCapture(stream: usize, out: *mut usize) {
        put(out, 0)?;
        let nodes = capture::end(&by_handle(stream)?)?;
        put(out, CapturedGraph::add(nodes).handle)
    }

    fn cuStreamIsCapturing(stream: usize, out: *mut c_uint) {
        let stream = any_by_handle(stream)?;
        let status = stream.state().capture.as_ref().map_or(0, |capture| capture.status());
        put(out, status)
    }

    fn cuStreamGetCaptureInfo(stream: usize, out: *mut c_uint, id: *mut c_ulonglong) {
        let stream = any_by_handle(stream)?;
        let status = stream.state().capture.as_ref().map_or(0, |capture| capture.status());
        if !id.is_null() {
            put(id, stream.handle as c_ulonglong)?;
        }
        put(out, status)
    }
}

unsupported! {
    cuStreamAddCallback cuStreamAttachMemAsync
}
