//! Cameras that are added, removed and changed while others run.

use crate::common::barcode::Codec;
use crate::common::find::test_model;
use crate::common::rtsp::Camera;
use crate::common::running::start;
use crate::common::supervised::{Supervised, camera, detection, detection_with, gaps, rtsp};
use gst::prelude::*;
use gsttensorrt::config::Transport;
use gsttensorrt::monitor::CameraState;
use gsttensorrt::options::InferenceOptions;
use gsttensorrt::publish::PublishOptions;
use gsttensorrt::run::{CameraSetup, ElementOptions, ElementSetup, Outcome, SourceSetup, TestSource};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn test_picture(name: &str) -> CameraSetup {
    let source = TestSource { width: 320, height: 240, rate: gst::Fraction::new(25, 1), pattern: "ball".into() };
    camera(name, SourceSetup::Test(source))
}

#[test]
fn cameras_come_and_go_while_another_plays() {
    if !start() {
        return;
    }
    let server = Camera::start(Codec::H264);
    let with = |mut setup: CameraSetup| {
        setup.elements = vec![detection()];
        setup
    };
    let steady = with(rtsp("steady", &server.url(), Transport::Tcp));
    let coming = with(rtsp("coming", &server.url(), Transport::Tcp));
    let cameras = Supervised::start(vec![steady.clone()]);
    cameras.wait_for_pictures("steady", 5, 10 * SECOND);
    for round in 0..30 {
        cameras.apply(vec![steady.clone(), coming.clone()]);
        match round % 3 {
            // Removed while playing, while connecting, and at once.
            0 => cameras.wait_for_pictures("coming", 1, 10 * SECOND),
            1 => cameras.wait_for("start", 5 * SECOND, || cameras.state("coming").is_some()),
            _ => {}
        }
        cameras.apply(vec![steady.clone()]);
        cameras.wait_for("end", 5 * SECOND, || cameras.state("coming").is_none());
    }
    // A camera that is added again before its old instance has stopped.
    for _ in 0..5 {
        cameras.apply(vec![steady.clone(), coming.clone()]);
        cameras.apply(vec![steady.clone()]);
    }
    cameras.apply(vec![steady.clone(), coming]);
    cameras.wait_for_pictures("coming", 3, 10 * SECOND);
    assert_eq!(gaps(&cameras.arrivals("steady")), []);
    assert_eq!(cameras.cameras().iter().find(|camera| camera.name == "steady").unwrap().reconnects, 0);
    assert_eq!(cameras.stop(), Outcome::Stopped);
}

#[test]
fn a_threshold_changes_without_a_pause_and_a_source_by_a_restart() {
    if !start() {
        return;
    }
    let mut setup = test_picture("door");
    setup.elements = vec![detection()];
    let cameras = Supervised::start(vec![setup.clone()]);
    cameras.wait_for_pictures("door", 3, 10 * SECOND);
    let confidence = || {
        let detect = cameras.pipeline("door").unwrap().by_name("detect").unwrap();
        detect.property::<f32>("confidence")
    };
    let options = InferenceOptions { confidence: 0.75, ..InferenceOptions::default() };
    setup.elements = vec![detection_with(test_model("yolo"), options)];
    let before = cameras.pipeline("door").unwrap();
    cameras.apply(vec![setup.clone()]);
    cameras.wait_for("new threshold", 5 * SECOND, || confidence() == 0.75);
    assert!(cameras.lines().iter().any(|line| line == "door: changed: confidence of detect"), "{:?}", cameras.lines());
    assert_eq!(cameras.pipeline("door").unwrap(), before);
    setup.elements = vec![detection()];
    cameras.apply(vec![setup.clone()]);
    cameras.wait_for("old threshold", 5 * SECOND, || confidence() != 0.75);

    // An invalid configuration has no effect, and is reported.
    let options = InferenceOptions { classes: vec!["dragon".to_owned()].into(), ..InferenceOptions::default() };
    setup.elements = vec![detection_with(test_model("yolo"), options)];
    cameras.apply(vec![setup.clone()]);
    cameras.wait_for("complaint", 5 * SECOND, || {
        cameras.lines().iter().any(|line| line.contains("dragon") && line.contains("the previous value stays in force"))
    });
    assert_eq!(cameras.pipeline("door").unwrap(), before);
    setup.elements = vec![detection()];

    setup.source = SourceSetup::Test(TestSource {
        width: 160,
        height: 120,
        rate: gst::Fraction::new(25, 1),
        pattern: "smpte".into(),
    });
    cameras.apply(vec![setup]);
    cameras.wait_for("another pipeline", 10 * SECOND, || cameras.pipeline("door").is_some_and(|now| now != before));
    cameras.wait_for_pictures("door", 3, 10 * SECOND);
    assert_eq!(cameras.stop(), Outcome::Stopped);
}

#[test]
fn a_camera_that_cannot_open_is_given_up_and_the_run_ends_without_cameras() {
    if !start() {
        return;
    }
    let mut wrong = test_picture("wrong");
    let nowhere = || detection_with("/nowhere/model.onnx", InferenceOptions::default());
    wrong.elements = vec![nowhere()];
    let cameras = Supervised::start(vec![wrong.clone(), test_picture("right")]);
    cameras.wait_for_pictures("right", 5, 10 * SECOND);
    cameras.wait_for("failure", 5 * SECOND, || cameras.lines().iter().any(|line| line.starts_with("wrong: failed: ")));
    // Reading the configuration again gives a failed camera another chance.
    wrong.elements = vec![detection()];
    cameras.apply(vec![wrong.clone(), test_picture("right")]);
    cameras.wait_for_pictures("wrong", 5, 10 * SECOND);
    assert_eq!(cameras.stop(), Outcome::Stopped);

    wrong.elements = vec![nowhere()];
    let Outcome::NothingRuns(reasons) = Supervised::start(vec![wrong]).wait() else { panic!() };
    assert!(reasons[0].contains("/nowhere/model.onnx"), "{reasons:?}");
}

#[test]
fn an_output_that_breaks_is_opened_again() {
    start();
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut setup = test_picture("door");
    let options = PublishOptions { location: pipe.to_str().unwrap().into(), ..PublishOptions::default() };
    setup.elements =
        vec![ElementSetup { name: "lines".into(), options: ElementOptions::publish(options), contents: vec![] }];
    let open = || std::fs::OpenOptions::new().read(true).custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits()).open(&pipe);
    use std::os::unix::fs::OpenOptionsExt;
    let reader = open().unwrap();
    let cameras = Supervised::start(vec![setup]);
    cameras.wait_for_pictures("door", 5, 10 * SECOND);
    drop(reader);
    cameras
        .wait_for("loss", 5 * SECOND, || cameras.lines().iter().any(|line| line.contains("its reader has closed it")));
    let _reader = open().unwrap();
    cameras.wait_for_pictures("door", 5, 10 * SECOND);
    assert_eq!(cameras.stop(), Outcome::Stopped);
}

/// If frames arrive faster than the model processes them, the oldest are dropped and the output is never old.
#[test]
fn a_slow_model_leaves_pictures_out_and_lets_no_delay_build_up() {
    if !start() {
        return;
    }
    // More frames per second than the model processes on any machine.
    let rate = gst::Fraction::new(400, 1);
    let source = TestSource { width: 320, height: 240, rate, pattern: "ball".into() };
    let mut setup = camera("door", SourceSetup::Test(source));
    setup.picture_queue = 3;
    let options = InferenceOptions { max_in_flight: 2, ..InferenceOptions::default() };
    setup.elements = vec![detection_with(test_model("slow"), options)];
    let cameras = Supervised::start(vec![setup]);
    cameras.wait_for_pictures("door", 40, 20 * SECOND);
    let camera = cameras.cameras().pop().unwrap();
    assert!(camera.drops > 10, "{camera:?}");
    // At most six frames are in flight: three queued, two in the element, one being decoded.
    let took = cameras.arrivals("door").windows(2).map(|pair| pair[1].at - pair[0].at).collect::<Vec<_>>();
    let each = took.iter().sum::<Duration>().as_secs_f64() / took.len() as f64;
    let p95 = camera.latency.p95.unwrap() / 1e3;
    assert!(p95 < 6.0 * each * 1.5 + 0.1, "{p95} s, and a picture takes {each} s");
    assert_eq!((camera.state, camera.reconnects), (CameraState::Playing, 0));
    assert_eq!(cameras.stop(), Outcome::Stopped);
}
