//! The element's model: the one in force, and the one that is being opened beside it on a thread of its own.

use super::opened::Opened;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// See the module. Streaming threads look at it for every frame.
#[derive(Default)]
pub struct Models {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// From READY→PAUSED to PAUSED→READY.
    running: bool,
    opened: Option<Arc<Opened>>,
    /// The first model couldn't be opened, and whether that has been said.
    failed: Option<Posted>,
    /// A thread opens a model; its current attempt is cancelled by this.
    opening: Option<Arc<AtomicBool>>,
    /// Its files are to be looked at again once it's open.
    recheck: bool,
    /// Counts starts, so that what belongs to an earlier one is told from this one.
    start: u64,
    /// Counts flushes: who waited before one returns.
    flushes: u64,
    /// Threads that open a model, cancelled ones too.
    threads: usize,
}

/// A thread that opens a model, from before it starts to its end.
pub struct OpeningThread(Arc<Models>);

impl Drop for OpeningThread {
    fn drop(&mut self) {
        self.0.state.lock().threads -= 1;
        self.0.changed.notify_all();
    }
}

/// Whether the element's error message is on the bus: whoever waits returns after that, so that no other element's comes
/// before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Posted(bool);

/// A start of the element; stale once it has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start(u64);

/// What an attempt at opening led to.
pub enum Attempt {
    /// In force now; the model before it, if there was one.
    Installed(Option<Arc<Opened>>),
    /// Failed, and is the last word.
    Failed,
    /// The settings have changed meanwhile: try again with those.
    Again,
    /// The element has stopped meanwhile.
    Stopped,
}

impl Models {
    /// READY→PAUSED.
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

    /// PAUSED→READY, before the pads are deactivated: whoever waits returns, and what is being opened is cancelled. Whether
    /// that was the first model.
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

    /// Whether the element still runs since that start.
    pub fn runs(&self, start: Start) -> bool {
        let state = self.state.lock();
        state.running && state.start == start.0
    }

    /// Takes the model away; nothing waits any more after [`Self::stop`].
    pub fn take(&self) -> Option<Arc<Opened>> {
        self.state.lock().opened.take()
    }

    /// The model in force.
    pub fn get(&self) -> Option<Arc<Opened>> {
        self.state.lock().opened.clone()
    }

    /// The model in force; waits for the first one while it's being opened. `None` after a flush, a stop or a failure.
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

    /// Whoever waits for the first model returns.
    pub fn flush(&self) {
        self.state.lock().flushes += 1;
        self.changed.notify_all();
    }

    /// The model has to be opened (anew): `Some` if the caller starts a thread for it, `None` if one is at it already, and
    /// looks at the settings again, or there's nothing to do.
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

    /// The files of the model may have changed: the one in force, to be compared with them. `None` if there's nothing to
    /// do, or while a model is being opened: its thread asks [`Self::take_recheck`] then.
    pub fn recheck(&self) -> Option<Arc<Opened>> {
        let mut state = self.state.lock();
        if !state.running {
            return None;
        }
        let opened = state.opened.clone().filter(|_| state.opening.is_none());
        state.recheck |= opened.is_none();
        opened
    }

    /// Whether the files were to be looked at while the model was being opened; asked once.
    pub fn take_recheck(&self) -> bool {
        std::mem::take(&mut self.state.lock().recheck)
    }

    /// A new attempt begins; `cancel` ends it. `false` if the element has stopped.
    pub fn attempt(&self, start: Start, cancel: &Arc<AtomicBool>) -> bool {
        let mut state = self.state.lock();
        let runs = state.running && state.start == start.0;
        if runs {
            state.opening = Some(Arc::clone(cancel));
        }
        runs
    }

    /// An attempt has ended with `opened`, or failed. `current` says whether its settings are still those of the element.
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

    /// To be moved into the thread.
    pub fn count_thread(self: &Arc<Self>) -> OpeningThread {
        self.state.lock().threads += 1;
        OpeningThread(Arc::clone(self))
    }

    /// Waits until no thread opens a model any more; `false` after `limit`. A process that ends while TensorRT builds an
    /// engine would crash in it.
    pub fn wait_for_threads(&self, limit: Duration) -> bool {
        let mut state = self.state.lock();
        self.changed.wait_while_for(&mut state, |state| state.threads > 0, limit);
        state.threads == 0
    }

    /// That the first model couldn't be opened was said.
    pub fn failure_was_posted(&self) {
        let mut state = self.state.lock();
        if let Some(posted) = &mut state.failed {
            *posted = Posted(true);
        }
        self.changed.notify_all();
    }
}
