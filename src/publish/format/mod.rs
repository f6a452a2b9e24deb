//! How lines are written: our JSON, or what readers of DeepStream's message converter understand.

pub mod deepstream;
pub mod protobuf;

/// The time since 1970-01-01 UTC, ns: that of a frame whose capture time isn't known.
fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::line::Frame;
    use crate::meta::{Classification, Embedding, Object, Record};
    use model::Rect;

    /// 2026-05-04T12:34:56.789Z
    pub const FRAME: Frame = Frame {
        stream: "door",
        number: 42,
        pts: Some(1_400_000_000),
        captured: Some(1_777_898_096_789_000_000),
        width: 1920,
        height: 1080,
    };

    /// A tracked object with a class and an embedding, and one with neither.
    pub fn record() -> Record {
        let object = |label: &str, x: f32| Object {
            label: label.into(),
            rect: Rect { x, y: 0.25, w: 0.125, h: 0.5 },
            confidence: 0.875,
            source: "detect".into(),
            ..Object::default()
        };
        let car = Object {
            track_id: Some(7),
            classifications: vec![Classification {
                source: "colour".into(),
                label: "dark|blue".into(),
                confidence: 0.5,
                class_id: None,
            }],
            embeddings: vec![Embedding { source: "reid".into(), values: vec![0.5, -0.25].into() }],
            ..object("car", 0.5)
        };
        Record { objects: vec![car, object("person \"x\"", 0.0)], ..Record::default() }
    }
}
