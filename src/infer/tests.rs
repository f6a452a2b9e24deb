//! The service with an engine that does what the test says.

use super::registry::testing::open_fake;
use super::*;
use crate::cuda::OnFailure;
use crate::model::{Head, InputSpec, ModelInfo, Params, Rect, head};
use parking_lot::{Condvar, Mutex};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// A gate that batches wait at, how many have come to it, and on which thread the last one.
#[derive(Default)]
struct Gate {
    open: Mutex<(bool, usize)>,
    changed: Condvar,
    thread: Mutex<Option<ThreadId>>,
}

impl Gate {
    fn pass(&self) {
        *self.thread.lock() = Some(thread::current().id());
        let mut state = self.open.lock();
        state.1 += 1;
        self.changed.notify_all();
        self.changed.wait_while(&mut state, |(open, _)| !*open);
    }

    fn wait_for(&self, arrived: usize) {
        self.changed.wait_while(&mut self.open.lock(), |(_, n)| *n < arrived);
    }

    fn set(&self, open: bool) {
        self.open.lock().0 = open;
        self.changed.notify_all();
    }
}

struct Fake {
    info: ModelInfo,
    input: InputSpec,
    head: Arc<dyn Head>,
    lanes: usize,
    sizes: Vec<usize>,
    gate: Arc<Gate>,
    watcher: Mutex<Option<Arc<OnFailure>>>,
}

struct FakeLane(Arc<Gate>);

impl Engine for Fake {
    fn description(&self) -> String {
        "fake".into()
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
        *self.sizes.last().unwrap()
    }
    fn batch_sizes(&self) -> Vec<usize> {
        self.sizes.clone()
    }
    fn lanes(&self) -> Result<Vec<Box<dyn Lane>>, Error> {
        Ok((0..self.lanes).map(|_| Box::new(FakeLane(self.gate.clone())) as Box<dyn Lane>).collect())
    }
    fn watch(&self, failed: &Arc<OnFailure>) {
        *self.watcher.lock() = Some(failed.clone());
    }
}

impl Lane for FakeLane {
    fn warm_up(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// An image of no width can't be made.
    fn run(&mut self, slots: &mut [Slot]) -> Result<(), Error> {
        self.0.pass();
        for slot in slots.iter_mut().filter(|slot| slot.region.w == 0.0) {
            slot.output.error = Some(Error::new(ErrorKind::Failed, "no width"));
        }
        Ok(())
    }
}

/// Settings that no other test has: a file of its own.
fn settings(content: &str) -> (ModelSettings, tempfile::NamedTempFile) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    let settings = ModelSettings {
        backend: Backend::Cpu,
        model: file.path().to_owned(),
        batch_size: 2,
        ..ModelSettings::default()
    };
    (settings, file)
}

fn fake(open: bool) -> Arc<Fake> {
    fake_with(open, 1, &[1, 2])
}

fn fake_with(open: bool, lanes: usize, sizes: &[usize]) -> Arc<Fake> {
    gst::init().unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/yolo.onnx");
    let head::Recognised { head, input, .. } = crate::tensorrt::recognised(&path, head::HeadChoice::Auto).unwrap();
    let gate = Arc::<Gate>::default();
    gate.set(open);
    Arc::new(Fake {
        info: ModelInfo::default(),
        input,
        head,
        lanes,
        sizes: sizes.to_vec(),
        gate,
        watcher: Mutex::default(),
    })
}

/// How often somebody was told.
#[derive(Default)]
struct Told(AtomicUsize);

impl Notify for Told {
    fn notify(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn submit(stream: &Stream, width: f32) -> Result<Ticket, Error> {
    submit_as(stream, width, false, &Arc::default())
}

fn submit_as(stream: &Stream, width: f32, at_once: bool, told: &Arc<Told>) -> Result<Ticket, Error> {
    submit_waiting(stream, width, Duration::ZERO, at_once, told)
}

fn submit_waiting(
    stream: &Stream,
    width: f32,
    batch_timeout: Duration,
    at_once: bool,
    told: &Arc<Told>,
) -> Result<Ticket, Error> {
    let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, 8, 8).build().unwrap();
    let frame = Arc::new(Frame { buffer: gst::Buffer::new(), info });
    let request = Request {
        frame,
        regions: vec![Rect::new(0.0, 0.0, width, 8.0)],
        tensors: vec![],
        params: Arc::new(Params::default()),
        batch_timeout,
        at_once,
    };
    stream.submit(request, told.clone())
}

fn outcome(ticket: &Ticket) -> Result<usize, String> {
    let start = Instant::now();
    loop {
        if let Some(finished) = ticket.take() {
            return finished.outputs.map(|outputs| outputs.len()).map_err(|error| error.message);
        }
        assert!(start.elapsed() < Duration::from_secs(5), "no result");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Also while a lane is stuck: what waits fails with the first cause, nothing new is taken, and closing is quick.
#[test]
fn a_failed_device_fails_all_at_once() {
    let (engine, (settings, _file)) = (fake(false), settings("failing"));
    let service = open_fake(&settings, engine.clone());
    let stream = service.stream(8);
    let running = submit(&stream, 8.0).unwrap();
    engine.gate.wait_for(1);
    let waiting: Vec<_> = (0..3).map(|_| submit(&stream, 8.0).unwrap()).collect();
    assert!(waiting.iter().all(|ticket| !ticket.ready()));

    let watcher = engine.watcher.lock().clone().unwrap();
    watcher(&Error::new(ErrorKind::Device, "the first cause"));
    watcher(&Error::new(ErrorKind::Device, "another"));
    for ticket in &waiting {
        assert_eq!(outcome(ticket), Err("the first cause".into()));
    }
    assert_eq!(submit(&stream, 8.0).unwrap_err().message, "the first cause");
    assert_eq!(service.failure().unwrap().message, "the first cause");
    assert!(!running.ready());

    let again = open_fake(&settings, fake(true));
    assert!(!Arc::ptr_eq(&again, &service), "a failed service is handed to nobody");
    assert!(Arc::ptr_eq(&again, &open_fake(&settings, fake(true))), "the new one is");
    assert_eq!(outcome(&submit(&again.stream(1), 8.0).unwrap()), Ok(1));

    let start = Instant::now();
    drop((stream, service));
    assert!(start.elapsed() < Duration::from_secs(1), "closing took {:?}", start.elapsed());
    engine.gate.set(true);
}

/// Who has the time runs the batch, and isn't told of what it sees itself.
#[test]
fn a_free_lane_runs_in_the_thread_that_submits() {
    let (engine, (settings, _file)) = (fake(true), settings("at once"));
    let service = open_fake(&settings, engine.clone());
    let (stream, told) = (service.stream(4), Arc::default());
    let ticket = submit_as(&stream, 8.0, true, &told).unwrap();
    assert!(ticket.ready());
    assert_eq!(outcome(&ticket), Ok(1));
    let here = Some(thread::current().id());
    assert_eq!((*engine.gate.thread.lock(), told.0.load(Ordering::SeqCst)), (here, 0));
    let failing = submit_as(&stream, 0.0, true, &told).unwrap();
    assert!(failing.ready());
    assert_eq!(outcome(&failing), Err("no width".into()));

    let ticket = submit_as(&stream, 8.0, false, &told).unwrap();
    assert_eq!(outcome(&ticket), Ok(1));
    assert_ne!(*engine.gate.thread.lock(), here);
    assert_eq!(service.stats().batches, 3);
}

/// The only lane is taken: the frame waits, as others' do, and a lane's thread runs both once it's free.
#[test]
fn with_no_lane_free_a_frame_waits_for_one() {
    let (engine, (settings, _file)) = (fake(false), settings("at once, busy"));
    let service = open_fake(&settings, engine.clone());
    let (one, two, told) = (service.stream(4), service.stream(4), Arc::default());
    thread::scope(|scope| {
        let first = scope.spawn(|| submit_as(&one, 8.0, true, &told).unwrap().ready());
        engine.gate.wait_for(1);
        assert!(!one.full_batch_waits(), "that one runs");
        let waiting = [submit_as(&two, 8.0, true, &told).unwrap(), submit_as(&two, 8.0, false, &told).unwrap()];
        assert!(waiting.iter().all(|ticket| !ticket.ready()));
        assert!(one.full_batch_waits(), "two make a batch");
        engine.gate.set(true);
        assert!(first.join().unwrap());
        assert!(waiting.iter().all(|ticket| outcome(ticket) == Ok(1)));
    });
    assert_eq!(service.stats().batches, 2);
    let start = Instant::now();
    while told.0.load(Ordering::SeqCst) < 2 && start.elapsed() < Duration::from_secs(5) {
        thread::yield_now();
    }
    assert_eq!(told.0.load(Ordering::SeqCst), 2);
}

/// Two lanes, one of which looks for both while frames are waited for: none is forgotten.
#[test]
fn frames_that_wait_for_others_are_never_forgotten() {
    let (engine, (settings, _file)) = (fake_with(true, 2, &[1, 2]), settings("waiting"));
    let service = open_fake(&settings, engine);
    thread::scope(|scope| {
        for n in 0..4 {
            let (stream, told) = (service.stream(4), Arc::default());
            scope.spawn(move || {
                let mut later = Vec::new();
                for k in 0..150u64 {
                    let timeout = Duration::from_micros(k * 37 % 5 * 1000);
                    let ticket = submit_waiting(&stream, 8.0, timeout, (k + n) % 5 == 0, &told).unwrap();
                    thread::sleep(Duration::from_micros(400 * (n + 1) + k * 31 % 500));
                    if k % 3 == 0 {
                        later.push(ticket);
                    } else {
                        assert_eq!(outcome(&ticket), Ok(1));
                    }
                }
                assert!(later.iter().all(|ticket| outcome(ticket) == Ok(1)));
            });
        }
    });
    let stats = service.stats();
    assert_eq!(stats.frames, 4 * 150, "{stats:?}");
    assert!(stats.batches < stats.frames, "some went together: {stats:?}");
}

/// Has a batch of one image take so long; the gate is closed before and after.
fn show_what_is_usual(engine: &Fake, stream: &Stream, takes: Duration) {
    let ticket = submit(stream, 8.0).unwrap();
    thread::sleep(takes);
    engine.gate.set(true);
    assert_eq!(outcome(&ticket), Ok(1));
    engine.gate.set(false);
}

/// Behind a batch that keeps the device anyway frames are gathered: until a batch is full, that one is over, or whoever
/// brings one has to wait for it himself.
#[test]
fn a_batch_grows_while_another_one_runs() {
    let (engine, (settings, _file)) = (fake_with(false, 2, &[1, 2]), settings("growing"));
    let service = open_fake(&settings, engine.clone());
    let (stream, told) = (service.stream(8), Arc::default());
    let came = || engine.gate.open.lock().1;
    show_what_is_usual(&engine, &stream, Duration::from_secs(2));
    let running = submit(&stream, 8.0).unwrap();
    engine.gate.wait_for(2);
    let second = submit(&stream, 8.0).unwrap();
    thread::sleep(Duration::from_millis(50));
    assert_eq!(came(), 2, "a lane is free, the device isn't");
    let third = submit(&stream, 8.0).unwrap();
    engine.gate.wait_for(3);
    assert_eq!(service.launches(), [0, 1, 0], "the second and the third went together, and run");
    engine.gate.set(true);
    assert!([&running, &second, &third].iter().all(|ticket| outcome(ticket) == Ok(1)));
    assert_eq!(service.launches(), [0, 2, 1]);

    engine.gate.set(false);
    let running = submit(&stream, 8.0).unwrap();
    engine.gate.wait_for(4);
    let held_back = submit(&stream, 8.0).unwrap();
    let start = Instant::now();
    engine.gate.set(true);
    assert!([&running, &held_back].iter().all(|ticket| outcome(ticket) == Ok(1)));
    assert!(start.elapsed() < Duration::from_secs(1), "held back beyond the end of the one before");

    engine.gate.set(false);
    thread::scope(|scope| {
        let running = submit(&stream, 8.0).unwrap();
        engine.gate.wait_for(6);
        let at_once = scope.spawn(|| submit_as(&stream, 8.0, true, &told).unwrap());
        engine.gate.wait_for(7);
        engine.gate.set(true);
        assert!([running, at_once.join().unwrap()].iter().all(|ticket| outcome(ticket) == Ok(1)));
    });
}

/// Behind another batch no slot is left empty: the third goes with the next. With the device idle all go at once.
#[test]
fn a_batch_behind_another_has_a_whole_size() {
    let (engine, (settings, _file)) = (fake_with(false, 2, &[1, 2, 4]), settings("whole"));
    let service = open_fake(&settings, engine.clone());
    let stream = service.stream(8);
    show_what_is_usual(&engine, &stream, Duration::from_secs(1));
    let running = submit(&stream, 8.0).unwrap();
    engine.gate.wait_for(2);
    let three = [0; 3].map(|_| submit(&stream, 8.0).unwrap());
    // Half of the time that one takes is over.
    engine.gate.wait_for(3);
    engine.gate.set(true);
    assert!(three.iter().chain([&running]).all(|ticket| outcome(ticket) == Ok(1)));
    assert_eq!(service.launches(), [0, 3, 1, 0, 0]);
}

#[test]
fn an_image_that_cannot_be_made_fails_its_own_frame_only() {
    let (engine, (settings, _file)) = (fake(false), settings("single"));
    let service = open_fake(&settings, engine.clone());
    let (one, two) = (service.stream(4), service.stream(4));
    let first = submit(&one, 8.0).unwrap();
    engine.gate.wait_for(1);
    // These two are the next batch.
    let (good, bad) = (submit(&one, 8.0).unwrap(), submit(&two, 0.0).unwrap());
    engine.gate.set(true);
    assert_eq!(outcome(&first), Ok(1));
    assert_eq!(outcome(&good), Ok(1));
    assert_eq!(outcome(&bad), Err("no width".into()));
    assert!(service.failure().is_none());
    assert_eq!(service.stats().batches, 2);
}

/// What makes another service of the same model, and what doesn't.
#[test]
fn elements_share_a_service_when_what_decides_on_it_is_equal() {
    let (settings, _file) = settings("shared");
    let service = open_fake(&settings, fake(true));
    let shares = |other: &ModelSettings| Arc::ptr_eq(&open_fake(other, fake(true)), &service);
    assert!(shares(&settings));
    let watch = BuildWatch { on_progress: Some(Arc::new(|_, _| {})), ..BuildWatch::default() };
    assert!(shares(&ModelSettings { watch, engine_cache: Some("/elsewhere".into()), ..settings.clone() }));
    let same = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(same.path(), "shared").unwrap();
    assert!(
        shares(&ModelSettings { model: same.path().to_owned(), ..settings.clone() }),
        "another file, the same model"
    );
    for other in [
        ModelSettings { batch_size: 4, ..settings.clone() },
        ModelSettings { workspace_size: 1, ..settings.clone() },
        ModelSettings { precision: Precision::Fp32, ..settings.clone() },
        ModelSettings { device_id: 1, ..settings.clone() },
        ModelSettings { gpu_memory_limit: 1, ..settings.clone() },
    ] {
        assert!(!shares(&other), "{other:?}");
    }
}

/// An engine that takes until the gate opens to be made, as one that has to be built.
fn slow_to_open(gate: &Arc<Gate>, engine: Arc<Fake>) -> impl FnOnce(&ModelSettings) -> Result<Arc<dyn Engine>, Error> {
    let gate = gate.clone();
    move |settings| {
        gate.pass();
        if settings.watch.cancel.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Failed, "cancelled"));
        }
        Ok(engine)
    }
}

fn watched(settings: &ModelSettings) -> (ModelSettings, Arc<AtomicBool>) {
    let watch = BuildWatch::default();
    let cancel = watch.cancel.clone();
    (ModelSettings { watch, ..settings.clone() }, cancel)
}

/// Waits for `done` no longer than a test may take.
fn eventually(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// An element that waits for another one's opening returns when it's cancelled; the other one goes on.
#[test]
fn waiting_for_anothers_opening_can_be_cancelled() {
    let ((settings, _file), gate) = (settings("opened slowly"), Arc::<Gate>::default());
    let (waiting, cancel) = watched(&settings);
    thread::scope(|scope| {
        let opens = scope.spawn(|| registry::open_with(&settings, slow_to_open(&gate, fake(true))));
        gate.wait_for(1);
        let waits = scope.spawn(|| registry::open_with(&waiting, slow_to_open(&gate, fake(true))));
        thread::sleep(Duration::from_millis(50));
        assert!(!waits.is_finished());
        cancel.store(true, Ordering::Relaxed);
        let start = Instant::now();
        while !waits.is_finished() && start.elapsed() < Duration::from_secs(5) {
            thread::sleep(Duration::from_millis(1));
        }
        let came_back = waits.is_finished();
        gate.set(true);
        assert!(came_back, "it waits for the other's end");
        assert!(waits.join().unwrap().is_err());
        assert!(opens.join().unwrap().is_ok());
    });
}

/// An element that waits for an opening that fails, is cancelled or panics opens the model itself.
#[test]
fn an_opening_that_comes_to_nothing_is_the_waiting_elements_turn() {
    for (n, how) in ["fails", "is cancelled", "panics"].into_iter().enumerate() {
        let ((settings, _file), gate) = (settings(&format!("comes to nothing {n}")), Arc::<Gate>::default());
        let (first, cancel) = watched(&settings);
        thread::scope(|scope| {
            let opens = scope.spawn(|| {
                registry::open_with(&first, |settings| {
                    let opened = slow_to_open(&gate, fake(true))(settings);
                    match how {
                        "fails" => Err(Error::new(ErrorKind::Model, "no good")),
                        "panics" => panic!("as a bug would"),
                        _ => opened,
                    }
                })
            });
            gate.wait_for(1);
            let waits = scope.spawn(|| registry::open_with(&settings, |_| Ok(fake(true) as Arc<dyn Engine>)));
            thread::sleep(Duration::from_millis(20));
            cancel.store(true, Ordering::Relaxed);
            gate.set(true);
            assert!(opens.join().map_or(true, |opened| opened.is_err()), "{how}");
            eventually(how, || waits.is_finished());
            assert!(waits.join().unwrap().is_ok(), "{how}");
        });
    }
}
