//! `GstAnalyticsRelationMeta`, written and read: on the library of the GStreamer that runs, and on a stand-in.
//!
//! A GStreamer before 1.24 has no such library, and none that a distribution has can do keypoints. `library.c` is one
//! that this test compiles; `standin` runs these tests in processes that find it first.

mod reading;
mod regions;
mod standin;
mod upstream;
mod writing;

use gsttensorrt::meta::{Inference, KeypointSet, ModelRun, Object, Record};
use model::{Keypoint, KeypointLayout, Rect};
use std::sync::Arc;

const WIDTH: u32 = 320;
const HEIGHT: u32 = 240;

fn object(id: u32, label: &str, rect: Rect) -> Object {
    Object {
        id,
        rect,
        class_id: Some(id + 10),
        label: label.into(),
        // No two have the same.
        confidence: 0.75 + id as f32 / 64.0,
        source: "det".into(),
        foreign: false,
        track_id: None,
        parent: None,
        keypoints: None,
    }
}

/// Two objects, the second inside the first and with two keypoints, of which one is outside of its box.
fn sample() -> Record {
    let layout = KeypointLayout { name: "pair", names: vec!["hand".into(), "foot".into()], limbs: vec![(0, 1)] };
    let points = vec![Keypoint { x: 0.3, y: 0.45, confidence: 0.875 }, Keypoint { x: 0.5, y: 0.6, confidence: 0.125 }];
    let mut person = object(1, "person", Rect::new(0.25, 0.3, 0.2, 0.6));
    person.parent = Some(0);
    person.keypoints = Some(KeypointSet { source: "pose".into(), layout: Arc::new(layout), points });
    Record {
        objects: vec![object(0, "car", Rect::new(-0.1, 0.25, 0.6, 0.7)), person],
        models: ["det", "pose"].map(|id| ModelRun { model_id: id.into(), inference: Inference::Done }).to_vec(),
    }
}

fn frame() -> gst::Buffer {
    gst::init().unwrap();
    let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, WIDTH, HEIGHT).build().unwrap();
    gst::Buffer::with_size(info.size()).unwrap()
}

/// The output of `elements` for `buffer`, an RGB frame.
fn through(elements: &str, buffer: gst::Buffer) -> gst::Buffer {
    let mut harness = gst_check::Harness::new_parse(elements);
    harness.set_src_caps_str(&format!("video/x-raw,format=RGB,width={WIDTH},height={HEIGHT},framerate=30/1"));
    harness.push_and_pull(buffer).unwrap()
}
