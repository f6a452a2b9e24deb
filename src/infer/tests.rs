//! Tests of the service with an engine that the test controls.

use super::testing::{Fake, fake, fake_with, settings};
use super::*;
use crate::error::{Error, ErrorKind};
use model::{Params, Rect};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Counts notifications.
#[derive(Default)]
struct Told(AtomicUsize);

impl Notify for Told {
    fn notify(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn submit(stream: &ServiceStream, width: f32) -> Result<Ticket, Error> {
    submit_as(stream, width, false, &Arc::default())
}

fn submit_as(stream: &ServiceStream, width: f32, at_once: bool, told: &Arc<Told>) -> Result<Ticket, Error> {
    submit_waiting(stream, width, Duration::ZERO, at_once, told)
}

fn submit_waiting(
    stream: &ServiceStream,
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

/// Even while a lane is stuck: waiting frames fail with the first cause, no more are accepted, and closing is quick.
#[test]
fn a_failed_device_fails_all_at_once() {
    let (engine, (settings, _file)) = (fake(false), settings("failing"));
    let service = Service::start(engine.clone(), &settings).unwrap();
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

    let start = Instant::now();
    drop((stream, service));
    assert!(start.elapsed() < Duration::from_secs(1), "closing took {:?}", start.elapsed());
    engine.gate.set(true);
}

/// A submitting thread with time to spare runs the batch, and isn't notified of its result.
#[test]
fn a_free_lane_runs_in_the_thread_that_submits() {
    let (engine, (settings, _file)) = (fake(true), settings("at once"));
    let service = Service::start(engine.clone(), &settings).unwrap();
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

/// The only lane is busy: the frame waits like others, and a lane's thread runs both once the lane is free.
#[test]
fn with_no_lane_free_a_frame_waits_for_one() {
    let (engine, (settings, _file)) = (fake(false), settings("at once, busy"));
    let service = Service::start(engine.clone(), &settings).unwrap();
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

/// Two lanes, one of which watches the time for both while frames wait: none is forgotten.
#[test]
fn frames_that_wait_for_others_are_never_forgotten() {
    let (engine, (settings, _file)) = (fake_with(true, 2, &[1, 2]), settings("waiting"));
    let service = Service::start(engine, &settings).unwrap();
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

/// Makes a batch of one image take this long. The gate is closed before and after.
fn show_what_is_usual(engine: &Fake, stream: &ServiceStream, takes: Duration) {
    let ticket = submit(stream, 8.0).unwrap();
    thread::sleep(takes);
    engine.gate.set(true);
    assert_eq!(outcome(&ticket), Ok(1));
    engine.gate.set(false);
}

/// Frames are gathered behind a batch that occupies the device anyway: until the next batch is full, until the running
/// one ends, or until a thread submits a frame that it runs itself.
#[test]
fn a_batch_grows_while_another_one_runs() {
    let (engine, (settings, _file)) = (fake_with(false, 2, &[1, 2]), settings("growing"));
    let service = Service::start(engine.clone(), &settings).unwrap();
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

/// Behind another batch no slot is left empty: the third frame goes with the next batch. On an idle device all go at
/// once.
#[test]
fn a_batch_behind_another_has_a_whole_size() {
    let (engine, (settings, _file)) = (fake_with(false, 2, &[1, 2, 4]), settings("whole"));
    let service = Service::start(engine.clone(), &settings).unwrap();
    let stream = service.stream(8);
    show_what_is_usual(&engine, &stream, Duration::from_secs(1));
    let running = submit(&stream, 8.0).unwrap();
    engine.gate.wait_for(2);
    let three = [0; 3].map(|_| submit(&stream, 8.0).unwrap());
    // Half of the usual time of a batch has passed.
    engine.gate.wait_for(3);
    engine.gate.set(true);
    assert!(three.iter().chain([&running]).all(|ticket| outcome(ticket) == Ok(1)));
    assert_eq!(service.launches(), [0, 3, 1, 0, 0]);
}

#[test]
fn an_image_that_cannot_be_made_fails_its_own_frame_only() {
    let (engine, (settings, _file)) = (fake(false), settings("single"));
    let service = Service::start(engine.clone(), &settings).unwrap();
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
