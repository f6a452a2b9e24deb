//! Bad models, labels, frames and streams cause a clear error or a correct continuation: no panic, no hang, no loss.

use crate::common::find;
use crate::common::picture::{Colour, Picture, Square, Tolerance, assert_found};
use crate::common::pipeline::{Failure, Pipeline, detections, grey};
use gst::prelude::*;
use gst_video::VideoFormat;
use gsttensorrt::infer::Frame;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn detect(model: &Path, properties: &str) -> Pipeline {
    Pipeline::new(&format!(
        "appsrc name=source format=time ! trtdetect name=detect backend=cpu model={} {properties} \
         ! trtpublish location=LINES ! fakesink",
        model.display()
    ))
}

/// The messages of `trtdetect` about frames of one picture.
fn failure(pipeline: &Pipeline) -> Failure {
    pipeline.push(0, grey(96, 64, VideoFormat::Rgb));
    let failure = pipeline.finish().expect_err("an error");
    assert_eq!(failure.element, "detect", "{failure:?}");
    failure
}

#[track_caller]
fn assert_says(failure: &Failure, words: &[&str]) {
    for word in words {
        assert!(failure.message.contains(word), "no {word:?} in: {}", failure.message);
    }
}

#[test]
fn bad_model_files_are_errors_that_name_them() {
    if !find::onnx_runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(find::test_model("yolo")).unwrap();
    let files: [(&str, Option<&[u8]>); 4] = [
        ("missing.onnx", None),
        ("truncated.onnx", Some(&whole[..whole.len() / 2])),
        ("text.onnx", Some(b"not a model\n")),
        ("empty.onnx", Some(b"")),
    ];
    for (name, content) in files {
        let path = folder.path().join(name);
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        assert_says(&failure(&detect(&path, "")), &[name]);
    }
}

#[test]
fn models_of_another_kind_are_errors_that_say_why() {
    if !find::onnx_runtime() {
        return;
    }
    let cases: [(&str, &[&str]); 5] = [
        ("unknown-head", &["unknown-head.onnx", "10", "yolo", "nanodet", "movenet"]),
        ("classify", &["classify.onnx", "classification head", "trtclassify"]),
        ("classify-logits", &["head=classification-logits", "head=embedding"]),
        ("two-inputs", &["two-inputs.onnx", "images", "previous"]),
        ("yolo-pose", &["yolo-pose.onnx", "trtpose"]),
    ];
    for (model, words) in cases {
        assert_says(&failure(&detect(&find::test_model(model), "")), words);
    }
}

#[test]
fn no_model_is_an_error_that_names_the_property() {
    if !find::onnx_runtime() {
        return;
    }
    let pipeline = Pipeline::new("appsrc name=source format=time ! trtdetect name=detect backend=cpu ! fakesink");
    assert_says(&failure(&pipeline), &["model"]);
}

#[test]
fn labels_that_do_not_fit_are_errors_with_both_numbers() {
    if !find::onnx_runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.txt");
    let labels = format!("labels={}", path.display());
    let model = find::test_model("yolo");
    assert_says(&failure(&detect(&model, &labels)), &["labels.txt"]);
    for text in ["one\ntwo\n", "one\ntwo\nthree\nfour\n"] {
        std::fs::write(&path, text).unwrap();
        let count = text.lines().count().to_string();
        assert_says(&failure(&detect(&model, &labels)), &["labels.txt", "3", &count]);
    }
    std::fs::write(&path, b"one\n\xff\xfe\nthree\n").unwrap();
    assert_says(&failure(&detect(&model, &labels)), &["labels.txt"]);

    std::fs::write(&path, "rouge\nvert\nbleu\n").unwrap();
    let pipeline = detect(&model, &labels);
    pipeline.push(0, Picture::new(&[Square::new(Colour::Blue, 2, 2, 255)]).rgb().frame(VideoFormat::Rgb));
    assert_eq!(pipeline.finish().unwrap()[0]["objects"][0]["label"], "bleu");
}

#[test]
fn settings_that_do_not_fit_are_errors_that_name_them() {
    if !find::onnx_runtime() {
        return;
    }
    for properties in ["classes=purple", "class-confidence=red", "roi=1,2", "min-size=7", "class-confidence=red=2"] {
        let property = properties.split('=').next().unwrap();
        assert_says(&failure(&detect(&find::test_model("yolo"), properties)), &[property]);
    }
}

/// The default backend is TensorRT, which rejects frames in system memory; it never falls back to the CPU.
#[test]
fn the_default_backend_never_runs_on_the_cpu() {
    let pipeline = Pipeline::new(&format!(
        "videotestsrc num-buffers=3 ! trtdetect name=detect model={} ! fakesink",
        find::test_model("yolo").display()
    ));
    let failure = pipeline.play().expect_err("an error");
    assert_eq!(failure.element, "detect");
    assert_says(&failure, &["backend=tensorrt", "backend=cpu"]);
}

#[test]
fn frames_of_any_size_go_through() {
    if !find::onnx_runtime() {
        return;
    }
    let sizes = [(1, 1), (2, 1), (1, 2), (3, 3), (5, 1081), (1921, 7), (33, 17), (97, 65), (7680, 4320)];
    for format in [VideoFormat::Nv12, VideoFormat::I420, VideoFormat::Rgb, VideoFormat::Bgra] {
        for (width, height) in sizes {
            let pipeline = detect(&find::test_model("yolo"), "");
            pipeline.push(0, grey(width, height, format));
            let lines = pipeline.finish().unwrap_or_else(|f| panic!("{width}x{height} {format:?}: {f:?}"));
            assert_eq!(lines.len(), 1);
            assert_eq!(lines[0]["objects"], serde_json::json!([]), "{width}x{height} {format:?}");
            assert_eq!((&lines[0]["width"], &lines[0]["height"]), (&width.into(), &height.into()));
        }
    }
}

#[test]
fn frames_without_all_their_bytes_are_errors() {
    if !find::onnx_runtime() {
        return;
    }
    for format in [VideoFormat::Nv12, VideoFormat::Rgb] {
        let whole = grey(96, 64, format);
        for size in [0, 1, whole.info.size() - 1] {
            let pipeline = detect(&find::test_model("yolo"), "");
            pipeline.push(0, grey(96, 64, format));
            pipeline.push(1, Frame { buffer: gst::Buffer::with_size(size).unwrap(), info: whole.info.clone() });
            let failure = pipeline.finish().expect_err("an error");
            assert_eq!(failure.element, "detect", "{failure:?}");
            assert_eq!(pipeline.wait_for_lines(1).len(), 1, "the frame before it is published");
        }
    }
}

#[test]
fn formats_and_sizes_change_between_frames() {
    if !find::onnx_runtime() {
        return;
    }
    let squares = [Square::new(Colour::Red, 4, 3, 255), Square::new(Colour::Blue, 7, 4, 220)];
    let changes = [
        (96, 64, VideoFormat::Rgb),
        (192, 128, VideoFormat::Nv12),
        (1, 1, VideoFormat::Bgrx),
        (333, 517, VideoFormat::I420),
        (333, 517, VideoFormat::Bgr),
        (1920, 1080, VideoFormat::Nv12),
        (96, 64, VideoFormat::Rgba),
    ];
    let pipeline = detect(&find::test_model("yolo"), "");
    let pictures: Vec<_> = changes.iter().map(|&(w, h, _)| Picture::sized(w, h, &squares)).collect();
    for (n, (picture, change)) in pictures.iter().zip(changes).enumerate() {
        // Two of each: with the new caps, and with the same again.
        pipeline.push(2 * n as u64, picture.rgb().frame(change.2));
        pipeline.push(2 * n as u64 + 1, picture.rgb().frame(change.2));
    }
    let lines = pipeline.finish().unwrap();
    assert_eq!(lines.len(), 2 * changes.len());
    for (n, line) in lines.iter().enumerate() {
        let (picture, change) = (&pictures[n / 2], changes[n / 2]);
        assert_eq!((&line["width"], &line["height"]), (&picture.width.into(), &picture.height.into()));
        if picture.width > 1 {
            assert_found(&format!("{change:?}"), &detections(line), &picture.detections(), Tolerance::SCALED);
        }
    }
}

#[test]
fn caps_that_are_not_video_of_ours_are_errors() {
    if !find::onnx_runtime() {
        return;
    }
    let caps = ["video/x-raw,format=GRAY8", "audio/x-raw,format=S16LE,rate=8000,channels=1,layout=interleaved"];
    for caps in caps {
        let pipeline = Pipeline::new(&format!(
            "appsrc name=source format=time caps=\"{caps}\" ! trtdetect name=detect backend=cpu model={} ! fakesink",
            find::test_model("yolo").display()
        ));
        let source = pipeline.source("source");
        let _ = source.push_buffer(gst::Buffer::with_size(96 * 64).unwrap());
        let _ = source.end_of_stream();
        assert!(pipeline.play().is_err(), "{caps}");
    }
}

/// The clip's access units as an H.264 byte stream.
fn access_units(clip: &Path) -> Vec<Vec<u8>> {
    let pipeline = Pipeline::new(&format!(
        "filesrc location={} ! qtdemux ! h264parse ! video/x-h264,stream-format=byte-stream,alignment=au \
         ! appsink name=sink sync=false",
        clip.display()
    ));
    let sink = pipeline.element("sink").downcast::<gst_app::AppSink>().unwrap();
    pipeline.pipeline.set_state(gst::State::Playing).unwrap();
    let mut units = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        units.push(sample.buffer().unwrap().map_readable().unwrap().to_vec());
    }
    units
}

/// Damages two of three units after the first, in every way in turn.
fn damage(units: &mut Vec<Vec<u8>>) {
    let mut seed = 1u32;
    let mut random = move |below: usize| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as usize % below.max(1)
    };
    for (n, unit) in units.iter_mut().enumerate().skip(1) {
        match n % 6 {
            0 => (0..20).for_each(|_| {
                let at = random(unit.len());
                unit[at] ^= 1 << random(8);
            }),
            1 => unit.truncate(unit.len() / 2),
            3 => {
                let (from, to) = (unit.len() / 3, unit.len() / 2);
                unit[from..to].fill(0xff);
            }
            4 => unit.clear(),
            _ => {}
        }
    }
    units.retain(|unit| !unit.is_empty());
}

#[test]
fn corrupt_h264_loses_no_frame_that_was_decoded() {
    if !find::onnx_runtime() {
        return;
    }
    let Some(clip) = find::media("bikes.mp4") else { return };
    crate::common::running::register();
    for element in ["qtdemux", "h264parse", "avdec_h264"] {
        if gst::ElementFactory::find(element).is_none() {
            return find::skip(&format!("GStreamer's element {element}"), "cargo xtask setup");
        }
    }
    let mut units = access_units(&clip);
    assert!(units.len() > 100);
    damage(&mut units);
    let pipeline = Pipeline::new(&format!(
        "appsrc name=source format=time caps=video/x-h264,stream-format=byte-stream,alignment=au ! h264parse \
         ! avdec_h264 name=decoder ! trtdetect name=detect backend=cpu model={} ! trtpublish location=LINES ! fakesink",
        find::test_model("yolo").display()
    ));
    let decoded = Arc::new(AtomicUsize::new(0));
    let count = decoded.clone();
    let pad = pipeline.element("decoder").static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        gst::PadProbeReturn::Ok
    });
    let source = pipeline.source("source");
    for (n, unit) in units.into_iter().enumerate() {
        let mut buffer = gst::Buffer::from_mut_slice(unit);
        buffer.get_mut().unwrap().set_pts(n as u64 * crate::common::pipeline::FRAME_TIME);
        source.push_buffer(buffer).unwrap();
    }
    let ended = pipeline.finish();
    let decoded = decoded.load(Ordering::SeqCst);
    assert!(decoded > 50, "only {decoded} frames were decoded");
    match ended {
        Ok(lines) => {
            assert_eq!(lines.len(), decoded);
            assert!(lines.iter().enumerate().all(|(n, line)| line["frame"] == n));
        }
        // Some decoders stop with an error, which is acceptable.
        Err(failure) => assert_eq!(failure.element, "decoder", "{failure:?}"),
    }
}
