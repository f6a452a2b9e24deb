//! The thread of one output, pictures or videos, that runs, fails and is retried independently of the other.

use super::CAT;
use super::failures::Failures;
use super::gate::Want;
use super::queue::Queue;
use super::session::{Event, Session, size};
use crate::error::{Error, ErrorKind};
use crate::gst_cuda::SharedContext;
use crate::meta::Record;
use gst::prelude::*;
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Takes reports of failures, one line each.
pub type Say = Arc<dyn Fn(&str) + Send + Sync>;

/// A frame to record, and its detections.
#[derive(Debug)]
pub struct Taken {
    pub buffer: gst::Buffer,
    pub caps: gst::Caps,
    pub record: Arc<Record>,
    pub want: Want,
}

/// Turns drawn frames into files.
pub trait Output: Send + Sync {
    /// Its name in messages.
    fn name(&self) -> &'static str;

    /// The folder of its files.
    fn folder(&self) -> PathBuf;

    /// The elements behind the overlay, for frames of this size.
    fn elements(&self, width: u32, height: u32) -> String;

    /// Called when a pipeline with those elements was made.
    fn connect(self: Arc<Self>, pipeline: &gst::Pipeline);

    /// Handles a message that an element of the pipeline posts. Returns whether it shows that recording works.
    fn hear(&self, message: &gst::StructureRef) -> bool;

    /// A frame with this time enters the pipeline.
    fn begin(&self, time: Option<gst::ClockTime>, want: Want);

    /// A frame has reached the encoder. Returns whether a frame was written since the last call.
    fn through(&self) -> bool;

    /// A frame didn't enter the pipeline.
    fn left_out(&self, want: Want);

    /// The pipeline is gone, with the frames in it. Returns whether a frame was written that [`Self::through`] hasn't
    /// reported.
    fn ended(&self) -> bool;
}

/// A queue of frames, and a thread that sends them through one pipeline after another.
pub struct OutputThread {
    inner: Arc<Inner>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

struct Inner {
    output: Arc<dyn Output>,
    gpu: Option<SharedContext>,
    say: Say,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    waiting: Queue<Taken>,
    /// The deadline for stopping.
    stop: Option<Instant>,
    /// The pipeline can take another frame.
    is_free: bool,
    /// The pipeline has ended.
    ended: bool,
    failed: Option<String>,
    failures: Failures,
}

enum Next {
    Frame(Taken),
    Failed(String),
    End,
}

impl OutputThread {
    /// How long a pipeline may take to write its last frames; also when everything stops, if nothing else took that
    /// long.
    const DRAIN: Duration = Duration::from_secs(10);
    const LAST_DRAIN: Duration = Duration::from_millis(500);

    /// Starts the thread, with space for `room` waiting frames.
    ///
    /// # Errors
    /// The system can't create a thread.
    pub fn start(output: Arc<dyn Output>, room: usize, gpu: Option<SharedContext>, say: Say) -> Result<Self, Error> {
        let state = State {
            waiting: Queue::new(room, |taken: &Taken| taken.want.has_precedence()),
            stop: None,
            is_free: false,
            ended: false,
            failed: None,
            failures: Failures::default(),
        };
        let name = format!("record-{}", output.name());
        let inner = Arc::new(Inner { output, gpu, say, state: Mutex::new(state), changed: Condvar::new() });
        let worker = inner.clone();
        let worker = std::thread::Builder::new().name(name).spawn(move || worker.work());
        let worker = worker.map_err(|error| {
            Error::new(ErrorKind::Failed, format!("recording can't start: no thread could be created: {error}"))
        })?;
        Ok(Self { inner, worker: Mutex::new(Some(worker)) })
    }

    /// Queues a frame, if there's space and the output isn't failing. Never blocks.
    pub fn offer(&self, taken: Taken) {
        let left_out = {
            let mut state = self.inner.state.lock();
            match state.stop.is_some() || state.failures.is_paused(Instant::now()) {
                true => Some(taken),
                false => state.waiting.put(taken),
            }
        };
        self.inner.changed.notify_all();
        if let Some(taken) = left_out {
            self.inner.output.left_out(taken.want);
        }
    }

    /// Tells the thread to write the queued frames, and to end by about this time.
    pub fn stop(&self, deadline: Instant) {
        self.inner.state.lock().stop = Some(deadline);
        self.inner.changed.notify_all();
    }

    /// Waits until it has ended.
    pub fn join(&self) {
        if let Some(worker) = self.worker.lock().take() {
            // A panic has been printed already.
            let _ = worker.join();
        }
    }
}

impl Inner {
    fn work(self: Arc<Self>) {
        let mut session: Option<Session> = None;
        loop {
            match self.next(session.as_ref()) {
                Next::Frame(taken) => {
                    // Encoders and containers hold frames of one format.
                    if session.as_ref().is_some_and(|session| *session.caps() != taken.caps) {
                        self.finish(session.take());
                    }
                    if session.is_none() {
                        session = self.open(&taken.caps);
                    }
                    match &session {
                        Some(session) => self.push(session, taken),
                        None => self.output.left_out(taken.want),
                    }
                }
                Next::Failed(text) => {
                    self.close(session.take());
                    self.fail(&text);
                }
                Next::End => return self.finish(session.take()),
            }
        }
    }

    fn next(&self, session: Option<&Session>) -> Next {
        let mut state = self.state.lock();
        loop {
            if let Some(text) = state.failed.take() {
                return Next::Failed(text);
            }
            let is_ready = match (state.waiting.front(), session) {
                (Some(taken), Some(session)) => state.is_free || *session.caps() != taken.caps,
                (front, _) => front.is_some(),
            };
            let is_late = state.stop.is_some_and(|deadline| Instant::now() >= deadline);
            if is_ready
                && !is_late
                && let Some(taken) = state.waiting.pop()
            {
                return Next::Frame(taken);
            }
            if is_late || (state.stop.is_some() && state.waiting.front().is_none()) {
                for taken in state.waiting.take() {
                    self.output.left_out(taken.want);
                }
                return Next::End;
            }
            let deadline = state.stop;
            self.wait(&mut state, deadline);
        }
    }

    fn open(self: &Arc<Self>, caps: &gst::Caps) -> Option<Session> {
        {
            let mut state = self.state.lock();
            (state.is_free, state.ended, state.failed) = (false, false, None);
        }
        let inner = Arc::downgrade(self);
        let listen = move |event: Event<'_>| {
            if let Some(inner) = inner.upgrade() {
                inner.hear(event);
            }
        };
        gst::debug!(CAT, "{}: a recording of {caps} begins", self.output.name());
        let elements = size(caps).map(|(width, height)| self.output.elements(width, height));
        let connect = |pipeline: &gst::Pipeline| self.output.clone().connect(pipeline);
        let session = elements
            .ok_or_else(|| Error::new(ErrorKind::Failed, format!("{caps} has no size")))
            .and_then(|elements| Session::start(true, &elements, caps, self.gpu.as_ref(), connect, listen));
        match session {
            Ok(session) => Some(session),
            Err(error) => {
                self.state.lock().failed.get_or_insert(error.message);
                None
            }
        }
    }

    fn push(&self, session: &Session, taken: Taken) {
        self.state.lock().is_free = false;
        gst::trace!(CAT, "{}: picture {} is recorded", self.output.name(), taken.buffer.pts().display());
        self.output.begin(taken.buffer.pts(), taken.want);
        if let Err(flow) = session.push(&taken.buffer, taken.record) {
            // The failing element has posted the reason before this.
            self.state.lock().failed.get_or_insert_with(|| format!("frames aren't taken: {flow}"));
        }
    }

    /// Makes a pipeline write its last frames.
    fn finish(&self, session: Option<Session>) {
        let Some(ending) = &session else { return };
        gst::debug!(CAT, "{}: the recording ends", self.output.name());
        ending.end();
        let begun = Instant::now();
        let mut state = self.state.lock();
        let whole = loop {
            let deadline = match state.stop {
                None => begun + OutputThread::DRAIN,
                Some(stop) => stop.max(begun + OutputThread::LAST_DRAIN).min(begun + OutputThread::DRAIN),
            };
            if state.ended || state.failed.is_some() || Instant::now() >= deadline {
                break state.ended;
            }
            self.wait(&mut state, Some(deadline));
        };
        let failed = state.failed.take();
        drop(state);
        self.close(session);
        match failed {
            Some(text) => self.fail(&text),
            None if !whole => {
                let name = self.output.name();
                (self.say)(&format!("the end of a recording of {name} took too long to write, and may be missing"));
            }
            None => {}
        }
    }

    fn close(&self, session: Option<Session>) {
        drop(session);
        if self.output.ended() {
            self.worked();
        }
    }

    /// Records that something was written.
    fn worked(&self) {
        let is_news = self.state.lock().failures.worked();
        if is_news {
            (self.say)(&format!("recording works again: {}", self.output.name()));
        }
    }

    fn fail(&self, text: &str) {
        gst::debug!(CAT, "{}: {text}", self.output.name());
        let (is_news, lost) = {
            let mut state = self.state.lock();
            (state.failures.failed(Instant::now()), state.waiting.take())
        };
        lost.for_each(|taken| self.output.left_out(taken.want));
        if is_news {
            let (name, folder) = (self.output.name(), self.output.folder());
            (self.say)(&format!("recording failed and will be retried: {name} in {}: {text}", folder.display()));
        }
    }

    /// Handles an event, on the pipeline's threads.
    fn hear(&self, event: Event<'_>) {
        let works = match event {
            Event::Through => self.output.through(),
            Event::Posted(message) => self.output.hear(message),
            Event::Warning(text) => {
                (self.say)(text);
                false
            }
            Event::Failed(_) | Event::Ended => false,
        };
        let mut state = self.state.lock();
        match event {
            Event::Through => state.is_free = true,
            Event::Ended => state.ended = true,
            Event::Failed(text) => drop(state.failed.get_or_insert_with(|| text.to_owned())),
            Event::Posted(_) | Event::Warning(_) => {}
        }
        drop(state);
        self.changed.notify_all();
        if works {
            self.worked();
        }
    }

    fn wait(&self, state: &mut MutexGuard<'_, State>, until: Option<Instant>) {
        match until {
            None => self.changed.wait(state),
            Some(until) => _ = self.changed.wait_until(state, until),
        }
    }
}
