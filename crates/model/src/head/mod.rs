//! Heads: the decoders of models' output tensors.

mod anchors;
mod choice;
mod classifier;
mod corners;
mod dense;
mod detr;
mod embedding;
mod end2end;
mod exponential;
mod families;
mod heatmap;
mod image_processor;
mod in_frame;
mod input_choice;
mod libreyolo;
mod literal;
mod masks;
mod metadata;
mod movenet;
mod nanodet;
mod plan;
mod queries;
mod reading;
mod recognise;
mod rtmo;
mod scores;
mod simcc;
mod split;
mod sum;
mod top_down;
mod ultralytics;
mod yolo;
mod yolo_obb;
mod yolo_pose;
mod yolox;

pub use choice::HeadChoice;
pub use input_choice::{ColorChoice, ModelChoice, NormalizationChoice, ResizeChoice};
pub use masks::{MaskPlan, MaskSource};
pub use plan::{
    BoxCoding, BoxForm, ClassPlan, Columns, DecodeLevel, DecodePlan, DensePlan, GridLevel, OrientedForm, PeakMaps,
    PeakPlan, QueryPlan, Refinement, Scale, ScoreScale, Selection,
};
pub use reading::{Reading, Trust};
pub use recognise::{ConstantInput, Recognised, recognise};

use super::{Detection, KeypointLayout, Labels, Params};
use std::sync::Arc;

/// One image's part of a model's output: f32 values in C order, and the shape without the batch dimension.
#[derive(Debug, Clone, Copy)]
pub struct Output<'a> {
    /// Without the batch dimension.
    pub shape: &'a [usize],
    /// The values in C order.
    pub data: &'a [f32],
}

/// One image's outputs, in the order of [`ModelInfo::outputs`](super::ModelInfo::outputs).
pub type Outputs<'a> = [Output<'a>];

/// The kind of objects that a head finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadKind {
    /// Boxes with classes.
    Detection,
    /// Boxes with keypoints of all persons in a frame.
    Pose,
    /// Keypoints of the only person in the input.
    TopDownPose,
    /// Classes of the whole input.
    Classification,
    /// A vector that describes the whole input.
    Embedding,
}

impl HeadKind {
    /// The factor by which the box of an object is enlarged before the model runs on it. Top-down pose models are trained
    /// on boxes enlarged by a quarter.
    pub fn enlargement(self) -> f32 {
        match self {
            Self::Detection | Self::Pose | Self::Classification | Self::Embedding => 1.0,
            Self::TopDownPose => 1.25,
        }
    }
}

/// Decodes a model's outputs. Coordinates are pixels of the network's input.
pub trait Head: Send + Sync + std::fmt::Debug {
    /// The head's name in the documentation, for example `yolo-pose`.
    fn name(&self) -> &'static str;
    /// The kind of objects that the head finds.
    fn kind(&self) -> HeadKind;
    /// Number of classes or, if [`Self::class_count`] is unknown, of named classes.
    fn classes(&self) -> usize;
    /// Number of classes, if the file specifies it; a labels file must have the same number of names.
    fn class_count(&self) -> Option<usize> {
        Some(self.classes())
    }
    /// The class names in the model's metadata, or built-in ones.
    fn labels(&self) -> &Labels;
    /// The keypoints; `None` for heads without keypoints.
    fn keypoints(&self) -> Option<&Arc<KeypointLayout>> {
        None
    }
    /// Whether overlapping boxes must be removed by [`super::nms`].
    fn needs_nms(&self) -> bool;
    /// The data layout that [`Self::decode`] reads; `None` if no kernel can decode it.
    fn plan(&self) -> Option<DecodePlan> {
        None
    }
    /// Where the objects' masks are; `None` for heads without masks. [`MaskPlan::add`] reads those of the objects that are
    /// left after suppression.
    fn masks(&self) -> Option<MaskPlan> {
        None
    }
    /// Appends all candidates that pass `params`' confidence and class filters. A candidate has the class with the
    /// highest score, even if a filter then drops it. Values that aren't finite are left out.
    ///
    /// Heads that don't need NMS leave `found` sorted by confidence, at most `max_detections`.
    ///
    /// # Errors
    /// An output's shape differs from the recognised one.
    fn decode(&self, outputs: &Outputs<'_>, params: &Params, found: &mut Vec<Detection>) -> Result<(), HeadError>;
}

impl dyn Head {
    /// A description for users: `yolo head, 3 classes`.
    pub fn describe(&self) -> String {
        match self.class_count() {
            None | Some(0) => format!("{} head", self.name()),
            Some(1) => format!("{} head, 1 class", self.name()),
            Some(count) => format!("{} head, {count} classes", self.name()),
        }
    }
}

/// Why outputs cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HeadError {
    /// No known head has these shapes; the text lists the model's tensors and the known heads.
    #[error("{0}")]
    Unknown(String),
    /// The model info file beside the model doesn't fit it.
    #[error("the model info file beside it: {0}. Correct that file, or remove it")]
    GstModelInfo(String),
    /// An output contradicts the head at run time.
    #[error("{0}")]
    Shape(String),
}

#[cfg(test)]
mod tests;
