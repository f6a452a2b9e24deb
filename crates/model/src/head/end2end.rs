//! Models whose output rows are final objects, `[B, M, 6 + K·D]` or `[B, M, 6 + C]`: YOLOv10, YOLO26, exports with NMS inside, and RT-DETR as
//! Ultralytics exports it.

use super::super::nms::rank;
use super::super::{Detection, KeypointLayout, Labels, Params};
use super::anchors::{keypoint, output, unexpected};
use super::{BoxCoding, DecodePlan, Head, HeadError, HeadKind, MaskPlan, Outputs};
use std::sync::Arc;

/// Rows of a box, confidence 0–1 and class id, then the keypoints in network pixels or the coefficients of masks, if there
/// are any.
///
/// NMS isn't needed; the results are sorted by confidence and limited to `max_detections`.
#[derive(Debug)]
pub(super) struct EndToEnd {
    /// The head's name.
    pub(super) name: &'static str,
    /// Index of the output.
    pub(super) output: usize,
    pub(super) coding: BoxCoding,
    pub(super) labels: Labels,
    /// Whether the file specifies the number of classes.
    pub(super) counted: bool,
    /// The keypoints, and the values of each: 2 (x, y) or 3 (x, y, confidence).
    pub(super) keypoints: Option<(Arc<KeypointLayout>, usize)>,
    pub(super) masks: Option<MaskPlan>,
}

impl EndToEnd {
    /// Values per row, `6 + K·D` or `6 + C`.
    fn columns(&self) -> usize {
        let keypoints = self.keypoints.as_ref().map_or(0, |(layout, dims)| layout.names.len() * dims);
        6 + keypoints + self.masks.map_or(0, |masks| masks.coefficients())
    }
}

impl Head for EndToEnd {
    fn name(&self) -> &'static str {
        self.name
    }

    fn kind(&self) -> HeadKind {
        if self.keypoints.is_some() { HeadKind::Pose } else { HeadKind::Detection }
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

    fn keypoints(&self) -> Option<&Arc<KeypointLayout>> {
        self.keypoints.as_ref().map(|(layout, _)| layout)
    }

    fn needs_nms(&self) -> bool {
        false
    }

    fn plan(&self) -> Option<DecodePlan> {
        let keypoints = self.keypoints.as_ref().map(|(layout, dims)| (layout.names.len(), *dims));
        Some(DecodePlan::Objects { output: self.output, coding: self.coding, keypoints })
    }

    fn masks(&self) -> Option<MaskPlan> {
        self.masks
    }

    fn decode(&self, outputs: &Outputs<'_>, params: &Params, found: &mut Vec<Detection>) -> Result<(), HeadError> {
        let columns = self.columns();
        let output = output(self.name(), outputs, self.output)?;
        if !matches!(*output.shape, [rows, c] if c == columns && output.data.len() == rows * columns) {
            return Err(unexpected(self.name(), self.output, &output, &format!("[M, {columns}]")));
        }
        let (count, dims) = self.keypoints.as_ref().map_or((0, 1), |(layout, dims)| (layout.names.len(), *dims));
        found.extend(output.data.chunks_exact(columns).zip(0..).filter_map(|(row, number)| {
            let (&[a, b, c, d, confidence, class], rest) = row.split_first_chunk()?;
            let rect = self.coding.rect([a, b, c, d])?;
            if !confidence.is_finite() || !class.is_finite() || class < 0.0 {
                return None;
            }
            let class_id = class.round() as u32;
            if !params.threshold(class_id).is_some_and(|t| confidence >= t) {
                return None;
            }
            let keypoints = rest
                .chunks_exact(dims)
                .take(count)
                .map(|k| match *k {
                    [x, y] => keypoint(x, y, 1.0),
                    [x, y, confidence] => keypoint(x, y, confidence),
                    _ => keypoint(f32::NAN, f32::NAN, 0.0),
                })
                .collect();
            Some(Detection {
                rect,
                class_id,
                confidence,
                keypoints,
                row: self.masks.map_or(0, |_| number),
                ..Detection::default()
            })
        }));
        rank(found, params.max_detections);
        Ok(())
    }
}
