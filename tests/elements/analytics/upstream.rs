//! GStreamer's own elements for analytics, before ours and behind them, where GStreamer has them.

use crate::common::analytics;
use crate::common::find::{root, skip, test_model};
use crate::common::picture::{Colour, Picture, Square};
use crate::common::pipeline::Pipeline;
use crate::common::running::{Running, caps, frame, pull, register, start, with_model};
use gst::prelude::*;
use gst_video::VideoFormat;
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::Command;

/// False, with a line that says so, if GStreamer lacks one of these elements.
fn has(elements: &[&str], since: &str) -> bool {
    register();
    // An element whose libraries are missing can be listed, and not be made.
    let missing = elements.iter().find(|element| gst::ElementFactory::make(element).build().is_err());
    if let Some(element) = missing {
        skip(element, since);
    }
    missing.is_none()
}

/// Squares of all classes; none touches another.
fn picture(shift: u32) -> Picture {
    Picture::new(&[
        Square::new(Colour::Red, 1 + shift, 1, 255),
        Square::new(Colour::Green, 8, 1 + shift, 240),
        Square::new(Colour::Blue, 3, 5, 220),
    ])
}

/// The pixels that come out of `elements` for a picture.
fn pixels(elements: &str, picture: &Picture) -> Vec<u8> {
    let p = Running::playing(&format!("appsrc name=in format=time ! {elements} ! appsink name=out sync=false"));
    p.source("in").set_caps(Some(&caps(picture, VideoFormat::Rgb)));
    p.source("in").push_buffer(frame(picture, VideoFormat::Rgb, 0)).unwrap();
    p.source("in").end_of_stream().unwrap();
    let out = pull(&p.sink("out")).unwrap();
    out.map_readable().unwrap().to_vec()
}

/// `objectdetectionoverlay` draws lines of two pixels around a box: one outside and one inside.
#[test]
fn gstreamers_overlay_draws_our_boxes() {
    if !start() || !has(&["objectdetectionoverlay"], "GStreamer 1.24 or later") {
        return;
    }
    let (picture, plain) = (picture(0), picture(0).rgb().data);
    let overlay = "objectdetectionoverlay draw-labels=false object-detection-outline-color=0xffff00ff";
    let detect = with_model("trtdetect", "yolo");
    let drawn = pixels(&format!("{detect} ! {overlay}"), &picture);
    let at = |x: u32, y: u32| 3 * (y * picture.width + x) as usize..3 * (y * picture.width + x) as usize + 3;
    let is_drawn = |x: u32, y: u32| drawn[at(x, y)] == [255, 0, 255];
    for detection in picture.detections() {
        let rect = detection.rect.scaled(picture.width as f32, picture.height as f32);
        let [left, top, right, bottom] = [rect.x, rect.y, rect.right(), rect.bottom()].map(|at| at as u32);
        for k in 1..7 {
            for (x, y) in [(left + k, top), (left + k, bottom - 1), (left, top + k), (right - 1, top + k)] {
                assert!(is_drawn(x, y), "the edge of {rect:?} at {x}, {y} is {:?}", &drawn[at(x, y)]);
            }
        }
        assert_eq!(drawn[at(left + 3, top + 3)], plain[at(left + 3, top + 3)], "inside of {rect:?}");
    }
    // A box's lines have 4 · 8 pixels inside and outside each.
    let changed = (0..picture.height).flat_map(|y| (0..picture.width).map(move |x| (x, y)));
    let changed = changed.filter(|&(x, y)| drawn[at(x, y)] != plain[at(x, y)]).count();
    assert!((3 * 56..=3 * 68).contains(&changed), "{changed} pixels are drawn");
    // A pose's points get no boxes.
    let pose = with_model("trtpose", "yolo-pose");
    let posed = pixels(&format!("{detect} ! {pose} attach=match ! {overlay}"), &red_only());
    let plain = pixels(&format!("{detect} ! {overlay}"), &red_only());
    let boxes = |pixels: &[u8]| pixels.chunks(3).filter(|pixel| **pixel == [255, 0, 255]).count();
    // The person is another object than the red square, at its place.
    assert_eq!(boxes(&posed), boxes(&plain));
    // Without the metadata it has nothing to draw.
    assert_eq!(pixels(&format!("{detect} analytics-meta=false ! {overlay}"), &picture), picture.rgb().data);
}

fn red_only() -> Picture {
    Picture::new(&[Square::new(Colour::Red, 5, 3, 255)])
}

fn objects(line: &Value) -> &[Value] {
    line["objects"].as_array().unwrap()
}

#[test]
fn a_trackers_ids_are_in_our_lines() {
    if !start() || !has(&["ioutracker"], "GStreamer 1.28 or later") {
        return;
    }
    let detect = with_model("trtdetect", "yolo");
    let pipeline = Pipeline::new(&format!(
        "appsrc name=source format=time ! {detect} ! ioutracker iou-score-threshold=0 ! videoconvert ! \
         trtpublish location=LINES ! fakesink"
    ));
    pipeline.pipeline.set_state(gst::State::Playing).unwrap();
    for n in 0..5 {
        pipeline.push(n, picture(0).rgb().frame(VideoFormat::Rgb));
    }
    let lines = pipeline.finish().unwrap();
    assert_eq!(lines.len(), 5);
    let tracks = |line: &Value| -> Vec<(String, u64)> {
        let object = |o: &Value| (o["label"].as_str().unwrap().to_owned(), o["track_id"].as_u64().expect("a track"));
        objects(line).iter().map(object).collect()
    };
    let first = tracks(&lines[0]);
    let mut ids: Vec<u64> = first.iter().map(|(_, track)| *track).collect();
    ids.sort_unstable();
    assert_eq!(ids, [0, 1, 2], "{first:?}");
    assert!(lines.iter().all(|line| tracks(line) == first), "{lines:#?}");
    // They belong to our objects, which are there once.
    assert!(lines.iter().flat_map(objects).all(|object| object["class_id"].is_u64()));
}

/// What `onnxinference` needs to know about `yolo-batch1.onnx`, and its labels.
fn upstream_detector(folder: &Path) -> String {
    let model = folder.join("yolo.onnx");
    std::fs::copy(test_model("yolo-batch1"), &model).unwrap();
    let info = "[modelinfo]\nversion=1.0\ngroup-id=yolo-v8-out\n\n\
                [images]\ndir=input\ntype=float32\ndims=1,3,64,96\nranges=0.0,1.0;0.0,1.0;0.0,1.0\n\n\
                [output0]\ndir=output\ntype=float32\ndims=1,7,126\nid=yolo-v8-out\ngroup-id=yolo-v8-out\ndims-order=col-major\n";
    std::fs::write(folder.join("yolo.onnx.modelinfo"), info).unwrap();
    std::fs::write(folder.join("labels.txt"), "rot\ngrün\nblau\n").unwrap();
    let (model, labels) = (model.display(), folder.join("labels.txt"));
    // It suppresses doubles by a larger overlap than ours.
    format!("onnxinference model-file={model} ! yolov8tensordec label-file={} iou-threshold=0.4", labels.display())
}

/// In a process of its own, because `onnxinference` may bring another ONNX Runtime than ours, which complains of that.
#[test]
fn our_overlay_and_lines_work_after_gstreamers_detector() {
    let test = "analytics::upstream::on_gstreamers_detector";
    let arguments = ["--ignored", "--exact", test, "--nocapture"];
    let output = Command::new(std::env::current_exe().unwrap()).args(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && text.contains("1 passed"), "{}\n{text}", output.status);
    for line in text.lines().filter(|line| line.starts_with("skipped: ")) {
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

#[test]
#[ignore = "for the test above"]
fn on_gstreamers_detector() {
    if !has(&["onnxinference", "yolov8tensordec"], "GStreamer 1.28 or later, with its plugin onnx") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let detector = upstream_detector(folder.path());
    let picture = picture(0);
    let pipeline =
        Pipeline::new(&format!("appsrc name=source format=time ! {detector} ! trtpublish location=LINES ! fakesink"));
    pipeline.pipeline.set_state(gst::State::Playing).unwrap();
    pipeline.push(0, picture.rgb().frame(VideoFormat::Rgb));
    let lines = pipeline.finish().unwrap();
    let found: Vec<_> = objects(&lines[0])
        .iter()
        .map(|o| (o["label"].as_str().unwrap(), o["box"]["x"].as_f64().unwrap(), o["box"]["y"].as_f64().unwrap()))
        .collect();
    assert_eq!(found, [("rot", 8.0, 8.0), ("grün", 64.0, 8.0), ("blau", 24.0, 40.0)]);
    assert!(objects(&lines[0]).iter().all(|object| object["source"] == "analytics"));
    let drawn = pixels(&format!("{detector} ! trtoverlay display-labels=false line-width=1"), &picture);
    let plain = picture.rgb().data;
    let changed = |x: usize, y: usize| drawn[3 * (y * 96 + x)..][..3] != plain[3 * (y * 96 + x)..][..3];
    for (_, x, y) in found {
        let (x, y) = (x as usize, y as usize);
        let edges = (0..8).filter(|k| changed(x + k, y) && changed(x, y + k)).count();
        assert!(edges >= 6, "{edges} pixels of the edges at {x}, {y} are drawn");
    }
    assert!(!changed(90, 60));
}

/// By GStreamer's bindings alone, which know no type of entries but those of its library.
#[test]
fn python_reads_our_objects() {
    if !start() || !analytics::is_there() {
        return;
    }
    let python = |script: &str| {
        let import = format!("import gi; gi.require_version('GstAnalytics', '1.0'); {script}");
        Command::new("/usr/bin/python3").args(["-c", &import]).output()
    };
    let imports = python("from gi.repository import GstAnalytics; GstAnalytics.RelationMeta.__iter__");
    if !imports.is_ok_and(|output| output.status.success()) {
        return skip("Python's GstAnalytics", "apt install python3-gst-1.0 gir1.2-gst-plugins-bad-1.0");
    }
    let folder = tempfile::tempdir().unwrap();
    let frames = folder.path().join("frame.rgb");
    std::fs::write(&frames, red_only().rgb().data).unwrap();
    let (detect, pose) = (with_model("trtdetect", "yolo"), with_model("trtpose", "yolo-pose"));
    let launch = format!(
        "filesrc location={} ! rawvideoparse format=rgb width=96 height=64 ! {detect} ! {pose} ! appsink name=sink",
        frames.display()
    );
    let library = std::env::current_exe().unwrap().with_file_name("libgsttensorrt.so");
    let mut command = Command::new("/usr/bin/python3");
    let command = command.arg(root().join("tests/python/read_analytics.py")).arg(library).arg(launch);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let objects: Value = serde_json::from_slice(&output.stdout).unwrap();
    let [red, person] = &objects.as_array().unwrap()[..] else { panic!("{objects:#}") };
    for (object, label) in [(red, "red"), (person, "person")] {
        assert_eq!((&object["label"], &object["rect"]), (&label.into(), &serde_json::json!([40, 24, 8, 8])));
        assert_eq!(object["class"], serde_json::json!([[label, object["confidence"]]]));
    }
    assert_eq!((&red["keypoints"], red["confidence"].as_f64()), (&Value::Null, Some(1.0)));
    let points = person["keypoints"].as_array().unwrap();
    assert_eq!((points.len(), &points[16][0]), (17, &"right_ankle".into()));
    for (k, (found, expected)) in points.iter().zip(&red_only().poses()[0].keypoints).enumerate() {
        let found = [1, 2, 3].map(|at| found[at].as_f64().unwrap() as f32);
        let expected = [expected.x * 96.0, expected.y * 64.0, expected.confidence];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.01), "{k}: {found:?}, not {expected:?}");
    }
}
