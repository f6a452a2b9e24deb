//! The JSON file beside a clip; docs/clip.schema.json describes it.

use super::incident::Cause;
use super::tracks::Tracks;
use super::unit::Time;
use crate::publish::write_event;
use gst::glib;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

/// A finished file.
#[derive(Debug, Clone)]
pub struct Part {
    /// The file's name, without extension.
    pub name: Arc<str>,
    /// The time of the first picture, and the end of the last.
    pub begin: Time,
    pub end: Time,
    /// When the first picture came.
    pub came: SystemTime,
    pub frames: u64,
    /// Whether nothing is missing that the camera has sent.
    pub is_complete: bool,
}

/// The text of a part's document.
pub fn text(
    camera: &str,
    part: &Part,
    names: &[Arc<str>],
    causes: &[Cause],
    tracks: &Tracks,
    size: (u32, u32),
) -> String {
    let at = |time: Time| seconds(time.saturating_sub(part.begin));
    let mut document = json!({
        "clip": super::writer::video(&part.name),
        "camera": camera,
        "begin": wall_time(part.came),
        "begin_pts": part.begin,
        "duration_s": at(part.end),
        "frames": part.frames,
        "complete": part.is_complete,
        "events": causes.iter().map(|cause| event(cause, at(cause.time))).collect::<Vec<_>>(),
        "width": size.0,
        "height": size.1,
        "tracks": objects(part, tracks, size),
    });
    if let Some(document) = document.as_object_mut() {
        if names.len() > 1 {
            let parts: Vec<_> = names.iter().map(|name| super::writer::video(name)).collect();
            document.insert("parts".into(), parts.into());
        }
        if tracks.left_out() > 0 {
            document.insert("boxes_left_out".into(), tracks.left_out().into());
        }
    }
    format!("{document}\n")
}

/// An event as in its frame's line, with its rule and its place in the clip.
fn event(cause: &Cause, at: f64) -> Value {
    let mut event = Map::new();
    event.insert("rule".into(), (*cause.rule).into());
    event.insert("at_s".into(), at.into());
    if let Some(of_zone) = &cause.event {
        let mut text = Vec::new();
        write_event(&mut text, of_zone);
        if let Ok(Value::Object(keys)) = serde_json::from_slice(&text) {
            event.extend(keys);
        }
    }
    if let Some(text) = &cause.text {
        event.insert("text".into(), text.as_str().into());
    }
    Value::Object(event)
}

/// The objects with a track in this part, and their boxes in pixels.
fn objects(part: &Part, tracks: &Tracks, size: (u32, u32)) -> Vec<Value> {
    let mut objects: BTreeMap<u64, (&str, Vec<Value>)> = BTreeMap::new();
    for seen in tracks.frames().filter(|seen| (part.begin..part.end).contains(&seen.time)) {
        for (track, label, rect) in &seen.boxes {
            let rect = rect.scaled(size.0 as f32, size.1 as f32);
            let pixels = |value: f32| (f64::from(value) * 100.0).round() / 100.0;
            let object = objects.entry(*track).or_insert_with(|| (label, Vec::new()));
            object.1.push(json!({
                "at_s": seconds(seen.time - part.begin),
                "x": pixels(rect.x), "y": pixels(rect.y), "width": pixels(rect.w), "height": pixels(rect.h),
            }));
        }
    }
    objects
        .into_iter()
        .map(|(track, (label, boxes))| json!({ "track_id": track, "label": label, "boxes": boxes }))
        .collect()
}

/// Seconds, rounded to milliseconds.
fn seconds(time: Time) -> f64 {
    (time as f64 / 1e6).round() / 1e3
}

/// For example `2026-05-04T12:34:56.789Z`; `null` for a clock that is wrong by millennia.
fn wall_time(time: SystemTime) -> Value {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let whole = i64::try_from(since.as_secs()).ok().and_then(|seconds| glib::DateTime::from_unix_utc(seconds).ok());
    let text = whole.and_then(|time| time.format("%Y-%m-%dT%H:%M:%S").ok());
    text.map_or(Value::Null, |text| format!("{text}.{:03}Z", since.subsec_millis()).into())
}
