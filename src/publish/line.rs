//! One frame as one line of JSON.

use super::number::FewDecimals;
use crate::meta::{Inference, KeypointSet, Object, Record};
use crate::model::{Keypoint, Rect};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::sync::Arc;

/// What a line says about a frame besides its objects.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// Which stream it's of.
    pub stream: &'a str,
    /// Frames of this stream published before it.
    pub number: u64,
    /// Presentation timestamp, ns.
    pub pts: Option<u64>,
    /// When the camera took it, ns since 1970-01-01 UTC, where the stream tells.
    pub captured: Option<u64>,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

/// Appends `frame` and its `record` to `out` as one line, with the newline.
///
/// # Errors
/// None that can be caused from outside: all keys are strings, and `out` takes everything.
pub fn write_line(out: &mut Vec<u8>, frame: &Frame, record: &Record) -> serde_json::Result<()> {
    let line = Line {
        stream: frame.stream,
        frame: frame.number,
        pts: frame.pts,
        ntp: frame.captured.and_then(iso8601),
        width: frame.width,
        height: frame.height,
        inferred: Inferred(record),
        objects: Objects { record, scale: (frame.width as f32, frame.height as f32) },
    };
    line.serialize(&mut serde_json::Serializer::with_formatter(&mut *out, FewDecimals))?;
    out.push(b'\n');
    Ok(())
}

#[derive(serde::Serialize)]
struct Line<'a> {
    stream: &'a str,
    frame: u64,
    pts: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ntp: Option<String>,
    width: u32,
    height: u32,
    inferred: Inferred<'a>,
    objects: Objects<'a>,
}

struct Inferred<'a>(&'a Record);

impl Serialize for Inferred<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.models.len()))?;
        for run in &self.0.models {
            let inference = match run.inference {
                Inference::Done => "done",
                Inference::Interval => "interval",
                Inference::Busy => "busy",
                Inference::NoRegion => "no-region",
            };
            map.serialize_entry(&*run.model_id, inference)?;
        }
        map.end()
    }
}

struct Objects<'a> {
    record: &'a Record,
    /// Pixels of the frame, width and height.
    scale: (f32, f32),
}

impl Serialize for Objects<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.record.objects.iter().map(|object| ObjectJson::new(object, self.scale)))
    }
}

#[derive(serde::Serialize)]
struct ObjectJson<'a> {
    id: u32,
    label: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    class_id: Option<u32>,
    confidence: f64,
    #[serde(rename = "box")]
    rect: BoxJson,
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keypoints: Option<Points<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keypoints_source: Option<&'a str>,
}

impl<'a> ObjectJson<'a> {
    fn new(object: &'a Object, scale: (f32, f32)) -> Self {
        Self {
            id: object.id,
            label: &object.label,
            class_id: object.class_id,
            confidence: confidence(object.confidence),
            rect: BoxJson::new(object.rect.scaled(scale.0, scale.1)),
            source: &object.source,
            parent: object.parent,
            keypoints: object.keypoints.as_ref().map(|set| Points { set, scale }),
            keypoints_source: object.keypoints.as_ref().map(|set| &*set.source),
        }
    }
}

#[derive(serde::Serialize)]
struct BoxJson {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

impl BoxJson {
    fn new(Rect { x, y, w, h }: Rect) -> Self {
        Self { x: pixels(x), y: pixels(y), width: pixels(w), height: pixels(h) }
    }
}

struct Points<'a> {
    set: &'a KeypointSet,
    scale: (f32, f32),
}

impl Serialize for Points<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let names = self.set.layout.names.iter().map(Some).chain(std::iter::repeat(None));
        serializer
            .collect_seq(self.set.points.iter().zip(names).map(|(point, name)| PointJson::new(point, name, self.scale)))
    }
}

#[derive(serde::Serialize)]
struct PointJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    x: f64,
    y: f64,
    confidence: f64,
}

impl<'a> PointJson<'a> {
    fn new(point: &Keypoint, name: Option<&'a Arc<str>>, scale: (f32, f32)) -> Self {
        Self {
            name: name.map(|name| &**name),
            x: pixels(point.x * scale.0),
            y: pixels(point.y * scale.1),
            confidence: confidence(point.confidence),
        }
    }
}

/// To 0.01 pixels.
fn pixels(value: f32) -> f64 {
    decimals(value, 100.0)
}

/// To 0.0001.
fn confidence(value: f32) -> f64 {
    decimals(value, 10_000.0)
}

/// Numbers beyond are whole.
const WHOLE: f64 = (1_u64 << 52) as f64;

/// Rounds, so that lines stay short. JSON has no infinities: what isn't a number becomes 0.
fn decimals(value: f32, parts: f64) -> f64 {
    let scaled = f64::from(value) * parts;
    if scaled.abs() < WHOLE {
        // Halves away from zero, without a call of the C library; the sum is exact where it matters.
        (scaled + 0.5_f64.copysign(scaled)) as i64 as f64 / parts
    } else if value.is_finite() {
        value.into()
    } else {
        0.0
    }
}

/// `ns` since 1970 as for example `2026-05-04T12:34:56.789000000Z`; `None` beyond the year 9999.
fn iso8601(ns: u64) -> Option<String> {
    let (seconds, nanos) = (ns / 1_000_000_000, ns % 1_000_000_000);
    let time = gst::glib::DateTime::from_unix_utc(i64::try_from(seconds).ok()?).ok()?;
    Some(format!("{}.{nanos:09}Z", time.format("%Y-%m-%dT%H:%M:%S").ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::ModelRun;
    use crate::model::KeypointLayout;

    #[test]
    fn numbers_are_rounded_halves_away_from_zero() {
        for value in
            [0.0_f32, 0.004_999, 0.005, 0.015, 0.125, 1919.995, 1919.994, 7.0, 16_777_215.0, 1e9, 1e15, 1e16, 3e38]
        {
            for value in [value, -value, 1.0 / value] {
                let rounded = if value.is_finite() { (f64::from(value) * 100.0).round() / 100.0 } else { 0.0 };
                assert!((decimals(value, 100.0) - rounded).abs() <= rounded.abs() * f64::EPSILON, "{value}");
            }
        }
        assert_eq!([f32::NAN, f32::INFINITY, f32::NEG_INFINITY].map(pixels), [0.0; 3]);
    }

    const FRAME: Frame =
        Frame { stream: "a \"b\"\n", number: 7, pts: Some(5), captured: None, width: 1920, height: 1080 };

    fn json(frame: &Frame, record: &Record) -> String {
        let mut out = b"before\n".to_vec();
        write_line(&mut out, frame, record).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.strip_prefix("before\n").unwrap().to_owned()
    }

    #[test]
    fn a_frame_without_record_is_a_line_too() {
        assert_eq!(
            json(&Frame { pts: None, ..FRAME }, &Record::default()),
            "{\"stream\":\"a \\\"b\\\"\\n\",\"frame\":7,\"pts\":null,\"width\":1920,\"height\":1080,\"inferred\":{},\
             \"objects\":[]}\n"
        );
    }

    #[test]
    fn objects_are_in_pixels_with_few_decimals() {
        let layout = KeypointLayout { name: "one", names: vec!["nose".into()], limbs: vec![] };
        let points = vec![
            Keypoint { x: 0.5, y: 0.25, confidence: 0.123_456 },
            Keypoint { x: f32::NAN, y: f32::INFINITY, confidence: 1.0 },
        ];
        let record = Record {
            objects: vec![Object {
                id: 3,
                rect: Rect::new(0.1, 1.0 / 3.0, 0.25, 0.5),
                class_id: None,
                label: "person".into(),
                confidence: 0.876_543,
                source: "det".into(),
                parent: Some(1),
                keypoints: Some(KeypointSet { source: "pose".into(), layout: Arc::new(layout), points }),
            }],
            models: [Inference::Done, Inference::Interval, Inference::Busy, Inference::NoRegion]
                .into_iter()
                .zip(["a", "b", "c", "d"])
                .map(|(inference, id)| ModelRun { model_id: id.into(), inference })
                .collect(),
        };
        let line = json(&FRAME, &record);
        let start = line.find("\"inferred\"").unwrap();
        assert_eq!(
            &line[start..],
            "\"inferred\":{\"a\":\"done\",\"b\":\"interval\",\"c\":\"busy\",\"d\":\"no-region\"},\
             \"objects\":[{\"id\":3,\"label\":\"person\",\"confidence\":0.8765,\
             \"box\":{\"x\":192.0,\"y\":360.0,\"width\":480.0,\"height\":540.0},\"source\":\"det\",\"parent\":1,\
             \"keypoints\":[{\"name\":\"nose\",\"x\":960.0,\"y\":270.0,\"confidence\":0.1235},\
             {\"x\":0.0,\"y\":0.0,\"confidence\":1.0}],\"keypoints_source\":\"pose\"}]}\n"
        );
    }

    #[test]
    fn capture_time_keeps_its_nanoseconds() {
        let line = json(&Frame { captured: Some(1_777_898_096_000_000_789), ..FRAME }, &Record::default());
        assert!(line.contains("\"ntp\":\"2026-05-04T12:34:56.000000789Z\""), "{line}");
        assert!(!json(&Frame { captured: Some(u64::MAX), ..FRAME }, &Record::default()).contains("null"));
    }
}
