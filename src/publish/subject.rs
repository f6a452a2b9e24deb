//! What a line is about, by which an output may send it elsewhere than other lines.

use std::sync::Arc;

/// The kinds of lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineKind {
    /// A frame and its objects.
    Objects,
    /// Something that happened in a zone or on a line.
    Event,
    /// What has been counted so far in the zone or on the line of this name. The latest line is all that a reader needs, so that
    /// outputs which can keep one line per key keep this one.
    Totals(Arc<str>),
}

impl LineKind {
    /// Events and totals are rare, and what they say isn't said again with the next frame.
    pub fn is_of_frame(&self) -> bool {
        *self == Self::Objects
    }
}

/// What lines that are written together have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The stream's name.
    pub stream: Arc<str>,
    pub kind: LineKind,
}

impl Subject {
    /// A frame's objects.
    pub fn objects(stream: impl Into<Arc<str>>) -> Self {
        Self { stream: stream.into(), kind: LineKind::Objects }
    }
}
