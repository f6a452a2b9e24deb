//! Streams: each has a queue and a thread that executes it.

use super::capture::{self, InCapture};
use super::context::{Context, current, top};
use super::registry::Registry;
use super::status::{Status, refuse};
use super::work::Work;
use crate::settings::settings;
use cudarc::driver::sys::CUresult::{
    CUDA_ERROR_INVALID_CONTEXT, CUDA_ERROR_NOT_SUPPORTED, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT,
};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

pub static STREAMS: Registry<Stream> = Registry::new("stream");

pub struct Stream {
    pub handle: usize,
    pub context: Arc<Context>,
    /// Synchronises with the default stream.
    blocking: bool,
    is_default: bool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
pub struct State {
    queue: VecDeque<Work>,
    queued: u64,
    done: u64,
    has_thread: bool,
    closing: bool,
    pub capture: Option<InCapture>,
}

impl Stream {
    pub fn create(context: &Arc<Context>, blocking: bool) -> Arc<Self> {
        STREAMS.add(|handle| Self::new(handle, context, blocking, false))
    }

    pub fn create_default(context: &Arc<Context>) -> Arc<Self> {
        Arc::new(Self::new(0, context, true, true))
    }

    fn new(handle: usize, context: &Arc<Context>, blocking: bool, is_default: bool) -> Self {
        let (state, changed) = (Mutex::default(), Condvar::new());
        Self { handle, context: Arc::clone(context), blocking, is_default, state, changed }
    }

    pub fn state(&self) -> parking_lot::MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Queues work, or adds it to the capture in progress.
    pub fn add(self: &Arc<Self>, work: Work) -> Status {
        let waits = self.implicit_waits()?;
        let mut state = self.state();
        if let Some(capture) = &mut state.capture {
            return capture.add(work);
        }
        for work in waits {
            self.push(&mut state, work);
        }
        self.push(&mut state, work);
        Ok(())
    }

    fn push(self: &Arc<Self>, state: &mut State, work: Work) {
        state.queue.push_back(work);
        state.queued += 1;
        if !state.has_thread {
            state.has_thread = true;
            let own = Arc::clone(self);
            let spawned = std::thread::Builder::new().name("standin-stream".into()).spawn(move || own.work());
            spawned.expect("a thread");
        }
        self.changed.notify_all();
    }

    /// The default stream waits for all blocking streams, and they for it.
    fn implicit_waits(self: &Arc<Self>) -> Status<Vec<Work>> {
        let others = if self.is_default {
            of_context(&self.context).into_iter().filter(|other| other.blocking && !other.is_default).collect()
        } else if self.blocking {
            self.context.used_default_stream().into_iter().collect::<Vec<_>>()
        } else {
            return Ok(Vec::new());
        };
        let mut waits = Vec::new();
        for other in others {
            let state = other.state();
            if self.is_default
                && let Some(capture) = &state.capture
            {
                capture.invalidate();
                return refuse(
                    CUDA_ERROR_STREAM_CAPTURE_IMPLICIT,
                    "the default stream is used while a blocking one captures",
                );
            }
            if state.done < state.queued {
                waits.push(Work::WaitFor(Arc::clone(&other), state.queued));
            }
        }
        Ok(waits)
    }

    /// The body of the stream's thread.
    fn work(self: Arc<Self>) {
        let mut random = settings().seed ^ self.handle as u64 | 1;
        loop {
            let work = {
                let mut state = self.state();
                loop {
                    if let Some(work) = state.queue.pop_front() {
                        break work;
                    }
                    if state.closing {
                        return;
                    }
                    self.changed.wait(&mut state);
                }
            };
            random_delay(&mut random);
            if let Err(error) = work.run(&self.context) {
                self.context.fail(error);
            }
            drop(work);
            self.state().done += 1;
            self.changed.notify_all();
        }
    }

    pub fn wait_until(&self, done: u64) {
        let mut state = self.state();
        while state.done < done {
            self.changed.wait(&mut state);
        }
    }

    /// Waits for all work queued so far.
    pub fn drain(&self) {
        let queued = self.state().queued;
        self.wait_until(queued);
    }

    /// Like `drain`, with the errors of a driver call: during a capture, and after a failure.
    pub fn synchronise(self: &Arc<Self>) -> Status {
        self.refuse_in_capture("waited for")?;
        let waits = self.implicit_waits()?;
        for work in waits {
            if let Work::WaitFor(other, done) = work {
                other.wait_until(done);
            }
        }
        self.drain();
        self.context.usable()
    }

    pub fn is_idle(&self) -> Status<bool> {
        self.refuse_in_capture("queried")?;
        let state = self.state();
        let idle = state.done == state.queued;
        drop(state);
        self.context.usable()?;
        Ok(idle)
    }

    pub fn is_capturing(&self) -> bool {
        self.state().capture.is_some()
    }

    fn refuse_in_capture(&self, what: &str) -> Status {
        match &self.state().capture {
            Some(capture) => capture.refuse(&format!("a stream is {what} while it captures")),
            None => Ok(()),
        }
    }

    /// Queued work still runs.
    pub fn destroy(self: &Arc<Self>) -> Status {
        if !self.is_default {
            STREAMS.remove(self.handle)?;
        }
        let mut state = self.state();
        if let Some(capture) = state.capture.take() {
            capture.invalidate();
            capture::abandon(&capture);
        }
        state.closing = true;
        let works = state.done < state.queued;
        drop(state);
        if works {
            self.context.drain_later(self);
        }
        self.changed.notify_all();
        Ok(())
    }
}

fn random_delay(random: &mut u64) {
    let most = settings().delay;
    if most > Duration::ZERO {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        std::thread::sleep(most * (*random % 1000) as u32 / 1000);
    }
}

/// All streams of a context that may have work, the default one last.
pub fn of_context(context: &Arc<Context>) -> Vec<Arc<Stream>> {
    let mut streams = STREAMS.all();
    streams.retain(|stream| stream.context.handle == context.handle);
    streams.extend(context.draining());
    streams.extend(context.used_default_stream());
    streams
}

/// The stream with a handle, which must belong to the current context; 0 and 1 are its default stream.
pub fn by_handle(handle: usize) -> Status<Arc<Stream>> {
    let context = current()?;
    match handle {
        0 | 1 => Ok(context.default_stream()),
        2 => refuse(CUDA_ERROR_NOT_SUPPORTED, "per-thread default streams aren't supported here"),
        _ => {
            let stream = STREAMS.get(handle)?;
            if stream.context.handle != context.handle {
                return refuse(
                    CUDA_ERROR_INVALID_CONTEXT,
                    "a stream is used while a context other than its own is current",
                );
            }
            Ok(stream)
        }
    }
}

/// Like [`by_handle`], whichever context is current: for waiting and destroying.
pub fn any_by_handle(handle: usize) -> Status<Arc<Stream>> {
    if handle < 3 { by_handle(handle) } else { STREAMS.get(handle) }
}

/// Implements `cuCtxSynchronize`.
pub fn synchronise_all() -> Status {
    let context = current()?;
    let streams = of_context(&context);
    for stream in &streams {
        stream.refuse_in_capture("waited for with all others")?;
    }
    streams.iter().for_each(|stream| stream.drain());
    top().map_or(Ok(()), |context| context.usable())
}
