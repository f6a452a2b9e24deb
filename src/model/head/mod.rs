//! Heads: what a model's output tensors mean.

use super::{Detection, InputSpec, KeypointLayout, Labels, ModelInfo, Params};
use std::sync::Arc;

/// One image's share of a model's outputs: f32 values in C order, with the shape without the batch dimension.
#[derive(Debug, Clone, Copy)]
pub struct Output<'a> {
    pub shape: &'a [usize],
    pub data: &'a [f32],
}

/// One image's outputs, in the order of [`ModelInfo::outputs`].
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
    fn kind(&self) -> HeadKind;
    /// Number of classes.
    fn classes(&self) -> usize;
    /// Names that the model's metadata gives, or the built-in ones where the class count fits.
    fn labels(&self) -> &Labels;
    /// For heads with keypoints.
    fn keypoints(&self) -> Option<&Arc<KeypointLayout>>;
    /// Whether overlapping boxes are left for [`super::nms`].
    fn needs_nms(&self) -> bool;
    /// Appends all candidates that pass `params`' confidence and class filters.
    ///
    /// # Errors
    /// When an output's shape isn't the one that was recognised.
    fn decode(&self, outputs: &Outputs<'_>, params: &Params, found: &mut Vec<Detection>) -> Result<(), HeadError>;
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum HeadError {
    /// No known head has these shapes; the text lists what was seen and what is known.
    #[error("{0}")]
    Unknown(String),
    /// Model and head disagree at run time.
    #[error("{0}")]
    Shape(String),
}

/// Finds the head and the input's meaning from what the model's file says.
///
/// # Errors
/// [`HeadError::Unknown`] with the shapes seen and the heads known.
pub fn recognise(model: &ModelInfo) -> Result<(Arc<dyn Head>, InputSpec), HeadError> {
    let _ = model;
    Err(HeadError::Unknown("no head".into()))
}
