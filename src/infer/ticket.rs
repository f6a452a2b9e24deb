//! A submitted frame from submission to result.

use super::Output;
use crate::error::Error;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Called when a ticket's result is available, on the thread that ran the batch.
pub trait Notify: Send + Sync {
    fn notify(&self);
}

/// A frame's result, and how long it took.
#[derive(Debug)]
pub struct Finished {
    /// One output per region, in the request's order; or the batch's error.
    pub outputs: Result<Vec<Output>, Error>,
    /// From submission to the last region's result.
    pub latency: Duration,
    /// Where the last region ran; `None` if the device failed first.
    pub ran: Option<Ran>,
}

/// How a frame ran on its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ran {
    /// The index of the lane.
    pub lane: usize,
    /// The number of slots in its batch.
    pub batch: usize,
    /// From submission to launch.
    pub waited: Duration,
    /// From launch to result.
    pub took: Duration,
}

/// A batch that has run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Launch {
    pub lane: usize,
    pub batch: usize,
    pub start: Instant,
    pub took: Duration,
}

/// The handle of a submitted frame's result.
#[derive(Debug)]
pub struct Ticket(pub(super) Arc<Pending>);

impl Ticket {
    /// True if [`Self::take`] returns the result.
    pub fn ready(&self) -> bool {
        self.0.state.lock().latency.is_some()
    }

    /// Takes the result, once; `None` until it is available.
    pub fn take(&self) -> Option<Finished> {
        let mut state = self.0.state.lock();
        let latency = state.latency?;
        let outputs = std::mem::take(&mut state.outputs);
        let outputs = match state.error.take() {
            Some(error) => Err(error),
            None => Ok(outputs),
        };
        Some(Finished { outputs, latency, ran: state.ran })
    }
}

/// The part of a ticket that lanes write to.
pub(super) struct Pending {
    submitted: Instant,
    notify: Arc<dyn Notify>,
    state: Mutex<State>,
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending").field("state", &self.state.lock()).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct State {
    outputs: Vec<Output>,
    /// Regions without a result.
    open: usize,
    error: Option<Error>,
    latency: Option<Duration>,
    ran: Option<Ran>,
}

impl Pending {
    /// For a frame with at least one region.
    pub fn new(submitted: Instant, regions: usize, notify: Arc<dyn Notify>) -> Self {
        let outputs = std::iter::repeat_with(Output::default).take(regions).collect();
        let state = State { outputs, open: regions, error: None, latency: None, ran: None };
        Self { submitted, notify, state: Mutex::new(state) }
    }

    /// When the frame was submitted.
    pub fn submitted(&self) -> Instant {
        self.submitted
    }

    /// Stores a region's result; `launch` is the batch that it ran in. Returns the latency if it was the frame's last
    /// region; [`Self::tell`] must follow then.
    pub fn finish(&self, region: usize, result: Result<Output, Error>, launch: Option<Launch>) -> Option<Duration> {
        let mut state = self.state.lock();
        match result {
            Ok(output) => {
                if let Some(place) = state.outputs.get_mut(region) {
                    *place = output;
                }
            }
            Err(error) => state.error = state.error.take().or(Some(error)),
        }
        state.open = state.open.saturating_sub(1);
        if state.open > 0 {
            return None;
        }
        state.ran = launch.map(|Launch { lane, batch, start, took }| {
            let waited = start.saturating_duration_since(self.submitted);
            Ran { lane, batch, waited, took }
        });
        state.latency = Some(self.submitted.elapsed());
        state.latency
    }

    /// Notifies the owner of the ticket. No lock of the service may be held.
    pub fn tell(&self) {
        self.notify.notify();
    }
}
