//! Changing the model while playing: it is opened beside the one in force and takes over between two frames.

use crate::common::find::test_model;
use crate::common::picture::{Picture, Tolerance, assert_found};
use crate::common::running::{Running, caps, found_by, frame, number, pull, start, with_model};
use gst::prelude::*;
use gst_video::VideoFormat;
use gsttensorrt::meta;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Passes numbered frames through `in` (an appsrc), `d` (the element) and `out` (an appsink), one at a time.
struct FrameSequence {
    running: Running,
    next: usize,
}

impl FrameSequence {
    fn new(elements: &str) -> Self {
        let launch = format!("appsrc name=in ! {elements} ! appsink name=out sync=false");
        let running = Running::playing(&launch);
        running.source("in").set_caps(Some(&caps(&Picture::numbered(0), VideoFormat::Rgb)));
        Self { running, next: 0 }
    }

    fn push(&mut self) {
        let picture = frame(&Picture::numbered(self.next), VideoFormat::Rgb, self.next);
        self.running.source("in").push_buffer(picture).unwrap();
        self.next += 1;
    }

    /// The next output frame: its number, and the labels of its objects, which are checked.
    #[track_caller]
    fn pull(&self) -> (usize, Vec<String>) {
        let buffer = pull(&self.running.sink("out")).expect("a frame");
        let n = number(&buffer);
        let wanted = Picture::numbered(n).detections();
        assert_found(&format!("frame {n}"), &found_by(&buffer, "d"), &wanted, Tolerance::EXACT);
        let record = meta::record(&buffer).unwrap();
        (n, record.objects.iter().map(|object| object.label.to_string()).collect())
    }

    fn set_model(&self, file: &str) {
        self.running.element("d").set_property("model", test_model(file).to_str().unwrap());
    }

    fn model(&self) -> String {
        self.running.element("d").property("model")
    }

    #[track_caller]
    fn warning(&self) -> String {
        match self.running.message(&[gst::MessageType::Warning, gst::MessageType::Error]).view() {
            gst::MessageView::Warning(warning) => warning.error().message().to_owned(),
            other => panic!("{other:?} instead of a warning"),
        }
    }

    fn service(&self) -> String {
        self.running.stats("d").get("service").unwrap()
    }

    #[track_caller]
    fn wait_for_service(&self, file: &str) {
        let start = Instant::now();
        while !self.service().starts_with(file) {
            assert!(start.elapsed() < Duration::from_secs(30), "{} stays", self.service());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The labels of the two models: yolo.onnx has colours, yolo-coco.onnx COCO's first classes.
fn is_coco(labels: &[String]) -> bool {
    let coco = ["person", "bicycle", "car"];
    let of_coco = labels.iter().filter(|label| coco.contains(&label.as_str())).count();
    assert!(of_coco == 0 || of_coco == labels.len(), "one frame, one model: {labels:?}");
    of_coco > 0
}

#[test]
fn the_new_model_takes_over_between_two_frames() {
    if !start() {
        return;
    }
    let detect = with_model("trtdetect", "yolo");
    let mut stream = FrameSequence::new(&format!("{detect} name=d batch-size=4 max-in-flight=8"));
    let mut seen = Vec::new();
    for _ in 0..12 {
        stream.push();
        seen.push(stream.pull());
    }
    stream.set_model("yolo-coco");
    let start = Instant::now();
    // Frames continue meanwhile, several of them in flight.
    while seen.iter().filter(|(_, labels)| is_coco(labels)).count() < 12 {
        assert!(start.elapsed() < Duration::from_secs(30), "the old model stays");
        (0..4).for_each(|_| stream.push());
        seen.extend((0..4).map(|_| stream.pull()));
    }
    let numbers: Vec<_> = seen.iter().map(|(n, _)| *n).collect();
    assert_eq!(numbers, (0..seen.len()).collect::<Vec<_>>(), "lost or out of order");
    let changes = seen.windows(2).filter(|pair| is_coco(&pair[0].1) != is_coco(&pair[1].1)).count();
    assert_eq!(changes, 1, "{seen:?}");
    assert!(!is_coco(&seen[11].1), "before it was asked for");
    assert!(stream.service().starts_with("yolo-coco.onnx"), "{}", stream.service());
}

#[test]
fn frames_in_flight_end_on_the_old_model() {
    if !start() {
        return;
    }
    let slow = with_model("trtdetect", "slow");
    let mut stream = FrameSequence::new(&format!("{slow} name=d max-in-flight=8"));
    (0..6).for_each(|_| stream.push());
    let old = stream.service();
    // Now they are in the element, and no longer upstream.
    let mut seen = vec![stream.pull()];
    stream.set_model("yolo-coco");
    stream.wait_for_service("yolo-coco.onnx");
    (0..2).for_each(|_| stream.push());
    seen.extend((1..8).map(|_| stream.pull()));
    assert_eq!(seen.iter().map(|(n, _)| *n).collect::<Vec<_>>(), (0..8).collect::<Vec<_>>());
    assert!(!is_coco(&seen[0].1) && is_coco(&seen[7].1), "{seen:?}");
    assert_ne!(stream.service(), old);
}

#[test]
fn a_model_that_cannot_be_opened_leaves_the_old_one_and_warns() {
    if !start() {
        return;
    }
    let detect = with_model("trtdetect", "yolo");
    let mut stream = FrameSequence::new(&format!("{detect} name=d"));
    stream.push();
    stream.pull();
    let before = stream.model();
    for (file, word) in [("yolo-pose", "trtpose"), ("unknown-head", "known heads")] {
        stream.set_model(file);
        let warning = stream.warning();
        assert!(warning.contains(&format!("{file}.onnx")) && warning.contains(word), "{warning}");
        assert!(warning.ends_with("the previous model stays in force"), "{warning}");
        assert_eq!(stream.model(), before, "what is in force");
        stream.push();
        assert!(!is_coco(&stream.pull().1));
    }
    stream.running.element("d").set_property("model", "/nonexistent.onnx");
    assert!(stream.warning().contains("/nonexistent.onnx"));
    // A valid model still takes over after all that.
    stream.set_model("yolo-coco");
    stream.wait_for_service("yolo-coco.onnx");
    stream.push();
    assert!(is_coco(&stream.pull().1));
}

#[test]
fn the_last_of_several_changes_counts() {
    if !start() {
        return;
    }
    let detect = with_model("trtdetect", "yolo");
    let mut stream = FrameSequence::new(&format!("{detect} name=d"));
    stream.push();
    stream.pull();
    // The first two don't exist: messages about them may appear or not, but neither is kept.
    for model in ["/one.onnx", "/two.onnx", test_model("yolo-coco").to_str().unwrap()] {
        stream.running.element("d").set_property("model", model);
    }
    stream.wait_for_service("yolo-coco.onnx");
    assert!(stream.model().ends_with("yolo-coco.onnx"));
    stream.push();
    assert!(is_coco(&stream.pull().1));
}

#[test]
fn other_settings_of_the_model_change_while_playing_too() {
    if !start() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let labels = folder.path().join("labels.txt");
    std::fs::write(&labels, "person\nbicycle\ncar\n").unwrap();
    let detect = with_model("trtdetect", "yolo");
    let mut stream = FrameSequence::new(&format!("{detect} name=d"));
    stream.push();
    assert!(!is_coco(&stream.pull().1));
    let element = stream.running.element("d");
    let service = stream.service();
    element.set_property("batch-size", 3u32);
    let start = Instant::now();
    while stream.service() == service {
        assert!(start.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(stream.service().contains("batch 3"), "{}", stream.service());
    element.set_property("labels", labels.to_str().unwrap());
    let start = Instant::now();
    loop {
        assert!(start.elapsed() < Duration::from_secs(30), "the old labels stay");
        stream.push();
        if is_coco(&stream.pull().1) {
            break;
        }
    }
    std::fs::write(&labels, "one\n").unwrap();
    element.set_property("labels", format!("{}/./labels.txt", folder.path().display()));
    assert!(stream.warning().contains("labels.txt"));
    assert_eq!(element.property::<String>("labels"), labels.to_str().unwrap());
}

/// `trtpreprocess` is negotiated again, and its tensors fit the new model.
#[test]
fn upstream_makes_what_the_new_model_takes() {
    if !start() {
        return;
    }
    let detect = with_model("trtdetect", "yolo");
    let mut stream = FrameSequence::new(&format!("trtpreprocess backend=cpu ! {detect} name=d"));
    let shared = |stream: &FrameSequence| stream.running.stats("d").get::<u64>("tensors-shared").unwrap();
    for _ in 0..3 {
        stream.push();
        stream.pull();
    }
    assert_eq!(shared(&stream), 3);
    // The same picture in half as many bits.
    stream.set_model("yolo-f16");
    stream.wait_for_service("yolo-f16.onnx");
    let start = Instant::now();
    let before = shared(&stream);
    while shared(&stream) < before + 3 {
        assert!(start.elapsed() < Duration::from_secs(30), "{}", stream.running.stats("d"));
        stream.push();
        let buffer = pull(&stream.running.sink("out")).unwrap();
        assert!(!found_by(&buffer, "d").is_empty());
    }
}

#[test]
fn stopping_while_a_model_is_opened_is_quick_and_starting_again_takes_the_new_one() {
    if !start() {
        return;
    }
    let detect = with_model("trtdetect", "yolo");
    let mut stream = FrameSequence::new(&format!("{detect} name=d"));
    stream.push();
    stream.pull();
    for _ in 0..10 {
        stream.set_model("yolo-coco");
        let start = Instant::now();
        stream.running.set_state(gst::State::Null);
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        stream.running.set_state(gst::State::Playing);
        stream.next = 0;
        stream.push();
        assert!(is_coco(&stream.pull().1));
        stream.set_model("yolo");
        stream.wait_for_service("yolo.onnx");
    }
}
/// Both read the element's settings and its model.
#[test]
fn stats_can_be_read_while_models_are_exchanged() {
    if !start() {
        return;
    }
    let detect = with_model("trtdetect", "yolo");
    let stream = FrameSequence::new(&format!("{detect} name=d"));
    let element = stream.running.element("d");
    let exchanging = AtomicBool::new(true);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while exchanging.load(Ordering::Relaxed) {
                    let _: gst::Structure = element.property("stats");
                }
            });
        }
        for file in ["yolo-coco", "yolo"].into_iter().cycle().take(20) {
            stream.set_model(file);
            stream.wait_for_service(&format!("{file}.onnx"));
        }
        exchanging.store(false, Ordering::Relaxed);
    });
}
