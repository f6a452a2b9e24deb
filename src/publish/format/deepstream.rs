//! DeepStream's minimal JSON payload (the plugin guide's page on Gst-nvmsgconv): one message a frame, each object a text with fields
//! between bars.

use super::super::json::{self, iso8601};
use super::super::line::Frame;
use super::now;
use crate::meta::{Object, Record};

/// Of the schema.
pub const VERSION: &str = "4.0";

/// The id of an object without a track.
const UNTRACKED: &str = "-1";

/// Appends a frame and its objects as one line, including the newline.
pub fn write_line(out: &mut Vec<u8>, frame: &Frame, record: &Record) {
    out.extend_from_slice(br#"{"version":"#);
    json::text(out, VERSION);
    out.extend_from_slice(br#","id":""#);
    json::whole(out, frame.number);
    out.extend_from_slice(br#"","@timestamp":"#);
    json::text(out, &timestamp(frame.captured.unwrap_or_else(now)));
    out.extend_from_slice(br#","sensorId":"#);
    json::text(out, frame.stream);
    out.extend_from_slice(br#","objects":["#);
    let (mut text, scale) = (Vec::new(), (frame.width as f32, frame.height as f32));
    json::list(out, &record.objects, |out, object| {
        text.clear();
        write_object(&mut text, object, scale);
        json::text(out, &String::from_utf8_lossy(&text));
    });
    out.extend_from_slice(b"]}\n");
}

/// `id|left|top|right|bottom|label|#|CLASS|…|confidence`, pixels.
fn write_object(out: &mut Vec<u8>, object: &Object, scale: (f32, f32)) {
    match object.track_id {
        Some(track) => json::whole(out, track),
        None => out.extend_from_slice(UNTRACKED.as_bytes()),
    }
    let rect = object.rect.scaled(scale.0, scale.1);
    for edge in [rect.x, rect.y, rect.x + rect.w, rect.y + rect.h] {
        out.push(b'|');
        json::rounded::<2>(out, edge);
    }
    field(out, &object.label);
    field(out, "#");
    for class in &object.classifications {
        field(out, &class.label);
    }
    out.push(b'|');
    json::rounded::<4>(out, object.confidence);
}

/// Appends a field, in which a bar would begin another.
fn field(out: &mut Vec<u8>, text: &str) {
    out.push(b'|');
    out.extend(text.bytes().map(|byte| if byte == b'|' { b'/' } else { byte }));
}

/// Milliseconds, as the converter writes them.
fn timestamp(ns: u64) -> String {
    let mut text = iso8601(ns).unwrap_or_default();
    text.truncate(text.len().saturating_sub("000000Z".len()));
    text.push('Z');
    text
}

#[cfg(test)]
mod tests {
    use super::super::tests::{FRAME, record};
    use super::*;

    #[test]
    fn the_payload_is_that_of_the_golden_file() {
        let mut line = Vec::new();
        write_line(&mut line, &FRAME, &record());
        assert_eq!(String::from_utf8(line).unwrap(), include_str!("../../../tests/data/deepstream.json"));
    }
}
