//! One camera: its state machine, and the pipeline that carries out its actions.

use super::CAT;
use super::analysis::Analysis;
use super::bus::{Listener, Placement};
use super::change::NewOptions;
use super::channel::{Report, Reporter};
use super::frame_tracker::FrameTracker;
use super::lifecycle::{Action, Event, Lifecycle, Patience, State};
use super::recording::Recording;
use super::setup::{CameraSetup, Decoder, SourceSetup};
use super::source;
use super::start_guard::StartGuard;
use crate::check::{is_without_pictures, unplayable};
use crate::clips::Clips;
use crate::elements::ElementOptions;
use crate::gst_cuda::SharedContext;
use crate::monitor::CameraState;
use crate::record::Recorder;
use crate::scheduling::StartStagger;
use gst::glib;
use gst::prelude::*;
use parking_lot::Mutex;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Models that have returned nothing for this many times the patience with a camera count as hung; slow models take
/// seconds a picture.
const HANGS: u32 = 6;

/// The signal that makes elements with a model check their files.
const RELOAD: &str = "reload-model";

/// The longest time to finish the pictures in flight.
const DRAIN: Duration = Duration::from_secs(2);

/// A running camera. Anything that takes time runs on GStreamer's threads and reports back.
pub struct Camera {
    setup: Arc<CameraSetup>,
    lifecycle: Lifecycle,
    start: Instant,
    tracker: Arc<FrameTracker>,
    reporter: Reporter,
    placement: Placement,
    analysis: Option<Analysis>,
    /// The pipeline is being closed, and hasn't reported the end.
    closing: bool,
    /// The pipeline has been made, and waits to be started.
    made: bool,
    /// The recorder while the pipeline is open, if anything is recorded.
    recorder: Arc<Mutex<Option<Recorder>>>,
    source: Option<source::OpenSource>,
    /// The last source's number.
    sources: u64,
    timer: Timer,
    /// Runs until the source may be opened.
    turn: Timer,
    /// Shared by all cameras of a supervisor.
    stagger: Rc<RefCell<StartStagger>>,
    /// The GPU's context, once it's known.
    gpu: Arc<OnceLock<Arc<cuda::Context>>>,
}

/// At most one timer: each state has one thing to wait for.
#[derive(Default)]
struct Timer(Option<glib::SourceId>);

impl Timer {
    fn set(&mut self, after: Duration, reporter: Reporter, event: Event) {
        self.clear();
        // Fires once; an event that no longer fits the state is ignored.
        let context = glib::MainContext::ref_thread_default();
        let source = glib::timeout_source_new(after, Some("camera"), glib::Priority::DEFAULT, move || {
            reporter.event(event.clone());
            glib::ControlFlow::Break
        });
        self.0 = Some(source.attach(Some(&context)));
    }

    fn clear(&mut self) {
        if let Some(id) = self.0.take()
            && let Some(source) = glib::MainContext::ref_thread_default().find_source_by_id(&id)
        {
            source.destroy();
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Camera {
    /// Starts a camera. Its pipeline is started by [`Self::start_pipeline`], now as after each event.
    pub fn start(
        setup: CameraSetup,
        patience: Patience,
        tracker: FrameTracker,
        reporter: Reporter,
        placement: Placement,
        stagger: Rc<RefCell<StartStagger>>,
    ) -> Self {
        let (lifecycle, actions) = Lifecycle::start(patience);
        let mut this = Self {
            setup: Arc::new(setup),
            lifecycle,
            start: Instant::now(),
            tracker: Arc::new(tracker),
            reporter,
            placement,
            analysis: None,
            closing: false,
            made: false,
            recorder: Arc::default(),
            source: None,
            sources: 0,
            timer: Timer::default(),
            turn: Timer::default(),
            stagger,
            gpu: Arc::default(),
        };
        gst::info!(CAT, "{}: {:?}", this.setup.name, this.state());
        this.tracker.is_set_up(&this.setup);
        this.show();
        this.act(actions);
        this
    }

    pub fn setup(&self) -> &Arc<CameraSetup> {
        &self.setup
    }

    pub fn state(&self) -> State {
        self.lifecycle.state()
    }

    /// Whether it's being stopped while it's still opening, for example building an engine: nothing of it has been
    /// published or is in flight.
    pub fn has_nothing_to_lose(&self) -> bool {
        self.lifecycle.state() == State::Stopping && self.lifecycle.is_opening()
    }

    /// The state that the monitor shows.
    pub fn shown(&self) -> CameraState {
        self.lifecycle.shown()
    }

    pub fn reason(&self) -> Option<&str> {
        self.lifecycle.reason()
    }

    pub fn core(&self) -> Option<usize> {
        self.placement.core
    }

    /// Whether a report of this source is still relevant.
    pub fn is_current(&self, source: Option<u64>) -> bool {
        source.is_none_or(|number| number == self.sources)
    }

    /// Why its GPU has failed for good, if it has. The GPU is asked, because the first failure may have been in a
    /// decoder or an upload outside this plugin, and without frames no element would notice it.
    pub fn gpu_failure(&self) -> Option<String> {
        let context = self.gpu.get()?;
        // Any call would do; the context keeps a failure with its cause.
        let _ = context.memory();
        context.failure().map(|error| error.message.clone())
    }

    /// Handles an event. Returns whether the camera has ended completely.
    pub fn handle(&mut self, event: Event) -> bool {
        let event = self.file_without_pictures(event);
        let event = match self.check(event) {
            Some(event) => event,
            None => return false,
        };
        if event == Event::SourceDue {
            if self.lifecycle.state() == State::Connecting {
                self.open_source();
            }
            return false;
        }
        self.closing &= event != Event::PipelineClosed;
        let before = (self.lifecycle.state(), self.lifecycle.reason().map(str::to_owned));
        gst::debug!(CAT, "{}: {event:?} while {:?}", self.setup.name, before.0);
        let actions = self.lifecycle.handle(event, self.start.elapsed(), glib::random_double());
        if self.lifecycle.state() != before.0 {
            let reason = self.lifecycle.reason().map_or_else(String::new, |reason| format!(": {reason}"));
            gst::info!(CAT, "{}: {:?} -> {:?}{reason}", self.setup.name, before.0, self.lifecycle.state());
            // The state that the timers belong to is over.
            self.timer.clear();
            self.turn.clear();
        }
        if (self.lifecycle.state(), self.lifecycle.reason()) != (before.0, before.1.as_deref()) {
            self.show();
        }
        self.act(actions)
    }

    /// A file without anything that can be decoded is reported as such, whatever GStreamer says about it. A missing
    /// file may still appear, and a looped file may be replaced by another.
    fn file_without_pictures(&self, event: Event) -> Event {
        let (Event::SourceLost(reason), State::Connecting, SourceSetup::File(file)) =
            (&event, self.lifecycle.state(), &self.setup.source)
        else {
            return event;
        };
        // The elements that read the file have different names each time.
        let reason = reason.split_once(": ").map_or(reason.as_str(), |(_, reason)| reason);
        let decodes = self.source.as_ref().is_none_or(|source| source.bin.by_name("decoder").is_some());
        if !file.path.exists() || (decodes && !is_without_pictures(reason)) {
            return event;
        }
        let text = format!("{}: {}", file.path.display(), unplayable(reason));
        if file.looping { Event::SourceLost(text) } else { Event::Unplayable(text) }
    }

    /// A silence timer fires early when pictures have come since it was set, or are due later: it's set again then.
    fn check(&mut self, event: Event) -> Option<Event> {
        let playing = match (self.lifecycle.state(), &event) {
            (State::Playing, Event::Silence(_)) => true,
            (State::Connecting, Event::Silence(_)) => false,
            _ => return Some(event),
        };
        let patience = self.lifecycle.patience();
        let longest = self.tracker.longest_silence(patience);
        let left = self.tracker.silence_left(longest);
        if left.is_zero() {
            return Some(Event::Silence(longest));
        }
        let hangs = HANGS * patience.silence;
        if playing && self.tracker.held() >= hangs {
            return Some(Event::AnalysisLost(format!("pictures go in, and none has come out for {hangs:?}")));
        }
        // The next check isn't later than that: a file's next picture can be due in hours.
        let next = left.min(longest);
        self.timer.set(next, self.reporter.of_source(self.sources), Event::Silence(longest));
        None
    }

    /// Stops the camera.
    pub fn stop(&mut self) {
        self.handle(Event::Stop);
    }

    /// The configuration was read again, and the camera is unchanged.
    pub fn retry(&mut self) {
        self.handle(Event::Retry);
    }

    /// Recalculates the pipeline's latency.
    pub fn distribute_latency(&self) {
        if let Some(analysis) = &self.analysis {
            analysis.pipeline.call_async(|pipeline| {
                let _ = pipeline.recalculate_latency();
            });
        }
    }

    /// Makes outputs whose files were moved or deleted open them again.
    pub fn reopen_outputs(&self) {
        self.emit_on_outputs("reopen");
    }

    /// Drops what outputs haven't delivered, and what comes from now on.
    pub fn purge_outputs(&self) {
        self.emit_on_outputs("purge");
    }

    fn emit_on_outputs(&self, signal: &str) {
        let Some(analysis) = &self.analysis else { return };
        for setup in self.setup.elements.iter().filter(|setup| matches!(setup.options, ElementOptions::Publish(_))) {
            if let Some(output) = analysis.pipeline.by_name(&setup.name) {
                output.emit_by_name::<()>(signal, &[]);
            }
        }
    }

    /// Records a clip on request; `kind` says who asks, with this text.
    pub fn record_clip(&self, kind: &str, text: Option<String>) {
        if self.setup.clips.is_none() {
            return;
        }
        let clips = self.analysis.as_ref().and_then(|analysis| analysis.clips.as_ref());
        let recorded = clips.map_or(Err("the camera isn't open".into()), |clips| clips.command(kind, text));
        self.reporter.report(Report::Note(match recorded {
            Ok(name) => format!("records {name}"),
            Err(reason) => format!("records no clip: {reason}"),
        }));
    }

    /// Changes properties of playing elements to those of `setup`, and makes models check whether the content of their
    /// files has changed.
    pub fn change(&mut self, setup: CameraSetup, changed: Vec<NewOptions>) {
        self.setup = Arc::new(setup);
        self.tracker.is_set_up(&self.setup);
        let Some(analysis) = &self.analysis else { return };
        let (setup, reporter) = (self.setup.clone(), self.reporter.clone());
        // Loading a model may take time.
        analysis.pipeline.call_async(move |pipeline| {
            for NewOptions { element: name, .. } in changed {
                let found = setup.elements.iter().find(|element| element.name == name).zip(pipeline.by_name(&name));
                if let Some((setup, element)) = found
                    && let Err(error) = setup.options.give_to(&element)
                {
                    reporter.report(Report::Note(error.message));
                }
            }
            for element in setup.elements.iter().filter_map(|element| pipeline.by_name(&element.name)) {
                if glib::subclass::SignalId::lookup(RELOAD, element.type_()).is_some() {
                    element.emit_by_name::<()>(RELOAD, &[]);
                }
            }
        });
    }

    fn show(&self) {
        self.tracker.meter().set_state(self.lifecycle.shown(), self.lifecycle.reason().map(str::to_owned));
    }

    fn act(&mut self, actions: Vec<Action>) -> bool {
        let mut gone = false;
        let mut turn = Duration::ZERO;
        for action in actions {
            gst::debug!(CAT, "{}: {action:?}", self.setup.name);
            match action {
                Action::OpenPipeline => self.make_pipeline(),
                Action::ClosePipeline => self.close_pipeline(),
                Action::OpenSource => turn = self.open_source_in_turn(),
                Action::CloseSource => self.close_source(),
                Action::Watch(time) => {
                    self.timer.set(turn + time, self.reporter.of_source(self.sources), Event::Silence(time));
                }
                Action::Wait(time) => self.timer.set(time, self.reporter.clone(), Event::WaitOver),
                Action::Drain => self.drain(),
                Action::CountReconnect => self.tracker.meter().reconnected(),
                Action::Forget => gone = true,
            }
        }
        gone
    }

    fn make_pipeline(&mut self) {
        let notes = self.reporter.clone();
        let say = Arc::new(move |text: &str| notes.report(Report::Note(text.to_owned())));
        let analysis = match Analysis::make(&self.setup, &self.tracker, say) {
            Ok(analysis) => analysis,
            Err(error) => return self.reporter.event(Event::CantOpen(error.message)),
        };
        let listener = Listener {
            reporter: self.reporter.clone(),
            placement: self.placement.clone(),
            has_user: self.setup.source.has_user(),
        };
        listener.listen(&analysis.pipeline);
        self.analysis = Some(analysis);
        self.made = true;
    }

    /// The pipeline that has been made and not started.
    pub fn made(&self) -> Option<&gst::Pipeline> {
        self.analysis.as_ref().filter(|_| self.made).map(|analysis| &analysis.pipeline)
    }

    /// Starts the pipeline that has been made.
    pub fn start_pipeline(&mut self) {
        let Some(analysis) = self.analysis.as_ref().filter(|_| std::mem::take(&mut self.made)) else { return };
        let (reporter, decoder, gpu) = (self.reporter.clone(), self.setup.decoder, self.gpu.clone());
        let (start_guard, end, setup) = (analysis.start_guard.clone(), analysis.end.clone(), self.setup.clone());
        let recording = self.setup.recording.clone().map(|settings| Recording {
            settings,
            recorder: self.recorder.clone(),
            start_guard: start_guard.clone(),
            reporter: reporter.clone(),
        });
        analysis.pipeline.call_async(move |pipeline| {
            start_guard.run(|| {
                source::load(&setup);
                let opened = share_context(pipeline, decoder, &gpu).and_then(|()| {
                    if let Some(recording) = recording {
                        recording.start(&end)?;
                    }
                    // The failing element has posted the reason before this.
                    let silent = |_| "the pipeline doesn't start, and doesn't say why".to_owned();
                    pipeline.set_state(gst::State::Playing).map(drop).map_err(silent)
                });
                // The pipeline reports by itself that it plays: at once, or once an engine has been built for it.
                if let Err(reason) = opened {
                    reporter.event(Event::CantOpen(reason));
                }
            });
        });
    }

    fn close_pipeline(&mut self) {
        self.made = false;
        let (source, reporter) = (self.source.take(), self.reporter.clone());
        let Some(Analysis { pipeline, start_guard, clips, .. }) = self.analysis.take() else {
            // This can be requested twice, as when the last frame comes out just as the wait for it times out.
            if !self.closing {
                reporter.event(Event::PipelineClosed);
            }
            return;
        };
        self.closing = true;
        let (recorder, tracker) = (self.recorder.clone(), self.tracker.clone());
        pipeline.call_async(move |pipeline| {
            close(pipeline, &start_guard, source, &recorder, clips);
            // This includes the lines that were left at the end.
            tracker.count_dropped_lines();
            reporter.event(Event::PipelineClosed);
        });
    }

    /// Opens the source when the schedule allows it; returns how long that is from now.
    fn open_source_in_turn(&mut self) -> Duration {
        let wait = match self.setup.decoder {
            Decoder::Gpu(_) => self.stagger.borrow_mut().reserve(Instant::now()),
            Decoder::Cpu | Decoder::Upload(_) => Duration::ZERO,
        };
        if !wait.is_zero() {
            gst::debug!(CAT, "{}: its source is opened in {wait:?}, after those of other cameras", self.setup.name);
        }
        // Late reports of the previous source don't count from here on.
        self.sources += 1;
        if wait.is_zero() {
            self.open_source();
        } else {
            self.turn.set(wait, self.reporter.of_source(self.sources), Event::SourceDue);
        }
        wait
    }

    fn open_source(&mut self) {
        let Some(analysis) = &self.analysis else { return };
        self.tracker.opened();
        let reporter = self.reporter.of_source(self.sources);
        let running = analysis.pipeline.current_running_time().unwrap_or_default();
        let (setup, tracker, patience) = (self.setup.clone(), self.tracker.clone(), *self.lifecycle.patience());
        let (pictures, clips) = (analysis.pictures.clone(), analysis.clips.clone());
        let context = source::SourceContext::new(setup, tracker, patience, reporter.clone(), pictures, clips);
        let source = match source::make(&context, running) {
            Ok(source) => source,
            Err(error) => return reporter.event(Event::SourceLost(error.message)),
        };
        let (bin, start_guard) = (source.bin.clone(), source.start_guard.clone());
        let linked = analysis.pipeline.add(&bin).is_ok()
            && bin.static_pad("src").is_some_and(|pad| pad.link(&analysis.entry).is_ok());
        self.source = Some(source);
        if !linked {
            return reporter.event(Event::SourceLost("the source can't be linked".into()));
        }
        bin.call_async(move |bin| {
            start_guard.run(|| {
                if bin.sync_state_with_parent().is_err() {
                    // The failing element has posted the reason before this.
                    reporter.event(Event::SourceLost("the source doesn't start".into()));
                }
            });
        });
    }

    fn close_source(&mut self) {
        let reporter = self.reporter.of_source(self.sources);
        match self.source.take() {
            Some(source) => source.bin.clone().call_async(move |_| {
                source.close();
                reporter.event(Event::SourceClosed);
            }),
            None => reporter.event(Event::SourceClosed),
        }
    }

    fn drain(&mut self) {
        self.timer.set(DRAIN, self.reporter.clone(), Event::Drained);
        let Some(analysis) = &self.analysis else { return };
        let (source, entry) = (self.source.take(), analysis.entry.clone());
        analysis.pipeline.call_async(move |_| {
            if let Some(source) = source {
                source.close();
            }
            // When it reaches the end, the end of the pipeline is reported.
            entry.send_event(gst::event::Eos::new());
        });
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        let source = self.source.take();
        if let Some(Analysis { pipeline, start_guard, clips, .. }) = self.analysis.take() {
            let recorder = self.recorder.clone();
            pipeline.call_async(move |pipeline| close(pipeline, &start_guard, source, &recorder, clips));
        }
    }
}

/// Closes a pipeline and the source in it.
fn close(
    pipeline: &gst::Pipeline,
    start_guard: &StartGuard,
    source: Option<source::OpenSource>,
    recorder: &Mutex<Option<Recorder>>,
    clips: Option<Arc<Clips>>,
) {
    // Nothing is opened after this.
    start_guard.close();
    if let Some(source) = source {
        source.end();
    }
    let recorder = recorder.lock().take();
    std::thread::scope(|scope| {
        // The recorders finish their files meanwhile; all of it may take seconds.
        scope.spawn(|| drop(recorder));
        scope.spawn(|| clips.iter().for_each(|clips| clips.stop()));
        let _ = pipeline.set_state(gst::State::Null);
    });
}

/// Gives all elements of a GPU's pipeline the context that is shared on that GPU.
fn share_context(pipeline: &gst::Pipeline, decoder: Decoder, gpu: &OnceLock<Arc<cuda::Context>>) -> Result<(), String> {
    let Some(device) = decoder.gpu() else { return Ok(()) };
    let shared = SharedContext::own(device).map_err(|error| error.message)?;
    let _ = gpu.set(shared.context().clone());
    pipeline.set_context(&shared.to_gst());
    Ok(())
}
