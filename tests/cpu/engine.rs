//! The CPU engine detects in pictures of coloured squares what the test models' README states, for every head, layout,
//! element type, pixel format, frame size and batch.

use crate::common::engine::{open, run, slot, try_open};
use crate::common::find;
use crate::common::picture::{Colour, HEIGHT, Picture, Square, Tolerance, WIDTH, assert_found};
use gst_video::{VideoColorMatrix, VideoColorRange, VideoColorimetry, VideoFormat, VideoInfo};
use gsttensorrt::error::{Error, ErrorKind};
use gsttensorrt::infer::Frame;
use model::{Detection, Params};
use std::sync::Arc;

const FORMATS: [VideoFormat; 8] = [
    VideoFormat::Nv12,
    VideoFormat::I420,
    VideoFormat::Rgb,
    VideoFormat::Bgr,
    VideoFormat::Rgba,
    VideoFormat::Bgra,
    VideoFormat::Rgbx,
    VideoFormat::Bgrx,
];

const DETECTORS: [&str; 12] = [
    "yolo",
    "yolo-f16",
    "yolo-u8",
    "yolo-nhwc",
    "yolo-nhwc-f16",
    "yolo-nhwc-u8",
    "yolo-dynamic",
    "yolo-coco",
    "yolo-e2e",
    "yolo-seg",
    "yolo-seg-e2e",
    "nanodet",
];

fn start() -> bool {
    gst::init().unwrap();
    find::onnx_runtime()
}

/// A square in each corner, and some further inside.
fn squares() -> Vec<Square> {
    vec![
        Square::new(Colour::Red, 0, 0, 255),
        Square::new(Colour::Green, 11, 0, 240),
        Square::new(Colour::Blue, 0, 7, 220),
        Square::new(Colour::Red, 11, 7, 200),
        Square::new(Colour::Red, 3, 4, 180),
        Square::new(Colour::Blue, 7, 2, 160),
    ]
}

fn found_in(model: &str, picture: &Picture, format: VideoFormat) -> Vec<Detection> {
    let engine = open(&find::test_model(model), 1);
    run(&engine, vec![picture.rgb().frame(format)], Params::default()).remove(0)
}

#[test]
fn every_detection_head_layout_and_element_type_finds_the_squares() {
    if !start() {
        return;
    }
    let picture = Picture::new(&squares());
    for model in DETECTORS {
        let found = found_in(model, &picture, VideoFormat::Rgb);
        assert_found(model, &found, &picture.detections(), Tolerance::EXACT);
    }
}

#[test]
fn every_head_of_oriented_boxes_finds_how_they_lie() {
    if !start() {
        return;
    }
    let picture = Picture::new(&squares());
    for model in ["yolo-obb", "yolo-obb-e2e"] {
        let found = found_in(model, &picture, VideoFormat::Rgb);
        assert_found(model, &found, &picture.oriented(), Tolerance::EXACT);
    }
}

#[test]
fn every_pose_head_finds_the_persons() {
    if !start() {
        return;
    }
    let picture = Picture::new(&squares());
    for model in ["yolo-pose", "yolo-pose-e2e", "movenet-multipose", "rtmo"] {
        let found = found_in(model, &picture, VideoFormat::Rgb);
        assert_found(model, &found, &picture.poses(), Tolerance::EXACT);
    }
}

#[test]
fn top_down_pose_gives_the_keypoints_of_the_one_person() {
    if !start() {
        return;
    }
    let picture = Picture::new(&squares());
    let found = found_in("movenet", &picture, VideoFormat::Rgb);
    let wanted = &picture.poses()[0].keypoints;
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].keypoints.len(), wanted.len());
    for (f, w) in found[0].keypoints.iter().zip(wanted) {
        assert!((f.x - w.x).abs() < 1e-4 && (f.y - w.y).abs() < 1e-4, "{f:?}, wanted {w:?}");
        assert!((f.confidence - w.confidence).abs() < 2e-3, "{f:?}, wanted {w:?}");
    }
}

#[test]
fn an_empty_picture_has_no_objects() {
    if !start() {
        return;
    }
    for model in DETECTORS.into_iter().chain([
        "yolo-obb",
        "yolo-obb-e2e",
        "yolo-pose",
        "yolo-pose-e2e",
        "movenet-multipose",
        "rtmo",
    ]) {
        assert_found(model, &found_in(model, &Picture::new(&[]), VideoFormat::Rgb), &[], Tolerance::EXACT);
    }
}

#[test]
fn any_pixel_format_gives_the_same_objects() {
    if !start() {
        return;
    }
    let picture = Picture::new(&squares());
    for format in FORMATS {
        let found = found_in("yolo", &picture, format);
        assert_found(&format!("{format:?}"), &found, &picture.detections(), Tolerance::COLOUR);
    }
}

#[test]
fn colorimetry_comes_from_the_caps() {
    if !start() {
        return;
    }
    // Levels for which any other matrix or range would be out of tolerance.
    let picture = Picture::new(&squares());
    for matrix in [VideoColorMatrix::Bt601, VideoColorMatrix::Bt709] {
        for range in [VideoColorRange::Range16_235, VideoColorRange::Range0_255] {
            for format in [VideoFormat::Nv12, VideoFormat::I420] {
                let colorimetry = VideoColorimetry::new(
                    range,
                    matrix,
                    gst_video::VideoTransferFunction::Bt709,
                    gst_video::VideoColorPrimaries::Bt709,
                );
                let info = VideoInfo::builder(format, WIDTH, HEIGHT).colorimetry(&colorimetry).build().unwrap();
                let engine = open(&find::test_model("yolo"), 1);
                let found = run(&engine, vec![picture.rgb().frame_of(&info)], Params::default()).remove(0);
                let what = format!("{format:?} {matrix:?} {range:?}");
                assert_found(&what, &found, &picture.detections(), Tolerance::COLOUR);
            }
        }
    }
}

#[test]
fn frames_of_any_size_are_letterboxed_and_mapped_back() {
    if !start() {
        return;
    }
    // Within the picture, on whichever side the letterbox has its border.
    let squares = [Square::new(Colour::Red, 4, 3, 255), Square::new(Colour::Blue, 7, 4, 220)];
    let sizes = [(192, 128), (1920, 1080), (1080, 1920), (640, 640), (97, 65), (1001, 667), (333, 517)];
    for (width, height) in sizes {
        let picture = Picture::sized(width, height, &squares);
        for format in [VideoFormat::Rgb, VideoFormat::Nv12] {
            let found = found_in("yolo", &picture, format);
            assert_found(&format!("{width}x{height} {format:?}"), &found, &picture.detections(), Tolerance::SCALED);
        }
    }
}

#[test]
fn a_frame_gets_the_same_results_in_a_batch_and_alone() {
    if !start() {
        return;
    }
    for (model, batch) in [("yolo", 8), ("yolo", 3), ("yolo-nhwc-u8", 8), ("yolo-e2e", 5), ("nanodet", 4), ("slow", 2)]
    {
        let engine = open(&find::test_model(model), batch);
        assert_eq!(engine.max_batch(), batch as usize, "{model}");
        let pictures: Vec<_> = (0..batch as usize).map(|n| Picture::numbered(7 * n)).collect();
        let frames = pictures.iter().map(|p| p.rgb().frame(VideoFormat::Rgb)).collect();
        let together = run(&engine, frames, Params::default());
        for (picture, found) in pictures.iter().zip(together) {
            let alone = found_in(model, picture, VideoFormat::Rgb);
            let same = Tolerance { place: 1e-6, confidence: 1e-5 };
            assert_found(&format!("{model}, batch {batch}"), &found, &alone, same);
            assert_found(model, &found, &picture.detections(), Tolerance::EXACT);
        }
    }
}

#[test]
fn a_batch_smaller_than_the_largest_is_no_different() {
    if !start() {
        return;
    }
    for model in ["yolo", "yolo-batch4"] {
        let engine = open(&find::test_model(model), 4);
        for count in 1..=4 {
            let pictures: Vec<_> = (0..count).map(|n| Picture::numbered(n + 20)).collect();
            let frames = pictures.iter().map(|p| p.rgb().frame(VideoFormat::Bgrx)).collect();
            for (picture, found) in pictures.iter().zip(run(&engine, frames, Params::default())) {
                assert_found(&format!("{model}, {count} of 4"), &found, &picture.detections(), Tolerance::EXACT);
            }
        }
    }
}

/// A buffer that is too small for its caps fails alone; a batch of only such buffers fails as a whole.
#[test]
fn a_frame_that_cannot_be_read_fails_alone() {
    if !start() {
        return;
    }
    let engine = open(&find::test_model("yolo-batch4"), 4);
    let (picture, params) = (Picture::new(&squares()), Arc::new(Params::default()));
    let frame = || picture.rgb().frame(VideoFormat::Rgb);
    let damaged = || Frame { buffer: gst::Buffer::with_size(10).unwrap(), ..frame() };
    let mut lanes = engine.lanes().unwrap();
    let mut slots = [frame(), damaged(), frame()].map(|frame| slot(frame, &params));
    lanes[0].run(&mut slots).unwrap();
    for good in [&slots[0], &slots[2]] {
        assert!(good.output.error.is_none());
        assert_found("beside a damaged frame", &good.output.detections, &picture.detections(), Tolerance::EXACT);
    }
    let error = slots[1].output.error.as_ref().expect("the damaged one's");
    assert!(error.message.contains("10 bytes") && slots[1].output.detections.is_empty(), "{error}");
    let error = lanes[0].run(&mut [slot(damaged(), &params)]).unwrap_err();
    assert!(error.message.contains("10 bytes"), "{error}");
}

#[test]
fn thresholds_travel_with_the_frame() {
    if !start() {
        return;
    }
    let picture = Picture::new(&squares());
    let engine = open(&find::test_model("yolo"), 1);
    let keep = |params: Params, kept: &dyn Fn(&Detection) -> bool| {
        let what = format!("{params:?}");
        let found = run(&engine, vec![picture.rgb().frame(VideoFormat::Rgb)], params).remove(0);
        let wanted: Vec<_> = picture.detections().into_iter().filter(kept).collect();
        assert_found(&what, &found, &wanted, Tolerance::EXACT);
    };
    keep(Params { confidence: 0.8, ..Params::default() }, &|d| d.confidence > 0.8);
    keep(Params { classes: Some([2].into()), ..Params::default() }, &|d| d.class_id == 2);
    let class_confidence = [(0, 0.9)].into();
    keep(Params { class_confidence, ..Params::default() }, &|d| d.class_id != 0 || d.confidence > 0.9);
    keep(Params { max_detections: 2, ..Params::default() }, &|d| d.confidence > 0.9);
}

/// Checks the error of opening a bad model for its kind and for the words that the user needs.
#[track_caller]
fn assert_refused(model: &std::path::Path, kind: ErrorKind, words: &[&str]) {
    let Err(Error { kind: got, message, .. }) = try_open(model, 1) else { panic!("{} was opened", model.display()) };
    assert_eq!(got, kind, "{message}");
    let name = model.file_name().unwrap().to_string_lossy().into_owned();
    for word in words.iter().copied().chain([name.as_str()]) {
        assert!(message.contains(word), "no {word:?} in: {message}");
    }
}

#[test]
fn bad_models_are_refused_by_name_and_reason() {
    if !start() {
        return;
    }
    assert_refused(&find::test_model("unknown-head"), ErrorKind::Model, &["10", "yolo", "nanodet", "movenet"]);
    assert_refused(&find::test_model("two-inputs"), ErrorKind::Model, &["images", "previous"]);
}

#[test]
fn broken_files_are_refused_by_name_and_reason() {
    if !start() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    assert_refused(&folder.path().join("none.onnx"), ErrorKind::File, &[]);
    let whole = std::fs::read(find::test_model("yolo")).unwrap();
    let cases: [(&str, &[u8], ErrorKind); 3] = [
        ("truncated.onnx", &whole[..whole.len() / 2], ErrorKind::Model),
        ("text.onnx", b"not a model\n", ErrorKind::Model),
        ("empty.onnx", b"", ErrorKind::File),
    ];
    for (name, content, kind) in cases {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        assert_refused(&path, kind, &[]);
    }
}
