//! `GstAnalyticsRelationMeta`, written and read: on the library of the GStreamer that runs, and on a stand-in.
//!
//! A GStreamer before 1.24 has no such library, and none that a distribution has can do keypoints. `library.c` is one
//! that this test compiles; `standin` runs these tests in processes that find it first.

mod classes;
mod masks;
mod oriented;
mod reading;
mod regions;
mod standin;
mod upstream;
mod writing;

use super::objects::{self, HEIGHT, WIDTH, frame, through};
use gsttensorrt::meta::{Inference, KeypointSet, ModelRun, Object, Record};
use model::{Keypoint, KeypointLayout, Rect};
use std::sync::Arc;

/// No two have the same confidence.
fn object(id: u32, label: &str, rect: Rect) -> Object {
    Object { confidence: 0.75 + id as f32 / 64.0, ..objects::object(id, label, rect) }
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
        ..Record::default()
    }
}
