//! One host: a process that joins the group and runs the cameras of its partitions.

use super::cluster::{Cluster, Record};
use super::member::Member;
use super::notice::{Notice, Tell};
use super::probes::Probes;
use super::reader::Reader;
use super::writer::Writer;
use super::{CAT, status};
use crate::backend;
use crate::config::{self, Findings, Loaded, Overrides, Severity};
use crate::error::Error;
use crate::monitor::{CameraState, Sample};
use crate::publish::{Lease, Origin};
use crate::run::{
    self, CameraSetup, Commands, FleetRun, Happened, Meters, OnPipeline, Options, Outcome, Supervisor, Views, Warm,
};
use ::fleet::{Action, Capacity, Doing, Drain, Event, Figures, Host, HostState, SETTINGS, Slot, drained_host};
use futures_channel::mpsc::{UnboundedReceiver, unbounded};
use futures_util::StreamExt;
use gst::glib;
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two looks at the time.
const TICK: Duration = Duration::from_millis(250);
/// Between two reports, unless something changes; and between two in any case.
const REPORT: Duration = Duration::from_secs(3);
const REPORT_CHANGE: Duration = Duration::from_millis(500);
/// Cameras that haven't stopped after this time are left to the supervisor.
const LONGEST_END: Duration = Duration::from_secs(6);
/// Between two looks at what the cameras take.
const MEASURE: Duration = Duration::from_secs(1);
/// The name that findings show.
const FILE: &str = "the fleet's configuration";

/// The settings of a fleet: a config.json without its cameras.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings(Map<String, Value>);

impl Settings {
    /// The settings that are there now; `None`: none have been written, or there is no such fleet yet.
    ///
    /// # Errors
    /// The brokers don't answer or refuse; the record isn't one of settings.
    pub fn read(cluster: &Cluster) -> Result<Option<Self>, Error> {
        let records = cluster.read(&cluster.topics().config)?.unwrap_or_default();
        let last = records.into_iter().rfind(|record| record.key.as_deref() == Some(SETTINGS));
        let Some(value) = last.and_then(|record| record.value) else { return Ok(None) };
        Self::of(&value).map(Some).map_err(|text| Error::new(crate::error::ErrorKind::Setting, text))
    }

    fn of(value: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(value).map(Self).map_err(|error| {
            format!("the fleet's settings can't be read ({error}): write them with gst-trt fleet apply")
        })
    }

    /// The plan without cameras, and its models.
    ///
    /// # Errors
    /// What this host doesn't have, or doesn't know.
    pub fn load(&self, overrides: &Overrides) -> Result<(Loaded, Vec<config::Model>), Findings> {
        config::load_text_for_build(Path::new(FILE), &config::joined(&self.0, []), overrides)
    }
}

/// How a host runs.
pub struct HostOptions {
    /// Its name, unique in the fleet: the static member.
    pub name: String,
    /// The group takes a host's cameras away that wasn't heard for this long.
    pub session: Duration,
    /// Most cameras at once; `None`: as many as there is room for.
    pub capacity: Option<usize>,
    /// Of the settings.
    pub overrides: Overrides,
    pub meters: Meters,
    /// Where clients may look at the cameras; `None`: nowhere.
    pub views: Option<Views>,
    /// Prints a line for the operator.
    pub say: Rc<dyn Fn(&str)>,
    /// Called with each pipeline before it starts.
    pub on_pipeline: Option<Box<OnPipeline>>,
    /// The last sample of the machine and the cameras.
    pub sample: Box<dyn Fn() -> Option<Sample>>,
}

/// A host on the main context that is the default of the thread that starts it.
pub struct HostProcess {
    name: String,
    run: String,
    overrides: Overrides,
    meters: Meters,
    say: Rc<dyn Fn(&str)>,
    sample: Box<dyn Fn() -> Option<Sample>>,
    probes: Probes,
    start: Instant,
    lease: Arc<Lease>,
    supervisor: Rc<Supervisor>,
    commands: RefCell<Commands>,
    writer: Writer,
    network: RefCell<Option<(Member, Reader)>>,
    state: RefCell<State>,
    tasks: RefCell<Vec<glib::JoinHandle<()>>>,
}

struct State {
    host: Host,
    capacity: Capacity,
    measured: Instant,
    /// Whether there are more cameras than there is room for; `None`: nothing was measured yet.
    full: Option<bool>,
    shown: HostState,
    settings: Settings,
    /// Holds the models open.
    _warm: Option<Warm>,
    /// What is to run.
    runs: BTreeMap<Slot, FleetRun>,
    /// What the supervisor was told to run, by name.
    applied: BTreeMap<String, CameraSetup>,
    /// Cameras that are to stop and haven't, by name.
    stopping: BTreeMap<String, Slot>,
    /// Cameras that the supervisor has.
    alive: BTreeSet<String>,
    /// The supervisor's list isn't what is to run.
    apply: bool,
    reported: Option<Instant>,
    changed: bool,
    trouble: Option<String>,
    ending: Option<Instant>,
}

impl HostProcess {
    /// Joins the group. `warm` holds the settings' models open. `end` is called once, after [`Self::stop`].
    ///
    /// # Errors
    /// A client of the brokers can't be made.
    pub fn start(
        cluster: &Cluster,
        settings: Settings,
        warm: Option<Warm>,
        probes: Probes,
        options: HostOptions,
        end: impl FnOnce(Outcome) + 'static,
    ) -> Result<Rc<Self>, Error> {
        let HostOptions { name, session, capacity, overrides, meters, views, say, on_pipeline, sample } = options;
        let (tell, notices) = unbounded();
        let run = process_id();
        let lease = Lease::new(session);
        let said = say.clone();
        let happened: Tell = tell.clone();
        let supervised = Options {
            meters: meters.clone(),
            views,
            say: Some(Box::new(move |text| said(text))),
            on_pipeline,
            on_happened: Some(Box::new(move |camera, what| {
                let _ = happened.unbounded_send(Notice::Happened(camera.to_owned(), what));
            })),
            stays: true,
        };
        let supervisor = Supervisor::start(vec![], run::Patience::default(), supervised, end);
        let told = say.clone();
        let commands = Commands::start(&supervisor, move |text| told(text));
        let reader = Reader::start(cluster, &name, tell.clone())?;
        let writer = Writer::start(cluster, tell.clone())?;
        let member = Member::join(cluster, &name, session, lease.clone(), tell)?;
        let capacity = Capacity::new(capacity, backend::work().image);
        let state = State {
            host: Host::new(&name, &run, capacity.cameras().unwrap_or(usize::MAX)),
            capacity,
            measured: Instant::now(),
            full: None,
            shown: HostState::Joining,
            settings,
            _warm: warm,
            runs: BTreeMap::new(),
            applied: BTreeMap::new(),
            stopping: BTreeMap::new(),
            alive: BTreeSet::new(),
            apply: false,
            reported: None,
            changed: true,
            trouble: None,
            ending: None,
        };
        let this = Rc::new(Self {
            name,
            run,
            overrides,
            meters,
            say,
            sample,
            probes,
            start: Instant::now(),
            lease,
            supervisor,
            commands: RefCell::new(commands),
            writer,
            network: RefCell::new(Some((member, reader))),
            state: RefCell::new(state),
            tasks: RefCell::default(),
        });
        this.listen(notices);
        Ok(this)
    }

    fn listen(self: &Rc<Self>, mut notices: UnboundedReceiver<Notice>) {
        let this = Rc::downgrade(self);
        let context = glib::MainContext::ref_thread_default();
        let listening = context.spawn_local(async move {
            while let Some(notice) = notices.next().await {
                let Some(this) = this.upgrade() else { return };
                this.take(notice);
                // What is there already is handled before cameras are started.
                while let Ok(notice) = notices.try_recv() {
                    this.take(notice);
                }
                this.apply();
            }
        });
        let this = Rc::downgrade(self);
        let ticking = context.spawn_local(async move {
            loop {
                glib::timeout_future(TICK).await;
                let Some(this) = this.upgrade() else { return };
                this.handle(Event::Tick);
                this.apply();
                this.look();
            }
        });
        self.tasks.borrow_mut().extend([listening, ticking]);
    }

    /// Makes outputs whose files were moved or deleted open them again.
    pub fn reopen_outputs(&self) {
        self.supervisor.reopen_outputs();
    }

    /// Records a clip of this moment with all cameras that record clips. `kind` says who asks.
    pub fn record_clips(&self, kind: &str) {
        self.supervisor.record_clips(None, kind, None);
    }

    /// Stops the cameras, and ends without leaving the group: a host of this name that starts within the session gets the same
    /// cameras.
    pub fn stop(&self) {
        {
            let mut state = self.state.borrow_mut();
            if state.ending.is_some() {
                return;
            }
            state.ending = Some(Instant::now());
        }
        self.handle(Event::End);
        self.apply();
    }

    fn take(&self, notice: Notice) {
        gst::trace!(CAT, "{notice:?}");
        match notice {
            Notice::Assigned(partitions) => {
                self.with_network(|_, reader| reader.follow(partitions.clone()));
                self.show(HostState::Serving);
                self.handle(Event::Assigned(partitions));
            }
            Notice::Revoked(partitions) => self.handle(Event::Revoked(partitions)),
            Notice::Lost(partitions) => {
                self.with_network(|_, reader| partitions.iter().for_each(|partition| reader.leave(*partition)));
                self.show(HostState::Away);
                self.handle(Event::Lost(partitions));
            }
            Notice::Suspended => {
                (self.say)("this process was suspended for longer than the group waits: its cameras are stopped");
                self.handle(Event::Suspended);
            }
            Notice::Camera(record) => self.record(record, |slot, offset, value| Event::Record { slot, offset, value }),
            Notice::CamerasRead(partition) => self.handle(Event::RecordsRead(partition)),
            Notice::Claim(record) => self.record(record, |slot, offset, value| Event::Claim { slot, offset, value }),
            Notice::ClaimsRead(partition) => self.handle(Event::ClaimsRead(partition)),
            Notice::Config(record) => self.config(record),
            Notice::Claimed { slot, offset } => self.handle(Event::Claimed { slot, offset }),
            Notice::ClaimFailed { slot, reason } => self.handle(Event::ClaimFailed { slot, reason }),
            Notice::Happened(camera, happened) => self.happened(&camera, happened),
            Notice::Trouble(text) => {
                if self.state.borrow().trouble.as_ref() != Some(&text) {
                    (self.say)(&text);
                    self.state.borrow_mut().trouble = Some(text);
                }
            }
            Notice::Left => {
                (self.say)("drained: other hosts have the cameras");
                self.show(HostState::Drained);
            }
        }
    }

    fn with_network(&self, call: impl FnOnce(&Member, &Reader)) {
        if let Some((member, reader)) = &*self.network.borrow() {
            call(member, reader);
        }
    }

    fn show(&self, shown: HostState) {
        let mut state = self.state.borrow_mut();
        // A host that is to be drained serves no more.
        if !matches!(state.shown, HostState::Draining | HostState::Drained) || shown == HostState::Drained {
            state.shown = shown;
        }
        state.changed = true;
    }

    fn record(&self, record: Record, event: impl FnOnce(Slot, i64, Option<Vec<u8>>) -> Event) {
        let Record { partition, offset, key, value } = record;
        match key {
            Some(camera) => self.handle(event(Slot { partition, camera }, offset, value)),
            None => (self.say)(&format!(
                "record {offset} of partition {partition} is left out: its key isn't text, which would be a camera's name"
            )),
        }
    }

    fn config(&self, record: Record) {
        let (Some(key), Some(value)) = (record.key, record.value) else { return };
        if drained_host(&key) == Some(&self.name) {
            if Drain::read(&value).is_ok_and(|drain| drain.run == self.run) {
                (self.say)("this host is to be drained: its cameras go to others");
                self.show(HostState::Draining);
                self.handle(Event::Drain);
                self.with_network(|member, _| member.leave());
            }
        } else if key == SETTINGS {
            let settings = match Settings::of(&value) {
                Ok(settings) => settings,
                Err(text) => return (self.say)(&text),
            };
            if self.state.borrow().settings == settings {
                return;
            }
            // Settings that can't be used don't stop what runs.
            match settings.load(&self.overrides) {
                Ok((loaded, _)) => {
                    (self.say)("the fleet's settings have changed");
                    self.warn(&loaded.findings);
                    let mut state = self.state.borrow_mut();
                    (state.settings, state.apply) = (settings, true);
                }
                Err(findings) => (self.say)(&format!("the fleet's settings weren't applied:\n{findings}")),
            }
        }
    }

    fn warn(&self, findings: &Findings) {
        for finding in findings.list.iter().filter(|finding| finding.severity < Severity::Notice) {
            (self.say)(&findings.line(finding));
        }
    }

    fn happened(&self, name: &str, happened: Happened) {
        let (stopping, running) = {
            let mut state = self.state.borrow_mut();
            state.changed = true;
            let gone = matches!(happened, Happened::Gone { .. });
            if gone {
                state.alive.remove(name);
                state.applied.remove(name);
            }
            let stopping = if gone { state.stopping.remove(name) } else { None };
            (stopping, state.runs.keys().find(|slot| slot.camera == name).cloned())
        };
        match (happened, stopping, running) {
            (Happened::Gone { .. }, Some(slot), _) => self.handle(Event::Stopped(slot)),
            (Happened::Gone { .. }, None, Some(slot)) => {
                self.handle(Event::Unusable { slot, reason: "its source has ended".into() });
            }
            (Happened::Is(CameraState::Playing), _, Some(slot)) => self.handle(Event::Plays(slot)),
            _ => {}
        }
    }

    /// Gives the state machine an event, and does what it says.
    fn handle(&self, event: Event) {
        let now = self.start.elapsed();
        let actions = self.state.borrow_mut().host.handle(event, now);
        for action in actions {
            gst::debug!(CAT, "{action:?}");
            self.act(action);
        }
    }

    fn act(&self, action: Action) {
        if !matches!(action, Action::Say(_) | Action::LetGo(_)) {
            self.state.borrow_mut().changed = true;
        }
        match action {
            Action::Claim { slot, claim } => self.writer.claim(&slot, &claim),
            Action::Note { slot, claim } => self.writer.note(&slot, &claim),
            Action::Start { slot, epoch } => {
                let origin = Origin { host: self.name.as_str().into(), epoch: epoch.unsigned_abs() };
                let run = FleetRun { origin, gate: self.lease.gate() };
                let mut state = self.state.borrow_mut();
                state.runs.insert(slot, run);
                state.apply = true;
            }
            Action::Changed(_) => self.state.borrow_mut().apply = true,
            Action::Stop(slot) => self.stop_camera(slot),
            Action::Cut(slot) => {
                // It may be stopping already.
                let state = self.state.borrow();
                let gate = |setup: &CameraSetup| setup.run.as_ref().map(|run| run.gate.clone());
                let applied = state.applied.get(&slot.camera).and_then(gate);
                let gate = state.runs.get(&slot).map(|run| run.gate.clone());
                drop(state);
                gate.into_iter().chain(applied).for_each(|gate| gate.cut());
                // An output that waits for its server doesn't look at the gate.
                self.supervisor.purge_outputs(&slot.camera);
                self.stop_camera(slot);
            }
            Action::Hold(slot) => self.hold(&slot, true),
            Action::Resume(slot) => self.hold(&slot, false),
            Action::LetGo(partition) => self.with_network(|member, reader| {
                reader.leave(partition);
                member.let_go(partition);
            }),
            Action::Say(text) => (self.say)(&text),
        }
    }

    fn hold(&self, slot: &Slot, hold: bool) {
        if let Some(run) = self.state.borrow().runs.get(slot) {
            run.gate.hold(hold);
        }
    }

    fn stop_camera(&self, slot: Slot) {
        let alive = {
            let mut state = self.state.borrow_mut();
            state.runs.remove(&slot);
            state.apply = true;
            let alive = state.alive.contains(&slot.camera);
            if alive {
                state.stopping.insert(slot.camera.clone(), slot.clone());
            }
            alive
        };
        if !alive {
            self.handle(Event::Stopped(slot));
        }
    }

    /// Has the supervisor run what is to run.
    fn apply(&self) {
        while std::mem::take(&mut self.state.borrow_mut().apply) {
            let slots: Vec<Slot> = self.state.borrow().runs.keys().cloned().collect();
            if slots.is_empty() {
                self.state.borrow_mut().applied.clear();
                self.supervisor.apply(vec![], run::Patience::default());
                self.commands.borrow_mut().apply(&[]);
                continue;
            }
            match self.load(&slots) {
                Ok(loaded) => self.apply_plan(&slots, loaded),
                Err(findings) => self.leave_out(&slots, &findings),
            }
        }
    }

    fn load(&self, slots: &[Slot]) -> Result<Loaded, Findings> {
        let text = {
            let state = self.state.borrow();
            let cameras = slots.iter().filter_map(|slot| state.host.record(slot)).map(|record| &record.camera);
            config::joined(&state.settings.0, cameras)
        };
        let mut loaded = config::load_part(Path::new(FILE), &text, &self.overrides)?;
        // Other hosts are clients of the same brokers.
        let outputs = loaded.plan.cameras.iter_mut().map(|camera| &mut camera.outputs);
        outputs.filter_map(|outputs| outputs.mqtt.as_mut()).for_each(|mqtt| mqtt.broker.of_host(&self.name));
        Ok(loaded)
    }

    /// Cameras with errors don't run; the others do.
    fn leave_out(&self, slots: &[Slot], findings: &Findings) {
        let errors = || findings.list.iter().filter(|finding| finding.severity == Severity::Error);
        let mut of: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for finding in errors() {
            if let Some(n) = config::camera_of(finding) {
                of.entry(n).or_default().push(finding.to_string());
            }
        }
        if of.is_empty() {
            return (self.say)(&format!("the fleet's settings weren't applied:\n{findings}"));
        }
        for (n, reasons) in of {
            if let Some(slot) = slots.get(n) {
                self.handle(Event::Unusable { slot: slot.clone(), reason: reasons.join("; ") });
            }
        }
    }

    fn apply_plan(&self, slots: &[Slot], loaded: Loaded) {
        let plan = &loaded.plan;
        let kept = |camera: &str| self.supervisor.gpu_of(camera);
        let setups = run::check_certificates(plan).and_then(|()| run::cameras(plan, kept));
        let setups = match setups {
            Ok(setups) => setups,
            Err(error) => return (self.say)(&format!("the fleet's configuration wasn't applied: {error}")),
        };
        let (mut list, mut restart) = (Vec::with_capacity(setups.len()), Vec::new());
        for (setup, slot) in setups.into_iter().zip(slots) {
            let mut state = self.state.borrow_mut();
            let Some(run) = state.runs.get(slot) else { continue };
            let mut setup = setup.in_fleet(run);
            if let Some(old) = state.applied.get(&setup.name).filter(|old| old.run == setup.run) {
                // Cameras that come and go beside it don't restart it.
                setup.picture_memory = old.picture_memory;
                if run::needs_restart(old, &setup) {
                    restart.push(slot.clone());
                    // It goes on until its new run is claimed.
                    setup = old.clone();
                }
            }
            state.applied.insert(setup.name.clone(), setup.clone());
            state.alive.insert(setup.name.clone());
            list.push(setup);
        }
        self.supervisor.apply(list, run::patience(plan));
        self.commands.borrow_mut().apply(&plan.cameras);
        restart.into_iter().for_each(|slot| self.handle(Event::Restart(slot)));
    }

    /// Measures what the cameras take, which says how many there is room for.
    fn measure(&self) {
        if self.state.borrow().measured.elapsed() < MEASURE {
            return;
        }
        let (mut snapshots, work) = (self.meters.snapshots(), backend::work());
        snapshots.retain(|camera| camera.state == CameraState::Playing);
        let sample = (self.sample)().filter(|_| work.on_gpus);
        let decoders = sample.iter().flat_map(|sample| &sample.gpus).filter_map(|gpu| gpu.decoder_percent);
        let figures = Figures {
            playing: snapshots.len(),
            work: work.done,
            decoders: decoders.map(|percent| percent / 100.0).reduce(f64::max),
            frames: snapshots.iter().map(|camera| camera.frames).sum(),
            drops: snapshots.iter().map(|camera| camera.drops).sum(),
        };
        let mut state = self.state.borrow_mut();
        state.measured = Instant::now();
        state.capacity.expect(work.image);
        let complete = state.capacity.measure(self.start.elapsed(), figures);
        let (room, why) = (state.capacity.cameras(), state.capacity.describe());
        state.host.set_capacity(room.unwrap_or(usize::MAX));
        if !complete {
            return;
        }
        gst::info!(CAT, "room for {room:?} camera(s): {why}; {figures:?}");
        let takes_place = |doing: &Doing| !matches!(doing, Doing::Quarantined | Doing::Unusable(_));
        let wanted = state.host.cameras().filter(|view| takes_place(&view.doing)).count();
        let full = room.is_some_and(|room| wanted > room);
        if state.full.replace(full) != Some(full)
            && let Some(room) = room
        {
            (self.say)(&format!("room for {room} camera(s): {why}"));
        }
    }

    /// Reports, and ends when everything has stopped.
    fn look(&self) {
        self.measure();
        let due = {
            let state = self.state.borrow();
            let age = state.reported.map(|reported| reported.elapsed());
            age.is_none_or(|age| age >= REPORT || state.changed && age >= REPORT_CHANGE)
        };
        let ended = {
            let state = self.state.borrow();
            state.ending.is_some_and(|since| state.host.is_idle() || since.elapsed() > LONGEST_END)
        };
        if due || ended {
            self.report(ended);
        }
        self.probes.looked(self.readiness());
        if ended && self.network.borrow().is_some() {
            self.writer.flush(Duration::from_secs(2));
            // Without leaving the group.
            drop(self.network.take());
            self.supervisor.stop();
        }
    }

    fn readiness(&self) -> Result<(), String> {
        let state = self.state.borrow();
        match state.shown {
            HostState::Serving if state.host.has_read() => Ok(()),
            HostState::Serving => Err("it reads its cameras".into()),
            HostState::Joining => Err("it hasn't joined the group".into()),
            HostState::Away => Err("the group isn't there".into()),
            HostState::Draining | HostState::Drained | HostState::Stopped => Err("it gives its cameras away".into()),
        }
    }

    fn report(&self, ended: bool) {
        let sample = (self.sample)();
        let mut state = self.state.borrow_mut();
        (state.reported, state.changed) = (Some(Instant::now()), false);
        let shown = if ended { HostState::Stopped } else { state.shown };
        let capacity = state.capacity.cameras();
        let views: Vec<_> = if ended { vec![] } else { state.host.cameras().collect() };
        drop(state);
        let snapshots = self.meters.snapshots();
        let cameras = status::cameras(&views, &snapshots, sample.as_ref());
        self.meters.set_idle(status::idle(&views));
        let about = status::Process { host: &self.name, run: &self.run, state: shown, capacity };
        self.writer.status(&self.name, &status::of(&about, cameras, sample.as_ref()).write());
    }
}

impl Drop for HostProcess {
    fn drop(&mut self) {
        self.tasks.take().iter().for_each(glib::JoinHandle::abort);
    }
}

/// Tells this process from others of the same host, also in containers, where numbers of processes repeat.
fn process_id() -> String {
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{}-{:x}", std::process::id(), time.as_micros())
}
