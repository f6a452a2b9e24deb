//! The thresholds and filters that travel with a frame.

use std::collections::{BTreeMap, BTreeSet};

/// Thresholds and filters of one request. Never part of what makes two services different.
#[derive(Debug, Clone, PartialEq)]
pub struct Params {
    /// Least confidence, 0–1.
    pub confidence: f32,
    /// Least confidence by class id, instead of `confidence`.
    pub class_confidence: BTreeMap<u32, f32>,
    /// Two boxes above this intersection over union are one object, 0–1. End-to-end heads don't use it.
    pub iou: f32,
    /// Non-maximum suppression across classes instead of within each.
    pub class_agnostic: bool,
    /// Only these classes; `None` keeps all.
    pub classes: Option<BTreeSet<u32>>,
    /// At most this many objects, the most confident first.
    pub max_detections: usize,
    /// Least box width and height, in frame pixels.
    pub min_size: (u32, u32),
    /// Greatest box width and height, in frame pixels; 0: no limit.
    pub max_size: (u32, u32),
    /// Also hand out the raw output tensors.
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
    /// The least confidence for this class, or `None` if the class is filtered out.
    pub fn threshold(&self, class_id: u32) -> Option<f32> {
        if self.classes.as_ref().is_some_and(|c| !c.contains(&class_id)) {
            return None;
        }
        Some(self.class_confidence.get(&class_id).copied().unwrap_or(self.confidence))
    }
}
