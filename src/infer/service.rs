//! The service: one opened model, shared by every element that wants the same one.

use super::stats::Latencies;
use super::stats::nanoseconds;
use super::ticket::Pending;
use super::{Engine, Error, ErrorKind, Frame, Lane, ModelSettings, Notify, Output, ServiceStats, Slot, Tensor, Ticket};
use crate::cuda::OnFailure;
use crate::model::{Params, Rect};
use parking_lot::{Condvar, Mutex};
use crate::scheduling::{Batcher, Next, Occupancy, StreamId};
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
    name: String,
    engine: Arc<dyn Engine>,
    shared: Arc<Shared>,
    /// Told of the device's failure; held here for its watchers list.
    _on_failure: Arc<OnFailure>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What the lanes' threads see.
struct Shared {
    /// See [`Engine::batch_sizes`].
    sizes: Vec<usize>,
    state: Mutex<State>,
    /// Something to look at for a lane.
    work: Condvar,
    /// A lane's thread has ended.
    ended: Condvar,
    stats: Mutex<Stats>,
    /// Nanoseconds; see [`Service::batch_time`].
    batch_time: AtomicU64,
}

struct State {
    batcher: Batcher<Job>,
    occupancy: Occupancy,
    /// Lanes that nobody uses.
    free: Vec<Seat>,
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

/// A lane and the batch that it runs; both are empty while it's free.
struct Seat {
    lane: Box<dyn Lane>,
    slots: Vec<Slot>,
    owners: Vec<Owner>,
}

impl State {
    /// A free lane with the next batch; else what is to be waited for, a lane where it's [`Next::Launch`]. `at_once`: who
    /// asks would rather share the device than wait for it.
    fn next_batch(&mut self, now: Instant, sizes: &[usize], at_once: bool) -> Result<Seat, Next> {
        let busy = self.occupancy.busy().filter(|_| !at_once);
        let next = self.batcher.next(now, most(sizes), busy);
        if next != Next::Launch {
            return Err(next);
        }
        let mut seat = self.free.pop().ok_or(next)?;
        // Behind another batch those that would leave slots empty go with the next one.
        let slots = if busy.is_some() { whole(sizes, self.batcher.len()) } else { most(sizes) };
        for Job { slot, owner } in self.batcher.take(slots) {
            seat.slots.push(slot);
            seat.owners.push(owner);
        }
        self.occupancy.launched(now, seat.slots.len());
        Ok(seat)
    }

    /// Whether a lane's thread has to be told that there may be work.
    fn calls(&self, now: Instant, sizes: &[usize]) -> bool {
        // Who frees a lane looks for work by himself.
        !self.free.is_empty() && self.batcher.calls(self.batcher.next(now, most(sizes), self.occupancy.busy()))
    }
}

/// The greatest batch size.
fn most(sizes: &[usize]) -> usize {
    sizes.last().copied().unwrap_or(1)
}

/// The greatest batch of what waits that has no slot empty.
fn whole(sizes: &[usize], waiting: usize) -> usize {
    sizes.iter().rev().copied().find(|size| *size <= waiting).unwrap_or(waiting)
}

/// What a lane has run.
struct Done {
    start: Instant,
    batch: usize,
    candidates: u64,
    objects: u64,
    failed: bool,
    took: Duration,
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
        let seat = |lane| Seat { lane, slots: Vec::with_capacity(max_batch), owners: Vec::with_capacity(max_batch) };
        let free = lanes.into_iter().map(seat).collect();
        let shared = Arc::new(Shared {
            sizes: engine.batch_sizes(),
            state: Mutex::new(State {
                batcher: Batcher::default(),
                occupancy: Occupancy::new(max_batch),
                free,
                threads,
                closing: false,
                failed: None,
            }),
            work: Condvar::new(),
            ended: Condvar::new(),
            stats: Mutex::new(Stats { launches: vec![0; max_batch + 1], ..Stats::default() }),
            batch_time: AtomicU64::new(nanoseconds(batch_time)),
        });
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{file}, {:?}, batch {max_batch}, service {number}", settings.backend);
        gst::info!(CAT, "{name}: {} on {threads} lane(s), {batch_time:?} a batch", engine.description());
        let watched = Arc::downgrade(&shared);
        let on_failure: Arc<OnFailure> = Arc::new(move |error| {
            if let Some(shared) = watched.upgrade() {
                shared.fail(error);
            }
        });
        engine.watch(&on_failure);
        // From here on dropping the service ends the threads that were started.
        let service = Arc::new(Self { name, engine, shared, _on_failure: on_failure });
        for k in 0..threads {
            let shared = service.shared.clone();
            let started = std::thread::Builder::new().name(format!("trt-lane-{k}")).spawn(move || shared.run());
            if let Err(e) = started {
                service.shared.state.lock().threads = k;
                return Err(Error::new(ErrorKind::Failed, format!("no thread for {}: {e}", service.name)));
            }
        }
        Ok(service)
    }

    /// What `stats` calls it: the file, the backend, the batch size, and a number that no other service of this process has.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// How long one batch takes: the longest of late, sinking slowly when batches get faster.
    pub fn batch_time(&self) -> Duration {
        Duration::from_nanos(self.shared.batch_time.load(Ordering::Relaxed))
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
    pub fn stream(self: &Arc<Self>, max_in_flight: usize) -> Stream {
        let id = self.shared.state.lock().batcher.add_stream(max_in_flight);
        Stream { service: self.clone(), id }
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
                gst::warning!(CAT, "{}: a batch still runs after {limit:?}, its thread is left alone", self.name);
                break;
            };
            self.shared.ended.wait_for(&mut state, left);
        }
        // Before the engine that they are of.
        let lanes = std::mem::take(&mut state.free);
        drop(state);
        drop(lanes);
    }
}

/// One element's frames on their way to a [`Service`].
#[derive(Debug)]
pub struct Stream {
    service: Arc<Service>,
    id: StreamId,
}

impl Stream {
    pub fn service(&self) -> &Arc<Service> {
        &self.service
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
        state.batcher.push(self.id, now, now + batch_timeout, jobs);
        let seat = at_once.then(|| state.next_batch(now, &shared.sizes, true).ok()).flatten();
        let calls = seat.is_none() && state.calls(now, &shared.sizes);
        drop(state);
        if let Some(seat) = seat {
            shared.run_batch(seat, Some(&pending));
        } else if calls {
            shared.work.notify_one();
        }
        Ok(Ticket(pending))
    }

    /// Whether a full batch of anybody's frames waits for a lane.
    pub fn has_backlog(&self) -> bool {
        let shared = &self.service.shared;
        shared.state.lock().batcher.len() >= most(&shared.sizes)
    }

    /// Takes back all that no lane has begun; its tickets never become ready.
    pub fn flush(&self) {
        let jobs = {
            let mut state = self.service.shared.state.lock();
            let jobs = state.batcher.flush_stream(self.id);
            let mut frames: Vec<_> = jobs.iter().map(|j| Arc::as_ptr(&j.owner.pending)).collect();
            frames.dedup();
            for _ in frames {
                state.batcher.finished(self.id);
            }
            jobs
        };
        drop(jobs);
        self.service.shared.work.notify_one();
    }

    /// No frame is to be expected for now: paused, or at its end.
    pub fn rest(&self) {
        self.service.shared.state.lock().batcher.rest_stream(self.id);
        self.service.shared.work.notify_one();
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let jobs = self.service.shared.state.lock().batcher.remove_stream(self.id);
        drop(jobs);
        self.service.shared.work.notify_one();
    }
}

impl Shared {
    /// A lane's thread. Lanes are not the threads' own: whoever submits with time to spare takes a free one too.
    fn run(&self) {
        while let Some(seat) = self.wait_for_batch() {
            self.run_batch(seat, None);
        }
        self.state.lock().threads -= 1;
        self.ended.notify_all();
    }

    /// Waits for something to launch and a free lane; `None` when the thread has to end.
    fn wait_for_batch(&self) -> Option<Seat> {
        let mut state = self.state.lock();
        loop {
            if state.closing || state.failed.is_some() {
                return None;
            }
            let now = Instant::now();
            match state.next_batch(now, &self.sizes, false) {
                Ok(seat) => {
                    // Another lane may have relied on this one's alarm.
                    if !state.batcher.is_empty() {
                        self.work.notify_one();
                    }
                    return Some(seat);
                }
                Err(Next::WaitUntil(time)) if state.batcher.set_alarm(time) => {
                    self.work.wait_until(&mut state, time);
                    state.batcher.clear_alarm();
                }
                Err(_) => self.work.wait(&mut state),
            }
        }
    }

    /// Runs a batch and hands out its results. `own`: what the caller waits for, who needn't be told.
    fn run_batch(&self, mut seat: Seat, own: Option<&Arc<Pending>>) {
        let start = Instant::now();
        let run = std::panic::AssertUnwindSafe(|| seat.lane.run(&mut seat.slots));
        let result = std::panic::catch_unwind(run)
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::Device, "the engine panicked; its text is on stderr")));
        let took = start.elapsed();
        if let Err(error) = &result
            && error.kind == ErrorKind::Device
        {
            self.fail(error);
        }
        let Seat { slots, owners, .. } = &mut seat;
        let batch = slots.len();
        let candidates = slots.iter().map(|slot| u64::from(slot.output.candidates)).sum();
        let objects = slots.iter().map(|slot| slot.output.detections.len() as u64).sum();
        let done = Done { start, batch, candidates, objects, failed: result.is_err(), took };
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
            finished.extend(owner.pending.finish(owner.region, outcome).map(|latency| (owner, latency)));
        }
        self.count(&done, &finished);
        self.tell(finished, Some((seat, &done)), own);
    }

    /// The device failed: what waits fails with it, and nothing is taken any more. The first cause stays.
    fn fail(&self, error: &Error) {
        let (abandoned, error) = {
            let mut state = self.state.lock();
            if state.failed.is_none() {
                gst::error!(CAT, "{error}: nothing runs on this device any more");
            }
            let first = state.failed.get_or_insert_with(|| error.clone()).clone();
            (state.batcher.take_all(), first)
        };
        self.work.notify_all();
        self.ended.notify_all();
        let finished = abandoned.into_iter().filter_map(|Job { slot, owner }| {
            drop(slot);
            let latency = owner.pending.finish(owner.region, Err(error.clone()))?;
            Some((owner, latency))
        });
        self.tell(finished.collect(), None, None);
    }

    /// Frees the lane, and tells all but the caller.
    fn tell(&self, finished: Vec<(Owner, Duration)>, ran: Option<(Seat, &Done)>, own: Option<&Arc<Pending>>) {
        let wanted = {
            let mut state = self.state.lock();
            for (owner, _) in &finished {
                state.batcher.finished(owner.stream);
            }
            if let Some((seat, done)) = ran {
                state.free.push(seat);
                state.occupancy.finished(done.start + done.took, done.start, done.batch);
            }
            own.is_some() && !state.batcher.is_empty()
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
        let took = done.took;
        let before = self.batch_time.load(Ordering::Relaxed);
        let took_ns = nanoseconds(took);
        let sunk = before - before / 256 + took_ns / 256;
        self.batch_time.store(took_ns.max(sunk), Ordering::Relaxed);
        let mut stats = self.stats.lock();
        stats.totals.batches += 1;
        stats.totals.slots += done.batch as u64;
        stats.totals.candidates += done.candidates;
        stats.totals.objects += done.objects;
        stats.totals.failed += u64::from(done.failed);
        if let Some(launches) = stats.launches.get_mut(done.batch) {
            *launches += 1;
        }
        stats.totals.frames += finished.len() as u64;
        stats.batch_time.record(took);
        for (_, latency) in finished {
            stats.latency.record(*latency);
        }
    }
}
