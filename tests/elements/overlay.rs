//! `trtoverlay` in pipelines: every format, properties changed while playing, and frames that it must reject.

use crate::common::running::register;
use gst::prelude::*;
use gst_check::Harness;
use gst_video::{VideoFormat, VideoFrameFlags, VideoInfo, VideoMeta, VideoRegionOfInterestMeta};
use gsttensorrt::meta::{self, Object, Record};
use model::Rect;
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
const GREY: u8 = 110;

fn info(format: VideoFormat, width: u32, height: u32) -> VideoInfo {
    VideoInfo::builder(format, width, height).fps(gst::Fraction::new(30, 1)).build().unwrap()
}

fn harness(info: &VideoInfo) -> Harness {
    let mut harness = Harness::new("trtoverlay");
    harness.set_caps(info.to_caps().unwrap(), info.to_caps().unwrap());
    harness
}

fn grey(info: &VideoInfo) -> gst::Buffer {
    gst::Buffer::from_mut_slice(vec![GREY; info.size()])
}

/// A frame with one person between a quarter and three quarters of it.
fn person(info: &VideoInfo) -> gst::Buffer {
    labelled(info, "person")
}

fn labelled(info: &VideoInfo, label: &str) -> gst::Buffer {
    let object = Object {
        id: 0,
        rect: Rect::new(0.25, 0.25, 0.5, 0.5),
        class_id: Some(0),
        label: label.into(),
        confidence: 0.9,
        source: "det".into(),
        ..Object::default()
    };
    let mut buffer = grey(info);
    let record = Record { objects: vec![object], models: Vec::new(), ..Record::default() };
    meta::set_record(buffer.get_mut().unwrap(), Arc::new(record), info.width(), info.height());
    buffer
}

/// First byte of the pixel in the first plane: luma, red, or blue.
fn byte_at(buffer: &gst::Buffer, info: &VideoInfo, x: usize, y: usize) -> u8 {
    let bytes = info.format_info().pixel_stride()[0] as usize;
    buffer.map_readable().unwrap()[y * info.stride()[0] as usize + x * bytes]
}

fn changed(buffer: &gst::Buffer) -> usize {
    buffer.map_readable().unwrap().iter().filter(|&&b| b != GREY).count()
}

#[test]
fn draws_in_every_format() {
    register();
    for format in FORMATS {
        for (width, height, bottom) in [(320, 240, 180), (321, 241, 181)] {
            let info = info(format, width, height);
            let mut harness = harness(&info);
            let frame = harness.push_and_pull(person(&info)).unwrap();
            assert_ne!(byte_at(&frame, &info, 160, bottom - 1), GREY, "{format:?}: the box's lower edge");
            assert_ne!(byte_at(&frame, &info, 80, 55), GREY, "{format:?}: the label's background");
            for (x, y) in [(160, 120), (10, 10), (300, 200), (160, bottom)] {
                assert_eq!(byte_at(&frame, &info, x, y), GREY, "{format:?}: {x}, {y} is off the drawing");
            }
            assert_eq!(meta::record(&frame).unwrap().objects.len(), 1);
            let frame = harness.push_and_pull(grey(&info)).unwrap();
            assert_eq!(changed(&frame), 0, "{format:?}: nothing to draw");
        }
    }
}

#[test]
fn draws_in_place() {
    register();
    let info = info(VideoFormat::Nv12, 64, 64);
    let frame = person(&info);
    let memory = frame.peek_memory(0).as_ptr();
    let out = harness(&info).push_and_pull(frame).unwrap();
    assert_eq!(out.peek_memory(0).as_ptr(), memory);
}

/// Other holders of the frame don't see the drawing, even if planes are mapped separately.
#[test]
fn shared_frames_are_copied() {
    register();
    let info = info(VideoFormat::I420, 320, 240);
    for planes in [false, true] {
        let mut frame = person(&info);
        if planes {
            let (flags, format) = (VideoFrameFlags::empty(), VideoFormat::I420);
            VideoMeta::add_full(frame.get_mut().unwrap(), flags, format, 320, 240, info.offset(), info.stride())
                .unwrap();
        }
        let out = harness(&info).push_and_pull(frame.clone()).unwrap();
        assert!(changed(&out) > 0);
        assert_eq!(changed(&frame), 0);
    }
}

#[test]
fn statistics_count_frames_and_drawings() {
    register();
    let info = info(VideoFormat::Nv12, 64, 64);
    let mut harness = harness(&info);
    for _ in 0..3 {
        harness.push_and_pull(person(&info)).unwrap();
        harness.push_and_pull(grey(&info)).unwrap();
    }
    let stats: gst::Structure = harness.element().unwrap().property("stats");
    assert_eq!((stats.get::<u64>("frames"), stats.get::<u64>("drawn")), (Ok(6), Ok(3)));
    assert!(stats.get::<u64>("time-p50").unwrap() > 0);
}

#[test]
fn properties_change_while_playing() {
    register();
    let info = info(VideoFormat::Rgb, 320, 240);
    let mut harness = harness(&info);
    let element = harness.element().unwrap();
    for spec in element.list_properties().iter().filter(|spec| !["name", "parent", "stats"].contains(&spec.name())) {
        assert!(spec.flags().contains(gst::PARAM_FLAG_MUTABLE_PLAYING), "{}", spec.name());
    }
    let mut drawn = || {
        let frame = harness.push_and_pull(person(&info)).unwrap();
        changed(&frame)
    };
    let all = drawn();
    element.set_property("display-labels", false);
    let confidence = drawn();
    element.set_property("display-confidence", false);
    let thin = drawn();
    element.set_property("line-width", 8u32);
    let thick = drawn();
    element.set_property("display-boxes", false);
    assert!(all > confidence && confidence > thin && thick > thin, "{all} {confidence} {thin} {thick}");
    assert_eq!(drawn(), 0);
    element.set_property_from_str("color-by", "source");
    element.set_property("display-boxes", true);
    assert_eq!(drawn(), thick);
}

/// A tail follows its track until it is too old, switched off, or time goes back.
#[test]
fn tails_show_where_tracks_were() {
    register();
    let info = info(VideoFormat::Rgb, 320, 240);
    let mut harness = harness(&info);
    let element = harness.element().unwrap();
    for hidden in ["display-boxes", "display-labels", "display-confidence"] {
        element.set_property(hidden, false);
    }
    // The middle of the box's lower edge is at (80 + 32 n, 180).
    let mut frame = |n: u64, x: f32| {
        let rect = Rect::new(0.15 + x, 0.25, 0.2, 0.5);
        let object = Object { rect, class_id: Some(0), label: "person".into(), track_id: Some(7), ..Object::default() };
        let mut buffer = grey(&info);
        let writable = buffer.get_mut().unwrap();
        writable.set_pts(n * 100 * gst::ClockTime::MSECOND);
        let record = Record { objects: vec![object], ..Record::default() };
        meta::set_record(writable, Arc::new(record), 320, 240);
        harness.push_and_pull(buffer).unwrap()
    };
    let way = |frame: &gst::Buffer| [96, 128, 160, 192].map(|x| byte_at(frame, &info, x, 180) != GREY);
    assert_eq!(changed(&frame(0, 0.0)), 0, "there are none by default");
    element.set_property("tail", 200_000_000u64);
    let pictures = [1, 2, 3, 4, 5].map(|n| frame(n, 0.1 * (n - 1) as f32));
    assert_eq!(pictures.each_ref().map(way)[0], [false; 4]);
    assert_eq!(way(&pictures[2]), [true, true, false, false]);
    assert_eq!(way(&pictures[4]), [false, false, true, true], "the first 200 ms are forgotten");
    element.set_property_from_str("color-by", "track");
    let colour = byte_at(&frame(6, 0.4), &info, 192, 180);
    assert_ne!(colour, byte_at(&pictures[4], &info, 192, 180));
    assert_eq!(way(&frame(2, 0.4)), [false; 4], "after a seek");
    element.set_property("tail", 0u64);
    assert_eq!(changed(&frame(3, 0.5)), 0);
}

/// A frame far behind the clock is drawn, not dropped.
#[test]
fn late_frames_pass() {
    register();
    let info = info(VideoFormat::Rgb, 320, 240);
    let mut harness = harness(&info);
    let late = gst::event::Qos::new(gst::QOSType::Underflow, 2.0, 5_000_000_000, gst::ClockTime::from_seconds(10));
    harness.push_upstream_event(late);
    let mut frame = person(&info);
    frame.get_mut().unwrap().set_pts(gst::ClockTime::ZERO);
    harness.push(frame).unwrap();
    assert!(changed(&harness.pull().unwrap()) > 0);
}

/// Regions of interest from another detector.
#[test]
fn draws_others_objects() {
    register();
    let info = info(VideoFormat::Rgb, 320, 240);
    let mut frame = grey(&info);
    VideoRegionOfInterestMeta::add(frame.get_mut().unwrap(), "dog", (80, 60, 160, 120));
    let frame = harness(&info).push_and_pull(frame).unwrap();
    assert_ne!(byte_at(&frame, &info, 160, 179), GREY);
}

#[test]
fn tiny_frames_pass() {
    register();
    for format in FORMATS {
        for (width, height) in [(1, 1), (2, 1), (1, 3), (17, 9)] {
            let info = info(format, width, height);
            assert_eq!(harness(&info).push_and_pull(person(&info)).unwrap().size(), info.size());
        }
    }
}

/// The first error on a bus: its text and its source.
fn error_on(bus: &gst::Bus) -> String {
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(5), &[gst::MessageType::Error]).unwrap();
    let gst::MessageView::Error(error) = message.view() else { unreachable!() };
    error.error().message().to_owned()
}

/// Without a GPU, frames in GPU memory cause an error that names what is missing; tests/gpu_elements/ draws on them.
#[test]
fn frames_in_gpu_memory_need_a_gpu() {
    register();
    if cuda::check_driver().is_ok() {
        return;
    }
    let mut harness = Harness::new("trtoverlay");
    let bus = gst::Bus::new();
    harness.element().unwrap().set_bus(Some(&bus));
    let caps = "video/x-raw(memory:CUDAMemory),format=NV12,width=320,height=240,framerate=30/1";
    harness.set_caps_str(caps, caps);
    assert!(harness.push(gst::Buffer::with_size(115_200).unwrap()).is_err());
    let text = error_on(&bus);
    assert!(text.contains("libcuda.so.1") && text.contains("NVIDIA driver"), "{text}");
}

/// A stride that extends past the end of the buffer.
#[test]
fn false_metadata_is_an_error() {
    register();
    let info = info(VideoFormat::Rgb, 16, 16);
    let mut harness = harness(&info);
    let bus = gst::Bus::new();
    harness.element().unwrap().set_bus(Some(&bus));
    let mut frame = person(&info);
    let buffer = frame.get_mut().unwrap();
    VideoMeta::add_full(buffer, VideoFrameFlags::empty(), VideoFormat::Rgb, 16, 16, &[0], &[4096]).unwrap();
    assert_eq!(harness.push(frame), Err(gst::FlowError::Error));
    let text = error_on(&bus);
    assert!(text.contains("stride 4096"), "{text}");
}

/// From NV12 with the caps' colorimetry through a converter: the box has the palette's colour in every colorimetry.
#[test]
fn colours_follow_the_colorimetry() {
    register();
    for colorimetry in ["bt709", "bt601", "bt2020", "1:4:0:0"] {
        for format in ["NV12", "I420"] {
            let mut harness =
                Harness::new_parse("trtoverlay line-width=8 ! videoconvert ! capsfilter caps=video/x-raw,format=RGB");
            let caps =
                format!("video/x-raw,format={format},width=320,height=240,framerate=30/1,colorimetry={colorimetry}");
            let caps = caps.parse::<gst::Caps>().unwrap();
            let info = VideoInfo::from_caps(&caps).unwrap();
            harness.set_src_caps(caps);
            let frame = harness.push_and_pull(person(&info)).unwrap();
            let map = frame.map_readable().unwrap();
            let pixel = &map[3 * (176 * 320 + 160)..][..3];
            for (got, expected) in pixel.iter().zip([0x00u8, 0xAA, 0xFF]) {
                assert!(got.abs_diff(expected) <= 4, "{colorimetry} {format}: {pixel:?}");
            }
        }
    }
}

/// Labels in all scripts are distinguishable whatever fonts the machine has: none is drawn as boxes.
#[test]
fn no_two_labels_look_alike() {
    register();
    let info = info(VideoFormat::Rgb, 320, 240);
    let mut harness = harness(&info);
    let mut drawn =
        |label: &str| harness.push_and_pull(labelled(&info, label)).unwrap().map_readable().unwrap().to_vec();
    let labels = [
        "狗",
        "猫",
        "車",
        "개",
        "말",
        "ネコ",
        "いぬ",
        "жук",
        "қой",
        "كلب",
        "قطة",
        "סוס",
        "חתול",
        "หมา",
        "แมว",
        "कुत्ता",
        "बिल्ली",
        "🐶",
        "🐱",
        "🦊",
        "🦄",
        "é",
        "ё",
        "ệ",
        "շուն",
        "ძაღლი",
        "ውሻ",
        "Ꮳ",
    ];
    let pictures: Vec<_> = labels.iter().map(|label| drawn(label)).collect();
    for (one, label) in labels.iter().enumerate() {
        for other in 0..one {
            assert!(pictures[one] != pictures[other], "{label} looks like {}", labels[other]);
        }
    }
    // A composed character looks like its precomposed form.
    assert!(drawn("e\u{301}") == drawn("é"));
    // Scripts with joined letters are transliterated.
    assert!(drawn("كلب") == drawn("klb"));
    // The background is as wide as the text, also for transliterated text: it ends within the picture.
    for label in ["狗".repeat(100), "🐶".repeat(100), "كلب ".repeat(100)] {
        let frame = drawn(&label);
        let is_grey = |x: usize, y: usize| frame[3 * (y * 320 + x)] == GREY;
        assert!(!is_grey(318, 50) && is_grey(318, 100), "{label}");
    }
}

/// A transliterated label is reported once, on the bus of the first element that meets it.
#[test]
fn a_transliterated_label_is_reported() {
    register();
    let info = info(VideoFormat::I420, 320, 240);
    let mut said = Vec::new();
    for _ in 0..2 {
        let mut harness = harness(&info);
        let bus = gst::Bus::new();
        harness.element().unwrap().set_bus(Some(&bus));
        for label in ["person", "سيارة", "🐶", "سيارة"] {
            harness.push_and_pull(labelled(&info, label)).unwrap();
        }
        while let Some(message) = bus.pop_filtered(&[gst::MessageType::Warning]) {
            let gst::MessageView::Warning(warning) = message.view() else { unreachable!() };
            said.push(warning.error().message().to_owned());
        }
    }
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains(r#"label "سيارة" is written as "syr@""#) && said[0].contains("other labels"), "{said:?}");
}
