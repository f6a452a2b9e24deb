//! The end of a run, names of cameras, and calls into a supervisor from its own callbacks.

use crate::common::barcode::{self, Codec};
use crate::common::running::start;
use crate::common::supervised::{IMPATIENCE, Supervised, camera, detection_with};
use gst::glib;
use gst::prelude::*;
use gsttensorrt::options::InferenceOptions;
use gsttensorrt::run::{CameraSetup, FileSource, Meters, Options, Outcome, SourceSetup, Supervisor, TestSource};
use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

fn test_picture(name: &str) -> CameraSetup {
    let source = TestSource { width: 320, height: 240, rate: gst::Fraction::new(25, 1), pattern: "ball".into() };
    camera(name, SourceSetup::Test(source))
}

/// A file of a few pictures that plays once.
fn once(name: &str, folder: &Path, pictures: u64) -> CameraSetup {
    let path = folder.join(format!("{name}.mp4"));
    barcode::write_mp4(Codec::H264, pictures, &path);
    camera(name, SourceSetup::File(FileSource { path, looping: false }))
}

/// A camera whose model can't be opened.
fn broken(name: &str) -> CameraSetup {
    let nowhere = detection_with("/nowhere/model.onnx", InferenceOptions::default());
    CameraSetup { elements: vec![nowhere], ..test_picture(name) }
}

/// Waits until the run ends by itself.
#[track_caller]
fn end(cameras: Supervised) -> Outcome {
    let (sender, receiver) = std::sync::mpsc::channel();
    let lines = cameras.lines();
    std::thread::spawn(move || sender.send(cameras.wait()));
    receiver.recv_timeout(20 * SECOND).unwrap_or_else(|_| panic!("it doesn't end: {lines:#?}"))
}

/// Names of the cameras that can't run.
fn failed(outcome: Outcome) -> Vec<String> {
    let Outcome::NothingRuns(reasons) = outcome else { panic!("{outcome:?}") };
    assert!(reasons.iter().all(|reason| reason.contains("/nowhere/model.onnx")), "{reasons:?}");
    reasons.iter().filter_map(|reason| Some(reason.split_once(':')?.0.to_owned())).collect()
}

#[test]
fn a_run_ends_when_the_remaining_cameras_cannot_run() {
    if !start() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let clip = |name: &str, pictures| once(name, folder.path(), pictures);
    let said = |cameras: &Supervised, text: &str| {
        cameras.wait_for(text, 15 * SECOND, || cameras.lines().iter().any(|line| line.starts_with(text)));
    };

    // One fails, then the other ends.
    let cameras = Supervised::start(vec![broken("a"), clip("b", 40)]);
    said(&cameras, "a: failed: ");
    assert_eq!(failed(end(cameras)), ["a"]);

    // One ends, then the other fails.
    let cameras = Supervised::start(vec![clip("b", 5), test_picture("c")]);
    said(&cameras, "b: stopped");
    cameras.apply(vec![clip("b", 5), broken("a")]);
    assert_eq!(failed(end(cameras)), ["a"]);

    // Three cameras: one fails and the others end one after the other; two fail and one ends; all end.
    assert_eq!(failed(end(Supervised::start(vec![clip("b", 10), broken("a"), clip("c", 40)]))), ["a"]);
    assert_eq!(failed(end(Supervised::start(vec![broken("a"), clip("b", 25), broken("c")]))), ["a", "c"]);
    assert_eq!(end(Supervised::start(vec![clip("a", 5), clip("b", 25), clip("c", 10)])), Outcome::Stopped);

    // While a camera plays the run continues, and stopping it is no failure.
    let cameras = Supervised::start(vec![broken("a"), clip("b", 5), test_picture("c")]);
    said(&cameras, "a: failed: ");
    said(&cameras, "b: stopped");
    cameras.wait_for_pictures("c", 10, 10 * SECOND);
    assert_eq!(cameras.stop(), Outcome::Stopped);

    // Stopped in the middle of a file.
    let cameras = Supervised::start(vec![broken("a"), clip("b", 100)]);
    said(&cameras, "a: failed: ");
    cameras.wait_for_pictures("b", 5, 10 * SECOND);
    assert_eq!(cameras.stop(), Outcome::Stopped);

    // Replacing a camera doesn't end the run.
    let cameras = Supervised::start(vec![broken("a"), test_picture("b")]);
    said(&cameras, "a: failed: ");
    cameras.wait_for_pictures("b", 5, 10 * SECOND);
    let smaller = TestSource { width: 160, height: 120, rate: gst::Fraction::new(25, 1), pattern: "smpte".into() };
    cameras.apply(vec![broken("a"), camera("b", SourceSetup::Test(smaller))]);
    said(&cameras, "b: starts anew");
    cameras.wait_for_pictures("b", 20, 10 * SECOND);
    assert_eq!(cameras.stop(), Outcome::Stopped);
}

/// Cameras may have the names of sources and elements.
#[test]
fn a_camera_may_have_any_name() {
    if !start() {
        return;
    }
    const NAMES: [&str; 8] = ["source-1", "source-0", "source-2", "pictures", "memory", "client", "coded", "lines-1"];
    let cameras = Supervised::start(NAMES.map(broken).into());
    assert_eq!(failed(end(cameras)), NAMES);

    // Messages from an element after the source don't count as the source's while it plays.
    let cameras = Supervised::start(NAMES.map(test_picture).into());
    for name in NAMES {
        cameras.wait_for_pictures(name, 5, 15 * SECOND);
        let pipeline = cameras.pipeline(name).unwrap();
        let end = pipeline.by_name("end").unwrap();
        gst::element_error!(end, gst::ResourceError::Write, ("it's full"));
        cameras.wait_for("another pipeline", 10 * SECOND, || cameras.pipeline(name).is_some_and(|now| now != pipeline));
        let lost = format!("{name}: lost: end: it's full");
        assert!(cameras.lines().contains(&lost), "{:#?}", cameras.lines());
        cameras.wait_for_pictures(name, 5, 15 * SECOND);
    }
    assert_eq!(cameras.stop(), Outcome::Stopped);
}

/// Runs a supervisor in a separate context, which is passed to the callbacks for messages and pipelines.
fn run(
    cameras: Vec<CameraSetup>,
    say: impl Fn(&Rc<Supervisor>, &str) + 'static,
    on_pipeline: impl Fn(&Rc<Supervisor>, &CameraSetup) + 'static,
    at_end: impl Fn(&Rc<Supervisor>) + 'static,
) -> Outcome {
    let context = glib::MainContext::new();
    let main = || {
        let supervisor = Rc::new(RefCell::new(Weak::<Supervisor>::new()));
        let outcome = Rc::new(Cell::new(None));
        let (of_say, of_pipeline, of_end) = (supervisor.clone(), supervisor.clone(), supervisor.clone());
        let ended = outcome.clone();
        let end = move |how| {
            of_end.borrow().upgrade().iter().for_each(&at_end);
            ended.set(Some(how));
        };
        let options = Options {
            meters: Meters::default(),
            views: None,
            say: Some(Box::new(move |line| of_say.borrow().upgrade().iter().for_each(|s| say(s, line)))),
            on_pipeline: Some(Box::new(move |setup, pipeline| {
                assert_eq!(pipeline.current_state(), gst::State::Null, "it's seen before it starts");
                of_pipeline.borrow().upgrade().iter().for_each(|s| on_pipeline(s, setup));
            })),
            on_happened: None,
            stays: false,
        };
        // The first camera is added once there is a supervisor to call.
        let running = Supervisor::start(vec![], IMPATIENCE, options, end);
        supervisor.replace(Rc::downgrade(&running));
        running.apply(cameras, IMPATIENCE);
        // A timeout wakes the context even if nothing happens.
        let start = Instant::now();
        let late = glib::timeout_source_new_seconds(20, None, glib::Priority::DEFAULT, || glib::ControlFlow::Break);
        late.attach(Some(&glib::MainContext::ref_thread_default()));
        loop {
            if let Some(outcome) = outcome.take() {
                return outcome;
            }
            assert!(start.elapsed() < 20 * SECOND, "it doesn't end");
            glib::MainContext::ref_thread_default().iteration(true);
        }
    };
    context.with_thread_default(main).unwrap()
}

#[test]
fn callbacks_may_call_the_supervisor() {
    if !start() {
        return;
    }
    // A report about a camera changes the cameras.
    let said = Rc::new(RefCell::new(Vec::new()));
    let (lines, calling) = (said.clone(), Cell::new(false));
    let say = move |supervisor: &Rc<Supervisor>, line: &str| {
        assert!(!calling.replace(true), "one after the other");
        lines.borrow_mut().push(line.to_owned());
        assert_eq!(supervisor.gpu_of("a"), None);
        match line {
            "a: plays" => supervisor.apply(vec![test_picture("a"), test_picture("b")], IMPATIENCE),
            "b: plays" => supervisor.apply(vec![test_picture("b")], IMPATIENCE),
            "a: removed" => supervisor.apply(vec![test_picture("b"), test_picture("c")], IMPATIENCE),
            "c: plays" => supervisor.stop(),
            _ => {}
        }
        calling.set(false);
    };
    let at_end = |supervisor: &Rc<Supervisor>| {
        supervisor.apply(vec![test_picture("d")], IMPATIENCE);
        supervisor.stop();
        supervisor.gpu_of("d");
    };
    assert_eq!(run(vec![test_picture("a")], say, |_, _| {}, at_end), Outcome::Stopped);
    let decisive = ["a: plays", "b: plays", "a: removed", "c: plays"];
    let said: Vec<_> = said.borrow().iter().filter(|line| decisive.contains(&line.as_str())).cloned().collect();
    assert_eq!(said, decisive);

    // Before the pipeline passed to the callback starts, it is removed, replaced, or everything stops.
    let seen = Rc::new(RefCell::new(Vec::new()));
    let pipelines = seen.clone();
    let on_pipeline = move |supervisor: &Rc<Supervisor>, setup: &CameraSetup| {
        pipelines.borrow_mut().push(setup.name.clone());
        supervisor.gpu_of(&setup.name);
        match setup.name.as_str() {
            "a" => supervisor.apply(vec![test_picture("b")], IMPATIENCE),
            "b" => supervisor.apply(vec![test_picture("b"), broken("c")], IMPATIENCE),
            _ => supervisor.stop(),
        }
    };
    let played = Rc::new(Cell::new(false));
    let plays = played.clone();
    let say = move |_: &Rc<Supervisor>, line: &str| plays.set(plays.get() | (line == "a: plays"));
    assert_eq!(run(vec![test_picture("a")], say, on_pipeline, |_| {}), Outcome::Stopped);
    assert_eq!(*seen.borrow(), ["a", "b", "c"]);
    assert!(!played.get(), "it was removed before it started");

    // A failure, and a stop from the callback that reports it.
    let say = |supervisor: &Rc<Supervisor>, line: &str| {
        if line.contains("failed") {
            supervisor.stop();
        }
    };
    assert_eq!(run(vec![broken("a"), test_picture("b")], say, |_, _| {}, |s| s.stop()), Outcome::Stopped);
}
