//! Frames through an element on either backend, and their results.

use crate::common::find;
use crate::common::picture::{Picture, Tolerance, assert_found};
use crate::common::running::{Running, caps, found_by, frame, number, pull};
use gst::prelude::*;
use gst_video::VideoFormat;
use model::Detection;
use std::path::Path;

/// From RGBA in system memory to a backend's memory, and back.
pub fn upload(backend: &str) -> &'static str {
    if backend == "cpu" { "identity" } else { "cudaupload" }
}

/// An element with a test model, named `d`.
pub fn with_model(element: &str, backend: &str, model: &str) -> String {
    with_file(element, backend, &find::test_model(model))
}

pub fn with_file(element: &str, backend: &str, model: &Path) -> String {
    format!("{element} name=d backend={backend} model={}", model.display())
}

/// `in` and `out` around elements, with an upload if the backend needs it.
pub fn around(backend: &str, elements: &str) -> String {
    format!("appsrc name=in format=time ! {} ! {elements} ! appsink name=out sync=false", upload(backend))
}

/// Pushes numbered pictures through a launch string of [`around`] and returns the buffers that come out, in order.
pub fn run(launch: &str, pictures: &[Picture]) -> (Vec<gst::Buffer>, Running) {
    let frames = pictures.iter().enumerate().map(|(n, picture)| frame(picture, VideoFormat::Rgba, n));
    run_frames(launch, &pictures[0], frames.collect())
}

/// The same for frames of `picture`'s size, of which the elements of this plugin don't read the fourth byte: it's 0, and here 255,
/// for elements that blend.
pub fn run_opaque(launch: &str, pictures: &[Picture]) -> (Vec<gst::Buffer>, Running) {
    let opaque = |(n, picture): (usize, &Picture)| {
        let mut frame = frame(picture, VideoFormat::Rgba, n);
        let mut bytes = frame.get_mut().unwrap().map_writable().unwrap();
        bytes.iter_mut().skip(3).step_by(4).for_each(|alpha| *alpha = 255);
        drop(bytes);
        frame
    };
    run_frames(launch, &pictures[0], pictures.iter().enumerate().map(opaque).collect())
}

fn run_frames(launch: &str, picture: &Picture, frames: Vec<gst::Buffer>) -> (Vec<gst::Buffer>, Running) {
    let running = Running::playing(launch);
    let source = running.source("in");
    source.set_caps(Some(&caps(picture, VideoFormat::Rgba)));
    let count = frames.len();
    for frame in frames {
        // Refused after an error, which `pull` reports.
        if source.push_buffer(frame).is_err() {
            panic!("{}: {launch}", running.error());
        }
    }
    source.end_of_stream().unwrap();
    let sink = running.sink("out");
    let buffers: Vec<_> = std::iter::from_fn(|| pull_or_panic(&running, &sink)).collect();
    let numbers: Vec<_> = buffers.iter().map(|buffer| number(buffer)).collect();
    assert_eq!(numbers, (0..count).collect::<Vec<_>>(), "lost or out of order: {launch}");
    (buffers, running)
}

fn pull_or_panic(running: &Running, sink: &gst_app::AppSink) -> Option<gst::Buffer> {
    let bus = running.0.bus().unwrap();
    if let Some(message) = bus.pop_filtered(&[gst::MessageType::Error])
        && let gst::MessageView::Error(error) = message.view()
    {
        panic!("{}", error.error());
    }
    pull(sink)
}

/// The results of `d` for each picture.
pub fn objects(launch: &str, pictures: &[Picture]) -> Vec<Vec<Detection>> {
    run(launch, pictures).0.iter().map(|buffer| found_by(buffer, "d")).collect()
}

/// Asserts that both backends find the same objects in each picture, and at least one.
pub fn assert_same(what: &str, on_cpu: &[Vec<Detection>], on_gpu: &[Vec<Detection>], tolerance: Tolerance) {
    assert_eq!(on_cpu.len(), on_gpu.len(), "{what}");
    assert!(on_cpu.iter().any(|found| !found.is_empty()), "{what}: the CPU finds nothing");
    for (n, (cpu, gpu)) in on_cpu.iter().zip(on_gpu).enumerate() {
        assert_found(&format!("{what}, frame {n}"), gpu, cpu, tolerance);
    }
}

/// Pictures of the models' own size.
pub fn numbered(count: usize) -> Vec<Picture> {
    (0..count).map(Picture::numbered).collect()
}
