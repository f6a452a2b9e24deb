//! YOLOv8-pose, YOLO11-pose: `[B, 4 + nc + K·D, N]`, or transposed.

use super::super::{Detection, KeypointLayout, Labels, Params};
use super::anchors::AnchorTensor;
use super::{DecodePlan, Head, HeadError, HeadKind, Outputs};
use std::sync::Arc;

/// Like `yolo`, with `K` keypoints after the class scores: x and y in network pixels and, if `D` is 3, a confidence.
///
/// Released models have one class; an export made from `yolo11-pose.yaml` without weights has 80.
#[derive(Debug)]
pub(super) struct YoloPose {
    pub(super) tensor: AnchorTensor,
    /// `D`: 2 or 3.
    pub(super) dims: usize,
    pub(super) labels: Labels,
    pub(super) keypoints: Arc<KeypointLayout>,
}

impl Head for YoloPose {
    fn name(&self) -> &'static str {
        "yolo-pose"
    }

    fn kind(&self) -> HeadKind {
        HeadKind::Pose
    }

    fn classes(&self) -> usize {
        self.tensor.classes
    }

    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn keypoints(&self) -> Option<&Arc<KeypointLayout>> {
        Some(&self.keypoints)
    }

    fn needs_nms(&self) -> bool {
        true
    }

    fn plan(&self) -> Option<DecodePlan> {
        self.tensor.plan(Some((self.keypoints.names.len(), self.dims)))
    }

    fn decode(&self, outputs: &Outputs<'_>, params: &Params, found: &mut Vec<Detection>) -> Result<(), HeadError> {
        let anchors = self.tensor.view(self.name(), outputs)?;
        anchors.scores().for_each_passing(params, |anchor, class_id, confidence| {
            if let Some(rect) = anchors.rect(anchor) {
                let keypoints = anchors.keypoints(anchor, self.keypoints.names.len(), self.dims);
                found.push(Detection { rect, class_id, confidence, keypoints, ..Detection::default() });
            }
        });
        Ok(())
    }
}
