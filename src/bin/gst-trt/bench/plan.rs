//! Decides which rows are measured, in which order.

use super::held;
use super::report::{Alone, BatchTime, Kind, Report, Row};
use super::run::{Bench, Launches, Measured, run};
use super::stream::StreamSetup;
use super::{Arguments, machine, verdict};
use gsttensorrt::backend;
use gsttensorrt::error::Error;
use gsttensorrt::gst_cuda::SharedContext;
use gsttensorrt::infer::{Backend, DeviceContext, ModelSettings, Service};
use model::head::ModelChoice;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A group of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Decoding alone, for each number of streams
    Decode,
    /// Detection as fast as it goes, for each number of streams
    Throughput,
    /// Detection and pose as fast as they go
    Pose,
    /// Every anchor passes
    Worst,
    /// Latency at the clip's own rate
    Latency,
    /// CPU time at the clip's own rate, published and against decoding alone
    Cpu,
    /// CPU time of tracker and zones
    Tracking,
    /// How many cameras are held with tracker and zones, for each interval; only if it is named
    Held,
}

/// How long each batch size of an engine is run alone.
const ALONE: Duration = Duration::from_millis(500);

/// There are many pairs, so each has a short warm-up.
const PAIR_WARM_UP: Duration = Duration::from_millis(1500);

/// The number of streams of the rows at the clip's own rate, unless fewer are asked for.
const PACED_STREAMS: usize = 8;

struct BenchPlan<'a> {
    arguments: &'a Arguments,
    shared: Option<SharedContext>,
    /// What is said about reading the detector.
    choice: ModelChoice,
    detector: Arc<Service>,
    pose: Option<Arc<Service>>,
    report: Report,
}

/// Measures everything that the arguments ask for.
///
/// # Errors
/// There's no device or library, or a model can't be opened. A row that fails reports it by itself.
pub fn measure(arguments: &Arguments) -> Result<Report, Error> {
    let shared = match arguments.backend {
        Backend::TensorRt => Some(SharedContext::own(arguments.device)?),
        Backend::Cpu => None,
    };
    let mut report = Report { machine: machine::describe(arguments), peer: arguments.peer, ..Report::default() };
    let choice = arguments.reading.choice()?;
    let detector = ModelSettings { choice, ..settings(arguments, &arguments.model, shared.as_ref()) };
    let pose = arguments.pose_model.as_deref().map(|model| settings(arguments, model, shared.as_ref()));
    // Engines alone come first: open services occupy the memory of their lanes.
    report.detector = Some(alone(&detector)?);
    report.pose = pose.as_ref().map(alone).transpose()?;
    let detector = backend::open(&detector)?;
    let pose = pose.as_ref().map(backend::open).transpose()?;
    let mut plan = BenchPlan { arguments, shared, choice, detector, pose, report };
    plan.throughput();
    plan.at_own_rate();
    plan.tracking();
    plan.held();
    verdict::judge(&mut plan.report);
    Ok(plan.report)
}

/// The same settings as the elements', so that they share the service.
fn settings(arguments: &Arguments, model: &Path, shared: Option<&SharedContext>) -> ModelSettings {
    ModelSettings {
        backend: arguments.backend,
        model: model.into(),
        device_id: arguments.device,
        batch_size: arguments.batch_size,
        context: shared.map(|shared| Arc::new(shared.clone()) as Arc<dyn DeviceContext>),
        engine_cache: arguments.engine_cache.clone(),
        ..ModelSettings::default()
    }
}

fn alone(settings: &ModelSettings) -> Result<Alone, Error> {
    let engine = backend::open_engine(settings)?;
    say(&format!("{} alone", engine.description()));
    let (times, error) = match engine.time_alone(ALONE) {
        Ok(times) => (times, None),
        Err(error) => (Vec::new(), Some(error.message)),
    };
    let batches = times.into_iter().map(|(batch, time)| {
        let seconds = time.as_secs_f64().max(1e-9);
        BatchTime { batch, milliseconds: seconds * 1000.0, fps: batch as f64 / seconds }
    });
    Ok(Alone { engine: engine.description(), error, batches: batches.collect() })
}

fn say(what: &str) {
    errln!("  {what}");
}

impl BenchPlan<'_> {
    fn wants(&self, part: Part) -> bool {
        let only = &self.arguments.only;
        only.contains(&part) || only.is_empty() && part != Part::Held
    }

    fn most_streams(&self) -> usize {
        self.arguments.streams.iter().copied().max().unwrap_or(1)
    }

    /// Measures the rows without pacing.
    fn throughput(&mut self) {
        let has_pose = self.pose.is_some();
        for streams in self.arguments.streams.clone() {
            if self.wants(Part::Decode) {
                self.row(Kind::Decode, streams, false);
            }
            if self.wants(Part::Throughput) {
                self.row(Kind::Detection, streams, false);
            }
            if has_pose && self.wants(Part::Pose) {
                self.row(Kind::DetectionAndPose, streams, false);
            }
        }
        let most = self.most_streams();
        if has_pose && self.wants(Part::Cpu) {
            self.row(Kind::Published, PACED_STREAMS.min(most), false);
        }
        if self.shared.is_some() && self.wants(Part::Decode) {
            self.row(Kind::DecodeOwnContext, most, false);
        }
        if self.wants(Part::Worst) {
            self.row(Kind::WorstCase, most, false);
        }
    }

    /// Measures the rows at the clip's own rate.
    fn at_own_rate(&mut self) {
        let has_pose = self.pose.is_some();
        let streams = PACED_STREAMS.min(self.most_streams());
        if self.wants(Part::Latency) {
            self.row(Kind::Detection, streams, true);
            if has_pose {
                self.row(Kind::DetectionAndPose, streams, true);
            }
        }
        if self.wants(Part::Cpu) {
            if has_pose {
                self.row(Kind::Published, streams, true);
            }
            if self.most_streams() > streams {
                self.row(Kind::Detection, self.most_streams(), true);
            }
            self.pairs(streams);
        }
    }

    /// Measures tracker and zones, as fast as it goes and at the clip's own rate.
    fn tracking(&mut self) {
        if self.pose.is_none() || !self.wants(Part::Tracking) {
            return;
        }
        let most = self.most_streams();
        let few = PACED_STREAMS.min(most);
        for streams in [few, most].into_iter().take(if most > few { 2 } else { 1 }) {
            for paced in [false, true] {
                self.row(Kind::Tracked, streams, paced);
            }
        }
    }

    /// Finds how many cameras are held at each interval by short runs, and confirms it by a long one, which has fewer where that
    /// didn't hold.
    fn held(&mut self) {
        if self.pose.is_none() || !self.wants(Part::Held) {
            return;
        }
        let seconds = Duration::from_secs_f64;
        let (warm_up, short) = (seconds(self.arguments.warm_up), seconds(self.arguments.seconds));
        for interval in self.arguments.intervals.clone() {
            let run = |streams, time| self.measure_at(Kind::Held, streams, true, interval, (warm_up, time));
            let found = held::most_held(|streams| run(streams, short).map(|measured| verdict::is_held(&measured.row)));
            let confirmed = found.and_then(|mut streams| {
                loop {
                    streams = streams.max(1);
                    let measured = run(streams, seconds(self.arguments.held_seconds))?;
                    if streams == 1 || verdict::is_held(&measured.row) {
                        return Ok(measured);
                    }
                    streams -= held::step(streams);
                }
            });
            match confirmed {
                Ok(Measured { row, launches }) => self.add(row, &launches),
                Err(error) => self.failed(Kind::Held, 0, true, interval, &error),
            }
        }
    }

    /// Measures detection and decoding alone alternately, so that both see the same state of the machine; the medians
    /// are compared.
    fn pairs(&mut self, streams: usize) {
        let time = Duration::from_secs_f64(self.arguments.seconds / 2.0);
        let (mut over_decode, mut over_own_decode, mut last) = (Vec::new(), Vec::new(), None);
        for _ in 0..self.arguments.pairs {
            let run = |kind| self.measure(kind, streams, true, (PAIR_WARM_UP, time));
            let own = self.shared.is_some().then(|| run(Kind::DecodeOwnContext)).transpose();
            match (run(Kind::Decode), own, run(Kind::Detection)) {
                (Ok(decode), Ok(own), Ok(detection)) => {
                    let over = |other: &Measured| detection.row.process_cpu_us / other.row.process_cpu_us.max(1e-9);
                    over_decode.push(over(&decode));
                    over_own_decode.extend(own.as_ref().map(over));
                    last = Some(detection);
                }
                (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => {
                    return self.failed(Kind::Detection, streams, true, 0, &error);
                }
            }
        }
        if let Some(Measured { mut row, launches }) = last {
            (row.over_decode, row.over_own_decode) = (median(over_decode), median(over_own_decode));
            self.add(row, &launches);
        }
    }

    fn row(&mut self, kind: Kind, streams: usize, paced: bool) {
        let seconds = Duration::from_secs_f64;
        let times = (seconds(self.arguments.warm_up), seconds(self.arguments.seconds));
        match self.measure(kind, streams, paced, times) {
            Ok(Measured { row, launches }) => self.add(row, &launches),
            Err(error) => self.failed(kind, streams, paced, 0, &error),
        }
    }

    fn measure(&self, kind: Kind, streams: usize, paced: bool, times: (Duration, Duration)) -> Result<Measured, Error> {
        self.measure_at(kind, streams, paced, 0, times)
    }

    fn measure_at(
        &self,
        kind: Kind,
        streams: usize,
        paced: bool,
        interval: u32,
        (warm_up, time): (Duration, Duration),
    ) -> Result<Measured, Error> {
        let arguments = self.arguments;
        let clip = arguments.latency_clip.as_ref().filter(|_| paced).unwrap_or(&arguments.clip);
        let skipping = if interval > 0 { format!(", interval {interval}") } else { String::new() };
        let pace = if paced { ", at the clip's rate" } else { "" };
        say(&format!("{}, {streams} stream(s){skipping}{pace}", kind.name()));
        let setup = StreamSetup {
            backend: arguments.backend,
            kind,
            clip,
            model: &arguments.model,
            choice: self.choice,
            pose_model: arguments.pose_model.as_deref(),
            device: arguments.device,
            batch_size: arguments.batch_size,
            batch_timeout: arguments.batch_timeout,
            engine_cache: arguments.engine_cache.as_deref(),
            paced,
            interval,
        };
        let pose = self.pose.as_ref().filter(|_| kind.has_pose());
        let services = if kind.infers() { std::iter::once(&self.detector).chain(pose).collect() } else { Vec::new() };
        let hand_on = kind != Kind::DecodeOwnContext;
        let bench = Bench { services, shared: self.shared.as_ref(), hand_on, warm_up, time };
        run(&bench, &setup, streams)
    }

    /// Adds a row with the figures that it's compared with.
    fn add(&mut self, mut row: Row, launches: &[Launches]) {
        let engines = [self.report.detector.as_ref(), self.report.pose.as_ref()];
        let of = |work: &dyn Fn(&Alone, &Launches) -> Option<f64>| -> Option<f64> {
            let parts = engines.iter().zip(launches).map(|(engine, launches)| work((*engine)?, launches));
            if launches.is_empty() { None } else { parts.sum() }
        };
        let busy = of(&|engine, launches| engine_seconds(engine, launches));
        row.engine_fps = busy.filter(|&busy| busy > 0.0).map(|busy| row.frames as f64 / busy);
        let largest = of(&|engine, launches| {
            let images = launches.iter().rposition(|&count| count > 0)?;
            engine.milliseconds(images)
        });
        if let Some(latency) = &mut row.latency {
            latency.engine = largest;
        }
        let alone = self.report.rows.iter().find(|other| {
            other.kind == Kind::Decode && !other.paced && other.streams == row.streams && other.error.is_none()
        });
        row.decode_fps = alone.map(|other| other.fps).filter(|_| row.kind.infers() && !row.paced);
        self.report.rows.push(row);
    }

    fn failed(&mut self, kind: Kind, streams: usize, paced: bool, interval: u32, error: &Error) {
        self.report.rows.push(Row {
            kind,
            streams,
            paced,
            interval,
            error: Some(error.message.clone()),
            frames: 0,
            fps: 0.0,
            clip_fps: None,
            batch: 0.0,
            candidates: 0.0,
            objects: 0.0,
            engine_fps: None,
            decode_fps: None,
            own_cpu: None,
            tracking_us: None,
            process_cpu_us: 0.0,
            cores_per_stream: 0.0,
            to_host: None,
            masks: 0.0,
            to_device: None,
            latency: None,
            over_decode: None,
            over_own_decode: None,
            verdicts: Vec::new(),
        });
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// The time that an engine takes for these launches, back to back.
fn engine_seconds(engine: &Alone, launches: &Launches) -> Option<f64> {
    let launched = launches.iter().enumerate().filter(|(_, count)| **count > 0);
    launched.map(|(images, &count)| Some(engine.milliseconds(images)? * count as f64 / 1000.0)).sum()
}

#[cfg(test)]
mod tests {
    use super::super::verdict::tests::alone;
    use super::*;

    /// 1000 images a second at any batch: three images run as eight.
    #[test]
    fn launches_take_what_their_batch_size_takes() {
        let engine = alone(1000.0);
        let seconds = engine_seconds(&engine, &vec![0, 10, 0, 5]).unwrap();
        assert!((seconds - (10.0 * 0.001 + 5.0 * 0.008)).abs() < 1e-9, "{seconds}");
        let mut beyond = vec![0; 18];
        beyond[17] = 1;
        assert_eq!(engine_seconds(&engine, &beyond), None, "no batch size is ready for 17");
        assert_eq!(engine_seconds(&engine, &vec![0, 0]), Some(0.0));
    }
}
