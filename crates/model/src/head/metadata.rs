//! The metadata that Ultralytics writes into ONNX files.

use super::super::keypoint_layout::unnamed_keypoint;
use super::super::labels::{Labels, unnamed};
use super::HeadError;
use super::literal::Literal;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A file with more classes, keypoints or values per keypoint is considered corrupt.
const MAX_CLASSES: usize = 100_000;
const MAX_KEYPOINTS: usize = 1_000;

/// The exporter that wrote a file.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Writer {
    Ultralytics,
    /// Another exporter, as the given entry states.
    Other(String),
    /// The file doesn't state its exporter.
    #[default]
    Unknown,
}

/// The entries that determine how a model's tensors are read. All are empty for models of other exporters.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Metadata {
    pub(super) writer: Writer,
    /// `detect`, `pose`, `segment`, `obb`, `classify`, …
    pub(super) task: Option<String>,
    /// Class names in class order.
    pub(super) names: Option<Labels>,
    /// Height and width in pixels.
    pub(super) imgsz: Option<(u32, u32)>,
    /// Keypoints per person, and values per keypoint: 2 (x, y) or 3 (x, y, confidence).
    pub(super) kpt_shape: Option<(usize, usize)>,
    /// Names of the keypoints; never empty.
    pub(super) kpt_names: Option<Vec<Arc<str>>>,
    /// Whether output rows are final objects: an end-to-end model, or one exported with NMS inside (`nms=True`).
    pub(super) end_to_end: Option<bool>,
}

impl Metadata {
    /// # Errors
    /// An entry can't be parsed.
    pub(super) fn parse(entries: &BTreeMap<String, String>) -> Result<Self, HeadError> {
        let read = |key: &str| entries.get(key).map(|text| (text, Literal::parse(text)));
        let bad = |key: &str, text: &str, wanted: &str| {
            let text: String = text.chars().take(80).collect();
            HeadError::Unknown(format!("the model's metadata entry {key} is {text:?}, expected {wanted}"))
        };
        let names = match read("names").filter(|(text, value)| !is_nothing(text, value.as_ref())) {
            None => None,
            Some((text, value)) => {
                Some(value.as_ref().and_then(labels).ok_or_else(|| bad("names", text, "{0: 'name', 1: 'name', …}"))?)
            }
        };
        let imgsz = match read("imgsz") {
            None => None,
            Some((text, value)) => Some(
                value
                    .as_ref()
                    .and_then(pair)
                    .and_then(|(h, w)| Some((u32::try_from(h).ok()?, u32::try_from(w).ok()?)))
                    .ok_or_else(|| bad("imgsz", text, "[height, width]"))?,
            ),
        };
        let kpt_shape = match read("kpt_shape") {
            None => None,
            Some((text, value)) => Some(
                value
                    .as_ref()
                    .and_then(pair)
                    .filter(|(count, dims)| (1..=MAX_KEYPOINTS).contains(count) && matches!(dims, 2 | 3))
                    .ok_or_else(|| bad("kpt_shape", text, "[keypoints, 2 or 3]"))?,
            ),
        };
        let kpt_names = match read("kpt_names").filter(|(text, value)| !is_nothing(text, value.as_ref())) {
            None => None,
            Some((text, value)) => {
                let count = kpt_shape.map(|(count, _)| count);
                let names = value.as_ref().and_then(keypoint_names).filter(|n| count.is_none_or(|c| c == n.len()));
                let wanted = || match count {
                    Some(count) => format!("{{0: ['name', 'name', …]}} with the {count} names that kpt_shape asks for"),
                    None => "{0: ['name', 'name', …]}".to_owned(),
                };
                Some(names.ok_or_else(|| bad("kpt_names", text, &wanted()))?)
            }
        };
        let end2end = match read("end2end") {
            None => None,
            Some((_, Some(Literal::Bool(value)))) => Some(value),
            Some((text, _)) => return Err(bad("end2end", text, "True or False")),
        };
        let nms = read("args").and_then(|(_, args)| args?.get("nms").cloned()) == Some(Literal::Bool(true));
        let text = |key: &str| entries.get(key).map(|t| t.trim().to_owned()).filter(|t| !t.is_empty());
        let writer = match (text("author"), text("model_family")) {
            (Some(author), None) if author.eq_ignore_ascii_case("ultralytics") => Writer::Ultralytics,
            (_, Some(family)) => Writer::Other(format!("the model family {family}")),
            (Some(author), None) => Writer::Other(author),
            (None, None) => Writer::Unknown,
        };
        let end_to_end = if nms { Some(true) } else { end2end };
        Ok(Self { writer, task: text("task"), names, imgsz, kpt_shape, kpt_names, end_to_end })
    }

    /// Whether the metadata identifies the file as an Ultralytics export.
    pub(super) fn is_ultralytics(&self) -> bool {
        self.writer == Writer::Ultralytics || (self.task.is_some() && self.names.is_some())
    }

    pub(super) fn classes(&self) -> Option<usize> {
        self.names.as_ref().map(Labels::len)
    }
}

/// Reads a dictionary from class id to name, or a list of names; a missing id gets a generated name.
fn labels(value: &Literal) -> Option<Labels> {
    let mut by_id = BTreeMap::new();
    match value {
        Literal::Dict(entries) => {
            for (id, name) in entries {
                by_id.insert(id.as_index()?, name);
            }
        }
        Literal::List(names) => by_id.extend(names.iter().enumerate()),
        _ => return None,
    }
    let classes = by_id.last_key_value()?.0 + 1;
    if classes > MAX_CLASSES {
        return None;
    }
    let name = |id: usize| match by_id.get(&id) {
        Some(Literal::Text(name)) if !name.trim().is_empty() => name.trim().to_owned(),
        Some(Literal::Number(number)) => number.to_string(),
        _ => unnamed(id),
    };
    Some(Labels((0..classes).map(|id| name(id).into()).collect()))
}

/// Whether an entry has no content: it is empty, `None`, `{}` or `[]`.
fn is_nothing(text: &str, value: Option<&Literal>) -> bool {
    match value {
        Some(Literal::None) => true,
        Some(Literal::List(items)) => items.is_empty(),
        Some(Literal::Dict(entries)) => entries.is_empty(),
        Some(_) => false,
        None => text.trim().is_empty(),
    }
}

/// Reads a list of names, or the first class's of one list per class, because all classes have the same keypoints.
fn keypoint_names(value: &Literal) -> Option<Vec<Arc<str>>> {
    let names = match value {
        Literal::List(names) => names,
        Literal::Dict(classes) => match &classes.first()?.1 {
            Literal::List(names) => names,
            _ => return None,
        },
        _ => return None,
    };
    let name = |(k, name): (usize, &Literal)| match name {
        Literal::Text(name) if !name.trim().is_empty() => Some(name.trim().into()),
        Literal::Number(number) => Some(number.to_string().into()),
        Literal::Text(_) | Literal::None => Some(unnamed_keypoint(k).into()),
        _ => None,
    };
    (names.len() <= MAX_KEYPOINTS).then(|| names.iter().enumerate().map(name).collect())?
}

/// Reads two integers; a single one stands for both.
fn pair(value: &Literal) -> Option<(usize, usize)> {
    match value {
        Literal::List(items) => match items.as_slice() {
            [a, b] => Some((a.as_index()?, b.as_index()?)),
            [a] => a.as_index().map(|a| (a, a)),
            _ => None,
        },
        _ => value.as_index().map(|a| (a, a)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(entries: &[(&str, &str)]) -> Result<Metadata, HeadError> {
        Metadata::parse(&entries.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn reads_an_export() {
        let m = parse(&[
            ("names", "{0: 'person', 2: 'car'}"),
            ("task", "pose"),
            ("imgsz", "[384, 640]"),
            ("kpt_shape", "[17, 3]"),
            ("end2end", "False"),
            ("args", "{'batch': 1, 'nms': True}"),
        ])
        .unwrap();
        assert_eq!(m.names, Some(Labels::from_names(&["person", "class 1", "car"])));
        assert_eq!((m.imgsz, m.kpt_shape, m.end_to_end), (Some((384, 640)), Some((17, 3)), Some(true)));
        assert!(m.is_ultralytics());
        assert_eq!(parse(&[("imgsz", "640")]).unwrap().imgsz, Some((640, 640)));
        assert_eq!(parse(&[("end2end", "False")]).unwrap().end_to_end, Some(false));
        assert_eq!(parse(&[]).unwrap(), Metadata::default());
        assert!(!parse(&[]).unwrap().is_ultralytics());
    }

    #[test]
    fn an_unreadable_entry_is_an_error_that_names_it() {
        let bad = [
            ("names", "{0: "),
            ("names", "{0: 'a'} b"),
            ("names", "{4294967295: 'a'}"),
            ("names", "{-1: 'a'}"),
            ("imgsz", "[640, x]"),
            ("imgsz", "[1, 2, 3]"),
            ("kpt_shape", "[17, 4]"),
            ("kpt_shape", "[0, 3]"),
            ("kpt_names", "{0: 'nose'}"),
            ("kpt_names", "nose"),
        ];
        for (key, value) in bad {
            let error = parse(&[(key, value)]).unwrap_err().to_string();
            assert!(error.contains(key) && error.contains(value), "{error}");
        }
    }
}
