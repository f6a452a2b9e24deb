//! One frame as one line of JSON.

use super::event::write_event;
use super::json::{self, iso8601, seconds};
use super::mask;
use crate::config::MaskFormat;
use crate::meta::{Classification, Embedding, Inference, Object, Record, TrackInfo, TrackState};
use model::{Keypoint, Rect};

/// What a line says about a frame besides its objects.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// The stream that the frame belongs to.
    pub stream: &'a str,
    /// The number of frames of this stream published before it.
    pub number: u64,
    /// Presentation timestamp, ns.
    pub pts: Option<u64>,
    /// When the camera captured it, ns since 1970-01-01 UTC, if the stream says so.
    pub captured: Option<u64>,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

/// Appends `frame` and its `record` to `out` as one line, including the newline. Objects have their masks in the format
/// `masks`.
pub fn write_line(out: &mut Vec<u8>, frame: &Frame, record: &Record, masks: MaskFormat) {
    out.extend_from_slice(br#"{"stream":"#);
    json::text(out, frame.stream);
    out.extend_from_slice(br#","frame":"#);
    json::whole(out, frame.number);
    out.extend_from_slice(br#","pts":"#);
    match frame.pts {
        Some(pts) => json::whole(out, pts),
        None => out.extend_from_slice(b"null"),
    }
    if let Some(ntp) = frame.captured.and_then(iso8601) {
        out.extend_from_slice(br#","ntp":"#);
        json::text(out, &ntp);
    }
    out.extend_from_slice(br#","width":"#);
    json::whole(out, frame.width);
    out.extend_from_slice(br#","height":"#);
    json::whole(out, frame.height);
    out.extend_from_slice(br#","inferred":{"#);
    json::list(out, &record.models, |out, run| {
        json::text(out, &run.model_id);
        out.extend_from_slice(match run.inference {
            Inference::Done => br#":"done""#,
            Inference::Interval => br#":"interval""#,
            Inference::Busy => br#":"busy""#,
            Inference::NoRegion => br#":"no-region""#,
        });
    });
    out.extend_from_slice(br#"},"objects":["#);
    let size = (frame.width, frame.height);
    json::list(out, &record.objects, |out, object| write_object(out, object, size, masks));
    out.push(b']');
    write_attributes(out, &record.classifications, &record.embeddings);
    if !record.events.is_empty() {
        out.extend_from_slice(br#","events":["#);
        json::list(out, &record.events, write_event);
        out.push(b']');
    }
    out.extend_from_slice(b"}\n");
}

/// `frame` is the frame's width and height in pixels.
fn write_object(out: &mut Vec<u8>, object: &Object, frame: (u32, u32), masks: MaskFormat) {
    let scale = (frame.0 as f32, frame.1 as f32);
    out.extend_from_slice(br#"{"id":"#);
    json::whole(out, object.id);
    out.extend_from_slice(br#","label":"#);
    json::text(out, &object.label);
    if let Some(class) = object.class_id {
        out.extend_from_slice(br#","class_id":"#);
        json::whole(out, class);
    }
    out.extend_from_slice(br#","confidence":"#);
    confidence(out, object.confidence);
    let Rect { x, y, w, h } = object.rect.scaled(scale.0, scale.1);
    out.extend_from_slice(br#","box":{"x":"#);
    pixels(out, x);
    out.extend_from_slice(br#","y":"#);
    pixels(out, y);
    out.extend_from_slice(br#","width":"#);
    pixels(out, w);
    out.extend_from_slice(br#","height":"#);
    pixels(out, h);
    if let Some(oriented) = &object.oriented {
        let oriented = oriented.scaled(scale.0, scale.1);
        out.extend_from_slice(br#"},"angle":"#);
        json::rounded::<4>(out, oriented.angle());
        out.extend_from_slice(br#","corners":["#);
        json::list(out, oriented.corners, |out, [x, y]| {
            out.extend_from_slice(br#"{"x":"#);
            pixels(out, x);
            out.extend_from_slice(br#","y":"#);
            pixels(out, y);
            out.push(b'}');
        });
        out.extend_from_slice(br#"],"source":"#);
    } else {
        out.extend_from_slice(br#"},"source":"#);
    }
    json::text(out, &object.source);
    if let Some(track) = object.track_id {
        out.extend_from_slice(br#","track_id":"#);
        json::whole(out, track);
    }
    if let Some(track) = &object.track {
        write_track(out, track, scale);
    }
    if let Some(parent) = object.parent {
        out.extend_from_slice(br#","parent":"#);
        json::whole(out, parent);
    }
    if let Some(set) = &object.keypoints {
        out.extend_from_slice(br#","keypoints":["#);
        let names = set.layout.names.iter().map(|name| Some(&**name)).chain(std::iter::repeat(None));
        json::list(out, set.points.iter().zip(names), |out, (point, name)| write_point(out, point, name, scale));
        out.extend_from_slice(br#"],"keypoints_source":"#);
        json::text(out, &set.source);
    }
    if let Some(mask) = &object.mask {
        mask::write(out, mask, &object.rect, frame, masks);
    }
    write_attributes(out, &object.classifications, &object.embeddings);
    out.push(b'}');
}

/// Appends the classes and vectors of an object or of the frame, if there are any.
fn write_attributes(out: &mut Vec<u8>, classifications: &[Classification], embeddings: &[Embedding]) {
    if !classifications.is_empty() {
        out.extend_from_slice(br#","classifications":["#);
        json::list(out, classifications, write_class);
        out.push(b']');
    }
    if !embeddings.is_empty() {
        out.extend_from_slice(br#","embeddings":["#);
        json::list(out, embeddings, |out, embedding| {
            out.extend_from_slice(br#"{"values":["#);
            json::list(out, &*embedding.values, |out, value| json::number(out, *value));
            out.extend_from_slice(br#"],"source":"#);
            json::text(out, &embedding.source);
            out.push(b'}');
        });
        out.push(b']');
    }
}

fn write_track(out: &mut Vec<u8>, track: &TrackInfo, scale: (f32, f32)) {
    out.extend_from_slice(match track.state {
        TrackState::Tentative => br#","track":{"state":"tentative","age_s":"#,
        TrackState::Confirmed => br#","track":{"state":"confirmed","age_s":"#,
        TrackState::Predicted => br#","track":{"state":"predicted","age_s":"#,
    });
    seconds(out, track.age);
    out.extend_from_slice(br#","velocity":{"x":"#);
    pixels(out, track.velocity.0 * scale.0);
    out.extend_from_slice(br#","y":"#);
    pixels(out, track.velocity.1 * scale.1);
    out.extend_from_slice(b"}}");
}

fn write_class(out: &mut Vec<u8>, class: &Classification) {
    out.extend_from_slice(br#"{"label":"#);
    json::text(out, &class.label);
    if let Some(id) = class.class_id {
        out.extend_from_slice(br#","class_id":"#);
        json::whole(out, id);
    }
    out.extend_from_slice(br#","confidence":"#);
    confidence(out, class.confidence);
    out.extend_from_slice(br#","source":"#);
    json::text(out, &class.source);
    out.push(b'}');
}

fn write_point(out: &mut Vec<u8>, point: &Keypoint, name: Option<&str>, scale: (f32, f32)) {
    match name {
        Some(name) => {
            out.extend_from_slice(br#"{"name":"#);
            json::text(out, name);
            out.extend_from_slice(br#","x":"#);
        }
        None => out.extend_from_slice(br#"{"x":"#),
    }
    pixels(out, point.x * scale.0);
    out.extend_from_slice(br#","y":"#);
    pixels(out, point.y * scale.1);
    out.extend_from_slice(br#","confidence":"#);
    confidence(out, point.confidence);
    out.push(b'}');
}

/// Appends a coordinate, rounded to 0.01 pixels.
fn pixels(out: &mut Vec<u8>, value: f32) {
    json::rounded::<2>(out, value);
}

/// Appends a confidence, rounded to 0.0001.
fn confidence(out: &mut Vec<u8>, value: f32) {
    json::rounded::<4>(out, value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::{Event, EventKind, EventObject, KeypointSet, ModelRun};
    use model::{KeypointLayout, OrientedBox};
    use std::sync::Arc;
    use std::time::Duration;
    use tracking::zones::Direction;

    const FRAME: Frame =
        Frame { stream: "a \"b\"\n", number: 7, pts: Some(5), captured: None, width: 1920, height: 1080 };

    fn json(frame: &Frame, record: &Record) -> String {
        let mut out = b"before\n".to_vec();
        write_line(&mut out, frame, record, MaskFormat::Rle);
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
                track_id: Some(u64::MAX),
                parent: Some(1),
                keypoints: Some(KeypointSet { source: "pose".into(), layout: Arc::new(layout), points }),
                ..Object::default()
            }],
            models: [Inference::Done, Inference::Interval, Inference::Busy, Inference::NoRegion]
                .into_iter()
                .zip(["a", "b", "c", "d"])
                .map(|(inference, id)| ModelRun { model_id: id.into(), inference })
                .collect(),
            ..Record::default()
        };
        let line = json(&FRAME, &record);
        let start = line.find("\"inferred\"").unwrap();
        assert_eq!(
            &line[start..],
            "\"inferred\":{\"a\":\"done\",\"b\":\"interval\",\"c\":\"busy\",\"d\":\"no-region\"},\
             \"objects\":[{\"id\":3,\"label\":\"person\",\"confidence\":0.8765,\
             \"box\":{\"x\":192.0,\"y\":360.0,\"width\":480.0,\"height\":540.0},\"source\":\"det\",\
             \"track_id\":18446744073709551615,\"parent\":1,\
             \"keypoints\":[{\"name\":\"nose\",\"x\":960.0,\"y\":270.0,\"confidence\":0.1235},\
             {\"x\":0.0,\"y\":0.0,\"confidence\":1.0}],\"keypoints_source\":\"pose\"}]}\n"
        );
    }

    /// In a frame of another shape than a square an angle isn't that of the fractions.
    #[test]
    fn an_oriented_box_has_its_angle_and_corners_in_pixels() {
        let oriented = OrientedBox::new(960.0, 540.0, 200.0, 100.0, std::f32::consts::FRAC_PI_6).unwrap();
        let oriented = oriented.scaled(1.0 / 1920.0, 1.0 / 1080.0);
        let object = Object { rect: oriented.enclosing(), oriented: Some(oriented), ..Object::default() };
        let line = json(&FRAME, &Record { objects: vec![object], models: vec![], ..Record::default() });
        assert!(
            line.contains(
                "\"box\":{\"x\":848.4,\"y\":446.7,\"width\":223.21,\"height\":186.6},\"angle\":0.5236,\
                 \"corners\":[{\"x\":898.4,\"y\":446.7},{\"x\":1071.6,\"y\":546.7},\
                 {\"x\":1021.6,\"y\":633.3},{\"x\":848.4,\"y\":533.3}],\"source\":"
            ),
            "{line}"
        );
    }

    #[test]
    fn classes_and_vectors_are_listed_where_there_are_some() {
        let class = |class_id, confidence| Classification {
            source: "colour".into(),
            class_id,
            label: "red".into(),
            confidence,
        };
        let embedding = Embedding { source: "reid".into(), values: [0.6, -0.8].into() };
        let object = Object {
            classifications: vec![class(Some(4), 0.75), class(None, 0.25)],
            embeddings: vec![embedding],
            ..Object::default()
        };
        let classifications = vec![class(None, 1.0)];
        let line = json(&FRAME, &Record { objects: vec![object], classifications, ..Record::default() });
        let start = line.find("\"source\"").unwrap();
        assert_eq!(
            &line[start..],
            "\"source\":\"\",\"classifications\":[\
             {\"label\":\"red\",\"class_id\":4,\"confidence\":0.75,\"source\":\"colour\"},\
             {\"label\":\"red\",\"confidence\":0.25,\"source\":\"colour\"}],\
             \"embeddings\":[{\"values\":[0.6,-0.8],\"source\":\"reid\"}]}],\
             \"classifications\":[{\"label\":\"red\",\"confidence\":1.0,\"source\":\"colour\"}]}\n"
        );
    }

    #[test]
    fn tracks_are_in_pixels_and_seconds() {
        let track =
            TrackInfo { state: TrackState::Predicted, age: Duration::from_micros(61_025_600), velocity: (0.1, -0.05) };
        let object = Object { track_id: Some(7), track: Some(track), ..Object::default() };
        let line = json(&FRAME, &Record { objects: vec![object], ..Record::default() });
        let expected = "\"track_id\":7,\"track\":{\"state\":\"predicted\",\"age_s\":61.026,\
                        \"velocity\":{\"x\":192.0,\"y\":-54.0}}}]";
        assert!(line.contains(expected), "{line}");
    }

    #[test]
    fn events_name_their_place_and_object() {
        let event = |kind, track: Option<u64>| Event {
            time: Duration::from_nanos(1_500_000_001),
            place: "door".into(),
            kind,
            object: track.map(|track| EventObject { track, class: "person".into() }),
            clip: track.filter(|track| *track == 5).map(|_| "20260504T123456.789Z-yard.mp4".into()),
        };
        let left = EventKind::Left { dwell: Duration::from_millis(2050), vanished: true };
        let events = vec![
            event(EventKind::Crossed(Direction::In), Some(3)),
            event(left, Some(4)),
            event(EventKind::Crowded { count: 6 }, None),
            event(EventKind::Dispersed { lasted: Duration::from_secs(9) }, None),
            event(EventKind::Loitering, Some(5)),
        ];
        let line = json(&FRAME, &Record { events, ..Record::default() });
        let start = line.find("\"events\"").unwrap();
        assert_eq!(
            &line[start..],
            "\"events\":[{\"type\":\"crossed\",\"line\":\"door\",\"pts\":1500000001,\"track_id\":3,\"label\":\"person\",\
             \"direction\":\"in\"},{\"type\":\"left\",\"zone\":\"door\",\"pts\":1500000001,\"track_id\":4,\
             \"label\":\"person\",\"dwell_s\":2.050,\"vanished\":true},{\"type\":\"crowded\",\"zone\":\"door\",\
             \"pts\":1500000001,\"count\":6},{\"type\":\"dispersed\",\"zone\":\"door\",\"pts\":1500000001,\
             \"lasted_s\":9.000},{\"type\":\"loitering\",\"zone\":\"door\",\"pts\":1500000001,\"track_id\":5,\
             \"label\":\"person\",\"clip\":\"20260504T123456.789Z-yard.mp4\"}]}\n"
        );
    }

    #[test]
    fn capture_time_keeps_its_nanoseconds() {
        let line = json(&Frame { captured: Some(1_777_898_096_000_000_789), ..FRAME }, &Record::default());
        assert!(line.contains("\"ntp\":\"2026-05-04T12:34:56.000000789Z\""), "{line}");
        assert!(!json(&Frame { captured: Some(u64::MAX), ..FRAME }, &Record::default()).contains("null"));
    }
}
