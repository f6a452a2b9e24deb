//! How busy the service keeps a device, and with what batches: streams that arrive as fast as they are decoded, and a device
//! whose batches take as long as YOLO12m's on an H100, with a random variation.
//!
//!     cargo bench --bench batching
//!
//! The service, its threads and the way a lane waits are real; frames, decoders (1.0 to 1.5 ms per frame and stream) and the
//! device, which runs one batch after the other, are sleeps. It prints for each number of streams: frames per second, the
//! share of time that the device is busy (the `ratio` of `gst-trt bench`), the mean batch, and the process's CPU time in
//! microseconds per frame.

use gsttensorrt::error::Error;
use gsttensorrt::gpu::wait_until;
use gsttensorrt::infer::{Engine, Frame, Lane, ModelSettings, Notify, Request, Service, ServiceStream, Slot};
use gsttensorrt::scheduling::{CompletionWait, resumes_at};
use model::{Head, InputSpec, ModelInfo, Rect, head};
use nix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

/// Batch sizes, and microseconds per batch.
const TIMES: [(usize, u64); 8] =
    [(1, 1690), (2, 2140), (3, 2680), (4, 3190), (6, 4320), (8, 5230), (12, 7680), (16, 9880)];
/// Maximum frames in flight per stream, the default of `max-in-flight`.
const IN_FLIGHT: usize = 4;

fn main() {
    gst::init().expect("GStreamer starts");
    // `cargo test`, which doesn't pass `--bench`, makes one short run.
    let whole = std::env::args().any(|argument| argument == "--bench");
    let (streams, time) = if whole { (&[1, 2, 4, 6, 8, 12, 16][..], 1500) } else { (&[8][..], 50) };
    println!("streams  batches vary by  frames/s  busy  batch  CPU");
    for &streams in streams {
        for varies in [0.0, 0.3, 0.5] {
            let (frames, busy, batch, cpu) = run(streams, varies, Duration::from_millis(time));
            println!("{streams:7}  {:14.0}%  {frames:8.0}  {busy:4.2}  {batch:5.1}  {cpu:3.0}", varies * 100.0);
        }
    }
}

/// Frames per second, share of time that the device is busy, mean batch, CPU time in microseconds per frame.
fn run(streams: u64, varies: f64, time: Duration) -> (f64, f64, f64, f64) {
    let engine = Arc::new(Simulated::new(varies));
    let service = Service::start(engine, &ModelSettings::default()).expect("lanes are ready");
    let over = AtomicBool::new(false);
    let (launches, cpu) = scope(|scope| {
        for index in 0..streams {
            let (stream, over) = (service.stream(IN_FLIGHT), &over);
            scope.spawn(move || play(&stream, Random(index), over));
        }
        sleep(time / 2);
        let (before, cpu) = (service.launches(), process_time());
        sleep(time);
        let (after, cpu) = (service.launches(), process_time() - cpu);
        over.store(true, Ordering::Relaxed);
        (after.iter().zip(before).map(|(after, before)| after - before).collect::<Vec<_>>(), cpu)
    });
    let of_size = || launches.iter().zip(0..).filter(|(count, _)| **count > 0);
    let batches: u64 = launches.iter().sum();
    let frames = of_size().map(|(count, size)| count * size as u64).sum::<u64>() as f64;
    let worked: Duration = of_size().map(|(count, size)| device_time(size) * *count as u32).sum();
    let (busy, batch) = (worked.as_secs_f64() / time.as_secs_f64(), frames / batches.max(1) as f64);
    (frames / time.as_secs_f64(), busy, batch, cpu.as_secs_f64() * 1e6 / frames)
}

fn process_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("a clock of every Linux").into()
}

fn device_time(slots: usize) -> Duration {
    let rung = TIMES.iter().find(|(size, _)| *size >= slots).unwrap_or(&TIMES[TIMES.len() - 1]);
    Duration::from_micros(rung.1)
}

/// The frames of a stream in the service; its decoder waits for a free slot, like upstream of an element's queue.
#[derive(Default)]
struct Queue {
    held: Mutex<Held>,
    out: Condvar,
}

#[derive(Default)]
struct Held {
    frames: usize,
    /// The number of frames at which the decoder goes on, while it waits.
    enough: usize,
}

impl Notify for Queue {
    fn notify(&self) {
        let mut held = self.held.lock().expect("no panic");
        held.frames -= 1;
        let goes_on = held.frames <= held.enough;
        drop(held);
        if goes_on {
            self.out.notify_all();
        }
    }
}

fn play(stream: &ServiceStream, mut random: Random, over: &AtomicBool) {
    let queue = Arc::new(Queue::default());
    let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, 8, 8).build().expect("a format");
    let frame = Arc::new(Frame { buffer: gst::Buffer::new(), info });
    while !over.load(Ordering::Relaxed) {
        sleep(Duration::from_micros(1000).mul_f64(1.0 + 0.5 * random.next()));
        let mut held = queue.held.lock().expect("no panic");
        if held.frames >= IN_FLIGHT {
            held.enough = resumes_at(IN_FLIGHT, stream.full_batch_waits());
            held = queue.out.wait_while(held, |held| held.frames > held.enough).expect("no panic");
            held.enough = 0;
        }
        held.frames += 1;
        drop(held);
        let request = Request {
            frame: frame.clone(),
            regions: vec![Rect::new(0.0, 0.0, 8.0, 8.0)],
            tensors: vec![],
            params: Arc::default(),
            batch_timeout: Duration::ZERO,
            at_once: false,
        };
        stream.submit(request, queue.clone()).expect("the service runs");
    }
}

/// A number from 0 to 1, the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / (1_u64 << 24) as f64
    }
}

/// Executes batches one after the other.
struct Device {
    varies: f64,
    /// When all batches will be done, and how long the next one takes.
    work: Mutex<(Instant, Random)>,
}

impl Device {
    /// The time at which a batch that is launched now will be done.
    fn launch(&self, slots: usize) -> Instant {
        let mut work = self.work.lock().expect("no panic");
        let varied = 1.0 + self.varies * (2.0 * work.1.next() - 1.0);
        work.0 = work.0.max(Instant::now()) + device_time(slots).mul_f64(varied);
        work.0
    }
}

struct SimulatedLane {
    device: Arc<Device>,
    waits: BTreeMap<Duration, CompletionWait>,
}

impl Lane for SimulatedLane {
    fn warm_up(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn run(&mut self, slots: &mut [Slot]) -> Result<(), Error> {
        let end = self.device.launch(slots.len());
        let block = || {
            sleep(end.saturating_duration_since(Instant::now()));
            Ok(())
        };
        let wait = self.waits.entry(device_time(slots.len())).or_insert_with(|| CompletionWait::new(slots.len()));
        wait_until(wait, || Instant::now() >= end, block)
    }
}

struct Simulated {
    device: Arc<Device>,
    info: ModelInfo,
    input: InputSpec,
    head: Arc<dyn Head>,
}

impl Simulated {
    fn new(varies: f64) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/yolo.onnx");
        let onnx = tensorrt::Onnx::open(&path).expect("a model");
        let info = onnx.info().expect("a model's inputs");
        let recognised = head::recognise(&info, head::HeadChoice::Auto).expect("a detector");
        let head::Recognised { head, input, .. } = recognised;
        Self { device: Arc::new(Device { varies, work: Mutex::new((Instant::now(), Random(1))) }), info, input, head }
    }
}

impl Engine for Simulated {
    fn description(&self) -> String {
        "sleeps".into()
    }
    fn info(&self) -> &ModelInfo {
        &self.info
    }
    fn input(&self) -> &InputSpec {
        &self.input
    }
    fn head(&self) -> &Arc<dyn Head> {
        &self.head
    }
    fn max_batch(&self) -> usize {
        TIMES[TIMES.len() - 1].0
    }
    fn batch_sizes(&self) -> Vec<usize> {
        TIMES.map(|(size, _)| size).into()
    }
    fn lanes(&self) -> Result<Vec<Box<dyn Lane>>, Error> {
        let lane = || SimulatedLane { device: self.device.clone(), waits: BTreeMap::new() };
        Ok(vec![Box::new(lane()), Box::new(lane())])
    }
}
