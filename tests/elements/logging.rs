//! The log's content: each frame's path at TRACE, each transition of a camera at INFO, and nothing at WARNING in normal operation.

use crate::common::running::{Running, start, with_model};
use crate::common::supervised::{Supervised, camera, detection};
use gst::prelude::*;
use gsttensorrt::run::{Outcome, SourceSetup, TestSource};
use std::process::Command;
use std::time::Duration;

const FRAMES: u64 = 20;

/// The lines that one of the ignored tests below logs, in a separate process with this `GST_DEBUG`.
fn log(test: &str, debug: &str) -> Vec<String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", &format!("logging::{test}"), "--nocapture"])
        .envs([("GST_DEBUG", debug), ("GST_DEBUG_NO_COLOR", "1")])
        .env("GST_DEBUG_FILE", file.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read_to_string(file.path()).unwrap().lines().map(str::to_owned).collect()
}

#[test]
#[ignore = "for the tests below"]
fn a_pipeline() {
    assert!(start());
    let caps = "video/x-raw,format=RGB,width=96,height=64,framerate=30/1";
    let pipeline = Running::playing(&format!(
        "videotestsrc num-buffers={FRAMES} ! {caps} ! trtpreprocess backend=cpu ! {} interval=1 batch-size=2 \
         ! trtoverlay ! trtpublish location=/dev/null ! fakesink",
        with_model("trtdetect", "yolo"),
    ));
    pipeline.wait_for_end();
}

#[test]
#[ignore = "for the tests below"]
fn a_camera() {
    assert!(start());
    let source = TestSource { width: 320, height: 240, rate: gst::Fraction::new(25, 1), pattern: "ball".into() };
    let mut setup = camera("door", SourceSetup::Test(source));
    setup.elements = vec![detection()];
    let cameras = Supervised::start(vec![setup]);
    cameras.wait_for_pictures("door", 5, Duration::from_secs(30));
    assert_eq!(cameras.stop(), Outcome::Stopped);
}

#[test]
fn each_frame_is_logged_once_at_each_step() {
    if !start() {
        return;
    }
    let lines = log("a_pipeline", "trt*:TRACE");
    for n in 0..FRAMES {
        let pts = gst::ClockTime::SECOND.mul_div_floor(n, 30).unwrap();
        let count = |category: &str, step: &str| {
            let text = format!("frame {}: {step}", pts.display());
            let of_category = format!(" {category} ");
            lines.iter().filter(|line| line.contains(&of_category) && line.contains(&text)).count()
        };
        let is_inferred = n % 2 == 0;
        for (category, step, times) in [
            ("trtpreprocess", "tensor made", usize::from(is_inferred)),
            ("trtinference", "submitted, 1 region(s)", usize::from(is_inferred)),
            ("trtservice", "launched on lane", usize::from(is_inferred)),
            ("trtinference", "finished", usize::from(is_inferred)),
            ("trtinference", "skipped: Interval", usize::from(!is_inferred)),
            ("trtoverlay", "ready", 1),
            ("trtpublish", "line", 1),
        ] {
            assert_eq!(count(category, step), times, "frame {n}: {category}: {step}");
        }
    }
    let batches = lines.iter().filter(|line| line.contains("has run a batch of")).count();
    assert!((5..=10).contains(&batches), "{batches} batches");
    for step in ["opens yolo.onnx", "stream 1 is added", "stream 1 pauses or has ended", "stream 1 is removed"] {
        assert!(lines.iter().any(|line| line.contains(step) && line.contains("DEBUG")), "{step}");
    }
}

#[test]
fn each_transition_of_a_camera_is_logged_at_info() {
    if !start() {
        return;
    }
    let lines = log("a_camera", "trtrun:INFO");
    let told: Vec<_> = lines.iter().filter_map(|line| line.split_once("door: ")).map(|(_, state)| state).collect();
    assert_eq!(
        told,
        ["Opening", "Opening -> Connecting", "Connecting -> Playing", "Playing -> Stopping", "Stopping -> Stopped"]
    );
}

#[test]
fn nothing_is_warned_of_while_all_is_well() {
    if !start() {
        return;
    }
    for test in ["a_pipeline", "a_camera"] {
        assert_eq!(log(test, "trt*:WARNING,tensorrt*:WARNING"), Vec::<String>::new(), "{test}");
    }
}
