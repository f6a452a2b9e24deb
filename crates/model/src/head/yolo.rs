//! YOLOv8, 9, 11, 12: `[B, 4 + nc, N]`, or transposed `[B, N, 4 + nc]`.

use super::super::{Detection, Labels, Params};
use super::anchors::AnchorTensor;
use super::{DecodePlan, Head, HeadError, HeadKind, Outputs};

/// Boxes as centre and size in network pixels, and one score 0–1 per class. NMS is needed.
#[derive(Debug)]
pub(super) struct Yolo {
    pub(super) tensor: AnchorTensor,
    pub(super) labels: Labels,
}

impl Head for Yolo {
    fn name(&self) -> &'static str {
        "yolo"
    }

    fn kind(&self) -> HeadKind {
        HeadKind::Detection
    }

    fn classes(&self) -> usize {
        self.tensor.classes
    }

    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn needs_nms(&self) -> bool {
        true
    }

    fn plan(&self) -> Option<DecodePlan> {
        self.tensor.plan(None)
    }

    fn decode(&self, outputs: &Outputs<'_>, params: &Params, found: &mut Vec<Detection>) -> Result<(), HeadError> {
        let anchors = self.tensor.view(self.name(), outputs)?;
        anchors.scores().for_each_passing(params, |anchor, class_id, confidence| {
            if let Some(rect) = anchors.rect(anchor) {
                found.push(Detection { rect, class_id, confidence, ..Detection::default() });
            }
        });
        Ok(())
    }
}
