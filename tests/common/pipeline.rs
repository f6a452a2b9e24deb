//! Pipelines whose frames are pushed by the test and that end with JSON Lines in a file.

use super::running::register;
use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo};
use gsttensorrt::infer::Frame;
use model::{Detection, Keypoint, OrientedBox, Rect};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

/// No test pipeline takes this long unless it hangs.
const LONGEST: Duration = Duration::from_secs(120);
/// Time between the frames passed to [`Pipeline::push`].
pub const FRAME_TIME: gst::ClockTime = gst::ClockTime::from_mseconds(40);

/// A pipeline from a launch string; it is stopped on drop.
pub struct Pipeline {
    pub pipeline: gst::Pipeline,
    folder: tempfile::TempDir,
}

/// An element's error.
#[derive(Debug)]
pub struct Failure {
    pub element: String,
    pub message: String,
}

impl Pipeline {
    /// `LINES` in the launch string is replaced by a file of this pipeline; [`Self::lines`] reads it.
    pub fn new(launch: &str) -> Self {
        register();
        let folder = tempfile::tempdir().unwrap();
        let lines = folder.path().join("lines.jsonl");
        let launch = launch.replace("LINES", lines.to_str().unwrap());
        let pipeline = gst::parse::launch(&launch).unwrap_or_else(|e| panic!("{launch}: {e}"));
        Self { pipeline: pipeline.downcast().unwrap(), folder }
    }

    pub fn element(&self, name: &str) -> gst::Element {
        self.pipeline.by_name(name).unwrap_or_else(|| panic!("no element {name}"))
    }

    pub fn source(&self, name: &str) -> gst_app::AppSrc {
        self.element(name).downcast().unwrap()
    }

    /// Pushes frame number `n` to the source (an `appsrc name=source format=time`), with its caps.
    pub fn push(&self, n: u64, frame: Frame) {
        push(&self.source("source"), n, frame);
    }

    /// Plays until EOS or the first error.
    pub fn play(&self) -> Result<(), Failure> {
        let bus = self.pipeline.bus().unwrap();
        // A failed state change has posted its error.
        let _ = self.pipeline.set_state(gst::State::Playing);
        let start = Instant::now();
        while start.elapsed() < LONGEST {
            let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
            let Some(message) = bus.timed_pop_filtered(100 * gst::ClockTime::MSECOND, &kinds) else { continue };
            let gst::MessageView::Error(error) = message.view() else { return Ok(()) };
            let element = message.src().map(|s| s.name().to_string()).unwrap_or_default();
            return Err(Failure { element, message: error.error().message().to_owned() });
        }
        panic!("the pipeline hangs")
    }

    /// Ends the source and plays until EOS or the first error.
    pub fn finish(&self) -> Result<Vec<Value>, Failure> {
        // An error may have arrived earlier.
        let _ = self.source("source").end_of_stream();
        self.play()?;
        Ok(self.lines())
    }

    /// Waits for this many lines, with a timeout.
    pub fn wait_for_lines(&self, count: usize) -> Vec<Value> {
        let start = Instant::now();
        while self.lines().len() < count && start.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.lines()
    }

    /// The lines written so far.
    pub fn lines(&self) -> Vec<Value> {
        read_lines(&self.folder.path().join("lines.jsonl"))
    }

    pub fn stats(&self, element: &str) -> gst::Structure {
        self.element(element).property("stats")
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Pushes frame number `n` to a source, with its caps.
pub fn push(source: &gst_app::AppSrc, n: u64, frame: Frame) {
    let Frame { mut buffer, info } = frame;
    let writable = buffer.make_mut();
    writable.set_pts(n * FRAME_TIME);
    writable.set_duration(FRAME_TIME);
    let caps = info.to_caps().unwrap();
    // Refused after an error, which is on the bus.
    let _ = source.push_sample(&gst::Sample::builder().buffer(&buffer).caps(&caps).build());
}

pub fn read_lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// A line's objects, normalised to its frame.
pub fn detections(line: &Value) -> Vec<Detection> {
    let number = |v: &Value| v.as_f64().unwrap_or_else(|| panic!("not a number in {line}")) as f32;
    let (sx, sy) = (1.0 / number(&line["width"]), 1.0 / number(&line["height"]));
    let keypoint =
        |k: &Value| Keypoint { x: number(&k["x"]) * sx, y: number(&k["y"]) * sy, confidence: number(&k["confidence"]) };
    let object = |o: &Value| {
        let [x, y, w, h] = ["x", "y", "width", "height"].map(|side| number(&o["box"][side]));
        Detection {
            rect: Rect::new(x, y, w, h).scaled(sx, sy),
            class_id: o["class_id"].as_u64().unwrap() as u32,
            confidence: number(&o["confidence"]),
            oriented: o["corners"].as_array().map(|corners| {
                let corner = |k: usize| [number(&corners[k]["x"]) * sx, number(&corners[k]["y"]) * sy];
                OrientedBox { corners: [0, 1, 2, 3].map(corner) }
            }),
            keypoints: o["keypoints"].as_array().map(|k| k.iter().map(keypoint).collect()).unwrap_or_default(),
            ..Detection::default()
        }
    };
    line["objects"].as_array().unwrap().iter().map(object).collect()
}

/// A grey frame; in every format all bytes are the same.
pub fn grey(width: u32, height: u32, format: VideoFormat) -> Frame {
    let info = VideoInfo::builder(format, width, height).fps(gst::Fraction::new(25, 1)).build().unwrap();
    Frame { buffer: gst::Buffer::from_mut_slice(vec![128; info.size()]), info }
}
