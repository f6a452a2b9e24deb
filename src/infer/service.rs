//! The service: one opened model, shared by every element that wants the same one.

use super::stats::Latencies;
use super::ticket::{Launch, Pending};
use super::{Engine, Frame, Lane, ModelSettings, Notify, Output, ServiceStats, Slot, Tensor, Ticket};
use crate::error::{Error, ErrorKind, OnFailure};
use crate::scheduling::{RecentMax, Sleep, Scheduler, StreamId};
use gst::prelude::*;
use model::{Params, Rect};
use parking_lot::{Condvar, Mutex};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "trtservice",
        gst::DebugColorFlags::empty(),
        Some("Batching and lanes of TensorRT elements"),
    )
});

/// How long closing a service waits for a batch that still runs, and for one on a device that has failed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
const FAILED_CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// What an element wants to know of one frame.
pub struct Request {
    pub frame: Arc<Frame>,
    /// At least one, frame pixels.
    pub regions: Vec<Rect>,
    /// Inputs made upstream for this frame.
    pub tensors: Vec<Arc<Tensor>>,
    pub params: Arc<Params>,
    /// How long the frame may wait for others, to fill a batch.
    pub batch_timeout: Duration,
    /// The caller has the time to run the batch itself, if a lane is free: the ticket is ready then when it gets it.
    pub at_once: bool,
}

/// A model that runs on its backend's lanes. Closed when the last [`Arc`] goes.
pub struct Service {
    engine: Arc<dyn Engine>,
    shared: Arc<Shared>,
    /// Told of the device's failure; held here for its watchers list.
    _on_failure: Arc<OnFailure>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("name", &self.name()).finish_non_exhaustive()
    }
}

/// What the lanes' threads see.
struct Shared {
    /// See [`Service::name`].
    name: String,
    state: Mutex<State>,
    /// There may be something to run.
    work: Condvar,
    /// A lane's thread has ended.
    ended: Condvar,
    stats: Mutex<Stats>,
    /// See [`Service::batch_time`].
    batch_time: RecentMax,
}

struct State {
    scheduler: Scheduler<LaneBatch, Job>,
    /// Lanes' threads that run.
    threads: usize,
    closing: bool,
    /// The device failed: nothing will run any more.
    failed: Option<Error>,
}

#[derive(Default)]
struct Stats {
    totals: ServiceStats,
    /// Batches by their number of slots.
    launches: Vec<u64>,
    latency: Latencies,
    batch_time: Latencies,
}

/// A slot and where its result goes.
struct Job {
    slot: Slot,
    owner: Owner,
}

/// A lane and the batch that it runs, which is empty while the lane is free.
struct LaneBatch {
    /// The lane's number.
    number: usize,
    lane: Box<dyn Lane>,
    slots: Vec<Slot>,
    owners: Vec<Owner>,
}

impl LaneBatch {
    fn with((mut lane_batch, jobs): (Self, impl Iterator<Item = Job>)) -> Self {
        for Job { slot, owner } in jobs {
            lane_batch.slots.push(slot);
            lane_batch.owners.push(owner);
        }
        lane_batch
    }
}

/// What a lane has run.
struct Done {
    launch: Launch,
    candidates: u64,
    objects: u64,
    failed: bool,
}

struct Owner {
    pending: Arc<Pending>,
    region: usize,
    stream: StreamId,
}

impl Service {
    /// Starts an opened model's lanes and runs each once, so that no frame pays for what is done on first use.
    ///
    /// # Errors
    /// When the device has no room for the lanes, the warm-up run fails, or it shows that the model has another head.
    pub fn start(engine: Arc<dyn Engine>, settings: &ModelSettings) -> Result<Arc<Self>, Error> {
        let mut lanes = engine.lanes()?;
        let mut batch_time = Duration::ZERO;
        for (number, lane) in lanes.iter_mut().enumerate() {
            // All lanes run the same model.
            if number == 0 { lane.examine() } else { lane.warm_up() }?;
            let start = Instant::now();
            lane.warm_up()?;
            batch_time = batch_time.max(start.elapsed());
        }
        let file = settings.model.file_name().unwrap_or(settings.model.as_os_str()).to_string_lossy();
        let (threads, max_batch) = (lanes.len(), engine.max_batch());
        let lane_batch = |(number, lane)| {
            let (slots, owners) = (Vec::with_capacity(max_batch), Vec::with_capacity(max_batch));
            LaneBatch { number, lane, slots, owners }
        };
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{file}, {:?}, batch {max_batch}, service {number}", settings.backend);
        gst::info!(CAT, "{name}: {} on {threads} lane(s), {batch_time:?} a batch", engine.description());
        let shared = Arc::new(Shared {
            name,
            state: Mutex::new(State {
                scheduler: Scheduler::new(engine.batch_sizes(), lanes.into_iter().enumerate().map(lane_batch)),
                threads,
                closing: false,
                failed: None,
            }),
            work: Condvar::new(),
            ended: Condvar::new(),
            stats: Mutex::new(Stats { launches: vec![0; max_batch + 1], ..Stats::default() }),
            batch_time: RecentMax::new(batch_time),
        });
        let watched = Arc::downgrade(&shared);
        let on_failure: Arc<OnFailure> = Arc::new(move |error| {
            if let Some(shared) = watched.upgrade() {
                shared.fail(error);
            }
        });
        engine.watch(&on_failure);
        // From here on dropping the service ends the threads that were started.
        let service = Arc::new(Self { engine, shared, _on_failure: on_failure });
        for k in 0..threads {
            let shared = service.shared.clone();
            let started = std::thread::Builder::new().name(format!("trt-lane-{k}")).spawn(move || shared.run());
            if let Err(e) = started {
                service.shared.state.lock().threads = k;
                return Err(Error::new(ErrorKind::Failed, format!("no thread for {}: {e}", service.name())));
            }
        }
        Ok(service)
    }

    /// What `stats` calls it: the file, the backend, the batch size, and a number that no other service of this process has.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    pub fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// How long one batch takes, slow ones of late included.
    pub fn batch_time(&self) -> Duration {
        self.shared.batch_time.get()
    }

    pub fn stats(&self) -> ServiceStats {
        let stats = self.shared.stats.lock();
        let (latency, batch_time) = (stats.latency.percentiles(), stats.batch_time.percentiles());
        ServiceStats { latency, batch_time, ..stats.totals }
    }

    /// How many batches of 0, 1, 2, … slots were run.
    pub fn launches(&self) -> Vec<u64> {
        self.shared.stats.lock().launches.clone()
    }

    /// Why nothing runs in it any more; `None` while all is well.
    pub fn failure(&self) -> Option<Error> {
        self.shared.state.lock().failed.clone()
    }

    /// A stream of frames in order, of which at most `max_in_flight` are submitted and not finished.
    pub fn stream(self: &Arc<Self>, max_in_flight: usize) -> ServiceStream {
        let id = self.shared.state.lock().scheduler.add_stream(max_in_flight);
        gst::debug!(CAT, "{}: {id} begins, at most {max_in_flight} frames in flight", self.name());
        ServiceStream { service: self.clone(), id }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.closing = true;
        self.shared.work.notify_all();
        let start = Instant::now();
        while state.threads > 0 {
            // It may fail while we wait.
            let limit = if state.failed.is_some() { FAILED_CLOSE_TIMEOUT } else { CLOSE_TIMEOUT };
            let Some(left) = limit.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) else {
                gst::info!(CAT, "{}: a batch still runs after {limit:?}, its thread is left alone", self.name());
                break;
            };
            self.shared.ended.wait_for(&mut state, left);
        }
        // Before the engine that they are of.
        let lanes = state.scheduler.take_lanes();
        drop(state);
        drop(lanes);
    }
}

/// One element's frames on their way to a [`Service`].
#[derive(Debug)]
pub struct ServiceStream {
    service: Arc<Service>,
    id: StreamId,
}

impl ServiceStream {
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Names it among the streams of its service, in logs.
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// Takes a frame's regions; `notify` is told when the ticket is ready, unless it is when this returns.
    ///
    /// # Errors
    /// [`ErrorKind::Device`] once the device has failed, with the first cause.
    pub fn submit(&self, request: Request, notify: Arc<dyn Notify>) -> Result<Ticket, Error> {
        let now = Instant::now();
        let Request { frame, regions, tensors, params, batch_timeout, at_once } = request;
        let pending = Arc::new(Pending::new(now, regions.len(), notify));
        let spec = self.service.engine.input();
        let jobs = regions.into_iter().enumerate().map(|(k, region)| {
            let tensor = tensors.iter().find(|t| t.region == region && t.spec == *spec).cloned();
            Job {
                slot: Slot { frame: frame.clone(), region, tensor, params: params.clone(), output: Output::default() },
                owner: Owner { pending: pending.clone(), region: k, stream: self.id },
            }
        });
        let shared = &self.service.shared;
        let mut state = shared.state.lock();
        if let Some(error) = &state.failed {
            return Err(error.clone());
        }
        let scheduler = &mut state.scheduler;
        scheduler.submit(self.id, now, now + batch_timeout, jobs);
        let lane_batch = if at_once { scheduler.take_at_once(now).map(LaneBatch::with) } else { None };
        let wakes = lane_batch.is_none() && scheduler.submission_wakes(now);
        drop(state);
        if let Some(lane_batch) = lane_batch {
            shared.run_batch(lane_batch, Some(&pending));
        } else if wakes {
            shared.work.notify_one();
        }
        Ok(Ticket(pending))
    }

    /// True when a full batch, of frames of any streams, waits for a lane.
    pub fn full_batch_waits(&self) -> bool {
        self.service.shared.state.lock().scheduler.full_batch_waits()
    }

    /// Takes back all that no lane has begun; its tickets never become ready.
    pub fn flush(&self) {
        let jobs = {
            let mut state = self.service.shared.state.lock();
            let jobs = state.scheduler.flush_stream(self.id);
            let mut frames: Vec<_> = jobs.iter().map(|j| Arc::as_ptr(&j.owner.pending)).collect();
            frames.dedup();
            for _ in frames {
                state.scheduler.frame_done(self.id);
            }
            jobs
        };
        gst::debug!(CAT, "{}: {} is flushed, {} region(s) won't run", self.service.name(), self.id, jobs.len());
        drop(jobs);
        self.service.shared.work.notify_one();
    }

    /// No frame is to be expected for now: paused, or at its end.
    pub fn rest(&self) {
        self.service.shared.state.lock().scheduler.rest_stream(self.id);
        gst::debug!(CAT, "{}: {} rests", self.service.name(), self.id);
        self.service.shared.work.notify_one();
    }
}

impl Drop for ServiceStream {
    fn drop(&mut self) {
        let jobs = self.service.shared.state.lock().scheduler.remove_stream(self.id);
        gst::debug!(CAT, "{}: {} ends, {} region(s) won't run", self.service.name(), self.id, jobs.len());
        drop(jobs);
        self.service.shared.work.notify_one();
    }
}

impl Shared {
    /// A lane's thread. Lanes don't belong to threads: a thread that submits with time to spare takes a free one too.
    fn run(&self) {
        while let Some(lane_batch) = self.wait_for_batch() {
            self.run_batch(lane_batch, None);
        }
        self.state.lock().threads -= 1;
        self.ended.notify_all();
    }

    /// Waits for something to launch and a free lane; `None` when the thread has to end.
    fn wait_for_batch(&self) -> Option<LaneBatch> {
        let mut state = self.state.lock();
        loop {
            if state.closing || state.failed.is_some() {
                return None;
            }
            let now = Instant::now();
            let found = state.scheduler.look(now).map(LaneBatch::with);
            match found {
                Ok(lane_batch) => {
                    // Another lane's thread may have relied on this one to wake up.
                    if state.scheduler.work_is_left() {
                        self.work.notify_one();
                    }
                    return Some(lane_batch);
                }
                Err(Sleep::Until(time)) => {
                    self.work.wait_until(&mut state, time);
                    state.scheduler.awake();
                }
                Err(Sleep::UntilWoken) => self.work.wait(&mut state),
            }
        }
    }

    /// Runs a batch and hands out its results. `own` is the caller's own frame, whose result it sees without being told.
    fn run_batch(&self, mut lane_batch: LaneBatch, own: Option<&Arc<Pending>>) {
        let start = Instant::now();
        self.trace_launch(&lane_batch, start);
        let run = std::panic::AssertUnwindSafe(|| lane_batch.lane.run(&mut lane_batch.slots));
        let result = std::panic::catch_unwind(run)
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::Device, "the engine panicked; its text is on stderr")));
        let took = start.elapsed();
        if let Err(error) = &result
            && error.kind == ErrorKind::Device
        {
            self.fail(error);
        }
        let LaneBatch { number: lane, slots, owners, .. } = &mut lane_batch;
        let launch = Launch { lane: *lane, batch: slots.len(), start, took };
        let candidates = slots.iter().map(|slot| u64::from(slot.output.candidates)).sum();
        let objects = slots.iter().map(|slot| slot.output.detections.len() as u64).sum();
        let done = Done { launch, candidates, objects, failed: result.is_err() };
        let mut finished = Vec::with_capacity(slots.len());
        for (slot, owner) in slots.drain(..).zip(owners.drain(..)) {
            // The frame goes before the ticket is ready, so that the element has it for itself again.
            let Slot { frame, mut output, .. } = slot;
            drop(frame);
            let outcome = match (&result, output.error.take()) {
                (Err(error), _) => Err(error.clone()),
                (Ok(()), Some(error)) => Err(error),
                (Ok(()), None) => Ok(output),
            };
            finished.extend(owner.pending.finish(owner.region, outcome, Some(launch)).map(|latency| (owner, latency)));
        }
        self.count(&done, &finished);
        self.tell(finished, Some((lane_batch, &done)), own);
    }

    fn trace_launch(&self, lane_batch: &LaneBatch, now: Instant) {
        // A frame is told of once, whatever the number of its regions.
        for (slot, owner) in lane_batch.slots.iter().zip(&lane_batch.owners).filter(|(_, owner)| owner.region == 0) {
            gst::trace!(
                CAT,
                "{}: {}, frame {}: launched on lane {} in a batch of {}, after {:?}",
                self.name,
                owner.stream,
                slot.frame.buffer.pts().display(),
                lane_batch.number,
                lane_batch.slots.len(),
                now.saturating_duration_since(owner.pending.submitted())
            );
        }
    }

    /// The device failed: what waits fails with it, and nothing is taken any more. The first cause stays.
    fn fail(&self, error: &Error) {
        let (abandoned, error) = {
            let mut state = self.state.lock();
            if state.failed.is_none() {
                gst::error!(CAT, "{}: {error}: nothing runs on this device any more", self.name);
            }
            let first = state.failed.get_or_insert_with(|| error.clone()).clone();
            (state.scheduler.take_all(), first)
        };
        self.work.notify_all();
        self.ended.notify_all();
        let finished = abandoned.into_iter().filter_map(|Job { slot, owner }| {
            drop(slot);
            let latency = owner.pending.finish(owner.region, Err(error.clone()), None)?;
            Some((owner, latency))
        });
        self.tell(finished.collect(), None, None);
    }

    /// Frees the lane, and tells all but the caller.
    fn tell(&self, finished: Vec<(Owner, Duration)>, ran: Option<(LaneBatch, &Done)>, own: Option<&Arc<Pending>>) {
        let wanted = {
            let mut state = self.state.lock();
            for (owner, _) in &finished {
                state.scheduler.frame_done(owner.stream);
            }
            if let Some((lane_batch, done)) = ran {
                let Launch { batch, start, took, .. } = done.launch;
                state.scheduler.finish(lane_batch, start, start + took, batch);
            }
            own.is_some() && state.scheduler.work_is_left()
        };
        // A lane's own thread looks for work by itself.
        if wanted {
            self.work.notify_one();
        }
        for (owner, _) in finished {
            if !own.is_some_and(|own| Arc::ptr_eq(own, &owner.pending)) {
                owner.pending.tell();
            }
        }
    }

    fn count(&self, done: &Done, finished: &[(Owner, Duration)]) {
        let Launch { lane, batch, took, .. } = done.launch;
        gst::trace!(CAT, "{}: lane {lane} has run a batch of {batch} in {took:?}", self.name);
        self.batch_time.record(took);
        let mut stats = self.stats.lock();
        stats.totals.batches += 1;
        stats.totals.slots += batch as u64;
        stats.totals.candidates += done.candidates;
        stats.totals.objects += done.objects;
        stats.totals.failed += u64::from(done.failed);
        if let Some(launches) = stats.launches.get_mut(batch) {
            *launches += 1;
        }
        stats.totals.frames += finished.len() as u64;
        stats.batch_time.record(took);
        for (_, latency) in finished {
            stats.latency.record(*latency);
        }
    }
}
