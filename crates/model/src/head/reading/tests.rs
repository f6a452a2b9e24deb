//! Tests that a run on an empty picture distinguishes heads with the same shape.

use super::super::{HeadChoice, HeadError, Output, recognise};
use crate::{ElementType, ModelInfo, TensorInfo};

const ANCHORS: usize = 8400;

fn model(shape: &[usize], metadata: &[(&str, &str)]) -> ModelInfo {
    let tensor = |name: &str, shape: Vec<i64>| TensorInfo { name: name.into(), element: ElementType::F32, shape };
    ModelInfo {
        inputs: vec![tensor("images", vec![1, 3, 640, 640])],
        outputs: vec![tensor("output0", [1].into_iter().chain(shape.iter().map(|&n| n as i64)).collect())],
        metadata: metadata.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        gst_model_info: None,
        image_processor: None,
    }
}

/// Recognises the model, and checks these values against the recognised head.
fn check_as(
    choice: HeadChoice,
    shape: &[usize],
    metadata: &[(&str, &str)],
    data: &[f32],
) -> Result<&'static str, String> {
    let found = recognise(&model(shape, metadata), choice).unwrap();
    let name = found.head.name();
    match found.reading.check(name, &found.head.plan().unwrap(), &[Output { shape, data }]) {
        Ok(()) => Ok(name),
        Err(HeadError::Unknown(text) | HeadError::GstModelInfo(text) | HeadError::Shape(text)) => Err(text),
    }
}

fn check(shape: &[usize], metadata: &[(&str, &str)], data: &[f32]) -> Result<&'static str, String> {
    check_as(HeadChoice::Auto, shape, metadata, data)
}

/// The channels of all anchors, `[channels, anchors]`: a box of 20 by 30 pixels at each anchor, then the values of
/// `rest`.
fn grid(channels: usize, rest: impl Fn(usize, usize) -> f32) -> Vec<f32> {
    let value = |channel: usize, anchor: usize| match channel {
        0 => 4.0 + 8.0 * (anchor % 80) as f32,
        1 => 4.0 + 6.0 * (anchor / 80) as f32,
        2 => 20.0,
        3 => 30.0,
        _ => rest(channel, anchor),
    };
    (0..channels * ANCHORS).map(|i| value(i / ANCHORS, i % ANCHORS)).collect()
}

/// Rows of six values, most of them as a detector fills them when it finds nothing.
fn rows(row: impl Fn(usize) -> [f32; 6]) -> Vec<f32> {
    (0..300).flat_map(row).collect()
}

#[track_caller]
fn says(outcome: Result<&str, String>, words: &[&str]) {
    let text = outcome.expect_err("refused");
    for word in words {
        assert!(text.contains(word), "{word} in {text}");
    }
}

#[test]
fn detectors_without_metadata_are_what_they_were() {
    let quiet = |channel: usize, anchor: usize| (channel * 31 + anchor * 7) as f32 % 100.0 * 1e-4;
    for channels in [84, 7, 6, 5, 116] {
        assert_eq!(check(&[channels, ANCHORS], &[], &grid(channels, quiet)), Ok("yolo"), "{channels}");
    }
    // One model finds nothing in an empty picture, another a few objects in any picture.
    assert_eq!(check(&[84, ANCHORS], &[], &vec![0.0; 84 * ANCHORS]), Ok("yolo"));
    let mut few = vec![0.0; 84 * ANCHORS];
    for (channel, value) in [320.0, 240.0, 200.0, 260.0, 0.9].into_iter().enumerate() {
        few[channel * ANCHORS] = value;
    }
    assert_eq!(check(&[84, ANCHORS], &[], &few), Ok("yolo"));
    let corners = |i: usize| [10.0, 20.0, 60.0, 90.0, 0.001, (i % 80) as f32];
    assert_eq!(check(&[300, 6], &[], &rows(corners)), Ok("yolo-end-to-end"));
}

#[test]
fn keypoints_are_no_scores() {
    // Keypoints with and without a confidence.
    for (count, dims) in [(5, 3), (21, 3), (21, 2), (133, 3), (133, 2), (1, 3)] {
        let channels = 5 + count * dims;
        let value = |channel: usize, anchor: usize| match channel {
            4 => 0.001,
            _ if dims == 3 && (channel - 5) % 3 == 2 => 0.5,
            _ => 8.0 * (anchor % 80) as f32 - 3.0,
        };
        let outcome = check(&[channels, ANCHORS], &[], &grid(channels, value));
        let text = format!("{count} keypoints of {dims} values");
        says(outcome, &["aren't those of a yolo head", "scores are 0-1", &text, "head=NAME"]);
    }
    // A detector with 52 classes has as many channels as a pose model.
    let outcome = check(&[56, ANCHORS], &[], &grid(56, |_, _| 1e-4));
    says(outcome, &["aren't those of a yolo-pose head", "within one pixel", "yolo: 52 classes"]);
}

#[test]
fn angles_and_coefficients_are_no_scores() {
    // Oriented boxes with 1, 15 and 80 classes; the angle is above 1, below 0, or slightly above 0 everywhere.
    for (classes, angle) in [(1, 1.2), (15, -0.5), (80, 2.3), (1, 0.7), (15, 0.5)] {
        let channels = 4 + classes + 1;
        let last = channels - 1;
        let value = |channel: usize, anchor: usize| if channel == last { angle - anchor as f32 * 1e-6 } else { 1e-4 };
        let outcome = check(&[channels, ANCHORS], &[], &grid(channels, value));
        says(outcome, &["aren't those of a yolo head", &format!("yolo-obb: {classes} class"), "and an angle"]);
        assert_eq!(check_as(HeadChoice::YoloObb, &[channels, ANCHORS], &[], &grid(channels, value)), Ok("yolo-obb"));
    }
    let masks = |channel: usize, anchor: usize| if channel < 84 { 1e-4 } else { (anchor % 7) as f32 - 3.0 };
    says(check(&[116, ANCHORS], &[], &grid(116, masks)), &["class 80", "unlike logits", "segmentation"]);
    says(check(&[84, ANCHORS], &[], &grid(84, |_, _| -6.5)), &["-6.5", "unlike logits"]);
}

/// A detector, or a pose model, that is said to have oriented boxes.
#[test]
fn scores_and_coordinates_are_no_angles() {
    let oriented = |shape: &[usize], data: &[f32]| check_as(HeadChoice::YoloObb, shape, &[], data);
    let scores = grid(84, |channel, anchor| (channel * 31 + anchor * 7) as f32 % 100.0 * 1e-5);
    says(oriented(&[84, ANCHORS], &scores), &["aren't those of a yolo-obb head", "as the scores of a class are"]);
    let last = |value: fn(usize) -> f32| grid(6, |channel, anchor| if channel == 5 { value(anchor) } else { 1e-4 });
    says(oriented(&[6, ANCHORS], &last(|anchor| 8.0 * (anchor % 80) as f32)), &["an angle of 16", "radians"]);
    // The angle is the same everywhere, also where nothing is; or the network leaves it at nearly 0.
    assert_eq!(oriented(&[6, ANCHORS], &last(|_| 0.0)), Ok("yolo-obb"));
    assert_eq!(oriented(&[6, ANCHORS], &last(|anchor| (anchor % 7) as f32 * 1e-4 - 1e-4)), Ok("yolo-obb"));
    let rows = |row: [f32; 7]| row.repeat(300);
    let end_to_end = |row| check_as(HeadChoice::YoloObbEndToEnd, &[300, 7], &[], &rows(row));
    assert_eq!(end_to_end([320.0, 240.0, 50.0, 40.0, 0.01, 1.0, 2.9]), Ok("yolo-obb-end-to-end"));
    says(end_to_end([320.0, 240.0, 50.0, 40.0, 0.01, 1.0, 90.0]), &["an angle of 90", "radians"]);
    says(end_to_end([320.0, 240.0, 50.0, 40.0, 0.3, 0.5, 1.0]), &["class 0.5"]);
    says(end_to_end([0.3, 0.24, 0.5, 0.4, 0.01, 1.0, 1.0]), &["pixels are due"]);
}

#[test]
fn boxes_that_are_no_boxes_are_refused() {
    let value = |values: [f32; 4]| {
        let mut data = grid(84, |_, _| 1e-4);
        for (channel, value) in values.into_iter().enumerate() {
            (0..ANCHORS).for_each(|anchor| data[channel * ANCHORS + anchor] = value + anchor as f32 * 1e-6);
        }
        data
    };
    let fractions = value([0.5, 0.5, 0.2, 0.3]);
    says(check(&[84, ANCHORS], &[], &fractions), &["between 0 and 1, where pixels are due"]);
    let names = [("author", "Ultralytics"), ("task", "detect")];
    says(check(&[84, ANCHORS], &names, &fractions), &["between 0 and 1"]);
    says(check(&[84, ANCHORS], &[], &value([100.0, 90.0, 400.0, 390.0])), &["corners x1, y1, x2, y2"]);
    says(check(&[84, ANCHORS], &[], &value([100.0, 90.0, -4.0, 39.0])), &["negative size"]);
}

#[test]
fn rows_show_whether_they_are_corners() {
    let fractions = rows(|i| [0.5, 0.5, 0.2, 0.3, 0.9 / (i + 1) as f32, (i % 80) as f32]);
    says(check(&[300, 6], &[], &fractions), &["pixels are due", "RT-DETR", "head=NAME"]);
    says(check_as(HeadChoice::YoloEndToEnd, &[300, 6], &[], &fractions), &["pixels are due"]);
    let vouched = [("author", "Ultralytics"), ("task", "detect"), ("names", "['a', 'b', 'c']"), ("end2end", "True")];
    says(check(&[300, 6], &vouched, &fractions), &["pixels are due"]);
    // Centre and size in pixels.
    says(check(&[300, 6], &[], &rows(|_| [320.0, 240.0, 50.0, 40.0, 0.01, 1.0])), &["right and lower edges"]);
    // Class before score.
    says(check(&[300, 6], &[], &rows(|i| [1.0, 2.0, 30.0, 40.0, (i % 80) as f32, 0.5])), &["a score of 2"]);
    says(check(&[300, 6], &[], &rows(|_| [1.0, 2.0, 30.0, 40.0, 0.5, 0.5])), &["class 0.5"]);
    // All values are zero, as after NMS inside the model, so only metadata or the user can decide.
    let nothing = vec![0.0; 300 * 6];
    says(check(&[300, 6], &[], &nothing), &["can't be told", "yolo-end-to-end", "RT-DETR", "head=NAME"]);
    assert_eq!(check(&[300, 6], &vouched, &nothing), Ok("yolo-end-to-end"));
    assert_eq!(check_as(HeadChoice::YoloEndToEnd, &[300, 6], &[], &nothing), Ok("yolo-end-to-end"));
}

/// Metadata that states the head outweighs an unusual result for an empty picture.
#[test]
fn metadata_counts_more_than_tendencies() {
    let busy = grid(7, |channel, _| if channel == 5 { 0.7 } else { 0.0 });
    says(check(&[7, ANCHORS], &[], &busy), &["class 1 is found in 8400 of 8400 places of an empty picture"]);
    let vouched = [("author", "Ultralytics"), ("task", "detect"), ("names", "['a', 'b', 'c']")];
    assert_eq!(check(&[7, ANCHORS], &vouched, &busy), Ok("yolo"));
    let loud = grid(7, |_, _| 3.0);
    says(check(&[7, ANCHORS], &vouched, &loud), &["a score of 3"]);
    let odd = grid(7, |channel, _| if channel == 4 { f32::NAN } else { 0.0 });
    assert_eq!(check(&[7, ANCHORS], &vouched, &odd), Ok("yolo"), "FP16 has such values");
}

/// YOLOX exports have the same shape, decoded or not.
#[test]
fn decoded_boxes_are_told_from_those_relative_to_their_cells() {
    let rows = |values: fn(usize) -> [f32; 6]| (0..ANCHORS).flat_map(values).collect::<Vec<_>>();
    let raw = rows(|i| [0.5, -0.25, if i % 3 == 0 { -0.5 } else { 0.5 }, 0.75, 0.01, 0.9]);
    let decoded = rows(|i| [4.0 + 8.0 * (i % 80) as f32, 4.0 + 8.0 * (i / 80 % 80) as f32, 8.0, 6.0, 0.01, 0.9]);
    let shape = [ANCHORS, 6];
    assert_eq!(check_as(HeadChoice::Yolox, &shape, &[], &raw), Ok("yolox"));
    assert_eq!(check_as(HeadChoice::YoloxDecoded, &shape, &[], &decoded), Ok("yolox-decoded"));
    let error = check_as(HeadChoice::Yolox, &shape, &[], &decoded).unwrap_err();
    assert!(error.contains("set head=yolox-decoded"), "{error}");
    let error = check_as(HeadChoice::YoloxDecoded, &shape, &[], &raw).unwrap_err();
    assert!(error.contains("set head=yolox"), "{error}");
    // Sizes above a stride are positive logarithms.
    let large = rows(|_| [1.5, -1.25, 1.5, 0.75, 0.01, 0.9]);
    let error = check_as(HeadChoice::YoloxDecoded, &shape, &[], &large).unwrap_err();
    assert!(error.contains("set head=yolox"), "{error}");
    // Scores are no objectness.
    let loud = rows(|_| [0.5, 0.5, 0.5, 0.5, 3.0, 0.9]);
    assert!(check_as(HeadChoice::Yolox, &shape, &[], &loud).unwrap_err().contains("objectness of 3"));
}

/// An RT-DETR of Ultralytics whose metadata are lost, and a YOLO whose user says that it is one.
#[test]
fn fractions_are_told_from_pixels() {
    let rows = |scale: f32| {
        (0..300).flat_map(|_| [0.25 * scale, 0.5 * scale, 0.3 * scale, 0.6 * scale, 0.01, 7.0]).collect::<Vec<_>>()
    };
    let error = check(&[300, 6], &[], &rows(1.0)).unwrap_err();
    assert!(error.contains("set head=ultralytics-rt-detr"), "{error}");
    assert_eq!(check_as(HeadChoice::UltralyticsRtDetr, &[300, 6], &[], &rows(1.0)), Ok("ultralytics-rt-detr"));
    let error = check_as(HeadChoice::UltralyticsRtDetr, &[300, 6], &[], &rows(640.0)).unwrap_err();
    assert!(error.contains("pixels, where 0-1 is due"), "{error}");
}

#[test]
fn outputs_that_are_not_those_of_a_detr_are_refused() {
    let tensor =
        |name: &str, shape: &[i64]| TensorInfo { name: name.into(), element: ElementType::F32, shape: shape.to_vec() };
    let check = |choice: HeadChoice, outputs: &[(&str, &[usize], Vec<f32>)]| {
        let declared = |(name, shape, _): &(&str, &[usize], Vec<f32>)| {
            tensor(name, &[1].into_iter().chain(shape.iter().map(|&n| n as i64)).collect::<Vec<_>>())
        };
        let info = ModelInfo {
            inputs: vec![tensor("images", &[1, 3, 640, 640])],
            outputs: outputs.iter().map(declared).collect(),
            ..ModelInfo::default()
        };
        let found = recognise(&info, choice).unwrap();
        let views: Vec<_> = outputs.iter().map(|(_, shape, data)| Output { shape, data }).collect();
        let checked = found.reading.check(found.head.name(), &found.head.plan().unwrap(), &views);
        checked.map_err(|error| error.to_string())
    };
    let queries = |boxes: [f32; 4], logits: [f32; 3]| {
        let (boxes, logits) = (boxes.repeat(20), logits.repeat(20));
        check(HeadChoice::Auto, &[("dets", &[20, 4], boxes), ("labels", &[20, 3], logits)])
    };
    let inside = [0.5, 0.5, 0.25, 0.25];
    assert_eq!(queries(inside, [-4.0, -3.0, -5.0]), Ok(()));
    for (boxes, logits, word) in [
        ([320.0, 320.0, 20.0, 20.0], [-4.0, -3.0, -5.0], "pixels, where 0-1 is due"),
        (inside, [0.1, 0.2, 0.7], "where logits are due"),
        (inside, [-4.0, 3.0, -5.0], "class 1 is found in 20 of 20 queries"),
    ] {
        let error = queries(boxes, logits).unwrap_err();
        assert!(error.contains(word), "{word} in {error}");
    }
    let split = |boxes: [f32; 4], class: f32, score: f32| {
        let (labels, scores) = (vec![class; 20], vec![score; 20]);
        let outputs: [(&str, &[usize], Vec<f32>); 3] =
            [("labels", &[20], labels), ("boxes", &[20, 4], boxes.repeat(20)), ("scores", &[20], scores)];
        check(HeadChoice::RtDetr, &outputs)
    };
    let corners = [10.0, 20.0, 30.0, 60.0];
    assert_eq!(split(corners, 3.0, 0.1), Ok(()));
    for (boxes, class, score, word) in [
        (corners, 3.0, 4.0, "score of 4"),
        (corners, 3.5, 0.1, "class 3.5"),
        ([0.1, 0.2, 0.3, 0.6], 3.0, 0.1, "between 0 and 1"),
        ([30.0, 60.0, 10.0, 20.0], 3.0, 0.1, "left of and above"),
    ] {
        let error = split(boxes, class, score).unwrap_err();
        assert!(error.contains(word), "{word} in {error}");
    }
}

#[test]
fn outputs_that_are_not_numbers_are_refused_by_name() {
    let reading = recognise(&model(&[7, ANCHORS], &[]), HeadChoice::Yolo).unwrap().reading;
    let check = |data: &[f32]| reading.check_numbers(&[Output { shape: &[2], data }], ["output0"]);
    check(&[0.0, f32::INFINITY]).unwrap();
    let error = check(&[0.0, f32::NAN]).unwrap_err().to_string();
    assert!(error.contains("output output0 has values that aren't numbers") && error.contains("--mixed"), "{error}");
}

#[test]
fn a_size_that_the_file_contradicts_is_refused() {
    let names = "{0: 'a', 1: 'b', 2: 'c'}";
    let said = |size: &'static str| [("author", "Ultralytics"), ("task", "detect"), ("names", names), ("imgsz", size)];
    let shape = [7, ANCHORS];
    recognise(&model(&shape, &said("[640, 640]")), HeadChoice::Auto).unwrap();
    for size in ["[320, 640]", "[640, 320]", "320"] {
        let error = recognise(&model(&shape, &said(size)), HeadChoice::Auto).unwrap_err().to_string();
        assert!(error.contains("`imgsz`") && error.contains("another size"), "{error}");
        recognise(&model(&shape, &said(size)), HeadChoice::Yolo).unwrap();
    }
}
