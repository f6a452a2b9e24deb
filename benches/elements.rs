//! The cost that the elements add to preprocessing, engine and decoding: process CPU time and throughput.
//!
//!     cargo bench --bench elements
//!
//! The engine alone is a lane called in a loop by one thread; the pipeline gets the same frames from an appsrc. The two
//! alternate, so both see the same machine; medians are printed. The pipeline's figure includes the cost of appsrc and
//! fakesink, which is also measured alone. Last comes the cost of a log line that is disabled.

#[path = "../tests/common/mod.rs"]
mod common;

use common::engine;
use common::find;
use common::picture::{Colour, Picture, Square};
use common::running::{Running, start};
use gst::prelude::*;
use gst_video::VideoFormat;
use gsttensorrt::infer::{Engine, Frame, Lane};
use model::Params;
use nix::time::{ClockId, clock_gettime};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// The measurements per frame.
#[derive(Clone, Copy)]
struct Cost {
    cpu: Duration,
    wall: Duration,
}

impl Cost {
    fn of(frames: usize, run: impl FnOnce()) -> Self {
        let (cpu, wall) = (process_time(), Instant::now());
        run();
        Self { cpu: (process_time() - cpu) / frames as u32, wall: wall.elapsed() / frames as u32 }
    }
}

fn process_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("a clock of every Linux").into()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// A lane that a loop calls.
struct Alone {
    lane: Box<dyn Lane>,
    params: Arc<Params>,
}

impl Alone {
    fn new(model: &Path) -> Self {
        let engine: Arc<dyn Engine> = engine::open(model, 1);
        let mut lane = engine.lanes().expect("lanes").remove(0);
        lane.warm_up().expect("a warm lane");
        Self { lane, params: Arc::default() }
    }

    fn run(&mut self, frame: &Frame, count: usize) {
        for _ in 0..count {
            let mut slots = [engine::slot(frame.clone(), &self.params)];
            self.lane.run(&mut slots).expect("the engine runs");
            std::hint::black_box(&slots);
        }
    }
}

/// `appsrc ! … ! fakesink`, playing.
struct Through {
    _running: Running,
    source: gst_app::AppSrc,
    arrived: Arc<(Mutex<usize>, Condvar)>,
    sent: usize,
}

impl Through {
    fn new(elements: &str, frame: &Frame) -> Self {
        let running = Running::playing(&format!(
            "appsrc name=in format=time block=true max-buffers=4 {elements} ! fakesink name=out sync=false async=false"
        ));
        let source = running.source("in");
        source.set_caps(Some(&frame.info.to_caps().expect("caps")));
        let arrived = Arc::new((Mutex::new(0), Condvar::new()));
        let count = arrived.clone();
        let pad = running.element("out").static_pad("sink").expect("fakesink has a sink pad");
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            *count.0.lock().expect("no panic") += 1;
            count.1.notify_one();
            gst::PadProbeReturn::Ok
        });
        Self { _running: running, source, arrived, sent: 0 }
    }

    fn run(&mut self, frame: &Frame, count: usize) {
        for _ in 0..count {
            // The copies share the memory, but not the metadata.
            let mut buffer = frame.buffer.copy();
            let writable = buffer.get_mut().expect("a new buffer");
            writable.set_pts(gst::ClockTime::from_mseconds(self.sent as u64));
            self.source.push_buffer(buffer).expect("the pipeline takes frames");
            self.sent += 1;
        }
        let (arrived, changed) = &*self.arrived;
        let limit = Duration::from_secs(120);
        let wait = changed.wait_timeout_while(arrived.lock().expect("no panic"), limit, |n| *n < self.sent);
        assert!(!wait.expect("no panic").1.timed_out(), "frames are lost");
    }
}

/// Twenty squares, none adjacent to another.
fn twenty() -> Picture {
    let squares: Vec<_> = (0..20)
        .map(|i| {
            let (column, row) = (2 * (i % 6), 2 * (i / 6));
            Square::new([Colour::Red, Colour::Green, Colour::Blue][i as usize % 3], column, row, 255 - i as u8)
        })
        .collect();
    Picture::new(&squares)
}

/// CPU time of queueing, metadata and publishing.
fn overhead(rounds: usize, frames: usize) {
    let model = find::test_model("yolo");
    let frame = twenty().rgb().frame(VideoFormat::Rgb);
    let detect = format!("! trtdetect backend=cpu model={}", model.display());
    let mut alone = Alone::new(&model);
    let found = engine::run(&engine::open(&model, 1), vec![frame.clone()], Params::default());
    assert_eq!(found[0].len(), 20);
    let pipelines = ["".to_owned(), detect.clone(), format!("{detect} ! trtpublish location=/dev/null")];
    let mut pipelines = pipelines.map(|elements| Through::new(&elements, &frame));
    let mut costs: [Vec<Cost>; 4] = Default::default();
    for _ in 0..rounds {
        costs[0].push(Cost::of(frames, || alone.run(&frame, frames)));
        for (pipeline, costs) in pipelines.iter_mut().zip(&mut costs[1..]) {
            costs.push(Cost::of(frames, || pipeline.run(&frame, frames)));
        }
    }
    println!(
        "CPU time of the process per frame, 20 objects, medians of {rounds} interleaved rounds of {frames} frames"
    );
    let names = ["engine alone", "appsrc ! fakesink", "with trtdetect", "with trtdetect ! trtpublish"];
    for (name, costs) in names.iter().zip(&costs) {
        println!("  {name:28} {:6.1} µs", us(median(costs.iter().map(|c| c.cpu).collect())));
    }
    let added: Vec<_> = costs[3].iter().zip(&costs[0]).map(|(with, without)| us(with.cpu) - us(without.cpu)).collect();
    println!("  {:28} {:6.1} µs (budget: 100)", "added to the engine", middle(added));
}

fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Frames per second, through the elements and by the engine alone.
fn throughput(model: &Path, rounds: usize, frames: usize) {
    let frame = Picture::sized(1280, 720, &twenty().squares).rgb().frame(VideoFormat::Nv12);
    let detect = format!("! trtdetect backend=cpu model={} ! trtpublish location=/dev/null", model.display());
    let (mut alone, mut through) = (Alone::new(model), Through::new(&detect, &frame));
    let (mut engine, mut elements) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        engine.push(Cost::of(frames, || alone.run(&frame, frames)));
        elements.push(Cost::of(frames, || through.run(&frame, frames)));
    }
    let ratios = engine.iter().zip(&elements).map(|(e, p)| e.wall.as_secs_f64() / p.wall.as_secs_f64());
    let ratio = middle(ratios.collect());
    let [engine, elements] = [engine, elements].map(|c| 1.0 / median(c.iter().map(|c| c.wall).collect()).as_secs_f64());
    let name = model.file_name().unwrap_or_default().display();
    println!(
        "  {name:28} {engine:7.1} fps alone, {elements:7.1} fps through the elements, ratio {ratio:.3} (wanted: 0.95)"
    );
}

/// What a log line costs that is off: nothing of it is evaluated.
fn logging(lines: u32) {
    let category = gst::DebugCategory::new("benchmark", gst::DebugColorFlags::empty(), None);
    let buffer = gst::Buffer::new();
    let start = Instant::now();
    for n in 0..lines {
        gst::trace!(
            category,
            "{}: frame {n} after {:?}",
            std::hint::black_box(&buffer).pts().display(),
            start.elapsed()
        );
    }
    println!("A line of the log that is off: {:.1} ns", start.elapsed().as_secs_f64() * 1e9 / f64::from(lines));
}

fn main() {
    if !start() {
        return;
    }
    // `cargo test` doesn't pass `--bench`, and only checks that the benchmark works.
    let measuring = std::env::args().any(|argument| argument == "--bench");
    let (rounds, frames) = if measuring { (9, 3000) } else { (1, 20) };
    overhead(rounds, frames);
    println!("Throughput of 1280 × 720 NV12 frames, medians of interleaved rounds");
    throughput(&find::test_model("slow"), rounds, if measuring { 60 } else { 2 });
    if measuring && let Some(model) = find::real_model("yolov12n") {
        throughput(&model, 5, 12);
    }
    logging(if measuring { 100_000_000 } else { 1000 });
}
