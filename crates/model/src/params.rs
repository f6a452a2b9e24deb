//! The thresholds and filters that travel with a frame.

use std::collections::{BTreeMap, BTreeSet};

/// Thresholds and filters of one request. They never affect whether two elements can share a service.
#[derive(Debug, Clone, PartialEq)]
pub struct Params {
    /// Minimum confidence, 0–1.
    pub confidence: f32,
    /// Minimum confidence by class id, which replaces `confidence`.
    pub class_confidence: BTreeMap<u32, f32>,
    /// Two boxes with an intersection over union above this value, 0–1, are one object. End-to-end heads ignore it.
    pub iou: f32,
    /// Non-maximum suppression across classes instead of within each.
    pub class_agnostic: bool,
    /// The classes to keep; `None` keeps all.
    pub classes: Option<BTreeSet<u32>>,
    /// The maximum number of objects; the most confident are kept.
    pub max_detections: usize,
    /// Minimum box width and height, in frame pixels.
    pub min_size: (u32, u32),
    /// Maximum box width and height, in frame pixels; 0: no limit.
    pub max_size: (u32, u32),
    /// Whether to return the raw output tensors too.
    pub output_tensors: bool,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            confidence: 0.25,
            class_confidence: BTreeMap::new(),
            iou: 0.45,
            class_agnostic: false,
            classes: None,
            max_detections: 300,
            min_size: (0, 0),
            max_size: (0, 0),
            output_tensors: false,
        }
    }
}

impl Params {
    /// The minimum confidence for this class, or `None` if the class is filtered out.
    pub fn threshold(&self, class_id: u32) -> Option<f32> {
        if self.classes.as_ref().is_some_and(|c| !c.contains(&class_id)) {
            return None;
        }
        Some(self.class_confidence.get(&class_id).copied().unwrap_or(self.confidence))
    }
}
