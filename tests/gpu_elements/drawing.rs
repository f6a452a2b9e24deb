//! `trtoverlay` draws the same in GPU memory as in system memory.

use super::common::running::{Running, pull};
use super::{Errors, noise, on_arrival, on_gpu};
use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo};
use gsttensorrt::meta::{self, KeypointSet, Object, Place, PlaceCount, Record};
use model::{Keypoint, KeypointLayout, Rect};
use std::sync::Arc;

const FRAMES: usize = 4;

/// Boxes with labels in several scripts, one of them with a skeleton; they have tracks and move from frame to frame, in a zone and
/// beside a line.
fn record(step: f32) -> Arc<Record> {
    let names = ["nose", "left_hip", "right_hip"].map(Into::into).to_vec();
    let layout = Arc::new(KeypointLayout { name: "three", names, limbs: vec![(0, 1), (0, 2), (1, 2)] });
    let point = |x, y| Keypoint { x, y, confidence: 0.9 };
    let points = vec![point(0.3, 0.2 + step), point(0.25, 0.6), point(0.4, 0.65)];
    let object = |id, rect, keypoints| Object {
        id,
        rect,
        class_id: Some(id),
        label: ["person", "traffic light", "🐶 ёж", "狗 كلب"][id as usize].into(),
        confidence: 0.87,
        source: "det".into(),
        keypoints,
        track_id: Some(1000 + u64::from(id)),
        ..Object::default()
    };
    let objects = vec![
        object(0, Rect::new(0.2 + step, 0.15, 0.3, 0.6), Some(KeypointSet { layout, points, source: "pose".into() })),
        object(1, Rect::new(0.6, 0.4 - step, 0.25, 0.3), None),
        object(2, Rect::new(0.1, 0.8 - step, 0.2, 0.1), None),
        object(3, Rect::new(0.5, 0.8, 0.3 + step, 0.1), None),
    ];
    let zone = Place {
        name: "Halle".into(),
        points: [(0.15, 0.3), (0.55, 0.2), (0.9, 0.95)].into(),
        count: PlaceCount::Zone { occupancy: 3 },
    };
    let line = Place {
        name: "door".into(),
        points: [(0.05, 0.5), (0.95, 0.45)].into(),
        count: PlaceCount::Line { inwards: 12, outwards: (1000.0 * step) as u64 },
    };
    Arc::new(Record { objects, places: vec![zone, line], ..Record::default() })
}

/// The output of `elements` for noise with records, in system memory. `marked` is the pad whose buffers get the records.
fn through(elements: &str, info: &VideoInfo, marked: (&str, &str)) -> Vec<Vec<u8>> {
    let p = Running::new(&format!("appsrc name=in format=time ! {elements} ! appsink name=out sync=false"));
    if let Some(overlay) = p.0.by_name("draw") {
        overlay.set_property("tail", 1_000_000_000u64);
        overlay.set_property_from_str("color-by", "track");
    }
    let (width, height) = (info.width(), info.height());
    let pad = p.element(marked.0).static_pad(marked.1).unwrap();
    on_arrival(&pad, move |buffer| {
        let step = buffer.pts().unwrap().mseconds() as f32 / 1000.0;
        meta::set_record(buffer, record(step), width, height);
    });
    let source = p.source("in");
    source.set_caps(Some(&info.to_caps().unwrap()));
    p.set_state(gst::State::Playing);
    for n in 0..FRAMES {
        let mut buffer = noise(info, n as u32);
        buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(40 * n as u64));
        source.push_buffer(buffer).unwrap();
    }
    source.end_of_stream().unwrap();
    let sink = p.sink("out");
    let mut frames = Vec::new();
    while let Some(buffer) = pull(&sink) {
        frames.push(pixels(&buffer, info));
    }
    assert_eq!(frames.len(), FRAMES, "{}", Errors::of(&p).text());
    if elements.contains("CUDAMemory") {
        let copied = p.stats("draw").get::<u64>("bytes-to-device");
        assert!(matches!(copied, Ok(1..)), "drawn in GPU memory: {copied:?}");
    }
    frames
}

/// The rows of each plane, without padding.
fn pixels(buffer: &gst::Buffer, info: &VideoInfo) -> Vec<u8> {
    use gst_video::prelude::*;
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, info).unwrap();
    let mut bytes = Vec::new();
    for plane in 0..frame.n_planes() {
        let row = frame.comp_width(plane) as usize * frame.comp_pstride(plane) as usize;
        let stride = frame.plane_stride()[plane as usize] as usize;
        let data = frame.plane_data(plane).unwrap();
        for y in 0..frame.comp_height(plane) as usize {
            bytes.extend_from_slice(&data[y * stride..y * stride + row]);
        }
    }
    bytes
}

fn info(format: VideoFormat, width: u32, height: u32) -> VideoInfo {
    VideoInfo::builder(format, width, height).fps(gst::Fraction::new(25, 1)).build().unwrap()
}

fn compare() {
    for (format, width, height) in [
        (VideoFormat::Nv12, 320, 240),
        (VideoFormat::Rgba, 320, 240),
        (VideoFormat::Bgra, 200, 150),
        (VideoFormat::Nv12, 322, 182),
    ] {
        let info = info(format, width, height);
        let plain = through("identity name=none", &info, ("none", "sink"));
        let expected = through("trtoverlay name=draw", &info, ("draw", "sink"));
        let drawn = through(
            "cudaupload ! video/x-raw(memory:CUDAMemory) ! trtoverlay name=draw ! cudadownload ! video/x-raw",
            &info,
            ("draw", "sink"),
        );
        for n in 0..FRAMES {
            assert_ne!(plain[n], expected[n], "something is drawn");
            let differing = drawn[n].iter().zip(&expected[n]).filter(|(a, b)| a != b).count();
            assert_eq!(differing, 0, "{format:?} {width}×{height}, frame {n}: of {} bytes", expected[n].len());
        }
    }
}

on_gpu! {
    fn drawings_are_those_of_system_memory() {
        compare();
    }
}

on_gpu! {
    fn a_slow_device_changes_nothing(STANDIN_DELAY = "3000") {
        compare();
    }
}

on_gpu! {
    /// The record comes before the tee, so both branches hold the frame; the other one must not see the drawing.
    fn only_the_branch_that_draws_shows_it() {
        let info = info(VideoFormat::Nv12, 320, 240);
        let drawn_alone = through("trtoverlay name=draw", &info, ("draw", "sink"));
        let plain = through("identity name=none", &info, ("none", "sink"));
        let branches = "cudaupload ! video/x-raw(memory:CUDAMemory) ! tee name=t t. ! queue ! fakesink sync=false t. ! queue ! trtoverlay name=draw ! cudadownload";
        let drawn = through(branches, &info, ("t", "sink"));
        assert_eq!(drawn, drawn_alone);
        let branches = "cudaupload ! video/x-raw(memory:CUDAMemory) ! tee name=t t. ! queue ! trtoverlay name=draw ! fakesink sync=false t. ! queue ! cudadownload";
        assert_eq!(through(branches, &info, ("t", "sink")), plain);
    }
}

on_gpu! {
    fn formats_that_are_not_drawn_on_are_named() {
        let p = Running::new(
            "videotestsrc num-buffers=1 ! video/x-raw,format=I420,width=64,height=48 ! cudaupload \
             ! video/x-raw(memory:CUDAMemory) ! trtoverlay ! fakesink",
        );
        let _ = p.0.set_state(gst::State::Playing);
        let error = p.error();
        assert!(error.contains("these frames are I420") && error.contains("cudaconvert"), "{error}");
    }
}
