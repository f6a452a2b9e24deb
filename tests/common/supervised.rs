//! Cameras that run in this process on a separate thread, and their output.

use super::{barcode, find};
use gst::glib;
use gst::prelude::*;
use gsttensorrt::config::{SecretUrl, Transport};
use gsttensorrt::infer::Backend;
use gsttensorrt::monitor::{Camera, CameraState};
use gsttensorrt::options::InferenceOptions;
use gsttensorrt::run::{
    Backoff, CameraSetup, Decoder, ElementOptions, ElementSetup, Meters, Options, Outcome, Patience, RtspSource,
    SourceSetup, Supervisor, ThreadSetup,
};
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex, Once, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// A frame at the end of its pipeline.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// Its number, if its bars can be read.
    pub number: Option<u64>,
    pub pts: Option<gst::ClockTime>,
    /// Its capture time, if known.
    pub taken: Option<SystemTime>,
    pub at: Instant,
}

type Job = Box<dyn FnOnce(&Rc<Supervisor>) + Send>;

/// Cameras that run until this is stopped or dropped.
pub struct Supervised {
    arrivals: Arc<Mutex<HashMap<String, Vec<Arrival>>>>,
    pipelines: Arc<Mutex<HashMap<String, glib::WeakRef<gst::Pipeline>>>>,
    lines: Arc<Mutex<Vec<String>>>,
    meters: Meters,
    context: glib::MainContext,
    jobs: mpsc::Sender<Job>,
    thread: Option<JoinHandle<Outcome>>,
}

/// Short times, so that tests take seconds.
pub const IMPATIENCE: Patience = Patience {
    connect: Duration::from_secs(4),
    silence: Duration::from_millis(1500),
    settled: Duration::from_secs(3),
    backoff: Backoff { first: Duration::from_millis(200), longest: Duration::from_secs(1) },
    refusal: Backoff { first: Duration::from_secs(60), longest: Duration::from_secs(900) },
};

/// An RTSP camera without models.
pub fn rtsp(name: &str, url: &str, transport: Transport) -> CameraSetup {
    camera(
        name,
        SourceSetup::Rtsp(RtspSource {
            url: SecretUrl::new(url),
            transport,
            latency: Duration::from_millis(100),
            timeout: Duration::from_secs(3),
        }),
    )
}

/// A camera on the CPU without models.
pub fn camera(name: &str, source: SourceSetup) -> CameraSetup {
    CameraSetup {
        name: name.into(),
        source,
        decoder: Decoder::Cpu,
        coded_queue: 50,
        picture_queue: 10,
        picture_memory: None,
        surfaces: None,
        elements: vec![],
        recording: None,
        clips: None,
        threads: ThreadSetup::default(),
        run: None,
    }
}

/// Detection on the CPU.
pub fn detection_with(model: impl Into<PathBuf>, options: InferenceOptions) -> ElementSetup {
    let options = InferenceOptions { backend: Backend::Cpu, model: Some(model.into()), ..options };
    ElementSetup { name: "detect".into(), options: ElementOptions::detect(options), contents: vec![] }
}

/// Detection with the small test model.
pub fn detection() -> ElementSetup {
    detection_with(find::test_model("yolo"), InferenceOptions::default())
}

impl Supervised {
    pub fn start(cameras: Vec<CameraSetup>) -> Self {
        Self::start_with(cameras, IMPATIENCE)
    }

    pub fn start_with(cameras: Vec<CameraSetup>, patience: Patience) -> Self {
        Self::start_seen(cameras, patience, |_| {})
    }

    /// `see` is called with each pipeline before it starts.
    pub fn start_seen(
        cameras: Vec<CameraSetup>,
        patience: Patience,
        see: impl Fn(&gst::Pipeline) + Send + 'static,
    ) -> Self {
        allow_rtspsrc_its_race();
        let context = glib::MainContext::new();
        let (jobs, queue) = mpsc::channel::<Job>();
        let arrivals = Arc::<Mutex<HashMap<_, _>>>::default();
        let pipelines = Arc::<Mutex<HashMap<_, _>>>::default();
        let lines = Arc::<Mutex<Vec<_>>>::default();
        let meters = Meters::default();
        let thread = std::thread::spawn({
            let (context, arrivals, pipelines, lines, meters) =
                (context.clone(), arrivals.clone(), pipelines.clone(), lines.clone(), meters.clone());
            move || {
                let run = || {
                    let main_loop = glib::MainLoop::new(Some(&glib::MainContext::ref_thread_default()), false);
                    let outcome = Rc::new(std::cell::Cell::new(None));
                    let end = {
                        let (outcome, main_loop) = (outcome.clone(), main_loop.clone());
                        move |how| {
                            outcome.set(Some(how));
                            main_loop.quit();
                        }
                    };
                    let on_pipeline = move |setup: &CameraSetup, pipeline: &gst::Pipeline| {
                        pipelines.lock().unwrap().insert(setup.name.clone(), pipeline.downgrade());
                        note_arrivals(&setup.name, pipeline, &arrivals);
                        see(pipeline);
                    };
                    let options = Options {
                        meters,
                        say: Some(Box::new(move |line| lines.lock().unwrap().push(line.to_owned()))),
                        on_pipeline: Some(Box::new(on_pipeline)),
                        ..Options::default()
                    };
                    let supervisor = Supervisor::start(cameras, patience, options, end);
                    // The context is woken for jobs.
                    while outcome.take().map(|how| outcome.set(Some(how))).is_none() {
                        glib::MainContext::ref_thread_default().iteration(true);
                        while let Ok(job) = queue.try_recv() {
                            job(&supervisor);
                        }
                    }
                    outcome.take().unwrap()
                };
                context.with_thread_default(run).unwrap()
            }
        });
        Self { arrivals, pipelines, lines, meters, context, jobs, thread: Some(thread) }
    }

    fn ask(&self, job: impl FnOnce(&Rc<Supervisor>) + Send + 'static) {
        // Fails if it has already ended.
        let _ = self.jobs.send(Box::new(job));
        self.context.wakeup();
    }

    pub fn apply(&self, cameras: Vec<CameraSetup>) {
        self.ask(move |supervisor| supervisor.apply(cameras, IMPATIENCE));
    }

    /// Stops all cameras.
    pub fn stop(mut self) -> Outcome {
        self.ask(|supervisor| supervisor.stop());
        self.thread.take().expect("stopped once").join().unwrap()
    }

    /// Stops all cameras, and returns a camera's final counts.
    pub fn stop_and_count(mut self, camera: &str) -> (Outcome, Camera) {
        let mut last = self.cameras().into_iter().find(|snapshot| snapshot.name == camera).unwrap();
        self.ask(|supervisor| supervisor.stop());
        let thread = self.thread.take().expect("stopped once");
        // It is listed until it has ended, and removed from the list only if the camera was removed.
        let outcome = thread.join().unwrap();
        if let Some(snapshot) = self.cameras().into_iter().find(|snapshot| snapshot.name == camera) {
            last = snapshot;
        }
        (outcome, last)
    }

    /// Waits until it ends by itself.
    pub fn wait(mut self) -> Outcome {
        self.thread.take().expect("stopped once").join().unwrap()
    }

    /// The frames output by a camera so far.
    pub fn arrivals(&self, camera: &str) -> Vec<Arrival> {
        self.arrivals.lock().unwrap().get(camera).cloned().unwrap_or_default()
    }

    /// The same list, to be read after the end.
    pub fn arrivals_handle(&self) -> Arc<Mutex<HashMap<String, Vec<Arrival>>>> {
        self.arrivals.clone()
    }

    pub fn count(&self, camera: &str) -> usize {
        self.arrivals.lock().unwrap().get(camera).map_or(0, Vec::len)
    }

    /// A camera's current pipeline.
    pub fn pipeline(&self, camera: &str) -> Option<gst::Pipeline> {
        self.pipelines.lock().unwrap().get(camera)?.upgrade()
    }

    /// The messages for the operator so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// The same list, to be read after the end.
    pub fn lines_handle(&self) -> Arc<Mutex<Vec<String>>> {
        self.lines.clone()
    }

    pub fn cameras(&self) -> Vec<Camera> {
        self.meters.snapshots()
    }

    pub fn state(&self, camera: &str) -> Option<CameraState> {
        self.cameras().iter().find(|snapshot| snapshot.name == camera).map(|snapshot| snapshot.state)
    }

    /// Waits for this many more frames from a camera.
    #[track_caller]
    pub fn wait_for_pictures(&self, camera: &str, more: usize, longest: Duration) {
        let wanted = self.count(camera) + more;
        self.wait_for(&format!("{more} pictures of {camera}"), longest, || self.count(camera) >= wanted);
    }

    #[track_caller]
    pub fn wait_for(&self, what: &str, longest: Duration, mut done: impl FnMut() -> bool) {
        let start = Instant::now();
        while !done() {
            let states = || self.cameras().into_iter().map(|c| (c.name, c.state, c.frames)).collect::<Vec<_>>();
            assert!(start.elapsed() < longest, "no {what} within {longest:?}: {:#?} {:?}", self.lines(), states());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.ask(|supervisor| supervisor.stop());
            let _ = thread.join();
        }
    }
}

/// Lets one warning pass if warnings are fatal (`cargo xtask test`): GStreamer 1.22's rtspsrc warns if it is stopped in the
/// moment in which it has connected.
fn allow_rtspsrc_its_race() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let fatal = glib::log_set_always_fatal(glib::LogLevels::LEVEL_ERROR);
        glib::log_set_default_handler(move |domain, level, text| {
            if matches!(level, glib::LogLevel::Message | glib::LogLevel::Info | glib::LogLevel::Debug) {
                return;
            }
            let race = text.contains("gst_event_set_seqnum: assertion 'seqnum != GST_SEQNUM_INVALID'");
            eprintln!("{}: {level:?}: {text}", domain.unwrap_or_default());
            if fatal.contains(glib::LogLevels::LEVEL_CRITICAL) && !race {
                std::process::abort();
            }
        });
    });
}

fn note_arrivals(name: &str, pipeline: &gst::Pipeline, arrivals: &Arc<Mutex<HashMap<String, Vec<Arrival>>>>) {
    let pad = pipeline.by_name("end").unwrap().static_pad("sink").unwrap();
    let (name, arrivals) = (name.to_owned(), arrivals.clone());
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let buffer = info.buffer().unwrap();
        let stride = buffer.meta::<gst_video::VideoMeta>().map(|meta| meta.stride()[0] as usize).or_else(|| {
            let info = gst_video::VideoInfo::from_caps(pad.current_caps()?.as_ref()).ok()?;
            Some(info.stride()[0] as usize)
        });
        let arrival = Arrival {
            number: stride.and_then(|stride| barcode::number(buffer, stride)),
            pts: buffer.pts(),
            taken: taken(buffer),
            at: Instant::now(),
        };
        arrivals.lock().unwrap().entry(name.clone()).or_default().push(arrival);
        gst::PadProbeReturn::Ok
    });
}

fn taken(buffer: &gst::BufferRef) -> Option<SystemTime> {
    let meta = buffer.meta::<gst::ReferenceTimestampMeta>()?;
    assert_eq!(meta.reference().structure(0)?.name(), "timestamp/x-ntp");
    // Seconds from 1900 to 1970.
    let since_1970 = Duration::from(meta.timestamp()).checked_sub(Duration::from_secs(2_208_988_800))?;
    Some(SystemTime::UNIX_EPOCH + since_1970)
}

/// The picture numbers at which the sequence breaks, where the clip's last number is followed by 0.
pub fn gaps(arrivals: &[Arrival]) -> Vec<(Option<u64>, Option<u64>)> {
    let follows = |a: u64, b: u64| b == (a + 1) % barcode::PICTURES;
    let pairs = arrivals.windows(2).map(|pair| (pair[0].number, pair[1].number));
    pairs.filter(|(a, b)| !a.zip(*b).is_some_and(|(a, b)| follows(a, b))).collect()
}
