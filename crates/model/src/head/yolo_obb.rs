//! YOLO-OBB, whose boxes have a direction: `[B, 4 + nc + 1, N]`, or transposed; end-to-end `[B, M, 7]`.
//!
//! A box is its centre and size in network pixels, and an angle in radians by which it is rotated clockwise about its centre.
//! YOLOv8 and YOLO11 give angles of -π/4 to 3π/4, YOLO26 any. Source: the heads `OBB` and `OBB26` of Ultralytics 8.4.190, and
//! `NMSModel` of its exporter.

use super::super::nms::rank;
use super::super::{Detection, Labels, OrientedBox, Params};
use super::anchors::{AnchorTensor, output, unexpected};
use super::{DecodePlan, Head, HeadError, HeadKind, OrientedForm, Outputs};

/// Centre and size, one score 0–1 per class, and the angle of each anchor. NMS is needed.
#[derive(Debug)]
pub(super) struct YoloObb {
    /// With one channel after the scores.
    pub(super) tensor: AnchorTensor,
    pub(super) labels: Labels,
}

impl Head for YoloObb {
    fn name(&self) -> &'static str {
        "yolo-obb"
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
        let AnchorTensor { output, classes, .. } = self.tensor;
        let channels_first = self.tensor.channels_first();
        Some(DecodePlan::Oriented { output, form: OrientedForm::Anchors { channels_first, classes } })
    }

    fn decode(&self, outputs: &Outputs<'_>, params: &Params, found: &mut Vec<Detection>) -> Result<(), HeadError> {
        let anchors = self.tensor.view(self.name(), outputs)?;
        let angle = 4 + self.tensor.classes;
        anchors.scores().for_each_passing(params, |anchor, class_id, confidence| {
            let values = [0, 1, 2, 3, angle].map(|channel| anchors.value(channel, anchor));
            found.extend(detection(values, class_id, confidence));
        });
        Ok(())
    }
}

/// Rows of centre, size, confidence 0–1, class id and angle. NMS isn't needed; the results are sorted by confidence and limited
/// to `max_detections`.
#[derive(Debug)]
pub(super) struct YoloObbEndToEnd {
    /// Index of the output.
    pub(super) output: usize,
    pub(super) labels: Labels,
    /// Whether the file specifies the number of classes.
    pub(super) counted: bool,
}

/// Values of a row.
const COLUMNS: usize = 7;

impl Head for YoloObbEndToEnd {
    fn name(&self) -> &'static str {
        "yolo-obb-end-to-end"
    }

    fn kind(&self) -> HeadKind {
        HeadKind::Detection
    }

    fn classes(&self) -> usize {
        self.labels.len()
    }

    fn class_count(&self) -> Option<usize> {
        self.counted.then(|| self.classes())
    }

    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn needs_nms(&self) -> bool {
        false
    }

    fn plan(&self) -> Option<DecodePlan> {
        Some(DecodePlan::Oriented { output: self.output, form: OrientedForm::Rows })
    }

    fn decode(&self, outputs: &Outputs<'_>, params: &Params, found: &mut Vec<Detection>) -> Result<(), HeadError> {
        let output = output(self.name(), outputs, self.output)?;
        let &[rows, COLUMNS] = output.shape else {
            return Err(unexpected(self.name(), self.output, &output, "[M, 7]"));
        };
        let (values, _) = output.data.as_chunks::<COLUMNS>();
        if values.len() != rows {
            return Err(unexpected(self.name(), self.output, &output, "[M, 7]"));
        }
        found.extend(values.iter().filter_map(|&[cx, cy, w, h, confidence, class, angle]| {
            if !confidence.is_finite() || !class.is_finite() || class < 0.0 {
                return None;
            }
            let class_id = class.round() as u32;
            let passes = params.threshold(class_id).is_some_and(|threshold| confidence >= threshold);
            passes.then(|| detection([cx, cy, w, h, angle], class_id, confidence))?
        }));
        rank(found, params.max_detections);
        Ok(())
    }
}

/// `None` if the box isn't finite.
fn detection([cx, cy, w, h, angle]: [f32; 5], class_id: u32, confidence: f32) -> Option<Detection> {
    let oriented = OrientedBox::new(cx, cy, w, h, angle)?;
    let rect = oriented.enclosing();
    Some(Detection { rect, oriented: Some(oriented), class_id, confidence, ..Detection::default() })
}
