//! Cameras, elements, lane threads and a device on a simulated clock: the environment of the scheduling. Everything
//! takes zero time unless the setup defines a duration.

use super::*;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

/// Batch sizes, and the microseconds of a batch: YOLO12m on an H100.
pub const H100: [(usize, u64); 8] =
    [(1, 1690), (2, 2140), (3, 2680), (4, 3190), (6, 4320), (8, 5230), (12, 7680), (16, 9880)];

/// A stream of frames.
#[derive(Debug, Clone)]
pub struct Camera {
    /// When its first frame arrives.
    pub first: Duration,
    /// The time between frames: for a paced camera by the clock, otherwise from the return of its thread.
    pub period: Duration,
    pub paced: bool,
    pub frames: usize,
    /// When the element is flushed.
    pub flush: Option<Duration>,
}

#[derive(Debug, Clone)]
pub struct Setup {
    pub cameras: Vec<Camera>,
    pub times: Vec<(usize, u64)>,
    /// The batch time varies by up to this fraction of it.
    pub varies: f64,
    pub lanes: usize,
    /// `max-in-flight`.
    pub limit: usize,
    pub batch_timeout: Duration,
    /// The time from waking a thread until it runs.
    pub wake_up: Duration,
}

/// Observations since the last call.
#[derive(Debug, Default)]
pub struct Seen {
    /// The latencies of the frames that came out, each from its due time.
    pub latencies: Vec<Duration>,
    /// The sizes of batches.
    pub batches: Vec<usize>,
    /// How often lane threads woke up.
    pub lane_wake_ups: usize,
    /// How often upstream's thread resumed after waiting.
    pub upstream_wake_ups: usize,
    /// How long the device worked.
    pub busy: Duration,
    /// The longest time that a frame waited while the device was idle.
    pub longest_idle_wait: Duration,
    /// The maximum number of frames that an element held.
    pub most_held: usize,
}

impl Seen {
    pub fn mean_batch(&self) -> f64 {
        self.batches.iter().sum::<usize>() as f64 / self.batches.len().max(1) as f64
    }

    pub fn longest_latency(&self) -> Duration {
        self.latencies.iter().copied().max().unwrap_or_default()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// Upstream's thread of a camera delivers its next frame.
    Brings(usize),
    /// Upstream's thread of a camera, which waited for space for this frame, resumes.
    GoesOn(usize, usize),
    /// A lane's thread wakes up from its n-th sleep.
    Awake(usize, usize),
    /// A lane's batch is found to be done.
    Done(usize),
    Flush(usize),
}

/// A frame in a batch.
#[derive(Debug, Clone, Copy)]
struct Item {
    camera: usize,
    frame: usize,
    submitted: Duration,
}

/// The thread that runs a batch.
#[derive(Debug, Clone, Copy)]
enum By {
    Lane(usize),
    /// Upstream's thread of the camera, with this frame.
    Upstream(usize, usize),
}

#[derive(Debug)]
struct Batch {
    start: Duration,
    items: Vec<Item>,
    by: By,
}

/// A lane's thread.
#[derive(Debug, Default)]
struct Thread {
    /// Counts sleeps.
    sleep: usize,
    asleep: bool,
    /// It has been woken and isn't running yet.
    waking: bool,
    /// It sleeps until a given time.
    alarm: bool,
}

/// A frame that waits for space.
#[derive(Debug, Clone, Copy)]
struct Waits {
    frame: usize,
    /// True if its thread would run it.
    at_once: bool,
    /// The number of held frames at which it resumes.
    enough: usize,
    woken: bool,
}

/// An element and the thread that brings it frames.
#[derive(Debug)]
struct Element {
    stream: StreamId,
    pace: Pace,
    brought: usize,
    due: Vec<Duration>,
    done: Vec<bool>,
    /// Frames before this one are discarded.
    flushed: usize,
    /// Frames between the pads.
    queue: VecDeque<usize>,
    waits: Option<Waits>,
    out: usize,
    void: usize,
}

#[derive(Debug)]
pub struct World {
    setup: Setup,
    epoch: Instant,
    now: Duration,
    random: u64,
    events: BinaryHeap<Reverse<(Duration, usize, Event)>>,
    scheduled: usize,
    scheduler: Scheduler<usize, Item>,
    batch_time: RecentMax,
    /// By lane.
    batches: Vec<Option<Batch>>,
    threads: Vec<Thread>,
    elements: Vec<Element>,
    /// When the device has finished all launched batches.
    device_free: Duration,
    /// When the last batch was found to be done.
    last_done: Duration,
    seen: Seen,
}

impl World {
    pub fn new(setup: Setup, seed: u64) -> Self {
        let sizes: Vec<usize> = setup.times.iter().map(|(size, _)| *size).collect();
        let mut scheduler = Scheduler::new(sizes, 0..setup.lanes);
        let element = |camera: &Camera| Element {
            stream: scheduler.add_stream(setup.limit),
            pace: Pace::default(),
            brought: 0,
            due: vec![Duration::ZERO; camera.frames],
            done: vec![false; camera.frames],
            flushed: 0,
            queue: VecDeque::new(),
            waits: None,
            out: 0,
            void: 0,
        };
        let elements = setup.cameras.iter().map(element).collect();
        let warm_up = setup.times.last().map_or(0, |(_, time)| *time);
        let mut this = Self {
            epoch: Instant::now(),
            now: Duration::ZERO,
            random: seed,
            events: BinaryHeap::new(),
            scheduled: 0,
            scheduler,
            batch_time: RecentMax::new(Duration::from_micros(warm_up)),
            batches: (0..setup.lanes).map(|_| None).collect(),
            threads: (0..setup.lanes).map(|_| Thread::default()).collect(),
            elements,
            device_free: Duration::ZERO,
            last_done: Duration::ZERO,
            seen: Seen::default(),
            setup,
        };
        (0..this.setup.lanes).for_each(|thread| this.look(thread));
        for camera in 0..this.setup.cameras.len() {
            let Camera { first, frames, flush, .. } = this.setup.cameras[camera];
            if frames > 0 {
                this.at(first, Event::Brings(camera));
            }
            if let Some(flush) = flush {
                this.at(flush, Event::Flush(camera));
            }
        }
        this
    }

    /// Advances the time to `end`, and returns the observations since the last call.
    pub fn run_until(&mut self, end: Duration) -> Seen {
        while let Some(Reverse((time, ..))) = self.events.peek()
            && *time <= end
        {
            self.step();
        }
        self.now = self.now.max(end);
        std::mem::take(&mut self.seen)
    }

    /// Runs until no event is left; by then every frame has come out or was flushed.
    pub fn run_to_the_end(&mut self) -> Seen {
        while !self.events.is_empty() {
            self.step();
        }
        for (camera, element) in self.setup.cameras.iter().zip(&self.elements) {
            assert_eq!(element.out + element.void, camera.frames, "frames are lost: {element:?}");
        }
        assert!(!self.scheduler.work_is_left());
        std::mem::take(&mut self.seen)
    }

    fn step(&mut self) {
        let Some(Reverse((time, _, event))) = self.events.pop() else { return };
        self.now = time;
        match event {
            Event::Brings(camera) => self.bring(camera),
            Event::GoesOn(camera, frame) => {
                // Unless it has been flushed.
                if let Some(Waits { at_once, .. }) = self.elements[camera].waits.take_if(|waits| waits.frame == frame) {
                    self.submit(camera, frame, at_once);
                }
            }
            Event::Awake(thread, sleep) => {
                if self.threads[thread].asleep && self.threads[thread].sleep == sleep {
                    self.seen.lane_wake_ups += 1;
                    self.threads[thread].asleep = false;
                    if self.threads[thread].alarm {
                        self.scheduler.awake();
                    }
                    self.look(thread);
                }
            }
            Event::Done(lane) => self.finish(lane),
            Event::Flush(camera) => self.flush(camera),
        }
    }

    fn at(&mut self, time: Duration, event: Event) {
        self.scheduled += 1;
        self.events.push(Reverse((time, self.scheduled, event)));
    }

    fn instant(&self) -> Instant {
        self.epoch + self.now
    }

    /// 0 to 1.
    fn random(&mut self) -> f64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 40) as f64 / (1_u64 << 24) as f64
    }

    fn bring(&mut self, camera: usize) {
        let (now, instant) = (self.now, self.instant());
        let takes = self.setup.batch_timeout + self.batch_time.get();
        let Camera { first, period, paced, .. } = self.setup.cameras[camera];
        let element = &mut self.elements[camera];
        let frame = element.brought;
        element.brought += 1;
        element.due[frame] = if paced { first + frame as u32 * period } else { now };
        let pts = frame as u32 * if paced { period } else { Duration::from_millis(33) };
        let at_once = element.pace.arrived(instant, Some(pts), || takes);
        if element.queue.len() >= self.setup.limit {
            let enough = resumes_at(self.setup.limit, self.scheduler.full_batch_waits());
            element.waits = Some(Waits { frame, at_once, enough, woken: false });
        } else {
            self.submit(camera, frame, at_once);
        }
    }

    fn submit(&mut self, camera: usize, frame: usize, at_once: bool) {
        let (now, stream) = (self.instant(), self.elements[camera].stream);
        let item = Item { camera, frame, submitted: self.now };
        self.scheduler.submit(stream, now, now + self.setup.batch_timeout, [item]);
        if at_once {
            let taken = self.scheduler.take_at_once(now).map(|(lane, items)| (lane, items.collect()));
            if let Some((lane, items)) = taken {
                return self.launch(lane, items, By::Upstream(camera, frame));
            }
        }
        if self.scheduler.submission_wakes(now) {
            self.wake();
        }
        self.taken(camera, frame);
    }

    /// Upstream's thread has queued its frame, and returns.
    fn taken(&mut self, camera: usize, frame: usize) {
        let instant = self.instant();
        let random = 0.75 + 0.5 * self.random();
        let Camera { first, period, paced, frames, .. } = self.setup.cameras[camera];
        let element = &mut self.elements[camera];
        if frame >= element.flushed {
            element.queue.push_back(frame);
            self.seen.most_held = self.seen.most_held.max(element.queue.len());
        }
        element.pace.taken(instant);
        let next = element.brought;
        if next < frames {
            let due = first + next as u32 * period;
            self.at(if paced { due.max(self.now) } else { self.now + period.mul_f64(random) }, Event::Brings(camera));
        }
        self.push_ready(camera);
    }

    /// The source pad's task pushes the frames that are ready, in order.
    fn push_ready(&mut self, camera: usize) {
        let element = &mut self.elements[camera];
        while let Some(&frame) = element.queue.front()
            && element.done[frame]
        {
            element.queue.pop_front();
            element.out += 1;
            self.seen.latencies.push(self.now - element.due[frame]);
        }
        let held = element.queue.len();
        let goes_on = element.waits.as_mut().filter(|waits| held <= waits.enough && !waits.woken).map(|waits| {
            waits.woken = true;
            waits.frame
        });
        let ends = element.out + element.void == self.setup.cameras[camera].frames;
        if ends {
            self.scheduler.rest_stream(element.stream);
            self.wake();
        }
        if let Some(frame) = goes_on {
            self.seen.upstream_wake_ups += 1;
            self.at(self.now + self.setup.wake_up, Event::GoesOn(camera, frame));
        }
    }

    /// A lane's thread looks for work.
    fn look(&mut self, thread: usize) {
        let now = self.instant();
        let found = self.scheduler.look(now).map(|(lane, items)| (lane, items.collect::<Vec<_>>()));
        let rest = match found {
            Ok((lane, items)) => {
                if self.scheduler.work_is_left() {
                    self.wake();
                }
                return self.launch(lane, items, By::Lane(thread));
            }
            Err(rest) => rest,
        };
        let sleeper = &mut self.threads[thread];
        sleeper.sleep += 1;
        (sleeper.asleep, sleeper.waking, sleeper.alarm) = (true, false, rest != Sleep::UntilWoken);
        let sleep = sleeper.sleep;
        if let Sleep::Until(time) = rest {
            self.at(time - self.epoch + self.setup.wake_up, Event::Awake(thread, sleep));
        }
    }

    /// `Condvar::notify_one`.
    fn wake(&mut self) {
        if let Some(thread) = self.threads.iter().position(|thread| thread.asleep && !thread.waking) {
            self.threads[thread].waking = true;
            self.at(self.now + self.setup.wake_up, Event::Awake(thread, self.threads[thread].sleep));
        }
    }

    fn launch(&mut self, lane: usize, items: Vec<Item>, by: By) {
        let random = 1.0 + self.setup.varies * (2.0 * self.random() - 1.0);
        let rung = self.setup.times.iter().find(|(size, _)| *size >= items.len()).expect("a batch that can run");
        let time = Duration::from_micros(rung.1).mul_f64(random);
        if self.batches.iter().all(Option::is_none) {
            let waited = items.iter().map(|item| self.now - item.submitted.max(self.last_done)).max();
            self.seen.longest_idle_wait = self.seen.longest_idle_wait.max(waited.expect("no empty batch"));
        }
        self.device_free = self.device_free.max(self.now) + time;
        self.seen.busy += time;
        self.seen.batches.push(items.len());
        let before = self.batches[lane].replace(Batch { start: self.now, items, by });
        assert!(before.is_none(), "a lane runs one batch at a time");
        self.at(self.device_free + self.setup.wake_up, Event::Done(lane));
    }

    fn finish(&mut self, lane: usize) {
        let Batch { start, items, by } = self.batches[lane].take().expect("a batch that runs");
        for Item { camera, frame, .. } in &items {
            let element = &mut self.elements[*camera];
            assert!(!std::mem::replace(&mut element.done[*frame], true), "frame {frame} ran twice");
            self.scheduler.frame_done(element.stream);
        }
        self.scheduler.finish(lane, self.epoch + start, self.instant(), items.len());
        self.batch_time.record(self.now - start);
        self.last_done = self.now;
        if matches!(by, By::Upstream(..)) && self.scheduler.work_is_left() {
            self.wake();
        }
        for camera in 0..self.elements.len() {
            if items.iter().any(|item| item.camera == camera) {
                self.push_ready(camera);
            }
        }
        match by {
            By::Lane(thread) => self.look(thread),
            By::Upstream(camera, frame) => self.taken(camera, frame),
        }
    }

    fn flush(&mut self, camera: usize) {
        let element = &mut self.elements[camera];
        for item in self.scheduler.flush_stream(element.stream) {
            assert_eq!(item.camera, camera);
            self.scheduler.frame_done(element.stream);
        }
        element.void = element.brought - element.out;
        element.flushed = element.brought;
        element.queue.clear();
        if element.waits.take().is_some() {
            self.taken(camera, 0);
        }
        self.wake();
    }
}
