//! DeepStream's protobuf payload: the message `nv.Frame` of its public schema.proto (the numbers are those of the documentation of
//! NVIDIA's video search and summarization, "Protobuf Schema").

use super::super::line::Frame as Of;
use super::super::origin::Origin;
use super::deepstream::VERSION;
use super::now;
use crate::meta::{self, Record};
use prost::Message;
use std::collections::BTreeMap;

#[derive(Clone, PartialEq, Message)]
struct Frame {
    #[prost(string, tag = "1")]
    version: String,
    #[prost(string, tag = "2")]
    id: String,
    #[prost(message, optional, tag = "3")]
    timestamp: Option<Timestamp>,
    #[prost(string, tag = "4")]
    sensor_id: String,
    #[prost(message, repeated, tag = "5")]
    objects: Vec<Object>,
    #[prost(btree_map = "string, string", tag = "12")]
    info: BTreeMap<String, String>,
}

/// google.protobuf.Timestamp
#[derive(Clone, PartialEq, Message)]
struct Timestamp {
    /// Since 1970-01-01 UTC.
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Object {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(message, optional, tag = "2")]
    bbox: Option<Bbox>,
    #[prost(string, tag = "3")]
    kind: String,
    #[prost(float, tag = "4")]
    confidence: f32,
    /// Classes, by the model that gave them.
    #[prost(btree_map = "string, string", tag = "5")]
    info: BTreeMap<String, String>,
    #[prost(message, optional, tag = "6")]
    embedding: Option<Embedding>,
}

/// Pixels.
#[derive(Clone, PartialEq, Message)]
struct Bbox {
    #[prost(float, tag = "1")]
    left: f32,
    #[prost(float, tag = "2")]
    top: f32,
    #[prost(float, tag = "3")]
    right: f32,
    #[prost(float, tag = "4")]
    bottom: f32,
}

#[derive(Clone, PartialEq, Message)]
struct Embedding {
    #[prost(float, repeated, tag = "1")]
    vector: Vec<f32>,
}

/// Appends a frame and its objects, and a newline that doesn't belong to the message.
pub fn write_line(out: &mut Vec<u8>, frame: &Of, record: &Record, origin: Option<&Origin>) {
    let ns = frame.captured.unwrap_or_else(now);
    let info = origin.into_iter().flat_map(|Origin { host, epoch }| {
        [("host".to_owned(), host.to_string()), ("epoch".to_owned(), epoch.to_string())]
    });
    let scale = (frame.width as f32, frame.height as f32);
    let message = Frame {
        version: VERSION.into(),
        id: frame.number.to_string(),
        timestamp: Some(Timestamp {
            seconds: i64::try_from(ns / 1_000_000_000).unwrap_or_default(),
            nanos: (ns % 1_000_000_000) as i32,
        }),
        sensor_id: frame.stream.to_owned(),
        objects: record.objects.iter().map(|object| self::object(object, scale)).collect(),
        info: info.collect(),
    };
    out.reserve(message.encoded_len() + 1);
    // This fails only where the buffer has no room.
    let _ = message.encode(out);
    out.push(b'\n');
}

fn object(object: &meta::Object, scale: (f32, f32)) -> Object {
    let rect = object.rect.scaled(scale.0, scale.1);
    let mut info = BTreeMap::new();
    for class in &object.classifications {
        // The first of a model is the most confident.
        info.entry(class.source.to_string()).or_insert_with(|| class.label.to_string());
    }
    Object {
        id: object.track_id.map_or_else(|| "-1".to_owned(), |track| track.to_string()),
        bbox: Some(Bbox { left: rect.x, top: rect.y, right: rect.x + rect.w, bottom: rect.y + rect.h }),
        kind: object.label.to_string(),
        confidence: object.confidence,
        info,
        embedding: object.embeddings.first().map(|embedding| Embedding { vector: embedding.values.to_vec() }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{FRAME, record};
    use super::*;

    #[test]
    fn the_message_is_that_of_the_golden_file() {
        let mut line = Vec::new();
        write_line(&mut line, &FRAME, &record(), None);
        assert_eq!(line.pop(), Some(b'\n'));
        let hex: String =
            line.chunks(32).map(|row| row.iter().map(|b| format!("{b:02x}")).collect::<String>() + "\n").collect();
        assert_eq!(hex, include_str!("../../../tests/data/deepstream-protobuf.hex"));
    }

    #[test]
    fn the_host_is_in_the_info() {
        let mut line = Vec::new();
        write_line(&mut line, &FRAME, &record(), Some(&Origin { host: "gpu-7".into(), epoch: 3 }));
        let message = Frame::decode(&line[..line.len() - 1]).unwrap();
        assert_eq!(
            message.info.into_iter().collect::<Vec<_>>(),
            [("epoch".into(), "3".into()), ("host".into(), "gpu-7".into())]
        );
    }
}
