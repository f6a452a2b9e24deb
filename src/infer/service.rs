//! The service: one opened model, shared by all elements with equal settings.

use super::stats::Latencies;
use super::ticket::{Launch, Pending};
use super::{Engine, Frame, Lane, ModelSettings, Notify, Output, ServiceStats, Slot, Tensor, Ticket};
use crate::error::{Error, ErrorKind, OnFailure};
use crate::scheduling::{RecentMax, Scheduler, Sleep, StreamId};
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

/// How long closing a service waits for a batch that still runs, and for one on a failed device.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
const FAILED_CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// The inference request of one frame.
pub struct Request {
    pub frame: Arc<Frame>,
    /// At least one region, in frame pixels.
    pub regions: Vec<Rect>,
    /// Inputs made upstream for this frame.
    pub tensors: Vec<Arc<Tensor>>,
    pub params: Arc<Params>,
    /// How long the frame may wait for others to fill a batch.
    pub batch_timeout: Duration,
    /// The caller has time to run the batch itself if a lane is free. The returned ticket is ready then.
    pub at_once: bool,
}

/// A model that runs on its backend's lanes. It is closed when the last [`Arc`] is dropped.
pub struct Service {
    engine: Arc<dyn Engine>,
    shared: Arc<Shared>,
    /// Receives the device's failure. The engine holds it weakly, so it is kept alive here.
    _on_failure: Arc<OnFailure>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("name", &self.name()).finish_non_exhaustive()
    }
}

/// The state shared with the lanes' threads.
struct Shared {
    /// See [`Service::name`].
    name: String,
    state: Mutex<State>,
    /// There may be a batch to run.
    work: Condvar,
    /// A lane's thread has ended.
    ended: Condvar,
    stats: Mutex<Stats>,
    /// See [`Service::batch_time`].
    batch_time: RecentMax,
}

struct State {
    scheduler: Scheduler<LaneBatch, Job>,
    /// The number of running lane threads.
    threads: usize,
    closing: bool,
    /// Set once the device has failed; nothing runs after that.
    failed: Option<Error>,
}

#[derive(Default)]
struct Stats {
    totals: ServiceStats,
    /// The number of batches by their slots.
    launches: Vec<u64>,
    latency: Latencies,
    batch_time: Latencies,
}

/// A slot, and the destination of its result.
struct Job {
    slot: Slot,
    owner: Owner,
}

/// A lane and the batch that it runs; the batch is empty while the lane is free.
struct LaneBatch {
    /// The index of the lane.
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

/// A batch that a lane has run.
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
    /// Starts an opened model's lanes and runs each once, so that no frame pays for first-use initialisation.
    ///
    /// # Errors
    /// The device has too little memory for the lanes, the warm-up fails, or it shows that the model has another head.
    pub fn start(engine: Arc<dyn Engine>, settings: &ModelSettings) -> Result<Arc<Self>, Error> {
        let mut lanes = engine.lanes()?;
        let mut batch_time = Duration::ZERO;
        for (number, lane) in lanes.iter_mut().enumerate() {
            // All lanes run the same model, so examining one is enough.
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
            stats: Mutex::new(Stats {
                launches: vec![0; max_batch + 1],
                totals: ServiceStats::warmed_up(batch_time, max_batch),
                ..Stats::default()
            }),
            batch_time: RecentMax::new(batch_time),
        });
        let watched = Arc::downgrade(&shared);
        let on_failure: Arc<OnFailure> = Arc::new(move |error| {
            if let Some(shared) = watched.upgrade() {
                shared.fail(error);
            }
        });
        engine.watch(&on_failure);
        // From here on, dropping the service ends the threads that were started.
        let service = Arc::new(Self { engine, shared, _on_failure: on_failure });
        for k in 0..threads {
            let shared = service.shared.clone();
            let started = std::thread::Builder::new().name(format!("trt-lane-{k}")).spawn(move || shared.run());
            if let Err(e) = started {
                service.shared.state.lock().threads = k;
                return Err(Error::new(ErrorKind::Failed, format!("can't start a thread for {}: {e}", service.name())));
            }
        }
        Ok(service)
    }

    /// The name in `stats`: the file, the backend, the batch size and a number that is unique in the process.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    pub fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// The time of one batch, including recent slow ones.
    pub fn batch_time(&self) -> Duration {
        self.shared.batch_time.get()
    }

    pub fn stats(&self) -> ServiceStats {
        let stats = self.shared.stats.lock();
        let (latency, batch_time) = (stats.latency.percentiles(), stats.batch_time.percentiles());
        ServiceStats { latency, batch_time, ..stats.totals }
    }

    /// The number of batches that ran with 0, 1, 2, … slots.
    pub fn launches(&self) -> Vec<u64> {
        self.shared.stats.lock().launches.clone()
    }

    /// The reason why the service has failed; `None` while it works.
    pub fn failure(&self) -> Option<Error> {
        self.shared.state.lock().failed.clone()
    }

    /// Registers a stream with at most `max_in_flight` frames submitted and not finished.
    pub fn stream(self: &Arc<Self>, max_in_flight: usize) -> ServiceStream {
        let id = self.shared.state.lock().scheduler.add_stream(max_in_flight);
        gst::debug!(CAT, "{}: {id} is added, at most {max_in_flight} frames in flight", self.name());
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
            // The device may fail during the wait.
            let limit = if state.failed.is_some() { FAILED_CLOSE_TIMEOUT } else { CLOSE_TIMEOUT };
            let Some(left) = limit.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) else {
                gst::info!(
                    CAT,
                    "{}: a batch still runs after {limit:?}: its thread is left to finish on its own",
                    self.name()
                );
                break;
            };
            self.shared.ended.wait_for(&mut state, left);
        }
        // The lanes must be dropped before their engine.
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

    /// Identifies the stream within its service, in logs.
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// Submits a frame's regions. `notify` is called once the ticket is ready, unless it is ready on return.
    ///
    /// # Errors
    /// [`ErrorKind::Device`] with the first cause, once the device has failed.
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

    /// True if a full batch, of any streams' frames, waits for a lane.
    pub fn full_batch_waits(&self) -> bool {
        self.service.shared.state.lock().scheduler.full_batch_waits()
    }

    /// Withdraws the frames that no lane has started; their tickets never become ready.
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

    /// Tells the scheduler not to expect a frame for now: the stream is paused or has ended.
    pub fn rest(&self) {
        self.service.shared.state.lock().scheduler.rest_stream(self.id);
        gst::debug!(CAT, "{}: {} pauses or has ended", self.service.name(), self.id);
        self.service.shared.work.notify_one();
    }
}

impl Drop for ServiceStream {
    fn drop(&mut self) {
        let jobs = self.service.shared.state.lock().scheduler.remove_stream(self.id);
        gst::debug!(CAT, "{}: {} is removed, {} region(s) won't run", self.service.name(), self.id, jobs.len());
        drop(jobs);
        self.service.shared.work.notify_one();
    }
}

impl Shared {
    /// The body of a lane's thread. Lanes don't belong to threads: a submitting thread with time to spare takes a free
    /// lane too.
    fn run(&self) {
        while let Some(lane_batch) = self.wait_for_batch() {
            self.run_batch(lane_batch, None);
        }
        self.state.lock().threads -= 1;
        self.ended.notify_all();
    }

    /// Waits for a batch and a free lane; `None` if the thread must end.
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
                    // Another lane's thread may rely on this one having been awake.
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

    /// Runs a batch and delivers its results. `own` is the caller's frame, for which no notification is needed.
    fn run_batch(&self, mut lane_batch: LaneBatch, own: Option<&Arc<Pending>>) {
        let start = Instant::now();
        self.trace_launch(&lane_batch, start);
        let run = std::panic::AssertUnwindSafe(|| lane_batch.lane.run(&mut lane_batch.slots));
        let result = std::panic::catch_unwind(run)
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::Device, "the engine panicked; stderr has the message")));
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
            // The frame is released before the ticket is ready, so that the element owns it exclusively again.
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
        // Each frame is logged once, whatever the number of its regions.
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

    /// Marks the device as failed: all waiting frames fail, and no more are accepted. The first cause is kept.
    fn fail(&self, error: &Error) {
        let (abandoned, error) = {
            let mut state = self.state.lock();
            if state.failed.is_none() {
                gst::error!(CAT, "{}: {error}: nothing can run on this device any more", self.name);
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

    /// Frees the lane, and notifies the owners of all frames except the caller's.
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
        // A lane's thread looks for more work itself.
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
        if !done.failed {
            stats.totals.add_work(took, batch);
        }
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
