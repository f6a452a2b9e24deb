//! The element's models: the one in force, and the one that a separate thread is opening.

use super::opened::Opened;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The state of the models. Streaming threads read it for every frame.
#[derive(Default)]
pub struct Models {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// True from READY→PAUSED to PAUSED→READY.
    running: bool,
    opened: Option<Arc<Opened>>,
    /// Set if the first model couldn't be opened.
    failed: Option<Posted>,
    /// The cancel flag of the current attempt, while a thread opens a model.
    opening: Option<Arc<AtomicBool>>,
    /// True if the model's files must be compared again once it is open.
    recheck: bool,
    /// Counts starts, so that threads of an earlier start can be recognised.
    start: u64,
    /// Counts flushes: a thread that waited before a flush returns.
    flushes: u64,
    /// The number of threads that open a model, including cancelled ones.
    threads: usize,
}

/// Counts a thread that opens a model, from before it starts until it ends.
pub struct OpeningThread(Arc<Models>);

impl Drop for OpeningThread {
    fn drop(&mut self) {
        self.0.state.lock().threads -= 1;
        self.0.changed.notify_all();
    }
}

/// True once the element's error message is on the bus. Waiting threads return only then, so that no other element's
/// error comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Posted(bool);

/// Identifies a start of the element; stale once the element has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start(u64);

/// The outcome of an attempt to open a model.
pub enum Attempt {
    /// The model is in force. Holds the model that it replaced, if any.
    Installed(Option<Arc<Opened>>),
    /// The attempt failed and isn't repeated.
    Failed,
    /// The settings changed during the attempt: try again with the new ones.
    Again,
    /// The element has stopped.
    Stopped,
}

impl Models {
    /// READY→PAUSED: starts a run.
    pub fn start(&self) -> Start {
        let mut state = self.state.lock();
        *state = State {
            running: true,
            start: state.start + 1,
            flushes: state.flushes,
            threads: state.threads,
            ..State::default()
        };
        Start(state.start)
    }

    /// PAUSED→READY, before the pads are deactivated: wakes the waiting threads and cancels the model that is being
    /// opened. Returns true if that was the first model.
    pub fn stop(&self) -> bool {
        let mut state = self.state.lock();
        state.running = false;
        let opening = state.opening.take();
        if let Some(cancel) = &opening {
            cancel.store(true, Ordering::Relaxed);
        }
        self.changed.notify_all();
        opening.is_some() && state.opened.is_none()
    }

    /// True if the element hasn't stopped since this start.
    pub fn runs(&self, start: Start) -> bool {
        let state = self.state.lock();
        state.running && state.start == start.0
    }

    /// Removes the model. No thread waits for it after [`Self::stop`].
    pub fn take(&self) -> Option<Arc<Opened>> {
        self.state.lock().opened.take()
    }

    /// The model in force.
    pub fn get(&self) -> Option<Arc<Opened>> {
        self.state.lock().opened.clone()
    }

    /// The model in force. Waits while the first one is being opened, and fails after a flush, a stop or a failure.
    pub fn wait(&self) -> Result<Arc<Opened>, gst::FlowError> {
        let mut state = self.state.lock();
        let flushes = state.flushes;
        let waiting = |s: &mut State| {
            let pending = s.opening.is_some() || s.failed == Some(Posted(false));
            s.opened.is_none() && s.running && pending && s.flushes == flushes
        };
        self.changed.wait_while(&mut state, waiting);
        match &state.opened {
            Some(opened) => Ok(Arc::clone(opened)),
            None if state.failed == Some(Posted(true)) => Err(gst::FlowError::Error),
            None => Err(gst::FlowError::Flushing),
        }
    }

    /// Wakes the threads that wait for the first model.
    pub fn flush(&self) {
        self.state.lock().flushes += 1;
        self.changed.notify_all();
    }

    /// Requests that the model be (re)opened. Returns `Some` if the caller must start a thread for it, and `None` if
    /// the element isn't running or a thread is already opening the model; that thread then reads the settings again.
    pub fn request(&self) -> Option<Start> {
        let mut state = self.state.lock();
        if !state.running {
            return None;
        }
        match &state.opening {
            Some(cancel) => {
                cancel.store(true, Ordering::Relaxed);
                None
            }
            None => {
                state.opening = Some(Arc::default());
                Some(Start(state.start))
            }
        }
    }

    /// Returns the model in force, whose files may have changed, for the caller to compare. Returns `None` if the
    /// element isn't running or a model is being opened; its thread then calls [`Self::take_recheck`].
    pub fn recheck(&self) -> Option<Arc<Opened>> {
        let mut state = self.state.lock();
        if !state.running {
            return None;
        }
        let opened = state.opened.clone().filter(|_| state.opening.is_none());
        state.recheck |= opened.is_none();
        opened
    }

    /// True if a comparison of the files was requested while the model was being opened. Clears the request.
    pub fn take_recheck(&self) -> bool {
        std::mem::take(&mut self.state.lock().recheck)
    }

    /// Begins a new attempt, which `cancel` ends. Returns false if the element has stopped.
    pub fn attempt(&self, start: Start, cancel: &Arc<AtomicBool>) -> bool {
        let mut state = self.state.lock();
        let runs = state.running && state.start == start.0;
        if runs {
            state.opening = Some(Arc::clone(cancel));
        }
        runs
    }

    /// Ends an attempt with the model in `opened`, or as failed. `current` returns true if its settings are still those
    /// of the element.
    pub fn finish(&self, start: Start, opened: Option<Arc<Opened>>, current: impl FnOnce() -> bool) -> Attempt {
        let mut state = self.state.lock();
        if !state.running || state.start != start.0 {
            return Attempt::Stopped;
        }
        if !current() {
            return Attempt::Again;
        }
        state.opening = None;
        let attempt = match opened {
            Some(opened) => Attempt::Installed(state.opened.replace(opened)),
            None => {
                state.failed = state.opened.is_none().then_some(Posted(false));
                Attempt::Failed
            }
        };
        self.changed.notify_all();
        attempt
    }

    /// Counts a thread; the guard must be moved into it.
    pub fn count_thread(self: &Arc<Self>) -> OpeningThread {
        self.state.lock().threads += 1;
        OpeningThread(Arc::clone(self))
    }

    /// Waits until no thread opens a model any more. Returns false after `limit`. A process that exits while TensorRT
    /// builds an engine would crash.
    pub fn wait_for_threads(&self, limit: Duration) -> bool {
        let mut state = self.state.lock();
        self.changed.wait_while_for(&mut state, |state| state.threads > 0, limit);
        state.threads == 0
    }

    /// Marks the failure to open the first model as posted on the bus.
    pub fn failure_was_posted(&self) {
        let mut state = self.state.lock();
        if let Some(posted) = &mut state.failed {
            *posted = Posted(true);
        }
        self.changed.notify_all();
    }
}
