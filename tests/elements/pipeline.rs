//! Detection, pose and publishing together, on pictures of coloured squares.

use crate::common::find;
use crate::common::picture::{Colour, Picture, Square, Tolerance, assert_found};
use crate::common::pipeline::{self, Pipeline, detections, push};
use gst::prelude::*;
use gst_video::VideoFormat;
use model::Detection;
use serde_json::Value;

/// `trtdetect` or `trtpose` on the CPU with a test model.
fn element(kind: &str, name: &str, model: &str) -> String {
    format!("{kind} name={name} backend=cpu model={}", find::test_model(model).display())
}

fn labels(line: &Value) -> Vec<&str> {
    line["objects"].as_array().unwrap().iter().map(|o| o["label"].as_str().unwrap()).collect()
}

#[test]
fn detection_and_pose_of_a_person_are_one_object() {
    if !find::onnx_runtime() {
        return;
    }
    let pipeline = Pipeline::new(&format!(
        "appsrc name=source format=time ! {} ! {} ! trtpublish location=LINES stream-id=squares ! fakesink",
        element("trtdetect", "detect", "yolo-coco"),
        element("trtpose", "pose", "yolo-pose"),
    ));
    let pictures: Vec<_> = (0..25).map(Picture::numbered).collect();
    for (n, picture) in pictures.iter().enumerate() {
        pipeline.push(n as u64, picture.rgb().frame(VideoFormat::Nv12));
    }
    let lines = pipeline.finish().unwrap();
    let schema = std::fs::read_to_string(find::root().join("docs/objects.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    assert_eq!(lines.len(), pictures.len());
    for (n, (line, picture)) in lines.iter().zip(&pictures).enumerate() {
        assert!(schema.is_valid(line), "{line}");
        assert_eq!(line["frame"], n);
        assert_eq!(line["pts"], n as u64 * pipeline::FRAME_TIME.nseconds());
        assert_eq!(line["stream"], "squares");
        assert_eq!(line["inferred"], serde_json::json!({"detect": "done", "pose": "done"}));
        let mut wanted: Vec<_> = picture.detections().into_iter().filter(|d| d.class_id != 0).collect();
        wanted.extend(picture.poses());
        assert_found(&format!("frame {n}"), &detections(line), &wanted, Tolerance::COLOUR);
        for object in line["objects"].as_array().unwrap() {
            let person = object["label"] == "person";
            assert_eq!(object["source"], "detect", "{object}");
            assert_eq!(object["keypoints_source"], if person { "pose".into() } else { Value::Null }, "{object}");
        }
    }
    for name in ["detect", "pose"] {
        let stats = pipeline.stats(name);
        assert_eq!(stats.get::<u64>("frames"), Ok(25), "{name}");
        assert_eq!(stats.get::<u64>("inferred"), Ok(25), "{name}");
    }
}

/// Oriented boxes in the lines, and a second model that looks into the upright boxes around them.
#[test]
fn oriented_boxes_are_written_and_looked_into() {
    if !find::onnx_runtime() {
        return;
    }
    let schema = std::fs::read_to_string(find::root().join("docs/objects.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    for model in ["yolo-obb", "yolo-obb-e2e"] {
        let pipeline = Pipeline::new(&format!(
            "appsrc name=source format=time ! {} ! {} inference-region=objects \
             ! trtpublish location=LINES ! fakesink",
            element("trtdetect", "ours", model),
            element("trtdetect", "second", "yolo"),
        ));
        let pictures: Vec<_> = (0..12).map(Picture::numbered).collect();
        for (n, picture) in pictures.iter().enumerate() {
            pipeline.push(n as u64, picture.rgb().frame(VideoFormat::Rgb));
        }
        let lines = pipeline.finish().unwrap();
        assert_eq!(lines.len(), pictures.len());
        for (n, (line, picture)) in lines.iter().zip(&pictures).enumerate() {
            assert!(schema.is_valid(line), "{line}");
            let mut oriented = line.clone();
            let objects = oriented["objects"].as_array_mut().unwrap();
            let seconds: Vec<Value> = objects.extract_if(.., |object| object["source"] == "second").collect();
            let what = format!("{model}, frame {n}");
            assert_found(&what, &detections(&oriented), &picture.oriented(), Tolerance::WRITTEN);
            assert!(!seconds.is_empty(), "{what}");
            let objects = oriented["objects"].as_array().unwrap();
            for found in &seconds {
                let parent = objects.iter().find(|object| object["id"] == found["parent"]).unwrap();
                assert!(found.get("angle").is_none() && found["label"] == parent["label"], "{what}: {found}");
                let edges = |object: &Value| {
                    let side = |key: &str| object["box"][key].as_f64().unwrap();
                    [-side("x"), -side("y"), side("x") + side("width"), side("y") + side("height")]
                };
                // The test model's cells are 8 of 96 pixels wide, and may be half in the border around the region.
                let inside = edges(found).iter().zip(edges(parent)).all(|(inner, outer)| *inner <= outer + 1.2);
                assert!(inside, "{what}: {found} in {parent}");
            }
        }
    }
}

#[test]
fn top_down_pose_looks_at_the_persons_found_before() {
    if !find::onnx_runtime() {
        return;
    }
    let pipeline = Pipeline::new(&format!(
        "appsrc name=source format=time ! {} ! {} inference-region=objects object-classes=person \
         ! trtpublish location=LINES ! fakesink",
        element("trtdetect", "detect", "yolo-coco"),
        element("trtpose", "pose", "movenet"),
    ));
    let two = [Square::new(Colour::Red, 3, 4, 255), Square::new(Colour::Red, 9, 1, 230)];
    let pictures = [Picture::sized(960, 640, &two), Picture::sized(960, 640, &[Square::new(Colour::Blue, 5, 5, 255)])];
    for (n, picture) in pictures.iter().enumerate() {
        pipeline.push(n as u64, picture.rgb().frame(VideoFormat::Rgb));
    }
    let lines = pipeline.finish().unwrap();
    let persons = detections(&lines[0]);
    assert_eq!(labels(&lines[0]), ["person"; 2]);
    for person in persons {
        assert_eq!(person.keypoints.len(), 17);
        for k in &person.keypoints {
            let (x, y) = ((k.x - person.rect.x) / person.rect.w, (k.y - person.rect.y) / person.rect.h);
            assert!((-0.25..1.25).contains(&x) && (-0.25..1.25).contains(&y), "{k:?} of {:?}", person.rect);
        }
    }
    assert_eq!(labels(&lines[1]), ["car"]);
    assert_eq!(lines[1]["inferred"], serde_json::json!({"detect": "done", "pose": "no-region"}));
    assert!(lines[1]["objects"][0]["keypoints"].is_null());
}

/// Each person's box is enlarged by a quarter and extended to the input's aspect ratio, also beyond the frame, and its keypoints
/// are mapped back: red is keypoint 0, blue keypoint 2.
#[test]
fn keypoints_in_crops_of_persons_are_where_they_are_in_the_frame() {
    if !find::onnx_runtime() {
        return;
    }
    // In pixels of the frame: half pixels of the input are exact, and a quarter of a place is 1.6. A square has several equal
    // peaks; the blurred map has one in its middle, at most half a cell further.
    for (pose, tolerance) in [("simcc", 0.01), ("heatmaps head=heatmap", 2.0), ("vitpose", 40.0)] {
        let (model, properties) = pose.split_once(' ').unwrap_or((pose, ""));
        let pipeline = Pipeline::new(&format!(
            "appsrc name=source format=time ! {} ! {} {properties} inference-region=objects object-classes=person \
             ! trtpublish location=LINES ! fakesink",
            element("trtdetect", "detect", "yolo-coco"),
            element("trtpose", "pose", model),
        ));
        let corners = [
            // Ten pixels of the frame are one of the detector's input. A crop shows 150 x 100 pixels as 96 x 64.
            ((3, 4), [(248.75, 328.75), (336.25, 403.75)]),
            ((0, 0), [(8.75, 8.75), (96.25, 83.75)]),
        ];
        for (n, ((column, row), _)) in corners.iter().enumerate() {
            let red = Square::new(Colour::Red, *column, *row, 255);
            let blue = Square::new(Colour::Blue, column + 1, row + 1, 255);
            pipeline.push(n as u64, Picture::sized(960, 640, &[red, blue]).rgb().frame(VideoFormat::Rgb));
        }
        let lines = pipeline.finish().unwrap();
        for (line, ((column, row), wanted)) in lines.iter().zip(corners) {
            let found = detections(line);
            let person = found.iter().find(|d| !d.keypoints.is_empty()).unwrap_or_else(|| panic!("{pose}: {line}"));
            assert_eq!(person.keypoints.len(), 3);
            for (k, (x, y)) in [(0, wanted[0]), (2, wanted[1])] {
                let found = person.keypoints[k];
                // The person's box is its cell.
                let in_frame = |at: f32, start: f32, size: f32, cell: u32| 80.0 * ((at - start) / size + cell as f32);
                let at = [
                    in_frame(found.x, person.rect.x, person.rect.w, column),
                    in_frame(found.y, person.rect.y, person.rect.h, row),
                ];
                let apart = (at[0] - x).abs().max((at[1] - y).abs());
                assert!(apart <= tolerance, "{pose}, keypoint {k} of {column} {row}: {at:?}, wanted {x} {y}");
                assert!(found.confidence > 0.75, "{pose}: {found:?}");
            }
            assert!(person.keypoints[1].confidence < 0.05, "{pose}: nothing is green");
        }
    }
}

#[test]
fn a_second_detector_finds_parts_of_objects() {
    if !find::onnx_runtime() {
        return;
    }
    let pipeline = Pipeline::new(&format!(
        "appsrc name=source format=time ! {} ! {} inference-region=objects object-classes=car \
         ! trtpublish location=LINES ! fakesink",
        element("trtdetect", "first", "yolo-coco"),
        element("trtdetect", "second", "yolo"),
    ));
    let squares = [Square::new(Colour::Red, 3, 4, 255), Square::new(Colour::Blue, 9, 1, 230)];
    pipeline.push(0, Picture::sized(960, 640, &squares).rgb().frame(VideoFormat::Rgb));
    let line = pipeline.finish().unwrap().remove(0);
    let objects = line["objects"].as_array().unwrap();
    let car = objects.iter().find(|o| o["label"] == "car").unwrap();
    let parts: Vec<_> = objects.iter().filter(|o| o["source"] == "second").collect();
    // The car fills the region of the second model.
    assert!(!parts.is_empty());
    for part in parts {
        assert_eq!((&part["parent"], &part["label"]), (&car["id"], &"blue".into()));
        for (start, length) in [("x", "width"), ("y", "height")] {
            let side = |o: &Value, key: &str| o["box"][key].as_f64().unwrap();
            let (from, to) = (side(part, start), side(part, start) + side(part, length));
            assert!(from >= side(car, start) - 1.0, "{part} outside {car}");
            assert!(to <= side(car, start) + side(car, length) + 1.0, "{part} outside {car}");
        }
    }
}

#[test]
fn four_streams_in_two_pipelines_share_batches_and_keep_apart() {
    if !find::onnx_runtime() {
        return;
    }
    const FRAMES: usize = 12;
    let stream = |n: usize| {
        format!(
            "appsrc name=source{n} format=time ! {} batch-size=8 ! appsink name=sink{n} sync=false ",
            element("trtdetect", &format!("detect{n}"), "slow")
        )
    };
    let pipelines = [Pipeline::new(&(stream(0) + &stream(1))), Pipeline::new(&(stream(2) + &stream(3)))];
    let picture = |stream: usize, n: usize| Picture::numbered(stream * FRAMES + n);
    for (stream, pipeline) in (0..4).map(|n| (n, &pipelines[n / 2])) {
        let source = pipeline.source(&format!("source{stream}"));
        for n in 0..FRAMES {
            push(&source, n as u64, picture(stream, n).rgb().frame(VideoFormat::Rgb));
        }
        source.end_of_stream().unwrap();
    }
    for pipeline in &pipelines {
        pipeline.pipeline.set_state(gst::State::Playing).unwrap();
    }
    for (stream, pipeline) in (0..4).map(|n| (n, &pipelines[n / 2])) {
        let sink = pipeline.element(&format!("sink{stream}")).downcast::<gst_app::AppSink>().unwrap();
        for n in 0..FRAMES {
            let sample = sink.try_pull_sample(30 * gst::ClockTime::SECOND).expect("a frame in half a minute");
            let buffer = sample.buffer().unwrap();
            assert_eq!(buffer.pts(), Some(n as u64 * pipeline::FRAME_TIME));
            let record = gsttensorrt::meta::record(buffer).unwrap();
            let found: Vec<_> = record
                .objects
                .iter()
                .map(|o| Detection {
                    rect: o.rect,
                    class_id: o.class_id.unwrap(),
                    confidence: o.confidence,
                    ..Detection::default()
                })
                .collect();
            let what = format!("stream {stream}, frame {n}");
            assert_found(&what, &found, &picture(stream, n).detections(), Tolerance::EXACT);
        }
    }
    let stats: Vec<_> = (0..4).map(|n| pipelines[n / 2].stats(&format!("detect{n}"))).collect();
    let services: Vec<_> = stats.iter().map(|s| s.get::<String>("service").unwrap()).collect();
    assert!(services.iter().all(|s| *s == services[0]), "{services:?}");
    let fill = stats[0].get::<f64>("batch-fill").unwrap();
    assert!(fill > 1.5, "four streams that wait for the engine fill batches with {fill} images on average");
}

#[test]
fn objects_survive_conversion_scaling_and_a_tee() {
    if !find::onnx_runtime() {
        return;
    }
    let pipeline = Pipeline::new(&format!(
        "appsrc name=source format=time ! {} ! tee name=t \
         t. ! queue ! videoconvert ! videoscale ! video/x-raw,format=I420,width=480,height=320 \
         ! trtpublish location=LINES ! fakesink async=false \
         t. ! queue ! fakesink async=false",
        element("trtdetect", "detect", "yolo"),
    ));
    let pictures: Vec<_> = (0..10).map(Picture::numbered).collect();
    for (n, picture) in pictures.iter().enumerate() {
        pipeline.push(n as u64, picture.rgb().frame(VideoFormat::Rgb));
    }
    let lines = pipeline.finish().unwrap();
    assert_eq!(lines.len(), pictures.len());
    for (line, picture) in lines.iter().zip(&pictures) {
        assert_eq!((&line["width"], &line["height"]), (&480.into(), &320.into()));
        assert_found("scaled", &detections(line), &picture.detections(), Tolerance::WRITTEN);
    }
}

#[test]
fn a_pipeline_that_starts_again_finds_the_same() {
    if !find::onnx_runtime() {
        return;
    }
    let pipeline = Pipeline::new(&format!(
        "appsrc name=source format=time ! {} ! trtpublish location=LINES ! fakesink",
        element("trtdetect", "detect", "yolo"),
    ));
    let picture = Picture::numbered(5);
    for state in [gst::State::Ready, gst::State::Null, gst::State::Ready] {
        // A stopped appsrc accepts nothing.
        pipeline.pipeline.set_state(gst::State::Paused).unwrap();
        for n in 0..3 {
            pipeline.push(n, picture.rgb().frame(VideoFormat::Bgrx));
        }
        let lines = pipeline.finish().unwrap();
        assert_eq!(lines.len(), 3);
        for (n, line) in lines.iter().enumerate() {
            assert_eq!(line["frame"], n);
            assert_found("again", &detections(line), &picture.detections(), Tolerance::WRITTEN);
        }
        pipeline.pipeline.set_state(state).unwrap();
    }
}

#[test]
fn thresholds_and_classes_by_property() {
    if !find::onnx_runtime() {
        return;
    }
    let squares = [
        Square::new(Colour::Red, 0, 0, 255),
        Square::new(Colour::Green, 4, 2, 200),
        Square::new(Colour::Blue, 8, 6, 150),
    ];
    let picture = Picture::new(&squares);
    let cases = [
        ("", vec!["red", "green", "blue"]),
        ("confidence=0.7", vec!["red", "green"]),
        ("classes=green,2", vec!["green", "blue"]),
        ("class-confidence=green=0.9", vec!["red", "blue"]),
        ("max-detections=1", vec!["red"]),
        ("roi=0,0,1,0.5", vec!["red", "green"]),
        ("min-size=9x9", vec![]),
    ];
    for (properties, wanted) in cases {
        let pipeline = Pipeline::new(&format!(
            "appsrc name=source format=time ! {} {properties} ! trtpublish location=LINES ! fakesink",
            element("trtdetect", "detect", "yolo"),
        ));
        pipeline.push(0, picture.rgb().frame(VideoFormat::Rgb));
        let lines = pipeline.finish().unwrap();
        assert_eq!(labels(&lines[0]), wanted, "{properties}");
    }
}
