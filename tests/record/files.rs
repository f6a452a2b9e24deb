//! Recording: pictures and segments as files that other programs can read, within limits, without blocking the camera.

use crate::common::recording::object;
use crate::common::running::Running;
use gst::prelude::*;
use gsttensorrt::config::{Pictures, Segments};
use gsttensorrt::meta::{self, Record};
use gsttensorrt::record::{Recorder, Settings};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const WIDTH: u32 = 160;
const HEIGHT: u32 = 96;

fn pictures(folder: &Path) -> Pictures {
    Pictures {
        folder: folder.to_owned(),
        every: Duration::from_millis(200),
        classes: vec!["dog".into()],
        absence: Duration::from_millis(600),
        quality: 90,
        limit: 1 << 20,
    }
}

fn segments(folder: &Path) -> Segments {
    Segments { folder: folder.to_owned(), length: Duration::from_secs(1), bitrate: 300, limit: 10 << 20 }
}

fn settings(pictures: Option<Pictures>, segments: Option<Segments>) -> Settings {
    Settings { camera: "door".into(), pictures, segments, gpu: None }
}

/// A dark camera whose frames have an object while `label` is set, and its recorder's messages.
struct Camera {
    running: Running,
    label: Arc<Mutex<Option<&'static str>>>,
    recorder: Option<Recorder>,
    said: Arc<Mutex<Vec<String>>>,
}

impl Camera {
    fn start(settings: Settings) -> Self {
        crate::common::running::start();
        let launch = format!(
            "videotestsrc is-live=true pattern=black ! video/x-raw,format=I420,width={WIDTH},height={HEIGHT},framerate=30/1 ! \
             identity name=detect ! fakesink name=end sync=false"
        );
        let running = Running::new(&launch);
        let label: Arc<Mutex<Option<&'static str>>> = Arc::default();
        let shown = label.clone();
        let pad = running.element("detect").static_pad("src").unwrap();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let objects = shown.lock().unwrap().iter().map(|label| object(label)).collect();
            let record = Record { objects, models: Vec::new(), ..Record::default() };
            meta::set_record(info.buffer_mut().unwrap().make_mut(), Arc::new(record), WIDTH, HEIGHT);
            gst::PadProbeReturn::Ok
        });
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = said.clone();
        let recorder = Recorder::start(settings, move |text| heard.lock().unwrap().push(text.to_owned())).unwrap();
        recorder.attach(&running.element("end").static_pad("sink").unwrap());
        running.set_state(gst::State::Playing);
        Self { running, label, recorder: Some(recorder), said }
    }

    fn show(&self, label: Option<&'static str>) {
        *self.label.lock().unwrap() = label;
    }

    fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    files.sort();
    files
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The decoded frames of a file: the brightest luma of each.
fn brightest(file: &Path, decode: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("raw");
    let launch = format!(
        "-q filesrc location={} ! {decode} ! videoconvert ! video/x-raw,format=GRAY8,width={WIDTH},height={HEIGHT} ! filesink \
         location={}",
        file.display(),
        raw.display()
    );
    let status = Command::new("gst-launch-1.0").args(launch.split(' ')).status().unwrap();
    assert!(status.success(), "{} can't be decoded", file.display());
    let frames = std::fs::read(raw).unwrap();
    frames.chunks((WIDTH * HEIGHT) as usize).map(|frame| frame.iter().copied().max().unwrap()).collect()
}

#[test]
fn the_last_picture_is_always_complete_and_annotated() {
    let folder = tempfile::tempdir().unwrap();
    let mut camera = Camera::start(settings(Some(pictures(folder.path())), None));
    let last = folder.path().join("door.jpg");
    wait_until("a picture", || last.exists());
    assert!(brightest(&last, "jpegdec").iter().all(|luma| *luma < 40), "nothing to draw yet");
    camera.show(Some("cat"));
    wait_until("an annotated picture", || {
        // Complete at any time: JPEG's end marker is there.
        let content = std::fs::read(&last).unwrap();
        assert!(content.starts_with(&[0xff, 0xd8]) && content.ends_with(&[0xff, 0xd9]), "torn");
        brightest(&last, "jpegdec").iter().all(|luma| *luma > 80)
    });
    let one = std::fs::metadata(&last).unwrap().modified().unwrap();
    wait_until("the next picture", || std::fs::metadata(&last).unwrap().modified().unwrap() > one);
    camera.recorder.take();
    assert_eq!(camera.said(), [""; 0]);
    assert!(files(&folder.path().join("door"), "jpg").is_empty(), "a cat isn't asked for");
}

#[test]
fn a_class_is_pictured_when_it_appears_and_not_while_it_stays() {
    let folder = tempfile::tempdir().unwrap();
    let mut camera = Camera::start(settings(Some(pictures(folder.path())), None));
    let of_classes = folder.path().join("door");
    camera.show(Some("dog"));
    wait_until("the first dog", || !files(&of_classes, "jpg").is_empty());
    std::thread::sleep(Duration::from_millis(900));
    assert_eq!(files(&of_classes, "jpg").len(), 1, "it's the same dog");
    camera.show(None);
    std::thread::sleep(Duration::from_millis(900));
    camera.show(Some("dog"));
    wait_until("the second dog", || files(&of_classes, "jpg").len() == 2);
    camera.recorder.take();
    for file in files(&of_classes, "jpg") {
        assert!(file.to_str().unwrap().ends_with("Z-dog.jpg"), "{file:?}");
        assert!(brightest(&file, "jpegdec").iter().all(|luma| *luma > 80), "{file:?} shows no box");
    }
    // Frames in the camera's own pipeline aren't drawn on.
    assert_eq!(camera.said(), [""; 0]);
    drop(camera.running);
}

#[test]
fn segments_are_videos_from_the_first_to_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let mut camera = Camera::start(settings(Some(pictures(folder.path())), Some(segments(folder.path()))));
    camera.show(Some("dog"));
    let of_camera = folder.path().join("door");
    wait_until("three segments", || files(&of_camera, "mp4").len() >= 3);
    let start = Instant::now();
    camera.recorder.take();
    assert!(start.elapsed() < Duration::from_millis(2500), "{:?}", start.elapsed());
    let files = files(&of_camera, "mp4");
    let mut frames = 0;
    for file in &files {
        let brightest = brightest(file, "qtdemux ! h264parse ! avdec_h264");
        assert!(brightest.iter().skip(3).all(|luma| *luma > 80), "{file:?}: {brightest:?}");
        frames += brightest.len();
    }
    assert!(frames > 45, "{frames} in {files:?}");
    assert!(folder.path().join("door.jpg").exists());
    assert_eq!(camera.said(), [""; 0]);
}

#[test]
fn old_segments_make_room() {
    let folder = tempfile::tempdir().unwrap();
    let of_camera = folder.path().join("door");
    std::fs::create_dir(&of_camera).unwrap();
    std::fs::write(of_camera.join("20200101T000000.000Z.mp4"), vec![0; 300_000]).unwrap();
    let limited = Segments { limit: 320_000, ..segments(folder.path()) };
    let camera = Camera::start(settings(None, Some(limited)));
    wait_until("the old one goes", || !of_camera.join("20200101T000000.000Z.mp4").exists());
    wait_until("a new one comes", || !files(&of_camera, "mp4").is_empty());
    drop(camera);
}

/// A full disk or a deleted folder is reported, the camera continues, and recording recovers.
#[test]
fn a_failure_is_reported_and_the_camera_continues() {
    let folder = tempfile::tempdir().unwrap();
    let mut camera = Camera::start(settings(None, Some(segments(folder.path()))));
    let of_camera = folder.path().join("door");
    wait_until("a segment", || !files(&of_camera, "mp4").is_empty());
    std::fs::remove_dir_all(&of_camera).unwrap();
    std::fs::write(&of_camera, "in the way").unwrap();
    wait_until("it's told", || !camera.said().is_empty());
    let frames = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counted = frames.clone();
    let pad = camera.running.element("end").static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        gst::PadProbeReturn::Ok
    });
    wait_until("the camera's frames", || frames.load(std::sync::atomic::Ordering::Relaxed) > 30);
    std::fs::remove_file(&of_camera).unwrap();
    std::fs::create_dir(&of_camera).unwrap();
    wait_until("recording again", || !files(&of_camera, "mp4").is_empty());
    camera.recorder.take();
    let said = camera.said();
    assert!(said.iter().any(|text| text.contains("recording failed and will be retried")), "{said:?}");
}

/// If encoding is far too slow, frames are left out and the camera isn't delayed.
#[test]
fn a_slow_recorder_delays_no_frame() {
    let folder = tempfile::tempdir().unwrap();
    crate::common::running::start();
    let running = Running::new(
        "videotestsrc num-buffers=100 ! video/x-raw,format=I420,width=1920,height=1080 ! fakesink name=end sync=false",
    );
    let recorder = Recorder::start(settings(None, Some(segments(folder.path()))), |_| {}).unwrap();
    let pad = running.element("end").static_pad("sink").unwrap();
    let times = Arc::new(Mutex::new(Vec::new()));
    let (before, after) = (times.clone(), times.clone());
    // Probes are called in the order of their installation.
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        before.lock().unwrap().push(Instant::now());
        gst::PadProbeReturn::Ok
    });
    recorder.attach(&pad);
    let held = Arc::new(Mutex::new(Vec::new()));
    let hold = held.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        hold.lock().unwrap().push(after.lock().unwrap().last().unwrap().elapsed());
        gst::PadProbeReturn::Ok
    });
    running.set_state(gst::State::Playing);
    running.wait_for_end();
    let mut held = held.lock().unwrap().clone();
    held.sort();
    assert_eq!(held.len(), 100);
    // Drawing and encoding take milliseconds per frame. The median is used because other processes may interfere.
    assert!(held[50] < Duration::from_millis(1), "{held:?}");
    recorder.stop();
    // Something was recorded nevertheless.
    let files = files(&folder.path().join("door"), "mp4");
    assert!(!files.is_empty());
}
