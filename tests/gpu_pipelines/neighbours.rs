//! GStreamer's own CUDA elements before and after ours, and its decoders of other codecs than H.264.
//!
//! These need a GPU: the stand-in has neither decoders nor a compiler for GStreamer's kernels.

use crate::common::find;
use crate::common::picture::{Colour, Picture, Square, assert_found};
use crate::common::running::{Running, caps, found_by, frame, info, pull, start};
use crate::frames::{around, assert_same, numbered, objects, run, run_opaque, with_model};
use crate::objects::near;
use gst::prelude::*;
use gst_video::prelude::*;
use gst_video::{VideoFormat, VideoInfo};
use gsttensorrt::meta;
use model::Detection;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Whether this GStreamer has these elements on this machine; else skips.
fn have(elements: &[&str]) -> bool {
    let missing = elements.iter().find(|name| gst::ElementFactory::find(name).is_none());
    if let Some(missing) = missing {
        find::skip(missing, "a GStreamer that has it on this GPU");
    }
    missing.is_none()
}

#[test]
#[ignore = "needs a GPU"]
fn cudaconvertscale_before_and_after_ours() {
    if !start() || !have(&["cudaconvertscale"]) {
        return;
    }
    let pictures = numbered(9);
    let detect = |backend: &str| with_model("trtdetect", backend, "yolo");
    let cpu = objects(&around("cpu", &detect("cpu")), &pictures);
    let chain = format!("cudaconvertscale ! video/x-raw(memory:CUDAMemory),format=BGRA ! {}", detect("tensorrt"));
    assert_same("before", &cpu, &objects(&around("tensorrt", &chain), &pictures), near());
    // It tells metadata nothing of what it does to the picture: then there are no objects, and never any in a wrong place.
    let scaled =
        format!("{chain} ! cudaconvertscale ! video/x-raw(memory:CUDAMemory),format=RGBA,width=192,height=128");
    let (buffers, _running) = run(&around("tensorrt", &scaled), &pictures);
    for (buffer, expected) in buffers.iter().zip(&cpu) {
        let read = meta::read(buffer, 192, 128);
        if !read.objects.is_empty() {
            assert_found("after", &found_by(buffer, "d"), expected, near());
        }
    }
}

/// What is found in pictures that a compositor shows twice, one above the other, where each half is a region of its own.
fn found_beside(backend: &str, compositor: &str, memory: &str) -> Vec<Vec<Detection>> {
    let detect = with_model("trtdetect", backend, "yolo") + " roi=0,0,1,0.5;0,0.5,1,0.5";
    let elements = format!(
        "tee name=both both. ! queue ! beside.sink_0 both. ! queue ! beside.sink_1 \
         {compositor} name=beside sink_1::ypos=64 ! video/x-raw{memory},format=RGBA,width=96,height=128 ! {detect}"
    );
    run_opaque(&around(backend, &elements), &numbered(9)).0.iter().map(|buffer| found_by(buffer, "d")).collect()
}

/// The other side of the comparison, which needs no GPU.
#[test]
fn compositor_before_ours() {
    if !start() || !have(&["compositor"]) {
        return;
    }
    let once = objects(&around("cpu", &with_model("trtdetect", "cpu", "yolo")), &numbered(9));
    let twice = found_beside("cpu", "compositor", "");
    let counts = |found: &[Vec<Detection>]| found.iter().map(Vec::len).collect::<Vec<_>>();
    let doubled: Vec<_> = counts(&once).iter().map(|count| 2 * count).collect();
    assert_eq!(counts(&twice), doubled);
    assert!(doubled.iter().any(|count| *count > 0));
}

#[test]
#[ignore = "needs a GPU"]
fn cudacompositor_before_ours() {
    if !start() || !have(&["cudacompositor", "compositor"]) {
        return;
    }
    let cpu = found_beside("cpu", "compositor", "");
    let gpu = found_beside("tensorrt", "cudacompositor", "(memory:CUDAMemory)");
    assert_same("cudacompositor", &cpu, &gpu, near());
}

#[test]
#[ignore = "needs a GPU"]
fn cudacompositor_after_ours() {
    if !start() || !have(&["cudacompositor"]) {
        return;
    }
    let drawn = |more: &str| {
        let elements = format!("{} ! trtoverlay {more} ! cudadownload", with_model("trtdetect", "tensorrt", "yolo"));
        let (buffers, running) = run_opaque(&around("tensorrt", &elements), &numbered(5));
        let info = info(&running.sink("out"));
        buffers.into_iter().map(|buffer| pixels(buffer, &info)).collect::<Vec<_>>()
    };
    let plain = drawn("");
    let composed = drawn("! cudacompositor ! video/x-raw(memory:CUDAMemory),format=RGBA,width=96,height=64");
    assert_eq!(plain.len(), composed.len());
    for (n, (plain, composed)) in plain.iter().zip(&composed).enumerate() {
        let apart = plain.iter().zip(composed).map(|(a, b)| a.abs_diff(*b));
        let (worst, differ) = (apart.clone().max(), apart.filter(|apart| *apart > 0).count());
        // It blends in floating point.
        assert!(worst <= Some(1), "frame {n}: {differ} of {} bytes differ, by up to {worst:?}", plain.len());
    }
}

/// A frame's rows of RGBA, without what fills them up.
fn pixels(buffer: gst::Buffer, info: &VideoInfo) -> Vec<u8> {
    let frame = gst_video::VideoFrame::from_buffer_readable(buffer, info).unwrap();
    let (stride, width) = (frame.plane_stride()[0] as usize, 4 * frame.width() as usize);
    let rows = frame.plane_data(0).unwrap().chunks(stride).take(frame.height() as usize);
    rows.flat_map(|row| row[..width].iter().copied()).collect()
}

/// Pictures large enough for any decoder; scaled down by 4 they are those of the models.
fn large(count: usize) -> Vec<Picture> {
    let square = |n: usize| Square::new(Colour::Red, (2 * n as u32) % 12, (n as u32) % 8, 255 - 10 * (n % 10) as u8);
    (0..count).map(|n| Picture::sized(384, 256, &[square(n), square(n + 4)])).collect()
}

/// Encodes pictures into a file by elements that take I420.
fn encode(pictures: &[Picture], encoder: &str, file: &Path) {
    let launch =
        format!("appsrc name=in format=time ! videoconvert ! {encoder} ! qtmux ! filesink location={}", file.display());
    let running = Running::playing(&launch);
    let source = running.source("in");
    source.set_caps(Some(&caps(&pictures[0], VideoFormat::Rgba)));
    for (n, picture) in pictures.iter().enumerate() {
        source.push_buffer(frame(picture, VideoFormat::Rgba, n)).unwrap();
    }
    source.end_of_stream().unwrap();
    running.wait_for_end();
}

/// What `d` finds in a file that these elements decode, and the number of frames that the last of them, `decoder`, passes on
/// without copying them into a buffer of a pool.
fn found(file: &Path, decoder: &str, backend: &str) -> (Vec<Vec<Detection>>, usize) {
    let launch = format!(
        "filesrc location={} ! qtdemux ! {decoder} name=decoder ! {} ! appsink name=out sync=false",
        file.display(),
        with_model("trtdetect", backend, "yolo")
    );
    let running = Running::new(&launch);
    let exported = Arc::new(AtomicUsize::new(0));
    let count = exported.clone();
    let pad = running.element("decoder").static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let buffer = info.buffer().expect("a buffer");
        // SAFETY: the buffer is borrowed from the probe.
        count.fetch_add(usize::from(unsafe { (*buffer.as_ptr()).pool.is_null() }), Ordering::Relaxed);
        gst::PadProbeReturn::Ok
    });
    running.set_state(gst::State::Playing);
    let sink = running.sink("out");
    let found = std::iter::from_fn(|| pull(&sink)).map(|buffer| found_by(&buffer, "d")).collect();
    (found, exported.load(Ordering::Relaxed))
}

/// Whether the decoder can pass on surfaces without copying them, as from GStreamer 1.24 on.
fn exports(decoder: &str) -> bool {
    gst::ElementFactory::make(decoder).build().unwrap().find_property("num-output-surfaces").is_some()
}

/// A codec's elements.
struct Codec {
    /// Elements that must be there.
    needed: &'static [&'static str],
    encoder: &'static str,
    parser: &'static str,
    /// The first that is there decodes on the CPU.
    cpu: [&'static str; 2],
    gpu: &'static str,
}

impl Codec {
    /// The same file decoded on the CPU and on the GPU.
    fn decodes(&self) {
        if !start() {
            return;
        }
        let Self { needed, encoder, parser, gpu, .. } = *self;
        let cpu = self.cpu.into_iter().find(|name| gst::ElementFactory::find(name).is_some()).unwrap_or(self.cpu[0]);
        if !have(needed) || !have(&[cpu, gpu]) {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pictures.mov");
        encode(&large(20), encoder, &file);
        let (on_cpu, _) = found(&file, &format!("{parser} ! {cpu}"), "cpu");
        assert_eq!(on_cpu.len(), 20);
        let (on_gpu, _) = found(&file, &format!("{parser} ! {gpu}"), "tensorrt");
        assert_same(gpu, &on_cpu, &on_gpu, near());
        if exports(gpu) {
            // As many surfaces as the elements say that they hold, so that none has to be copied.
            let (on_gpu, exported) = found(&file, &format!("{parser} ! {gpu} num-output-surfaces=0"), "tensorrt");
            assert_same(gpu, &on_cpu, &on_gpu, near());
            assert_eq!(exported, 20, "{gpu}");
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn nvh264dec() {
    Codec {
        needed: &["x264enc", "h264parse"],
        encoder: "video/x-raw,format=I420 ! x264enc bframes=2 b-adapt=false",
        parser: "h264parse",
        cpu: ["avdec_h264", "openh264dec"],
        gpu: "nvh264dec",
    }
    .decodes();
}

#[test]
#[ignore = "needs a GPU"]
fn nvh265dec() {
    Codec {
        needed: &["x265enc", "h265parse"],
        encoder: "video/x-raw,format=I420 ! x265enc ! h265parse",
        parser: "h265parse",
        cpu: ["avdec_h265", "libde265dec"],
        gpu: "nvh265dec",
    }
    .decodes();
}

/// JPEG has the full range of values, which `nvjpegdec` knows from its input's caps alone: docs/gpu-engine.md.
#[test]
#[ignore = "needs a GPU"]
fn nvjpegdec() {
    Codec {
        needed: &["jpegenc", "jpegparse", "capssetter"],
        encoder: "video/x-raw,format=I420,colorimetry=(string)1:4:0:0 ! jpegenc quality=95",
        parser: "jpegparse ! capssetter caps=image/jpeg,colorimetry=(string)1:4:0:0",
        cpu: ["jpegdec", "avdec_mjpeg"],
        gpu: "nvjpegdec",
    }
    .decodes();
}
