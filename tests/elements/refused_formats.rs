//! Frames in unsupported formats: the element names the format, those it accepts, and the converter to put before it.

use crate::common::clips;
use crate::common::running::{Running, start, with_model};
use gst::prelude::*;
use std::path::Path;

const SIZE: &str = "width=96,height=64,framerate=25/1";

/// The first error, which gst-launch shows, is ours.
#[track_caller]
fn refused(launch: &str, parts: &[&str]) {
    let running = Running::new(launch);
    let _ = running.0.set_state(gst::State::Playing);
    let message = running.message(&[gst::MessageType::Error, gst::MessageType::Eos]);
    let gst::MessageView::Error(error) = message.view() else { panic!("EOS: {launch}") };
    let text = error.error().to_string();
    assert!(message.src().is_some_and(|source| source.name() == "ours"), "{message:?}: {launch}");
    for part in parts {
        assert!(text.contains(part), "{part}: {text}: {launch}");
    }
}

/// The suggested converter helps.
#[track_caller]
fn taken(launch: &str) {
    Running::playing(launch).wait_for_end();
}

/// The elements that don't accept every format, on the CPU.
fn elements() -> Vec<String> {
    vec![
        with_model("trtdetect name=ours", "yolo"),
        with_model("trtpose name=ours", "yolo-pose"),
        "trtpreprocess name=ours backend=cpu width=32 height=32".into(),
        "trtoverlay name=ours".into(),
    ]
}

#[test]
fn decoded_files_of_other_formats_name_the_format_and_the_converter() {
    if !start() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for format in ["I422_10LE", "Y444", "Y42B", "I420_10LE"] {
        let path = folder.path().join(format!("{format}.mp4"));
        clips::run(&format!(
            "videotestsrc num-buffers=5 ! video/x-raw,format={format},{SIZE} ! x264enc ! h264parse ! mp4mux ! filesink location={}",
            path.display()
        ));
        let file = format!("filesrc location={} ! qtdemux ! h264parse ! avdec_h264", path.display());
        for ours in elements() {
            let came = format!("as {format}, 96×64");
            let parts = [came.as_str(), "NV12, I420", "put videoconvert before it", "upstream avdec_h264"];
            refused(&format!("{file} ! {ours} ! fakesink"), &parts);
            taken(&format!("{file} ! videoconvert ! {ours} ! fakesink"));
        }
        // After elements that forward frames unmodified, and linked when the file's streams are known.
        let ours = &elements()[0];
        for between in ["queue", "identity", "tee", "videorate", "videobalance", "queue ! video/x-raw"] {
            refused(&format!("{file} ! {between} ! {ours} ! fakesink"), &[format, "videoconvert"]);
        }
        refused(
            &format!("filesrc location={} ! decodebin ! {ours} ! fakesink", path.display()),
            &[format, "videoconvert"],
        );
        taken(&format!("filesrc location={} ! decodebin ! videoconvert ! {ours} ! fakesink", path.display()));
    }
}

fn write(path: &Path, format: &str, encoder: &str) {
    clips::run(&format!(
        "videotestsrc num-buffers=1 ! video/x-raw,format={format},{SIZE} ! {encoder} ! filesink location={}",
        path.display()
    ));
}

#[test]
fn pictures_and_raw_video_name_the_format_and_the_converter() {
    if !start() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let ours = &elements()[0];
    for (format, encoder, decoder) in
        [("GRAY16_BE", "pngenc", "pngdec"), ("GRAY8", "pngenc", "pngdec"), ("GRAY8", "jpegenc", "jpegdec")]
    {
        let path = folder.path().join(format!("{format}.{encoder}"));
        write(&path, format, encoder);
        let source = format!("filesrc location={} ! {decoder}", path.display());
        refused(&format!("{source} ! {ours} ! fakesink"), &["as GRAY", "put videoconvert before it"]);
        taken(&format!("{source} ! videoconvert ! {ours} ! fakesink"));
    }
    for format in ["P010_10LE", "NV21", "v210", "RGB16", "YUY2", "GRAY16_LE", "Y444_16LE"] {
        let caps = format!("video/x-raw,format={format},{SIZE}");
        let came = format!("format=(string){format}");
        refused(
            &format!("videotestsrc num-buffers=3 ! {caps} ! {ours} ! fakesink"),
            &[&came, "put videoconvert before it"],
        );
        taken(&format!("videotestsrc num-buffers=3 ! {caps} ! videoconvert ! {ours} ! fakesink"));
    }
    let raw = folder.path().join("raw");
    write(&raw, "Y444", "identity");
    let source = format!("filesrc location={} ! rawvideoparse width=96 height=64 format=y444", raw.display());
    refused(&format!("{source} ! {ours} ! fakesink"), &["Y444", "put videoconvert before it"]);
    taken(&format!("{source} ! videoconvert ! {ours} ! fakesink"));
    let coded = "appsrc caps=video/x-h264,stream-format=byte-stream,alignment=au";
    refused(&format!("{coded} ! {ours} ! fakesink"), &["video/x-h264", "put a decoder before it"]);
}

/// A format that changes to an unsupported one while frames flow.
#[test]
fn a_change_to_another_format_is_named() {
    if !start() {
        return;
    }
    let running = Running::playing(&format!("appsrc name=source format=time ! {} ! fakesink", elements()[0]));
    let source = running.source("source");
    for (format, size) in [("NV12", 96 * 64 * 3 / 2), ("Y444", 96 * 64 * 3)] {
        source.set_caps(Some(&format!("video/x-raw,format={format},{SIZE}").parse().unwrap()));
        for _ in 0..3 {
            let _ = source.push_buffer(gst::Buffer::with_size(size).unwrap());
        }
    }
    let text = running.error_by("ours");
    assert!(text.contains("Y444") && text.contains("videoconvert"), "{text}");
}
