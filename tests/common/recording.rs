//! Cameras whose frames are pushed by the test, and the files of their recorders.

use super::running::{self, Running};
use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo};
use gsttensorrt::config::{Pictures, Segments};
use gsttensorrt::meta::{self, Object, Record};
use gsttensorrt::record::{Counts, Recorder, Settings};
use model::Rect;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Timeout of a test that waits for a file or a message.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time between two frames of a camera, in its timestamps.
pub const PERIOD: gst::ClockTime = gst::ClockTime::from_mseconds(40);

/// A camera whose frames the test pushes one by one past a recorder.
pub struct Feed {
    running: Running,
    recorder: Option<Recorder>,
    said: Arc<Mutex<Vec<String>>>,
    /// Timestamp of the next frame; `None`: frames without timestamps.
    pub time: Option<gst::ClockTime>,
    /// Time between two pushes.
    pub pace: Duration,
    pub pushed: u64,
}

impl Feed {
    pub fn start(pictures: Option<Pictures>, segments: Option<Segments>) -> Self {
        running::start();
        let running = Running::new("appsrc name=camera format=time ! fakesink name=end sync=false async=false");
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = said.clone();
        let settings = Settings { camera: "door".into(), pictures, segments, gpu: None };
        let recorder = Recorder::start(settings, move |text| heard.lock().unwrap().push(text.to_owned())).unwrap();
        recorder.attach(&running.element("end").static_pad("sink").unwrap());
        running.set_state(gst::State::Playing);
        let (time, pace) = (Some(gst::ClockTime::ZERO), Duration::from_millis(20));
        Self { running, recorder: Some(recorder), said, time, pace, pushed: 0 }
    }

    /// Pushes a frame with objects of these labels.
    pub fn push(&mut self, info: &VideoInfo, labels: &[&str]) {
        let shade = 40 + (self.pushed * 7 % 90) as u8;
        let mut frame = gst::Buffer::from_mut_slice(vec![shade; info.size()]);
        let writable = frame.get_mut().unwrap();
        writable.set_pts(self.time);
        let objects = labels.iter().map(|label| object(label)).collect();
        meta::set_record(
            writable,
            Arc::new(Record { objects, models: Vec::new(), ..Record::default() }),
            info.width(),
            info.height(),
        );
        let sample = gst::Sample::builder().buffer(&frame).caps(&info.to_caps().unwrap()).build();
        self.running.source("camera").push_sample(&sample).unwrap();
        self.time = self.time.map(|time| time + PERIOD);
        self.pushed += 1;
        std::thread::sleep(self.pace);
    }

    pub fn push_many(&mut self, count: usize, info: &VideoInfo, labels: &[&str]) {
        (0..count).for_each(|_| self.push(info, labels));
    }

    pub fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    /// Waits for a message that contains this text.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        wait_until(text, || self.said().iter().any(|said| said.contains(text)));
    }

    /// Ends after the last frame; returns the dropped frames and the messages.
    pub fn stop(mut self) -> (Counts, Vec<String>) {
        self.running.source("camera").end_of_stream().unwrap();
        self.running.wait_for_end();
        let counts = self.recorder.take().unwrap().stop();
        (counts, self.said())
    }
}

pub fn info(format: VideoFormat, width: u32, height: u32) -> VideoInfo {
    running::start();
    VideoInfo::builder(format, width, height).fps(gst::Fraction::new(25, 1)).build().unwrap()
}

/// An object in the middle of the picture.
pub fn object(label: &str) -> Object {
    Object {
        id: 0,
        rect: Rect::new(0.25, 0.25, 0.5, 0.5),
        class_id: Some(0),
        label: label.into(),
        confidence: 0.9,
        source: "test".into(),
        ..Object::default()
    }
}

/// Records pictures of these classes; the last picture is written once per test.
pub fn pictures(folder: &Path, classes: &[&str]) -> Pictures {
    Pictures {
        folder: folder.to_owned(),
        every: Duration::from_secs(1000),
        classes: classes.iter().map(|class| class.to_string()).collect(),
        absence: Duration::from_secs(1000),
        quality: 90,
        limit: 10 << 20,
    }
}

pub fn segments(folder: &Path, length: Duration) -> Segments {
    Segments { folder: folder.to_owned(), length, bitrate: 300, limit: 100 << 20 }
}

/// The files of the camera, oldest first.
pub fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("door")).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    files.sort();
    files
}

#[track_caller]
pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A file as a player decodes it.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Played {
    /// The frame count according to the file.
    pub declared: BTreeSet<(i32, i32)>,
    /// The decoded frames.
    pub decoded: BTreeSet<(i32, i32)>,
    pub coded_frames: u64,
    pub frames: u64,
    /// Size of the last frame.
    pub last: gst::ClockTime,
}

impl Played {
    /// True if every frame decodes and matches the file's description.
    #[track_caller]
    pub fn is_whole(&self, path: &Path) {
        let whole = self.declared == self.decoded && self.decoded.len() == 1 && self.frames == self.coded_frames;
        assert!(whole && self.frames > 0, "{} doesn't play: {self:?}", path.display());
    }
}

/// Plays a video.
pub fn play(path: &Path) -> Played {
    decode(path, "qtdemux ! h264parse name=coded ! avdec_h264")
}

/// Decodes a picture.
pub fn look(path: &Path) -> Played {
    decode(path, "jpegparse name=coded ! jpegdec")
}

fn decode(path: &Path, decoder: &str) -> Played {
    let running = Running::new(&format!(
        "filesrc location={} ! {decoder} ! fakesink name=end sync=false async=false",
        path.display()
    ));
    let played: Arc<Mutex<Played>> = Arc::default();
    let size = |pad: &gst::Pad| {
        let caps = pad.current_caps().unwrap();
        let of = caps.structure(0).unwrap();
        (of.get("width").unwrap(), of.get("height").unwrap())
    };
    let coded = played.clone();
    let pad = running.element("coded").static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, _| {
        let mut coded = coded.lock().unwrap();
        coded.coded_frames += 1;
        // A picture's size is in the coded picture.
        if pad.current_caps().is_some_and(|caps| caps.structure(0).unwrap().has_field("width")) {
            coded.declared.insert(size(pad));
        }
        gst::PadProbeReturn::Ok
    });
    let decoded = played.clone();
    let pad = running.element("end").static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let mut decoded = decoded.lock().unwrap();
        decoded.frames += 1;
        decoded.decoded.insert(size(pad));
        decoded.last = info.buffer().unwrap().pts().unwrap_or_default();
        gst::PadProbeReturn::Ok
    });
    running.set_state(gst::State::Playing);
    running.wait_for_end();
    played.lock().unwrap().clone()
}

/// Plays all videos of the camera; each must be complete.
#[track_caller]
pub fn play_all(folder: &Path) -> Vec<Played> {
    let play = |path: PathBuf| {
        let played = play(&path);
        played.is_whole(&path);
        played
    };
    files(folder, "mp4").into_iter().map(play).collect()
}
