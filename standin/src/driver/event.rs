//! Events.

use super::capture::Point;
use super::context::Context;
use super::registry::Registry;
use super::status::{Status, refuse};
use super::stream::Stream;
use super::work::Work;
use cudarc::driver::sys::CUresult::{
    CUDA_ERROR_CAPTURED_EVENT, CUDA_ERROR_INVALID_HANDLE, CUDA_ERROR_INVALID_VALUE, CUDA_ERROR_NOT_READY,
    CUDA_ERROR_STREAM_CAPTURE_ISOLATION,
};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::time::Instant;

pub static EVENTS: Registry<Event> = Registry::new("event");

/// `CU_EVENT_DISABLE_TIMING`
const DISABLE_TIMING: u32 = 2;

pub struct Event {
    pub handle: usize,
    pub context: Arc<Context>,
    flags: u32,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Records are numbered.
    recorded: u64,
    reached: u64,
    at: Option<Instant>,
    /// The position in a capture where it was last recorded.
    captured: Option<Point>,
}

impl Event {
    pub fn create(context: &Arc<Context>, flags: u32) -> Arc<Self> {
        let (state, changed) = (Mutex::default(), Condvar::new());
        EVENTS.add(|handle| Self { handle, context: Arc::clone(context), flags, state, changed })
    }

    /// Records it in a stream of its context; `external`: as a node of the graph if the stream captures.
    pub fn record(self: &Arc<Self>, stream: &Arc<Stream>, external: bool) -> Status {
        if stream.context.handle != self.context.handle {
            return refuse(CUDA_ERROR_INVALID_HANDLE, "an event is recorded in a stream of another context");
        }
        if let Some(capture) = &stream.state().capture
            && !external
        {
            capture.check()?;
            self.state.lock().captured = Some(capture.point());
            return Ok(());
        }
        let number = {
            let mut state = self.state.lock();
            state.captured = None;
            state.recorded += 1;
            state.recorded
        };
        stream.add(Work::Record(Arc::clone(self), number))
    }

    /// Makes a stream wait for the last record.
    pub fn hold(self: &Arc<Self>, stream: &Arc<Stream>, external: bool) -> Status {
        let (number, captured) = {
            let state = self.state.lock();
            (state.recorded, state.captured.clone())
        };
        {
            let mut state = stream.state();
            match (&mut state.capture, captured) {
                (Some(capture), Some(point)) => return capture.join(&point),
                (none, Some(point)) => {
                    *none = Some(point.follow()?);
                    return Ok(());
                }
                (Some(capture), None) if !external => {
                    capture.invalidate();
                    return refuse(
                        CUDA_ERROR_STREAM_CAPTURE_ISOLATION,
                        "a capturing stream waits for an event that was recorded outside its capture",
                    );
                }
                _ => {}
            }
        }
        // An event that was never recorded counts as reached.
        if number == 0 { Ok(()) } else { stream.add(Work::Wait(Arc::clone(self), number)) }
    }

    pub fn reach(&self, number: u64) {
        let mut state = self.state.lock();
        state.reached = state.reached.max(number);
        state.at = Some(Instant::now());
        drop(state);
        self.changed.notify_all();
    }

    /// Blocks until the record with this number is reached.
    pub fn wait_for(&self, number: u64) {
        let mut state = self.state.lock();
        while state.reached < number {
            self.changed.wait(&mut state);
        }
    }

    fn outside_of_captures(&self) -> Status<u64> {
        let state = self.state.lock();
        if let Some(point) = &state.captured {
            point.invalidate();
            return refuse(
                CUDA_ERROR_CAPTURED_EVENT,
                "an event that was recorded in a capture is queried or waited for",
            );
        }
        Ok(state.recorded)
    }

    pub fn synchronise(&self) -> Status {
        let number = self.outside_of_captures()?;
        self.wait_for(number);
        self.context.usable()
    }

    pub fn query(&self) -> Status {
        let number = self.outside_of_captures()?;
        let reached = self.state.lock().reached >= number;
        self.context.usable()?;
        if reached { Ok(()) } else { Err(CUDA_ERROR_NOT_READY) }
    }

    /// Milliseconds from `earlier` to this.
    pub fn since(&self, earlier: &Self) -> Status<f32> {
        let (first, last) = (earlier.time()?, self.time()?);
        let forward = last.saturating_duration_since(first).as_secs_f32();
        Ok((forward - first.saturating_duration_since(last).as_secs_f32()) * 1e3)
    }

    fn time(&self) -> Status<Instant> {
        if self.flags & DISABLE_TIMING != 0 {
            return refuse(CUDA_ERROR_INVALID_HANDLE, "the time of an event that was created without timing");
        }
        self.outside_of_captures()?;
        let state = self.state.lock();
        if state.recorded == 0 {
            return Err(CUDA_ERROR_INVALID_HANDLE);
        }
        if state.reached < state.recorded {
            return Err(CUDA_ERROR_NOT_READY);
        }
        state.at.ok_or(CUDA_ERROR_INVALID_VALUE)
    }
}
