//! Heads with ambiguous shapes, as in tests/cpu/heads.rs for the CPU.

use crate::common::find::test_model;
use crate::common::models::{ultralytics, with_metadata};
use crate::common::picture::{Colour, Picture, Square};
use crate::common::running::{Running, caps, frame};
use crate::frames::{around, objects, with_file, with_model};
use crate::on_gpu;
use gst::prelude::*;
use gst_video::VideoFormat;
use gsttensorrt::meta;
use std::path::Path;

const SOURCE: &str = "videotestsrc ! video/x-raw,format=RGBA,width=96,height=64 ! cudaupload";

fn squares() -> Picture {
    Picture::new(&[Square::new(Colour::Red, 2, 2, 255), Square::new(Colour::Green, 6, 4, 240)])
}

/// The error of opening the model; its engine is built first.
fn refusal(element: &str, model: &Path, properties: &str) -> String {
    let running =
        Running::new(&format!("{SOURCE} ! {} {properties} ! fakesink", with_file(element, "tensorrt", model)));
    let _ = running.0.set_state(gst::State::Playing);
    running.error_by("d")
}

#[track_caller]
fn refused(element: &str, model: &Path, properties: &str, words: &[&str]) {
    let text = refusal(element, model, properties);
    for word in words {
        assert!(text.contains(word), "no {word:?} in: {text}");
    }
}

on_gpu! {
    fn outputs_that_are_not_a_heads_are_refused() {
        for (element, model, properties, words) in [
            ("trtdetect", "pose5-bare", "", &["scores are 0-1", "5 keypoints of 3 values", "head=NAME"][..]),
            ("trtdetect", "obb-bare", "", &["of an empty picture", "yolo-obb: 1 class and an angle"]),
            ("trtdetect", "rtdetr-bare", "", &["pixels are due", "RT-DETR"]),
            ("trtdetect", "rtdetr-bare", "head=yolo-end-to-end", &["pixels are due"]),
            ("trtdetect", "yolox", "", &["relative to their cells", "set head=yolox-decoded"]),
            ("trtdetect", "rt-detr", "", &["whose inputs differ", "head=d-fine"]),
            ("trtdetect", "pp-yoloe", "", &["normalization=imagenet"]),
            ("trtpose", "heatmaps", "", &["set head=heatmap-udp", "ViTPose"]),
            ("trtdetect", "yolo", "head=nanodet", &["head=nanodet doesn't fit"]),
            ("trtdetect", "two-inputs", "", &["has 2 inputs", "previous", "as its only input"]),
            ("trtpose", "yolo-bare", "", &["is taken for a yolo head", "doesn't say what it is"]),
        ] {
            refused(element, &test_model(model), properties, words);
        }
        let folder = tempfile::tempdir().unwrap();
        let names = ("names", "['a', 'b', 'c']");
        let libre = [("task", "detect"), names, ("libreyolo_version", "1.6.0"), ("model_family", "rtmdet")];
        let model = with_metadata(folder.path(), "libre", "yolo-bare", &libre);
        refused("trtdetect", &model, "", &["LibreYOLO 1.6.0, family rtmdet"]);
        let model = with_metadata(folder.path(), "foreign", "yolo-bare", &[("task", "detect"), names, ("author", "Megvii")]);
        refused("trtdetect", &model, "", &["Megvii", "head=NAME"]);
        let launch = around("tensorrt", &format!("{} head=yolo", with_file("trtdetect", "tensorrt", &model)));
        assert_eq!(objects(&launch, &[squares()])[0].len(), 2);
    }
}

on_gpu! {
    /// No confidence above 1 is passed on: a frame with one causes an error.
    fn a_confidence_above_1_is_an_error_at_its_frame() {
        let launch = around("tensorrt", &with_model("trtdetect", "tensorrt", "yolo-loud"));
        let dim = Picture::new(&[Square::new(Colour::Red, 2, 2, 60)]);
        assert_eq!(objects(&launch, std::slice::from_ref(&dim))[0].len(), 1);
        let running = Running::playing(&launch);
        let source = running.source("in");
        source.set_caps(Some(&caps(&dim, VideoFormat::Rgba)));
        for (n, picture) in [dim, squares()].iter().enumerate() {
            let _ = source.push_buffer(frame(picture, VideoFormat::Rgba, n));
        }
        let text = running.error_by("d");
        assert!(text.contains("class 0 has a confidence of 3") && text.contains("yolo-loud.onnx"), "{text}");
    }
}

on_gpu! {
    fn names_are_of_the_file_or_the_labels() {
        let folder = tempfile::tempdir().unwrap();
        let more = [("kpt_shape", "[5, 3]"), ("kpt_names", "{0: ['a', 'b', 'c', 'd', 'e']}")];
        let metadata = [&ultralytics("pose", "['face']")[..], &more].concat();
        let model = with_metadata(folder.path(), "face", "pose5-bare", &metadata);
        let (buffers, _running) =
            crate::frames::run(&around("tensorrt", &with_file("trtpose", "tensorrt", &model)), &[squares()]);
        let record = meta::record(&buffers[0]).unwrap();
        let names: Vec<_> =
            record.objects[0].keypoints.as_ref().unwrap().layout.names.iter().map(|name| name.to_string()).collect();
        assert_eq!(names, ["a", "b", "c", "d", "e"]);
        // A file that doesn't state its number of classes accepts the given labels and filters by all of them.
        let labels = folder.path().join("labels.txt");
        let lines: String = (0..200).map(|n| format!("{}\n", if n == 1 { "vert".into() } else { format!("l{n}") })).collect();
        std::fs::write(&labels, lines).unwrap();
        let metadata = [&ultralytics("detect", "None")[..], &[("end2end", "True")]].concat();
        let model = with_metadata(folder.path(), "nameless", "yolo-e2e-bare", &metadata);
        for (classes, count) in [("", 2), ("classes=vert", 1), ("classes=l150", 0), ("class-confidence=l0=1,l150=1", 2)] {
            let element = format!("{} labels={} {classes}", with_file("trtdetect", "tensorrt", &model), labels.display());
            assert_eq!(objects(&around("tensorrt", &element), &[squares()])[0].len(), count, "{classes}");
        }
    }
}
