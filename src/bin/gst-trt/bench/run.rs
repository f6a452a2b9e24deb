//! Runs a row: plays streams for a while, and measures them.

use super::clock;
use super::report::{Latency, OwnCpu, Row};
use super::stream::{BenchStream, Notice, StreamSetup, histogram, is_lane, is_pad, is_writer};
use cuda::Traffic;
use gsttensorrt::error::{Error, ErrorKind};
use gsttensorrt::gst_cuda::SharedContext;
use gsttensorrt::infer::{Service, ServiceStats};
use gsttensorrt::monitor::process_cpu;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// The time allowed up to the first frame, for opening files and decoders. Engines exist before.
const PATIENCE: Duration = Duration::from_secs(60);

/// A clip's time from frame to frame, over which the streams' phases are spread.
const FRAME: Duration = Duration::from_millis(33);

/// What a row needs besides its set-up.
pub struct Bench<'a> {
    /// The services of the row's models, the detector's first.
    pub services: Vec<&'a Arc<Service>>,
    /// The context whose copies are counted.
    pub shared: Option<&'a SharedContext>,
    /// Pipelines are given the shared context.
    pub hand_on: bool,
    pub warm_up: Duration,
    pub time: Duration,
}

/// The counters at one moment.
struct Reading {
    at: Instant,
    frames: u64,
    process: Duration,
    own: Option<OwnTimes>,
    /// CPU time of tracker and zones; `None` without them.
    tracking: Option<Duration>,
    traffic: Option<Traffic>,
    services: Vec<(ServiceStats, Vec<u64>)>,
}

/// CPU time of this plugin so far, divided as in [`OwnCpu`].
#[derive(Clone, Copy)]
struct OwnTimes {
    lanes: Duration,
    pads: Duration,
    decoders: Duration,
}

/// Launches of one service while the row was measured.
pub type Launches = Vec<u64>;

/// A row that was measured, and how many batches of 0, 1, 2, … images each service launched in it.
pub struct Measured {
    pub row: Row,
    pub launches: Vec<Launches>,
}

/// Plays `streams` streams and measures.
///
/// # Errors
/// The error of the first element that failed.
pub fn run(bench: &Bench<'_>, setup: &StreamSetup<'_>, streams: usize) -> Result<Measured, Error> {
    let (sender, notices) = mpsc::channel();
    let context = bench.shared.filter(|_| bench.hand_on).map(SharedContext::to_gst);
    let started: Vec<BenchStream> = (0..streams)
        .map(|index| {
            let phase = FRAME * index as u32 / streams as u32;
            BenchStream::new(setup, index, phase, context.as_ref(), &sender)
        })
        .collect::<Result<_, _>>()
        .map_err(|error| cause(&notices, error))?;
    for stream in &started {
        stream.prepare(PATIENCE).map_err(|error| cause(&notices, error))?;
    }
    for stream in &started {
        stream.play()?;
    }
    supervise(&started, &notices, bench.warm_up)?;
    started.iter().for_each(|stream| stream.counts.restart());
    let before = read(bench, &started);
    supervise(&started, &notices, bench.time)?;
    let after = read(bench, &started);
    Ok(measured(setup, &started, &before, &after))
}

/// Prefers the error that an element has posted to the one that followed from it.
fn cause(notices: &mpsc::Receiver<Notice>, error: Error) -> Error {
    let said = notices.try_iter().find_map(|notice| match notice {
        Notice::Failed(text) => Some(text),
        Notice::Ended(_) => None,
    });
    said.map_or(error, |text| Error::new(ErrorKind::Failed, text))
}

/// Loops the clips until the time is over.
fn supervise(streams: &[BenchStream], notices: &mpsc::Receiver<Notice>, time: Duration) -> Result<(), Error> {
    let end = Instant::now() + time;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match notices.recv_timeout(left) {
            Ok(Notice::Ended(index)) => streams.get(index).map_or(Ok(()), BenchStream::loop_again)?,
            Ok(Notice::Failed(text)) => return Err(Error::new(ErrorKind::Failed, text)),
            Err(_) => return Ok(()),
        }
    }
}

fn read(bench: &Bench<'_>, streams: &[BenchStream]) -> Reading {
    let metered: Duration = streams.iter().map(BenchStream::metered).sum();
    Reading {
        at: Instant::now(),
        frames: streams.iter().map(|stream| stream.counts.frames()).sum(),
        process: process_cpu(),
        own: clock::threads(is_lane)
            .zip(clock::threads(|name| is_pad(name) || is_writer(name)))
            .map(|(lanes, pads)| OwnTimes { lanes, pads, decoders: metered }),
        tracking: streams.iter().map(BenchStream::tracking).sum(),
        traffic: bench.shared.map(|shared| shared.context().traffic()),
        services: bench.services.iter().map(|service| (service.stats(), service.launches())).collect(),
    }
}

fn measured(setup: &StreamSetup<'_>, streams: &[BenchStream], before: &Reading, after: &Reading) -> Measured {
    let seconds = (after.at - before.at).as_secs_f64();
    let frames = after.frames - before.frames;
    let each = |total: f64| if frames == 0 { 0.0 } else { total / frames as f64 };
    let micros = |time: Duration| each(time.as_secs_f64() * 1e6);
    let process = after.process.saturating_sub(before.process);
    let mut counted = (0, 0);
    let mut launches = Vec::new();
    for ((now, launched), (then, launched_then)) in after.services.iter().zip(&before.services) {
        counted.0 += now.candidates - then.candidates;
        counted.1 += now.objects - then.objects;
        launches.push(launched.iter().zip(launched_then).map(|(now, then)| now - then).collect::<Launches>());
    }
    let traffic = after.traffic.zip(before.traffic);
    let bytes = |now: u64, then: u64| each(now.saturating_sub(then) as f64);
    let row = Row {
        kind: setup.kind,
        streams: streams.len(),
        paced: setup.paced,
        interval: setup.interval,
        error: None,
        frames,
        fps: frames as f64 / seconds,
        clip_fps: streams.first().and_then(BenchStream::rate),
        batch: launches.first().map_or(0.0, |launches| mean_batch(launches)),
        candidates: each(counted.0 as f64),
        objects: each(counted.1 as f64),
        engine_fps: None,
        decode_fps: None,
        own_cpu: after.own.zip(before.own).filter(|_| setup.kind.infers()).map(|(now, then)| OwnCpu {
            lanes_us: micros(now.lanes.saturating_sub(then.lanes)),
            pads_us: micros(now.pads.saturating_sub(then.pads)),
            decoders_us: micros(now.decoders.saturating_sub(then.decoders)),
        }),
        tracking_us: after.tracking.zip(before.tracking).map(|(now, then)| micros(now.saturating_sub(then))),
        process_cpu_us: micros(process),
        cores_per_stream: process.as_secs_f64() / seconds / streams.len().max(1) as f64,
        to_host: traffic.map(|(now, then)| bytes(now.to_host, then.to_host)),
        masks: traffic.map_or(0.0, |(now, then)| bytes(now.masks, then.masks)),
        to_device: traffic.map(|(now, then)| bytes(now.to_device, then.to_device)),
        latency: latency(streams),
        over_decode: None,
        over_own_decode: None,
        verdicts: Vec::new(),
    };
    Measured { row, launches }
}

fn latency(streams: &[BenchStream]) -> Option<Latency> {
    let mut all = histogram();
    streams.iter().for_each(|stream| stream.counts.add_times_to(&mut all));
    let at = |quantile| all.value_at_quantile(quantile) as f64 / 1000.0;
    (!all.is_empty()).then(|| Latency { p50: at(0.50), p95: at(0.95), p99: at(0.99), engine: None })
}

/// The mean number of images per launch.
fn mean_batch(launches: &[u64]) -> f64 {
    let count: u64 = launches.iter().sum();
    let images: u64 = (0..).zip(launches).map(|(images, count)| images * count).sum();
    if count == 0 { 0.0 } else { images as f64 / count as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launches_have_a_mean() {
        assert_eq!(mean_batch(&[0, 4, 0, 0, 1]), 1.6);
        assert_eq!(mean_batch(&[0, 0]), 0.0);
    }
}
