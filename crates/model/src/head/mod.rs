//! Heads: what a model's output tensors mean.

mod anchors;
mod choice;
mod end2end;
mod families;
mod literal;
mod metadata;
mod movenet;
mod nanodet;
mod plan;
mod reading;
mod recognise;
mod scores;
mod ultralytics;
mod yolo;
mod yolo_pose;

pub use choice::HeadChoice;
pub use plan::{Plan, PlanLevel};
pub use reading::{Reading, Trust};
pub use recognise::{Recognised, recognise};

use super::{Detection, KeypointLayout, Labels, Params};
use std::sync::Arc;

/// One image's share of a model's outputs: f32 values in C order, with the shape without the batch dimension.
#[derive(Debug, Clone, Copy)]
pub struct Output<'a> {
    /// Without the batch dimension.
    pub shape: &'a [usize],
    /// The values in C order.
    pub data: &'a [f32],
}

/// One image's outputs, in the order of [`ModelInfo::outputs`](super::ModelInfo::outputs).
pub type Outputs<'a> = [Output<'a>];

/// What a head looks for, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadKind {
    /// Boxes with classes.
    Detection,
    /// Boxes of persons with keypoints, all of a frame in one go.
    Pose,
    /// Keypoints of the one person that the input shows.
    TopDownPose,
}

/// Decodes a model's outputs. Coordinates are pixels of the network's input.
pub trait Head: Send + Sync + std::fmt::Debug {
    /// The head's name as the documentation has it, for example `yolo-pose`.
    fn name(&self) -> &'static str;
    /// What the head looks for.
    fn kind(&self) -> HeadKind;
    /// Number of classes; where [`Self::class_count`] isn't known, of those that have a name.
    fn classes(&self) -> usize;
    /// Number of classes, if the file says it: a labels file has to have as many names.
    fn class_count(&self) -> Option<usize> {
        Some(self.classes())
    }
    /// Names that the model's metadata gives, or the built-in ones where the class count fits.
    fn labels(&self) -> &Labels;
    /// For heads with keypoints.
    fn keypoints(&self) -> Option<&Arc<KeypointLayout>>;
    /// Whether overlapping boxes are left for [`super::nms`].
    fn needs_nms(&self) -> bool;
    /// Where it finds what [`Self::decode`] decodes; `None` if no device can decode it.
    fn plan(&self) -> Option<Plan> {
        None
    }
    /// Appends all candidates that pass `params`' confidence and class filters; a candidate has the class that scores
    /// highest, also if a filter then drops it. Values that aren't finite are left out.
    ///
    /// Heads that don't need NMS leave `found` sorted by confidence, at most `max_detections`.
    ///
    /// # Errors
    /// When an output's shape isn't the one that was recognised.
    fn decode(&self, outputs: &Outputs<'_>, params: &Params, found: &mut Vec<Detection>) -> Result<(), HeadError>;
}

impl dyn Head {
    /// For people: `yolo head, 3 classes`.
    pub fn describe(&self) -> String {
        match self.class_count() {
            None => format!("{} head", self.name()),
            Some(1) => format!("{} head, 1 class", self.name()),
            Some(count) => format!("{} head, {count} classes", self.name()),
        }
    }
}

/// Why outputs cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HeadError {
    /// No known head has these shapes; the text lists what was seen and what is known.
    #[error("{0}")]
    Unknown(String),
    /// Model and head disagree at run time.
    #[error("{0}")]
    Shape(String),
}

#[cfg(test)]
mod tests;
