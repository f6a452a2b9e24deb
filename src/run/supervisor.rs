//! Supervises all cameras, and handles what concerns more than one of them.

use super::bus::Placement;
use super::camera::Camera;
use super::change::{Change, NewOptions, change};
use super::channel::{Message, Receiver, Report, Reporter, Sender, channel};
use super::frame_tracker::FrameTracker;
use super::lifecycle::{Event, Patience, State};
use super::meters::Meters;
use super::setup::CameraSetup;
use super::threads;
use super::view::Views;
use crate::monitor::CameraState;
use crate::scheduling::StartStagger;
use gst::glib;
use parking_lot::Mutex;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Cameras that haven't stopped after this time are abandoned.
const LONGEST_STOP: Duration = Duration::from_millis(4500);
/// The same after a failure of the GPU, when nothing can stop in order.
const LONGEST_STOP_OF_FAILED: Duration = Duration::from_secs(2);

/// Prints a line for the operator.
pub type Say = dyn Fn(&str);

/// Called with each pipeline before it starts.
pub type OnPipeline = dyn Fn(&CameraSetup, &gst::Pipeline);

/// Called with the outcome when all cameras have ended.
type OnEnd = Box<dyn FnOnce(Outcome)>;

/// How cameras are run. The callbacks may call the supervisor.
#[derive(Default)]
pub struct Options {
    /// The cameras' meters.
    pub meters: Meters,
    /// Where clients may look at the cameras; `None`: nowhere.
    pub views: Option<Views>,
    /// Prints a line for the operator.
    pub say: Option<Box<Say>>,
    /// Called with each pipeline before it starts.
    pub on_pipeline: Option<Box<OnPipeline>>,
    /// Called with what happens to a camera, by its name.
    pub on_happened: Option<Box<OnHappened>>,
    /// The run goes on without a camera that can run: others may come.
    pub stays: bool,
}

/// What happens to a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    Is(CameraState),
    /// Nothing of it is left. It may have ended by itself, as a file that isn't looped.
    Gone {
        ended: bool,
    },
}

/// Called with what happens to a camera.
pub type OnHappened = dyn Fn(&str, Happened);

/// How the run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As requested, and everything in flight was finished.
    Stopped,
    /// As requested, but these cameras didn't stop in time.
    Left(Vec<String>),
    /// No camera can run; the reason for each.
    NothingRuns(Vec<String>),
    /// The GPU failed for good; the first cause.
    GpuFailed(String),
}

/// Runs cameras on the main context that is the default of the thread that created it.
pub struct Supervisor {
    options: Options,
    sender: Sender,
    /// What wasn't permitted and has been reported.
    refused: Arc<Mutex<HashSet<String>>>,
    stagger: Rc<RefCell<StartStagger>>,
    state: RefCell<Running>,
    /// Calls that are due, in order.
    calls: RefCell<VecDeque<Call>>,
    /// One of them is running.
    calling: Cell<bool>,
    /// Tasks that end with the supervisor.
    tasks: RefCell<Vec<glib::JoinHandle<()>>>,
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.tasks.take().iter().for_each(glib::JoinHandle::abort);
    }
}

/// A callback of the program, called with nothing borrowed.
enum Call {
    Say(String),
    /// Shows the pipeline of the camera with this number, which starts afterwards.
    Pipeline(u64),
    Happened(String, Happened),
    End(OnEnd, Outcome),
}

#[derive(Default)]
struct Running {
    /// Cameras by number.
    cameras: BTreeMap<u64, Camera>,
    /// The last camera's number.
    numbers: u64,
    /// Cameras whose source ended: they don't start again until their set-up changes.
    ended: Vec<CameraSetup>,
    patience: Patience,
    /// The set-up that replaces a camera that is stopping, by name.
    next: BTreeMap<String, CameraSetup>,
    /// The run is stopping, with this outcome.
    ending: Option<Outcome>,
    end: Option<OnEnd>,
}

impl Supervisor {
    /// Starts cameras. `end` is called once, when no camera is left after a [`Self::stop`], or none can run.
    pub fn start(
        cameras: Vec<CameraSetup>,
        patience: Patience,
        options: Options,
        end: impl FnOnce(Outcome) + 'static,
    ) -> Rc<Self> {
        let (sender, receiver) = channel();
        let state = RefCell::new(Running { end: Some(Box::new(end)), ..Running::default() });
        let this = Rc::new(Self {
            options,
            sender,
            refused: Arc::default(),
            stagger: Rc::default(),
            state,
            calls: RefCell::default(),
            calling: Cell::new(false),
            tasks: RefCell::default(),
        });
        this.listen(receiver);
        this.apply(cameras, patience);
        this
    }

    fn listen(self: &Rc<Self>, mut receiver: Receiver) {
        let this = Rc::downgrade(self);
        self.spawn(async move {
            loop {
                let message = receiver.next().await;
                match this.upgrade() {
                    Some(this) => this.take(message),
                    None => return,
                }
            }
        });
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.tasks.borrow_mut().push(glib::MainContext::ref_thread_default().spawn_local(task));
    }

    fn say(&self, text: String) {
        self.calls.borrow_mut().push_back(Call::Say(text));
    }

    /// Runs the calls that are due. A callback may call the supervisor, which leaves further calls to the loop that is
    /// running.
    fn call(&self) {
        struct Over<'a>(&'a Cell<bool>);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.set(false);
            }
        }
        if self.calling.replace(true) {
            return;
        }
        let _over = Over(&self.calling);
        let next = || self.calls.borrow_mut().pop_front();
        while let Some(call) = next() {
            match call {
                Call::Say(text) => self.options.say.iter().for_each(|say| say(&text)),
                Call::Pipeline(camera) => self.start_pipeline(camera),
                Call::Happened(name, happened) => {
                    self.options.on_happened.iter().for_each(|told| told(&name, happened));
                }
                Call::End(end, outcome) => end(outcome),
            }
        }
    }

    /// Shows a camera's pipeline and starts it, unless something has happened in between.
    fn start_pipeline(&self, camera: u64) {
        let made = || {
            let running = self.state.borrow();
            let camera = running.cameras.get(&camera)?;
            Some((camera.setup().clone(), camera.made()?.clone()))
        };
        let Some((setup, pipeline)) = made() else { return };
        if let Some(on_pipeline) = &self.options.on_pipeline {
            on_pipeline(&setup, &pipeline);
        }
        if let Some(camera) = self.state.borrow_mut().cameras.get_mut(&camera) {
            camera.start_pipeline();
        }
    }

    /// Schedules the start of the pipeline that a camera has made.
    fn start_made(&self, number: u64, camera: &Camera) {
        if camera.made().is_some() {
            self.calls.borrow_mut().push_back(Call::Pipeline(number));
        }
    }

    /// Stops cameras that aren't in the list, starts new ones, and changes those whose set-up differs. `patience` is
    /// for cameras that start.
    pub fn apply(self: &Rc<Self>, cameras: Vec<CameraSetup>, patience: Patience) {
        if self.state.borrow().ending.is_some() {
            return;
        }
        let names: HashSet<&str> = cameras.iter().map(|camera| camera.name.as_str()).collect();
        {
            let running = &mut *self.state.borrow_mut();
            running.patience = patience;
            running.next.retain(|name, _| names.contains(name.as_str()));
            running.ended.retain(|setup| cameras.contains(setup));
            for camera in running.cameras.values_mut() {
                if !names.contains(camera.setup().name.as_str()) && camera.state() != State::Stopping {
                    self.say(format!("{}: removed", camera.setup().name));
                    camera.stop();
                }
            }
        }
        for camera in cameras {
            self.put(camera);
        }
        self.call();
    }

    /// Makes outputs whose files were moved or deleted, as by log rotation, open them again.
    pub fn reopen_outputs(&self) {
        self.state.borrow().cameras.values().for_each(Camera::reopen_outputs);
    }

    /// Records a clip of this moment, with one camera or all that record clips. `kind` says who asks.
    pub fn record_clips(self: &Rc<Self>, camera: Option<&str>, kind: &str, text: Option<&str>) {
        let running = self.state.borrow();
        let asked = |running: &&Camera| camera.is_none_or(|name| running.setup().name == name);
        running.cameras.values().filter(asked).for_each(|camera| camera.record_clip(kind, text.map(str::to_owned)));
    }

    /// Drops what a camera's outputs haven't delivered, and what comes from now on: another host publishes it.
    pub fn purge_outputs(&self, camera: &str) {
        let running = self.state.borrow();
        running.cameras.values().filter(|running| running.setup().name == camera).for_each(Camera::purge_outputs);
    }

    /// The GPU that a camera runs on.
    pub fn gpu_of(&self, camera: &str) -> Option<u32> {
        let running = self.state.borrow();
        let found = running.cameras.values().find(|running| running.setup().name == camera)?;
        found.setup().decoder.gpu()
    }

    /// Makes one camera run with this set-up.
    fn put(self: &Rc<Self>, setup: CameraSetup) {
        let running = &mut *self.state.borrow_mut();
        if running.ended.contains(&setup) {
            return;
        }
        let Some(camera) = running.cameras.values_mut().find(|camera| camera.setup().name == setup.name) else {
            self.begin(running, setup);
            return;
        };
        if camera.state() == State::Stopping {
            running.next.insert(setup.name.clone(), setup);
            return;
        }
        // A failed camera gets another chance each time the configuration is read.
        match change(camera.setup(), &setup) {
            // The content of files may have changed all the same.
            Change::Nothing if camera.state() != State::Failed => {
                camera.change(setup, vec![]);
                camera.retry();
            }
            Change::Options(changed) if camera.state() != State::Failed => {
                let of =
                    |new: &NewOptions| new.properties.iter().map(|name| format!("{name} of {}", new.element)).collect();
                let said: Vec<_> = changed.iter().flat_map::<Vec<_>, _>(of).collect();
                self.say(format!("{}: changed: {}", setup.name, said.join(", ")));
                camera.change(setup, changed);
                camera.retry();
            }
            _ => {
                self.say(format!("{}: starts anew", setup.name));
                camera.stop();
                running.next.insert(setup.name.clone(), setup);
            }
        }
    }

    fn begin(self: &Rc<Self>, running: &mut Running, setup: CameraSetup) {
        running.numbers += 1;
        let number = running.numbers;
        let reporter = Reporter { camera: number, source: None, sender: self.sender.clone() };
        let placement = Placement {
            core: setup.threads.pinned.then(|| free_core(running)).flatten(),
            threads: setup.threads.clone(),
            refused: self.refused.clone(),
        };
        let (meter, outputs) = self.options.meters.of(&setup.name);
        self.say(format!("{}: starts", setup.name));
        let view = self.options.views.as_ref().map(|views| views.of(&setup.name));
        let tracker = FrameTracker::new(meter, outputs, view);
        let camera = Camera::start(setup, running.patience, tracker, reporter, placement, self.stagger.clone());
        self.start_made(number, &camera);
        running.cameras.insert(number, camera);
    }

    fn take(self: &Rc<Self>, message: Message) {
        self.read(message);
        self.call();
    }

    fn read(self: &Rc<Self>, message: Message) {
        let mut running = self.state.borrow_mut();
        let Some(camera) = running.cameras.get_mut(&message.camera) else { return };
        if !camera.is_current(message.source) {
            return;
        }
        let name = camera.setup().name.clone();
        match message.report {
            Report::Latency => camera.distribute_latency(),
            Report::Note(text) => self.say(format!("{name}: {text}")),
            Report::Event(event) => {
                let failed = matches!(event, Event::AnalysisLost(_) | Event::SourceLost(_) | Event::CantOpen(_));
                let ended = event == Event::Ended;
                let before = (camera.state(), camera.reason().map(str::to_owned));
                let gone = camera.handle(event);
                if camera.state() != before.0 && camera.state() != State::Stopping {
                    self.happened(&name, Happened::Is(camera.shown()));
                }
                self.tell(camera, before);
                self.start_made(message.camera, camera);
                let broken = if failed { camera.gpu_failure() } else { None };
                let given_up = camera.state() == State::Failed;
                if ended && camera.state() == State::Stopping {
                    let setup = camera.setup().clone();
                    running.ended.push((*setup).clone());
                }
                if gone {
                    running.cameras.remove(&message.camera);
                    let has_ended = running.ended.iter().any(|ended| ended.name == name);
                    if !running.next.contains_key(&name) {
                        self.happened(&name, Happened::Gone { ended: has_ended });
                    }
                    match running.next.remove(&name) {
                        Some(setup) => self.begin(&mut running, setup),
                        // A camera that has ended stays visible in the monitor.
                        None if running.ending.is_none() && !has_ended => {
                            self.options.meters.forget(&name);
                            self.options.views.iter().for_each(|views| views.forget(&name));
                        }
                        None => {}
                    }
                }
                drop(running);
                if let Some(cause) = broken {
                    self.end_with(Outcome::GpuFailed(cause), LONGEST_STOP_OF_FAILED);
                } else if given_up || gone {
                    self.end_if_nothing_runs();
                }
            }
        }
    }

    fn happened(&self, name: &str, happened: Happened) {
        if self.options.on_happened.is_some() {
            self.calls.borrow_mut().push_back(Call::Happened(name.to_owned(), happened));
        }
    }

    /// Reports a change of state.
    fn tell(&self, camera: &Camera, before: (State, Option<String>)) {
        let (name, reason) = (&camera.setup().name, camera.reason().unwrap_or_default());
        match camera.state() {
            state if state == before.0 => {}
            State::Playing => self.say(format!("{name}: plays")),
            // Attempts that fail for the same reason again aren't reported.
            State::Stalled | State::Lost | State::Broken if before.1.as_deref() != Some(reason) => {
                self.say(format!("{name}: lost: {reason}"));
            }
            State::Refused if before.1.as_deref() != Some(reason) => self.say(format!(
                "{name}: {reason}; it's tried again after minutes, and at once when the configuration is read again"
            )),
            State::Failed => self.say(format!("{name}: failed: {reason}")),
            State::Stopped => self.say(format!("{name}: stopped")),
            _ => {}
        }
    }

    /// Finishes the pictures in flight, then ends; in less than 5 s in any case.
    pub fn stop(self: &Rc<Self>) {
        self.end_with(Outcome::Stopped, LONGEST_STOP);
        self.call();
    }

    fn end_with(self: &Rc<Self>, outcome: Outcome, longest: Duration) {
        {
            let mut running = self.state.borrow_mut();
            if running.ending.is_some() {
                return;
            }
            running.ending = Some(outcome);
            running.next.clear();
            for camera in running.cameras.values_mut() {
                camera.stop();
            }
        }
        let this = Rc::downgrade(self);
        self.spawn(async move {
            glib::timeout_future(longest).await;
            if let Some(this) = this.upgrade() {
                this.end_late();
            }
        });
        self.end_if_empty();
    }

    /// Ends the run when no camera is left, or none of those that are left can run.
    fn end_if_nothing_runs(self: &Rc<Self>) {
        if self.options.stays && self.state.borrow().ending.is_none() {
            return;
        }
        if self.state.borrow().cameras.is_empty() {
            return self.end_if_empty();
        }
        let reasons: Option<Vec<String>> = {
            let running = self.state.borrow();
            let reason = |camera: &Camera| {
                let failed = camera.state() == State::Failed;
                failed.then(|| format!("{}: {}", camera.setup().name, camera.reason().unwrap_or_default()))
            };
            running.cameras.values().map(reason).collect()
        };
        if let Some(reasons) = reasons {
            self.end_with(Outcome::NothingRuns(reasons), LONGEST_STOP);
        }
    }

    fn end_if_empty(&self) {
        let mut running = self.state.borrow_mut();
        if !running.cameras.is_empty() {
            return;
        }
        let outcome = match running.ending.clone() {
            Some(outcome) => outcome,
            // All sources have ended.
            None if !running.ended.is_empty() => Outcome::Stopped,
            None => return,
        };
        if let Some(end) = running.end.take() {
            running.ending = Some(outcome.clone());
            self.calls.borrow_mut().push_back(Call::End(end, outcome));
        }
    }

    /// The time for stopping is up.
    fn end_late(&self) {
        let mut running = self.state.borrow_mut();
        let Some(end) = running.end.take() else { return };
        // An engine build is cancelled, but not waited for.
        let left = running.cameras.values().filter(|camera| !camera.has_nothing_to_lose());
        let left: Vec<_> = left.map(|camera| camera.setup().name.clone()).collect();
        let outcome = match running.ending.clone() {
            Some(outcome) if outcome != Outcome::Stopped || left.is_empty() => outcome,
            _ => Outcome::Left(left),
        };
        drop(running);
        self.calls.borrow_mut().push_back(Call::End(end, outcome));
        self.call();
    }
}

/// The core with the fewest cameras.
fn free_core(running: &Running) -> Option<usize> {
    let used = |core: usize| running.cameras.values().filter(|camera| camera.core() == Some(core)).count();
    threads::allowed_cores().into_iter().min_by_key(|core| used(*core))
}
