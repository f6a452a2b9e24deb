//! One stream: a clip that is looped through decoder and models.

use super::meter::Meter;
use super::report::Kind;
use gst::prelude::*;
use gsttensorrt::error::{Error, ErrorKind};
use gsttensorrt::infer::Backend;
use gsttensorrt::options::InferenceOptions;
use gsttensorrt::run::ElementOptions;
use hdrhistogram::Histogram;
use model::head::ModelChoice;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// The most objects and poses that are kept per frame, except in the worst case.
const OBJECTS: u32 = 20;
const POSES: u32 = 5;

/// The settings that all streams of a row share.
#[derive(Debug, Clone)]
pub struct StreamSetup<'a> {
    pub backend: Backend,
    pub kind: Kind,
    pub clip: &'a Path,
    pub model: &'a Path,
    /// What is said about reading the model.
    pub choice: ModelChoice,
    pub pose_model: Option<&'a Path>,
    pub device: u32,
    pub batch_size: u32,
    pub batch_timeout: Duration,
    pub engine_cache: Option<&'a Path>,
    /// Frames at the clip's own rate.
    pub paced: bool,
    /// Frames that each model skips after one that it looks at.
    pub interval: u32,
}

/// What streams report to the supervisor.
pub enum Notice {
    /// The stream with this index has reached the clip's end.
    Ended(usize),
    Failed(String),
}

/// The counters of the streaming threads.
#[derive(Debug)]
pub struct Counts {
    frames: AtomicU64,
    latency: Mutex<Waits>,
}

#[derive(Debug)]
struct Waits {
    /// Frames in flight, in order: their PTS, and when they came.
    since: VecDeque<(Option<gst::ClockTime>, Instant)>,
    /// Microseconds.
    times: Histogram<u32>,
}

impl Counts {
    fn new() -> Self {
        Self { frames: AtomicU64::new(0), latency: Mutex::new(Waits { since: VecDeque::new(), times: histogram() }) }
    }

    pub fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    fn entered(&self, pts: Option<gst::ClockTime>) {
        self.waits().since.push_back((pts, Instant::now()));
    }

    fn left(&self, pts: Option<gst::ClockTime>) {
        let mut waits = self.waits();
        // Earlier frames that didn't come out were flushed.
        while let Some((of, since)) = waits.since.pop_front() {
            if of == pts {
                waits.times.saturating_record(u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX));
                break;
            }
        }
    }

    /// Discards the times so far.
    pub fn restart(&self) {
        self.waits().times.reset();
    }

    pub fn add_times_to(&self, all: &mut Histogram<u32>) {
        // This fails only for values that the other histogram can't hold, and that one grows.
        let _ = all.add(&self.waits().times);
    }

    fn waits(&self) -> parking_lot::MutexGuard<'_, Waits> {
        self.latency.lock()
    }
}

/// Microseconds, up to 100 s.
pub fn histogram() -> Histogram<u32> {
    Histogram::new_with_bounds(1, 100_000_000, 3).unwrap_or_else(|_| unreachable!("constant bounds"))
}

/// A pipeline that plays until it's dropped.
pub struct BenchStream {
    pipeline: gst::Pipeline,
    /// The file for its lines.
    lines: PathBuf,
    pub counts: Arc<Counts>,
    meter: Option<Meter>,
    /// Of tracker and zones.
    tracking: Option<Meter>,
}

impl BenchStream {
    /// Makes a stream that is paused at the clip's first frame. `context` is given to its elements.
    ///
    /// # Errors
    /// An element's error.
    pub fn new(
        setup: &StreamSetup<'_>,
        index: usize,
        phase: Duration,
        context: Option<&gst::Context>,
        notices: &mpsc::Sender<Notice>,
    ) -> Result<Self, Error> {
        let lines = std::env::temp_dir().join(format!("gst-trt-bench-{}-{index}.jsonl", std::process::id()));
        let launch = launch(setup, index, phase, &lines);
        let failed = |text: String| Error::new(ErrorKind::Failed, text);
        let pipeline = gst::parse::launch(&launch).map_err(|error| failed(format!("{launch}: {error}")))?;
        let pipeline = pipeline.downcast::<gst::Pipeline>().map_err(|_| failed(format!("{launch}: no pipeline")))?;
        for (name, options) in models(setup, index) {
            if let Some(element) = pipeline.by_name(&name) {
                options.give_to(&element)?;
            }
        }
        if let Some(context) = context {
            pipeline.set_context(context);
        }
        listen(&pipeline, index, notices.clone());
        if let Some(zones) = pipeline.by_name("zones") {
            zones.set_property("zones", zones_and_lines());
        }
        let (meter, tracking) = (meter(&pipeline, "meter"), meter(&pipeline, "tracking"));
        tracking.iter().for_each(Meter::be_part_of_the_one_before);
        let stream = Self { counts: Arc::new(Counts::new()), meter, tracking, lines, pipeline };
        stream.watch(setup);
        stream.pipeline.set_state(gst::State::Paused).map_err(|_| failed("a pipeline doesn't start".into()))?;
        Ok(stream)
    }

    /// Waits until the first frame is through, then starts looping the clip.
    ///
    /// # Errors
    /// The first frame doesn't come through in time.
    pub fn prepare(&self, patience: Duration) -> Result<(), Error> {
        self.wait_for_preroll(patience)?;
        self.seek(gst::SeekFlags::FLUSH | gst::SeekFlags::SEGMENT)?;
        // The frame after the seek has to be through before frames are paced, or it waits for PLAYING forever.
        self.wait_for_preroll(patience)?;
        if let Some(pace) = self.pipeline.by_name("pace") {
            pace.set_property("sync", true);
        }
        Ok(())
    }

    fn wait_for_preroll(&self, patience: Duration) -> Result<(), Error> {
        let patience = gst::ClockTime::try_from(patience).unwrap_or(gst::ClockTime::MAX);
        let (reached, state, _) = self.pipeline.state(patience);
        if reached.is_err() || state != gst::State::Paused {
            return Err(Error::new(ErrorKind::Failed, "a pipeline doesn't reach its first frame"));
        }
        Ok(())
    }

    /// # Errors
    /// An element refuses the state change.
    pub fn play(&self) -> Result<(), Error> {
        let refused = |_| Error::new(ErrorKind::Failed, "a pipeline doesn't play");
        self.pipeline.set_state(gst::State::Playing).map(drop).map_err(refused)
    }

    /// Restarts the clip, without a gap.
    ///
    /// # Errors
    /// The file can't be looped.
    pub fn loop_again(&self) -> Result<(), Error> {
        self.seek(gst::SeekFlags::SEGMENT)
    }

    fn seek(&self, flags: gst::SeekFlags) -> Result<(), Error> {
        let seek = self.pipeline.seek(
            1.0,
            flags,
            gst::SeekType::Set,
            gst::ClockTime::ZERO,
            gst::SeekType::None,
            gst::ClockTime::NONE,
        );
        seek.map_err(|_| Error::new(ErrorKind::Failed, "the clip can't be looped: is it an MP4?"))
    }

    /// CPU time that this plugin's elements took on the decoder's thread.
    pub fn metered(&self) -> Duration {
        self.meter.as_ref().map_or(Duration::ZERO, Meter::spent)
    }

    /// CPU time that tracker and zones took, on any thread; `None` if the row has none.
    pub fn tracking(&self) -> Option<Duration> {
        self.tracking.as_ref().map(Meter::spent)
    }

    /// The clip's frames per second, once one has come through.
    pub fn rate(&self) -> Option<f64> {
        let caps = self.pipeline.by_name("end")?.static_pad("sink")?.current_caps()?;
        let rate = caps.structure(0)?.get::<gst::Fraction>("framerate").ok()?;
        (rate.numer() > 0).then(|| f64::from(rate.numer()) / f64::from(rate.denom()))
    }

    /// Counts frames at the end, and measures their time from before this plugin's elements to after them. The
    /// measuring itself isn't the plugin's cost, so it's done where the meters don't count it.
    fn watch(&self, setup: &StreamSetup<'_>) {
        let counts = self.counts.clone();
        probe(&self.pipeline, "end", "sink", move |_| {
            counts.frames.fetch_add(1, Ordering::Relaxed);
        });
        if setup.kind.infers() && setup.paced {
            let counts = self.counts.clone();
            probe(&self.pipeline, "meter", "sink", move |buffer| counts.entered(buffer.pts()));
            let counts = self.counts.clone();
            probe(&self.pipeline, "beyond", "src", move |buffer| counts.left(buffer.pts()));
        }
    }
}

impl Drop for BenchStream {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
        // The file exists only if objects were published.
        let _ = std::fs::remove_file(&self.lines);
    }
}

fn meter(pipeline: &gst::Pipeline, name: &str) -> Option<Meter> {
    pipeline.by_name(name)?.downcast().ok()
}

/// Eight zones, which cover the frame, and four lines between them, as JSON.
fn zones_and_lines() -> String {
    let zone = |index: u32| {
        let (left, top) = (0.25 * f64::from(index % 4), 0.5 * f64::from(index / 4));
        let (right, bottom) = (left + 0.25, top + 0.5);
        format!(
            r#"{{"name": "zone {index}", "polygon": [[{left}, {top}], [{right}, {top}], [{right}, {bottom}], [{left}, {bottom}]], "loitering_s": 10}}"#
        )
    };
    let line = |index: u32| {
        let x = 0.2 + 0.2 * f64::from(index);
        format!(r#"{{"name": "line {index}", "from": [{x}, 0], "to": [{x}, 1]}}"#)
    };
    let zones: Vec<_> = (0..8).map(zone).collect();
    let lines: Vec<_> = (0..4).map(line).collect();
    format!(r#"{{"zones": [{}], "lines": [{}]}}"#, zones.join(", "), lines.join(", "))
}

fn probe(pipeline: &gst::Pipeline, element: &str, pad: &str, seen: impl Fn(&gst::Buffer) + Send + Sync + 'static) {
    let Some(pad) = pipeline.by_name(element).and_then(|element| element.static_pad(pad)) else { return };
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        info.buffer().inspect(|buffer| seen(buffer));
        gst::PadProbeReturn::Ok
    });
}

fn listen(pipeline: &gst::Pipeline, index: usize, notices: mpsc::Sender<Notice>) {
    let Some(bus) = pipeline.bus() else { return };
    bus.set_sync_handler(move |_, message| {
        let notice = match message.view() {
            gst::MessageView::SegmentDone(_) => Some(Notice::Ended(index)),
            gst::MessageView::Eos(_) => Some(Notice::Failed("a clip ended instead of being looped".into())),
            gst::MessageView::Error(error) => {
                let from = message.src().map(|source| source.name().to_string()).unwrap_or_default();
                Some(Notice::Failed(format!("{from}: {}", error.error().message())))
            }
            _ => None,
        };
        if let Some(notice) = notice {
            // The receiver is dropped once the row is over.
            let _ = notices.send(notice);
        }
        gst::BusSyncReply::Drop
    });
}

/// The names of the elements, which are also those of their source pads' threads.
pub fn detector_name(index: usize) -> String {
    format!("det{index}")
}

pub fn pose_name(index: usize) -> String {
    format!("pose{index}")
}

/// Whether a thread runs batches.
pub fn is_lane(thread: &str) -> bool {
    thread.starts_with("trt-lane-")
}

/// Whether a thread is the task of a source pad of this plugin's elements.
pub fn is_pad(thread: &str) -> bool {
    let task = thread.strip_suffix(":src");
    let named = |name: &str, prefix: &str| name.strip_prefix(prefix).is_some_and(|rest| rest.parse::<usize>().is_ok());
    task.is_some_and(|name| named(name, "det") || named(name, "pose"))
}

/// Whether a thread writes `trtpublish`'s lines.
pub fn is_writer(thread: &str) -> bool {
    thread == "trtpublish"
}

/// The models' elements: their names, and what they are told.
fn models(setup: &StreamSetup<'_>, index: usize) -> Vec<(String, ElementOptions)> {
    let default = InferenceOptions::default();
    let options = |model: &Path, most: u32| {
        // As many as a busy street shows, whatever the weights: models with random weights find hundreds.
        let (confidence, max_detections) = match setup.kind {
            Kind::WorstCase => (0.0, default.max_detections),
            _ => (default.confidence, most),
        };
        InferenceOptions {
            backend: setup.backend,
            device_id: setup.device,
            engine_cache: setup.engine_cache.map(Path::to_owned),
            model: Some(model.to_owned()),
            batch_size: setup.batch_size,
            batch_timeout: setup.batch_timeout,
            interval: setup.interval,
            confidence,
            max_detections,
            // As `gst-trt run` has it.
            roi_meta: false,
            analytics_meta: false,
            ..default.clone()
        }
    };
    let ModelChoice { head, normalization, resize, color } = setup.choice;
    let detector =
        InferenceOptions { head, normalization: normalization.into(), resize, color, ..options(setup.model, OBJECTS) };
    let detector = (detector_name(index), ElementOptions::detect(detector));
    let pose = setup.pose_model.filter(|_| setup.kind.has_pose());
    let pose = pose.map(|model| (pose_name(index), ElementOptions::pose(options(model, POSES))));
    [detector].into_iter().chain(pose).collect()
}

fn launch(setup: &StreamSetup<'_>, index: usize, phase: Duration, lines: &Path) -> String {
    let quoted = |path: &Path| {
        let text = path.to_string_lossy();
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    };
    let decoder = match setup.backend {
        Backend::TensorRt => "nvh264dec ! video/x-raw(memory:CUDAMemory)",
        Backend::Cpu => "avdec_h264",
    };
    let mut parts = vec![format!("filesrc location={} ! qtdemux ! h264parse ! {decoder}", quoted(setup.clip))];
    if setup.paced {
        // In PAUSED a pacing clocksync lets no first frame through; `prepare` turns pacing on.
        parts.push(format!("clocksync name=pace sync=false ts-offset={}", phase.as_nanos()));
    }
    if setup.kind.infers() {
        parts.push("benchmeter name=meter".into());
        for (name, options) in models(setup, index) {
            parts.push(format!("{} name={name}", options.factory()));
        }
        if setup.kind == Kind::Published {
            parts.push(format!("trtpublish location={}", quoted(lines)));
        }
        if setup.kind.has_zones() {
            // As `gst-trt run` has them.
            parts.push("benchmeter name=tracking ! trttrack roi-meta=false analytics-meta=false".into());
            parts.push("trtzones name=zones attach-zones=false".into());
        }
        if setup.paced || setup.kind.has_zones() {
            // The thread that pushes frames here pushes them through to the sink, whose cost isn't the plugin's.
            parts.push("benchmeter name=beyond".into());
        }
    }
    parts.push("fakesink name=end sync=false qos=false enable-last-sample=false".into());
    parts.join(" ! ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(kind: Kind, paced: bool) -> StreamSetup<'static> {
        StreamSetup {
            backend: Backend::TensorRt,
            kind,
            clip: Path::new("/a b/c.mp4"),
            model: Path::new("yolo.onnx"),
            choice: ModelChoice::default(),
            pose_model: Some(Path::new("pose.onnx")),
            device: 1,
            batch_size: 16,
            batch_timeout: Duration::from_millis(5),
            engine_cache: None,
            paced,
            interval: 0,
        }
    }

    const LINES: &str = "/d e/f.jsonl";

    #[test]
    fn launch_strings_have_what_the_row_needs() {
        let decode = launch(&setup(Kind::Decode, false), 0, Duration::ZERO, LINES.as_ref());
        assert!(decode.contains("location=\"/a b/c.mp4\"") && !decode.contains("trt") && !decode.contains("clocksync"));
        let paced = launch(&setup(Kind::Detection, true), 3, Duration::from_millis(4), LINES.as_ref());
        assert!(
            paced.contains("clocksync name=pace sync=false ts-offset=4000000") && paced.contains("trtdetect name=det3")
        );
        assert!(!paced.contains("trtpose"));
        let order =
            ["clocksync", "name=meter", "trtdetect", "name=beyond", "fakesink"].map(|part| paced.find(part).unwrap());
        assert!(order.is_sorted(), "{paced}");
        let published = launch(&setup(Kind::Published, false), 0, Duration::ZERO, LINES.as_ref());
        assert!(published.contains("trtpose name=pose0") && published.contains("trtpublish location=\"/d e/f.jsonl\""));
    }

    #[test]
    fn trackers_and_zones_have_a_meter() {
        for paced in [false, true] {
            let tracked = launch(&setup(Kind::Tracked, paced), 0, Duration::ZERO, LINES.as_ref());
            let order = ["trtpose", "name=tracking", "trttrack", "trtzones", "name=beyond", "fakesink"];
            assert!(order.map(|part| tracked.find(part).unwrap()).is_sorted(), "{tracked}");
        }
        let config = tracking::zones::ZonesConfig::parse(&zones_and_lines()).unwrap();
        assert_eq!((config.zones.len(), config.lines.len()), (8, 4));
        let held = StreamSetup { interval: 2, ..setup(Kind::Held, true) };
        let interval = |(_, options): &(String, ElementOptions)| match options {
            ElementOptions::Detect(options) | ElementOptions::Pose(options) => options.interval,
            other => panic!("{other:?}"),
        };
        assert_eq!(models(&held, 0).iter().map(interval).collect::<Vec<_>>(), [2, 2]);
    }

    #[test]
    fn models_have_what_the_row_needs() {
        let options = |kind: Kind| match models(&setup(kind, false), 3).swap_remove(0) {
            (name, ElementOptions::Detect(options)) if name == "det3" => options,
            other => panic!("{other:?}"),
        };
        let busy = options(Kind::Detection);
        assert_eq!((busy.device_id, busy.batch_size, busy.batch_timeout), (1, 16, Duration::from_millis(5)));
        assert_eq!((busy.max_detections, busy.roi_meta), (OBJECTS, false));
        let worst = options(Kind::WorstCase);
        assert_eq!((worst.confidence, worst.max_detections), (0.0, InferenceOptions::default().max_detections));
        let poses = |kind: Kind| matches!(&models(&setup(kind, false), 0)[..], [_, (_, ElementOptions::Pose(_))]);
        assert!(poses(Kind::Published) && !poses(Kind::Detection));
    }

    #[test]
    fn our_threads_are_known_by_name() {
        for pad in ["det12:src", "pose3:src"] {
            assert!(is_pad(pad) && !is_lane(pad), "{pad}");
        }
        assert!(is_lane("trt-lane-0") && !is_pad("trt-lane-0"));
        assert!(is_writer("trtpublish") && !is_pad("trtpublish"));
        for other in ["qtdemux0:sink", "detector:src", "det1:sink", "gst-trt", "h264parse0:src", "pose:src"] {
            assert!(!is_pad(other) && !is_lane(other) && !is_writer(other), "{other}");
        }
    }
}
