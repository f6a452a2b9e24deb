//! Captures of streams.

use super::graph::Node;
use super::status::{Status, refuse};
use super::stream::Stream;
use super::work::Work;
use cudarc::driver::sys::CUresult::{
    CUDA_ERROR_INVALID_VALUE, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, CUDA_ERROR_STREAM_CAPTURE_MERGE,
    CUDA_ERROR_STREAM_CAPTURE_UNJOINED, CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
    CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD,
};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ThreadId;

/// `CUstreamCaptureMode`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Global,
    ThreadLocal,
    Relaxed,
}

/// One capture, of a stream and the streams that join it.
pub struct Capture {
    mode: Mode,
    thread: ThreadId,
    invalid: AtomicBool,
    nodes: Mutex<Vec<Node>>,
}

/// Captures in progress.
static ACTIVE: Mutex<Vec<Arc<Capture>>> = Mutex::new(Vec::new());

/// A stream's part in a capture.
pub struct InCapture {
    capture: Arc<Capture>,
    /// The nodes that the next work depends on.
    tail: Vec<usize>,
    origin: bool,
}

/// A position in a capture, recorded by an event.
#[derive(Clone)]
pub struct Point {
    capture: Arc<Capture>,
    tail: Vec<usize>,
}

impl Capture {
    fn check(&self) -> Status {
        if self.invalid.load(Ordering::Acquire) { Err(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED) } else { Ok(()) }
    }
}

impl Point {
    pub fn invalidate(&self) {
        self.capture.invalid.store(true, Ordering::Release);
    }

    /// The part of a stream that continues from here.
    pub fn follow(&self) -> Status<InCapture> {
        self.capture.check()?;
        if !ACTIVE.lock().iter().any(|active| Arc::ptr_eq(active, &self.capture)) {
            return refuse(
                CUDA_ERROR_STREAM_CAPTURE_UNMATCHED,
                "a stream waits for an event of a capture that has ended",
            );
        }
        Ok(InCapture { capture: Arc::clone(&self.capture), tail: self.tail.clone(), origin: false })
    }
}

impl InCapture {
    pub fn check(&self) -> Status {
        self.capture.check()
    }

    pub fn invalidate(&self) {
        self.capture.invalid.store(true, Ordering::Release);
    }

    /// Refuses a call that isn't permitted in a capture, which ends the capture.
    pub fn refuse(&self, why: &str) -> Status {
        self.invalidate();
        refuse(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, why)
    }

    pub fn point(&self) -> Point {
        Point { capture: Arc::clone(&self.capture), tail: self.tail.clone() }
    }

    pub fn add(&mut self, work: Work) -> Status {
        self.check()?;
        let mut nodes = self.capture.nodes.lock();
        nodes.push(Node { work, after: std::mem::take(&mut self.tail) });
        self.tail.push(nodes.len() - 1);
        Ok(())
    }

    pub fn join(&mut self, point: &Point) -> Status {
        self.check()?;
        if !Arc::ptr_eq(&self.capture, &point.capture) {
            self.invalidate();
            point.invalidate();
            return refuse(CUDA_ERROR_STREAM_CAPTURE_MERGE, "a capturing stream waits for an event of another capture");
        }
        self.tail.extend(&point.tail);
        Ok(())
    }

    /// 0: none, 1: active, 2: invalidated.
    pub fn status(&self) -> u32 {
        if self.check().is_ok() { 1 } else { 2 }
    }
}

pub fn begin(stream: &Arc<Stream>, mode: Mode) -> Status {
    if stream.handle == 0 {
        return refuse(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "the default stream can't be captured");
    }
    let mut state = stream.state();
    if let Some(capture) = &state.capture {
        capture.invalidate();
        return refuse(CUDA_ERROR_INVALID_VALUE, "a stream begins a capture while it is capturing");
    }
    let capture = Arc::new(Capture {
        mode,
        thread: std::thread::current().id(),
        invalid: AtomicBool::new(false),
        nodes: Mutex::default(),
    });
    ACTIVE.lock().push(Arc::clone(&capture));
    state.capture = Some(InCapture { capture, tail: Vec::new(), origin: true });
    Ok(())
}

pub fn abandon(part: &InCapture) {
    ACTIVE.lock().retain(|active| !Arc::ptr_eq(active, &part.capture));
}

/// The nodes of the capture that a stream began.
pub fn end(stream: &Arc<Stream>) -> Status<Vec<Node>> {
    let mut state = stream.state();
    let Some(part) = state.capture.take() else {
        return refuse(CUDA_ERROR_INVALID_VALUE, "a capture is ended that was never begun");
    };
    if !part.origin {
        part.invalidate();
        state.capture = Some(part);
        return refuse(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, "a capture is ended on a stream that only joined it");
    }
    if part.capture.mode != Mode::Relaxed && part.capture.thread != std::thread::current().id() {
        part.invalidate();
        state.capture = Some(part);
        return refuse(
            CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD,
            "a capture is ended on a thread other than the one that began it",
        );
    }
    drop(state);
    abandon(&part);
    let mut unjoined = false;
    let reached = {
        let nodes = part.capture.nodes.lock();
        let mut reached = BTreeSet::new();
        let mut open = part.tail.clone();
        while let Some(node) = open.pop() {
            if reached.insert(node) {
                open.extend(&nodes[node].after);
            }
        }
        reached
    };
    for other in super::stream::of_context(&stream.context) {
        let mut state = other.state();
        if let Some(joined) = state.capture.take_if(|joined| Arc::ptr_eq(&joined.capture, &part.capture)) {
            unjoined |= joined.tail.iter().any(|node| !reached.contains(node));
        }
    }
    part.check()?;
    if unjoined {
        return refuse(
            CUDA_ERROR_STREAM_CAPTURE_UNJOINED,
            "another stream joined a capture and didn't rejoin its origin",
        );
    }
    let nodes = part.capture.nodes.lock().clone();
    Ok(nodes)
}

/// Called before operations that are not permitted during a capture on this thread, or one in global mode on any thread.
pub fn refuse_unsafe(call: &str) -> Status {
    let own = std::thread::current().id();
    let active = ACTIVE.lock();
    let found: Vec<_> = active
        .iter()
        .filter(|capture| match capture.mode {
            Mode::Global => true,
            Mode::ThreadLocal => capture.thread == own,
            Mode::Relaxed => false,
        })
        .collect();
    if found.is_empty() {
        return Ok(());
    }
    found.iter().for_each(|capture| capture.invalid.store(true, Ordering::Release));
    refuse(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, &format!("{call} during a capture"))
}
