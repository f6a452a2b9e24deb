//! The conversion to FP16, tested with ONNX Runtime: the converted model finds the same as the original.

use crate::common::engine::{open, run};
use crate::common::find;
use crate::common::picture::{Colour, Picture, Square};
use gst::prelude::*;
use gst_video::VideoFormat;
use gsttensorrt::infer::Frame;
use model::{Detection, Params};
use std::path::{Path, PathBuf};
use tensorrt::Onnx;

/// Converts a model into `folder`.
fn convert(model: &Path, folder: &tempfile::TempDir) -> PathBuf {
    let onnx = Onnx::open(model).unwrap();
    let converted = onnx.to_fp16(&onnx.fp32_nodes().unwrap()).unwrap();
    let path = folder.path().join(model.file_name().unwrap());
    std::fs::write(&path, converted).unwrap();
    path
}

fn find_in(model: &Path, frame: Frame, confidence: f32) -> Vec<Detection> {
    run(&open(model, 1), vec![frame], Params { confidence, ..Params::default() }).remove(0)
}

/// Every `step`th frame of the street clip.
pub fn clip(step: usize, count: usize) -> Option<Vec<Frame>> {
    let file = find::media("bikes.mp4")?;
    let launch = format!(
        "filesrc location={} ! decodebin ! videoconvert ! video/x-raw,format=RGB ! appsink name=sink sync=false",
        file.display()
    );
    let pipeline = gst::parse::launch(&launch).unwrap().downcast::<gst::Pipeline>().unwrap();
    let sink = pipeline.by_name("sink").unwrap().downcast::<gst_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut frames = Vec::new();
    for index in 0..step * count {
        let sample = sink.pull_sample().unwrap();
        if index % step == 0 {
            let info = gst_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
            frames.push(Frame { buffer: sample.buffer_owned().unwrap(), info });
        }
    }
    pipeline.set_state(gst::State::Null).unwrap();
    Some(frames)
}

/// Tolerances of an edge and of a keypoint, as fractions of the frame.
fn distance(a: &Detection, b: &Detection) -> f32 {
    let edges =
        [a.rect.x - b.rect.x, a.rect.y - b.rect.y, a.rect.right() - b.rect.right(), a.rect.bottom() - b.rect.bottom()];
    let points = a.keypoints.iter().zip(&b.keypoints).filter(|(a, b)| a.confidence.min(b.confidence) > 0.3);
    let points = points.flat_map(|(a, b)| [a.x - b.x, a.y - b.y]);
    edges.into_iter().chain(points).map(f32::abs).fold(0.0, f32::max)
}

/// How many objects of `of` (with confidence `sure`) have a counterpart of the same class in `others` within `tolerance`.
fn matched(of: &[Detection], others: &[Detection], sure: f32, tolerance: f32) -> (usize, usize) {
    let sure: Vec<_> = of.iter().filter(|d| d.confidence >= sure).collect();
    let found = sure.iter().filter(|d| others.iter().any(|o| o.class_id == d.class_id && distance(d, o) <= tolerance));
    (found.count(), sure.len())
}

/// Every object above `sure` on one side has a counterpart within `tolerance` whose confidence is at most 0.05 lower.
fn compare_on_clip(name: &str, sure: f32, tolerance: f32) {
    gst::init().unwrap();
    let (true, Some(model)) = (find::onnx_runtime(), find::real_model(name)) else { return };
    let Some(frames) = clip(10, 24) else { return };
    let folder = tempfile::tempdir().unwrap();
    let converted = convert(&model, &folder);
    let size = std::fs::metadata(&model).unwrap().len() as f32 / std::fs::metadata(&converted).unwrap().len() as f32;
    let (mut found, mut all) = (0, 0);
    for frame in frames {
        let (before, after) = (find_in(&model, frame.clone(), sure - 0.05), find_in(&converted, frame, sure - 0.05));
        for (found_here, of) in [matched(&before, &after, sure, tolerance), matched(&after, &before, sure, tolerance)] {
            found += found_here;
            all += of;
        }
    }
    println!("{name}: {found} of {all} objects and back, {size:.2} times smaller");
    assert!(all >= 20, "the clip shows too little: {all}");
    assert!(found as f32 >= 0.99 * all as f32, "{found} of {all}");
    assert!(size > 1.7, "most weights are FP16: {size}");
}

#[test]
fn yolov12n_finds_the_same() {
    // 1 pixel of 640.
    compare_on_clip("yolov12n", 0.3, 1.0 / 640.0);
}

#[test]
fn nanodet_finds_the_same() {
    compare_on_clip("nanodet", 0.3, 1.0 / 416.0);
}

#[test]
fn movenet_finds_the_same() {
    // One cell of the heatmap; people are small in this clip, and MoveNet's confidence is low.
    compare_on_clip("movenet-multipose", 0.1, 4.0 / 256.0);
}

/// A quantised model keeps its integers and finds the same. ONNX Runtime accepts FP16 scales from opset 19 on; the conversion
/// doesn't change the opset, which TensorRT ignores, so the test sets 19.
#[test]
fn a_quantised_model_finds_the_same() {
    gst::init().unwrap();
    if !find::onnx_runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let model = find::test_model("yolo-qdq");
    let converted = convert(&model, &folder);
    let mut bytes = std::fs::read(&converted).unwrap();
    // `opset_import { version: 17 }`, domain empty: field 8 of the model, field 2 of the set.
    let (seventeen, nineteen) = ([0x42, 0x04, 0x0a, 0x00, 0x10, 17], [0x42, 0x04, 0x0a, 0x00, 0x10, 19]);
    let at = bytes.windows(6).position(|window| window == seventeen).expect("the opset's version");
    bytes[at..at + 6].copy_from_slice(&nineteen);
    std::fs::write(&converted, &bytes).unwrap();

    let squares = vec![Square::new(Colour::Red, 0, 0, 255), Square::new(Colour::Blue, 7, 2, 160)];
    let picture = Picture::new(&squares).rgb().frame(VideoFormat::Rgb);
    let (before, after) = (find_in(&model, picture.clone(), 0.25), find_in(&converted, picture, 0.25));
    assert_eq!(before.len(), 2);
    assert_eq!(matched(&before, &after, 0.3, 1e-3), (2, 2), "{before:?} {after:?}");
    for (a, b) in before.iter().zip(&after) {
        assert!((a.confidence - b.confidence).abs() < 1e-2, "{a:?} {b:?}");
    }
}

#[test]
fn test_models_find_the_same() {
    gst::init().unwrap();
    if !find::onnx_runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let squares = vec![Square::new(Colour::Red, 0, 0, 255), Square::new(Colour::Blue, 7, 2, 160)];
    for name in
        ["yolo", "yolo-f16", "yolo-u8", "yolo-nhwc", "yolo-nhwc-u8", "yolo-dynamic", "yolo-e2e", "yolo-pose", "nanodet"]
    {
        let model = find::test_model(name);
        let converted = convert(&model, &folder);
        let frame = Picture::new(&squares).rgb().frame(VideoFormat::Rgb);
        let (before, after) = (find_in(&model, frame.clone(), 0.25), find_in(&converted, frame, 0.25));
        assert!(!before.is_empty(), "{name}");
        let found = matched(&before, &after, 0.3, 1.0 / 96.0);
        assert_eq!(found, (before.len(), before.len()), "{name}: {before:?} {after:?}");
        // Inputs and outputs are unchanged.
        let (before, after) = (open(&model, 1), open(&converted, 1));
        assert_eq!(
            (before.info().inputs.clone(), before.info().outputs.clone()),
            (after.info().inputs.clone(), after.info().outputs.clone())
        );
    }
}
